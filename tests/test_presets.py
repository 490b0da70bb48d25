"""Token stores by their names: each sample plans and runs clean, and each store's traps are seen."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from desk import Ended, read_csv, write_csv

from importer.api.wire import body_of
from importer.errors import SourceError
from importer.fields import read_mapping
from importer.mapping import MappedRow, Mapper
from importer.notes import Notes
from importer.outcomes import Code
from importer.presets import NAMES, fitting, load_preset, take
from importer.sandbox import Sandbox
from importer.sources import open_sources
from importer.sources.base import Chunk

SAMPLES = Path(__file__).parents[1] / "samples"
FILES = {
    "authjs": ("authjs-accounts.csv", 4, 2),
    "better-auth": ("better-auth-account.csv", 3, 1),
    "allauth": ("allauth-tokens.csv", 4, 1),
    "python-social-auth": ("python-social-auth.csv", 4, 1),
    "omniauth": ("omniauth-identities.csv", 3, 1),
    "socialite": ("socialite-accounts.csv", 3, 1),
    "nango": ("nango-connections.json", 6, 2),
    "composio": ("composio-accounts.jsonl", 3, 3),
    "token-response": ("token-responses.csv", 4, 0),
}
"""Preset -> its sample, the rows of it that are imported, and those that are skipped."""

CLI = Callable[..., Ended]


class Read:
    """Rows of a store, mapped by a preset: the bodies that would be sent, the refused rows, and what is noted."""

    def __init__(self, preset: str, *rows: Mapping[str, Any], provider: str | None = None, own: Any = None) -> None:
        columns = list(dict.fromkeys(name for row in rows for name in row))
        frame = pd.DataFrame([[row.get(name) for name in columns] for row in rows], columns=columns, dtype=object)
        notes = Notes()
        mapping = read_mapping(own or {}, "config.toml")
        taken = take(load_preset(preset), columns, mapping, source="t.csv", provider=provider, notes=notes)
        mapper = Mapper(
            taken.mapping, columns, source="t.csv", provider=provider, only=taken.only, expected=taken.expected,
            notes=notes,
        )  # fmt: skip
        self.rows: list[MappedRow] = mapper.map(Chunk("t.csv", range(1, len(rows) + 1), frame, []))
        self.notes, self.skipped = notes.lines(), notes.skipped

    def body(self, at: int = 0) -> dict[str, Any]:
        request = self.rows[at].request
        assert request is not None, self.rows[at].issues
        sent: dict[str, Any] = json.loads(body_of(request).json)
        return sent

    def tokens(self, at: int = 0) -> dict[str, Any]:
        tokens: dict[str, Any] = self.body(at)["oauth2AuthorizationCode"]
        return tokens

    def access(self, at: int = 0) -> dict[str, Any]:
        access: dict[str, Any] = self.tokens(at)["accessToken"]
        return access

    def codes(self, at: int = 0) -> set[Code]:
        assert self.rows[at].request is None
        return {issue.code for issue in self.rows[at].issues}

    def said(self, words: str) -> list[str]:
        return [note for note in self.notes if words in note]


# --- the samples ---


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_plans_clean_without_a_mapping(name: str, importer: CLI) -> None:
    file, new, skipped = FILES[name]

    plan = importer("plan", "--preset", name, str(SAMPLES / file), "--json")
    words = importer("plan", "--preset", name, str(SAMPLES / file))

    found = json.loads(plan.out)
    assert (plan.exit_code, words.exit_code) == (0, 0)
    assert found["rows"] | {"new": new, "skipped": skipped, "rejected": 0} == found["rows"]
    assert found["read"] == new + skipped
    assert (f", {skipped} skipped" in words.out) == bool(skipped)
    assert "fake" not in plan.out + words.out


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_imported_and_skipped_rows_are_in_no_report(
    name: str, importer: CLI, sandbox: Sandbox, home: Path
) -> None:
    file, new, skipped = FILES[name]

    run = importer("run", "--preset", name, str(SAMPLES / file))

    summary = json.loads((home / "importer-report" / "summary.json").read_text())
    assert run.exit_code == 0
    assert sandbox.count() == new
    assert {line["outcome"] for line in read_csv(home / "importer-report" / "results.csv")} == {"created"}
    assert len(read_csv(home / "importer-report" / "results.csv")) == new
    assert (summary["read"], summary["skipped"]) == (new + skipped, skipped)
    assert (f"skipped {skipped}" in run.out) == bool(skipped)
    assert "fake" not in run.out + run.err


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_known_for_what_it_is(name: str) -> None:
    [source] = open_sources([str(SAMPLES / FILES[name][0])], Path())
    chunk = next(iter(source.chunks()))
    best, *others = fitting(source.columns(), {column: chunk.frame[column].tolist() for column in source.columns()})

    assert best.preset == name
    assert all(best.score > other.score for other in others)
    assert 0 < best.score <= 1
    assert "fake" not in best.reason


def test_a_file_with_canonical_columns_fits_no_preset() -> None:
    header = (SAMPLES / "connections.csv").read_text().splitlines()[0].split(",")

    assert fitting(header, {}) == []


def test_the_reason_of_a_fit_names_the_columns_that_tell() -> None:
    [fit] = fitting(["token", "token_secret", "account_id", "app_id"], {})

    assert fit.reason == "has token, token_secret, account_id, app_id: the tables of django-allauth"


@pytest.mark.parametrize("credential", ["fake-token-in-a-cell", '{"access_token": "fake-token-in-a-cell"', "{'a': 1}"])
def test_cells_that_are_no_json_are_no_sign(credential: str) -> None:
    assert fitting(["uid", "provider", "extra_data"], {"extra_data": [credential]}) == []


# --- names: of columns, presets, providers ---


def test_an_unknown_preset_is_named_with_the_nearest(importer: CLI) -> None:
    refused = importer("plan", "--preset", "auth.js", "tokens.csv")

    assert refused.exit_code == 2
    assert "authjs" in refused.err


def test_the_config_names_a_preset_too_and_its_mapping_wins_field_by_field(
    importer: CLI, sandbox: Sandbox, home: Path
) -> None:
    write_csv(home / "t.csv", [{"userId": "u1", "provider": "hubspot", "access_token": "fake-access-1", "org": "o1"}])
    (home / "config.toml").write_text('[source]\npaths = ["t.csv"]\npreset = "authjs"\n[mapping]\ngroupRef = "org"\n')

    assert importer("run").exit_code == 0

    [made] = sandbox.connections()
    assert (made["provider"], made["groupRef"], made["consumerRef"]) == ("hubspot", "o1", "u1")


@pytest.mark.parametrize("user", ["userId", "user_id"])
@pytest.mark.parametrize("token", ["access_token", "accessToken"])
def test_columns_go_by_several_names(user: str, token: str) -> None:
    read = Read("authjs", {user: "u1", "provider": "hubspot", token: "fake-access-1"})

    assert (read.body()["consumerRef"], read.access()) == ("u1", {"token": "fake-access-1"})


def test_a_missing_column_is_named_with_all_the_names_that_were_looked_for() -> None:
    with pytest.raises(SourceError) as no_user:
        Read("authjs", {"provider": "hubspot", "access_token": "fake-access-1"})
    with pytest.raises(SourceError) as no_token:
        Read("socialite", {"provider": "hubspot", "user_id": "u1", "expires_at": "2030-01-01"})
    with pytest.raises(SourceError) as no_provider:
        Read("socialite", {"token": "fake-access-1", "user_id": "u1"})

    assert "looked for userId or user_id" in str(no_user.value)
    assert "looked for token or access_token or provider_token" in str(no_token.value)
    assert "--provider" in (no_provider.value.hint or "")


def test_a_file_of_one_provider_may_go_without_a_column_for_it() -> None:
    read = Read("socialite", {"user_id": "u1", "token": "fake-access-1"}, provider="hubspot")

    assert read.body()["provider"] == "hubspot"


def test_names_of_providers_are_translated_as_far_as_they_are_known_and_it_is_said() -> None:
    names = ["google-oauth2", "jira", "confluence", "zendesk", "linkedin_oauth2", "hubspot", "nobody-knows"]
    rows = [{"userId": f"u{n}", "provider": name, "access_token": f"fake-access-{n}"} for n, name in enumerate(names)]
    read = Read("authjs", *rows)

    assert [row.provider for row in read.rows] == [
        "google", "atlassian", "atlassian", "zendeskSupport", "linkedIn", "hubspot", "nobody-knows",
    ]  # fmt: skip
    [note] = read.said("provider names translated")
    assert "google-oauth2 → google" in note
    assert "nobody" not in note


def test_a_mapping_of_the_provider_wins_over_the_translation() -> None:
    row = {"userId": "u1", "provider": "zendesk", "access_token": "fake-access-1"}
    read = Read("authjs", row, own={"provider": {"column": "provider", "values": {"zendesk": "mine"}}})

    assert read.body()["provider"] == "mine"
    assert read.said("translated") == []


# --- the customer's organisation, the workspace, and what nothing fills ---


def test_without_a_column_for_it_the_group_is_the_user_and_it_is_said() -> None:
    read = Read("authjs", {"userId": "u1", "provider": "hubspot", "access_token": "fake-access-1"})

    assert read.body()["groupRef"] == "u1"
    assert len(read.said("groupRef: no column for it, so the user's id serves")) == 1


@pytest.mark.parametrize("column", ["group_ref", "organizationId", "org_id", "tenant_id", "team_id"])
def test_a_joined_column_of_a_usual_name_is_the_group_and_it_is_said(column: str) -> None:
    read = Read("authjs", {"userId": "u1", "provider": "hubspot", "access_token": "fake-access-1", column: "o1"})

    assert read.body()["groupRef"] == "o1"
    assert f"groupRef: taken from {column}" in read.notes


@pytest.mark.parametrize("name", ["allauth", "better-auth"])
def test_an_account_id_that_is_no_customer_is_not_the_group(name: str) -> None:
    row = {"user_id": "u1", "account_id": "7", "token": "fake-access-1", "access_token": "fake-access-1"}
    read = Read(name, row | {"provider": "hubspot", "provider_id": "hubspot", "token_secret": ""})

    assert read.body()["groupRef"] == "u1"


def test_what_a_store_does_not_keep_is_said() -> None:
    row = {"token": "fake-access-1", "token_secret": "", "user_id": "u1", "provider": "notion", "account_id": "1"}
    read = Read("allauth", row)

    assert "not filled, since the tables of django-allauth do not have it: scopes, providerWorkspaceRef" in read.notes
    assert "not filled, since there is no column: expiresAt of the access token (expires_at)" in read.notes
    assert "not filled, since no row has it: refreshToken" in read.notes


def test_before_a_stream_is_read_nothing_is_called_missing(home: Path, shell: Callable[..., Ended]) -> None:
    """Its notes are told before its rows are there."""
    rows = (SAMPLES / "better-auth-account.csv").read_text("utf-8")
    ended = shell("run", "-", "--preset", "better-auth", "--checks", "offline", stdin=rows)
    assert "groupRef" in ended.err
    assert "no row has it" not in ended.err


def test_the_workspace_of_salesforce_is_cut_out_of_its_address_and_an_old_host_has_none() -> None:
    sound = {"access_token": "fake-access-1", "instance_url": "https://acme--dev.sandbox.my.salesforce.com"}
    old = {"access_token": "fake-access-2", "instance_url": "https://na139.salesforce.com"}
    rows = [
        {"user_id": f"u{n}", "provider": "salesforce", "token_response": answer}
        for n, answer in enumerate([sound, old])
    ]
    read = Read("token-response", *rows)

    assert read.body(0)["providerWorkspaceRef"] == "acme--dev.sandbox"
    assert "providerWorkspaceRef" not in read.body(1)
    assert len(read.said("addresses that do not name a workspace")) == 1


# --- the traps of each store ---


def authjs_row(n: int, **more: Any) -> dict[str, Any]:
    return {"userId": f"u{n}", "provider": "hubspot", "access_token": f"fake-access-{n}", **more}


def test_authjs_takes_oauth_and_oidc_only_and_names_the_other_types() -> None:
    kinds = ["oauth", "oidc", "email", "credentials", "webauthn", "credentials", "fake-Secret-2030"]
    read = Read("authjs", *(authjs_row(n, type=kind) for n, kind in enumerate(kinds)))

    assert [row.row for row in read.rows] == [1, 2]
    assert "5 rows of other types skipped (type: credentials, email, webauthn)" in read.notes


def test_authjs_without_a_type_keeps_the_row() -> None:
    assert len(Read("authjs", authjs_row(1, type="")).rows) == 1


def test_a_row_that_is_skipped_is_not_read_any_further() -> None:
    read = Read(
        "authjs", authjs_row(1, type="email", userId=" u1\t", expires_at="not a time"), authjs_row(2, type="oidc")
    )

    assert [row.row for row in read.rows] == [2]


@pytest.mark.parametrize("written", ["1896091200", 1896091200])
def test_authjs_expires_in_seconds_as_a_number_or_as_text(written: object) -> None:
    assert Read("authjs", authjs_row(1, expires_at=written)).access()["expiresAt"] == "2030-01-31T12:00:00Z"


def better_auth_row(n: int, **more: Any) -> dict[str, Any]:
    return {"userId": f"u{n}", "providerId": "slack", "accountId": "U1", "accessToken": f"fake-access-{n}", **more}


def test_better_auth_joins_scopes_with_commas() -> None:
    assert Read("better-auth", better_auth_row(1, scope="a:read,b:write")).tokens()["scopes"] == ["a:read", "b:write"]


def test_better_auth_skips_rows_with_a_password() -> None:
    read = Read("better-auth", better_auth_row(1, providerId="credential", password="fake-hash"), better_auth_row(2))

    assert [row.row for row in read.rows] == [2]
    assert "1 row of another type skipped (providerId: credential)" in read.notes


@pytest.mark.parametrize("written", ["2030-01-31T12:00:00.000Z", "1896091200000", 1896091200000])
def test_better_auth_has_times_as_text_or_as_milliseconds(written: object) -> None:
    more = {"accessTokenExpiresAt": written, "refreshToken": "fake-refresh-1", "refreshTokenExpiresAt": written}
    tokens = Read("better-auth", better_auth_row(1, **more)).tokens()

    assert {tokens[token]["expiresAt"] for token in ("accessToken", "refreshToken")} == {"2030-01-31T12:00:00Z"}


def allauth_row(n: int, **more: Any) -> dict[str, Any]:
    row = {"account_id": "1", "app_id": "1", "user_id": f"u{n}", "provider": "hubspot", "token": f"fake-access-{n}"}
    return row | {"token_secret": f"fake-refresh-{n}"} | more


def test_allauth_has_the_refresh_token_in_token_secret() -> None:
    read = Read("allauth", allauth_row(1), allauth_row(2, token_secret=""))

    assert read.tokens(0)["refreshToken"] == {"token": "fake-refresh-1"}
    assert "refreshToken" not in read.tokens(1)


def test_allauth_skips_providers_of_oauth_1_whose_token_secret_is_no_refresh_token() -> None:
    read = Read("allauth", allauth_row(1, provider="twitter"), allauth_row(2))

    assert [row.row for row in read.rows] == [2]
    assert "1 row of another type skipped (OAuth 1: twitter)" in read.notes


def psa(provider: str = "hubspot", **extra: Any) -> dict[str, Any]:
    """A row of which `auth_time` is half an hour before noon."""
    answer = {"access_token": "fake-access-1", "auth_time": 1896089400, **extra}
    return {"uid": "1", "user_id": "u1", "provider": provider, "extra_data": json.dumps(answer)}


@pytest.mark.parametrize(
    ("extra", "expires_at"),
    [
        ({"expires_on": 1896094800, "expires_in": 60, "expires": 120}, "2030-01-31T13:00:00Z"),
        ({"expires_on": None, "expires_in": 1800, "expires": 120}, "2030-01-31T12:00:00Z"),
        ({"expires_in": None, "expires": 3600}, "2030-01-31T12:30:00Z"),
        ({"expires": "3600"}, "2030-01-31T12:30:00Z"),
        ({"expires": 63_072_000}, "2032-01-31T11:30:00Z"),
        ({"expires": 1896091200}, "2030-01-31T12:00:00Z"),
        ({"expires": "1896091200", "auth_time": None}, "2030-01-31T12:00:00Z"),
        ({"expires_in": 1800, "auth_time": None}, None),
        ({}, None),
    ],
)
def test_python_social_auth_reads_expires_on_then_expires_in_then_expires(
    extra: dict[str, Any], expires_at: str | None
) -> None:
    assert Read("python-social-auth", psa(**extra)).access().get("expiresAt") == expires_at


def test_python_social_auth_says_where_a_duration_has_no_moment_and_only_there() -> None:
    without = Read("python-social-auth", psa(expires_in=1800, auth_time=None))
    sound = Read("python-social-auth", psa(expires_on=1896091200, expires_in=1800, auth_time=None))

    assert len(without.said("where $.auth_time is blank")) == 1
    assert sound.said("is blank") == []


def test_python_social_auth_skips_rows_of_oauth_1() -> None:
    oauth1 = {"oauth_token": "fake-token-1", "oauth_token_secret": "fake-secret-1"}
    read = Read("python-social-auth", psa("twitter", access_token=oauth1), psa())

    assert [row.row for row in read.rows] == [2]
    assert "1 row of another type skipped (OAuth 1)" in read.notes


def test_python_social_auth_refuses_what_python_printed() -> None:
    read = Read("python-social-auth", psa() | {"extra_data": "{'access_token': 'fake-access-1', 'expires': None}"})

    assert read.codes() == {Code.BAD_JSON}
    assert len(read.said("not filled, since no row has it: expiresAt")) == 1


def test_python_social_auth_reads_json_that_was_made_text_twice() -> None:
    row = psa()

    assert Read("python-social-auth", row | {"extra_data": json.dumps(row["extra_data"])}).access()["token"]


def test_salesforce_has_issued_at_as_text_of_milliseconds_and_no_expiry() -> None:
    answer = {"access_token": "fake-access-1", "issued_at": "1896087600000"}
    read = Read("token-response", {"user_id": "u1", "provider": "salesforce", "token_response": json.dumps(answer)})

    assert read.access() == {"token": "fake-access-1", "issuedAt": "2030-01-31T11:00:00Z"}


def answer_row(beside: Mapping[str, str], **answer: Any) -> dict[str, Any]:
    answer = {"access_token": "fake-access-1", **answer}
    return {"user_id": "u1", "provider": "hubspot", "token_response": json.dumps(answer), **beside}


def test_of_the_two_tokens_of_slack_the_bots_is_taken_and_that_is_said() -> None:
    bot = answer_row({}, access_token="fake-bot", authed_user={"id": "U1", "access_token": "fake-user"})
    user = answer_row({}, access_token=None, authed_user={"access_token": "fake-user"})

    both = Read("token-response", bot)
    assert both.access()["token"] == "fake-bot"
    assert both.said("an answer has two tokens, the bot's is taken")
    assert Read("token-response", user).access()["token"] == "fake-user"
    assert not Read("token-response", user).said("two tokens")


def test_the_api_domain_of_an_answer_is_no_workspace() -> None:
    """Zoho's tells the data centre, and Pipedrive has one of the same name that its rows must not send."""
    assert "providerWorkspaceRef" not in Read("token-response", answer_row({}, api_domain="https://x.example")).body()


