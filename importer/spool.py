"""What one run knows of its rows, on disk: keys, tokens and decisions, so that memory does not grow with the file.

A private temporary database, gone with the process. It holds refs and keyed digests, no credential.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal, NamedTuple

from importer.bulk import change_all, in_one_row
from importer.freshness import Freshness
from importer.ledger.base import ProblemRow, Result
from importer.outcomes import Code, Issue, Outcome, Stage, gist
from importer.records import Identity, Place
from importer.scratch import open_scratch

Table = Literal["problems", "warnings"]


class Action(IntEnum):
    """What is to be done with a row. All but the first three are final: they have an outcome."""

    POST = 0
    LOOK = 1
    PATCH = 2
    UNCHANGED = 3
    DUPLICATE = 4
    CHANGED = 5
    REJECTED = 6
    NOT_SENT = 7


TO_SEND = frozenset({Action.POST, Action.LOOK, Action.PATCH})

_TO_SEND = "FROM rows WHERE source_no = ? AND row BETWEEN ? AND ? AND action <= ?"

OUTCOMES = {
    Action.UNCHANGED: Outcome.UNCHANGED,
    Action.DUPLICATE: Outcome.DUPLICATE,
    Action.CHANGED: Outcome.CHANGED,
    Action.REJECTED: Outcome.REJECTED,
    Action.NOT_SENT: Outcome.NOT_SENT,
}


@dataclass(frozen=True, slots=True)
class Seen:
    """A key or a token as an earlier row of this run brought it: `digest` is what came with it."""

    digest: bytes
    source_no: int
    row: int


class SpooledRow(NamedTuple):
    """One row of the run and what was decided about it."""

    source_no: int
    row: int
    action: Action
    identity: Identity
    connection_id: str | None = None
    kind: str = ""
    fingerprint: bytes | None = None
    scheme: str = ""
    freshness: int = 0

    @property
    def outcome(self) -> Outcome:
        """What became of a row that nothing came back for: `not_sent` where something should have been sent."""
        return OUTCOMES.get(self.action, Outcome.NOT_SENT)


@dataclass(frozen=True, slots=True)
class ProviderRows:
    """Rows of one provider and auth scheme ("" where it is not known), and of those to send, what their tokens are."""

    provider: str
    scheme: str
    rows: int
    to_send: int
    expired: int
    expire_soon: int
    without_refresh_token: int


class Spool:
    """The decisions of one run, in the order of its rows. Not to be used by two threads at once."""

    def __init__(self) -> None:
        self._db = open_scratch(
            """
            CREATE TABLE keys (digest BLOB PRIMARY KEY, fingerprint BLOB, source_no INT, row INT) WITHOUT ROWID;
            CREATE TABLE tokens (digest BLOB PRIMARY KEY, key BLOB, source_no INT, row INT) WITHOUT ROWID;
            CREATE TABLE conflicts (digest BLOB, source_no INT, row INT);
            CREATE INDEX conflicts_by_key ON conflicts (digest);
            CREATE TABLE rows (source_no INT, row INT, action INT, provider TEXT, group_ref TEXT, consumer_ref TEXT,
                connection_id TEXT, kind TEXT, fingerprint BLOB, scheme TEXT, freshness INT,
                PRIMARY KEY (source_no, row)) WITHOUT ROWID;
            CREATE TABLE problems (source_no INT, row INT, field TEXT, code TEXT, reason TEXT, fix TEXT, stage TEXT);
            CREATE TABLE warnings (source_no INT, row INT, field TEXT, code TEXT, reason TEXT, fix TEXT, stage TEXT);
            BEGIN;
            """
        )
        self._db.create_function("gist", 1, gist, deterministic=True)

    def close(self) -> None:
        """Forget everything."""
        self._db.close()

    def seen_keys(self, keys: Sequence[tuple[bytes, bytes, int, int]]) -> dict[int, Seen]:
        """Note (digest, fingerprint, source_no, row) of each; for a known one: position -> the first."""
        return self._seen("keys", "fingerprint", keys)

    def seen_tokens(self, tokens: Sequence[tuple[bytes, bytes, int, int]]) -> dict[int, Seen]:
        """Note (digest, key digest, source_no, row) of each; for a known one: position -> the first."""
        return self._seen("tokens", "key", tokens)

    def _seen(self, table: str, value: str, rows: Sequence[tuple[bytes, bytes, int, int]]) -> dict[int, Seen]:
        if change_all(self._db, f"INSERT OR IGNORE INTO {table} SELECT * FROM {{}}".format, rows) == len(rows):  # noqa: S608 - our own names
            return {}
        select = f"SELECT {value}, source_no, row FROM {table} WHERE digest = ?"  # noqa: S608 - our names
        found = {at: Seen(*self._db.execute(select, (row[0],)).fetchone()) for at, row in enumerate(rows)}
        return {at: seen for at, seen in found.items() if (seen.source_no, seen.row) != rows[at][2:]}

    def note_conflict(self, key: bytes, source_no: int, row: int) -> None:
        """This row brought a known key with other credentials."""
        self._db.execute("INSERT INTO conflicts VALUES (?, ?, ?)", (key, source_no, row))

    def take_conflicts(self, key: bytes) -> list[tuple[int, int]]:
        """The rows, as (source_no, row), that were in conflict about a key; they are forgotten as such."""
        found = self._db.execute("SELECT source_no, row FROM conflicts WHERE digest = ?", (key,)).fetchall()
        self._db.execute("DELETE FROM conflicts WHERE digest = ?", (key,))
        return found

    def take_token(self, token: tuple[bytes, bytes, int, int]) -> None:
        """This row, given as to `seen_tokens`, has its token from now on."""
        self._db.execute("REPLACE INTO tokens VALUES (?, ?, ?, ?)", token)

    def take_key(self, key: tuple[bytes, bytes, int, int]) -> None:
        """This row, given as to `seen_keys`, counts for its key from now on."""
        self._db.execute("REPLACE INTO keys VALUES (?, ?, ?, ?)", key)

    def add(
        self, rows: Iterable[SpooledRow], problems: Iterable[ProblemRow] = (), warnings: Iterable[ProblemRow] = ()
    ) -> None:
        """Note what was decided about some rows, what is wrong with them, and what their owner should know."""
        lines = [
            (
                r.source_no,
                r.row,
                int(r.action),
                *r.identity,
                r.connection_id,
                r.kind,
                r.fingerprint,
                r.scheme,
                r.freshness,
            )
            for r in rows
        ]
        change_all(self._db, "REPLACE INTO rows SELECT * FROM {}".format, lines)
        for table, found in (("problems", problems), ("warnings", warnings)):
            change_all(self._db, f"INSERT INTO {table} SELECT * FROM {{}}".format, list(map(_line, found)))  # noqa: S608 - ours

    def drop_problems(self, source_no: int, row: int) -> None:
        """Forget what was wrong with a row that does not count any more."""
        for table in ("problems", "warnings"):
            self._db.execute(f"DELETE FROM {table} WHERE source_no = ? AND row = ?", (source_no, row))  # noqa: S608 - our own names

    def get(self, source_no: int, row: int) -> SpooledRow | None:
        """One row."""
        found = self._db.execute("SELECT * FROM rows WHERE source_no = ? AND row = ?", (source_no, row)).fetchone()
        return _row(found) if found else None

    def to_send(self, source_no: int, first_row: int, last_row: int) -> dict[int, tuple[Action, Identity]]:
        """The rows between two that something has to be sent for: what, and for whom."""
        span = (source_no, first_row, last_row, int(max(TO_SEND)))
        found = in_one_row(self._db, "row, action, provider, group_ref, consumer_ref", _TO_SEND, span)
        return {row: (Action(action), Identity(*identity)) for row, action, *identity in found}

    def rows_to_send(self, source_no: int, first_row: int, last_row: int) -> set[int]:
        """The numbers of these rows."""
        span = (source_no, first_row, last_row, int(max(TO_SEND)))
        return {row for (row,) in in_one_row(self._db, "row", _TO_SEND, span)}

    def counts(self) -> dict[tuple[Action, str], int]:
        """How many rows there are for each action and kind (new, unfinished, changed, done, …)."""
        found = self._db.execute("SELECT action, kind, count(*) FROM rows GROUP BY action, kind")
        return {(Action(action), kind): n for action, kind, n in found}

    def final_counts(self) -> dict[Outcome, int]:
        """How many rows there are for each outcome that the plan settled by itself."""
        found = self._db.execute(
            "SELECT action, count(*) FROM rows WHERE action > ? GROUP BY action", (int(max(TO_SEND)),)
        )
        return {OUTCOMES[Action(action)]: n for action, n in found}

    def by_provider(self) -> list[ProviderRows]:
        """For each provider that is named, and each auth scheme of its rows, the commonest first."""
        flags = ", ".join(f"sum(freshness & {flag.value} > 0)" for flag in Freshness)
        found = self._db.execute(
            f"SELECT provider, scheme, count(*), sum(action <= ?), {flags} FROM rows WHERE provider <> ''"  # noqa: S608 - our own names
            " GROUP BY provider, scheme ORDER BY 3 DESC, provider, scheme",
            (int(max(TO_SEND)),),
        )
        return [ProviderRows(*row) for row in found]

    def object_to_shared_groups(self, issue: Issue, *, refuse: bool) -> None:
        """An issue for each row to post of a group with several consumers for one provider: a warning, or its refusal.

        It is done in SQL: such rows may be all of a million.
        """
        shared = (
            f"action = {Action.POST.value} AND (provider, group_ref) IN (SELECT provider, group_ref FROM rows"  # noqa: S608 - our own names
            f" WHERE action NOT IN ({Action.REJECTED.value}, {Action.DUPLICATE.value}) AND provider <> ''"
            " GROUP BY provider, group_ref HAVING min(consumer_ref) <> max(consumer_ref))"
        )
        table = "problems" if refuse else "warnings"
        self._db.execute(
            f"INSERT INTO {table} SELECT source_no, row, ?, ?, ?, ?, ? FROM rows WHERE {shared}",  # noqa: S608 - ours
            (issue.field, issue.code, issue.reason, issue.fix, issue.stage),
        )
        if refuse:
            self._db.execute(
                f"UPDATE rows SET action = {Action.REJECTED.value}, kind = 'enter' WHERE {shared}"  # noqa: S608 - ours
            )

    def problem_count(self, *codes: Code) -> int:
        """How many problems were found, of these codes or of all."""
        marks = ", ".join("?" * len(codes))
        where = f" WHERE code IN ({marks})" if codes else ""
        return int(self._db.execute(f"SELECT count(*) FROM problems{where}", codes).fetchone()[0])  # noqa: S608 - our own names

    def warning_count(self) -> int:
        """How many warnings there are."""
        return int(self._db.execute("SELECT count(*) FROM warnings").fetchone()[0])

    def posts(self) -> Iterator[SpooledRow]:
        """The rows that are to be posted, in order; while they are read, what was decided about them may change."""
        at = (-1, -1)
        while batch := self._db.execute(
            "SELECT * FROM rows WHERE action = ? AND (source_no, row) > (?, ?) ORDER BY source_no, row LIMIT 1000",
            (int(Action.POST), *at),
        ).fetchall():
            yield from map(_row, batch)
            at = batch[-1][:2]

    def to_post(self) -> dict[str, int]:
        """For each provider, how many rows are to be posted."""
        return dict(
            self._db.execute(
                "SELECT provider, count(*) FROM rows WHERE action = ? GROUP BY provider ORDER BY provider",
                (int(Action.POST),),
            ).fetchall()
        )

    def rows_with(self, code: Code) -> dict[str, int]:
        """For each provider, how many rows have a problem or a warning of this code."""
        found = self._db.execute(
            "SELECT provider, count(*) FROM rows r JOIN (SELECT source_no, row FROM problems WHERE code = :code"
            " UNION SELECT source_no, row FROM warnings WHERE code = :code) p"
            " ON r.source_no = p.source_no AND r.row = p.row GROUP BY provider ORDER BY provider",
            {"code": code},
        )
        return dict(found.fetchall())

    def beside(self, results: Iterator[Result]) -> Iterator[Result | SpooledRow]:
        """Every row, in order: as one of these results, which are in order too, or else as it was decided."""
        result = next(results, None)
        at = result and (result.place.source_no, result.place.row)
        for row in self._db.execute("SELECT * FROM rows ORDER BY source_no, row"):
            if result is not None and row[:2] == at:
                yield result
                result = next(results, None)
                at = result and (result.place.source_no, result.place.row)
            else:
                yield _row(row)

    def finals(self, sources: Sequence[str]) -> Iterator[tuple[SpooledRow, list[Issue]]]:
        """The rows that nothing is sent for, but the unchanged ones, with their problems; in order."""
        problems = _Grouped(self.problems(sources))
        found = self._db.execute(
            "SELECT * FROM rows WHERE action > ? ORDER BY source_no, row", (int(Action.UNCHANGED),)
        )
        for row in found:
            spooled = _row(row)
            yield spooled, problems.of(spooled.source_no, spooled.row)

    def problems(self, sources: Sequence[str], table: Table = "problems") -> Iterator[ProblemRow]:
        """Every problem (or warning) found so far, in the order of the rows."""
        found = self._db.execute(
            "SELECT p.source_no, p.row, field, code, reason, fix, stage, provider, group_ref, consumer_ref"  # noqa: S608 - our own names
            f" FROM {table} p JOIN rows r ON r.source_no = p.source_no AND r.row = p.row"
            " ORDER BY p.source_no, p.row, p.rowid"
        )
        for no, row, field, code, reason, fix, stage, *identity in found:
            yield ProblemRow(
                Place(sources[no], no, row), Identity(*identity), Issue(field, Code(code), reason, fix, Stage(stage))
            )

    def worst(self, limit: int, table: Table = "problems") -> list[tuple[int, int, int, Issue]]:
        """The commonest problems (or warnings): how many rows, and the source_no, row and problem of the first."""
        found = self._db.execute(
            "SELECT count(*) AS n, source_no, row, field, code, reason, fix, stage,"  # noqa: S608 - our names
            f" min(source_no * 4294967296 + row) AS first FROM {table}"
            " GROUP BY code, field, gist(reason) ORDER BY n DESC, first LIMIT ?",
            (limit,),
        )
        return [
            (count, source_no, row, Issue(field, Code(code), reason, fix, Stage(stage)))
            for count, source_no, row, field, code, reason, fix, stage, _ in found
        ]


class _Grouped:
    """The problems of one place after the other, from a stream in the same order as the places asked for."""

    def __init__(self, problems: Iterator[ProblemRow]) -> None:
        self._problems = problems
        self._next = next(problems, None)

    def of(self, source_no: int, row: int) -> list[Issue]:
        """The problems of this row; those of rows that nobody asked for are passed over."""
        found: list[Issue] = []
        while self._next and (self._next.place.source_no, self._next.place.row) <= (source_no, row):
            if (self._next.place.source_no, self._next.place.row) == (source_no, row):
                found.append(self._next.issue)
            self._next = next(self._problems, None)
        return found


def _line(problem: ProblemRow) -> tuple[object, ...]:
    place, issue = problem.place, problem.issue
    return (place.source_no, place.row, issue.field, issue.code, issue.reason, issue.fix, issue.stage)


def _row(row: Sequence[Any]) -> SpooledRow:
    source_no, number, action, provider, group_ref, consumer_ref, *rest = row
    return SpooledRow(source_no, number, Action(action), Identity(provider, group_ref, consumer_ref), *rest)
