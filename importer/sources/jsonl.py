"""JSON Lines, and one JSON document that holds a list of objects; each object is a row, read without the others.

A top-level field is a column, and what is nested stays a dict or a list, which a mapping addresses by path
(`{ column = "credentials", json = "$.access_token" }`). A file is read once more beforehand, for the names of all its
fields. Of a stream they are those of its first rows: a later row with another field is refused, not cut.
"""

import json
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from io import TextIOWrapper
from itertools import chain, islice
from typing import Any

import ijson
import pandas as pd

from importer.errors import SourceError
from importer.outcomes import Code, Issue, Stage
from importer.sources.base import CHUNK_CHARACTERS, CHUNK_ROWS, BadRow, Chunk
from importer.sources.columns import is_data
from importer.sources.extended_json import DEEPEST, plain_object
from importer.sources.files import Location, as_text, is_unicode, open_bytes, unpacked, unreadable
from importer.sources.json_document import LIST_HINT, Document, Names, Row, holds_a_list
from importer.sources.text import TextSource

LINE_LIMIT = 1024 * 1024
"""Characters in a line of JSON Lines; the API takes no credential of this size."""

VALUE_LIMIT = 16 * LINE_LIMIT
"""Characters in one element of a document that are held in memory."""

MOST_OPEN = 5_000
"""Brackets in one element that may be open at once, in texts too: ijson needs a time that grows with their square."""

ENDLESS = 256 * LINE_LIMIT
"""Characters in a line from which on no end of it is looked for: a device, or a bomb, may have none."""

LOOK_AHEAD = 1_000
"""Rows of a stream that are held in memory to find out what its columns are."""

MOST_COLUMNS = 1_000
"""Different fields, at most: an object with ids for names would make each of them a column."""

_LINE_FIX = 'Write one object in each line, e.g. {"group_ref": "acme", …}; in Python with json.dumps.'


class JsonSource(TextSource["_Pass"]):
    """A file of JSON, or a stream (standard input, a pipe) that is read once.

    Named `.jsonl` or `.ndjson` it holds lines. Else what it begins with decides: a list, an object that fills the
    first line and is followed by another (lines), or one object that holds a list of objects; with `records`, the
    names on the way to the list, it is such an object whatever it is called.
    """

    def __init__(self, name: str, path: Location | None, records: Names = ()) -> None:
        super().__init__(name, path)
        self._records = records
        self._columns: list[str] | None = None

    def columns(self) -> list[str]:
        """The fields of all objects, in the order in which they first come. Raises SourceError where there is none."""
        if self._columns is None:
            reading = self._begin()
            try:
                self._columns = _names(reading.rows() if self.repeatable else reading.look_ahead(), self.name)
            finally:
                if self.repeatable:
                    reading.close()
        return list(self._columns)

    def chunks(self, size: int = CHUNK_ROWS) -> Iterator[Chunk]:
        """All rows, `size` at a time, good and bad ones counted; a field that an object has not is None.

        Raises SourceError at the row from which the file cannot be trusted; the rows before it have come out.
        """
        columns, reading = self.columns(), self._begin()
        if reading.spent:
            raise SourceError(f"{self.name} can be read only once", hint="Write it to a file and name that.")
        reading.spent = True
        try:
            yield from reading.chunks(size, columns)
        finally:
            reading.close()

    def _begin(self) -> "_Pass":
        if self._stream is not None:
            return self._stream
        stream = open_bytes(self._path)
        try:
            reading = _Pass(self.name, as_text(unpacked(stream, self.name)), self._records)
        except OSError as error:
            stream.close()
            raise _breaks_off(self.name, 0, error) from None
        if not self.repeatable:
            self._stream = reading
            weakref.finalize(self, reading.close)  # the columns may be all that is ever asked of it
        return reading


