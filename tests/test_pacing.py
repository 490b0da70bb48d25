"""How fast requests start, on a clock that only sleeping moves: rate, hold, probe, stop."""

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import MovedClock
from desk import token_row, write_csv

from importer.api.problems import Answer, Fate
from importer.commands import run
from importer.config import load_config
from importer.errors import ApiRefused, Exit
from importer.events import Listener, Progress
from importer.pace import UNLIMITED, AdaptiveRate, FixedRate, Latency, Pace, RatePolicy, Seen, rate_policy
from importer.pacing import PROBE_AFTER, Pacer, Patience
from importer.runner import RunOptions
from importer.sandbox import Sandbox

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


def test_what_came_late_is_made_good_little_by_little(clock: MovedClock) -> None:
    """40 starts that were held up, at one instant, are 40 more than the server expects in the second that they end."""

    async def run() -> tuple[list[float], list[float]]:
        paced = pacer(clock, FixedRate(1000))
        await starts_for(paced, clock, 2)
        clock.time += 0.04
        return await starts_for(paced, clock, 0.01), await starts_for(paced, clock, 0.19)

    soon, later = asyncio.run(run())

    assert len(soon) <= 16
    assert len(soon) + len(later) >= 235


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


# --- the adaptive rate: the policy ---

USED = Seen(elapsed_s=0.1, started=10, accepted=10, fastest_s=0.02)
REFUSED = replace(USED, refused=True, latency_s=0.02)
AT_100 = Pace(100.0, good=100.0, quiet_s=5.0, accepted=500)
COSTLY = replace(AT_100, hold_s=1.0, settled=True, measured=True)