@pytest.mark.parametrize("moment", ["issued_at", "obtained_at", "updated_at"])
def test_expires_in_counts_from_the_column_with_its_moment(moment: str) -> None:
    read = Read("token-response", answer_row({moment: "2030-01-31T11:30:00Z"}, expires_in=1800))

    assert read.access()["expiresAt"] == "2030-01-31T12:00:00Z"
    assert bool(read.said("counted from updated_at")) == (moment == "updated_at")


@pytest.mark.parametrize("name", ["refresh_token_expires_in", "x_refresh_token_expires_in"])
@pytest.mark.parametrize("moment", ["issued_at", "obtained_at", "updated_at"])
def test_the_time_that_a_refresh_token_lasts_counts_from_the_same_moments(name: str, moment: str) -> None:
    answer = answer_row({moment: "2030-01-31T11:30:00Z"}, refresh_token="fake-refresh-1", **{name: 1800})
    read = Read("token-response", answer)

    assert read.tokens()["refreshToken"] == {"token": "fake-refresh-1", "expiresAt": "2030-01-31T12:00:00Z"}
    assert bool(read.said("refreshToken.expiresAt: counted from updated_at")) == (moment == "updated_at")


def test_the_time_at_which_a_refresh_token_expires_wins_over_how_long_it_lasts() -> None:
    times = {"refresh_token_expires_at": 1896091200, "refresh_token_expires_in": 60}
    answer = answer_row({"issued_at": "2030-01-31T11:00:00Z"}, refresh_token="fake-refresh-1", **times)

    assert Read("token-response", answer).tokens()["refreshToken"]["expiresAt"] == "2030-01-31T12:00:00Z"


