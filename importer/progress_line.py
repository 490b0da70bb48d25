"""The one line that says how far a run is: as much of it as the terminal has room for, the most important first."""

from collections import Counter

from importer.events import Progress
from importer.outcomes import Outcome
from importer.pace import UNLIMITED

BAR_FROM = 90
"""Columns from which a bar is drawn too."""


def progress_line(progress: Progress, columns: int, rows_per_s: float | None = None) -> str:
    """How far, how fast, why it rests, how long to go, and the outcomes; never longer than `columns`."""
    line = ""
    for part in _parts(progress, rows_per_s):
        longer = f"{line} · {part}" if line else part
        if len(longer) > columns:
            break
        line = longer
    return line or _how_far(progress)[:columns]


def progress_format(progress: Progress, columns: int, rows_per_s: float | None = None) -> str:
    """The line as a `bar_format` of tqdm, with a bar in front where there is room and an end to it."""
    if progress.to_send is None or columns < BAR_FROM:
        return _escaped(progress_line(progress, columns, rows_per_s))
    line = progress_line(progress, columns - 22, rows_per_s)
    return f"{{percentage:3.0f}}% |{{bar:14}}| {_escaped(line)}"


def duration(seconds: float) -> str:
    """Seconds in words: to a second, a minute or a tenth of an hour."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def to_go(progress: Progress) -> str:
    """How long it will take at the pace so far; "" where nobody knows."""
    if not progress.to_send or not progress.finished:
        return ""
    left_s = (progress.to_send - progress.finished) * progress.elapsed_s / progress.finished
    return f"{duration(left_s)} to go"


def _parts(progress: Progress, rows_per_s: float | None) -> list[str]:
    counts = Counter(progress.outcomes)
    created = counts[Outcome.CREATED] + counts[Outcome.ADOPTED] + counts[Outcome.UPDATED]
    named = {"rejected": counts[Outcome.REJECTED], "failed": counts[Outcome.FAILED], "waiting": progress.waiting}
    outcomes = [f"created {created:,}", *(f"{name} {n:,}" for name, n in named.items() if n)]
    ahead = [] if progress.stopping or progress.held_s >= 1 else [to_go(progress)]
    return [part for part in (_how_far(progress), _pace(progress, rows_per_s), *ahead, *outcomes) if part]


def _how_far(progress: Progress) -> str:
    return f"{progress.finished:,} of {progress.to_send:,}" if progress.to_send else f"{progress.finished:,} rows"


def _pace(progress: Progress, rows_per_s: float | None) -> str:
    if progress.stopping:
        return "stopping: requests in flight are let end"
    if progress.held_s >= 1:
        return f"resting {progress.held_s:.0f} s: {progress.held_for}"
    allowed = "" if progress.allowed == UNLIMITED else f", {progress.allowed:,.0f} allowed"
    return f"{progress.rate if rows_per_s is None else rows_per_s:,.0f}/s{allowed}"


def _escaped(line: str) -> str:
    return line.replace("{", "{{").replace("}", "}}")
