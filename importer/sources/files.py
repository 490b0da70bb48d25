"""Which files are meant, how they are called, and what their first bytes say they are."""

import codecs
import glob
import io
import os
import re
import sys
from collections.abc import Hashable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple, cast

import pyarrow as pa

from importer.errors import SourceError
from importer.sources.remote import SCHEMES, RemoteFile, find_remote, no_driver

Location = Path | RemoteFile
"""Where a file lies: on this machine or in a store."""

CODECS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2", b"\x04\x22\x4d\x18": "lz4"}
"""First bytes of a compressed file -> the codec as pyarrow calls it (RFC 1952, RFC 8878, bzip2, LZ4 frame)."""

PARQUET_MAGIC = b"PAR1"

UNPACKED_BYTES = 256 * 1024
"""Bytes unpacked at a time."""

FREE_BYTES = 8 * 1024 * 1024
"""Bytes that a compressed file may expand to, whatever its own size is; as rows, a quarter of a minute's work."""

MOST_TIMES = 250
"""How many times its size a file may expand to beyond that.

Exports with tokens, which are random, expand 2 to 20 times, and rows that differ in a number only about 100 times; a
bomb does so 1,000 times (gzip) and more.
"""

_PACKED = ("", ".gz", ".zst", ".bz2", ".lz4")
_SUFFIXES = {
    "csv": tuple(text + packed for text in (".csv", ".tsv", ".txt") for packed in _PACKED),
    "parquet": (".parquet", ".pq"),
    "jsonl": tuple(text + packed for text in (".jsonl", ".ndjson", ".json") for packed in _PACKED),
}
"""Format -> the ends of the names of its files, in lower case."""

_SQLITE = "an SQLite database"

_SIGNATURES = {
    PARQUET_MAGIC: "Parquet",
    b"PK\x03\x04": "an Excel workbook or another zip archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"%PDF": "a PDF",
    b"SQLite format 3\0": _SQLITE,
    b"{": "JSON",
    b"[{": "JSON",
    b"[\n": "JSON",
    b"<": "HTML or XML",
} | {magic: f"{codec} data" for magic, codec in CODECS.items()}


class Stamp(NamedTuple):
    """What tells one content of a file from another without reading it; times in nanoseconds."""

    size: int
    mtime_ns: int
    inode: int
    device: int


def find_files(paths: Sequence[str], base: Path, format: str) -> list[Location | None]:  # noqa: A002 - the setting
    """The files that are meant, each once, in the order given; None is standard input.

    A path is a file, a glob, a folder or `-`; all but the last may lie in a store (`s3://bucket/folder`). Of a folder,
    the visible files with a known suffix (of `format`, unless that is "auto"). Folders and globs give their files in
    natural order of name. Raises SourceError where one of the paths gives nothing.
    """
    suffixes = _SUFFIXES.get(format) or tuple(suffix for known in _SUFFIXES.values() for suffix in known)
    found: dict[Location | None, Location | None] = {}
    for given in paths:
        try:
            for path in [None] if given == "-" else _matches(given, base, suffixes):
                found.setdefault(path.resolve() if isinstance(path, Path) else path, path)
        except OSError as error:
            raise unreadable(given, error) from None
    return list(found.values())


def format_of(path: Location) -> str:
    """`csv`, `parquet` or `jsonl`: by the suffix, and where that says nothing, by the first bytes.

    Raises SourceError where these are of a database, or cannot be read.
    """
    for name, suffixes in _SUFFIXES.items():
        if path.name.lower().endswith(suffixes):
            return name
    if not path.is_file():
        return "csv"  # a pipe, `<(zcat …)`: what is read from it to look is gone
    try:
        with unpacked(open_bytes(path), display_name(path)) as stream:
            kind = seems_to_be(stream.peek())
    except OSError as error:
        raise unreadable(display_name(path), error) from None
    if kind == _SQLITE:
        raise not_delimited(display_name(path), kind)
    return {"Parquet": "parquet", "JSON": "jsonl"}.get(kind, "csv")


def not_delimited(name: str, kind: str) -> SourceError:
    """The error about a file that is no delimited text, but of a `kind` that `seems_to_be` tells."""
    hint = "Export it as CSV or Parquet."
    if kind == _SQLITE:
        hint = (
            f'Read it by a query, in a config: under [source], paths = ["sqlite:///{name}"] (or its address in a '
            'variable: url_env) and query = "select …".'
        )
    return SourceError(f"{name} is not delimited text: it seems to be {kind}", hint=hint)


def display_name(path: Location | None) -> str:
    """The path as the user would recognise it: relative to the working directory if it lies below, else absolute."""
    if path is None:
        return "stdin"
    if isinstance(path, RemoteFile):
        return path.name
    normal = Path(os.path.normpath(path.absolute()))
    return str(normal.relative_to(Path.cwd())) if normal.is_relative_to(Path.cwd()) else str(normal)


def open_bytes(path: Location | None) -> io.BufferedReader:
    """The bytes of a file, or of standard input. Raises SourceError where it cannot be opened."""
    if path is None:
        # a buffer of our own: `peek` is not there where stdin was replaced by a stream in memory
        return io.BufferedReader(cast(io.RawIOBase, sys.stdin.buffer))
    if isinstance(path, RemoteFile):
        return path.open()
    try:
        return path.open("rb")
    except OSError as error:
        raise unreadable(display_name(path), error) from None


