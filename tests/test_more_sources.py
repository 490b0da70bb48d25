"""JSON, databases and stores: the same rows as from a file, none in memory for longer than its chunk, no URL shown."""

import bz2
import datetime as dt
import gzip
import io
import json
import os
import sqlite3
import sys
import tracemalloc
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conformance.source import COLUMNS, SourceContract, cells_of, read
from desk import Ended, read_csv, token_row
from postgres import PASSWORD, Postgres, free_port
from test_sources import Pipe

from importer.config import SourceConfig
from importer.errors import ConfigError, SourceError
from importer.outcomes import Code
from importer.sandbox import Sandbox
from importer.sources import open_sources
from importer.sources.base import Source
from importer.sources.jsonl import LINE_LIMIT, LOOK_AHEAD


def source_in(postgres: Postgres, query: str) -> Source:
    """What a query on the server gives."""
    return open_sources([postgres.url], Path(), query=query)[0]


def source_of(folder: Path, content: bytes | str, name: str) -> Source:
    """The source of a file with this content."""
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return open_sources([name], folder)[0]


def rows_of(source: Source, size: int = 5_000) -> list[dict[str, Any]]:
    """The whole rows, as dicts."""
    columns = source.columns()
    return [dict(zip(columns, cells, strict=True)) for chunk in source.chunks(size) for cells in cells_of(chunk)]


def bad_of(source: Source, size: int = 5_000) -> dict[int, tuple[Code, str]]:
    """Row -> the code and the words of what is wrong with it."""
    return {bad.row: (bad.issue.code, bad.issue.reason) for chunk in source.chunks(size) for bad in chunk.bad}


def refusal(of: Callable[[], Any]) -> SourceError:
    """The error that ends this, with a hint, and without the password."""
    with pytest.raises(SourceError) as caught:
        of()
    assert caught.value.hint
    assert PASSWORD not in f"{caught.value} {caught.value.hint} {caught.value!r}"
    assert caught.value.__cause__ is None
    return caught.value


def lines_of(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in rows)


