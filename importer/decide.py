"""What to do with a row: pure, from what it would send, what the ledger knows of it, and what is there already."""

from typing import Literal, NamedTuple

from importer.ledger.base import Entry
from importer.outcomes import Code, Issue, Stage, State
from importer.records import AuthScheme, Fingerprint
from importer.spool import Action

Only = Literal["all", "new", "unfinished"]

NOT_KNOWN = b""
"""The fingerprint of a connection of which nobody knows what it holds: it differs from every other."""


class Decision(NamedTuple):
    """What to do with a row, under what heading it is counted, and what its owner has to be told."""

    action: Action
    kind: str
    issue: Issue | None = None


class RowFacts(NamedTuple):
    """What one row of this run would send."""

    fingerprint: Fingerprint
    scheme: AuthScheme
    superseded: bool = False


def decide(facts: RowFacts, entry: Entry | None, *, changed: Literal["update", "report"], only: Only) -> Decision:
    """What to do with a row that is sound. `changed` is `policy.changed`, `only` the flag of that name."""
    decision = _decide_known(facts, entry, changed) if entry else Decision(Action.POST, "new")
    if (only == "new" and decision.kind != "new") or (only == "unfinished" and decision.kind != "unfinished"):
        return decision if decision.action is Action.UNCHANGED else Decision(Action.NOT_SENT, decision.kind)
    return decision


def _decide_known(facts: RowFacts, entry: Entry, changed: str) -> Decision:
    match entry.state:
        case State.PENDING | State.REJECTED | State.FAILED:
            return Decision(Action.POST, "unfinished")
        case State.SENDING | State.UNKNOWN:
            return Decision(Action.LOOK, "unfinished")
        case State.ROLLED_BACK:
            return Decision(Action.NOT_SENT, "rolled_back", _ROLLED_BACK)
        case State.MISSING:
            return Decision(Action.NOT_SENT, "missing", _MISSING)
        case State.CREATED:
            return _decide_done(facts, entry, changed)


def _decide_done(facts: RowFacts, entry: Entry, changed: str) -> Decision:
    """A row with a connection: never posted again, whatever its credentials say."""
    wanted = facts.fingerprint.dump()
    if wanted == entry.fingerprint and entry.op_fingerprint is None:
        return Decision(Action.UNCHANGED, "done")
    if facts.superseded:
        return _told_once(_STALE, "stale", wanted, entry)
    begun = entry.op_fingerprint is not None or entry.fingerprint == NOT_KNOWN
    if begun and masks(facts, entry) is not None:
        return Decision(Action.PATCH, "unfinished")
    if changed == "update" and masks(facts, entry) is not None:
        return Decision(Action.PATCH, "changed")
    return _told_once(_report_of(facts, changed), "changed", wanted, entry)


def decide_once_there(facts: RowFacts, entry: Entry, changed: str) -> Decision:
    """What is left to do for a row in doubt once its connection is found: it holds what was posted, not what is new."""
    return _decide_done(facts, entry._replace(state=State.CREATED, op_fingerprint=None), changed)


def _told_once(issue: Issue, kind: str, wanted: bytes, entry: Entry) -> Decision:
    """An error on the night the change is first seen, none after it."""
    return Decision(Action.CHANGED, kind, None if entry.reported == wanted else issue)


def masks(facts: RowFacts, entry: Entry) -> tuple[str, ...] | None:
    """The `updateMask` that brings a connection to what the row says; None where the API cannot patch it.

    A PATCH that may or may not have arrived is sent with everything that can differ from either of the two states.
    """
    known = [Fingerprint.load(blob) for blob in (entry.fingerprint, entry.op_fingerprint) if blob]
    wanted, whole = facts.fingerprint, whole_mask(facts)
    if not entry.fingerprint:
        return whole
    parts: list[str] = []
    if any(old.auth != wanted.auth for old in known):
        if whole is None:
            return None
        parts.append(whole[0])
    if any(old.metadata != wanted.metadata for old in known):
        parts.append("providerMetadata")
    if any(old.workspace != wanted.workspace for old in known):
        parts.append("providerWorkspaceRef")
    return tuple(parts)


def whole_mask(facts: RowFacts) -> tuple[str, ...] | None:
    """Everything of a row that a PATCH can bring; None where it cannot bring the credential."""
    mask = _MASK_OF.get(facts.scheme)
    return (mask, "providerMetadata", "providerWorkspaceRef") if mask else None


_MASK_OF = {
    AuthScheme.API_KEY: "apiKey",
    AuthScheme.BASIC: "basicAuth",
    AuthScheme.CLIENT_CREDENTIALS: "oauth2ClientCredentials",
    AuthScheme.PASSWORD: "oauth2PasswordCredentials",
}


def _report_of(facts: RowFacts, changed: str) -> Issue:
    if changed == "report":
        fix = 'Set policy.changed = "update" to have it updated, or leave it: it is reported once.'
        return Issue("", Code.CHANGED, "the credentials changed since the connection was made", fix, Stage.PLAN)
    if facts.scheme is AuthScheme.AUTHORIZATION_CODE:
        fix = (
            "The platform refreshes its own tokens, so usually nothing. If the connection is in bad_credentials, "
            "have the customer log in again."
        )
        reason = "the OAuth tokens changed since the connection was made, and the API cannot replace tokens"
        return Issue("", Code.CHANGED, reason, fix, Stage.PLAN)
    reason = "the credentials changed since the connection was made, and the API cannot replace this kind"
    fix = "Delete the connection (importer rollback, or the dashboard) and import the row again."
    return Issue("", Code.CHANGED, reason, fix, Stage.PLAN)


_STALE = Issue(
    "", Code.STALE, "these credentials were replaced by newer ones before: an older version came back",
    "Export the source again; the newer credentials stay in place.", Stage.PLAN,
)  # fmt: skip
_ROLLED_BACK = Issue(
    "", Code.ROLLED_BACK, "its connection was rolled back, so it is not posted again by itself",
    "To post it again: importer verify --forget-missing --yes, then run.", Stage.PLAN,
)  # fmt: skip
_MISSING = Issue(
    "", Code.MISSING, "its connection is no longer at the platform, so somebody deleted it",
    "To post it again: importer verify --forget-missing --yes, then run.", Stage.PLAN,
)  # fmt: skip
