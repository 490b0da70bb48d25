"""What a preset says, read from its TOML file: where each field of a request may be found in a store's tables."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from importer.errors import ConfigError
from importer.fields import FieldSpec, RowFilter, leaves, nearest

NAMES = (
    "authjs", "better-auth", "allauth", "python-social-auth", "omniauth", "socialite", "nango", "composio",
    "token-response",
)  # fmt: skip
"""Every preset; its file is named so."""


@dataclass(frozen=True, slots=True)
class Place:
    """One place where a field may be found: the names that its column may have, and how it is read.

    `spec` is all but the column, of which the first name that a file has is taken, and `since`, of which all that it
    has are tried in turn; one that begins with `$` is a path beside the field's own.
    """

    columns: Sequence[str]
    spec: FieldSpec
    since: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Signs:
    """What tells the store's files: columns, or `column.name` for a name in the JSON of one; one of each inner tuple.

    `needed` are always there, `likely` mostly. `weight`, up to 1, is less where other stores have them too.
    """

    needed: Sequence[Sequence[str]]
    likely: Sequence[Sequence[str]]
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Preset:
    """A token store: `places` of each field, tried in their order where the one before is blank.

    `without` says which of the store's exports lacks the credentials, and which one has them.
    """

    name: str
    store: str
    places: Mapping[str, Sequence[Place]]
    aliases: Mapping[str, str]
    only: Sequence[tuple[Sequence[str], RowFilter]]
    signs: Signs
    without: str = ""


@cache
def load_preset(name: str) -> Preset:
    """A preset by its name. Raises ConfigError with the nearest one."""
    if name not in NAMES:
        raise ConfigError("source.preset (--preset) names none that there is", hint=nearest(name, dict.fromkeys(NAMES)))
    table = tomllib.loads(files("importer.presets").joinpath(f"{name}.toml").read_text("utf-8"))
    return _Reader(name, table).preset()


class _Reader:
    """Reads one file. A word such as `@extra` stands for all names that `extra` has under `[columns]`."""

    def __init__(self, name: str, table: Mapping[str, Any]) -> None:
        self._name = name
        self._table = table
        self._columns: Mapping[str, Sequence[str]] = table.get("columns", {})

    def preset(self) -> Preset:
        mapping = leaves(self._table["mapping"], f"{self._name}.toml")
        signs = self._table["signs"]
        needed, likely = ([self._names(names) for names in signs[kind]] for kind in ("needed", "likely"))
        return Preset(
            self._name,
            self._table["store"],
            {path: [self._place(one) for one in _listed(found)] for path, found in mapping},
            self._table.get("aliases", {}),
            [self._only(rule) for rule in self._table.get("only", ())],
            Signs(needed, likely, signs.get("weight", 1.0)),
            self._table.get("without", ""),
        )

    def _place(self, found: Any) -> Place:
        table = dict(found) if isinstance(found, Mapping) else {"column": found}
        columns, since = self._names(table.pop("column")), self._names(table.pop("since", ()))
        return Place(columns, FieldSpec(**table), since)

    def _only(self, rule: Mapping[str, Any]) -> tuple[Sequence[str], RowFilter]:
        table = dict(rule)
        columns = self._names(table.pop("column"))
        table |= {words: tuple(word.casefold() for word in table.get(words, ())) for words in ("keep", "drop", "known")}
        return columns, RowFilter(column="", **table)

    def _names(self, words: str | Sequence[str]) -> tuple[str, ...]:
        """The names of a column, in the order in which they are looked for."""
        names: list[str] = []
        for word in (words,) if isinstance(words, str) else words:
            stem, dot, rest = word.partition(".")
            listed = self._columns[stem[1:]] if stem.startswith("@") else (stem,)
            names += [f"{name}{dot}{rest}" for name in listed]
        return tuple(names)


def _listed(found: Any) -> list[Any]:
    """The places of a field: a list of tables has several; a table, a name or a list of names is one."""
    return found if isinstance(found, list) and isinstance(found[0], Mapping) else [found]
