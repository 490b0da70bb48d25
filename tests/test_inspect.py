"""A look at a file says what is in it and what to write, and shows nothing that a cell could have kept secret."""

import json
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from desk import Ended, token_row, write_csv

from importer.catalog.cache import default_path, save
from importer.config import load_config
from importer.fields import read_mapping
from importer.inspection.providers import COMMON
from importer.presets import NAMES

Importer = Callable[..., Ended]

SAMPLES = Path(__file__).parents[1] / "samples"
SAMPLE_OF = {
    "allauth": "allauth-tokens.csv",
    "authjs": "authjs-accounts.csv",
    "better-auth": "better-auth-account.csv",
    "composio": "composio-accounts.jsonl",
    "nango": "nango-connections.json",
    "omniauth": "omniauth-identities.csv",
    "python-social-auth": "python-social-auth.csv",
    "socialite": "socialite-accounts.csv",
    "token-response": "token-responses.csv",
}
CANONICAL = ("connections.csv", "connections.parquet")

JWT = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJmYWtlIn0.fake"
LARAVEL = "eyJpdiI6ImZha2UiLCJ2YWx1ZSI6ImZha2UiLCJtYWMiOiJmYWtlIn0="


def odd_row(n: int, **more: str) -> dict[str, str]:
    return {
        "customer": f"{1000 + n}", "crm": ["hubspot", "salesforce"][n % 2], "tok": f"fake-access-token-{n}",
        "refresh": f"fake-refresh-token-{n}", "exp": f"{1896091200000 + n}", "scp": "crm.read crm.write",
        "login": f"user{n}@acme.example", **more,
    }  # fmt: skip


def nested_row(n: int) -> dict[str, str]:
    tokens = {"access_token": f"fake-access-token-{n}", "refresh_token": f"fake-refresh-token-{n}",
              "auth_time": 1893456000, "expires_in": 3600}  # fmt: skip
    return {"Tenant ID": f"t-{n}", "Member ID": f"m-{n}", "Connector": "google-oauth2", "creds": json.dumps(tokens)}


def keyed_row(n: int) -> dict[str, str]:
    """Some with a key, some with a password; the expiry of neither."""
    key, user, password = (f"fake-key-{n}", "", "") if n % 2 else ("", f"fake-user-{n}", f"fake-password-{n}")
    return {"orgId": f"org-{n}", "ownerId": f"{n}", "vendor": "freshdesk", "subdomain": "acme", "apiKey": key,
            "apiUser": user, "pwd": password}  # fmt: skip


UNKNOWN = {"odd": odd_row, "nested": nested_row, "keyed": keyed_row}


@pytest.fixture
def looks(importer: Importer, home: Path) -> Callable[..., dict[str, Any]]:
    """What `inspect --json` says of rows, and each column by its name or its path."""

    def look(*rows: dict[str, str]) -> dict[str, Any]:
        write_csv(home / "rows.csv", rows)
        ended = importer("inspect", "rows.csv", "--json")
        assert ended.exit_code == 0, ended.err
        found: dict[str, Any] = json.loads(ended.out)
        return found | {"by_name": {c["json"] or c["name"]: c for c in found["columns"]}}

    return look


# what values look like


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        ("1896091200", "epoch", "epochs in s (10 digits), e.g. 2030-01-31 12:00:00 UTC"),
        ("1896091200000", "epoch", "epochs in ms (13 digits), e.g. 2030-01-31 12:00:00 UTC"),
        ("1896091200000000", "epoch", "epochs in µs (16 digits), e.g. 2030-01-31 12:00:00 UTC"),
        ("2030-01-31T13:00:00+01:00", "time", "ISO 8601 times with a zone, e.g. 2030-01-31 12:00:00 UTC"),
        ("2030-01-31 12:00:00", "time", "ISO 8601 times without a zone, e.g. 2030-01-31 12:00:00"),
        ("31.01.2030 12:00", "time", "times written as %d.%m.%Y %H:%M without a zone, e.g. 2030-01-31 12:00:00"),
        (JWT, "jwt", f"JWTs of {len(JWT)} characters, always the same"),
        (LARAVEL, "ciphertext", "encrypted: so Laravel's Crypt and its casts write"),
        ("gAAAAAfakefakefakefakefake", "ciphertext", "encrypted: this is a Fernet token"),
        ("fake-opaque-token-1", "opaque", "opaque texts of 19 characters, always the same"),
        ("********", "mask", "masks, not the values of 8 characters, always the same"),
        ("a|b|c", "list", "lists, separated by |"),
        ('["read", "write"]', "list", "lists, written as JSON"),
        ("{'a': None}", "serialized", "written by Python's print: a dict, a list or bytes, and not a token"),
        ("123e4567-e89b-12d3-a456-426614174000", "uuid", "UUIDs, always the same"),
        ("anna@acme.example", "email", "e-mail addresses, always the same"),
        ("https://acme.example/x", "url", "URLs, always the same"),
        ("acme.example", "host", "host names, always the same"),
        ("true", "boolean", "yes or no, always the same"),
        ("", "empty", "empty"),
        ("42", "integer", "integers, always the same"),
    ],
)
def test_a_column_is_told_by_its_values(looks: Any, value: str, kind: str, words: str) -> None:
    found = looks(*(odd_row(n, thing=value) for n in range(3)))["by_name"]["thing"]

    assert (found["kind"], found["looks_like"]) == (kind, words)


