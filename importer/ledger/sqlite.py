"""The ledger as one SQLite file in WAL mode: readable while it is written, whole after a power failure.

`synchronous = FULL`: when a commit returns, its pages are on disk, so an intent survives what comes after it. The
standard library's `sqlite3` and not an ORM: a dozen statements, and every microsecond is paid once a row.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from itertools import groupby
from pathlib import Path
from typing import Any

from importer.bulk import change_all, find_all
from importer.errors import IllegalTransition, LedgerError, LedgerLost
from importer.ledger.base import (
    Entry,
    Forget,
    Move,
    PatchEnd,
    PatchIntent,
    Reported,
    Result,
    Run,
    Superseded,
    Write,
)
from importer.ledger.files import SCHEMA_VERSION, explained, inode, make_ledger, replace_private
from importer.ledger.history import RunHistory
from importer.ledger.statements import (
    COLUMNS,
    FIRST,
    KEY,
    MOVES,
    STATE_OF,
    entries_statement,
    entry_of,
    holders_statement,
    move_values,
    moves_to,
)
from importer.outcomes import State, gist
from importer.records import Identity, Target

MIGRATIONS = {
    1: "CREATE INDEX entries_by_run ON entries (run_id);",
    2: "CREATE TABLE paces ( target INTEGER PRIMARY KEY, rate REAL NOT NULL, seen_at REAL NOT NULL );",
    3: "CREATE TABLE courses ( run_id TEXT PRIMARY KEY, course TEXT NOT NULL ) WITHOUT ROWID;",
}
"""Version -> what makes the next one of it. A reader takes every version from the first on: so far they only add."""


class _NotAll(Exception):
    """Of moves that were made together, some are not allowed."""


class SqliteLedger(RunHistory):
    """A `Ledger` in one file. One writer at a time, any number of readers; not to be shared between threads at once."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open the ledger at `path`, making it if it is not there. Raises LedgerError."""
        self.path = path
        self._target: int = 0
        self._read_only = read_only
        if not read_only:
            make_ledger(path)
        with explained(path, LedgerError):
            mode = "ro" if read_only else "rw"
            self._db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False
            )
            try:
                self._db.execute("PRAGMA busy_timeout = 5000")
                self._db.create_function("gist", 1, gist, deterministic=True)
                self._open(read_only)
                self.key = self._read_key()
            except BaseException:
                self._db.close()
                raise
        self._inode = inode(path) or (0, 0, 0)

    def _open(self, read_only: bool) -> None:
        version: int = self._one("PRAGMA user_version")[0]
        if version > SCHEMA_VERSION:
            raise LedgerError(
                f"{self.path} was written by a newer importer: version {version}, and this one knows {SCHEMA_VERSION}",
                hint="Upgrade the importer: pip install -U importer.",
            )
        if version == 0:
            if not self.path.stat().st_size:
                raise LedgerError(
                    f"the ledger {self.path} is empty: it was cut off",
                    hint="Restore it, or delete it and run again: the listing finds what was created.",
                )
            raise LedgerError(f"{self.path} is no ledger of the importer", hint="Point ledger.url to another file.")
        if not read_only:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            # what a statement of many rows may have to take back must not depend on a temporary folder with room
            self._db.execute("PRAGMA temp_store = MEMORY")
            if 0 < version < SCHEMA_VERSION:
                self._upgrade(version)

    def _read_key(self) -> bytes:
        row = self._one("SELECT value FROM meta WHERE name = 'key'")
        if row is None:
            raise LedgerError(
                f"the ledger {self.path} has lost its key, so nothing in it can be compared",
                hint="Restore it, or move it away and run again: the listing finds what was created.",
            )
        return bytes(row[0])

    def _upgrade(self, version: int) -> None:
        """Bring an older ledger to SCHEMA_VERSION in one transaction, with a copy of it beside it."""
        copy = self.path.with_name(f"{self.path.name}.backup-v{version}")
        replace_private(copy)
        with closing(sqlite3.connect(copy)) as backup:
            self._db.backup(backup)
        steps = " ".join(MIGRATIONS[step] for step in range(version, SCHEMA_VERSION))
        self._db.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")

    def close(self) -> None:
        """Let go of the file."""
        with suppress(sqlite3.Error):
            self._db.close()

    def reader(self) -> "SqliteLedger":
        """A second view of the same ledger that only reads, for another thread."""
        view = SqliteLedger(self.path, read_only=True)
        view._target = self._target
        return view

    def project_id(self, api_root: str, given: str) -> str | None:
        """The id that a project's name or id had when it was last asked for."""
        row = self._one(
            "SELECT project_id FROM projects WHERE api_root = ?1 AND ?2 IN (given, project_id)", (api_root, given)
        )
        return str(row[0]) if row else None

    def remember_project(self, api_root: str, given: str, project_id: str, at: float) -> None:
        """Keep what id a project's name or id has."""
        with explained(self.path, LedgerLost):
            self._db.execute("REPLACE INTO projects VALUES (?, ?, ?, ?)", (api_root, given, project_id, at))

    def pace(self) -> float | None:
        """The pace that this target was last found to allow, in requests per second."""
        with explained(self.path, LedgerLost):
            row = self._one("SELECT rate FROM paces WHERE target = ?", (self._target,))
        return float(row[0]) if row else None

    def remember_pace(self, rate: float, at: float) -> None:
        """Keep the pace that this target was found to allow, for the next run to begin with."""
        with explained(self.path, LedgerLost):
            self._db.execute("REPLACE INTO paces VALUES (?, ?, ?)", (self._target, rate, at))

    def aim(self, target: Target) -> None:
        """Speak of this target's entries from now on; a reader leaves an unknown target unknown."""
        key = (target.api_root, target.project_id)
        with explained(self.path, LedgerLost):
            row = self._one("SELECT id FROM targets WHERE api_root = ? AND project_id = ?", key)
            if row is None and not self._read_only:
                self._db.execute("INSERT INTO targets (api_root, project_id) VALUES (?, ?)", key)
                row = self._one("SELECT id FROM targets WHERE api_root = ? AND project_id = ?", key)
        self._target = row[0] if row else 0

    def recover(self, at: float, settle_s: float) -> int:
        """Make `unknown` of every `sending` entry, of any target; it may appear until `settle_s` after its intent."""
        with explained(self.path, LedgerLost):
            # a clock that was wrong, then or now, must not make anybody wait longer than that
            self._db.execute(
                "UPDATE entries SET settle_at = ?1 WHERE state = 'unknown' AND settle_at > ?1", (at + settle_s,)
            )
            return self._db.execute(
                "UPDATE entries SET state = 'unknown', doubt = 1, settle_at = min(sent_at, ?2) + ?1, updated_at = ?2"
                " WHERE state = 'sending'",
                (settle_s, at),
            ).rowcount

    def entries(self, identities: Sequence[Identity]) -> list[Entry | None]:
        """The entry of each identity, in the same order."""
        entries: list[Entry | None] = [None] * len(identities)
        if not self._target:
            return entries
        keys = [(at, *identity) for at, identity in enumerate(identities)]
        with explained(self.path, LedgerLost):
            for at, *row in find_all(self._db, entries_statement, keys, self._target):
                entries[at] = entry_of(row)
        return entries

    def holders(self, refresh_digests: Sequence[bytes]) -> dict[bytes, Identity]:
        """Which key of this target has, or may have, a connection with a refresh token."""
        with explained(self.path, LedgerLost):
            digests = [(digest,) for digest in refresh_digests]
            found = find_all(self._db, holders_statement, digests, self._target)
        return {digest: Identity(*row) for digest, *row in found}

    def holder_of(self, connection_id: str) -> Identity | None:
        """The key of this target that a connection is known by. Looks at every entry: for doubts, not for every row."""
        statement = "SELECT provider, group_ref, consumer_ref FROM entries WHERE target = ? AND connection_id = ?"
        with explained(self.path, LedgerLost):
            row = self._one(statement, (self._target, connection_id))
        return Identity(*row) if row else None

    def is_superseded(self, identity: Identity, fingerprint: bytes) -> bool:
        """Whether a later fingerprint replaced this one."""
        statement = f"SELECT 1 FROM superseded WHERE {KEY} AND fingerprint = ?"  # noqa: S608 - our own constants
        with explained(self.path, LedgerLost):
            return self._one(statement, (self._target, *identity, fingerprint)) is not None

    def in_state(self, states: Iterable[State]) -> Iterator[Entry]:
        """Every entry of the target in one of these states."""
        wanted = list(states)
        marks = ", ".join("?" * len(wanted))
        statement = f"SELECT {COLUMNS} FROM entries WHERE target = ? AND state IN ({marks})"  # noqa: S608 - marks only
        for row in self._rows(statement, (self._target, *wanted)):
            yield entry_of(row)

    def posted_by(self, run_id: str) -> Iterator[Entry]:
        """Every created entry whose connection a run posted, and that is ours."""
        statement = (
            f"SELECT {COLUMNS} FROM entries"  # noqa: S608 - our own constants
            " WHERE run_id = ? AND target = ? AND ours = 1 AND state = 'created' AND connection_id IS NOT NULL"
        )
        for row in self._rows(statement, (run_id, self._target)):
            yield entry_of(row)

    def apply(self, writes: Sequence[Write], run_id: str) -> None:
        """Put all of it on disk in one transaction, or nothing."""
        self._check_still_there()
        with explained(self.path, LedgerLost):
            try:
                self._apply(writes, run_id, self._moves)
            except _NotAll:
                self._apply(writes, run_id, self._one_by_one)

    def _apply(self, writes: Sequence[Write], run_id: str, move: Callable[[Sequence[Move]], None]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for to, group in groupby((w for w in writes if not isinstance(w, Result)), moves_to):
                if to is None:
                    for write in group:
                        self._write(write)
                else:
                    move([one for one in group if isinstance(one, Move)])
            self._results([write for write in writes if isinstance(write, Result)], run_id)
            self._db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise

    def _write(self, write: Write) -> None:
        match write:
            case PatchIntent():
                self._supersede("op_fingerprint", write.identity, write.fingerprint)
                self._update(
                    "UPDATE entries SET op_fingerprint = ?, sent_at = ?, updated_at = ?"  # noqa: S608 - our own constants
                    f" WHERE {KEY} AND state = 'created'",
                    (write.fingerprint, write.at, write.at, self._target, *write.identity),
                )
            case PatchEnd():
                self._end_patch(write)
            case Superseded():
                self._db.execute(
                    "INSERT OR IGNORE INTO superseded VALUES (?, ?, ?, ?, ?)",
                    (self._target, *write.identity, write.fingerprint),
                )
            case Forget():
                self._db.execute(f"DELETE FROM superseded WHERE {KEY}", (self._target, *write.identity))  # noqa: S608 - our own names
                self._update(
                    "UPDATE entries SET state = 'pending', connection_id = NULL, ours = NULL, doubt = 0,"  # noqa: S608 - our own names
                    f" op_fingerprint = NULL, updated_at = ? WHERE {KEY} AND state IN ('rolled_back', 'missing')",
                    (write.at, self._target, *write.identity),
                )
            case Reported():
                self._update(
                    f"UPDATE entries SET reported = ? WHERE {KEY}",  # noqa: S608 - our own names
                    (write.fingerprint, self._target, *write.identity),
                )

    def _moves(self, moves: Sequence[Move]) -> None:
        """Many moves to one state together. Raises _NotAll where some are refused: they have to be found."""
        if moves[0].to not in FIRST:
            self._one_by_one(moves)
        elif self._moved(moves) != len(moves):
            raise _NotAll

    def _moved(self, moves: Sequence[Move]) -> int:
        """How many of the moves, which have their state and doubt in common, were allowed and made."""
        first = moves[0]
        return change_all(self._db, MOVES[first.to], list(map(move_values, moves)), self._target, first.doubt)

    def _one_by_one(self, moves: Sequence[Move]) -> None:
        for move in moves:
            self._move(move)

    def _move(self, move: Move) -> None:
        key = (self._target, *move.identity)
        is_new = move.to not in FIRST and self._one(STATE_OF, key) is None
        if is_new or self._moved([move]) != 1:
            if move.if_allowed:
                return
            state = self._one(STATE_OF, key)
            was = f"is {state[0]}" if state else "was never sent"
            raise IllegalTransition(f"a row that {was} cannot become {move.to}", hint="Please report this.")

    def _end_patch(self, end: PatchEnd) -> None:
        key = (self._target, *end.identity)
        if end.carried_out:
            (target,) = self._one(f"SELECT op_fingerprint FROM entries WHERE {KEY}", key) or (None,)  # noqa: S608 - our own names
            self._supersede("fingerprint", end.identity, target)
            set_to = "fingerprint = op_fingerprint, refresh_digest = ?,"
        else:
            set_to = "fingerprint = X''," if end.unsure else ""
        values = (end.refresh_digest, end.at, *key) if end.carried_out else (end.at, *key)
        self._update(
            f"UPDATE entries SET {set_to} op_fingerprint = NULL, updated_at = ?"  # noqa: S608 - our own names
            f" WHERE {KEY} AND op_fingerprint IS NOT NULL",
            values,
        )

    def _supersede(self, column: str, identity: Identity, by: bytes | None) -> None:
        """Note that what stands in `column` is replaced: a row that brings it back is stale."""
        self._db.execute(
            "INSERT OR IGNORE INTO superseded SELECT target, provider, group_ref, consumer_ref, "  # noqa: S608 - our own names
            f"{column} FROM entries WHERE {KEY} AND length({column}) > 0 AND {column} IS NOT ?",
            (self._target, *identity, by),
        )

    def _update(self, statement: str, values: Sequence[object]) -> None:
        if self._db.execute(statement, values).rowcount != 1:
            raise IllegalTransition("a row is not where it was when this was decided", hint="Please report this.")

    def _results(self, results: Sequence[Result], run_id: str) -> None:
        rows = [
            (run_id, r.place.source_no, r.place.row, *r.identity, r.outcome, r.connection_id, r.http_status, r.attempts,
             r.finished_at)
            for r in results
        ]  # fmt: skip
        change_all(self._db, "REPLACE INTO results SELECT * FROM {}".format, rows)
        for result in results:
            if result.issues:
                self._problems(result, run_id)

    def _problems(self, result: Result, run_id: str) -> None:
        place, identity = result.place, result.identity
        # those of an earlier result of this row, if there was one, may have been more
        self._db.execute(
            "DELETE FROM problems WHERE run_id = ? AND source_no = ? AND row = ?", (run_id, place.source_no, place.row)
        )
        for no, issue in enumerate(result.issues):
            self._db.execute(
                "REPLACE INTO problems VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (run_id, place.source_no, place.row, no, *identity, issue.stage, issue.code, issue.field, issue.reason,
                 issue.fix, issue.http_status, issue.retryable, result.attempts, issue.request_id),
            )  # fmt: skip

    def start_run(self, run: Run, sources: Sequence[str]) -> None:
        """Note that a run began."""
        with explained(self.path, LedgerLost):
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(
                "INSERT INTO runs (run_id, target, verb, pid, host, started_at) VALUES (?, ?, ?, ?, ?, ?)",
                (run.run_id, self._target, run.verb, run.pid, run.host, run.started_at),
            )
            self._db.executemany(
                "INSERT INTO sources VALUES (?, ?, ?)", [(run.run_id, no, name) for no, name in enumerate(sources)]
            )
            self._db.execute("COMMIT")

    def end_run(self, run_id: str, at: float, exit_code: int, summary: Mapping[str, Any]) -> None:
        """Note how it ended."""
        with explained(self.path, LedgerLost):
            self._db.execute(
                "UPDATE runs SET ended_at = ?, exit_code = ?, summary = ? WHERE run_id = ?",
                (at, exit_code, json.dumps(summary), run_id),
            )

    def _check_still_there(self) -> None:
        """A ledger that was moved or deleted would take our writes to nowhere."""
        found = inode(self.path)
        if found is None or found[:2] != self._inode[:2] or found[2] < self._inode[2]:
            raise LedgerLost(
                f"{self.path} was moved or deleted, or cut off, while the run was using it",
                hint="Put it back and run again; without it, run again: the listing finds what was created.",
            )
