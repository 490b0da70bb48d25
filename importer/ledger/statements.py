"""What the SQLite ledger says in SQL, and how its rows become values again."""

from collections.abc import Mapping, Sequence
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


def _move_statement(to: State) -> str:
    """The upsert of a move to `to`: it changes nothing where TRANSITIONS forbids it, and so is noticed."""
    allowed = ", ".join(f"'{state}'" for state, onward in TRANSITIONS.items() if to in onward)
    kept = ("fingerprint", "connection_id", "ours", "sent_at", "settle_at", "run_id")
    return (
        "INSERT INTO entries (target, provider, group_ref, consumer_ref, state, fingerprint, refresh_digest,"  # noqa: S608
        " connection_id, ours, posts, doubt, sent_at, settle_at, run_id, updated_at)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, coalesce(?11, 0), ?12, ?13, ?14, ?15)"
        " ON CONFLICT DO UPDATE SET state = excluded.state, posts = posts + excluded.posts,"
        " doubt = coalesce(?11, doubt), updated_at = excluded.updated_at,"
        # a digest goes with its fingerprint: credentials without a refresh token have none
        " refresh_digest = iif(excluded.fingerprint IS NULL, refresh_digest, excluded.refresh_digest), "
        + ", ".join(f"{column} = coalesce(excluded.{column}, {column})" for column in kept)
        + f" WHERE state IN ({allowed})"
    )


MOVES = {state: _move_statement(state) for state in State}
FIRST = TRANSITIONS[State.PENDING] | {State.PENDING}


def moves_to(write: Write) -> State | None:
    """The state that a write moves an entry to; None where it is no move. What has it in common goes together."""
    return write.to if isinstance(write, Move) else None


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
