"""aiohttp under httpx: it passes the conformance suite, verifies certificates, and bounds what it reads."""

import asyncio
import gzip
import json
import shutil
import ssl
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from conformance.transport import PATIENT_S, Behave, Peer, Server, TransportContract, after_reading, answers

from importer.api.transport import BODY_LIMIT, KEEP_ALIVE_S, AiohttpTransport, NeverLeft


class TestAiohttpTransport(TransportContract):
    def transport(self, *, connections: int = 4, timeout_s: float = PATIENT_S) -> AiohttpTransport:
        return AiohttpTransport(connections=connections, timeout_s=timeout_s)


Talk = Callable[[httpx.AsyncClient, Server], Awaitable[None]]


def run(behave: Behave, talk: Talk, timeout_s: float = PATIENT_S, **options: ssl.SSLContext) -> Server:
    """Let a client talk with a server that behaves so."""
    server = Server(behave)

    async def main() -> None:
        transport = AiohttpTransport(connections=2, timeout_s=timeout_s)
        async with server.serving(**options), httpx.AsyncClient(transport=transport, trust_env=False) as client:
            await talk(client, server)

    asyncio.run(main())
    return server


# --- long bodies ---


def test_a_body_of_4_mb_is_read_whole() -> None:
    body = json.dumps("x" * (BODY_LIMIT - 2)).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)

    async def talk(client: httpx.AsyncClient, server: Server) -> None:
        assert len((await client.get(server.url)).json()) == BODY_LIMIT - 2

    run(after_reading(head + body), talk)


@pytest.mark.parametrize("length", ["Content-Length: 10000000", "Transfer-Encoding: chunked"])
def test_a_longer_body_is_cut_so_that_it_cannot_be_read_and_the_next_request_is_answered(length: str) -> None:
    """10 MB, or without an end: neither memory nor time is without a limit, and the rest is nobody's answer."""
    megabyte = b'"' + b"x" * (1 << 20)

    async def behave(server: Server, peer: Peer) -> None:
        await server.read(peer)
        if len(server.requests) > 1:
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            return
        await peer.send(f"HTTP/1.1 201 Created\r\n{length}\r\n\r\n".encode())
        while True:
            await peer.send(b"%x\r\n%s\r\n" % (len(megabyte), megabyte) if "chunked" in length else megabyte)

    async def talk(client: httpx.AsyncClient, server: Server) -> None:
        response = await client.post(server.url, content="{}")
        assert response.status_code == 201
        assert BODY_LIMIT < len(response.content) < BODY_LIMIT + (1 << 20)
        with pytest.raises(ValueError, match=r"Expecting|Unterminated|Extra data"):
            response.json()
        assert (await client.post(server.url, content="{}")).json() == {}

    assert run(behave, talk).connections == 2


def test_a_compressed_answer_is_decoded_once() -> None:
    body = gzip.compress(b'{"id": "c-1"}')
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)

    async def talk(client: httpx.AsyncClient, server: Server) -> None:
        assert (await client.get(server.url)).json() == {"id": "c-1"}

    run(after_reading(head + body), talk)


def test_an_idle_connection_is_given_up_before_the_usual_server_does() -> None:
    """nginx, ALB and Node close theirs after 5 s or more: a request must not race that."""
    assert KEEP_ALIVE_S < 5.0


# --- connections opened beforehand ---


@pytest.mark.parametrize("already", [0, 1, 2])
def test_connections_are_opened_without_a_request_and_carry_the_first_ones(already: int) -> None:
    """As many as are kept, though more are asked for; one that is open from an earlier request is one of them."""

    async def main() -> None:
        server = Server(answers)
        async with server.serving():
            transport = AiohttpTransport(connections=3, timeout_s=PATIENT_S)
            async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
                await asyncio.gather(*(client.get(server.url) for _ in range(already)))
                await transport.warm(server.url, 8)
                opened = server.connections, len(server.requests) - already
                found = await asyncio.gather(*(client.get(server.url) for _ in range(3)))

        assert opened == (3, 0)
        assert [answer.status_code for answer in found] == [200] * 3
        assert server.connections == 3

    asyncio.run(main())


