"""What is sent goes to the API and nowhere else, and what is answered belongs to the request it answers."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import pytest
from conformance.transport import Behave, Peer, Server, answers

from importer.api.client import ConnectionsClient
from importer.api.key import ApiKey
from importer.api.models import Connection
from importer.api.problems import Answer, Fate
from importer.api.wire import Body
from importer.clock import Clock
from importer.errors import ApiRefused
from importer.existing import Existing
from importer.outcomes import Verdict
from importer.pace import UNLIMITED, FixedRate
from importer.pacing import Pacer, Patience
from importer.project import fetch_catalog, find_apps, find_project
from importer.records import Identity
from importer.retry import Backoff, classify

KEY, TOKEN = "fake-api-key-1", "fake-token-1"
ROW = Body(json.dumps({"provider": "stripe", "apiKey": TOKEN}).encode())


def ignore(_found: list[Connection]) -> None:
    """Take a part of a listing and do nothing with it."""


Call = Callable[[ConnectionsClient], Awaitable[Answer[Any]]]
CALLS: dict[str, Call] = {
    "generate": lambda client: client.generate(ROW),
    "patch": lambda client: client.patch("c-1", ROW),
    "delete": lambda client: client.delete("c-1"),
    "get": lambda client: client.get("c-1"),
    "find": lambda client: client.find(Identity("stripe", "g1", "u1")),
    "listing": lambda client: client.listing(ignore, "stripe"),
    "project": lambda client: client.project(),
    "provider apps": lambda client: client.provider_apps(),
    "providers": lambda client: client.providers(),
}
"""Every endpoint that is used."""


def against(behave: Behave, talk: Callable[[ConnectionsClient], Awaitable[Any]]) -> tuple[Any, Server]:
    """What `talk` returns, given a client of a server that behaves so; and that server."""
    server = Server(behave)

    async def run() -> Any:
        clock = Clock()
        pacer = Pacer(FixedRate(UNLIMITED), Patience(), clock)
        async with server.serving(), ConnectionsClient(
            server.url.rstrip("/"), "p", ApiKey(KEY), pacer=pacer, clock=clock, workers=1, timeout_s=5.0
        ) as client:  # fmt: skip
            return await talk(client)

    return asyncio.run(run()), server


def redirecting(status: int, *locations: str) -> Behave:
    """Behave: point elsewhere, to one place after another, where each `{port}` is that of this server."""

    async def behave(server: Server, peer: Peer) -> None:
        while True:
            await server.read(peer)
            port = server.url.rstrip("/").rpartition(":")[2]
            location = locations[(len(server.requests) - 1) % len(locations)].format(port=port)
            head = f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
            await peer.send(head.encode())

    return behave


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed_from_any_endpoint(status: int) -> None:
    """All of them lead back to this server, under another name, scheme or path: it would see whoever followed."""
    places = (
        "http://localhost:{port}/there", "https://127.0.0.1:{port}/there", "//127.0.0.2:{port}/there",
        "http://127.0.0.1:{port}/there", "/there", "http://fake-user:fake-password@127.0.0.1:{port}/there",
    )  # fmt: skip

    async def talk(client: ConnectionsClient) -> list[Answer[Any]]:
        return [await call(client) for call in CALLS.values() for _ in places]

    told, server = against(redirecting(status, *places), talk)

    assert len(server.requests) == len(told) == len(CALLS) * len(places)
    assert b"/there" not in b"".join(server.requests)
    assert server.connections == 1
    for answer in told:
        assert (answer.status, answer.ok, answer.redirected) == (status, False, True)
        assert answer.why == "a redirect, which is not followed: check api.url"


def test_a_redirect_of_what_is_read_first_is_told_at_once_and_says_what_it_may_mean() -> None:
    """It is no outage: asked again, it would answer the same."""
    backoff = Backoff(attempts=5, base_s=0.0)

    async def talk(client: ConnectionsClient) -> list[str]:
        said = []
        with closing(Existing(client, backoff, Clock())) as existing:
            for ask in (
                find_project(client, backoff), fetch_catalog(client, backoff), existing.list_provider("stripe"),
            ):  # fmt: skip
                with pytest.raises(ApiRefused) as caught:
                    await ask
                said.append(str(caught.value))
        return [*said, (await find_apps(client, backoff))[1]]

    said, server = against(redirecting(302, "https://login.example.com/"), talk)

    assert len(server.requests) == 4
    for line in said:
        assert "HTTP 302, a redirect, which is not followed: check api.url" in line


def test_every_request_says_who_sends_it_and_asks_for_no_compression() -> None:
    async def talk(client: ConnectionsClient) -> None:
        for call in CALLS.values():
            await call(client)

    _, server = against(answers, talk)

    assert len(server.requests) == len(CALLS)
    for request in server.requests:
        head = request.partition(b"\r\n\r\n")[0].lower()
        assert b"\r\nuser-agent: importer/" in head
        assert b"\r\nx-amp-client: importer\r\n" in head
        assert b"\r\naccept-encoding: identity" in head
        assert head.count(KEY.encode()) == 1


# --- whose answer it is ---


def created(number: int) -> bytes:
    """The answer to the post of row `number`."""
    refs = {"group": {"groupRef": f"g{number}"}, "consumer": {"consumerRef": f"u{number}"}}
    body = json.dumps({"id": f"c-{number}", "provider": "stripe", **refs}).encode()
    return b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


@pytest.mark.parametrize("late", [False, True], ids=["with the first", "with the next request"])
def test_an_answer_too_many_never_marks_the_next_row_as_created(late: bool) -> None:
    """It is dropped with its connection; where it comes just after the next request, its refs tell whose it is."""

    async def behave(server: Server, peer: Peer) -> None:
        await server.read(peer)
        if len(server.requests) > 1:
            await peer.send(created(2))
            return
        await peer.send(created(1) + (b"" if late else created(1)))
        if late:
            await server.read(peer)
            await peer.send(created(1) + created(2))

    async def talk(client: ConnectionsClient) -> list[Answer[Connection]]:
        return [await client.generate(ROW) for _ in range(2)]

    (first, second), server = against(behave, talk)

    assert classify(first, Identity("stripe", "g1", "u1")) is Verdict.CREATED
    assert classify(second, Identity("stripe", "g2", "u2")) is (Verdict.LOOK if late else Verdict.CREATED)
    assert server.connections == (1 if late else 2)


def test_an_answer_that_comes_while_nobody_asks_is_nobodys() -> None:
    sent = asyncio.Event()

    async def behave(server: Server, peer: Peer) -> None:
        await server.read(peer)
        await peer.send(created(len(server.requests)))
        if len(server.requests) == 1:
            await asyncio.sleep(0.05)
            await peer.send(created(1))
            sent.set()
        await peer.forever()

    async def talk(client: ConnectionsClient) -> Answer[Connection]:
        await client.generate(ROW)
        await sent.wait()
        await asyncio.sleep(0.05)  # until it has arrived: nothing of ours is heard when it does
        return await client.generate(ROW)

    second, server = against(behave, talk)

    assert second.value.id == "c-2"
    assert server.connections == 2


@pytest.mark.parametrize("name", ["patch", "get"])
def test_an_answer_about_another_connection_is_none(name: str) -> None:
    """Its metadata would be kept in this row's connection, or this row count as patched."""

    async def behave(server: Server, peer: Peer) -> None:
        for number in (2, 1):
            await server.read(peer)
            await peer.send(created(number).replace(b"201", b"200", 1))

    async def talk(client: ConnectionsClient) -> list[Answer[Any]]:
        return [await CALLS[name](client) for _ in range(2)]

    (another, own), _ = against(behave, talk)

    assert (another.fate, another.ok) == (Fate.LOST, False)
    assert another.why == "the answer is about another connection"
    assert (own.status, own.ok) == (200, True)
