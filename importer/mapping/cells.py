"""Cells as text: what a text file gives as it is, what Parquet gives where it has exactly one spelling.

A reader takes a column as a list and gives one as long: a value, None where the cell is blank, or a `Fault` in its
place. Nothing here, and no fault, shows a cell.
"""

import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from numbers import Integral
from types import NoneType
from typing import Any

import pandas as pd

from importer.outcomes import Code, Issue

Reader = Callable[[list[Any]], list[Any]]
"""Cells in, values out: one for one, in order."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one cell; it stands in the column in place of the value."""

    code: Code
    reason: str
    fix: str

    def issue(self, field: str) -> Issue:
        """The issue of a row, about the column that the user knows as `field`."""
        return Issue(field, self.code, self.reason, self.fix)


_DECIMAL = Fault(
    Code.BAD_TYPE,
    "this is stored as a decimal number, which may have lost digits",
    "Write the column as text or as integers.",
)
_BYTES = Fault(
    Code.BAD_TYPE,
    "this is stored as bytes, as encrypted columns often are",
    "Export it as text; where it is encrypted, say how in the [mapping]: decrypt = { scheme = …, key_env = … }.",
)
_NOT_TEXT = Fault(
    Code.BAD_TYPE,
    "this is neither text nor an integer",
    'Write the column as text; for a value inside a structure, map it with json = "$.name".',
)


def all_text(cells: list[Any]) -> bool:
    """Whether every cell is a str or None, as in a text format: then nothing needs a look at its type."""
    return set(map(type, cells)) <= {str, NoneType}


def cells_of(frame: pd.DataFrame, column: str) -> list[Any]:
    """A column as a list, with None for every kind of missing value (NaN, NaT, NA)."""
    series = frame[column]
    cells: list[Any] = series.tolist()
    if all_text(cells):
        return cells
    missing: list[Any] = series.astype(object).mask(series.isna(), None).tolist()
    return missing


def is_blank(cell: Any) -> bool:
    """Whether a cell counts as empty: None, or a text of nothing but white space."""
    return cell is None or (isinstance(cell, str | bytes) and (not cell or cell.isspace()))


WORDS_FOR_NOTHING = (
    "null", "none", "nil", "undefined", "nan", "n/a", "#n/a", "<null>", "(null)", r"\n", "#ref!",
)  # fmt: skip
"""What exports write where there is nothing, in upper or lower case. A customer may be called so all the same."""


_NOTHING = re.compile(rf"\s*(?:{'|'.join(map(re.escape, WORDS_FOR_NOTHING))})\s*", re.IGNORECASE)


def is_a_word_for_nothing(cell: Any) -> bool:
    """Whether a cell holds what an export writes where there is nothing."""
    return isinstance(cell, str) and _NOTHING.fullmatch(cell) is not None


def has_a_word_for_nothing(texts: Iterable[str]) -> bool:
    """Whether one of the texts is such a word."""
    return any(map(_NOTHING.fullmatch, texts))


_REPR = re.compile(r"""\s*[\[{(]\s*u?'""")


def is_python_repr(text: str) -> bool:
    """Whether a text is a list or dict as Python prints it: it is refused, for reading it would be guessing."""
    return _REPR.match(text) is not None


def as_text(cell: Any) -> Any:
    """A cell as text: integers, whole SQL decimals and UUIDs have one spelling; anything else is a fault."""
    if cell is None or isinstance(cell, str | Fault):
        return cell
    if isinstance(cell, bool):
        return _NOT_TEXT
    if isinstance(cell, Integral):
        return str(int(cell))
    if isinstance(cell, Decimal) and cell.is_finite() and cell.as_tuple().exponent == 0:
        return str(cell)
    if isinstance(cell, uuid.UUID):
        return str(cell)
    if isinstance(cell, bytes | bytearray | memoryview):
        return _BYTES
    return _DECIMAL if isinstance(cell, float | Decimal) else _NOT_TEXT


def texts_in(cell: Any) -> Iterator[str]:
    """The texts of a value: itself, or those of a list or a structure."""
    if isinstance(cell, str):
        yield cell
    elif isinstance(cell, tuple | dict):
        for item in cell.values() if isinstance(cell, dict) else cell:
            yield from texts_in(item)


def texts(cells: list[Any]) -> list[Any]:
    """Text as it was written: refs are compared so, and a password may begin or end with a blank."""
    if all_text(cells):
        return [None if not cell or cell.isspace() else cell for cell in cells]
    return [None if is_blank(cell) else cell for cell in map(as_text, cells)]


def trimmed(cells: list[Any]) -> list[Any]:
    """Text without white space around it, as the platform's own forms send what was typed into them."""
    if all_text(cells):
        return [(cell.strip() or None) if cell else None for cell in cells]
    return [cell.strip() if isinstance(cell, str) else cell for cell in texts(cells)]


def replaced(cells: list[Any], faults: dict[str, Fault]) -> list[Any]:
    """The column with a fault in place of each text that has one."""
    return [faults.get(cell, cell) for cell in cells] if faults else cells


def distinct(cells: list[Any]) -> set[str]:
    """The different texts of a column: what depends on the text alone is asked once for each."""
    return {cell for cell in cells if isinstance(cell, str)}
