"""The course of a run over time, in a bounded number of slices: what the plots of report.html are drawn from.

A slice begins half a second wide. When there would be more than MOST_SLICES, neighbours are merged and the width
doubles, so that a night of ten hours takes no more room than a minute. Latencies go into a histogram whose bounds grow
by a constant factor: percentiles are right to 5 %, and slices are merged without the single values.
"""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from importer.outcomes import Outcome

MOST_SLICES = 240
"""More points than that no screen can tell apart."""

FIRST_WIDTH_S = 0.5

PER_OCTAVE = 8
"""Buckets of a latency between one value and its double: neighbours differ by 9 %."""

PERCENTILES = (50, 95, 99)


@dataclass(slots=True)
class Slice:
    """What happened in one slice. `ticks` are looks at the pace, `paused` those at which nothing might start."""

    requests: int = 0
    throttled: int = 0
    failed: int = 0
    again: int = 0
    finished: Counter[Outcome] = field(default_factory=Counter)
    latencies: dict[int, int] = field(default_factory=dict)
    ticks: int = 0
    paused: int = 0
    allowed: float = 0.0

    def add(self, other: "Slice") -> None:
        """Take in what happened in the slice behind this one."""
        self.requests += other.requests
        self.throttled += other.throttled
        self.failed += other.failed
        self.again += other.again
        self.finished += other.finished
        for bucket, n in other.latencies.items():
            self.latencies[bucket] = self.latencies.get(bucket, 0) + n
        self.ticks += other.ticks
        self.paused += other.paused
        self.allowed += other.allowed


class Timeline:
    """Counts what is told to it, at times that do not go back: `now` is in seconds, from any start."""

    def __init__(self, now: float) -> None:
        self.width_s = FIRST_WIDTH_S
        self.slices = [Slice()]
        self._started = now
        self._ends = now + FIRST_WIDTH_S

    def heard(self, now: float, status: int | None, latency_s: float) -> None:
        """A request came back, with this status or (None) without an answer. This is called once a request."""
        last = self.slices[-1] if now < self._ends else self._at(now)
        last.requests += 1
        if status is None:
            last.failed += 1
            return
        if status >= 429:
            if status == 429:
                last.throttled += 1
            elif status >= 500:
                last.failed += 1
        bucket = int(math.log2(latency_s) * PER_OCTAVE + 1_000) if latency_s > 0 else 0
        last.latencies[bucket] = last.latencies.get(bucket, 0) + 1

    def finished(self, now: float, outcome: Outcome, attempts: int) -> None:
        """A row is done with, for this run, after so many attempts."""
        last = self.slices[-1] if now < self._ends else self._at(now)
        last.finished[outcome] += 1
        if attempts > 1:
            last.again += attempts - 1

    def tick(self, now: float, allowed: float, *, paused: bool) -> None:
        """So many requests a second are allowed (infinite: any number); `paused`: none may start for the moment."""
        last = self.slices[-1] if now < self._ends else self._at(now)
        last.ticks += 1
        last.paused += paused
        last.allowed += allowed

    def _at(self, now: float) -> Slice:
        """The slice of a time behind the last one's end; those between are empty."""
        while (number := int((now - self._started) / self.width_s)) >= MOST_SLICES:
            for left, right in zip(self.slices[::2], self.slices[1::2], strict=False):
                left.add(right)
            self.slices = self.slices[::2]
            self.width_s *= 2
        while len(self.slices) <= number:
            self.slices.append(Slice())
        self._ends = self._started + (number + 1) * self.width_s
        return self.slices[-1]

    def as_json(self) -> dict[str, Any]:
        """Lists of one value a slice, `width_s` seconds apart: counts, ms of latency, and allowed requests a second.

        A percentile is None where nothing was answered, `allowed` where there is no limit, or nobody looked.
        """
        slices = self.slices
        document: dict[str, Any] = {
            "width_s": self.width_s,
            "finished": {
                outcome.value: [one.finished[outcome] for one in slices]
                for outcome in Outcome
                if any(one.finished[outcome] for one in slices)
            },
            "paused_s": [round(self.width_s * one.paused / one.ticks, 2) if one.ticks else 0.0 for one in slices],
            "allowed": [_rounded(one.allowed / one.ticks) if one.ticks else None for one in slices],
        }
        for name in ("requests", "throttled", "failed", "again"):
            document[name] = [getattr(one, name) for one in slices]
        for percent in PERCENTILES:
            document[f"p{percent}_ms"] = [percentile_ms(one.latencies, percent) for one in slices]
        whole = Slice()
        for one in slices:
            whole.add(one)
        document["whole"] = {f"p{percent}_ms": percentile_ms(whole.latencies, percent) for percent in PERCENTILES}
        return document


def percentile_ms(latencies: dict[int, int], percent: int) -> float | None:
    """The latency that so many percent of the answers did not exceed, in ms, right to 5 %; None of no answers."""
    left = sum(latencies.values()) * percent / 100
    for bucket in sorted(latencies):
        left -= latencies[bucket]
        if left <= 0:
            return _rounded(1_000 * 2 ** ((bucket + 0.5 - 1_000) / PER_OCTAVE)) if bucket else 0.0
    return None


def _rounded(value: float) -> float | None:
    """Three digits, which is what it is worth; None of what JSON has no number for."""
    return float(f"{value:.3g}") if math.isfinite(value) else None
