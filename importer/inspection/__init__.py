"""A look at the first rows of a source: what its columns hold, which token store it is from, and the mapping it needs.

`looks` and `times` say what cells are, `columns` looks into JSON, `proposal` puts a mapping together by `names` and
looks, and `written` writes it as TOML; `screen` says all of it, `starter` writes it into a config. Nothing of a cell
that could be a credential, an id or an address gets out.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from importer.catalog import Catalog
from importer.catalog.cache import default_path, load
from importer.config import Config, environment
from importer.errors import ConfigError, ImporterError, SourceError
from importer.fields import FieldSpec
from importer.inputs import mapper_of
from importer.inspection.columns import Column, columns_of
from importer.inspection.names import is_usual
from importer.inspection.proposal import Proposal, propose
from importer.inspection.written import as_document, mapping_lines
from importer.notes import Notes
from importer.outcomes import Issue
from importer.presets import Fit, fitting
from importer.sources import open_sources
from importer.sources.base import CHUNK_ROWS, Chunk, Source

ROWS = 1_000
"""Rows that are looked at, unless somebody asks for another number; never more than a chunk."""

LEAST_USUAL = 2
"""Columns with a usual name, at least, for the names of all to be shown: without a header the names are a row."""

FIT_CELLS = 100
"""Cells of each column that tell which token store a file is from."""

SURE_FIT = 0.8
"""Score from which a store's file is one, although more rows could be sent without its damaged columns."""

