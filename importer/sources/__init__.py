"""Where rows come from. Importing this is cheap: pandas and pyarrow are loaded when a source is opened."""

from collections.abc import Sequence
from pathlib import Path

from importer.errors import SourceError
from importer.sources.base import Source

FORMATS = ("auto", "csv", "parquet")


def open_sources(paths: Sequence[str], base: Path, format: str = "auto") -> list[Source]:  # noqa: A002 - the setting
    """The sources that `paths` name, each file once, in the order given.

    A path is a file, a glob, a folder, or `-` (CSV on standard input); relative ones start at `base`. `format` is
    "csv" or "parquet" for all of them, or "auto": by suffix, else by content. Raises SourceError where one of the
    paths gives nothing. No row is read yet.
    """
    from importer.sources.files import find_files

    if format not in FORMATS:
        raise SourceError(f"{format} is not a format", hint=f"Give one of {', '.join(FORMATS)}.")
    if not paths:
        raise SourceError("no source is given", hint="Name a file, a folder or - (standard input).")
    return [_open(path, format) for path in find_files(paths, base, format)]


def _open(path: Path | None, format: str) -> Source:  # noqa: A002 - the setting
    from importer.sources.files import display_name, format_of

    if format == "auto":
        format = "csv" if path is None else format_of(path)  # noqa: A001
    if format == "csv":
        from importer.sources.delimited import DelimitedSource

        return DelimitedSource(display_name(path), path)
    if path is None:
        raise SourceError("Parquet cannot be read from standard input", hint="Write it to a file and name that.")
    from importer.sources.parquet import ParquetSource

    return ParquetSource(display_name(path), path)
