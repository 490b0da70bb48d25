"""What the send pass need not make again: the jobs of the first rows, kept in memory by the plan pass.

A body is a credential and never lies on a disk, so what does not fit is read, mapped and validated a second time.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from importer.jobs import Job

KEPT_BYTES = 16 * 1024 * 1024
"""Bytes of bodies that are kept: some 21,000 rows of OAuth tokens. With all that belongs to a job they take twice the
memory."""


@dataclass(frozen=True, slots=True)
class KeptChunk:
    """The jobs of one chunk, and which rows of its source it covers."""

    source_no: int
    first_row: int
    last_row: int
    jobs: Sequence[Job]


class Kept:
    """The jobs of the first chunks of a run, as long as they fit; each is let go of as it is taken."""

    def __init__(self) -> None:
        self.chunks = 0
        """How many chunks of the plan pass are kept, counted from the first."""
        self.all = True
        """Whether none had to be left out."""
        self._bytes = 0
        self._queue: deque[KeptChunk] = deque()

    def add(self, chunk: KeptChunk) -> None:
        """Keep one more chunk; the first that does not fit ends it."""
        self._bytes += sum(len(job.body.json) for job in chunk.jobs)
        self.all = self._bytes <= KEPT_BYTES
        if self.all:
            self.chunks += 1
            self._queue.append(chunk)

    def take(self) -> Iterator[KeptChunk]:
        """Each chunk once, in order."""
        while self._queue:
            yield self._queue.popleft()
