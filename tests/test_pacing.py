"""How fast requests start, on a clock that only sleeping moves: rate, hold, probe, stop."""

import asyncio
from collections import deque
from collections.abc import Iterable
from itertools import pairwise

import pytest
from conftest import MovedClock

from importer.api.problems import Answer, Fate
from importer.errors import ApiRefused, Exit
from importer.pacing import (
    PROBE_AFTER,
    UNLIMITED,
    AdaptiveRate,
    FixedRate,
    Pacer,
    PaceState,
    Patience,
    RatePolicy,
    rate_policy,
)

OK: Answer[object] = Answer(Fate.ANSWERED, 201)
ROW_REFUSED: Answer[object] = Answer(Fate.ANSWERED, 422, retry_after_s=60.0)
TOO_FAST: Answer[object] = Answer(Fate.ANSWERED, 429)
LOST: Answer[object] = Answer(Fate.LOST, why="the server hung up before it answered")
NEVER_LEFT: Answer[object] = Answer(Fate.NEVER_LEFT, why="cannot connect")
FAILED: Answer[object] = Answer(Fate.ANSWERED, 503)


def too_fast(retry_after_s: float) -> Answer[object]:
    return Answer(Fate.ANSWERED, 429, retry_after_s=retry_after_s)


def pacer(clock: MovedClock, policy: RatePolicy | None = None, **patience: float) -> Pacer:
    return Pacer(policy or FixedRate(UNLIMITED), Patience(**patience), clock)  # type: ignore[arg-type]  # one is an int


async def starts_for(pacer: Pacer, clock: MovedClock, seconds: float, answer: Answer[object] = OK) -> list[float]:
    """When requests started within this time, each answered at once."""
    end, starts = clock.time + seconds, list[float]()
    while True:
        await pacer.slot()
        if clock.time >= end:
            return starts
        starts.append(clock.time)
        pacer.heard(answer)


def most_in_a_second(starts: Iterable[float]) -> int:
    """The most starts in any window of one second; the second after it begins where it ends."""
    window, most = deque[float](), 0
    for start in starts:
        window.append(start)
        while window[0] <= start - 1.0 + 1e-6:
            window.popleft()
        most = max(most, len(window))
    return most


# --- the rate ---

RATES = [0.5, 1, 7, 20, 1000]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("late_s", [0.0, 0.001])
def test_a_fixed_rate_is_kept_in_every_second_and_reached_in_a_minute(rate: float, late_s: float) -> None:
    """Timers that end a millisecond late cost nothing: what is late is made good within the window."""
    clock = MovedClock(late_s=late_s)

    starts = asyncio.run(starts_for(pacer(clock, FixedRate(rate)), clock, 60))

    assert most_in_a_second(starts) <= rate + 1
    assert len(starts) >= 0.99 * rate * 60


@pytest.mark.parametrize("rate", [7, 20, 1000])
@pytest.mark.parametrize("late_s", [0.04, 0.5, 30.0])
def test_a_start_that_comes_late_is_made_good_within_the_window_only(rate: float, late_s: float) -> None:
    """A short delay costs no request; after a long one the missed requests do not come all at once."""

    async def run() -> list[float]:
        clock = MovedClock()
        paced = pacer(clock, FixedRate(rate))
        before = await starts_for(paced, clock, 10)
        clock.time += late_s
        return before + await starts_for(paced, clock, 20 - min(late_s, 0.05))

    starts = asyncio.run(run())

    assert most_in_a_second(starts) <= rate + 1
    assert len(starts) >= 0.99 * rate * (30 if late_s < 0.05 else 29.9)


@pytest.mark.parametrize("pause_s", [0.0, 30.0])
def test_the_first_requests_and_those_after_a_pause_keep_the_rhythm(clock: MovedClock, pause_s: float) -> None:
    """50 of 1,000 at the same instant, once a second from then on, are a burst that a small bucket refuses."""

    async def run() -> list[float]:
        paced = pacer(clock, FixedRate(1000))
        if pause_s:
            await starts_for(paced, clock, 2)
            clock.time += pause_s
        return await starts_for(paced, clock, 0.01)

    assert len(asyncio.run(run())) <= 11


