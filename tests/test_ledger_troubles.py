"""The ledger's disk fills up, its folder cannot be written, its file is damaged or taken away: one clear line each, and
the next run loses nothing and doubles nothing."""

import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from desk import Ended, read_csv, token_row, write_csv

from importer.sandbox import Sandbox

Importer = Callable[..., Ended]
Start = Callable[..., "subprocess.Popen[str]"]


def groups(sandbox: Sandbox) -> Counter[str]:
    return Counter(connection["groupRef"] for connection in sandbox.connections())


def one_line(ended: Ended) -> str:
    """The message, if it is a line of its own with a hint below and nothing else."""
    lines = [line for line in ended.err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, ended.err
    assert "Traceback" not in ended.err
    return lines[0]


@pytest.fixture
def volume(home: Path) -> Iterator[Callable[[str], Path]]:
    """A small disk of its own, to be filled up or made read-only by mounting it anew with other options."""
    folder = home / "volume"
    folder.mkdir()
    mounted = False

    def mount(options: str) -> Path:
        nonlocal mounted
        words = ["mount", "-o", f"remount,{options}"] if mounted else ["mount", "-t", "tmpfs", "-o", options, "tmpfs"]
        if subprocess.run([*words, str(folder)], capture_output=True, check=False).returncode:
            pytest.skip("this machine lets nobody mount a disk")
        mounted = True
        return folder

    yield mount
    if mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_disk_that_fills_up_stops_the_run_and_the_next_one_finishes(
    volume: Callable[[str], Path], home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    folder = volume("size=480k")
    write_csv(home / "rows.csv", [token_row(n) for n in range(2_000)])
    ledger = ("--ledger", f"sqlite:///{folder}/ledger.db")

    stopped = importer("run", "rows.csv", *ledger)

    assert stopped.exit_code == 5
    assert "full" in one_line(stopped)
    made = sandbox.count()
    assert 0 < made < 2_000
    volume("size=20m")
    assert importer("run", "rows.csv", *ledger).exit_code == 0
    assert groups(sandbox) == {f"g{n}": 1 for n in range(2_000)}


def test_no_request_starts_whose_intent_is_not_on_disk(
    volume: Callable[[str], Path], home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    """Whatever the sandbox holds when the disk is full, the ledger says of it that it was at least sent."""
    folder = volume("size=480k")
    write_csv(home / "rows.csv", [token_row(n) for n in range(2_000)])
    assert importer("run", "rows.csv", "--ledger", f"sqlite:///{folder}/ledger.db").exit_code == 5

    volume("size=20m")
    with closing(sqlite3.connect(folder / "ledger.db")) as db:
        known = {
            group for (group,) in db.execute("SELECT group_ref FROM entries WHERE state IN ('sending', 'created')")
        }

    assert sandbox.count() > 0
    assert set(groups(sandbox)) <= known


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_sent(
    volume: Callable[[str], Path], home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    volume("size=1m")
    folder = volume("ro")
    write_csv(home / "rows.csv", [token_row(1)])

    ended = importer("run", "rows.csv", "--ledger", f"sqlite:///{folder}/ledger.db")

    assert ended.exit_code == 2
    assert "Read-only file system" in one_line(ended)
    assert sandbox.requests.total == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("nr_inodes=1", "the ledger's lock {lock} cannot be opened: No space left on device"),
        ("ro", "the ledger's lock {lock} cannot be opened: Read-only file system"),
        ("size=4k", "the ledger {ledger} cannot be used: database or disk is full"),
    ],
    ids=["no file fits", "read-only", "no byte fits"],
)
def test_where_the_lock_finds_no_room_one_line_says_so(
    options: str, says: str, volume: Callable[[str], Path], home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    """The lock file comes first: on a full disk it may not be made, or hold no name; the ledger has the last word."""
    folder = volume(options)
    if options.startswith("size"):
        (folder / "filler").write_bytes(bytes(4096))
    write_csv(home / "rows.csv", [token_row(1)])
    ledger = folder / "ledger.db"

    ended = importer("run", "rows.csv", "--ledger", f"sqlite:///{ledger}")

    assert ended.exit_code == 2
    assert one_line(ended) == "error: " + says.format(lock=f"{ledger}.lock", ledger=ledger)
    assert len(ended.err.splitlines()) == 2
    assert sandbox.requests.total == 0


def test_a_folder_that_is_not_there_is_not_made(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    write_csv(home / "rows.csv", [token_row(1)])

    ended = importer("run", "rows.csv", "--ledger", "sqlite:///not-mounted/ledger.db")

    assert ended.exit_code == 2
    assert "folder" in one_line(ended)
    assert not (home / "not-mounted").exists()
    assert sandbox.requests.total == 0


def test_a_ledger_that_is_taken_away_stops_the_run_and_the_next_one_finds_its_connections(
    home: Path, sandbox: Sandbox, start: Start, importer: Importer
) -> None:
    write_csv(home / "rows.csv", [token_row(n) for n in range(300)])
    process = start("run", "rows.csv", "--rate", "100")
    while sandbox.count() < 20:
        time.sleep(0.01)
    for path in home.glob("importer-ledger.db*"):
        if path.suffix != ".lock":
            path.unlink()

    out, err = process.communicate(timeout=60)

    assert process.returncode == 5
    assert "moved or deleted" in one_line(Ended(process.returncode, out, err))
    made = sandbox.count()
    assert made < 300
    assert importer("run", "rows.csv").exit_code == 0
    assert groups(sandbox) == {f"g{n}": 1 for n in range(300)}
    adopted = Counter(row["outcome"] for row in read_csv(home / "importer-report/results.csv"))
    assert adopted == {"adopted": made, "created": 300 - made}


@pytest.fixture
def done(home: Path, sandbox: Sandbox, importer: Importer) -> Path:
    """A ledger in which 300 rows are done."""
    write_csv(home / "rows.csv", [token_row(n) for n in range(300)])
    assert importer("run", "rows.csv").exit_code == 0
    return home / "importer-ledger.db"


def test_a_ledger_that_was_cut_off_is_told_and_nothing_is_sent(
    done: Path, sandbox: Sandbox, importer: Importer
) -> None:
    os.truncate(done, done.stat().st_size // 2 // 4096 * 4096 + 100)
    posted = sandbox.requests.kinds["generate"]

    ended = importer("run", "rows.csv")

    assert ended.exit_code in (2, 5)
    assert "cannot be used" in one_line(ended)
    assert sandbox.requests.kinds["generate"] == posted
    done.unlink()
    assert importer("run", "rows.csv").exit_code == 0
    assert groups(sandbox) == {f"g{n}": 1 for n in range(300)}


def test_a_ledger_of_a_newer_version_is_refused(done: Path, sandbox: Sandbox, importer: Importer) -> None:
    with closing(sqlite3.connect(done)) as db:
        db.execute("PRAGMA user_version = 99")
    posted = sandbox.requests.total

    ended = importer("run", "rows.csv")

    assert ended.exit_code == 2
    assert "newer importer" in one_line(ended)
    assert sandbox.requests.total == posted


def test_a_file_that_is_no_ledger_is_left_alone(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    other = home / "importer-ledger.db"
    other.write_bytes(b"these are somebody's notes\n" * 200)
    write_csv(home / "rows.csv", [token_row(1)])

    ended = importer("run", "rows.csv")

    assert ended.exit_code == 2
    assert one_line(ended)
    assert other.read_bytes() == b"these are somebody's notes\n" * 200
    assert sandbox.requests.total == 0


def test_a_report_folder_without_room_keeps_what_was_done(
    volume: Callable[[str], Path], home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    folder = volume("size=16k")
    write_csv(home / "rows.csv", [token_row(n) for n in range(400)])

    ended = importer("run", "rows.csv", "--report-dir", str(folder))

    assert ended.exit_code == 5
    assert "the report" in one_line(ended)
    assert sandbox.count() == 400
    assert importer("report").exit_code == 0
    assert {row["outcome"] for row in read_csv(home / "importer-report/results.csv")} == {"created"}


def test_two_containers_in_which_every_pid_is_1_do_not_take_each_other_for_dead(
    home: Path, sandbox: Sandbox, start: Start, importer: Importer
) -> None:
    """The lock is the kernel's; a pid in its text is a word for people."""
    write_csv(home / "rows.csv", [token_row(n) for n in range(200)])
    first = start("run", "rows.csv", "--rate", "5")
    while not sandbox.count():
        time.sleep(0.01)
    lock = home / "importer-ledger.db.lock"
    lock.write_text('{"pid": 1, "host": "another-container", "start": "2026-01-01T00:00:00+00:00"}')

    second = importer("run", "rows.csv")

    assert second.exit_code == 6
    assert "pid 1 on another-container, since 2026-01-01T00:00:00+00:00" in second.err
    first.kill()
    first.communicate()
    assert sys.platform != "win32"


def many_rows(home: Path) -> Path:
    """As many and as long as it takes for what is known of them to be written to the temporary folder."""
    long = "u" * 420
    rows = [token_row(n, group_ref=f"g{n}-{long}", consumer_ref=f"u{n}-{long}") for n in range(20_000)]
    return write_csv(home / "rows.csv", rows)


def test_a_temporary_folder_without_room_is_told_before_anything_is_sent(
    volume: Callable[[str], Path], home: Path, sandbox: Sandbox, shell: Importer
) -> None:
    many_rows(home)
    folder = str(volume("size=1m"))

    for verb in ("plan", "run"):
        ended = shell(verb, "rows.csv", SQLITE_TMPDIR=folder, TMPDIR=folder)
        assert ended.exit_code == 2
        assert "the temporary folder cannot be used" in one_line(ended)
    assert sandbox.count() == 0


def test_a_temporary_folder_that_fills_up_on_the_way_stops_the_run_and_the_next_one_finishes(
    volume: Callable[[str], Path], home: Path, sandbox: Sandbox, shell: Importer
) -> None:
    """Standard input is read once: the folder is full when the first rows are sent already."""
    stdin = many_rows(home).read_text()
    folder = str(volume("size=1m"))

    stopped = shell("run", "-", stdin=stdin, SQLITE_TMPDIR=folder, TMPDIR=folder)

    assert stopped.exit_code == 5
    assert "the temporary folder cannot be used" in one_line(stopped)
    assert 0 < sandbox.count() < 20_000
    assert shell("run", "-", "--rows", "500", stdin=stdin).exit_code == 0
    assert max(groups(sandbox).values()) == 1


@pytest.mark.parametrize("verb", ["plan", "run", "verify"])
def test_a_report_folder_that_cannot_be_written_is_told_before_anything_is_sent(
    verb: str, volume: Callable[[str], Path], home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    write_csv(home / "rows.csv", [token_row(1)])
    assert importer("run", "rows.csv").exit_code == 0
    write_csv(home / "rows.csv", [token_row(1), token_row(2)])
    volume("size=1m")
    folder = volume("ro")

    ended = importer(verb, *(["rows.csv"] if verb != "verify" else []), "--report-dir", str(folder / "reports"))

    assert ended.exit_code == 2
    assert "the report" in one_line(ended)
    assert sandbox.count() == 1


def test_a_ledger_has_one_lock_by_whatever_link_it_is_reached(
    home: Path, sandbox: Sandbox, start: Start, importer: Importer
) -> None:
    write_csv(home / "rows.csv", [token_row(n) for n in range(100)])
    (home / "link.db").symlink_to("importer-ledger.db")
    first = start("run", "rows.csv", "--rate", "20")
    while not sandbox.count():
        time.sleep(0.02)

    second = importer("run", "rows.csv", "--ledger", "sqlite:///link.db")

    assert second.exit_code == 6
    first.terminate()
    first.communicate(timeout=30)
    (home / "hard.db").hardlink_to(home / "importer-ledger.db")
    assert "a hard link" in one_line(importer("run", "rows.csv"))


def test_a_ledger_that_is_cut_off_on_the_way_stops_the_run(
    home: Path, sandbox: Sandbox, start: Start, importer: Importer
) -> None:
    write_csv(home / "rows.csv", [token_row(n) for n in range(400)])
    process = start("run", "rows.csv", "--rate", "80")
    while sandbox.count() < 40:
        time.sleep(0.02)

    os.truncate(home / "importer-ledger.db", 0)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 5
    assert err.count("error:") == 1  # whichever statement finds it out
    assert "Traceback" not in err
    assert sandbox.count() < 400
    assert importer("run", "rows.csv").exit_code == 2
    (home / "importer-ledger.db").unlink()
    assert importer("run", "rows.csv").exit_code == 0
    assert groups(sandbox) == {f"g{n}": 1 for n in range(400)}