def test_an_id_is_no_epoch_although_it_could_be_one(looks: Any) -> None:
    found = looks(odd_row(1, portal_id="1896091200", seen="1896091200", credits="2840140800", exp="2840140800"))[
        "by_name"
    ]

    kinds = {name: found[name]["kind"] for name in ("portal_id", "seen", "credits", "exp")}
    assert kinds == {"portal_id": "integer", "seen": "epoch", "credits": "integer", "exp": "epoch"}


def test_a_day_that_may_be_a_month_is_said_to_be_in_doubt(looks: Any) -> None:
    doubtful, sure = looks(odd_row(1, exp="03/04/2030 12:00")), looks(odd_row(1, exp="03/14/2030 12:00"))

    assert "(or %d/%m/%Y %H:%M: check)" in doubtful["toml"]
    assert "%m/%d/%Y %H:%M" in sure["toml"]
    assert "check" not in sure["toml"]


def test_the_fill_rate_counts_the_rows_that_have_something(looks: Any) -> None:
    found = looks(odd_row(1, refresh=""), odd_row(2), odd_row(3, refresh="  "), odd_row(4, refresh=""))

    assert (found["by_name"]["refresh"]["filled"], found["by_name"]["tok"]["filled"], found["rows"]) == (1, 4, 4)


def test_json_is_looked_into_two_levels_deep(looks: Any) -> None:
    deep = json.dumps({"auth": {"access_token": "fake-access-token-1", "more": {"deeper": "x"}}, "odd key": "x"})
    found = looks({"customer": "1", "user_id": "2", "crm": "slack", "blob": deep})

    assert found["by_name"]["blob"]["keys"] == ["auth"]
    assert {"$.auth", "$.auth.access_token", "$.auth.more"} <= set(found["by_name"])
    assert "$.auth.more.deeper" not in found["by_name"]
    assert found["mapping"]["oauth2AuthorizationCode.accessToken.token"] == {
        "column": "blob",
        "json": "$.auth.access_token",
    }


# what is never shown


SECRETS = {
    "tok": "canary-token-77", "pwd": "canaryword", "password": "canary", "mail": "canary@canary.example",
    "status_note": "canary text", "ref": "canary-1", "blob": '{"canary 1": "canary", "inner": {"secret": "canary"}}',
    "secret": "canary-secret-value-123456", "type2": "canary", "url": "https://canary.example/canary",
}  # fmt: skip


def test_no_cell_is_shown_that_could_be_a_credential_an_id_or_an_address(importer: Importer, home: Path) -> None:
    write_csv(home / "rows.csv", [odd_row(n) | SECRETS for n in range(30)])

    for words in (
        ["inspect", "rows.csv"],
        ["inspect", "rows.csv", "--json"],
        ["init", "new.toml", "--from", "rows.csv"],
    ):
        ended = importer(*words)
        assert ended.exit_code == 0
        assert "canary" not in (ended.out + ended.err).lower()
        assert "user1@" not in ended.out
    assert "canary" not in (home / "new.toml").read_text("utf-8").lower()


