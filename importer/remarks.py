"""What is said of a row that could not be sent, or whose sending is in doubt: the reasons and the fixes, in words."""

from collections.abc import Sequence

from importer.api.problems import Answer
from importer.existing import Found, said_of
from importer.jobs import Job
from importer.outcomes import Code, Issue, Stage


def is_retryable(answer: Answer[object]) -> bool:
    """Whether the server says that trying again may help."""
    return bool(answer.problem and answer.problem.retryable)


def issues_of(answer: Answer[object], code: Code) -> list[Issue]:
    """What the server objects to, field by field where it says so, in words that hold no credential."""
    problem = answer.problem
    if problem is None:
        reason = f"no usable answer: {said_of(answer)}"
        return [Issue("", code, reason, _RUN_AGAIN, Stage.SEND, answer.status, retryable=True)]
    fix = problem.remedy or (_RUN_AGAIN if code is Code.ATTEMPTS_SPENT else _FIX_OF.get(answer.status or 0, _FIX))
    parts = [(issue.name, issue.text) for issue in problem.issues] or [("", problem.text)]
    return [
        Issue(
            name, code, f"the API says: {text or problem.text}", fix, Stage.SEND, answer.status, is_retryable(answer),
            problem.request_id,
        )
        for name, text in parts
    ]  # fmt: skip


_RUN_AGAIN = "Run again: the row is taken up where it was left."
_FIX = "Correct the row in the source and run again."
_FIX_OF = {
    400: _FIX,
    401: "Check that the key may create connections of this provider.",
    403: "Check that the key may create connections of this provider.",
    404: "Check that the provider is set up in the project.",
    422: _FIX,
}

UNKNOWN = Issue(
    "", Code.NO_ANSWER, "it was sent, no trustworthy answer came back, and it could not be looked up",
    "Run again, or importer verify: it is looked up before anything is sent.", Stage.SEND, retryable=True,
)  # fmt: skip

ID_REPEATS = Issue(
    "", Code.NO_ANSWER, "the API gives its connection an id that repeats a credential of the row: it is not believed",
    "Check that api.url is the platform's; if it is, tell its support: it gives credentials away.", Stage.SEND,
    retryable=True,
)  # fmt: skip


def other_refs(connection_id: str | None) -> Issue:
    """A connection that the server made under other refs than it was sent: nobody here can say what became of it."""
    if connection_id:
        reason = f"the server says it created connection {connection_id}, but under other refs: it is not sent again"
        fix = "Look for it in the dashboard. Once it is deleted there, the next run sends the row again."
    else:
        reason = "the server says it was created, and it is not to be found: it is not sent again in this run"
        fix = "Look for it in the dashboard: the next run looks once more, and then sends it."
    return Issue("", Code.NO_ANSWER, reason, fix, Stage.SEND, 201, retryable=True)


def failed(code: Code, job: Job) -> Issue:
    """The attempts are spent, or the server gave up: nothing was made, and what the last answer was."""
    fix = _RUN_AGAIN
    if code is Code.SERVER_GAVE_UP:
        reason = f"the server failed on it and says that trying again is of no use; no connection was made: {job.said}"
    else:
        reason = f"no connection was made in {_times(job.attempts)}; the last answer: {job.said}"
        if job.http_status and 300 <= job.http_status < 400:
            fix = "The address redirects, which is not followed: check --api-url, then run again."
    return Issue("", code, reason, fix, Stage.SEND, job.http_status, retryable=True, request_id=job.request_id)


def _times(attempts: int) -> str:
    return f"{attempts} attempt{'' if attempts == 1 else 's'}"


GONE = Issue(
    "", Code.NOT_FOUND, "its connection is no longer at the platform, so it could not be updated (404)",
    "importer verify finds out what is gone; verify --forget-missing --yes has it posted again.", Stage.SEND, 404,
)  # fmt: skip


def cannot_update(found: Found) -> Issue:
    """A connection is there, is to be updated, and is of a kind that the API cannot update."""
    return Issue(
        "", Code.CHANGED,
        f"connection {found.shown} is there already, and the API cannot replace this kind of credential",
        "It stays as it is. If it is in bad_credentials, have the customer log in again.", Stage.SEND,
    )  # fmt: skip


def double(found: Sequence[Found]) -> Issue:
    """Two connections for one key: for a person to decide, never deleted by us."""
    ids = ", ".join(one.shown for one in found)
    return Issue(
        "", Code.DOUBLE, f"there are {len(found)} connections for this key: {ids}",
        "Keep the one that your installations use and delete the other in the dashboard.", Stage.SEND,
    )  # fmt: skip


NOT_CHECKED = Issue(
    "", Code.NOT_CHECKED, "it was sent again after a lost answer, and whether it is there twice could not be looked up",
    "Run importer verify when the API answers: it names every key with two connections.", Stage.SEND,
)  # fmt: skip
