"""Cells in, requests or issues out: the rules of the mapping, and that nothing said about a row quotes it."""

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from importer.api.models import AuthScheme
from importer.api.wire import body_of
from importer.errors import ConfigError, ImporterError, SourceError
from importer.fields import FieldSpec, read_mapping
from importer.mapping import MappedRow, Mapper
from importer.mapping.dates import DateReader
from importer.mapping.lists import list_reader
from importer.mapping.refs import ref_fault
from importer.outcomes import Code
from importer.redaction import looks_like_a_token
from importer.sources.base import Chunk

ACCESS, REFRESH = "fake-access-token-1", "fake-refresh-token-1"
REFS = {"provider": "salesforce", "group_ref": "acct-1", "consumer_ref": "user-1"}
TOKENS = {**REFS, "access_token": ACCESS, "refresh_token": REFRESH}

GIVEN_REFS = {"provider": "provider", "groupRef": "group_ref", "consumerRef": "consumer_ref"}
GIVEN_KEY = {**GIVEN_REFS, "apiKey": "key"}


def chunk(rows: Sequence[Mapping[str, Any]], source: str = "tokens.csv") -> Chunk:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    frame = pd.DataFrame([[row.get(name) for name in columns] for row in rows], columns=columns, dtype=object)
    return Chunk(source, range(1, len(rows) + 1), frame, [])


def mapped(*rows: Mapping[str, Any], mapping: Mapping[str, Any] | None = None, **options: Any) -> list[MappedRow]:
    read = chunk(rows)
    specs = None if mapping is None else read_mapping(mapping, "config.toml")
    return Mapper(specs, list(read.frame.columns), source=read.source, **options).map(read)


def body(row: MappedRow) -> dict[str, Any]:
    assert row.request is not None, row.issues
    sent: dict[str, Any] = json.loads(body_of(row.request).json)
    return sent


def codes(row: MappedRow) -> list[tuple[str, Code]]:
    assert row.request is None
    return [(issue.field, issue.code) for issue in row.issues]


# --- canonical columns ---


def test_a_row_with_canonical_columns_becomes_the_body_that_the_api_takes():
    [row] = mapped(
        {
            **TOKENS,
            "group_name": " Acme ",
            "consumer_name": "Someone",
            "provider_workspace_ref": "acme",
            "access_token_expires_at": "2026-01-31T12:00:00Z",
            "access_token_issued_at": "1769857200",
            "scopes": "api refresh_token",
            "metadata.region": "eu",
        }
    )

    assert body(row) == {
        "provider": "salesforce",
        "groupRef": "acct-1",
        "groupName": "Acme",
        "consumerRef": "user-1",
        "consumerName": "Someone",
        "providerWorkspaceRef": "acme",
        "providerMetadata": {
            "region": {"value": "eu", "source": "input"},
            "workspace": {"value": "acme", "source": "input"},
        },
        "oauth2AuthorizationCode": {
            "accessToken": {"token": ACCESS, "expiresAt": "2026-01-31T12:00:00Z", "issuedAt": "2026-01-31T11:00:00Z"},
            "refreshToken": {"token": REFRESH},
            "scopes": ["api", "refresh_token"],
        },
    }
    assert (row.row, row.issues) == (1, ())
    assert (row.provider, row.group_ref, row.consumer_ref) == ("salesforce", "acct-1", "user-1")


def test_text_that_other_tools_turn_into_numbers_or_gaps_arrives_as_it_was():
    rows = mapped(*({**REFS, "group_ref": ref, "api_key": f"{ref}0"} for ref in ("007", "NA", "null", "1e5", "True")))

    assert [body(row)["groupRef"] for row in rows] == ["007", "NA", "null", "1e5", "True"]
    assert [body(row)["apiKey"] for row in rows] == ["0070", "NA0", "null0", "1e50", "True0"]


@pytest.mark.parametrize(
    ("cells", "scheme", "block"),
    [
        ({"api_key": " k1 "}, AuthScheme.API_KEY, {"apiKey": "k1"}),
        (
            {"username": "someone", "password": " with blanks "},
            AuthScheme.BASIC,
            {"basicAuth": {"username": "someone", "password": " with blanks "}},
        ),
        (
            {"username": "k1", "password": ""},
            AuthScheme.BASIC,
            {"basicAuth": {"username": "k1", "password": ""}},
        ),
        (
            {"client_id": "id1", "client_secret": "s1", "scopes": "a,b"},
            AuthScheme.CLIENT_CREDENTIALS,
            {"oauth2ClientCredentials": {"clientId": "id1", "clientSecret": "s1", "scopes": ["a", "b"]}},
        ),
        (
            {"username": "u1", "password": "p1", "client_id": "id1", "client_secret": "s1"},
            AuthScheme.PASSWORD,
            {
                "oauth2PasswordCredentials": {
                    "username": "u1",
                    "password": "p1",
                    "clientId": "id1",
                    "clientSecret": "s1",
                }
            },
        ),
        (
            {"access_token": ACCESS},
            AuthScheme.AUTHORIZATION_CODE,
            {"oauth2AuthorizationCode": {"accessToken": {"token": ACCESS}}},
        ),
        (
            {"refresh_token": REFRESH, "access_token": "", "access_token_expires_at": "2026-01-01T00:00:00Z"},
            AuthScheme.AUTHORIZATION_CODE,
            {"oauth2AuthorizationCode": {"refreshToken": {"token": REFRESH}}},
        ),
        ({"custom_auth.apiSecret": "s1"}, AuthScheme.CUSTOM, {"customAuth": {"apiSecret": "s1"}}),
        ({"custom_auth.expiresAt": "never"}, AuthScheme.CUSTOM, {"customAuth": {"expiresAt": "never"}}),
        ({"auth_scheme": "none"}, AuthScheme.NONE, {}),
        (
            {"auth_scheme": "oauth2/authorizationCodePKCE", "access_token": ACCESS},
            AuthScheme.AUTHORIZATION_CODE,
            {"oauth2AuthorizationCode": {"accessToken": {"token": ACCESS}}},
        ),
    ],
)
def test_the_filled_columns_say_the_credential(cells, scheme, block):
    [row] = mapped({**REFS, **cells})

    assert row.request is not None, row.issues
    assert row.request.auth_scheme is scheme
    assert {k: v for k, v in body(row).items() if k not in {"provider", "groupRef", "consumerRef"}} == block


