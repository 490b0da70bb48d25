"""Writes connections.parquet: the rows of connections.csv with types, as a data warehouse would export them.

    python samples/make.py

The same rows give the same file under the same version of pyarrow, which writes its version into it.
"""

import csv
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).parent

ROWS_IN_A_GROUP = 10
"""Three row groups for 24 rows: a reader that takes the first for the whole file is found out."""


def _scopes(text: str) -> list[str]:
    return re.split("[ ,]", text)


# Column -> its type, and what makes its value of the text in the CSV. Columns that are not named are text.
TYPES: dict[str, tuple[Any, Callable[[str], Any]]] = {
    "consumer_ref": (pa.int64(), int),
    "access_token_expires_at": (pa.timestamp("us", tz="UTC"), datetime.fromisoformat),
    "access_token_issued_at": (pa.timestamp("ms", tz="America/New_York"), datetime.fromisoformat),
    "refresh_token_expires_at": (pa.timestamp("us"), datetime.fromisoformat),
    "scopes": (pa.list_(pa.string()), _scopes),
}


def typed_table(rows: list[dict[str, str]]) -> Any:
    """The rows as a table: blank cells are null, and the `metadata.NAME` columns are one struct, `metadata`."""
    columns = {name: _column(name, [row[name] for row in rows]) for name in rows[0]}
    names = [name for name in columns if name.startswith("metadata.")]
    parts = [columns.pop(name) for name in names]
    columns["metadata"] = pa.StructArray.from_arrays(parts, [name.removeprefix("metadata.") for name in names])
    return pa.table(columns)


def _column(name: str, texts: list[str]) -> Any:
    kind, read = TYPES.get(name, (pa.string(), str))
    return pa.array([read(text) if text else None for text in texts], kind)


def read_rows() -> list[dict[str, str]]:
    """The rows of connections.csv, as text."""
    with (HERE / "connections.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    pq.write_table(typed_table(read_rows()), HERE / "connections.parquet", row_group_size=ROWS_IN_A_GROUP)
