"""Texts that make a careless pattern try for ever: all that looks at a cell is done with a megabyte in a moment."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from importer.errors import SourceError
from importer.mapping import cells, dates, json_cells, lists, refs
from importer.mapping.ciphertext import Check, Kind
from importer.redaction import (
    looks_like_a_token,
    may_be_a_key,
    reads_as_a_name,
    reads_as_a_scope,
    shares_a_piece,
)
from importer.sources.columns import MOST_COLUMNS, check_header, is_data

LENGTH = 200_000

LONGEST_S = 20.0
"""Seconds: what grows with the square takes hours, what grows with the length a hundredth of a second."""

UNITS = (
    "a",
    "A",
    "1",
    "-",
    "_",
    ".",
    "=",
    " ",
    "\n",
    "*",
    "•",
    "[",
    '"',
    "\\",
    "aA",
    "a1",
    "a.",
    "ü",
    "eyJ",
    "{{",
    "...",
)
ENDS = (("", ""), ("", "!"), ("eyJ", "\n"), ("a", "\0"), ("00D", "é"))


def _dates(format_: str) -> Callable[[str], Any]:
    read = dates.DateReader(format_, None, on_naive=lambda _: None)
    return lambda text: read([text])


def _check(kind: Kind) -> Callable[[str], Any]:
    check = Check(kind)
    return lambda text: check([text])


LOOKS: dict[str, Callable[[str], Any]] = {
    "looks_like_a_token": looks_like_a_token,
    "may_be_a_key": may_be_a_key,
    "reads_as_a_name": reads_as_a_name,
    "reads_as_a_scope": reads_as_a_scope,
    "is_data": is_data,
    **{f"check_{kind.name}": _check(kind) for kind in Kind},
    "refs": lambda text: refs.refs([text]),
    "providers": lambda text: refs.providers([text]),
    "scopes": lambda text: lists.list_reader(None)([text]),
    "json": json_cells.parsed,
    "names_and_values": lambda text: lists.struct_reader(cells.trimmed)([text]),
    **{f"dates_{one}": _dates(one) for one in ("iso8601", "auto", "%A %d %B %Y %H:%M:%S %p")},
}


@pytest.mark.parametrize("name", LOOKS)
def test_no_text_takes_long_to_be_looked_at(name: str) -> None:
    look, began = LOOKS[name], time.monotonic()

    for unit in UNITS:
        for head, end in ENDS:
            look(head + unit * (LENGTH // len(unit)) + end)
            assert time.monotonic() - began < LONGEST_S, f"{head!r}, {unit!r} without end, {end!r}"


def test_a_credential_of_a_megabyte_is_looked_for_in_a_moment() -> None:
    secret = "".join(f"{number:x}" for number in range(200_000))
    began = time.monotonic()

    assert not shares_a_piece("this is not valid " * 500, [secret])
    assert shares_a_piece(f"{secret[-8:]} is not valid", [secret])

    assert time.monotonic() - began < 2 * LONGEST_S


def test_a_header_of_many_columns_is_checked_in_a_moment() -> None:
    began = time.monotonic()

    check_header([f"column_{number}" for number in range(MOST_COLUMNS)], "tokens.csv")
    with pytest.raises(SourceError, match="200,000 columns"):
        check_header([f"column_{number}" for number in range(200_000)], "tokens.csv")

    assert time.monotonic() - began < LONGEST_S
