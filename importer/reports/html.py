"""report.html: one file that opens offline, for whoever looks at a run the morning after.

Nothing in it asks for anything: the plots are SVG, style and script are in the page, and its content policy allows
these two by their hashes and nothing else. What somebody reads first (the outcome, the problems by reason, the plots)
is HTML, and there without a script; the single rows are JSON behind it, a page of which page.js shows.
"""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import IO, Any

from importer.ledger.base import Compared, Ledger, ProblemRow, Result
from importer.outcomes import DONE, Outcome
from importer.reports.embedded import MOST_PROBLEMS, MOST_ROWS, PROBLEMS, ROWS, embed_problems, embed_results
from importer.reports.files import whole_file
from importer.reports.markup import safe, table
from importer.reports.sections import changes, fixes, head, over_time, tokens


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a page is made of. `results`, `problems` and those of the run before are read as often as need be.

    `started_at` is in seconds since the epoch; `course` is None for runs of a version that did not keep it.
    """

    summary: Mapping[str, Any]
    started_at: float
    results: Callable[[], Iterator[Result]]
    problems: Callable[[], Iterator[ProblemRow]]
    course: Mapping[str, Any] | None = None
    compared: Compared | None = None
    problems_before: Callable[[], Iterator[ProblemRow]] = lambda: iter(())


def report_of(ledger: Ledger, run_id: str, summary: Mapping[str, Any], started_at: float) -> RunReport:
    """What the ledger knows of a run. Raises LedgerLost."""
    compared = ledger.compared(run_id)
    return RunReport(
        summary=summary,
        started_at=started_at,
        results=lambda: ledger.results(run_id),
        problems=lambda: ledger.problems(run_id),
        course=ledger.course(run_id),
        compared=compared,
        problems_before=lambda: ledger.problems(compared.run_id) if compared else iter(()),
    )


def write_page(path: Path, report: RunReport) -> None:
    """The page, whole or not at all. Raises ReportError."""
    with whole_file(path) as file:
        _write(file, report)


def _write(file: IO[str], report: RunReport) -> None:
    style, script = _asset("page.css"), _asset("page.js")
    summary, course = report.summary, report.course or {}
    opening = head(summary, report.started_at, course)
    file.write(
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy(style, script)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n<link rel="icon" href="data:,">\n'
        f"<title>{safe(opening.title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f'<a class="skip" href="#rows">To the rows</a>\n<header>\n{opening.markup}</header>\n<main>\n'
    )
    for part in (
        fixes(report.problems(), report.problems_before()),
        changes(summary, report.compared),
        over_time(course.get("timeline")),
        tokens(course.get("tokens")),
        _problems(summary),
        _rows(summary),
    ):
        file.write(part)
    file.write(
        f"</main>\n<footer><p>Run <code>{safe(summary.get('run_id', ''))}</code>. The same in tables: results.csv,"
        " errors.csv and summary.json beside this page.</p></footer>\n"
    )
    if summary.get("problems"):
        embed_problems(file, "problem-data", report.problems())
    left = sum(n for outcome, n in summary.get("outcomes", {}).items() if Outcome(outcome) not in DONE)
    embed_results(file, "row-data", report.results(), left)
    file.write(f"<script>{script}</script>\n</body>\n</html>\n")


def _asset(name: str) -> str:
    return files("importer.reports").joinpath("page", name).read_text("utf-8")


def _policy(style: str, script: str) -> str:
    """What the page may do: use this style, run this script, and load nothing from anywhere."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:;"
        " base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _problems(summary: Mapping[str, Any]) -> str:
    count = summary.get("problems", 0)
    if not count:
        return ""
    first = f"the first {MOST_PROBLEMS:,} of {count:,}" if count > MOST_PROBLEMS else f"{count:,}"
    caption = f"Problems, one line each: {first}. errors.csv has all."
    body = table(caption, PROBLEMS.columns(), (), choose=(2, 5), source="problem-data")
    return f'<section aria-labelledby="problems"><h2 id="problems">Each problem</h2>\n{body}\n</section>\n'


def _rows(summary: Mapping[str, Any]) -> str:
    outcomes = summary.get("outcomes", {})
    count = sum(outcomes.values())
    caption = "Rows that this run read. A report that was written anew leaves out those that were unchanged."
    if count > MOST_ROWS:
        caption = (
            f"{MOST_ROWS:,} of the {count:,} rows that this run read: first of all those that are not done."
            " results.csv has every row."
        )
    body = table(caption, ROWS.columns(), (), choose=(2, 5), source="row-data")
    without = '<p class="without-script">Single rows are shown by a script; results.csv has them too.</p>\n'
    return f'<section aria-labelledby="rows"><h2 id="rows">Each row</h2>\n{without}{body}\n</section>\n'
