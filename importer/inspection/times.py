"""In which way a column writes its times: an epoch and its unit, ISO 8601 with or without a zone, or a pattern."""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pandas as pd

from importer.inspection.names import is_time_name
from importer.inspection.wording import is_duration_name
from importer.mapping.cells import Fault
from importer.mapping.dates import UNITS, DateReader

LIKELY = range(2010, 2046)
"""Integers that fall into these years in some unit are epochs, even where the name of their column says nothing."""

MOST = 0.9
"""The share of cells that a format must read, to be the column's."""

_SECONDS = range(60, 400_000_000)
_SHORT = {"epoch_s": "s", "epoch_ms": "ms", "epoch_us": "µs"}
_LOOKS_DATED = re.compile(r"\d{1,4}[./-]\d{1,2}[./-]\d{2,4}|\d{1,2}:\d\d")
_TRIED = 20
"""Cells that a pattern is guessed from, at most."""


@dataclass(frozen=True, slots=True)
class Times:
    """How a column's times are written: `format` and `zone` as a `[mapping]` takes them, "" where none is needed."""

    said: str
    example: str
    format: str
    zone: str


def epochs(name: str, numbers: Sequence[int]) -> Times | None:
    """The unit of a column of epochs; None where its integers are something else."""
    for unit, (_, per_s) in UNITS.items():
        read = DateReader(unit, None, on_naive=lambda _: None)(list(numbers))
        times = [time for time in read if isinstance(time, datetime)]
        if len(times) < MOST * len(numbers):
            continue
        if is_time_name(name) or all(time.year in LIKELY for time in times):
            digits = len(str(numbers[0]))
            example = f"{times[0]:%Y-%m-%d %H:%M:%S} UTC"
            said = f"epochs in {_SHORT[unit]} ({digits} digits), e.g. {example}"
            return Times(said, example, unit, "") if per_s else None
    return None


def spans(name: str, numbers: Sequence[int]) -> str | None:
    """In words, what durations are; None where they are none."""
    if is_duration_name(name) and all(number in _SECONDS for number in numbers):
        least, most = min(numbers), max(numbers)
        return f"durations in seconds, {least:,}{f' to {most:,}' if most > least else ''}"
    return None


def written_times(cells: Sequence[Any]) -> Times | None:
    """How times that are no numbers are written; None where they are no times, or in no format of one."""
    iso = _read(cells, "iso8601")
    if iso is not None:
        return iso
    texts = [cell for cell in cells if isinstance(cell, str)]
    if not texts or not _LOOKS_DATED.search(texts[0]):
        return None
    guesses = [_guessed(text, day_first) for day_first in (False, True) for text in dict.fromkeys(texts[:_TRIED])]
    known = dict.fromkeys(guess for guess in guesses if guess)
    found = [times for guess in known if (times := _read(cells, guess)) is not None]
    if len(found) < 2:
        return next(iter(found), None)
    # 03.04. may be a day of March or of April, and nothing here tells which
    return replace(found[0], said=found[0].said.replace(" with", f" (or {found[1].format}: check) with", 1))


def _guessed(text: str, day_first: bool) -> str | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the day came first all the same, which is what is asked
        guess: str | None = pd.tseries.api.guess_datetime_format(text, dayfirst=day_first)
    return guess


def _read(cells: Sequence[Any], format: str) -> Times | None:  # noqa: A002 - the setting
    naive: list[str] = []
    read = DateReader(format, None, on_naive=naive.append)(list(cells))
    times = [time for time in read if isinstance(time, datetime)]
    if sum(isinstance(time, Fault) for time in read) > (1 - MOST) * len(cells) or not times:
        return None
    zone = "UTC" if naive else ""
    is_text = any(isinstance(cell, str) for cell in cells)
    written = f"times written as {format}" if format != "iso8601" else "ISO 8601 times" if is_text else "times"
    example = f"{times[0]:%Y-%m-%d %H:%M:%S}{'' if zone else ' UTC'}"
    said = f"{written} {'without' if zone else 'with'} a zone, e.g. {example}"
    return Times(said, example, "" if format == "iso8601" else format, zone)
