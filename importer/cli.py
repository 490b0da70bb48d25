"""The command line as a whole: its group, its exit codes, and what holds for every verb.

What an operator can cause becomes a message, a hint and an exit code; a bug becomes a traceback without values.
"""

import os
import sys

import click

from importer import __version__, process
from importer.crash import install_hooks
from importer.ending import carry_out
from importer.errors import Exit
from importer.private import leave_no_core
from importer.verbs import afterwards, beforehand, importing


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    leave_no_core()
    install_hooks()
    process.spare_the_start()
    code = run_command(sys.argv[1:] if arguments is None else arguments)
    if code in (Exit.INTERRUPTED, Exit.TERMINATED):
        # everything is written; a thread that waits for a pipe must not keep the process
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    process.leave_at_once()
    sys.exit(code)


def run_command(arguments: list[str]) -> int:
    """Carry out one command and return its exit code; what it has to say is said."""
    return carry_out(importer, arguments)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="importer")
@click.pass_context
def importer(context: click.Context) -> None:
    """Move customers' existing credentials into Ampersand in bulk, each exactly once.

    \b
    Start here:
      importer demo                     see what it does, without an account
      importer plan tokens.csv          what would happen; sends nothing
      importer run tokens.csv           import; run it again to go on
    """
    import logging

    from importer.logs import log_to

    context.with_resource(log_to(sys.stderr))  # what other libraries log is kept off the screen
    logging.captureWarnings(True)  # and so are warnings, whose texts can hold a cell
    context.call_on_close(lambda: logging.captureWarnings(False))


for verb in (
    beforehand.demo,
    beforehand.sandbox,
    beforehand.providers,
    beforehand.inspect,
    beforehand.init,
    importing.plan,
    importing.run,
    afterwards.status,
    afterwards.report,
    afterwards.verify,
    afterwards.rollback,
):
    importer.add_command(verb)
