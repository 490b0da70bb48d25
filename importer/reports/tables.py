"""results.csv, errors.csv and summary.json: the columns that people's scripts rest on."""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from importer.ledger.base import ProblemRow, Result
from importer.outcomes import Code, Stage
from importer.records import Place
from importer.reports.files import whole_file
from importer.reports.html import RunReport, write_page
from importer.spool import Spool

RESULT_COLUMNS = (
    "source", "row", "provider", "group_ref", "consumer_ref", "outcome", "connection_id", "http_status", "attempts",
    "finished_at",
)  # fmt: skip
ERROR_COLUMNS = (
    "source", "row", "provider", "group_ref", "consumer_ref", "stage", "code", "field", "message", "fix",
    "http_status", "retryable", "attempts", "request_id",
)  # fmt: skip


def write_results(path: Path, results: Iterable[Result]) -> None:
    """results.csv: one line for each row."""
    with whole_file(path) as file:
        writer = csv.writer(_LinesOf(file))
        writer.writerow(RESULT_COLUMNS)
        for result in results:
            place = result.place
            writer.writerow(
                _defused(
                    place.source,
                    place.row,
                    *result.identity,
                    result.outcome,
                    result.connection_id or "",
                    _blank(result.http_status),
                    result.attempts,
                    _time(result.finished_at),
                )
            )


def write_errors(path: Path, problems: Iterable[ProblemRow], stopped: Mapping[str, str] | None = None) -> int:
    """errors.csv: one line for each problem, and one for the run where it stopped early. Returns how many."""
    count = 0
    with whole_file(path) as file:
        writer = csv.writer(_LinesOf(file))
        writer.writerow(ERROR_COLUMNS)
        for problem in problems:
            place, issue = problem.place, problem.issue
            count += 1
            writer.writerow(
                _defused(
                    place.source,
                    place.row,
                    *problem.identity,
                    issue.stage,
                    issue.code,
                    issue.field,
                    issue.reason,
                    issue.fix,
                    _blank(issue.http_status),
                    str(issue.retryable).lower(),
                    problem.attempts,
                    issue.request_id,
                )
            )
        if stopped:
            count += 1
            line = (Stage.SEND, Code.STOPPED, "", stopped["message"], stopped["fix"], "", "true", 0, "")
            writer.writerow(_defused("", "", "", "", "", *line))
    return count


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """summary.json."""
    with whole_file(path) as file:
        json.dump(summary, file, indent=2, ensure_ascii=False)
        file.write("\n")


def write_run_reports(folder: Path, report: RunReport) -> None:
    """All reports of one run into `folder`. Raises ReportError; those written before it stay whole."""
    write_results(folder / "results.csv", report.results())
    write_errors(folder / "errors.csv", report.problems(), report.summary.get("stopped"))
    write_summary(folder / "summary.json", report.summary)
    write_page(folder / "report.html", report)


def merged_results(spool: Spool, sent: Iterator[Result], sources: Sequence[str]) -> Iterator[Result]:
    """Every row that the run read, in order: what the ledger says of it, else what the spool knows."""
    for row in spool.beside(sent):
        if isinstance(row, Result):
            yield row
        else:
            place = Place(sources[row.source_no], row.source_no, row.row)
            yield Result(place, row.identity, row.outcome, row.connection_id)


class _LinesOf:
    """A file that takes a CSV writer's lines and ends them by a line feed.

    The writer quotes a cell for the characters of its own line end only (until Python 3.13): one that ends lines by a
    line feed writes a carriage return bare, and who reads that takes it for the end of a line.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, line: str) -> None:
        """Take one line, with the end that csv gives it."""
        self._file.write(line.removesuffix("\r\n") + "\n")


_FORMULA = re.compile(r"(^|[;\t\r\n])(?=[\s\ufeff\0]{0,8}[=+\-@＝＋－＠])|^(?=[\t\r\n])")
"""Where a spreadsheet may begin to read a formula.

The signs, full-width ones too, are those of OWASP's page "CSV Injection" (CWE-1236): at the start of a cell, or after
what some country's spreadsheet takes for the end of one.
"""

_HARMLESS = re.compile(r"(?:[A-Za-z0-9_.:/][^;\t\r\n\0]*)?(?:\0(?:[A-Za-z0-9_.:/][^;\t\r\n\0]*)?)*")
"""What the cells of most lines are, with a NUL between them: told in a fifth of the time."""


def _defused(*cells: object) -> Sequence[object]:
    """The cells of a line, with an apostrophe before what a spreadsheet would run as a formula."""
    if _HARMLESS.fullmatch("\0".join([cell for cell in cells if isinstance(cell, str)])):
        return cells
    return [_FORMULA.sub(r"\1'", cell) if isinstance(cell, str) else cell for cell in cells]


def _blank(value: int | None) -> object:
    return "" if value is None else value


def _time(seconds: float | None) -> str:
    return "" if seconds is None else _second(int(seconds))


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    """A time as it is written; rows that follow one another finish in the same few seconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