def test_rows_of_different_schemes_may_share_a_file():
    keys, basic, grant = mapped(
        {**REFS, "api_key": "k1", "username": "", "password": None, "client_id": "", "client_secret": ""},
        {**REFS, "username": "u1", "password": "p1"},
        {**REFS, "username": "u1", "password": "p1", "client_id": "c1", "client_secret": "s1"},
    )

    assert [row.request and row.request.auth_scheme for row in (keys, basic, grant)] == [
        AuthScheme.API_KEY,
        AuthScheme.BASIC,
        AuthScheme.PASSWORD,
    ]


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        ({"api_key": ""}, [("api_key", Code.NO_CREDENTIAL)]),
        ({"api_key": "k1", "access_token": ACCESS}, [("api_key, access_token", Code.SEVERAL_CREDENTIALS)]),
        (
            {"auth_scheme": "apiKey", "api_key": "k1", "access_token": ACCESS},
            [("access_token", Code.SEVERAL_CREDENTIALS)],
        ),
        (
            {"auth_scheme": "apiKey", "api_key": "", "username": "u1", "password": "p1"},
            [("username, password", Code.SEVERAL_CREDENTIALS), ("api_key", Code.MISSING_VALUE)],
        ),
        ({"auth_scheme": "none", "api_key": "k1"}, [("api_key", Code.SEVERAL_CREDENTIALS)]),
        ({"auth_scheme": "custom", "api_key": ""}, [("custom_auth", Code.MISSING_VALUE)]),
        ({"auth_scheme": "api key", "api_key": "k1"}, [("auth_scheme", Code.WRONG_SCHEME)]),
        ({"client_id": "c1", "client_secret": ""}, [("client_secret", Code.MISSING_VALUE)]),
        ({"client_id": "c1"}, [("client_secret", Code.MISSING_VALUE)]),
        ({"username": "", "password": "p1"}, [("username", Code.MISSING_VALUE)]),
        ({"username": "u1"}, [("password", Code.MISSING_VALUE)]),
        (
            {"username": "u1", "password": "", "client_id": "c1", "client_secret": "s1"},
            [("password", Code.MISSING_VALUE)],
        ),
        (
            {"auth_scheme": "oauth2/authorizationCode", "access_token": "", "refresh_token": " "},
            [("access_token or refresh_token", Code.MISSING_VALUE)],
        ),
    ],
)
def test_a_doubtful_or_incomplete_credential_is_refused_by_column(cells, found):
    [row] = mapped({**REFS, **cells})

    assert codes(row) == found


def test_an_unknown_scheme_is_answered_with_the_nearest_word():
    [row] = mapped({**REFS, "api_key": "k1", "auth_scheme": "APIKEY"})

    assert row.issues[0].fix == "Did you mean apiKey?"


def test_all_problems_of_a_row_come_at_once():
    [row] = mapped(
        {"provider": "", "group_ref": " acct-1", "consumer_ref": "1.23E+17", "access_token": "", "refresh_token": ""}
    )

    assert codes(row) == [
        ("provider", Code.MISSING_VALUE),
        ("group_ref", Code.BAD_REF),
        ("consumer_ref", Code.BAD_REF),
        ("access_token, refresh_token", Code.NO_CREDENTIAL),
    ]
    assert (row.provider, row.group_ref, row.consumer_ref) == ("", "", "")


def test_bad_rows_do_not_disturb_their_neighbours():
    rows = mapped(TOKENS, {**TOKENS, "group_ref": ""}, {**TOKENS, "group_ref": "acct-3"})

    assert [(row.row, row.request is not None, row.group_ref) for row in rows] == [
        (1, True, "acct-1"),
        (2, False, ""),
        (3, True, "acct-3"),
    ]


def test_a_chunk_without_rows_maps_to_none():
    read = Chunk("tokens.csv", [], pd.DataFrame(columns=list(TOKENS), dtype=object), [])

    assert Mapper(None, list(TOKENS), source="tokens.csv").map(read) == []


# --- the header ---


@pytest.mark.parametrize(
    ("columns", "message", "hint"),
    [
        (["provider", "groupref", "consumer_ref", "api_key"], "no column group_ref", "Did you mean groupref?"),
        (["group_ref", "consumer_ref", "api_key"], "no column provider", "--provider"),
        ([*REFS, "acces_token"], "acces_token", "Did you mean access_token?"),
        ([*REFS, "Api_Key"], "Api_Key", "Did you mean api_key?"),
        ([*REFS, "notes"], "no column with a credential", "api_key"),
        ([*REFS, "api_key", "api_key"], "2 columns named api_key", "Rename"),
    ],
)
def test_a_header_that_cannot_be_right_stops_before_the_first_row(columns, message, hint):
    with pytest.raises(SourceError) as caught:
        Mapper(None, columns, source="tokens.csv")

    assert message in str(caught.value)
    assert "tokens.csv" in str(caught.value)
    assert hint in caught.value.hint


