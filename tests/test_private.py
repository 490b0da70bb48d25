"""What is written is its owner's alone from the first byte, whole or not at all, and nowhere but where it belongs."""

import os
import shlex
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from desk import Ended, read_csv, token_row, write_csv

from importer import private
from importer.catalog.cache import save
from importer.errors import LedgerError
from importer.ledger import SqliteLedger
from importer.reports.files import ReportError, check_writable, whole_file
from importer.sandbox import Sandbox

Start = Callable[..., "subprocess.Popen[str]"]
Importer = Callable[..., Ended]


@pytest.fixture
def open_to_all() -> object:
    """A user whose umask takes nothing away."""
    before = os.umask(0)
    yield
    os.umask(before)


# --- modes ---


class Watch:
    """Looks at folders again and again, and notes each file that anybody but its owner had a right to."""

    def __init__(self, *folders: Path) -> None:
        self._folders = folders
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.open: set[str] = set()
        self.seen: set[str] = set()

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        over = False
        while not over:
            over = self._over.is_set()  # and once more after it
            for folder in self._folders:
                self._look_at(folder)

    def _look_at(self, folder: Path) -> None:
        for entry in os.scandir(folder):
            try:
                mode = entry.stat(follow_symlinks=False).st_mode
            except FileNotFoundError:
                continue  # gone already
            self.seen.add(entry.name)
            if mode & 0o077:
                self.open.add(f"{entry.path} {stat.filemode(mode)}")
            if stat.S_ISDIR(mode):
                self._look_at(Path(entry.path))


@pytest.mark.usefixtures("open_to_all")
def test_no_file_of_a_run_is_ever_open_to_others(
    home: Path, start: Start, tmp_path_factory: pytest.TempPathFactory
) -> None:
    write_csv(home / "rows.csv", [token_row(n) for n in range(300)] + [{"provider": "hubspot", "group_ref": "g"}])
    for given in home.iterdir():
        given.chmod(0o600)
    other = {name: tmp_path_factory.mktemp(name) for name in ("HOME", "XDG_CACHE_HOME", "TMPDIR", "SQLITE_TMPDIR")}
    more = {name: str(folder) for name, folder in other.items()}

    with Watch(home, *other.values()) as watch:
        for words in (
            ["plan", "rows.csv", "--report-dir", "new/deep/reports"],
            ["run", "rows.csv"],
            ["verify"],
            ["report"],
            ["providers"],
            ["init", "other.toml", "--from", "rows.csv"],
            ["demo"],
        ):
            with start(*words, **more) as process:
                _, err = process.communicate(timeout=60)
            assert process.returncode in (0, 3), err

    assert watch.open == set()
    wanted = {"importer-ledger.db", "importer-ledger.db-wal", "importer-ledger.db-shm", "importer-ledger.db.lock",
              "results.csv", "errors.csv", "summary.json", "plan-errors.csv", "verify-errors.csv", "other.toml",
              "importer-demo", "connections.csv", "deep", "importer"}  # fmt: skip
    assert wanted - watch.seen == set()


@pytest.mark.usefixtures("open_to_all")
def test_the_folders_above_a_new_one_are_private_too(tmp_path: Path) -> None:
    private.make_folder(tmp_path / "a/b/c")

    assert [
        oct(folder.stat().st_mode & 0o777) for folder in (tmp_path / "a", tmp_path / "a/b", tmp_path / "a/b/c")
    ] == ["0o700"] * 3


SCRATCH = """
import os, stat
from importer.scratch import open_scratch

db = open_scratch("CREATE TABLE t (x); PRAGMA cache_size = 1;")
db.executemany("INSERT INTO t VALUES (?)", [("x" * 4000,)] * 500)
open_files = [f"/proc/self/fd/{{name}}" for name in os.listdir("/proc/self/fd")]
mine = [path for path in open_files if os.path.realpath(path).startswith({folder!r})]
print([oct(stat.S_IMODE(os.stat(path).st_mode)) for path in mine], os.listdir({folder!r}))
"""


@pytest.mark.usefixtures("open_to_all")
def test_temporary_databases_are_private_and_have_no_name(tmp_path: Path) -> None:
    """Another process, for SQLite reads the name of its temporary folder once."""
    code = SCRATCH.format(folder=str(tmp_path))
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60,
        env=os.environ | {"SQLITE_TMPDIR": str(tmp_path), "TMPDIR": str(tmp_path)},
    )  # fmt: skip

    assert ended.stdout == "['0o600'] []\n"


