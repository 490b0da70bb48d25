"""Columns that are encrypted where they are stored, opened in memory: `decrypt = { scheme = …, key_env = … }`.

The key comes from the environment, and neither key nor plain text is written or shown anywhere.
"""

import difflib
import json
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from types import ModuleType
from typing import Any

from importer.errors import ConfigError, SourceError
from importer.mapping.cells import Fault, is_blank
from importer.mapping.header import Header
from importer.outcomes import Code
from importer.redaction import looks_like_a_token

OPTIONS: dict[str, tuple[str, ...]] = {
    "fernet": ("key_env",),
    "aes-gcm": ("key_env", "iv", "tag"),
    "laravel": ("key_env",),
    "rails": ("key_env", "salt_env"),
}
"""Scheme -> what its table may hold beside `scheme`; all but `iv` and `tag` must be there."""

_OPTIONAL = ("iv", "tag")
_NAME = re.compile(r"(?![0-9A-F]{32})[A-Z][A-Z0-9_]{0,60}")


class Decryptor:
    """Opens the cells of one column. Before a first value has opened, a chunk of which none does is a wrong key."""

    def __init__(
        self, column: str, table: Mapping[str, str], header: Header, where: str, env: Mapping[str, str]
    ) -> None:
        """Raises ConfigError for a table, a key or an installation that cannot decrypt; `where` is its place."""
        scheme = _check_table(table, where)
        ciphers = _ciphers(where)
        key = _secret(table, "key_env", where, env)
        salt = _secret(table, "salt_env", where, env) if "salt_env" in OPTIONS[scheme] else ""
        self.key: Hashable = (column, *sorted(table.items()))
        self.beside = [header.check(table[option], f"{where}.{option}") for option in _OPTIONAL if option in table]
        self._failures: tuple[type[Exception], ...] = ciphers.FAILURES
        self._open: Callable[[Sequence[bytes]], bytes]
        try:
            self._open = ciphers.SCHEMES[scheme](key, salt)
        except ciphers.BadKey as error:
            raise ConfigError(
                f"{where}: {_shown(table['key_env'])} does not hold a key of {scheme}", hint=f"Give {error}."
            ) from None
        self._key_name = _shown(table["key_env"])
        self._column = f"column {column} of {header.source}"
        self._has_fitted = False
        self._fault = Fault(
            Code.CANNOT_DECRYPT,
            f"this cannot be decrypted as {scheme} with the key in {self._key_name}",
            "It was written with another key, cut off, or never encrypted: look at it in the source.",
        )

    def __call__(self, cells: list[Any], *beside: list[Any]) -> list[Any]:
        """The plain texts, None where blank, a fault where one does not open. Raises SourceError for a wrong key."""
        opened = [None if is_blank(row[0]) else self._opened(row) for row in zip(cells, *beside, strict=True)]
        if not self._has_fitted:
            self._check_the_key([text for text in opened if text is not None])
        return opened

    def _opened(self, row: tuple[Any, ...]) -> str | Fault:
        try:
            return self._open([_bytes(cell) for cell in row]).decode()
        except self._failures:
            return self._fault

    def _check_the_key(self, opened: list[str | Fault]) -> None:
        self._has_fitted = any(isinstance(text, str) for text in opened)
        if opened and not self._has_fitted:
            raise SourceError(
                f"none of the first {len(opened):,} values of {self._column} can be decrypted with the key in "
                f"{self._key_name}: wrong key or scheme",
                hint="Give the key, and the scheme, that the column was written with.",
            )


def _check_table(table: Mapping[str, str], where: str) -> str:
    """The scheme of a `decrypt` table. Raises ConfigError where it is not known, or does not get what it needs."""
    scheme = table.get("scheme", "")
    if scheme not in OPTIONS:
        near = difflib.get_close_matches(scheme, OPTIONS, n=1, cutoff=0.5)
        said = "is not known" if scheme else "is missing"
        hint = f"Did you mean {near[0]}?" if near else f"Give one of: {', '.join(OPTIONS)}."
        raise ConfigError(f"{where}.scheme {said}", hint=hint)
    allowed = ("scheme", *OPTIONS[scheme])
    for option in table:
        if option not in allowed:
            near = difflib.get_close_matches(option, allowed, n=1, cutoff=0.5)
            hint = f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(allowed)}."
            raise ConfigError(f"{where}.{option} is not known for {scheme}", hint=hint)
    for option in OPTIONS[scheme]:
        if option not in table and option not in _OPTIONAL:
            raise ConfigError(
                f"{where}.{option} is missing",
                hint=f'Name an environment variable: {option} = "MY_{option[:-4].upper()}".',
            )
    if "tag" in table and "iv" not in table:
        raise ConfigError(f"{where} names a column of tags and none of ivs", hint='Name both: iv = "…", tag = "…".')
    return scheme


def _secret(table: Mapping[str, str], option: str, where: str, env: Mapping[str, str]) -> str:
    text = env.get(table[option], "").strip()
    if not text:
        raise ConfigError(
            f"{where}.{option}: {_shown(table[option])} is not set", hint="Set it in the environment of this command."
        )
    return text


def _shown(variable: str) -> str:
    """The name of a variable; whoever writes the key itself in its place must not see it printed."""
    is_name = _NAME.fullmatch(variable) and not looks_like_a_token(variable)
    return f"the variable {variable}" if is_name else "the variable that is named there"


def _ciphers(where: str) -> ModuleType:
    try:
        from importer.mapping import ciphers
    except ImportError:
        raise ConfigError(
            f"{where} needs the library cryptography, which is not installed",
            hint='Install it: pip install "importer[decrypt]".',
        ) from None
    return ciphers


def _bytes(cell: Any) -> bytes:
    """What is stored in a cell; a JSON column of a database comes parsed. Raises TypeError for anything else."""
    if isinstance(cell, str):
        return cell.encode().strip()
    if isinstance(cell, dict):
        return json.dumps(cell).encode()
    if isinstance(cell, bytes | bytearray | memoryview):
        return bytes(cell)
    raise TypeError
