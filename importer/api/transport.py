"""What carries httpx: aiohttp's connections, and the truth about a request that got no answer.

httpx's own pool slows down as concurrency rises (encode/httpcore issue 1035: 53 requests/s with 64 in flight), and
`httpx-aiohttp` reports a request that was sent and lost as a ConnectTimeout. Whether a request left decides whether
it may be sent again, so this thin transport keeps aiohttp's exceptions in hand. No HTTP of our own.

aiohttp's requests, answers and connections, without its session: what that adds is what no request may meet (cookies,
redirects, a second GET or DELETE where the first was lost, which no pacer would know of), and takes a
twentieth of a row's time.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Set
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]  # not in typeshed

import aiohttp
import httpx
import yarl
from aiohttp.connector import Connection
from multidict import CIMultiDict

from importer.api.trust import mistrust, trusting
from importer.errors import ImporterError

BODY_LIMIT: Final = 4 * 1024 * 1024
"""Bytes read of one answer that is not streamed; a longer one is cut, and so unreadable."""

KEEP_ALIVE_S: Final = 4.0
"""Idle connections are closed before the usual server does it (5 s and more): a request must not race that."""


STREAM_TIMES: Final = 20
"""How often `timeout_s` a streamed answer may take as a whole: 10 minutes at 30 s, where 200,000 connections take some
seconds to parse; without it, a byte every 29 s, or an array without an end, would keep a run for ever."""


class NeverLeft(httpx.TransportError):
    """No byte of the request can have reached the server: it may be sent again."""


class Lost(httpx.TransportError):
    """The request may have reached the server, and no trustworthy answer came back."""

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


_ADDED: Final = ("User-Agent", "Accept", "Accept-Encoding")
"""Headers that aiohttp would add of its own."""

# What aiohttp raises before it has a connection. ClientConnectorError is a ClientOSError too, which otherwise means a
# connection that broke under the request: only these, and only by their own names, never left.
_NEVER_LEFT = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ClientHttpProxyError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
)


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Carries httpx's requests over at most `connections` connections, each attempt within `timeout_s` seconds.

    A request whose extensions say `{"stream": True}` gets its body as it comes, with `timeout_s` for each read, and
    STREAM_TIMES as much for all of them.
    Redirects are answers, cookies are dropped, certificates are verified (`trusting` says how, and what it raises).
    """

    def __init__(
        self,
        *,
        connections: int,
        timeout_s: float,
        ca_file: Path | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
        kept: Set[bytes] | None = None,
    ) -> None:
        """`headers` go with every request, besides its own and what HTTP wants of it (Host, Content-Length).

        Of the headers of an answer those are `kept` that somebody reads, by their names in lower case; None: all.
        """
        self._ca_file = ca_file
        self._timeout_s = timeout_s
        self._connections = connections
        self._common = headers
        self._kept = kept
        self._connector: _Connector | None = None
        # connecting is bounded apart, so that a server that cannot be reached is known never to have been
        self._patience = aiohttp.ClientTimeout(total=None, connect=min(10.0, timeout_s * 0.8))
        self._not_added = [name for name in _ADDED if name not in headers] or None
        self._proxies: dict[tuple[str, bytes], yarl.URL | None] = {}
        self._last_way: tuple[str, yarl.URL, yarl.URL | None] = ("", yarl.URL(), None)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One exchange. Raises NeverLeft or Lost, nothing else; in doubt it is Lost."""
        connector = self._connector or self._open()
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._answer(self._asked(request), connector)
                if request.extensions.get("stream"):
                    return httpx.Response(
                        answer.status,
                        headers=self._headers(answer),
                        stream=_Stream(answer, self._timeout_s),
                    )
                try:
                    content = await _read(answer)
                finally:
                    if not answer.closed:  # read to its end, it has given its connection back
                        answer.release()
        except _NEVER_LEFT as error:
            failure: NeverLeft | Lost = NeverLeft(_say(error))
        except TimeoutError:
            failure = Lost(f"no answer within {self._timeout_s:g} s", timed_out=True)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = Lost(_say(error))
        else:
            return httpx.Response(answer.status, headers=self._headers(answer), stream=httpx.ByteStream(content))
        # raised here, so that it does not carry aiohttp's: those hold headers (the key) and proxies (their password)
        raise failure

    async def warm(self, address: str, connections: int) -> None:
        """Open connections to an address, so that no row waits for a handshake. What fails, the first request says."""
        try:
            connector = self._connector or self._open()
            asked = self._asked(httpx.Request("HEAD", address))  # says where to; it is not sent
        except (ImporterError, NeverLeft):
            return

        async def open_one() -> None:
            with suppress(aiohttp.ClientError, OSError, ValueError):
                connection = await connector.connect(asked, [], self._patience)
                try:
                    await asyncio.sleep(0)  # one that was open already is not given to the others, who begin meanwhile
                finally:
                    connection.release()

        await asyncio.gather(*(open_one() for _ in range(min(connections, self._connections))))

    def _asked(self, request: httpx.Request) -> aiohttp.ClientRequest:
        """The request as aiohttp writes it. Raises NeverLeft where the way to it cannot be known."""
        url, proxy = self._way(request.url)
        headers = CIMultiDict(self._common)
        headers.update([(str(name, "ascii"), str(value, "latin-1")) for name, value in request.headers.raw])
        return aiohttp.ClientRequest(
            request.method,
            url,
            headers=headers,
            skip_auto_headers=self._not_added,
            data=_content(request),
            proxy=proxy,
            proxy_headers=None if proxy is None else self._common,
        )

    async def _answer(self, asked: aiohttp.ClientRequest, connector: "_Connector") -> aiohttp.ClientResponse:
        """Send it, and read what comes back up to the end of its headers."""
        try:
            connection = await connector.connect(asked, [], self._patience)
        except TimeoutError:
            raise aiohttp.ConnectionTimeoutError from None
        try:
            assert connection.protocol is not None  # noqa: S101 - it was just opened, or taken
            connection.protocol.set_response_params(read_until_eof=True)
            answer = await asked.send(connection)
            try:
                return await answer.start(connection)
            except BaseException:
                answer.close()
                raise
        except BaseException:
            connection.close()
            raise

    def _way(self, url: httpx.URL) -> tuple[yarl.URL, yarl.URL | None]:
        """A request's address as aiohttp takes it, byte for byte, and its proxy: the environment is read once a run."""
        text = str(url)
        if text != self._last_way[0]:  # most requests have the same
            origin = (url.scheme, url.netloc)
            if origin not in self._proxies:
                self._proxies[origin] = _proxy_for(url)
            self._last_way = text, yarl.URL(text, encoded=True), self._proxies[origin]
        return self._last_way[1:]

    def _headers(self, answer: aiohttp.ClientResponse) -> list[tuple[bytes, bytes]]:
        if self._kept is None:  # the body is decoded already: httpx must not try again
            return [header for header in answer.raw_headers if header[0].lower() != b"content-encoding"]
        return [header for header in answer.raw_headers if header[0].lower() in self._kept]

    def _open(self) -> "_Connector":
        context = trusting(self._ca_file)
        self._connector = _Connector(limit=self._connections, keepalive_timeout=KEEP_ALIVE_S, ssl=context)
        return self._connector

    async def aclose(self) -> None:
        """Close every connection."""
        if self._connector is not None:
            await self._connector.close()
            self._connector = None


