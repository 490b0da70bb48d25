"""One run from the first read to the reports: plan pass, listing, send pass, and what it all came to.

Everything that may block has a thread of its own: one reads, maps and decides, one owns the ledger; the event loop
only sends.
"""

import asyncio
import contextvars
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeVar

from importer.decide import Only
from importer.errors import ImporterError, LedgerLost
from importer.events import Listener, Progress
from importer.existing import Existing
from importer.jobs import Job
from importer.ledger import Move, Reported, Result, Superseded, Write
from importer.ledger.writer import LedgerWriter
from importer.outcomes import RUN_AGAIN, Outcome, State
from importer.planner import Planner
from importer.records import Place
from importer.reports.html import RunReport, report_of
from importer.reports.tables import merged_results, write_run_reports
from importer.scratch import ScratchError
from importer.sending import Sender, SendPolicy
from importer.session import Session
from importer.spool import Action, Spool
from importer.summary import CommonProblem, MassChange, PlanSummary, RunSummary, refuse_a_mass_change
from importer.timeline import Timeline
from importer.worker import WorkerPool

T = TypeVar("T")

BUSY_S = 0.5
"""A guess, for no post has been timed by then: so many seconds a request keeps its connection."""

AT_HAND = 25_000
"""Results that are read once for all reports: 14 MB, less than the requests that were kept before them."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What only a command line says: how much of the source, which checks, and a yes given beforehand.

    `checks` None is the habit of the verb: `run` looks at the platform first, `plan` does not. `max_runtime_s` is how
    many seconds a run may take.
    """

    only: Only = "all"
    rows: int | None = None
    checks: Literal["online", "offline"] | None = None
    strict: bool = False
    yes: bool = False
    max_runtime_s: float | None = None


