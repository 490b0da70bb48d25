"""How fast: a policy that is a pure function, and one pacer that every request of a run passes through.

The pacer hands off one start at a time and reads the rate anew at each, so a change or a hold is felt by all workers
at once. Semaphore-like limiters hand out a second's worth together (a measured one let 39 of 20 through).
"""

import asyncio
import math
import random
from collections import deque
from dataclasses import dataclass, replace
from typing import Protocol

from importer.api.problems import Answer, Fate
from importer.clock import Clock
from importer.errors import ApiRefused, ImporterError

UNLIMITED = float("inf")
PROBE_AFTER = 10
"""Failed requests in a row after which all workers hold and one probe goes alone."""

CATCH_UP_S = 0.05
"""A start that comes late (timers round to a millisecond) may be made good within this time, within the window."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What happened since the policy was asked last; times in seconds, without those of a hold.

    `refused` is for pace, and only of a request that started after the last step back: what one limit refused together
    is one refusal. `accepted` counts the other answers to such requests, `fastest_s` is the least latency among them.
    `hold_s` is what the refusal asks to wait, `latency_s` how long it took.
    """

    elapsed_s: float
    started: int = 0
    accepted: int = 0
    fastest_s: float = math.inf
    refused: bool = False
    hold_s: float = 0.0
    latency_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Latency:
    """The memory of latencies: the least so far, and the least of the `answers` of the last `elapsed_s` seconds."""

    floor_s: float = math.inf
    fastest_s: float = math.inf
    answers: int = 0
    elapsed_s: float = 0.0

    @property
    def has_grown(self) -> bool:
        """Whether even the quickest answer took far longer than one can: requests queue somewhere."""
        return self.fastest_s > 2 * self.floor_s + 0.05

    def after(self, seen: Seen) -> "Latency":
        """With what was seen since."""
        return Latency(
            self.floor_s,
            min(self.fastest_s, seen.fastest_s),
            self.answers + seen.accepted,
            self.elapsed_s + seen.elapsed_s,
        )


@dataclass(frozen=True, slots=True)
class Pace:
    """What a policy decides, `rate` in requests per second, and the memory from which it decides next."""

    rate: float
    good: float | None = None
    """The pace that holds, as far as is known; None until a limit has shown itself."""
    settled: bool = False
    """The last two refusals found the same limit."""
    quiet_s: float = 0.0
    """Seconds since the last step back in which the pace was really used."""
    span_s: float = 0.0
    """Seconds since a moment at which the server had nothing to give, `accepted` requests ago."""
    accepted: int = 0
    hold_s: float = 0.0
    """What the last refusal asked to wait."""
    latency: Latency = Latency()


class RatePolicy(Protocol):
    """Decides how fast requests start: state in, state out."""

    def first(self, known: float | None = None) -> Pace:
        """The pace to begin with; `known` is the one that held when the limit was met last."""

    def next(self, pace: Pace, seen: Seen) -> Pace:
        """The pace from now on."""


@dataclass(frozen=True, slots=True)
class FixedRate:
    """The rate it was given, whatever happens; `UNLIMITED` is one too."""

    rate: float

    def first(self, known: float | None = None) -> Pace:  # noqa: ARG002 - the protocol's
        """The rate."""
        return Pace(self.rate)

    def next(self, pace: Pace, seen: Seen) -> Pace:  # noqa: ARG002 - the protocol's
        """The same again."""
        return pace


