"""Rows prepared in a process of its own: the same rows, whatever becomes of the process."""

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from desk import Ended, key_row, read_csv, token_row, write_csv
from hypothesis import given
from hypothesis import strategies as st

from importer import kept, reading
from importer.catalog.judge import Judge
from importer.config import Config, load_config
from importer.crash import Bug
from importer.errors import SourceError, SourceLost
from importer.inputs import open_inputs
from importer.preparing import Part, PreparedChunk, Preparer, Task
from importer.reading import ReaderProcess, _packed, _unpacked, start_reading
from importer.sandbox import Sandbox
from importer.sources.base import CHUNK_ROWS

Importer = Callable[..., Ended]
SAMPLES = Path(__file__).parents[1] / "samples"
ROWS = 2 * CHUNK_ROWS + 1_000
"""Three chunks."""

KEY, NOW = secrets.token_bytes(32), datetime.now(UTC)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is worth its start for the smallest file: else each test takes one of 4 MiB."""
    monkeypatch.setattr(reading, "WORTHWHILE_OTHERS", 1)
    monkeypatch.setattr(reading, "WORTHWHILE_BYTES", {})


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of three chunks, with a row that cannot be sent in each."""
    path = tmp_path_factory.mktemp("large") / "rows.csv"
    return write_csv(path, [token_row(n, **({"provider": ""} if n % CHUNK_ROWS == 7 else {})) for n in range(ROWS)])


def config_of(path: Path) -> Config:
    return load_config(None, {}, source__paths=(str(path),))


def task_of(*paths: Path) -> Task:
    return Task(KEY, Judge(), NOW, [str(path) for path in paths])


@pytest.fixture
def task(large: Path) -> Task:
    return task_of(large)


@pytest.fixture
def reader(large: Path, request: pytest.FixtureRequest) -> Iterator[ReaderProcess]:
    """The process; for a test that is marked SHARED also with a part of the first pass prepared here."""
    with closing(ReaderProcess(config_of(large))) as process:
        if getattr(request, "param", "alone") == "shared":
            process.share_with(Preparer(open_inputs(config_of(large))))
        yield process


SHARED = pytest.mark.parametrize("reader", ["alone", "shared"], indirect=True)


def told(chunks: Iterator[PreparedChunk]) -> list[Any]:
    """What can be compared of chunks: their bodies as bytes."""
    return [
        (c.source_no, c.first, c.last, [(*row[:-1], row.body and row.body.json) for row in c.sound], c.unsound, c.bad)
        for c in chunks
    ]


# The same rows


@SHARED
def test_a_pass_gives_what_one_in_this_process_gives(large: Path, task: Task, reader: ReaderProcess) -> None:
    here = Preparer(open_inputs(config_of(large)))
    bodies = iter([True, True, True, False, False, False, False, False])

    there = told(reader.chunks(task, None, lambda: next(bodies)))

    assert there == told(here.chunks(task, None, lambda: True))
    assert len(there) == 3
    assert list(reader.notes) == list(here.notes)


@SHARED
@pytest.mark.parametrize("rows", [1, CHUNK_ROWS, CHUNK_ROWS + 1])
def test_a_pass_over_the_first_rows_gives_these(large: Path, task: Task, reader: ReaderProcess, rows: int) -> None:
    here = Preparer(open_inputs(config_of(large)))

    assert told(reader.chunks(task, rows, lambda: False)) == told(here.chunks(task, rows, lambda: False))


SOME = {1, CHUNK_ROWS - 1, CHUNK_ROWS + 1, ROWS - 1}
MOST = set(range(1, ROWS + 1)) - {8, CHUNK_ROWS + 8, 2 * CHUNK_ROWS + 8}