@pytest.mark.parametrize("name", ["crm", "status", "token_type"])
def test_words_are_shown_only_where_they_are_known_and_a_column_is_named_for_words(looks: Any, name: str) -> None:
    words = ["oauth", "slack", "canary"]
    found = looks(*(odd_row(n, **{name: words[n], "passphrase": words[n]}) for n in range(3)))

    assert found["by_name"][name]["looks_like"] == "words: oauth, slack and 1 unknown"
    assert "oauth" not in found["by_name"]["passphrase"]["looks_like"]
    assert "active" not in looks(odd_row(1, passphrase="active"))["by_name"]["passphrase"]["looks_like"]


@pytest.mark.parametrize("name", ["source", "role", "environment", "state", "status", "type", "crm"])
def test_a_password_in_a_column_of_words_is_not_shown(importer: Importer, home: Path, name: str) -> None:
    """Two columns are easily swapped, and a password may be a word like any other."""
    write_csv(home / "rows.csv", [odd_row(n) | {name: f"{word}Canary"} for n, word in enumerate(["My", "her", "HIS"])])

    for words in (["inspect", "rows.csv"], ["inspect", "rows.csv", "--json"], ["init", "n.toml", "--from", "rows.csv"]):
        ended = importer(*words)
        assert ended.exit_code == 0
        assert "canary" not in (ended.out + ended.err).lower()
    assert "canary" not in (home / "n.toml").read_text("utf-8").lower()


@pytest.mark.parametrize("key", ["xoxbCanaryTokenWithoutDigits", "canarycanarycanaryca", "CaNaRyCanARy"])
def test_a_key_of_an_object_that_is_no_name_is_not_shown(importer: Importer, home: Path, key: str) -> None:
    write_csv(home / "rows.csv", [odd_row(1, blob=json.dumps({key: "x", "x_refresh_token_expires_in": 1}))])

    ended = importer("inspect", "rows.csv", "--json")

    assert "x_refresh_token_expires_in" in ended.out
    assert "canary" not in ended.out.lower()


def test_words_that_look_like_keys_are_not_shown_whatever_their_column_is_called(looks: Any) -> None:
    found = looks(odd_row(1, status="key4f9a1c2b7d"))

    assert found["by_name"]["status"]["looks_like"] == "words of 13 characters"


def test_a_file_without_a_header_shows_nothing_of_its_first_row(importer: Importer, home: Path) -> None:
    (home / "rows.csv").write_text("canary,hubspot,9f8canary5b4a\nacme,hubspot,9f8e7d6c5b4b\n")

    ended = importer("inspect", "rows.csv")

    assert "canary" not in ended.out
    assert "does the first line hold the names" in ended.out


# what is proposed


@pytest.mark.parametrize("shape", UNKNOWN)
def test_the_mapping_proposed_for_an_unknown_file_plans(importer: Importer, home: Path, shape: str) -> None:
    write_csv(home / "rows.csv", [UNKNOWN[shape](n) for n in range(1, 7)])

    looked = importer("inspect", "rows.csv")
    mapping = looked.out[looked.out.index("[mapping]") : looked.out.index("\n\n", looked.out.index("[mapping]"))]
    read = read_mapping(tomllib.loads(mapping)["mapping"], "the screen")
    (home / "pasted.toml").write_text(f'[source]\npaths = ["rows.csv"]\n{mapping}\n', "utf-8")
    planned = importer("plan", "-c", "pasted.toml")

    assert {"provider", "groupRef", "consumerRef"} <= read.keys()
    assert "# ?" not in mapping
    assert planned.exit_code == 0, planned.out
    assert "6 new" in planned.out


def test_each_field_is_found_by_its_name_and_its_look(looks: Any) -> None:
    found = looks(*(odd_row(n) for n in range(4)))

    tokens = "oauth2AuthorizationCode"
    assert found["mapping"] == {
        "provider": "crm",
        "groupRef": "customer",
        "consumerRef": "login",
        f"{tokens}.accessToken.token": "tok",
        f"{tokens}.accessToken.expiresAt": {"column": "exp", "format": "epoch_ms"},
        f"{tokens}.refreshToken.token": "refresh",
        f"{tokens}.scopes": "scp",
    }
    assert (found["sendable_rows"], found["open"], found["preset"]) == (4, [], None)
    assert "# epochs in ms (13 digits)" in found["toml"]