@pytest.mark.parametrize(
    ("pace", "seen", "rate"),
    [
        # before a limit has shown itself: four times as fast each second, if the pace is used
        pytest.param(Pace(100.0), replace(USED, elapsed_s=0.5, started=50), 200.0, id="grows"),
        pytest.param(Pace(100.0), replace(USED, elapsed_s=0.5, started=30), 100.0, id="grows only while it is used"),
        pytest.param(Pace(4_000.0), replace(USED, elapsed_s=0.5, started=2_000), 5_000.0, id="grows to its most"),
        pytest.param(Pace(100.0, quiet_s=3.0, accepted=90), REFUSED, 0.98 * 50.0, id="first refusal: far back"),
        # a refusal: back to what was accepted since the server last had nothing to give, at the most a quarter
        pytest.param(replace(AT_100, rate=120.0), REFUSED, 0.98 * 510 / 5.08, id="what was accepted"),
        pytest.param(replace(AT_100, accepted=50), REFUSED, 0.98 * 75.0, id="a quarter"),
        pytest.param(replace(AT_100, accepted=900), REFUSED, 0.98 * 100.0, id="never up"),
        pytest.param(replace(AT_100, rate=400.0), REFUSED, 0.98 * 200.0, id="risen far: far back"),
        pytest.param(Pace(0.5, good=0.5), replace(REFUSED, accepted=0), 0.5, id="least"),
        # after a hold, what the server gives at once is no part of its pace
        pytest.param(replace(AT_100, hold_s=1.0), REFUSED, 0.98 * (510 - 20) / 5.08, id="without the burst"),
        # where all have to wait and the pace has risen fast: what the last seconds show, a burst less
        pytest.param(
            replace(AT_100, rate=180.0, hold_s=1.0), replace(REFUSED, hold_s=1.0), 135.721, id="the last seconds",
        ),
        pytest.param(
            replace(COSTLY, quiet_s=0.3, accepted=20), replace(REFUSED, hold_s=1.0), 50.0, id="soon after a hold: far",
        ),
        # a rest, in which it creeps, then up, slowly at first; not while the pace is not used
        pytest.param(replace(AT_100, quiet_s=0.5), USED, 100.12, id="rests"),
        pytest.param(replace(AT_100, quiet_s=2.3), USED, 103.916, id="rises"),
        pytest.param(replace(AT_100, quiet_s=4.3), USED, 139.051, id="rises faster"),
        pytest.param(replace(AT_100, quiet_s=4.3), replace(USED, started=3), 100.0, id="rises only while it is used"),
        # where all have to wait, each refusal costs: a long rest, without creeping once the limit is known
        pytest.param(replace(COSTLY, quiet_s=51.2), USED, 100.0, id="costly: a long rest"),
        pytest.param(replace(COSTLY, quiet_s=53.3), USED, 112.778, id="rises after it"),
        pytest.param(replace(COSTLY, quiet_s=5.3, measured=False), USED, 110.8, id="costly, not known: creeps"),
        pytest.param(replace(AT_100, quiet_s=2.3, hold_s=1.0), USED, 108.237, id="costly, but not settled"),
        # one that has fallen is asked for sooner and faster, up to where it was
        pytest.param(replace(COSTLY, quiet_s=4.2, best=300.0), USED, 100.0, id="fallen: rests less"),
        pytest.param(replace(COSTLY, quiet_s=4.8, best=300.0), USED, 150.0, id="fallen: rises steeply"),
        pytest.param(replace(COSTLY, quiet_s=4.8, best=300.0, away_s=64.0), USED, 150.0, id="fallen: for a minute"),
        pytest.param(replace(COSTLY, quiet_s=7.2, best=300.0, away_s=127.1), USED, 100.0, id="fallen: for two"),
        pytest.param(replace(COSTLY, quiet_s=7.8, best=300.0, away_s=127.8), USED, 150.0, id="rises after that"),
        pytest.param(replace(COSTLY, quiet_s=51.2, best=300.0, away_s=9e3), USED, 100.0, id="as rarely as any other"),
        pytest.param(replace(COSTLY, quiet_s=51.8, best=300.0, away_s=9e3), USED, 150.0, id="and not more rarely"),
        pytest.param(replace(COSTLY, quiet_s=5.65, best=300.0), USED, 235.0, id="fallen: not yet a whole second"),
        pytest.param(replace(COSTLY, quiet_s=5.75, best=300.0), USED, 300.0, id="fallen: back to the best"),
        pytest.param(replace(COSTLY, quiet_s=4.85, best=150.0), USED, 150.0, id="fallen a little: no further"),
        # twice the limit is not refused: it has risen, probably to where it was
        pytest.param(replace(AT_100, quiet_s=5.5, best=300.0), USED, 300.0, id="back to the best"),
        pytest.param(replace(AT_100, quiet_s=5.0, best=300.0), USED, 179.915, id="not yet twice"),
        pytest.param(replace(AT_100, quiet_s=5.5, best=150.0), USED, 232.493, id="beyond the best"),
        # latency that grows: back to less than what is answered
        pytest.param(
            replace(AT_100, latency=Latency(0.02, 0.1, 0.1, 30, 0.4)), replace(USED, fastest_s=0.15),
            0.85 * 40 / 0.5, id="latency has grown",
        ),
        pytest.param(
            replace(AT_100, quiet_s=0.0, latency=Latency(0.02, 0.08, 0.08, 30, 0.4)),
            replace(USED, fastest_s=0.15), 100.02, id="latency has grown a little",
        ),
        pytest.param(
            replace(AT_100, quiet_s=0.0, latency=Latency(0.02, 0.1, 0.1, 4, 0.4)),
            replace(USED, accepted=5, fastest_s=0.15), 100.02, id="too few answers to say",
        ),
    ],
)  # fmt: skip
def test_the_next_rate_is(pace: Pace, seen: Seen, rate: float) -> None:
    assert AdaptiveRate().next(pace, seen).rate == pytest.approx(rate, rel=1e-4)
    assert FixedRate(pace.rate).next(pace, seen).rate == pace.rate


@pytest.mark.parametrize(
    ("pace", "best"),
    [
        pytest.param(Pace(100.0, quiet_s=9.0), None, id="no limit has shown itself"),
        pytest.param(replace(AT_100, quiet_s=6.0), 100.0, id="held"),
        pytest.param(replace(AT_100, quiet_s=6.0, best=300.0), 300.0, id="another held better"),
        pytest.param(replace(AT_100, quiet_s=1.0, best=300.0), 300.0, id="on the way down"),
        pytest.param(replace(AT_100, quiet_s=1.0, best=100.0), 100.0, id="refused again where it held"),
        pytest.param(replace(AT_100, quiet_s=1.0, best=100.0, went_back=True), None, id="gone back to in vain"),
    ],
)
def test_the_best_pace_is_the_one_that_held(pace: Pace, best: float | None) -> None:
    assert AdaptiveRate().next(pace, REFUSED).best == best


def test_a_pace_that_held_once_it_was_gone_back_to_outlasts_two_refusals() -> None:
    pace = replace(AT_100, quiet_s=6.0, best=100.0, went_back=True)
    for _ in range(2):
        pace = AdaptiveRate().next(pace, REFUSED)
        assert pace.best == 100.0


