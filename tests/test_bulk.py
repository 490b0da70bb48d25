"""Many rows with one SQL statement: as many as there are, each once, whatever their number."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from importer.bulk import MOST, change_all, find_all

COUNTS = (0, 1, 2, 3, 5, 64, 100, MOST - 1, MOST, MOST + 1, 2 * MOST + 3)


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE pairs (number INT PRIMARY KEY, word TEXT, run TEXT)")
        yield connection


def rows_of(count: int) -> list[tuple[int, str | None]]:
    """Every third has no word."""
    return [(number, None if number % 3 == 0 else f"word {number}") for number in range(count)]


def put(db: sqlite3.Connection, rows: list[tuple[int, str | None]]) -> int:
    return change_all(db, "INSERT OR IGNORE INTO pairs SELECT *, ?1 FROM {}".format, rows, "run")


@pytest.mark.parametrize("count", COUNTS)
def test_all_rows_are_written_once_and_counted(db: sqlite3.Connection, count: int) -> None:
    assert put(db, rows_of(count)) == count
    assert put(db, rows_of(count)) == 0

    assert db.execute("SELECT number, word FROM pairs ORDER BY number").fetchall() == rows_of(count)
    assert db.execute("SELECT count(*) FROM pairs WHERE run IS NOT 'run'").fetchone() == (0,)


@pytest.mark.parametrize("count", COUNTS)
def test_all_rows_are_found(db: sqlite3.Connection, count: int) -> None:
    put(db, rows_of(2 * MOST + 10))

    found = find_all(
        db,
        "SELECT number, pairs.word FROM {} JOIN pairs ON number = column1 WHERE run = ?".format,
        [(number, "else") for number, _ in rows_of(count)],
        "run",
    )

    assert sorted(found) == rows_of(count)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (lambda _: None, lambda _: "the same"),
        (lambda _: 0, lambda _: 0),
        (lambda number: b"\x00" * (number % 3), lambda _: b""),
        (lambda number: bytes([number % 256]) if number % 5 else None, lambda number: number == 1),
        (lambda number: "" if number else "the first only", lambda number: -number / 3),
    ],
    ids=["nothing and the same", "zeros", "bytes", "bytes or nothing", "texts and numbers"],
)
def test_every_value_arrives_as_what_it_was(
    db: sqlite3.Connection, count: int, first: Callable[[int], object], second: Callable[[int], object]
) -> None:
    """Also where all rows have the same, and where it is the same as what fills an empty place."""
    db.execute("CREATE TABLE anything (first, second)")
    rows = [(first(number), second(number)) for number in range(count)]

    assert change_all(db, "INSERT INTO anything SELECT * FROM {}".format, rows) == count

    assert db.execute("SELECT * FROM anything ORDER BY rowid").fetchall() == rows


def test_what_all_rows_have_in_common_is_bound_once(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE wide (one, two, three, four)")
    db.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 2 * MOST + 3)

    change_all(db, "INSERT INTO wide SELECT * FROM {}".format, [(number, "a", None, 1.5) for number in range(MOST)])

    assert db.execute("SELECT DISTINCT two, three, four FROM wide").fetchall() == [("a", None, 1.5)]
    with pytest.raises(sqlite3.OperationalError, match="too many SQL variables"):
        change_all(db, "INSERT INTO wide SELECT * FROM {}".format, [(n, n, None, 1.5) for n in range(MOST)])


def test_so_many_rows_take_one_statement(db: sqlite3.Connection) -> None:
    """A thread beside a busy event loop waits for its turn after each."""
    statements: list[str] = []
    db.set_trace_callback(statements.append)

    put(db, rows_of(MOST - 12))

    assert len(statements) == 1
