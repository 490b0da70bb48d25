"""What no file may do: properties of the readers of files, of the mapping, and of what it is made of."""

import csv
import io
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd

from importer.api.wire import body_of
from importer.errors import ImporterError, SourceError
from importer.fields import FieldSpec, read_mapping
from importer.mapping import MappedRow, Mapper
from importer.mapping.cells import Fault, trimmed
from importer.mapping.ciphers import FAILURES, SCHEMES
from importer.mapping.ciphertext import Check, Kind
from importer.mapping.dates import YEARS, DateReader, durations, epochs_or_durations
from importer.mapping.json_cells import parsed
from importer.mapping.json_paths import finder
from importer.mapping.lists import list_reader, struct_reader
from importer.presets import fitting
from importer.sources.base import Chunk, Source
from importer.sources.delimited import DelimitedSource
from importer.sources.json_document import names_of
from importer.sources.jsonl import JsonSource
from importer.sources.parquet import ParquetSource

from .held import choice, held, text

Read = Callable[[list[Any]], list[Any]]

CELL_END = "\x1f"
"""Between the cells of an input of several."""


def delimited(content: bytes) -> None:
    """Every row comes out once, with all its cells, or says what is wrong with it; twice the same."""
    once = _rows_of(DelimitedSource("tokens.csv", held(content, "tokens.csv")))
    again = _rows_of(DelimitedSource("tokens.csv", held(content, "tokens.csv")), size=3)
    assert once == again, "what is read depends on the size of the chunks"


def json_rows(content: bytes) -> None:
    """Every object comes out once, or says what is wrong with it, as lines, as a document and at a path."""
    kind, content = choice(content, 3)
    name = ("tokens.jsonl", "tokens.json", "tokens.json")[kind]
    records = names_of("$.result.items") if kind == 2 else ()
    once = _rows_of(JsonSource(name, held(content, name), records))
    again = _rows_of(JsonSource(name, held(content, name), records), size=3)
    assert once == again, "what is read depends on the size of the chunks"


def parquet(content: bytes) -> None:
    """A damaged file is refused, or gives rows; pyarrow's own errors stay inside."""
    _rows_of(ParquetSource("tokens.parquet", held(content, "tokens.parquet")))


def _rows_of(source: Source, size: int = 5_000) -> tuple[list[str], str]:
    """The rows of a source as texts, and what ended it early; asserts that their numbers are those from 1 on."""
    rows: dict[int, str] = {}
    ended = ""
    try:
        columns = source.columns()
        for chunk in source.chunks(size):
            assert list(chunk.frame.columns) == columns
            assert len(chunk.frame) == len(chunk.rows)
            cells = chunk.frame.values.tolist()
            found = dict(zip(chunk.rows, map(repr, cells), strict=True)) | {b.row: repr(b.issue) for b in chunk.bad}
            assert len(found) == len(chunk.rows) + len(chunk.bad), "a row is both sound and bad"
            rows |= found
    except SourceError as error:
        ended = str(error)
    assert sorted(rows) == list(range(1, len(rows) + 1)), "a row is lost or doubled"
    return [rows[row] for row in sorted(rows)], ended


_READERS: list[Read] = [
    *(
        DateReader(written, zone, on_naive=lambda _: None)
        for written, zone in [
            ("iso8601", None), ("auto", "Europe/Berlin"), ("epoch_s", None), ("epoch_ms", None), ("epoch_us", None),
            ("%Y-%m-%d %H:%M:%S", "America/New_York"), ("%d/%m/%y %I:%M %p", None), ("%Y-%m-%dT%H:%M:%S.%f%z", None),
        ]
    ),
    durations, epochs_or_durations,
]  # fmt: skip


def dates(content: bytes) -> None:
    """A cell is a time of the years that tokens have, a span that is not negative, blank, or a fault."""
    which, content = choice(content, len(_READERS))
    cells: list[Any] = [cell or None for cell in text(content).split("\n")]
    found = _READERS[which](cells + [_number(cell) for cell in cells])
    assert len(found) == 2 * len(cells)
    for value in found:
        if isinstance(value, datetime):
            assert value.tzinfo is UTC
            assert YEARS.start - 1 <= value.year <= YEARS.stop  # a zone may move it over the end of a year
        elif isinstance(value, timedelta):
            assert value >= timedelta()
        else:
            assert value is None or isinstance(value, Fault)


def _number(cell: str | None) -> Any:
    """A cell as JSON and databases give numbers: without a point a whole one, NaN too."""
    for kind in (int, Decimal):
        try:
            return kind(cell or "")
        except (ValueError, ArithmeticError):
            continue
    return None


_TABLES: list[dict[str, Any] | None] = [
    None,
    {
        "provider": {"column": "a", "values": {"HS": "hubspot"}, "default": "stripe"},
        "groupRef": "b", "groupName": {"template": "{b} ({c}) {{}}"}, "consumerRef": {"column": "c", "json": "$.id"},
        "providerMetadata": {"workspace": {"column": "d", "label_of": "salesforce"}},
        "oauth2AuthorizationCode": {
            "accessToken": {
                "token": {"column": "e", "json": "$..access_token"},
                "expiresAt": {"column": "e", "json": "$.expires_in", "format": "expires_in", "since": "$.at"},
            },
            "refreshToken": {"token": {"column": "e", "json": "$.tokens[?@.kind == 'refresh'].value"}},
            "scopes": {"column": "f", "split": "|"},
        },
    },
    {
        "provider": {"value": "discourse"}, "groupRef": {"column": "a", "opaque": True}, "consumerRef": "b",
        "customAuth": {"apiKey": "c", "names": {"column": "d", "split": "json"}},
        "apiKey": {"column": "c"}, "basicAuth": {"username": "e", "password": "f"},
    },
]  # fmt: skip

