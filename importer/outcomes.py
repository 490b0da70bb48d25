"""What an answer means, where a row stands, what became of it: the closed lists of the whole tool."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What one answer to one request means for its row."""

    CREATED = "created"
    RETRY = "retry"
    LOOK = "look"
    REJECT = "reject"
    AGAIN = "again"
    STOP = "stop"


class State(StrEnum):
    """Where an entry of the ledger stands."""

    PENDING = "pending"
    SENDING = "sending"
    CREATED = "created"
    REJECTED = "rejected"
    FAILED = "failed"
    UNKNOWN = "unknown"
    ROLLED_BACK = "rolled_back"
    MISSING = "missing"


TRANSITIONS: dict[State, frozenset[State]] = {
    # A row that was never sent, or whose last request certainly made nothing: it may be sent, adopted or refused.
    State.PENDING: frozenset({State.SENDING, State.CREATED, State.REJECTED}),
    State.REJECTED: frozenset({State.SENDING, State.CREATED, State.REJECTED}),
    State.FAILED: frozenset({State.SENDING, State.CREATED, State.REJECTED}),
    # An intent is on disk: the request may be on its way.
    State.SENDING: frozenset(
        {State.CREATED, State.REJECTED, State.FAILED, State.UNKNOWN, State.PENDING, State.SENDING}
    ),
    # Sent, no trustworthy answer: only a look settles it.
    State.UNKNOWN: frozenset({State.CREATED, State.PENDING, State.FAILED}),
    # Done stays done: only `rollback` and `verify` lead out.
    State.CREATED: frozenset({State.ROLLED_BACK, State.MISSING}),
    State.ROLLED_BACK: frozenset({State.PENDING}),
    State.MISSING: frozenset({State.PENDING, State.CREATED}),
}
"""For each state, where an entry may go from it; the ledger refuses every other move."""


class Outcome(StrEnum):
    """What became of one row in one run: the `outcome` column of results.csv."""

    CREATED = "created"
    ADOPTED = "adopted"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    DUPLICATE = "duplicate"
    CHANGED = "changed"
    REJECTED = "rejected"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_SENT = "not_sent"


DONE = frozenset({Outcome.CREATED, Outcome.ADOPTED, Outcome.UPDATED, Outcome.UNCHANGED, Outcome.DUPLICATE})
"""Outcomes with which nobody has anything left to do."""


class Stage(StrEnum):
    """Where a problem was found: the `stage` column of errors.csv."""

    READ = "read"
    MAP = "map"
    PLAN = "plan"
    SEND = "send"
    VERIFY = "verify"


class Code(StrEnum):
    """The closed list of problem codes: the `code` column of errors.csv, explained in docs/problems.md."""

    # read
    RAGGED_ROW = "ragged_row"
    BAD_ENCODING = "bad_encoding"
    BAD_QUOTE = "bad_quote"
    FIELD_TOO_LONG = "field_too_long"
    # map
    MISSING_VALUE = "missing_value"
    BAD_REF = "bad_ref"
    CREDENTIAL_IN_REF = "credential_in_ref"
    BAD_DATE = "bad_date"
    BAD_SCOPES = "bad_scopes"
    BAD_JSON = "bad_json"
    NOT_IN_VALUES = "not_in_values"
    BAD_TYPE = "bad_type"
    NO_CREDENTIAL = "no_credential"
    SEVERAL_CREDENTIALS = "several_credentials"
    WRONG_SCHEME = "wrong_scheme"
    BAD_REQUEST = "bad_request"
    ENCRYPTED = "encrypted"
    MASKED = "masked"
    BAD_TOKEN = "bad_token"  # noqa: S105 - the name of a problem
    CANNOT_DECRYPT = "cannot_decrypt"
    # plan
    CONFLICT = "conflict"
    SHARED_TOKEN = "shared_token"  # noqa: S105 - the name of a problem
    SHARED_GROUP = "shared_group"
    EXISTS = "exists"
    CHANGED = "changed"
    STALE = "stale"
    ROLLED_BACK = "rolled_back"
    MISSING = "missing"
    UNKNOWN_PROVIDER = "unknown_provider"
    NOT_IMPORTABLE = "not_importable"
    WRONG_CREDENTIAL = "wrong_credential"
    MISSING_INPUT = "missing_input"
    DEFAULT_INPUT = "default_input"
    UNKNOWN_INPUT = "unknown_input"
    BAD_WORKSPACE = "bad_workspace"
    NO_WORKSPACE = "no_workspace"
    DOUBLED_PREFIX = "doubled_prefix"
    ODD_CREDENTIAL = "odd_credential"
    NO_SCOPES = "no_scopes"
    LOGIN_SCOPES = "login_scopes"
    ID_TOKEN = "id_token"  # noqa: S105 - the name of a problem
    NO_ACCESS_TOKEN = "no_access_token"  # noqa: S105 - the name of a problem
    NO_REFRESH_TOKEN = "no_refresh_token"  # noqa: S105 - the name of a problem
    NO_PROVIDER_APP = "no_provider_app"
    OTHER_CLIENT = "other_client"
    EXPIRED_TOKEN = "expired_token"  # noqa: S105 - the name of a problem
    # send
    API_REJECTED = "api_rejected"
    UPDATE_REFUSED = "update_refused"
    ATTEMPTS_SPENT = "attempts_spent"
    SERVER_GAVE_UP = "server_gave_up"
    NO_ANSWER = "no_answer"
    DOUBLE = "double"
    NOT_CHECKED = "not_checked"
    STOPPED = "stopped"
    # verify
    BAD_CREDENTIALS = "bad_credentials"
    NOT_FOUND = "not_found"
    UNKNOWN_TO_LEDGER = "unknown_to_ledger"


RUN_AGAIN = frozenset({Code.ATTEMPTS_SPENT, Code.SERVER_GAVE_UP, Code.NO_ANSWER, Code.STOPPED})
"""Problems that the next run takes up by itself; every other one needs somebody's fix."""


@dataclass(frozen=True, slots=True)
class Issue:
    """One problem of one row: `field` is the column or the path in the request it is about, `fix` what to do.

    Neither `reason` nor `fix` ever quotes a cell: two swapped columns would put a token there.
    """

    field: str
    code: Code
    reason: str
    fix: str
    stage: Stage = Stage.MAP
    http_status: int | None = None
    retryable: bool = False
    request_id: str = ""


def gist(reason: str) -> str:
    """A reason without its numbers: problems of one kind that name their own lines and rows are counted together."""
    return re.sub(r"\d[\d,.:-]*", "N", reason)


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that cannot be sent, with all its problems at once."""

    issues: Sequence[Issue]
