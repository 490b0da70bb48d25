"""One pacer that every request of a run passes through; how fast, a policy says (`pace.py`).

The pacer hands off one start at a time and reads the rate anew at each, so a change or a hold is felt by all workers
at once. Semaphore-like limiters hand out a second's worth together (a measured one let 39 of 20 through).
"""

import asyncio
import logging
import math
import random
from collections import deque
from dataclasses import dataclass, replace

from importer.api.problems import Answer, Fate
from importer.clock import Clock
from importer.errors import ApiRefused, ImporterError
from importer.logs import event
from importer.pace import UNLIMITED, RatePolicy, Seen
from importer.timeline import Timeline

_LOG = logging.getLogger(__name__)

PROBE_AFTER = 10
"""Failed requests in a row after which all workers hold and one probe goes alone."""

CATCH_UP_S = 0.05
"""A start that comes late (timers round to a millisecond) may be made good within this time, within the window."""

AT_ONCE_S = 0.002
"""So much of it at once, for no timer ends sooner; the rest little by little: a bunch would reach the server as one."""

SOONER = 0.2
"""By this part of its gap a start comes sooner to make good what came late."""


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
        self.timeline: Timeline | None = None
        self._policy = policy
        self._patience = patience
        self._clock = clock
        self._turn = asyncio.Lock()
        self._hold_until = 0.0
        self._next_start = self._owed_s = 0.0
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

    def recall(self, rate: float | None) -> None:
        """Begin with the pace that held in an earlier run, if one is known and the policy makes use of it."""
        self.pace = self._policy.first(rate)
        self.rate = self.pace.rate

    @property
    def hold_s(self) -> float:
        """Seconds for which nothing starts yet, at the server's wish or while nothing answers."""
        return max(0.0, self._hold_until - self._clock.steady())

    def stop(self, reason: ImporterError) -> None:
        """No further request starts: whoever waits or comes gets `reason` raised. The first reason stays."""
        if self._stopped is None:
            self._stopped = reason
            event(_LOG, logging.ERROR, "stopping", message=str(reason), fix=reason.hint)

    async def rest(self, seconds: float) -> None:
        """Wait in slices, and no longer than until the run stops: a stop must not find anybody asleep."""
        until = self._clock.steady() + seconds
        while (left := until - self._clock.steady()) > 0 and not self._stopped:
            await self._clock.sleep(min(left, 0.5))

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
            self._plan_next(now)
        if now >= self._hold_until:
            self.held_for = ""
        return self._probe_out

    def _plan_next(self, now: float) -> None:
        """When the start after this one may come: at its turn, or a little sooner to make good what came late."""
        late_s = now - self._next_start
        if late_s > CATCH_UP_S:  # a pause is not made good: else its whole share would leave at one instant
            self._next_start, self._owed_s = now, 0.0
        elif late_s > AT_ONCE_S:
            self._next_start, self._owed_s = now - AT_ONCE_S, min(CATCH_UP_S, self._owed_s + late_s - AT_ONCE_S)
        sooner_s = min(self._owed_s, SOONER / self.rate)
        self._owed_s -= sooner_s
        self._next_start += 1 / self.rate - sooner_s

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
            if self.pace.rate < self.rate:
                self._back_at = now
            self.rate = self.pace.rate
            event(_LOG, logging.DEBUG, "rate_changed", rate=round(self.rate, 2), refused=refusal is not None)
        self._step_at = now
        self._started, self._accepted, self._fastest_s = 0, 0, math.inf

    def heard(self, answer: Answer[object], probe: bool = False) -> None:
        """Take note of what came back for a request that got a slot: the pace, a hold, or a failure in a row.

        `probe` is what `slot` said. While nothing answers only the probe's failure counts: the others were on their
        way when it began, and a restart of the server that cuts off 100 requests is one reason to hold, not 100.
        """
        self.give_back(probe)
        now = self._clock.steady()
        if self.timeline:
            self.timeline.heard(now, answer.status, answer.latency_s)
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
            self._hold(now + random.uniform(most_s / 2, most_s), "the API does not answer")  # noqa: S311 - no secret

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
            event(_LOG, logging.WARNING, "holding", seconds=round(self.hold_s, 1), reason=reason)
