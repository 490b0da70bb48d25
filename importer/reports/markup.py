"""HTML out of values: everything that is not markup of ours is escaped, and what cannot be seen is made visible."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

LONGEST = 200
"""Characters of one text of a row that the page shows; results.csv and errors.csv have the whole of it."""

LONG = 14
"""A text of more characters may be broken anywhere, so that a table fits; shorter ones stay whole."""


def shown(text: str) -> str:
    """A text as it may stand beside others: not too long, and no character that hides, or turns others around.

    A ref with a right-to-left override (U+202E) reads as another one, and a line separator breaks what it stands in.
    """
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}…"
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else f"‹U+{ord(sign):04X}›" for sign in text)


def safe(text: object) -> str:
    """A text for the inside of an element or of a quoted attribute."""
    return escape(shown(str(text)))


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; one of numbers is set to the right, one of sentences has more room."""

    label: str
    number: bool = False
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: markup that is safe already, and the number it is sorted by, where it is one (None: a blank)."""

    markup: str
    number: float | None = None


def cell(value: object) -> Cell:
    """A plain value as a cell."""
    if isinstance(value, int | float):
        return Cell(f"{value:,}", float(value))
    return Cell("" if value is None else safe(value))


def table(
    caption: str,
    columns: Sequence[Column],
    rows: Iterable[Sequence[Cell]],
    *,
    choose: Sequence[int] = (),
    source: str = "",
) -> str:
    """A table that page.js makes sortable and filterable, with a choice of values for the columns `choose`.

    With `source`, the id of an element with JSON, its rows come from there. The roles are said, for a narrow screen
    shows rows as blocks, and browsers take a table of blocks for none.
    """
    heads = "".join(
        f'<th role="columnheader" scope="col"{_class("number" if column.number else "")}>{safe(column.label)}</th>'
        for column in columns
    )
    body = "".join(f'<tr role="row">{"".join(map(_cell, columns, row))}</tr>' for row in rows)
    attributes = (f' data-choose="{",".join(map(str, choose))}"' if choose else "") + (
        f' data-source="{source}"' if source else ""
    )
    return (
        f'<div data-table{attributes}><table role="table"><caption>{safe(caption)}</caption>'
        f'<thead role="rowgroup"><tr role="row">{heads}</tr></thead><tbody role="rowgroup">{body}</tbody></table></div>'
    )


def _cell(column: Column, cell: Cell) -> str:
    names = " ".join(
        ["number"] * column.number
        + ["wide"] * column.wide
        + ["long"] * (len(cell.markup) > LONG)
        + ["blank"] * (not cell.markup)
    )
    sorted_by = "" if not column.number else f' data-v="{"" if cell.number is None else f"{cell.number:g}"}"'
    return f'<td role="cell" data-label="{safe(column.label)}"{sorted_by}{_class(names)}>{cell.markup}</td>'


def _class(names: str) -> str:
    return f' class="{names}"' if names else ""


def legend(entries: Iterable[tuple[str, str]]) -> str:
    """A legend: the class of each swatch, and markup that is safe already."""
    swatch = '<svg viewBox="0 0 10 10" aria-hidden="true"><rect class="{}" width="10" height="10" rx="2"/></svg>'
    return f'<ul class="legend">{"".join(f"<li>{swatch.format(name)}{text}</li>" for name, text in entries)}</ul>'
