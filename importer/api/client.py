"""The platform's endpoints as calls that return an `Answer`, never raise for a status, and wait for the pacer.

The one caller of httpx, in whose words a transport is spoken to (`httpx.AsyncBaseTransport`). Requests go to it as
they are built here: what `httpx.AsyncClient` does around it (a cookie jar, authentication, redirects) is just what no
request may meet, and takes longer than all of ours. No cookie of one customer's row travels with another's.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import httpx
from pydantic import TypeAdapter, ValidationError

from importer import __version__
from importer.api.key import ApiKey
from importer.api.listing import Unreadable, read_listing
from importer.api.models import Connection, Project
from importer.api.problems import READ_HEADERS, Answer, Fate, read_problem, read_retry_after
from importer.api.transport import AiohttpTransport, Lost, NeverLeft
from importer.api.wire import Body
from importer.clock import Clock
from importer.logs import event
from importer.pacing import Pacer
from importer.records import Identity
from importer.redaction import PIECE

_LOG = logging.getLogger(__name__)

T = TypeVar("T")
Ready = Callable[[], Awaitable[None]]

_CONNECTION: TypeAdapter[Connection] = TypeAdapter(Connection)
_CONNECTIONS: TypeAdapter[list[Connection]] = TypeAdapter(list[Connection])
_PROJECT: TypeAdapter[Project] = TypeAdapter(Project)


_HEADERS = {
    "User-Agent": f"importer/{__version__}",
    "X-Amp-Client": "importer",
    "X-Amp-Client-Version": __version__,
    "Accept": "application/json",
    "Accept-Encoding": "identity",
}
"""What goes with every request."""

_SENT_OF_LATE = 64
"""Bodies at least, besides those in flight, whose credentials are looked for in a server's words about another row."""


