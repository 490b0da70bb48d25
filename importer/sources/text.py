"""What text formats share: a file that is read again and again, or a stream that is read once."""

from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar

from importer.sources.files import Location, stamp


class Pass(Protocol):
    """One pass over a text; `spent` once its rows are being read, or were."""

    spent: bool

    def close(self) -> None:
        """Close the text and the stream below it."""


P = TypeVar("P", bound=Pass)


class TextSource(Generic[P]):
    """A text file, or a stream (standard input, a pipe) that is read once."""

    def __init__(self, name: str, path: Location | None) -> None:
        self.name = name
        self.repeatable = path is not None and path.is_file()
        self._path = path
        self._stream: P | None = None

    def close(self) -> None:
        """Close the stream, where it is one; one that is being read is closed by its reader.

        A reader that waits for a pipe which nobody fills holds the stream's lock: to close it would wait as long.
        """
        if self._stream is not None and not self._stream.spent:
            self._stream.close()

    def stamp(self) -> Hashable:
        """What tells this content of the file from another; None for a stream."""
        return stamp(self._path) if self._path and self.repeatable else None
