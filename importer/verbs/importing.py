"""The import itself: what would happen, and what happens.

Heavy imports happen inside a verb, after the second process has been started, which loads the same.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from importer import options
from importer.options import config_of, console_of, shown, typed, warn
from importer.process import make_ready_to_send

if TYPE_CHECKING:
    from importer.config import Config
    from importer.console import Console
    from importer.runner import RunOptions


@click.command()
@options.reading
@options.places
@options.target
@options.limits
@options.checks("offline")
@click.option("--online", is_flag=True, help="Short for --checks online: sends reads only.")
@options.as_json
@options.quiet
@options.logged
def plan(**given: Any) -> int:
    """Say what `run` would do with SOURCE, and send nothing. With --online, the project is looked at too.

    \b
    Example: importer plan exports/*.csv --online
    """
    from importer.reading import start_reading

    config = config_of(given)
    reader = start_reading(config)
    from importer.commands import plan as plan_

    how, console = _begun(config, given, checks="online" if given["online"] else given["checks"])
    found = plan_(config, how, console, reader=reader)
    left_out = ("plan", "--json", "--quiet", "--online")
    command = ["importer", "run", *[word for word in typed() if word not in left_out]]
    console.plan(found, rate=config.limits.rate, report=shown(config.report_dir / "plan-errors.csv"), command=command)
    return found.exit_code


@click.command()
@options.reading
@options.places
@options.target
@options.limits
@options.checks("online")
@options.max_runtime
@click.option("--rehearse", is_flag=True, help="Send to a sandbox on this machine instead: how long, and what report?")
@click.option("--yes", is_flag=True, help="Send although more than a fifth of the done rows look changed.")
@options.as_json
@options.quiet
@options.logged
def run(**given: Any) -> int:
    """Import every row of SOURCE that is not done yet. Run it again to go on.

    SOURCE is a CSV, Parquet or JSON file, a glob, a folder, a database URL, or - for CSV on standard input.

    \b
    Example: importer run exports/*.csv --project acme-prod --rate 20
    """
    from importer.reading import start_reading

    config = config_of(given)
    reader = None if given["rehearse"] else start_reading(config)  # it loads what it needs while this process does
    from importer.commands import run as run_

    how, console = _begun(config, given, checks=given["checks"], yes=given["yes"], max_runtime_s=given["max_runtime"])
    if given["rehearse"]:
        return _rehearse(config, how, console)
    summary = run_(config, how, console, reader=reader)
    console.summary(summary, report=shown(config.report_dir / "errors.csv"), command=["importer", *typed()])
    return summary.exit_code


def _begun(config: "Config", given: Mapping[str, Any], **more: Any) -> "tuple[RunOptions, Console]":
    """What a command line says of how to plan or to run, and where that is told; warnings come first."""
    from importer.runner import RunOptions

    make_ready_to_send()
    console = console_of(as_json=given["as_json"], quiet=given["quiet"], only_log=given["only_log"])
    warn(console, config, given["source"])
    return RunOptions(only=given["only"], rows=given["rows"], strict=given["strict"], **more), console


def _rehearse(config: "Config", how: "RunOptions", console: "Console") -> int:
    from importer.rehearsal import rehearse

    summary = rehearse(config, how, console)
    folder = config.report_dir / "rehearsal"
    console.summary(summary, report=shown(folder / "errors.csv"), command=["importer", *typed()])
    console.rehearsed(summary, page=shown(folder / "report.html"))
    return summary.exit_code
