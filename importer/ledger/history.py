"""What a SQLite ledger tells of a run besides its rows: its course over time, and what changed since the one before."""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from importer.ledger.base import Compared

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


def keep_course(db: sqlite3.Connection, run_id: str, course: Mapping[str, Any]) -> None:
    """Put it on disk."""
    db.execute("REPLACE INTO courses VALUES (?, ?)", (run_id, json.dumps(course, allow_nan=False)))


def course(db: sqlite3.Connection, run_id: str) -> Mapping[str, Any] | None:
    """What was kept; None in a ledger that an older version wrote, which has no place for it."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'courses'").fetchone():
        return None
    row = db.execute("SELECT course FROM courses WHERE run_id = ?", (run_id,)).fetchone()
    return dict(json.loads(row[0])) if row else None


def compared(db: sqlite3.Connection, run_id: str) -> Compared | None:
    """A run beside the one before it of the same target and verb."""
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
        f"SELECT 1 FROM ({gone}) g JOIN entries e ON e.target = (SELECT target FROM runs WHERE run_id = :now)"  # noqa: S608
        " AND e.provider = g.provider AND e.group_ref = g.group_ref AND e.consumer_ref = g.consumer_ref"
        " AND e.state = 'created'"
    )
    newly = count(f"{ours} EXCEPT {theirs}")
    again = count(f"{ours} INTERSECT {theirs}")
    mended = count(fixed)
    return Compared(before, started_at, newly_failing=newly, again=again, fixed=mended, gone=count(gone) - mended)
