"""What is no credential is refused before it is posted as one; what may be one is not."""

import base64
import random
import string
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.errors import ConfigError
from importer.fields import read_mapping
from importer.mapping import MappedRow, Mapper
from importer.mapping.cells import Fault
from importer.mapping.ciphertext import RULES, Check, Kind
from importer.outcomes import Code
from importer.sources.base import Chunk

REFS = {"provider": "hubspot", "group_ref": "acct-1", "consumer_ref": "user-1"}
GIVEN_REFS = {"provider": "provider", "groupRef": "group_ref", "consumerRef": "consumer_ref"}
FAKE = "fakefakefakefakefakefake"
CHECKS = {kind: Check(kind) for kind in Kind}


def in_base64(*parts: bytes) -> str:
    return base64.b64encode(b"".join(parts)).decode()


RAILS_CBC = in_base64(in_base64(b"fake" * 8).encode(), b"--", in_base64(b"fake" * 4).encode()) + "--"
RAILS_SIGNED = in_base64(b'{"id":1,"user":"fake","is":"signed"}' * 3) + "--"
KEY_ID = b"fake-key"
OPENPGP = [
    in_base64(head, b"fake-ciphertext-1" * 3)
    for head in (
        b"\xc3\x0d\x04\x07\x03\x02",  # pgp_sym_encrypt of pgcrypto
        b"\xc3\x0d\x04\x09\x03\x08",
        b"\xc3\x2e\x04\x09\x03\x08",  # with sess-key=1
        b"\xc3\x04\x04\x07\x00\x02",  # with s2k-mode=0
        b"\x8c\x0d\x04\x09\x03\x02",  # gpg --symmetric
        b"\xc1\xc0\x4c\x03" + KEY_ID + b"\x01\x08\x00",  # pgp_pub_encrypt: RSA of 2048 bits,
        b"\xc1\xc1\x4c\x03" + KEY_ID + b"\x01\x10\x00",  # of 4096,
        b"\xc1\x8c\x03" + KEY_ID + b"\x01\x04\x00",  # of 1024,
        b"\xc1\xc1\x4e\x03" + KEY_ID + b"\x10\x07\xff",  # and ElGamal
        b"\x85\x01\x0c\x03" + KEY_ID + b"\x01\x07\xff",  # gpg --encrypt: RSA of 2048 bits,
        b"\x84\x8c\x03" + KEY_ID + b"\x01\x03\xfe",  # of 1024,
        b"\x84\x5e\x03" + KEY_ID + b"\x12\x01\x07",  # and elliptic curves
    )
]
OPENPGP.append("\n".join(OPENPGP[0][at : at + 40] for at in range(0, len(OPENPGP[0]), 40)))  # as encode() breaks lines