class _Connector(aiohttp.TCPConnector):
    """Gives up a kept connection on which something came while nobody asked.

    aiohttp looks for that when a connection is given back, not when it is taken: what came in between it would give to
    the next request, as the answer to another row.
    """

    async def connect(self, req: Any, traces: Any, timeout: aiohttp.ClientTimeout) -> Connection:  # noqa: ASYNC109 - aiohttp's signature
        connection = await super().connect(req, traces, timeout)
        while connection.protocol is not None and connection.protocol.should_close:
            connection.close()
            connection = await super().connect(req, traces, timeout)
        return connection


class _Stream(httpx.AsyncByteStream):
    """The body of an answer as it comes, each read within its own deadline, and all within one."""

    def __init__(self, answer: aiohttp.ClientResponse, timeout_s: float) -> None:
        self._answer = answer
        self._timeout_s = timeout_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        now = asyncio.get_running_loop().time
        ends = now() + STREAM_TIMES * self._timeout_s
        try:
            # asked anew each time: a read of what has come already never waits, and so never times out
            while now() < ends:
                async with asyncio.timeout_at(min(ends, now() + self._timeout_s)):
                    part = await self._answer.content.readany()
                if not part:
                    return
                yield part
            failure = self._too_late(ends, now())
        except TimeoutError:
            failure = self._too_late(ends, now())
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = Lost(_say(error))
        raise failure

    def _too_late(self, ends: float, now: float) -> Lost:
        if now < ends:
            return Lost(f"the answer stopped for {self._timeout_s:g} s", timed_out=True)
        most_s = STREAM_TIMES * self._timeout_s
        return Lost(f"the answer did not end within {most_s:g} s: raise api.timeout_s", timed_out=True)

    async def aclose(self) -> None:
        self._answer.close()


