"""What a SQLite ledger tells of its runs: how each went, what became of its rows, what changed since the one before."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from importer.errors import LedgerLost
from importer.ledger.base import Compared, ProblemRow, Result, Run
from importer.ledger.files import explained
from importer.ledger.statements import PROBLEM, problem_of
from importer.outcomes import Outcome, State
from importer.records import Identity, Place

_OUTCOMES = {outcome.value: outcome for outcome in Outcome}

_KEYS = (
    # a row whose refs may not be shown has blanks there: then its place stands for it
    "SELECT DISTINCT provider, group_ref, consumer_ref,"
    " iif(group_ref || consumer_ref = '', source_no || ':' || row, '') FROM problems WHERE run_id = "
)

_PREVIOUS = (
    # one that ended before it had read its rows has no outcomes, and nothing to be compared with
    "SELECT b.run_id, b.started_at FROM runs a JOIN runs b ON b.target = a.target AND b.verb = a.verb"
    " AND b.started_at < a.started_at AND json_extract(b.summary, '$.outcomes') IS NOT NULL WHERE a.run_id = ?"
    " ORDER BY b.started_at DESC LIMIT 1"
)


class RunHistory:
    """The runs of one ledger file; its base class, which knows nothing of how an entry moves."""

    path: Path
    _db: sqlite3.Connection
    _target: int

    def keep_course(self, run_id: str, course: Mapping[str, Any]) -> None:
        """Keep how a run went over time."""
        with explained(self.path, LedgerLost):
            self._db.execute("REPLACE INTO courses VALUES (?, ?)", (run_id, json.dumps(course, allow_nan=False)))

    def course(self, run_id: str) -> Mapping[str, Any] | None:
        """What `keep_course` kept of a run; None where nothing is known, as of one that an older version wrote."""
        with explained(self.path, LedgerLost):
            if not self._one("SELECT 1 FROM sqlite_master WHERE name = 'courses'"):
                return None
            row = self._one("SELECT course FROM courses WHERE run_id = ?", (run_id,))
        return dict(json.loads(row[0])) if row else None

    def compared(self, run_id: str) -> Compared | None:
        """What changed since the run before, of the same target and verb; None where there was none."""
        with explained(self.path, LedgerLost):
            return _compared(self._db, run_id)

    def runs(self, limit: int = 10) -> list[Run]:
        """The last runs, the newest first."""
        rows = self._rows(
            "SELECT run_id, verb, pid, host, started_at, ended_at, exit_code, summary FROM runs"
            " ORDER BY started_at DESC LIMIT ?",
            (limit,),
        )
        return [
            Run(run_id, verb, pid, host, started_at, ended_at, exit_code, json.loads(summary) if summary else None)
            for run_id, verb, pid, host, started_at, ended_at, exit_code, summary in rows
        ]

    def is_run_of_target(self, run_id: str) -> bool:
        """Whether a run had to do with the target that is aimed at."""
        return self._one("SELECT 1 FROM runs WHERE run_id = ? AND target = ?", (run_id, self._target)) is not None

    def counts(self) -> dict[State, int]:
        """How many entries stand where, over every target."""
        return {State(state): n for state, n in self._rows("SELECT state, count(*) FROM entries GROUP BY state")}

    def progress(self, run_id: str, since: float) -> tuple[int, int]:
        """How many rows of a run have a result, and how many of them by an answer that came since (an epoch time)."""
        statement = (
            "SELECT count(*), count(*) FILTER (WHERE finished_at >= ? AND attempts > 0) FROM results WHERE run_id = ?"
        )
        with explained(self.path, LedgerLost):
            finished, lately = self._one(statement, (since, run_id))
        return finished, lately

    def results(self, run_id: str) -> Iterator[Result]:
        """The results of a run, in the order of its rows."""
        names = self._source_names(run_id)
        rows = self._rows(
            "SELECT source_no, row, provider, group_ref, consumer_ref, outcome, connection_id, http_status, attempts,"
            " finished_at FROM results WHERE run_id = ? ORDER BY source_no, row",
            (run_id,),
        )
        for no, row, *identity, outcome, connection_id, status, attempts, finished_at in rows:
            place = Place(names.get(no, ""), no, row)
            yield Result(place, Identity(*identity), _OUTCOMES[outcome], connection_id, status, attempts, finished_at)

    def problems(self, run_id: str) -> Iterator[ProblemRow]:
        """The problems of a run, in the order of its rows."""
        statement = f"SELECT {PROBLEM} FROM problems WHERE run_id = ? ORDER BY source_no, row, no"  # noqa: S608 - ours
        names = self._source_names(run_id)
        for row in self._rows(statement, (run_id,)):
            yield problem_of(row, names)

    def common_problems(self, run_id: str, limit: int) -> list[tuple[int, ProblemRow]]:
        """The commonest problems of a run: how many rows have each, and the first of them."""
        statement = (
            f"SELECT {PROBLEM}, count(*) AS n, min(source_no * 4294967296 + row) AS first FROM problems"  # noqa: S608 - our own names
            " WHERE run_id = ? GROUP BY code, field, gist(message) ORDER BY n DESC, first LIMIT ?"
        )
        names = self._source_names(run_id)
        return [(row[-2], problem_of(row[:-2], names)) for row in self._rows(statement, (run_id, limit))]

    def _source_names(self, run_id: str) -> dict[int, str]:
        return dict(self._rows("SELECT source_no, name FROM sources WHERE run_id = ?", (run_id,)))

    def _rows(self, statement: str, values: Sequence[object] = ()) -> Iterator[Any]:
        with explained(self.path, LedgerLost):
            # `yield from` would close the cursor with the generator, also after the ledger itself
            for row in self._db.execute(statement, values):  # noqa: UP028 - as said above
                yield row

    def _one(self, statement: str, values: Sequence[object] = ()) -> Any:
        return self._db.execute(statement, values).fetchone()


def _compared(db: sqlite3.Connection, run_id: str) -> Compared | None:
    previous = db.execute(_PREVIOUS, (run_id,)).fetchone()
    if previous is None:
        return None
    before, started_at = previous

    def count(rows: str) -> int:
        statement = f"WITH keys AS ({rows}) SELECT count(*) FROM keys"  # noqa: S608 - our own constants
        return int(db.execute(statement, {"now": run_id, "before": before}).fetchone()[0])

    ours = f"{_KEYS}:now"
    theirs = f"{_KEYS}:before"
    gone = f"{theirs} EXCEPT {ours}"
    fixed = (
        f"SELECT 1 FROM ({gone}) g JOIN entries e ON e.target = (SELECT target FROM runs WHERE run_id = :now)"  # noqa: S608 - our own names
        " AND e.provider = g.provider AND e.group_ref = g.group_ref AND e.consumer_ref = g.consumer_ref"
        " AND e.state = 'created'"
    )
    newly = count(f"{ours} EXCEPT {theirs}")
    again = count(f"{ours} INTERSECT {theirs}")
    mended = count(fixed)
    return Compared(before, started_at, newly_failing=newly, again=again, fixed=mended, gone=count(gone) - mended)
