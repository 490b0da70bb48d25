"""Credentials that stand in a field which is shown: two swapped columns, or one column mapped twice."""

import operator
from collections.abc import Iterator
from typing import Any

from importer.api.models import AuthScheme
from importer.mapping.bodies import OPEN, Columns
from importer.mapping.cells import texts_in
from importer.mapping.refs import CREDENTIAL
from importer.mapping.schemes import BASIC_PASSWORD, scheme_of

_BASIC_USERNAME = "basicAuth.username"
_GRANT_USERNAME = "oauth2PasswordCredentials.username"


def refuse_credentials(columns: Columns) -> None:
    """Put a fault in place of each ref, name or provider that equals a credential of its own row."""
    for path in OPEN:
        if path in columns:
            for position in _repeating_a_credential(columns[path], columns):
                columns[path][position] = CREDENTIAL
    for path, column in columns.items():
        if path.endswith(".scopes"):
            for position in _holding_a_credential(column, columns):
                column[position] = CREDENTIAL


def _holding_a_credential(lists: list[Any], columns: Columns) -> list[int]:
    """Positions of the rows in which a list of scopes holds a credential of the same row."""
    return [
        position
        for _, secrets in secret_columns(columns)
        for position, (scopes, secret) in enumerate(zip(lists, secrets, strict=True))
        if isinstance(scopes, tuple) and secret is not None and secret in scopes
    ]


def _repeating_a_credential(opened: list[Any], columns: Columns) -> Iterator[int]:
    """Positions of the rows in which an open field equals a credential of the same row."""
    for _, secrets in secret_columns(columns):
        if any(map(operator.eq, opened, secrets)):  # hardly ever, and ten times as fast as the loop below
            for position, (text, secret) in enumerate(zip(opened, secrets, strict=True)):
                if text == secret and isinstance(text, str):
                    yield position


def secret_columns(columns: Columns) -> Iterator[tuple[str, list[Any]]]:
    """The path and the texts of each credential. A user name beside a password is a name, maybe the consumer's."""
    for path, column in columns.items():
        scheme = scheme_of(path)
        if path == _BASIC_USERNAME:
            passwords = columns.get(BASIC_PASSWORD, [None] * len(column))
            yield path, [None if password else name for name, password in zip(column, passwords, strict=True)]
        elif scheme is AuthScheme.CUSTOM:
            yield from ((path, texts) for texts in _spread(column))
        elif scheme is not None and path != _GRANT_USERNAME:
            yield path, column


def _spread(column: list[Any]) -> Iterator[list[Any]]:
    """A column of texts, lists and structures as columns of texts."""
    texts = [list(texts_in(cell)) for cell in column]
    for index in range(max(map(len, texts), default=0)):
        yield [found[index] if index < len(found) else None for found in texts]
