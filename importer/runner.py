"""One run from the first read to the reports: plan pass, listing, send pass, and what it all came to.

Everything that may block has a thread of its own: one reads, maps and decides, one owns the ledger; the event loop
only sends.
"""

import asyncio
import os
import platform
import secrets
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

from importer.api.client import ConnectionsClient
from importer.api.wire import Digests
from importer.clock import Clock
from importer.config import Config
from importer.decide import Only
from importer.errors import Exit, ImporterError
from importer.events import Listener, Progress
from importer.existing import Existing
from importer.jobs import Job
from importer.ledger import Move, Reported, Result, Run, SqliteLedger, Write
from importer.ledger.writer import LedgerWriter
from importer.outcomes import RUN_AGAIN, Outcome, State
from importer.pacing import Pacer, Patience, rate_policy
from importer.planner import Planner, PlanPolicy
from importer.project import find_project
from importer.records import Place, Target
from importer.reports.tables import merged_results, write_run_reports
from importer.retry import Backoff
from importer.sending import Sender, SendPolicy
from importer.sources import open_sources
from importer.spool import Action, Spool
from importer.summary import CommonProblem, PlanSummary, RunSummary, refuse_a_mass_change, summarise_plan
from importer.worker import WorkerPool

GRACE_S = 20.0
"""Seconds that requests in flight have to end after SIGINT or SIGTERM."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What only a command line says: how much of the source, which checks, and a yes given beforehand."""

    only: Only = "all"
    rows: int | None = None
    checks: str = "online"
    yes: bool = False