NONE_OF_THEM: list[tuple[str, str, Code]] = [
    ("laravel", f"eyJpdiI6{FAKE}==", Code.ENCRYPTED),
    ("laravel", "eyJpdiI6ImZha2", Code.ENCRYPTED),  # cut off by a VARCHAR
    ("rails", f'{{"p":"{FAKE}","h":{{"iv":"fake","at":"fake=="}}}}', Code.ENCRYPTED),
    ("rails", f'{{"h": {{"iv": "fake"}}, "p": "{FAKE}"}}', Code.ENCRYPTED),  # as PostgreSQL orders a jsonb
    ("rails_message", f"{FAKE}=--fakefakefakefake--fakefakefakefakefakefa==", Code.ENCRYPTED),
    ("rails_cbc", RAILS_CBC + "fa4e" * 10, Code.ENCRYPTED),
    ("rails_cbc", RAILS_CBC + "fa4e" * 16, Code.ENCRYPTED),
    ("hex_parts", f"{'fa4e' * 8}:{'fa4e' * 16}", Code.ENCRYPTED),
    ("hex_parts", f"{'fa4e' * 6}:{'fa4e' * 14}", Code.ENCRYPTED),
    ("hex_parts", f"{'fa4e' * 6}:{'fa4e' * 8}:{'fa4e' * 3}", Code.ENCRYPTED),
    ("hex_parts", f"{'FA4E' * 8}:{'FA4E' * 3}:{'FA4E' * 8}", Code.ENCRYPTED),
    ("fernet", f"gAAAAABfake-_{FAKE}==", Code.ENCRYPTED),
    ("vault", f"vault:v1:{FAKE}", Code.ENCRYPTED),
    ("nango", f'{{"encrypted_credentials":"{FAKE}"}}', Code.ENCRYPTED),
    ("better_auth", f"$ba$1${FAKE}", Code.ENCRYPTED),
    ("pgcrypto", r"\xc30d04070302" + "fa4e" * 8, Code.ENCRYPTED),
    ("pgcrypto", r"\xC30D04070302" + "FA4E" * 8, Code.ENCRYPTED),
    ("pgcrypto", "c30d04070302" + "fa4e" * 8, Code.ENCRYPTED),
    ("pgcrypto", "c1c04c03" + "fa4e" * 4 + "010800" + "fa4e" * 8, Code.ENCRYPTED),
    *(("openpgp", text, Code.ENCRYPTED) for text in OPENPGP),
    ("armor", f"-----BEGIN PGP MESSAGE-----\n\n{FAKE}\n-----END PGP MESSAGE-----", Code.ENCRYPTED),
    ("armor", f"-----BEGIN AGE ENCRYPTED FILE-----\n{FAKE}", Code.ENCRYPTED),
    ("kms", f"AQICAHg{FAKE}=", Code.ENCRYPTED),
    ("kms", f"AQECAHg{FAKE}=", Code.ENCRYPTED),
    ("tool", "$ANSIBLE_VAULT;1.1;AES256", Code.ENCRYPTED),
    ("tool", f"ENC[AES256_GCM,data:{FAKE},iv:fake]", Code.ENCRYPTED),
    ("tool", f"ENC({FAKE})", Code.ENCRYPTED),
    ("label", f"enc:{FAKE}", Code.ENCRYPTED),
    ("label", f"ENCRYPTED:{FAKE}", Code.ENCRYPTED),
    ("label", f"v1:{FAKE}:fake", Code.ENCRYPTED),
    ("openssl", f"U2FsdGVkX1{FAKE}==", Code.ENCRYPTED),
    ("spring", f"{{cipher}}{FAKE}", Code.ENCRYPTED),
    ("iron", f"Fe26.2**{FAKE}*{FAKE}", Code.ENCRYPTED),
    ("hash", "$2b$12$fakefakefakefakefakefakefakefake", Code.ENCRYPTED),
    ("hash", "$argon2id$v=19$m=65536,t=3,p=4$ZmFrZQ$ZmFrZQ", Code.ENCRYPTED),
    ("mask_word", "<sensitive>", Code.MASKED),
    ("mask_run", "########", Code.MASKED),
    ("mask_part", f"{FAKE}{FAKE}...", Code.MASKED),
    ("placeholder", "YOUR_ACCESS_TOKEN", Code.BAD_TOKEN),
    ("placeholder", "your-api-key", Code.BAD_TOKEN),
    ("quoted", '"fake-access-token-1"', Code.BAD_TOKEN),
    ("address", "https://crm.example/token", Code.BAD_TOKEN),
    ("json", "[]", Code.BAD_TOKEN),
    ("mask_word", "REDACTED", Code.MASKED),
    ("mask_word", "[FILTERED]", Code.MASKED),
    ("mask_word", "<hidden>", Code.MASKED),
    ("mask_word", "[ENCRYPTED]", Code.MASKED),
    ("mask_word", "***REDACTED***", Code.MASKED),
    ("mask_bare_word", "redacted", Code.MASKED),
    ("mask_bare_word", "Filtered", Code.MASKED),
    ("mask_bare_word", "removed", Code.MASKED),
    ("mask_run", "***", Code.MASKED),
    *(("mask_signs", text, Code.MASKED) for text in ("**", "--------", "--", "——")),
    ("mask_run", "••••••••", Code.MASKED),
    ("mask_x", "xxxxx", Code.MASKED),
    ("mask_x", "XXXXXXXXXXXX1234", Code.MASKED),
    ("mask_part", "fake_live_a1b2...", Code.MASKED),
    ("mask_part", "fake_live_a1b2…", Code.MASKED),
    ("mask_part", "fake-a1...9z", Code.MASKED),
    ("mask_part", "••••1234", Code.MASKED),
    ("mask_part", "fake_live_****1234", Code.MASKED),
    ("mask_part", f"{FAKE}{FAKE}*****{FAKE}", Code.MASKED),
    *(("nothing", word, Code.BAD_TOKEN) for word in ("NULL", "null", "None", "nil", "undefined", "NaN", "N/A", "\\N")),
    ("header", "Bearer fake-access-token-1", Code.BAD_TOKEN),
    ("header", "basic ZmFrZTpmYWtl", Code.BAD_TOKEN),
    *(("header_alone", word, Code.BAD_TOKEN) for word in ("Bearer", "Basic", "bearer", "BASIC")),
    ("python", "{'access_token': 'fake-access-token-1'}", Code.BAD_TOKEN),
    ("python", "b'fake-access-token-1'", Code.BAD_TOKEN),
    ("ruby", "--- !ruby/hash:ActiveSupport::HashWithIndifferentAccess\ntoken: fake", Code.BAD_TOKEN),
    ("php", 's:19:"fake-access-token-1";', Code.BAD_TOKEN),
    ("php", 'a:1:{s:5:"token";s:4:"fake";}', Code.BAD_TOKEN),
    ("javascript", "[object Object]", Code.BAD_TOKEN),
    ("json", '{"access_token": "fake-access-token-1"}', Code.BAD_TOKEN),
    ("bytea", r"\x66616b65", Code.BAD_TOKEN),
    ("bytea", r"\x66616B65", Code.BAD_TOKEN),
    ("", "fake-access\x00-token-1", Code.BAD_TOKEN),
    ("", "fake-access-\ntoken-1", Code.BAD_TOKEN),
    ("", "fake-access\u200b-token-1", Code.BAD_TOKEN),
    ("", "fake-access\x7f-token-1", Code.BAD_TOKEN),
    ("", "fake-access\ud800-token-1", Code.BAD_TOKEN),
]
"""Rule, an example of it, its code."""

