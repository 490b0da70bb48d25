"""Tokens that are those of a login, of a session, or still encrypted: warned of before they are sent."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from desk import Ended, read_csv, token_row, write_csv

from importer.api.models import GenerateRequest
from importer.catalog.token_rules import token_findings

CLIENT = "fake-client-1"
KEY = {"provider": "google", "groupRef": "g", "consumerRef": "c"}


def jwt(claims: Any, header: Any = None) -> str:
    """A JSON Web Token with these claims, and no signature that anybody could check."""
    parts = [header or {"alg": "none"}, claims]
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*texts, "ZmFrZQ"])


def found(
    access: str, *, refresh: str | None = None, scopes: list[str] | None = None, client: str | None = None
) -> set[tuple[str, str, str]]:
    """What is said of the tokens of a row: severity, code and field."""
    block: dict[str, Any] = {"accessToken": {"token": access}}
    if refresh:
        block["refreshToken"] = {"token": refresh}
    if scopes is not None:
        block["scopes"] = scopes
    request = GenerateRequest.model_validate(
        {**KEY, "authScheme": "oauth2/authorizationCode", "oauth2AuthorizationCode": block}
    )
    findings = token_findings(request, client)
    return {(one.severity.value, one.issue.code.value, one.issue.field) for one in findings}


ACCESS, REFRESH = ("oauth2AuthorizationCode.accessToken.token", "oauth2AuthorizationCode.refreshToken.token")


@pytest.mark.parametrize(
    ("claims", "client", "is_id_token"),
    [
        ({"iss": "https://accounts.example", "aud": CLIENT, "sub": "1"}, CLIENT, True),
        ({"aud": ["other", CLIENT]}, CLIENT, True),
        ({"aud": CLIENT}, None, False),  # nobody knows whose client that is
        ({"aud": "https://graph.example", "scp": "Mail.Read"}, CLIENT, False),
        ({"aud": "x", "at_hash": "fake"}, None, True),
        ({"aud": "x", "nonce": "fake"}, None, True),
        ({"token_use": "id"}, None, True),
        ({"token_use": "access", "client_id": CLIENT}, CLIENT, False),
        ({"typ": "ID", "azp": "x"}, None, True),
        ({"aud": "authenticated", "session_id": "fake", "role": "authenticated"}, None, True),
        ([], CLIENT, False),
        ("text", CLIENT, False),
    ],
)
def test_an_id_token_or_a_session_is_told_from_an_access_token(
    claims: Any, client: str | None, is_id_token: bool
) -> None:
    assert found(jwt(claims), refresh="fake-refresh", client=client) == (
        {("warning", "id_token", ACCESS)} if is_id_token else set()
    )


@pytest.mark.parametrize("text", ["eyJ", "eyJ.eyJ.eyJ", "eyJhbGciOiJub25lIn0.%%%.x", "eyJ.bm90IGpzb24.x"])
def test_what_is_no_jwt_after_all_is_let_through(text: str) -> None:
    assert found(text, refresh="fake-refresh", client=CLIENT) == set()


def test_deeply_nested_claims_end_nothing() -> None:
    payload = base64.urlsafe_b64encode(("[" * 100_000).encode()).decode().rstrip("=")

    assert found(f"eyJhbGciOiJub25lIn0.{payload}.x", refresh="fake-refresh") == set()


@pytest.mark.parametrize(
    ("text", "is_odd"),
    [("0f" * 64, True), ("0F" * 90, True), ("0f" * 63, False), ("0f" * 64 + "0", False), ("0f" * 64 + "g", False)],
)
def test_long_hexadecimal_may_be_ciphertext(text: str, is_odd: bool) -> None:
    assert found("fake-access", refresh=text) == ({("warning", "odd_credential", REFRESH)} if is_odd else set())
    assert found(text, refresh="fake-refresh") == ({("warning", "odd_credential", ACCESS)} if is_odd else set())


@pytest.mark.parametrize(
    ("scopes", "is_login"),
    [
        (["openid", "email", "profile"], True),
        (["openid", "https://www.googleapis.com/auth/userinfo.email"], True),
        (["openid", "crm.read"], False),
        (None, False),
    ],
)
def test_the_scopes_of_a_login_are_told(scopes: list[str] | None, is_login: bool) -> None:
    path = "oauth2AuthorizationCode.scopes"
    assert found("fake-access", refresh="fake-refresh", scopes=scopes) == (
        {("warning", "login_scopes", path)} if is_login else set()
    )


def test_other_credentials_have_nothing_of_it() -> None:
    request = GenerateRequest.model_validate({**KEY, "authScheme": "apiKey", "apiKey": jwt({"at_hash": "fake"})})
    assert token_findings(request, None) == ()


def test_a_plan_warns_of_them_without_a_catalog_and_strict_refuses_them(
    importer: Callable[..., Ended], home: Path
) -> None:
    write_csv(
        home / "rows.csv",
        [
            token_row(1, access_token=jwt({"aud": "x", "nonce": "fake"})),
            token_row(2, scopes="openid email"),
            token_row(3, scopes="crm.read"),
        ],
    )

    ended = importer("plan", "rows.csv")
    assert ended.exit_code == 0
    warned = read_csv(home / "importer-report" / "plan-warnings.csv")
    assert [(row["row"], row["code"], row["field"]) for row in warned] == [
        ("1", "id_token", "access_token"), ("2", "login_scopes", "scopes"),
    ]  # fmt: skip

    assert importer("plan", "rows.csv", "--strict").exit_code == 3
    refused = read_csv(home / "importer-report" / "plan-errors.csv")
    assert [row["code"] for row in refused] == ["id_token", "login_scopes"]
