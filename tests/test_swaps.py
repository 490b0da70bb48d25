"""Swapped columns: a key that stands where a ref belongs reaches neither the ledger, nor a report, nor the screen."""

import random
import string
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from desk import Ended, key_row, write_csv
from test_mapping import GIVEN_KEY, codes, mapped

from importer.errors import ConfigError, SourceError
from importer.outcomes import Code
from importer.redaction import may_be_a_key, reads_as_a_name
from importer.sandbox import Sandbox

Importer = Callable[..., Ended]

KINDS = {
    "mixed letters and digits": string.ascii_letters + string.digits,
    "small letters and digits": string.ascii_lowercase + string.digits,
    "letters": string.ascii_letters,
    "hexadecimal": "0123456789abcdef",
}


def random_keys(alphabet: str, length: int = 20) -> Iterator[str]:
    made = random.Random(7)
    while True:
        yield "".join(made.choices(alphabet, k=length))


def everything_written(home: Path) -> bytes:
    files = [path for path in home.rglob("*") if path.is_file() and path.name not in ("rows.csv", "config.toml")]
    return b"".join(path.read_bytes() for path in files)


@pytest.mark.parametrize("alphabet", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("column", ["provider", "group_ref", "consumer_ref", "consumer_name"])
@pytest.mark.parametrize("through", ["file", "pipe"])
def test_a_column_of_short_keys_in_the_place_of_names_is_told_once_and_stored_nowhere(
    home: Path, sandbox: Sandbox, importer: Importer, shell: Importer, alphabet: str, column: str, through: str
) -> None:
    keys = random_keys(alphabet)
    rows = [key_row(n, consumer_name=f"Customer {n}", api_key=next(keys)) for n in range(1, 41)]
    swapped = [row | {column: row["api_key"], "api_key": row[column]} for row in rows]
    path = write_csv(home / "rows.csv", swapped)

    if through == "pipe":
        ended = shell("run", "-", stdin=path.read_text())
    else:
        importer("plan", "rows.csv")
        ended = importer("run", "rows.csv")

    # what has many digits is no name of a provider, whatever stands beside it: then each row is refused for itself
    assert ended.exit_code == (3 if "bad_ref in provider" in ended.out else 2)
    assert f"bad_ref in {column}" in ended.out or f"credential in {column}" in ended.err
    assert sandbox.count() == 0
    written = everything_written(home) + ended.out.encode() + ended.err.encode()
    assert [row["api_key"] for row in rows if row["api_key"].encode() in written] == []


@pytest.mark.parametrize(
    ("ref", "key", "refused"),
    [
        ("q7Zk2vPd9xTb", "acme", True),
        ("q7Zk2vPd9xTb", "1042", True),
        ("q7Zk2vPd9xTb", "billing@acme.org", True),
        ("q7Zk2vPd9xTb", "7d4f5c9e-8a51-4c39-9c1f-1f2e3d4c5b6a", True),
        ("0a1b2c3d4e5f60718293a4b5c6d7e8f9", "Acme-Corp", True),
        # ids like these are common, and so are the credentials beside them
        ("q7Zk2vPd9xTb", "w8Rn4bXc1mLs", False),
        ("7d4f5c9e-8a51-4c39-9c1f-1f2e3d4c5b6a", "0a1b2c3d-8a51-4c39-9c1f-1f2e3d4c5b6a", False),
        ("q7Zk2vPd9xTb", "fake-key-1", False),
        ("acme", "internal", False),
        ("1234567890123", "acme", False),
        ("AcmeCorporation", "internal", False),
    ],
)
def test_it_takes_both_halves_of_a_swap_to_refuse_a_row(ref: str, key: str, refused: bool) -> None:
    [row] = mapped(key_row(1, group_ref=ref, api_key=key))

    assert (row.request is None) == refused
    if refused:
        assert codes(row) == [("group_ref", Code.CREDENTIAL_IN_REF)]
        assert ref not in repr(row)


def test_beside_a_weak_password_an_id_may_look_like_a_key_but_not_like_a_password() -> None:
    sound, swapped = mapped(
        key_row(1, api_key="", username="someone@example.com", password="summer24", group_ref="q7Zk2vPd9xTb"),
        key_row(2, api_key="", username="someone@example.com", password="acme", group_ref="q7Zk2#Pd9xTb"),
    )

    assert sound.request is not None
    assert codes(swapped) == [("group_ref", Code.CREDENTIAL_IN_REF)]


def test_a_mapping_may_say_that_its_ids_look_like_keys() -> None:
    opaque = GIVEN_KEY | {"groupRef": {"column": "group_ref", "opaque": True}}

    [row] = mapped({**key_row(1, group_ref="q7Zk2vPd9xTb"), "key": "acme"}, mapping=opaque)

    assert row.request is not None
    assert row.group_ref == "q7Zk2vPd9xTb"


@pytest.mark.parametrize("column", ["api_key", "accessToken", "client_secret", "crm_password", "tenant_token"])
def test_a_ref_out_of_a_column_of_credentials_is_refused_by_its_name(column: str) -> None:
    given = GIVEN_KEY | {"consumerRef": column}

    with pytest.raises(ConfigError, match=f"takes it from {column}"):
        mapped({**key_row(1), "key": "k", column: "x"}, mapping=given)
    with pytest.raises(ConfigError, match=f"takes it from {column}"):
        mapped(
            {**key_row(1), "key": "k", column: "x"}, mapping=given | {"consumerRef": {"template": f"u-{{{column}}}"}}
        )
    [row] = mapped(
        {**key_row(1), "key": "k", column: "x"}, mapping=given | {"consumerRef": {"column": column, "opaque": True}}
    )
    assert row.request is not None


def test_a_key_in_the_mapping_where_the_name_of_a_column_belongs_is_not_printed() -> None:
    with pytest.raises(SourceError, match=r"no column of that name, which mapping\.apiKey names"):
        mapped(key_row(1), mapping=GIVEN_KEY | {"apiKey": "q7Zk2vPd9xTbw8Rn"})


def test_the_option_opaque_serves_refs_and_takes_true_or_false() -> None:
    with pytest.raises(ConfigError, match="opaque has no effect there"):
        mapped({**key_row(1), "key": "k"}, mapping=GIVEN_KEY | {"apiKey": {"column": "key", "opaque": True}})
    with pytest.raises(ConfigError, match="of the wrong kind"):
        mapped({**key_row(1), "key": "k"}, mapping=GIVEN_KEY | {"groupRef": {"column": "group_ref", "opaque": "yes"}})


def test_a_provider_that_nobody_knows_and_that_could_be_a_key_is_not_named(home: Path, importer: Importer) -> None:
    write_csv(home / "rows.csv", [key_row(1), key_row(2, provider="qwrtzkfjdhkaj"), key_row(3, provider="acme_crm")])

    ended = importer("run", "rows.csv")

    assert ended.exit_code == 3
    written = everything_written(home) + ended.out.encode() + ended.err.encode()
    assert b"qwrtzkfjdhkaj" not in written
    assert b"acme_crm" in written


@pytest.mark.parametrize("alphabet", KINDS.values(), ids=KINDS)
def test_most_short_keys_are_told_from_names(alphabet: str) -> None:
    keys = random_keys(alphabet)
    some = [next(keys) for _ in range(500)]

    assert sum(map(may_be_a_key, some)) > 400
    assert sum(map(reads_as_a_name, some)) < 5 or alphabet.isalpha()
