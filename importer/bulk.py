"""Many rows with one SQL statement.

`sqlite3` lets go of the interpreter's lock around every step, and `executemany` and a fetch step once a row: each time,
a thread beside a busy event loop waits for its turn again. With the loop at full speed that came to 424 µs a row of
`executemany`, and to 22 µs a row of one statement with 250 rows.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any

SIZES = (256, 64, 16, 4, 1)
"""Rows of one statement: few sizes, so that each statement is parsed once and then taken from the cache."""


def blocks(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The rows in their order, in blocks of SIZES."""
    at = 0
    for size in SIZES:
        while len(rows) - at >= size:
            yield rows[at : at + size]
            at += size


@cache
def marks(rows: int, columns: int) -> str:
    """The parameters of so many rows: `(?, ?), (?, ?)`."""
    return ", ".join([f"({', '.join('?' * columns)})"] * rows)


def change_all(
    db: sqlite3.Connection, statement: Callable[[str], str], rows: Sequence[Sequence[object]], *first: object
) -> int:
    """Run `statement(marks)` for all rows, of as many columns each, after the parameters `first`; how many changed."""
    changed = 0
    for block in blocks(rows):
        made = statement(marks(len(block), len(block[0])))
        changed += db.execute(made, (*first, *chain.from_iterable(block))).rowcount
    return changed


def find_all(
    db: sqlite3.Connection, statement: Callable[[str], str], rows: Sequence[Sequence[object]], *last: object
) -> list[Any]:
    """What `statement(marks)` finds for all rows, with the parameters `last` behind theirs."""
    found: list[Any] = []
    for block in blocks(rows):
        made = statement(marks(len(block), len(block[0])))
        found += db.execute(made, (*chain.from_iterable(block), *last)).fetchall()
    return found


def in_one_row(db: sqlite3.Connection, columns: str, rest: str, values: Sequence[object]) -> list[Any]:
    """The rows of `SELECT columns rest` as lists, fetched in one step. For what JSON has: no bytes."""
    statement = f"SELECT json_group_array(json_array({columns})) {rest}"
    (found,) = db.execute(statement, values).fetchone()
    rows: list[Any] = json.loads(found)
    return rows
