"""The command line: each verb is a thin face on one function of the library.

What an operator can cause becomes a message, a hint and an exit code; a bug becomes a traceback without values. Heavy
imports happen inside a verb, so that `--help` starts at once.
"""

import gc
import os
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from importer import __version__
from importer.config import Config, load_config
from importer.errors import ConfigError, Exit, ImporterError

if TYPE_CHECKING:
    from importer.console import Console

F = TypeVar("F", bound=Callable[..., Any])


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    code = run_command(sys.argv[1:] if arguments is None else arguments)
    if code in (Exit.INTERRUPTED, Exit.TERMINATED):
        # everything is written; a thread that waits for a pipe must not keep the process
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def run_command(arguments: list[str]) -> int:
    """Carry out one command and return its exit code; what it has to say is said."""
    try:
        code = importer.main(arguments, prog_name="importer", standalone_mode=False)
        return code if isinstance(code, int) else Exit.DONE
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except (KeyboardInterrupt, click.Abort):
        return Exit.INTERRUPTED
    except ImporterError as error:
        _console(as_json="--json" in arguments).error(error)
        return error.exit_code
    except BrokenPipeError:
        # whoever read our output has gone: nothing more can be said, and the interpreter must not try
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.BUG
    except Exception as error:  # the last stop: a traceback of ours must not print a value
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]  # a bug in a worker comes wrapped in those of the workers it took along
        click.echo("".join(traceback.format_tb(error.__traceback__)), err=True, nl=False)
        click.echo(f"{type(error).__name__} (its text is withheld: it could hold a credential)", err=True)
        click.echo(
            "This is a bug of importer: please report the lines above. The ledger is intact; run again.", err=True
        )
        return Exit.BUG


def _console(*, as_json: bool = False, quiet: bool = False) -> "Console":
    from importer.console import Console

    return Console(as_json=as_json, quiet=quiet)


