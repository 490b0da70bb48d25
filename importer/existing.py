"""Which connections are there: an index from one listing a provider, and look-ups of single keys.

The list endpoint's filters are not promised to be exact, nor refs to come back as they were sent: every connection is
compared again here. The index lies in a private temporary database, for a project may have 200,000 of them.
"""

import asyncio
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from importer.api.client import ConnectionsClient
from importer.api.models import Connection
from importer.api.problems import Answer
from importer.clock import Clock
from importer.errors import ApiRefused
from importer.logs import event
from importer.outcomes import Code, Issue, Stage
from importer.records import Identity
from importer.redaction import describe, looks_like_a_token
from importer.retry import REFUSES_THE_KEY, Backoff, Wait, fold, until_done
from importer.scratch import open_scratch

_LOG = logging.getLogger(__name__)

GATHER_S = 0.02
"""Look-ups that come within this time are answered together."""

LISTING_PAYS = 20
"""From this many keys of one provider on, one listing costs less than a request each."""


@dataclass(frozen=True, slots=True)
class Found:
    """One connection that is there."""

    identity: Identity
    id: str
    status: str = ""
    created: str = ""
    scheme: str = ""

    @property
    def shown(self) -> str:
        """Its id, where that is no token by its looks: then a confused server has put somebody's there."""
        return describe(self.id, "id") if looks_like_a_token(self.id) else self.id


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look-up of one key found: its connections, the oldest first, and those under nearly the same refs."""

    mine: list[Found]
    near: list[Found]


_COLUMNS = "provider, group_ref, consumer_ref, id, status, created, scheme"


class Existing:
    """What is there already: listed once a provider, looked up where an answer was lost."""

    def __init__(self, client: ConnectionsClient, backoff: Backoff, clock: Clock) -> None:
        self.folds = False
        """Whether the server was seen to trim blanks or fold case in refs; then keys are compared so."""
        self.refused = False
        """Whether a look-up was refused as if for its key; the project tells whether it is the key."""
        self._client = client
        self._backoff = backoff
        self._clock = clock
        self._listed_at: dict[str, float] = {}
        self._listing = asyncio.Lock()
        self._waiting: dict[str, dict[Identity, list[asyncio.Future[Looked | None]]]] = {}
        self._flushes: set[asyncio.Task[None]] = set()
        self._db = open_scratch(
            """
            CREATE TABLE found (id TEXT PRIMARY KEY, provider TEXT, group_ref TEXT, consumer_ref TEXT, folded TEXT,
                status TEXT, created TEXT, scheme TEXT, claimed INT DEFAULT 0) WITHOUT ROWID;
            CREATE INDEX found_by_key ON found (folded);
            """
        )

    def close(self) -> None:
        """Forget everything."""
        self._db.close()

    async def list_provider(self, provider: str) -> float:
        """List a provider once, and say when that listing began. Raises ApiRefused when it cannot be had.

        No key may be posted for the first time before this: a customer may have connected by hand since yesterday.
        """
        async with self._listing:
            if provider not in self._listed_at:
                self._listed_at[provider] = await self._list(provider)
        return self._listed_at[provider]

    async def list_all(self) -> float:
        """List the whole project, and say when that listing began. Raises ApiRefused when it cannot be had."""
        return await self._list(None)

    async def _list(self, provider: str | None) -> float:
        began = self._clock.now()
        tries = 0

        async def step() -> Wait | None:
            nonlocal began, tries
            began = self._clock.now()
            answer = await self._client.listing(self._take, provider)
            if answer.ok:
                event(_LOG, logging.INFO, "connections_listed", provider=provider, found=answer.value)
                return None
            tries += answer.status != 429
            delay_s = None if answer.redirected else self._backoff.delay_s(max(tries, 1), answer.retry_after_s)
            if delay_s is None:
                raise ApiRefused(
                    f"the connections{f' of {provider}' if provider else ''} cannot be listed: {said_of(answer)}",
                    hint="Nothing is posted blindly. Run again when the API answers.",
                )
            return Wait(delay_s)

        await until_done(step, self._client.pacer.rest)
        return began

    def _take(self, connections: list[Connection]) -> None:
        rows = [(c.id, *c.identity, _folded(c.identity), c.status, c.create_time, c.auth_scheme) for c in connections]
        self._db.execute("BEGIN")
        self._db.executemany("REPLACE INTO found VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)", rows)
        self._db.execute("COMMIT")

    def touched(self, identities: Sequence[Identity]) -> set[Identity]:
        """Those of many keys for which `known` or `nearly` would find something: one question instead of two a key."""
        if self._db.execute("SELECT 1 FROM found LIMIT 1").fetchone() is None:
            return set()  # the first run into a project: nothing is there to be compared with
        folded = [_folded(identity) for identity in identities]
        rows = self._db.execute(
            "SELECT folded FROM found WHERE folded IN (SELECT value FROM json_each(?))", (json.dumps(folded),)
        )
        there = {row[0] for row in rows}
        return {identity for identity, key in zip(identities, folded, strict=True) if key in there}

    def known(self, identity: Identity) -> list[Found]:
        """The connections of one key as the listing gave them, the oldest first."""
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM found WHERE folded = ?", (_folded(identity),))  # noqa: S608 - our own names
        return self._split(identity, map(_row, rows)).mine

    def nearly(self, identity: Identity) -> list[Found]:
        """Connections of the listing whose refs differ from these in case, blanks or composition only."""
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM found WHERE folded = ?", (_folded(identity),))  # noqa: S608 - our own names
        return self._split(identity, map(_row, rows)).near

    def claim(self, connection_id: str) -> Found | None:
        """The connection with this id, as the listing gave it; from now on somebody answers for it."""
        row = self._db.execute(f"SELECT {_COLUMNS} FROM found WHERE id = ?", (connection_id,)).fetchone()  # noqa: S608 - our own names
        self._db.execute("UPDATE found SET claimed = 1 WHERE id = ?", (connection_id,))
        return _row(row) if row else None

    def unclaimed(self) -> Iterator[Found]:
        """The connections of the listing that nobody answers for."""
        for row in self._db.execute(f"SELECT {_COLUMNS} FROM found WHERE claimed = 0 ORDER BY folded, id"):  # noqa: S608 - our own names
            yield _row(row)

    async def look(self, identity: Identity) -> Looked | None:
        """The connections of one key now; None when the API does not say (`refused`: since it refuses the key).

        Keys asked for together are answered by one listing of their provider where that is cheaper.
        """
        answer: asyncio.Future[Looked | None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(identity.provider, {})
        if not waiting:
            flush = asyncio.create_task(self._flush(identity.provider))
            self._flushes.add(flush)
            flush.add_done_callback(self._flushes.discard)
        waiting.setdefault(identity, []).append(answer)
        return await answer

    async def _flush(self, provider: str) -> None:
        await self._clock.sleep(GATHER_S)
        waiting = self._waiting.pop(provider)
        if len(waiting) < LISTING_PAYS:
            await asyncio.gather(*(self._look_up(identity, futures) for identity, futures in waiting.items()))
            return
        found: dict[str, list[Found]] = {_folded(identity): [] for identity in waiting}

        def take(connections: list[Connection]) -> None:
            for connection in connections:
                of_key = found.get(_folded(connection.identity))
                if of_key is not None:
                    of_key.append(_found(connection))

        try:
            answer = await self._client.listing(take, provider)
            self.refused |= answer.status in REFUSES_THE_KEY
            for identity, futures in waiting.items():
                _settle(futures, self._split(identity, found[_folded(identity)]) if answer.ok else None)
        except Exception as error:  # whoever waits for the answer gets it, a stop as well as a bug
            for futures in waiting.values():
                _settle(futures, error)

    async def _look_up(self, identity: Identity, futures: list[asyncio.Future[Looked | None]]) -> None:
        try:
            answer = await self._client.find(identity)
            self.refused |= answer.status in REFUSES_THE_KEY
            found = None if answer.value is None else self._split(identity, map(_found, answer.value))
            _settle(futures, found)
        except Exception as error:  # whoever waits for the answer gets it, a stop as well as a bug
            _settle(futures, error)

    def _split(self, identity: Identity, found: Iterable[Found]) -> Looked:
        """Those of this very key, and those that nearly are; a server seen to fold refs is met on its own terms."""
        wanted = _folded(identity)
        alike = sorted((one for one in found if _folded(one.identity) == wanted), key=lambda one: (one.created, one.id))
        mine = [one for one in alike if self.folds or one.identity == identity]
        return Looked(mine, [one for one in alike if one not in mine])


def exists(found: Found) -> Issue:
    """Why a row is refused that is there already, with `policy.existing = "fail"`."""
    return Issue(
        "", Code.EXISTS, f"connection {found.shown} is there already, since {found.created or 'an unknown time'}",
        'Remove the row, or set policy.existing = "adopt" to take that connection as it is.', Stage.SEND,
    )  # fmt: skip


def exists_nearly(found: Found) -> Issue:
    """Why a row is refused that may be there already, under other refs."""
    return Issue(
        "", Code.EXISTS,
        f"connection {found.shown} is there, its refs differ from these in case or blanks only: it may be this row's",
        "If it is, write the refs as they are there. If it is another customer's, import that customer's row too.",
        Stage.SEND,
    )  # fmt: skip


def said_of(answer: Answer[object]) -> str:
    """What an answer says, in a few words that are safe to show."""
    if answer.status is None:
        return answer.why
    return f"HTTP {answer.status}" + (
        f", {answer.problem.text}" if answer.problem else f", {answer.why or 'unreadable'}"
    )


def _found(connection: Connection) -> Found:
    return Found(connection.identity, connection.id, connection.status, connection.create_time, connection.auth_scheme)


def _row(row: Sequence[str]) -> Found:
    provider, group_ref, consumer_ref, *rest = row
    return Found(Identity(provider, group_ref, consumer_ref), *rest)


def _folded(identity: Identity) -> str:
    return "\x1f".join(map(fold, identity))


def _settle(futures: list[asyncio.Future[Looked | None]], found: Looked | BaseException | None) -> None:
    for future in futures:
        if future.done():
            continue
        if isinstance(found, BaseException):
            future.set_exception(found)
        else:
            future.set_result(found)
