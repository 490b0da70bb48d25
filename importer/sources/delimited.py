"""CSV and its kin, as text: `007`, `NA` and `1e5` arrive as they were written, and no row is lost in silence.

A row's number counts data rows from 1: the header and blank lines do not count, a row that could not be read does,
and a span of lines that a stray quote made one row counts once. Lines count from 1, all of them, as an editor does.
"""

import csv
import io
import re
import weakref
from collections.abc import Iterator, Sequence
from itertools import chain, islice

import pandas as pd

from importer.errors import SourceError
from importer.outcomes import Code, Issue, Stage
from importer.sources.base import CHUNK_CHARACTERS, CHUNK_ROWS, BadRow, Chunk
from importer.sources.columns import check_header
from importer.sources.files import (
    as_text,
    is_unicode,
    not_delimited,
    open_bytes,
    seems_to_be,
    unpacked,
    unreadable,
)
from importer.sources.text import TextSource

FIELD_LIMIT = 1024 * 1024
"""Characters in a field; the API takes no credential of this size."""

LINE_LIMIT = 16 * FIELD_LIMIT
"""Characters in a row that are held in memory: a file without line ends would be one line."""

ENDLESS = 16 * LINE_LIMIT
"""Characters in a line from which on no end of it is looked for: a device, or a bomb, may have none."""

BLANK_LINES = 1_000_000
"""Lines without a character, one after the other, from which on no row is looked for."""

_JOINED = "Check the quotes in these lines: one that is opened and not closed joins rows."

DELIMITERS = ",;\t|"


class DelimitedSource(TextSource["_Pass"]):
    """A delimited text file, or a stream (standard input, a pipe) that is read once."""

    def columns(self) -> list[str]:
        """The header's names, without the blanks around them. What was read of a stream is kept for `chunks`."""
        reading = self._begin()
        if self.repeatable:
            reading.close()
        return list(reading.header)

    def chunks(self, size: int = CHUNK_ROWS) -> Iterator[Chunk]:
        """All rows, `size` at a time, good and bad ones counted; a chunk has columns of str.

        Raises SourceError at the row from which the file cannot be trusted; the rows before it have come out.
        """
        reading = self._begin()
        if reading.spent:
            raise SourceError(f"{self.name} can be read only once", hint="Write it to a file and name that.")
        with reading:
            yield from reading.chunks(size)

    def _begin(self) -> "_Pass":
        if self._stream is not None:
            return self._stream
        stream = open_bytes(self._path)
        try:
            reading = _Pass(self.name, stream)
        except BaseException:
            stream.close()
            raise
        if not self.repeatable:
            self._stream = reading
            weakref.finalize(self, stream.close)  # the columns may be all that is ever asked of it
        return reading


class _Lines:
    """The lines of a text, one at a time. Keeps those of the row being read, to tell what is wrong with it."""

    def __init__(self, text: io.TextIOBase, name: str) -> None:
        self.of_row: list[str] = []
        self.characters = 0
        self.too_long = False
        self.ended = False
        self._text = text
        self._name = name

    def __iter__(self) -> Iterator[str]:
        readline = self._text.readline
        while line := readline(LINE_LIMIT):
            self.characters += len(line)
            if self.characters > LINE_LIMIT or (len(line) == LINE_LIMIT and not line.endswith(("\n", "\r"))):
                line = self._shortened(line)
            self.of_row.append(line)
            yield line
        self.ended = True

    def begin_row(self) -> None:
        """Forget the row before."""
        self.of_row.clear()
        self.characters = 0
        self.too_long = False

    def _shortened(self, piece: str) -> str:
        """A line that leaves the csv reader in the state in which the real one would have: quotes open and close."""
        quotes = skipped = 0
        while piece:
            quotes += piece.count('"')
            skipped += len(piece)
            if piece.endswith(("\n", "\r")):
                break
            if skipped > ENDLESS:
                raise SourceError(
                    f"{self._name} has a line of more than {ENDLESS:,} characters",
                    hint="Is it a text file, with line ends?",
                )
            piece = self._text.readline(LINE_LIMIT)
        self.too_long = True
        return '"\n' if quotes % 2 else "\n"


