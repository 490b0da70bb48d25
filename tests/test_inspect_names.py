"""A look understands how people name columns, loses none without a word, and shows no name that could be a cell."""

import json
import sqlite3
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from desk import Ended, write_csv

from importer.catalog.cache import default_path, save
from importer.config import load_config
from importer.fields import read_mapping
from importer.inspection.header import reads_as_a_column
from importer.inspection.names import rank

Importer = Callable[..., Ended]

TOKENS = "oauth2AuthorizationCode"
ACCESS, EXPIRES = f"{TOKENS}.accessToken.token", f"{TOKENS}.accessToken.expiresAt"
REFRESH, SCOPES = f"{TOKENS}.refreshToken.token", f"{TOKENS}.scopes"
JWT = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJmYWtlIn0.fake"

REFS = {"org_id": "acme", "user_id": "u1", "crm": "hubspot"}


@pytest.fixture
def looked(importer: Importer, home: Path) -> Callable[..., dict[str, Any]]:
    """What `inspect --json` says of rows, or of a file that is there."""

    def look(*rows: dict[str, str], path: str = "rows.csv") -> dict[str, Any]:
        if rows:
            write_csv(home / path, rows)
        ended = importer("inspect", path, "--json")
        assert ended.exit_code == 0, ended.err
        found: dict[str, Any] = json.loads(ended.out)
        return found

    return look


def rows_of(header: str, values: Sequence[str]) -> list[dict[str, str]]:
    """Three rows; `{n}` in a value is the number of its row."""
    return [dict(zip(header.split(","), (v.format(n=n) for v in values), strict=True)) for n in range(3)]


def column_of(given: Any) -> str:
    return given["column"] if isinstance(given, dict) else given


# names are understood by their words


@pytest.mark.parametrize(
    ("header", "values", "mapped"),
    [
        (
            "org,uid,service,acc_tok,ref_tok,expiry_ms,permissions,subdomain",
            ["acme{n}", "u-{n}", "hubspot", "fake-access-{n}", "fake-refresh-{n}", "189609120000{n}", "a.b c.d", "x"],
            {"groupRef": "org", "consumerRef": "uid", "provider": "service", ACCESS: "acc_tok", REFRESH: "ref_tok",
             EXPIRES: "expiry_ms", SCOPES: "permissions", "providerMetadata.workspace": "subdomain"},
        ),
        (
            "id,team_id,member_id,crm,tok,rtok,exp,scopes",
            ["{n}", "t{n}", "u-{n}", "hubspot", "fake-access-{n}", "fake-refresh-{n}", "189609120{n}", "a.b c.d"],
            {"groupRef": "team_id", "consumerRef": "member_id", "provider": "crm", ACCESS: "tok", REFRESH: "rtok",
             EXPIRES: "exp", SCOPES: "scopes"},
        ),
        (
            "Workspace ID,User ID,Vendor,JWT,Refresh,Expires,Scopes",
            ["t{n}", "u-{n}", "hubspot", JWT, "fake-refresh-{n}", "189609120{n}", "a.b c.d"],
            {"groupRef": "Workspace ID", "consumerRef": "User ID", "provider": "Vendor", ACCESS: "JWT",
             REFRESH: "Refresh", EXPIRES: "Expires", SCOPES: "Scopes"},
        ),
        (
            "customer_uuid,org_slug,user_uuid,crm,token",
            ["123e4567-e89b-12d3-a456-42661417400{n}", "acme", "123e4567-e89b-12d3-a456-426614174000", "hubspot",
             "fake-token-{n}"],
            {"groupRef": "customer_uuid", "consumerRef": "user_uuid", "provider": "crm", ACCESS: "token"},
        ),
        (
            "org_slug,user_uuid,crm,login,pw",
            ["acme", "u-{n}", "freshdesk", "fake-login-{n}", "fake-pw-{n}"],
            {"groupRef": "org_slug", "consumerRef": "user_uuid", "provider": "crm", "basicAuth.username": "login",
             "basicAuth.password": "pw"},
        ),
    ],
    ids=["short", "shorter", "jwt", "kinds of id", "basic"],
)  # fmt: skip
def test_abbreviated_names_are_mapped(looked: Any, header: str, values: list[str], mapped: dict[str, str]) -> None:
    found = looked(*rows_of(header, values))

    assert {path: column_of(given) for path, given in found["mapping"].items()} == mapped
    assert (found["sendable_rows"], found["open"]) == (3, [])


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("accTok", ACCESS), ("access_jwt", ACCESS), ("hs_acc_tok", ACCESS), ("atok", ACCESS), ("refTok", REFRESH),
        ("hubspot_ref_tok", REFRESH), ("valid_till", EXPIRES), ("expires_timestamp", EXPIRES), ("exp_ts", EXPIRES),
        ("acc_tok_exp_ms", EXPIRES), ("my_expiration_date", EXPIRES), ("expires_in_seconds", EXPIRES),
        ("ref_tok_exp", f"{TOKENS}.refreshToken.expiresAt"), ("acct_id", "groupRef"), ("cust_uuid", "groupRef"),
        ("uid", "consumerRef"), ("usr_uid", "consumerRef"), ("db_pw", "basicAuth.password"), ("perms", SCOPES),
        ("tool", "provider"),
    ],
)  # fmt: skip
def test_a_name_is_understood_by_its_words(name: str, path: str) -> None:
    assert rank(name, path) is not None


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("ref", REFRESH), ("acc", ACCESS), ("acc_id", ACCESS), ("id_token", ACCESS), ("csrf_tok", ACCESS),
        ("expires_in_ms", EXPIRES), ("provider_uid", "consumerRef"), ("pw_hash", "basicAuth.password"),
    ],
)  # fmt: skip
def test_a_name_that_only_sounds_alike_is_another(name: str, path: str) -> None:
    assert rank(name, path) is None