def test_many_workers_share_one_rate(clock: MovedClock) -> None:
    async def run() -> list[float]:
        paced, starts = pacer(clock, FixedRate(20)), list[float]()

        async def worker() -> None:
            for _ in range(20):
                await paced.slot()
                starts.append(clock.time)
                await asyncio.sleep(0)
                paced.heard(OK)

        await asyncio.gather(*(worker() for _ in range(30)))
        assert paced.requests == 600
        return starts

    starts = asyncio.run(run())

    assert most_in_a_second(starts) <= 21
    assert starts[-1] - starts[0] == pytest.approx(599 / 20, abs=0.1)


def test_without_a_limit_nobody_waits(clock: MovedClock) -> None:
    async def run() -> None:
        paced = pacer(clock)
        for _ in range(5_000):
            await paced.slot()
            paced.heard(OK)
        assert paced.requests == 5_000

    asyncio.run(run())

    assert clock.time == 1_000.0


@pytest.mark.parametrize(
    ("setting", "policy"),
    [
        (20.0, FixedRate(20.0)),
        (7, FixedRate(7.0)),
        ("unlimited", FixedRate(UNLIMITED)),
        ("auto", AdaptiveRate()),
    ],
)
def test_the_setting_chooses_the_policy(setting: float | str, policy: RatePolicy) -> None:
    assert rate_policy(setting) == policy


# --- the server's wish ---


@pytest.mark.parametrize("rate", [UNLIMITED, 20.0])
@pytest.mark.parametrize("answer", [too_fast(30), Answer(Fate.ANSWERED, 503, retry_after_s=30.0)])
def test_a_wish_of_the_server_holds_everybody(clock: MovedClock, rate: float, answer: Answer[object]) -> None:
    async def run() -> list[float]:
        paced, starts = pacer(clock, FixedRate(rate)), list[float]()

        async def worker() -> None:
            await paced.slot()
            starts.append(clock.time)

        await paced.slot()
        paced.heard(answer)
        assert paced.hold_s == 30.0
        assert paced.held_for == "the API asked to wait 30 s"
        await asyncio.gather(*(worker() for _ in range(10)))
        assert paced.held_for == ""
        return starts

    starts = asyncio.run(run())

    assert len(starts) == 10
    assert min(starts) >= 1_030.0
    assert max(starts) <= 1_031.0


def test_a_hold_grows_while_somebody_waits_for_it_and_never_shrinks(clock: MovedClock) -> None:
    async def run() -> None:
        paced = pacer(clock)
        paced.heard(too_fast(10))
        waiting = asyncio.create_task(paced.slot())
        for _ in range(20):
            await asyncio.sleep(0)
        assert 1_004.0 <= clock.time < 1_006.0
        paced.heard(too_fast(20))
        paced.heard(too_fast(1))
        await waiting

    asyncio.run(run())

    assert clock.time == pytest.approx(1_025.0, abs=0.5)


def test_a_wish_in_the_refusal_of_a_row_holds_nobody(clock: MovedClock) -> None:
    paced = pacer(clock)

    paced.heard(ROW_REFUSED)

    assert paced.hold_s == 0.0


def test_a_wish_longer_than_our_patience_ends_the_run(clock: MovedClock) -> None:
    async def run() -> ApiRefused:
        paced = pacer(clock, max_wait_s=300.0)
        paced.heard(too_fast(300))
        assert paced.stopped is None
        paced.heard(too_fast(900))
        with pytest.raises(ApiRefused) as caught:
            await paced.slot()
        return caught.value

    error = asyncio.run(run())

    assert str(error) == "stopped: the API asks to wait 900 s, longer than retry.max_wait_s (300 s)"
    assert error.hint == "Run again in 15 minutes; every row is where it was."
    assert error.exit_code is Exit.STOPPED


