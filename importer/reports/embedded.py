"""Rows as JSON inside the page: streamed into the file, so that memory does not grow with them.

Lines of a JSON list, with the words that many rows share (providers, outcomes, messages) as numbers of one list behind
them. A hundred thousand rows come to about 10 MB, which a browser reads in a fraction of a second.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import IO, Literal

from importer.ledger.base import ProblemRow, Result
from importer.outcomes import DONE
from importer.reports.markup import Column, shown

MOST_ROWS = 100_000
"""Rows that are embedded; results.csv has all."""

MOST_PROBLEMS = 50_000

BATCH = 1_000

Kind = Literal["w", "m", "s", "n", "t"]
"""Of a column: a word or a message that rows share, a text, a number, a time in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of embedded rows."""

    labels: Sequence[str]
    kinds: Sequence[Kind]

    def columns(self) -> list[Column]:
        """The same for the head of the table."""
        return [Column(label, kind == "n") for label, kind in zip(self.labels, self.kinds, strict=True)]


ROWS = Layout(
    ("source", "row", "provider", "group", "consumer", "outcome", "connection", "HTTP", "attempts", "finished (UTC)"),
    ("w", "n", "w", "s", "s", "w", "s", "n", "n", "t"),
)
PROBLEMS = Layout(
    ("source", "row", "provider", "group", "consumer", "code", "field", "what is wrong", "what to do"),
    ("w", "n", "w", "s", "s", "w", "w", "m", "m"),
)


class Words:
    """Numbers for texts that many rows share."""

    def __init__(self) -> None:
        self.known: dict[str, int] = {}

    def of(self, text: str) -> int:
        """The number of a text, a new one where it is new."""
        return self.known.setdefault(text, len(self.known))

    def listed(self) -> list[str]:
        """All of them in the order of their numbers, as they may be shown."""
        return [shown(text) for text in self.known]


def embed_results(file: IO[str], identifier: str, results: Iterable[Result], left: int) -> None:
    """At most MOST_ROWS rows; of more, the `left` ones that are not done come in any case, and then the first."""
    words = Words()
    lines = (
        (
            words.of(result.place.source), result.place.row, words.of(result.identity.provider),
            shown(result.identity.group_ref), shown(result.identity.consumer_ref), words.of(result.outcome),
            shown(result.connection_id or ""), _blank(result.http_status), result.attempts,
            _blank(None if result.finished_at is None else int(result.finished_at)),
        )
        for result in _chosen(results, left)
    )  # fmt: skip
    _embed(file, identifier, ROWS, lines, words)


def _chosen(results: Iterable[Result], left: int) -> Iterator[Result]:
    room = {True: max(0, MOST_ROWS - left), False: MOST_ROWS}
    for result in results:
        done = result.outcome in DONE
        if room[done] > 0:
            room[done] -= 1
            yield result


def embed_problems(file: IO[str], identifier: str, problems: Iterable[ProblemRow]) -> None:
    """The first MOST_PROBLEMS problems."""
    words = Words()
    lines = (
        (
            words.of(problem.place.source), problem.place.row, words.of(problem.identity.provider),
            shown(problem.identity.group_ref), shown(problem.identity.consumer_ref), words.of(problem.issue.code),
            words.of(problem.issue.field), words.of(problem.issue.reason), words.of(problem.issue.fix),
        )
        for problem in islice(problems, MOST_PROBLEMS)
    )  # fmt: skip
    _embed(file, identifier, PROBLEMS, lines, words)


def _embed(file: IO[str], identifier: str, layout: Layout, lines: Iterable[Sequence[object]], words: Words) -> None:
    file.write(f'<script type="application/json" id="{identifier}">\n')
    head = {"labels": layout.labels, "kinds": layout.kinds}
    file.write(f'{as_data(head)[:-1]}, "rows": [')
    lines, parted = iter(lines), ""
    while batch := list(islice(lines, BATCH)):
        file.write(f"{parted}\n{as_data(batch)[1:-1]}")
        parted = ","
    file.write(f'], "words": {as_data(words.listed())}}}</script>\n')


def as_data(value: object) -> str:
    r"""JSON that no parser of HTML takes for markup: in ASCII, and with `<` as `\u003c`, which JSON reads the same."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _blank(value: int | None) -> object:
    return "" if value is None else value