def test_a_usual_name_counts_more_than_one_that_is_written_out() -> None:
    """Also where a slug stands beside a UUID: the slug is the less likely one to be passed as a ref."""
    places = [rank(name, "groupRef") for name in ("org_id", "organisation", "org_uuid", "org_slug", "my_customer_id")]

    assert None not in places
    assert places == sorted(places, key=lambda place: place or 0)


def test_seconds_in_the_name_of_a_duration_are_no_other_thing(looked: Any) -> None:
    row = REFS | {"token": "fake-token-1", "expires_in_seconds": "3600", "issued_at": "1893456000"}

    expires = looked(row)["mapping"][EXPIRES]
    assert expires == {"column": "expires_in_seconds", "format": "expires_in", "since": "issued_at"}


def test_a_value_inside_json_is_understood_with_the_name_of_its_object(looked: Any, home: Path) -> None:
    rows = [
        {"tenant": {"id": f"t{n}", "name": "Acme"}, "user": {"id": f"u{n}", "mail": f"u{n}@acme.example"},
         "connection": {"provider": "hubspot", "access": {"token": f"fake-access-{n}"},
                        "refresh": {"token": f"fake-refresh-{n}", "expires": 1896091200}}}
        for n in range(3)
    ]  # fmt: skip
    (home / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))

    mapping = looked(path="rows.jsonl")["mapping"]

    assert {path: (spec["column"], spec["json"]) for path, spec in mapping.items()} == {
        "provider": ("connection", "$.provider"),
        "groupRef": ("tenant", "$.id"),
        "consumerRef": ("user", "$.id"),
        "groupName": ("tenant", "$.name"),
        ACCESS: ("connection", "$.access.token"),
        REFRESH: ("connection", "$.refresh.token"),
        f"{TOKENS}.refreshToken.expiresAt": ("connection", "$.refresh.expires"),
    }


def test_a_refresh_token_alone_in_an_object_is_no_access_token(looked: Any, home: Path) -> None:
    row = {**REFS, "refresh": {"token": "fake-refresh-token-1"}}
    (home / "rows.jsonl").write_text(json.dumps(row))

    mapping = looked(path="rows.jsonl")["mapping"]
    assert (REFRESH in mapping, ACCESS in mapping) == (True, False)


