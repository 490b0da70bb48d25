"""Times of tokens, from text, epochs or typed cells, as aware datetimes in UTC."""

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from numbers import Real
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pandas as pd

from importer.errors import ConfigError
from importer.mapping.cells import Fault, is_blank
from importer.outcomes import Code

UNITS = {"epoch_s": ("seconds", 1), "epoch_ms": ("milliseconds", 1_000), "epoch_us": ("microseconds", 1_000_000)}
"""Format word -> the unit in words, and how many of it make a second."""

YEARS = range(2000, 2101)
"""A token's time outside these was read in the wrong unit or from the wrong column."""

_FIRST_S = int(datetime(YEARS.start, 1, 1, tzinfo=UTC).timestamp())
_END_S = int(datetime(YEARS.stop, 1, 1, tzinfo=UTC).timestamp())
_YEAR_S = 31_556_952

_NUMBER = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{1,20})?")
_OTHER_FORMAT = 'Check the column; a [mapping] can say how it is written, e.g. format = "epoch_ms" or "%d/%m/%Y %H:%M".'
_PRESENT = frozenset({"now", "today"})
_A_DURATION = Fault(
    Code.BAD_DATE,
    "this is a number of seconds from some moment on (an expires_in), not a time",
    'Where a column has that moment, name it in the [mapping]: format = "expires_in", since = "column". Else leave it '
    "empty: nobody knows the time.",
)
_LONGEST_DURATION_S = 400_000_000
_ROUNDED = re.compile(r"\d[.,]\d+[eE]\+?\d+")
_A_DAY = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d|$)")
_LONGEST_PATTERN = 100
"""Characters of a strptime pattern: each makes reading slower."""

EXPIRES_IN = "expires_in"
"""The format of a duration in seconds, which `ends` turns into a time."""
EXPIRES = "expires"
"""The format of a number that is either a duration or the time itself, told by its size; only a preset has it."""

LONGEST_EXPIRES_S = 63_072_000
"""Two years: python-social-auth takes a larger `expires` for seconds since 1970, any other for a duration."""

_LONGEST_EXPIRY_S = 10 * _YEAR_S
_NOT_A_DURATION = Fault(
    Code.BAD_DATE,
    "this is no number of seconds, as expires_in is",
    "Check that the right column is mapped; a time has another format.",
)
_NO_SUCH_DURATION = Fault(
    Code.BAD_DATE,
    "this is a negative number of seconds, or more than ten years",
    'If it is a time, say so: format = "auto" and no since. If it stands for never, leave it empty.',
)
_NOT_A_TIME = Fault(Code.BAD_DATE, "this is no date or time", "Check that the right column is mapped.")


class Untimed(Fault):
    """A duration without the moment it counts from: no time, and nothing wrong either; `reason` is what to note."""