def test_a_duration_is_counted_from_the_moment_beside_it(looks: Any) -> None:
    mapping = looks(*(nested_row(n) for n in range(3)))["mapping"]

    assert mapping["oauth2AuthorizationCode.accessToken.expiresAt"] == {
        "column": "creds", "json": "$.expires_in", "format": "expires_in", "since": "$.auth_time",
    }  # fmt: skip


def test_a_duration_without_its_moment_is_no_time(looks: Any) -> None:
    found = looks(*({**token_row(n), "expires_in": "3600", "user": "u"} for n in range(3)))

    assert found["canonical"]
    rows = [{"customer": "1", "user_id": f"{n}", "crm": "slack", "tok": f"fake-token-{n}", "expires_in": "3600"}
            for n in range(3)]  # fmt: skip
    found = looks(*rows)
    assert "oauth2AuthorizationCode.accessToken.expiresAt" not in found["mapping"]
    assert "no column says from when" in found["toml"]


def test_a_time_in_the_json_of_another_column_is_not_paired_with_a_token_unasked(looks: Any) -> None:
    meta = json.dumps({"expires_in": 1800, "issued_at": 1767225600})
    row = {"customer": "1", "user_id": "2", "crm": "slack", "access_token": "fake-access-token-1", "meta": meta}
    found = looks(row)

    assert not any(path.endswith(("expiresAt", "issuedAt")) for path in found["mapping"])
    assert found["toml"].count("# ? in meta, and the token is not: is it the same token's?") == 2


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("exp", ["1896091200", "1896091200", "1896091200", "NULL"], "mixed: 75 % integers, 25 % words for nothing"),
        ("exp", ["20300131120000"] * 4, "integers"),
        ("scp", ["true"] * 4, "yes or no"),
        ("tok", ["https://acme.example"] * 4, "URLs"),
    ],
)
def test_a_column_that_is_named_for_a_field_and_does_not_look_like_it_is_not_passed_over(
    looks: Any, name: str, values: list[str], why: str
) -> None:
    found = looks(*(odd_row(n, **{name: value}) for n, value in enumerate(values)))

    line = next(line for line in found["toml"].splitlines() if f'= "{name}"' in line)
    assert line.startswith("# oauth2AuthorizationCode.")
    assert f"# ? {why}" in line
    assert line.endswith(", not mapped")


def test_names_of_providers_are_translated_in_sight(looks: Any) -> None:
    found = looks(*(odd_row(n, crm=["google-oauth2", "SFDC", "slack"][n]) for n in range(3)))

    values = {"SFDC": "salesforce", "google-oauth2": "google", "slack": "slack"}
    assert found["mapping"]["provider"] == {"column": "crm", "values": values}
    assert tomllib.loads(found["toml"])["mapping"]["provider"]["values"] == values


@pytest.fixture
def catalog(home: Path, sandbox: Any) -> Iterator[None]:
    """A catalog as it is kept after it was asked for."""
    entries = {name: {"authType": "apiKey", "baseURL": "https://api.example.com"} for name in CATALOG}
    kept = default_path(load_config(home / "config.toml", sandbox.environment()).api_root)
    assert save(kept, json.dumps(entries).encode(), time.time())
    yield
    kept.unlink()


CATALOG = ("linear", "freshsales", "Freshdesk", "zendeskSupport", "hubspot")


def test_names_of_the_kept_catalog_are_translated_only_where_they_are_certain(looks: Any, catalog: None) -> None:
    """What is merely alike is another provider: `line` is not `linear`."""
    names = ["line", "freshcaller", "HubSpot", "zendesk-support", "Freshdesk"]
    found = looks(*(odd_row(n, crm=name) for n, name in enumerate(names)))

    values = {"Freshdesk": "Freshdesk", "HubSpot": "hubspot", "zendesk-support": "zendeskSupport"}
    assert found["mapping"]["provider"]["values"] == values
    assert "# ? provider: 2 words are unknown, and not shown" in found["toml"]
    assert found["by_name"]["crm"]["looks_like"].endswith(" and 2 unknown")


def test_more_providers_than_are_listed_are_translated_all_the_same(looks: Any) -> None:
    names = [name.upper() for name in sorted(COMMON)]
    found = looks(*(odd_row(n, crm=name) for n, name in enumerate(names)))

    assert f", {len(names) - 12} more" in found["by_name"]["crm"]["looks_like"]
    assert found["mapping"]["provider"]["values"].keys() == set(names)