@pytest.mark.parametrize(
    ("pace", "seen", "measured", "settled"),
    [
        pytest.param(AT_100, replace(REFUSED, hold_s=1.0), True, True, id="at the limit"),
        pytest.param(replace(AT_100, quiet_s=0.7, accepted=30), replace(REFUSED, hold_s=1.0), False, False, id="less"),
        pytest.param(replace(AT_100, rate=120.0), REFUSED, False, True, id="nobody waits, and the same as before"),
        pytest.param(replace(AT_100, accepted=50), REFUSED, False, False, id="nobody waits, and another"),
        pytest.param(Pace(100.0, quiet_s=3.0, accepted=90), replace(REFUSED, hold_s=1.0), False, True, id="the first"),
        pytest.param(Pace(100.0, quiet_s=1.0, accepted=90), replace(REFUSED, hold_s=1.0), False, False, id="at once"),
    ],
)
def test_a_refusal_tells_the_limit_where_more_was_accepted_than_a_step_back_leaves(
    pace: Pace, seen: Seen, measured: bool, settled: bool
) -> None:
    after = AdaptiveRate().next(pace, seen)

    assert (after.measured, after.settled) == (measured, settled)


def test_a_few_refusals_find_a_limit_that_has_fallen() -> None:
    """120/s became 40/s."""
    policy, pace = AdaptiveRate(), replace(AT_100, rate=120.0, good=120.0, accepted=600)
    rates = [
        (pace := policy.next(pace, Seen(0.05, int(pace.rate / 20), accepted=2, refused=True))).rate for _ in range(6)
    ]  # fmt: skip

    assert rates[-1] == pytest.approx(0.98 * 40.0, rel=0.05)


def test_a_latency_that_a_lower_pace_does_not_lower_becomes_the_usual_one() -> None:
    """The way to the server is longer today: after a few steps back it is no reason for more."""
    policy, pace = AdaptiveRate(), replace(AT_100, latency=Latency(0.02))
    for _ in range(600):
        pace = policy.next(pace, Seen(0.1, int(pace.rate / 10) + 1, max(1, int(pace.rate / 10)), fastest_s=0.2))

    assert pace.rate > 100.0


# --- the adaptive rate: a simulation ---


@dataclass
class Limit:
    """A token bucket of `rate` requests/s and a burst, that says how long to wait or does not."""

    rate: float
    burst: float
    retry_after_s: float | None = None
    at: float = 1_000.0

    def __post_init__(self) -> None:
        self.tokens = self.burst

    def answer(self, now: float) -> Answer[object]:
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens >= 1:
            self.tokens -= 1
            return Answer(Fate.ANSWERED, 201, latency_s=0.03)
        return Answer(Fate.ANSWERED, 429, latency_s=0.03, retry_after_s=self.retry_after_s)


@dataclass
class Queue:
    """A server that refuses nothing, does `rate` requests/s one after the other, and lets the others wait."""

    rate: float
    free_at: float = 1_000.0

    def answer(self, now: float) -> Answer[object]:
        self.free_at = max(self.free_at, now) + 1 / self.rate
        return Answer(Fate.ANSWERED, 201, latency_s=self.free_at - now + 0.02)


class Wire(MovedClock):
    """A clock on which answers arrive while somebody sleeps; one sleep of so many is late, by 5 to 40 ms."""

    def __init__(self, seed: int = 1, late_of: int = 0) -> None:
        super().__init__()
        self.random = random.Random(seed)
        self.late_of = late_of
        self.answers: list[tuple[float, int, Answer[object]]] = []
        self.heard: Callable[[Answer[object]], None] = lambda _: None

    async def sleep(self, seconds: float) -> None:
        end = self.time + seconds
        if self.late_of and self.random.randrange(self.late_of) == 0:
            end += self.random.uniform(0.005, 0.04)
        if self.answers and self.answers[0][0] <= end:
            self.time, _, answer = heapq.heappop(self.answers)
            self.heard(answer)
        else:
            self.time = end

    def sent(self, answer: Answer[object]) -> None:
        latency_s = answer.latency_s * self.random.uniform(0.8, 1.2)
        heapq.heappush(self.answers, (self.time + latency_s, id(answer), answer._replace(latency_s=latency_s)))


