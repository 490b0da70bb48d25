"""JSON whose rows lie somewhere in a document: the list is found, or its path is asked for, and read row by row."""

import json
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
from conformance.source import SourceContract, cells_of, read
from desk import Ended

from importer.errors import ConfigError, ImporterError, SourceError
from importer.sandbox import Sandbox
from importer.sources import open_sources
from importer.sources.base import Source

Run = Callable[..., Ended]

DEEP = '{"meta": {"page": 1}, "result": {"total": 2, "items": [{"a": "1"}, {"a": "2"}]}, "next": null}'


def source_of(folder: Path, content: str, records: str | None = None, name: str = "t.json") -> Source:
    (folder / name).write_text(content)
    return open_sources([name], folder, records=records)[0]


def rows_of(source: Source) -> list[dict[str, Any]]:
    columns = source.columns()
    return [dict(zip(columns, cells, strict=True)) for chunk in source.chunks() for cells in cells_of(chunk)]


def refused(of: Callable[[], Any], kind: type[ImporterError] = SourceError) -> str:
    """What is said where this ends: the message and the hint."""
    with pytest.raises(kind) as caught:
        of()
    assert caught.value.hint
    assert "\n" not in f"{caught.value}{caught.value.hint}"
    return f"{caught.value} | {caught.value.hint}"


class TestRecords(SourceContract):
    def holding(self, folder: Path, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Source:
        items = [dict(zip(columns, row, strict=True)) for row in rows]
        return source_of(folder, json.dumps({"other": [{"x": 1}], "result": {"items": items}}), "$.result.items")

    def test_a_source_without_rows_has_columns_and_no_chunk(self, tmp_path: Path) -> None:
        """JSON has no header: without a row nobody knows the columns."""
        assert "no JSON object" in refused(lambda: self.holding(tmp_path, ["a"], []).columns())


@pytest.mark.parametrize(
    ("records", "content"),
    [
        ("$.result.items", DEEP),
        ("$.result.items", json.dumps(json.loads(DEEP), indent=1)),
        ("$.conns", '{"users": [{"b": 1}], "conns": [{"a": "1"}, {"a": "2"}]}'),
        ("$._embedded.my-list.v2", '{"_embedded": {"my-list": {"v2": [{"a": "1"}, {"a": "2"}]}}}'),
        ("$['my list'][\"a.b\"]", '{"a": [], "my list": {"a.b": [{"a": "1"}, {"a": "2"}]}}'),
        ("$.x.y", '{"x": 1, "x.y": [{"b": 1}], "x": {"y": [{"a": "1"}, {"a": "2"}], "z": [{"y": [{"b": 2}]}]}}'),
        ("$.x.y", '{"x": {"y": [{"a": "1"}]}}\n{"x": {"y": [{"a": "2"}]}}\n'),  # pages, each in its line
        ("$.x", '{"deep": ' + '{"x": ' * 40 + "1" + "}" * 40 + ', "x": [{"a": "1"}, {"a": "2"}]}'),
    ],
)
@pytest.mark.parametrize("name", ["t.json", "t.jsonl"])
def test_the_rows_are_those_of_the_list_at_the_path(tmp_path: Path, records: str, content: str, name: str) -> None:
    assert rows_of(source_of(tmp_path, content, records, name)) == [{"a": "1"}, {"a": "2"}]


def test_an_element_that_is_no_object_is_a_bad_row(tmp_path: Path) -> None:
    source = source_of(tmp_path, '{"x": {"y": ["fake", {"a": 1}, [{"a": 2}]]}}', "$.x.y")

    assert [bad.row for chunk in source.chunks() for bad in chunk.bad] == [1, 3]
    assert read(source, 5) == ([2], [[1]])


def test_a_path_works_on_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(DEEP.encode())))  # what a process has

    assert rows_of(open_sources(["-"], Path(), "jsonl", records="$.result.items")[0]) == [{"a": "1"}, {"a": "2"}]


