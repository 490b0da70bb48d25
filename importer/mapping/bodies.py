"""Bodies of requests out of columns: nested dicts in the API's own names, for pydantic to validate."""

from collections.abc import Iterable, Iterator
from typing import Any

from importer.api.models import AuthScheme
from importer.mapping.schemes import PATHS

KEY = ("provider", "groupRef", "consumerRef")
"""What every row has; together they are its identity."""

OPEN = (*KEY, "groupName", "consumerName")
"""Fields that are shown and stored as they are."""

CLIENT_ID = "providerApp.clientId"
"""The client that a row's tokens were issued to: no part of the body, but compared with the project's provider app."""

_TOKENS = ("oauth2AuthorizationCode.accessToken", "oauth2AuthorizationCode.refreshToken")

Columns = dict[str, list[Any]]
"""Path in the request -> its values in a chunk: None where blank, a `Fault` where there is something wrong."""


def bodies(
    columns: Columns, schemes: Iterable[AuthScheme], chosen: list[AuthScheme | None]
) -> Iterator[dict[str, Any]]:
    """The bodies of all rows, also of those that will not be sent."""
    rows = len(chosen)
    metadata, workspace = _metadata(columns, rows)
    top = {path: columns[path] for path in OPEN if path in columns}
    if metadata:
        top |= {"providerMetadata": metadata, "providerWorkspaceRef": workspace}
    blocks = {scheme: (PATHS[scheme], _block(scheme, columns, rows)) for scheme in schemes}
    for position, (scheme, cells) in enumerate(zip(chosen, zip(*top.values(), strict=True), strict=True)):
        body = dict(zip(top, cells, strict=True))
        body["authScheme"] = scheme
        if scheme in blocks:
            path, column = blocks[scheme]
            body[path] = column[position]
        yield body


def _metadata(columns: Columns, rows: int) -> tuple[list[Any], list[Any]]:
    """Provider metadata and workspace; empty lists where the source has neither.

    Each fills the other: the platform's own UI sends the workspace in both places.
    """
    named = _below("providerMetadata.", columns)
    if not named and "providerMetadata" not in columns and "providerWorkspaceRef" not in columns:
        return [], []
    values = _structs("providerMetadata", columns, rows)
    workspaces = columns.get("providerWorkspaceRef", [None] * rows)
    for entries, workspace in zip(values, workspaces, strict=True):
        if workspace is not None:
            entries.setdefault("workspace", workspace)
    metadata = [
        {name: {"value": value, "source": "input"} for name, value in entries.items()} or None for entries in values
    ]
    filled = [
        entries.get("workspace") if workspace is None else workspace
        for entries, workspace in zip(values, workspaces, strict=True)
    ]
    return metadata, filled


def _block(scheme: AuthScheme, columns: Columns, rows: int) -> list[Any]:
    """The credential block of each row, as if every row had this scheme."""
    path = PATHS[scheme]
    if scheme is AuthScheme.API_KEY:
        return columns[path]
    if scheme is AuthScheme.CUSTOM:
        return _structs(path, columns, rows)
    parts = _below(f"{path}.", columns)
    if scheme is AuthScheme.AUTHORIZATION_CODE:
        tokens = {name.removeprefix(f"{path}."): _tokens(name, columns) for name in _TOKENS}
        scopes = {"scopes": parts["scopes"]} if "scopes" in parts else {}
        parts = {name: column for name, column in tokens.items() if column} | scopes
    if scheme is AuthScheme.BASIC and "password" in parts:
        parts["password"] = [password or "" for password in parts["password"]]
    return _dicts(parts)


def _tokens(path: str, columns: Columns) -> list[Any]:
    """A token with its times, None where there is no token; an empty list where no column has it."""
    parts = _below(f"{path}.", columns)
    if "token" not in parts:
        return []
    return [token if token["token"] is not None else None for token in _dicts(parts)]


def _dicts(parts: Columns) -> list[dict[str, Any]]:
    names = tuple(parts)
    return [dict(zip(names, cells, strict=True)) for cells in zip(*parts.values(), strict=True)]


def _structs(path: str, columns: Columns, rows: int) -> list[dict[str, Any]]:
    """Names and values of a row from one column of structures, from a column for each name, or from both."""
    base = columns.get(path, [None] * rows)
    structs = [dict(cell) if isinstance(cell, dict) else {} for cell in base]
    for name, column in _below(f"{path}.", columns).items():
        for entries, value in zip(structs, column, strict=True):
            if value is not None:
                entries[name] = value
    return structs


def _below(prefix: str, columns: Columns) -> Columns:
    """The columns whose path begins so, by the rest of the path."""
    return {path.removeprefix(prefix): column for path, column in columns.items() if path.startswith(prefix)}
