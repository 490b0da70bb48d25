"""The command line: each verb is a thin face on one function of the library.

What an operator can cause becomes a message, a hint and an exit code; a bug becomes a traceback without values. Heavy
imports happen inside a verb, so that `--help` starts at once.
"""

import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from importer import __version__, options
from importer.crash import install_hooks
from importer.ending import carry_out
from importer.errors import ConfigError, Exit
from importer.options import ask, config_of, console_of, shown, typed, warn, without_password
from importer.private import leave_no_core

if TYPE_CHECKING:
    from importer.config import Config
    from importer.console import Console
    from importer.runner import RunOptions


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    leave_no_core()
    install_hooks()
    code = run_command(sys.argv[1:] if arguments is None else arguments)
    if code in (Exit.INTERRUPTED, Exit.TERMINATED):
        # everything is written; a thread that waits for a pipe must not keep the process
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
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


@importer.command()
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
    from importer.runner import RunOptions

    _share_the_process()
    console = console_of(as_json=given["as_json"], quiet=given["quiet"], only_log=given["only_log"])
    warn(console, config, given["source"])
    how = RunOptions(
        only=given["only"],
        rows=given["rows"],
        checks=given["checks"],
        strict=given["strict"],
        yes=given["yes"],
        max_runtime_s=given["max_runtime"],
    )
    if given["rehearse"]:
        return _rehearse(config, how, console)
    summary = run_(config, how, console, reader=reader)
    console.summary(summary, report=shown(config.report_dir / "errors.csv"), command=["importer", *typed()])
    return summary.exit_code


def _rehearse(config: "Config", how: "RunOptions", console: "Console") -> int:
    from importer.rehearsal import rehearse

    summary = rehearse(config, how, console)
    folder = config.report_dir / "rehearsal"
    console.summary(summary, report=shown(folder / "errors.csv"), command=["importer", *typed()])
    console.rehearsed(summary, page=shown(folder / "report.html"))
    return summary.exit_code


@importer.command()
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
    from importer.runner import RunOptions

    _share_the_process()
    console = console_of(as_json=given["as_json"], quiet=given["quiet"], only_log=given["only_log"])
    warn(console, config, given["source"])
    how = RunOptions(
        only=given["only"],
        rows=given["rows"],
        checks="online" if given["online"] else given["checks"],
        strict=given["strict"],
    )
    found = plan_(config, how, console, reader=reader)
    left_out = ("plan", "--json", "--quiet", "--online")
    command = ["importer", "run", *[word for word in typed() if word not in left_out]]
    console.plan(found, rate=config.limits.rate, report=shown(config.report_dir / "plan-errors.csv"), command=command)
    return found.exit_code


@importer.command()
@options.places
@options.as_json
def status(**given: Any) -> int:
    """Show where every row of the ledger stands, and the last runs.

    \b
    Example: importer status --ledger sqlite:///importer-ledger.db
    """
    from importer.ledger import SqliteLedger
    from importer.status import show_status

    config = config_of(given)
    if not config.ledger_path.is_file():
        raise ConfigError(f"there is no ledger at {config.ledger_path}", hint="It is made by the first importer run.")
    ledger = SqliteLedger(config.ledger_path, read_only=True)
    try:
        show_status(ledger, console_of(as_json=given["as_json"]), shown(config.ledger_path))
    finally:
        ledger.close()
    return Exit.DONE


@importer.command()
@options.places
@options.target
@options.limits
@click.option("--refresh", is_flag=True, help="Have the platform refresh every token: rotates it at the provider.")
@click.option("--forget-missing", is_flag=True, help="Make rows that are rolled back or missing pending again.")
@options.max_runtime
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.as_json
@options.logged
def verify(**given: Any) -> int:
    """Compare the ledger with the project, and settle rows that are unknown.

    \b
    Example: importer verify
    """
    from importer.commands import verify as verify_

    if given["refresh"]:
        ask("Every refresh token will be used once, and rotates where its provider rotates them.", given["yes"])
    if given["forget_missing"]:
        ask("Rows that were rolled back or are missing will be posted again by the next run.", given["yes"])
    config = config_of(given)
    console = console_of(as_json=given["as_json"], only_log=given["only_log"])
    warn(console, config)
    found = verify_(
        config,
        refresh=given["refresh"],
        forget_missing=given["forget_missing"],
        max_runtime_s=given["max_runtime"],
    )
    console.verified(found.as_json(), report=shown(config.report_dir / "verify-errors.csv"))
    if found.stopped:
        console.error(found.stopped)
    return found.exit_code


