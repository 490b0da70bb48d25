"""Takes a run back: deletes the connections that it posted and that are ours, and nothing that it adopted.

A deletion is sent again until it is answered, for it does nothing twice. What is deleted is `rolled_back` in the ledger
and not posted again by itself. Tokens that the platform has rotated since do not come back.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from importer.errors import Exit, ImporterError
from importer.existing import said_of
from importer.ledger.base import Entry, Ledger, Move, Result
from importer.ledger.writer import LedgerWriter
from importer.outcomes import Code, Issue, Outcome, Stage, State
from importer.project import refused
from importer.records import Place
from importer.retry import Wait, until_done
from importer.session import Session

SOURCE = "ledger"
"""What `source` says in the reports of a rollback, whose rows are entries of the ledger."""

TOGETHER = 500
"""Deletions that are under way, or waiting for their slot, at the same time."""


@dataclass(frozen=True, slots=True)
class RollbackSummary:
    """What a rollback did: `found` connections were the run's own, `left` of them are still there."""

    run_id: str
    of_run: str
    found: int
    deleted: int
    left: int
    dry_run: bool = False
    stopped: ImporterError | None = None

    @property
    def exit_code(self) -> int:
        """4 where connections are left."""
        if self.stopped:
            return self.stopped.exit_code
        return Exit.ROWS_LEFT if self.left else Exit.DONE

    def said(self) -> dict[str, str] | None:
        """Why it stopped early, for the report; None where it did not."""
        return {"message": str(self.stopped), "fix": self.stopped.hint} if self.stopped else None

    def as_json(self) -> dict[str, Any]:
        """The same as one object."""
        return {
            "run_id": self.run_id, "of_run": self.of_run, "dry_run": self.dry_run, "found": self.found,
            "deleted": self.deleted, "left": self.left, "exit_code": int(self.exit_code),
        }  # fmt: skip


class Rollback:
    """One rollback within a session; `view` is a second look into its ledger."""

    def __init__(self, session: Session, view: Ledger, of_run: str) -> None:
        self._session = session
        self._view = view
        self._of_run = of_run
        self._counts = Counter[str]()

    async def go(self) -> RollbackSummary:
        """Delete, and put on record what is gone. Run it again to go on."""
        session = self._session
        session.begin("rollback", [SOURCE])
        doubtful = list(in_doubt(self._view, self._of_run))
        entries = self._view.posted_by(self._of_run)
        async with LedgerWriter(session.ledger, session.run_id, session.pacer.stop) as writer:
            while batch := list(islice(entries, TOGETHER)):
                await asyncio.gather(*(self._delete(writer, entry) for entry in batch))
            for entry in doubtful:
                self._record(writer, entry, _IN_DOUBT)
        counts = self._counts
        return RollbackSummary(
            session.run_id, self._of_run, counts.total(), counts["deleted"], counts["left"],
            stopped=session.pacer.stopped,
        )  # fmt: skip

    async def _delete(self, writer: LedgerWriter, entry: Entry) -> None:
        tries = 0
        left: Issue | None = None

        async def step() -> Wait | None:
            nonlocal tries, left
            answer = await self._session.client.delete(entry.connection_id or "")
            if answer.status in (200, 204, 404):  # 404: gone already, by an answer that was lost or by somebody else
                return None
            if answer.status in (401, 403):
                raise refused(answer)
            tries += answer.status != 429
            delay_s = self._session.backoff.delay_s(max(tries, 1), answer.retry_after_s)
            if delay_s is None or (answer.problem and answer.problem.retryable is False):
                left = _left(said_of(answer), answer.status)
                return None
            return Wait(delay_s)

        try:
            await until_done(step, self._session.pacer.rest)
        except ImporterError as error:
            self._session.pacer.stop(error)
            self._counts["left"] += 1
            return
        self._record(writer, entry, left)

    def _record(self, writer: LedgerWriter, entry: Entry, left: Issue | None) -> None:
        now = self._session.clock.now()
        self._counts["left" if left else "deleted"] += 1
        place = Place(SOURCE, 0, self._counts.total())
        if left is None:
            writer.put(Move(entry.identity, State.ROLLED_BACK, now))
        outcome = Outcome.NOT_SENT if left is None else Outcome.UNKNOWN if left is _IN_DOUBT else Outcome.FAILED
        writer.put(
            Result(place, entry.identity, outcome, entry.connection_id, finished_at=now, issues=[left] if left else ())
        )


def in_doubt(ledger: Ledger, of_run: str) -> Iterator[Entry]:
    """The rows of a run that may have a connection that nobody knows: importer verify settles them first."""
    unsettled = ledger.in_state([State.UNKNOWN, State.SENDING])
    return (entry for entry in unsettled if entry.run_id == of_run)


_IN_DOUBT = Issue(
    "", Code.NO_ANSWER, "it may have a connection that nobody knows, and that cannot be deleted",
    "importer verify settles it; then run the same rollback again.", Stage.SEND, retryable=True,
)  # fmt: skip


def _left(said: str, status: int | None) -> Issue:
    return Issue(
        "", Code.ATTEMPTS_SPENT, f"its connection could not be deleted: {said}",
        "Run the same rollback again: it goes on where it was.", Stage.SEND, status, retryable=True,
    )  # fmt: skip