def list_of(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return json.dumps([dict(zip(columns, row, strict=True)) for row in rows], indent=1)


# --- one suite for all -------------------------------------------------------------------------------------------


class JsonContract(SourceContract):
    def test_a_source_without_rows_has_columns_and_no_chunk(self, tmp_path: Path) -> None:
        """JSON has no header: without a row nobody knows the columns."""
        assert "no JSON object" in str(refusal(lambda: self.holding(tmp_path, COLUMNS, []).columns()))


class TestJsonLines(JsonContract):
    def holding(self, folder: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Source:
        return source_of(folder, lines_of(columns, rows), "tokens.jsonl")


class TestJsonList(JsonContract):
    def holding(self, folder: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Source:
        return source_of(folder, list_of(columns, rows), "tokens.json")


class TestPackedJsonLines(JsonContract):
    def holding(self, folder: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Source:
        return source_of(folder, bz2.compress(lines_of(columns, rows).encode()), "tokens.ndjson.bz2")


class TestPipedJson(JsonContract):
    def holding(self, folder: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Source:
        Pipe(folder / "pipe", lines_of(columns, rows).encode())
        return open_sources(["pipe"], folder, "jsonl")[0]


class TestSqlite(SourceContract):
    def holding(self, folder: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Source:
        fill_sqlite(folder / "app.db", columns, rows)
        return open_sources(["sqlite:///app.db"], folder, query="select * from tokens order by rowid")[0]


class TestPostgres(SourceContract):
    @pytest.fixture(autouse=True)
    def _server(self, postgres: "Postgres") -> None:
        self.postgres = postgres

    def holding(self, folder: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Source:
        self.postgres.fill(folder.name, columns, rows)
        return source_in(self.postgres, f'select {", ".join(columns)} from "{folder.name}" order by n')  # noqa: S608 - our own


class TestRemoteCsv(SourceContract):
    def holding(self, folder: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Source:
        text = "\n".join(",".join(row) for row in [columns, *rows])
        with fsspec.open(f"memory://bucket{folder}/tokens.csv", "wb") as file:
            file.write(text.encode())
        return open_sources([f"memory://bucket{folder}/tokens.csv"], Path())[0]


class TestRemoteParquet(SourceContract):
    def holding(self, folder: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Source:
        cells = {name: pa.array([row[at] for row in rows], pa.string()) for at, name in enumerate(columns)}
        pq.write_table(pa.table(cells), folder / "tokens.parquet")
        return open_sources([f"file://{folder}/tokens.parquet"], Path())[0]


class TestRemoteJson(JsonContract):
    def holding(self, folder: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Source:
        (folder / "tokens.jsonl.gz").write_bytes(gzip.compress(lines_of(columns, rows).encode()))
        return open_sources([f"file://{folder}/*.gz"], Path())[0]


# --- JSON: which kind, which rows --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.jsonl", '{"a": "1"}\n\n{"a": "2"}\n'),
        ("t.json", '{"a": "1"}\r\n{"a": "2"}'),
        ("t.json", '\ufeff{"a": "1"}\n{"a": "2"}'),
        ("t.json", '[{"a": "1"}, {"a": "2"}]'),
        ("t.jsonl", '\ufeff\n [\n {"a": "1"},\n {"a": "2"}]\n'),
        ("t.json", '{"total": 2, "connections": [{"a": "1"}, {"a": "2"}], "next": null}'),
        (
            "t.json",
            '{\n "errors": [], "scopes": ["x"], "page": {"n": [{"b": 1}]},\n "items": [{"a": "1"}, {"a": "2"}]\n}',
        ),
        ("content", '[{"a": "1"}, {"a": "2"}]'),
    ],
)
def test_lines_and_lists_are_told_apart_by_what_they_hold(tmp_path: Path, name: str, content: str) -> None:
    assert rows_of(source_of(tmp_path, content, name)) == [{"a": "1"}, {"a": "2"}]


def test_a_text_in_utf_16_is_read(tmp_path: Path) -> None:
    assert rows_of(source_of(tmp_path, '[{"a": "é"}]'.encode("utf-16"), "t.json")) == [{"a": "é"}]
    assert rows_of(source_of(tmp_path, '{"a": "é"}\n'.encode("utf-16"), "t.jsonl")) == [{"a": "é"}]


def test_a_line_that_holds_a_list_of_objects_is_a_row_where_the_name_says_lines(tmp_path: Path) -> None:
    content = '{"user": "u1", "tokens": [{"kind": "google"}]}\n'

    assert rows_of(source_of(tmp_path, content, "t.jsonl")) == [{"user": "u1", "tokens": [{"kind": "google"}]}]
    assert rows_of(source_of(tmp_path, content, "t.json")) == [{"kind": "google"}]


def test_values_keep_their_types_and_what_is_nested_stays(tmp_path: Path) -> None:
    line = '{"n": 9007199254740993, "d": 1.10, "t": true, "z": null, "o": {"a": [1, {"b": "x"}]}, "s": "007"}'
    expected = {"n": 2**53 + 1, "d": Decimal("1.10"), "t": True, "z": None, "o": {"a": [1, {"b": "x"}]}, "s": "007"}

    for name, content in [("t.jsonl", line), ("t.json", f"[{line}]")]:
        (row,) = rows_of(source_of(tmp_path, content, name))
        assert row == expected
        assert str(row["d"]) == "1.10"
        assert {name: type(cell) for name, cell in row.items()} == {n: type(cell) for n, cell in expected.items()}


def test_the_wrappers_of_a_mongo_export_come_off(tmp_path: Path) -> None:
    line = (
        '{"_id": {"$oid": "65f0"}, "at": {"$date": 1700000000123}, "iso": {"$date": "2026-01-31T12:00:00Z"},'
        ' "old": {"$date": {"$numberLong": "-1000"}}, "n": [{"$numberLong": "12"}], "odd": {"$date": "soon"},'
        ' "far": {"$date": 1e99999999}}'
    )
    expected = {
        "_id": "65f0",
        "at": dt.datetime(2023, 11, 14, 22, 13, 20, 123_000, dt.UTC),
        "iso": dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC),
        "old": dt.datetime(1969, 12, 31, 23, 59, 59, tzinfo=dt.UTC),
        "n": [12],
        "odd": "soon",
        "far": Decimal("1e99999999"),  # as an integer it would take minutes
    }

    assert rows_of(source_of(tmp_path, line, "t.jsonl")) == [expected]
    assert rows_of(source_of(tmp_path, f"[{line}]", "t.json")) == [expected]


def test_a_line_that_is_no_object_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    content = (
        b'{"a": "1"}\n\n{"a": fake-secret}\n"text"\n{"a": "\xff"}\n{"a": NaN}\n{"a": "\\ud800"}\n'
        + b'{"a": "'
        + b"x" * LINE_LIMIT * 3
        + b'"}\n{"a": 1e99999999999999999999}\n'
        + b"[" * 100_000
        + b'\n{"a": "9"}'
    )
    source = source_of(tmp_path, content, "t.jsonl")

    assert bad_of(source) == {
        2: (Code.BAD_JSON, "is not valid JSON (line 3)"),
        3: (Code.BAD_JSON, "is JSON, but no object (line 4)"),
        4: (Code.BAD_ENCODING, "holds bytes that are not UTF-8 (line 5)"),
        5: (Code.BAD_JSON, "is not valid JSON (line 6)"),
        6: (Code.BAD_JSON, "is not valid JSON (line 7)"),
        7: (Code.FIELD_TOO_LONG, "is a line of more than 1,048,576 characters (line 8)"),
        8: (Code.BAD_JSON, "is not valid JSON (line 9)"),
        9: (Code.BAD_JSON, "is not valid JSON (line 10)"),
    }
    assert read(source, 2) == ([1, 10], [["1"], ["9"]])


def test_an_element_that_is_no_object_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    source = source_of(tmp_path, '[{"a": 1}, null, [{"a": 2}], "x", {"a": 3}]', "t.json")

    assert set(bad_of(source)) == {2, 3, 4}
    assert read(source, 5) == ([1, 5], [[1], [3]])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('[{"a": 1}, {"a": 2}, {"a": ', "after row 2"),
        ('[{"a": 1}, {"a": 2}, {"a": nil}, {"a": 4}]', "after row 2"),
        ('[{"a": 1}, {"a": 2}] [{"a": 3}]', "after row 2"),
        ('{"rows": [{"a": 1}], "more": [{"a": 2}]}', "more than one list"),
        ('{"a": 1}', ""),
        ('{\n"a": 1\n}', "without a list of objects"),
        ("", "no JSON object"),
        ("[]", "no JSON object"),
        ("a,b\n1,2\n", "no JSON object"),
        ('[{"someone@example.com": 1}]', "for names of fields"),
    ],
)
def test_a_document_that_cannot_be_read_whole_is_refused_before_its_first_row(
    tmp_path: Path, content: str, words: str
) -> None:
    source = source_of(tmp_path, content, "t.json")
    if not words:
        assert rows_of(source) == [{"a": 1}]
        return

    error = refusal(lambda: list(source.chunks(1)))

    assert words in str(error)
    assert "someone" not in f"{error} {error.hint}"


def test_a_packed_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    packed = gzip.compress(b"".join(b'{"a": "%s"}\n' % uuid.uuid4().hex.encode() for _ in range(5_000)))

    assert "compressed data breaks off" in str(refusal(source_of(tmp_path, packed[:-20_000], "t.jsonl.gz").columns))


def test_a_field_that_only_a_late_row_has_is_a_column(tmp_path: Path) -> None:
    content = '{"a": 1}\n' * (LOOK_AHEAD + 5) + '{"a": 2, "late": "x"}\n'
    source = source_of(tmp_path, content, "t.jsonl")

    rows = rows_of(source)

    assert source.columns() == ["a", "late"]
    assert rows[0] == {"a": 1, "late": None}
    assert rows[-1] == {"a": 2, "late": "x"}


def test_a_late_field_of_a_stream_is_told_and_not_lost_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    content = '{"a": 1}\n' * LOOK_AHEAD + '{"a": 2, "late": "x"}\n{"a": 3}\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))  # what a process has
    source = open_sources(["-"], Path(), "jsonl")[0]

    chunks = list(source.chunks())

    assert [bad.row for chunk in chunks for bad in chunk.bad] == [LOOK_AHEAD + 1]
    assert "none of the first 1,000 rows has" in chunks[0].bad[0].issue.reason
    assert chunks[0].rows[-1] == LOOK_AHEAD + 2


def test_the_rows_of_a_stream_before_its_damage_come_out(monkeypatch: pytest.MonkeyPatch) -> None:
    content = "[" + '{"a": 1},' * (LOOK_AHEAD + 7) + "nil]"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))  # what a process has
    source, came = open_sources(["-"], Path(), "jsonl")[0], []

    with pytest.raises(SourceError, match=f"after row {LOOK_AHEAD + 7}"):
        came.extend(row for chunk in source.chunks(100) for row in chunk.rows)

    assert came == list(range(1, LOOK_AHEAD + 8))


@pytest.mark.parametrize("name", ["t.jsonl", "t.json"])
def test_the_memory_for_json_does_not_grow_with_the_file(tmp_path: Path, name: str) -> None:
    def most(count: int) -> int:
        row = json.dumps({"group_ref": "g", "token": "x" * 400})
        text = f"{row}\n" * count if name == "t.jsonl" else '{"items": [' + ",".join([row] * count) + "]}"
        (tmp_path / name).write_text(text)
        tracemalloc.start()
        try:
            source = open_sources([name], tmp_path)[0]
            assert sum(len(chunk.rows) for chunk in source.chunks(500)) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    most(1_500)  # what is loaded once
    assert most(12_000) < most(3_000) + 1_000_000  # the rows in between are 4 MB of text


# --- databases ---------------------------------------------------------------------------------------------------


def fill_sqlite(path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"create table tokens ({', '.join(f'{name} text' for name in columns)})")
        marks = ", ".join("?" for _ in columns)
        database.executemany("insert into tokens values (" + marks + ")", rows)  # noqa: S608 - nothing but marks


def test_cells_of_postgres_keep_their_types(postgres: Postgres) -> None:
    source = source_in(
        postgres,
        """select 'a%b:c' as "text", 9007199254740993 as n, 1.10::numeric as d, true as t, null as z,
                  timestamptz '2026-01-31 12:00:00+02' as aware, timestamp '2026-01-31 12:00:00' as naive,
                  date '2026-01-31' as day, '12345678-1234-5678-1234-567812345678'::uuid as u,
                  '\\x00ff'::bytea as raw, '{"a": [1, null]}'::jsonb as jb, '{"a": 1}'::json as js,
                  array['x', null] as list -- 100 % :of ?
        """,
    )

    (row,) = rows_of(source)

    aware = row.pop("aware")
    assert aware == dt.datetime(2026, 1, 31, 10, tzinfo=dt.UTC)
    assert aware.tzinfo is not None
    assert str(row["d"]) == "1.10"
    assert row == {
        "text": "a%b:c", "n": 2**53 + 1, "d": Decimal("1.10"), "t": True, "z": None,
        "naive": dt.datetime(2026, 1, 31, 12), "day": dt.date(2026, 1, 31),  # noqa: DTZ001 - as stored
        "u": uuid.UUID("12345678-1234-5678-1234-567812345678"), "raw": b"\x00\xff", "jb": {"a": [1, None]},
        "js": {"a": 1}, "list": ["x", None],
    }  # fmt: skip


def test_a_database_in_sql_ascii_is_read(postgres: Postgres) -> None:
    """Which is what initdb makes under the locale C; without an encoding of the client's, texts come as bytes."""
    postgres.run(
        "drop database if exists ascii", "create database ascii encoding 'SQL_ASCII' locale 'C' template template0"
    )  # fmt: skip
    url = postgres.url.removesuffix("/postgres") + "/ascii"

    def reading(query: str, options: str = "") -> Source:
        return open_sources([url + options], Path(), query=query)[0]

    assert rows_of(reading("select 'fake-é' as a, 1 as n, array['x'] as l")) == [{"a": "fake-é", "n": 1, "l": ["x"]}]
    latin = "select 'fake-' || convert_from('\\xe9', 'SQL_ASCII') as a"
    assert rows_of(reading(latin, "?client_encoding=latin1")) == [{"a": "fake-é"}]
    error = refusal(lambda: list(reading(latin).chunks()))
    assert "text that is not UTF-8" in str(error)
    assert "?client_encoding=latin1" in error.hint


def test_what_a_driver_says_of_a_cell_is_not_shown(tmp_path: Path) -> None:
    fill_sqlite(tmp_path / "app.db", ["a"], [["1"]])

    def reason(query: str) -> str:
        return str(refusal(lambda: list(open_sources(["sqlite:///app.db"], tmp_path, query=query)[0].chunks())))

    assert "a cell holds text that is not UTF-8" in reason("select cast(x'66616bff' as text) as a")
    assert "the database refuses the query (SQLITE_ERROR)" in reason("select abs(-9223372036854775808) as a")


def test_cells_of_sqlite_keep_their_types(tmp_path: Path) -> None:
    fill_sqlite(tmp_path / "app.db", ["a"], [["x"]])
    query = "select '007' as s, 9007199254740993 as n, 1.5 as f, null as z, x'00ff' as b, '12:30 %s :a' as t"

    (row,) = rows_of(open_sources([f"sqlite:///{tmp_path}/app.db"], Path(), "sql", query=query)[0])

    assert row == {"s": "007", "n": 2**53 + 1, "f": 1.5, "z": None, "b": b"\x00\xff", "t": "12:30 %s :a"}


def test_a_name_is_the_kind_and_the_database_and_nothing_shows_the_password(postgres: Postgres, tmp_path: Path) -> None:
    source = source_in(postgres, "select 1 as a")
    fill_sqlite(tmp_path / "app.db", ["a"], [])

    assert source.name == "postgresql query on postgres"
    assert open_sources(["sqlite:///app.db"], tmp_path, query="select 1 as a")[0].name.endswith("app.db")
    assert PASSWORD not in f"{source!r} {source} {SourceConfig(paths=(postgres.url,))!r}"


def test_a_query_of_many_rows_is_never_fetched_whole(postgres: Postgres) -> None:
    """The server has more to give when the first chunk is here: its cursor is still open."""
    source = source_in(postgres, "select n, repeat('x', 400) as token from generate_series(1, 200000) as n")
    tracemalloc.start()
    try:
        chunks = source.chunks(1_000)
        first = next(chunks)
        open_cursors = (
            "select count(*) from pg_stat_activity where state = 'idle in transaction' and query like 'FETCH%'"
        )
        assert postgres.run(open_cursors) == [(1,)]
        assert len(first.rows) + sum(len(chunk.rows) for chunk in chunks) == 200_000
        assert tracemalloc.get_traced_memory()[1] < 20_000_000  # the whole is 80 MB
    finally:
        tracemalloc.stop()
    assert postgres.run(open_cursors) == [(0,)]


def test_a_reading_given_up_leaves_no_connection(postgres: Postgres) -> None:
    source = source_in(postgres, "select n from generate_series(1, 10000) as n")
    source.columns()
    del source

    assert postgres.run("select count(*) from pg_stat_activity where state = 'idle in transaction'") == [(0,)]


@pytest.mark.parametrize("statement", ["insert into kept values (2)", "select nextval('counter') as a",
                                       "select 1 as a; delete from kept"])  # fmt: skip
def test_a_query_cannot_write_to_postgres(postgres: Postgres, statement: str) -> None:
    postgres.run(
        "drop table if exists kept", "create table kept (a int)", "insert into kept values (1)",
        "drop sequence if exists counter", "create sequence counter",
    )  # fmt: skip

    refusal(lambda: list(source_in(postgres, statement).chunks()))

    assert postgres.run("select a from kept") == [(1,)]
    assert postgres.run("select is_called from counter") == [(False,)]


@pytest.mark.parametrize("statement", ["delete from tokens", "drop table tokens", "delete from tokens returning a"])
def test_a_query_cannot_write_to_sqlite(tmp_path: Path, statement: str) -> None:
    fill_sqlite(tmp_path / "app.db", ["a"], [["1"]])

    error = refusal(lambda: list(open_sources(["sqlite:///app.db"], tmp_path, query=statement)[0].chunks()))

    assert "only reading is allowed" in str(error)
    with closing(sqlite3.connect(tmp_path / "app.db")) as db:
        assert db.execute("select a from tokens").fetchall() == [("1",)]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("select a from fake_secret_table", "names a table that is not there"),
        ('select "fake-secret-key" as a from pg_class', "names a column that is not there"),
        ("select fake_secret(1) as a", "calls a function that is not there"),
        ("selec 'fake-secret' as a", "is no single, sound SELECT"),
        ("select 'fake-secret'::int as a", "does not fit what the query does with it (invalid text representation)"),
        ("select 1 / (oid::int - oid::int) as a from pg_class", "does with it (division by zero)"),
        ("select a from (select 1 as a) as t group by ()", "the database refuses the query (grouping error)"),
        ("select 'infinity'::timestamptz as a", "a time outside the years 1 to 9999"),
        ("select 1 as a, 2 as a", "have the same name"),
        ("select 1", "has no name of its own"),
        ("", "there is no query"),
        ("select pg_terminate_backend(pg_backend_pid()) as a", "the connection was lost"),
    ],
)
def test_what_is_wrong_with_a_query_is_told_without_quoting_it(postgres: Postgres, query: str, words: str) -> None:
    error = refusal(lambda: list(source_in(postgres, query).chunks()))

    assert words in str(error)
    assert "secret" not in f"{error} {error.hint}"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (PASSWORD, "fake-other-password", "the user or the password is refused"),
        ("owner", "stranger", "the user or the password is refused"),
        ("/postgres", "/nowhere", "there is no database of that name"),
        ("@127.0.0.1:", "@127.0.0.1:1", "nothing listens there"),
        ("@127.0.0.1", "@no-such-host.invalid", "its host is not known"),
        ("/postgres", "/postgres?schema=public", "the URL has a parameter that is not known"),
        ("postgresql", "postgres", ""),
        ("postgresql", "postgresql+asyncpg", ""),
    ],
)
def test_what_is_wrong_with_a_connection_is_told_in_one_line(
    postgres: Postgres, old: str, new: str, words: str
) -> None:
    url = postgres.url.replace(old, new, 1)
    if old.startswith("@127.0.0.1:"):
        url = postgres.url.replace(str(postgres.port), str(free_port()))
    source = open_sources([url], Path(), query="select 1 as a")[0]

    if not words:
        assert rows_of(source) == [{"a": 1}]
        return
    error = refusal(source.columns)
    assert words in str(error)
    assert "fake-other-password" not in f"{error} {error.hint}"
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://owner:{PASSWORD}@127.0.0.1:port/app",
        f"postgresql://owner:{PASSWORD}/x@127.0.0.1/app:x:y",
        f"mssql+pyodbc://owner:{PASSWORD}@127.0.0.1/app",
        f"https://owner:{PASSWORD}@127.0.0.1/app.csv",
        f"s3://owner:{PASSWORD}@bucket/app.csv",
        f"{PASSWORD}://owner",
        "sqlite://",
        "sqlite:///missing.db",
        "mysql://127.0.0.1:1/app",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_and_not_shown(tmp_path: Path, url: str) -> None:
    error = refusal(lambda: open_sources([url], tmp_path, query="select 1 as a")[0].columns())
    assert list(tmp_path.iterdir()) == []
    assert ("the file is not there" in str(error)) == ("missing" in url)


