"""Files in an object store, through fsspec and the store's driver, which finds its credentials by itself.

Texts of a driver's errors are never shown: they may quote a signed address or a key.
"""

import errno
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from importer.errors import SourceError

EXTRAS = {"s3": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure", "abfss": "azure"}
"""Scheme -> the extra of this package that brings its driver."""

SCHEMES = (*EXTRAS, "file", "memory")
"""What is read; fsspec itself brings the last two."""

_VERSIONS = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "updated", "mtime", "created")
"""Names under which drivers tell one content from another, the surest first."""


class RemoteStamp(NamedTuple):
    """What tells one content of a remote file from another: its size, and what its store calls its version."""

    size: int
    version: str


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a store. `name` is its whole address."""

    name: str
    _system: Any = field(repr=False, compare=False)
    _path: str = field(repr=False, compare=False)

    def __str__(self) -> str:
        return self.name

    def is_file(self) -> bool:
        """Yes: it can be read twice."""
        return True

    def open(self) -> io.BufferedReader:
        """Its bytes, fetched as they are read. Raises SourceError where it cannot be opened."""
        with _told(self.name):
            return io.BufferedReader(_Reader(self._system.open(self._path, "rb")))

    def stamp(self) -> RemoteStamp:
        """Its size and version as they are now. Raises SourceError where it has vanished."""
        with _told(self.name):
            self._system.invalidate_cache()  # s3fs would answer from the listing that it made first
            info = self._system.info(self._path)
        return RemoteStamp(info["size"], next((str(info[key]) for key in _VERSIONS if info.get(key)), ""))


def find_remote(url: str, suffixes: tuple[str, ...]) -> list[RemoteFile]:
    """The files that an address means: one, those that a glob matches, or those with a known suffix in a folder.

    Raises SourceError where there is none, or no driver.
    """
    import fsspec.core

    parts = urlsplit(url)
    if parts.password:
        raise SourceError(
            f"the {parts.scheme}:// address holds a password",
            hint="Leave it out: the store's driver finds credentials in its own variables and files.",
        )
    with _told(url):
        system, path = fsspec.core.url_to_fs(url)
        if any(sign in path for sign in "*?["):
            found = list(system.glob(path, detail=True).values())
        elif system.isdir(path):
            found = [info for info in system.ls(path, detail=True) if _is_meant(info["name"], suffixes)]
        else:
            found = [system.info(path)]
        files = [info["name"] for info in found if info["type"] == "file"]
        if not files:
            raise SourceError(f"{url} has no file to read", hint=f"Names of files that are read end in {suffixes}.")
        return [RemoteFile(system.unstrip_protocol(name), system, name) for name in files]


class _Reader(io.RawIOBase):
    """A driver's file; whatever its driver raises on the way becomes an OSError, as on a disk."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        try:
            piece = self._file.read(len(view))
        except Exception as error:  # each driver has a family of errors of its own
            raise OSError(errno.EIO, f"the store failed with {type(error).__name__}") from None
        view[: len(piece)] = piece
        return len(piece)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        self._file.close()
        super().close()


def _is_meant(path: str, suffixes: tuple[str, ...]) -> bool:
    name = path.rpartition("/")[2].lower()
    return name.endswith(suffixes) and not name.startswith(".")


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Raise a SourceError in place of what a driver raises."""
    scheme = name.partition("://")[0]
    try:
        yield
    except SourceError:
        raise
    except ImportError:
        raise no_driver(scheme) from None
    except FileNotFoundError:
        raise SourceError(f"{name} is not there", hint="Check the bucket and the path in it.") from None
    except Exception as error:  # each driver has a family of errors of its own
        refused = isinstance(error, PermissionError)
        reason = "access is refused" if refused else type(error).__name__
        raise SourceError(
            f"{name} cannot be read: {reason}",
            hint=f"Check the credentials that the {scheme} driver finds, and that the store can be reached.",
        ) from None


def no_driver(scheme: str) -> SourceError:
    """The error where fsspec, or the driver of a store, is not installed."""
    extra = EXTRAS.get(scheme, "s3")
    return SourceError(f"{scheme}:// needs a driver that is not installed", hint=f"pip install 'importer[{extra}]'")