class DateReader:
    """Reads a column of times in one format; `on_naive` is told the zone when it meets a time without one."""

    def __init__(self, format: str | None, zone: str | None, *, on_naive: Callable[[str], None]) -> None:  # noqa: A002 - the setting
        self._format = format or "iso8601"
        self._zone_name = zone or "UTC"
        self._zone = _zone(self._zone_name)
        self._on_naive = on_naive
        self._pattern = self._format if "%" in self._format else None
        if self._pattern:
            _check_pattern(self._pattern)
        elif self._format not in {*UNITS, "iso8601", "auto"}:
            raise ConfigError(
                f"{self._format!r} is no format of a time",
                hint=f"Give {', '.join([*UNITS, 'iso8601', 'auto', EXPIRES_IN])}, or a strptime pattern such as "
                "%Y-%m-%d %H:%M:%S.",
            )

    def __call__(self, cells: list[Any]) -> list[Any]:
        """Aware datetimes in UTC; faults where a cell is no time, or one outside the years 2000 to 2100."""
        cells = [cell.strip() or None if isinstance(cell, str) else cell for cell in cells]
        if self._pattern:
            cells = self._by_pattern(cells, self._pattern)
        return [cell if cell is None or isinstance(cell, Fault) else self._time(cell) for cell in cells]

    def _by_pattern(self, cells: list[Any], pattern: str) -> list[Any]:
        # pandas reads a column ten times as fast as datetime.strptime, but takes "now" and "today" for the present
        written = [str(cell) if _is_number(cell) else cell for cell in cells]
        readable = [text if isinstance(text, str) and text.lower() not in _PRESENT else "" for text in written]
        has_zone = "%z" in pattern.lower()
        times = pd.to_datetime(readable, format=pattern, errors="coerce", utc=has_zone)
        # pandas has a year 0, as some databases write where there is no date, and Python has none
        parsed = pd.DatetimeIndex(times.where(times.year >= 1)).to_pydatetime()
        fault = Fault(Code.BAD_DATE, f"this is not written as {pattern}", _OTHER_FORMAT)
        return [
            (fault if time is pd.NaT else time) if isinstance(text, str) else text
            for text, time in zip(written, parsed, strict=True)
        ]

    def _time(self, cell: Any) -> datetime | Fault:
        if isinstance(cell, str):
            if self._format != "iso8601" and _NUMBER.fullmatch(cell):
                return self._epoch(float(cell) if "." in cell else int(cell))
            return _not_a_number(*UNITS[self._format]) if self._format in UNITS else self._iso(cell)
        if isinstance(cell, datetime):
            return self._in_utc(cell)
        if isinstance(cell, date):
            return self._in_utc(datetime(cell.year, cell.month, cell.day))  # noqa: DTZ001 - its zone comes next
        return self._epoch(cell) if _is_number(cell) else _NOT_A_TIME

    def _iso(self, text: str) -> datetime | Fault:
        # not pandas: fromisoformat is four times as fast, and does not take "now" for the present or 2026 for a day
        try:
            return self._in_utc(datetime.fromisoformat(text))
        except ValueError:
            pass
        try:  # as Ruby and BigQuery write it: 2026-01-01 00:00:00 UTC
            return self._in_utc(datetime.fromisoformat(_with_an_offset(text)))
        except ValueError:
            return _not_iso(text)

    def _epoch(self, number: Any) -> datetime | Fault:
        unit, per_s = UNITS[self._format] if self._format in UNITS else UNITS[_by_magnitude(number)]
        if _FIRST_S * per_s <= number < _END_S * per_s:
            return datetime.fromtimestamp(float(number) / per_s, UTC)
        if per_s == 1 and 0 <= number < _LONGEST_DURATION_S:
            return _A_DURATION
        in_calendar = 0 <= number < (9999 - 1970) * _YEAR_S * per_s
        year = f"the year {1970 + int(number) // per_s // _YEAR_S}" if in_calendar else "no year of four digits"
        return _outside(f"read as {unit} since 1970 this falls in {year}")

    def _in_utc(self, time: datetime) -> datetime | Fault:
        if isinstance(time, pd.Timestamp):
            time = time.to_pydatetime(warn=False)
        if time.tzinfo is None:
            self._on_naive(self._zone_name)
            time = time.replace(tzinfo=self._zone)
        if not YEARS.start <= time.year < YEARS.stop:
            return _outside(f"this falls in the year {time.year}")
        return time if time.tzinfo is UTC else time.astimezone(UTC)


def durations(cells: list[Any]) -> list[Any]:
    """Spans of time from numbers of seconds, as text or as numbers."""
    return [cell if isinstance(cell, Fault) else None if is_blank(cell) else _duration(cell) for cell in cells]


def _seconds(cell: Any) -> float:
    """A number, NaN where it is none."""
    if isinstance(cell, str):
        cell = cell.strip()  # float() would stumble over a blank such as a file separator, which strip() takes off
        return float(cell) if _NUMBER.fullmatch(cell) else math.nan
    try:
        return float(cell) if _is_number(cell) else math.nan
    except OverflowError:  # an integer of JSON may have hundreds of digits
        return math.inf


