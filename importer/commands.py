"""The library's front door: what each verb of the command line does, as a function that returns a typed result."""

import asyncio
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from importer import event_loop
from importer.api.client import ConnectionsClient
from importer.api.key import ApiKey
from importer.api.trust import check_ca_file
from importer.catalog import Catalog
from importer.catalog.cache import default_path, load, save
from importer.clock import Clock
from importer.config import Config, environment
from importer.crash import discreet
from importer.errors import ApiRefused, ConfigError, LedgerError
from importer.event_log import EventLog
from importer.events import Listener
from importer.inputs import Inputs, open_inputs
from importer.keys import read_key
from importer.ledger import LedgerLock, Run, SqliteLedger
from importer.pace import UNLIMITED, FixedRate
from importer.pacing import Pacer, Patience
from importer.planner import Planner, PlanPolicy
from importer.preflight import Desk, Preflight, kept_ground, live_ground
from importer.preparing import Preparer
from importer.project import fetch_catalog
from importer.reading import ReaderProcess, start_reading
from importer.records import Target
from importer.reports.files import check_writable
from importer.reports.html import report_of
from importer.reports.tables import write_errors, write_run_reports, write_summary
from importer.retry import Backoff
from importer.runner import Runner, RunOptions
from importer.session import open_session
from importer.spool import Spool
from importer.summary import PlanSummary, RunSummary
from importer.telling import telling
from importer.undo import Rollback, RollbackSummary, in_doubt
from importer.verifier import Verifier, VerifySummary


@discreet
def plan(
    config: Config,
    options: RunOptions | None = None,
    listener: Listener | None = None,
    env: Mapping[str, str] | None = None,
    reader: ReaderProcess | None = None,
) -> PlanSummary:
    """Read, map and decide every row as `run` would, and send nothing. Writes plan-errors.csv, and no ledger.

    With `checks="online"` the project is asked too, by reads only. `reader` is a process that was started for this
    config. Raises ImporterError where the config or a source cannot be used at all, or the key is refused.
    """
    options = options or RunOptions()
    preflight = Preflight(config, _key(config, env)) if options.checks == "online" else None
    check_writable(config.report_dir)
    with ExitStack() as held:
        inputs, preparing = _opened(config, reader, held)
        spool = held.enter_context(closing(Spool()))
        project, ground = preflight.before() if preflight else (None, kept_ground(config, time.time()))
        ledger = known_ledger(config, project.id if project else None)
        if ledger:
            held.callback(ledger.close)
        planner = Planner(
            inputs,
            ledger=ledger,
            spool=spool,
            key=ledger.key if ledger else secrets.token_bytes(32),
            policy=replace(_policy(config, options), any_change=True),
            judge=ground.judge,
            notes=ground.notes,
            preparing=preparing,
        )
        planner.read_all(EventLog(listener or Listener()).planning)
        online = preflight.after(project, ground.judge, spool, planner.names, ledger) if preflight and project else None
        summary = replace(planner.summary(), online=online)
        write_errors(config.report_dir / "plan-errors.csv", spool.problems(planner.names))
        write_errors(config.report_dir / "plan-warnings.csv", spool.problems(planner.names, "warnings"))
        return summary


def _policy(config: Config, options: RunOptions) -> PlanPolicy:
    return PlanPolicy(
        changed=config.policy.changed,
        only=options.only,
        rows=options.rows,
        strict=options.strict,
        any_change=options.yes,
    )


def known_ledger(config: Config, project_id: str | None) -> SqliteLedger | None:
    """The ledger to compare with, read-only; None where there is none or it knows nothing of this project.

    `project_id` is what the API says; None has the ledger tell what it was when it was last asked for.
    """
    if not config.ledger_path.is_file():
        return None
    ledger = SqliteLedger(config.ledger_path, read_only=True)
    project_id = project_id or ledger.project_id(config.api_root, config.api.project or "")
    if project_id is None:
        ledger.close()
        return None
    ledger.aim(Target(config.api_root, project_id))
    return ledger