# --- stop ---


@pytest.mark.parametrize("rate", [UNLIMITED, 0.001])
def test_stop_is_raised_for_everybody_who_waits_or_comes(clock: MovedClock, rate: float) -> None:
    async def run() -> None:
        paced = pacer(clock, FixedRate(rate))
        await paced.slot()
        paced.heard(too_fast(250))
        waiting = [asyncio.create_task(paced.slot()) for _ in range(5)]
        await asyncio.sleep(0)
        reason = ApiRefused("the key is refused")
        paced.stop(reason)
        paced.stop(ApiRefused("another reason"))
        assert await asyncio.gather(*waiting, return_exceptions=True) == [reason] * 5
        with pytest.raises(ApiRefused, match="the key is refused"):
            await paced.slot()
        assert paced.requests == 1

    asyncio.run(run())


# --- nothing answers ---


@pytest.mark.parametrize("failure", [LOST, NEVER_LEFT, FAILED], ids=["lost", "never left", "503"])
def test_after_ten_failures_probes_go_with_growing_pauses(clock: MovedClock, failure: Answer[object]) -> None:
    async def run() -> list[float]:
        paced, starts = pacer(clock, stop_after=0, base_s=0.5, cap_s=60.0), list[float]()
        for _ in range(PROBE_AFTER + 12):
            probe = await paced.slot()
            starts.append(clock.time)
            paced.heard(failure, probe)
        assert paced.held_for == "the API does not answer"
        paced.heard(OK, await paced.slot())
        starts.append(clock.time)
        await asyncio.gather(*(paced.slot() for _ in range(50)))
        assert clock.time == starts[-1]
        return starts

    starts = asyncio.run(run())
    pauses = [later - earlier for earlier, later in pairwise(starts)]

    assert pauses[: PROBE_AFTER - 1] == [0.0] * (PROBE_AFTER - 1)
    for number, pause_s in enumerate(pauses[PROBE_AFTER - 1 :]):
        most_s = min(60.0, 0.5 * 2**number)
        assert most_s / 2 - 0.001 <= pause_s <= most_s + 0.05


def test_one_probe_goes_alone_until_it_is_heard_of(clock: MovedClock) -> None:
    async def run() -> None:
        paced, started = pacer(clock), list[int]()

        async def worker(number: int) -> None:
            await paced.slot()
            started.append(number)

        for _ in range(PROBE_AFTER):
            paced.heard(LOST)
        workers = [asyncio.create_task(worker(number)) for number in range(8)]
        for _ in range(500):
            await asyncio.sleep(0)
        assert len(started) == 1
        paced.heard(LOST, probe=True)
        for _ in range(500):
            await asyncio.sleep(0)
        assert len(started) == 2
        paced.heard(OK, probe=True)
        await asyncio.gather(*workers)
        assert len(started) == 8

    asyncio.run(run())


def test_a_burst_of_failures_counts_as_one_reason_to_hold(clock: MovedClock) -> None:
    """A restart of the server cuts off 32 requests at once: the first probe goes soon, not after a minute."""

    async def run() -> None:
        paced = pacer(clock, base_s=0.5, cap_s=60.0)
        for _ in range(32):
            await paced.slot()
        for _ in range(32):
            paced.heard(LOST)
        assert paced.hold_s <= 1.0

    asyncio.run(run())


def test_a_late_failure_of_an_older_request_lets_no_second_probe_go(clock: MovedClock) -> None:
    async def run() -> None:
        paced = pacer(clock, base_s=0.5, cap_s=1.0)
        for _ in range(PROBE_AFTER + 1):
            await paced.slot()
        for _ in range(PROBE_AFTER):
            paced.heard(LOST)
        await paced.slot()
        paced.heard(LOST)  # of the eleventh request; the probe is still out
        second = asyncio.create_task(paced.slot())
        for _ in range(500):
            await asyncio.sleep(0)
        assert not second.done()
        second.cancel()

    asyncio.run(run())


