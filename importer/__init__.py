"""Move customers' existing credentials into Ampersand, in bulk, each exactly once.

    import importer

    config = importer.load_config(Path("config.toml"), os.environ)
    print(importer.plan(config).to_send)
    summary = importer.run(config)

`plan`, `run`, `verify`, `rollback`, `report` and `inspect` do what the verbs of the command line do. They are loaded
when they are first used, so that `importer --help` starts without pandas.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from importer.commands import plan, report, rollback, run, verify
    from importer.config import Config, load_config
    from importer.errors import ImporterError
    from importer.events import Listener, Progress
    from importer.inspection import Inspection, inspect
    from importer.runner import RunOptions
    from importer.summary import PlanSummary, RunSummary

_HOMES = {
    "plan": "importer.commands",
    "run": "importer.commands",
    "verify": "importer.commands",
    "rollback": "importer.commands",
    "report": "importer.commands",
    "inspect": "importer.inspection",
    "Inspection": "importer.inspection",
    "Config": "importer.config",
    "load_config": "importer.config",
    "ImporterError": "importer.errors",
    "Listener": "importer.events",
    "Progress": "importer.events",
    "RunOptions": "importer.runner",
    "PlanSummary": "importer.summary",
    "RunSummary": "importer.summary",
}

__all__ = [
    "Config",
    "ImporterError",
    "Inspection",
    "Listener",
    "PlanSummary",
    "Progress",
    "RunOptions",
    "RunSummary",
    "__version__",
    "inspect",
    "load_config",
    "plan",
    "report",
    "rollback",
    "run",
    "verify",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'importer' has no attribute {name!r}")
