"""What an answer means is a table, the wait a formula, and the loop takes step after step."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from importer.api.models import Connection
from importer.api.problems import Answer, Fate, Problem
from importer.outcomes import Verdict
from importer.records import Identity
from importer.retry import Backoff, Wait, classify, until_done

SENT = Identity("salesforce", "Acme", "ada")
LONG_RUN = 10_000


def connection(provider: str = SENT.provider, group: str = SENT.group_ref, consumer: str = SENT.consumer_ref) -> Any:
    """A connection of these refs, read as an answer is."""
    fields = {"id": "c-1", "provider": provider, "group": {"groupRef": group}, "consumer": {"consumerRef": consumer}}
    return Connection.model_validate(fields)


def answered(status: int, value: Any = None, retryable: bool | None = None) -> Answer[Connection]:
    """An answer of this status; from 400 on it has a problem document."""
    return Answer(Fate.ANSWERED, status, value, Problem(retryable=retryable) if status >= 400 else None)


NEVER_LEFT: Answer[Connection] = Answer(Fate.NEVER_LEFT, why="cannot connect")
LOST: Answer[Connection] = Answer(Fate.LOST, why="the server hung up before it answered")
TIMED_OUT: Answer[Connection] = Answer(Fate.LOST, why="no answer within 30 s", timed_out=True)

RETRYABLE = [None, True, False]


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        # it is there, and it is the row's
        (answered(201, connection()), Verdict.CREATED),
        (answered(201, Connection(id="c-1")), Verdict.CREATED),
        (answered(201, connection(consumer="")), Verdict.CREATED),
        (answered(201, connection(group=" acme ", consumer="ADA")), Verdict.CREATED),
        (answered(201, connection(provider="Salesforce")), Verdict.CREATED),
        # 201 and yet not what was asked for
        (answered(201), Verdict.LOOK),
        (answered(201, connection(provider="hubspot")), Verdict.LOOK),
        (answered(201, connection(group="Acme 2")), Verdict.LOOK),
        (answered(201, connection(consumer="bob")), Verdict.LOOK),
        (answered(201, connection(group="ada", consumer="Acme")), Verdict.LOOK),
        # no answer to a post, or none to trust
        (LOST, Verdict.LOOK),
        (TIMED_OUT, Verdict.LOOK),
        *[(answered(status, connection()), Verdict.LOOK) for status in (200, 202, 204)],
        *[(answered(status), Verdict.LOOK) for status in (200, 204, 301, 302, 303, 307, 308, 304)],
        *[(answered(status, None, said), Verdict.LOOK) for status in (408, 409) for said in RETRYABLE],
        *[(answered(status, None, said), Verdict.LOOK) for status in (*range(500, 505), 599) for said in RETRYABLE],
        # it did nothing, and not for the row's sake
        (NEVER_LEFT, Verdict.RETRY),
        *[(answered(429, None, said), Verdict.RETRY) for said in RETRYABLE],
        # the row is refused
        *[(answered(status), Verdict.REJECT) for status in (400, 402, 405, 410, 413, 415, 418, 422, 451, 499)],
        *[(answered(status, None, False), Verdict.REJECT) for status in (400, 422)],
        *[(answered(status, None, True), Verdict.AGAIN) for status in (400, 422, 423, 425)],
        # perhaps all rows are
        *[(answered(status, None, said), Verdict.STOP) for status in (401, 403, 404) for said in RETRYABLE],
    ],
    ids=lambda case: f"{case.status}-{case.problem and case.problem.retryable}" if isinstance(case, Answer) else case,
)
def test_an_answer_means(answer: Answer[Connection], verdict: Verdict) -> None:
    assert classify(answer, SENT) is verdict


def test_a_4xx_without_a_problem_document_is_a_refusal_of_the_row() -> None:
    assert classify(Answer(Fate.ANSWERED, 422), SENT) is Verdict.REJECT


@given(st.integers(100, 599), st.sampled_from(RETRYABLE))
def test_only_a_201_creates_and_only_a_4xx_may_skip_the_look(status: int, retryable: bool | None) -> None:
    """Every status a server can make up: a row is never taken as done, or as undone, on anything else."""
    verdict = classify(answered(status, connection(), retryable), SENT)

    assert (verdict is Verdict.CREATED) == (status == 201)
    if not 400 <= status < 500:
        assert verdict in (Verdict.CREATED, Verdict.LOOK)


BACKOFFS = st.builds(
    Backoff, attempts=st.integers(1, 12), base_s=st.floats(0.001, 10), cap_s=st.floats(0.001, 600)
)  # fmt: skip
ASKED = st.none() | st.floats(0, 3_600)


@given(BACKOFFS, st.integers(1, LONG_RUN), ASKED)
@example(Backoff(attempts=5), 4, 120.0)
@example(Backoff(attempts=5), 5, 120.0)
@example(Backoff(attempts=LONG_RUN), 9_999, None)
def test_the_wait_ends_with_the_attempts_and_stays_in_its_bounds(
    backoff: Backoff, attempt: int, asked_s: float | None
) -> None:
    delay_s = backoff.delay_s(attempt, asked_s)

    if attempt >= backoff.attempts:
        assert delay_s is None
        return
    jitter_s = min(backoff.cap_s, backoff.base_s * 2 ** min(attempt - 1, 60))
    assert delay_s is not None
    assert (asked_s or 0) <= delay_s <= max(asked_s or 0, jitter_s)


@given(BACKOFFS, st.integers(1, LONG_RUN), ASKED)
def test_a_wait_that_spends_no_attempt_never_ends_and_stays_in_the_same_bounds(
    backoff: Backoff, attempt: int, asked_s: float | None
) -> None:
    assert (asked_s or 0) <= backoff.pause_s(attempt, asked_s) <= max(asked_s or 0, backoff.cap_s)


def test_the_waits_differ_and_grow() -> None:
    """Without jitter all workers would come back at once; without growth they would come back at the same pace."""
    backoff = Backoff(attempts=9, base_s=1.0, cap_s=60.0)

    longest_s = [max(backoff.delay_s(attempt) or 0 for _ in range(200)) for attempt in range(1, 9)]

    assert len({backoff.delay_s(1) for _ in range(50)}) > 1
    assert longest_s[5] > 8 > 1 >= longest_s[0]


def test_a_small_wish_of_the_server_does_not_take_the_jitter_away() -> None:
    assert max(Backoff(base_s=1.0).delay_s(1, asked_s=0.001) or 0 for _ in range(200)) > 0.5


class Steps:
    """Steps that ask for these waits, one after another; notes steps and waits in their order."""

    def __init__(self, *ends: Wait | BaseException | None) -> None:
        self.ends, self.seen = list(ends), list[str]()

    async def step(self) -> Wait | None:
        self.seen.append("step")
        end = self.ends.pop(0)
        if isinstance(end, BaseException):
            raise end
        return end

    async def sleep(self, seconds: float) -> None:
        self.seen.append(f"{seconds:g} s")

    def run(self, first: Wait | None = None) -> list[str]:
        asyncio.run(_until_done(self.step, self.sleep, first))
        return self.seen


async def _until_done(
    step: Callable[[], Awaitable[Wait | None]], sleep: Callable[[float], Awaitable[None]], first: Wait | None
) -> None:
    await until_done(step, sleep, first)


@pytest.mark.parametrize(
    ("ends", "first", "seen"),
    [
        ([None], None, ["step"]),
        ([Wait(1.5), Wait(0.0), None], None, ["step", "1.5 s", "step", "0 s", "step"]),
        ([None], Wait(4.0), ["4 s", "step"]),
        ([Wait(2.0), None], Wait(4.0), ["4 s", "step", "2 s", "step"]),
    ],
)
def test_steps_are_taken_with_the_waits_they_ask_for(
    ends: list[Wait | None], first: Wait | None, seen: list[str]
) -> None:
    assert Steps(*ends).run(first) == seen


def test_a_step_is_taken_as_often_as_it_asks_for() -> None:
    """No limit of the loop's own: Backoff says when it ends."""
    assert Steps(*[Wait(1.0)] * 500, None).run().count("step") == 501


@pytest.mark.parametrize("error", [KeyError("a bug"), asyncio.CancelledError()])
def test_what_a_step_raises_is_raised_as_it_is(error: BaseException) -> None:
    steps = Steps(Wait(1.0), error, None)

    with pytest.raises(type(error)) as caught:
        steps.run()

    assert caught.value is error
    assert steps.seen == ["step", "1 s", "step"]
