"""Is the pace kept, and is it used: a fixed rate, and a limit nobody published, as a server counts them."""

import asyncio
import json
import subprocess
import sys
import urllib.request
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from benchmarks.limited import LATENCY_S
from importer.api.client import ConnectionsClient
from importer.api.wire import Body
from importer.clock import Clock
from importer.errors import ImporterError
from importer.pace import rate_policy
from importer.pacing import Pacer, Patience

RATES = (50, 200, 1000)
FIXED_S = 30
LIMITS = (120, 40, 120)
LIMIT_S = 60
WORKERS = 64
BODY = Body(b'{"connection":{"groupRef":"customer","consumerRef":"user"}}')

Came = Sequence[tuple[float, bool]]
"""When each request came to the server, in seconds, and whether it was accepted."""


@contextmanager
def server(retry_after: str = "") -> Iterator[str]:
    """The bare server in a process of its own, and its address."""
    words = [sys.executable, "-m", "benchmarks.limited", retry_after]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.terminate()
        process.wait()


def limit(url: str, rate: float) -> tuple[float, Came]:
    """Set the server's limit; when that was, and what came before."""
    with urllib.request.urlopen(f"{url}/limit/{rate}", data=b"") as answer:  # noqa: S310 - ours
        said = json.load(answer)
    return said["now"], said["came"]


async def send(url: str, rate: float | str, limits: Sequence[float], seconds: float) -> list[tuple[float, Came]]:
    """Post as fast as the pacer lets it; for each limit, when it began and what came while it held."""
    pacer = Pacer(rate_policy(rate), Patience(), Clock())
    client = ConnectionsClient(url, "p", None, pacer=pacer, clock=Clock(), workers=WORKERS, timeout_s=30.0)

    async def work() -> None:
        with suppress(ImporterError):
            while True:
                await client.generate(BODY)

    spans: list[tuple[float, Came]] = []
    async with client:
        await client.project()  # as every run begins: it makes the first connection
        began, _ = limit(url, limits[0])
        workers = [asyncio.create_task(work()) for _ in range(WORKERS)]
        for after in [*limits[1:], limits[-1]]:
            await asyncio.sleep(seconds)
            now, came = await asyncio.to_thread(limit, url, after)
            spans.append((began, came))
            began = now
        pacer.stop(ImporterError("enough"))
        await asyncio.gather(*workers)
    return spans


def fullest_second(times: Sequence[float]) -> int:
    """The most requests in any window of one second."""
    return max(bisect_left(times, at + 1.0) - n for n, at in enumerate(times))


def lines() -> Iterator[str]:
    """Three fixed rates, then the hidden limit without and with Retry-After."""
    yield from (_fixed(rate) for rate in RATES)
    yield from _auto("")
    yield from _auto("1")


def _fixed(rate: int) -> str:
    with server() as url:
        ((_, came),) = asyncio.run(send(url, rate, [0], FIXED_S))
    times = [at for at, _ in came]
    share = len(times) / (FIXED_S * rate)
    return (
        f"| `rate = {rate}` over {FIXED_S} s, {LATENCY_S * 1000:.0f} ms latency | {share:.1%} of it"
        f" | fullest second {fullest_second(times)}, bound {1.02 * rate + 1:.0f} |"
    )


def _auto(retry_after: str) -> list[str]:
    with server(retry_after) as url:
        spans = asyncio.run(send(url, "auto", LIMITS, LIMIT_S))
    name = f'`rate = "auto"`, {"Retry-After: 1" if retry_after else "no Retry-After"}'
    accepted = sum(ok for _, came in spans for _, ok in came)
    found = [f"| {name}: {LIMITS} a second, {LIMIT_S} s each | {accepted / sum(LIMITS) / LIMIT_S:.1%} of it | |"]
    for allowed, (began, came) in zip(LIMITS, spans, strict=True):
        times = [at - began for at, ok in came if ok]
        steady = [ok for at, ok in came if at - began >= 10]
        again = next((s for s in range(LIMIT_S - 1) if _rate(times, s) >= 0.9 * allowed), LIMIT_S)
        found.append(
            f"| {name}: at {allowed} | {len(times) / allowed / LIMIT_S:.1%} | 90 % after {again} s;"
            f" from 10 s on {steady.count(True) / allowed / (LIMIT_S - 10):.1%},"
            f" {steady.count(False) / len(steady):.2%} refused |"
        )
    return found


def _rate(times: Sequence[float], since_s: float) -> float:
    """Requests per second in the two seconds from then on."""
    return sum(since_s <= at < since_s + 2 for at in times) / 2