class Interrupted(ImporterError):
    """A signal asked the run to end."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(
            f"interrupted by {number.name}: requests in flight were let end",
            hint="Run again to go on: every row is where it was.",
        )
        self.exit_code = Exit.INTERRUPTED if number is signal.SIGINT else Exit.TERMINATED


def open_planner(
    config: Config, options: RunOptions, ledger: SqliteLedger | None, spool: Spool, digests: Digests
) -> Planner:
    """The plan pass over the sources of a config, not begun. Raises ConfigError and SourceError for what stops it."""
    policy = PlanPolicy(changed=config.policy.changed, only=options.only, rows=options.rows)
    return Planner(
        open_sources(config.source.paths, config.base, config.source.format),
        config.mapping,
        provider=config.source.provider,
        ledger=ledger,
        spool=spool,
        digests=digests,
        policy=policy,
    )


class Runner:
    """The parts of one run, and its course. The lock of the ledger is its owner's business."""

    def __init__(
        self, config: Config, options: RunOptions, listener: Listener, key: str, ledger: SqliteLedger, spool: Spool
    ) -> None:
        self.run_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
        self._config = config
        self._options = options
        self._listener = listener
        self._ledger = ledger
        self._spool = spool
        self._clock = Clock()
        self._started = self._clock.steady()
        self._send_started = self._started
        self._outcomes = Counter[Outcome]()
        self._backoff = Backoff(config.limits.attempts, config.retry.base_s, config.retry.cap_s)
        patience = Patience(config.retry.max_wait_s, config.limits.stop_after, config.retry.base_s, config.retry.cap_s)
        self._pacer = Pacer(rate_policy(config.limits.rate), patience, self._clock)
        self._client = ConnectionsClient(
            config.api_root, config.api.project or "", key,
            pacer=self._pacer, clock=self._clock, workers=config.limits.workers, timeout_s=config.api.timeout_s,
        )  # fmt: skip
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reader")

    async def go(self) -> RunSummary:
        """The whole course. Raises ImporterError for what ends it before anything is sent."""
        try:
            async with self._client:
                with _ending_in_order(self._pacer):
                    target = await self._find_target()
                    self._ledger.aim(target)
                    settle_s = max(self._config.retry.settle_s, self._config.api.timeout_s)
                    self._ledger.recover(self._clock.now(), settle_s)
                    return await self._go(target)
        except asyncio.CancelledError:
            if self._pacer.stopped:  # a second signal: rows in flight are looked up by the next run
                raise self._pacer.stopped from None
            raise
        finally:
            self._reader.shutdown(wait=True, cancel_futures=True)

    async def _go(self, target: Target) -> RunSummary:
        digests = Digests(self._ledger.key)
        view = self._ledger.reader()
        try:
            planner = await self._in_reader(
                lambda: open_planner(self._config, self._options, view, self._spool, digests)
            )
            run = Run(self.run_id, "run", os.getpid(), platform.node(), self._clock.now())
            self._ledger.start_run(run, planner.names)
            self._listener.started(self.run_id, target, planner.names)
            try:
                summary = await self._plan_and_send(planner)
            except ImporterError as error:
                self._ledger.end_run(
                    self.run_id, self._clock.now(), error.exit_code, {"stopped": {"message": str(error)}}
                )
                raise
            return summary
        finally:
            view.close()

    async def _find_target(self) -> Target:
        """Where entries are kept. Offline, the ledger remembers the project's id, if it was ever asked for."""
        given, root = self._config.api.project or "", self._config.api_root
        known = self._ledger.project_id(root, given)
        if self._options.checks == "offline" and known:
            return Target(root, known)
        project = await find_project(self._client, self._backoff, self._clock)
        self._ledger.remember_project(root, given, project.id, self._clock.now())
        return Target(root, project.id)

    async def _plan_and_send(self, planner: Planner) -> RunSummary:
        if not planner.one_pass:
            await self._in_reader(lambda: planner.read_all(self._listener.planning))
        plan = self._summarise(planner)
        refuse_a_mass_change(plan, self._options.yes)
        self._listener.planned(plan)
        self._send_started = self._clock.steady()
        async with LedgerWriter(self._ledger, self.run_id, self._pacer.stop) as writer:
            if not planner.one_pass:
                await self._record_what_is_settled(writer, planner)
            if planner.one_pass or plan.to_send:
                await self._send(writer, planner, None if planner.one_pass else plan.to_send)
            if planner.one_pass:
                await self._record_what_is_settled(writer, planner)
        return self._end(planner)

    def _summarise(self, planner: Planner) -> PlanSummary:
        samples = [sample for sample in (planner.samples.time, planner.samples.scopes) if sample]
        return summarise_plan(
            self._spool, planner.names, notes=planner.notes, samples=samples, complete=planner.complete
        )

    async def _record_what_is_settled(self, writer: LedgerWriter, planner: Planner) -> None:
        """Put on record what the plan settled by itself."""
        now = self._clock.now()
        batch: list[Write] = []
        try:
            for row, issues in self._spool.finals(planner.names):
                place = Place(planner.names[row.source_no], row.source_no, row.row)
                batch.append(
                    Result(place, row.identity, row.outcome, row.connection_id, finished_at=now, issues=issues)
                )
                if row.kind == "enter":
                    batch.append(Move(row.identity, State.REJECTED, now, if_allowed=True))
                if row.action is Action.CHANGED and issues and row.fingerprint:
                    batch.append(Reported(row.identity, row.fingerprint))
                if len(batch) >= 1_000:
                    await writer.commit(batch)
                    batch = []
            await writer.commit(batch)
        except ImporterError as error:
            self._pacer.stop(error)

    async def _send(self, writer: LedgerWriter, planner: Planner, to_send: int | None) -> None:
        config = self._config
        existing = Existing(self._client, self._backoff, self._clock)
        policy = SendPolicy(
            config.limits.workers, config.api.timeout_s, config.retry.settle_s, config.policy.existing, self._backoff
        )
        sender = Sender(self._client, existing, writer, policy, self._clock, self.run_id, self._finished)
        pool = WorkerPool(sender, existing, writer, self._pacer, self._clock, policy.workers)
        ticker = asyncio.create_task(self._tick(pool, to_send, planner))
        try:
            await pool.run(self._read_ahead(planner.jobs()))
        finally:
            ticker.cancel()
            self._listener.progress(self._progress(pool, to_send))
            existing.close()

    def _finished(self, result: Result) -> None:
        self._outcomes[result.outcome] += 1
        self._listener.row(result)

    async def _tick(self, pool: WorkerPool, to_send: int | None, planner: Planner) -> None:
        """Tell how far it is, and see that the sources are still what the plan pass read."""
        while True:
            self._listener.progress(self._progress(pool, to_send))
            try:
                await asyncio.to_thread(planner.check_sources)
            except ImporterError as error:
                self._pacer.stop(error)
            await asyncio.sleep(0.25)

    def _progress(self, pool: WorkerPool, to_send: int | None) -> Progress:
        elapsed_s = max(self._clock.steady() - self._send_started, 1e-9)
        return Progress(
            to_send=to_send,
            finished=self._outcomes.total(),
            outcomes=self._outcomes,
            waiting=pool.waiting,
            rate=self._pacer.requests / elapsed_s,
            allowed=self._pacer.rate,
            throttled=self._pacer.throttled,
            held_s=self._pacer.hold_s,
            held_for=self._pacer.held_for,
            elapsed_s=elapsed_s,
        )

    async def _read_ahead(self, chunks: Iterator[list[Job]]) -> AsyncIterator[list[Job]]:
        """The chunks of the send pass, the next one being read while one is sent."""
        ahead = asyncio.ensure_future(self._in_reader(lambda: next(chunks, None)))
        try:
            while (chunk := await ahead) is not None:
                ahead = asyncio.ensure_future(self._in_reader(lambda: next(chunks, None)))
                yield chunk
        finally:
            with suppress(ImporterError):
                await ahead

    async def _in_reader(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reader, function)

    def _end(self, planner: Planner) -> RunSummary:
        """Count, write the reports and note how the run ended."""
        stopped = self._pacer.stopped
        read = sum(self._spool.counts().values())
        outcomes = self._outcomes + Counter(self._spool.final_counts())
        outcomes[Outcome.NOT_SENT] += read - outcomes.total()
        codes = Counter(row.issue.code for row in self._ledger.problems(self.run_id))
        common = self._ledger.common_problems(self.run_id, 5)
        summary = RunSummary(
            run_id=self.run_id,
            outcomes=outcomes,
            read=read,
            complete=planner.complete and stopped is None,
            requests=self._pacer.requests,
            throttled=self._pacer.throttled,
            elapsed_s=self._clock.steady() - self._started,
            problems=sum(codes.values()),
            to_fix=sum(n for code, n in codes.items() if code not in RUN_AGAIN),
            common=[CommonProblem(count, row.place, row.issue) for count, row in common],
            stopped=stopped,
        )
        results = merged_results(self._spool, self._ledger.results(self.run_id), planner.names)
        try:
            write_run_reports(self._config.report_dir, summary.as_json(), results, self._ledger.problems(self.run_id))
            self._ledger.end_run(self.run_id, self._clock.now(), summary.exit_code, summary.as_json())
        except ImporterError as error:
            summary = replace(summary, stopped=stopped or error)
        return summary


@contextmanager
def _ending_in_order(pacer: Pacer) -> Iterator[None]:
    """SIGINT and SIGTERM stop the pacer; what is in flight has GRACE_S to end, a second signal ends it at once."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def end(number: signal.Signals) -> None:
        if pacer.stopped is None:
            pacer.stop(Interrupted(number))
            loop.call_later(GRACE_S, end_now)
        else:
            end_now()

    def end_now() -> None:
        if task:
            task.cancel()

    with suppress(ValueError, RuntimeError):  # not the main thread: signals are the caller's business
        for number in numbers:
            loop.add_signal_handler(number, end, number)
    try:
        yield
    finally:
        for number in numbers:
            with suppress(ValueError, RuntimeError):
                loop.remove_signal_handler(number)