def test_a_column_with_no_name_of_the_kept_catalog_is_doubted(looks: Any, catalog: None) -> None:
    found = looks(*(odd_row(n, crm="canary") for n in range(3)))

    assert "# ? provider: none of the values is a name of the catalog" in found["toml"]
    assert "canary" not in str(found)


def test_without_a_provider_one_has_to_be_filled_in_or_given(importer: Importer, home: Path) -> None:
    rows = [{key: value for key, value in odd_row(n).items() if key != "crm"} for n in range(3)]
    write_csv(home / "rows.csv", rows)

    without = importer("inspect", "rows.csv")
    given = importer("inspect", "rows.csv", "--provider", "hubspot")

    assert '# provider = { value = "…" }' in without.out
    assert "something is missing yet: mapping.provider is missing" in without.out
    assert 'provider = { value = "hubspot" }' in given.out
    assert "3 of the 3 rows" in given.out


def test_where_no_column_names_the_customer_its_user_stands_in_and_the_line_says_so(looks: Any) -> None:
    found = looks(*({k: v for k, v in odd_row(n).items() if k != "customer"} for n in range(3)))

    assert found["mapping"]["groupRef"] == found["mapping"]["consumerRef"] == "login"
    assert "# ? no column names the customer" in found["toml"]


def test_of_two_credentials_in_one_row_one_is_proposed(looks: Any) -> None:
    """A client's id and secret beside the tokens are those of the app, and a connection has one credential."""
    found = looks(*(odd_row(n, client_id="fake-client", client_secret="fake-secret") for n in range(3)))

    assert not any(path.startswith("oauth2ClientCredentials") for path in found["mapping"])
    assert '# oauth2ClientCredentials.clientId = "client_id"' in found["toml"]
    assert found["sendable_rows"] == 3


def test_an_encrypted_token_is_mapped_with_how_to_open_it_and_a_masked_one_is_not(looks: Any) -> None:
    found = looks(*(odd_row(n, tok=LARAVEL, refresh="********") for n in range(3)))

    assert found["mapping"]["oauth2AuthorizationCode.accessToken.token"] == {
        "column": "tok", "decrypt": {"scheme": "laravel", "key_env": "TOKEN_KEY"},
    }  # fmt: skip
    assert "oauth2AuthorizationCode.refreshToken.token" not in found["mapping"]
    assert "not usable as it is: masks" in found["toml"]
    assert "TOKEN_KEY" in found["obstacle"]["message"]


def test_a_column_that_is_encrypted_by_its_name_is_left_to_a_person(looks: Any) -> None:
    rows = [{**odd_row(n), "api_token_ciphertext": f"ZmFrZS1mYWtlLWZha2Ut{n}"} for n in range(3)]
    found = looks(*({k: v for k, v in row.items() if k not in ("tok", "refresh")} for row in rows))

    assert "apiKey" not in found["mapping"]
    assert '# apiKey = "api_token_ciphertext"' in found["toml"]


FERNET = "gAAAAAfakefakefakefakefake"


@pytest.mark.parametrize(("names", "blank"), [(("at", "rt"), ""), (("at",), ""), (("at", "rt"), "NULL")])
def test_encrypted_columns_are_named_whatever_they_are_called(looks: Any, names: Any, blank: str) -> None:
    rows = [{"customer": f"{n}", "user_id": f"{n}", "crm": "slack", **dict.fromkeys(names, FERNET if n else blank)}
            for n in range(8)]  # fmt: skip
    lines = [line for line in looks(*rows)["toml"].splitlines() if "accessToken.token = " in line]

    assert len(lines) == len(names)
    assert all(f'"{name}"' in line for name, line in zip(names, lines, strict=True))


def test_names_that_need_quotes_get_them(looks: Any) -> None:
    rows = [{**odd_row(n), '\\x "access token"': f"fake-token-{n}"} for n in range(3)]
    found = looks(*({k: v for k, v in row.items() if k not in ("tok", "refresh")} for row in rows))

    mapping = read_mapping(tomllib.loads(found["toml"])["mapping"], "the screen")
    assert mapping["oauth2AuthorizationCode.accessToken.token"].column == '\\x "access token"'


# presets and canonical names


def test_every_preset_has_a_sample_here() -> None:
    assert set(SAMPLE_OF) == set(NAMES)