def _duration(cell: Any) -> timedelta | Fault:
    seconds = _seconds(cell)
    if math.isnan(seconds):
        return _NOT_A_DURATION
    return timedelta(seconds=seconds) if 0 <= seconds <= _LONGEST_EXPIRY_S else _NO_SUCH_DURATION


def epochs_or_durations(cells: list[Any]) -> list[Any]:
    """Times where a number is too large for a duration, spans of time elsewhere."""
    times = DateReader("epoch_s", None, on_naive=lambda _: None)
    spans = durations(cells)
    too_large = [_seconds(cell) > LONGEST_EXPIRES_S for cell in cells]
    return [times([cell])[0] if is_time else span for cell, span, is_time in zip(cells, spans, too_large, strict=True)]


def ends(spans: list[Any], moments: list[Any], since: str, untimed: Untimed) -> list[Any]:
    """Durations as the times at which they end, `untimed` where the moment is blank; what is no duration stays.

    `since` is the column of the moments.
    """
    return [_end(span, moment, since, untimed) for span, moment in zip(spans, moments, strict=True)]


def _end(span: Any, moment: Any, since: str, untimed: Untimed) -> Any:
    if not isinstance(span, timedelta):
        return span
    if isinstance(moment, Fault):
        return Fault(moment.code, f"this counts from {since}, and of that: {moment.reason}", moment.fix)
    return untimed if moment is None else moment + span


def _not_iso(text: str) -> Fault:
    if _ROUNDED.fullmatch(text):
        return Fault(Code.BAD_DATE, "a spreadsheet rounded this number", "Export it again without a spreadsheet.")
    if _A_DAY.match(text):
        return Fault(Code.BAD_DATE, "there is no such day or time of day", "Correct it in the source.")
    return Fault(Code.BAD_DATE, "this is no ISO 8601 time such as 2026-01-31T12:00:00Z", _OTHER_FORMAT)


def _by_magnitude(number: Any) -> str:
    """The unit of an epoch: today is 1.8e9 s, 1.8e12 ms or 1.8e15 µs."""
    if -1e11 < number < 1e11:  # not abs(): a Decimal of a hundred million digits overflows in it
        return "epoch_s"
    return "epoch_ms" if -1e14 < number < 1e14 else "epoch_us"


def _outside(reason: str) -> Fault:
    return Fault(
        Code.BAD_DATE,
        f"{reason}, outside {YEARS[0]} to {YEARS[-1]}",
        f"If it stands for never, leave it empty. Else: {_OTHER_FORMAT[0].lower()}{_OTHER_FORMAT[1:]}",
    )


def _not_a_number(unit: str, _per_s: int) -> Fault:
    return Fault(Code.BAD_DATE, f"this is no number of {unit} since 1970", _OTHER_FORMAT)


def _is_number(cell: Any) -> bool:
    if isinstance(cell, Decimal):
        return not cell.is_nan()  # PostgreSQL's numeric has one, and comparing it raises
    return isinstance(cell, Real) and not isinstance(cell, bool)


def _with_an_offset(text: str) -> str:
    for word in ("UTC", "GMT", "z"):
        if text.endswith(word):
            return f"{text.removesuffix(word).rstrip()}+00:00"
    return text


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC  # needs no tz database, which a slim container image has not
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(
            f"{name!r} is no time zone", hint='Give an IANA name, e.g. zone = "America/New_York".'
        ) from None


def _check_pattern(pattern: str) -> None:
    if len(pattern) > _LONGEST_PATTERN:
        raise ConfigError(f"a strptime pattern has {len(pattern):,} characters", hint="See strftime.org.")
    try:
        pd.to_datetime(["x"], format=pattern, errors="coerce")
    except (ValueError, re.error) as error:  # pandas makes a regex of it, in which a directive may stand once
        raise ConfigError(f"{pattern!r} is no strptime pattern: {error}", hint="See strftime.org.") from None