def test_expires_in_without_a_moment_leaves_expires_at_out_and_says_so() -> None:
    inside = Read("token-response", answer_row({}, expires_in=1800))
    column = {"user_id": "u1", "provider": "hubspot", "token": "fake-access-1", "expires_in": "1800"}
    beside = Read("socialite", column)

    assert "expiresAt" not in inside.access()
    assert len(inside.said("nobody knows when the token expires")) == 1
    assert "expiresAt" not in beside.access()
    assert len(beside.said("how long it lasts is known, and not from when on (looked for: issued_at")) == 1


@pytest.mark.parametrize(
    "times",
    [
        {"expiry": "2030-01-31T12:00:00"},
        {"expiry": "2030-01-31T12:00:00Z"},
        {"expiry_date": 1896091200000},
        {"expires_on": "1896091200"},
        {"expires_at": 1896091200},
    ],
)
def test_token_answers_of_libraries_have_absolute_times(times: dict[str, Any]) -> None:
    assert Read("token-response", answer_row({}, **times)).access()["expiresAt"] == "2030-01-31T12:00:00Z"


def test_times_without_a_zone_are_said() -> None:
    row = {"user_id": "u1", "provider": "hubspot", "uid": "1", "token": "fake-access-1", "refresh_token": ""}
    read = Read("omniauth", row | {"expires_at": "2030-01-31 12:00:00"})

    assert read.access()["expiresAt"] == "2030-01-31T12:00:00Z"
    assert "expires_at: times without a zone are read as UTC" in read.notes


