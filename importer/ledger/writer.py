"""Group commit: many rows wait for one write to disk.

Workers hand in what happened; one thread owns the ledger and commits whatever has come together. Who needs it on
disk before going on (an intent) waits for that commit; outcomes are on disk within FLUSH_S. Once a write has failed
nothing more is accepted: no request may leave that could not be recorded.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from importer.errors import ImporterError, LedgerLost
from importer.ledger.base import Ledger, Write
from importer.records import Identity

FLUSH_S = 0.2
"""Seconds after which an outcome is written at the latest, however slow the run is."""

BATCH = 1_000
"""Writes that are worth a commit of their own, however fast the run is."""

T = TypeVar("T")


class LedgerWriter:
    """The one way into the ledger while a run sends; use it as an async context manager."""

    def __init__(self, ledger: Ledger, run_id: str, failed: Callable[[ImporterError], None]) -> None:
        """`failed` is told once when a write fails, before anybody else can start a request."""
        self._ledger = ledger
        self._run_id = run_id
        self._failed = failed
        self._pending: list[Write] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._wake = asyncio.Event()
        self._closing = False
        self._error: Exception | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "LedgerWriter":
        self._task = asyncio.create_task(self._loop(), name="ledger-writer")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Write what is left, then let go of the thread."""
        self._closing = True
        self._wake.set()
        if self._task:
            await self._task
        self._thread.shutdown()
        if self._error and not isinstance(self._error, ImporterError):
            raise self._error

    def put(self, *writes: Write) -> None:
        """Hand in what happened; it is on disk within FLUSH_S, or the run stops."""
        self._pending += writes
        if len(self._pending) >= BATCH:
            self._wake.set()

    async def commit(self, writes: Sequence[Write]) -> None:
        """Hand in what happened and wait until it is on disk. Raises LedgerLost when it cannot be."""
        if self._error:
            raise self._error
        self._pending += writes
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        self._wake.set()
        await done

    async def holder_of(self, connection_id: str) -> Identity | None:
        """The key that a connection is known by, with all that was handed in until now."""
        await self.commit([])
        return await self.call(lambda: self._ledger.holder_of(connection_id))

    async def call(self, function: Callable[[], T]) -> T:
        """Run something on the ledger's own thread, between two commits."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)

    async def _loop(self) -> None:
        while True:
            try:
                async with asyncio.timeout(FLUSH_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            await self._flush()
            if self._closing and not self._pending and not self._waiting:
                return

    async def _flush(self) -> None:
        writes, waiting = self._pending, self._waiting
        self._pending, self._waiting = [], []
        if writes and not self._error:
            try:
                await self.call(lambda: self._ledger.apply(writes, self._run_id))
            except ImporterError as error:
                self._error = error
                self._failed(error)
            except Exception as error:  # a bug: whoever waits must hear of it, and nothing more may be sent
                self._error = error
                self._failed(LedgerLost("the ledger could not be written, by a mistake of ours", hint="Run again."))
        for done in waiting:
            if done.cancelled():
                continue
            if self._error:
                done.set_exception(self._error)
            else:
                done.set_result(None)
