"""Settings reach columns and nothing else: no attribute, file, variable or regex, and no work without end."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from desk import Ended, key_row, write_csv

from importer.errors import ConfigError, ImporterError
from importer.fields import read_mapping
from importer.mapping import Mapper
from importer.presets.store import load_preset
from importer.sources.base import Chunk

TOKEN = "oauth2AuthorizationCode"
SECRET = "fake-environment-secret"
COLUMNS = ["provider", "group_ref", "consumer_ref", "key", "extra", "at"]


def mapped(field: dict[str, Any], extra: str = '{"a": 1}') -> list[Any]:
    """One row, read by a mapping with one more field."""
    given = {"provider": "provider", "groupRef": "group_ref", "consumerRef": "consumer_ref", "apiKey": "key", **field}
    row = ["stripe", "g1", "u1", "fake-key-1", extra, "2026-01-31"]
    chunk = Chunk("tokens.csv", [1], pd.DataFrame([row], columns=COLUMNS, dtype=object), [])
    return Mapper(read_mapping(given, "config.toml"), COLUMNS, source="tokens.csv").map(chunk)


@pytest.mark.parametrize(
    "template",
    [
        "{group_ref.__class__}",
        "{group_ref.__class__.__mro__[1]}",
        "{0.__globals__}",
        "{}",
        "{0}",
        "{self}",
        "{row}",
        "{group_ref[0]}",
        "{group_ref!r}",
        "{group_ref!s}",
        "{group_ref:>1000000000}",
        "{group_ref:{extra}}",
        "{__import__('os').environ}",
        "{group_ref:%Y}",
        "{config.base}",
        "{environ[HOME]}",
        "${HOME}{HOME}",
        "{" * 9,
    ],
)
def test_a_template_is_text_and_names_of_columns(template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", SECRET)

    with pytest.raises(ImporterError) as refused:
        mapped({"groupName": {"template": template}})

    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("text", ["{group_ref.__class__}", "%(group_ref)s", "${HOME}", "{{7*7}}", "{key}"])
def test_what_a_cell_holds_is_no_template(text: str) -> None:
    (row,) = mapped({"groupName": {"template": "{extra} of {group_ref}"}}, extra=text)

    assert row.request.group_name == f"{text} of g1"


@pytest.mark.parametrize(
    "path",
    [
        "$.extra[?match(@.a, '(a+)+$')]",
        "$[?search(@.a, '(a|a)*b')]",
        "$[?@.a =~ /(a+)+$/]",
        "$..a..a..a..a",
        "$..*..*",
        "$[?@..a == 1]..b",
        "$.a | $..b",
        "_.environ",
        "^.a",
        "$.a" + "[0]" * 500,
        "$[?" + "(" * 450,
        "$.a[?@.b == 1].__class__.__init__.__globals__(",
        "",
        "$[?keys(@)]~",
        "$[?@ == 1e310]",
        "$[1e3]",
        "file:///etc/passwd",
    ],
)
def test_a_json_path_without_a_bound_or_outside_the_standard_is_refused(path: str) -> None:
    began = time.monotonic()

    with pytest.raises(ConfigError, match="is no JSONPath") as refused:
        mapped({"customAuth": {"a": {"column": "extra", "json": path}}})

    assert len(str(refused.value)) < 300
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("path", ["$.__class__", "$['__class__']['__mro__']", "$.a.__init__.__globals__", "$.keys"])
def test_a_json_path_finds_no_attribute(path: str) -> None:
    (row,) = mapped({"groupName": {"column": "extra", "json": path}})

    assert row.request.group_name is None


@pytest.mark.parametrize("path", ["$..a", "$.a", "$..*", "$[?@..a].b", "$.x[?@.y.z == 1][0:9:2]"])
@pytest.mark.parametrize(
    "cell",
    ["[" * 100_000, '{"a":' * 100_000, '{"a":' * 400 + "1" + "}" * 400, "[" * 400 + "]" * 400, "[1" + ",1" * 99_999],
)
def test_a_nesting_without_end_is_no_json(path: str, cell: str) -> None:
    began = time.monotonic()

    (row,) = mapped({"groupName": {"column": "extra", "json": path}}, extra=cell)

    assert row.request is None or row.request.group_name is None
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "option",
    [
        {"zone": "../../../etc/passwd"},
        {"zone": "/etc/passwd"},
        {"zone": "America"},
        {"zone": "a" * 5_000},
        {"zone": "UTC\0"},
        {"zone": ""} | {"format": "nothing"},
        {"format": "%Y" * 2},
        {"format": "%"},
        {"format": "%Y-%m-%d" + " " * 1_000},
        {"format": "%(HOME)s"},
        {"format": "%Q"},
        {"format": "%d" * 60},
    ],
)
def test_a_zone_or_a_pattern_that_is_none_is_one_line(option: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as refused:
        mapped({TOKEN: {"accessToken": {"expiresAt": {"column": "at", **option}}}})

    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["../x", "../../etc/passwd", "/etc/passwd", "authjs.toml", "authjs\0", "", "."])
def test_a_preset_is_one_of_ours_and_no_path(name: str) -> None:
    with pytest.raises(ConfigError, match="names none that there is"):
        load_preset(name)


@pytest.mark.parametrize(
    "config",
    [
        "a = " + "[" * 100_000,
        "a" + ".a" * 5_000 + " = 1",
        "[a" + ".a" * 5_000 + "]",
        "a = " + "9" * 100_000,
        'a = "' + "\\u0000" * 10_000 + '"',
        "a" * 10_000 + " = 1",
        "[limits]\nrate = 1e999",
        "[limits]\nworkers = 0x" + "f" * 999,
        "[mapping]\n" + "groupRef = 'a'\n" * 2,
        "[mapping]\napiKey = { column = 'a', values = { a = { b = 'c' } } }",
        "[mapping.providerMetadata]\n'a.b' = 'c'\n'__class__' = 'd'",
        "# " + "x" * 2_000_000,
        "\0",
        "[limits]\nworkers = 0x" + "f" * 9_999,
        "[limits]\nworkers = -" + "9" * 400,
        "[limits]\nrate = 0x" + "f" * 9_999,
        "[limits]\nrate = -" + "9" * 300,
        "[source]\nprocesses = 0x" + "f" * 9_999,
        "[mapping]\ngroupRef = 0x" + "f" * 9_999,
    ],
)
def test_a_config_without_a_bound_is_one_line(home: Path, importer: Callable[..., Ended], config: str) -> None:
    write_csv(home / "tokens.csv", [key_row(1)])
    (home / "hostile.toml").write_text(config, encoding="utf-8")
    began = time.monotonic()

    ended = importer("plan", "tokens.csv", "-c", "hostile.toml")

    assert ended.exit_code == 2
    assert "Traceback" not in ended.err
    assert max(map(len, ended.err.splitlines())) < 400
    assert time.monotonic() - began < 5
