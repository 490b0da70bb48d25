"""The columns of a source, to be asked for by name."""

import difflib
from collections.abc import Iterator, Sequence

from importer.errors import SourceError
from importer.redaction import looks_like_a_token, may_be_a_key


class Header:
    """The names of a source's columns.

    A file without a header line has credentials for names: a name is shown only where it resembles one that was asked
    for, or where the required ones are all there.
    """

    def __init__(self, source: str, columns: Sequence[str]) -> None:
        self.source = source
        self._columns = columns

    def __contains__(self, column: str) -> bool:
        return column in self._columns

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def check(self, column: str, wanted_by: str = "", also: str = "") -> str:
        """The column itself, if it is there once; SourceError otherwise, with the nearest one and `also` as hint."""
        times = self._columns.count(column)
        if times == 1:
            return column
        if times:
            raise SourceError(f"{self.source} has {times} columns named {column}", hint="Rename all but one.")
        wanted = f", which {wanted_by} names" if wanted_by else ""
        # whoever writes the key itself into the mapping must not see it printed
        named = "of that name" if looks_like_a_token(column) or may_be_a_key(column) else column
        raise SourceError(f"{self.source} has no column {named}{wanted}", hint=f"{self._nearest(column)}{also}")

    def _nearest(self, column: str) -> str:
        folded = {name.casefold(): name for name in self._columns if not looks_like_a_token(name)}
        near = difflib.get_close_matches(column.casefold(), folded, n=1, cutoff=0.6)
        if near:
            return f"Did you mean {folded[near[0]]}?"
        return f"None of its {len(self._columns)} columns has a name like it; is the first line the header?"
