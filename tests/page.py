"""Run reports made of values, as large and as hostile as a test wants them: no run takes as long as this page may."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from importer.ledger.base import Compared, ProblemRow, Result
from importer.outcomes import Code, Issue, Outcome, Stage
from importer.records import Identity, Place
from importer.reports.html import RunReport
from importer.timeline import Timeline

STARTED = 1_790_000_000.0
PROVIDERS = ("hubspot", "salesforce", "slack", "stripe", "zendesk")
BAD_DATE = Issue("access_token_expires_at", Code.BAD_DATE, "this is no ISO 8601 time", "Check the column.")
REFUSED = Issue("apiKey", Code.API_REJECTED, "the API says: no", "Correct the row.", Stage.SEND, 422)

HOSTILE = (
    "<script>alert(1)</script>",
    '"></td><img src=x onerror=alert(1)>',
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "' onmouseover='alert(1)",
    "&lt;b&gt;",
    "a\u2028b",
    "invoice\u202egpj.exe",
    "a\0b\x1bc",
    "L" * 10_000,
)


@dataclass(frozen=True)
class Made:
    """Rows 1 to `rows`, of which every `bad_every`th is rejected; of those not sent, the last `left`."""

    rows: int
    bad_every: int = 0
    left: int = 0
    refs: tuple[str, ...] = ()

    def identity(self, row: int) -> Identity:
        ref = self.refs[row % len(self.refs)] if self.refs else f"org-{row}"
        return Identity(PROVIDERS[row % len(PROVIDERS)], ref, f"user-{row}@example.com")

    def outcome(self, row: int) -> Outcome:
        if row > self.rows - self.left:
            return Outcome.NOT_SENT
        return Outcome.REJECTED if self.bad_every and row % self.bad_every == 0 else Outcome.CREATED

    def results(self) -> Iterator[Result]:
        for row in range(1, self.rows + 1):
            outcome = self.outcome(row)
            place = Place("rows.csv", 0, row)
            if outcome is Outcome.CREATED:
                yield Result(place, self.identity(row), outcome, f"fake-{row:08}", 201, 1, STARTED + row / 100)
            else:
                yield Result(place, self.identity(row), outcome)

    def problems(self) -> Iterator[ProblemRow]:
        for row in range(1, self.rows + 1):
            if self.outcome(row) is Outcome.REJECTED:
                issue = BAD_DATE if row % (2 * self.bad_every) else REFUSED
                yield ProblemRow(Place("rows.csv", 0, row), self.identity(row), issue)

    def summary(self, **more: Any) -> dict[str, Any]:
        outcomes = Counter(result.outcome for result in self.results())
        return {
            "run_id": "20260921T141320-fake", "exit_code": 3 if self.bad_every else 0,
            "outcomes": {outcome.value: outcomes[outcome] for outcome in Outcome}, "read": self.rows, "skipped": 0,
            "complete": True, "problems": outcomes[Outcome.REJECTED], "requests": self.rows, "throttled": 7,
            "elapsed_s": self.rows / 100, "rate": 100.0, **more,
        }  # fmt: skip

    def report(self, **more: Any) -> RunReport:
        course = {"sources": ["rows.csv"], "timeline": timeline().as_json(), "tokens": [TOKENS]}
        compared = Compared("20260920T141320-fake", STARTED - 86_400, 5, 4, 3, 2)
        return RunReport(self.summary(**more), STARTED, self.results, self.problems, course, compared, self.problems)


TOKENS = {
    "provider": "hubspot", "scheme": "oauth2/authorizationCode", "rows": 9, "to_send": 8, "expired": 1,
    "expire_soon": 2, "without_refresh_token": 3,
}  # fmt: skip


def timeline() -> Timeline:
    """A minute at 20 requests a second with a dip, a pause and a few refusals."""
    line = Timeline(0.0)
    for tick in range(1_200):
        now = tick / 20
        status = 429 if 400 < tick < 420 else 503 if tick % 397 == 0 else 201
        line.heard(now, status, 0.05 + tick % 13 / 100)
        line.tick(now, 20.0, paused=420 <= tick < 460)
        if status == 201:
            line.finished(now, Outcome.CREATED, 1 + (tick % 100 == 0))
    return line