def _content(request: httpx.Request) -> bytes | None:
    # of a stream that lies in memory `request.read` makes the same in four times the time
    stream = request.stream
    return (b"".join(stream) if isinstance(stream, httpx.ByteStream) else request.read()) or None


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """The whole body, or its first BODY_LIMIT bytes."""
    content = await answer.content.readany()
    while not answer.content.at_eof():
        content += await answer.content.readany()
        if len(content) > BODY_LIMIT:
            answer.close()
            break
    return content


_SAID: tuple[tuple[type[aiohttp.ClientError], Callable[[Any], str]], ...] = (
    (aiohttp.ClientConnectorCertificateError, lambda error: mistrust(error.certificate_error)),
    (aiohttp.ClientConnectorSSLError, lambda error: mistrust(error.os_error)),
    (aiohttp.ClientHttpProxyError, lambda error: _said_by_the_proxy(error.status)),
    (aiohttp.ClientProxyConnectionError, lambda error: f"cannot connect to the proxy ({_reason(error)})"),
    (aiohttp.ClientConnectorDNSError, lambda _: "the server's name cannot be resolved"),
    (aiohttp.ClientConnectorError, lambda error: f"cannot connect ({_reason(error)})"),
    (aiohttp.ConnectionTimeoutError, lambda _: "cannot connect in time"),
    (aiohttp.ServerDisconnectedError, lambda _: "the server hung up before it answered"),
    (aiohttp.ClientPayloadError, lambda _: "the answer broke off"),
    (aiohttp.ClientResponseError, lambda _: "the answer is no HTTP"),
)
"""What is said of what aiohttp raises; the first that fits counts."""


def _say(error: BaseException) -> str:
    """What happened, in words that hold no part of a request or an answer."""
    for kind, said in _SAID:
        if isinstance(error, kind):
            return said(error)
    return f"the connection broke ({type(error).__name__})"


def _reason(error: aiohttp.ClientConnectorError) -> str:
    hung_up = isinstance(error.os_error, ConnectionError)
    return error.os_error.strerror or ("it hung up" if hung_up else "no reason given")


def _said_by_the_proxy(status: int) -> str:
    if status == 407:
        return "the proxy wants a user name and a password (407): put them into HTTPS_PROXY, http://user:password@host"
    return f"the proxy does not let us through ({status}): ask whoever runs it, or name the host in NO_PROXY"


def _proxy_for(url: httpx.URL) -> yarl.URL | None:
    """The proxy of HTTPS_PROXY, ALL_PROXY and NO_PROXY, as every tool reads them; never for loopback.

    Raises NeverLeft, which does not quote it, for one that cannot be used: it may hold a password.
    """
    if url.host in {"127.0.0.1", "localhost", "::1"} or proxy_bypass_environment(url.host):
        return None
    proxies: dict[str, str] = getproxies_environment()
    named = proxies.get(url.scheme) or proxies.get("all")
    if not named:
        return None
    try:
        proxy = yarl.URL(named if "://" in named else f"http://{named}")  # curl takes host:port so, too
        usable = proxy.scheme in ("http", "https") and proxy.host and proxy.port
    except ValueError:
        usable = False
    if not usable:
        raise NeverLeft("the proxy in HTTPS_PROXY or ALL_PROXY cannot be used: it has to be http://host:port")
    return proxy