@dataclass(frozen=True, slots=True)
class AdaptiveRate:
    """Finds a limit nobody published, and finds it again when it has changed.

    The rate grows until a limit shows itself, steps back to what was accepted, rests there, and then rises, slowly at
    first and ever faster: a limit that is where it was is met gently, one that has gone up is soon reached.
    """

    start: float = 10.0
    least: float = 0.5
    most: float = 5000.0
    growth: float = 4.0
    """Times a second, until the first refusal."""
    overshoot: float = 0.55
    """What is left of the rate after that one: it comes when the rate has long passed the limit, and a burst is used."""
    back: float = 0.75
    """What is left of the rate after a refusal, if not more was accepted."""
    below: float = 0.98
    """So much of what was accepted is the next pace: at the limit itself, rounding would be refused."""
    burst_s: float = 0.25
    """A guess: after a hold the server lets through so many seconds' worth at once, which says nothing of its pace."""

    def first(self, known: float | None = None) -> Pace:
        """Where it was left, else slowly."""
        return Pace(known or self.start, known)

    def next(self, pace: Pace, seen: Seen) -> Pace:
        """A step back after a refusal or when latency has grown; else on, while the pace is really used."""
        used_s = seen.elapsed_s if seen.started + 1 >= 0.9 * pace.rate * seen.elapsed_s else 0.0
        pace = replace(
            pace,
            quiet_s=pace.quiet_s + used_s,
            span_s=pace.span_s + used_s,
            accepted=pace.accepted + seen.accepted,
            latency=pace.latency.after(seen),
        )
        if seen.refused:
            return self._refused(pace, seen)
        if pace.latency.answers >= 10 and pace.latency.elapsed_s >= 0.5:
            pace = self._weighed(pace)
        return replace(pace, rate=self._risen(pace, used_s)) if used_s else pace

    def _refused(self, pace: Pace, seen: Seen) -> Pace:
        """Back to what the server let through since it last had nothing to give: between the two, that is its limit."""
        burst = self.burst_s * pace.rate * min(1.0, pace.hold_s)
        allowed = max(0.0, pace.accepted - burst) / max(pace.span_s - seen.latency_s, 1e-3)
        least = (self.back if pace.good else self.overshoot) * pace.rate
        below = 1.0 if seen.hold_s else self.below
        good = max(self.least, below * min(pace.rate, max(least, allowed)))
        # refusals close together are one stretch without anything to give: the longer it is, the better it is measured
        again = pace.quiet_s < 1.0 and not seen.hold_s and not pace.hold_s
        return replace(
            pace,
            rate=good,
            good=good,
            settled=pace.good is not None and abs(good - pace.good) < 0.05 * pace.good,
            quiet_s=0.0,
            span_s=pace.span_s if again else 0.0,
            accepted=pace.accepted if again else 0,
            hold_s=seen.hold_s,
            latency=Latency(pace.latency.floor_s),
        )

    def _weighed(self, pace: Pace) -> Pace:
        """A step back to less than what is answered, where latency has grown."""
        latency = pace.latency
        if not latency.has_grown:
            return replace(pace, latency=Latency(min(latency.floor_s, latency.fastest_s)))
        rate = max(self.least, 0.85 * min(pace.rate, latency.answers / latency.elapsed_s))
        # where a lower pace brings no lower latency, it is not ours: each step back makes it a little more the usual one
        return replace(
            pace, rate=rate, good=rate, settled=False, quiet_s=0.0, hold_s=0.0, latency=Latency(1.25 * latency.floor_s)
        )

    def _risen(self, pace: Pace, used_s: float) -> float:
        if pace.good is None:
            return min(self.most, pace.rate * self.growth**used_s)
        held_s = min(1.0, pace.hold_s)
        rising_s = pace.quiet_s - self._rest_s(pace, pace.good)
        eps, tau_s = 0.02 - 0.01 * held_s, 1 + held_s
        rise = eps * math.expm1(min(rising_s / tau_s, 20.0)) if rising_s > 0 else 0.0
        return min(self.most, pace.good * (1 + rise))

    def _rest_s(self, pace: Pace, good: float) -> float:
        """Seconds at the pace that holds, before it rises again.

        A refusal that makes everybody wait costs the more the faster the pace is, and a burst gives the smaller part of
        it back: at 40/s, to ask is cheap; at 120/s, one second of waiting is worth 18 s of rest.
        """
        return 1.0 + (pace.hold_s * min(30.0, good**2 / 800) if pace.settled else 0.0)