JWT = base64.urlsafe_b64encode(b'{"alg":"RS256","typ":"JWT"}').decode().rstrip("=")
JWE_WITH_AN_IV = base64.urlsafe_b64encode(b'{"iv":"fake","alg":"A256GCMKW","enc":"A256GCM"}').decode().rstrip("=")
PEM = "-----BEGIN PRIVATE KEY-----\nZmFrZQ==\n-----END PRIVATE KEY-----"

SOUND = [
    "fake-access-token-1",
    f"{JWT}.eyJzdWIiOiJmYWtlIn0.ZmFrZQ",
    f"{JWE_WITH_AN_IV}.ZmFrZQ.ZmFrZQ.ZmFrZQ.ZmFrZQ",
    f"{JWT}..ZmFrZQ",  # a detached signature
    "fa4e" * 16,
    f"{FAKE}{FAKE}==",
    "00000000-fa4e-fa4e-fa4e-000000000000",
    "v1.fa4e1234567890",
    "v^1.1#i^1#fake",
    "1//0fake-refresh_token",
    "00DfakefakefakeF!AQ0AQfake.fake._fake...fakefakefakefakefakefakefakefakefakefakefakefakefake",
    "M.C5fake_BAY.0.U.-Cfake*fake!fake***fakefakefakefakefakefakefakefakefakefakefakefakefakefake$$",
    "nullable-fake",
    "Noneofthem",
    "Basically-fake",
    "b'fake",
    RAILS_SIGNED + "fa4e" * 10,  # as the tokens of Basecamp are
    f"{'fa4e' * 6}:{'fa4e' * 16}",  # a key of Ghost
    f"{'fa4e' * 8}:{'fa4e' * 8}",  # a key and its secret
    f"{'fa4e' * 10}:{'fa4e' * 10}",
    f"ww0E{FAKE}{FAKE}",
    f"wcBM{FAKE}{FAKE}",
    f"hQEM{FAKE}{FAKE}",
    "c30d04" + "fa4e" * 10,
    "c1c04c03" + "fa4e" * 10,
    "Bearer-fake",
    "removed-fake",
    "x--------",
    "xxxx",
    "..",
    "fake--fake",
    "eyJpdiI6fake.fake.fake",
]


def mapped(*rows: Mapping[str, Any], mapping: Mapping[str, Any] | None = None) -> list[MappedRow]:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    frame = pd.DataFrame([[row.get(name) for name in columns] for row in rows], columns=columns, dtype=object)
    specs = None if mapping is None else read_mapping(mapping, "config.toml")
    return Mapper(specs, columns, source="tokens.csv").map(Chunk("tokens.csv", range(1, len(rows) + 1), frame, []))