_CANONICAL = (
    "provider", "group_ref", "consumer_ref", "access_token", "access_token_expires_at", "refresh_token", "scopes",
    "api_key", "username", "password", "client_id", "client_secret", "metadata.workspace", "auth_scheme",
)  # fmt: skip


def mapping(content: bytes) -> None:
    """A row becomes a request that can be written, or gets issues, none of which quotes a cell that could be a key."""
    which, content = choice(content, len(_TABLES))
    table = _TABLES[which]
    columns = _CANONICAL if table is None else tuple("abcdef")
    cells: list[Any] = [cell or None for cell in text(content).split(CELL_END)]
    rows = [cells[at : at + len(columns)] for at in range(0, len(cells), len(columns))]
    rows[-1] += [None] * (len(columns) - len(rows[-1]))
    chunk = Chunk("tokens.csv", range(1, len(rows) + 1), pd.DataFrame(rows, columns=columns, dtype=object), [])
    specs = None if table is None else read_mapping(table, "config.toml")
    mapped = Mapper(specs, columns, source="tokens.csv").map(chunk)
    assert [row.row for row in mapped] == list(chunk.rows), "a row is lost or doubled"
    for row, given in zip(mapped, rows, strict=True):
        _check_row(row, [cell for cell in given if cell is not None and len(cell) > 12])


def _check_row(row: MappedRow, cells: list[str]) -> None:
    assert (row.request is None) == bool(row.issues)
    if row.request is not None:
        body_of(row.request).json.decode()
    said = repr(row.issues)
    assert not any(cell in said for cell in cells if cell not in _OUR_WORDS), "an issue quotes a cell"


class _OwnWords:
    """Texts that are parts of what we say ourselves: a cell may hold them, and nothing is quoted then."""

    def __contains__(self, cell: str) -> bool:
        return cell.replace(" ", "").isalpha() or "[mapping]" in cell


_OUR_WORDS = _OwnWords()


def specs(content: bytes) -> None:
    """A template, a JSON path, a pattern or a zone is refused in one line, or reads a row; it reaches nothing else."""
    kind, content = choice(content, 5)
    option = ("template", "json", "format", "zone", "split")[kind]
    spec = FieldSpec(**({"column": "a"} if kind else {}) | {option: text(content)})  # type: ignore[arg-type]  # by name
    path = "oauth2AuthorizationCode.accessToken.expiresAt" if kind in (2, 3) else "customAuth.name"
    given = {"provider": FieldSpec(value="hubspot"), "groupRef": FieldSpec(column="b"),
             "consumerRef": FieldSpec(column="b"), "apiKey": FieldSpec(column="b"), path: spec}  # fmt: skip
    try:
        mapper = Mapper(given, ["a", "b"], source="tokens.csv")
    except ImporterError:
        return
    cells = [['{"a": {"b": ["fake", 1]}}', "fake-1"], ["2026-01-31", "fake-2"], ["1", "fake-3"]]
    chunk = Chunk("tokens.csv", range(1, 4), pd.DataFrame(cells, columns=["a", "b"], dtype=object), [])
    assert [row.row for row in mapper.map(chunk)] == [1, 2, 3]


_LISTS: list[Read] = [list_reader(None), list_reader("json"), list_reader(","), struct_reader(trimmed)]
_FIND = [finder("$.a.b"), finder("$..a"), finder("$[0]"), finder("$.a[?@.b > 1].c"), finder("$.a[1:3]")]


def cells(content: bytes) -> None:
    """A cell of JSON, of scopes or of names and values becomes what is in it, or a fault; so does one that is none."""
    kind, content = choice(content, 2)
    cell = text(content)
    for read in _LISTS:
        (value,) = read([cell])
        assert value is None or isinstance(value, Fault | tuple | dict)
    for find in _FIND if kind else ():
        find(parsed(cell))
    fitting(["extra"], {"extra": [cell]})


_OPENERS = [
    SCHEMES["fernet"]("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", ""),
    SCHEMES["aes-gcm"]("00" * 32, ""), SCHEMES["laravel"]("base64:" + "A" * 43 + "=", ""),
    SCHEMES["rails"]("fake-primary-key", "fake-salt"),
]  # fmt: skip


def ciphertext(content: bytes) -> None:
    """What nobody has sealed does not open, and fails as its scheme says; what is plainly no credential is told."""
    which, content = choice(content, len(_OPENERS) + 1)
    if which < len(_OPENERS):
        parts = content.split(b"\n", 2) if which == 1 else [content]
        try:
            _OPENERS[which](parts)
        except FAILURES:
            return
        raise AssertionError("a forgery opens")
    for check in _CHECKS:
        (found,) = check([text(content)])
        assert found == text(content) or isinstance(found, Fault)


_CHECKS = [Check(kind) for kind in Kind]


def report(content: bytes) -> None:
    """What a report's CSV says is read back as it was, but for apostrophes before what may be a formula."""
    from importer.reports.tables import _defused, _LinesOf

    given = text(content).split(CELL_END)
    file = io.StringIO(newline="")
    csv.writer(_LinesOf(file)).writerow(_defused(*given))
    file.seek(0)
    (read,) = list(csv.reader(file))
    assert _bare(read) == _bare(given)
    assert not any(cell[:1] in ("=", "+", "-", "@", "\t", "\r") for cell in read)


def _bare(cells: Iterable[str]) -> list[str]:
    return [cell.replace("'", "") for cell in cells]
