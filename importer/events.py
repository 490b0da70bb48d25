"""What a run tells while it goes on, to whoever listens: a console, a test, a program."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from importer.ledger.base import Result
from importer.outcomes import Outcome
from importer.records import Target
from importer.summary import PlanSummary


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the send pass is. `to_send` is None where the total is not known; rates are requests per second.

    Once it is `stopping`, nothing new is begun, and what is in flight is let end.
    """

    to_send: int | None
    finished: int
    outcomes: Mapping[Outcome, int]
    waiting: int
    rate: float
    allowed: float
    throttled: int
    held_s: float
    held_for: str
    elapsed_s: float
    stopping: bool = False


class Listener:
    """Told what happens while it happens. This base class keeps silent."""

    def started(self, run_id: str, target: Target, sources: Sequence[str]) -> None:
        """The key and the project are right; reading begins."""

    def planning(self, rows: int) -> None:
        """The plan pass has read so many more rows."""

    def planned(self, plan: PlanSummary) -> None:
        """The plan pass is over; sending begins."""

    def row(self, result: Result) -> None:
        """A row that was sent is finished."""

    def settled(self, result: Result) -> None:
        """A row for which nothing had to be sent is on record: refused, unchanged or a duplicate."""

    def progress(self, progress: Progress) -> None:
        """About four times a second while sending."""

    def warned(self, text: str) -> None:
        """Something beside the rows went wrong, and the run goes on, or has ended as it did."""
