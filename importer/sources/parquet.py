"""Parquet: typed rows, in batches, as Python values; nothing is rounded and nothing missing becomes NaN."""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from importer.errors import SourceError
from importer.sources.base import CHUNK_ROWS, Chunk
from importer.sources.columns import check_header
from importer.sources.files import PARQUET_MAGIC, Location, open_bytes, stamp

BUFFER_BYTES = 1024 * 1024
"""Bytes read at a time from a column: without a limit, pyarrow holds a whole row group."""


LONG_BYTES = 64 * 1024
"""A value from which fewer rows are decoded at a time: a page of few bytes can hold one a thousand times over."""

AT_ONCE_BYTES = 16 * 1024 * 1024
"""What the longest value may come to in the rows that are decoded at a time."""

PROBED_ROWS, PROBED_BYTES = 20_000, 128 * 1024 * 1024
"""Rows of one column that are looked at together for long values; fewer, where a row group has more than the bytes."""

EXPANDED_BYTES, EXPANSION = 256 * 1024 * 1024, 250
"""A column of a row group that says it expands to more than both the bytes and so many times its size is refused."""


class ParquetSource:
    """A Parquet file. A row's number counts its rows from 1, over all row groups."""

    repeatable = True

    def __init__(self, name: str, path: Location) -> None:
        self.name = name
        self._path = path
        self._known_rows: tuple[Hashable, int] | None = None

    def columns(self) -> list[str]:
        """The names of the top-level columns; a struct is one column, and its cells are dicts."""
        with self._opened() as (file, _stream):
            return list(file.schema_arrow.names)

    def chunks(self, size: int = CHUNK_ROWS) -> Iterator[Chunk]:
        """All rows, at most `size` at a time. Raises SourceError where the rest is damaged or no Python value."""
        row = 1
        with self._opened() as (file, stream):
            content = self.stamp()
            if self._known_rows is None or self._known_rows[0] != content:  # another pass need not look again
                self._known_rows = content, self._rows_at_once(file, stream)
            rows = self._known_rows[1]
            batches = file.iter_batches(batch_size=min(size, rows))
            while (batch := self._next(batches, row)) is not None:
                columns = {name: self._cells(batch, name, row) for name in batch.schema.names}
                frame = pd.DataFrame(columns, dtype=object)  # any other dtype turns None into NaN, and 2**53 + 1 even
                yield Chunk(self.name, range(row, row + len(frame)), frame, [])
                row += len(frame)

    def close(self) -> None:
        """Nothing stays open between two readings."""

    def stamp(self) -> Hashable:
        """What tells this content of the file from another."""
        return stamp(self._path)

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, Any]]:
        with open_bytes(self._path) as stream:
            try:
                # INT96, the timestamps of Spark, overflow in nanoseconds after the year 2262
                file = pq.ParquetFile(
                    stream, buffer_size=BUFFER_BYTES, pre_buffer=False, coerce_int96_timestamp_unit="us"
                )
            except UnicodeDecodeError:
                raise SourceError(
                    f"{self.name}: the name of a column is no UTF-8", hint="Rename it, or export the file again."
                ) from None
            except (pa.ArrowException, OSError):
                raise self._not_parquet() from None
            check_header(file.schema_arrow.names, self.name)
            yield file, stream

    def _rows_at_once(self, file: Any, stream: Any) -> int:
        """How many rows may be decoded together, by the longest value there is. Raises SourceError for a bomb."""
        suspects = self._columns_with_room_for_long_values(file.metadata)
        longest = self._longest_of_dictionaries(file.metadata, stream, list(suspects))
        for name, expanded in suspects.items():
            rows = PROBED_ROWS if expanded <= PROBED_BYTES else 256
            with suppress(pa.ArrowException, OSError):  # what is damaged is told with its row, once it is reached
                for batch in file.iter_batches(batch_size=min(rows, _rows_of(longest)), columns=[name]):
                    longest = max(longest, _longest_of(batch))
        return CHUNK_ROWS if longest < LONG_BYTES else _rows_of(longest)

    def _longest_of_dictionaries(self, metadata: Any, stream: Any, names: list[str]) -> int:
        """Bytes of the longest value that may be repeated: a row group has it once, before its first row.

        Every other value is there as often as it is meant, and so takes no more memory than the file says.
        """
        probe = pq.ParquetFile(
            stream, metadata=metadata, read_dictionary=names, buffer_size=BUFFER_BYTES, pre_buffer=False
        )
        longest = 0
        for group in range(metadata.num_row_groups):
            for name in names:
                with suppress(pa.ArrowException, OSError):
                    first = next(probe.iter_batches(batch_size=1, row_groups=[group], columns=[name]), None)
                    longest = max(longest, _longest_of(first)) if first is not None else longest
        return longest

    def _columns_with_room_for_long_values(self, metadata: Any) -> dict[str, int]:
        """Column -> the bytes that the largest row group of it says it expands to."""
        found: dict[str, int] = {}
        for group in map(metadata.row_group, range(metadata.num_row_groups)):
            for column in map(group.column, range(group.num_columns)):
                expanded = column.total_uncompressed_size
                if expanded > max(EXPANDED_BYTES, EXPANSION * column.total_compressed_size):
                    raise SourceError(
                        f"{self.name} expands to more than {EXPANSION} times its size: no export does",
                        hint="Look at what wrote it; write it again without compression if it is right.",
                    )
                if column.physical_type == "BYTE_ARRAY" and expanded >= LONG_BYTES:
                    found[column.path_in_schema] = max(expanded, found.get(column.path_in_schema, 0))
        return found

    def _not_parquet(self) -> SourceError:
        with open_bytes(self._path) as stream:
            begins_well = stream.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC
        what = "is cut off, damaged or encrypted" if begins_well else "is not a Parquet file"
        return SourceError(f"{self.name} {what}", hint="Copy or export the file again.")

    def _next(self, batches: Iterator[Any], row: int) -> Any:
        try:
            return next(batches, None)
        except (pa.ArrowException, OSError):
            raise SourceError(
                f"{self.name}: the data is damaged from row {row} on", hint="Copy or export the file again."
            ) from None

    def _cells(self, batch: Any, name: str, row: int) -> list[Any]:
        column = batch.column(name)
        if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
            # a datetime has microseconds; pyarrow would give a pandas.Timestamp, or fail without pandas
            column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
        try:
            return list(column.to_pylist())
        except (ValueError, OverflowError):
            raise SourceError(
                f"{self.name} has a value in column {name}, rows {row}-{row + len(column) - 1}, that cannot be read: "
                "a date outside the years 1-9999, or text that is not UTF-8",
                hint="Correct it in the export.",
            ) from None


def _leaves(array: Any) -> Iterator[Any]:
    """The arrays of plain values within a column."""
    if pa.types.is_struct(array.type):
        for child in array.flatten():
            yield from _leaves(child)
    elif pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        yield from _leaves(array.values)
    elif pa.types.is_dictionary(array.type):
        yield from _leaves(array.dictionary)
    else:
        yield array


def _rows_of(longest: int) -> int:
    """How many rows may be decoded together where one value may be so long."""
    return max(1, AT_ONCE_BYTES // max(longest, 1))


def _longest_of(batch: Any) -> int:
    """Bytes of the longest value of a batch, and of the dictionaries of its columns."""
    return max((_longest(leaf) for array in batch.columns for leaf in _leaves(array)), default=0)


def _longest(array: Any) -> int:
    """Bytes of the longest value."""
    if not (pa.types.is_string(array.type) or pa.types.is_binary(array.type)):
        return 0
    return pc.max(pc.binary_length(array)).as_py() or 0
