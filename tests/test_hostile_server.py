"""A server that means harm: each answer costs a bounded time and memory, and is an answer like another.

The client runs in a process of its own, for its peak of memory is measured; the server in this one. The project of a
request names what the server does with it.
"""

import asyncio
import functools
import gzip
import json
import struct
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

import pytest
from conformance.transport import Peer, Server

from importer.api.listing import ELEMENT_LIMIT, OPEN_LIMIT, Unreadable, read_listing
from importer.api.models import Connection
from importer.api.transport import STREAM_TIMES

TIMEOUT_S = 0.3
MEMORY_LIMIT_MB = 50
CPU_LIMIT_S = 0.2
"""Of the event loop's time that one answer may take in one piece; 10,000 sound connections at once take half of it."""

CREATED = b"HTTP/1.1 201 Created\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
ROW = {"id": "c-1", "provider": "stripe", "group": {"groupRef": "g1"}, "consumer": {"consumerRef": "u1"}}
SOUND = json.dumps(ROW).encode()
LENGTH = b"Content-Length: %d\r\n" % len(SOUND)
CONNECTIONS = b",".join(b'{"id": "c-%d"}' % number for number in range(5_000)) + b","


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


def deflated(part: bytes, megabytes: int) -> bytes:
    """So many MB of repetitions of a part as one member of gzip (RFC 1952), whose blocks are made once."""
    megabyte = part * ((1 << 20) // len(part))
    packer = zlib.compressobj(wbits=-15)
    blocks = packer.compress(megabyte) + packer.flush(zlib.Z_FULL_FLUSH)  # which look back no further
    crc = functools.reduce(lambda crc, again: zlib.crc32(again, crc), [megabyte] * megabytes, 0)
    end = packer.flush() + struct.pack("<II", crc, len(megabyte) * megabytes)
    return gzip.compress(b"")[:10] + blocks * megabytes + end


def encoded(name: bytes, content: bytes, head: bytes = CREATED) -> bytes:
    return head + b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s" % (name, len(content), content)


BOMB = deflated(b"\x00", 300)
SPACES = deflated(b" ", 300)

Attack = tuple[bytes, bytes, float]
"""What is sent first, what again and again, and the seconds between; it hangs up only where nothing is repeated."""

POSTS: dict[str, Attack] = {
    "a body of 2 GB": (CREATED + b"Content-Length: 2147483648\r\n\r\n", b"x" * 65_536, 0),
    "a body without an end": (CREATED + CHUNKED + b"\r\n", chunk(b"x" * 65_536), 0),
    "a body until it closes": (CREATED + b"\r\n", b"x" * 65_536, 0),
    "a chunk's extension without an end": (CREATED + CHUNKED + b"\r\n1;", b"x" * 65_536, 0),
    "a chunk's size without an end": (CREATED + CHUNKED + b"\r\n", b"0" * 65_536, 0),
    "a chunk's size in drops": (CREATED + CHUNKED + b"\r\n", b"0", 0.01),
    "trailers without an end": (CREATED + CHUNKED + b"\r\n0\r\n", b"X-Filler: x\r\n" * 5_000, 0),
    "headers without an end": (CREATED, b"X-Filler: x\r\n" * 5_000, 0),
    "headers in drops": (CREATED, b"X: y\r\n", 0.01),
    "informational answers without an end": (b"", b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 2_000, 0),
    "a body in drops": (CREATED + b"Content-Length: 9999\r\n\r\n", b"x", 0.01),
    "two lengths": (CREATED + LENGTH + b"Content-Length: 5\r\n\r\n" + SOUND, b"", 0),
    "a negative length": (CREATED + b"Content-Length: -5\r\n\r\n" + SOUND, b"", 0),
    "a length with a sign": (CREATED + LENGTH.replace(b": ", b": +") + b"\r\n" + SOUND, b"", 0),
    "a length beyond all numbers": (CREATED + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n" + SOUND, b"", 0),
    "a length and chunks": (CREATED + LENGTH + CHUNKED + b"\r\n" + SOUND, b"", 0),
    "a gzip bomb": (encoded(b"gzip", BOMB), b"", 0),
    "a deflate bomb": (encoded(b"deflate", zlib.compress(bytes(100 << 20))), b"", 0),
    "a bomb in a bomb": (encoded(b"gzip, gzip", gzip.compress(BOMB)), b"", 0),
    "empty gzips without number": (encoded(b"gzip", gzip.compress(b"") * 200_000), b"", 0),
    "gzip that is cut": (encoded(b"gzip", gzip.compress(SOUND)[:-20]), b"", 0),
    "gzip that is none": (encoded(b"gzip", SOUND), b"", 0),
    "br that is none": (encoded(b"br", SOUND + b"\xff"), b"", 0),
    "zstd that is none": (encoded(b"zstd", b"\xff" + SOUND), b"", 0),
    "nothing but brackets": (CREATED + b"Content-Length: 4000000\r\n\r\n" + b"[" * 4_000_000, b"", 0),
    "an integer without an end": (CREATED + b"Content-Length: 4000000\r\n\r\n" + b"9" * 4_000_000, b"", 0),
}
LISTED = OK + CHUNKED + b"\r\n"
LISTINGS: dict[str, Attack] = {
    "connections without an end": (LISTED + chunk(b"["), chunk(CONNECTIONS), 0),
    "connections in drops": (LISTED + chunk(b"["), chunk(b'{"id": "c"},'), 0.01),
    "a string without an end": (LISTED + chunk(b'[{"id": "'), chunk(b"x" * 65_536), 0),
    "a number without an end": (LISTED + chunk(b'[{"id": '), chunk(b"9" * 65_536), 0),
    "blanks without an end": (LISTED, chunk(b" " * 65_536), 0),
    "blanks behind the array": (LISTED + chunk(b"[]"), chunk(b" " * 65_536), 0),
    "brackets without an end": (LISTED, chunk(b"[" * 65_536), 0),
    "objects in objects without an end": (LISTED + chunk(b"["), chunk(b'{"a":' * 13_000), 0),
    "brackets in drops": (LISTED, chunk(b"[" * 500), 0.002),
    "100,000 brackets": (LISTED + chunk(b"[" * 100_000 + b"]" * 100_000) + b"0\r\n\r\n", b"", 0),
    "one object without an end": (LISTED + chunk(b"[{"), chunk(b'"a":1,' * 10_000), 0),
    "garbage behind it": (LISTED + chunk(b"[] and more") + b"0\r\n\r\n", b"", 0),
    "a second array behind it": (LISTED + chunk(b"[][]") + b"0\r\n\r\n", b"", 0),
    "a cut array": (LISTED + chunk(b'[{"id": "c-1"},') + b"0\r\n\r\n", b"", 0),
    "nothing": (LISTED + b"0\r\n\r\n", b"", 0),
    "an empty object": (LISTED + chunk(b"{}") + b"0\r\n\r\n", b"", 0),
    "no connections": (LISTED + chunk(b"[1]") + b"0\r\n\r\n", b"", 0),
    "a gzip bomb of blanks": (encoded(b"gzip", SPACES, OK), b"", 0),
    "empty gzips without number": (encoded(b"gzip", gzip.compress(b"") * 200_000, OK), b"", 0),
    "a cut gzip": (encoded(b"gzip", gzip.compress(b"[%s]" % SOUND)[:-20], OK), b"", 0),
    "an error without an end": (b"HTTP/1.1 500 No\r\n" + CHUNKED + b"\r\n", chunk(b"x" * 65_536), 0),
    "an error in drops": (b"HTTP/1.1 500 No\r\n" + CHUNKED + b"\r\n", chunk(b"x"), 0.01),
}
TO_THE_END_OF_TIME = {"connections without an end", "connections in drops", "an error in drops"}

CLIENT = """
import asyncio, json, sys, time
from importer.api.client import ConnectionsClient
from importer.api.key import ApiKey
from importer.api.wire import Body
from importer.clock import Clock
from importer.pace import UNLIMITED, FixedRate
from importer.pacing import Pacer, Patience
from importer.records import Identity
from importer.retry import classify

ROW, SENT = Body(b'{"provider": "stripe"}'), Identity("stripe", "g1", "u1")

def peak_mb():  # not ru_maxrss: a child inherits its parent's
    status = open("/proc/self/status").read()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024

async def watch(lags):
    while True:  # the processor's time, for the machine may have other work
        before = time.process_time()
        await asyncio.sleep(0)
        lags.append(time.process_time() - before)
        await asyncio.sleep(0.002)

async def attacked(url, kind, name, timeout_s):
    clock, lags = Clock(), [0.0]
    async with ConnectionsClient(
        url, name, ApiKey("fake-key"), pacer=Pacer(FixedRate(UNLIMITED), Patience(), clock), clock=clock,
        workers=1, timeout_s=timeout_s,
    ) as client:
        before, started = peak_mb(), time.monotonic()
        watching = asyncio.create_task(watch(lags))
        answer = await (client.generate(ROW) if kind == "post" else client.listing(lambda found: None))
        watching.cancel()
        print(json.dumps({
            "kind": kind, "name": name, "ok": answer.ok, "said": f"{answer.fate} {answer.status} {answer.why}",
            "verdict": classify(answer, SENT) if kind == "post" else "", "took_s": time.monotonic() - started,
            "held_s": max(lags), "grew_mb": peak_mb() - before,
        }), flush=True)

async def main(url, timeout_s, attacks):
    for kind, name in attacks:
        await attacked(url, kind, name, timeout_s)

asyncio.run(main(sys.argv[1], float(sys.argv[2]), json.loads(sys.argv[3])))
"""


async def behave(server: Server, peer: Peer) -> None:
    """Do with a request what its project names."""
    request = await server.read(peer)
    attacks = LISTINGS if request.startswith(b"GET") else POSTS
    first, again, gap_s = attacks[name_of(request)]
    await peer.send(first)
    while again:
        await peer.send(again)
        await asyncio.sleep(gap_s)


def name_of(request: bytes) -> str:
    return unquote(request.split(b"/")[3].decode())


@pytest.fixture(scope="module")
def attacked() -> dict[tuple[str, str], dict[str, Any]]:
    """What each attack cost, and what came of it; with the requests that the server got."""
    server = Server(behave)
    attacks = [*(("post", name) for name in POSTS), *(("listing", name) for name in LISTINGS)]

    async def run() -> bytes:
        async with server.serving():
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-c", CLIENT, server.url.rstrip("/"), str(TIMEOUT_S), json.dumps(attacks),
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
            out, err = await child.communicate()
            assert err == b""
            return out

    results = [json.loads(line) for line in asyncio.run(run()).splitlines()]
    requests = Counter((request.split(b" ")[0], name_of(request)) for request in server.requests)
    for result in results:
        result["requests"] = requests[b"POST" if result["kind"] == "post" else b"GET", result["name"]]
    return {(result["kind"], result["name"]): result for result in results}


@pytest.mark.parametrize("name", POSTS)
def test_an_answer_to_a_post_that_means_harm_is_looked_up(attacked: dict[Any, dict[str, Any]], name: str) -> None:
    result = attacked["post", name]

    assert result["verdict"] == "look", result
    assert result["took_s"] < TIMEOUT_S + 2, result
    _bounded(result)


@pytest.mark.parametrize("name", LISTINGS)
def test_a_listing_that_means_harm_is_unreadable(attacked: dict[Any, dict[str, Any]], name: str) -> None:
    result = attacked["listing", name]

    assert not result["ok"], result
    assert result["took_s"] < STREAM_TIMES * TIMEOUT_S + 2, result
    assert ("raise api.timeout_s" in result["said"]) == (name in TO_THE_END_OF_TIME), result
    _bounded(result)


def _bounded(result: dict[str, Any]) -> None:
    assert result["requests"] == 1, result
    assert result["grew_mb"] < MEMORY_LIMIT_MB, result
    assert result["held_s"] < CPU_LIMIT_S, result


# --- what is sound stays readable ---


def listed(*parts: bytes) -> int:
    """How many connections are read from a listing that comes in these parts."""

    async def come() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    found: list[Connection] = []
    assert asyncio.run(read_listing(come(), found.extend)) == len(found)
    return len(found)


def test_connections_of_the_shortest_kind_are_read_however_many_come_at_once() -> None:
    """Of all that is sound they have the most brackets to a byte."""
    shortest = b'{"id":"c","group":{},"consumer":{}}'

    assert listed(b"[" + b",".join([shortest] * 50_000) + b"]") == 50_000


def test_a_long_connection_is_read_and_an_endless_one_is_not() -> None:
    metadata = {f"name-{number}": {"value": "x" * 300} for number in range(OPEN_LIMIT // 2)}
    long = json.dumps([{"id": "c-1", "providerMetadata": metadata}]).encode()

    assert listed(long) == 1
    with pytest.raises(Unreadable):
        listed(b'[{"id": "', b"x" * ELEMENT_LIMIT, b'"}]')
    with pytest.raises(Unreadable):
        listed(b'[{"id": "c-1", "a": ', b"[" * OPEN_LIMIT, b"]" * OPEN_LIMIT, b"}]")
