"""After a run: where every row stands, whether it is still so, and the way back.

Heavy imports happen inside a verb.
"""

from typing import Any

import click

from importer import options
from importer.errors import ConfigError, Exit
from importer.options import ask, config_of, console_of, shown, warn


@click.command()
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


@click.command()
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


@click.command()
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


@click.command()
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
