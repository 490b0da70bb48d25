"""TRANSITIONS allows nothing that the program does not do: each move of an entry is brought about once."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from desk import Ended, token_row, write_csv

from importer.ledger import SqliteLedger
from importer.outcomes import TRANSITIONS
from importer.sandbox import Sandbox

Importer = Callable[..., Ended]
Move = tuple[str, str]
BAD = {"access_token_expires_at": "soon"}


class Desk:
    """A row, a ledger that notes every move of an entry, and a sandbox: what a scenario plays with."""

    def __init__(self, home: Path, sandbox: Sandbox, importer: Importer) -> None:
        self.home, self.sandbox, self.importer = home, sandbox, importer
        self.ledger = home / "importer-ledger.db"
        SqliteLedger(self.ledger).close()
        with closing(sqlite3.connect(self.ledger)) as db:
            db.executescript(
                """
                CREATE TABLE moves (before TEXT, after TEXT);
                CREATE TRIGGER moved AFTER UPDATE OF state ON entries BEGIN
                    INSERT INTO moves VALUES (old.state, new.state); END;
                """
            )

    def run(self, *flags: str, **row: str) -> Ended:
        write_csv(self.home / "rows.csv", [token_row(1, **row)])
        return self.importer("run", "rows.csv", *flags)

    def moves(self) -> set[Move]:
        with closing(sqlite3.connect(self.ledger)) as db:
            return {(before, after) for before, after in db.execute("SELECT before, after FROM moves")}

    def state(self) -> str:
        with closing(sqlite3.connect(self.ledger)) as db:
            return str(db.execute("SELECT state FROM entries").fetchone()[0])

    def verify(self, *flags: str) -> Ended:
        return self.importer("verify", *flags)

    def connection(self) -> str:
        return str(self.sandbox.connections()[0]["id"])

    # ways to get a row where a scenario begins

    def created(self) -> None:
        assert self.run().exit_code == 0

    def rejected(self) -> None:
        self.sandbox.next("echo_secret_422")
        assert self.run().exit_code == 3

    def failed(self) -> None:
        self.sandbox.next("500_before", 1)
        assert self.run("--attempts", "1").exit_code == 4
        self.sandbox.calm()

    def unknown(self, fault: str = "drop_before") -> None:
        self.sandbox.next(fault, 1)
        self.sandbox.next("none", 1, on="list")
        self.sandbox.next("500_before", 50, on="list")
        assert self.run("--attempts", "1").exit_code == 4
        self.sandbox.calm()
        assert self.state() == "unknown"

    def pending(self) -> None:
        """A row in doubt that verify found not to be there."""
        self.unknown()
        assert self.verify().exit_code == 0
        assert self.state() == "pending"

    def existing_fails(self) -> None:
        config = self.home / "config.toml"
        config.write_text(f"{config.read_text()}\n[policy]\nexisting = 'fail'\n")

    def by_hand(self) -> None:
        self.sandbox.add_connection("hubspot", "g1", "u1")


def _rejected_again(desk: Desk) -> None:
    desk.run(**BAD)
    desk.run(**BAD)


def _adopted(begin: Callable[[Desk], None]) -> Callable[[Desk], None]:
    def scenario(desk: Desk) -> None:
        begin(desk)
        desk.by_hand()
        assert desk.run().exit_code == 0

    return scenario


def _then_bad(begin: Callable[[Desk], None]) -> Callable[[Desk], None]:
    def scenario(desk: Desk) -> None:
        begin(desk)
        assert desk.run(**BAD).exit_code == 3

    return scenario


def _then_run(begin: Callable[[Desk], None]) -> Callable[[Desk], None]:
    def scenario(desk: Desk) -> None:
        begin(desk)
        assert desk.run().exit_code == 0

    return scenario


def _rejected_then_mended(desk: Desk) -> None:
    assert desk.run(**BAD).exit_code == 3
    assert desk.run().exit_code == 0


def _rejected_then_adopted(desk: Desk) -> None:
    assert desk.run(**BAD).exit_code == 3
    desk.by_hand()
    assert desk.run().exit_code == 0


def _renewed(desk: Desk) -> None:
    """The server asks to wait for three seconds: the intent is older than it may be when its turn comes."""
    desk.sandbox.next("429_wait")
    assert desk.run().exit_code == 0


def _refused_key(desk: Desk) -> None:
    """The key is revoked between the listing and the post: the row certainly was not created."""
    desk.sandbox.next("none", 1, on="project")
    desk.sandbox.next("401", 1, on="project")
    desk.sandbox.next("401")
    assert desk.run().exit_code == 5
    assert desk.state() == "pending"


def _rolled_back(desk: Desk) -> None:
    desk.created()
    run_id = json.loads(desk.importer("status", "--json").out)["runs"][0]["run_id"]
    assert desk.importer("rollback", "--run", run_id, "--yes").exit_code == 0


def _rolled_back_and_forgotten(desk: Desk) -> None:
    _rolled_back(desk)
    assert desk.verify("--forget-missing", "--yes").exit_code == 0


def _missing(desk: Desk) -> None:
    desk.created()
    desk.sandbox.remove_connection(desk.connection())
    assert desk.verify().exit_code == 3


def _missing_and_forgotten(desk: Desk) -> None:
    _missing(desk)
    assert desk.verify("--forget-missing", "--yes").exit_code == 0


def _missing_and_back(desk: Desk) -> None:
    desk.created()
    gone = desk.connection()
    desk.sandbox.remove_connection(gone)
    assert desk.verify().exit_code == 3
    desk.sandbox.put_back(gone)
    assert desk.verify().exit_code == 0


SCENARIOS: dict[Move, Callable[[Desk], None]] = {
    ("pending", "sending"): _then_run(Desk.pending),
    ("pending", "created"): _adopted(Desk.pending),
    ("pending", "rejected"): _then_bad(Desk.pending),
    ("rejected", "sending"): _rejected_then_mended,
    ("rejected", "created"): _rejected_then_adopted,
    ("rejected", "rejected"): _rejected_again,
    ("failed", "sending"): _then_run(Desk.failed),
    ("failed", "created"): _adopted(Desk.failed),
    ("failed", "rejected"): _then_bad(Desk.failed),
    ("sending", "created"): Desk.created,
    ("sending", "rejected"): Desk.rejected,
    ("sending", "failed"): lambda desk: _failed_while_sending(desk),
    ("sending", "unknown"): Desk.unknown,
    ("sending", "pending"): _refused_key,
    ("sending", "sending"): _renewed,
    ("unknown", "created"): lambda desk: _then_run(lambda d: d.unknown("drop_after_commit"))(desk),
    ("unknown", "pending"): Desk.pending,
    ("unknown", "failed"): Desk.failed,
    ("created", "rolled_back"): _rolled_back,
    ("created", "missing"): _missing,
    ("rolled_back", "pending"): _rolled_back_and_forgotten,
    ("missing", "pending"): _missing_and_forgotten,
    ("missing", "created"): _missing_and_back,
}


def _failed_while_sending(desk: Desk) -> None:
    """A 4xx that says it may be tried again, until the attempts are spent."""
    desk.sandbox.next("422_retryable", 5)
    assert desk.run("--attempts", "2").exit_code == 4


@pytest.mark.parametrize("move", SCENARIOS, ids=" to ".join)
def test_a_move_is_made(move: Move, home: Path, sandbox: Sandbox, importer: Importer) -> None:
    desk = Desk(home, sandbox, importer)

    SCENARIOS[move](desk)

    assert move in desk.moves()
    assert desk.moves() <= set(SCENARIOS)
    assert sandbox.count() <= 1


def test_every_transition_has_its_scenario() -> None:
    allowed = {(before.value, after.value) for before, onward in TRANSITIONS.items() for after in onward}
    assert allowed == set(SCENARIOS)