class Runner:
    """The course of one run within a session."""

    def __init__(
        self, session: Session, planner: Planner, spool: Spool, options: RunOptions, listener: Listener
    ) -> None:
        self._session = session
        self._planner = planner
        self._spool = spool
        self._options = options
        self._listener = listener
        self._config = session.config
        self._ledger = session.ledger
        self._clock = session.clock
        self._pacer = session.pacer
        self._started = self._send_started = self._clock.steady()
        self._outcomes = Counter[Outcome]()
        self._timeline = Timeline(self._started)
        self._sent = False
        self._reader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reader")

    async def go(self) -> RunSummary:
        """The whole course. Raises ImporterError for what ends it before anything is sent."""
        session, names = self._session, self._planner.names
        session.begin("run", names)
        self._listener.started(session.run_id, session.target, names)
        try:
            return await self._plan_and_send(self._planner)
        except ImporterError as error:
            said = {"stopped": {"message": str(error), "fix": error.hint}}
            session.end(error.exit_code, said)
            raise
        finally:
            self._reader.shutdown(wait=not self._waits_for_a_pipe, cancel_futures=True)

    async def _plan_and_send(self, planner: Planner) -> RunSummary:
        if not planner.one_pass:
            await self._in_reader(lambda: planner.read_all(self._seen, keep=True))
        plan = planner.summary()
        if not self._options.yes:
            refuse_a_mass_change(plan.newly_changed, plan.known)
        self._listener.planned(plan)
        self._send_started = self._clock.steady()
        self._timeline = self._pacer.timeline = Timeline(self._send_started)
        async with LedgerWriter(self._ledger, self._session.run_id, self._pacer.stop) as writer:
            if not planner.one_pass:
                await self._record_what_is_settled(writer, planner)
            if planner.one_pass or plan.to_send:
                await self._send(writer, planner, None if planner.one_pass else plan.to_send)
            if planner.one_pass:
                await self._record_what_is_settled(writer, planner)
        return self._end(planner, plan)

    def _seen(self, rows: int) -> None:
        """The plan pass has read so many more rows; once the run is to stop, it reads no further."""
        if self._pacer.stopped:
            raise self._pacer.stopped
        self._listener.planning(rows)

    async def _record_what_is_settled(self, writer: LedgerWriter, planner: Planner) -> None:
        """Put on record what the plan settled by itself."""
        now = self._clock.now()
        batch: list[Write] = []
        try:
            # a mass change that is refused is as new the next time
            refused = isinstance(self._pacer.stopped, MassChange)
            for row, issues in self._spool.finals(planner.names):
                if refused and row.action is Action.CHANGED:
                    continue
                place = Place(planner.names[row.source_no], row.source_no, row.row)
                result = Result(place, row.identity, row.outcome, row.connection_id, finished_at=now, issues=issues)
                self._listener.settled(result)
                batch.append(result)
                if row.kind == "enter":
                    batch.append(Move(row.identity, State.REJECTED, now, if_allowed=True))
                if row.action is Action.CHANGED and issues and row.fingerprint:
                    batch.append(Reported(row.identity, row.fingerprint))
                if row.action is Action.DUPLICATE and row.fingerprint:
                    batch.append(Superseded(row.identity, row.fingerprint))
                if len(batch) >= 1_000:
                    await writer.commit(batch)
                    batch = []
            await writer.commit(batch)
        except ImporterError as error:
            self._pacer.stop(error)

    async def _send(self, writer: LedgerWriter, planner: Planner, to_send: int | None) -> None:
        config = self._config
        existing = Existing(self._session.client, self._session.backoff, self._clock)
        policy = SendPolicy(
            config.limits.workers,
            config.api.timeout_s,
            config.retry.settle_s,
            config.policy.existing,
            self._session.backoff,
        )
        sender = Sender(
            self._session.client, existing, writer, policy, self._clock, self._session.run_id, self._finished
        )
        pool = WorkerPool(sender, existing, writer, self._pacer, self._clock, policy.workers)
        ticker = asyncio.create_task(self._tick(pool, to_send, planner))
        warming = asyncio.create_task(self._warm(policy.workers if to_send is None else min(policy.workers, to_send)))
        try:
            await pool.run(self._read_ahead(planner.jobs()))
        finally:
            ticker.cancel()
            warming.cancel()
            self._sent = pool.claimed
            self._listener.progress(self._progress(pool, to_send))
            existing.close()

    async def _warm(self, most: int) -> None:
        """Open connections while the first provider is listed: as many as will be used, at this pace, at once."""
        await self._session.client.warm(int(min(most, 1 + self._pacer.rate * BUSY_S)))

    def _finished(self, result: Result) -> None:
        self._outcomes[result.outcome] += 1
        self._timeline.finished(self._clock.steady(), result.outcome, result.attempts)
        self._listener.row(result)

    async def _tick(self, pool: WorkerPool, to_send: int | None, planner: Planner) -> None:
        """Tell how far it is, and see that the sources are still what the plan pass read."""
        while True:
            self._listener.progress(self._progress(pool, to_send))
            self._timeline.tick(self._clock.steady(), self._pacer.rate, paused=self._pacer.hold_s > 0)
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
            stopping=self._pacer.stopped is not None,
        )

    async def _read_ahead(self, chunks: Iterator[list[Job]]) -> AsyncIterator[list[Job]]:
        """The chunks of the send pass, the next one being read while one is sent."""
        ahead = asyncio.ensure_future(self._in_reader(lambda: next(chunks, None)))
        try:
            while (chunk := await self._unless_stopped(ahead)) is not None:
                ahead = asyncio.ensure_future(self._in_reader(lambda: next(chunks, None)))
                yield chunk
        finally:
            # the reader must be done before its ledger view and spool are closed; only one that waits for a pipe that
            # nobody fills is left behind
            await asyncio.wait([ahead], timeout=1.0 if self._waits_for_a_pipe else None)
            if ahead.done():
                ahead.exception()

    @property
    def _waits_for_a_pipe(self) -> bool:
        return self._planner.one_pass and self._pacer.stopped is not None

    async def _unless_stopped(self, ahead: "asyncio.Future[list[Job] | None]") -> list[Job] | None:
        while not ahead.done():
            if self._pacer.stopped:
                return None
            await asyncio.wait([ahead], timeout=0.25)
        return ahead.result()

    async def _in_reader(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(
            self._reader,
            contextvars.copy_context().run,
            function,  # with the id of the run, for its events
        )

    def _counted(self) -> tuple[int, Counter[Outcome]]:
        """Rows that were read, and what became of them; without the spool, those that something was sent for."""
        try:
            read, settled = sum(self._spool.counts().values()), Counter(self._spool.final_counts())
        except ScratchError as error:
            self._pacer.stop(error)
            read, settled = self._outcomes.total(), Counter()
        outcomes = self._outcomes + settled
        outcomes[Outcome.NOT_SENT] += read - outcomes.total()
        return read, outcomes

    def _end(self, planner: Planner, plan: PlanSummary) -> RunSummary:
        """Count, write the reports and note how the run ended."""
        decided, outcomes = self._counted()
        stopped = self._pacer.stopped
        codes = Counter(row.issue.code for row in self._ledger.problems(self._session.run_id))
        common = self._ledger.common_problems(self._session.run_id, 5)
        summary = RunSummary(
            run_id=self._session.run_id,
            outcomes=outcomes,
            read=decided + planner.skipped,
            skipped=planner.skipped,
            complete=planner.complete and stopped is None,
            requests=self._pacer.requests,
            throttled=self._pacer.throttled,
            elapsed_s=self._clock.steady() - self._started,
            problems=sum(codes.values()),
            to_fix=sum(n for code, n in codes.items() if code not in RUN_AGAIN),
            common=[CommonProblem(count, row.place, row.issue) for count, row in common],
            stopped=stopped,
            sent=self._sent,
        )
        try:
            write_run_reports(self._config.report_dir, self._report(planner, plan, summary))
        except ImporterError as error:
            summary = replace(summary, stopped=stopped or error)
        with suppress(LedgerLost):  # then that is why the run stopped
            self._session.end(summary.exit_code, summary.as_json())
        return summary

    def _report(self, planner: Planner, plan: PlanSummary, summary: RunSummary) -> RunReport:
        """What the reports are made of; how the run went over time is kept, for they may be written anew."""
        run_id, course = self._session.run_id, self._course(planner, plan)
        with suppress(LedgerLost):
            self._ledger.keep_course(run_id, course)
        report = report_of(self._ledger, run_id, summary.as_json(), self._clock.now() - summary.elapsed_s)
        if isinstance(summary.stopped, ScratchError):  # the ledger alone knows of rows
            return replace(report, course=course)

        finished, _ = self._ledger.progress(run_id, since=0.0)
        every_row = finished == summary.read - summary.skipped
        if every_row and finished <= AT_HAND:
            kept = list(report.results())
            return replace(report, course=course, results=lambda: iter(kept))

        def results() -> Iterator[Result]:
            found = self._ledger.results(run_id)
            return found if every_row else merged_results(self._spool, found, planner.names)

        return replace(report, course=course, results=results)

    def _course(self, planner: Planner, plan: PlanSummary) -> dict[str, Any]:
        """How the run went over time, and what the tokens of its rows were."""
        tokens = plan.by_provider
        if planner.one_pass and not isinstance(self._pacer.stopped, ScratchError):
            tokens = self._spool.by_provider()
        return {
            "sources": planner.names,
            "timeline": self._timeline.as_json(),
            "tokens": [asdict(rows) for rows in tokens],
        }