# no column is lost without a word


@pytest.mark.parametrize(("name", "is_sure"), [("renewal", True), ("offline_key", True), ("second", False)])
def test_the_only_other_token_is_the_refresh_token(looked: Any, name: str, is_sure: bool) -> None:
    row = REFS | {"token": "fake-access-token-1", name: "fake-refresh-token-1"}
    found = looked(row)

    line = next(line for line in found["toml"].splitlines() if REFRESH in line)
    assert (found["mapping"].get(REFRESH) == name, line.startswith("# "), "# ? " in line) == (
        is_sure, not is_sure, not is_sure,
    )  # fmt: skip
    assert f'{REFRESH} = "{name}"' in line


def test_the_only_other_token_is_the_access_token_and_a_person_says_so(looked: Any) -> None:
    found = looked(REFS | {"refresh_token": "fake-refresh-token-1", "zeta": "fake-access-token-1"})

    assert ACCESS not in found["mapping"]
    assert f'# {ACCESS} = "zeta"' in found["toml"]


@pytest.mark.parametrize("more", [{"one": "fake-refresh-token-1", "two": "fake-another-token-1"},
                                  {"id_token": "fake-refresh-token-1"},
                                  {"client_secret": "fake-secret-token-1"}])  # fmt: skip
def test_a_refresh_token_is_not_guessed_where_it_is_not_plain(looked: Any, more: dict[str, str]) -> None:
    found = looked(REFS | {"token": "fake-access-token-1"} | more)

    assert REFRESH not in found["toml"]
    assert f"# ? not used: {', '.join(more)} (" in found["toml"]


@pytest.mark.parametrize(
    ("value", "look"),
    [
        ("xoxb-fake-fake-fake-1", "tokens of 21 characters"),
        (JWT, f"JWTs of {len(JWT)} characters"),
        ("gAAAAAfakefakefakefakefake", "encrypted: this is a Fernet token"),
        ("-----BEGIN PRIVATE KEY-----fake", "private keys of 31 characters"),
        ("fake-opaque-value-1", "opaque texts of 19 characters"),
        ("1896091200", "epochs in s (10 digits)"),
        ("2030-01-31T12:00:00Z", "ISO 8601 times with a zone"),
        ("a|b|c", "lists, separated by |"),
    ],
)
def test_a_column_that_could_belong_to_a_credential_is_named_where_it_is_not_used(
    looked: Any, value: str, look: str
) -> None:
    row = REFS | {"token": "fake-access-token-1", "refresh_token": "fake-refresh-token-1"}
    found = looked(row | {"alpha": value, "beta": value, "plain": "word"})

    assert f"# ? not used: alpha, beta ({look})" in found["toml"].splitlines()
    assert "plain" not in found["toml"]
    assert found["open"] == [{"field": "", "why": f"not used: alpha, beta ({look})"}]
    assert read_mapping(tomllib.loads(found["toml"])["mapping"], "the screen")


def test_a_name_with_a_line_break_stays_on_its_line(looked: Any) -> None:
    found = looked(REFS | {"token": "fake-access-token-1", "seen\nprovider": "1896091200"})

    assert "# ? not used: seen\\nprovider (" in found["toml"]
    assert tomllib.loads(found["toml"])["mapping"]["provider"] == "crm"


def test_a_value_inside_json_that_is_not_used_is_named_by_its_path(looked: Any) -> None:
    blob = json.dumps({"access_token": "fake-access-token-1", "seen": 1896091200})
    found = looked(REFS | {"blob": blob})

    assert "# ? not used: blob $.seen (epochs in s (10 digits))" in found["toml"]


def test_scopes_and_times_go_with_a_token_that_is_told_by_its_look(looked: Any) -> None:
    mapping = looked(REFS | {"zeta": "fake-access-token-1", "scopes": "a.b c.d", "expires": "1896091200"})["mapping"]

    assert (mapping[ACCESS], mapping[SCOPES], column_of(mapping[EXPIRES])) == ("zeta", "scopes", "expires")


