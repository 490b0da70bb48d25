"""`importer demo`: the sandbox, a file of good and bad rows, a run and a second one, without an account."""

import csv
import shutil
from pathlib import Path

from importer.commands import run
from importer.config import load_config
from importer.console import Console
from importer.errors import ConfigError, Exit
from importer.outcomes import Outcome
from importer.private import whole_file
from importer.sandbox import Sandbox

_MARK = "made by importer demo"

_GOOD: list[dict[str, str]] = [
    {"provider": "hubspot", "access_token": "fake-access-{n}", "access_token_expires_at": "2030-01-31T12:00:00Z",
     "refresh_token": "fake-refresh-{n}", "scopes": "oauth crm.objects.contacts.read"},
    {"provider": "salesforce", "access_token": "fake-access-{n}", "refresh_token": "fake-refresh-{n}",
     "metadata.workspace": "acme-{n}"},
    {"provider": "stripe", "api_key": "fake-key-{n}"},
    {"provider": "freshdesk", "username": "fake-key-{n}", "password": "fake-password-{n}",
     "metadata.workspace": "acme-{n}"},
    {"provider": "marketo", "client_id": "fake-client-{n}", "client_secret": "fake-secret-{n}",
     "metadata.workspace": "acme-{n}"},
    {"provider": "sugarCRM", "username": "fake-user-{n}", "password": "fake-password-{n}",
     "client_id": "fake-client-{n}", "client_secret": "fake-secret-{n}",
     "metadata.workspace": "https://acme-{n}.sugar.example"},
    {"provider": "gitlab", "custom_auth.token": "fake-token-{n}"},
]  # fmt: skip
"""One row for each kind of credential; {n} becomes the row's number."""

_BAD: list[dict[str, str]] = [
    {"provider": "hubspot", "access_token": "fake-access-b1", "refresh_token": "fake-refresh-b1",
     "access_token_expires_at": "31/01/2030"},
    {"provider": "hubspot"},
    {"provider": "notion", "access_token": "fake-access-b2", "group_ref": "fake-access-b2"},
    {"provider": "freshdesk", "username": "fake-user-b3", "password": "fake-password-b3"},
]  # fmt: skip
"""A date nobody can be sure of, no credential, swapped columns, and what only the API can know: a missing workspace."""

_COLUMNS = (
    "provider", "group_ref", "consumer_ref", "access_token", "access_token_expires_at", "refresh_token", "scopes",
    "api_key", "username", "password", "client_id", "client_secret", "custom_auth.token", "metadata.workspace",
)  # fmt: skip


def run_demo(folder: Path) -> int:
    """Make `folder` anew, import its rows into a sandbox that loses answers, twice. 0 when it went as it should."""
    rows = folder / "connections.csv"
    try:
        _make_anew(folder)
        settings = _write_config(folder)
        _write_rows(rows)
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be written: {error.strerror}", hint="Run it in a folder that you can write to."
        ) from None
    console = Console()
    with Sandbox(seed=7) as sandbox:
        sandbox.next("drop_after_commit", 2)
        config = load_config(
            settings,
            sandbox.environment(),
            source__paths=[str(rows.absolute())],
            limits__rate=50.0,
            retry__settle_s=0.5,
        )
        console.data(f"1. importer run {rows}, against a sandbox that loses the answers to two of the posts")
        first = run(config, listener=console, env=sandbox.environment())
        console.summary(first, report=str(folder / "importer-report" / "errors.csv"), command=[])
        console.data(f"\n2. importer run {rows}, again: what is done stays done")
        second = run(config, listener=console, env=sandbox.environment())
        counts = second.outcomes
        console.data(f"{_pairs(second.outcomes)}      {second.requests} requests")
        made = sandbox.count()
    wanted = len(_GOOD) * 3
    console.data(f"\nthe sandbox holds {made} connections for {wanted} good rows: none lost, none twice")
    console.data(f"look at {folder}/importer-report/report.html and errors.csv; then try importer plan YOUR-FILE.csv")
    went_well = made == wanted == first.outcomes[Outcome.CREATED] == counts[Outcome.UNCHANGED]
    return Exit.DONE if went_well else Exit.BUG


def _pairs(outcomes: dict[Outcome, int]) -> str:
    return " · ".join(f"{outcome.value} {n}" for outcome, n in outcomes.items() if n)


def _make_anew(folder: Path) -> None:
    """Remove what an earlier demo left, and nothing that somebody else made."""
    mark = folder / "config.toml"
    if folder.is_symlink() or (folder.exists() and not (mark.is_file() and _MARK.encode() in mark.read_bytes())):
        raise ConfigError(f"{folder} is there and no earlier demo made it", hint="Move it away, then try again.")
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700)


def _write_config(folder: Path) -> Path:
    path = folder / "config.toml"
    with whole_file(path) as file:
        file.write(f'# {_MARK}\n[ledger]\nurl = "sqlite:///importer-ledger.db"\n')
    return path


def _write_rows(path: Path) -> None:
    good = [
        {name: text.replace("{n}", str(n)) for name, text in row.items()} for n, row in enumerate(_GOOD * 3, start=1)
    ]
    with whole_file(path) as file:
        writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        for n, row in enumerate([*good, *_BAD], start=1):
            writer.writerow({"group_ref": f"customer-{n}", "consumer_ref": f"user-{n}", **row})
