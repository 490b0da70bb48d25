"""A program of the operator's hears how a run ended: `summary.json` on its standard input, and the exit code."""

import json
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from importer.config import Config
from importer.errors import ConfigError

PATIENCE_S: Final = 60.0
"""Seconds that the program has before it is ended."""

EXIT_CODE: Final = "IMPORTER_EXIT_CODE"
"""The variable that holds the exit code of the run."""


def check_notify(config: Config) -> None:
    """Raise ConfigError where `notify.command` names no program, before anything is sent."""
    if config.notify.command:
        _words(config.notify.command)


def notify(config: Config, summary: Mapping[str, Any], env: Mapping[str, str]) -> str:
    """Hand the summary to `notify.command`, if there is one; what went wrong in words, or "".

    No shell. It has this environment without what holds credentials, and what it prints on standard error is seen.
    Whatever becomes of it changes nothing about the run.
    """
    if not config.notify.command:
        return ""
    try:
        words = _words(config.notify.command)
        hidden = _secret_variables(config)
        own = {name: value for name, value in env.items() if name not in hidden}
        process = subprocess.Popen(  # noqa: S603 - the operator's own program
            words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True,
            env=own | {EXIT_CODE: str(summary["exit_code"])},
        )  # fmt: skip
    except (OSError, ConfigError) as error:
        return f"notify.command could not be run: {type(error).__name__}"
    with process:
        try:
            process.communicate(json.dumps(summary).encode(), timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with what it started
            return f"notify.command did not end within {PATIENCE_S:.0f} s, and was ended"
    return f"notify.command ended with code {process.returncode}" if process.returncode else ""


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError:
        words = []
    if not words or not shutil.which(words[0]):
        raise ConfigError(
            "notify.command names no program that is there",
            hint='Name one by its path, e.g. command = "/usr/local/bin/tell-us --channel imports".',
        )
    return words


def _secret_variables(config: Config) -> set[str]:
    """The variables that the config says hold credentials."""
    named = {config.api.api_key_env, config.source.url_env or ""}
    for field in (config.mapping or {}).values():
        named |= {value for key, value in (field.decrypt or {}).items() if key.endswith("_env")}
    return named
