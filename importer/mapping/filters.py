"""Rows of a table that are no connections, or none that can be imported: skipped and counted, neither sent nor refused.

They are taken out before anything else of them is read: what their other cells hold is nobody's problem.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from importer.fields import RowFilter
from importer.mapping.cells import Fault, as_text, cells_of, is_a_word_for_nothing, is_blank
from importer.mapping.header import Header
from importer.mapping.json_cells import parsed
from importer.notes import Notes
from importer.sources.base import Chunk

_TRUE = frozenset({"true", "t", "1", "yes"})
"""How text says what a database knows as true."""

_PLAIN = re.compile(r"(?=.{1,16}\Z)[a-z]+([_-][a-z]+)*")
"""A short word in lower case, as types are named: it may be shown, which no other cell may."""


class Filter:
    """A rule about rows, ready to judge chunks. Raises SourceError where its column is not there once."""

    def __init__(self, rule: RowFilter, header: Header) -> None:
        self.called = rule.called
        self.column = header.check(rule.column, "the filter of rows")
        self._rule = rule
        self._find: Callable[[Any], Any] | None = None
        if rule.json is not None:
            from importer.mapping.json_paths import finder  # most mappings have none

            self._find = finder(rule.json)

    def judge(self, cells: Sequence[Any]) -> list[str | None]:
        """For each row the word that it is skipped for, "" where that says nothing, None where the row is kept."""
        found = map(self._find, map(parsed, cells)) if self._find else cells
        return [self._word(cell) for cell in found]

    def _word(self, cell: Any) -> str | None:
        rule = self._rule
        if isinstance(cell, Fault) or is_blank(cell):
            return None
        if rule.drop_filled:
            return None if is_a_word_for_nothing(cell) else ""
        if rule.drop_true:
            return "" if str(cell).strip().casefold() in _TRUE else None
        text = as_text(cell)
        if not isinstance(text, str):
            return None
        word = text.strip()
        folded = word.casefold()
        if folded not in rule.drop and (not rule.keep or folded in rule.keep):
            return None
        return word if folded in (*rule.drop, *rule.known) or _PLAIN.fullmatch(word) else ""


def without_skipped(chunk: Chunk, filters: Sequence[Filter], notes: Notes) -> Chunk:
    """The chunk without the rows that a filter skips; they are counted in `notes`, each for the first that does."""
    reasons: list[tuple[str, str] | None] = [None] * len(chunk.rows)
    for one in filters:
        words = one.judge(cells_of(chunk.frame, one.column))
        reasons = [
            reason or (None if word is None else (one.called, word))
            for reason, word in zip(reasons, words, strict=True)
        ]
    for (called, word), rows in Counter(filter(None, reasons)).items():
        notes.skip(called, word, rows)
    kept = [at for at, reason in enumerate(reasons) if reason is None]
    if len(kept) == len(reasons):
        return chunk
    return Chunk(chunk.source, [chunk.rows[at] for at in kept], chunk.frame.iloc[kept], chunk.bad)