# the catalog that is kept


CATALOG = {
    "marketo": {
        "name": "marketo", "authType": "apiKey", "baseURL": "https://{{.workspace}}.mktorest.example",
        "metadata": {"input": [{"name": "workspace", "displayName": "Munchkin Account ID"}]},
    },
    "slack": {"name": "slack", "authType": "apiKey", "baseURL": "https://slack.example"},
}  # fmt: skip


@pytest.fixture
def catalog(home: Path, sandbox: Any) -> Iterator[None]:
    """A catalog as it is kept after it was asked for."""
    kept = default_path(load_config(home / "config.toml", sandbox.environment()).api_root)
    assert save(kept, json.dumps(CATALOG).encode(), time.time())
    yield
    kept.unlink()


def keyed(crm: str, **more: str) -> dict[str, str]:
    return {"org_id": "acme", "user_id": "u1", "crm": crm, "api_key": "fake-key-1", **more}


def test_rows_that_the_kept_catalog_refuses_are_not_promised(looked: Any, catalog: None) -> None:
    found = looked(keyed("marketo"), keyed("slack"), keyed("marketo"))

    assert found["sendable_rows"] == 1
    assert [(problem["count"], problem["code"]) for problem in found["problems"]] == [(2, "missing_input")]
    assert "Munchkin Account ID" in found["problems"][0]["message"]


def test_what_the_catalog_refuses_is_named_by_its_column(looked: Any, catalog: None) -> None:
    found = looked(*(keyed("marketo", subdomain=site) for site in ("acme", "https://acme.mktorest.example/x")))

    assert (found["sendable_rows"], found["problems"][0]["field"]) == (1, "subdomain")


def test_without_a_catalog_there_is_nothing_to_hold_rows_against(looked: Any) -> None:
    assert looked(keyed("marketo"))["sendable_rows"] == 1


def test_a_canonical_file_is_held_against_the_catalog_too(looked: Any, catalog: None) -> None:
    row = {"provider": "marketo", "group_ref": "acme", "consumer_ref": "u1", "api_key": "fake-key-1"}
    found = looked(row)

    assert (found["canonical"], found["sendable_rows"]) == (True, 0)


def test_a_provider_that_the_catalog_does_not_know_is_refused_without_its_name(looked: Any, catalog: None) -> None:
    found = looked(keyed("slack"), keyed("canary"), keyed("canarytoo"))

    assert found["problems"][0]["count"] == 2
    assert "canary" not in str(found)


# Salesforce's addresses


def test_the_workspace_is_cut_out_of_addresses_of_salesforce(importer: Importer, looked: Any, home: Path) -> None:
    header = "org_id,user_id,crm,token,instance_url"
    values = ["t{n}", "u{n}", "salesforce", "fake-access-token-{n}", "https://acme{n}.my.salesforce.com"]
    found = looked(*rows_of(header, values))

    assert found["mapping"]["providerMetadata.workspace"] == {"column": "instance_url", "label_of": "salesforce"}
    assert found["open"] == []
    assert importer("init", "new.toml", "--from", "rows.csv").exit_code == 0
    assert importer("plan", "-c", "new.toml").exit_code == 0


@pytest.mark.parametrize(
    ("values", "is_sure", "others"),
    [
        (["https://a.my.salesforce.com", "https://na139.salesforce.com", "https://a.example"], True, "1 of 3 are none"),
        (["a.my.salesforce.com", "b.my.salesforce.com", "a.example"], False, "1 of 3 are none"),
        (["a.my.salesforce.com", "b.my.salesforce.com", ""], True, ""),
    ],
)
def test_addresses_of_which_most_are_salesforces(looked: Any, values: list[str], is_sure: bool, others: str) -> None:
    found = looked(*(REFS | {"token": "fake-access-token-1", "instance_url": value} for value in values))

    line = next(line for line in found["toml"].splitlines() if "label_of" in line)
    assert ("providerMetadata.workspace" in found["mapping"], others in line) == (is_sure, True)


