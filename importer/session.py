"""What every command that talks to the platform starts from: the client and its pace, the ledger, the project.

A session ends in order: SIGINT and SIGTERM let requests in flight end, a second signal does not wait for them.
"""

import asyncio
import logging
import os
import platform
import secrets
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from importer.api.client import ConnectionsClient
from importer.api.key import ApiKey
from importer.clock import Clock
from importer.config import Config
from importer.errors import Exit, ImporterError, LedgerLost
from importer.jobs import STALE_S
from importer.ledger import Run, SqliteLedger
from importer.logs import RUN_ID, event
from importer.pace import rate_policy
from importer.pacing import Pacer, Patience
from importer.project import find_project
from importer.records import Target
from importer.retry import Backoff

_LOG = logging.getLogger(__name__)

GRACE_S = 20.0
"""Seconds that requests in flight have to end after SIGINT, SIGTERM or the end of the time."""

REPORTS_S = 5.0
"""Seconds that are kept for the reports before the time is over."""


class Interrupted(ImporterError):
    """A signal asked the command to end."""

    def __init__(self, number: signal.Signals, *, at_once: bool = False) -> None:
        how = "the next run looks up what was in flight" if at_once else "requests in flight were let end"
        super().__init__(f"interrupted by {number.name}: {how}", hint="Run again to go on: every row is where it was.")
        self.number = number
        self.exit_code = Exit.INTERRUPTED if number is signal.SIGINT else Exit.TERMINATED


class TimeUp(ImporterError):
    """The time that the command was given is over."""

    exit_code = Exit.STOPPED

    def __init__(self, *, at_once: bool = False) -> None:
        how = "the next run looks up what was in flight" if at_once else "requests in flight were let end"
        super().__init__(f"stopped: the time of --max-runtime is over; {how}", hint="Run again to go on.")


def last_start_s(max_runtime_s: float, timeout_s: float) -> float:
    """Seconds after which nothing new is begun, so that what is in flight and the reports end in time.

    Of a short time half is kept, of a long one as much as a request may take and the reports need.
    """
    return max_runtime_s - min(min(timeout_s, GRACE_S) + REPORTS_S, max_runtime_s / 2)


@dataclass(slots=True)
class Session:
    """One command's hold on the platform and the ledger."""

    config: Config
    ledger: SqliteLedger
    clock: Clock
    backoff: Backoff
    pacer: Pacer
    client: ConnectionsClient
    target: Target
    run_id: str

    def begin(self, verb: str, sources: list[str]) -> None:
        """Note in the ledger that the command began."""
        run = Run(self.run_id, verb, os.getpid(), platform.node(), self.clock.now())
        self.ledger.start_run(run, sources)
        event(_LOG, logging.INFO, "command_started", verb=verb, project_id=self.target.project_id)

    def end(self, exit_code: int, summary: Mapping[str, Any]) -> None:
        """Note in the ledger how the command ended. Raises LedgerLost."""
        self.ledger.end_run(self.run_id, self.clock.now(), exit_code, summary)
        event(_LOG, logging.INFO, "command_ended", exit_code=int(exit_code), requests=self.pacer.requests)


@asynccontextmanager
async def open_session(
    config: Config, key: ApiKey, ledger: SqliteLedger, *, online: bool = True, max_runtime_s: float | None = None
) -> AsyncIterator[Session]:
    """Check key and project with one read, and take up what a dead run left `sending` as `unknown`.

    The caller holds the ledger's lock. With `online` False and a project that the ledger remembers, nothing is asked.
    After `max_runtime_s` seconds it is over: nothing new is begun some time before. Raises ImporterError; a second
    signal raises what the first one said.
    """
    clock = Clock()
    limits, retry = config.limits, config.retry
    backoff = Backoff(limits.attempts, retry.base_s, retry.cap_s)
    patience = Patience(retry.max_wait_s, limits.stop_after, retry.base_s, retry.cap_s)
    pacer = Pacer(rate_policy(limits.rate), patience, clock)
    client = ConnectionsClient(
        config.api_root, config.api.project or "", key,
        pacer=pacer, clock=clock, workers=limits.workers, timeout_s=config.api.timeout_s,
        ca_file=config.ca_path,
    )  # fmt: skip
    run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
    RUN_ID.set(run_id)
    try:
        async with client:
            with _ending_in_order(pacer, max_runtime_s and last_start_s(max_runtime_s, config.api.timeout_s)):
                session = Session(config, ledger, clock, backoff, pacer, client, Target("", ""), run_id)
                session.target = await _find_target(session, online=online)
                ledger.aim(session.target)
                # a request may have left as much later than its intent, and have been on its way for so long
                ledger.recover(clock.now(), STALE_S + max(retry.settle_s, config.api.timeout_s))
                pacer.recall(ledger.pace())
                try:
                    yield session
                finally:
                    if pacer.pace.good:
                        with suppress(LedgerLost):  # then the run has stopped for it
                            ledger.remember_pace(pacer.pace.good, clock.now())
    except asyncio.CancelledError:
        if isinstance(pacer.stopped, Interrupted):  # a second signal, or the time of grace was over
            raise Interrupted(pacer.stopped.number, at_once=True) from None
        if isinstance(pacer.stopped, TimeUp):
            raise TimeUp(at_once=True) from None
        raise


async def _find_target(session: Session, *, online: bool) -> Target:
    """Where entries are kept: the id behind the project's name."""
    root, given = session.config.api_root, session.config.api.project or ""
    known = session.ledger.project_id(root, given)
    if known and not online:
        return Target(root, known)
    project = await find_project(session.client, session.backoff)
    session.ledger.remember_project(root, given, project.id, session.clock.now())
    return Target(root, project.id)


@contextmanager
def _ending_in_order(pacer: Pacer, last_start_s: float | None) -> Iterator[None]:
    """SIGINT, SIGTERM and the end of the time stop the pacer; what is in flight has GRACE_S to end, or until a signal
    that comes after."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    numbers = (signal.SIGINT, signal.SIGTERM)
    timers: list[asyncio.TimerHandle] = []

    def end_now() -> None:
        if task:
            task.cancel()

    def end(reason: ImporterError) -> None:
        if timers:
            end_now()
        else:
            pacer.stop(reason)
            timers.append(loop.call_later(GRACE_S, end_now))

    time_up = loop.call_later(last_start_s, end, TimeUp()) if last_start_s else None

    with suppress(ValueError, RuntimeError):  # not the main thread: signals are the caller's business
        for number in numbers:
            loop.add_signal_handler(number, end, Interrupted(number))
    try:
        yield
    finally:
        for timer in (*timers, *([time_up] if time_up else [])):
            timer.cancel()
        for number in numbers:
            with suppress(ValueError, RuntimeError):
                loop.remove_signal_handler(number)
