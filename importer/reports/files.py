"""A report is written whole or not at all, and only its owner can read it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from importer import private
from importer.errors import ImporterError


class ReportError(ImporterError):
    """A report cannot be written; the ledger has everything, so `importer report` can write it later."""


def check_writable(folder: Path) -> None:
    """Raise ReportError where no report could be written into `folder`, before anything is done.

    What a command that was killed has left half written there is removed.
    """
    with _explained(f"the report folder {folder} cannot be written"):
        private.probe(folder)
    private.sweep(folder)


@contextmanager
def whole_file(path: Path) -> Iterator[IO[str]]:
    """A text file that appears under its name only once all of it is on disk. Raises ReportError."""
    with _explained(f"the report {path} cannot be written"), private.whole_file(path) as file:
        yield file


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ReportError(
            f"{what}: {error.strerror}", hint="Make room or set report.dir, then: importer report."
        ) from None