@pytest.mark.parametrize("preset", SAMPLE_OF)
def test_a_token_store_is_recognised(importer: Importer, preset: str) -> None:
    sample = str(SAMPLES / SAMPLE_OF[preset])

    ended = importer("inspect", sample)

    assert f"preset {preset} fits: has " in ended.out
    assert ended.out.endswith(f"next: importer plan {sample} --preset {preset}\n")
    assert json.loads(importer("inspect", sample, "--json").out)["preset"]["name"] == preset
    assert "fake" not in ended.out.lower()


@pytest.mark.parametrize("sample", CANONICAL)
def test_canonical_names_need_no_mapping(importer: Importer, sample: str) -> None:
    ended = importer("inspect", str(SAMPLES / sample))

    assert "no mapping is needed" in ended.out
    assert "[mapping]" not in ended.out


def test_canonical_names_without_a_provider_need_that_alone(importer: Importer, home: Path) -> None:
    write_csv(home / "rows.csv", [{k: v for k, v in token_row(1).items() if k != "provider"}])

    ended = importer("inspect", "rows.csv")

    assert "none of them names the provider" in ended.out
    assert "next: importer plan rows.csv --provider NAME" in ended.out


def test_an_apps_own_table_is_no_token_store_because_of_one_column(importer: Importer) -> None:
    ended = importer("inspect", str(SAMPLES / "crm-export.csv"))

    assert "fits" not in ended.out
    assert "4 of the 9 rows looked at can be sent so" in ended.out
    asked = "# ? provider: give each its name in the catalog under values: FORUM, HS (hubspot?), ZD (zendeskSupport?)"
    assert asked in ended.out


def damaged(sample: str, *changes: tuple[str, str]) -> str:
    """A sample's text with some of its cells changed."""
    text = (SAMPLES / sample).read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


def test_a_token_store_with_a_damaged_column_keeps_its_preset(importer: Importer, home: Path) -> None:
    """Without the column more rows could be sent, and each of them would be worse."""
    text = damaged(SAMPLE_OF["allauth"], ("token-d3,,,", "token-d3,,NULL,"), ("secret-d5,,", "secret-d5,NULL,"))
    (home / "rows.csv").write_text(text, "utf-8")

    ended = importer("inspect", "rows.csv")

    assert "preset allauth fits" in ended.out
    assert "1 × bad_date in expires_at" in ended.out


def test_an_account_beside_a_token_secret_is_no_customer(looks: Any) -> None:
    found = looks(*({"account_id": f"{n}", "token_secret": "x", "login": "u", "crm": "slack", "tok": f"fake-token-{n}"}
                    for n in range(3)))  # fmt: skip

    assert found["mapping"]["groupRef"] == found["mapping"]["consumerRef"] == "login"


# sources


@pytest.mark.parametrize("rows", [["inspect", "rows.csv"], ["inspect", "rows.csv", "--rows", "2"]])
def test_only_the_first_rows_are_looked_at(importer: Importer, home: Path, rows: list[str]) -> None:
    write_csv(home / "rows.csv", [odd_row(n) for n in range(1_200)])

    assert f"the first {2 if len(rows) > 2 else '1,000'} rows looked at" in importer(*rows).out


def test_a_file_of_json_is_not_read_to_its_end_for_the_names_of_its_fields(importer: Importer, home: Path) -> None:
    lines = [json.dumps(odd_row(n)) for n in range(2_100)] + [json.dumps(odd_row(0, late="x"))]
    (home / "rows.jsonl").write_text("\n".join(lines))

    ended = importer("inspect", "rows.jsonl")

    assert "7 columns, the first 1,000 rows looked at" in ended.out


def test_standard_input_is_looked_at(shell: Importer) -> None:
    ended = shell("inspect", "-", stdin="customer,user_id,crm,tok\n1,2,slack,fake-token-1\n")

    assert ended.out.startswith("stdin: 4 columns, all 1 row looked at")