def test_the_driver_that_is_missing_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(url: str) -> str:
        return refusal(lambda: open_sources([url], Path(), query="select 1 as a")[0].columns()).hint

    monkeypatch.setitem(sys.modules, "pymysql", None)
    assert asked("mysql://127.0.0.1/app") == "pip install 'importer[sql]'"
    monkeypatch.setitem(sys.modules, "s3fs", None)
    assert asked("s3://bucket/tokens.csv") == "pip install 'importer[s3]'"
    monkeypatch.setitem(sys.modules, "adlfs", None)
    assert asked("az://box/tokens.csv") == "pip install 'importer[azure]'"
    monkeypatch.setitem(sys.modules, "importer.sources.sql", None)
    assert asked("sqlite:///app.db") == "pip install 'importer[sql]'"


def test_a_format_that_contradicts_its_source_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a\n1\n")

    refusal(lambda: open_sources(["t.csv"], tmp_path, "sql"))
    refusal(lambda: open_sources(["sqlite:///t.db"], tmp_path, "csv"))


def test_the_variable_of_the_url_is_named_and_never_its_value() -> None:
    config = SourceConfig(url_env="APP_DATABASE")
    url = f"postgresql://owner:{PASSWORD}@127.0.0.1/app"

    assert config.named({"APP_DATABASE": url}) == (url,)
    assert SourceConfig(paths=("t.csv",), url_env="APP_DATABASE").named({"APP_DATABASE": url}) == ("t.csv",)
    assert SourceConfig().named({}) == ()
    for wrong, env in [(config, {}), (config, {"APP_DATABASE": PASSWORD}), (SourceConfig(url_env=url), {})]:
        with pytest.raises(ConfigError) as caught:
            wrong.named(env)
        assert PASSWORD not in f"{caught.value} {caught.value.hint}"