@discreet
def run(
    config: Config,
    options: RunOptions | None = None,
    listener: Listener | None = None,
    env: Mapping[str, str] | None = None,
    reader: ReaderProcess | None = None,
) -> RunSummary:
    """Import every row of the sources that is not done yet, and write the reports.

    `reader` is a process that was started for this config, which is ended with the run. Raises ImporterError for what
    ends the run before anything is sent; what ends it on the way is in the summary.
    """
    listener, own = EventLog(listener or Listener()), environment() if env is None else env
    return telling(config, own, listener, lambda: _run(config, options or RunOptions(), listener, own, reader))


def _run(
    config: Config,
    options: RunOptions,
    listener: Listener,
    env: Mapping[str, str],
    reader: ReaderProcess | None,
) -> RunSummary:
    key = _key(config, env)
    check_writable(config.report_dir)

    online = options.checks != "offline"

    async def go(inputs: Inputs, ledger: SqliteLedger, spool: Spool) -> RunSummary:
        async with open_session(config, key, ledger, online=online, max_runtime_s=options.max_runtime_s) as session:
            with closing(ledger.reader()) as view:
                desk = Desk(config, session.client, session.backoff, session.clock)
                ground = await live_ground(desk) if online else kept_ground(config, session.clock.now())
                planner = Planner(
                    inputs,
                    ledger=view,
                    spool=spool,
                    key=ledger.key,
                    policy=_policy(config, options),
                    judge=ground.judge,
                    notes=ground.notes,
                    preparing=preparing,
                )
                return await Runner(session, planner, spool, options, listener).go()

    with ExitStack() as held:
        inputs, preparing = _opened(config, reader, held)
        ledger = held.enter_context(_locked(config))
        return event_loop.run(go(inputs, ledger, held.enter_context(closing(Spool()))))


def _opened(config: Config, reader: ReaderProcess | None, held: ExitStack) -> tuple[Inputs, ReaderProcess | None]:
    """What the run reads, and the process that prepares the rows, if there is to be one."""
    reader = reader or start_reading(config)
    if reader:
        held.enter_context(closing(reader))
    inputs = held.enter_context(closing(open_inputs(config)))
    if reader:
        reader.share_with(Preparer(inputs))
    return inputs, reader


def _key(config: Config, env: Mapping[str, str] | None) -> ApiKey:
    """The API key, once it is known for which project, and that `api.ca_file` can be used."""
    if not config.api.project:
        raise ConfigError("no project is named", hint="Give --project, AMP_PROJECT, or project under [api].")
    check_ca_file(config.ca_path)
    return read_key(config.api, config.base, environment() if env is None else env)


@contextmanager
def _locked(config: Config) -> Iterator[SqliteLedger]:
    """The ledger, made if it is not there, and held against every other run."""
    lock = LedgerLock(config.ledger_path)
    try:
        with closing(SqliteLedger(config.ledger_path)) as ledger:
            yield ledger
    finally:
        lock.release()


@discreet
def verify(
    config: Config,
    *,
    refresh: bool = False,
    forget_missing: bool = False,
    max_runtime_s: float | None = None,
    env: Mapping[str, str] | None = None,
) -> VerifySummary:
    """Compare the ledger with the project; writes verify-errors.csv and verify-summary.json.

    `refresh` makes the platform refresh every token, which rotates it at the provider. `forget_missing` makes rows that
    are rolled back or missing pending again, so that the next run posts them. After `max_runtime_s` seconds it is over.
    """
    key = _key(config, env)
    check_writable(config.report_dir)

    async def go(ledger: SqliteLedger) -> VerifySummary:
        async with open_session(config, key, ledger, max_runtime_s=max_runtime_s) as session:
            with closing(ledger.reader()) as view:
                verifier = Verifier(session, view, refresh=refresh, forget_missing=forget_missing)
                summary = await verifier.go()
            _write_verify_reports(config, ledger, session.run_id, summary.as_json())
            session.end(summary.exit_code, summary.as_json())
            return summary

    with _locked(_with_a_ledger(config)) as ledger:
        return asyncio.run(go(ledger))


def _write_verify_reports(config: Config, ledger: SqliteLedger, run_id: str, summary: Mapping[str, Any]) -> None:
    write_errors(config.report_dir / "verify-errors.csv", ledger.problems(run_id), summary.get("stopped"))
    write_summary(config.report_dir / "verify-summary.json", summary)