def test_a_ledger_that_was_copied_back_is_closed_to_others_before_it_is_written(tmp_path: Path) -> None:
    SqliteLedger(tmp_path / "ledger.db").close()
    (tmp_path / "ledger.db").chmod(0o644)

    opened = SqliteLedger(tmp_path / "ledger.db")

    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(["ledger.db", "ledger.db-wal", "ledger.db-shm"], "0o600")
    opened.close()


# --- links ---


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """Somebody's file, elsewhere."""
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "elsewhere/victim"
    path.write_text("precious")
    path.chmod(0o644)
    return path


def is_untouched(victim: Path) -> bool:
    return (
        victim.read_text() == "precious"
        and victim.stat().st_mode & 0o777 == 0o644
        and [path.name for path in victim.parent.iterdir()] == ["victim"]
    )


REPORTS = ["results.csv", "errors.csv", "summary.json", "plan-errors.csv", "plan-warnings.csv"]


def test_a_link_in_the_place_of_a_report_is_replaced(home: Path, victim: Path, importer: Importer) -> None:
    write_csv(home / "rows.csv", [token_row(1)])
    (home / "importer-report").mkdir()
    for name in REPORTS:
        (home / "importer-report" / name).symlink_to(victim if name != "errors.csv" else victim.with_name("nowhere"))

    assert importer("plan", "rows.csv").exit_code == 0
    assert importer("run", "rows.csv").exit_code == 0

    assert is_untouched(victim)
    assert [name for name in REPORTS if (home / "importer-report" / name).is_symlink()] == []
    assert len(read_csv(home / "importer-report/results.csv")) == 1


def test_a_report_folder_may_be_a_link(home: Path, tmp_path: Path, importer: Importer) -> None:
    """That is the user's wish: a folder on another disk."""
    write_csv(home / "rows.csv", [token_row(1)])
    (tmp_path / "volume").mkdir()
    (home / "importer-report").symlink_to(tmp_path / "volume")

    assert importer("run", "rows.csv").exit_code == 0
    assert len(read_csv(tmp_path / "volume/results.csv")) == 1


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", ".lock"])
@pytest.mark.parametrize("there", [True, False])
def test_a_link_beside_a_ledger_or_in_its_place_is_not_followed(
    home: Path, victim: Path, sandbox: Sandbox, importer: Importer, suffix: str, there: bool
) -> None:
    write_csv(home / "rows.csv", [token_row(1)])
    if suffix != "":
        assert importer("run", "rows.csv").exit_code == 0
        (home / "importer-ledger.db").chmod(0o644)  # copied back: it is closed to others, and what is beside it
    link = home / f"importer-ledger.db{suffix}"
    link.unlink(missing_ok=True)
    link.symlink_to(victim if there else victim.with_name("nowhere"))

    ended = importer("run", "rows.csv")

    assert ended.exit_code == 2
    assert "ledger" in ended.err
    assert ended.err.count("\n") == 2  # a message and a hint
    assert is_untouched(victim)


def test_a_link_beside_the_place_of_a_new_ledger_is_not_followed(home: Path, victim: Path, importer: Importer) -> None:
    write_csv(home / "rows.csv", [token_row(1)])
    for suffix in ("-wal", "-shm", "-journal"):
        (home / f"importer-ledger.db{suffix}").symlink_to(victim)

    importer("run", "rows.csv")

    assert is_untouched(victim)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link away")
def test_a_link_that_another_user_made_leads_to_no_ledger(tmp_path: Path, ledger: SqliteLedger) -> None:
    (tmp_path / "link.db").symlink_to(ledger.path)
    os.chown(tmp_path / "link.db", 12345, 12345, follow_symlinks=False)

    with pytest.raises(LedgerError, match="is a link that another user made"):
        SqliteLedger(tmp_path / "link.db")


def test_a_lock_that_is_another_name_of_a_file_is_not_written(home: Path, victim: Path, importer: Importer) -> None:
    write_csv(home / "rows.csv", [token_row(1)])
    (home / "importer-ledger.db.lock").hardlink_to(victim)

    ended = importer("run", "rows.csv")

    assert ended.exit_code == 2
    assert "is no file of its own" in ended.err
    assert is_untouched(victim)


