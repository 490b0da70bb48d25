"""A server that only answers: `python -m benchmarks.bare_server CERTIFICATE LATENCY_MS` prints its address.

TLS, a process of its own, and as little work as an answer needs: it takes the second core of a small machine, and
what is measured is the client. It checks nothing and keeps nothing but the time of each answer.
"""

import asyncio
import json
import ssl
import sys
import uuid

from aiohttp import web

_PROVIDERS = {
    "salesforce": {
        "name": "salesforce",
        "authType": "oauth2",
        "oauth2Opts": {"grantType": "authorizationCodePKCE"},
        "baseURL": "https://{{.workspace}}.my.salesforce.com",
        "metadata": {"input": [{"name": "workspace"}]},
    }
}
_FILLER = "x" * 400

_LATE_S = 0.0005
"""By how much a timer is late on average: epoll waits for whole milliseconds, and asyncio rounds up (a server that was
to wait for 100 ms waited for 100.9)."""


def _connection(raw: bytes) -> bytes:
    """About 1 KB, with the refs that were sent, as the API answers a post."""
    sent = json.loads(raw)
    about = {"projectId": "benchmark", "createTime": "2030-01-31T12:00:00Z", "updateTime": "2030-01-31T12:00:00Z"}
    connection = about | {
        "id": str(uuid.uuid4()),
        "provider": sent["provider"],
        "group": {"groupRef": sent["groupRef"], "groupName": sent.get("groupName", "")} | about,
        "consumer": {"consumerRef": sent["consumerRef"], "consumerName": ""} | about,
        "status": "created",
        "authScheme": "oauth2/authorizationCode",
        "providerMetadata": sent.get("providerMetadata", {}),
        "filler": _FILLER,
    }
    return json.dumps(connection).encode()


async def serve(certificate: str, latency_s: float) -> None:
    """Answer until the process ends."""

    async def handle(request: web.BaseRequest) -> web.Response:
        if request.method == "POST":
            body = _connection(await request.read())
            if latency_s:
                await asyncio.sleep(latency_s - _LATE_S)
            return web.Response(status=201, body=body, content_type="application/json")
        if request.path.endswith("/providers"):
            return web.json_response(_PROVIDERS)
        if request.path.endswith("/provider-apps"):
            return web.json_response([{"id": "app-1", "provider": "salesforce", "clientId": "fake-client"}])
        return web.json_response([] if request.path.endswith("/connections") else {"id": "benchmark"})

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context, backlog=1_024)
    await site.start()
    print(f"https://localhost:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], float(sys.argv[2]) / 1_000))
