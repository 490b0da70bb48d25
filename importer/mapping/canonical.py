"""The mapping of a file that uses the canonical column names, and so needs no `[mapping]`."""

import difflib

from importer.errors import SourceError
from importer.fields import FieldSpec
from importer.mapping.header import Header
from importer.redaction import looks_like_a_token

_TOKENS = "oauth2AuthorizationCode"
_CLIENT, _PASSWORD = "oauth2ClientCredentials", "oauth2PasswordCredentials"

CANONICAL: dict[str, tuple[str, ...]] = {
    "provider": ("provider",),
    "group_ref": ("groupRef",),
    "group_name": ("groupName",),
    "consumer_ref": ("consumerRef",),
    "consumer_name": ("consumerName",),
    "provider_workspace_ref": ("providerWorkspaceRef",),
    "metadata": ("providerMetadata",),
    "auth_scheme": ("authScheme",),
    "api_key": ("apiKey",),
    "username": ("basicAuth.username", f"{_PASSWORD}.username"),
    "password": ("basicAuth.password", f"{_PASSWORD}.password"),
    "client_id": (f"{_CLIENT}.clientId", f"{_PASSWORD}.clientId"),
    "client_secret": (f"{_CLIENT}.clientSecret", f"{_PASSWORD}.clientSecret"),
    "access_token": (f"{_TOKENS}.accessToken.token",),
    "access_token_expires_at": (f"{_TOKENS}.accessToken.expiresAt",),
    "access_token_issued_at": (f"{_TOKENS}.accessToken.issuedAt",),
    "refresh_token": (f"{_TOKENS}.refreshToken.token",),
    "refresh_token_expires_at": (f"{_TOKENS}.refreshToken.expiresAt",),
    "refresh_token_issued_at": (f"{_TOKENS}.refreshToken.issuedAt",),
    "scopes": (f"{_TOKENS}.scopes", f"{_CLIENT}.scopes", f"{_PASSWORD}.scopes"),
    "custom_auth": ("customAuth",),
}
"""Column -> the fields of the request it may fill: which of them, the filled columns of each row decide."""

COLUMN_OF = {path: column for column, paths in CANONICAL.items() for path in paths}
"""Path -> the column that fills it."""

_OPEN_ENDED = {"metadata.": "providerMetadata", "custom_auth.": "customAuth"}
_CREDENTIALS = ("api_key", "username", "client_id", "access_token", "refresh_token", "custom_auth", "auth_scheme")

_A_TYPO = 0.85
"""Likeness (difflib's ratio) from which an unknown column is a canonical one misspelt: `acces_token`, not `token`."""


def canonical_mapping(header: Header, provider: str | None) -> dict[str, FieldSpec]:
    """The mapping that the names of the columns say. Raises SourceError where one is misspelt or missing."""
    mapping = {path: _spec(column, path) for column in header for path in _paths(column)}
    if provider is not None:
        known = "provider" in header
        mapping["provider"] = FieldSpec(column="provider", default=provider) if known else FieldSpec(value=provider)
    if "provider" not in mapping:
        header.check("provider", also=" A file of one provider may go without: name it with --provider.")
    for column in ("group_ref", "consumer_ref"):
        header.check(column, also=" Other names need a [mapping]; importer inspect proposes one.")
    _refuse_typos(header)
    if not any(_paths(column) and column.partition(".")[0] in _CREDENTIALS for column in header):
        raise SourceError(
            f"{header.source} has no column with a credential",
            hint=f"Known here: {', '.join(_CREDENTIALS)}; other names need a [mapping].",
        )
    return mapping


def unused(header: Header) -> list[str]:
    """The columns that fill nothing, as they may be shown."""
    return [
        "(a name that looks like a credential)" if looks_like_a_token(name) else name
        for name in header
        if not _paths(name)
    ]


def _paths(column: str) -> tuple[str, ...]:
    for prefix, path in _OPEN_ENDED.items():
        if column.startswith(prefix) and column != prefix:
            return (f"{path}.{column.removeprefix(prefix)}",)
    return CANONICAL.get(column, ())


def _spec(column: str, path: str) -> FieldSpec:
    # nobody can say here how times are written, so epochs are told by their size
    is_time = path.startswith(_TOKENS) and path.endswith(("expiresAt", "issuedAt"))
    return FieldSpec(column=column, format="auto" if is_time else None)


def _refuse_typos(header: Header) -> None:
    """An unknown column that resembles a canonical one which is not there: its values would be lost silently."""
    absent = [name for name in CANONICAL if name not in header]
    for column in header:
        near = [] if _paths(column) else difflib.get_close_matches(column.casefold(), absent, n=1, cutoff=_A_TYPO)
        if near:
            raise SourceError(
                f"{header.source} has a column {column}, which is not known",
                hint=f"Did you mean {near[0]}? Rename it, or write a [mapping], which takes only what it names.",
            )
