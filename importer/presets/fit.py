"""Which token store a file looks like: told by the names of its columns, and by the names inside its JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fit:
    """A preset that a file may be read with.

    `score` is above 0 and at most 1: the share of the store's signs that were found. `reason` is a half-sentence for
    people, made of the store's own names and never of cells: `has token_secret, account_id, app_id: django-allauth`.
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
    del columns, cells
    return []
