"""What a run reads: its sources, opened and their headers checked, before anything is made or sent."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from importer.config import Config, environment
from importer.errors import ConfigError
from importer.mapping import Mapper
from importer.sources import open_sources
from importer.sources.base import Source


@dataclass(frozen=True, slots=True)
class Inputs:
    """The sources of a run, each with the mapper that fits its header, and what it was when it was opened."""

    sources: Sequence[Source]
    mappers: Sequence[Mapper]
    stamps: Sequence[Hashable]

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
    sources = open_sources(paths, config.base, config.source.format, query=config.source.query)
    return Inputs(
        sources,
        [
            Mapper(config.mapping, source.columns(), source=source.name, provider=config.source.provider)
            for source in sources
        ],
        [source.stamp() for source in sources],
    )