def test_a_file_without_a_header_is_not_quoted():
    """Its first line is a row: the names of its columns are credentials."""
    with pytest.raises(SourceError) as caught:
        Mapper(None, ["salesforce", "acct-1", "user-1", ACCESS], source="tokens.csv")

    assert ACCESS not in str(caught.value) + caught.value.hint


def test_columns_that_fill_nothing_are_named_once():
    mapper = Mapper(None, [*TOKENS, "account_manager", "region"], source="tokens.csv")

    assert mapper.notes == ["columns not used: account_manager, region"]


def test_a_provider_given_beside_a_column_of_providers_is_said_to_fill_its_blanks():
    beside = Mapper(None, [*TOKENS], source="tokens.csv", provider="hubspot")
    alone = Mapper(None, [name for name in TOKENS if name != "provider"], source="tokens.csv", provider="hubspot")

    assert beside.notes == ["provider: taken from provider, and hubspot only where that is blank"]
    assert alone.notes == []


def test_the_provider_of_the_command_line_serves_where_no_column_names_one():
    cells = {"group_ref": "acct-1", "consumer_ref": "user-1", "api_key": "k1"}

    [without] = mapped(cells, provider="hubspot")
    other, blank = mapped({**cells, "provider": "stripe"}, {**cells, "provider": ""}, provider="hubspot")
    [given] = mapped({**cells, "key": "k1"}, mapping={**GIVEN_KEY, "provider": "crm"}, provider="hubspot")

    [filled] = mapped({**cells, "provider": "", "key": "k1"}, mapping=GIVEN_KEY, provider="hubspot")

    assert [row.provider for row in (without, other, blank, given, filled)] == [
        "hubspot", "stripe", "hubspot", "hubspot", "hubspot",
    ]  # fmt: skip
    with pytest.raises(ConfigError):
        mapped(cells, provider="hub spot")


# --- refs ---


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("acct-1", None),
        ("Ünïted Ärzte", None),
        ("123456789012345678901234567890", None),
        ("7d4f5c9e-8a51-4c39-9c1f-1f2e3d4c5b6a", None),
        ("someone@example.com", None),
        ("1E5", None),
        ("x" * 512, None),
        ("x" * 513, Code.BAD_REF),
        (" acct-1", Code.BAD_REF),
        ("acct-1\u00a0", Code.BAD_REF),
        ("acct\n1", Code.BAD_REF),
        ("acct\u200b1", Code.BAD_REF),
        ("acct\ud8001", Code.BAD_REF),
        ("1.23E+17", Code.BAD_REF),
        ("1,23e+17", Code.BAD_REF),
        ("1.23E17", Code.BAD_REF),
        ("{'id': 42}", Code.BAD_REF),
        ("[Acme]", None),
        ("42.0", Code.BAD_REF),
        ("4.2", None),
        ("42.0.1", None),
        ("ya29.fakefakefakefake", Code.CREDENTIAL_IN_REF),
        (" ya29.fakefakefakefake", Code.CREDENTIAL_IN_REF),
    ],
)
def test_a_ref_is_taken_as_it_is_or_refused(text, code):
    fault = ref_fault(text)

    assert (fault and fault.code) == code


@given(st.text(max_size=15))
def test_no_short_text_looks_like_a_token(text):
    """`ref_fault` lets short plain refs pass without a further look."""
    assert not looks_like_a_token(text)


@pytest.mark.parametrize("column", ["provider", "group_ref", "consumer_ref", "group_name", "consumer_name"])
def test_a_credential_of_its_own_row_in_an_open_field_is_refused_and_not_shown(column):
    [row] = mapped({**TOKENS, "group_name": "Acme", "consumer_name": "Someone", column: REFRESH})

    assert codes(row) == [(column, Code.CREDENTIAL_IN_REF)]
    assert REFRESH not in repr(row)


def test_a_user_name_may_be_the_consumers_unless_it_stands_for_a_key():
    both = {"username": "someone@example.com", "consumer_ref": "someone@example.com"}
    with_password, without = mapped({**REFS, **both, "password": "p1"}, {**REFS, **both, "password": ""})

    assert with_password.request is not None
    assert codes(without) == [("consumer_ref", Code.CREDENTIAL_IN_REF)]


def test_a_part_of_a_custom_credential_in_a_ref_is_found():
    [row] = mapped(
        {**REFS, "group_ref": "s2", "keys": "s1,s2"},
        mapping={**GIVEN_REFS, "customAuth": {"keys": {"column": "keys", "split": ","}}},
    )

    assert codes(row) == [("group_ref", Code.CREDENTIAL_IN_REF)]


@pytest.mark.parametrize("name", ["sales force", "Salesforce Inc.", " salesforce", "x" * 65, "https://crm"])
def test_a_provider_that_is_no_name_is_refused_and_not_shown(name):
    [row] = mapped({**REFS, "api_key": "k1", "provider": name})

    assert codes(row) == [("provider", Code.BAD_REF)]
    assert row.provider == ""


# --- an explicit mapping ---


def expiring(**time: str) -> dict[str, Any]:
    return {"accessToken": {"token": "key", "expiresAt": {"column": "key", **time}}}


def test_a_mapping_translates_templates_fills_and_defaults():
    mapping = {
        "provider": {"column": "crm", "values": {"SFDC": "salesforce"}, "default": "hubspot"},
        "groupRef": "account_id",
        "groupName": {"template": "{account_name} {{{account_id}}}"},
        "consumerRef": {"value": "everyone"},
        "providerMetadata": {"workspace": "subdomain"},
        "basicAuth": {"username": "user", "password": {"value": ""}},
    }
    cells = {"crm": " SFDC", "account_id": "7", "account_name": "Acme", "subdomain": " acme ", "user": "u1"}
    first, blank = mapped(cells, {**cells, "crm": "", "account_name": ""}, mapping=mapping)

    assert body(first) == {
        "provider": "salesforce",
        "groupRef": "7",
        "groupName": "Acme {7}",
        "consumerRef": "everyone",
        "providerWorkspaceRef": "acme",
        "providerMetadata": {"workspace": {"value": "acme", "source": "input"}},
        "basicAuth": {"username": "u1", "password": ""},
    }
    assert body(blank)["provider"] == "hubspot"
    assert "groupName" not in body(blank)


