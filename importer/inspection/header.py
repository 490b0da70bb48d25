"""Which names of columns may be shown: without a header they are the first row, and one of them may be a credential."""

import re
from collections.abc import Sequence, Set

import pandas as pd

from importer.inspection.columns import Column
from importer.inspection.looks import Kind, kind_of
from importer.inspection.names import is_usual, is_usual_whole
from importer.inspection.providers import is_known
from importer.redaction import has_the_signs_of_a_password, looks_like_a_token, may_be_a_key, reads_as_a_name

LEAST_USUAL = 2
"""Usual names, at least, that make a header of names that say nothing else of it."""

LEAST_UNLIKE = 2
"""Columns, at least, whose cells are of another kind than their name, for names that are not usual to be a header."""

MOST_DIGITS = 5
"""Digits in the name of a column, from which on it is not shown."""

_NUMBERS = {Kind.INTEGER, Kind.DECIMAL, Kind.EPOCH, Kind.DURATION}
_TOLD_APART = {Kind.TIME, Kind.UUID, Kind.EMAIL, Kind.URL, Kind.JWT, Kind.TOKEN, Kind.OPAQUE, Kind.HOST, Kind.OBJECT,
               Kind.CIPHERTEXT, Kind.PRIVATE_KEY, Kind.LIST, Kind.JSON}  # fmt: skip
"""Looks that tell a cell from a name, beside numbers."""

_OF_A_CREDENTIAL = re.compile(r"token|key|secret|password|passwd", re.IGNORECASE)
_CAPITALS = re.compile(r"(?<=[a-z])(?=(?:IDs?|URL|UUID|UTC|API)(?![a-z]))")
_WORDS = re.compile(r"[a-z]+[0-9]?(?:[_.][a-z]+[0-9]?)+")
_AROUND = re.compile(r"[()\[\]?:,_ ]+")


def names_to_show(columns: Sequence[Column], frame: pd.DataFrame, *, is_header: bool) -> Set[str]:
    """The names that may be shown of a file's columns (what lies inside them left out); none without a header.

    `is_header` where that is known already. In a header only what could be a key is hidden; where it is no more than
    likely, all that does not read as a name.
    """
    own = [column for column in columns if column.json is None]
    safe = {column.name for column in own if not _could_be_a_key(column.name)}
    usual = [name for name in safe if is_usual(name)]
    if is_header or 2 * len(usual) > len(own):
        return safe
    as_data = sum(_is_like_its_cells(column, frame) for column in own)
    if not as_data and _are_unlike_their_cells(own):
        return safe
    if len(usual) >= LEAST_USUAL and len(usual) > 2 * as_data:
        return {column.name for column in own if reads_as_a_column(column.name)}
    return set()


def reads_as_a_column(name: str) -> bool:
    """Whether the name of a column is usual, or of words; a word such as token is one, unlike in a customer's name."""
    if _could_be_a_key(name):
        return False
    rest = _AROUND.sub(" ", _OF_A_CREDENTIAL.sub(" ", _CAPITALS.sub(" ", name))).strip(" -.")
    return is_usual(name) or reads_as_a_name(rest)


def _could_be_a_key(name: str) -> bool:
    if is_usual_whole(name):
        return False
    has_digits = len(re.findall(r"[0-9]", name)) > MOST_DIGITS
    if has_digits or looks_like_a_token(name) or has_the_signs_of_a_password(name):
        return True
    # many short words look like a key only as a whole
    return any(map(may_be_a_key, re.split(r"[_.]", name) if _WORDS.fullmatch(name) else [name]))


def _are_unlike_their_cells(columns: Sequence[Column]) -> bool:
    """Whether most names read as such, and stand above cells that are no names."""
    reading = [column for column in columns if reads_as_a_column(column.name)]
    unlike = sum(_kind_above(column) is not None or bool(column.look.words) for column in reading)
    return 2 * len(reading) > len(columns) and unlike >= LEAST_UNLIKE


def _is_like_its_cells(column: Column, frame: pd.DataFrame) -> bool:
    """Whether a name could be a cell of its column: of its kind, a provider among providers, or one that is there."""
    if is_usual(column.name):
        return False
    if column.look.words:
        return is_known(column.name)
    kind = _kind_above(column)
    if kind is None or kind is Kind.LIST or (kind is Kind.OPAQUE and reads_as_a_column(column.name)):
        return column.name in frame[column.name].tolist()
    own = kind_of(column.name)
    return own is kind or {own, kind} <= _NUMBERS or {own, kind} <= {Kind.TOKEN, Kind.OPAQUE}


def _kind_above(column: Column) -> Kind | None:
    """The kind of a column's cells, where that is none that a name has."""
    kind = column.look.kind
    return kind if kind in _NUMBERS or kind in _TOLD_APART else None