@dataclass
class Driven:
    """A pacer that sends as fast as it may, for one span after the other."""

    known: float | None = None
    clock: Wire = field(default_factory=Wire)

    def __post_init__(self) -> None:
        self.pacer = Pacer(AdaptiveRate(), Patience(), self.clock)
        self.pacer.recall(self.known)
        self.clock.heard = self.pacer.heard

    def send(self, server: Limit | Queue, seconds: float) -> list[tuple[float, Answer[object]]]:
        """When each request started, in seconds from now, and what it was answered."""
        begin, sent = self.clock.time, list[tuple[float, Answer[object]]]()

        async def run() -> None:
            while True:
                await self.pacer.slot()
                if self.clock.time >= begin + seconds:
                    return
                sent.append((self.clock.time - begin, server.answer(self.clock.time)))
                self.clock.sent(sent[-1][1])

        asyncio.run(run())
        return sent


def reached(sent: list[tuple[float, Answer[object]]], rate: float, first_s: float, last_s: float) -> float:
    """The share of what was allowed between two moments."""
    accepted = sum(first_s <= at < last_s and answer.status == 201 for at, answer in sent)
    return accepted / (rate * (last_s - first_s))


def refused(sent: list[tuple[float, Answer[object]]], first_s: float) -> float:
    """The share of requests that were refused, from a moment on."""
    answers = [answer.status for at, answer in sent if at >= first_s]
    return answers.count(429) / len(answers)


def test_the_adaptive_rate_follows_a_limit_that_falls_and_rises() -> None:
    """120/s, then 40/s, then 120/s, a minute each: nearly all of it is used, and next to nothing refused."""
    server, driven, whole = Limit(120.0, 20.0), Driven(), 0.0
    for rate in (120.0, 40.0, 120.0):
        server.rate = rate
        sent = driven.send(server, 60)
        whole += reached(sent, rate, 0, 60) * rate / 280
        assert reached(sent, rate, 10, 12) >= 0.9
        assert reached(sent, rate, 10, 60) >= 0.97
        assert refused(sent, 10) <= 0.01

    assert whole >= 0.95


def test_it_follows_the_limit_of_a_server_that_makes_everybody_wait_a_second() -> None:
    """Each refusal costs a second, of which the burst gives back a sixth at 120/s: it is asked for more rarely."""
    server, driven, whole = Limit(120.0, 20.0, retry_after_s=1.0), Driven(), 0.0
    for rate in (120.0, 40.0, 120.0):
        server.rate = rate
        sent = driven.send(server, 60)
        whole += reached(sent, rate, 0, 60) * rate / 280
        assert any(reached(sent, rate, begin, begin + 2) >= 0.9 for begin in range(9))
        assert reached(sent, rate, 10, 60) >= 0.9
        assert refused(sent, 10) <= 0.01

    assert whole >= 0.95


@pytest.mark.parametrize("seed", range(8))
def test_on_a_busy_machine_too_it_is_soon_back_at_a_limit_that_was_lower_for_a_while(seed: int) -> None:
    """A limit that falls is met twice at the pace that held, and that pace is not forgotten for it."""
    clock = Wire(seed, late_of=100)
    server, driven = Limit(120.0, 20.0, retry_after_s=1.0), Driven(clock=clock)
    for rate in (120.0, 40.0, 120.0):
        server.rate = rate
        sent = driven.send(server, clock.random.uniform(50, 70))
        assert any(reached(sent, rate, begin, begin + 2) >= 0.9 for begin in range(9))
        assert refused(sent, 10) <= 0.01


@pytest.mark.parametrize(("rate", "hold_s", "least"), [(120.0, 1.0, 0.93), (300.0, 1.0, 0.96), (300.0, 5.0, 0.93)])
def test_a_limit_that_stays_lower_is_tried_ever_more_rarely_and_found_all_the_same_when_it_rises(
    rate: float, hold_s: float, least: float
) -> None:
    """Asked for as often as in the first minute, 0.92, 0.91 and 0.8 of it were reached."""
    server, driven = Limit(rate, rate / 6, retry_after_s=hold_s), Driven()
    driven.send(server, 60)
    server.rate = rate / 3
    sent = driven.send(server, 600)
    assert reached(sent, rate / 3, 200, 600) >= least

    server.rate = rate
    assert reached(driven.send(server, 120), rate, 110, 120) >= 0.9