def test_a_query_is_looked_at_through_its_config(importer: Importer, home: Path) -> None:
    import sqlite3

    with closing(sqlite3.connect(home / "app.db")) as database, database:
        database.execute("create table tokens (customer, user_id, crm, tok, exp)")
        database.execute("insert into tokens values (1, 2, 'slack', 'fake-token-1', 1896091200)")
    (home / "db.toml").write_text('[source]\npaths = ["sqlite:///app.db"]\nquery = "select * from tokens"\n')

    ended = importer("inspect", "-c", "db.toml")

    assert 'expiresAt = { column = "exp", format = "epoch_s" }' in ended.out
    assert ended.out.endswith("next: importer plan -c db.toml\n")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("nothing-there.csv", None, "is not there"),
        ("empty.csv", b"", "is empty"),
        ("header.csv", b"customer,tok\n", "has no row that could be looked at"),
        ("latin.csv", b"customer,tok\nM\xfcller,fake\n", "has no row that could be looked at: row 1: "),
        ("latin.csv", b"customer,tok\nM\xfcller,fake\n", "UTF-8"),
        ("nul.csv", b"customer,tok\nM\x00ller,fake\n", "NUL"),
        ("image.csv", b"\x89PNG\r\n\x1a\n", "is not delimited text: it seems to be a PNG image"),
        ("broken.json", b'{"a": ', "the JSON breaks off"),
    ],
)
def test_what_cannot_be_looked_at_is_said_in_a_line(
    importer: Importer, home: Path, name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        (home / name).write_bytes(content)

    for words in (["inspect", name], ["init", "new.toml", "--from", name]):
        ended = importer(*words)
        assert (ended.exit_code, ended.out) == (2, "")
        assert said in ended.err.splitlines()[0]
    assert not (home / "new.toml").exists()


def test_a_look_writes_nothing_and_sends_nothing(importer: Importer, home: Path, sandbox: Any) -> None:
    write_csv(home / "rows.csv", [odd_row(1)])
    before = sorted(home.iterdir())

    importer("inspect", "rows.csv")

    assert sorted(home.iterdir()) == before
    assert sandbox.requests.total == 0


# importer init


@pytest.mark.parametrize("sample", [*CANONICAL, *SAMPLE_OF.values()])
def test_the_config_written_for_a_sample_plans_at_once(importer: Importer, home: Path, sample: str) -> None:
    written = importer("init", "new.toml", "--from", str(SAMPLES / sample))

    assert written.exit_code == 0
    assert importer("plan", "-c", "new.toml").exit_code == 0


def test_the_config_of_a_token_store_names_its_preset(importer: Importer, home: Path) -> None:
    importer("init", "new.toml", "--from", str(SAMPLES / SAMPLE_OF["authjs"]))

    config = load_config(home / "new.toml", {})
    assert (config.source.preset, config.mapping) == ("authjs", None)


def test_the_config_of_an_unknown_file_has_its_mapping_and_finds_it_from_another_folder(
    importer: Importer, home: Path
) -> None:
    write_csv(home / "rows.csv", [odd_row(n) for n in range(3)])
    (home / "configs").mkdir()

    importer("init", "configs/new.toml", "--from", "rows.csv")

    config = load_config(home / "configs" / "new.toml", {})
    assert config.source.paths == ("../rows.csv",)
    assert config.mapping is not None
    assert config.mapping["groupRef"].column == "customer"
    assert importer("plan", "-c", "configs/new.toml").exit_code == 0


@pytest.mark.parametrize("preset", NAMES)
def test_a_config_is_written_for_a_preset(importer: Importer, home: Path, preset: str) -> None:
    assert importer("init", "new.toml", "--preset", preset).exit_code == 0
    assert load_config(home / "new.toml", {}).source.preset == preset


def test_a_preset_that_is_none_is_told_by_the_nearest(importer: Importer, home: Path) -> None:
    ended = importer("init", "new.toml", "--preset", "autjs")

    assert ended.exit_code == 2
    assert "authjs" in ended.err
    assert not (home / "new.toml").exists()


def test_a_config_that_is_there_is_left_alone(importer: Importer, home: Path) -> None:
    write_csv(home / "rows.csv", [odd_row(1)])
    (home / "mine.toml").write_text("# mine")

    ended = importer("init", "mine.toml", "--from", "rows.csv")

    assert ended.exit_code == 2
    assert (home / "mine.toml").read_text() == "# mine"


def test_the_password_of_a_database_is_not_written_into_a_config(importer: Importer, home: Path) -> None:
    ended = importer("init", "new.toml", "--from", "postgresql://me:canary@db.example/app")

    assert ended.exit_code == 2
    assert ended.err.startswith("error: a config is not written from an address")
    assert "canary" not in ended.err
    assert not (home / "new.toml").exists()
