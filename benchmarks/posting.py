"""What `throughput` runs in processes of their own: the bare loop, and the pipeline with its event loop watched.

`python -m benchmarks.posting bare ROWS WORKERS`, `… watched SOURCE WORKERS`, `… sending …`, `… httpx …`; where the
server is, the environment says, as for `importer`. Each prints one number.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from benchmarks.world import row, seconds_of_the_run

if TYPE_CHECKING:
    from importer.events import Listener

HEADERS = {"X-Api-Key": "fake-key", "Content-Type": "application/json", "Accept": "application/json"}


def bare(rows: int, workers: int) -> float:
    """Seconds for `rows` prebuilt bodies, posted by `workers` with `client.post` over `httpx-aiohttp`."""
    from httpx_aiohttp import AiohttpTransport

    url = f"{os.environ['AMP_API_URL']}/v1/projects/benchmark/connections:generate"
    bodies = [_body(number) for number in range(rows)]

    async def work(client: httpx.AsyncClient, left: Iterator[bytes]) -> None:
        for body in left:
            answer = await client.post(url, content=body, headers=HEADERS)
            assert answer.status_code == 201

    async def post_all() -> float:
        limits = httpx.Limits(max_connections=workers, max_keepalive_connections=workers)
        async with httpx.AsyncClient(transport=AiohttpTransport(limits=limits), timeout=30.0) as client:
            left = iter(bodies)
            started = time.perf_counter()
            await asyncio.gather(*(work(client, left) for _ in range(workers)))
            return time.perf_counter() - started

    return asyncio.run(post_all())


def _body(number: int) -> bytes:
    """What the pipeline makes of this row of `world.write_rows`."""
    cells = row(number)
    expires_at, scopes = cells["access_token_expires_at"], cells["scopes"].split()
    return json.dumps(
        {
            "provider": cells["provider"],
            "groupRef": cells["group_ref"],
            "groupName": cells["group_name"],
            "consumerRef": cells["consumer_ref"],
            "providerWorkspaceRef": cells["metadata.workspace"],
            "providerMetadata": {"workspace": {"value": cells["metadata.workspace"], "source": "input"}},
            "oauth2AuthorizationCode": {
                "accessToken": {"token": cells["access_token"], "expiresAt": expires_at},
                "refreshToken": {"token": cells["refresh_token"]},
                "scopes": scopes,
            },
        },
        separators=(",", ":"),
    ).encode()


def watched(source: str, workers: int) -> float:
    """The 99th percentile of the event loop's lag in seconds, while `importer run` sends at full speed.

    The lag is by how much a timer of 5 ms comes late.
    """
    from importer.events import Listener, Progress
    from importer.summary import PlanSummary

    late: list[float] = []
    every_s = 0.005

    class Watch(Listener):
        def planned(self, plan: PlanSummary) -> None:  # noqa: ARG002 - the protocol's
            """Sending begins: start the timer."""
            self._wait()

        sending = True

        def progress(self, progress: Progress) -> None:
            """All are sent: what follows are the reports, which keep nobody waiting."""
            self.sending = progress.finished < (progress.to_send or 0)

        def _wait(self) -> None:
            loop = asyncio.get_running_loop()
            due = loop.time() + every_s

            def note() -> None:
                if self.sending:
                    late.append(loop.time() - due)
                    self._wait()

            loop.call_at(due, note)

    _run(source, workers, Watch())
    return sorted(late)[int(len(late) * 0.99)]


def sending(source: str, workers: int) -> float:
    """Rows a second between the end of the plan and the last answer: what latency can slow down."""
    from importer.events import Listener, Progress
    from importer.summary import PlanSummary

    began = ended = 0.0
    rows = 0

    class Watch(Listener):
        def planned(self, plan: PlanSummary) -> None:
            """Sending begins."""
            nonlocal began, rows
            began, rows = time.perf_counter(), plan.to_send

        def progress(self, progress: Progress) -> None:
            """All are sent, or not yet."""
            nonlocal ended
            ended = time.perf_counter() if progress.finished == rows and not ended else ended

    _run(source, workers, Watch())
    return rows / (ended - began)


def over_httpx(source: str, workers: int) -> float:
    """Seconds of the pipeline over httpx's own transport."""
    from importer.api import client

    class Own(httpx.AsyncHTTPTransport):
        def __init__(self, *, connections: int, headers: Mapping[str, str], **_others: object) -> None:
            # as many connections as ours keeps: with its 20 kept ones it would open a new one for most requests
            super().__init__(limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections))
            self._common = headers

        async def warm(self, address: str, connections: int) -> None:
            """httpx opens a connection for a request only."""

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            length = len(request.read())
            request.headers.update({"Host": request.url.netloc.decode(), "Content-Length": str(length), **self._common})
            return await super().handle_async_request(request)

    client.AiohttpTransport = Own  # type: ignore[assignment,misc]  # stands in for it
    _run(source, workers)
    return seconds_of_the_run(Path.cwd())


def _run(source: str, workers: int, listener: "Listener | None" = None) -> None:
    """What the command line does, within this process."""
    import importer
    from importer import process

    process.spare_the_start()
    process.make_ready_to_send()
    flags = {"source__paths": (source,), "limits__rate": "unlimited", "limits__workers": workers}
    summary = importer.run(importer.load_config(None, os.environ, **flags), listener=listener)
    assert int(summary.exit_code) == 0, summary


if __name__ == "__main__":
    what, first, second = sys.argv[1:]
    if what == "bare":
        print(bare(int(first), int(second)))
    else:
        print({"watched": watched, "sending": sending, "httpx": over_httpx}[what](first, int(second)))
