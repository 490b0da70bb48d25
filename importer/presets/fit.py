"""Which token store a file looks like: told by the names of its columns, and by the names inside its JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from importer.presets.store import NAMES, Preset, load_preset

_NEEDED, _LIKELY = 2, 1
"""How much a sign counts."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A preset that a file may be read with.

    `score` is above 0 and at most 1: the share of the store's signs that were found, and less for stores without a
    fixed table. `reason` is a half-sentence for people, made of the store's own names and never of cells:
    `has token, token_secret, account_id: the tables of django-allauth`.
    """

    preset: str
    score: float
    reason: str


def fitting(columns: Sequence[str], cells: Mapping[str, Sequence[object]]) -> list[Fit]:
    """The presets that fit a file, best first; none where a sign that the store always has is missing.

    `columns` are the names as `Source.columns()` gives them. `cells` are the first cells of each column (a hundred are
    plenty) as they stand in a `Chunk`'s frame: text, dicts and lists; a column without any may be left out. They are
    looked into for the names of JSON fields only, and no cell is kept, shown or compared with anything else.
    """
    there = {*columns, *(name for column in columns for cell in cells.get(column, ()) for name in _names(column, cell))}
    fits = [fit for name in NAMES if (fit := _fit(load_preset(name), there)) is not None]
    return sorted(fits, key=lambda fit: fit.score, reverse=True)


def _fit(preset: Preset, there: set[str]) -> Fit | None:
    needed = [_first(names, there) for names in preset.signs.needed]
    likely = [_first(names, there) for names in preset.signs.likely]
    if None in needed:
        return None
    found = [name for name in (*needed, *likely) if name is not None]
    most = _NEEDED * len(needed) + _LIKELY * len(likely)
    score = preset.signs.weight * (most - _LIKELY * likely.count(None)) / most
    return Fit(preset.name, score, f"has {', '.join(found)}: {preset.store}")


def _first(names: Sequence[str], there: set[str]) -> str | None:
    return next((name for name in names if name in there), None)


def _names(prefix: str, cell: object) -> Iterator[str]:
    """The dotted names of what is inside a cell of JSON."""
    if isinstance(cell, str) and cell.lstrip().startswith("{"):
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            return
    if isinstance(cell, Mapping):
        for name, value in cell.items():
            yield f"{prefix}.{name}"
            if isinstance(value, Mapping):  # a text inside is a value, whatever it looks like
                yield from _names(f"{prefix}.{name}", value)
