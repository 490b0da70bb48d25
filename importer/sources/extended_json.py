"""JSON as MongoDB exports it (Extended JSON v2), without its wrappers."""

from datetime import UTC, datetime, timedelta
from typing import Any

DEEPEST = 100
"""Values within values that are taken: whoever looks at a row later does so by recursion."""

_FARTHEST_MS = 1e15
"""Beyond the years that a datetime has."""


def plain_object(row: dict[str, Any], depth: int = 1) -> dict[str, Any]:
    """An object without the wrappers in it: `{"$oid": "65f0"}` is 65f0. Raises RecursionError beyond DEEPEST."""
    return {name: _plain(held, depth) if isinstance(held, dict | list) else held for name, held in row.items()}


def _plain(value: dict[str, Any] | list[Any], depth: int) -> Any:
    """A value without the wrappers of MongoDB's Extended JSON v2 (pymongo would be a driver for four words)."""
    if depth == DEEPEST:
        raise RecursionError
    if isinstance(value, list):
        return [_plain(item, depth + 1) if isinstance(item, dict | list) else item for item in value]
    inside = plain_object(value, depth + 1)
    if len(inside) == 1:
        ((name, held),) = inside.items()
        if name == "$oid":
            return held
        if name in ("$numberInt", "$numberLong") and isinstance(held, str) and held.lstrip("-").isdecimal():
            return int(held)
        if name == "$date":
            return _date(held)
    return inside


def _date(held: Any) -> Any:
    """The time in a `$date`: milliseconds, or ISO 8601; what is neither stays as it is, for the mapping to refuse."""
    try:
        if isinstance(held, str):
            return datetime.fromisoformat(held)
        if not -_FARTHEST_MS < held < _FARTHEST_MS:
            return held  # int() would write the digits of 1e99999999 out
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(held))
    except (ValueError, TypeError, OverflowError):
        return held