def found(row: MappedRow) -> list[tuple[str, Code]]:
    assert (row.request is None) == bool(row.issues)
    return [(issue.field, issue.code) for issue in row.issues]


# --- what is refused ---


@pytest.mark.parametrize("column", ["access_token", "refresh_token"])
@pytest.mark.parametrize(("rule", "text", "code"), NONE_OF_THEM)
def test_what_is_no_token_is_refused_and_not_quoted(rule, text, code, column):
    good = {**REFS, "access_token": "fake-access-token-1", "refresh_token": "fake-refresh-token-1"}

    before, bad, after = mapped(good, {**good, column: text}, good)

    assert found(bad) == [(column, code)]
    assert before.request is not None
    assert after.request is not None
    said = f"{bad.issues[0].reason} {bad.issues[0].fix}"
    assert text not in said or len(text) < 10  # a short one may be a word of the sentence, as None is
    assert FAKE[:8] not in said
    assert not rule or CHECKS[Kind.TOKEN].fault(text) is CHECKS[Kind.TOKEN].named(rule)


def test_every_rule_has_an_example():
    assert {rule for rule, _, _ in NONE_OF_THEM} - {""} == {rule.name for rule in RULES}


@pytest.mark.parametrize(("rule", "text", "code"), NONE_OF_THEM)
def test_an_api_key_and_a_client_secret_are_held_to_the_same_but_for_headers_json_and_addresses(rule, text, code):
    # of a key, the catalog knows whether a prefix belongs to it; and some keys are the address of a hook
    for_tokens_only = rule in {"header", "json", "address"}
    client = {"client_id": "fake-client-1"}

    [key] = mapped({**REFS, "api_key": text})
    [secret] = mapped({**REFS, **client, "client_secret": text})

    assert found(key) == ([] if for_tokens_only else [("api_key", code)])
    assert found(secret) == ([] if for_tokens_only else [("client_secret", code)])


@pytest.mark.parametrize(("rule", "text", "code"), NONE_OF_THEM)
def test_a_password_may_be_nearly_anything(rule, text, code):
    """Nobody chooses ciphertext for a password, or stars only; but somebody may be called None."""
    [row] = mapped({**REFS, "username": "fake-user-1", "password": text})
    refused = code is Code.ENCRYPTED or rule in {"mask_word", "mask_run"}

    assert found(row) == ([("password", code)] if refused else [])


@pytest.mark.parametrize("text", SOUND)
@pytest.mark.parametrize("column", ["access_token", "refresh_token", "api_key", "password"])
def test_what_may_be_a_credential_is_taken(text, column):
    [row] = mapped({**REFS, **({"username": "fake-user-1"} if column == "password" else {}), column: text})

    assert found(row) == []


def test_a_private_key_has_lines_and_is_legal_where_keys_are():
    custom = {**GIVEN_REFS, "customAuth": {"privateKey": "pem"}}

    [key], [inputs] = mapped({**REFS, "api_key": PEM}), mapped({**REFS, "pem": PEM}, mapping=custom)

    assert found(key) == found(inputs) == []


