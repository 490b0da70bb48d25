"""Encrypted columns: each scheme opens what an independent implementation sealed, and nothing else, and says why not.

The vectors in data/ciphertext.json were made by data/ciphertext.mjs, with Node's crypto.
"""

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from cryptography.fernet import Fernet
from desk import Ended, read_csv, write_csv

from importer.api.wire import body_of
from importer.config import environment
from importer.errors import ConfigError, ImporterError, SourceError
from importer.fields import read_mapping
from importer.mapping import MappedRow, Mapper
from importer.mapping.ciphers import SCHEMES
from importer.mapping.columns import Cells
from importer.mapping.decrypt import Decryptor
from importer.mapping.header import Header
from importer.outcomes import Code
from importer.sandbox import Sandbox
from importer.sources.base import Chunk

DATA = json.loads((Path(__file__).parent / "data" / "ciphertext.json").read_text("utf-8"))
VECTORS: list[dict[str, str]] = [
    *DATA["vectors"],
    # https://github.com/fernet/spec/blob/master/verify.json
    {
        "name": "fernet-spec",
        "scheme": "fernet",
        "key": "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=",
        "cell": "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==",
        "plain": "hello",
    },
]
NAMED = {vector["name"]: vector for vector in VECTORS}
TOKEN = NAMED["laravel-gcm"]["plain"]
LARAVEL = NAMED["laravel-gcm"]
OTHER_KEYS = {
    "fernet": base64.urlsafe_b64encode(b"another key, of 32 bytes as well").decode(),
    "aes-gcm": b"another key, of 32 bytes as well".hex(),
    "laravel": f"base64:{base64.b64encode(b'another key, of 32 bytes as well').decode()}",
    "rails": "another primary key",
}

REFS = {"provider": "hubspot", "group_ref": "acct-1", "consumer_ref": "user-1"}
GIVEN_REFS = {"provider": "provider", "groupRef": "group_ref", "consumerRef": "consumer_ref"}
ACCESS = "oauth2AuthorizationCode.accessToken.token"


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, str]], None]:
    """Set the variables that a vector needs."""

    def set_(vector: Mapping[str, str]) -> None:
        monkeypatch.setenv("TOKEN_KEY", vector["key"])
        monkeypatch.setenv("TOKEN_SALT", vector.get("salt", ""))

    return set_


def table(vector: Mapping[str, str]) -> dict[str, str]:
    """The `decrypt` table of a vector."""
    beside = {option: f"sealed_{option}" for option in ("iv", "tag") if option in vector}
    salt = {"salt_env": "TOKEN_SALT"} if "salt" in vector else {}
    return {"scheme": vector["scheme"], "key_env": "TOKEN_KEY", **salt, **beside}