def test_an_answer_between_failures_starts_the_count_anew(clock: MovedClock) -> None:
    paced = pacer(clock, stop_after=20)

    for _ in range(50):
        for _ in range(PROBE_AFTER - 1):
            paced.heard(LOST)
        paced.heard(Answer(Fate.ANSWERED, 422))

    assert paced.hold_s == 0.0
    assert paced.stopped is None


def test_stop_after_failures_in_a_row_the_run_stops_with_one_message(clock: MovedClock) -> None:
    async def run() -> ApiRefused:
        paced = pacer(clock, stop_after=30)
        for number in range(29):
            probe = await paced.slot()
            paced.heard((LOST, NEVER_LEFT, FAILED)[number % 3], probe)
        assert paced.stopped is None
        paced.heard(LOST, probe=True)
        paced.heard(LOST, probe=True)
        with pytest.raises(ApiRefused) as caught:
            await paced.slot()
        return caught.value

    error = asyncio.run(run())

    assert str(error) == "stopped after 30 failed requests in a row: the API does not answer"
    assert "limits.stop_after" in error.hint


def test_stop_after_0_means_never(clock: MovedClock) -> None:
    paced = pacer(clock, stop_after=0)

    for _ in range(5_000):
        paced.heard(LOST, probe=True)

    assert paced.stopped is None
    assert 30.0 <= paced.hold_s <= 60.0


# --- refusals for pace ---


def test_refusals_for_pace_are_no_failures(clock: MovedClock) -> None:
    paced = pacer(clock, stop_after=10)

    for _ in range(500):
        paced.heard(TOO_FAST)

    assert paced.stopped is None
    assert paced.hold_s == 0.0
    assert paced.throttled == 500


def test_refusals_for_longer_than_our_patience_end_the_run(clock: MovedClock) -> None:
    async def run() -> list[float]:
        paced = pacer(clock, FixedRate(1), max_wait_s=300.0)
        with pytest.raises(ApiRefused, match=r"has refused every request for 30\d s \(429\)"):
            await starts_for(paced, clock, 10_000, TOO_FAST)
        return [clock.time]

    assert asyncio.run(run()) == [pytest.approx(1_301.0, abs=1.5)]


def test_refusals_between_answers_end_nothing(clock: MovedClock) -> None:
    async def run() -> None:
        paced = pacer(clock, FixedRate(1), max_wait_s=300.0)
        for _ in range(20):
            await starts_for(paced, clock, 100, TOO_FAST)
            paced.heard(OK)

    asyncio.run(run())

    assert clock.time >= 3_000.0


# --- the adaptive rate ---


@pytest.mark.parametrize(
    ("state", "rate"),
    [
        # a refusal: one step back, however many there were
        (PaceState(rate=10.0, elapsed_s=1.0, started=10, refused=1), 7.0),
        (PaceState(rate=10.0, elapsed_s=1.0, started=10, refused=10), 7.0),
        (PaceState(rate=100.0, elapsed_s=1.0, started=0, refused=1), 70.0),
        (PaceState(rate=0.6, elapsed_s=1.0, started=1, refused=1), 0.5),
        (PaceState(rate=0.5, elapsed_s=1.0, started=1, refused=1), 0.5),
        # a second that was used: a small step up
        (PaceState(rate=10.0, elapsed_s=1.0, started=10, refused=0), 10.5),
        (PaceState(rate=10.0, elapsed_s=1.0, started=8, refused=0), 10.5),
        (PaceState(rate=100.0, elapsed_s=1.0, started=100, refused=0), 104.0),
        (PaceState(rate=10.0, elapsed_s=2.0, started=16, refused=0), 10.5),
        (PaceState(rate=4_990.0, elapsed_s=1.0, started=4_990, refused=0), 5_000.0),
        (PaceState(rate=5_000.0, elapsed_s=1.0, started=5_000, refused=0), 5_000.0),
        # one that was not
        (PaceState(rate=10.0, elapsed_s=1.0, started=7, refused=0), 10.0),
        (PaceState(rate=10.0, elapsed_s=5.0, started=10, refused=0), 10.0),
        (PaceState(rate=10.0, elapsed_s=1.0, started=0, refused=0), 10.0),
    ],
)
def test_the_next_rate_is(state: PaceState, rate: float) -> None:
    assert AdaptiveRate().next_rate(state) == pytest.approx(rate)
    assert FixedRate(state.rate).next_rate(state) == state.rate


