"""The columns of a source's first rows, and what lies inside their JSON: each with its look, and without its cells."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from importer.catalog import Catalog
from importer.inspection.looks import Kind, Look, is_safe_key, look_at
from importer.inspection.names import is_usual_whole
from importer.mapping.cells import Fault, cells_of, is_blank
from importer.mapping.json_cells import parsed

DEEPEST = 2
"""Levels of objects that are looked into: tokens lie one or two deep."""

MOST_KEYS = 30
"""Keys of one object that are looked at."""

_STORED = {
    "str": "text", "int": "integer", "bool": "boolean", "float": "decimal", "Decimal": "decimal", "dict": "object",
    "list": "list", "tuple": "list", "ndarray": "list", "bytes": "bytes", "Timestamp": "time", "datetime": "time",
    "date": "date", "UUID": "uuid",
}  # fmt: skip
"""Type of a cell -> what it is called."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column, or a value inside the JSON of one (`json` is its path). `filled` are the positions of filled rows.

    `stored` is the type in which the source keeps it; of `rows` rows. One that is not `named` has its place for a name,
    as its own must not be shown.
    """

    name: str
    json: str | None
    stored: str
    rows: int
    filled: frozenset[int]
    look: Look
    named: bool = True

    @property
    def share(self) -> float:
        """How much of the rows is filled, 0 to 1."""
        return len(self.filled) / self.rows if self.rows else 0.0

    @property
    def own_name(self) -> str:
        """The name that says what is in it: that of the column, or the last of its path."""
        return self._path[-1]

    @property
    def shown(self) -> str:
        """The name of the column on one line: without what breaks one, or cannot be seen."""
        return self.name if self.name.isprintable() else json.dumps(self.name)[1:-1]

    @property
    def known_as(self) -> str:
        """The same, behind the name of the object around it where it takes both, as the `id` in a `tenant` does."""
        both = "_".join(self._path[-2:])
        return both if is_usual_whole(both) else self.own_name

    @property
    def _path(self) -> list[str]:
        inner = "" if self.json is None else self.json.removeprefix("$").replace("']", "").replace("['", ".")
        return [self.name, *inner.split(".")[1:]]

    @property
    def depth(self) -> int:
        """0 for a column, 1 for a value inside its JSON, 2 for one inside an object there."""
        return 0 if self.json is None else len(re.findall(r"\.\w+|\['", self.json))

    def as_json(self) -> dict[str, Any]:
        """All that is known of it."""
        return {
            "name": self.name,
            "json": self.json,
            "stored": self.stored,
            "rows": self.rows,
            "filled": len(self.filled),
            "kind": self.look.kind.value,
            "looks_like": self.look.said,
            **self.look.details,
        }


def columns_of(names: Sequence[str], frame: pd.DataFrame, catalog: Catalog | None = None) -> list[Column]:
    """The columns of a chunk, each followed by what lies inside its JSON; `catalog` tells names that may be shown."""
    found: list[Column] = []
    for name in names:
        cells = cells_of(frame, name)
        look = look_at(name, cells, catalog)
        found.append(Column(name, None, _stored(cells), len(cells), _filled(cells), look))
        if look.kind is Kind.OBJECT:
            objects = [None if isinstance(value := parsed(cell), Fault) else value for cell in cells]
            found += _inside(name, "$", objects, DEEPEST, catalog)
    return found


def _inside(name: str, path: str, objects: list[Any], levels: int, catalog: Catalog | None) -> Iterator[Column]:
    keys = dict.fromkeys(key for one in objects if isinstance(one, dict) for key in one if is_safe_key(key))
    for key in list(keys)[:MOST_KEYS]:
        cells = [one.get(key) if isinstance(one, dict) else None for one in objects]
        look = look_at(key, cells, catalog)
        own = f"{path}.{key}" if re.fullmatch(r"[A-Za-z_]\w*", key) else f"{path}['{key}']"
        yield Column(name, own, _stored(cells), len(cells), _filled(cells), look)
        if look.kind is Kind.OBJECT and levels > 1:
            inner = [json.loads(cell) if isinstance(cell, str) and cell[:1] == "{" else cell for cell in cells]
            yield from _inside(name, own, inner, levels - 1, catalog)


def _filled(cells: list[Any]) -> frozenset[int]:
    return frozenset(position for position, cell in enumerate(cells) if not is_blank(cell))


def _stored(cells: list[Any]) -> str:
    kinds = dict.fromkeys(_STORED.get(type(cell).__name__, "other") for cell in cells if cell is not None)
    return " or ".join(kinds) or "text"