def test_neither_the_list_nor_what_is_beside_it_is_ever_in_memory(tmp_path: Path) -> None:
    rows = ", ".join(json.dumps({"a": "x" * 400}) for _ in range(20_000))
    (tmp_path / "t.json").write_text(f'{{"beside": {{"them": [{rows}]}}, "result": {{"items": [{rows}]}}}}')
    source = open_sources(["t.json"], tmp_path, records="$.result.items")[0]
    tracemalloc.start()
    try:
        assert sum(len(chunk.rows) for chunk in source.chunks(500)) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 5_000_000  # the whole is 16 MB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (DEEP, 'has no list at $.a.b | Perhaps records = "$.result.items" under [source].'),
        ('{"a": {"b": {"c": [{"x": 1}]}}}', 'has no list at $.a.b | Perhaps records = "$.a.b.c"'),
        ('{"u": [{"x": 1}], "c": [{"x": 1}]}', '| Perhaps records = "$.u" or "$.c" under [source].'),
        ('{"a": {"b": null}}', "has no list at $.a.b | Give JSON Lines"),
        ('{"a": {"b": 1}, "fake-1a2b3c4d5e": [{"x": 1}], "a@fake.example": [{"x": 1}]}', "at $.a.b | Give JSON Lines"),
        ('[{"a": {"b": [{"x": 1}]}}]', "The document is itself a list: leave records out."),
        ('{"a": {"b": [{"x": 1}]}}\n{"a": {}}', "has no list at $.a.b"),
        ("{}", "has no list at $.a.b | Give JSON Lines"),
        ("", "no JSON object"),
        ('{"a": {"b": [{"x": 1}, {"x": ', "after row 1"),
    ],
)
def test_a_path_that_leads_to_no_list_is_answered_with_the_lists_that_are_there(
    tmp_path: Path, content: str, words: str
) -> None:
    shown = refused(lambda: rows_of(source_of(tmp_path, content, "$.a.b")))

    assert words in shown
    assert "fake" not in shown


def test_a_path_that_could_be_a_credential_is_not_shown(tmp_path: Path) -> None:
    assert "fake" not in refused(lambda: rows_of(source_of(tmp_path, DEEP, "$.fake-1a2b3c4d5e")))


@pytest.mark.parametrize(
    "records", ["", "$", "result.items", "$.items[*]", "$..items", "$.a.", "$['a", "fake-secret-1"]
)
def test_what_is_no_path_of_names_is_a_slip_in_the_config(tmp_path: Path, records: str) -> None:
    shown = refused(lambda: source_of(tmp_path, DEEP, records), ConfigError)

    assert "source.records is no path of names" in shown
    assert "fake" not in shown


def test_a_path_is_for_json_only(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a\n1\n")

    csv = refused(lambda: open_sources(["t.csv"], tmp_path, records="$.a"), ConfigError)
    database = refused(lambda: open_sources(["sqlite:///t.db"], tmp_path, query="x", records="$.a"), ConfigError)

    assert "source.records is for JSON, and " in csv
    assert "t.csv is read as csv" in csv
    assert "source.records is for JSON, and a source is a database" in database


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (DEEP, 'its list of objects lies deeper in it | Say where: records = "$.result.items" under [source]'),
        (json.dumps(json.loads(DEEP), indent=1), 'Say where: records = "$.result.items" under [source]'),
        ('{"fake-1a2b3c4d5e": {"x": [{"a": 1}]}}', 'Say where: records = "$.result.items" under [source]'),
        (
            '{"users": [{"a": 1}], "conns": [{"a": 1}]}',
            'more than one list of objects | Say which one has the rows: records = "$.users" or "$.conns" under',
        ),
        ('{\n"a": 1, "b": {"c": [1]}\n}', "without a list of objects in it | Give JSON Lines"),
    ],
)
def test_without_a_path_what_to_say_is_said(tmp_path: Path, content: str, words: str) -> None:
    shown = refused(lambda: rows_of(source_of(tmp_path, content)))

    assert words in shown
    assert "fake" not in shown


def test_an_object_that_holds_a_list_deeper_is_a_row_where_the_name_says_lines(tmp_path: Path) -> None:
    assert rows_of(source_of(tmp_path, DEEP, name="t.jsonl")) == [json.loads(DEEP)]


def test_a_config_names_the_list(importer: Run, sandbox: Sandbox, home: Path) -> None:
    row = {"provider": "hubspot", "group_ref": "g1", "consumer_ref": "c1", "access_token": "fake-access-1"}
    (home / "answer.json").write_text(json.dumps({"meta": {}, "result": {"items": [row]}}))
    without = importer("plan", "answer.json")
    with (home / "config.toml").open("a") as config:
        config.write('[source]\nrecords = "$.result.items"\n')

    ended = importer("run", "answer.json")

    assert without.exit_code == 2
    assert 'records = "$.result.items" under [source]' in without.err
    assert ended.exit_code == 0, ended.out + ended.err
    assert len(sandbox.connections("g1")) == 1
