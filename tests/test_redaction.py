"""What shares a piece with a credential is not shown, in whatever encoding; ids and names are."""

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from importer.redaction import (
    WITHHELD,
    describe,
    looks_like_a_token,
    reads_as_a_scope,
    shares_a_piece,
    withhold,
)

PIECE = 8
"""Characters in a row that give a credential away."""

SECRET = 'fake "tökén"/+=\\ & 1234 abc'


def in_base64(secret: str, before: int, after: int = 5, *, url: bool = False) -> str:
    """A longer text in base64 in which the secret stands after this many bytes."""
    longer = b"~" * before + secret.encode() + b"~" * after
    return (base64.urlsafe_b64encode if url else base64.b64encode)(longer).decode()


ENCODED = {
    "raw": SECRET,
    "json": json.dumps(SECRET),
    "json of json": json.dumps(json.dumps({"token": "fake-token-abcdef"})),
    "json with its letters": json.dumps(SECRET, ensure_ascii=False),
    "url": quote(SECRET, safe=""),
    "url, lower case": quote(SECRET, safe="").lower(),
    "form": quote_plus(SECRET),
    **{f"base64 after {before} bytes": in_base64(SECRET, before) for before in range(7)},
    **{f"base64url after {before} bytes": in_base64(SECRET, before, url=True) for before in range(3)},
    **{f"base64 after {before} bytes, at the end": in_base64(SECRET, before, 0) for before in range(3)},
    "upper case": SECRET.upper(),
    "lower case": SECRET.lower(),
    "casefolded": SECRET.casefold(),
}


@pytest.mark.parametrize("encoding", ENCODED)
def test_a_secret_is_found_in(encoding: str) -> None:
    text = f"The server says: {ENCODED[encoding]}!"
    secrets = ["another-secret", "fake-token-abcdef" if encoding == "json of json" else SECRET]

    assert shares_a_piece(text, secrets)
    assert withhold(text, secrets) == WITHHELD


SECRETS = st.text(st.characters(exclude_categories=["Cs"]), min_size=PIECE, max_size=80)


@given(SECRETS, st.integers(0, 9), st.integers(0, 4), st.booleans())
def test_any_secret_is_found_in_base64_at_any_alignment(secret: str, before: int, after: int, url: bool) -> None:
    assert shares_a_piece(in_base64(secret, before, after, url=url), [secret])


@given(SECRETS, st.text(), st.text())
def test_any_secret_is_found_as_it_is_and_escaped(secret: str, before: str, after: str) -> None:
    for form in (secret, json.dumps(secret)[1:-1], quote(secret, safe=""), quote_plus(secret)):
        assert shares_a_piece(f"{before}{form}{after}", [secret])


@given(st.text("abcdefgh01234", min_size=PIECE, max_size=80), st.data())
def test_every_eight_characters_in_a_row_are_a_piece(secret: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(secret) - PIECE))

    assert shares_a_piece(f"It begins with {secret[start : start + PIECE]}…", [secret])


@given(st.text("abcdefgh01234", min_size=PIECE, max_size=80), st.data())
@example("fake0token1", None)
def test_seven_characters_are_no_piece(secret: str, data: st.DataObject | None) -> None:
    start = data.draw(st.integers(0, len(secret) - PIECE + 1)) if data else 0
    text = f"<{secret[start : start + PIECE - 1]}>"

    assert not shares_a_piece(text, [secret])
    assert withhold(text, [secret]) == text


@pytest.mark.parametrize(
    ("text", "secret", "found"),
    [
        # a secret shorter than a piece counts as a whole
        ("the password was fake1.", "fake1", True),
        ("the password was FAKE1.", "fake1", True),
        ("the password was fake.", "fake1", False),
        ("pässword", "päss", True),
        ("a%C3%A9b", "aéb", True),
        ("Y2FrZTE=", "cake1", True),
        # one or two characters are in every text, and none are no secret
        ("a bad request", "a", False),
        ("it is so", "it", False),
        ("nothing", "", False),
        ("", "fake-secret-1", False),
    ],
)
def test_short_secrets(text: str, secret: str, found: bool) -> None:
    assert shares_a_piece(text, [secret]) == found


def test_without_secrets_everything_is_shown() -> None:
    assert withhold("The provider is unknown.", []) == "The provider is unknown."


@given(st.text(), st.lists(st.text(max_size=20), max_size=3))
def test_what_is_shown_is_the_text_itself_or_our_own_words(text: str, secrets: list[str]) -> None:
    shown = withhold(text, secrets)

    assert shown in (text, WITHHELD)
    assume(shown == text)
    assert not any(len(secret) > 2 and secret in text for secret in secrets)


def test_a_lone_surrogate_is_looked_for_too() -> None:
    """A cell may hold one: Python reads such bytes, and no encoder writes them."""
    assert shares_a_piece("the token fake-\udc80-token-1 is refused", ["fake-\udc80-token-1"])


def test_a_secret_is_described_by_kind_and_length() -> None:
    assert describe("fake-token-1", "access token") == "access token of 12 characters"


# --- the shape of a token ---

