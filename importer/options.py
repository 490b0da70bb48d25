"""The options that verbs share, and what a verb reads from the words that were typed.

Standard library and click only: `--help` starts at once.
"""

import functools
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import click
from click.shell_completion import CompletionItem

from importer.errors import ConfigError

if TYPE_CHECKING:
    from importer.config import Config
    from importer.console import Console

F = TypeVar("F", bound=Callable[..., Any])


def together(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Several options as one decorator."""

    def apply(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line on stdout, nothing else.")
quiet = click.option("--quiet", is_flag=True, help="No progress and no talk; results and errors only.")
config = click.option(
    "-c", "--config", "config_path", type=click.Path(path_type=Path), help="Config file (config.toml)."
)


def _a_file(_context: click.Context, _option: click.Parameter, _begun: str) -> list[CompletionItem]:
    """Have the shell complete the name of a file."""
    return [CompletionItem("", type="file")]


def _a_preset(_context: click.Context, _option: click.Parameter, begun: str) -> list[CompletionItem]:
    from importer.presets import NAMES

    return [CompletionItem(name) for name in NAMES if name.startswith(begun)]


places = together(
    config,
    click.option("--ledger", metavar="URL", help="Where the ledger lies, e.g. sqlite:///importer-ledger.db."),
    click.option("--report-dir", metavar="DIR", help="Where the reports go."),
)
target = together(
    click.option("--project", help="Name or id of the project (AMP_PROJECT)."),
    click.option("--api-url", metavar="URL", help="Root of the API (AMP_API_URL)."),
)
reading = together(
    click.argument("source", nargs=-1, shell_complete=_a_file),
    click.option("--preset", metavar="NAME", shell_complete=_a_preset,
                 help="The token store that the rows come from, e.g. authjs."),
    click.option("--provider", help="For a file whose rows are all of one provider."),
    click.option("--rows", type=click.IntRange(1), metavar="N", help="Only the first N rows of the source."),
    click.option("--strict", is_flag=True, help="Take warnings for errors: such rows are not sent."),
    click.option("--only", type=click.Choice(["all", "new", "unfinished"]), default="all", show_default=True,
                 help="Which rows are taken up."),
)  # fmt: skip


_LEVELS = ["debug", "info", "warning", "error"]


def logged(function: F) -> F:
    """`--log-level` and `--log-format`: whether, and how, events are logged on stderr while the verb is carried out."""

    @click.option(
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"]),
        help="Log events on stderr from this level on.",
    )
    @click.option("--log-format", type=click.Choice(["text", "json"]), help="Log events on stderr in this form.")
    @functools.wraps(function)
    def with_a_log(*, log_level: str | None, log_format: Literal["text", "json"] | None, **given: Any) -> Any:
        from importer.logs import log_to

        with log_to(sys.stderr, log_level, log_format):
            return function(**given, only_log=log_format == "json")

    return cast(F, with_a_log)


class Duration(click.ParamType):  # type: ignore[type-arg]  # older releases of click take none
    """A time such as `90s`, `45m`, `2h` or `1h30m`, in seconds; a bare number is seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Raises click's error, with what is understood."""
        found = re.fullmatch(r"(?:(\d{1,4})h)?(?:(\d{1,5})m)?(?:(\d{1,7})s?)?", str(value).strip())
        hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
        total = 3_600 * hours + 60 * minutes + seconds
        if not total:
            self.fail(f"{value!r} is no time such as 90s, 45m, 2h or 1h30m", param, ctx)
        return float(total)


max_runtime = click.option(
    "--max-runtime", type=Duration(), metavar="DURATION", help="Stop in good order before this time is over, e.g. 2h."
)
limits = together(
    click.option("--rate", metavar="N|auto|unlimited", help="Requests of any kind per second."),
    click.option("--workers", metavar="N", help="Requests in flight."),
    click.option("--attempts", metavar="N", help="Attempts per row and run."),
    click.option("--stop-after", metavar="N", help="Failed attempts in a row before the run stops; 0: never."),
)


def checks(habit: str) -> Callable[[F], F]:
    """Whether the platform is looked at first; `habit` is what the verb does by itself."""
    return click.option(
        "--checks",
        type=click.Choice(["online", "offline"]),
        default=habit,
        show_default=True,
        help="Whether key, project, catalog and provider apps are checked first.",
    )


def console_of(*, as_json: bool = False, quiet: bool = False, only_log: bool = False) -> "Console":
    """Where a verb says what it does; with `only_log`, nothing on stderr, which is a log of JSON objects."""
    from importer.console import Console

    return Console(as_json=as_json, quiet=quiet or only_log, errors=not only_log)


def warn(console: "Console", config: "Config", sources: Sequence[str] = ()) -> None:
    """Say what others on this machine can see or change of this command; `sources` are those that were typed."""
    from importer.exposures import exposures

    for line in exposures(config, sources):
        console.warn(line)


def ask(what: str, yes: bool) -> None:
    """Go on only after a yes: given beforehand, or at the terminal."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError(f"this needs a yes: {what}", hint="Add --yes if that is meant.")
    click.confirm(f"{what} Go on?", abort=True, err=True)


def config_of(given: dict[str, Any]) -> "Config":
    """The settings of a command: flags over environment over file. Paths in flags start from the working directory."""
    from importer.config import load_config  # which --help does not need

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


def typed() -> list[str]:
    """The words of this command, to be shown again."""
    return [without_password(word) for word in sys.argv[1:]]


def without_password(word: str) -> str:
    """A word as it was typed; of a URL, without the password and the parameters that it may hold."""
    return re.sub(r"//[^/@]*@", "//…@", word.partition("?")[0]) if "://" in word else word


def shown(path: Path) -> str:
    """A path as the user would type it."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