class _Pass:
    """One pass over a text."""

    def __init__(self, name: str, text: TextIOWrapper, records: Names) -> None:
        self.name = name
        self._records = records
        self.spent = False
        self.close = text.close
        self._text = text
        self._taken = 0
        self._row = 0
        self._ahead: list[Row] = []
        self._found = self._all()

    def rows(self) -> Iterator[Row]:
        """All rows. Raises SourceError where the rest cannot be read."""
        return chain(self._ahead, self._found)

    def look_ahead(self) -> Sequence[Row]:
        """The first rows; `rows` gives them all the same."""
        for row in islice(self._found, LOOK_AHEAD - len(self._ahead)):
            self._ahead.append(row)
            if self._taken > CHUNK_CHARACTERS:
                break
        return self._ahead

    def chunks(self, size: int, columns: Sequence[str]) -> Iterator[Chunk]:
        """The rows, `size` at a time."""
        known, first = frozenset(columns), 1
        for batch in self._batches(size):
            rows = [found if isinstance(found, Issue) or found.keys() <= known else _NEW_FIELD for found in batch]
            good = {row: found for row, found in enumerate(rows, first) if not isinstance(found, Issue)}
            bad = [BadRow(row, found) for row, found in enumerate(rows, first) if isinstance(found, Issue)]
            cells = {name: [found.get(name) for found in good.values()] for name in columns}
            # dtype=object: any other turns None into NaN, and 2**53 + 1 even
            yield Chunk(self.name, list(good), pd.DataFrame(cells, dtype=object), bad)
            first += len(rows)

    def _all(self) -> Iterator[Row]:
        try:
            for found in self._of_its_kind():
                self._row += 1
                yield found
        except (ijson.JSONError, ArithmeticError, UnicodeError, OSError) as error:
            raise _breaks_off(self.name, self._row, error) from None

    def _of_its_kind(self) -> Iterator[Row]:
        """The rows of lines, or of a document: by the name, and by what the text begins with."""
        lines = self._numbered()
        first, is_lines = next(lines, (0, "")), bool({"jsonl", "ndjson"} & set(self.name.lower().split(".")))
        head = first[1].lstrip()
        value, is_list = _line(*first), head.startswith("[")
        is_cut = head.startswith("{") and isinstance(value, Issue) and not is_lines
        is_document = bool(head and self._records) or is_list or is_cut
        second = None if is_document else next(lines, None)
        if is_document or (second is None and holds_a_list(value) and not is_lines):
            return Document(self.name, _Bytes(first[1], self._read, self.name), self._records).rows(is_list=is_list)
        return (_line(*line) for line in chain([first] if head else [], [second] if second else [], lines))

    def _numbered(self) -> Iterator[tuple[int, str]]:
        """The lines that are not blank, with their numbers; of one that is too long only the beginning.

        Its rest is skipped when the next line is asked for: it may be a whole document, which is read otherwise.
        """
        readline = self._text.readline
        for number, line in enumerate(iter(lambda: readline(LINE_LIMIT), ""), start=1):
            self._taken += len(line)
            if line.strip():
                yield number, line
            skipped = 0
            while _is_cut(line):
                line = readline(LINE_LIMIT)
                skipped += len(line)
                if skipped > ENDLESS:
                    raise SourceError(f"{self.name} has a line of more than {ENDLESS:,} characters", hint=_LINE_FIX)

    def _read(self, size: int) -> str:
        piece = self._text.read(size)
        self._taken += len(piece)
        return piece

    def _batches(self, size: int) -> Iterator[list[Row]]:
        """The rows, `size` at a time, or fewer where they are long; those before a SourceError come out first."""
        batch: list[Row] = []
        begun = self._taken
        try:
            for row in self.rows():
                batch.append(row)
                if len(batch) == size or self._taken - begun > CHUNK_CHARACTERS:
                    yield batch
                    batch, begun = [], self._taken
        except SourceError:
            if batch:
                yield batch
            raise
        if batch:
            yield batch