# --- stores ------------------------------------------------------------------------------------------------------


def test_a_folder_and_a_glob_in_a_store_give_their_files_in_natural_order() -> None:
    system = fsspec.filesystem("memory")
    for name in ["t10.csv", "t2.jsonl", ".t3.csv", "notes.md", "deeper/t1.csv"]:
        system.pipe(f"/store/{name}", b'{"a": "1"}\n' if name.endswith("jsonl") else b"a\n1\n")

    assert [s.name for s in open_sources(["memory://store"], Path())] == [
        "memory:///store/t2.jsonl",
        "memory:///store/t10.csv",
    ]
    assert [s.name for s in open_sources(["memory://store/t*"], Path())] == [
        "memory:///store/t2.jsonl",
        "memory:///store/t10.csv",
    ]
    assert [rows_of(s) for s in open_sources(["memory://store"], Path())] == [[{"a": "1"}], [{"a": "1"}]]


def test_a_file_that_a_store_has_not_is_refused() -> None:
    assert "is not there" in str(refusal(lambda: open_sources(["memory://store/none.csv"], Path())))
    assert "no file to read" in str(refusal(lambda: open_sources(["memory://store/none*.csv"], Path())))


def test_the_stamp_of_a_file_in_a_store_changes_with_its_content(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a\n1\n")
    source = open_sources([f"file://{tmp_path}/t.csv"], Path())[0]
    before = source.stamp()
    os.utime(tmp_path / "t.csv", (1, 1))
    touched = source.stamp()
    (tmp_path / "t.csv").unlink()

    assert before != touched
    assert "is not there" in str(refusal(source.stamp))


# --- end to end --------------------------------------------------------------------------------------------------


Run = Callable[..., Ended]


def test_a_table_of_postgres_is_imported_without_a_file(
    importer: Run, sandbox: Sandbox, home: Path, postgres: Postgres
) -> None:
    rows = [token_row(n) for n in range(1, 6)]
    postgres.fill("oauth", list(rows[0]), [list(row.values()) for row in rows])
    with (home / "config.toml").open("a") as config:
        config.write(
            '[source]\nurl_env = "APP_DATABASE"\n'
            "query = \"select *, now() + interval '1 hour' as access_token_expires_at from oauth order by n\"\n"
        )

    planned = importer("plan", APP_DATABASE=postgres.url)
    ended = importer("run", APP_DATABASE=postgres.url)
    again = importer("run", APP_DATABASE=postgres.url)

    assert (planned.exit_code, ended.exit_code, again.exit_code) == (0, 0, 0), ended.err
    assert [len(sandbox.connections(row["group_ref"])) for row in rows] == [1] * 5
    results = read_csv(home / "importer-report" / "results.csv")
    assert [(r["source"], r["row"]) for r in results] == [("postgresql query on postgres", str(n)) for n in range(1, 6)]
    shown = planned.out + planned.err + ended.out + ended.err + again.out + again.err
    assert PASSWORD not in shown
    assert all(row["access_token"] not in shown for row in rows)


def test_a_table_of_sqlite_is_imported_without_a_file(importer: Run, sandbox: Sandbox, home: Path) -> None:
    rows = [token_row(n) for n in range(1, 4)]
    fill_sqlite(home / "app.db", list(rows[0]), [list(row.values()) for row in rows])
    with (home / "config.toml").open("a") as config:
        config.write('[source]\nquery = "select * from tokens"\n')

    ended = importer("run", "sqlite:///app.db")

    assert ended.exit_code == 0, ended.err
    assert [len(sandbox.connections(row["group_ref"])) for row in rows] == [1] * 3


def test_a_url_without_a_query_ends_in_one_clear_line(importer: Run, home: Path) -> None:
    fill_sqlite(home / "app.db", ["a"], [])

    ended = importer("plan", "sqlite:///app.db")

    assert ended.exit_code == 2
    assert "sqlite query on app.db: there is no query" in ended.err


def test_the_answer_of_an_api_is_imported_by_path(importer: Run, sandbox: Sandbox, home: Path) -> None:
    found = {"id": "u1", "end_user": {"id": "e1"}, "credentials": {"access_token": "fake-access-1", "raw": {"n": 1}}}
    (home / "answer.json").write_text(json.dumps({"connections": [found]}))
    with (home / "config.toml").open("a") as config:
        config.write(
            '[mapping]\nprovider = { value = "hubspot" }\ngroupRef = "id"\n'
            'consumerRef = { column = "end_user", json = "$.id" }\n'
            'oauth2AuthorizationCode.accessToken.token = { column = "credentials", json = "$.access_token" }\n'
        )

    ended = importer("run", "answer.json")

    assert ended.exit_code == 0, ended.out + ended.err
    assert [made["consumerRef"] for made in sandbox.connections("u1")] == ["e1"]
