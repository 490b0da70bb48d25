"""What a run reads: its sources, opened and their headers checked, before anything is made or sent."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from importer.config import Config, environment
from importer.errors import ConfigError
from importer.mapping import Mapper
from importer.notes import Notes
from importer.presets import load_preset, take
from importer.sources import open_sources
from importer.sources.base import Source


@dataclass(frozen=True, slots=True)
class Inputs:
    """The sources of a run, each with the mapper that fits its header, and what it was when it was opened.

    The mappers share the notes: what is said of ten files is said once.
    """

    sources: Sequence[Source]
    mappers: Sequence[Mapper]
    stamps: Sequence[Hashable]
    notes: Notes

    def close(self) -> None:
        """Let go of streams and connections."""
        for source in self.sources:
            source.close()


def open_inputs(config: Config) -> Inputs:
    """The sources of a config, their headers checked. Raises SourceError and ConfigError; nothing is made or sent."""
    paths = config.source.named(environment())
    if not paths:
        raise ConfigError(
            "no source is named", hint="Name files: importer plan tokens.csv, or paths under [source] in a config."
        )
    if config.source.preset is not None:
        load_preset(config.source.preset)  # a slip in its name is said before a file is opened
    sources = open_sources(
        paths, config.base, config.source.format, query=config.source.query, records=config.source.records
    )
    notes = Notes()
    return Inputs(
        sources,
        [mapper_of(config, source.columns(), source.name, notes) for source in sources],
        [source.stamp() for source in sources],
        notes,
    )


def mapper_of(config: Config, columns: Sequence[str], source: str, notes: Notes) -> Mapper:
    """What maps one source: by its preset and the mapping, of which the mapping wins field by field.

    Raises SourceError and ConfigError where the columns of `source` do not fit.
    """
    provider = config.source.provider
    if config.source.preset is None:
        return Mapper(config.mapping, columns, source=source, provider=provider, notes=notes)
    preset = load_preset(config.source.preset)
    taken = take(preset, columns, config.mapping or {}, source=source, provider=provider, notes=notes)
    return Mapper(
        taken.mapping,
        columns,
        source=source,
        provider=provider,
        only=taken.only,
        expected=taken.expected,
        notes=notes,
    )