@pytest.mark.parametrize(
    "alphabet",
    [
        string.hexdigits.lower()[:16],
        string.ascii_letters + string.digits,
        string.ascii_letters + string.digits + "+/",
        string.ascii_letters + string.digits + "-_",
        string.ascii_letters + string.digits + "-_.",
        string.ascii_letters + string.digits + "*!$.",
    ],
)
@pytest.mark.parametrize("length", [8, 40, 112, 600])
def test_no_random_token_is_refused(alphabet, length):
    """The seed is fixed: of short ones with dots and stars, which nobody issues, a few could be."""
    rng = random.Random(length)
    tokens = ["".join(rng.choices(alphabet, k=length)) + "==" * (n % 2) for n in range(20_000 * 40 // max(40, length))]
    if length == 8:
        tokens = [token for token in tokens if not any(mark in token for mark in ("...", "***"))]

    assert [cell for cell in CHECKS[Kind.TOKEN](tokens) if isinstance(cell, Fault)] == []


FRAGMENTS = [*(text for _, text, _ in NONE_OF_THEM), *SOUND, PEM, "é", "\ud800", " ", "-", ".", "*", "=="]


@given(st.sampled_from(list(Kind)), st.lists(st.none() | st.lists(st.sampled_from(FRAGMENTS), max_size=3).map("".join)))
def test_the_quick_look_at_a_column_misses_nothing(kind, column):
    check = CHECKS[kind]

    assert check(column) == [None if cell is None else check.fault(cell) or cell for cell in column]


# --- where it stands ---


def test_inputs_of_custom_auth_are_looked_at_one_by_one():
    cells = [
        {"token": f"gAAAAAB{FAKE}"},
        '{"token": "fake-token-1", "password": "********"}',
        '{"token": "fake-token-1", "password": "None"}',
        {"scopes": ["read", f"vault:v1:{FAKE}"]},
    ]

    rows = mapped(*({**REFS, "custom_auth": cell} for cell in cells))

    assert [found(row) for row in rows] == [
        [("custom_auth", Code.ENCRYPTED)],
        [("custom_auth", Code.MASKED)],
        [],
        [("custom_auth", Code.ENCRYPTED)],
    ]


@pytest.mark.parametrize(
    ("cell", "code"),
    [
        (f"eyJpdiI6{FAKE}", Code.ENCRYPTED),
        (f'{{"p":"{FAKE}","h":{{"iv":"fake"}}}}', Code.ENCRYPTED),
        ({"encrypted_credentials": FAKE}, Code.ENCRYPTED),
        ("[FILTERED]", Code.MASKED),
        ("fake", Code.BAD_JSON),
        ({"p": "fake"}, Code.NO_CREDENTIAL),
        ({"p": "fake", "h": "fake", "access_token": "fake-access-token-1"}, None),
    ],
)
def test_a_json_column_that_is_encrypted_is_called_so(cell, code):
    mapping = {
        **GIVEN_REFS,
        "oauth2AuthorizationCode": {"accessToken": {"token": {"column": "extra", "json": "$.access_token"}}},
    }
    [row] = mapped({**REFS, "extra": cell}, mapping=mapping)

    assert found(row) == ([("extra", code)] if code else [])


@pytest.mark.parametrize("cell", [b"\xc3\x0d\x04\x07", bytearray(b"fake"), memoryview(b"fake")])
def test_bytes_are_no_credential(cell):
    [row] = mapped({**REFS, "api_key": cell})

    assert found(row) == [("api_key", Code.BAD_TYPE)]
    assert "bytes" in row.issues[0].reason


def test_a_ref_that_repeats_what_is_no_credential_is_not_shown():
    """It holds one, all the same: {"access_token": …} in both columns."""
    text = '{"access_token": "fake-access-token-1"}'
    [row] = mapped({**REFS, "group_ref": text, "access_token": text})

    assert found(row) == [("group_ref", Code.CREDENTIAL_IN_REF), ("access_token", Code.BAD_TOKEN)]
    assert row.group_ref == ""


@pytest.mark.parametrize(
    ("path", "option", "text"),
    [
        ("apiKey", "value", "REDACTED"),
        ("apiKey", "default", f"eyJpdiI6{FAKE}"),
        ("customAuth.token", "value", "[FILTERED]"),
    ],
)
def test_a_constant_that_is_no_credential_stops_before_the_first_row(path, option, text):
    column = {"column": "key"} if option == "default" else {}
    head, _, name = path.partition(".")
    field = {**column, option: text}

    with pytest.raises(ConfigError) as caught:
        mapped({**REFS, "key": "fake-key-1"}, mapping={**GIVEN_REFS, head: {name: field} if name else field})

    assert str(caught.value).startswith(f"mapping.{path}.{option}: this is ")
    assert text not in f"{caught.value}{caught.value.hint}"


@pytest.mark.parametrize("column", ["token_ciphertext", "encrypted_token", "token_encrypted"])
def test_a_column_that_is_encrypted_by_its_name_is_noted(column):
    """What Lockbox and attr_encrypted write has no shape of its own."""
    columns = [*REFS, column, "encrypted_name"]
    mapper = Mapper(
        read_mapping({**GIVEN_REFS, "apiKey": column, "groupName": "encrypted_name"}, "config.toml"),
        columns,
        source="tokens.csv",
    )

    [note] = mapper.notes
    assert note.startswith(f"{column}: by its name this column is encrypted")
