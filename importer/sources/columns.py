"""Names of columns: whether a header is one, and which column was meant.

The first line of a file without a header is a row of credentials: names are shown only where they are surely names.
"""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from importer.errors import SourceError
from importer.redaction import looks_like_a_token
from importer.sources.base import Source

SHOWN = 12
"""Names of columns that a hint lists, at most."""

MOST_COLUMNS = 10_000
"""Columns of a file; the widest exports have some hundreds, and each costs memory in every row of a chunk."""


def nearest_column(name: str, columns: Sequence[str]) -> str | None:
    """The column that `name` is most likely a slip of: case and separators do not count; None where none is near."""
    folded = {_folded(column): column for column in columns}
    near = get_close_matches(_folded(name), folded, n=1)
    return folded[near[0]] if near else None


def require_columns(source: Source, needed: Iterable[str]) -> None:
    """Raise SourceError for the first of `needed` that `source` does not have.

    Where none of them is there, nor near, the columns are not listed: the file may have no header, and its first row
    would be shown.
    """
    columns, wanted = source.columns(), list(dict.fromkeys(needed))
    missing = [name for name in wanted if name not in columns]
    if not missing:
        return
    near = nearest_column(missing[0], columns)
    if near or len(missing) < len(wanted) or any(nearest_column(name, columns) for name in missing):
        meant = f"Did you mean {near}? " if near else ""
        hint = f"{meant}It has: {', '.join(columns[:SHOWN])}{', …' if len(columns) > SHOWN else '.'}"
    else:
        hint = (
            "None of the columns asked for is there: does its first line hold their names? "
            f"`importer inspect {source.name}` proposes a mapping."
        )
    raise SourceError(f"{source.name} has no column {missing[0]}", hint=hint)


def check_header(columns: Sequence[str], name: str) -> None:
    """Raise SourceError where a header cannot name the columns of `name`: a name is empty, doubled, or is data."""
    if len(columns) > MOST_COLUMNS:
        raise SourceError(
            f"{name} has {len(columns):,} columns, and no more than {MOST_COLUMNS:,} are read",
            hint="Export only the columns that are needed; does its first line hold their names?",
        )
    seen: dict[str, int] = {}
    for number, column in enumerate(columns, start=1):
        if not column:
            raise SourceError(
                f"column {number} of {name} has no name",
                hint="Name it, or remove it: a delimiter at the end of the header, or the index column of a data "
                "frame (pandas: index=False), makes one.",
            )
        if is_data(column):
            raise SourceError(
                f"{name} seems to have no header: column {number} of its first line looks like data, not like a name",
                hint="Put a line with the names of the columns first.",
            )
        if (first := seen.setdefault(column, number)) != number:
            raise SourceError(
                f"columns {first} and {number} of {name} have the same name",
                hint="Rename or remove one of them.",
            )


def _folded(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()


def is_data(name: str) -> bool:
    """Whether what stands for the name of a column is more likely a credential or an address, not to be shown."""
    # names such as secret_access_key begin as tokens do: a token has digits too
    is_token = looks_like_a_token(name) and len(re.findall(r"[0-9]", name)) >= 2
    return is_token or "@" in name