@pytest.mark.parametrize(
    ("rates", "burst", "least"),
    [
        pytest.param((120.0, 40.0, 120.0), 5.0, 0.83, id="a small burst"),
        pytest.param((300.0, 100.0, 300.0), 50.0, 0.91, id="a fast one"),
        pytest.param((60.0, 50.0, 70.0), 10.0, 0.89, id="small changes"),
    ],
)
def test_it_follows_other_limits_that_make_everybody_wait(rates: Sequence[float], burst: float, least: float) -> None:
    """What was reached of it when it still crept beyond a limit it knew: 0.83, 0.91 and 0.9."""
    server, driven, accepted = Limit(rates[0], burst, retry_after_s=1.0), Driven(), 0.0
    for rate in rates:
        server.rate = rate
        sent = driven.send(server, 60)
        accepted += sum(answer.status == 201 for _, answer in sent)
        assert refused(sent, 10) <= 0.01

    assert accepted / 60 / sum(rates) >= least


@pytest.mark.parametrize("retry_after_s", [1.0, None], ids=["with Retry-After", "without"])
@pytest.mark.parametrize("rate", [5.0, 20.0, 200.0, 1_000.0])
def test_the_adaptive_rate_finds_a_limit_and_stays_near_it(rate: float, retry_after_s: float | None) -> None:
    """A burst of a second's worth, half a minute to find the limit, then two minutes."""
    sent = Driven().send(Limit(rate, rate, retry_after_s), 150)

    assert reached(sent, rate, 30, 150) >= 0.9
    assert refused(sent, 30) <= 0.03


def test_a_limit_that_is_known_is_asked_for_rarely_where_that_costs_five_seconds() -> None:
    sent = Driven().send(Limit(200.0, 20.0, retry_after_s=5.0), 200)

    assert reached(sent, 200.0, 20, 200) >= 0.95


def test_what_many_workers_were_refused_together_is_one_step_back(clock: MovedClock) -> None:
    async def run() -> None:
        paced = Pacer(AdaptiveRate(start=100.0), Patience(), clock)
        for _ in range(30):
            await paced.slot()
        before = paced.rate
        clock.time += 1.0
        for _ in range(30):
            paced.heard(TOO_FAST._replace(latency_s=1.0))
        assert paced.rate == pytest.approx(0.5 * before, rel=0.03)
        assert paced.throttled == 30
        before = paced.rate
        await paced.slot()
        clock.time += 1.0
        paced.heard(TOO_FAST._replace(latency_s=0.5))  # of a request that started at the lower pace
        assert paced.rate == pytest.approx(0.75 * before, rel=0.03)

    asyncio.run(run())


def test_it_backs_off_when_latency_grows_instead_of_waiting_for_refusals() -> None:
    """A server that does 100/s and lets the rest queue: it is used, and the queue stays short."""
    driven, server = Driven(), Queue(100.0)
    sent = driven.send(server, 60)
    late = sorted(answer.latency_s for at, answer in sent if at >= 10)

    assert reached(sent, 100.0, 10, 60) >= 0.85
    assert late[len(late) // 2] <= 0.3
    assert late[-1] <= 1.5


def test_a_pace_that_held_before_is_where_it_begins() -> None:
    driven = Driven(known=118.0)
    sent = driven.send(Limit(120.0, 20.0), 5)

    assert reached(sent, 120.0, 0, 5) >= 0.97
    assert refused(sent, 0) <= 0.01
    assert driven.pacer.pace.good == pytest.approx(118.0, rel=0.03)


def test_a_fixed_rate_begins_where_it_was_told_to(clock: MovedClock) -> None:
    paced = pacer(clock, FixedRate(20.0))
    paced.recall(118.0)

    assert paced.rate == 20.0


def test_the_pace_that_was_found_is_where_the_next_run_begins(home: Path) -> None:
    """The sandbox allows 60/s: the first run begins at 10/s and finds that out."""
    write_csv(home / "rows.csv", [token_row(n) for n in range(200)])
    (home / "config.toml").write_text('[source]\npaths = ["rows.csv"]\n[limits]\nrate = "auto"\n')

    class Heard(Listener):
        def __init__(self) -> None:
            self.allowed: list[float] = []

        def progress(self, progress: Progress) -> None:
            self.allowed.append(progress.allowed)

    def began_at(env: dict[str, str], rows: int | None) -> float:
        heard = Heard()
        summary = run(load_config(home / "config.toml", env), RunOptions(rows=rows), heard, env)
        assert summary.exit_code == 0
        return heard.allowed[0]

    with Sandbox(rate=60.0, burst=5) as box:
        first, second = (began_at(box.environment(), rows) for rows in (150, None))

    assert first < 20.0
    assert 30.0 <= second <= 70.0
