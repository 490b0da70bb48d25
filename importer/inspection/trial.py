"""The rows that were looked at, mapped as a plan would map them and held against the catalog that is kept."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from importer.catalog import Severity
from importer.catalog.judge import Judge
from importer.config import Config
from importer.errors import ConfigError, ImporterError, SourceError
from importer.inputs import mapper_of
from importer.mapping import MappedRow, Mapper
from importer.notes import Notes
from importer.outcomes import Code, Issue
from importer.sources.base import Chunk

MOST_PROBLEMS = 3
"""Problems that are named, the commonest first."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of the rows that were looked at, when they were mapped: `good` of `rows`, `skipped` by a preset.

    `problems` are the commonest, each with its count. `obstacle` is why none could be mapped at all.
    """

    rows: int
    good: int = 0
    skipped: int = 0
    problems: Sequence[tuple[int, Issue]] = ()
    obstacle: ImporterError | None = None


def tried(config: Config, names: Sequence[str], chunk: Chunk, judge: Judge | None = None) -> Trial:
    """The rows of a chunk, mapped; with a `judge`, those against which the catalog has an error are not good."""
    rows = len(chunk.rows)
    try:
        mapper = mapper_of(config, names, chunk.source, Notes())
        found = mapper.map(chunk)
    except (ConfigError, SourceError) as error:
        return Trial(rows, obstacle=error)
    now = datetime.now(UTC)
    errors = [_errors(row, mapper, judge, now) if judge else [] for row in found]
    good = sum(row.request is not None and not against for row, against in zip(found, errors, strict=True))
    issues = Counter(
        issue for row, against in zip(found, errors, strict=True) for issue in (*row.issues, *against)
    ).most_common(MOST_PROBLEMS)
    return Trial(rows, good, rows - len(found), [(count, issue) for issue, count in issues])


def _errors(row: MappedRow, mapper: Mapper, judge: Judge, now: datetime) -> list[Issue]:
    """What refuses a row that could be mapped, by the names of its columns."""
    if row.request is None:
        return []
    found = judge.check(row.request, now=now, client_id=row.client_id)
    errors = [finding.issue for finding in found if finding.severity is Severity.ERROR]
    return [replace(_unnamed(issue), field=mapper.column_of(issue.field)) for issue in errors]


def _unnamed(issue: Issue) -> Issue:
    """An issue without the provider that nobody knows: in a wrong column, that is any word."""
    if issue.code is not Code.UNKNOWN_PROVIDER:
        return issue
    return replace(
        issue,
        reason="the catalog has no provider of this name",
        fix="Translate it in the mapping with values = { … }; importer providers lists the names.",
    )
