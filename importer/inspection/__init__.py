"""A look at the first rows of a source: what its columns hold, which token store it is from, and the mapping it needs.

`looks` and `times` say what cells are, `columns` looks into JSON, and `header` tells names from a first row of data.
`proposal` and `credentials` put a mapping together out of a `pool` of columns, by `names` (whose words `wording`
understands) and looks; `written` writes its `lines` as TOML, and `trial` tries it. `screen` says all of it, `starter`
writes it into a config. Nothing of a cell that could be a credential, an id or an address gets out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from importer.catalog import Catalog
from importer.catalog.cache import default_path, load
from importer.catalog.judge import Judge
from importer.config import Config, environment
from importer.crash import discreet
from importer.errors import ConfigError, SourceError
from importer.fields import FieldSpec
from importer.inspection.columns import Column, columns_of
from importer.inspection.header import names_to_show
from importer.inspection.lines import Proposal
from importer.inspection.proposal import propose
from importer.inspection.trial import Trial, tried
from importer.inspection.written import as_document, mapping_lines
from importer.outcomes import Issue
from importer.presets import Fit, fitting
from importer.sources import open_sources
from importer.sources.base import CHUNK_ROWS, Chunk, Source
from importer.sources.delimited import DelimitedSource

ROWS = 1_000
"""Rows that are looked at, unless somebody asks for another number; never more than a chunk."""

FIT_CELLS = 100
"""Cells of each column that tell which token store a file is from."""

SURE_FIT = 0.8
"""Score from which a store's file is one, although more rows could be sent without its damaged columns."""

_ANY_PROVIDER = "any"


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a look at a source found. `further` counts the files that were named and not looked at.

    `named`: the columns have names, and not the first row of a file without a header; a column whose name could be a
    key all the same goes by its place. `canonical`: they need no mapping, but perhaps a provider for the whole file.
    `fit` is the token store they come from. Any other file needs the `proposal`. `trial` is the best of these, tried on
    the rows and held against the catalog that is kept.
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


@discreet
def inspect(config: Config, rows: int = ROWS) -> Inspection:
    """Look at the first `rows` rows of the first source of a config. Writes nothing and sends nothing.

    The preset of the config is taken, if it has one, and its mapping is not: that is what is proposed. Raises
    SourceError and ConfigError where the source cannot be read, or has no row.
    """
    paths = config.source.named(environment())
    if not paths:
        raise ConfigError("no source is named", hint="Name a file: importer inspect tokens.csv.")
    source, *others = open_sources(
        paths, config.base, config.source.format, query=config.source.query, records=config.source.records
    )
    try:
        names, chunk, complete = _first_rows(source, min(rows, CHUNK_ROWS))
    finally:
        for one in (source, *others):
            one.close()
    # only delimited text can lack its header: elsewhere names are no data
    has_header = not isinstance(source, DelimitedSource)
    return _found(config, names, chunk, complete=complete, has_header=has_header, further=len(others))


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


def _found(
    config: Config, names: list[str], chunk: Chunk, *, complete: bool, has_header: bool, further: int
) -> Inspection:
    as_it_is = replace(config, mapping=None, source=replace(config.source, preset=None))
    canonical = tried(as_it_is, names, chunk).obstacle is None or _is_canonical(as_it_is, names, chunk)
    fit = None if canonical else _fit(config, names, chunk)
    catalog = _catalog(config)
    columns = columns_of(names, chunk.frame, catalog)
    shown = names_to_show(columns, chunk.frame, is_header=has_header or canonical or fit is not None)
    columns = [column if column.name in shown else _by_place(column, names) for column in columns]
    proposal = propose(columns if shown else [], catalog, config.source.provider)
    best = as_it_is if canonical else replace(as_it_is, mapping=proposal.mapping)
    if fit:
        by_preset = replace(as_it_is, source=replace(config.source, preset=fit.preset))
        if config.source.preset is None and _is_less(fit, by_preset, best, names, chunk):
            fit = None  # an app's own table, with something in it that the store has too
        else:
            best = by_preset
    judge = Judge(catalog or Catalog({}), config.catalog.modules)
    return Inspection(
        source=chunk.source, further=further, rows=len(chunk.rows), bad_rows=len(chunk.bad), complete=complete,
        columns=columns, named=bool(shown), canonical=canonical, fit=fit, proposal=proposal,
        trial=tried(best, names, chunk, judge),
    )  # fmt: skip


def _by_place(column: Column, names: Sequence[str]) -> Column:
    """A column by its place in the file, as its name must not be shown."""
    return replace(column, name=f"column {names.index(column.name) + 1}", named=False)


def _is_less(fit: Fit, by_preset: Config, by_name: Config, names: Sequence[str], chunk: Chunk) -> bool:
    """Whether a preset that does not surely fit makes fewer requests of the rows than the names of the columns do."""
    store = tried(by_preset, names, chunk)
    own = tried(replace(by_name, mapping=_untranslated(by_name.mapping or {})), names, chunk)
    return store.good + store.skipped < own.good and (store.obstacle is not None or fit.score < SURE_FIT)


def _untranslated(mapping: Mapping[str, FieldSpec]) -> dict[str, FieldSpec]:
    """The mapping with providers as they are: which ones are known says nothing of where a file is from."""
    return {path: replace(spec, values=None) for path, spec in mapping.items()}


def _is_canonical(config: Config, names: Sequence[str], chunk: Chunk) -> bool:
    """Whether the columns need no mapping once it is said which provider they are of."""
    provider = config.source.provider or _ANY_PROVIDER
    return tried(replace(config, source=replace(config.source, provider=provider)), names, chunk).obstacle is None


def _fit(config: Config, names: Sequence[str], chunk: Chunk) -> Fit | None:
    """The token store that the columns fit best; the one that the config names, if it names one."""
    if config.source.preset is not None:
        return Fit(config.source.preset, 1.0, "named in the config")
    cells = {name: chunk.frame[name].head(FIT_CELLS).tolist() for name in names}
    return next(iter(fitting(names, cells)), None)


def _catalog(config: Config) -> Catalog | None:
    kept = load(default_path(config.api_root))
    return kept and kept[0]
