"""SQLite as the ledger: the conformance suite, its file, what happens when that goes wrong, and the lock."""

import json
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from conformance.ledger import ADA, AT, BOB, NEW, OLD, TARGET, LedgerContract, created, entry, fill, snapshot

from importer.api.models import AuthScheme, GenerateRequest
from importer.api.wire import Digests
from importer.errors import Exit, LedgerError, LedgerInUse, LedgerLost
from importer.ledger import Ledger, LedgerLock, Move, PatchIntent, Result, SqliteLedger
from importer.outcomes import Outcome, State
from importer.records import Identity, Place

NEWER_VERSION = 99


class TestSqliteLedger(LedgerContract):
    @pytest.fixture
    def opener(self, tmp_path: Path) -> Callable[[], Ledger]:
        return lambda: SqliteLedger(tmp_path / "ledger.db")


@pytest.fixture
def aimed(ledger: SqliteLedger) -> SqliteLedger:
    ledger.aim(TARGET)
    return ledger


def one_line(error: LedgerError, path: Path) -> str:
    """What the operator reads: a line that names the file, and a hint."""
    assert str(path) in str(error)
    assert "\n" not in str(error)
    assert error.hint
    return str(error)


# --- the file ---


def test_its_files_are_for_the_owner_only(aimed: SqliteLedger) -> None:
    fill(aimed)

    files = sorted(aimed.path.parent.iterdir())

    assert [file.name for file in files] == ["ledger.db", "ledger.db-shm", "ledger.db-wal"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_its_files_are_for_the_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        ledger = SqliteLedger(tmp_path / "ledger.db")
        fill_in(ledger)
        modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
        ledger.close()
    finally:
        os.umask(before)

    assert modes == {0o600}


def fill_in(ledger: SqliteLedger) -> None:
    ledger.aim(TARGET)
    fill(ledger)


@pytest.mark.parametrize("name", ["a b.db", "a?mode=memory.db", "a#1.db", "100%.db", "é.db"])
def test_a_path_is_no_url(tmp_path: Path, name: str) -> None:
    ledger = SqliteLedger(tmp_path / name)
    fill_in(ledger)
    ledger.close()

    assert (tmp_path / name).stat().st_size > 0


def test_a_link_to_nowhere_is_not_followed(tmp_path: Path) -> None:
    """Whoever may write to the folder could have the ledger made anywhere."""
    (tmp_path / "ledger.db").symlink_to(tmp_path / "elsewhere.db")

    with pytest.raises(LedgerError) as caught:
        SqliteLedger(tmp_path / "ledger.db")

    one_line(caught.value, tmp_path / "ledger.db")
    assert not (tmp_path / "elsewhere.db").exists()


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """An unmounted disk: a new ledger in its place would post everything again."""
    with pytest.raises(LedgerError, match="is not there") as caught:
        SqliteLedger(tmp_path / "state/ledger.db")

    one_line(caught.value, tmp_path / "state")
    assert not (tmp_path / "state").exists()
    assert caught.value.exit_code is Exit.USAGE


def test_to_read_a_ledger_does_not_make_one(tmp_path: Path) -> None:
    with pytest.raises(LedgerError) as caught:
        SqliteLedger(tmp_path / "ledger.db", read_only=True)

    one_line(caught.value, tmp_path / "ledger.db")
    assert list(tmp_path.iterdir()) == []


def another_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE customers (name TEXT)")


def of_a_newer_importer(path: Path) -> None:
    whole(path)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(f"PRAGMA user_version = {NEWER_VERSION}")


def whole(path: Path) -> None:
    ledger = SqliteLedger(path)
    fill_in(ledger)
    ledger.close()


def cut_in_half(path: Path) -> None:
    whole(path)
    os.truncate(path, path.stat().st_size // 2)


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "text": (lambda path: path.write_text("provider,group_ref\n" * 100), "file is not a database"),
    "a few bytes": (lambda path: path.write_bytes(b"SQLite"), "file is not a database"),
    "another database": (another_database, "is no ledger of the importer"),
    "of a newer importer": (of_a_newer_importer, f"newer importer.*{NEWER_VERSION}"),
    "cut in half": (cut_in_half, "malformed"),
    "a folder": (Path.mkdir, "cannot be used"),
}


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_ledger_is_refused_in_one_line_and_left_as_it_was(
    tmp_path: Path, kind: str, read_only: bool
) -> None:
    make, why = BROKEN[kind]
    path = tmp_path / "ledger.db"
    make(path)
    before = path.read_bytes() if path.is_file() else b""

    with pytest.raises(LedgerError, match=why) as caught:
        open_and_read(path, read_only)

    one_line(caught.value, path)
    assert (path.read_bytes() if path.is_file() else b"") == before


def open_and_read(path: Path, read_only: bool) -> None:
    ledger = SqliteLedger(path, read_only=read_only)
    try:
        ledger.aim(TARGET)
        snapshot(ledger)
    finally:
        ledger.close()


def test_a_ledger_whose_making_was_cut_short_is_told_or_made_again(tmp_path: Path) -> None:
    """`kill -9` between the schema and the key."""
    whole(tmp_path / "ledger.db")
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as db, db:
        db.execute("DELETE FROM meta")

    try:
        SqliteLedger(tmp_path / "ledger.db").close()
    except LedgerError as error:
        one_line(error, tmp_path / "ledger.db")


def test_a_ledger_that_was_cut_to_nothing_is_told_and_not_begun_anew(tmp_path: Path) -> None:
    """A new ledger is moved to its place when it is whole, so an empty file there was one that knew more."""
    whole(tmp_path / "ledger.db")
    os.truncate(tmp_path / "ledger.db", 0)

    with pytest.raises(LedgerError, match="is empty: it was cut off"):
        SqliteLedger(tmp_path / "ledger.db")


def test_a_ledger_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    """`kill -9` at any moment of its making: what lies at its place afterwards is a ledger, or nothing."""
    making = "from importer.ledger import SqliteLedger; from pathlib import Path; SqliteLedger(Path('ledger.db'))"
    path = tmp_path / "ledger.db"
    for _ in range(12):
        process = subprocess.Popen([sys.executable, "-c", making], cwd=tmp_path)
        while process.poll() is None and not list(tmp_path.glob("*ledger.db*")):
            pass
        process.kill()
        process.wait()
        if path.exists():
            SqliteLedger(path).close()
        for left in tmp_path.iterdir():
            left.unlink()


def test_a_link_to_a_ledger_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").symlink_to(tmp_path / "volume.db")

    with pytest.raises(LedgerError, match="a link to a file that is not there"):
        SqliteLedger(tmp_path / "ledger.db")
    assert not (tmp_path / "volume.db").exists()


# --- readers ---


def test_a_reader_sees_what_was_committed_and_nothing_else(aimed: SqliteLedger) -> None:
    aimed.apply([created()], "run-1")
    reader = aimed.reader()
    assert entry(reader).fingerprint == OLD

    aimed.apply([PatchIntent(ADA, NEW, AT)], "run-1")
    with pytest.raises(LedgerError):
        aimed.apply([Move(BOB, State.SENDING, AT), Move(ADA, State.PENDING, AT)], "run-1")

    assert entry(reader).op_fingerprint == NEW
    assert reader.entries([BOB]) == [None]
    reader.close()


def test_a_reader_does_not_write(aimed: SqliteLedger) -> None:
    reader = aimed.reader()

    with pytest.raises(LedgerLost):
        reader.apply([created()], "run-1")
    reader.close()

    assert aimed.entries([ADA]) == [None]


def test_a_reader_of_an_unknown_target_sees_no_entries(aimed: SqliteLedger) -> None:
    fill(aimed)
    reader = SqliteLedger(aimed.path, read_only=True)
    reader.aim(TARGET.__class__("https://other.example.com", "project-1"))

    assert reader.entries([ADA, BOB]) == [None, None]
    assert reader.counts() == aimed.counts()
    reader.close()


# --- what goes wrong on the way ---


@pytest.mark.parametrize("away", ["deleted", "moved", "replaced"])
def test_a_ledger_that_was_taken_away_stops_the_run(aimed: SqliteLedger, away: str) -> None:
    aimed.apply([created()], "run-1")
    if away == "deleted":
        aimed.path.unlink()
    else:
        aimed.path.rename(aimed.path.with_name("moved.db"))
    if away == "replaced":
        whole(aimed.path)

    with pytest.raises(LedgerLost, match="was moved or deleted") as caught:
        aimed.apply([Move(BOB, State.SENDING, AT)], "run-1")

    one_line(caught.value, aimed.path)
    assert caught.value.exit_code is Exit.STOPPED


def rows(count: int) -> list[Move | Result]:
    """Intents and results of this many rows."""
    identities = [Identity("salesforce", f"group-{number:06}", "user") for number in range(count)]
    moves = [Move(identity, State.SENDING, AT, posts=1) for identity in identities]
    return [*moves, *(Result(Place("a.csv", 0, no), one, Outcome.CREATED) for no, one in enumerate(identities))]


def test_on_a_full_disk_nothing_is_half_written_and_the_ledger_stays_whole(aimed: SqliteLedger) -> None:
    fill(aimed)
    was = snapshot(aimed)
    pages = aimed._db.execute("PRAGMA page_count").fetchone()[0]
    aimed._db.execute(f"PRAGMA max_page_count = {pages + 3}")

    with pytest.raises(LedgerLost, match="database or disk is full") as caught:
        aimed.apply(rows(2_000), "run-2")

    one_line(caught.value, aimed.path)
    assert "Make room" in caught.value.hint
    assert snapshot(aimed) == was
    aimed._db.execute(f"PRAGMA max_page_count = {pages + 10_000}")
    aimed.apply(rows(2_000), "run-2")
    assert aimed.counts()[State.SENDING] == 2_001


FULL = """
import resource, signal, sys
from pathlib import Path
from conformance.ledger import TARGET, fill
from importer.errors import LedgerLost
from importer.ledger import SqliteLedger
from test_ledger import rows

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
ledger = SqliteLedger(Path(sys.argv[1]))
ledger.aim(TARGET)
fill(ledger)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
written = 0
try:
    while True:
        ledger.apply(rows(written + 500)[written:written + 500], "run-2")
        written += 500
except LedgerLost as error:
    print(written, ledger.counts()["sending"], f"{error}~{error.hint}", sep="~")
"""


def test_a_file_that_may_not_grow_is_told_and_what_was_committed_is_there(tmp_path: Path) -> None:
    """The kernel refuses the write itself, as it does for a quota or a full disk."""
    path = tmp_path / "ledger.db"
    ended = subprocess.run(
        [sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=True, timeout=60,
        env={**os.environ, "PYTHONPATH": f"{Path(__file__).parent}{os.pathsep}{Path(__file__).parents[1]}"},
    )  # fmt: skip

    written, counted, message, hint = ended.stdout.rstrip("\n").split("~")

    assert int(counted) == int(written) + 1
    assert message.startswith(f"the ledger {path} cannot be used: ")
    assert "\n" not in message
    assert hint
    ledger = SqliteLedger(path)
    assert ledger.counts()[State.SENDING] == int(counted)
    ledger.close()


def test_a_new_target_that_cannot_be_written_is_told(aimed: SqliteLedger) -> None:
    """Otherwise what this run writes belongs to no target, and the next run sees none of it."""
    other = sqlite3.connect(aimed.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    aimed._db.execute("PRAGMA busy_timeout = 0")
    try:
        with pytest.raises(LedgerError):
            aimed.aim(TARGET.__class__("https://new.example.com", "project-1"))
    finally:
        other.close()


def test_a_ledger_that_another_program_keeps_locked_is_told(aimed: SqliteLedger) -> None:
    other = sqlite3.connect(aimed.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    aimed._db.execute("PRAGMA busy_timeout = 0")

    with pytest.raises(LedgerLost, match="database is locked") as caught:
        aimed.apply([created()], "run-1")

    other.close()
    assert "close it and run again" in caught.value.hint
    aimed.apply([created()], "run-1")


def damage(path: Path, tables: list[str]) -> None:
    """Overwrite the first page of these tables, as a bad disk would."""
    with closing(sqlite3.connect(path)) as db, db:
        size = db.execute("PRAGMA page_size").fetchone()[0]
        pages = dict(db.execute("SELECT name, rootpage FROM sqlite_master"))
    with path.open("r+b") as file:
        for table in tables:
            file.seek((pages[table] - 1) * size)
            file.write(b"\xff" * size)


@pytest.mark.parametrize(
    "read",
    [
        lambda ledger: ledger.counts(),
        lambda ledger: ledger.runs(),
        lambda ledger: list(ledger.in_state(State)),
        lambda ledger: list(ledger.results("run-1")),
        lambda ledger: list(ledger.problems("run-1")),
        lambda ledger: ledger.is_superseded(ADA, OLD),
    ],
    ids=["counts", "runs", "in_state", "results", "problems", "is_superseded"],
)
def test_damage_within_the_file_is_told_as_a_ledger_error(
    tmp_path: Path, read: Callable[[SqliteLedger], object]
) -> None:
    path = tmp_path / "ledger.db"
    whole(path)
    damage(path, ["entries", "runs", "results", "problems", "superseded"])
    ledger = SqliteLedger(path)
    ledger.aim(TARGET)

    try:
        with pytest.raises(LedgerError):
            read(ledger)
    finally:
        ledger.close()


# --- what is in the file ---


def test_no_byte_of_a_credential_is_in_the_files(tmp_path: Path) -> None:
    """From a request to the files: only keyed digests go in."""
    secrets = ["fake-access-token-1", "fake-refresh-token-1", "fake-workspace-1", "fake-metadata-1"]
    request = GenerateRequest.model_validate(
        {
            "provider": "salesforce", "groupRef": "acme", "consumerRef": "ada",
            "authScheme": AuthScheme.AUTHORIZATION_CODE,
            "oauth2AuthorizationCode": {"accessToken": {"token": secrets[0]}, "refreshToken": {"token": secrets[1]}},
            "providerWorkspaceRef": secrets[2], "providerMetadata": {"workspace": {"value": secrets[3]}},
        }
    )  # fmt: skip
    ledger = SqliteLedger(tmp_path / "ledger.db")
    ledger.aim(TARGET)
    digests = Digests(ledger.key)
    fingerprint, refresh = digests.fingerprint(request).dump(), digests.refresh_token(request)
    ledger.apply([Move(ADA, State.SENDING, AT, fingerprint=fingerprint, refresh_digest=refresh)], "run-1")
    ledger.apply([created(fingerprint=fingerprint, refresh_digest=refresh)], "run-1")

    content = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    ledger.close()

    assert fingerprint in content
    for secret in secrets:
        assert secret.encode() not in content
        assert secret[5:13].encode() not in content


# --- the lock ---


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[LedgerLock]:
    held = LedgerLock(tmp_path / "ledger.db")
    yield held
    held.release()


HOLDER = """
import sys, time
from pathlib import Path
from importer.ledger import LedgerLock
lock = LedgerLock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_run_is_refused_with_who_holds_the_ledger(tmp_path: Path, lock: LedgerLock) -> None:
    with pytest.raises(LedgerInUse) as caught:
        LedgerLock(tmp_path / "ledger.db")

    who = json.loads((tmp_path / "ledger.db.lock").read_text())
    assert who["pid"] == os.getpid()
    assert f"pid {os.getpid()} on {who['host']}, since {who['start']}" in one_line(caught.value, tmp_path / "ledger.db")
    assert caught.value.exit_code is Exit.LEDGER_IN_USE


def test_a_refused_run_leaves_the_lock_and_its_text_as_they_were(tmp_path: Path, lock: LedgerLock) -> None:
    before = (tmp_path / "ledger.db.lock").read_bytes()

    for _ in range(3):
        with pytest.raises(LedgerInUse):
            LedgerLock(tmp_path / "ledger.db")

    assert (tmp_path / "ledger.db.lock").read_bytes() == before


def test_after_a_release_the_next_run_is_let_in_and_the_file_stays(tmp_path: Path) -> None:
    inodes = set()
    for _ in range(3):
        held = LedgerLock(tmp_path / "ledger.db")
        inodes.add((tmp_path / "ledger.db.lock").stat().st_ino)
        held.release()

    assert len(inodes) == 1
    assert stat.S_IMODE((tmp_path / "ledger.db.lock").stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["ledger.db.lock"]


def test_a_run_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "ledger.db")], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LedgerInUse, match=f"pid {holder.pid} on "):
            LedgerLock(tmp_path / "ledger.db")
        holder.kill()
        holder.wait()

        LedgerLock(tmp_path / "ledger.db").release()


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"pid": 1}', "7"])
def test_a_holder_that_has_not_said_who_it_is_holds_it_all_the_same(
    tmp_path: Path, lock: LedgerLock, text: str
) -> None:
    (tmp_path / "ledger.db.lock").write_text(text)

    with pytest.raises(LedgerInUse, match="has not said who it is"):
        LedgerLock(tmp_path / "ledger.db")


def test_two_ledgers_are_two_locks(tmp_path: Path, lock: LedgerLock) -> None:
    LedgerLock(tmp_path / "other.db").release()


def test_a_lock_is_no_link_to_another_file(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "ledger.db.lock").symlink_to(tmp_path / "precious")

    with pytest.raises(LedgerError, match="cannot be opened") as caught:
        LedgerLock(tmp_path / "ledger.db")

    one_line(caught.value, tmp_path / "ledger.db.lock")
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_lock_in_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="is not there") as caught:
        LedgerLock(tmp_path / "state/ledger.db")

    one_line(caught.value, tmp_path / "state")
