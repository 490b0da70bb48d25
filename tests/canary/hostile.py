"""A server that gives back what it hears: in front of the sandbox, it spoils each answer in another way."""

import asyncio
import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from typing import Any
from urllib.parse import quote

from aiohttp import ClientSession, web

from importer.sandbox import Sandbox


class Hostile:
    """Forwards to a sandbox, and echoes in each kind of answer in turn. `used` counts the kinds that were given."""

    def __init__(self, box: Sandbox) -> None:
        self._box = box
        self.used: dict[str, int] = {}
        self.heard: list[str] = []
        self.spoils_reads = False
        self._writes = cycle(_WRITES.items())
        self._reads = cycle(_READS.items())
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        raw = await request.read()
        if request.method == "POST":
            self.heard.append(raw.decode())
            del self.heard[:-50]
        if request.method != "GET":
            name, answer = next(self._writes)
        elif self.spoils_reads:
            name, answer = next(self._reads)
        else:
            name, answer = "honest", None
        self.used[name] = self.used.get(name, 0) + 1
        if answer is None:
            return await self._forward(request, raw)
        heard = self.heard[0] if request.method == "GET" and self.heard else raw.decode()
        return answer(Echo(request, heard, self.heard))

    async def _forward(self, request: web.Request, raw: bytes) -> web.Response:
        headers = {name: request.headers[name] for name in ("X-Api-Key", "Content-Type") if name in request.headers}
        async with (
            ClientSession() as session,
            session.request(
                request.method, self._box.url + request.path_qs, data=raw or None, headers=headers
            ) as answer,
        ):
            said = {"X-Request-Id": request.headers.get("X-Api-Key", "")}
            body = await answer.read()
            return web.Response(status=answer.status, body=body, content_type="application/json", headers=said)


class Echo:
    """What a server has to give back: the body, the request as a whole, a credential of the row, and another's."""

    def __init__(self, request: web.Request, body: str, heard: list[str]) -> None:
        self.body, self.heard, self.path = body, heard, request.path
        self.whole = f"{request.method} {request.path_qs} {dict(request.headers)} {body}"
        self.key = request.headers.get("X-Api-Key", "")
        self.secrets = sorted(_credentials(_fields(body))) or ["none"]
        others = [text for one in heard for text in _credentials(_fields(one))]
        self.others = [text for text in others if text not in self.secrets] or ["none"]

    @staticmethod
    def of_body(body: str) -> tuple[str, str]:
        """A body, and one credential of it."""
        return body, next(iter(sorted(_credentials(_fields(body)))), "none")

    @property
    def secret(self) -> str:
        """One credential of the row."""
        return self.secrets[0]


def _fields(body: str) -> dict[str, Any]:
    """What a body says of a connection: the whole of a POST, a part of a PATCH."""
    document = json.loads(body or "{}")
    fields: dict[str, Any] = document.get("connection", document)
    return fields


def _credentials(fields: Any) -> Iterator[str]:
    """The texts of a body that are canaries."""
    if isinstance(fields, dict):
        for name, value in fields.items():
            if name not in _OPEN:
                yield from _credentials(value)
    elif isinstance(fields, str):
        yield fields


_OPEN = {"provider", "groupRef", "consumerRef", "groupName", "consumerName", "providerWorkspaceRef", "expiresAt",
         "issuedAt", "scopes", "username", "clientId", "providerMetadata"}  # fmt: skip
"""Names of fields in which the rows here have no canary."""


def _problem(status: int, **members: Any) -> web.Response:
    return web.json_response(members, status=status, content_type="application/problem+json")


def _in_issues(echo: Echo) -> web.Response:
    issues = [{"name": text, "value": text, "detail": text, "causes": [text], "title": text} for text in echo.secrets]
    return _problem(422, title=echo.secret, detail=echo.body, causes=[*echo.secrets, echo.whole], issues=issues)


def _in_a_problem(echo: Echo) -> web.Response:
    return _problem(
        400, title=echo.whole, remedy=echo.body, requestId=echo.secret, instance=echo.whole, type=echo.secret
    )


def _encoded(echo: Echo) -> web.Response:
    raw = echo.secret.encode()
    issues = [
        {"name": "field", "detail": f"got {form} there"}
        for form in (
            base64.b64encode(raw).decode(), base64.urlsafe_b64encode(b"ab" + raw).decode(), raw.hex(),
            raw.hex().upper(), quote(raw), json.dumps(json.dumps(echo.secret)), echo.secret.upper(),
            echo.secret[:12], echo.secret[-12:], echo.secret[4:13],
        )
    ]  # fmt: skip
    return _problem(422, detail="not valid", issues=issues)


def _of_others(echo: Echo) -> web.Response:
    """A server that confuses two rows, and names another customer's token."""
    return _problem(422, detail=f"the value {echo.others[0]} is not valid", remedy=f"remove {echo.others[-1]}")


