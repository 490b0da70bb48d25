"""The endpoints: what each answers, and the gate before them (key, project, rate, fault)."""

import asyncio
import json
import math
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from aiohttp import web

from importer.sandbox import catalog, schema
from importer.sandbox.faults import Dice
from importer.sandbox.problems import ProblemError, issue, now
from importer.sandbox.store import Connection, Store
from importer.sandbox.traffic import Bucket, Traffic

_BATCH = 500
_REFUSING = {
    "500_before": (500, None),
    "500_after_commit": (500, None),
    "503_retryable": (503, True),
    "503_retryable_after_commit": (503, True),
    "401": (401, False),
    "403": (403, False),
    "422_retryable": (422, True),
}
"""Fault -> status and `retryable`. A 500 leaves it out: such a server does not know what it has done."""

Act = Callable[[web.Request, bytes], web.Response]


class Api:
    """One world: its project, its connections, and everything that is answered about them."""

    def __init__(self, project: str, api_key: str, dice: Dice, bucket: Bucket | None, retry_after: bool) -> None:
        self.project, self.project_id = project, str(uuid.uuid4())
        self.store, self.traffic = Store(), Traffic()
        self.latency_s, self.slow_s = 0.0, 0.0
        self.any_provider = False
        self._created, self.api_key, self._dice = now(), api_key, dice
        self.patches: list[dict[str, Any]] = []
        self._bucket, self._retry_after = bucket, retry_after
        self.provider_apps = [self.provider_app(provider) for provider in catalog.AUTH_CODE_PROVIDERS]

    def application(self) -> web.Application:
        """The routes, for an aiohttp runner."""
        app, project = web.Application(), "/v1/projects/{project}"
        connection = f"{project}/connections/{{id}}"
        add = app.router.add_route
        add("POST", f"{project}/connections:generate", self._gated("generate", self._generate))
        add("GET", f"{project}/connections", self._gated("list", self._list))
        add("GET", connection, self._gated("get", self._get))
        add("PATCH", connection, self._gated("patch", self._patch))
        add("DELETE", connection, self._gated("delete", self._delete))
        add("GET", f"{project}/provider-apps", self._gated("provider_apps", lambda *_: _json(self.provider_apps)))
        add("GET", project, self._gated("project", lambda *_: _json(self._about())))
        add("GET", "/v1/providers", self._gated("providers", lambda *_: _json(catalog.CATALOG)))
        add("GET", "/_sandbox/connections", self._show_connections)
        add("GET", "/_sandbox/stats", self._show_stats)
        add("*", "/{path:.*}", _not_found)
        return app

    def _gated(self, kind: str, act: Act) -> Callable[[web.Request], Any]:
        """`act` behind the gate, counted."""

        async def handle(request: web.Request) -> web.StreamResponse:
            raw = await request.read()
            self.traffic.arrived(kind)
            if self.latency_s:
                await asyncio.sleep(self.latency_s)
            fault = None
            try:
                self._admit(kind, request)
                fault = self._dice.roll(kind)
                response = await self._meet(fault, request, raw, act) if fault else act(request, raw)
            except ProblemError as refused:
                response = refused.response()
            gone = request.transport is None or request.transport.is_closing()
            self.traffic.answered(0 if gone else response.status, fault)
            return response

        return handle

    def _admit(self, kind: str, request: web.Request) -> None:
        """Refuse who has no key, asks for another project, or comes too often. The catalog is open to all."""
        if kind != "providers" and request.headers.get("X-Api-Key") != self.api_key:
            raise ProblemError(401, "The API key is missing or wrong.", remedy="Send it in the header X-Api-Key.")
        if request.match_info.get("project", self.project) not in (self.project, self.project_id):
            raise ProblemError(404, "There is no such project.", remedy="Give the project's id or name.")
        wait_s = self._bucket.wait_s() if self._bucket else 0.0
        if wait_s:
            headers = {"Retry-After": str(max(1, math.ceil(wait_s)))} if self._retry_after else None
            raise ProblemError(429, "Too many requests.", retryable=True, headers=headers)

    async def _meet(self, fault: str, request: web.Request, raw: bytes, act: Act) -> web.Response:
        """The answer to a request that meets this fault. One that is refused anyway stays refused."""
        if fault == "echo_secret_422":
            raise _echo(raw)
        if fault == "429_wait":
            raise ProblemError(429, "Too many requests.", retryable=True, headers={"Retry-After": "3"})
        if fault == "slow":
            await asyncio.sleep(self.slow_s)
        # Those that commit, do so here; what follows only loses the answer.
        response = act(request, raw) if fault in ("slow", "bad_json") or fault.endswith("_after_commit") else None
        if fault in _REFUSING:
            status, retryable = _REFUSING[fault]
            raise ProblemError(status, "The sandbox was asked to fail here.", retryable=retryable)
        if fault.startswith("drop") and request.transport is not None:
            request.transport.abort()
        if fault == "html_502":
            return web.Response(status=502, text="<html><h1>502 Bad Gateway</h1></html>", content_type="text/html")
        if fault == "bad_json" and response is not None and isinstance(response.body, bytes):
            response.body = response.body[: len(response.body) // 2]
        return response or web.Response()

    def _generate(self, _request: web.Request, raw: bytes) -> web.Response:
        """Another connection, even if its refs have one already: the API promises no more (it documents neither)."""
        body = _checked(_parsed(raw), schema.generate_issues)
        provider = body["provider"]
        if provider in catalog.CATALOG:
            _refuse_if(catalog.issues(body))
        elif not self.any_provider:
            raise ProblemError(400, "Unknown provider.", issues=[issue("provider", "The catalog does not have it.")])
        connection = Connection(provider, body["groupRef"], body["consumerRef"], catalog.scheme_of(body), raw)
        self.store.add(connection)
        return _json(connection.shown(self.project_id, body, "apiKey", "accessToken", "refreshToken"), 201)

    def _list(self, request: web.Request, _raw: bytes) -> web.Response:
        """A bare array of what matches every filter."""
        wanted = [request.query.get(name) for name in ("provider", "groupRef", "consumerRef")]
        return _json_array(self.store.select(*wanted), lambda found: found.shown(self.project_id, found.current()))

    def _get(self, request: web.Request, _raw: bytes) -> web.Response:
        """One connection, refreshed and with tokens as asked for."""
        connection, query = self._found(request), request.query
        if query.get("refresh") in ("force", "ifExpired"):
            connection.refresh(force=query["refresh"] == "force")
        secrets = ["accessToken"] if "true" in (query.get("includeCreds"), query.get("includeRefreshToken")) else []
        if query.get("includeRefreshToken") == "true":
            secrets.append("refreshToken")
        return _json(connection.shown(self.project_id, connection.current(), *secrets))

    def _patch(self, request: web.Request, raw: bytes) -> web.Response:
        """Replace the masked fields; the others in `connection` are ignored."""
        connection = self._found(request)
        body = _parsed(raw)
        masks = body.get("updateMask") if isinstance(body, dict) else None
        if isinstance(masks, list) and any(mask not in schema.MASKS for mask in masks):
            remedy = f"updateMask takes {', '.join(schema.MASKS)}."
            raise ProblemError(400, "updateMask names a field that cannot be patched.", remedy=remedy)
        changes = _checked(body, schema.patch_issues)["connection"]
        self.patches.append(body)
        fitting = catalog.block_of(connection.scheme)
        issues = [issue(mask, "It is masked and not sent.") for mask in body["updateMask"] if mask not in changes]
        wrong = [mask for mask in body["updateMask"] if mask in schema.BLOCKS and mask != fitting]
        _refuse_if(issues + [issue(mask, f"The connection's auth scheme is {connection.scheme}.") for mask in wrong])
        connection.patch({mask: changes[mask] for mask in body["updateMask"]})
        return _json(connection.shown(self.project_id, connection.current()))

    def _delete(self, request: web.Request, _raw: bytes) -> web.Response:
        self.store.remove(self._found(request).id)
        return web.Response(status=204)

    def _found(self, request: web.Request) -> Connection:
        connection = self.store.get(request.match_info["id"])
        if connection is None:
            raise ProblemError(404, "There is no such connection.")
        return connection

    def _about(self) -> dict[str, Any]:
        names = {"id": self.project_id, "name": self.project, "appName": self.project}
        return {**names, "orgId": "sandbox-org", "createTime": self._created}

    def provider_app(self, provider: str, client_id: str | None = None) -> dict[str, Any]:
        """A provider app as GET provider-apps shows it."""
        names = {"id": f"app-{provider}", "provider": provider, "clientId": client_id or f"fake-client-{provider}"}
        return {**names, "projectId": self.project_id, "createTime": self._created}

    async def _show_connections(self, _request: web.Request) -> web.Response:
        return _json_array(self.store.select(), Connection.record)

    async def _show_stats(self, _request: web.Request) -> web.Response:
        seen = self.traffic.snapshot()
        counts = {"kinds": seen.kinds, "statuses": seen.statuses, "faults": seen.faults}
        return _json({**counts, "connections": len(self.store.select())})


async def _not_found(_request: web.Request) -> web.Response:
    return ProblemError(404, "There is no such endpoint, or it does not take this method.").response()


def _parsed(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ProblemError(400, "The body is not JSON.") from error


def _checked(body: Any, issues_of: Callable[[Any], list[dict[str, Any]]]) -> dict[str, Any]:
    try:
        _refuse_if(issues_of(body))
    except ValueError as error:  # such as a lone surrogate, which json takes and UTF-8 does not
        raise ProblemError(400, "The body is not valid Unicode.") from error
    return dict(body)


def _refuse_if(issues: list[dict[str, Any]]) -> None:
    if issues:
        raise ProblemError(
            422,
            "The body is not acceptable.",
            issues=issues,
            remedy="Correct the fields named here, and send it again.",
        )


def _echo(raw: bytes) -> ProblemError:
    """A refusal that quotes every credential in the body, as a careless server would."""
    body = _parsed(raw)
    body = body.get("connection", body) if isinstance(body, dict) else {}
    sent = {name: body[name] for name in schema.BLOCKS if name in body}
    quoted = [f"{name} was {json.dumps(value)}" for name, value in sent.items()]
    issues = [{**issue(name, f"{value} was refused"), "value": value} for name, value in sent.items()]
    return ProblemError(422, f"Refused: {'; '.join(quoted)}", issues=issues, causes=quoted)


def _json(content: Any, status: int = 200) -> web.Response:
    return web.Response(body=json.dumps(content).encode(), status=status, content_type="application/json")


def _json_array(connections: list[Connection], shown: Callable[[Connection], dict[str, Any]]) -> web.Response:
    """A JSON array, in pieces when it is long: 200,000 connections are neither one string nor one long silence."""
    if len(connections) <= _BATCH:
        return _json([shown(connection) for connection in connections])
    batches = (connections[start : start + _BATCH] for start in range(0, len(connections), _BATCH))
    return web.Response(body=_pieces(batches, shown), content_type="application/json")


async def _pieces(
    batches: Iterable[list[Connection]], shown: Callable[[Connection], dict[str, Any]]
) -> AsyncIterator[bytes]:
    separator = b"["
    for batch in batches:
        yield separator + ",".join(json.dumps(shown(connection)) for connection in batch).encode()
        separator = b","
        await asyncio.sleep(0)
    yield b"]"
