"""Columns that were swapped: a key where a ref belongs, and a ref where the key does.

A long token gives itself away alone (`looks_like_a_token`); a short key looks like many an id. What tells it is the
other half of the swap: in the same row, a word or a number stands where the credential should.
"""

import re
from collections.abc import Callable, Collection
from enum import Enum, auto

from importer.mapping.bodies import OPEN, Columns
from importer.mapping.cells import Fault
from importer.mapping.leaks import secret_columns
from importer.mapping.schemes import BASIC_PASSWORD
from importer.outcomes import Code
from importer.redaction import has_the_signs_of_a_password, may_be_a_key, reads_as_a_name

SWAPPED = Fault(
    Code.CREDENTIAL_IN_REF,
    "this looks like a key, and the credential of the row like a name, and so it is not shown here",
    "Check that no two columns are swapped. If the ids of this column are like that, map it with opaque = true.",
)

NAMES_A_CREDENTIAL = re.compile(
    r"(?:api|access|private|secret)[_\- ]?key|(?:.*[_\- .])?(?:access|refresh|auth|bearer)?[_\- ]?token|"
    r".*secret|.*pass(?:word|wd|phrase)|.*[_\- .]pwd|pwd|.*_api_?key",
    re.IGNORECASE,
)
"""Names of columns that hold a credential: api_key, refreshToken, client_secret; no `token_id`, no `key`."""

_PASSWORDS = (BASIC_PASSWORD, "oauth2PasswordCredentials.password")
_CLIENT_IDS = ("oauth2ClientCredentials.clientId", "oauth2PasswordCredentials.clientId")

_ID = re.compile(r"[0-9a-f]{24}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HEX = re.compile(r"[0-9a-fA-F-]+")
_LONGEST_NAME = 64


class Stands(Enum):
    """What stands where a credential belongs, if it gives rise to a suspicion."""

    NAME_FOR_A_KEY = auto()
    ID_FOR_A_KEY = auto()
    NAME_FOR_A_PASSWORD = auto()


_SUSPICIOUS: dict[Stands, Callable[[str], bool]] = {
    Stands.NAME_FOR_A_KEY: may_be_a_key,
    # many a key is a UUID or hexadecimal itself: then ids of that kind say nothing
    Stands.ID_FOR_A_KEY: lambda ref: may_be_a_key(ref) and not _HEX.fullmatch(ref),
    # many a password is a word: then an id must have what no id has
    Stands.NAME_FOR_A_PASSWORD: has_the_signs_of_a_password,
}
"""What a ref looks like that was swapped with it."""


def refuse_swapped(columns: Columns, trusted: Collection[str]) -> None:
    """Put a fault in place of each ref, name or provider that was swapped with a credential of its row.

    `trusted` are the paths of which the mapping says that their ids look like keys.
    """
    odd = _odd_credentials(columns)
    for path in OPEN if odd else ():
        column = columns.get(path, []) if path not in trusted else []
        for position, stands in odd:
            text = column[position] if column else None
            if isinstance(text, str) and _SUSPICIOUS[stands](text):
                column[position] = SWAPPED


def _odd_credentials(columns: Columns) -> list[tuple[int, Stands]]:
    """The positions of the rows with a name or an id where a credential belongs."""
    odd: list[tuple[int, Stands]] = []
    for path, column in secret_columns(columns):
        if path in _CLIENT_IDS:
            continue
        name = Stands.NAME_FOR_A_PASSWORD if path in _PASSWORDS else Stands.NAME_FOR_A_KEY
        for position, cell in enumerate(column):
            if not isinstance(cell, str) or len(cell) > _LONGEST_NAME:
                continue
            if reads_as_a_name(cell):
                odd.append((position, name))
            elif path not in _PASSWORDS and _ID.fullmatch(cell):
                odd.append((position, Stands.ID_FOR_A_KEY))
    return odd
