"""Many rows with one SQL statement.

`sqlite3` lets go of the interpreter's lock around every step, and `executemany` and a fetch step once a row: each time,
a thread beside a busy event loop waits for its turn again. With the loop at full speed that came to 424 µs a row of
`executemany`, and to 22 µs a row of 250 in ten statements; one for all of them has the loop wait a third as often.

Parameters are bound with the lock held, which was a third of the ledger's time for a row (13 of 37 µs): what all rows
have in common is bound once, and empty places are filled with 0, which takes 25 ns where None takes 360 (Python 3.11
looks for an adapter of it).
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import chain, compress, count, repeat
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
def _table(places: int, shared: tuple[bool, ...]) -> str:
    """A table of parameters with so many places for rows, its columns named column1 and so on.

    Before the places come the values of the columns that are `shared`, one for all rows. The last parameter of a place
    says whether it is filled.
    """
    own = count(1)
    columns = ", ".join(
        f"{'?' if same else f'column{next(own)}'} AS column{number}" for number, same in enumerate(shared, 1)
    )
    filled = next(own)
    marks = ", ".join([f"({', '.join('?' * filled)})"] * places)
    return f"(SELECT {columns} FROM (VALUES {marks}) WHERE column{filled})"  # noqa: S608 - question marks only


def _filled(block: Sequence[Sequence[object]]) -> tuple[str, list[object]]:
    """The table for a block of rows, and its parameters.

    A column whose values are all equal is shared: of 1, 1.0 and True the first stands for all, as in a typed column.
    """
    columns = list(zip(*block, strict=True))
    shared = tuple(column[0] == column[-1] and column.count(column[0]) == len(column) for column in columns)
    values = [column[0] for column in compress(columns, shared)]
    own = [column for column, same in zip(columns, shared, strict=True) if not same]
    places = _places(len(block))
    values += chain.from_iterable(zip(*own, repeat(1, len(block)), strict=True))
    values += repeat(0, (places - len(block)) * (len(own) + 1))
    return _table(places, shared), values


def change_all(
    db: sqlite3.Connection, statement: Callable[[str], str], rows: Sequence[Sequence[object]], *first: object
) -> int:
    """Run `statement(table)` for all rows, after the parameters `first`; how many changed.

    The rows have as many columns each: column1 and so on.
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
