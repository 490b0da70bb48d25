"""What leaves the machine: bodies as the published schema wants them, fingerprints that say what changed."""

import hashlib
import json
import uuid
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from importer.api.models import AuthScheme, GenerateRequest
from importer.api.wire import Digests, _compact, body_of, patch_of

PUBLISHED = Path(__file__).parents[2] / "shared" / "api" / "openapi.json"

REFS = {"provider": "hubspot", "group_ref": "acme", "consumer_ref": "ada"}
CLIENT = {"client_id": "fake-id", "client_secret": "fake-secret"}
LOGIN = {"username": "fake-user", "password": "fake-password"}
TOKEN = {"token": "fake-token", "expires_at": "2030-01-31T12:00:00+02:00", "issued_at": "2029-01-31T12:00:00Z"}
BLOCKS: dict[AuthScheme, dict[str, Any]] = {
    AuthScheme.API_KEY: {"api_key": "fake-key"},
    AuthScheme.BASIC: {"basic_auth": {**LOGIN, "password": ""}},
    AuthScheme.CLIENT_CREDENTIALS: {"oauth2_client_credentials": {**CLIENT, "scopes": ["b", "a"]}},
    AuthScheme.PASSWORD: {"oauth2_password_credentials": {**CLIENT, **LOGIN}},
    AuthScheme.AUTHORIZATION_CODE: {
        "oauth2_authorization_code": {"access_token": TOKEN, "refresh_token": {"token": "fake-r"}, "scopes": ["b", "a"]}
    },
    AuthScheme.CUSTOM: {"custom_auth": {"token": "fake-token", "scopes": ["b", "a"]}},
    AuthScheme.NONE: {},
}
TOKENS_AND_MORE = {
    "oauth2_authorization_code": {
        "access_token": {"token": "fake-access-ü\x7f"}, "refresh_token": {"token": "fake-refresh"}, "scopes": ["b", "a"]
    },
    "provider_metadata": {"workspace": {"value": "acme"}, "region": {"value": "eu"}},
}  # fmt: skip
ANY_TEXT = st.text(st.characters(exclude_categories=()))
WORKSPACE = {"provider_workspace_ref": "acme", "provider_metadata": {"workspace": {"value": "acme"}}}


def request(scheme: AuthScheme = AuthScheme.API_KEY, **more: Any) -> GenerateRequest:
    return GenerateRequest.model_validate({**REFS, **WORKSPACE, **BLOCKS[scheme], "auth_scheme": scheme, **more})