def test_a_value_that_the_table_does_not_translate_is_refused_even_with_a_default():
    mapping = {**GIVEN_KEY, "provider": {"column": "crm", "values": {"SFDC": "salesforce"}, "default": "hubspot"}}
    [row] = mapped({**REFS, "key": "k1", "crm": "HS"}, mapping=mapping)

    assert codes(row) == [("crm", Code.NOT_IN_VALUES)]


def test_workspace_and_metadata_fill_each_other_and_keep_what_each_says():
    mapping = {**GIVEN_KEY, "providerWorkspaceRef": "ref", "providerMetadata": {"workspace": "meta"}}
    cells = {**REFS, "key": "k1"}
    rows = mapped(
        {**cells, "ref": "a", "meta": ""}, {**cells, "ref": "", "meta": "b"}, {**cells, "ref": "a", "meta": "b"},
        {**cells, "ref": "", "meta": ""},
        mapping=mapping,
    )  # fmt: skip

    places = [
        (sent.get("providerWorkspaceRef"), sent.get("providerMetadata", {}).get("workspace", {}).get("value"))
        for sent in map(body, rows)
    ]
    assert places == [("a", "a"), ("b", "b"), ("a", "b"), (None, None)]


def test_a_constant_alone_is_no_credential():
    """A constant client id is in every row, also in those that carry an API key."""
    mapping = {
        **GIVEN_KEY,
        "oauth2ClientCredentials": {"clientId": {"value": "app-1"}, "clientSecret": "secret"},
    }
    key, client, neither = mapped(
        {**REFS, "key": "k1", "secret": ""}, {**REFS, "secret": "s1"}, {**REFS, "key": ""}, mapping=mapping
    )

    assert key.request is not None
    assert key.request.auth_scheme is AuthScheme.API_KEY
    assert client.request is not None
    assert client.request.auth_scheme is AuthScheme.CLIENT_CREDENTIALS
    assert codes(neither) == [("key, secret", Code.NO_CREDENTIAL)]


def test_a_block_of_constants_is_the_credential_of_every_row():
    [row] = mapped(REFS, mapping={**GIVEN_REFS, "apiKey": {"value": "k1"}})

    assert body(row)["apiKey"] == "k1"


@pytest.mark.parametrize(
    ("extra", "error", "message"),
    [
        ({"groupName": "acount_name"}, SourceError, "acount_name"),
        ({"groupName": {"template": "{account_name"}}, ConfigError, "brace"),
        ({"groupName": {"template": "{account_name.__class__}"}}, ConfigError, "template"),
        ({"groupName": {"template": "{account_name[0]}"}}, ConfigError, "template"),
        ({"groupName": {"template": "{account_name!r}"}}, ConfigError, "template"),
        ({"groupName": {"template": "{account_name:>9}"}}, ConfigError, "template"),
        ({"groupName": {"template": "{}"}}, ConfigError, "template"),
        ({"groupName": {"template": "Acme"}}, ConfigError, "names no column"),
        ({"groupName": {"column": "account_name", "json": "$["}}, ConfigError, "JSONPath"),
        ({"groupName": {"column": "account_name", "format": "epoch_s"}}, ConfigError, "no effect"),
        ({"groupName": {"column": "account_name", "split": ","}}, ConfigError, "no effect"),
        ({"groupName": {"value": "x", "json": "$.a"}}, ConfigError, "no effect"),
        ({"provider": {"value": "sales force"}}, ConfigError, "mapping.provider.value"),
        ({"authScheme": {"column": "account_name", "default": "apikey"}}, ConfigError, "mapping.authScheme.default"),
        ({"basicAuth": {"username": "account_name"}}, ConfigError, "basicAuth.password"),
        ({"oauth2ClientCredentials": {"clientId": "account_name"}}, ConfigError, "clientSecret"),
        ({"oauth2AuthorizationCode": expiring(zone="CEST5")}, ConfigError, "CEST5"),
        ({"oauth2AuthorizationCode": expiring(format="epoch")}, ConfigError, "epoch"),
        ({"oauth2AuthorizationCode": expiring(format="%Q")}, ConfigError, "%Q"),
    ],
)  # fmt: skip
def test_a_mapping_that_cannot_be_right_stops_before_the_first_row(extra, error, message):
    specs = read_mapping({**GIVEN_KEY, **extra}, "config.toml")
    columns = [*REFS, "key", "account_name"]

    with pytest.raises(error) as caught:
        Mapper(specs, columns, source="tokens.csv")
    assert message in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("left_out", ["provider", "groupRef", "consumerRef", "apiKey"])
def test_a_mapping_without_what_every_row_needs_is_refused(left_out):
    mapping = {path: FieldSpec(column=column) for path, column in GIVEN_KEY.items() if path != left_out}

    with pytest.raises(ConfigError):
        Mapper(mapping, [*REFS, "key"], source="tokens.csv")


# --- times ---


def read_time(cell: Any, format: str | None = None, zone: str | None = None) -> Any:  # noqa: A002 - the setting
    [time] = DateReader(format, zone, on_naive=lambda _zone: None)([cell])
    return time


NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
NOON_S = int(NOON.timestamp())