@importer.command()
@options.places
@options.target
@options.limits
@click.option("--run", "run_id", required=True, metavar="ID", help="Which run; importer status lists them.")
@click.option("--dry-run", is_flag=True, help="Only count what would be deleted.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@options.as_json
@options.logged
def rollback(**given: Any) -> int:
    """Delete the connections that one run posted, and nothing that it adopted.

    \b
    Example: importer rollback --run 20261124T020000-1a2b --dry-run
    """
    from importer.commands import rollback as rollback_

    if not given["dry_run"]:
        ask("Connections will be deleted, and tokens that were rotated since do not come back.", given["yes"])
    config = config_of(given)
    console = console_of(as_json=given["as_json"], only_log=given["only_log"])
    warn(console, config)
    found = rollback_(config, given["run_id"], dry_run=given["dry_run"])
    if given["as_json"]:
        console.emit("summary", found.as_json())
    what = f"would delete {found.found:,}" if found.dry_run else f"deleted {found.deleted:,} · left {found.left:,}"
    console.data(f"{what} of the connections that run {found.of_run} posted")
    if found.left and not found.dry_run:
        console.data(f"why: see {shown(config.report_dir / 'rollback-errors.csv')}")
        console.data("next: importer verify (it settles rows in doubt), then the same rollback again")
    if found.stopped:
        console.error(found.stopped)
    return found.exit_code


@importer.command()
@options.places
@click.option("--run", "run_id", metavar="ID", help="Which run; the last one without it.")
@options.as_json
def report(**given: Any) -> int:
    """Write the reports of a run anew from the ledger.

    \b
    Example: importer report --run 20261124T020000-1a2b
    """
    from importer.commands import report as report_

    config = config_of(given)
    console = console_of(as_json=given["as_json"])
    warn(console, config)
    found, folder = report_(config, given["run_id"])
    if given["as_json"]:
        console.emit("summary", found.summary or {})
    console.data(f"reports of run {found.run_id} in {shown(folder)}: results.csv, errors.csv, summary.json")
    return Exit.DONE


@importer.command()
@click.argument("name", required=False)
@options.places
@options.target
@options.as_json
def providers(**given: Any) -> int:
    """List the providers of the platform's catalog; with NAME, what a row of that provider needs.

    \b
    Example: importer providers salesforce
    """
    from importer.commands import providers as providers_
    from importer.provider_words import catalog_lines, provider_as_json, provider_lines

    found = providers_(config_of(given))
    console = console_of(as_json=given["as_json"])
    if found.age_s:
        console.say(f"the API does not answer: this is the catalog of {found.age_s / 3600:.0f} hours ago")
    if given["name"] is None:
        for line in catalog_lines(found.catalog):
            console.data(line)
        for name in found.catalog.providers if given["as_json"] else ():
            console.emit("provider", provider_as_json(found.catalog, name))
        return Exit.DONE
    if found.catalog.describe(given["name"]) is None:
        near = found.catalog.nearest_provider(given["name"])
        hint = f"Did you mean {near}?" if near else "importer providers lists them all."
        raise ConfigError("the catalog has no provider of this name", hint=hint)
    for line in provider_lines(found.catalog, given["name"]):
        console.data(line)
    if given["as_json"]:
        console.emit("provider", provider_as_json(found.catalog, given["name"]))
    return Exit.DONE


@importer.command()
@click.argument("source", required=False)
@options.config
@click.option("--provider", help="For a file whose rows are all of one provider.")
@click.option("--rows", type=click.IntRange(1), metavar="N", default=1_000, show_default=True,
              help="How many rows are looked at, at most 5,000.")  # fmt: skip
@options.as_json
def inspect(**given: Any) -> int:
    """Look at the first rows of SOURCE, and propose the [mapping] it needs. Shows no credential, sends nothing.

    SOURCE is what `run` takes; without one, the source of the config is looked at.

    \b
    Example: importer inspect tokens.csv
    """
    from importer.inspection import inspect as inspect_
    from importer.inspection.screen import screen

    source = given.pop("source")
    typed_sources = (source,) if source else ()
    config = config_of(given | {"source": typed_sources})
    console = console_of(as_json=given["as_json"])
    warn(console, config, typed_sources)
    found = inspect_(config, given["rows"])
    if given["as_json"]:
        console.emit("inspect", found.as_json())
    again = [without_password(source)] if source else ["-c", str(given["config_path"] or "config.toml")]
    again += ["--provider", given["provider"]] if given["provider"] else []
    for line in screen(found, again):
        console.data(line)
    return Exit.DONE


@importer.command()
@click.argument("path", type=click.Path(path_type=Path), default=Path("config.toml"))
@click.option("--from", "source", metavar="SOURCE", help="A file to import: the config gets what it needs.")
@click.option("--preset", metavar="NAME", help="The token store that the rows come from, e.g. authjs.")
@click.option("--provider", help="For a file whose rows are all of one provider.")
def init(path: Path, source: str | None, preset: str | None, provider: str | None) -> int:
    """Write a commented config to start from, to PATH (config.toml).

    \b
    Example: importer init migration.toml --from tokens.csv
    """
    from importer.starter import init as init_

    found = init_(path, source, preset=preset, provider=provider)
    click.echo(f"wrote {path}")
    if found:
        from importer.inspection.screen import verdict

        for line in verdict(found):
            click.echo(line)
    click.echo(f"next: edit it, then importer plan -c {path}")
    return Exit.DONE


@importer.command()
@click.option("--port", default=8900, show_default=True, type=click.IntRange(0, 65535), help="0: any free one.")
@click.option("--rate", type=float, metavar="N", help="Refuse more than N requests per second with 429.")
@click.option("--latency-ms", type=float, default=0.0, metavar="N", help="Answer N milliseconds late.")
@click.option(
    "--fault", "faults", multiple=True, metavar="NAME:PROBABILITY", help="Misbehave, e.g. drop_after_commit:0.05."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Makes the faults fall the same way again.")
def sandbox(port: int, rate: float | None, latency_ms: float, faults: tuple[str, ...], seed: int) -> int:
    """Serve a local API that behaves, and misbehaves on request. Nothing leaves this machine.

    \b
    Example: importer sandbox --rate 50 --fault drop_after_commit:0.05
    """
    from importer.sandbox import Sandbox, serve_forever

    try:
        box = Sandbox(port=port, rate=rate, latency_ms=latency_ms, faults=_faults(faults), seed=seed)
        box.start()
    except ValueError as error:
        raise ConfigError(str(error), hint="See importer sandbox --help.") from None
    except OSError as error:
        raise ConfigError(
            f"port {port} cannot be opened: {error.strerror}", hint="Give another --port, or 0."
        ) from None
    click.echo(f"sandbox at {box.url}, until you press Ctrl-C. In another terminal:")
    for name, value in box.environment().items():
        click.echo(f"  export {name}={value}")
    click.echo("  importer run samples/connections.csv")
    serve_forever(box)
    return Exit.DONE


@importer.command()
def demo() -> int:
    """Show a whole import against the sandbox, in ./importer-demo. No account, no network.

    \b
    Example: importer demo
    """
    from importer.demo import run_demo

    return run_demo(Path("importer-demo"))


def _share_the_process() -> None:
    """Settings of the whole process for the work that a run is: a loop that sends beside threads that work."""
    # a chunk makes 100,000 objects that live together and die together: looking at them each 700 costs a third
    gc.set_threshold(50_000, 20, 100)
    # the loop gives the interpreter away at every send and read, and gets it back after this long at the latest
    sys.setswitchinterval(0.001)


def _faults(words: tuple[str, ...]) -> dict[str, float]:
    faults: dict[str, float] = {}
    for word in words:
        name, _, probability = word.partition(":")
        try:
            faults[name] = float(probability)
        except ValueError:
            raise ConfigError(f"--fault {word} has no probability", hint="Write it as NAME:0.05.") from None
    return faults