@discreet
def rollback(
    config: Config, of_run: str, *, dry_run: bool = False, env: Mapping[str, str] | None = None
) -> RollbackSummary:
    """Delete the connections that a run posted and that are ours; with `dry_run`, only count them.

    Deleted rows are not posted again by themselves, and tokens that were rotated since do not come back. Writes
    rollback-errors.csv: what could not be deleted, and why.
    """
    key = _key(config, env)
    check_writable(config.report_dir)

    async def go(ledger: SqliteLedger) -> RollbackSummary:
        async with open_session(config, key, ledger) as session:
            with closing(ledger.reader()) as view:
                if not view.is_run_of_target(of_run):
                    raise LedgerError(
                        f"run {of_run} was of another project than {config.api.project}: nothing was deleted",
                        hint="Give --project and --api-url as for that run.",
                    )
                if dry_run:
                    left = sum(1 for _ in in_doubt(view, of_run))
                    found = sum(1 for _ in view.posted_by(of_run)) + left
                    return RollbackSummary(session.run_id, of_run, found, 0, left, dry_run=True)
                summary = await Rollback(session, view, of_run).go()
            write_errors(config.report_dir / "rollback-errors.csv", ledger.problems(session.run_id), summary.said())
            session.end(summary.exit_code, summary.as_json())
            return summary

    with _locked(_with_a_ledger(config)) as ledger:
        if not any(run.run_id == of_run and run.verb == "run" for run in ledger.runs(1_000_000)):
            raise LedgerError(f"{config.ledger_path} knows of no run {of_run}", hint="importer status lists its runs.")
        return asyncio.run(go(ledger))


@dataclass(frozen=True, slots=True)
class Providers:
    """The catalog, and how old it is: 0 seconds where it was fetched now."""

    catalog: Catalog
    age_s: float


@discreet
def providers(config: Config) -> Providers:
    """The platform's catalog: fetched now (no key is needed) and kept, or the one that was kept before.

    Raises ApiRefused where it can be had neither way.
    """
    clock = Clock()
    path = default_path(config.api_root)

    async def fetch() -> dict[str, Any]:
        pacer = Pacer(FixedRate(UNLIMITED), Patience(), clock)
        async with ConnectionsClient(
            config.api_root, "", None,
            pacer=pacer, clock=clock, workers=1, timeout_s=config.api.timeout_s, ca_file=config.ca_path,
        ) as client:  # fmt: skip
            return await fetch_catalog(client, Backoff(2, config.retry.base_s, config.retry.cap_s))

    try:
        document = asyncio.run(fetch())
    except ApiRefused:
        kept = load(path)
        if kept is None:
            raise
        return Providers(kept[0], clock.now() - kept[1])
    save(path, json.dumps(document).encode(), clock.now())
    return Providers(Catalog.read(document), 0.0)


def _with_a_ledger(config: Config) -> Config:
    """The same config, if its ledger is there: nothing can be compared with, or taken back from, a new one."""
    if not config.ledger_path.is_file():
        raise LedgerError(f"there is no ledger at {config.ledger_path}", hint="It is made by the first importer run.")
    return config


@discreet
def report(config: Config, run_id: str | None = None) -> tuple[Run, Path]:
    """Write the reports of a run (the last one) anew from the ledger; rows that were `unchanged` are not in it."""
    ledger = SqliteLedger(config.ledger_path, read_only=True)
    try:
        # without an id, the last import: a verification has reports of its own
        runs = [run for run in ledger.runs(1_000_000) if run.summary and run_id in (None, run.run_id)]
        runs = [run for run in runs if run_id or run.verb == "run"]
        if not runs:
            what = f"no run {run_id}" if run_id else "no finished run"
            raise LedgerError(f"{config.ledger_path} knows of {what}", hint="importer status lists its runs.")
        found = runs[0]
        if found.verb == "verify":
            _write_verify_reports(config, ledger, found.run_id, found.summary or {})
            return found, config.report_dir
        if found.verb == "rollback":
            write_errors(config.report_dir / "rollback-errors.csv", ledger.problems(found.run_id))
            return found, config.report_dir
        write_run_reports(config.report_dir, report_of(ledger, found.run_id, found.summary or {}, found.started_at))
        return found, config.report_dir
    finally:
        ledger.close()