class _Pass:
    """One pass over a text, from its header on. Owns the stream it was given once it is made."""

    def __init__(self, name: str, stream: io.BufferedReader) -> None:
        self.name = name
        self.header: list[str] = []
        self.spent = False
        self._broken: SourceError | None = None
        self._row = 0
        csv.field_size_limit(FIELD_LIMIT)
        try:
            self._text = _as_text(stream, name)
            self._lines = _Lines(self._text, name)
            self.header = self._read_header()
        except (OSError, UnicodeDecodeError) as error:
            raise self._cut_off(error) from None

    def __enter__(self) -> "_Pass":
        self.spent = True
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the text and the stream below it."""
        self._text.close()

    def chunks(self, size: int) -> Iterator[Chunk]:
        """The rows behind the header, `size` at a time."""
        for batch in self._batches(size):
            first = self._row - len(batch) + 1
            whole = [fields for fields in batch if not isinstance(fields, Issue)]
            rows: Sequence[int] = range(first, self._row + 1)
            bad: list[BadRow] = []
            if len(whole) < len(batch):
                rows = [row for row, fields in enumerate(batch, first) if not isinstance(fields, Issue)]
                bad = [BadRow(row, issue) for row, issue in enumerate(batch, first) if isinstance(issue, Issue)]
            # read_csv pads a short row with "" and shifts the numbers after a skipped one: a csv pass counts the
            # fields, and pandas gets rows that are whole. dtype=object, since "007" is a customer and "NA" a token.
            frame = pd.DataFrame(whole, columns=self.header, dtype=object)
            yield Chunk(self.name, rows, frame, bad)
        if self._broken:
            raise self._broken

    def _batches(self, size: int) -> Iterator[list[list[str] | Issue]]:
        """The rows, `size` at a time, or fewer where they are long."""
        batch: list[list[str] | Issue] = []
        characters = 0
        for fields in self._rows():
            batch.append(fields)
            characters += self._lines.characters
            if len(batch) == size or characters > CHUNK_CHARACTERS:
                yield batch
                batch, characters = [], 0
        if batch:
            yield batch

    def _rows(self) -> Iterator[list[str] | Issue]:
        """The fields of each row, or what is wrong with it. Ends early at a fault of the file, kept in `_broken`."""
        try:
            blank = 0
            while (found := self._next_row()) is not None:
                if found:
                    self._row += 1
                    blank = 0
                    yield found
                elif (blank := blank + 1) > BLANK_LINES:
                    raise self._only_blank_lines()
        except SourceError as error:
            self._broken = error
        except (OSError, UnicodeDecodeError) as error:
            self._broken = self._cut_off(error)

    def _next_row(self) -> list[str] | Issue | None:
        """The fields of the next row, or what is wrong with it; [] for a blank line, None at the end."""
        self._lines.begin_row()
        try:
            fields = next(self._reader, None)
        except csv.Error as error:
            return self._quote_issue(error)
        if self._lines.too_long:
            return self._too_long()
        if not fields:
            return fields
        if issue := self._text_issue():
            return issue
        return fields if len(fields) == len(self.header) else self._ragged(len(fields))

    def _text_issue(self) -> Issue | None:
        """Whether the row holds bytes that no text has."""
        for line in self._lines.of_row:
            if "\0" in line:
                return self._issue(Code.BAD_ENCODING, "holds a NUL character", "Remove it: no credential has one.")
            if not line.isascii() and not is_unicode(line):
                return self._issue(
                    Code.BAD_ENCODING,
                    "holds bytes that are not UTF-8",
                    "Export again as UTF-8: other rows may hold wrong characters that cannot be told.",
                )
        return None

    def _ragged(self, found: int) -> Issue:
        wanted = len(self.header)
        what = f"{found} field{'s' if found > 1 else ''} where the header has {wanted}"
        if len(self._lines.of_row) > 1:
            fix = _JOINED
        elif found < wanted:
            fix = "Write every field, an empty one too, and the delimiter between them."
        else:
            fix = "Put a field that holds the delimiter in double quotes."
        return self._issue(Code.RAGGED_ROW, what, fix)

    def _quote_issue(self, error: csv.Error) -> Issue:
        """What made the csv reader give up a row. Raises SourceError where no row after it can be trusted."""
        if self._lines.ended:
            raise self._never_closed("before the end of the file")
        if "field limit" not in str(error):
            joined = len(self._lines.of_row) > 1
            return self._issue(
                Code.BAD_QUOTE,
                "a quoted field goes on behind its closing quote",
                _JOINED if joined else 'Write a quote inside a quoted field twice: "".',
            )
        if sum(line.count('"') for line in self._lines.of_row) % 2:
            raise self._never_closed("within the longest field allowed")
        return self._too_long()

    def _too_long(self) -> Issue:
        what = f"holds a field of more than {FIELD_LIMIT:,} characters"
        if self._lines.too_long:
            what = f"holds a line of more than {LINE_LIMIT:,} characters"
        return self._issue(Code.FIELD_TOO_LONG, what, "Shorten it, and check that the file has line ends.")

    def _never_closed(self, where: str) -> SourceError:
        row = f"row {self._row + 1}" if self.header else "header"
        return SourceError(
            f"{self.name} {row} (line {self._opened_in()}): a quote opened here is never closed",
            hint=f"Close it: no quote ends the field {where}.",
        )

    def _opened_in(self) -> int:
        """The line of this row in which the quote that is still open was opened."""
        is_open, opened = False, self._first_line()
        for number, line in enumerate(self._lines.of_row, start=opened):
            quotes = line.replace('""', "").count('"')  # a doubled one is a quote in a field, or an empty field
            is_open ^= quotes % 2 == 1
            if quotes and is_open:
                opened = number
        return opened

    def _only_blank_lines(self) -> SourceError:
        where = f"after row {self._row}" if self._row else "at its beginning"
        return SourceError(
            f"{self.name} has {BLANK_LINES:,} blank lines {where}", hint="Export it again without blank lines."
        )

    def _first_line(self) -> int:
        return self._last_line() - len(self._lines.of_row) + 1

    def _last_line(self) -> int:
        return self._blank_lines + self._reader.line_num

    def _issue(self, code: Code, what: str, fix: str) -> Issue:
        first, last = self._first_line(), self._last_line()
        where = f"line {last}" if first == last else f"lines {first}-{last} were read as one row"
        return Issue("", code, f"{what} ({where})", fix, Stage.READ)

    def _cut_off(self, error: OSError | UnicodeDecodeError) -> SourceError:
        """The error for bytes that end or are damaged where they should not; says after which row."""
        if isinstance(error, OSError) and error.strerror:
            return unreadable(self.name, error)
        kind = "text" if isinstance(error, UnicodeDecodeError) else "compressed data"
        return SourceError(
            f"{self.name}: the {kind} breaks off or is damaged after row {self._row}",
            hint="Copy or export the file again.",
        )

    def _read_header(self) -> list[str]:
        """The names of the columns, from the first line that is not blank; finds the delimiter on the way."""
        lines = iter(self._lines)
        first = next((line for line in islice(lines, BLANK_LINES) if line.strip("\r\n")), None)
        if len(self._lines.of_row) == BLANK_LINES:
            raise self._only_blank_lines()
        if self._lines.too_long:
            raise SourceError(
                f"{self.name} has a first line of more than {LINE_LIMIT:,} characters",
                hint="Is it a text file, with line ends?",
            )
        if first is None:
            raise SourceError(f"{self.name} is empty", hint="Its first line holds the names of the columns.")
        self._blank_lines = len(self._lines.of_row) - 1
        self._reader = csv.reader(chain([first], lines), delimiter=_delimiter(first), strict=True)
        try:
            header = [name.strip() for name in next(self._reader)]
            issue = self._text_issue()
        except csv.Error as error:
            issue = self._quote_issue(error)
        if issue:
            raise SourceError(f"the header of {self.name} {issue.reason}", hint=issue.fix)
        check_header(header, self.name)
        return header


def _as_text(stream: io.BufferedReader, name: str) -> io.TextIOWrapper:
    """The text of a stream, unpacked. Raises SourceError where it is surely not delimited."""
    stream = unpacked(stream, name)
    if kind := seems_to_be(stream.peek()):
        raise not_delimited(name, kind)
    return as_text(stream)


def _delimiter(line: str) -> str:
    """The delimiter that stands most often in a header outside quotes; a comma where none does (one column).

    csv.Sniffer takes letters for delimiters, and more so the fewer columns there are.
    """
    bare = re.sub(r'"(?:[^"]|"")*"', "", line)
    return max(DELIMITERS, key=bare.count)