@pytest.mark.parametrize(
    ("cell", "format", "zone"),
    [
        ("2026-01-31T12:00:00Z", None, None),
        ("2026-01-31T12:00:00.000000000Z", None, None),
        ("2026-01-31 12:00:00+00", None, None),
        ("2026-01-31 12:00:00 UTC", None, None),
        ("2026-01-31 12:00:00z", None, None),
        ("2026-01-31 12:00:00 +0000", None, None),
        (" 2026-01-31T13:00:00+01:00 ", None, None),
        ("2026-01-31T12:00:00", None, None),
        ("2026-01-31T13:00:00", "iso8601", "Europe/Berlin"),
        (str(NOON_S), "epoch_s", None),
        (f"{NOON_S}.0", "epoch_s", None),
        (str(NOON_S * 1000), "epoch_ms", None),
        (str(NOON_S * 10**6), "epoch_us", None),
        (str(NOON_S), "auto", None),
        (str(NOON_S * 1000), "auto", None),
        (str(NOON_S * 10**6), "auto", None),
        ("2026-01-31T12:00:00Z", "auto", None),
        ("31/01/2026 12:00", "%d/%m/%Y %H:%M", None),
        ("31/01/2026 13:00", "%d/%m/%Y %H:%M", "Europe/Berlin"),
        ("31/01/2026 13:00 +0100", "%d/%m/%Y %H:%M %z", None),
        ("Jan 31 2026 12:00", "%b %d %Y %H:%M", None),
        (2026013112, "%Y%m%d%H", None),
        (NOON_S, None, None),
        (NOON_S * 1000, None, None),
        (float(NOON_S), "auto", None),
        (Decimal(NOON_S), "epoch_s", None),
        (NOON, None, None),
        (NOON, "epoch_s", None),
        (NOON.astimezone(timezone(timedelta(hours=5))), None, None),
        (NOON.replace(tzinfo=None), None, None),
        (pd.Timestamp(NOON), None, None),
        (pd.Timestamp(NOON), "%Y", None),
    ],
)
def test_a_time_is_read_in_its_format_and_zone(cell, format, zone):  # noqa: A002 - the setting
    time = read_time(cell, format, zone)

    assert time == NOON
    assert type(time) is datetime
    assert time.utcoffset() == timedelta(0)


def test_a_date_is_its_midnight():
    assert read_time(date(2026, 1, 31), None, "Europe/Berlin") == datetime(2026, 1, 30, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cell", "format", "reason"),
    [
        (str(NOON_S), "epoch_ms", "read as milliseconds since 1970 this falls in the year 1970, outside 2000 to 2100"),
        (str(NOON_S * 1000), "epoch_s", "read as seconds since 1970 this falls in no year of four digits"),
        ("9" * 20, "auto", "read as microseconds since 1970 this falls in no year of four digits"),
        ("-1", "auto", "read as seconds since 1970 this falls in no year"),
        ("1999-12-31T23:59:59Z", None, "this falls in the year 1999"),
        ("0001-01-01T00:00:00+05:00", None, "this falls in the year 1"),
        ("31/01/1926", "%d/%m/%Y", "this falls in the year 1926"),
        (str(NOON_S), None, "no ISO 8601 time"),
        ("3600", None, "no ISO 8601 time"),
        ("now", None, "no ISO 8601 time"),
        ("now", "%Y-%m-%d", "not written as %Y-%m-%d"),
        ("Today", "%Y-%m-%d", "not written as %Y-%m-%d"),
        ("NaT", "%Y-%m-%d", "not written as %Y-%m-%d"),
        ("31.01.2026", "%d/%m/%Y", "not written as %d/%m/%Y"),
        ("soon", "epoch_s", "no number of seconds"),
        ("1e9", "epoch_s", "no number of seconds"),
        ("nan", "epoch_s", "no number of seconds"),
        ("9" * 5000, "epoch_s", "no number of seconds"),
        (10**400, None, "no year of four digits"),
        (Decimal("1e99999999"), None, "no year of four digits"),
        (Decimal("-1e99999999"), "epoch_ms", "no year of four digits"),
        (Decimal("NaN"), None, "no date or time"),
        (Decimal("NaN"), "epoch_s", "no date or time"),
        (float("inf"), None, "no year of four digits"),
        (True, None, "no date or time"),
        ([NOON], None, "no date or time"),
    ],
)
def test_a_cell_that_is_no_time_says_how_it_was_read(cell, format, reason):  # noqa: A002 - the setting
    fault = read_time(cell, format)

    assert fault.code is Code.BAD_DATE
    assert reason in fault.reason


EXPIRES_IN = {"column": "expires_in", "format": "expires_in", "since": "issued"}


def lasting(expires_in: Any, issued: Any, **options: str) -> tuple[MappedRow, list[str]]:
    """A row whose token lasts so long from then on, and the notes."""
    given = {"accessToken": {"token": "access_token", "expiresAt": {**EXPIRES_IN, **options}}}
    specs = read_mapping({**GIVEN_REFS, "oauth2AuthorizationCode": given}, "config.toml")
    read = chunk([{**TOKENS, "expires_in": expires_in, "issued": issued}] * 2)
    mapper = Mapper(specs, list(read.frame.columns), source="tokens.csv")
    return mapper.map(read)[0], mapper.notes


@pytest.mark.parametrize(
    ("expires_in", "issued", "options"),
    [
        ("3600", "2026-01-31T11:00:00Z", {}),
        (" 3600.0 ", "2026-01-31 11:00:00+00:00", {}),
        (3600, NOON_S - 3600, {}),
        (Decimal(3600), f"{(NOON_S - 3600) * 1000}", {}),
        ("3600", (NOON_S - 3600) * 1_000_000, {}),
        (1800.5, datetime(2026, 1, 31, 11, 29, 59, 500_000, tzinfo=UTC), {}),
        ("0", "2026-01-31T12:00:00Z", {}),
        ("", "2026-01-31T11:00:00Z", {"default": "3600"}),
        ("3600", "2026-01-31 12:00:00", {"zone": "Europe/Berlin"}),
    ],
)
def test_a_duration_ends_so_many_seconds_after_its_moment(expires_in, issued, options):
    row, _ = lasting(expires_in, issued, **options)

    assert body(row)["oauth2AuthorizationCode"]["accessToken"]["expiresAt"] == "2026-01-31T12:00:00Z"


