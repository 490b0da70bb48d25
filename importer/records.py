"""What a row is called: its place in a source, the connection it stands for, and how that signs in."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Identity(NamedTuple):
    """The key of one connection within a project: what the platform has at most one of, if we do our work.

    Refs are compared as they were written: case and blanks count, for the app passes them to the platform so.
    """

    provider: str
    group_ref: str
    consumer_ref: str


class AuthScheme(StrEnum):
    """How a connection signs in, in the words of `Connection.authScheme` (`custom` and `none` are ours)."""

    API_KEY = "apiKey"
    BASIC = "basic"
    AUTHORIZATION_CODE = "oauth2/authorizationCode"
    CLIENT_CREDENTIALS = "oauth2/clientCredentials"
    PASSWORD = "oauth2/password"  # noqa: S105 - the name of a grant, not a password
    CUSTOM = "custom"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Target:
    """Where connections are made: the API's root (without `/v1`) and the id of the project."""

    api_root: str
    project_id: str


class Place(NamedTuple):
    """Where a row stands: `source` as the user named it, `row` from 1 with the header left out.

    `source_no` is the source's position in this run, from 0: it orders rows of several files.
    """

    source: str
    source_no: int
    row: int

    def __str__(self) -> str:
        return f"{self.source} row {self.row}"


class Fingerprint(NamedTuple):
    """What a row would send, as keyed digests: equal digests, equal credentials. Never turned back into them.

    Three parts, since the API patches them apart: the credential block (tokens without `expiresAt` and `issuedAt`),
    the provider metadata, and the workspace. Names are not covered: they cannot be patched.
    """

    auth: bytes
    metadata: bytes
    workspace: bytes

    @classmethod
    def load(cls, blob: bytes) -> "Fingerprint":
        """The fingerprint that `dump` wrote."""
        return cls(blob[:16], blob[16:24], blob[24:32])

    def dump(self) -> bytes:
        """32 bytes for the ledger: 16 of the credential block, 8 of the metadata, 8 of the workspace."""
        return self.auth + self.metadata + self.workspace
