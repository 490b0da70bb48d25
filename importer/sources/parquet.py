"""Parquet: typed rows, in batches, as Python values; nothing is rounded and nothing missing becomes NaN."""

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from importer.errors import SourceError
from importer.sources.base import CHUNK_ROWS, Chunk
from importer.sources.columns import check_header
from importer.sources.files import PARQUET_MAGIC, Location, open_bytes, stamp

BUFFER_BYTES = 1024 * 1024
"""Bytes read at a time from a column: without a limit, pyarrow holds a whole row group."""


class ParquetSource:
    """A Parquet file. A row's number counts its rows from 1, over all row groups."""

    repeatable = True

    def __init__(self, name: str, path: Location) -> None:
        self.name = name
        self._path = path

    def columns(self) -> list[str]:
        """The names of the top-level columns; a struct is one column, and its cells are dicts."""
        with self._opened() as file:
            return list(file.schema_arrow.names)

    def chunks(self, size: int = CHUNK_ROWS) -> Iterator[Chunk]:
        """All rows, at most `size` at a time. Raises SourceError where the rest is damaged or no Python value."""
        row = 1
        with self._opened() as file:
            batches = file.iter_batches(batch_size=size)
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
    def _opened(self) -> Iterator[Any]:
        with open_bytes(self._path) as stream:
            try:
                # INT96, the timestamps of Spark, overflow in nanoseconds after the year 2262
                file = pq.ParquetFile(
                    stream, buffer_size=BUFFER_BYTES, pre_buffer=False, coerce_int96_timestamp_unit="us"
                )
            except (pa.ArrowException, OSError):
                raise self._not_parquet() from None
            check_header(file.schema_arrow.names, self.name)
            yield file

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