def test_a_duration_may_be_the_same_for_all_rows():
    expires = {"value": "3600", "format": "expires_in", "since": "issued"}
    mapping = {
        **GIVEN_REFS,
        "oauth2AuthorizationCode": {"accessToken": {"token": "access_token", "expiresAt": expires}},
    }
    [row] = mapped({**TOKENS, "issued": NOON_S - 3600}, mapping=mapping)

    assert body(row)["oauth2AuthorizationCode"]["accessToken"]["expiresAt"] == "2026-01-31T12:00:00Z"


@pytest.mark.parametrize("issued", ["", None, " "])
def test_a_duration_without_its_moment_is_left_out_and_said_once(issued):
    row, notes = lasting("3600", issued)

    assert body(row)["oauth2AuthorizationCode"]["accessToken"] == {"token": ACCESS}
    assert notes == [
        "expires_in: where issued is blank, nobody knows when the token expires, and expiresAt is left out"
    ]


@pytest.mark.parametrize("issued", ["", NOON_S])
def test_without_a_duration_there_is_nothing_to_say(issued):
    row, notes = lasting("", issued)

    assert body(row)["oauth2AuthorizationCode"]["accessToken"] == {"token": ACCESS}
    assert notes == []


def test_the_zone_of_a_moment_that_has_none_is_noted():
    _, notes = lasting("3600", "2026-01-31 11:00:00", zone="Europe/Berlin")

    assert notes == ["issued: times without a zone are read as Europe/Berlin"]


@pytest.mark.parametrize(
    ("expires_in", "issued", "reason"),
    [
        ("-1", NOON_S, "a negative number of seconds, or more than ten years"),
        (str(NOON_S), NOON_S, "a negative number of seconds, or more than ten years"),
        (float("inf"), NOON_S, "a negative number of seconds, or more than ten years"),
        ("an hour", NOON_S, "no number of seconds"),
        ("2026-01-31T12:00:00Z", NOON_S, "no number of seconds"),
        (True, NOON_S, "no number of seconds"),
        ([3600], NOON_S, "no number of seconds"),
        ("3600", "soon", "this counts from issued, and of that: this is no ISO 8601 time"),
        ("3600", "60", "this counts from issued, and of that: this is a number of seconds from some moment on"),
        ("315360000", "2095-01-01T00:00:00Z", "this falls in the year 2104"),
    ],
)
def test_a_duration_that_is_none_is_one_problem(expires_in, issued, reason):
    row, _ = lasting(expires_in, issued)

    assert codes(row) == [("expires_in", Code.BAD_DATE)]
    assert reason in row.issues[0].reason


@pytest.mark.parametrize(
    ("time", "spec", "message"),
    [
        ("expiresAt", {"column": "expires_in", "format": "expires_in"}, "a duration is nothing without its moment"),
        ("issuedAt", {"column": "expires_in", "format": "expires_in"}, "a duration is nothing without its moment"),
        ("issuedAt", EXPIRES_IN, "no effect there"),
        ("expiresAt", {"column": "expires_in", "since": "issued"}, "since has no effect there"),
        ("expiresAt", {**EXPIRES_IN, "since": "isued"}, "no column isued"),
        ("expiresAt", {**EXPIRES_IN, "since": "$.issued"}, "no column $.issued"),
        ("expiresAt", {**EXPIRES_IN, "default": "an hour"}, "expiresAt.default: this is no number of seconds"),
    ],
)
def test_a_duration_that_no_row_could_have_stops_before_the_first_row(time, spec, message):
    mapping = {**GIVEN_REFS, "oauth2AuthorizationCode": {"accessToken": {"token": "access_token", time: spec}}}

    with pytest.raises(ImporterError) as caught:
        mapped({**TOKENS, "expires_in": "3600", "issued": NOON_S}, mapping=mapping)

    assert message in str(caught.value)


@pytest.mark.parametrize("provider", ["zendeskSupport", "nosuch", ""])
def test_a_workspace_is_cut_out_of_the_addresses_of_salesforce_only(provider):
    mapping = {**GIVEN_KEY, "providerWorkspaceRef": {"column": "url", "label_of": provider}}

    with pytest.raises(ConfigError, match=r"mapping\.providerWorkspaceRef\.label_of is not known") as caught:
        mapped({**TOKENS, "key": "k1", "url": "https://acme.zendesk.com"}, mapping=mapping)

    assert "salesforce" in (caught.value.hint or "")


def test_a_time_without_a_zone_is_noted_when_one_is_met():
    columns = [*TOKENS, "access_token_expires_at"]
    mapper = Mapper(None, columns, source="tokens.csv")

    mapper.map(chunk([{**TOKENS, "access_token_expires_at": "2026-01-31T12:00:00Z"}]))
    assert mapper.notes == []

    mapper.map(chunk([{**TOKENS, "access_token_expires_at": "2026-01-31 12:00:00"}] * 2))
    assert mapper.notes == ["access_token_expires_at: times without a zone are read as UTC"]


# --- lists and JSON ---