@pytest.mark.parametrize(
    "value", ["https://acme.example", "https://salesforce.com.example", "https://mysalesforce.com"]
)
def test_other_addresses_are_left_to_a_person(looked: Any, value: str) -> None:
    found = looked(REFS | {"token": "fake-access-token-1", "instance_url": value})

    assert "label_of" not in found["toml"]
    assert "put it into a column" in found["toml"]


def test_addresses_of_salesforce_are_known_whatever_their_column_is_called(looked: Any) -> None:
    found = looked(REFS | {"token": "fake-access-token-1", "sf": "https://acme.my.salesforce.com"})

    assert found["mapping"]["providerMetadata.workspace"] == {"column": "sf", "label_of": "salesforce"}


# names that are shown, and names that could be cells


def shown(importer: Importer, home: Path, text: str) -> str:
    """All that is said of a file, on the screen, as JSON and in a config."""
    (home / "rows.csv").write_text(text, "utf-8")
    (home / "new.toml").unlink(missing_ok=True)
    ended = [importer("inspect", "rows.csv"), importer("inspect", "rows.csv", "--json"),
             importer("init", "new.toml", "--from", "rows.csv")]  # fmt: skip
    assert [one.exit_code for one in ended] == [0, 0, 0]
    return "\n".join([*(one.out + one.err for one in ended), (home / "new.toml").read_text("utf-8")])


GERMAN = "Kunde;Benutzer;System;Zugriffstoken;Aktualisierungstoken;Läuft ab;Berechtigungen;Subdomain"


def test_names_of_another_language_are_shown_and_tokens_are_told_by_their_look(looked: Any, home: Path) -> None:
    rows = [f"Firma {n};u-{n};hubspot;fake-access-token-{n};fake-refresh-token-{n};31.01.2030 12:00;a.b c.d;acme"
            for n in range(3)]  # fmt: skip
    (home / "rows.csv").write_text("\n".join([GERMAN, *rows]), "utf-8")

    found = looked(path="rows.csv")

    assert found["named"]
    assert [column["name"] for column in found["columns"]] == GERMAN.split(";")
    assert found["mapping"]["provider"] == "System"
    assert ACCESS not in found["mapping"]
    for name in ("Zugriffstoken", "Aktualisierungstoken"):
        assert f'# {ACCESS} = "{name}"' in found["toml"]
    assert "# ? not used: Läuft ab (" in found["toml"]
    assert "# ? not used: Berechtigungen (" in found["toml"]


def test_several_tokens_are_proposed_to_choose_from(looked: Any) -> None:
    rows = [{"company_id": f"{n}", "agent": f"u-{n}", "tool": "slack", "bot_token": f"xoxb-fake{n}-fakefakefake",
             "user_token": f"fake-{n}"} for n in range(3)]  # fmt: skip
    found = looked(*rows)

    assert found["mapping"] == {"provider": "tool", "groupRef": "company_id", "consumerRef": "agent"}
    assert [line["field"] for line in found["open"]] == [ACCESS, ACCESS]


def test_an_export_without_tokens_shows_its_names(looked: Any) -> None:
    header = "connection_id,provider_config_key,provider,created"
    found = looked(*rows_of(header, ["conn-{n}", "hubspot-prod", "hubspot", "2029-01-31T12:00:00Z"]))

    assert [column["name"] for column in found["columns"]] == header.split(",")
    assert found["mapping"] == {"provider": "provider"}


