"""What a run tells, as events of the log, passed on to whoever listens besides."""

import logging
import time
from collections.abc import Sequence

from importer.events import Listener, Progress
from importer.ledger.base import Result
from importer.logs import event
from importer.outcomes import Outcome
from importer.records import Target
from importer.summary import PlanSummary

PROGRESS_EVERY_S = 30.0
"""Seconds between two `progress` events."""

_LOG = logging.getLogger(__name__)
_SETTLED = frozenset({Outcome.CREATED, Outcome.ADOPTED, Outcome.UPDATED, Outcome.UNCHANGED, Outcome.DUPLICATE})


class EventLog(Listener):
    """Logs what it is told and tells it to the next listener: rows that went well at debug, the others as warnings."""

    def __init__(self, then: Listener) -> None:
        self._then = then
        self._next_progress = 0.0

    def started(self, run_id: str, target: Target, sources: Sequence[str]) -> None:
        """See `Listener`."""
        event(_LOG, logging.INFO, "run_started", project_id=target.project_id, sources=len(sources))
        self._then.started(run_id, target, sources)

    def planning(self, rows: int) -> None:
        """See `Listener`."""
        event(_LOG, logging.DEBUG, "rows_read", rows=rows)
        self._then.planning(rows)

    def planned(self, plan: PlanSummary) -> None:
        """See `Listener`."""
        event(
            _LOG, logging.INFO, "run_planned", read=plan.read, to_send=plan.to_send, new=plan.new,
            changed=plan.changed, unfinished=plan.unfinished, done=plan.done, rejected=plan.rejected,
        )  # fmt: skip
        self._next_progress = time.monotonic() + PROGRESS_EVERY_S
        self._then.planned(plan)

    def row(self, result: Result) -> None:
        """See `Listener`."""
        self._log(result)
        self._then.row(result)

    def settled(self, result: Result) -> None:
        """See `Listener`."""
        self._log(result)
        self._then.settled(result)

    def _log(self, result: Result) -> None:
        level = logging.DEBUG if result.outcome in _SETTLED and not result.issues else logging.WARNING
        if _LOG.isEnabledFor(level):
            place, identity = result.place, result.identity
            event(
                _LOG, level, "row_finished", source=place.source, row=place.row, provider=identity.provider,
                group_ref=identity.group_ref, consumer_ref=identity.consumer_ref, outcome=result.outcome.value,
                codes=",".join(issue.code for issue in result.issues) or None, http_status=result.http_status,
                attempts=result.attempts,
            )  # fmt: skip

    def progress(self, progress: Progress) -> None:
        """See `Listener`."""
        if time.monotonic() >= self._next_progress:
            self._next_progress = time.monotonic() + PROGRESS_EVERY_S
            event(
                _LOG, logging.INFO, "progress", finished=progress.finished, to_send=progress.to_send,
                waiting=progress.waiting, rate=round(progress.rate, 1), throttled=progress.throttled,
                held_s=round(progress.held_s, 1), held_for=progress.held_for or None,
            )  # fmt: skip
        self._then.progress(progress)

    def warned(self, text: str) -> None:
        """See `Listener`."""
        event(_LOG, logging.WARNING, "warned", message=text)
        self._then.warned(text)