@pytest.mark.parametrize(
    ("cell", "split", "scopes"),
    [
        ("a b", None, ("a", "b")),
        ("a,b, c\tb", None, ("a", "b", "c")),
        ('["a b", "c"]', None, ("a b", "c")),
        ("a b", " ", ("a", "b")),
        ("a|b c|", "|", ("a", "b c")),
        ('["a"]', "json", ("a",)),
        ("[]", None, None),
        (" , ", None, None),
        ("", None, None),
        (None, None, None),
        (["a", None, "b", "a"], None, ("a", "b")),
        (pd.Series(["a", "b"], dtype=object).to_numpy(), None, ("a", "b")),
        ("['a', 'b']", None, Code.BAD_SCOPES),
        ("['a', 'b']", "json", Code.BAD_SCOPES),
        ("[1.5]", None, Code.BAD_SCOPES),
        ('{"a": 1}', "json", Code.BAD_SCOPES),
        ("[" * 100_000, "json", Code.BAD_SCOPES),
        (["a", True], None, Code.BAD_SCOPES),
        (7, None, Code.BAD_SCOPES),
    ],
)
def test_scopes_are_split_in_order_without_blanks_and_duplicates(cell, split, scopes):
    [read] = list_reader(split)([cell])

    assert (read.code if isinstance(scopes, Code) else read) == scopes


JSON_MAPPING = {
    **GIVEN_REFS,
    "oauth2AuthorizationCode": {
        "accessToken": {
            "token": {"column": "extra", "json": "$.access_token"},
            "expiresAt": {"column": "extra", "json": "$.expires", "format": "auto"},
        },
        "refreshToken": {"token": {"column": "extra", "json": "$.old[0].refresh_token"}},
    },
}


@pytest.mark.parametrize("as_text", [True, False])
def test_fields_are_found_in_a_json_column(as_text):
    extra = {"access_token": ACCESS, "expires": NOON_S, "old": [{"refresh_token": REFRESH}]}
    [row] = mapped({**REFS, "extra": json.dumps(extra) if as_text else extra}, mapping=JSON_MAPPING)

    assert body(row)["oauth2AuthorizationCode"] == {
        "accessToken": {"token": ACCESS, "expiresAt": "2026-01-31T12:00:00Z"},
        "refreshToken": {"token": REFRESH},
    }


@pytest.mark.parametrize(
    ("extra", "found"),
    [
        ("{}", [("extra", Code.NO_CREDENTIAL)]),
        ('"text"', [("extra", Code.NO_CREDENTIAL)]),
        ('{"access_token": null}', [("extra", Code.NO_CREDENTIAL)]),
        ("", [("extra", Code.NO_CREDENTIAL)]),
        ("{", [("extra", Code.BAD_JSON)]),
        ("{'access_token': None}", [("extra", Code.BAD_JSON)]),
        (7, [("extra", Code.BAD_JSON)]),
        ('{"access_token": {"a": 1}}', [("extra", Code.BAD_TYPE)]),
        ('{"access_token": true}', [("extra", Code.BAD_TYPE)]),
        ('{"access_token": "\\ud800"}', [("extra", Code.BAD_JSON)]),
    ],
)
def test_json_that_does_not_hold_the_field_is_one_problem(extra, found):
    [row] = mapped({**REFS, "extra": extra}, mapping=JSON_MAPPING)

    assert codes(row) == found


def test_a_python_repr_is_called_by_its_name():
    [row] = mapped({**REFS, "extra": "{'access_token': None}"}, mapping=JSON_MAPPING)

    assert "Python" in row.issues[0].reason


def test_json_nested_too_deeply_is_one_problem():
    deep = '{"a":' * 900 + '"k1"' + "}" * 900
    [row] = mapped({**REFS, "key": deep}, mapping={**GIVEN_REFS, "apiKey": {"column": "key", "json": "$..b"}})

    assert codes(row) == [("key", Code.BAD_JSON)]


def test_a_json_path_to_several_values_is_refused():
    [row] = mapped(
        {**REFS, "key": '{"a": "k1", "b": "k2"}'}, mapping={**GIVEN_REFS, "apiKey": {"column": "key", "json": "$.*"}}
    )

    assert codes(row) == [("key", Code.BAD_JSON)]
    assert "matches 2 values" in row.issues[0].reason


# --- typed cells ---


def test_typed_cells_of_parquet_map():
    [row] = mapped(
        {
            "provider": "salesforce",
            "group_ref": 9_007_199_254_740_993,
            "consumer_ref": uuid.UUID(int=7),
            "group_name": Decimal(42),
            "access_token": ACCESS,
            "access_token_expires_at": pd.Timestamp("2026-01-31T12:00:00Z"),
            "access_token_issued_at": NOON_S,
            "refresh_token": float("nan"),
            "refresh_token_expires_at": pd.NaT,
            "scopes": ["a", "b"],
            "metadata": {"workspace": "acme", "region": None, "id": 7},
        }
    )

    assert body(row) == {
        "provider": "salesforce",
        "groupRef": "9007199254740993",
        "groupName": "42",
        "consumerRef": "00000000-0000-0000-0000-000000000007",
        "providerWorkspaceRef": "acme",
        "providerMetadata": {
            "workspace": {"value": "acme", "source": "input"},
            "id": {"value": "7", "source": "input"},
        },
        "oauth2AuthorizationCode": {
            "accessToken": {"token": ACCESS, "expiresAt": "2026-01-31T12:00:00Z", "issuedAt": "2026-01-31T12:00:00Z"},
            "scopes": ["a", "b"],
        },
    }


def test_a_struct_of_custom_auth_may_hold_lists():
    [row] = mapped({**REFS, "custom_auth": {"key": " k1 ", "scopes": ["a", "b"], "none": None}})

    assert body(row)["customAuth"] == {"key": "k1", "scopes": ["a", "b"]}


