"""Private temporary databases: what one command has to know of many rows, on disk, so that memory does not grow.

SQLite's empty file name: the file lies in the temporary folder, is unlinked from its first moment and gone with the
process. A temporary folder without room is told in one line, whichever statement finds it out.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from importer.errors import ImporterError


class ScratchError(ImporterError):
    """The temporary folder has no room, or cannot be used."""


class Scratch(sqlite3.Connection):
    """A connection whose errors are one line for the operator. Not to be used by two threads at once."""

    def execute(self, *given: Any) -> sqlite3.Cursor:
        """As in `sqlite3.Connection`. Raises ScratchError."""
        with _explained():
            return super().execute(*given)

    def executemany(self, statement: str, rows: Iterable[Any]) -> sqlite3.Cursor:
        """As in `sqlite3.Connection`. Raises ScratchError."""
        with _explained():
            return super().executemany(statement, rows)


def open_scratch(schema: str) -> Scratch:
    """A new temporary database with some tables, fast and not meant to outlive anything. Raises ScratchError."""
    with _explained():
        db = sqlite3.connect("", isolation_level=None, check_same_thread=False, factory=Scratch)
        db.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -6000; {schema}")
        return db


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise ScratchError(
            f"the temporary folder cannot be used: {error}",
            hint="Make room in it, or set TMPDIR to a folder with room (about 500 bytes a row), then run again.",
        ) from None
