"""Many rows with one SQL statement.

`sqlite3` lets go of the interpreter's lock around every step, and `executemany` and a fetch step once a row: each time,
a thread beside a busy event loop waits for its turn again. With the loop at full speed that came to 424 µs a row of
`executemany`, and to 22 µs a row of 250 in ten statements; one for all of them has the loop wait a third as often.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any

MOST = 512
"""Rows of one statement: 16 columns of each make 8,192 parameters, of which SQLite takes 32,766."""


def _blocks(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """The rows in their order, in blocks of MOST; the last one is smaller."""
    for at in range(0, len(rows), MOST):
        yield rows[at : at + MOST]


def _places(rows: int) -> int:
    """The places of the statement that takes so many rows: a power of two, so that few statements have to be parsed."""
    return 1 << (rows - 1).bit_length()


@cache
def _table(places: int, columns: int) -> str:
    """A table of parameters with so many places for rows: those whose first column is NULL are empty."""
    marks = ", ".join([f"({', '.join('?' * columns)})"] * places)
    return f"(SELECT * FROM (VALUES {marks}) WHERE column1 IS NOT NULL)"  # noqa: S608 - question marks only


def _filled(block: Sequence[Sequence[object]]) -> tuple[str, list[object]]:
    """The table for a block of rows, and its parameters."""
    places, columns = _places(len(block)), len(block[0])
    values = list(chain.from_iterable(block))
    values += [None] * (places * columns - len(values))
    return _table(places, columns), values


def change_all(
    db: sqlite3.Connection, statement: Callable[[str], str], rows: Sequence[Sequence[object]], *first: object
) -> int:
    """Run `statement(table)` for all rows, after the parameters `first`; how many changed.

    The rows have as many columns each, column1 and so on, and no NULL in the first.
    """
    changed = 0
    for table, values in map(_filled, _blocks(rows)):
        changed += db.execute(statement(table), (*first, *values)).rowcount
    return changed


def find_all(
    db: sqlite3.Connection, statement: Callable[[str], str], rows: Sequence[Sequence[object]], *last: object
) -> list[Any]:
    """What `statement(table)` finds for all rows, with the parameters `last` behind theirs."""
    found: list[Any] = []
    for table, values in map(_filled, _blocks(rows)):
        found += db.execute(statement(table), (*values, *last)).fetchall()
    return found


def in_one_row(db: sqlite3.Connection, columns: str, rest: str, values: Sequence[object]) -> list[Any]:
    """The rows of `SELECT columns rest` as lists, fetched in one step. For what JSON has: no bytes."""
    statement = f"SELECT json_group_array(json_array({columns})) {rest}"
    (found,) = db.execute(statement, values).fetchone()
    rows: list[Any] = json.loads(found)
    return rows