@pytest.mark.parametrize("place", ["credentials", "auth_hash"])
def test_omniauth_is_read_from_the_hash_too(place: str) -> None:
    credentials = {
        "token": "fake-access-1",
        "refresh_token": "fake-refresh-1",
        "expires_at": 1896091200,
        "expires": True,
    }
    cell = credentials if place == "credentials" else {"provider": "hubspot", "credentials": credentials}
    tokens = Read("omniauth", {"user_id": "u1", "provider": "hubspot", "uid": "1", place: cell}).tokens()

    assert tokens["accessToken"] == {"token": "fake-access-1", "expiresAt": "2030-01-31T12:00:00Z"}
    assert tokens["refreshToken"] == {"token": "fake-refresh-1"}


@pytest.mark.parametrize(("name", "column"), [("omniauth", "secret"), ("socialite", "token_secret")])
def test_a_filled_secret_is_oauth_1(name: str, column: str) -> None:
    row = {"user_id": "u1", "provider": "hubspot", "token": "fake-access-1"}
    read = Read(name, row | {column: "fake-secret-1"}, row | {column: ""})

    assert [row.row for row in read.rows] == [2]
    assert "1 row of another type skipped (OAuth 1)" in read.notes


def nango(**more: Any) -> dict[str, Any]:
    credentials = {"type": "OAUTH2", "access_token": "fake-access-1"}
    return {
        "connection_id": "c1",
        "provider_config_key": "hs",
        "provider": "hubspot",
        "credentials": credentials,
        **more,
    }


