"""Where rows come from. Importing this is cheap: pandas, pyarrow and drivers are loaded when a source is opened."""

import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from importer.errors import ConfigError, SourceError
from importer.sources.base import Source

if TYPE_CHECKING:
    from importer.sources.files import Location

FORMATS = ("auto", "csv", "parquet", "jsonl", "sql")

_DATABASE = re.compile(r"(postgres|postgresql|mysql|mariadb|sqlite)(\+\w+)?://")


def open_sources(
    paths: Sequence[str],
    base: Path,
    format: str = "auto",  # noqa: A002 - the setting
    *,
    query: str | None = None,
    records: str | None = None,
) -> list[Source]:
    """The sources that `paths` name, each file once, in the order given.

    A path is a file, a glob, a folder, an address in a store (`s3://…`), `-` (standard input), or the URL of a
    database, from which `query` is read; relative ones start at `base`. `format` is "csv", "parquet" or "jsonl" for all
    of them, or "auto": by suffix, else by content; standard input is CSV then. `records` is the path of the list with
    the rows in a JSON document, e.g. `$.result.items`. Raises SourceError where one of the paths gives nothing, and
    ConfigError where `records` is no path, or a source is not JSON. No row is read yet.
    """
    from importer.sources.files import find_files

    if format not in FORMATS:
        raise SourceError(f"{format} is not a format", hint=f"Give one of {', '.join(FORMATS)}.")
    if not paths:
        raise SourceError("no source is given", hint="Name a file, a folder or - (standard input).")
    sources: list[Source] = []
    for is_database, given in groupby(paths, lambda path: _DATABASE.match(path) is not None):
        if is_database:
            if records is not None:
                raise _not_json("a source is a database")
            sources += [_open_database(url, base, format, query) for url in given]
        elif format == "sql":
            raise SourceError("format is sql, but a source is no database", hint="Give postgresql://… or format auto.")
        else:
            sources += [_open(path, format, records) for path in find_files(list(given), base, format)]
    return sources


def _open_database(url: str, base: Path, format: str, query: str | None) -> Source:  # noqa: A002 - the setting
    if format not in ("auto", "sql"):
        raise SourceError(f"format is {format}, but a source is a database", hint='Set format = "sql", or "auto".')
    try:
        from importer.sources.sql import SqlSource
    except ImportError:
        raise SourceError(
            "reading a database needs SQLAlchemy, which is not installed", hint="pip install 'importer[sql]'"
        ) from None
    return SqlSource(url, query, base)


def _open(path: "Location | None", format: str, records: str | None) -> Source:  # noqa: A002 - the setting
    from importer.sources.files import display_name, format_of

    if format == "auto":
        format = "csv" if path is None else format_of(path)  # noqa: A001 - the setting
    if format != "jsonl" and records is not None:
        raise _not_json(f"{display_name(path)} is read as {format}")
    if format == "csv":
        from importer.sources.delimited import DelimitedSource

        return DelimitedSource(display_name(path), path)
    if format == "jsonl":
        from importer.sources.json_document import names_of
        from importer.sources.jsonl import JsonSource

        return JsonSource(display_name(path), path, names_of(records) if records is not None else ())
    if path is None:
        raise SourceError("Parquet cannot be read from standard input", hint="Write it to a file and name that.")
    from importer.sources.parquet import ParquetSource

    return ParquetSource(display_name(path), path)


def _not_json(what: str) -> ConfigError:
    return ConfigError(
        f"source.records is for JSON, and {what}",
        hint='Leave records out, or name JSON files only; format = "jsonl" says that a source is JSON.',
    )
