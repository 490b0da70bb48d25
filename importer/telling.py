"""The world around hears how a run ended: a program of the operator's, and Prometheus."""

from collections.abc import Callable, Mapping
from typing import Any

from importer.config import Config
from importer.crash import bug_of
from importer.errors import Exit, ImporterError
from importer.events import Listener
from importer.metrics import check_metrics, write_metrics
from importer.notify import check_notify, notify
from importer.summary import RunSummary


def telling(config: Config, env: Mapping[str, str], listener: Listener, run: Callable[[], RunSummary]) -> RunSummary:
    """Run, and tell how it ended, whichever way: also where it ends before anything is sent.

    Raises ConfigError, before it runs, where nobody could be told. Where that fails afterwards the listener is warned,
    for it changes nothing about the run.
    """
    check_notify(config)
    check_metrics(config)
    try:
        summary = run()
    except ImporterError as error:
        _tell(config, env, listener, _stopped(error.exit_code, str(error), error.hint))
        raise
    except Exception as error:  # a bug ends the run too, and is told before it is raised on
        _tell(config, env, listener, _stopped(Exit.BUG, str(bug_of(error)), "Report the lines that it printed."))
        raise
    _tell(config, env, listener, summary.as_json())
    return summary


def _stopped(exit_code: Exit, message: str, fix: str) -> dict[str, Any]:
    return {"exit_code": int(exit_code), "complete": False, "stopped": {"message": message, "fix": fix}}


def _tell(config: Config, env: Mapping[str, str], listener: Listener, summary: Mapping[str, Any]) -> None:
    for wrong in (write_metrics(config, summary), notify(config, summary, env)):
        if wrong:
            listener.warned(wrong)