def test_nango_skips_types_without_a_counterpart_and_deleted_rows() -> None:
    other = [nango(credentials={"type": kind}) for kind in ("OAUTH1", "TWO_STEP", "fake-Type-1")]
    read = Read("nango", *other, nango(deleted="t"), nango(deleted_at="2029-01-01"), nango(deleted="f", deleted_at=""))

    assert [row.row for row in read.rows] == [6]
    assert "5 rows of other types skipped (deleted; type: OAUTH1, TWO_STEP)" in read.notes


@pytest.mark.parametrize(
    ("end_user", "tags", "group", "consumer"),
    [
        ({"id": "u1", "organization": {"id": "o1"}}, {"organization_id": "o2"}, "o1", "u1"),
        ({"id": "u1"}, {"organization_id": "o2"}, "o2", "u1"),
        ({"id": "u1", "organization": None}, None, "u1", "u1"),
        (None, None, "c1", "c1"),
    ],
)
def test_nango_names_the_group_and_the_consumer(end_user: Any, tags: Any, group: str, consumer: str) -> None:
    read = Read("nango", nango(end_user=end_user, tags=tags))

    assert (read.body()["groupRef"], read.body()["consumerRef"]) == (group, consumer)
    assert bool(read.said("consumerRef: connections without an end user")) == (consumer == "c1")


