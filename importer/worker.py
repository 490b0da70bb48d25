"""The pool: claims rows in batches, hands them to a fixed number of workers, and lets rows that wait go on beside them.

An intent is on disk before its first byte leaves; whatever ends this process, the ledger says which rows may be on
their way. A row that has to wait leaves its worker for the lane, where every wait goes through the one tenacity loop.
"""

import asyncio
from collections.abc import AsyncIterator, Container, Sequence
from itertools import islice

from importer.bulk import MOST
from importer.clock import Clock
from importer.errors import ImporterError
from importer.existing import Existing, Looked
from importer.jobs import Job
from importer.ledger.base import Move
from importer.ledger.writer import LedgerWriter
from importer.outcomes import State
from importer.pace import UNLIMITED
from importer.pacing import Pacer
from importer.records import Identity
from importer.remarks import NOT_CHECKED, double
from importer.retry import Wait, until_done
from importer.sending import Sender, repeats_a_credential
from importer.spool import Action

LANE = 2_000
"""Rows that may wait at the same time; from there on the workers wait with them."""

BATCH = MOST
"""Rows claimed together at the most, by one statement.

With a rate it is a quarter of a second's worth, so that intents stay fresh and few rows are in doubt after a crash.
"""

EACH = 8
"""The same for each worker where no rate says how fast the rows go: a quick API takes them in a few milliseconds."""


class WorkerPool:
    """Sends the jobs of one run with a fixed number of workers."""

    def __init__(
        self, sender: Sender, existing: Existing, writer: LedgerWriter, pacer: Pacer, clock: Clock, workers: int
    ) -> None:
        self.waiting = 0
        """Rows that wait for another try now."""
        self.claimed = False
        """Whether an intent was put on disk: from then on something may have been sent."""
        self._sender = sender
        self._existing = existing
        self._writer = writer
        self._pacer = pacer
        self._clock = clock
        self._workers = workers
        self._queue: asyncio.Queue[Job | None] = asyncio.Queue(maxsize=self._batch_size() * 2)
        self._lane: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(LANE)

    async def run(self, chunks: AsyncIterator[list[Job]]) -> None:
        """Send every job; afterwards each is settled, or where it certainly was when the pacer stopped.

        What a bug raises is raised; rows in flight are then `sending` in the ledger, and the next run looks them up.
        """
        async with asyncio.TaskGroup() as group:
            for number in range(self._workers):
                group.create_task(self._work(), name=f"worker-{number}")
            try:
                await self._feed(chunks)
            except ImporterError as error:
                self._pacer.stop(error)
            for _ in range(self._workers):
                await self._queue.put(None)
        while self._lane:
            await asyncio.gather(*self._lane)
        if self._sender.doubtful:
            await self._look_for_doubles()

    async def _feed(self, chunks: AsyncIterator[list[Job]]) -> None:
        """Claim rows as fast as the workers take them."""
        async for chunk in chunks:
            # no key is posted before its provider was listed in this run: somebody may have connected by hand
            for provider in dict.fromkeys(job.identity.provider for job in chunk if job.action is not Action.PATCH):
                await self._existing.list_provider(provider)
            left = iter(chunk)
            while batch := list(islice(left, self._batch_size())):
                if self._pacer.stopped:
                    return
                touched = self._existing.touched([job.identity for job in batch])
                await self._claim([job for job in batch if not await self._is_settled(job, touched)])

    def _batch_size(self) -> int:
        rows = self._workers * EACH if self._pacer.rate == UNLIMITED else self._pacer.rate / 4
        return max(1, min(BATCH, int(rows)))

    async def _is_settled(self, job: Job, touched: Container[Identity]) -> bool:
        """Whether the listing settles a row, or it has to be looked up later: then nothing is claimed for it now.

        `touched` are the keys for which the listing has something.
        """
        if job.action is Action.PATCH:
            return False
        if job.identity in touched:
            known, nearly = self._existing.known(job.identity), self._existing.nearly(job.identity)
            if self._sender.mistrusts(job, [*known, *nearly]):
                return True
            if found := await self._sender.free(job, known):
                return not self._sender.settle(job, found)
            if await self._sender.holds_back(job, nearly):
                return True
        if job.action is Action.LOOK:
            listed_at = await self._existing.list_provider(job.identity.provider)
            if listed_at < job.settle_at or job.connection_id:  # made under other refs: it is looked up by its id
                self._to_lane(job, Wait(job.settle_at - self._clock.now()))
                return True
            self._writer.put(Move(job.identity, State.PENDING, self._clock.now(), doubt=False))
            job.action, job.doubt, job.resent = Action.POST, False, True
            if job.objections:
                self._sender.reject(job, job.objections)
                return True
        return False

    async def _claim(self, jobs: Sequence[Job]) -> None:
        """Put the intents on disk, then hand the rows out."""
        if not jobs:
            return
        now = self._clock.now()
        self.claimed = True
        await self._writer.commit([self._sender.intent(job, now) for job in jobs])
        for job in jobs:
            await self._queue.put(job)

    async def _work(self) -> None:
        while (job := await self._queue.get()) is not None:
            wait = await self._sender.act(job)
            if wait is not None:
                await self._room.acquire()
                self._to_lane(job, wait, self._room)

    def _to_lane(self, job: Job, wait: Wait, room: asyncio.Semaphore | None = None) -> None:
        self.claimed = True
        task = asyncio.create_task(self._wait_and_act(job, wait, room))
        self._lane.add(task)
        task.add_done_callback(self._left_lane)

    def _left_lane(self, task: asyncio.Task[None]) -> None:
        # one that raised stays, so that its bug is raised at the end
        if not task.cancelled() and task.exception() is None:
            self._lane.discard(task)

    async def _wait_and_act(self, job: Job, wait: Wait, room: asyncio.Semaphore | None) -> None:
        self.waiting += 1
        try:
            await until_done(lambda: self._sender.act(job), self._pacer.rest, first=wait)
        finally:
            self.waiting -= 1
            if room:
                room.release()

    async def _look_for_doubles(self) -> None:
        """Look once more at every key that had a lost answer: a late commit would be a second connection."""
        doubtful = self._sender.doubtful
        try:
            looks = await asyncio.gather(*(self._look_patiently(identity) for identity in doubtful))
        except ImporterError as error:
            self._pacer.stop(error)
            looks = [None] * len(doubtful)
        for (result, body), looked in zip(doubtful.values(), looks, strict=True):
            if looked is None or repeats_a_credential(body, looked.mine):
                self._writer.put(result._replace(issues=[*result.issues, NOT_CHECKED]))
            elif len(looked.mine) > 1:
                self._writer.put(result._replace(issues=[*result.issues, double(looked.mine)]))

    async def _look_patiently(self, identity: Identity) -> Looked | None:
        """The connections of a key; None once the API has not said it in all attempts."""
        found: Looked | None = None
        tries = 0

        async def step() -> Wait | None:
            nonlocal found, tries
            found = await self._existing.look(identity)
            tries += 1
            delay_s = self._sender.delay_s(tries) if found is None else None
            return None if delay_s is None else Wait(delay_s)

        await until_done(step, self._pacer.rest)
        return found