@pytest.mark.parametrize("there", [True, False])
def test_init_follows_no_link(home: Path, victim: Path, importer: Importer, there: bool) -> None:
    (home / "new.toml").symlink_to(victim if there else victim.with_name("nowhere"))

    ended = importer("init", "new.toml")

    assert ended.exit_code == 2
    assert "new.toml is there already" in ended.err
    assert is_untouched(victim)


@pytest.mark.parametrize("there", [True, False])
def test_the_demo_follows_no_link(home: Path, victim: Path, importer: Importer, there: bool) -> None:
    """Even where it leads to a folder that an earlier demo could have made."""
    made = home / "made"
    if there:
        made.mkdir()
        (made / "config.toml").write_text("# made by importer demo\n")
    (home / "importer-demo").symlink_to(made)

    ended = importer("demo")

    assert ended.exit_code == 2
    assert "no earlier demo made it" in ended.err
    assert made.exists() == there


def test_a_folder_of_somebody_elses_is_no_demo(home: Path, importer: Importer) -> None:
    (home / "importer-demo").mkdir()
    (home / "importer-demo/config.toml").write_bytes(b"\xff\xfe")

    assert importer("demo").exit_code == 2
    assert (home / "importer-demo/config.toml").read_bytes() == b"\xff\xfe"


def test_a_demo_that_cannot_be_written_is_told(home: Path) -> None:
    """On a disk with room for nothing: here, in a shell whose files may have no byte."""
    words = f"ulimit -f 0; exec {shlex.quote(sys.executable)} -m importer demo"

    ended = subprocess.run(["sh", "-c", words], cwd=home, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == 2
    assert ended.stderr.startswith("error: importer-demo cannot be written: File too large")


def test_a_link_in_the_place_of_the_kept_catalog_is_replaced(victim: Path, tmp_path: Path) -> None:
    (tmp_path / "providers.json").symlink_to(victim)

    assert save(tmp_path / "providers.json", b"{}", 1.0)

    assert is_untouched(victim)
    assert not (tmp_path / "providers.json").is_symlink()


# --- whole or not at all ---

WRITE = """
import sys, time
from pathlib import Path
from importer.reports.files import whole_file

with whole_file(Path(sys.argv[1]) / "results.csv") as file:
    file.write("half " * 100_000)
    file.flush()
    print("written", flush=True)
    time.sleep(60)
"""


def writing(folder: Path) -> "subprocess.Popen[str]":
    """A process in the middle of writing a report."""
    process = subprocess.Popen([sys.executable, "-c", WRITE, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "written\n"
    return process


@pytest.mark.parametrize("before", [None, "the old report"])
def test_a_writer_that_is_killed_leaves_the_old_report_or_none(tmp_path: Path, before: str | None) -> None:
    """And what it has left half written is gone with the next command that writes there."""
    report = tmp_path / "results.csv"
    if before:
        report.write_text(before)
    (tmp_path / ".results.csv.notes").write_text("the user's own")

    with writing(tmp_path) as process:
        check_writable(tmp_path)
        assert len(list(tmp_path.glob(".results.csv.????????"))) == 1, "somebody is writing it yet"
        process.send_signal(signal.SIGKILL)
        process.wait()

    assert (report.read_text() if report.exists() else None) == before
    check_writable(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".results.csv.notes"} | ({report.name} if before else set())


def test_a_link_is_not_swept_and_neither_is_a_pipe(tmp_path: Path, victim: Path) -> None:
    (tmp_path / ".results.csv.0123abcd").symlink_to(victim)
    os.mkfifo(tmp_path / ".errors.csv.0123abcd")

    check_writable(tmp_path)

    assert is_untouched(victim)
    assert (tmp_path / ".results.csv.0123abcd").is_symlink()
    assert (tmp_path / ".errors.csv.0123abcd").exists()


def test_a_report_that_cannot_be_finished_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("the old report")

    with pytest.raises(UnicodeEncodeError), whole_file(tmp_path / "results.csv") as file:
        file.writelines(["half\n", "\ud800"])

    assert [path.name for path in tmp_path.iterdir()] == ["results.csv"]
    assert (tmp_path / "results.csv").read_text() == "the old report"


def test_a_look_at_whether_reports_can_be_written_leaves_the_users_files_alone(tmp_path: Path) -> None:
    (tmp_path / ".probe").write_text("the user's own")
    (tmp_path / "file").write_text("no folder")

    check_writable(tmp_path)
    with pytest.raises(ReportError, match=r"the report folder .* cannot be written"):
        check_writable(tmp_path / "file")

    assert {path.name for path in tmp_path.iterdir()} == {".probe", "file"}
