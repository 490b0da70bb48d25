"""`importer run --rehearse`: the real rows and the real settings, against the sandbox instead of the platform.

Nothing leaves the machine, no key is needed, and neither the ledger nor the reports of the real runs are touched: the
rehearsal has its own in a folder that is made anew each time.
"""

import shutil
from dataclasses import replace
from pathlib import Path

from importer import commands
from importer.config import ApiConfig, Config, LedgerConfig, MetricsConfig, NotifyConfig, ReportConfig
from importer.console import Console
from importer.errors import ConfigError
from importer.outcomes import State
from importer.reading import start_reading
from importer.runner import RunOptions
from importer.sandbox import Sandbox
from importer.summary import RunSummary

LATENCY_MS = 250.0
"""What a hosted API takes for such a request; yours is in the log of a real run (`request`, `latency_ms`)."""

FAULTS = {"drop_after_commit": 0.001, "500_before": 0.001, "503_retryable": 0.002, "html_502": 0.001}
"""Of each request, the probability to meet one of these: some in a thousand, as behind any load balancer."""

LIMIT = 100.0
"""Requests a second that the sandbox allows where `rate` is `auto`, so that there is something to find."""

_LEDGER = "importer-ledger.db"


def rehearse(config: Config, options: RunOptions, console: Console) -> RunSummary:
    """Run against a sandbox in this process, and say what it shows. Raises what a run raises."""
    folder = config.report_dir / "rehearsal"
    _make_anew(folder)
    limit = LIMIT if config.limits.rate == "auto" else None
    with Sandbox(rate=limit, latency_ms=LATENCY_MS, faults=FAULTS, any_provider=True) as sandbox:
        console.say(
            "rehearsal: nothing leaves this machine; every row goes to a sandbox "
            f"that answers after {LATENCY_MS:.0f} ms and fails now and then"
        )
        if done := _done(config):
            console.say(f"rehearsal: as if nothing had been imported yet; a real run leaves {done:,} done rows alone")
        own = _config(config, sandbox, folder)
        # the catalog and the provider apps of the platform are not there: the catalog that was kept is taken
        how = replace(options, checks="offline")
        return commands.run(own, how, console, env=sandbox.environment(), reader=start_reading(own))


def _config(config: Config, sandbox: Sandbox, folder: Path) -> Config:
    """The settings, but for where the rows go and what is kept of them."""
    return replace(
        config,
        api=ApiConfig(project=sandbox.project, url=sandbox.url, timeout_s=config.api.timeout_s),
        ledger=LedgerConfig(url=f"sqlite:///{(folder / _LEDGER).absolute()}"),
        report=ReportConfig(dir=str(folder.absolute())),
        catalog_of=config.api_root,
        notify=NotifyConfig(),
        metrics=MetricsConfig(),
    )


def _make_anew(folder: Path) -> None:
    """Remove what an earlier rehearsal left, and nothing that somebody else made."""
    try:
        if folder.is_symlink() or (folder.exists() and any(folder.iterdir()) and not (folder / _LEDGER).is_file()):
            raise ConfigError(f"{folder} is there and no rehearsal made it", hint="Move it away, then try again.")
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        raise ConfigError(
            f"{folder} cannot be made anew: {error.strerror}", hint="Move it away, then try again."
        ) from None


def _done(config: Config) -> int:
    """Rows that the real ledger knows as done; 0 where there is none."""
    ledger = commands.known_ledger(config, None)
    if ledger is None:
        return 0
    try:
        return ledger.counts().get(State.CREATED, 0)
    finally:
        ledger.close()
