"""Refs, names and the provider: what is shown, stored and compared, so nothing in it may be a credential."""

import re
from typing import Any

from importer.mapping.cells import Fault, all_text, distinct, is_python_repr, replaced, texts, trimmed
from importer.outcomes import Code
from importer.redaction import looks_like_a_token

LONGEST_REF = 512

CREDENTIAL = Fault(
    Code.CREDENTIAL_IN_REF,
    "this is, or looks like, a credential, and so is not shown here",
    "Check that no two columns are swapped, in the file or in the mapping.",
)
_BLANKS = Fault(
    Code.BAD_REF,
    "this begins or ends with white space, and refs are compared as they are written",
    "Remove the white space around it.",
)
_CONTROL = Fault(
    Code.BAD_REF,
    "this contains characters that cannot be seen (a line break, a tab, a zero-width character)",
    "Remove them, or write the ref anew.",
)
_TOO_LONG = Fault(
    Code.BAD_REF, f"this is longer than {LONGEST_REF} characters", "Check that the right column is mapped."
)
_SPREADSHEET = Fault(
    Code.BAD_REF,
    "a spreadsheet turned this id into a rounded number such as 1.23E+17, and its last digits are lost",
    "Export the file again from the database, without opening it in a spreadsheet.",
)
_FLOAT = Fault(
    Code.BAD_REF,
    "this id is stored as a decimal number; a column of integers with gaps is often written so",
    "Write ids as text or as integers.",
)
_PYTHON = Fault(
    Code.BAD_REF,
    "this was written by Python's print: a dict or a list, and no id",
    'Export the id in it, or the column as JSON and name the id by its path, e.g. json = "$.id".',
)
_NOT_A_PROVIDER = Fault(
    Code.BAD_REF,
    "this is no name of a provider: such a name has up to 64 letters, digits, and . - _ !",
    "Check the column, or translate it in the mapping with values = { … }. `importer providers` lists the names.",
)

_PLAIN = re.compile(r"[A-Za-z0-9_.:@-]{1,15}")
"""Most refs. A text so short is never taken for a credential."""

UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060\ufeff\ud800-\udfff]")
_ROUNDED = re.compile(r"[+-]?[0-9](?:[.,][0-9]+)?E\+[0-9]+|[+-]?[0-9][.,][0-9]+E[0-9]+", re.IGNORECASE)
_BEGINS_A_NUMBER = frozenset("+-0123456789")
_NUMBER_WITH_POINT = re.compile(r"[0-9]+\.0")
# a catalog key has few digits, if any; a key that stands in its column by mistake has many, and must not be shown
_PROVIDER = re.compile(r"(?!(?:[^0-9]*[0-9]){5})[A-Za-z0-9._!-]{1,64}")


def ref_fault(text: str) -> Fault | None:
    """What is wrong with a ref; a credential is named as such whatever else is wrong with it."""
    if _PLAIN.fullmatch(text):
        return _damaged(text) if "." in text else None
    if looks_like_a_token(text.strip()):
        return CREDENTIAL
    if text != text.strip():
        return _BLANKS
    if UNSEEN.search(text):
        return _CONTROL
    if len(text) > LONGEST_REF:
        return _TOO_LONG
    return _damaged(text)


def _damaged(text: str) -> Fault | None:
    """What a spreadsheet, or a program that took ids for numbers, has done to a ref."""
    if text[:1] not in _BEGINS_A_NUMBER:
        return _PYTHON if is_python_repr(text) else None
    if _ROUNDED.fullmatch(text):
        return _SPREADSHEET
    return _FLOAT if _NUMBER_WITH_POINT.fullmatch(text) else None


def provider_fault(text: str) -> Fault | None:
    """What is wrong with the name of a provider."""
    if looks_like_a_token(text.strip()):
        return CREDENTIAL
    return None if _PROVIDER.fullmatch(text) else _NOT_A_PROVIDER


def refs(cells: list[Any]) -> list[Any]:
    """Refs as they were written."""
    if not all_text(cells):
        cells = [_FLOAT if isinstance(cell, float) else cell for cell in cells]
    written = texts(cells)
    return replaced(written, {text: fault for text in distinct(written) if (fault := ref_fault(text))})


def providers(cells: list[Any]) -> list[Any]:
    """Names of providers as they were written."""
    written = texts(cells)
    return replaced(written, {text: fault for text in distinct(written) if (fault := provider_fault(text))})


def names(cells: list[Any]) -> list[Any]:
    """Names of groups and consumers, trimmed: they are only shown."""
    shown = trimmed(cells)
    return replaced(shown, {text: CREDENTIAL for text in distinct(shown) if looks_like_a_token(text)})
