"""What every transport under httpx does: a request that got no answer either never left, or is lost."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from importer.api.transport import Lost, NeverLeft

TIMEOUT_S, PATIENT_S = 0.4, 20.0
"""For what is to time out, and for what is not to, on however slow a machine."""

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
CANARY = "fake-canary-token"


class Peer:
    """One connection as the server sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def request(self) -> bytes:
        """The next whole request: head and body."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = sum(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
        return head + await self._reader.readexactly(length)

    async def send(self, content: bytes) -> None:
        self._writer.write(content)
        await self._writer.drain()

    def reset(self) -> None:
        """Hang up with a reset, as a crashed host does."""
        sock: socket.socket = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def forever(self) -> None:
        """Until the client hangs up."""
        while await self._reader.read(65_536):
            pass


Behave = Callable[["Server", Peer], Awaitable[None]]


class Server:
    """A server on 127.0.0.1 that does what it is told with each connection, and counts."""

    def __init__(self, behave: Behave) -> None:
        self._behave = behave
        self._open = 0
        self.arrived = asyncio.Event()
        self.connections, self.most_at_once, self.requests, self.url = 0, 0, list[bytes](), ""

    async def read(self, peer: Peer) -> bytes:
        """The next request of this connection, noted."""
        self.requests.append(await peer.request())
        self.arrived.set()
        return self.requests[-1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open += 1
        self.most_at_once = max(self.most_at_once, self._open)
        try:
            await self._behave(self, Peer(reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client hung up
        finally:
            self._open -= 1
            writer.close()

    @asynccontextmanager
    async def serving(self, **options: Any) -> AsyncIterator["Server"]:
        """Listen, and hang up on everybody at the end."""
        tasks = set[asyncio.Task[None]]()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.add(asyncio.create_task(self._serve(reader, writer)))

        server = await asyncio.start_server(accept, "127.0.0.1", 0, **options)
        scheme = "https" if "ssl" in options else "http"
        self.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        try:
            yield self
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await server.wait_closed()
            await asyncio.sleep(0)


def after_reading(*parts: bytes, then: str = "close", gap_s: float = 0.0) -> Behave:
    """Read one request, send these parts, then `close`, `reset` or `stall`."""

    async def behave(server: Server, peer: Peer) -> None:
        await server.read(peer)
        for part in parts:
            await peer.send(part)
            await asyncio.sleep(gap_s)
        if then == "reset":
            peer.reset()
        elif then == "stall":
            await peer.forever()

    return behave


async def _closes_at_once(server: Server, peer: Peer) -> None:
    """Hang up without reading."""


async def _resets_at_once(server: Server, peer: Peer) -> None:
    peer.reset()


async def _closes_half_way(server: Server, peer: Peer) -> None:
    await peer._reader.readexactly(40)


def _endlessly(before: bytes, part: bytes, gap_s: float = 0.01) -> Behave:
    async def behave(server: Server, peer: Peer) -> None:
        await server.read(peer)
        await peer.send(before)
        while True:
            await peer.send(part)
            await asyncio.sleep(gap_s)

    return behave


async def answers(server: Server, peer: Peer) -> None:
    """Behave: answer one request after another."""
    while True:
        await server.read(peer)
        await peer.send(OK)


HEAD = b"HTTP/1.1 201 Created\r\n"
LOST: dict[str, Behave] = {
    "closes before reading": _closes_at_once,
    "resets before reading": _resets_at_once,
    "closes while it reads": _closes_half_way,
    "closes after reading": after_reading(),
    "resets after reading": after_reading(then="reset"),
    "resets within the head": after_reading(HEAD, then="reset"),
    "resets within the body": after_reading(HEAD + b"Content-Length: 9\r\n\r\n{", then="reset", gap_s=0.02),
    "closes within the status line": after_reading(b"HTTP/1.1 20"),
    "closes within the head": after_reading(HEAD + b"Content-Le"),
    "a body shorter than its length": after_reading(HEAD + b"Content-Length: 900\r\n\r\n{}"),
    "chunks that break off": after_reading(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"),
    "a chunk that breaks off": after_reading(HEAD + b"Transfer-Encoding: chunked\r\n\r\n900\r\n{}\r\n"),
    "chunks without a size": after_reading(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
    "a length that is no number": after_reading(HEAD + b"Content-Length: two\r\n\r\n{}"),
    "a body that is not gzip": after_reading(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\nnot gzip!"),
    "garbage": after_reading(f"{CANARY}\r\n\r\n".encode()),
    "binary garbage": after_reading(b"\x00\xff" * 100),
    "garbage in the head": after_reading(HEAD + b"\x00: \x01\r\n\r\n{}"),
    "another protocol": after_reading(b"SSH-2.0-fake\r\n"),
    "an endless head": _endlessly(HEAD, b"X-Filler: " + b"x" * 8_000 + b"\r\n", gap_s=0),
    "an endless line": _endlessly(HEAD + b"X-Filler: ", b"x" * 60_000, gap_s=0),
}
TIMED_OUT: dict[str, Behave] = {
    "stalls": after_reading(then="stall"),
    "stalls within the head": after_reading(HEAD, then="stall"),
    "stalls within the body": after_reading(HEAD + b"Content-Length: 9\r\n\r\n{", then="stall"),
    "drips the head": _endlessly(HEAD + b"X-Filler: ", b"x"),
    "drips the body": _endlessly(HEAD + b"Content-Length: 100000\r\n\r\n", b"x"),
    "drips chunks": _endlessly(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    "goes on saying continue": _endlessly(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


class TransportContract:
    """Inherit, and give `transport`."""

    def transport(self, *, connections: int = 4, timeout_s: float = PATIENT_S) -> httpx.AsyncBaseTransport:
        """The transport under test."""
        raise NotImplementedError  # whoever inherits the contract gives it

    def run(
        self, behave: Behave, talk: Callable[[httpx.AsyncClient, Server], Awaitable[Any]], **options: Any
    ) -> Server:
        """Let a client over this transport talk with a server that behaves so."""
        server = Server(behave)

        async def run() -> None:
            async with server.serving(), httpx.AsyncClient(transport=self.transport(**options)) as client:
                await talk(client, server)

        asyncio.run(run())
        return server

    def failing(
        self, behave: Behave, expected: type[httpx.TransportError], timeout_s: float = PATIENT_S
    ) -> tuple[Any, Server]:
        """What a POST gets from a server that behaves so; nothing of the request or the answer is said."""
        caught: list[httpx.TransportError] = []

        async def talk(client: httpx.AsyncClient, server: Server) -> None:
            with pytest.raises(expected) as error:
                await client.post(f"{server.url}{CANARY}", content=CANARY, headers={"X-Api-Key": CANARY})
            caught.append(error.value)

        server = self.run(behave, talk, timeout_s=timeout_s)
        assert type(caught[0]) is expected
        assert str(caught[0])
        assert CANARY not in f"{caught[0]}{caught[0]!r}"
        return caught[0], server

    @pytest.mark.parametrize("fault", LOST)
    def test_a_request_whose_answer_is_lost_or_unreadable_is_lost_and_not_sent_again(self, fault: str) -> None:
        error, server = self.failing(LOST[fault], Lost)

        assert not error.timed_out
        assert server.connections == 1

    @pytest.mark.parametrize("fault", TIMED_OUT)
    def test_a_request_that_is_not_answered_in_time_as_a_whole_is_lost_and_timed_out(self, fault: str) -> None:
        error, server = self.failing(TIMED_OUT[fault], Lost, TIMEOUT_S)

        assert error.timed_out
        assert len(server.requests) == server.connections == 1

    @pytest.mark.parametrize("method", ["POST", "PATCH", "GET", "DELETE"])
    def test_a_kept_connection_that_breaks_under_a_request_loses_it(self, method: str) -> None:
        """The server may have read it before it hung up: it is not sent again over another connection.

        A read neither: whoever asked tries again, at a pace that all share.
        """

        async def behave(server: Server, peer: Peer) -> None:
            await server.read(peer)
            await peer.send(OK)
            await server.read(peer)

        async def talk(client: httpx.AsyncClient, server: Server) -> None:
            await client.request(method, server.url, content="{}")
            with pytest.raises(Lost):
                await client.request(method, server.url, content="{}")

        assert len(self.run(behave, talk).requests) == 2

    def test_a_kept_connection_that_was_seen_to_close_costs_nothing(self) -> None:
        async def talk(client: httpx.AsyncClient, server: Server) -> None:
            for _ in range(3):
                assert (await client.post(server.url, content="{}")).status_code == 200
                await asyncio.sleep(0.05)

        assert self.run(after_reading(OK), talk).connections == 3

    def test_a_connection_is_used_again(self) -> None:
        async def talk(client: httpx.AsyncClient, server: Server) -> None:
            for _ in range(20):
                assert (await client.post(server.url, content="{}")).json() == {}

        server = self.run(answers, talk)

        assert (server.connections, len(server.requests)) == (1, 20)

    def test_there_are_no_more_connections_than_allowed(self) -> None:
        async def behave(server: Server, peer: Peer) -> None:
            while True:
                await server.read(peer)
                await asyncio.sleep(0.005)
                await peer.send(OK)

        async def talk(client: httpx.AsyncClient, server: Server) -> None:
            await asyncio.gather(*(client.post(server.url, content="{}") for _ in range(40)))

        server = self.run(behave, talk, connections=3, timeout_s=PATIENT_S)

        assert (server.most_at_once, len(server.requests)) == (3, 40)

    def test_an_answer_that_nobody_asked_for_is_nobodys(self) -> None:
        """Two answers to one request: the second must not become the answer to the next row."""
        extra = b'HTTP/1.1 201 Created\r\nContent-Length: 8\r\n\r\n{"id":1}'
        told: list[Any] = []

        async def behave(server: Server, peer: Peer) -> None:
            await server.read(peer)
            await peer.send(OK + extra)
            await answers(server, peer)

        async def talk(client: httpx.AsyncClient, server: Server) -> None:
            told.extend([(await client.post(server.url, content="{}")).json() for _ in range(3)])

        self.run(behave, talk)

        assert told == [{}, {}, {}]

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_is_an_answer_and_is_not_followed(self, status: int) -> None:
        async def behave(server: Server, peer: Peer) -> None:
            await server.read(peer)
            await peer.send(
                f"HTTP/1.1 {status} Moved\r\nLocation: {server.url}there\r\nContent-Length: 0\r\n\r\n".encode()
            )
            await answers(server, peer)

        async def talk(client: httpx.AsyncClient, server: Server) -> None:
            assert (await client.post(server.url, content="{}")).status_code == status

        assert len(self.run(behave, talk).requests) == 1

    def test_a_cookie_of_one_answer_is_not_sent_with_the_next_request(self) -> None:
        """httpx keeps cookies of its own: given no jar, the transport must not add one."""

        async def behave(server: Server, peer: Peer) -> None:
            while True:
                await server.read(peer)
                await peer.send(OK.replace(b"\r\n", b"\r\nSet-Cookie: session=fake; Path=/\r\n", 1))

        async def talk(client: httpx.AsyncClient, server: Server) -> None:
            for _ in range(2):
                request = httpx.Request("POST", server.url, content="{}")
                await client._transport.handle_async_request(request)

        requests = self.run(behave, talk).requests

        assert len(requests) == 2
        assert b"cookie" not in requests[1].lower()

    def test_the_request_arrives_as_it_was_written(self) -> None:
        async def talk(client: httpx.AsyncClient, server: Server) -> None:
            request = httpx.Request(
                "POST", f"{server.url}v1/a%2Fb/connections:generate?ref=%C3%A9%20%2B", content="{}",
                headers=[("X-Api-Key", "fake-key"), ("User-Agent", "importer/0"), ("Content-Type", "application/json")],
            )  # fmt: skip
            assert (await client.send(request)).json() == {}

        head, _, body = self.run(answers, talk).requests[0].partition(b"\r\n\r\n")

        lines = head.split(b"\r\n")
        assert lines[0] == b"POST /v1/a%2Fb/connections:generate?ref=%C3%A9%20%2B HTTP/1.1"
        names = sorted(line.split(b":")[0].lower() for line in lines[1:])
        assert names == [b"content-length", b"content-type", b"host", b"user-agent", b"x-api-key"]
        assert body == b"{}"

    @pytest.mark.parametrize(
        "answer",
        [
            HEAD + b"Content-Length: 2\r\n\r\n{}",
            HEAD + b"Connection: close\r\n\r\n{}",
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\n{}",
            b"HTTP/1.0 201 Created\r\n\r\n{}",
        ],
        ids=["length", "until it closes", "chunks", "after a continue", "HTTP/1.0"],
    )
    def test_a_whole_answer_is_one_however_it_is_framed_and_slow_it_comes(self, answer: bytes) -> None:
        async def talk(client: httpx.AsyncClient, server: Server) -> None:
            response = await client.post(server.url, content="{}")
            assert (response.status_code, response.json()) == (201, {})

        self.run(after_reading(*(bytes([byte]) for byte in answer), gap_s=0.0005), talk, timeout_s=PATIENT_S)

    # what never left

    def never_left(self, url: str, timeout_s: float = PATIENT_S) -> NeverLeft:
        """What a POST to this URL gets."""

        async def run() -> NeverLeft:
            async with httpx.AsyncClient(transport=self.transport(timeout_s=timeout_s)) as client:
                with pytest.raises(NeverLeft) as caught:
                    await client.post(url, content=CANARY)
                return caught.value

        error = asyncio.run(run())
        assert CANARY not in str(error)
        return error

    def test_a_closed_port_gets_nothing(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]

        assert "cannot connect" in str(self.never_left(f"http://127.0.0.1:{port}/"))

    def test_a_name_that_does_not_resolve_gets_nothing(self) -> None:
        assert "name cannot be resolved" in str(self.never_left("https://host.invalid/"))

    def test_a_host_that_does_not_let_us_in_in_time_gets_nothing(self) -> None:
        """Its queue is full, so that the kernel drops what knocks: the slow way of not being there."""
        with socket.socket() as full, socket.socket() as first, socket.socket() as second:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for queued in (first, second):
                queued.setblocking(False)
                queued.connect_ex(full.getsockname())

            error = self.never_left(f"http://127.0.0.1:{full.getsockname()[1]}/", TIMEOUT_S)

        assert str(error) == "cannot connect in time"

    @pytest.mark.parametrize("greeting", [b"", b"HTTP/1.1 200 OK\r\n\r\n"], ids=["stalls", "speaks HTTP"])
    def test_a_server_that_does_not_speak_tls_gets_nothing(self, greeting: bytes) -> None:
        async def behave(server: Server, peer: Peer) -> None:
            await peer.send(greeting)
            await peer.forever()

        async def talk(client: httpx.AsyncClient, server: Server) -> None:
            with pytest.raises(NeverLeft):
                await client.post(server.url.replace("http", "https"), content=CANARY)

        self.run(behave, talk, timeout_s=TIMEOUT_S)

    def test_waiting_for_a_free_connection_is_not_sending(self) -> None:
        async def talk(client: httpx.AsyncClient, server: Server) -> None:
            first = asyncio.create_task(client.post(server.url, content="{}"))
            await server.arrived.wait()
            with pytest.raises(NeverLeft):
                await client.post(server.url, content="{}")
            with pytest.raises(Lost):
                await first

        stalls = after_reading(then="stall")
        assert len(self.run(stalls, talk, connections=1, timeout_s=TIMEOUT_S).requests) == 1

    # streams

    def test_a_stream_outlasts_the_deadline_of_one_read(self) -> None:
        parts = [b"%d," % number for number in range(10)]
        head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"

        async def talk(client: httpx.AsyncClient, server: Server) -> None:
            request = httpx.Request("GET", server.url, extensions={"stream": True})
            response = await client.send(request, stream=True)
            assert b"".join([part async for part in response.aiter_raw()]) == b"".join(parts)
            await response.aclose()

        self.run(after_reading(head, *parts, gap_s=0.03), talk, timeout_s=0.25)

    @pytest.mark.parametrize(
        ("then", "timed_out"), [("stall", True), ("close", False), ("reset", False)], ids=["stall", "close", "reset"]
    )
    def test_a_stream_that_breaks_off_is_lost(self, then: str, timed_out: bool) -> None:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

        async def talk(client: httpx.AsyncClient, server: Server) -> None:
            request = httpx.Request("GET", server.url, extensions={"stream": True})
            response = await client.send(request, stream=True)
            with pytest.raises(Lost) as caught:
                async for _ in response.aiter_raw():
                    pass
            assert caught.value.timed_out == timed_out
            await response.aclose()

        breaks = after_reading(head, b"2\r\n[{\r\n", then=then, gap_s=0.02)
        self.run(breaks, talk, timeout_s=TIMEOUT_S if timed_out else PATIENT_S)

    def test_a_stream_that_is_left_early_holds_nothing(self) -> None:
        async def talk(client: httpx.AsyncClient, server: Server) -> None:
            for _ in range(3):
                request = httpx.Request("GET", server.url, extensions={"stream": True})
                response = await client.send(request, stream=True)
                await response.aclose()

        endless = _endlessly(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b"x")
        assert self.run(endless, talk, connections=1).connections == 3

    def test_a_request_that_is_cancelled_is_cancelled(self) -> None:
        async def talk(client: httpx.AsyncClient, server: Server) -> None:
            sending = asyncio.create_task(client.post(server.url, content="{}"))
            await server.arrived.wait()
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending

        self.run(after_reading(then="stall"), talk)