class _Taken(io.RawIOBase):
    """A stream that knows how many bytes were read of it."""

    def __init__(self, stream: io.BufferedReader) -> None:
        self.bytes = 0
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        read = self._stream.readinto1(buffer)
        self.bytes += read
        return read

    def close(self) -> None:
        self._stream.close()
        super().close()


class _Unpacked(io.RawIOBase):
    """What a compressed stream holds. Raises SourceError once it expands as nothing does that has rows in it."""

    def __init__(self, stream: io.BufferedReader, codec: str, name: str) -> None:
        self._name = name
        self._given = 0
        self._packed = _Taken(stream)
        self._plain = pa.input_stream(self._packed, compression=codec)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        read: int = self._plain.readinto(buffer)
        self._given += read
        if self._given > FREE_BYTES and self._given > MOST_TIMES * self._packed.bytes:
            raise SourceError(
                f"{self._name} expands to more than {MOST_TIMES} times its size, as no file of rows does",
                hint="If it is what you meant to import, unpack it yourself.",
            )
        return read

    def close(self) -> None:
        self._plain.close()
        super().close()


def unpacked(stream: io.BufferedReader, name: str) -> io.BufferedReader:
    """The bytes of a stream, unpacked where its first ones are those of a codec. Owns the stream from then on.

    Reading raises SourceError where it is a bomb.
    """
    head = stream.peek()
    codec = next((codec for magic, codec in CODECS.items() if head.startswith(magic)), None)
    if codec is None:
        return stream
    return io.BufferedReader(_Unpacked(stream, codec, name), UNPACKED_BYTES)


def as_text(stream: io.BufferedReader) -> io.TextIOWrapper:
    """The text of a stream: UTF-8 unless it begins as UTF-16, with its line ends as they are.

    Bytes that are no text become surrogates, which no text holds, so that only their row is lost.
    """
    if stream.peek().startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return io.TextIOWrapper(stream, "utf-16", errors="surrogatepass", newline="")
    return io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")


def is_unicode(text: str) -> bool:
    """Whether a text holds none of the surrogates that `as_text` makes of bytes that are no text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def stamp(path: Location) -> Hashable:
    """What tells the content that a file has now from another. Raises SourceError where it has vanished."""
    if isinstance(path, RemoteFile):
        return path.stamp()
    try:
        stat = path.stat()
    except OSError as error:
        raise unreadable(display_name(path), error) from None
    return Stamp(stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_dev)


def seems_to_be(head: bytes) -> str:
    """What the first bytes of a file show it to be, where that is surely no delimited text; else an empty string."""
    return next((kind for magic, kind in _SIGNATURES.items() if head.startswith(magic)), "")


def unreadable(name: str, error: OSError) -> SourceError:
    """The error for a file that the system does not let us read."""
    return SourceError(
        f"{name} cannot be read: {error.strerror or 'input/output error'}", hint="Check the path and its permissions."
    )


def _matches(given: str, base: Path, suffixes: tuple[str, ...]) -> Sequence[Location]:
    if "://" in given:
        return sorted(_remote(given, suffixes), key=_natural)
    path = base / given
    if path.is_dir():
        files = [file for file in path.iterdir() if _is_meant(file, suffixes)]
        nothing = f"{given} is a folder without a file to read"
    elif path.exists():
        files = [path]
    elif glob.has_magic(given):
        # Path.glob takes no absolute pattern
        hits = (base / hit for hit in glob.glob(given, root_dir=base, recursive=True))  # noqa: PTH207 - as said above
        files = [hit for hit in hits if not hit.is_dir()]
        nothing = f"{given} matches no file"
    else:
        raise SourceError(f"{given} is not there", hint=_neighbour(path))
    if not files:
        raise SourceError(nothing, hint=f"Names of files that are read end in {', '.join(suffixes)}.")
    return sorted(files, key=_natural)


def _remote(given: str, suffixes: tuple[str, ...]) -> list[RemoteFile]:
    scheme = given.partition("://")[0]
    if scheme not in SCHEMES:
        # no more than the scheme is shown: the address of a database holds a password
        raise SourceError(
            f"a source at {scheme}:// cannot be read"
            if scheme.isalpha()
            else "a source has an address of no kind known",
            hint="Give a file, s3://, gs:// or az://, or a database: postgresql://, mysql:// or sqlite:///.",
        )
    try:
        return find_remote(given, suffixes)
    except ImportError:
        raise no_driver(scheme) from None


def _is_meant(file: Path, suffixes: tuple[str, ...]) -> bool:
    return file.is_file() and not file.name.startswith(".") and file.name.lower().endswith(suffixes)


def _natural(path: Location) -> list[tuple[int, str]]:
    """A key by which file2 comes before file10."""
    return [_number_or_text(piece) for piece in re.split(r"([0-9]+)", str(path))]


def _number_or_text(piece: str) -> tuple[int, str]:
    return (int(piece), piece) if piece.isdecimal() else (-1, piece)


def _neighbour(path: Path) -> str:
    """A hint that names the file in the same folder whose name is nearest."""
    names: Iterator[str] = (file.name for file in path.parent.iterdir()) if path.parent.is_dir() else iter(())
    near = get_close_matches(path.name, list(names), n=1)
    return (
        f"Did you mean {near[0]}?"
        if near
        else "Check it: a relative path starts at the working directory, or (in a config) at its folder."
    )