@pytest.mark.parametrize(
    ("config", "workspace"),
    [
        ({"instance_url": "https://acme.my.salesforce.com"}, "acme"),
        ({"subdomain": "acme"}, "acme"),
        ({"hostname": "forum.example.com"}, "forum.example.com"),
        ({}, None),
    ],
)
def test_nango_tells_the_workspace(config: dict[str, str], workspace: str | None) -> None:
    assert Read("nango", nango(connection_config=config)).body().get("providerWorkspaceRef") == workspace


def test_nango_has_client_credentials_keys_and_passwords_too() -> None:
    client = {"type": "OAUTH2_CC", "client_id": "fake-id", "client_secret": "fake-secret", "token": "fake-minted"}
    key, login = {"type": "API_KEY", "apiKey": "fake-key"}, {"type": "BASIC", "username": "fake-user", "password": ""}
    read = Read("nango", *(nango(credentials=credentials) for credentials in (client, key, login)))

    assert read.body(0)["oauth2ClientCredentials"] == {"clientId": "fake-id", "clientSecret": "fake-secret"}
    assert read.body(1)["apiKey"] == "fake-key"
    assert read.body(2)["basicAuth"] == {"username": "fake-user", "password": ""}
    assert not any("fake-minted" in json.dumps(read.body(at)) for at in range(3))


