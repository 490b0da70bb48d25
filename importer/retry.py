"""What an answer means, and when to try again: one table, one formula, one loop."""

import random
import unicodedata
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tenacity import AsyncRetrying, RetryCallState, retry_if_result, stop_never

from importer.api.models import Connection
from importer.api.problems import Answer, Fate
from importer.outcomes import Verdict
from importer.records import Identity

REFUSES_THE_KEY = frozenset({401, 403, 404})
"""Statuses that mean the whole run when a read of the project gets one too: wrong key, no rights, no such project."""


def classify(answer: Answer[Connection], sent: Identity) -> Verdict:
    """What the answer to a post of `sent` means for its row.

    `retryable` never skips the look: a 5xx that says it may have committed before it failed.
    """
    status = answer.status or 0
    if answer.fate is Fate.NEVER_LEFT or status == 429:
        return Verdict.RETRY
    if answer.fate is Fate.LOST:
        return Verdict.LOOK
    if status == 201:
        return Verdict.CREATED if answer.value and same_refs(answer.value.identity, sent) else Verdict.LOOK
    if status in REFUSES_THE_KEY:
        return Verdict.STOP
    if status in (408, 409) or not 400 <= status < 500:
        return Verdict.LOOK
    return Verdict.AGAIN if answer.problem and answer.problem.retryable else Verdict.REJECT


def same_refs(answered: Identity, sent: Identity) -> bool:
    """Whether an answer is about the row that was sent. Refs it leaves out count as ours, and so does a server that
    trims blanks or folds case."""
    if answered == sent:
        return True
    return all(not theirs or fold(theirs) == fold(ours) for theirs, ours in zip(answered, sent, strict=True))


def fold(ref: str) -> str:
    """A ref as a server may keep it that trims blanks, folds case or composes letters (Unicode NFC)."""
    return unicodedata.normalize("NFC", ref.strip()).casefold()


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait after a failed attempt: exponential, with full jitter."""

    attempts: int = 5
    base_s: float = 0.5
    cap_s: float = 60.0

    def delay_s(self, attempt: int, asked_s: float | None = None) -> float | None:
        """Seconds to wait after failed attempt 1, 2, …; None once the attempts are spent.

        At least what the server asks for, and at least full jitter, uniform(0, min(cap_s, base_s * 2 ** (attempt - 1)))
        (Brooker, "Exponential Backoff and Jitter", 2015).
        """
        if attempt >= self.attempts:
            return None
        return self.pause_s(attempt, asked_s)

    def pause_s(self, attempt: int, asked_s: float | None = None) -> float:
        """The same for a wait that spends no attempt, and so never ends."""
        most_s = min(self.cap_s, self.base_s * 2 ** min(attempt - 1, 30))
        return max(asked_s or 0.0, random.uniform(0, most_s))  # noqa: S311 - spreads load, hides nothing


@dataclass(frozen=True, slots=True)
class Wait:
    """A step ended and the next one is due in `seconds`."""

    seconds: float


async def until_done(
    step: Callable[[], Awaitable[Wait | None]], sleep: Callable[[float], Awaitable[None]], first: Wait | None = None
) -> None:
    """Take step after step, with the wait that each asks for between them, until one asks for none.

    Every wait of a row goes through here. `first` is a wait before the first step. What a step raises is raised.
    """

    waits = [first] if first else []

    async def next_step() -> Wait | None:
        return waits.pop() if waits else await step()

    def asked_for(state: RetryCallState) -> float:
        wait = state.outcome.result() if state.outcome else None
        return wait.seconds if wait else 0.0

    retrying = AsyncRetrying(
        retry=retry_if_result(lambda wait: wait is not None), wait=asked_for, stop=stop_never, sleep=sleep
    )
    await retrying(next_step)
