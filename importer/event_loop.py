"""An event loop that does a little at a time, so that nothing waits for all answers that came together.

asyncio takes everything that is ready at once. With 64 requests in flight to a quick server that is 64 answers, each
taken apart, recorded and followed by the next post, before any timer, signal or commit has its turn. Neither asyncio
nor uvloop has a setting for it; a selector is the part of the loop that decides how much comes at once.
"""

import asyncio
import selectors
import sys
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

AT_ONCE: Final = 8
"""Events that are dealt with before timers and whoever waits have their turn."""


class FewAtOnce(selectors.DefaultSelector):
    """Gives out what is ready in small parts, in its order; asks for more once all of it is dealt with."""

    def __init__(self) -> None:
        super().__init__()
        self._ready = deque[tuple[selectors.SelectorKey, int]]()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """At most AT_ONCE of the events that are ready; waits only where none is left from before."""
        if not self._ready:
            self._ready.extend(super().select(timeout))
        part: list[tuple[selectors.SelectorKey, int]] = []
        known = self.get_map()
        while self._ready and len(part) < AT_ONCE:
            key, events = self._ready.popleft()
            # what was registered anew since, or is another file under the same number, is reported again if it is ready
            if known.get(key.fd) == key:
                part.append((key, events))
        return part


def run(main: Coroutine[Any, Any, T]) -> T:
    """What `asyncio.run` does, on such a loop; on Windows, whose loop has no selector, on the usual one."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    return lambda: asyncio.SelectorEventLoop(FewAtOnce())