class ConnectionsClient:
    """The endpoints this tool calls, for one project; use it as an async context manager.

    At most `workers` requests are in flight, each starts when the pacer says so and ends within `timeout_s`.
    """

    def __init__(
        self,
        api_root: str,
        project: str,
        api_key: ApiKey | None,
        *,
        pacer: Pacer,
        clock: Clock,
        workers: int,
        timeout_s: float,
        ca_file: Path | None = None,
    ) -> None:
        """Without a key only the catalog can be asked for, which is open to all.

        `ca_file` is trusted beside the system's certificates; ConfigError, at the first request, if it cannot be used.
        """
        self.pacer = pacer
        self._clock = clock
        self._api_key = api_key
        self._root = f"{api_root}/v1"
        self._connections = f"{self._root}/projects/{quote(project, safe='')}/connections"
        self._project = f"{self._root}/projects/{quote(project, safe='')}"
        self._in_flight = asyncio.Semaphore(workers)
        self._sent: deque[Body] = deque(maxlen=max(workers, _SENT_OF_LATE))
        self._generate = httpx.URL(f"{self._connections}:generate")
        self._transport = AiohttpTransport(
            connections=workers, timeout_s=timeout_s, ca_file=ca_file, headers=_HEADERS, kept=READ_HEADERS
        )

    async def __aenter__(self) -> "ConnectionsClient":
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._transport.aclose()

    def __repr__(self) -> str:
        return f"<client of {self._project}>"

    async def warm(self, connections: int) -> None:
        """Open connections for the rows that are to come, at most `workers`: so the first of them wait for none."""
        await self._transport.warm(self._root, connections)

    async def generate(self, body: Body, ready: Ready | None = None) -> Answer[Connection]:
        """`POST …/connections:generate`. `ready` is awaited when the slot has come, before the first byte leaves."""
        self._sent.append(body)
        answer = await self._send("generate", "POST", self._generate, _CONNECTION, body=body, ready=ready)
        if answer.value is not None and body.is_repeated_in(answer.value.id):
            return answer._replace(value=None, why="the id in the answer repeats a credential")
        return answer

    async def patch(self, connection_id: str, body: Body, ready: Ready | None = None) -> Answer[Connection]:
        """`PATCH …/connections/{id}` with an `updateMask`."""
        self._sent.append(body)
        answer = await self._send("patch", "PATCH", self._one(connection_id), _CONNECTION, body=body, ready=ready)
        return _about(connection_id, answer, answer.value and answer.value.id)

    async def delete(self, connection_id: str) -> Answer[None]:
        """`DELETE …/connections/{id}`: 204 when it is gone, 404 when it was gone already."""
        return await self._send("delete", "DELETE", self._one(connection_id), None)

    async def get(self, connection_id: str, *, refresh: str | None = None) -> Answer[dict[str, Any]]:
        """One connection as JSON, without credentials; `refresh="force"` makes the platform refresh its tokens."""
        query = f"?{urlencode({'refresh': refresh})}" if refresh else ""
        answer = await self._send("get", "GET", self._one(connection_id) + query, TypeAdapter(dict[str, Any]))
        return _about(connection_id, answer, answer.value and answer.value.get("id"))

    async def find(self, identity: Identity) -> Answer[list[Connection]]:
        """The connections of one key. The filters are not promised to be exact: compare again on our side."""
        query = {"provider": identity.provider, "groupRef": identity.group_ref, "consumerRef": identity.consumer_ref}
        return await self._send("find", "GET", f"{self._connections}?{urlencode(query)}", _CONNECTIONS)

    async def project(self) -> Answer[Project]:
        """The project: whether the key and the name are right, and its id."""
        return await self._send("project", "GET", self._project, _PROJECT)

    async def provider_apps(self) -> Answer[list[dict[str, Any]]]:
        """The project's OAuth apps: `provider` and `clientId` of each."""
        return await self._send(
            "provider_apps", "GET", f"{self._project}/provider-apps", TypeAdapter(list[dict[str, Any]])
        )

    async def providers(self) -> Answer[dict[str, Any]]:
        """The catalog of providers."""
        return await self._send("providers", "GET", f"{self._root}/providers", TypeAdapter(dict[str, Any]))

    async def listing(self, take: Callable[[list[Connection]], None], provider: str | None = None) -> Answer[int]:
        """Every connection of a provider, or of the project, given to `take` as they arrive; the answer counts them.

        Streamed, for there is no paging: 200,000 connections are one JSON array of 200 MB. An answer without a value
        means that `take` has seen only some of them.
        """
        query = f"?{urlencode({'provider': provider})}" if provider else ""
        request = self._request("GET", self._connections + query, None, stream=True)
        return await self._paced("listing", lambda: self._listing(request, take))

    async def _listing(self, request: httpx.Request, take: Callable[[list[Connection]], None]) -> Answer[int]:
        started = self._clock.steady()
        try:
            response = await self._transport.handle_async_request(request)
            try:
                if response.status_code != 200:
                    content = await _first(_parts(response), 1 << 20)
                    return self._answer(response, content, None, self._secrets(None), started)
                count = await read_listing(self._without_the_key(_parts(response)), take)
                return Answer(Fate.ANSWERED, 200, count, latency_s=self._clock.steady() - started)
            finally:
                await response.aclose()
        except NeverLeft as error:
            return Answer(Fate.NEVER_LEFT, why=str(error))
        except Lost as error:
            return Answer(Fate.LOST, why=str(error), timed_out=error.timed_out)
        except Unreadable:
            return Answer(Fate.LOST, 200, why="the listing is not readable")

    async def _without_the_key(self, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The parts of a body; raises Unreadable where the API key comes back in it."""
        key, before = self._key(), b""
        async for part in parts:
            if key:
                before += part
                if key in before:
                    raise Unreadable("the API key is in it")
                before = before[-len(key) :]
            yield part

    def _key(self) -> bytes:
        return b"" if self._api_key is None else self._api_key.reveal().encode("ascii")

    def _one(self, connection_id: str) -> str:
        return f"{self._connections}/{quote(connection_id, safe='')}"

    def _request(self, method: str, url: httpx.URL | str, body: Body | None, **extensions: object) -> httpx.Request:
        """A request whole as it is: httpx completes one that has `content` itself, in ten times the time."""
        headers: list[tuple[bytes, bytes]] = []
        if self._api_key is not None:  # revealed for this request: nothing that lasts holds it
            headers.append((b"X-Api-Key", self._key()))
        if body is not None:
            headers.append((b"Content-Type", b"application/json"))
        stream = httpx.ByteStream(body.json if body is not None else b"")
        return httpx.Request(method, url, headers=headers, stream=stream, extensions=extensions)

    async def _send(
        self,
        what: str,
        method: str,
        url: httpx.URL | str,
        adapter: TypeAdapter[T] | None,
        *,
        body: Body | None = None,
        ready: Ready | None = None,
    ) -> Answer[T]:
        request = self._request(method, url, body)
        return await self._paced(what, lambda: self._exchange(request, adapter, self._secrets(body)), ready)

    async def _paced(
        self, what: str, exchange: Callable[[], Awaitable[Answer[T]]], ready: Ready | None = None
    ) -> Answer[T]:
        """One exchange, in flight with at most `workers`, at the pace that all share."""
        async with self._in_flight:
            probe = await self.pacer.slot()
            try:
                if ready is not None:
                    await ready()
                answer = await exchange()
            except BaseException:
                self.pacer.give_back(probe)  # a probe that is never heard of would keep all others waiting
                raise
            self.pacer.heard(answer, probe)
            if _LOG.isEnabledFor(logging.DEBUG):
                # no address: its query has refs in it, and the id in its path is a word of the server's
                event(
                    _LOG, logging.DEBUG, "request", request=what, fate=answer.fate.value, http_status=answer.status,
                    why=answer.why or None, latency_ms=round(answer.latency_s * 1_000, 1), probe=probe or None,
                )  # fmt: skip
            return answer

    async def _exchange(
        self, request: httpx.Request, adapter: TypeAdapter[T] | None, secrets: Callable[[], Sequence[str]]
    ) -> Answer[T]:
        started = self._clock.steady()
        try:
            response = await self._transport.handle_async_request(request)
            content = await _whole(response)
        except NeverLeft as error:
            return Answer(Fate.NEVER_LEFT, why=str(error), latency_s=self._clock.steady() - started)
        except Lost as error:
            return Answer(
                Fate.LOST, why=str(error), timed_out=error.timed_out, latency_s=self._clock.steady() - started
            )
        return self._answer(response, content, adapter, secrets, started)

    def _answer(
        self,
        response: httpx.Response,
        content: bytes,
        adapter: TypeAdapter[T] | None,
        secrets: Callable[[], Sequence[str]],
        started: float,
    ) -> Answer[T]:
        """The answer to a request as a value: what was asked for where the status is a success and the body fits."""
        value, why = None, ""
        if adapter is not None and response.status_code in (200, 201):
            try:
                value = adapter.validate_json(content)
            except ValidationError:
                value = None  # an answer without what was asked for; its body may hold a credential and is not kept
            if value is not None and self._api_key is not None and self._key() in content:
                value, why = None, "the answer repeats the API key"
        if 300 <= response.status_code < 400:
            why = "a redirect, which is not followed: check api.url"
        failed = response.status_code >= 400
        return Answer(
            Fate.ANSWERED,
            response.status_code,
            value,
            problem=(read_problem(response.status_code, content, secrets, self._is_of_a_row) if failed else None),
            retry_after_s=read_retry_after(response.headers, content, self._clock.now()) if failed else None,
            why=why,
            latency_s=self._clock.steady() - started,
        )

    def _is_of_a_row(self, word: str) -> bool:
        """Whether a word is in the credential of a row that was sent of late: a server may confuse two of them."""
        if len(word) < PIECE:
            return False
        return any(word in secret for body in self._sent if body.may_hold(word) for secret in body.secrets())

    def _secrets(self, body: Body | None) -> Callable[[], Sequence[str]]:
        """What must not come back in a message; taken apart only when a problem is read."""
        return lambda: [*([self._api_key.reveal()] if self._api_key else ()), *(body.secrets() if body else ())]


def _about(asked: str, answer: Answer[T], answered: object) -> Answer[T]:
    """The answer, if it is about the connection that was asked about, or does not say: another's metadata must not
    get into a row, nor a row count as patched by the answer to another."""
    if answered in (None, asked):
        return answer
    return Answer(Fate.LOST, why="the answer is about another connection", latency_s=answer.latency_s)


def _parts(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body as it comes, and as the transport has decoded it."""
    assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - what an asynchronous transport gives
    return aiter(response.stream)


async def _whole(response: httpx.Response) -> bytes:
    # a body that is here already is taken as it is: an asynchronous iterator is registered with the event loop first
    return b"".join(response.stream) if isinstance(response.stream, httpx.ByteStream) else await response.aread()


async def _first(parts: AsyncIterator[bytes], limit: int) -> bytes:
    content = b""
    async for part in parts:
        content += part
        if len(content) >= limit:
            break
    return content
