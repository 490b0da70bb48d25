"""Before a first run: what the tool does, what the rows need, and a config to start from.

Heavy imports happen inside a verb.
"""

from pathlib import Path
from typing import Any

import click

from importer import options
from importer.errors import ConfigError, Exit
from importer.options import config_of, console_of, warn, without_password


@click.command()
def demo() -> int:
    """Show a whole import against the sandbox, in ./importer-demo. No account, no network.

    \b
    Example: importer demo
    """
    from importer.demo import run_demo

    return run_demo(Path("importer-demo"))


@click.command()
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


def _faults(words: tuple[str, ...]) -> dict[str, float]:
    faults: dict[str, float] = {}
    for word in words:
        name, _, probability = word.partition(":")
        try:
            faults[name] = float(probability)
        except ValueError:
            raise ConfigError(f"--fault {word} has no probability", hint="Write it as NAME:0.05.") from None
    return faults


@click.command()
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


@click.command()
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


@click.command()
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