class Limit:
    """A token bucket of `rate` requests/s, one second's worth at most, that says how long to wait or does not."""

    def __init__(self, clock: MovedClock, rate: float, *, says: bool) -> None:
        self.clock, self.rate, self.says = clock, rate, says
        self.tokens, self.at, self.accepted, self.refused = rate, clock.time, 0, 0

    def answer(self) -> Answer[object]:
        self.tokens = min(self.rate, self.tokens + (self.clock.time - self.at) * self.rate)
        self.at = self.clock.time
        if self.tokens >= 1:
            self.tokens -= 1
            self.accepted += 1
            return OK
        self.refused += 1
        return too_fast(1.0) if self.says else TOO_FAST


async def drive(paced: Pacer, clock: MovedClock, limit: Limit, seconds: float, latency_s: float = 0.2) -> None:
    """Send for this long; each answer is heard `latency_s` after its request started."""
    end, in_flight = clock.time + seconds, deque[tuple[float, Answer[object]]]()
    while clock.time < end:
        await paced.slot()
        in_flight.append((clock.time + latency_s, limit.answer()))
        while in_flight[0][0] <= clock.time:
            paced.heard(in_flight.popleft()[1])
            if not in_flight:
                break


@pytest.mark.parametrize("says", [True, False], ids=["with Retry-After", "without"])
@pytest.mark.parametrize("limit", [5.0, 20.0, 200.0])
def test_the_adaptive_rate_finds_a_limit_and_stays_near_it(clock: MovedClock, limit: float, says: bool) -> None:
    """Two minutes to find it, then five: most of it is used, and few requests are refused."""
    server = Limit(clock, limit, says=says)
    paced = pacer(clock, AdaptiveRate())

    async def run() -> None:
        await drive(paced, clock, server, 120)
        server.accepted = server.refused = 0
        await drive(paced, clock, server, 300)

    asyncio.run(run())

    accepted, refused = server.accepted / 300, server.refused / (server.accepted + server.refused)
    assert accepted >= 0.8 * limit
    assert refused <= 0.05


def test_the_adaptive_rate_follows_a_limit_that_falls(clock: MovedClock) -> None:
    server = Limit(clock, 20.0, says=True)
    paced = pacer(clock, AdaptiveRate())

    async def run() -> None:
        await drive(paced, clock, server, 60)
        server.rate = 5.0
        await drive(paced, clock, server, 30)
        server.accepted = server.refused = 0
        await drive(paced, clock, server, 60)

    asyncio.run(run())

    assert server.accepted / 60 >= 0.8 * server.rate
    assert server.refused <= 0.1 * server.accepted


def test_the_pacer_asks_the_policy_once_a_second(clock: MovedClock) -> None:
    asked: list[PaceState] = []

    class Asked:
        first = 10.0

        def next_rate(self, state: PaceState) -> float:
            asked.append(state)
            return 2 * state.rate

    paced = pacer(clock, Asked())
    asyncio.run(starts_for(paced, clock, 3.05, TOO_FAST))

    assert [(state.rate, state.refused) for state in asked] == [(10.0, 10), (20.0, 20), (40.0, 40)]
    assert all(state.elapsed_s == pytest.approx(1.0, abs=0.11) for state in asked)
    assert all(state.started == state.refused for state in asked)