@pytest.mark.parametrize(
    ("column", "cell", "code"),
    [
        ("group_ref", 123.0, Code.BAD_REF),
        ("group_ref", True, Code.BAD_TYPE),
        ("group_ref", ["a"], Code.BAD_TYPE),
        ("group_ref", {"a": "b"}, Code.BAD_TYPE),
        ("group_ref", b"a", Code.BAD_TYPE),
        ("api_key", 1.5, Code.BAD_TYPE),
        ("api_key", Decimal("1.0"), Code.BAD_TYPE),
        ("metadata", {"a": {"b": "c"}}, Code.BAD_TYPE),
        ("metadata", ["a"], Code.BAD_TYPE),
        ("auth_scheme", 1, Code.WRONG_SCHEME),
    ],
)
def test_a_typed_cell_without_one_spelling_is_refused(column, cell, code):
    [row] = mapped({**REFS, "api_key": "k1", column: cell})

    assert codes(row) == [(column, code)]


# --- nothing quotes a cell ---

CANARY = "fake-canary-Zq7"
EVERY_COLUMN = [
    "provider", "group_ref", "group_name", "consumer_ref", "consumer_name", "provider_workspace_ref", "api_key",
    "username", "password", "client_id", "client_secret", "access_token", "access_token_expires_at",
    "access_token_issued_at", "refresh_token", "refresh_token_expires_at", "refresh_token_issued_at", "scopes",
    "metadata", "metadata.region", "custom_auth", "custom_auth.key", "auth_scheme",
]  # fmt: skip

EVERY_PATH = {
    **GIVEN_REFS,
    "provider": {"column": "provider", "values": {"SFDC": "salesforce"}},
    "groupName": {"template": "{group_ref} ({consumer_ref})"},
    "authScheme": "auth_scheme",
    "apiKey": {"column": "metadata", "json": "$..region"},
    "basicAuth": {"username": "username", "password": "password"},
    "providerMetadata": {"region": "metadata.region"},
    "customAuth": {"key": {"column": "custom_auth.key", "split": "|"}},
    "oauth2AuthorizationCode": {
        "accessToken": {
            "token": {"column": "custom_auth", "json": "$.key"},
            "expiresAt": {"column": "access_token_expires_at", "format": "%Y-%m-%d %H:%M %z"},
            "issuedAt": {"column": "access_token_issued_at", "format": "epoch_ms"},
        },
        "refreshToken": {"token": "refresh_token", "expiresAt": {"column": "refresh_token_expires_at"}},
        "scopes": {"column": "scopes", "split": "json"},
    },
}

_text = st.text(max_size=40)
_canaries = st.sampled_from(
    [CANARY, f" {CANARY}", f"{CANARY}\n",
     f'{{"{CANARY}": 1}}', f'{{"key": "{CANARY}"}}', f"['{CANARY}']", f'["{CANARY}"',
     f"2026-01-01 {CANARY}", f"{CANARY} UTC", f'{{"{CANARY}": "\\ud800", "key": "\\ud800"}}', f'{{"": "{CANARY}"}}']
)  # fmt: skip
_good = st.sampled_from(["", "acct-1", "2026-01-01T00:00:00Z", "apiKey", "oauth2/authorizationCode", '{"a": "b"}'])
_typed = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.decimals(allow_nan=False), st.datetimes(), st.dates(),
    st.binary(), st.lists(_canaries | st.none(), max_size=3),
    st.dictionaries(_canaries, _canaries | st.integers(), max_size=3),
)  # fmt: skip


def said_of(rows: Sequence[MappedRow], mapper: Mapper) -> str:
    return repr([row.issues for row in rows]) + repr(mapper.notes)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.lists(_canaries | _good | _text | _typed, min_size=len(EVERY_COLUMN), max_size=len(EVERY_COLUMN)),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
@example([[CANARY] * len(EVERY_COLUMN)], False)
@example([[CANARY] * len(EVERY_COLUMN)], True)
def test_no_cell_breaks_the_mapping_or_is_quoted(rows, explicit):
    specs = read_mapping(EVERY_PATH, "config.toml") if explicit else None
    mapper = Mapper(specs, EVERY_COLUMN, source="tokens.csv")

    results = mapper.map(chunk([dict(zip(EVERY_COLUMN, row, strict=True)) for row in rows]))

    assert len(results) == len(rows)
    assert CANARY not in said_of(results, mapper)
    for result in results:
        assert (result.request is None) == bool(result.issues)
        assert result.request is None or body_of(result.request).json


@pytest.mark.parametrize("swapped", [name for name in TOKENS if name != "access_token"])
def test_two_swapped_columns_show_no_token(swapped):
    token = "00Dfake000000001!" + "fake.Token1" * 3
    cells = {**TOKENS, "access_token": TOKENS[swapped], swapped: token}
    [row] = mapped(cells)

    assert token not in repr(row)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(EVERY_COLUMN[:5]), st.sampled_from([*EVERY_COLUMN[6:12], "refresh_token"]))
def test_a_column_mapped_twice_shows_no_credential(opened, secret):
    cells = {**REFS, "password": "", "client_id": "", "client_secret": "", opened: CANARY, secret: CANARY}
    [row] = mapped(cells)

    assert CANARY not in repr((row.issues, row.provider, row.group_ref, row.consumer_ref))


@pytest.mark.parametrize("path", ["groupRef", "apiKey", "authScheme", "provider"])
def test_a_wrong_constant_is_not_quoted(path):
    mapping = {**GIVEN_KEY, path: {"value": f"ya29.{CANARY}\n"}}
    text = ""
    try:
        Mapper(read_mapping(mapping, "config.toml"), [*REFS, "key"], source="tokens.csv")
    except ImporterError as error:
        text = f"{error} {error.hint}"

    assert CANARY not in text
    assert bool(text) == (path != "apiKey")
