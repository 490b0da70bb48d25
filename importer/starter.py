"""The commented config that `importer init` writes, with a source and its mapping in it where one is named."""

import os
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from importer.config import Config, SourceConfig
from importer.crash import discreet
from importer.errors import ConfigError
from importer.private import open_new

if TYPE_CHECKING:
    from importer.inspection import Inspection

# what looks at rows is imported where there are some to look at: without a source, a config is written at once

_PATHS = "paths = "
_MAPPING = "# Without [mapping]"


@discreet
def init(
    path: Path, source: str | None = None, *, preset: str | None = None, provider: str | None = None
) -> "Inspection | None":
    """Write a config to start from to `path`, which must not be there; what was seen of `source`, if one was named.

    `source` is a file, a glob, a folder or `-`, relative to the working directory; `preset` the token store it is from,
    told by its columns if it is not named. Raises ConfigError and SourceError; nothing is written then.
    """
    if path.exists() or path.is_symlink():
        raise _is_there(path)
    if preset is not None:
        from importer.presets import load_preset

        load_preset(preset)
    settings = SourceConfig(paths=() if source is None else (source,), preset=preset, provider=provider)
    found = None if source is None else _looked_at(settings)
    text = files("importer").joinpath("starter.toml").read_text("utf-8")
    try:
        _write_new(path, _filled_in(text, settings, found, path.parent))
    except FileExistsError:
        raise _is_there(path) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}", hint="Check the folder.") from None
    return found


def _write_new(path: Path, text: str) -> None:
    """A file for its owner only: a password may be written into it yet. Raises OSError, and leaves none then."""
    with open(open_new(path), "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor, no path
        try:
            file.write(text)
            file.flush()
        except OSError:
            path.unlink()
            raise


def _is_there(path: Path) -> ConfigError:
    return ConfigError(f"{path} is there already", hint="Give another name: importer init other.toml")


def _looked_at(settings: SourceConfig) -> "Inspection":
    if "://" in settings.paths[0]:
        # its password would be written down, and the query is not known here
        raise ConfigError(
            "a config is not written from an address",
            hint="Write url_env and query (a database) or paths (a store) under [source], then importer inspect -c.",
        )
    from importer.inspection import inspect

    return inspect(Config(source=settings))


def _filled_in(text: str, settings: SourceConfig, found: "Inspection | None", folder: Path) -> str:
    """The starting config with what is known of the source in place of the examples; `folder` is the config's."""
    lines = text.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith(_PATHS))
    start = next(number for number, line in enumerate(lines) if line.startswith(_MAPPING))
    end = next(number for number in range(start, len(lines)) if not lines[number])
    source = [_path(settings.paths[0], folder)] if settings.paths else [lines[at]]
    source += _settings(settings, found)
    mapping = _mapping(settings, found) or lines[start:end]
    return "\n".join([*lines[:at], *source, *lines[at + 1 : start], *mapping, *lines[end:]]) + "\n"


def _path(source: str, folder: Path) -> str:
    """A source as a config in `folder` names it: relative to that."""
    from importer.inspection.written import toml

    return f"paths = [{toml(source if source == '-' else os.path.relpath(source, folder))}]"


def _settings(settings: SourceConfig, found: "Inspection | None") -> Iterator[str]:
    """What stands under `[source]` beside the paths."""
    if not (settings.preset or settings.provider or found):
        return
    from importer.inspection.written import toml

    preset = found.fit.preset if found and found.fit else settings.preset
    if preset:
        yield f"preset = {toml(preset)}"
    if settings.provider:
        yield f"provider = {toml(settings.provider)}"
    elif found and found.canonical and found.trial.obstacle:
        yield '# provider = "…"                # ? no column names it: fill it in'


def _mapping(settings: SourceConfig, found: "Inspection | None") -> Sequence[str]:
    """What stands in place of the example of a `[mapping]`; nothing where the example is all there is."""
    if found and found.mapping_toml:
        return [*_HOW_TO_READ, *found.mapping_toml]
    if found and found.canonical:
        return ["# The columns have the canonical names: no [mapping] is needed."]
    if found and found.fit:
        return [f"# The preset maps it ({found.fit.reason}).", *_BESIDE_A_PRESET]
    return ["# The preset says which column holds what.", *_BESIDE_A_PRESET] if settings.preset else []


_HOW_TO_READ = (
    "# Proposed by the names and the looks of the columns: read it before you use it. Left: the field of the request,",
    "# right: the column it comes from. A line with # ? needs a decision.",
)
_BESIDE_A_PRESET = (
    "# A [mapping] beside it wins field by field, e.g. where your customers' organisations are:",
    "# [mapping]",
    '# groupRef = "organization_id"',
)
