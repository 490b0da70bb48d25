"""A bare server with a token bucket that keeps when each request came: `python -m benchmarks.limited RETRY_AFTER`."""

import asyncio
import sys
import time

from aiohttp import web

LATENCY_S = 0.02


class Limited:
    """At most `rate` requests/s and a burst of 20; with rate 0 there is no limit."""

    def __init__(self, retry_after: str) -> None:
        self.headers = {"Retry-After": retry_after} if retry_after else {}
        self.rate, self.burst, self.tokens, self.at = 0.0, 20.0, 20.0, time.monotonic()
        self.came: list[tuple[float, bool]] = []

    def allows(self) -> bool:
        """Whether a request that comes now is accepted."""
        now = time.monotonic()
        self.tokens, self.at = min(self.burst, self.tokens + (now - self.at) * self.rate), now
        allowed = not self.rate or self.tokens >= 1
        self.tokens -= allowed
        self.came.append((now, allowed))
        return allowed

    async def post(self, request: web.Request) -> web.Response:
        """Create nothing, after a while."""
        allowed = self.allows()
        await request.read()
        await asyncio.sleep(LATENCY_S)
        if not allowed:
            return web.json_response({"title": "too fast"}, status=429, headers=self.headers)
        return web.json_response({"id": "fake-connection"}, status=201)

    async def limit(self, request: web.Request) -> web.Response:
        """Another rate from now on; tells which requests came until now."""
        came, self.came = self.came, []
        now = time.monotonic()
        self.tokens, self.at = min(self.burst, self.tokens + (now - self.at) * self.rate), now
        self.rate = float(request.match_info["rate"])
        return web.json_response({"now": now, "came": came})


async def main(retry_after: str) -> None:
    """Serve until the process ends."""
    limited = Limited(retry_after)
    app = web.Application()
    app.router.add_post("/limit/{rate}", limited.limit)
    app.router.add_post("/{path:.*}", limited.post)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)  # type: ignore[union-attr]  # the port it was given
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else ""))
