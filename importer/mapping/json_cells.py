"""JSON in a column: each cell parsed once, however many fields look into it (`json_paths`)."""

import json
from typing import Any

from importer.mapping.cells import Fault, is_blank, is_python_repr
from importer.mapping.ciphertext import encrypted_json, not_plain
from importer.outcomes import Code

PYTHON_REPR = Fault(
    Code.BAD_JSON,
    "this was written by Python's print, with single quotes, and is not JSON",
    "Export the column with json.dumps.",
)
BROKEN = Fault(
    Code.BAD_JSON, "this is not valid JSON", 'Check the column, and that it is not cut off; e.g. {"workspace": "acme"}.'
)


def parsed(cell: Any) -> Any:
    """What a cell holds: parsed from JSON text, or a structure as Parquet gives it; None where it is blank."""
    if is_blank(cell):
        return None
    value = _loaded(cell) if isinstance(cell, str) else cell
    if isinstance(value, dict):
        return encrypted_json(value) or value
    is_json = isinstance(cell, str | list) or isinstance(value, Fault)
    return value if is_json else BROKEN


def _loaded(text: str) -> Any:
    try:
        value = loads(text)
        # an object that was made text twice, as a JSON column over an older text column holds it
        return loads(value) if isinstance(value, str) and value.lstrip().startswith("{") else value
    except (ValueError, RecursionError):
        return PYTHON_REPR if is_python_repr(text) else not_plain(text) or BROKEN


def loads(text: str) -> Any:
    """What JSON text holds. Raises ValueError, also for half a surrogate pair, which no request could carry."""
    value = json.loads(text)
    if "\\ud" in text.lower():
        json.dumps(value, ensure_ascii=False).encode()
    return value
