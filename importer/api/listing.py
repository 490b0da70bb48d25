"""A listing as it arrives: one JSON array of connections, of any length, each of which has to end.

A server that goes on for ever within one connection, or between two, is bounded here in bytes and in nesting; one that
goes on with connections is bounded by the time of its whole answer (`api/transport.py`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

import ijson
from pydantic import TypeAdapter, ValidationError

from importer.api.models import Connection

ELEMENT_LIMIT: Final = 1 << 20
"""Bytes of a listing in which a connection has to end: a thousand times the length of one."""

OPEN_LIMIT: Final = 2_000
"""Opening brackets among which one has to end: ijson takes time by the square of the depth, 0.5 s at 8,000."""

_SLICE: Final = 8 * 1024
"""Bytes that are parsed at once. Connections of the shortest kind have some 700 opening brackets in them, and what two
slices hold may be counted for one connection."""

_CONNECTIONS: TypeAdapter[list[Connection]] = TypeAdapter(list[Connection])


class Unreadable(Exception):
    """What came is no array of connections."""


async def read_listing(parts: AsyncIterator[bytes], take: Callable[[list[Connection]], None]) -> int:
    """Give the connections to `take` as they arrive, and count them. Raises Unreadable, and what `parts` raises."""
    parser = _Parser()
    count = 0
    async for part in parts:
        found = parser.feed(part)
        if found:
            count += len(found)
            take(found)
            await asyncio.sleep(0)  # let the others run between two parts of a long listing
    parser.end()
    return count


class _Parser:
    """Bytes in, connections out."""

    def __init__(self) -> None:
        self._items: Any = ijson.sendable_list()
        self._ijson = ijson.items_coro(self._items, "item", use_float=True)
        self._begun = False
        self._bytes = self._opened = 0  # since a connection ended

    def feed(self, part: bytes) -> list[Connection]:
        """The connections that ended in this part. Raises Unreadable."""
        if not self._begun and (start := part.lstrip()):
            self._begun = True
            if not start.startswith(b"["):
                # an object has no items, and "nothing is there" would be posted all over again
                raise Unreadable("no array")
        try:
            for piece in _slices(part):
                self._feed(piece)
            return _CONNECTIONS.validate_python(self._items) if self._items else []
        except (ijson.JSONError, UnicodeDecodeError, ValidationError):
            raise Unreadable("no JSON, or no connections") from None
        finally:
            del self._items[:]

    def _feed(self, piece: bytes) -> None:
        opening = piece.count(b"[") + piece.count(b"{")
        self._bytes += len(piece)
        self._opened += opening
        if self._bytes > ELEMENT_LIMIT or self._opened > OPEN_LIMIT:
            raise Unreadable("no connection ends in it")
        ended = len(self._items)
        self._ijson.send(piece)
        if len(self._items) > ended:
            self._bytes, self._opened = len(piece), opening  # at most so much belongs to the next one

    def end(self) -> None:
        """Nothing comes any more. Raises Unreadable where the array has not ended."""
        try:
            self._ijson.close()
        except (ijson.JSONError, UnicodeDecodeError):
            raise Unreadable("cut off") from None


def _slices(part: bytes) -> Iterator[bytes]:
    for start in range(0, len(part), _SLICE):
        yield part[start : start + _SLICE]
