"""A report is written whole or not at all, and only its owner can read it."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from importer.errors import ImporterError


class ReportError(ImporterError):
    """A report cannot be written; the ledger has everything, so `importer report` can write it later."""


def check_writable(folder: Path) -> None:
    """Raise ReportError where no report could be written into `folder`, before anything is done."""
    with whole_file(folder / ".probe"):
        pass
    (folder / ".probe").unlink(missing_ok=True)


@contextmanager
def whole_file(path: Path) -> Iterator[IO[str]]:
    """A text file that appears under its name only once all of it is on disk. Raises ReportError."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
        try:
            with open(descriptor, "w", encoding="utf-8", newline="") as file:  # noqa: PTH123 - a descriptor, no path
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ReportError(
            f"the report {path} cannot be written: {error.strerror}",
            hint="Make room or set report.dir, then: importer report.",
        ) from None