@pytest.mark.parametrize(
    "text",
    [
        "hubspot,team,owner,s3cr3tCanary0rdXy9\nslack,a,b,0therPassw0rdZz1\n",
        "hubspot,canary,42\nslack,acme,43\nslack,globex,44\n",
        "canary,hubspot,9f8canary5b4a\nacme,hubspot,9f8e7d6c5b4b\n",
        "canary,anna,crmx,canarysecretword\nacme,bob,crmx,anothersecretword\n",
        "canary,anna,crmx,canarysecretword\nacme,bob,crmy,anothersecretword\n",
        "Canary Ltd,2029-01-31,canarysecret\nAcme Ltd,2029-02-28,other\n",
        "hubspot,team,owner,canarysecretword\nslack,a,b,other\n",
        "canary,team,owner,canarysecretword\ncanary,a,b,other\n",
        "canary,team,owner,17\nacme,a,b,1896091200\n",
        "canary,17,1896091200\nacme,18,1896091201\n",
    ],
)
def test_a_first_row_of_data_is_not_shown(importer: Importer, home: Path, text: str) -> None:
    said = shown(importer, home, text)

    assert "canary" not in said.lower()
    assert "column 1" in said
    assert "does the first line hold the names" in said


@pytest.mark.parametrize(
    "secret", ["s3cr3tCanary0rdXy9", "canary2pass", "Canary#2030!", "canary99887766", "9f8canary5b4a"]
)
def test_each_name_is_judged_by_itself(importer: Importer, home: Path, secret: str) -> None:
    """Two usual names make a header likely, and not sure."""
    said = shown(importer, home, f"acmeco,team,owner,{secret}\nglobex,a,b,word\n")

    assert "canary" not in said.lower()
    assert '"owner"' in said
    assert "column 4" in said
    assert "1 name could be a key, so it is not shown" in said


def test_a_name_that_could_be_a_key_is_not_mapped_and_said_to_be_unused(importer: Importer, home: Path) -> None:
    header = "provider,team,owner,scopes,s3cr3tCanary0rdXy9"
    said = shown(importer, home, f"{header}\nhubspot,acme,u1,a.b c.d,fake-access-token-1\n")

    assert "canary" not in said.lower()
    assert "# ? not used: column 5 (opaque texts of 19 characters)" in said
    mapping = load_config(home / "new.toml", {}).mapping or {}
    assert {spec.column for spec in mapping.values()} == {"provider", "team", "owner"}


@pytest.mark.parametrize("name", ["acc_tok_exp_ms", "oauth2_cc_id", "is_at_us_eu", "user ID", "userID", "Token (prod)"])
def test_many_short_words_are_a_name(looked: Any, name: str) -> None:
    found = looked(REFS | {"token": "fake-access-token-1", name: "x"})

    assert name in [column["name"] for column in found["columns"]]


def test_the_names_of_a_file_of_json_are_shown_however_unusual(looked: Any, home: Path) -> None:
    (home / "rows.jsonl").write_text(
        '{"kunde": "acme", "zugang": "fake-token-1", "s3cr3tCanary0rdXy9": "x", "a998877": "x"}'
    )

    found = looked(path="rows.jsonl")

    assert [column["name"] for column in found["columns"]] == ["kunde", "zugang", "column 3", "column 4"]


@pytest.mark.parametrize(
    ("name", "reads"),
    [
        ("Läuft ab", True), ("Zugriffstoken", True), ("userID", True), ("provider_config_key", True), ("名前", True),
        ("token", True), ("fake-token-1", False), ("hunter2pass", False), ("Summer#2030", False),
        ("a1b2c3d4e5f6", False),
    ],
)  # fmt: skip
def test_the_name_of_a_column_reads_as_words(name: str, reads: bool) -> None:
    assert reads_as_a_column(name) is reads


# sources


@pytest.mark.parametrize("name", ["app.db", "app.csv"])
def test_a_database_is_to_be_read_by_a_query(importer: Importer, home: Path, name: str) -> None:
    with closing(sqlite3.connect(home / name)) as database:
        database.execute("create table tokens (customer)")

    ended = importer("inspect", name)

    assert ended.exit_code == 2
    assert f"{name} is not delimited text: it seems to be an SQLite database" in ended.err
    assert all(word in ended.err for word in (f'"sqlite:///{name}"', "url_env", "query", "[source]"))