def _in_headers(echo: Echo) -> web.Response:
    said = quote(echo.secret)
    return web.Response(
        status=500, text=echo.whole, headers={"X-Request-Id": said, "Retry-After": said, "Date": said, "Server": said}
    )


def _throttled(echo: Echo) -> web.Response:
    document = {"detail": echo.body, "retryAfter": echo.secret, "retryable": True}
    return web.json_response(document, status=429, headers={"Retry-After": quote(echo.secret)})


def _connection_of_credentials(echo: Echo) -> dict[str, Any]:
    said = echo.secret
    return {
        "id": said, "provider": said, "status": said, "group": {"ref": said, "name": said},
        "consumer": {"ref": said, "name": said}, "providerMetadata": {said: {"value": said, "source": "input"}},
        "projectId": said, "createTime": said,
    }  # fmt: skip


def _under_right_refs(body: str, said: str) -> dict[str, Any]:
    """A connection that a body asked for, as it should be but for what the server says of itself."""
    sent = _fields(body)
    return {
        "id": said, "provider": sent.get("provider", ""), "status": said, "authScheme": said, "createTime": said,
        "group": {"groupRef": sent.get("groupRef", "")}, "consumer": {"consumerRef": sent.get("consumerRef", "")},
    }  # fmt: skip


def _created(of: Callable[[Echo], str]) -> Callable[[Echo], web.Response]:
    return lambda echo: web.json_response(_under_right_refs(echo.body, of(echo)), status=201)


def _ids(of: Callable[[Echo], str]) -> Callable[[Echo], web.Response]:
    """Every kind of thing that can be read, with a credential for its id and wherever else a word is wanted."""

    def answer(echo: Echo) -> web.Response:
        said = of(echo)
        if echo.path.endswith("/connections"):
            heard = [Echo.of_body(body) for body in echo.heard]
            return web.json_response([_under_right_refs(body, said or secret) for body, secret in heard])
        if echo.path.endswith("/provider-apps"):
            return web.json_response([{"id": said, "provider": "hubspot", "clientId": said}])
        if echo.path.endswith("/providers"):
            return web.json_response({"hubspot": {"name": said, "authType": said, "displayName": said}})
        return web.json_response({"id": said, "name": said, "status": said, "provider": said})

    return answer


def _listing(echo: Echo) -> web.Response:
    return web.json_response([_connection_of_credentials(echo)] * 3)


_WRITES: dict[str, Callable[[Echo], web.Response] | None] = {
    "issues": _in_issues,
    "honest": None,
    "problem": _in_a_problem,
    "encoded": _encoded,
    "others": _of_others,
    "html": lambda echo: web.Response(status=502, text=f"<pre>{echo.whole}</pre>", content_type="text/html"),
    "broken json": lambda echo: web.Response(status=422, text='{"detail": "' + echo.body),
    "created, broken": lambda echo: web.Response(status=201, text='{"id": "' + echo.secret),
    "created, echoed": lambda echo: web.json_response(_connection_of_credentials(echo), status=201),
    "created, id": _created(lambda echo: echo.secret),
    "created, piece": _created(lambda echo: f"conn-{echo.secret[4:13]}"),
    "created, base64": _created(lambda echo: base64.b64encode(echo.secret.encode()).decode()[:190]),
    "created, key": _created(lambda echo: echo.key),
    "redirect": lambda echo: web.Response(
        status=307, headers={"Location": f"http://127.0.0.2:9/{quote(echo.secret)}"}, text=echo.whole
    ),
    "500": lambda echo: web.Response(status=500, text=echo.whole),
    "500 problem": lambda echo: _problem(500, detail=echo.whole, retryable=False),
    "throttled": _throttled,
    "headers": _in_headers,
    "refused, nested": lambda echo: _problem(409, detail=json.dumps({"request": echo.whole}), causes=echo.secret),
}
_READS: dict[str, Callable[[Echo], web.Response] | None] = {
    "read, honest": None,
    "read, listing": _listing,
    "read, ids": _ids(lambda _: ""),
    "read, key": _ids(lambda echo: echo.key),
    "read, problem": _in_a_problem,
    "read, broken": lambda echo: web.Response(text='[{"id": "' + echo.body),
    "read, 500": lambda echo: web.Response(status=500, text=echo.whole),
    "read, redirect": lambda echo: web.Response(
        status=302, headers={"Location": f"//127.0.0.2:9/{quote(echo.secret)}"}
    ),
}
KINDS = frozenset(_WRITES) | frozenset(_READS)


@contextmanager
def hostile_server(box: Sandbox) -> Iterator[Hostile]:
    """The server on a port of 127.0.0.1, from a thread of its own."""
    hostile, ready = Hostile(box), threading.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", hostile.handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        hostile.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        ready.set()
        await stopping.wait()
        await runner.cleanup()

    stopping = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    ready.wait(10)
    try:
        yield hostile
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(10)
        loop.close()
