"""Lists in a cell: scopes, and the inputs of custom auth that are lists; and structures of names and values."""

import re
from typing import Any

from importer.mapping.cells import Fault, Reader, as_text, distinct, is_blank, is_python_repr, trimmed
from importer.mapping.json_cells import loads, parsed
from importer.outcomes import Code
from importer.redaction import looks_like_a_token

_REPR = Fault(
    Code.BAD_SCOPES,
    "this list was written by Python's print, with single quotes, and is not JSON",
    "Write it as JSON, or separated by blanks.",
)
_BROKEN = Fault(
    Code.BAD_SCOPES,
    "this begins like a JSON array, and breaks off or is malformed",
    'Write e.g. ["read", "write"], or: read write.',
)
_NOT_TEXTS = Fault(Code.BAD_SCOPES, "this list holds something that is not text", 'Write e.g. ["read", "write"].')
_CREDENTIAL = Fault(
    Code.BAD_SCOPES,
    "this is, or looks like, a credential and no list of scopes, and so is not shown here",
    "Check that no two columns are swapped, in the file or in the mapping.",
)
_NOT_NAMED = Fault(
    Code.BAD_TYPE, "this must be one JSON object whose values are texts", 'Write e.g. {"workspace": "acme"}.'
)
_SEPARATORS = re.compile(r"[\s,]+")


def list_reader(split: str | None) -> Reader:
    """Tuples of texts in their order, without blanks and duplicates.

    `split` is a separator or "json"; without one a JSON array is parsed and other text split at blanks and commas.
    """

    def read(cells: list[Any]) -> list[Any]:
        known = {text: _split(text, split) for text in distinct(cells)}
        return [known[cell] if isinstance(cell, str) else _list(cell) for cell in cells]

    return read


def texts_or_lists(cells: list[Any]) -> list[Any]:
    """Texts as they are, and lists as Parquet gives them as tuples."""
    are_lists = [_is_list(cell) for cell in cells]
    if not any(are_lists):
        return trimmed(cells)
    plain = trimmed([None if is_list else cell for cell, is_list in zip(cells, are_lists, strict=True)])
    return [_list(cell) if is_list else text for cell, text, is_list in zip(cells, plain, are_lists, strict=True)]


def struct_reader(inner: Reader) -> Reader:
    """Names with what `inner` reads: a struct of Parquet, or a JSON object; names without a value are left out."""

    def read(cells: list[Any]) -> list[Any]:
        return [_struct(parsed(cell), inner) for cell in cells]

    return read


def _split(text: str, split: str | None) -> Any:
    text = text.strip()
    if split == "json" or (split is None and text.startswith("[")):
        try:
            items = loads(text) if text else []
        except (ValueError, RecursionError):
            return _REPR if is_python_repr(text) else _BROKEN
        return _list(items) if isinstance(items, list) else _BROKEN
    if split is None and text.startswith("{") and text.endswith("}"):
        text = text[1:-1].replace('"', "")  # an array as PostgreSQL prints it
    elif split is None and len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]  # a JSON string
    return _list(_SEPARATORS.split(text) if split is None else text.split(split))


def _is_list(cell: Any) -> bool:
    return isinstance(cell, list | tuple) or type(cell).__name__ == "ndarray"  # pandas turns Parquet lists into arrays


def _list(cell: Any) -> Any:
    if cell is None or isinstance(cell, Fault):
        return cell
    if not _is_list(cell):
        return _NOT_TEXTS
    items = [as_text(item) for item in cell if not is_blank(item)]
    if any(isinstance(item, Fault) for item in items):
        return _NOT_TEXTS
    if any(map(looks_like_a_token, items)):
        return _CREDENTIAL
    return tuple(dict.fromkeys(item.strip() for item in items)) or None


def _struct(value: Any, inner: Reader) -> Any:
    if value is None or isinstance(value, Fault):
        return value
    if isinstance(value, list) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in value):
        value = dict(value)  # a map of Parquet
    if not isinstance(value, dict):
        return _NOT_NAMED
    filled = dict(zip(value, inner(list(value.values())), strict=True))
    if any(isinstance(item, Fault) for item in filled.values()):
        return _NOT_NAMED
    return {name: item for name, item in filled.items() if item is not None} or None