def _options(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    def apply(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line on stdout, nothing else.")
_quiet = click.option("--quiet", is_flag=True, help="No progress and no talk; results and errors only.")
_places = _options(
    click.option("-c", "--config", "config_path", type=click.Path(path_type=Path), help="Config file (config.toml)."),
    click.option("--ledger", metavar="URL", help="Where the ledger lies, e.g. sqlite:///importer-ledger.db."),
    click.option("--report-dir", metavar="DIR", help="Where the reports go."),
)
_target = _options(
    click.option("--project", help="Name or id of the project (AMP_PROJECT)."),
    click.option("--api-url", metavar="URL", help="Root of the API (AMP_API_URL)."),
)
_reading = _options(
    click.argument("source", nargs=-1),
    click.option("--preset", metavar="NAME", help="The token store that the rows come from, e.g. authjs."),
    click.option("--provider", help="For a file whose rows are all of one provider."),
    click.option("--rows", type=click.IntRange(1), metavar="N", help="Only the first N rows of the source."),
    click.option("--strict", is_flag=True, help="Take warnings for errors: such rows are not sent."),
    click.option("--only", type=click.Choice(["all", "new", "unfinished"]), default="all", show_default=True,
                 help="Which rows are taken up."),
)  # fmt: skip
_limits = _options(
    click.option("--rate", metavar="N|auto|unlimited", help="Requests of any kind per second."),
    click.option("--workers", metavar="N", help="Requests in flight."),
    click.option("--attempts", metavar="N", help="Attempts per row and run."),
    click.option("--stop-after", metavar="N", help="Failed attempts in a row before the run stops; 0: never."),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="importer")
def importer() -> None:
    """Move customers' existing credentials into Ampersand in bulk, each exactly once.

    \b
    Start here:
      importer demo                     see what it does, without an account
      importer plan tokens.csv          what would happen; sends nothing
      importer run tokens.csv           import; run it again to go on
    """


@importer.command()
@_reading
@_places
@_target
@_limits
@click.option("--checks", type=click.Choice(["online", "offline"]), default="online", show_default=True,
              help="Whether key and project are checked first.")  # fmt: skip
@click.option("--yes", is_flag=True, help="Send although more than a fifth of the done rows look changed.")
@_json
@_quiet
def run(**given: Any) -> int:
    """Import every row of SOURCE that is not done yet. Run it again to go on.

    SOURCE is a CSV, Parquet or JSON file, a glob, a folder, a database URL, or - for CSV on standard input.

    \b
    Example: importer run exports/*.csv --project acme-prod --rate 20
    """
    from importer.commands import run as run_
    from importer.runner import RunOptions

    _calm_collector()
    config = _config(given)
    console = _console(as_json=given["as_json"], quiet=given["quiet"])
    options = RunOptions(
        only=given["only"], rows=given["rows"], checks=given["checks"], strict=given["strict"], yes=given["yes"]
    )
    summary = run_(config, options, console)
    console.summary(summary, report=_shown(config.report_dir / "errors.csv"), command=["importer", *_typed()])
    return summary.exit_code


@importer.command()
@_reading
@_places
@_target
@_limits
@_json
@_quiet
def plan(**given: Any) -> int:
    """Say what `run` would do with SOURCE, and send nothing.

    \b
    Example: importer plan exports/*.csv
    """
    from importer.commands import plan as plan_
    from importer.runner import RunOptions

    _calm_collector()
    config = _config(given)
    console = _console(as_json=given["as_json"], quiet=given["quiet"])
    found = plan_(config, RunOptions(only=given["only"], rows=given["rows"], strict=given["strict"]), console)
    command = ["importer", "run", *[word for word in _typed() if word not in ("plan", "--json", "--quiet")]]
    console.plan(found, rate=config.limits.rate, report=_shown(config.report_dir / "plan-errors.csv"), command=command)
    return found.exit_code


@importer.command()
@_places
@_json
def status(**given: Any) -> int:
    """Show where every row of the ledger stands, and the last runs.

    \b
    Example: importer status --ledger sqlite:///importer-ledger.db
    """
    from importer.ledger import SqliteLedger
    from importer.status import show_status

    config = _config(given)
    if not config.ledger_path.is_file():
        raise ConfigError(f"there is no ledger at {config.ledger_path}", hint="It is made by the first importer run.")
    ledger = SqliteLedger(config.ledger_path, read_only=True)
    try:
        show_status(ledger, _console(as_json=given["as_json"]), _shown(config.ledger_path))
    finally:
        ledger.close()
    return Exit.DONE


@importer.command()
@_places
@_target
@_limits
@click.option("--refresh", is_flag=True, help="Have the platform refresh every token: rotates it at the provider.")
@click.option("--forget-missing", is_flag=True, help="Make rows that are rolled back or missing pending again.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_json
def verify(**given: Any) -> int:
    """Compare the ledger with the project, and settle rows that are unknown.

    \b
    Example: importer verify
    """
    from importer.commands import verify as verify_

    if given["refresh"]:
        _ask("Every refresh token will be used once, and rotates where its provider rotates them.", given["yes"])
    if given["forget_missing"]:
        _ask("Rows that were rolled back or are missing will be posted again by the next run.", given["yes"])
    config = _config(given)
    found = verify_(config, refresh=given["refresh"], forget_missing=given["forget_missing"])
    console = _console(as_json=given["as_json"])
    console.verified(found.as_json(), report=_shown(config.report_dir / "verify-errors.csv"))
    if found.stopped:
        console.error(found.stopped)
    return found.exit_code


@importer.command()
@_places
@_target
@_limits
@click.option("--run", "run_id", required=True, metavar="ID", help="Which run; importer status lists them.")
@click.option("--dry-run", is_flag=True, help="Only count what would be deleted.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_json
def rollback(**given: Any) -> int:
    """Delete the connections that one run posted, and nothing that it adopted.

    \b
    Example: importer rollback --run 20261124T020000-1a2b --dry-run
    """
    from importer.commands import rollback as rollback_

    if not given["dry_run"]:
        _ask("Connections will be deleted, and tokens that were rotated since do not come back.", given["yes"])
    config = _config(given)
    found = rollback_(config, given["run_id"], dry_run=given["dry_run"])
    console = _console(as_json=given["as_json"])
    if given["as_json"]:
        console.emit("summary", found.as_json())
    what = f"would delete {found.found:,}" if found.dry_run else f"deleted {found.deleted:,} · left {found.left:,}"
    console.data(f"{what} of the connections that run {found.of_run} posted")
    if found.left and not found.dry_run:
        console.data(f"why: see {_shown(config.report_dir / 'rollback-errors.csv')}")
        console.data("next: importer verify (it settles rows in doubt), then the same rollback again")
    if found.stopped:
        console.error(found.stopped)
    return found.exit_code


@importer.command()
@_places
@click.option("--run", "run_id", metavar="ID", help="Which run; the last one without it.")
@_json
def report(**given: Any) -> int:
    """Write the reports of a run anew from the ledger.

    \b
    Example: importer report --run 20261124T020000-1a2b
    """
    from importer.commands import report as report_

    found, folder = report_(_config(given), given["run_id"])
    console = _console(as_json=given["as_json"])
    if given["as_json"]:
        console.emit("summary", found.summary or {})
    console.data(f"reports of run {found.run_id} in {_shown(folder)}: results.csv, errors.csv, summary.json")
    return Exit.DONE


@importer.command()
@click.argument("name", required=False)
@_places
@_target
@_json
def providers(**given: Any) -> int:
    """List the providers of the platform's catalog; with NAME, what a row of that provider needs.

    \b
    Example: importer providers salesforce
    """
    from importer.commands import providers as providers_
    from importer.provider_words import catalog_lines, provider_as_json, provider_lines

    found = providers_(_config(given))
    console = _console(as_json=given["as_json"])
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
@click.argument("path", type=click.Path(path_type=Path), default=Path("config.toml"))
def init(path: Path) -> int:
    """Write a commented config to start from, to PATH (config.toml).

    \b
    Example: importer init migration.toml
    """
    from importlib.resources import files

    text = files("importer").joinpath("starter.toml").read_text("utf-8")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ConfigError(f"{path} is there already", hint="Give another name: importer init other.toml") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}", hint="Check the folder.") from None
    click.echo(f"wrote {path}")
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


def _ask(what: str, yes: bool) -> None:
    """Go on only after a yes: given beforehand, or at the terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError(f"this needs a yes: {what}", hint="Add --yes if that is meant.")
    click.confirm(f"{what} Go on?", abort=True, err=True)


def _config(given: dict[str, Any]) -> Config:
    """The settings of a command: flags over environment over file. Paths in flags start from the working directory."""
    here = Path.cwd()
    ledger = given.get("ledger") and _from_here(given["ledger"])
    report_dir = given.get("report_dir")
    sources = [_from_here(word) if "://" in word else word if word == "-" else str(here / word)
               for word in given.get("source", ())]  # fmt: skip
    return load_config(
        given.get("config_path"),
        os.environ,
        api__project=given.get("project"),
        api__url=given.get("api_url"),
        source__paths=sources or None,
        source__preset=given.get("preset"),
        source__provider=given.get("provider"),
        limits__rate=given.get("rate"),
        limits__workers=given.get("workers"),
        limits__attempts=given.get("attempts"),
        limits__stop_after=given.get("stop_after"),
        ledger__url=ledger,
        report__dir=report_dir and str(here / report_dir),
    )


def _from_here(url: str) -> str:
    """A URL as it was typed; the path of an SQLite file starts from the working directory."""
    return f"sqlite:///{Path.cwd() / url.removeprefix('sqlite:///')}" if url.startswith("sqlite:///") else url


def _typed() -> list[str]:
    """The words of this command, to be shown again: a URL without the password that it may hold."""
    return [re.sub(r"//[^/@]*@|\?.*", lambda found: "//…@" if found[0].startswith("//") else "", word)
            if "://" in word else word for word in sys.argv[1:]]  # fmt: skip


def _calm_collector() -> None:
    """A chunk makes 100,000 objects that live together and die together: looking at them each 700 costs a third."""
    gc.set_threshold(50_000, 20, 100)


def _faults(words: tuple[str, ...]) -> dict[str, float]:
    faults: dict[str, float] = {}
    for word in words:
        name, _, probability = word.partition(":")
        try:
            faults[name] = float(probability)
        except ValueError:
            raise ConfigError(f"--fault {word} has no probability", hint="Write it as NAME:0.05.") from None
    return faults


def _shown(path: Path) -> str:
    """A path as the user would type it."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