_ANY_PROVIDER = "any"


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


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a look at a source found. `further` counts the files that were named and not looked at.

    `named`: the columns have names that may be shown, and not the first row of a file without a header. `canonical`:
    they need no mapping, but perhaps a provider for the whole file. `fit` is the token store they come from. Any other
    file needs the `proposal`. `trial` is the best of these, tried on the rows.
    """

    source: str
    further: int
    rows: int
    bad_rows: int
    complete: bool
    columns: Sequence[Column]
    named: bool
    canonical: bool
    fit: Fit | None
    proposal: Proposal
    trial: Trial

    @property
    def mapping_toml(self) -> Sequence[str]:
        """The proposed `[mapping]`, line by line; nothing where none is needed."""
        return [] if self.canonical or self.fit else mapping_lines(self.proposal)

    def as_json(self) -> dict[str, Any]:
        """All of it as one object."""
        proposal = Proposal(()) if self.canonical or self.fit else self.proposal
        obstacle = self.trial.obstacle
        return {
            "source": self.source,
            "further_files": self.further,
            "rows": self.rows,
            "unreadable_rows": self.bad_rows,
            "complete": self.complete,
            "named": self.named,
            "columns": [column.as_json() for column in self.columns],
            "canonical": self.canonical,
            "preset": self.fit and {"name": self.fit.preset, "score": self.fit.score, "why": self.fit.reason},
            "mapping": {path: as_document(spec) for path, spec in proposal.mapping.items()},
            "open": [{"field": line.path, "why": line.why} for line in proposal.open],
            "toml": "\n".join(self.mapping_toml),
            "sendable_rows": self.trial.good,
            "skipped_rows": self.trial.skipped,
            "problems": [{"count": count, **_issue_as_json(issue)} for count, issue in self.trial.problems],
            "obstacle": obstacle and {"message": str(obstacle), "fix": obstacle.hint},
        }


def _issue_as_json(issue: Issue) -> dict[str, str]:
    return {"code": issue.code.value, "field": issue.field, "message": issue.reason, "fix": issue.fix}


def inspect(config: Config, rows: int = ROWS) -> Inspection:
    """Look at the first `rows` rows of the first source of a config. Writes nothing and sends nothing.

    The preset of the config is taken, if it has one, and its mapping is not: that is what is proposed. Raises
    SourceError and ConfigError where the source cannot be read, or has no row.
    """
    paths = config.source.named(environment())
    if not paths:
        raise ConfigError("no source is named", hint="Name a file: importer inspect tokens.csv.")
    source, *others = open_sources(paths, config.base, config.source.format, query=config.source.query)
    try:
        names, chunk, complete = _first_rows(source, min(rows, CHUNK_ROWS))
    finally:
        for one in (source, *others):
            one.close()
    return _found(config, names, chunk, complete, len(others))


def _first_rows(source: Source, rows: int) -> tuple[list[str], Chunk, bool]:
    """The names of the columns, the first rows, and whether that was all."""
    source.repeatable = False  # a stream's columns are those of its first rows: nobody wants the rest read for them
    names = source.columns()
    chunks = list(islice(source.chunks(rows), 2))
    if not chunks or not chunks[0].rows:
        bad = next((bad for chunk in chunks for bad in chunk.bad), None)
        why = f": row {bad.row:,}: {bad.issue.reason}" if bad else ""
        hint = bad.issue.fix if bad else "Check that it is the right file."
        raise SourceError(f"{source.name} has no row that could be looked at{why}", hint=hint)
    return names, chunks[0], len(chunks) == 1


def _found(config: Config, names: list[str], chunk: Chunk, complete: bool, further: int) -> Inspection:
    as_it_is = replace(config, mapping=None, source=replace(config.source, preset=None))
    trial = _tried(as_it_is, names, chunk)
    canonical = trial.obstacle is None or _is_canonical(as_it_is, names, chunk)
    fit = None if canonical else _fit(config, names, chunk)
    named = canonical or fit is not None or sum(map(is_usual, names)) >= LEAST_USUAL
    catalog = _catalog(config)
    columns = columns_of(names, chunk.frame, catalog)
    if not named:
        columns = [replace(column, name=f"column {names.index(column.name) + 1}") for column in columns]
    proposal = propose(columns if named else [], catalog, config.source.provider)
    if not canonical:
        trial = _tried(replace(as_it_is, mapping=proposal.mapping), names, chunk)
    if fit:
        by_preset = _tried(replace(as_it_is, source=replace(config.source, preset=fit.preset)), names, chunk)
        by_name = _tried(replace(as_it_is, mapping=_untranslated(proposal.mapping)), names, chunk)
        is_less = by_preset.good + by_preset.skipped < by_name.good and (by_preset.obstacle or fit.score < SURE_FIT)
        if config.source.preset is None and is_less:
            fit = None  # an app's own table, with something in it that the store has too
        else:
            trial = by_preset
    return Inspection(
        source=chunk.source, further=further, rows=len(chunk.rows), bad_rows=len(chunk.bad), complete=complete,
        columns=columns, named=named, canonical=canonical, fit=fit, proposal=proposal, trial=trial,
    )  # fmt: skip


def _untranslated(mapping: Mapping[str, FieldSpec]) -> dict[str, FieldSpec]:
    """The mapping with providers as they are: which ones are known says nothing of where a file is from."""
    return {path: replace(spec, values=None) for path, spec in mapping.items()}


def _is_canonical(config: Config, names: Sequence[str], chunk: Chunk) -> bool:
    """Whether the columns need no mapping once it is said which provider they are of."""
    provider = config.source.provider or _ANY_PROVIDER
    return _tried(replace(config, source=replace(config.source, provider=provider)), names, chunk).obstacle is None


def _fit(config: Config, names: Sequence[str], chunk: Chunk) -> Fit | None:
    """The token store that the columns fit best; the one that the config names, if it names one."""
    if config.source.preset is not None:
        return Fit(config.source.preset, 1.0, "named in the config")
    cells = {name: chunk.frame[name].head(FIT_CELLS).tolist() for name in names}
    return next(iter(fitting(names, cells)), None)


def _catalog(config: Config) -> Catalog | None:
    kept = load(default_path(config.api_root))
    return kept and kept[0]


def _tried(config: Config, names: Sequence[str], chunk: Chunk) -> Trial:
    """The rows that were looked at, mapped as a plan would map them."""
    rows = len(chunk.rows)
    try:
        found = mapper_of(config, names, chunk.source, Notes()).map(chunk)
    except (ConfigError, SourceError) as error:
        return Trial(rows, obstacle=error)
    issues = Counter(issue for row in found for issue in row.issues)
    common = [(count, issue) for issue, count in issues.most_common(3)]
    return Trial(rows, sum(row.request is not None for row in found), rows - len(found), common)
