"""What `importer plan` shows: one screen, and all of it with --json."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from desk import Ended, key_row, read_csv, token_row, write_csv

from importer.sandbox import Sandbox

Importer = Callable[..., Ended]


def ends_in(**span: float) -> dict[str, str]:
    return {"access_token_expires_at": (datetime.now(UTC) + timedelta(**span)).isoformat()}


def as_json(ended: Ended) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ended.out.splitlines()[-1])
    return found


@pytest.fixture
def mixed(home: Path) -> Path:
    """Rows of two providers and two auth schemes, with tokens that are dead, that die tonight and that live."""
    slack = {"provider": "slack"}
    rows = [
        token_row(1, **ends_in(hours=-1)),
        token_row(2, **ends_in(hours=23)),
        token_row(3, **ends_in(hours=25)),
        token_row(4, refresh_token="", **ends_in(hours=-1)),
        token_row(5, **slack, refresh_token=""),
        key_row(6),
        key_row(7),
        key_row(8, api_key=""),
    ]
    return write_csv(home / "rows.csv", rows)


def test_rows_are_counted_by_provider_and_auth_scheme_and_their_tokens_by_how_long_they_live(
    mixed: Path, importer: Importer
) -> None:
    providers = as_json(importer("plan", mixed.name, "--json"))["providers"]

    assert providers["hubspot"]["schemes"]["oauth2/authorizationCode"] == {
        "rows": 4, "to_send": 4, "expired": 2, "expire_soon": 1, "without_refresh_token": 1,
    }  # fmt: skip
    assert providers["slack"]["without_refresh_token"] == 1
    assert providers["stripe"]["rows"] == 3
    assert providers["stripe"]["to_send"] == providers["stripe"]["schemes"]["apiKey"]["rows"] == 2


def test_the_screen_says_it_in_a_line_for_each(mixed: Path, importer: Importer) -> None:
    lines = [line.split("  ") for line in importer("plan", mixed.name).out.splitlines()]

    said = {words[1]: words[-1].strip() for words in lines if len(words) > 2}
    assert said["hubspot oauth2/authorizationCode"] == (
        "4 rows, access tokens: 2 expired, 1 expire within a day, 1 without refresh token"
    )
    assert said["stripe apiKey"] == "2 rows"


def test_of_rows_that_are_done_nobody_says_that_their_tokens_are_old(
    mixed: Path, sandbox: Sandbox, importer: Importer
) -> None:
    """The platform has refreshed them since: what the file says of them is history."""
    assert importer("run", mixed.name).exit_code == 3

    assert as_json(importer("plan", mixed.name, "--json"))["providers"]["hubspot"]["expired"] == 0


def test_the_object_has_every_kind_of_problem_and_the_screen_the_commonest(home: Path, importer: Importer) -> None:
    bad = [
        {"group_ref": ""}, {"consumer_ref": " u"}, {"access_token": "REDACTED"}, {"access_token_expires_at": "soon"},
        {"refresh_token": "null"}, {"provider": "?"}, {"scopes": "['a']"},
    ]  # fmt: skip
    write_csv(home / "rows.csv", [token_row(n, **cells) for n, cells in enumerate(bad)])

    shown = [line for line in importer("plan", "rows.csv").out.splitlines() if "1 × " in line]
    kinds = as_json(importer("plan", "rows.csv", "--json"))["common"]

    assert len(shown) == 5
    assert len(kinds) == 7
    assert "and 2 more of other kinds" in importer("plan", "rows.csv").out


def test_a_column_of_a_hundred_names_does_not_fill_the_screen(home: Path, importer: Importer) -> None:
    write_csv(home / "rows.csv", [key_row(n, provider=f"acme{n:02}") for n in range(100)])

    out = importer("plan", "rows.csv").out

    assert "and 92 more, with 92 rows" in out
    assert len(out.splitlines()) < 40


@pytest.mark.parametrize(
    "shown",
    ["1//0gFakeRefresh0000000000000001", "q7Zk2vPd9xTbw8Rn4bXc1mLs", "ghp_fakefakefakefakefakefakefakefake0001"],
)
def test_a_token_in_the_place_of_scopes_is_neither_shown_nor_sent(
    shown: str, home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    """A slip in the mapping: the scopes are taken from the column of the refresh token."""
    (home / "slip.toml").write_text(
        f"{(home / 'config.toml').read_text()}\n[mapping]\nprovider = 'provider'\ngroupRef = 'group_ref'\n"
        "consumerRef = 'consumer_ref'\noauth2AuthorizationCode.accessToken.token = 'access_token'\n"
        "oauth2AuthorizationCode.refreshToken.token = 'refresh_token'\n"
        "oauth2AuthorizationCode.scopes = 'refresh_token'\n"
    )
    write_csv(home / "rows.csv", [token_row(1, refresh_token=shown)])

    planned = importer("plan", "rows.csv", "-c", "slip.toml")
    as_object = importer("plan", "rows.csv", "-c", "slip.toml", "--json")

    assert planned.exit_code == 3
    assert shown not in planned.out + planned.err + as_object.out
    assert importer("run", "rows.csv", "-c", "slip.toml").exit_code == 3
    assert sandbox.count() == 0


def test_an_opaque_list_of_scopes_is_not_shown_as_a_sample(home: Path, importer: Importer) -> None:
    write_csv(home / "rows.csv", [token_row(1, scopes="q7Zk2vPd9xTbw8Rn4bXc1mLs"), token_row(2, scopes="crm.read")])

    out = importer("plan", "rows.csv").out

    assert "q7Zk2vPd9xTbw8Rn4bXc1mLs" not in out
    assert "row 2: scopes crm.read" in out


@pytest.mark.parametrize(
    ("written", "scopes"),
    [
        ("{read,write}", ["read", "write"]),
        ('{"crm.read",write}', ["crm.read", "write"]),
        ('"read write"', ["read", "write"]),
    ],
)
def test_scopes_as_databases_and_json_write_them(
    written: str, scopes: list[str], home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    write_csv(home / "rows.csv", [token_row(1, scopes=written)])

    assert importer("run", "rows.csv").exit_code == 0

    (connection,) = sandbox.connections()
    assert connection["current"]["oauth2AuthorizationCode"]["scopes"] == scopes


def test_words_for_nothing_in_refs_are_said_and_taken_as_they_are_written(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    write_csv(home / "rows.csv", [token_row(1, group_ref="NULL"), token_row(2)])

    assert "group_ref: words for nothing (NULL, None, …) are taken as they are" in importer("plan", "rows.csv").out
    assert importer("run", "rows.csv").exit_code == 0
    assert sorted(connection["groupRef"] for connection in sandbox.connections()) == ["NULL", "g2"]


def test_groups_with_several_consumers_for_one_provider_are_warned_of(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    rows = [token_row(1), token_row(2, group_ref="g1"), token_row(3), key_row(1, consumer_ref="another")]
    write_csv(home / "rows.csv", rows)

    assert importer("plan", "rows.csv").exit_code == 0
    warned = read_csv(home / "importer-report/plan-warnings.csv")
    assert [(row["row"], row["code"]) for row in warned if row["code"] == "shared_group"] == [
        ("1", "shared_group"), ("2", "shared_group"),
    ]  # fmt: skip

    assert importer("run", "rows.csv", "--strict").exit_code == 3
    assert sorted(connection["groupRef"] for connection in sandbox.connections()) == ["g1", "g3"]


def test_a_workspace_is_cut_out_of_an_address_where_the_mapping_says_so(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    (home / "cut.toml").write_text(
        f"{(home / 'config.toml').read_text()}\n[mapping]\nprovider = {{ value = 'salesforce' }}\n"
        "groupRef = 'group_ref'\nconsumerRef = 'consumer_ref'\n"
        "providerWorkspaceRef = { column = 'instance_url', label_of = 'salesforce' }\n"
        "oauth2AuthorizationCode.accessToken.token = 'access_token'\n"
        "oauth2AuthorizationCode.refreshToken.token = 'refresh_token'\n"
    )
    write_csv(home / "rows.csv", [token_row(1, instance_url="https://acme--dev.sandbox.my.salesforce.com")])

    assert importer("run", "rows.csv", "-c", "cut.toml").exit_code == 0

    (connection,) = sandbox.connections()
    assert connection["current"]["providerWorkspaceRef"] == "acme--dev.sandbox"


def test_a_word_for_nothing_skips_no_row(home: Path, importer: Importer) -> None:
    """mysql and psql write NULL where there is none: it is no OAuth 1 secret."""
    write_csv(
        home / "rows.csv",
        [{"user_id": "7", "provider": "hubspot", "uid": "u", "access_token": "fake-a", "token_secret": "NULL"}],
    )

    out = importer("plan", "rows.csv", "--preset", "omniauth").out

    assert "1 new" in out
    assert "skipped" not in out


def test_a_file_of_which_every_row_is_skipped_says_so(home: Path, importer: Importer) -> None:
    write_csv(
        home / "rows.csv",
        [{"user_id": "7", "provider": "hubspot", "uid": "u", "access_token": "fake-a", "token_secret": "fake-s"}],
    )

    assert "no row is left: every one was skipped" in importer("plan", "rows.csv", "--preset", "omniauth").out


def test_the_json_of_a_plan_says_how_long_it_will_take(mixed: Path, importer: Importer) -> None:
    found = as_json(importer("plan", mixed.name, "--json", "--rate", "2"))

    assert (found["rate"], found["to_send"], found["duration_s"]) == (2.0, 7, 3.5)