def test_an_address_where_nobody_listens_is_left_to_the_first_request_to_say() -> None:
    async def main() -> None:
        server = Server(answers)
        async with server.serving():
            pass
        transport = AiohttpTransport(connections=3, timeout_s=PATIENT_S)
        await transport.warm(server.url, 3)
        with pytest.raises(NeverLeft, match="cannot connect"):
            await transport.handle_async_request(httpx.Request("GET", server.url))
        await transport.aclose()

    asyncio.run(main())


def test_a_proxy_that_cannot_be_used_is_left_to_the_first_request_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy.example")

    async def main() -> None:
        transport = AiohttpTransport(connections=3, timeout_s=PATIENT_S)
        await transport.warm("https://api.example", 3)
        with pytest.raises(NeverLeft, match="the proxy"):
            await transport.handle_async_request(httpx.Request("GET", "https://api.example"))
        await transport.aclose()

    asyncio.run(main())


def test_connections_through_a_proxy_are_opened_beforehand_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        proxy = Server(answers)
        async with proxy.serving():
            monkeypatch.setenv("http_proxy", proxy.url)
            transport = AiohttpTransport(connections=2, timeout_s=PATIENT_S, headers={"User-Agent": "importer/1"})
            await transport.warm("http://api.example", 2)
            opened = proxy.connections
            for _ in range(2):
                answer = await transport.handle_async_request(httpx.Request("GET", "http://api.example/v1"))
                assert answer.status_code == 200
            await transport.aclose()

        assert opened == proxy.connections == 2
        assert all(request.startswith(b"GET http://api.example/v1 ") for request in proxy.requests)

    asyncio.run(main())


# --- certificates ---


@pytest.fixture
def self_signed(tmp_path: Path) -> ssl.SSLContext:
    """A server's context with a certificate for 127.0.0.1 that nobody vouches for."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    new = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *name, *files]
    subprocess.run(new, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    return context


def test_a_certificate_that_nobody_vouches_for_gets_nothing(self_signed: ssl.SSLContext) -> None:
    async def talk(client: httpx.AsyncClient, server: Server) -> None:
        with pytest.raises(NeverLeft) as caught:
            await client.post(server.url, content="{}")
        assert str(caught.value).startswith("the server's certificate is not trusted")

    assert run(answers, talk, ssl=self_signed).requests == []


def test_a_certificate_that_the_machine_trusts_is_answered(
    self_signed: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counterpart: what is refused above is the certificate and nothing else."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))

    async def talk(client: httpx.AsyncClient, server: Server) -> None:
        assert (await client.post(server.url, content="{}")).json() == {}

    assert len(run(answers, talk, ssl=self_signed).requests) == 1


# --- proxies ---


def test_loopback_is_never_reached_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    async def talk(client: httpx.AsyncClient, server: Server) -> None:
        assert (await client.post(server.url, content="{}")).json() == {}

    run(answers, talk)


@pytest.mark.parametrize("status", [403, 502])
def test_a_proxy_that_does_not_let_us_through_is_no_answer_of_the_api(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """The proxy refuses the tunnel: nothing of the request was told to it, so nothing left."""

    async def behave(server: Server, peer: Peer) -> None:
        await server.read(peer)
        await peer.send(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())

    async def talk(client: httpx.AsyncClient, server: Server) -> None:
        monkeypatch.setenv("HTTPS_PROXY", server.url)
        monkeypatch.setenv("https_proxy", server.url)
        with pytest.raises(NeverLeft):
            await client.post("https://api.example.com/", content="fake-token", headers={"X-Api-Key": "fake-key"})

    requests = run(behave, talk).requests

    assert requests[0].startswith(b"CONNECT api.example.com:443")
    assert b"fake-" not in b"".join(requests)


def test_it_may_be_closed_unused_and_used_after_it_was_closed() -> None:
    async def talk(client: httpx.AsyncClient, server: Server) -> None:
        transport = AiohttpTransport(connections=1, timeout_s=5.0)
        await transport.aclose()
        for _ in range(2):
            response = await transport.handle_async_request(httpx.Request("GET", server.url))
            assert response.status_code == 200
            await transport.aclose()

    run(answers, talk)
