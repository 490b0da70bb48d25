"""How fast: a policy that is a pure function, state in, state out.

Two of them: the rate one is given, and the rate that is found out where nobody published it.
"""

import math
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Protocol

UNLIMITED = math.inf

_STEP_S = 0.1
"""Of so many seconds each is the past taken, where a refusal is judged by the last of them."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What happened since the policy was asked last; times in seconds.

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
    """The memory of latencies, in seconds: the least so far, of the answers before, and of the last `answers`."""

    floor_s: float = math.inf
    before_s: float = math.inf
    fastest_s: float = math.inf
    answers: int = 0
    elapsed_s: float = 0.0

    @property
    def has_grown(self) -> bool:
        """Whether even the quickest answer took far longer than one can, so that requests queue somewhere.

        Not while it falls: then the last step back is at work.
        """
        return self.fastest_s > 2 * self.floor_s + 0.05 and self.fastest_s > 0.95 * self.before_s

    def after(self, seen: Seen) -> "Latency":
        """With what was seen since."""
        return replace(
            self,
            fastest_s=min(self.fastest_s, seen.fastest_s),
            answers=self.answers + seen.accepted,
            elapsed_s=self.elapsed_s + seen.elapsed_s if self.answers else 0.0,
        )


@dataclass(frozen=True, slots=True)
class Pace:
    """What a policy decides, `rate` in requests per second, and the memory from which it decides next."""

    rate: float
    good: float | None = None
    """The pace that holds, as far as is known; None until a limit has shown itself."""
    settled: bool = False
    """The last refusal found the limit, or the last two of them the same one."""
    measured: bool = False
    """It told the limit itself: more was accepted before it than a step back leaves."""
    quiet_s: float = 0.0
    """Seconds since the last step back in which the pace was really used."""
    accepted: int = 0
    """Requests accepted in this time."""
    hold_s: float = 0.0
    """What the last refusal asked to wait."""
    latency: Latency = Latency()
    best: float | None = None
    """The fastest pace that held: a limit that has risen has probably come back to it."""
    went_back: bool = False
    """Since the last refusal the pace went back to `best`: whether that holds is not known yet."""
    away_s: float = 0.0
    """Seconds for which `good` has been well below `best`."""


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
    first and ever faster: a limit that is where it was is met gently, one that has gone up is soon reached. Once twice
    the limit is not refused, it has risen, and the pace goes to the best that held before.
    """

    start: float = 10.0
    least: float = 0.5
    most: float = 5000.0
    growth: float = 4.0
    """Times a second, until the first refusal."""
    overshoot: float = 0.5
    """What is left of a rate that had risen far, for a refusal comes only when the server's burst is used up.

    Where the rate grows fourfold in a second, a bucket of a fifth of a second's worth is empty at 1.94 times the limit.
    """
    back: float = 0.75
    """What is left of the rate after a refusal, if not more was accepted."""
    below: float = 0.98
    """So much of what was accepted is the next pace: at the limit itself, rounding would be refused."""
    creep: float = 0.002
    """By this part a second the pace grows while it rests: what was accepted is never more than was asked for, so
    that the limit is found from below only. Ten times as much after a hold that did not tell the limit, and not at all
    after one that did: each refusal more is another hold."""
    soon_s: float = 0.5
    """A pace that is refused so soon after a hold is far above the limit: only what had filled up was accepted."""
    held_s: float = 5.0
    """A pace that was used for so long without a refusal was one that holds."""
    burst_s: float = 0.2
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
            accepted=pace.accepted + seen.accepted,
            latency=pace.latency.after(seen),
            away_s=pace.away_s + seen.elapsed_s if self._has_fallen(pace) else 0.0,
        )
        if seen.refused:
            return self._refused(pace, seen)
        if pace.latency.answers >= 10 and pace.latency.elapsed_s >= 0.25:
            pace = self._weighed(pace)
        return self._risen(pace, used_s) if used_s else pace

    def _refused(self, pace: Pace, seen: Seen) -> Pace:
        """Back to what was accepted since the last refusal.

        The server had nothing left then and has nothing left now, so that is its limit. It is more where the limit has
        risen, less where a hold filled a burst up.
        """
        burst = self.burst_s * pace.rate * min(1.0, pace.hold_s)
        allowed = max(0.0, pace.accepted - burst) / max(pace.quiet_s - seen.latency_s, 1e-3)
        soon = pace.hold_s > 0 and pace.quiet_s < self.soon_s
        far = pace.good is None or pace.rate > 1.5 * pace.good or soon
        least = (self.overshoot if far else self.back) * pace.rate
        if pace.good is None:
            allowed = 0.0  # most of the time it was asked for far less than the limit
        elif seen.hold_s:
            allowed = max(allowed, self._shown(pace, pace.good, seen))
        measured = bool(seen.hold_s) and allowed >= least
        below = 1.0 if seen.hold_s else self.below
        good = max(self.least, below * min(pace.rate, max(least, allowed)))
        return replace(
            pace,
            rate=good,
            good=good,
            settled=measured or self._is_the_same(pace, good),
            measured=measured,
            quiet_s=0.0,
            accepted=0,
            hold_s=seen.hold_s,
            latency=Latency(pace.latency.floor_s),
            best=self._best(pace),
            went_back=False,
        )

    def _is_the_same(self, pace: Pace, good: float) -> bool:
        """Whether a limit is the one that was found before it."""
        if pace.good is None:  # it is met from one side only: where the rate had time to grow, it tells enough
            return pace.quiet_s >= 2.0
        return abs(good - pace.good) < 0.05 * pace.good

    def _shown(self, pace: Pace, good: float, seen: Seen) -> float:
        """What a server that makes everybody wait allows at least, as the last seconds before its refusal show.

        In each of them it accepted what was asked for: its pace, and a burst at the most. All the time since the hold
        says too little where the pace was far below the limit in most of it, for the burst was full then.
        """
        burst = self.burst_s * max(good, pace.best or 0.0) * min(1.0, max(pace.hold_s, seen.hold_s))
        steps = int(max(pace.quiet_s - seen.latency_s, 0.0) / _STEP_S)
        asked = accumulate(self._rate_at(pace, good, pace.quiet_s - n * _STEP_S) * _STEP_S for n in range(steps))
        return max(((accepted - burst) / (n * _STEP_S) for n, accepted in enumerate(asked, 1)), default=0.0)

    def _best(self, pace: Pace) -> float | None:
        """The best pace that held, after a refusal: it is forgotten where going back to it was refused at once."""
        if pace.good is None:
            return None
        if pace.quiet_s >= self.held_s:
            return max(pace.best or 0.0, pace.good)
        return None if pace.went_back else pace.best

    def _weighed(self, pace: Pace) -> Pace:
        """A step back to less than what is answered, where latency has grown."""
        latency = pace.latency
        if not latency.has_grown:
            floor_s = min(latency.floor_s, latency.fastest_s)
            return replace(pace, latency=Latency(floor_s, before_s=latency.fastest_s))
        rate = max(self.least, 0.85 * min(pace.rate, latency.answers / latency.elapsed_s))
        # where a lower pace brings no lower latency, it is not ours: each step back makes it more the usual one
        after = Latency(1.25 * latency.floor_s, before_s=latency.fastest_s)
        return Pace(rate, good=rate, latency=after, best=pace.best)

    def _risen(self, pace: Pace, used_s: float) -> Pace:
        if pace.good is None:
            return replace(pace, rate=min(self.most, float(pace.rate * self.growth**used_s)))
        rate = min(self.most, self._rate_at(pace, pace.good, pace.quiet_s))
        if pace.best is not None and self._has_come_back(pace, pace.good, pace.best, rate):
            return replace(pace, rate=pace.best, good=pace.best, settled=True, quiet_s=0.0, accepted=0, went_back=True)
        return replace(pace, rate=rate)

    def _has_come_back(self, pace: Pace, good: float, best: float, rate: float) -> bool:
        """Whether the limit has risen, so that the pace goes back to the best that held: no burst lasts so long.

        A slow rise is at twice `good` by then, a steep one at `1 + sqrt(2)` times: either way a second's worth has been
        accepted beyond `good`.
        """
        if self._rises_steeply(pace):
            return rate >= min(best, (1 + math.sqrt(2)) * good)
        return 2 * good <= rate < best

    def _rate_at(self, pace: Pace, good: float, quiet_s: float) -> float:
        """The pace so many seconds after the last step back: a rest in which it creeps, then up, slowly at first."""
        rising_s = max(0.0, quiet_s - self._rest_s(pace, good))
        creep = self.creep if not pace.hold_s else 0.0 if pace.measured else 10 * self.creep
        steep = self._rises_steeply(pace)
        return good * (1 + creep * quiet_s + (rising_s if steep else 0.02 * math.expm1(min(rising_s, 20.0))))

    def _rises_steeply(self, pace: Pace) -> bool:
        """Whether a limit that makes everybody wait has fallen: it is asked for sooner, and faster, than a new one."""
        return bool(pace.settled and pace.hold_s and self._has_fallen(pace))

    def _has_fallen(self, pace: Pace) -> bool:
        return pace.good is not None and pace.best is not None and pace.good < 0.9 * pace.best

    def _rest_s(self, pace: Pace, good: float) -> float:
        """Seconds at the pace that holds, before it rises again: what that costs must be little beside what it may win.

        It costs a refused request at least, which should be one of many. Where it makes everybody wait, it costs the
        more the faster the pace is, for a burst gives back the smaller part: at 40/s a second of waiting is worth 8 s
        of rest, at 120/s it is worth 72. Where a faster pace has held before, which probably comes back, and the less
        probably the longer it stays away, it is worth 3 s in the first minute, and a twentieth of the time afterwards.
        """
        rest_s = 1.0 + min(10.0, 40 / good)
        if not pace.settled:
            return rest_s
        worth_s = min(100.0, good**2 / 200)
        if self._rises_steeply(pace):
            worth_s = max(3.0, min(worth_s, (pace.away_s - pace.quiet_s) / 20))  # as it was at the last step back
        return rest_s + pace.hold_s * worth_s


def rate_policy(setting: float | str) -> RatePolicy:
    """The policy for `limits.rate`: a number of requests per second, `auto` or `unlimited`."""
    if setting == "auto":
        return AdaptiveRate()
    return FixedRate(UNLIMITED if setting == "unlimited" else float(setting))
