"""A ledger of an older version is brought up to date, whole or not at all."""

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from importer.errors import LedgerError
from importer.ledger import SqliteLedger, sqlite
from importer.outcomes import State
from importer.records import Identity, Target

OLD = (Path(__file__).parent / "data" / "ledger-v1.sql").read_text("utf-8")
TARGET = Target("http://127.0.0.1:1", "fake-project")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(OLD)
    return path


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def layout(path: Path) -> set[tuple[str, str]]:
    """Every table and index with its definition, blanks folded."""
    with closing(sqlite3.connect(path)) as db:
        found = db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {(name, " ".join(sql.split())) for name, sql in found}


def test_an_older_ledger_becomes_what_a_new_one_is_and_keeps_its_rows(old: Path, tmp_path: Path) -> None:
    SqliteLedger(tmp_path / "new.db").close()

    with closing(SqliteLedger(old)) as ledger:
        ledger.aim(TARGET)
        counts = ledger.counts()
        entry = ledger.entries([Identity("hubspot", "g1", "u1")])[0]
        posted = [found.identity.group_ref for found in ledger.posted_by("20231114T221320-0000")]

    assert version(old) == sqlite.SCHEMA_VERSION
    assert layout(old) == layout(tmp_path / "new.db")
    assert counts == {State.CREATED: 1, State.UNKNOWN: 1, State.REJECTED: 1}
    assert entry is not None
    assert entry.connection_id == "fake-connection"
    assert posted == ["g1"]


def test_a_copy_of_the_older_ledger_stays_beside_it(old: Path) -> None:
    SqliteLedger(old).close()

    copy = old.with_name("ledger.db.backup-v1")
    assert version(copy) == 1
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


def test_what_is_in_the_place_of_the_copy_is_replaced_and_no_link_followed(old: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("precious")
    copy = old.with_name("ledger.db.backup-v1")
    copy.symlink_to(tmp_path / "victim")

    SqliteLedger(old).close()

    assert version(copy) == 1
    assert not copy.is_symlink()
    assert (tmp_path / "victim").read_text() == "precious"


def test_a_folder_in_the_place_of_the_copy_is_told_and_nothing_upgraded(old: Path) -> None:
    old.with_name("ledger.db.backup-v1").mkdir()

    with pytest.raises(LedgerError, match=r"backup-v1 cannot be made"):
        SqliteLedger(old)

    assert version(old) == 1


def test_an_upgrade_that_fails_leaves_the_older_ledger_as_it_was(old: Path) -> None:
    """Something of the newer version stands in the way: nothing of the upgrade is left behind."""
    with closing(sqlite3.connect(old)) as db:
        db.execute("CREATE INDEX entries_by_run ON entries (posts)")
    before = layout(old)

    with pytest.raises(LedgerError):
        SqliteLedger(old)

    assert version(old) == 1
    assert layout(old) == before


def test_an_older_ledger_can_be_read_without_being_changed(old: Path) -> None:
    with closing(SqliteLedger(old, read_only=True)) as ledger:
        assert ledger.counts()[State.CREATED] == 1
        assert ledger.course("20231114T221320-0000") is None

    assert version(old) == 1
    assert not old.with_name("ledger.db.backup-v1").exists()


def test_every_version_has_a_way_to_the_next() -> None:
    assert sorted(sqlite.MIGRATIONS) == list(range(1, sqlite.SCHEMA_VERSION))
