"""What carries httpx: aiohttp's connections, and the truth about a request that got no answer.

httpx's own pool slows down as concurrency rises (encode/httpcore issue 1035: 53 requests/s with 64 in flight), and
`httpx-aiohttp` reports a request that was sent and lost as a ConnectTimeout. Whether a request left decides whether
it may be sent again, so this thin transport keeps aiohttp's exceptions in hand. No HTTP of our own.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import Final
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]  # not in typeshed

import aiohttp
import httpx
import yarl

BODY_LIMIT: Final = 4 * 1024 * 1024
"""Bytes read of one answer that is not streamed; a longer one is cut, and so unreadable."""

KEEP_ALIVE_S: Final = 4.0
"""Idle connections are closed before the usual server does it (5 s and more): a request must not race that."""


class NeverLeft(httpx.TransportError):
    """No byte of the request can have reached the server: it may be sent again."""


class Lost(httpx.TransportError):
    """The request may have reached the server, and no trustworthy answer came back."""

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


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

    A request whose extensions say `{"stream": True}` gets its body as it comes, with `timeout_s` for each read.
    Redirects are answers, cookies are dropped, certificates are verified (TLS 1.2 at least).
    """

    def __init__(self, *, connections: int, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None
        self._proxies: dict[tuple[str, bytes], str | None] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One exchange. Raises NeverLeft or Lost, nothing else; in doubt it is Lost."""
        session = self._session or self._open()
        url, proxy = self._way(request.url)
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await session.request(
                    request.method,
                    url,
                    data=request.read() or None,
                    headers=[(str(name, "ascii"), str(value, "latin-1")) for name, value in request.headers.raw],
                    allow_redirects=False,
                    proxy=proxy,
                )
                if request.extensions.get("stream"):
                    return httpx.Response(
                        answer.status,
                        headers=_headers(answer),
                        stream=_Stream(answer, self._timeout_s),
                    )
                try:
                    content = await _read(answer)
                finally:
                    answer.release()
        except _NEVER_LEFT as error:
            raise NeverLeft(_say(error)) from error
        except TimeoutError as error:
            raise Lost(f"no answer within {self._timeout_s:g} s", timed_out=True) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Lost(_say(error)) from error
        return httpx.Response(answer.status, headers=_headers(answer), stream=httpx.ByteStream(content))

    def _way(self, url: httpx.URL) -> tuple[yarl.URL, str | None]:
        """A request's address as aiohttp takes it, byte for byte, and its proxy: the environment is read once a run."""
        origin = (url.scheme, url.netloc)
        if origin not in self._proxies:
            self._proxies[origin] = _proxy_for(url)
        return yarl.URL(str(url), encoded=True), self._proxies[origin]

    def _open(self) -> aiohttp.ClientSession:
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, keepalive_timeout=KEEP_ALIVE_S, ssl=context),
            cookie_jar=aiohttp.DummyCookieJar(),
            # connecting is bounded apart, so that a server that cannot be reached is known never to have been
            timeout=aiohttp.ClientTimeout(total=None, connect=min(10.0, self._timeout_s * 0.8)),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
        )
        return self._session

    async def aclose(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None


class _Stream(httpx.AsyncByteStream):
    """The body of an answer as it comes, each read within its own deadline."""

    def __init__(self, answer: aiohttp.ClientResponse, timeout_s: float) -> None:
        self._answer = answer
        self._timeout_s = timeout_s

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while True:
                async with asyncio.timeout(self._timeout_s):
                    part = await self._answer.content.readany()
                if not part:
                    return
                yield part
        except TimeoutError as error:
            raise Lost(f"the answer stopped for {self._timeout_s:g} s", timed_out=True) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Lost(_say(error)) from error

    async def aclose(self) -> None:
        self._answer.close()


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """The whole body, or its first BODY_LIMIT bytes."""
    content = b""
    while part := await answer.content.readany():
        content += part
        if len(content) > BODY_LIMIT:
            answer.close()
            break
    return content


def _headers(answer: aiohttp.ClientResponse) -> list[tuple[bytes, bytes]]:
    # the body is decoded already: httpx must not try again
    return [header for header in answer.raw_headers if header[0].lower() != b"content-encoding"]


def _say(error: BaseException) -> str:
    """What happened, in words that hold no part of a request or an answer."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "the server's certificate is not trusted"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the server's name cannot be resolved"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect ({error.os_error.strerror or 'no reason given'})"
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return "cannot connect in time"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the server hung up before it answered"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the answer broke off"
    if isinstance(error, aiohttp.ClientResponseError):
        return "the answer is no HTTP"
    return f"the connection broke ({type(error).__name__})"


def _proxy_for(url: httpx.URL) -> str | None:
    """The proxy of HTTPS_PROXY, HTTP_PROXY and NO_PROXY, as every tool reads them; never for loopback."""
    if url.host in {"127.0.0.1", "localhost", "::1"} or proxy_bypass_environment(url.host):
        return None
    proxies: dict[str, str] = getproxies_environment()
    return proxies.get(url.scheme) or proxies.get("all")