class _Bytes:
    """A text whose beginning was read already, as the stream of UTF-8 that ijson wants."""

    def __init__(self, head: str, read: Callable[[int], str], name: str) -> None:
        self._head = head
        self._read = read
        self._name = name
        self._of_value = 0
        self._open = 0

    def begin(self) -> None:
        """A value begins: what was read before is no part of it."""
        self._of_value = self._open = 0

    def read(self, size: int) -> bytes:
        """About `size` bytes; none at the end. Raises SourceError where too many make no end of a value."""
        if not size:
            return b""
        piece, self._head = self._head or self._read(size), ""
        self._of_value += len(piece)
        self._open += piece.count("[") + piece.count("{") - piece.count("]") - piece.count("}")
        if self._open > MOST_OPEN:
            raise SourceError(f"{self._name} holds values within values without end", hint=LIST_HINT)
        if self._of_value > VALUE_LIMIT:
            raise SourceError(
                f"{self._name} holds a value of more than {VALUE_LIMIT:,} characters",
                hint="Is it a list of objects, one for each row? No row is as long.",
            )
        return piece.encode("utf-8", "surrogateescape")


def _is_cut(line: str) -> bool:
    return len(line) == LINE_LIMIT and not line.endswith(("\n", "\r"))


def _line(number: int, line: str) -> Row:
    """The object in a line, or what is wrong with it."""
    if _is_cut(line):
        return _issue(Code.FIELD_TOO_LONG, f"is a line of more than {LINE_LIMIT:,} characters", number, "Shorten it.")
    if not line.isascii() and not is_unicode(line):
        return _issue(Code.BAD_ENCODING, "holds bytes that are not UTF-8", number, "Export again as UTF-8.")
    try:
        value = _DECODER.decode(line)
        if isinstance(value, dict) and ('"$' in line or line.count("{") + line.count("[") > DEEPEST):
            value = plain_object(value)
        if "\\ud" in line.lower():  # half a surrogate pair, which no request could carry
            json.dumps(value, ensure_ascii=False, default=str).encode()
    except (ValueError, ArithmeticError, RecursionError):
        return _issue(Code.BAD_JSON, "is not valid JSON", number, _LINE_FIX)
    if not isinstance(value, dict):
        return _issue(Code.BAD_JSON, "is JSON, but no object", number, _LINE_FIX)
    return value


def _breaks_off(name: str, row: int, error: Exception) -> SourceError:
    """The error for a text that ends or is damaged where it should not, after this row."""
    if isinstance(error, OSError) and error.strerror:
        return unreadable(name, error)
    what = "text or compressed data" if isinstance(error, UnicodeError | OSError) else "JSON"
    return SourceError(
        f"{name}: the {what} breaks off or is damaged after row {row}", hint="Copy or export the file again."
    )


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse_constant)
"""Numbers as they were written, as ijson gives them too; NaN and Infinity are no JSON (RFC 8259, section 6)."""


def _issue(code: Code, what: str, line: int, fix: str) -> Issue:
    return Issue("", code, f"{what} (line {line})", fix, Stage.READ)


_NEW_FIELD = Issue(
    "",
    Code.RAGGED_ROW,
    f"has a field that none of the first {LOOK_AHEAD:,} rows has",
    "Write the rows to a file and name that: then the fields of all rows are known beforehand.",
    Stage.READ,
)


def _names(rows: Iterable[Row], source: str) -> list[str]:
    """The names of all fields. Raises SourceError where there is none, or where they are no names."""
    names: dict[str, None] = {}
    for row in rows:
        if isinstance(row, dict) and not row.keys() <= names.keys():
            names |= dict.fromkeys(row)
            if len(names) > MOST_COLUMNS or any(map(is_data, row)):
                raise SourceError(
                    f"the objects in {source} have ids or other data for names of fields",
                    hint="Give objects that all have the same fields.",
                )
    if not names:
        raise SourceError(f"{source} holds no JSON object, so nothing tells its columns", hint=LIST_HINT)
    return list(names)
