"""What others on this machine can see or change of a command: it is said, and the command goes on."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from importer.config import Config
from importer.private import others_can_write

_PASSWORD = re.compile(r"://[^/]*:[^/]+@|://.*[?&][a-z_]*(password|passwd|pwd|secret|token)=", re.IGNORECASE)


def exposures(config: Config, sources: Sequence[str] = ()) -> Iterator[str]:
    """A line for each; `sources` are those that were typed. None quotes a source."""
    for folder, what in _open_folders(config).items():
        yield f"others can write to {folder}, and so exchange the {' and the '.join(what)}: chmod go-w {folder}"
    if any(_PASSWORD.search(source) for source in sources):
        yield (
            "everybody on this machine can read the password in a URL on the command line (ps): "
            'put the URL into a variable, and name that one under [source], e.g. url_env = "DATABASE_URL"'
        )


def _open_folders(config: Config) -> dict[Path, list[str]]:
    """Folders on the way to what the command writes that others can write to, each with what lies in it."""
    places = {"ledger": config.ledger_path.parent} if config.ledger.url.startswith("sqlite:///") else {}
    found: dict[Path, list[str]] = {}
    for what, place in (places | {"reports": config.report_dir}).items():
        folder = Path(os.path.realpath(place))
        for on_the_way in (folder, *folder.parents):
            if others_can_write(on_the_way):
                found.setdefault(on_the_way, []).append(what)
    return found
