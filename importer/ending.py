"""How a command ends: what an operator can cause as a message and an exit code, a bug as a traceback without values."""

import os
import sys
import traceback
from collections.abc import Sequence

import click

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
        if isinstance(error, click.NoSuchOption) and _is_for_a_key(error.option_name):
            console_of(as_json="--json" in arguments).error(_no_argument(error.option_name))
            return Exit.USAGE
        error.show()
        return Exit.USAGE
    except (KeyboardInterrupt, click.Abort):
        return Exit.INTERRUPTED
    except ImporterError as error:
        console_of(as_json="--json" in arguments).error(error)
        return error.exit_code
    except BrokenPipeError:
        # whoever read our output has gone: nothing more can be said, and the interpreter must not try
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.BUG
    except Exception as error:  # the last stop: a traceback of ours must not print a value
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]  # a bug in a worker comes wrapped in those of the workers it took along
        frames = traceback.format_tb(error.__traceback__)
        name = type(error).__name__
        from importer.reading import ReaderFailed  # here, so that --help starts without it

        if isinstance(error, ReaderFailed):
            frames, name = [*frames, error.frames], str(error)
        click.echo("".join(frames), err=True, nl=False)
        click.echo(f"{name} (its text is withheld: it could hold a credential)", err=True)
        click.echo(
            "This is a bug of importer: please report the lines above. The ledger is intact; run again.", err=True
        )
        return Exit.BUG


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
