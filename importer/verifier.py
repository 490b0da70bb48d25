"""Compares the ledger with the project: one listing, and every entry of the ledger held against it.

It settles what is `unknown`, finds connections that are gone or that the platform cannot use, and counts those that
the ledger does not know. It only reads; with `refresh` it makes the platform refresh tokens, which rotates them at the
provider, and is the one proof that a refresh token works.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from importer.errors import Exit, ImporterError
from importer.existing import Existing, Found, exists_nearly
from importer.ledger.base import Entry, Forget, Ledger, Move, Result
from importer.ledger.writer import LedgerWriter
from importer.outcomes import Code, Issue, Outcome, Stage, State
from importer.records import Identity, Place
from importer.redaction import describe, looks_like_a_token
from importer.remarks import double, other_refs
from importer.retry import Wait, until_done
from importer.session import Session

SOURCE = "ledger"
"""What `source` says in the reports of a verification, whose rows are entries of the ledger."""

REFRESHED = "oauth2/authorizationCode"
"""How the auth schemes begin whose tokens the platform refreshes."""

TOGETHER = 500
"""Refreshes that are under way, or waiting for their slot, at the same time."""


HEADS = (
    "checked", "settled", "pending", "missing", "bad_credentials", "doubles", "unknown", "strangers", "forgotten",
    "refreshed", "without_refresh_token",
)  # fmt: skip
"""What a verification counts: entries, and `strangers`, connections of the project that the ledger does not know."""


@dataclass(frozen=True, slots=True)
class VerifySummary:
    """What a verification found, by HEADS."""

    run_id: str
    counts: Counter[str]
    stopped: ImporterError | None = None

    @property
    def exit_code(self) -> int:
        """3 where somebody has to act, 4 where rows are left in doubt."""
        if self.stopped:
            return self.stopped.exit_code
        if self.counts["missing"] or self.counts["bad_credentials"] or self.counts["doubles"]:
            return Exit.ROWS_NEED_A_FIX
        return Exit.ROWS_LEFT if self.counts["unknown"] else Exit.DONE

    def as_json(self) -> dict[str, Any]:
        """The content of verify-summary.json."""
        document: dict[str, Any] = {"run_id": self.run_id, "exit_code": int(self.exit_code)}
        document |= {head: self.counts[head] for head in HEADS}
        if self.stopped:
            document["stopped"] = {"message": str(self.stopped), "fix": self.stopped.hint}
        return document


class Verifier:
    """One verification within a session; `view` is a second look into its ledger."""

    def __init__(self, session: Session, view: Ledger, *, refresh: bool, forget_missing: bool) -> None:
        self._session = session
        self._view = view
        self._refresh = refresh
        self._forget_missing = forget_missing
        self._clock = session.clock
        self._existing = Existing(session.client, session.backoff, session.clock)
        self._counts = Counter[str]()
        self._row = 0

    async def go(self) -> VerifySummary:
        """Compare, and put on record what was found. Raises ApiRefused where the project cannot be listed."""
        session = self._session
        session.begin("verify", [SOURCE])
        try:
            listed_at = await self._existing.list_all()
            async with LedgerWriter(session.ledger, session.run_id, session.pacer.stop) as writer:
                await self._compare(writer, listed_at)
                self._count_strangers(writer)
        except ImporterError as error:
            session.pacer.stop(error)
        finally:
            self._existing.close()
        return VerifySummary(session.run_id, self._counts, session.pacer.stopped)

    async def _compare(self, writer: LedgerWriter, listed_at: float) -> None:
        states = (State.CREATED, State.UNKNOWN, State.MISSING, State.ROLLED_BACK)
        entries = self._view.in_state(states)
        while batch := list(islice(entries, TOGETHER)):
            in_doubt: list[Entry] = []
            to_refresh: list[tuple[Entry, Found]] = []
            for entry in batch:
                self._counts["checked"] += 1
                self._row += 1
                match entry.state:
                    case State.CREATED:
                        in_use = self._compare_created(writer, entry)
                        if in_use and in_use.scheme.startswith(REFRESHED) and self._can_refresh(entry):
                            to_refresh.append((entry, in_use))
                    case State.UNKNOWN:
                        found = self._existing.known(entry.identity)
                        if not found and (other := self._elsewhere(entry)):
                            self._still_unknown(writer, entry, other)
                        elif not self._settles(writer, entry, found, listed_at):
                            in_doubt.append(entry)
                    case _:
                        self._compare_gone(writer, entry)
            await self._look_again(writer, in_doubt)
            if self._refresh:
                await asyncio.gather(*(self._refresh_one(writer, entry, found) for entry, found in to_refresh))

    def _can_refresh(self, entry: Entry) -> bool:
        """Whether a refresh can succeed: one that fails makes a connection bad that works."""
        if self._refresh and entry.refresh_digest is None:
            self._counts["without_refresh_token"] += 1
        return entry.refresh_digest is not None

    def _elsewhere(self, entry: Entry) -> Found | None:
        """The connection of a row in doubt under other refs: by its id, or by refs that are nearly the same."""
        made = self._existing.claim(entry.connection_id) if entry.connection_id else None
        if made:
            return made
        return self._not_held(self._existing.nearly(entry.identity))

    def _not_held(self, near: Sequence[Found]) -> Found | None:
        return next((found for found in near if self._view.holder_of(found.id) is None), None)

    def _compare_created(self, writer: LedgerWriter, entry: Entry) -> Found | None:
        """The connection of a done row, where it is there and in use."""
        found = self._existing.claim(entry.connection_id or "")
        of_key = self._existing.known(entry.identity)
        for other in of_key:
            self._existing.claim(other.id)
        if found is None:
            if not self._forgets(writer, entry, first=Move(entry.identity, State.MISSING, self._clock.now())):
                self._counts["missing"] += 1
                self._report(writer, entry, Outcome.NOT_SENT, _not_found(of_key))
            return None
        if len(of_key) > 1:
            self._counts["doubles"] += 1
            self._report(writer, entry, Outcome.UNCHANGED, double(of_key))
        elif found.status == "bad_credentials":
            self._counts["bad_credentials"] += 1
            self._report(writer, entry, Outcome.UNCHANGED, _BAD_CREDENTIALS)
            return None
        return found

    def _compare_gone(self, writer: LedgerWriter, entry: Entry) -> None:
        """A row that was missing or rolled back: it may have come back, or be forgotten."""
        found = self._existing.claim(entry.connection_id or "")
        if entry.state is State.MISSING and found:
            self._counts["settled"] += 1
            writer.put(Move(entry.identity, State.CREATED, self._clock.now()))
        elif not self._forgets(writer, entry) and entry.state is State.MISSING:
            self._counts["missing"] += 1
            self._report(writer, entry, Outcome.NOT_SENT, _not_found(self._existing.known(entry.identity)))

    def _forgets(self, writer: LedgerWriter, entry: Entry, first: Move | None = None) -> bool:
        """Make a row that is gone pending again, where that was asked for."""
        if first:
            writer.put(first)
        if self._forget_missing:
            self._counts["forgotten"] += 1
            writer.put(Forget(entry.identity, self._clock.now()))
        return self._forget_missing

    def _settles(self, writer: LedgerWriter, entry: Entry, found: Sequence[Found], looked_at: float) -> bool:
        """Whether a look settles a row in doubt: found, or not there although it had the time to appear."""
        for one in found:
            self._existing.claim(one.id)
        now = self._clock.now()
        if found and found[0].shown != found[0].id:
            return False
        if found:
            self._counts["settled"] += 1
            move = Move(entry.identity, State.CREATED, now, connection_id=found[0].id, ours=entry.doubt)
            place = Place(SOURCE, 0, self._row)
            twice = [double(found)] if len(found) > 1 else []
            self._counts["doubles"] += len(twice)
            writer.put(move, Result(place, entry.identity, Outcome.CREATED, found[0].id, finished_at=now, issues=twice))
            return True
        if looked_at >= (entry.settle_at or 0):
            self._counts["pending"] += 1
            writer.put(Move(entry.identity, State.PENDING, now, doubt=False))
            return True
        return False

    async def _look_again(self, writer: LedgerWriter, entries: Sequence[Entry]) -> None:
        """Wait until the rows in doubt have had their time to appear, and look once more."""
        if not entries:
            return
        until = max(entry.settle_at or 0 for entry in entries)
        await self._session.pacer.rest(max(0.0, until - self._clock.now()))
        looks = await asyncio.gather(*(self._existing.look(entry.identity) for entry in entries))
        for entry, looked in zip(entries, looks, strict=True):
            other = self._not_held(looked.near) if looked and not looked.mine else None
            if looked is None or other or not self._settles(writer, entry, looked.mine, until):
                self._still_unknown(writer, entry, other or next(iter(looked.mine if looked else ()), None))

    def _still_unknown(self, writer: LedgerWriter, entry: Entry, other: Found | None) -> None:
        """A row that stays in doubt, since there is no answer or since its connection may be there under other refs."""
        self._counts["unknown"] += 1
        issue = _STILL_UNKNOWN
        if other and other.identity == entry.identity:
            issue = _ODD_ID
        elif other:
            issue = other_refs(other.shown) if other.id == entry.connection_id else exists_nearly(other)
        self._report(writer, entry, Outcome.UNKNOWN, issue)

    async def _refresh_one(self, writer: LedgerWriter, entry: Entry, found: Found) -> None:
        """Have the platform refresh the tokens of one connection: after it, its status is the truth."""
        tries = 0
        status: str | None = None

        async def step() -> Wait | None:
            nonlocal tries, status
            answer = await self._session.client.get(found.id, refresh="force")
            if answer.value is not None:
                status = str(answer.value.get("status"))
                return None
            tries += answer.status != 429
            delay_s = self._session.backoff.delay_s(max(tries, 1), answer.retry_after_s)
            return None if delay_s is None else Wait(delay_s)

        await until_done(step, self._session.pacer.rest)
        if status is None:
            self._counts["unknown"] += 1
            self._report(writer, entry, Outcome.UNKNOWN, _NOT_REFRESHED)
            return
        self._counts["refreshed"] += 1
        if status == "bad_credentials":
            self._counts["bad_credentials"] += 1
            self._report(writer, entry, Outcome.UNCHANGED, _BAD_CREDENTIALS)

    def _count_strangers(self, writer: LedgerWriter) -> None:
        for found in self._existing.unclaimed():
            self._counts["strangers"] += 1
            self._row += 1
            place = Place(SOURCE, 0, self._row)
            shown = Identity(*(describe(ref, "token") if looks_like_a_token(ref) else ref for ref in found.identity))
            writer.put(Result(place, shown, Outcome.UNCHANGED, found.shown, issues=[_STRANGER]))

    def _report(self, writer: LedgerWriter, entry: Entry, outcome: Outcome, issue: Issue) -> None:
        self._row += 1
        place = Place(SOURCE, 0, self._row)
        now = self._clock.now()
        writer.put(Result(place, entry.identity, outcome, entry.connection_id, finished_at=now, issues=[issue]))


def _not_found(others: Sequence[Found]) -> Issue:
    if others:
        reason = f"its connection is gone, and the key has another one now: {others[0].shown}"
        fix = "Somebody connected anew, so usually nothing. To take that one: verify --forget-missing --yes, then run."
    else:
        reason = "its connection is no longer at the platform: somebody deleted it"
        fix = "To post it again: importer verify --forget-missing --yes, then run."
    return Issue("", Code.NOT_FOUND, reason, fix, Stage.VERIFY)


_BAD_CREDENTIALS = Issue(
    "", Code.BAD_CREDENTIALS, "the platform could not use or refresh its credential",
    "Have the customer log in again; for a key or a password, import the row with the new one.", Stage.VERIFY,
)  # fmt: skip
_STILL_UNKNOWN = Issue(
    "", Code.NO_ANSWER, "it is still not known whether it was created: it could not be looked up",
    "Run importer verify again when the API answers.", Stage.VERIFY, retryable=True,
)  # fmt: skip
_ODD_ID = Issue(
    "", Code.NO_ANSWER, "its connection has an id that looks like a token: whether it is one of the row's is not known",
    "Run importer run with the row: it is compared with what the row holds.", Stage.VERIFY, retryable=True,
)  # fmt: skip
_NOT_REFRESHED = Issue(
    "", Code.NO_ANSWER, "the platform did not say whether its tokens could be refreshed",
    "Run importer verify without --refresh later: the status of the connection tells.", Stage.VERIFY, retryable=True,
)  # fmt: skip
_STRANGER = Issue(
    "", Code.UNKNOWN_TO_LEDGER, "the project has this connection, and the ledger knows nothing of it",
    "Nothing, if somebody else made it; a run adopts it when its row comes.", Stage.VERIFY,
)  # fmt: skip
