"""Time as one value, so that tests move it instead of sleeping."""

import asyncio
import time


class Clock:
    """Wall time for what is written down, steady time for what is measured, and sleep."""

    def now(self) -> float:
        """Seconds since the epoch: for the ledger and the reports, comparable between runs."""
        return time.time()

    def steady(self) -> float:
        """Seconds that never jump: for waits and latencies within this process."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait without holding anybody up."""
        await asyncio.sleep(seconds)