@pytest.mark.parametrize(
    ("reader", "wanted"),
    [
        *(("alone", rows) for rows in (SOME, {ROWS - 1}, {1}, {CHUNK_ROWS + 500, CHUNK_ROWS + 501}, set(), MOST)),
        ("shared", SOME),
    ],
    indirect=["reader"],
    ids=lambda given: given if isinstance(given, str) else f"{len(given)} rows",
)
def test_the_second_pass_gives_the_wanted_rows_with_their_bodies(
    large: Path, task: Task, reader: ReaderProcess, wanted: set[int]
) -> None:
    here = Preparer(open_inputs(config_of(large)))

    def these(_source_no: int, first: int, last: int) -> set[int]:
        return {row for row in wanted if first <= row <= last}

    assert told(reader.chunks(task, None, lambda: False))
    again = told(reader.again(task, None, these))

    assert again == told(here.again(task, None, these))
    assert {row[0] for chunk in again for row in chunk[3]} == wanted
    assert all(row[-1] for chunk in again for row in chunk[3])


def test_what_is_said_once_is_of_all_rows_whoever_prepared_them(tmp_path: Path) -> None:
    """Rows that are skipped, names that are translated and values that no row has are told of both parts together."""
    path = write_csv(tmp_path / "accounts.csv", [account_row(n) for n in range(ROWS)])
    config = load_config(None, {}, source__paths=(str(path),), source__preset="authjs")
    here = Preparer(open_inputs(config))
    told(here.chunks(task_of(path), None, lambda: False))

    with closing(ReaderProcess(config)) as reader:
        reader.share_with(Preparer(open_inputs(config)))
        told(reader.chunks(task_of(path), None, lambda: False))

    assert here.skipped == reader.skipped == 10
    assert sorted(reader.notes) == sorted(here.notes)
    assert "10 rows of other types skipped (type: credentials, email)" in here.notes


