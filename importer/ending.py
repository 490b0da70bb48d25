"""How a command ends: what an operator can cause as a message and an exit code, a bug as a traceback without values."""

import itertools
import os
import sys
from collections.abc import Sequence

import click

from importer.crash import Bug, bug_of, report_bug
from importer.errors import ConfigError, Exit, ImporterError
from importer.options import console_of


def carry_out(command: click.Command, arguments: Sequence[str]) -> int:
    """Carry out one command and return its exit code; what it has to say is said."""
    try:
        code = command.main(list(arguments), prog_name="importer", standalone_mode=False)
        return code if isinstance(code, int) else Exit.DONE
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        _say_usage(error, arguments)
        return Exit.USAGE
    except (KeyboardInterrupt, click.Abort):
        return Exit.INTERRUPTED
    except ImporterError as error:
        _say(error, arguments)
        return error.exit_code
    except BrokenPipeError:
        # whoever read our output has gone: nothing more can be said, and the interpreter must not try
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.BUG
    except Exception as error:  # the last stop: a traceback of ours must not print a value
        _say_bug(bug_of(error), arguments)
        return Exit.BUG


def _say(error: ImporterError, arguments: Sequence[str]) -> None:
    if "--json" in arguments or not _logs_json(arguments):
        console_of(as_json="--json" in arguments).error(error)
    if _logs_json(arguments):
        _log("stopped", message=str(error), fix=error.hint, exit_code=int(error.exit_code))


def _say_usage(error: click.ClickException, arguments: Sequence[str]) -> None:
    """Say what is wrong with the arguments."""
    if isinstance(error, click.NoSuchOption) and _is_for_a_key(error.option_name):
        _say(_no_argument(error.option_name), arguments)
    elif _logs_json(arguments):
        _say(ConfigError(error.format_message()), arguments)
    else:
        error.show()


def _say_bug(bug: Bug, arguments: Sequence[str]) -> None:
    if not _logs_json(arguments):
        report_bug(bug, sys.stderr)
        return
    _log("bug", kind=bug.kind, frames=bug.frames)


def _log(name: str, **fields: str | int) -> None:
    import logging

    from importer.logs import event, log_to

    with log_to(sys.stderr, "error", "json"):
        event(logging.getLogger(__name__), logging.ERROR, name, **fields)


def _is_for_a_key(option: str) -> bool:
    """Whether an option that is none was to give the API key, as other tools have it."""
    name = option.strip("-").replace("_", "").replace("-", "").lower()
    return name in {"key", "apikey", "ampapikey", "xapikey", "token", "apitoken", "accesstoken", "secret", "password"}


def _no_argument(option: str) -> ConfigError:
    return ConfigError(
        f"{option}: the API key is never an argument, which everybody on this machine could read (ps)",
        hint="Set AMP_API_KEY, or one of api_key_file, api_key_command and api_key_keyring under [api] in a config. "
        "A key that was typed is in the shell's history now: make a new one.",
    )


def _logs_json(arguments: Sequence[str]) -> bool:
    """Whether stderr is a log of JSON objects, in which no other line may stand."""
    return "--log-format=json" in arguments or ("--log-format", "json") in itertools.pairwise(arguments)