def row(vector: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    beside = {f"sealed_{option}": vector[option] for option in ("iv", "tag") if option in vector}
    return {**REFS, "sealed": vector["cell"], **beside, **more}


def mapping(vector: Mapping[str, str]) -> dict[str, Any]:
    field = {"json": "$.access_token"} if "iv" in vector else {}
    return {**GIVEN_REFS, **nested(ACCESS, {"column": "sealed", "decrypt": table(vector), **field})}


def nested(path: str, value: Any) -> dict[str, Any]:
    head, _, rest = path.partition(".")
    return {head: nested(rest, value) if rest else value}


def mapper(given: Mapping[str, Any], columns: Sequence[str]) -> Mapper:
    return Mapper(read_mapping(given, "config.toml"), columns, source="tokens.csv")


def mapped(given: Mapping[str, Any], *rows: Mapping[str, Any], by: Mapper | None = None) -> list[MappedRow]:
    columns = list(rows[0])
    frame = pd.DataFrame([[cells[name] for name in columns] for cells in rows], columns=columns, dtype=object)
    return (by or mapper(given, columns)).map(Chunk("tokens.csv", range(1, len(rows) + 1), frame, []))


def tokens(mapped_row: MappedRow) -> dict[str, Any]:
    assert mapped_row.request is not None, mapped_row.issues
    sent: dict[str, Any] = json.loads(body_of(mapped_row.request).json)["oauth2AuthorizationCode"]
    return sent


def access(mapped_row: MappedRow) -> str:
    token: str = tokens(mapped_row)["accessToken"]["token"]
    return token


# --- what opens ---


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
@pytest.mark.parametrize("as_bytes", [False, True])
def test_what_others_sealed_is_sent_in_plain(vector, as_bytes, env):
    env(vector)
    cells = row(vector)
    if as_bytes:
        cells = {name: cell if name in REFS else cell.encode() for name, cell in cells.items()}

    [read] = mapped(mapping(vector), cells)

    assert access(read) == (TOKEN if vector["name"] == "nango" else vector["plain"])


@pytest.mark.parametrize(
    ("key", "iv", "plain", "sealed", "tag"),
    [
        # McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, test cases 3 and 14 (NIST's too)
        (
            "feffe9928665731c6d6a8f9467308308",
            "cafebabefacedbaddecaf888",
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
            "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
            "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
            "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985",
            "4d5c2af327cd64a62cf35abd2ba6fab4",
        ),
        ("00" * 32, "00" * 12, "00" * 16, "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"),
    ],
)
def test_the_published_vectors_of_aes_gcm_open_in_each_layout(key, iv, plain, sealed, tag):
    opener = SCHEMES["aes-gcm"](key, "")
    whole = bytes.fromhex(iv + sealed + tag)

    for parts in (
        [whole],
        [(iv + sealed + tag).encode()],
        [base64.b64encode(whole)],
        [(sealed + tag).encode(), iv.encode()],
        [sealed.encode(), bytes.fromhex(iv), tag.encode()],
    ):
        assert opener(parts).hex() == plain


def test_fields_of_one_encrypted_json_column_are_read_as_if_it_were_plain(env):
    env(LARAVEL)
    field = {"column": "sealed", "decrypt": table(LARAVEL)}
    block = {
        "accessToken": {
            "token": {**field, "json": "$.access_token"},
            "expiresAt": {**field, "json": "$.expires_in", "format": "expires_in", "since": "$.issued_at"},
        },
        "refreshToken": {"token": {**field, "json": "$.refresh_token"}},
        "scopes": {**field, "json": "$.scope"},
    }

    [read] = mapped({**GIVEN_REFS, "oauth2AuthorizationCode": block}, {**REFS, "sealed": DATA["more"]["laravelJson"]})

    assert tokens(read) == {
        "accessToken": {"token": TOKEN, "expiresAt": "2026-01-31T13:00:00Z"},
        "refreshToken": {"token": NAMED["rails-zlib"]["plain"]},
        "scopes": ["a", "b"],
    }


def test_a_column_of_several_fields_is_opened_once(env):
    env(LARAVEL)
    header = Header("tokens.csv", list(row(LARAVEL)))
    first, second = (Decryptor("sealed", table(LARAVEL), header, "mapping", environment()) for _ in range(2))
    cells = Cells(pd.DataFrame([row(LARAVEL)], dtype=object))

    assert cells.opened("sealed", first) == [TOKEN]
    assert cells.opened("sealed", second) is cells.opened("sealed", first)


def test_a_json_column_that_a_database_gave_parsed_opens_too(env):
    vector = NAMED["rails-sha256"]
    env(vector)

    [read] = mapped(mapping(vector), row({**vector, "cell": json.loads(vector["cell"])}))

    assert access(read) == vector["plain"]


def test_blank_cells_and_sealed_nulls_are_blank(env):
    env(LARAVEL)
    cells = [LARAVEL["cell"], "", None, " ", b"", DATA["more"]["laravelNull"]]

    read = mapped(mapping(LARAVEL), *(row({**LARAVEL, "cell": cell}) for cell in cells))

    assert access(read[0]) == TOKEN
    assert [issue.code for mapped_row in read[1:] for issue in mapped_row.issues] == [Code.NO_CREDENTIAL] * 5


@pytest.mark.parametrize("name", ["fernet-spec", "laravel-cbc-encrypt"])
def test_one_of_several_keys_opens(name, monkeypatch):
    vector = NAMED[name]
    monkeypatch.setenv("TOKEN_KEY", f"{OTHER_KEYS[vector['scheme']]}, {vector['key']}")

    [read] = mapped(mapping(vector), row(vector))

    assert access(read) == vector["plain"]


def test_what_is_decrypted_is_checked_as_if_it_had_been_plain(monkeypatch):
    """Sealed twice: one layer is off, and what is under it is no token."""
    key = base64.urlsafe_b64encode(b"fake-key-of-32-bytes-for-a-test!").decode()
    monkeypatch.setenv("TOKEN_KEY", key)
    fernet = Fernet(key)
    twice = fernet.encrypt(fernet.encrypt(b"fake-access-token-1")).decode()

    [read] = mapped(mapping({"scheme": "fernet"}), {**REFS, "sealed": twice})

    assert [issue.code for issue in read.issues] == [Code.ENCRYPTED]


# --- what does not open ---


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_wrong_key_is_one_line_for_the_file(vector, env):
    env({**vector, "key": OTHER_KEYS[vector["scheme"]]})

    with pytest.raises(SourceError) as caught:
        mapped(mapping(vector), row(vector), row({**vector, "cell": ""}), row(vector))

    assert str(caught.value) == (
        "none of the first 2 values of column sealed of tokens.csv can be decrypted with the key in the variable "
        "TOKEN_KEY: wrong key or scheme"
    )
    assert caught.value.hint


def test_a_wrong_key_is_found_out_by_the_first_chunk_that_has_values(env):
    env({**LARAVEL, "key": OTHER_KEYS["laravel"]})
    by = mapper(mapping(LARAVEL), list(row(LARAVEL)))

    assert [read.request for read in mapped({}, row({**LARAVEL, "cell": ""}), by=by)] == [None]
    with pytest.raises(SourceError):
        mapped({}, row(LARAVEL), by=by)


def test_single_values_that_do_not_open_are_issues_of_their_rows(env):
    env(LARAVEL)
    broken = row({**LARAVEL, "cell": LARAVEL["cell"][:-8]})
    by = mapper(mapping(LARAVEL), list(broken))

    bad, good = mapped({}, broken, row(LARAVEL), by=by)
    [later] = mapped({}, broken, by=by)  # a chunk in which none opens, after one in which some did

    assert access(good) == TOKEN
    for read in (bad, later):
        assert [(issue.field, issue.code) for issue in read.issues] == [("sealed", Code.CANNOT_DECRYPT)]
        assert read.issues[0].reason == "this cannot be decrypted as laravel with the key in the variable TOKEN_KEY"


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_changed_byte_anywhere_is_no_other_plain_text(vector):
    """Of JSON and base64, some bytes mean nothing: then the text is the same."""
    opener = SCHEMES[vector["scheme"]](vector["key"], vector.get("salt", ""))
    sealed, *beside = (vector[part].encode() for part in ("cell", "iv", "tag") if part in vector)
    refused = 0
    for at in range(len(sealed)):
        changed = sealed[:at] + (b"A" if sealed[at : at + 1] != b"A" else b"B") + sealed[at + 1 :]
        try:
            assert opener([changed, *beside]).decode() == vector["plain"]
        except AssertionError:
            raise
        except Exception:  # each library has its own way to say that a seal is broken
            refused += 1
    assert refused > len(sealed) * 0.9


@pytest.mark.parametrize(
    "cell", ["fake-access-token-1", "", "{}", "[]", "null", '"x"', "é", "\ud800", 7, 1.5, True, [1]]
)
@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_what_was_never_sealed_is_one_issue_or_blank(vector, cell, env):
    env(vector)

    good, read = mapped(mapping(vector), row(vector), row({**vector, "cell": cell}))

    wanted = Code.NO_CREDENTIAL if cell == "" else Code.CANNOT_DECRYPT
    assert good.request is not None
    assert [issue.code for issue in read.issues] == [wanted]


@pytest.mark.parametrize("part", ["iv", "tag"])
def test_a_missing_iv_or_tag_is_one_issue(part, env):
    vector = NAMED["nango"]
    env(vector)

    _, read = mapped(mapping(vector), row(vector), row({**vector, part: None}))

    assert [issue.code for issue in read.issues] == [Code.CANNOT_DECRYPT]


@pytest.mark.parametrize("name", ["laravel-gcm", "rails-sha256"])
def test_a_shortened_tag_is_refused(name):
    """GCM takes a tag of fewer bytes for one that is easier to forge."""
    vector = NAMED[name]
    opener = SCHEMES[vector["scheme"]](vector["key"], vector.get("salt", ""))
    short = base64.b64encode(b"four").decode()
    if name == "laravel-gcm":
        payload = json.loads(base64.b64decode(vector["cell"]))
        sealed = base64.b64encode(json.dumps({**payload, "tag": short}).encode())
    else:
        message = json.loads(vector["cell"])
        sealed = json.dumps({**message, "h": {**message["h"], "at": short}}).encode()

    with pytest.raises(ValueError, match=r"^$"):
        opener([sealed])


# --- settings ---


@pytest.mark.parametrize(
    ("decrypt", "message", "hint"),
    [
        ({}, "decrypt.scheme is missing", "Give one of: fernet, aes-gcm, laravel, rails."),
        ({"scheme": "larvel"}, "decrypt.scheme is not known", "Did you mean laravel?"),
        ({"scheme": "rot13"}, "decrypt.scheme is not known", "Give one of"),
        ({"scheme": "fernet"}, "decrypt.key_env is missing", 'key_env = "MY_KEY"'),
        ({"scheme": "fernet", "key-env": "X"}, "decrypt.key-env is not known for fernet", "Did you mean key_env?"),
        ({"scheme": "fernet", "key_env": "X", "iv": "iv"}, "decrypt.iv is not known for fernet", "Known here: scheme"),
        ({"scheme": "rails", "key_env": "X"}, "decrypt.salt_env is missing", 'salt_env = "MY_SALT"'),
        (
            {"scheme": "rails", "key_env": "TOKEN_KEY", "salt_env": "NOT_SET"},
            "salt_env: the variable NOT_SET",
            "Set it",
        ),
        ({"scheme": "fernet", "key_env": "NOT_SET"}, "key_env: the variable NOT_SET is not set", "Set it"),
        ({"scheme": "fernet", "key_env": "TOKEN_KEY"}, "TOKEN_KEY does not hold a key of fernet", "URL-safe base64"),
        ({"scheme": "aes-gcm", "key_env": "TOKEN_KEY"}, "TOKEN_KEY does not hold a key of aes-gcm", "16, 24 or 32"),
        ({"scheme": "laravel", "key_env": "TOKEN_KEY"}, "TOKEN_KEY does not hold a key of laravel", "16 or 32 bytes"),
        ({"scheme": "aes-gcm", "key_env": "GOOD_KEY", "iv": "nonce"}, "no column nonce", "None of its 4 columns"),
        (
            {"scheme": "aes-gcm", "key_env": "GOOD_KEY", "tag": "sealed"},
            "a column of tags and none of ivs",
            "Name both",
        ),
    ],
)
def test_a_setting_that_cannot_decrypt_is_one_line_before_the_first_row(decrypt, message, hint, monkeypatch):
    monkeypatch.setenv("TOKEN_KEY", "fake-key-of-no-use")
    monkeypatch.setenv("GOOD_KEY", "00" * 32)
    monkeypatch.delenv("NOT_SET", raising=False)

    with pytest.raises(ImporterError) as caught:
        mapper({**GIVEN_REFS, "apiKey": {"column": "sealed", "decrypt": decrypt}}, [*REFS, "sealed"])

    assert message in str(caught.value)
    assert "mapping.apiKey.decrypt" in str(caught.value)
    assert hint in caught.value.hint
    assert "fake-key" not in f"{caught.value}{caught.value.hint}"


@pytest.mark.parametrize("where", ["template", "value"])
def test_only_a_column_can_be_decrypted(where):
    field = {where: "{sealed}", "decrypt": {"scheme": "fernet", "key_env": "TOKEN_KEY"}}

    with pytest.raises(ConfigError, match=r"mapping\.apiKey\.decrypt has no effect there"):
        mapper({**GIVEN_REFS, "apiKey": field}, [*REFS, "sealed"])


@pytest.mark.parametrize("key", [NAMED["laravel-gcm"]["key"], NAMED["fernet-spec"]["key"], "AB" * 16, "ab" * 16])
def test_a_key_that_stands_where_its_variable_should_be_named_is_not_shown(key):
    decrypt = {"scheme": "fernet", "key_env": key}

    with pytest.raises(ConfigError) as caught:
        mapper({**GIVEN_REFS, "apiKey": {"column": "sealed", "decrypt": decrypt}}, [*REFS, "sealed"])

    assert str(caught.value) == "mapping.apiKey.decrypt.key_env: the variable that is named there is not set"
    assert key not in caught.value.hint


WITHOUT_THE_LIBRARY = """
import sys
sys.modules["cryptography"] = None  # as if it were not installed
from importer.config import environment
from importer.fields import read_mapping
from importer.errors import ConfigError
from importer.mapping import Mapper

refs = {"provider": "p", "groupRef": "g", "consumerRef": "c"}
plain = {**refs, "apiKey": "k"}
Mapper(read_mapping(plain, "config.toml"), ["p", "g", "c", "k"], source="tokens.csv")
sealed = {**refs, "apiKey": {"column": "k", "decrypt": {"scheme": "fernet", "key_env": "HOME"}}}
try:
    Mapper(read_mapping(sealed, "config.toml"), ["p", "g", "c", "k"], source="tokens.csv")
except ConfigError as error:
    print(error, error.hint)
"""


def test_without_the_library_all_else_works_and_the_extra_is_named():
    ended = subprocess.run([sys.executable, "-c", WITHOUT_THE_LIBRARY], capture_output=True, text=True, check=True)

    assert ended.stdout == (
        "mapping.apiKey.decrypt needs the library cryptography, which is not installed "
        'Install it: pip install "importer[decrypt]".\n'
    )


# --- from end to end ---

CONFIG = """
[mapping]
provider = "provider"
groupRef = "group_ref"
consumerRef = "consumer_ref"
oauth2AuthorizationCode.accessToken.token = { column = "sealed", decrypt = { scheme = "laravel", key_env = "APP_KEY" } }
"""


@pytest.fixture
def encrypted(home: Path) -> Path:
    with (home / "config.toml").open("a") as config:
        config.write(CONFIG)
    rows = [{**REFS, "group_ref": f"acct-{n}", "sealed": LARAVEL["cell"]} for n in range(1, 4)]
    return write_csv(home / "tokens.csv", [*rows, {**REFS, "group_ref": "acct-4", "sealed": LARAVEL["cell"][:-4]}])


def test_plain_tokens_reach_the_api_and_no_disk(
    encrypted: Path, importer: Callable[..., Ended], sandbox: Sandbox
) -> None:
    ended = importer("run", "tokens.csv", APP_KEY=LARAVEL["key"])

    assert ended.exit_code == 3
    sent = [made["request"]["oauth2AuthorizationCode"]["accessToken"]["token"] for made in sandbox.connections()]
    assert sent == [TOKEN] * 3
    assert [line["code"] for line in read_csv(encrypted.parent / "importer-report" / "errors.csv")] == [
        "cannot_decrypt"
    ]
    secrets = [TOKEN.encode(), LARAVEL["key"].encode(), LARAVEL["key"].removeprefix("base64:").encode()]
    for path in encrypted.parent.rglob("*"):
        if path.is_file():
            assert not any(secret in path.read_bytes() for secret in secrets), path
    assert not any(secret in f"{ended.out}{ended.err}".encode() for secret in secrets)


def test_a_wrong_key_stops_before_anything_is_sent_or_written(
    encrypted: Path, importer: Callable[..., Ended], sandbox: Sandbox
) -> None:
    for verb in ("plan", "run"):
        ended = importer(verb, "tokens.csv", APP_KEY=OTHER_KEYS["laravel"])

        assert ended.exit_code == 2
        assert ended.err.count("wrong key or scheme") == 1
    assert sandbox.count() == 0