TOKENS = {
    "JWT": "eyJmYWtlIjoidG9rZW4ifQ.eyJmYWtlIjoidG9rZW4ifQ.fake-signature",
    "Salesforce access": "00D000000000FAKE!FAKE.FAKE_fake_access_token",
    "Salesforce access, opaque": "00DFAKE00000fake!ARoAQFAKE0000fakeFAKE0000fakeFAKE0000",
    "Google access": "ya29.fake-google-access-token",
    "Google refresh": "1//0fake-google-refresh-token",
    "Slack": "xoxb-fake-fake-fake-fake",
    "Slack, rotating": "xoxe.xoxp-1-fakefakefakefake",
    "GitHub": "ghp_fakefakefakefakefakefakefakefakefake",
    "GitHub, fine-grained": "github_pat_fake_fake_fake",
    "GitLab": "glpat-fakefakefakefakefake",
    "Stripe": "sk_test_fakefakefakefake",
    "Shopify": "shpat_fakefakefakefakefakefakefakefa",
    "SendGrid": "SG.fakefakefake.fakefakefakefake",
    "Notion": "ntn_fakefakefakefakefakefake",
    "Fernet": "gAAAAABfakefakefakefakefakefake==",
    "a header": "Bearer fake-access-token-1",
    "PEM": "-----BEGIN PRIVATE KEY-----",
    "opaque": "FAKEfake0000FAKEfake0000FAKEfake0000",
    "opaque base64": "FAKEfake/000+FAKEfake/000+FAKEfake==",
    "opaque base64url": "FAKEfake_000-FAKEfake_000-FAKEfake",
    "opaque with dots": "FAKE00.fake00.FAKE00.fake00.FAKE00.fake",
}

NO_TOKENS = {
    "blank": "",
    "slug": "acme-corp_prod.eu",
    "long slug": "acme-corporation-of-north-america-and-europe-2024-production",
    "long words": "the-quick-brown-fox-jumps-over-the-lazy-dog-again-and-again",
    "name": "Acme Corporation of North America and Europe, 2024 edition (prod)",
    "one word": "AcmeCorporationOfNorthAmericaAndEurope",
    "UUID": "01234567-89ab-cdef-0123-456789abcdef",
    "UUID, upper case": "01234567-89AB-CDEF-0123-456789ABCDEF",
    "UUID without dashes": "0123456789abcdef0123456789abcdef",
    "UUID of mixed case": "01234567-89aB-cdEF-0123-456789abcDEF",
    "ULID": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "ULID, lower case": "01arz3ndektsv4rrffq69g5fav",
    "KSUID": "0ujtsYcgvSTl8PAuAdqWYSMnLOv",
    "hex 24": "0123456789abcdef01234567",
    "hex 32": "0123456789abcdef" * 2,
    "hex 40": "0123456789abcdef01234567" + "0123456789abcdef",
    "hex 64": "0123456789abcdef" * 4,
    "hex 64, upper case": "0123456789ABCDEF" * 4,
    "e-mail": "ada.fake.2024+import@mail.subsidiary.acme-corporation.example.com",
    "e-mail of mixed case": "Ada.Fake2024@Mail.Subsidiary.Acme-Corporation.Example.com",
    "number": "12345678901234567890123456789012345",
    "short number": "42",
    "Salesforce id": "00D000000000FAKEAA",
    "Auth0 user": "auth0|0123456789abcdef01234567",
    "WorkOS organization": "org_01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "address": "https://Acme01.example.com/Organizations/2024/Production",
    "prefix alone": "xoxb-",
    "short with a prefix": "sk-1",
}


@pytest.mark.parametrize("kind", TOKENS)
def test_a_token_is_taken_for_one(kind: str) -> None:
    assert looks_like_a_token(TOKENS[kind])


@pytest.mark.parametrize("kind", NO_TOKENS)
def test_an_id_a_name_or_an_address_is_not(kind: str) -> None:
    assert not looks_like_a_token(NO_TOKENS[kind])


MISTAKEN = {
    "Clerk user": "user_0ujtsYcgvSTl8PAuAdqWYSMnLOv",
    "WorkOS directory user": "directory_user_01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "slug with capitals and a year": "Acme-Corporation-North-America-2024",
    "name in capitals": "ASIA PACIFIC HOLDINGS",
    "Slovak slug": "sk-bratislava-office-42",
    "person's slug": "pat-nakamura-consulting",
    "name of words": "Basic Energy Services",
    "name after Token": "Token Transit Holdings",
}


@pytest.mark.parametrize("kind", MISTAKEN)
def test_a_ref_or_name_of_the_same_shape_is_not(kind: str) -> None:
    assert not looks_like_a_token(MISTAKEN[kind])


# --- scopes ---


@pytest.mark.parametrize(
    "scope",
    [
        *("oauth", "api", "openid", "email", "profile", "read", "write", "admin", "repo", "API", "offline_access"),
        *("crm.objects.contacts.read", "read:org", "chat:write.public", "user-read-private", "r_1st_connections_size"),
        *("ZohoCRM.modules.ALL", "Mail.ReadWrite", "User.Read.All", "PrivilegedSchedule.Read.AzureADGroup", "me:read"),
        *("https://www.googleapis.com/auth/calendar.readonly", "https://mail.google.com/", "w_member"),
        *("https://graph.microsoft.com/.default", "api:v2:read", "oauth2:read", "files.s3.read", "office365.mail"),
        "https://www.google.com/m8/feeds",
    ],
)
def test_a_scope_is_shown(scope: str) -> None:
    assert reads_as_a_scope(scope)


@pytest.mark.parametrize(
    "text",
    [
        *("", "*", "hunter2", "hunter", "sunshine", "Sunshine", "hunter/", "hunter*", "read2", "apiapi", "user1"),
        *("pA9x-Qz7k-TT1", "fake-token-1", "fake.token2", "read:fake9", "v1a.read", "pAq-zXk", "aBcD.eFgH", "42.read"),
        *("fake token", "ghp_fakefakefakefakefakefakefakefakefake", "xkcdfghqrst.read", f"{'long.' * 30}scope"),
    ],
)
def test_what_may_be_a_credential_in_the_place_of_a_scope_is_not_shown(text: str) -> None:
    assert not reads_as_a_scope(text)
