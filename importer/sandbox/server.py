"""`Sandbox`: starts and stops the local API, scripts it, and tells what came of it."""

import asyncio
import json
import signal
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager
from types import FrameType
from typing import Any, Self

from aiohttp import web

from importer.sandbox import catalog
from importer.sandbox.faults import Dice
from importer.sandbox.routes import Api
from importer.sandbox.store import Connection
from importer.sandbox.traffic import Bucket, Requests


class Sandbox(AbstractContextManager["Sandbox"]):
    """A local Ampersand API on 127.0.0.1, served from a thread of its own; use as a context manager.

    `rate` is in requests/s (None: no limit) and `burst` in requests (default: max(1, rate)); `faults` maps a name of
    `FAULTS` to its probability, 0 to 1. With `any_provider`, those that its small catalog lacks are taken too. Each
    start is a new world: a new project id and no connections. What was there stays readable after `stop`.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        rate: float | None = None,
        burst: int | None = None,
        retry_after: bool = True,
        latency_ms: float = 0.0,
        slow_s: float = 2.0,
        faults: Mapping[str, float] | None = None,
        seed: int = 0,
        project: str = "sandbox",
        api_key: str = "sandbox-key",
        any_provider: bool = False,
    ) -> None:
        self.project, self.api_key, self.url = project, api_key, ""
        self._port, self._rate, self._burst, self._retry_after = port, rate, burst, retry_after
        self._latency_s, self._slow_s = latency_ms / 1000, slow_s
        self._any_provider = any_provider
        self._dice = Dice(faults or {}, seed)
        self._removed: dict[str, Connection] = {}
        self._thread: threading.Thread | None = None
        self._api, self._served = self._new_api(), False

    def _new_api(self) -> Api:
        burst = self._burst if self._burst is not None else max(1, self._rate or 1)
        bucket = Bucket(self._rate, burst) if self._rate is not None else None
        api = Api(self.project, self.api_key, self._dice, bucket, self._retry_after)
        api.latency_s, api.slow_s = self._latency_s, self._slow_s
        api.any_provider = self._any_provider
        return api

    def start(self) -> None:
        """Listen; an occupied port raises OSError."""
        if self._thread is not None:
            raise RuntimeError("The sandbox is running already.")
        if self._served:
            self._api = self._new_api()
        listening: Future[int] = Future()
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(listening),), daemon=True)
        self._thread.start()
        try:
            self.url = f"http://127.0.0.1:{listening.result()}"
        except OSError:
            self._thread.join()
            self._thread = None
            raise
        self._served = True

    async def _serve(self, listening: "Future[int]") -> None:
        # Whoever still waits for a slow answer is cut off after shutdown_timeout, and what it asked for not done.
        runner = web.AppRunner(self._api.application(), access_log=None, shutdown_timeout=0.1)
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self._port, backlog=1024).start()
            listening.set_result(runner.addresses[0][1])
            await self._stopping.wait()
        except OSError as error:
            listening.set_exception(error)
        finally:
            await runner.cleanup()

    def stop(self) -> None:
        """Hang up on everybody and end the thread; harmless when it is not running."""
        if self._thread is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._thread = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    @property
    def running(self) -> bool:
        """Whether it listens."""
        return self._thread is not None

    @property
    def project_id(self) -> str:
        """A new one at each start."""
        return self._api.project_id

    def environment(self) -> dict[str, str]:
        """What to set for `importer` to talk to this sandbox."""
        return {"AMP_API_URL": self.url, "AMP_API_KEY": self.api_key, "AMP_PROJECT": self.project}

    def next(self, fault: str, times: int = 1, *, on: str = "generate") -> None:
        """Let the next `times` requests of the kind `on` meet this fault, or "none"; "read" is any GET."""
        self._dice.script(fault, times, on)

    def calm(self) -> None:
        """Forget the faults that were scripted and not met yet."""
        self._dice.forget()

    def revoke(self, api_key: str) -> None:
        """Accept this key from now on and no other."""
        self.api_key = self._api.api_key = api_key

    @property
    def requests(self) -> Requests:
        """What came in so far, by kind, status and fault, and when."""
        return self._api.traffic.snapshot()

    @property
    def provider_apps(self) -> list[dict[str, Any]]:
        """What GET provider-apps answers; one app for each auth-code provider unless set otherwise."""
        return self._api.provider_apps

    @provider_apps.setter
    def provider_apps(self, apps: list[dict[str, Any]]) -> None:
        self._api.provider_apps = apps

    def add_app(self, provider: str, client_id: str | None = None) -> None:
        """Somebody added a provider app; without `client_id`, with that of the apps it starts with."""
        self.provider_apps = [*self.provider_apps, self._api.provider_app(provider, client_id)]

    def remove_app(self, provider: str) -> None:
        """Somebody removed the provider app; KeyError if there is none."""
        left = [app for app in self.provider_apps if app["provider"] != provider]
        if len(left) == len(self.provider_apps):
            raise KeyError(provider)
        self.provider_apps = left

    def connections(
        self, group_ref: str | None = None, *, provider: str | None = None, consumer_ref: str | None = None
    ) -> list[dict[str, Any]]:
        """What exists now, oldest first: id, provider, groupRef, consumerRef, status, request as sent, current, …"""
        return [found.record() for found in self._api.store.select(provider, group_ref, consumer_ref)]

    def count(
        self, group_ref: str | None = None, *, provider: str | None = None, consumer_ref: str | None = None
    ) -> int:
        """How many of them."""
        return len(self._api.store.select(provider, group_ref, consumer_ref))

    def add_connection(self, provider: str, group_ref: str, consumer_ref: str, **body: Any) -> str:
        """Somebody connected by hand; `body` holds further fields of a generate body, unchecked. Returns the id."""
        sent = {"provider": provider, "groupRef": group_ref, "consumerRef": consumer_ref, **body}
        scheme = catalog.scheme(provider)
        connection = Connection(provider, group_ref, consumer_ref, scheme, json.dumps(sent).encode())
        self._api.store.add(connection)
        return connection.id

    def remove_connection(self, connection_id: str) -> None:
        """Somebody disconnected; KeyError if there is none."""
        connection = self._api.store.get(connection_id)
        if connection is None:
            raise KeyError(connection_id)
        self._removed[connection_id] = connection
        self._api.store.remove(connection_id)

    def put_back(self, connection_id: str) -> None:
        """It was never gone; KeyError unless it was removed here."""
        self._api.store.add(self._removed.pop(connection_id))

    def keep_group_refs(self, keep: Callable[[str], str]) -> None:
        """Have it change group refs where it keeps and looks for them, as a server that folds case does."""
        self._api.store.keep = keep

    def set_metadata(self, connection_id: str, metadata: dict[str, Any]) -> None:
        """The connector filled in values of its own, beside those that were sent; KeyError if there is none."""
        connection = self._api.store.get(connection_id)
        if connection is None:
            raise KeyError(connection_id)
        connection.patched["providerMetadata"] = connection.current().get("providerMetadata", {}) | metadata

    def patches(self) -> list[dict[str, Any]]:
        """The bodies of the PATCH requests that were carried out, in order."""
        return list(self._api.patches)

    def set_status(self, connection_id: str, status: str) -> None:
        """Make it `created`, `working` or `bad_credentials`; KeyError if there is none."""
        connection = self._api.store.get(connection_id)
        if connection is None:
            raise KeyError(connection_id)
        connection.status = status


def serve_forever(sandbox: Sandbox) -> None:
    """Block until SIGINT or SIGTERM, then stop it; starts it unless it runs. From the main thread only."""
    over = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        over.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        if not sandbox.running:
            sandbox.start()
        over.wait()
    finally:
        sandbox.stop()
        for number, handler in before.items():
            signal.signal(number, handler)