def test_nango_is_read_as_a_document_a_list_and_lines(importer: CLI, home: Path) -> None:
    rows = json.loads((SAMPLES / "nango-connections.json").read_text())["connections"]
    (home / "list.json").write_text(json.dumps(rows))
    (home / "lines.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))

    for name in ("list.json", "lines.jsonl", str(SAMPLES / "nango-connections.json")):
        plan = importer("plan", "--preset", "nango", name)
        assert (plan.exit_code, "6 new, 2 skipped" in plan.out) == (0, True)


def test_the_list_of_nango_is_told_from_the_connections_that_have_credentials() -> None:
    row = nango()
    row.pop("credentials")
    with pytest.raises(SourceError) as refused:
        Read("nango", row)

    assert (refused.value.hint or "").startswith("The list of GET /connections has no credentials")


def test_nango_credentials_out_of_its_database_are_refused_as_encrypted() -> None:
    assert Code.ENCRYPTED in Read("nango", nango(credentials={"encrypted_credentials": "fake-ciphertext"})).codes()


def composio(val: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    state = {"authScheme": "OAUTH2", "val": val or {"access_token": "fake-access-1", "expires_in": 3600}}
    return {"status": "ACTIVE", "toolkit": {"slug": "hubspot"}, "user_id": "u1", "state": state, **more}


def test_composio_takes_active_accounts_of_the_customers_own_apps() -> None:
    managed = composio(auth_config={"is_composio_managed": True})
    read = Read("composio", composio(status="EXPIRED"), managed, composio(auth_config={"is_composio_managed": False}))

    assert [row.row for row in read.rows] == [3]
    assert "2 rows of other types skipped (managed by Composio; status: EXPIRED)" in read.notes


def test_composio_redacted_tokens_are_refused_with_a_reason() -> None:
    assert Read("composio", composio({"access_token": "REDACTED"})).codes() == {Code.MASKED}


def test_composio_durations_have_no_moment() -> None:
    read = Read("composio", composio())

    assert read.access() == {"token": "fake-access-1"}
    assert len(read.said("nobody knows when the token expires")) == 1


# --- counting ---


def test_rows_are_skipped_once_for_all_files_of_a_run(importer: CLI, home: Path) -> None:
    for n in (1, 2):
        rows = [authjs_row(n, type="oauth"), authjs_row(n, type="email")]
        write_csv(home / f"t{n}.csv", [{name: str(cell) for name, cell in row.items()} for row in rows])

    plan = importer("plan", "--preset", "authjs", "t1.csv", "t2.csv")

    assert "2 files: 4 rows\n  2 new, 2 skipped" in plan.out
    assert plan.out.count("rows of other types skipped") == 1


def test_skipped_rows_are_counted_where_a_stream_is_read_once(
    shell: Callable[..., Ended], sandbox: Sandbox, home: Path
) -> None:
    text = "userId,provider,type,access_token\nu1,hubspot,oauth,fake-access-1\nu2,hubspot,email,\n"

    run = shell("run", "--preset", "authjs", "-", stdin=text)

    summary = json.loads((home / "importer-report" / "summary.json").read_text())
    assert (run.exit_code, sandbox.count()) == (0, 1)
    assert (summary["read"], summary["skipped"], summary["outcomes"]["not_sent"]) == (2, 1, 0)
    assert "skipped 1" in run.out