def rate_policy(setting: float | str) -> RatePolicy:
    """The policy for `limits.rate`: a number of requests per second, `auto` or `unlimited`."""
    if setting == "auto":
        return AdaptiveRate()
    return FixedRate(UNLIMITED if setting == "unlimited" else float(setting))


@dataclass(frozen=True, slots=True)
class Patience:
    """When waiting ends: `max_wait_s` seconds at the server's wish, `stop_after` failed requests in a row (0: never).

    `base_s` and `cap_s` bound the back-off between two probes.
    """

    max_wait_s: float = 300.0
    stop_after: int = 100
    base_s: float = 0.5
    cap_s: float = 60.0


STEP_S = 0.1
"""How often the policy is asked."""


class Pacer:
    """Lets requests start: at the policy's rate, after every hold, and one by one while nothing answers."""

    def __init__(self, policy: RatePolicy, patience: Patience, clock: Clock) -> None:
        self.pace = policy.first()
        self.rate = self.pace.rate
        self.requests = 0
        self.throttled = 0
        self.held_for = ""
        self._policy = policy
        self._patience = patience
        self._clock = clock
        self._turn = asyncio.Lock()
        self._hold_until = 0.0
        self._next_start = 0.0
        self._starts: deque[float] = deque()
        self._failures = 0
        self._probe_out = False
        self._stopped: ImporterError | None = None
        self._step_at: float | None = None
        self._back_at = -math.inf
        self._started = self._accepted = 0
        self._fastest_s = math.inf
        self._refused_since: float | None = None

    @property
    def stopped(self) -> ImporterError | None:
        """Why no further request starts, once that is so."""
        return self._stopped

    @property
    def hold_s(self) -> float:
        """Seconds for which nothing starts yet, at the server's wish or while nothing answers."""
        return max(0.0, self._hold_until - self._clock.steady())

    def stop(self, reason: ImporterError) -> None:
        """No further request starts: whoever waits or comes gets `reason` raised. The first reason stays."""
        self._stopped = self._stopped or reason

    async def slot(self) -> bool:
        """Wait until a request may start; True if it is the one probe while nothing answers.

        Whoever has it says what came of it: `heard`, or `give_back` where nothing was sent. Raises the reason once the
        run has to stop.
        """
        if self.rate == UNLIMITED and not self._failures and self._hold_until <= self._clock.steady():
            if self._stopped:
                raise self._stopped
            self.requests += 1
            return False
        async with self._turn:
            while (wait_s := self._wait_s()) > 0:
                # in slices: a hold may grow, shrink or become a stop while somebody waits for it
                await self._clock.sleep(min(wait_s, 0.25))
            return self._start()

    def give_back(self, probe: bool) -> None:
        """The request was not sent after all: where it was the probe, another may go."""
        if probe:
            self._probe_out = False

    def _wait_s(self) -> float:
        if self._stopped:
            raise self._stopped
        now = self._clock.steady()
        if self._probe_out:
            return 0.05
        self._step(now)
        return max(self._hold_until, self._next_start, self._window_frees_at(now)) - now

    def _window_frees_at(self, now: float) -> float:
        """When another start keeps every window of one second within the rate, however late earlier ones came."""
        if self.rate == UNLIMITED:
            return now
        allowed = max(1, int(self.rate))
        while len(self._starts) > allowed:
            self._starts.popleft()
        return self._starts[0] + allowed / self.rate if len(self._starts) == allowed else now

    def _start(self) -> bool:
        now = self._clock.steady()
        self.requests += 1
        self._started += 1
        self._probe_out = self._failures >= PROBE_AFTER
        if self.rate != UNLIMITED:
            self._starts.append(now)
            # a start that came late is made good, a pause is not: else its whole share would leave at one instant
            due = self._next_start if now - self._next_start <= CATCH_UP_S else now
            self._next_start = due + 1 / self.rate
        if now >= self._hold_until:
            self.held_for = ""
        return self._probe_out

    def _step(self, now: float, refusal: Answer[object] | None = None) -> None:
        """Ask the policy: every tenth of a second, and at once after a refusal."""
        if self._step_at is None:
            self._step_at = now
        elapsed_s = now - self._step_at
        if elapsed_s < STEP_S and not refusal:
            return
        seen = Seen(max(0.0, elapsed_s), self._started, self._accepted, fastest_s=self._fastest_s)
        if refusal:
            seen = replace(seen, refused=True, hold_s=refusal.retry_after_s or 0.0, latency_s=refusal.latency_s)
        self.pace = self._policy.next(self.pace, seen)
        if self.pace.rate != self.rate:
            # what started at another pace says nothing of this one
            self._starts.clear()
            self._next_start += 1 / self.pace.rate - 1 / self.rate
            self.rate = self.pace.rate
        self._step_at = max(now, self._hold_until)
        self._started, self._accepted, self._fastest_s = 0, 0, math.inf

    def heard(self, answer: Answer[object], probe: bool = False) -> None:
        """Take note of what came back for a request that got a slot: the pace, a hold, or a failure in a row.

        `probe` is what `slot` said. While nothing answers only the probe's failure counts: the others were on their
        way when it began, and a restart of the server that cuts off 100 requests is one reason to hold, not 100.
        """
        self.give_back(probe)
        now = self._clock.steady()
        if answer.fate is Fate.ANSWERED and (answer.status or 0) < 500:
            self._failures = 0
            self._probe_out = False
        elif probe or self._failures < PROBE_AFTER:
            self._failed(now)
        if answer.retry_after_s and (answer.status == 429 or (answer.status or 0) >= 500):
            self._asked_to_wait(answer.retry_after_s, now)
        if answer.status == 429:
            self._refused(answer, now)
        elif answer.fate is Fate.ANSWERED:
            self._accepted_one(answer, now)

    def _failed(self, now: float) -> None:
        self._failures += 1
        beyond = self._failures - PROBE_AFTER
        if self._patience.stop_after and self._failures >= self._patience.stop_after:
            self.stop(
                ApiRefused(
                    f"stopped after {self._failures} failed requests in a row: the API does not answer",
                    hint="Run again when it does: every row is where it was (limits.stop_after sets the number).",
                )
            )
        elif beyond >= 0:
            most_s = min(self._patience.cap_s, self._patience.base_s * 2 ** min(beyond, 30))
            # full jitter would let probes go at once; half of it keeps a rhythm and still parts many machines
            self._hold(now + random.uniform(most_s / 2, most_s), "the API does not answer")  # noqa: S311

    def _accepted_one(self, answer: Answer[object], now: float) -> None:
        self._refused_since = None
        if now - answer.latency_s > self._back_at:
            self._accepted += 1
            self._fastest_s = min(self._fastest_s, answer.latency_s)

    def _refused(self, answer: Answer[object], now: float) -> None:
        self.throttled += 1
        # those that were on their way at the last step back met the limit it was made for
        if now - answer.latency_s > self._back_at:
            self._step(now, answer)
            self._back_at = now
        self._refused_since = self._refused_since or now
        if now - self._refused_since > self._patience.max_wait_s:
            self.stop(
                ApiRefused(
                    f"stopped: the API has refused every request for {now - self._refused_since:.0f} s (429)",
                    hint="Run again later, or with a lower --rate.",
                )
            )

    def _asked_to_wait(self, seconds: float, now: float) -> None:
        if seconds > self._patience.max_wait_s:
            self.stop(
                ApiRefused(
                    f"stopped: the API asks to wait {seconds:.0f} s, longer than retry.max_wait_s "
                    f"({self._patience.max_wait_s:g} s)",
                    hint=f"Run again in {seconds / 60:.0f} minutes; every row is where it was.",
                )
            )
        else:
            self._hold(now + seconds, f"the API asked to wait {seconds:.0f} s")

    def _hold(self, until: float, reason: str) -> None:
        if until > self._hold_until:
            self._hold_until, self.held_for = until, reason