def account_row(n: int) -> dict[str, str]:
    """An account as Auth.js keeps it; five of the first chunk and five of the second are not imported."""
    kind = {0: "credentials", 1: "email"}.get(n // CHUNK_ROWS, "oauth") if n % (CHUNK_ROWS // 5) == 0 else "oauth"
    return {
        "userId": f"user-{n}", "type": kind, "provider": "google" if 0 <= n - CHUNK_ROWS < 1_000 else "slack",
        "providerAccountId": f"{n}", "refresh_token": f"fake-refresh-{n}", "access_token": f"fake-access-{n}",
        "expires_at": "1896091200" if n < 10 else "", "scope": "chat:write" if 0 <= n - CHUNK_ROWS < 10 else "",
    }  # fmt: skip


def test_a_column_that_is_decrypted_is_looked_at_from_its_first_row_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the key fits is told by the first chunk: a later one in which nothing can be read is only bad rows."""
    key = Fernet.generate_key()
    monkeypatch.setenv("FAKE_COLUMN_KEY", key.decode())
    sealed = [Fernet(key).encrypt(f"fake-key-{n}".encode()).decode() if n < CHUNK_ROWS else "torn" for n in range(ROWS)]
    path = write_csv(tmp_path / "rows.csv", [key_row(n, api_key=text) for n, text in enumerate(sealed)])
    mapping = {name: {"column": column} for name, column in
               (("provider", "provider"), ("groupRef", "group_ref"), ("consumerRef", "consumer_ref"))}  # fmt: skip
    mapping["apiKey"] = {"column": "api_key", "decrypt": {"scheme": "fernet", "key_env": "FAKE_COLUMN_KEY"}}
    (tmp_path / "config.toml").write_text(toml_of(mapping))
    config = load_config(tmp_path / "config.toml", {}, source__paths=(str(path),))

    with closing(ReaderProcess(config)) as reader:
        reader.share_with(Preparer(open_inputs(config)))
        chunks = list(reader.chunks(task_of(path), None, lambda: False))

    assert [(len(chunk.sound), len(chunk.unsound)) for chunk in chunks] == [
        (CHUNK_ROWS, 0),
        (0, CHUNK_ROWS),
        (0, 1_000),
    ]


def toml_of(mapping: dict[str, Any]) -> str:
    lines = [f"{name} = {{ {', '.join(map(_assigned, spec.items()))} }}" for name, spec in mapping.items()]
    return "\n".join(["[mapping]", *lines, ""])


def _assigned(item: tuple[str, Any]) -> str:
    name, value = item
    return (
        f"{name} = {{ {', '.join(map(_assigned, value.items()))} }}"
        if isinstance(value, dict)
        else f'{name} = "{value}"'
    )


def test_a_file_that_is_longer_for_one_of_the_two_is_noticed(tmp_path: Path) -> None:
    """It grew while both began to read: neither is believed. (One that is sent is held to its stamp besides.)"""
    path = write_csv(tmp_path / "rows.csv", [token_row(n) for n in range(CHUNK_ROWS)])
    here = Preparer(open_inputs(config_of(path)))
    kept_here = list(here.chunks(task_of(path), None, lambda: False, Part.REST))
    write_csv(path, [token_row(n) for n in range(ROWS)])

    class Earlier(Preparer):
        def chunks(self, *_: Any, **__: Any) -> Iterator[PreparedChunk]:
            return iter(kept_here)

    with closing(ReaderProcess(config_of(path))) as reader:
        reader.share_with(Earlier(here.inputs))
        with pytest.raises(SourceError, match="a source changed while it was being read"):
            list(reader.chunks(task_of(path), None, lambda: False))


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(
    "words",
    [
        ["connections.csv"], ["connections.parquet"], ["troubles.csv"], ["-c", "crm-export.toml"],
        ["-c", "troubles.toml"], ["--preset", "authjs", "authjs-accounts.csv"],
        ["--preset", "nango", "nango-connections.json"], ["connections.csv", "--rows", "3"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_plan_says_the_same(
    words: list[str], home: Path, importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [str(SAMPLES / word) if "." in word else word for word in words]
    places = ["--report-dir", str(home / "report"), "--ledger", f"sqlite:///{home}/ledger.db"]

    there = importer("plan", *words, *places, "--json")
    listed = read_csv(home / "report" / "plan-errors.csv"), read_csv(home / "report" / "plan-warnings.csv")
    # no process from here on: what it says is held against what one process says
    monkeypatch.setattr(reading, "start_reading", lambda _config: None)
    monkeypatch.setattr("importer.commands.start_reading", lambda _config: None)
    here = importer("plan", *words, *places, "--json")

    assert [json.loads(line) for line in there.out.splitlines()] == [json.loads(line) for line in here.out.splitlines()]
    assert there.exit_code == here.exit_code
    assert listed == (read_csv(home / "report" / "plan-errors.csv"), read_csv(home / "report" / "plan-warnings.csv"))


@pytest.mark.usefixtures("always")
def test_a_run_sends_each_row_once_and_the_next_night_only_what_changed(
    home: Path, sandbox: Sandbox, importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "KEPT_BYTES", 0)  # every row comes out of the second pass
    write_csv(home / "rows.csv", [*(key_row(n) for n in range(60)), key_row(7), key_row(8, api_key="fake-key-other")])

    assert importer("run", "rows.csv").exit_code == 3
    assert {c["groupRef"]: c["request"]["apiKey"] for c in sandbox.connections()} == {
        f"g{n}": f"fake-key-{n}" for n in range(60)
    }

    write_csv(home / "rows.csv", [key_row(n, api_key=f"fake-key-{n}{'-new' * (n in (3, 61))}") for n in range(62)])
    assert importer("run", "rows.csv").exit_code == 0
    outcomes = [line["outcome"] for line in read_csv(home / "importer-report" / "results.csv")]
    assert sandbox.count() == 62
    assert (outcomes.count("unchanged"), outcomes.count("updated"), outcomes.count("created")) == (59, 1, 2)


# Where the process is used


@pytest.mark.parametrize(
    ("name", "size", "is_worth_it"),
    [("a.csv", 4 << 20, True), ("a.csv", 3 << 20, False), ("a.parquet", 600 << 10, True), ("a.csv.gz", 2 << 20, True)],
)
def test_it_is_started_for_files_that_are_large_enough(
    tmp_path: Path, name: str, size: int, *, is_worth_it: bool
) -> None:
    (tmp_path / name).touch()
    os.truncate(tmp_path / name, size)

    for path in (name, "*", "."):
        started = start_reading(load_config(None, {}, source__paths=(str(tmp_path / path),)))
        if started:
            started.close()
        assert (started is not None) == is_worth_it


@pytest.mark.usefixtures("always")
def test_it_is_not_started_where_one_process_is_asked_for_or_one_core_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_csv(tmp_path / "rows.csv", [token_row(1)])

    assert start_reading(load_config(None, {}, source__paths=(str(path),), source__processes=1)) is None
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0}, raising=False)  # as under taskset -c 0
    assert start_reading(config_of(path)) is None


@pytest.mark.parametrize("path", ["-", "postgresql://localhost/db", "s3://bucket/rows.csv", "nowhere.csv"])
@pytest.mark.usefixtures("always")
def test_it_is_not_started_for_what_is_read_once_or_not_there(path: str) -> None:
    assert start_reading(load_config(None, {}, source__paths=(path,))) is None


@pytest.mark.usefixtures("always")
def test_without_room_for_a_process_the_rows_are_prepared_here(
    home: Path, sandbox: Sandbox, importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_csv(home / "rows.csv", [key_row(1)])
    monkeypatch.setattr(sys, "executable", str(home / "nothing"))  # the kernel refuses as it does without memory

    assert importer("run", "rows.csv").exit_code == 0
    assert sandbox.count() == 1


# What may become of it


@SHARED
@pytest.mark.parametrize("when", ["before", "between"])
def test_a_process_that_is_killed_is_one_line(task: Task, reader: ReaderProcess, when: str) -> None:
    chunks = reader.chunks(task, None, lambda: False)
    if when == "between":
        next(chunks)
    os.kill(reader.pid, signal.SIGKILL)

    with pytest.raises(SourceError, match="ended by signal 9 before it was through") as caught:
        list(chunks)

    assert "Run again" in caught.value.hint
    assert caught.value.exit_code == 2  # nothing was sent yet


@pytest.mark.usefixtures("always")
def test_a_run_whose_process_is_killed_loses_and_doubles_nothing(
    home: Path, sandbox: Sandbox, importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "KEPT_BYTES", 0)
    write_csv(home / "a.csv", [key_row(n) for n in range(40)])
    write_csv(home / "b.csv", [key_row(n) for n in range(40, 80)])
    again = ReaderProcess.again

    def short(self: ReaderProcess, *given: Any) -> Iterator[PreparedChunk]:
        for chunk in again(self, *given):
            yield chunk
            os.kill(self.pid, signal.SIGKILL)  # also a second time: it is there until the run has waited for it

    with monkeypatch.context() as patch:
        patch.setattr(ReaderProcess, "again", short)  # the one moment: between two chunks of the second pass
        stopped = importer("run", "a.csv", "b.csv")
    assert stopped.exit_code in (0, 5)  # the second chunk may be in the pipe already

    assert importer("run", "a.csv", "b.csv").exit_code == 0
    assert sorted(c["groupRef"] for c in sandbox.connections()) == sorted(f"g{n}" for n in range(80))


def test_it_ends_with_the_run_however_that_ends(large: Path) -> None:
    code = (
        "import sys, os, signal; from pathlib import Path; from importer.config import load_config\n"
        "from importer.reading import ReaderProcess\n"
        f"reader = ReaderProcess(load_config(None, {{}}, source__paths=({str(large)!r},)))\n"
        "print(reader.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    pid = int(run.stdout)

    deadline = time.monotonic() + 20
    while _is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_alive(pid)


def _is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked for is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_what_the_sources_are_at_fault_for_comes_back_as_it_is(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "rows.csv", [token_row(1)])
    with closing(ReaderProcess(config_of(path))) as reader:
        path.unlink()
        with pytest.raises(SourceError, match=r"rows\.csv") as caught:
            list(reader.chunks(task_of(path), None, lambda: False))

    assert caught.value.hint


def test_a_file_that_became_another_between_the_passes_is_noticed(tmp_path: Path, large: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(large.read_bytes())
    with closing(ReaderProcess(config_of(path))) as reader:
        assert len(list(reader.chunks(task_of(path), None, lambda: False))) == 3
        write_csv(path, [token_row(n) for n in range(ROWS - 10)])
        with pytest.raises(SourceLost, match="changed while it was being sent"):
            list(reader.again(task_of(path), None, lambda _no, first, _last: [first]))


def test_files_that_came_between_two_looks_at_a_folder_are_not_mixed_up(tmp_path: Path) -> None:
    first, second = (write_csv(tmp_path / name, [token_row(1)]) for name in ("b.csv", "c.csv"))
    with closing(ReaderProcess(config_of(tmp_path))) as reader:
        write_csv(tmp_path / "a.csv", [token_row(2)])
        with pytest.raises(SourceError, match="files came or went"):
            list(reader.chunks(task_of(first, second), None, lambda: False))


def test_many_files_that_nothing_is_wanted_of_hold_up_nobody(tmp_path: Path, large: Path) -> None:
    """What is said of them is more than a pipe holds, while chunks that are more than a pipe holds come back."""
    small = [write_csv(tmp_path / f"a{n:04}.csv", [key_row(n)]) for n in range(1_500)]
    last = tmp_path / "b.csv"
    last.write_bytes(large.read_bytes())
    ended: list[int] = []

    def read(reader: ReaderProcess) -> None:
        task = task_of(*small, last)
        assert len(list(reader.chunks(task, None, lambda: False))) == 1_503
        chunks = reader.again(task, None, lambda no, first, last_row: range(first, last_row + 1) if no % 499 else ())
        ended.append(len(list(chunks)))

    with closing(ReaderProcess(config_of(tmp_path))) as reader:
        reads = threading.Thread(target=read, args=(reader,), daemon=True)
        reads.start()
        reads.join(timeout=100)
        assert not reads.is_alive()
    assert ended == [1_499]


@given(st.sets(st.integers(0, 40) | st.integers(0, 1 << 40)))
def test_rows_are_packed_and_unpacked(rows: set[int]) -> None:
    assert _unpacked(_packed(rows)) == rows


@pytest.mark.usefixtures("always")
def test_what_lies_in_the_working_directory_is_not_run(home: Path, importer: Importer) -> None:
    """It may be a folder of exports out of somebody else's hands."""
    for name in ("json.py", "pickle.py", "pandas.py"):
        (home / name).write_text("open('was-run', 'w').close()")
    write_csv(home / "rows.csv", [key_row(1)])

    assert importer("plan", "rows.csv").exit_code == 0
    assert not (home / "was-run").exists()


@pytest.mark.usefixtures("always")
def test_a_path_object_among_the_places_of_modules_is_passed_over(
    home: Path, importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python itself passes over it; scripts put one there."""
    monkeypatch.setattr(sys, "path", [*sys.path, home])
    write_csv(home / "rows.csv", [key_row(1)])

    assert importer("plan", "rows.csv").exit_code == 0


@pytest.mark.usefixtures("always")
def test_a_pipe_is_read_by_one_process_only(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "rows.csv")
    write_csv(tmp_path / "more.csv", [token_row(1)])

    assert start_reading(load_config(None, {}, source__paths=(str(tmp_path / "*.csv"),))) is None


def test_a_bug_in_it_has_a_traceback_and_no_value(large: Path) -> None:
    broken = Task(KEY, None, NOW, [str(large)])  # type: ignore[arg-type]  # a bug, of whatever kind
    with closing(ReaderProcess(config_of(large))) as reader, pytest.raises(Bug) as caught:
        list(reader.chunks(broken, None, lambda: False))

    assert "preparing.py" in caught.value.frames
    assert caught.value.kind == "AttributeError"
    assert "fake-" not in caught.value.frames


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks into /proc")
def test_it_knows_neither_the_api_key_nor_has_it_a_credential_for_an_argument(
    large: Path, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMP_API_KEY", "fake-canary-key")
    with closing(ReaderProcess(config_of(large))) as reader:
        next(reader.chunks(task, None, lambda: True))
        held = Path(f"/proc/{reader.pid}/environ").read_bytes() + Path(f"/proc/{reader.pid}/cmdline").read_bytes()

    assert b"fake-" not in held