@pytest.fixture(scope="session")
def published() -> Any:
    if not PUBLISHED.is_file():
        pytest.skip("the published schema is not here")
    document = json.loads(PUBLISHED.read_text("utf-8"))

    def validator(name: str) -> Any:
        return jsonschema_rs.validator_for(
            {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        )

    return validator


@pytest.mark.parametrize("scheme", list(AuthScheme))
def test_every_body_is_what_the_published_schema_asks_for(scheme: AuthScheme, published: Any) -> None:
    body = json.loads(body_of(request(scheme, group_name="Acme")).json)

    assert [str(error) for error in published("GenerateConnectionRequest").iter_errors(body)] == []
    assert not {"authScheme", "auth_scheme"} & set(body)
    assert body["providerWorkspaceRef"] == body["providerMetadata"]["workspace"]["value"] == "acme"
    assert None not in _values(body)


@pytest.mark.parametrize("mask", ["apiKey", "basicAuth", "oauth2ClientCredentials", "oauth2PasswordCredentials"])
def test_every_patch_is_what_the_published_schema_asks_for(mask: str, published: Any) -> None:
    scheme = {s.value: s for s in AuthScheme}
    of_mask = {
        "apiKey": scheme["apiKey"],
        "basicAuth": scheme["basic"],
        "oauth2ClientCredentials": scheme["oauth2/clientCredentials"],
        "oauth2PasswordCredentials": scheme["oauth2/password"],
    }
    body = patch_of(body_of(request(of_mask[mask])), (mask, "providerMetadata", "providerWorkspaceRef"), {})

    assert body is not None
    document = json.loads(body.json)
    assert [str(error) for error in published("UpdateConnectionRequest").iter_errors(document)] == []
    assert (
        set(document["updateMask"]) == {mask, "providerMetadata", "providerWorkspaceRef"} == set(document["connection"])
    )


def test_times_leave_in_rfc_3339_with_a_zone() -> None:
    tokens = json.loads(body_of(request(AuthScheme.AUTHORIZATION_CODE)).json)["oauth2AuthorizationCode"]
    assert tokens["accessToken"]["expiresAt"] in ("2030-01-31T10:00:00Z", "2030-01-31T12:00:00+02:00")
    with pytest.raises(ValidationError):
        request(
            AuthScheme.AUTHORIZATION_CODE,
            oauth2_authorization_code={"access_token": {**TOKEN, "expires_at": "2030-01-31T12:00:00"}},
        )


def test_metadata_of_the_connection_is_kept_by_a_patch() -> None:
    there = {"tenantId": {"value": "t1", "source": "token"}, "workspace": {"value": "old", "source": "input"}}

    body = patch_of(body_of(request()), ("providerMetadata",), there)

    assert body is not None
    patched = json.loads(body.json)
    assert patched["updateMask"] == ["providerMetadata"]
    assert patched["connection"]["providerMetadata"] == {
        "tenantId": {"value": "t1", "source": "token"},
        "workspace": {"value": "acme", "source": "input"},
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"basic_auth": LOGIN},
        {"api_key": None},
        {"api_key": ""},
        {"auth_scheme": "basic"},
        {"auth_scheme": "none"},
        {"group_ref": ""},
        {"unknown": "x"},
        {"provider_metadata": {}},
    ],
    ids=["two blocks", "no block", "empty key", "another scheme", "none", "no group", "unknown field", "no metadata"],
)
def test_a_request_that_is_not_right_is_refused_without_its_input(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        request(**wrong)
    assert "fake" not in str(refused.value)


@pytest.mark.parametrize("scheme", list(AuthScheme))
def test_a_request_shows_no_secret(scheme: AuthScheme) -> None:
    whole = request(scheme)
    assert "fake" not in repr(whole) + str(whole) + whole.model_dump_json() + repr(body_of(whole)) + str(vars(whole))


SAME = {
    "expiry": (AuthScheme.AUTHORIZATION_CODE, {"oauth2_authorization_code": {
        "access_token": {"token": "fake-token"}, "refresh_token": {"token": "fake-r"}, "scopes": ["a", "b"]}}),
    "order of scopes": (AuthScheme.CLIENT_CREDENTIALS, {"oauth2_client_credentials": {**CLIENT, "scopes": ["a", "b"]}}),
    "names": (AuthScheme.API_KEY, {"group_name": "Another name"}),
}  # fmt: skip


@pytest.mark.parametrize(("scheme", "more"), SAME.values(), ids=SAME)
def test_what_is_no_change_keeps_the_fingerprint(scheme: AuthScheme, more: dict[str, Any]) -> None:
    digests = Digests(b"k" * 32)
    assert digests.fingerprint(request(scheme)) == digests.fingerprint(request(scheme, **more))


CHANGES = {
    "key": (AuthScheme.API_KEY, {"api_key": "fake-other"}, {"auth"}),
    "metadata": (AuthScheme.API_KEY, {"provider_metadata": {"workspace": {"value": "beta"}}}, {"metadata"}),
    "workspace": (AuthScheme.API_KEY, {"provider_workspace_ref": "beta"}, {"workspace"}),
    "password": (AuthScheme.BASIC, {"basic_auth": LOGIN}, {"auth"}),
    "refresh token": (AuthScheme.AUTHORIZATION_CODE, {"oauth2_authorization_code": {
        "access_token": TOKEN, "refresh_token": {"token": "fake-s"}, "scopes": ["b", "a"]}}, {"auth"}),
    "custom": (AuthScheme.CUSTOM, {"custom_auth": {"token": "fake-token", "scopes": ["b"]}}, {"auth"}),
}  # fmt: skip


@pytest.mark.parametrize(("scheme", "more", "parts"), CHANGES.values(), ids=CHANGES)
def test_a_change_shows_in_its_own_part_only(scheme: AuthScheme, more: dict[str, Any], parts: set[str]) -> None:
    digests = Digests(b"k" * 32)
    before, after = digests.fingerprint(request(scheme)), digests.fingerprint(request(scheme, **more))
    assert {name for name in before._fields if getattr(before, name) != getattr(after, name)} == parts


def test_a_fingerprint_is_tomorrow_what_it_is_today() -> None:
    """Ledgers hold it: with another one each of their rows would look changed. Worked out with hashlib and json."""
    made = Digests(b"k" * 32).fingerprint(request(AuthScheme.AUTHORIZATION_CODE, **TOKENS_AND_MORE))

    def digest(*parts: Any) -> bytes:
        text = json.dumps(parts, separators=(",", ":"))
        return hashlib.blake2b(text.encode(), key=b"k" * 32, digest_size=16).digest()

    tokens = [["accessToken", "fake-access-ü\x7f"], ["refreshToken", "fake-refresh"], ["scopes", ["a", "b"]]]
    assert made.auth == digest("auth", 1, "oauth2/authorizationCode", *tokens)
    assert made.metadata == digest("metadata", 1, ["region", "eu"], ["workspace", "acme"])[:8]
    assert made.workspace == digest("workspace", 1, "acme")[:8]


@given(st.lists(st.none() | st.integers() | ANY_TEXT | st.lists(ANY_TEXT)))
def test_what_is_digested_is_json_to_the_byte(parts: list[Any]) -> None:
    """Characters of every kind, half surrogate pairs too: what a ledger holds was made with the standard library."""
    assert _compact(parts) == json.dumps(parts, separators=(",", ":")).encode()


def test_another_key_gives_other_fingerprints() -> None:
    assert Digests(b"k" * 32).fingerprint(request()) != Digests(b"l" * 32).fingerprint(request())


def _values(document: Any) -> list[Any]:
    if isinstance(document, dict):
        return [found for value in document.values() for found in _values(value)]
    if isinstance(document, list):
        return [found for value in document for found in _values(value)]
    return [document]


ID = "3f2b8c1d-9a4e-4d6f-8b7a-5c0e1f2d3b4a"
OTHER = "e1d0c9b8-a7f6-4e5d-9c3b-2a1f0e8d7c6b"


@pytest.mark.parametrize(
    ("key", "is_repeated"),
    [
        (ID, True),
        (ID.upper(), True),
        (ID.replace("-", ""), True),
        (f"fake{ID[13:25]}key", True),  # twelve characters, three of them dashes
        (f"fake-key-{ID[27:]}", True),
        (f"fake-key-{ID[28:]}", False),  # eight
        (f"{ID[:8]}{OTHER[8:]}", False),
        (f"{OTHER[:8]}-a7f6-4d6f-8b3b-{OTHER[24:]}", False),  # the same version, variant and more: two UUIDs may
        ("fake-key", False),
    ],
)
def test_a_uuid_repeats_a_credential_from_nine_digits_on(key: str, is_repeated: bool) -> None:
    """Fewer are chance: one row in 800,000 shares eight characters with the id that it gets, if its key is a UUID."""
    body = body_of(GenerateRequest.model_validate({**REFS, "api_key": key, "auth_scheme": AuthScheme.API_KEY}))

    assert body.is_repeated_in(ID) == is_repeated


@given(st.uuids(version=4), st.uuids(version=4), st.data())
def test_wherever_nine_digits_of_a_key_stand_in_an_id_they_are_found(
    key: uuid.UUID, made: uuid.UUID, data: st.DataObject
) -> None:
    of_key, at = data.draw(st.integers(0, 23)), data.draw(st.integers(0, 23))
    digits = made.hex[:at] + key.hex[of_key : of_key + 9] + made.hex[at + 9 :]
    body = body_of(GenerateRequest.model_validate({**REFS, "api_key": str(key), "auth_scheme": AuthScheme.API_KEY}))

    assert body.is_repeated_in(str(uuid.UUID(digits)))


def test_what_an_id_may_be_made_of_is_no_credential() -> None:
    """A workspace, a user name or metadata that the server builds its ids from."""
    request = {**REFS, "api_key": "fake-key", "auth_scheme": AuthScheme.API_KEY, "provider_workspace_ref": ID}

    assert not body_of(GenerateRequest.model_validate(request)).is_repeated_in(ID)
