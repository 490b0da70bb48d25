"""What a plan says once of all its sources: what was assumed, translated, skipped, and what nothing fills."""

from collections import Counter

_EMPTY = "not filled, since no row has it"


class Notes:
    """Lines for the plan, each once, however many files and chunks give rise to them."""

    def __init__(self) -> None:
        self._said: dict[str, dict[str, None]] = {}
        self._skipped = Counter[tuple[str, str]]()
        self._awaited: dict[str, bool] = {}
        self._looked = False

    def say(self, text: str) -> None:
        """A line of its own."""
        self._said.setdefault(text, {})

    def gather(self, head: str, item: str) -> None:
        """An item of a line: `head: item, item`."""
        self._said.setdefault(head, {})[item] = None

    def skip(self, called: str, word: str, rows: int) -> None:
        """Rows that are none of the preset's: what they are called, and a word of theirs that may be shown, or ""."""
        self._skipped[called, word] += rows

    def await_value(self, what: str) -> None:
        """Say at the end that no row has it, unless one had."""
        self._awaited.setdefault(what, False)

    def looked(self) -> None:
        """Rows have been looked at: what was not found in them may be called missing."""
        self._looked = True

    def found(self, what: str) -> None:
        """A row has it."""
        self._awaited[what] = True

    def with_those_of(self, other: "Notes") -> "Notes":
        """What there is to say where two have looked at parts of the same rows."""
        both = Notes()
        for notes in (self, other):
            for head, items in notes._said.items():
                both._said.setdefault(head, {}).update(items)
            both._skipped.update(notes._skipped)
            for what, is_found in notes._awaited.items():
                both._awaited[what] = both._awaited.get(what, False) or is_found
            both._looked |= notes._looked
        return both

    @property
    def skipped(self) -> int:
        """How many rows were skipped."""
        return self._skipped.total()

    def lines(self) -> list[str]:
        """All there is to say so far."""
        said = {head: list(items) for head, items in self._said.items()}
        empty = [what for what, is_found in self._awaited.items() if not is_found]
        if empty and self._looked:
            said[_EMPTY] = empty
        lines = [f"{head}: {', '.join(items)}" if items else head for head, items in said.items()]
        return [*lines, self._of_the_skipped()] if self._skipped else lines

    def _of_the_skipped(self) -> str:
        kinds: dict[str, list[str]] = {}
        for called, word in sorted(self._skipped):
            kinds.setdefault(called, []).extend([word] if word else [])
        shown = "; ".join(f"{called}: {', '.join(words)}" if words else called for called, words in kinds.items())
        rows = "1 row of another type" if self.skipped == 1 else f"{self.skipped:,} rows of other types"
        return f"{rows} skipped ({shown})"
