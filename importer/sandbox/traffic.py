"""What came in, and how fast it may: counters and a token bucket."""

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass

STARTS_KEPT = 200_000


@dataclass(frozen=True, slots=True)
class Requests:
    """A snapshot of the traffic so far."""

    kinds: Counter[str]
    """Requests by kind: generate, list, get, patch, delete, project, providers, provider_apps."""
    statuses: Counter[int]
    """Answers by HTTP status; 0 where there was nobody to answer: we hung up, or the client had gone."""
    faults: Counter[str]
    """Faults that were met, by name."""
    starts_s: list[float]
    """When each request came in, on time.monotonic(); the last 200,000 of them."""

    @property
    def total(self) -> int:
        """Requests of every kind."""
        return sum(self.kinds.values())


class Traffic:
    """Counts requests in the server's thread; `snapshot` may be called from any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kinds: Counter[str] = Counter()
        self._statuses: Counter[int] = Counter()
        self._faults: Counter[str] = Counter()
        self._starts_s: deque[float] = deque(maxlen=STARTS_KEPT)

    def arrived(self, kind: str) -> None:
        """Count a request as it comes in."""
        with self._lock:
            self._kinds[kind] += 1
            self._starts_s.append(time.monotonic())

    def answered(self, status: int, fault: str | None) -> None:
        """Count the answer to it, and the fault it met."""
        with self._lock:
            self._statuses[status] += 1
            if fault:
                self._faults[fault] += 1

    def snapshot(self) -> Requests:
        """A copy that no longer changes."""
        with self._lock:
            return Requests(self._kinds.copy(), self._statuses.copy(), self._faults.copy(), list(self._starts_s))


class Bucket:
    """A token bucket: `rate` requests/s for ever, and `burst` at once after a pause."""

    def __init__(self, rate: float, burst: float) -> None:
        if rate <= 0 or burst < 1:
            raise ValueError(f"rate is {rate} requests/s and burst {burst}: give more than 0 and at least 1.")
        self._rate, self._burst = rate, burst
        self._tokens, self._filled_at_s = burst, time.monotonic()

    def wait_s(self) -> float:
        """0 and one token less, or the seconds until there will be one."""
        now_s = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now_s - self._filled_at_s) * self._rate)
        self._filled_at_s = now_s
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._rate
