"""What is done for one row: post it, look it up, patch it; and what each answer makes of it.

Every act returns None when the row is settled, or the wait after which `Sender.act` goes on with it. The rule that
keeps a row from becoming two connections: after an answer that cannot be trusted, `look` comes before the next `post`.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from importer.api.client import ConnectionsClient
from importer.api.models import Connection, Project
from importer.api.problems import Answer, Fate
from importer.api.wire import Body, patch_of
from importer.clock import Clock
from importer.decide import NOT_KNOWN
from importer.errors import ImporterError
from importer.existing import Existing, Found, exists, exists_nearly, said_of
from importer.jobs import STALE_S, Job
from importer.ledger.base import Move, PatchEnd, PatchIntent, Reported, Result
from importer.ledger.writer import LedgerWriter
from importer.logs import event
from importer.outcomes import Code, Issue, Outcome, State, Verdict
from importer.project import ask_patiently, refused
from importer.records import Identity
from importer.remarks import (
    GONE,
    ID_REPEATS,
    UNKNOWN,
    cannot_update,
    double,
    failed,
    is_retryable,
    issues_of,
    other_refs,
)
from importer.retry import REFUSES_THE_KEY, Backoff, Wait, classify
from importer.spool import Action

_LOG = logging.getLogger(__name__)


def repeats_a_credential(body: Body, found: Sequence[Found]) -> bool:
    """Whether one of these connections has an id with a credential of the row in it: then none of it is believed."""
    return any(body.is_repeated_in(one.id) for one in found)


@dataclass(frozen=True, slots=True)
class SendPolicy:
    """The settings of sending; times in seconds."""

    workers: int
    timeout_s: float
    settle_s: float
    existing: str = "adopt"
    backoff: Backoff = field(default_factory=Backoff)


class Sender:
    """The acts of one run on its rows. `finished` is told every result as it comes."""

    def __init__(
        self,
        client: ConnectionsClient,
        existing: Existing,
        writer: LedgerWriter,
        policy: SendPolicy,
        clock: Clock,
        run_id: str,
        finished: Callable[[Result], None],
    ) -> None:
        self.doubtful: dict[Identity, tuple[Result, Body]] = {}
        """Rows that are created now and had a post without a trustworthy answer: were they made twice?"""
        self._client = client
        self._existing = existing
        self._writer = writer
        self._policy = policy
        self._clock = clock
        self._run_id = run_id
        self._finished = finished
        self._project_check: asyncio.Task[Answer[Project]] | None = None

    def delay_s(self, tries: int) -> float | None:
        """Seconds to wait after look 1, 2, … that failed; None once they are enough."""
        return self._policy.backoff.delay_s(tries)

    async def act(self, job: Job) -> Wait | None:
        """Take the row one step on. Once the run stops, the row goes back to where it certainly is."""
        acts = {Action.POST: self._post, Action.LOOK: self._look, Action.PATCH: self._patch}
        try:
            return await acts[job.action](job)
        except ImporterError as error:
            self._client.pacer.stop(error)
            self._let_go(job)
            return None

    def intent(self, job: Job, now: float, posts: int = 1) -> Move | PatchIntent:
        """What has to be on disk before a request for this row leaves."""
        job.sent_at = now
        if job.action is Action.PATCH:
            return PatchIntent(job.identity, job.fingerprint, now)
        return Move(
            job.identity, State.SENDING, now, run_id=self._run_id, fingerprint=job.fingerprint,
            refresh_digest=job.refresh_digest, posts=posts, sent_at=now,
        )  # fmt: skip

    async def _renew(self, job: Job) -> None:
        """Give the intent its true time where the row has waited long for its slot."""
        now = self._clock.now()
        if now - job.sent_at > STALE_S:
            await self._writer.commit([self.intent(job, now, posts=0)])

    async def _post(self, job: Job) -> Wait | None:
        answer = await self._client.generate(job.body, lambda: self._renew(job))
        self._note(job, answer)
        verdict = classify(answer, job.identity)
        if verdict is Verdict.RETRY:
            job.pauses += 1
            return Wait(self._policy.backoff.pause_s(job.pauses, answer.retry_after_s))
        job.attempts += 1
        match verdict:
            case Verdict.CREATED:
                connection = answer.value
                assert connection is not None  # noqa: S101 - CREATED says so
                answered = connection.identity
                self._existing.folds |= answered != job.identity and all(answered)
                self._done(job, connection.id, Outcome.CREATED)
            case Verdict.LOOK:
                return await self._lost(job, answer)
            case Verdict.AGAIN:
                return self._again(job, answer)
            case Verdict.STOP if await self._whole_project_refused():
                self._let_go(job)
            case _:
                self.reject(job, issues_of(answer, Code.API_REJECTED))
        return None

    async def _lost(self, job: Job, answer: Answer[object]) -> Wait | None:
        """It may have been carried out: look at once, and look again before anything is sent again."""
        settle_s = max(self._policy.settle_s, self._policy.timeout_s) if answer.timed_out else self._policy.settle_s
        now = self._clock.now()
        event(
            _LOG, logging.WARNING, "answer_lost", source=job.place.source, row=job.place.row,
            provider=job.identity.provider, http_status=answer.status, why=answer.why or None, settle_s=settle_s,
        )  # fmt: skip
        job.action, job.doubt, job.looks, job.settle_at = Action.LOOK, True, 0, now + settle_s
        job.no_more = bool(answer.problem and answer.problem.retryable is False)
        job.answered_201 = answer.status == 201
        if job.answered_201 and isinstance(answer.value, Connection):
            job.connection_id = answer.value.id
        self._writer.put(
            Move(job.identity, State.UNKNOWN, now, connection_id=job.connection_id, doubt=True, settle_at=job.settle_at)
        )
        return await self._look(job)

    def _again(self, job: Job, answer: Answer[object]) -> Wait | None:
        delay_s = self._policy.backoff.delay_s(job.attempts, answer.retry_after_s)
        if delay_s is None:
            self._fail(job, issues_of(answer, Code.ATTEMPTS_SPENT))
            return None
        return Wait(delay_s)

    async def _look(self, job: Job) -> Wait | None:
        looked_at = self._clock.now()
        looked = await self._existing.look(job.identity)
        if looked is None or self._repeats(job, [*looked.mine, *looked.near]):
            return await self._look_failed(job)
        if found := await self.free(job, looked.mine):
            return await self._patch_claimed(job) if self._found_again(job, found[0].id) else None
        if await self.holds_back(job, looked.near):
            return None
        if looked_at < job.settle_at:
            return Wait(job.settle_at - looked_at)
        if job.connection_id and not await self._gone(job.connection_id):
            self._end(job, Outcome.UNKNOWN, [other_refs(job.connection_id)])
            return None
        return await self._send_again(job)

    async def _look_failed(self, job: Job) -> Wait | None:
        if self._existing.refused and await self._whole_project_refused():
            self._let_go(job)
            return None
        job.looks += 1
        delay_s = self._policy.backoff.delay_s(job.looks)
        if delay_s is None:
            self._end(job, Outcome.UNKNOWN, [UNKNOWN])
            return None
        return Wait(delay_s)

    async def free(self, job: Job, found: Sequence[Found]) -> list[Found]:
        """Those of some connections that no other row has: a server that folds refs gives two rows the same one."""
        sure = [one for one in found if not self._existing.folds and one.identity == job.identity]
        asked = [one for one in found if one not in sure]
        holders = [await self._writer.holder_of(one.id) for one in asked]
        return sure + [one for one, key in zip(asked, holders, strict=True) if key in (None, job.identity)]

    def mistrusts(self, job: Job, found: Sequence[Found]) -> bool:
        """Whether the listing gives a connection of this key an id that repeats a credential: the row is left alone."""
        if not self._repeats(job, found):
            return False
        if job.action is Action.LOOK:
            self._end(job, Outcome.UNKNOWN, [ID_REPEATS])
        else:
            self.reject(job, [ID_REPEATS])
        return True

    def _repeats(self, job: Job, found: Sequence[Found]) -> bool:
        return repeats_a_credential(job.body, found)

    async def holds_back(self, job: Job, near: Sequence[Found]) -> bool:
        """Whether a connection under nearly the same refs is there that no row of ours has: to post would be a guess.

        Either the server changes refs, and it is this row's, or somebody else made it.
        """
        for one in near:
            if await self._writer.holder_of(one.id) is None:
                if job.action is Action.LOOK:
                    self._end(job, Outcome.UNKNOWN, [exists_nearly(one)])
                else:
                    self.reject(job, [exists_nearly(one)])
                return True
        return False

    async def _gone(self, connection_id: str) -> bool:
        """Whether a connection that was made under other refs has been deleted; "no" where the API does not say."""
        return (await self._client.get(connection_id)).status == 404

    async def _patch_claimed(self, job: Job) -> Wait | None:
        await self._writer.commit([self.intent(job, self._clock.now())])
        return await self._patch(job)

    async def _send_again(self, job: Job) -> Wait | None:
        """It is not there, and had the time to appear: it was never carried out."""
        if job.answered_201:
            # created, says the server, and not under these refs: sent again, it would be there twice
            self._end(job, Outcome.UNKNOWN, [other_refs(None)])
            return None
        if job.no_more or job.attempts >= self._policy.backoff.attempts:
            code = Code.SERVER_GAVE_UP if job.no_more else Code.ATTEMPTS_SPENT
            self._fail(job, [failed(code, job)])
            return None
        now = self._clock.now()
        if job.objections:
            self._writer.put(Move(job.identity, State.PENDING, now, doubt=False))
            self.reject(job, job.objections)
            return None
        job.action, job.doubt, job.resent = Action.POST, False, True
        await self._writer.commit([Move(job.identity, State.PENDING, now, doubt=False), self.intent(job, now)])
        return await self._post(job)

    async def _patch(self, job: Job) -> Wait | None:
        """Bring a connection to what the row says. A lost PATCH is sent again: it changes nothing twice."""
        connection_id, mask = job.connection_id or "", job.mask or ()
        metadata: dict[str, object] = {}
        if "providerMetadata" in mask:
            there = await self._client.get(connection_id)
            if there.value is None:
                return await self._patch_failed(job, there)
            metadata = there.value.get("providerMetadata") or {}
        body = patch_of(job.body, mask, metadata)
        if body is None:
            self._writer.put(PatchEnd(job.identity, True, self._clock.now(), job.refresh_digest))
            self._end(job, Outcome.UNCHANGED)
            return None
        answer = await self._client.patch(connection_id, body, lambda: self._renew(job))
        self._note(job, answer)
        if answer.status != 200:
            return await self._patch_failed(job, answer)
        job.attempts += 1
        self._writer.put(PatchEnd(job.identity, True, self._clock.now(), job.refresh_digest))
        self._end(job, Outcome.UPDATED)
        return None

    async def _patch_failed(self, job: Job, answer: Answer[object]) -> Wait | None:
        if answer.fate is Fate.NEVER_LEFT or answer.status == 429:
            job.pauses += 1
            return Wait(self._policy.backoff.pause_s(job.pauses, answer.retry_after_s))
        job.attempts += 1
        final = answer.problem and answer.problem.retryable is False
        if answer.status is None or answer.status >= 500 or not answer.status >= 400 or is_retryable(answer):
            job.unsure |= not 400 <= (answer.status or 0) < 500  # then it may have been carried out
            delay_s = None if final else self._policy.backoff.delay_s(job.attempts, answer.retry_after_s)
            if delay_s is None:
                self._end(job, Outcome.FAILED, issues_of(answer, Code.ATTEMPTS_SPENT))
                return None
            return Wait(delay_s)
        if answer.status in REFUSES_THE_KEY and await self._whole_project_refused():
            return None
        self._writer.put(PatchEnd(job.identity, False, self._clock.now(), unsure=job.unsure))
        self._end(job, Outcome.REJECTED, [GONE] if answer.status == 404 else issues_of(answer, Code.UPDATE_REFUSED))
        return None

    async def _whole_project_refused(self) -> bool:
        """Whether a read of the project is refused too: then it is the run, not the row. Asked once for all."""
        if self._project_check is None or self._project_check.done():
            ask = ask_patiently(self._client.project, self._policy.backoff, self._client.pacer.rest)
            self._project_check = asyncio.create_task(ask)
        answer = await asyncio.shield(self._project_check)
        if answer.status in REFUSES_THE_KEY:
            self._client.pacer.stop(refused(answer))
            return True
        return False

    # what becomes of a row

    def settle(self, job: Job, found: Sequence[Found]) -> bool:
        """A connection was there before this run posted the row. Says whether the row still has to be patched."""
        if job.action is Action.LOOK:
            return self._found_again(job, found[0].id)
        twice = [double(found)] if len(found) > 1 else []
        if self._policy.existing == "fail":
            self.reject(job, [exists(found[0]), *twice])
        elif self._policy.existing == "adopt":
            self._done(job, found[0].id, Outcome.ADOPTED, twice)
        elif job.whole_mask:
            self._enter(job, found[0].id, ours=False, fingerprint=NOT_KNOWN)
            job.action, job.connection_id, job.mask = Action.PATCH, found[0].id, job.whole_mask
            job.remarks = twice
            return True
        else:
            self._enter(job, found[0].id, ours=False)
            self._writer.put(Reported(job.identity, job.fingerprint))
            self._end(job, Outcome.CHANGED, [cannot_update(found[0]), *twice], connection_id=found[0].id)
        return False

    def _found_again(self, job: Job, connection_id: str) -> bool:
        """A row in doubt is there. Says whether the row brings something newer that still has to be patched."""
        # settled without a post in this run: what it holds is what an earlier run sent, and the ledger knows that
        kept = job.attempts == 0
        self._enter(job, connection_id, ours=True, kept=kept)
        due = job.once_there if kept else None
        if due and due.action is Action.PATCH:
            job.action, job.connection_id = Action.PATCH, connection_id
            return True
        if due and due.action is Action.CHANGED:
            self._writer.put(Reported(job.identity, job.fingerprint))
            self._end(job, Outcome.CHANGED, [due.issue] if due.issue else [], connection_id=connection_id)
        else:
            self._end(job, Outcome.CREATED, connection_id=connection_id)
        return False

    def _done(self, job: Job, connection_id: str, outcome: Outcome, issues: Sequence[Issue] = ()) -> None:
        self._enter(job, connection_id, ours=outcome is Outcome.CREATED)
        self._end(job, outcome, issues, connection_id=connection_id)

    def _enter(
        self, job: Job, connection_id: str, *, ours: bool, fingerprint: bytes | None = None, kept: bool = False
    ) -> None:
        # a connection of ours stays with the run that posted it: that is the one whose rollback takes it back
        self._writer.put(
            Move(
                job.identity,
                State.CREATED,
                self._clock.now(),
                run_id=None if ours else self._run_id,
                connection_id=connection_id,
                ours=ours,
                fingerprint=None if kept else job.fingerprint if fingerprint is None else fingerprint,
                refresh_digest=None if kept else job.refresh_digest,
            )
        )

    def reject(self, job: Job, issues: Sequence[Issue]) -> None:
        """The row needs a fix by its owner."""
        self._writer.put(Move(job.identity, State.REJECTED, self._clock.now()))
        self._end(job, Outcome.REJECTED, issues)

    def _fail(self, job: Job, issues: Sequence[Issue]) -> None:
        # looked for and not there: whatever appears later is not ours
        self._writer.put(Move(job.identity, State.FAILED, self._clock.now(), doubt=False))
        self._end(job, Outcome.FAILED, issues)

    def _let_go(self, job: Job) -> None:
        """The run stops: a row whose post certainly did nothing is pending again, one in doubt stays unknown."""
        if job.action is Action.POST:
            self._writer.put(Move(job.identity, State.PENDING, self._clock.now()))
        elif job.action is Action.LOOK:
            self._end(job, Outcome.UNKNOWN, [UNKNOWN])
        elif job.once_there:  # found, and what it brings anew waits for the next run
            self._end(job, Outcome.CREATED)

    def _end(self, job: Job, outcome: Outcome, issues: Sequence[Issue] = (), connection_id: str | None = None) -> None:
        result = Result(
            job.place, job.identity, outcome, connection_id or job.connection_id, job.http_status, job.attempts,
            self._clock.now(), [*issues, *job.remarks],
        )  # fmt: skip
        self._writer.put(result)
        self._finished(result)
        if (job.doubt or job.resent) and result.connection_id and outcome is not Outcome.UNKNOWN:
            self.doubtful[job.identity] = result, job.body

    def _note(self, job: Job, answer: Answer[object]) -> None:
        job.http_status = answer.status
        job.request_id = answer.problem.request_id if answer.problem else ""
        job.said = said_of(answer)
