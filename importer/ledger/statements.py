"""What the SQLite ledger says in SQL, and how its rows become values again."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from importer.ledger.base import Entry, Move, ProblemRow, Write
from importer.outcomes import TRANSITIONS, Code, Issue, Stage, State
from importer.records import Identity, Place

KEY = "target = ? AND provider = ? AND group_ref = ? AND consumer_ref = ?"
STATE_OF = f"SELECT state FROM entries WHERE {KEY}"  # noqa: S608 - our own constants
COLUMNS = (
    "provider, group_ref, consumer_ref, state, fingerprint, refresh_digest, connection_id, ours, posts, doubt,"
    " sent_at, settle_at, op_fingerprint, reported, run_id"
)
PROBLEM = (
    "source_no, row, provider, group_ref, consumer_ref, attempts, field, code, message, fix, stage, http_status,"
    " retryable, request_id"
)


def _move_statement(to: State) -> Callable[[str], str]:
    """The upsert of moves to `to`: it changes nothing where TRANSITIONS forbids it, and so is noticed.

    Its first parameters are the target and `doubt`, which all moves have in common; the rest are `move_values`.
    """
    allowed = ", ".join(f"'{state}'" for state, onward in TRANSITIONS.items() if to in onward)
    kept = ("fingerprint", "connection_id", "ours", "sent_at", "settle_at", "run_id")
    head = (
        "INSERT INTO entries (target, provider, group_ref, consumer_ref, fingerprint, refresh_digest,"  # noqa: S608 - our own names
        " connection_id, ours, posts, sent_at, settle_at, run_id, updated_at, state, doubt)"
        f" SELECT ?1, *, '{to}', coalesce(?2, 0) FROM "
    )
    tail = (
        # the parser takes ON for a join's where nothing stands before it
        " WHERE true ON CONFLICT DO UPDATE SET state = excluded.state, posts = posts + excluded.posts,"
        " doubt = coalesce(?2, doubt), updated_at = excluded.updated_at,"
        # a digest goes with its fingerprint: credentials without a refresh token have none
        " refresh_digest = iif(excluded.fingerprint IS NULL, refresh_digest, excluded.refresh_digest), "
        + ", ".join(f"{column} = coalesce(excluded.{column}, {column})" for column in kept)
        + f" WHERE state IN ({allowed})"
    )
    return lambda table: f"{head}{table}{tail}"


MOVES = {state: _move_statement(state) for state in State}
FIRST = TRANSITIONS[State.PENDING] | {State.PENDING}


def moves_to(write: Write) -> tuple[State, bool | None] | None:
    """The state that a write moves to, and its doubt; None where it is no move. Moves that share both go together."""
    return (write.to, write.doubt) if isinstance(write, Move) else None


def move_values(move: Move) -> tuple[object, ...]:
    """The parameters of one move."""
    return (
        *move.identity, move.fingerprint, move.refresh_digest, move.connection_id, move.ours, move.posts, move.sent_at,
        move.settle_at, move.run_id, move.at,
    )  # fmt: skip


def entries_statement(table: str) -> str:
    """The entries of many keys, each with its number before it."""
    columns = ", ".join(f"e.{column}" for column in COLUMNS.split(", "))
    return (
        f"SELECT k.column1, {columns} FROM {table} k CROSS JOIN entries e"  # noqa: S608 - our own constants
        " ON e.target = ? AND e.provider = k.column2 AND e.group_ref = k.column3 AND e.consumer_ref = k.column4"
    )


def holders_statement(table: str) -> str:
    """Who has, or may have, a connection with one of many refresh tokens."""
    return (
        "SELECT refresh_digest, provider, group_ref, consumer_ref"  # noqa: S608 - our own constants
        f" FROM {table} k CROSS JOIN entries ON refresh_digest = k.column1 AND target = ?"
        " AND state IN ('created', 'sending', 'unknown')"
    )


def entry_of(row: Sequence[Any]) -> Entry:
    """An entry out of COLUMNS."""
    provider, group_ref, consumer_ref, state, fingerprint, refresh, connection_id, ours, posts, doubt, *rest = row
    return Entry(
        Identity(provider, group_ref, consumer_ref), State(state), fingerprint, refresh, connection_id,
        None if ours is None else bool(ours), posts, bool(doubt), *rest,
    )  # fmt: skip


def problem_of(row: Sequence[Any], names: Mapping[int, str]) -> ProblemRow:
    """A problem out of PROBLEM; `names` are the names of the sources."""
    (
        no,
        number,
        provider,
        group_ref,
        consumer_ref,
        attempts,
        field,
        code,
        reason,
        fix,
        stage,
        status,
        retryable,
        request,
    ) = row
    issue = Issue(field, Code(code), reason, fix, Stage(stage), status, bool(retryable), request)
    return ProblemRow(
        Place(names.get(no, ""), no, number), Identity(provider, group_ref, consumer_ref), issue, attempts
    )
