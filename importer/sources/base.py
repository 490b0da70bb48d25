"""What every source gives: a header, and a stream of chunks of whole rows."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from importer.outcomes import Issue

if TYPE_CHECKING:
    import pandas as pd

CHUNK_ROWS = 2_000
"""Rows in a chunk: enough to make column work cheap, few enough that a chunk's secrets are soon gone, and that two
processes which share 20,000 rows end at nearly the same time (with 5,000 they took a seventh longer)."""

CHUNK_CHARACTERS = 16 * 1024 * 1024
"""Characters of text from which on a chunk has fewer rows: 2,000 usual ones have a thirteenth of it."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that could not be read as a row; the rest of its file goes on."""

    row: int
    issue: Issue


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows of one source, as columns. Its cells are credentials: it never shows them.

    `rows` are the row numbers, parallel to the rows of `frame`; `bad` are the rows between them that could not be read.
    Cells of a text format are str; of a typed one int, float, bool, datetime, list, dict or None as they were stored.
    """

    source: str
    rows: Sequence[int]
    frame: "pd.DataFrame"
    bad: Sequence[BadRow]

    def __repr__(self) -> str:
        return f"<{len(self.rows)} rows and {len(self.bad)} bad ones of {self.source}>"


class Source(Protocol):
    """A file, a stream or a query with rows. `repeatable` sources can be read twice."""

    name: str
    repeatable: bool

    def columns(self) -> list[str]:
        """The names of the columns, in their order. Raises SourceError where there is no usable header."""

    def chunks(self, size: int = CHUNK_ROWS) -> Iterator[Chunk]:
        """All rows from the first, in order. Raises SourceError where the rest cannot be read at all."""

    def close(self) -> None:
        """Let go of what reading has opened: a stream, a connection. It is not read again."""

    def stamp(self) -> Hashable:
        """What tells one content from another: size, time and inode of a file; None where it cannot be known."""
