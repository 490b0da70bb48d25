"""The API key shows its length wherever it is printed, and nothing that lasts in the client holds it elsewhere."""

import asyncio
import copy
import gc
import json
import logging
import pickle
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any

import pytest

from importer.api.client import ConnectionsClient
from importer.api.key import ApiKey
from importer.clock import Clock
from importer.pace import UNLIMITED, FixedRate
from importer.pacing import Pacer, Patience
from importer.sandbox import Sandbox

KEY = "fake-api-key-of-28-characters"
SHOWN = "API key of 29 characters"


def test_a_key_shows_its_length() -> None:
    key = ApiKey(KEY)

    assert [repr(key), str(key), f"{key}", "%s" % key, f"{[key]}"] == [SHOWN] * 4 + [f"[{SHOWN}]"]  # noqa: UP031 - every way to format
    assert logging.LogRecord("x", 10, "", 1, "%s %r", (key, key), None).getMessage() == f"{SHOWN} {SHOWN}"
    assert key.reveal() == KEY


@pytest.mark.parametrize(
    "use",
    [
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
        json.dumps,
        list,
        len,
        vars,
        lambda key: key[0],
        lambda key: key + "",
        lambda key: "".join(key),
        lambda key: f"{key:>40}",
        lambda key: key.__getstate__(),
        lambda key: key.__reduce__(),
    ],
)
def test_a_key_is_no_text_and_is_not_taken_along(use: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError) as caught:
        use(ApiKey(KEY))
    assert KEY not in str(caught.value)


def test_nothing_that_lasts_in_the_client_shows_the_key(sandbox: Sandbox) -> None:
    """Each object that can be reached from a client which has been used is printed; only `ApiKey` itself holds it."""

    async def reached() -> list[str]:
        pacer = Pacer(FixedRate(UNLIMITED), Patience(), Clock())
        async with ConnectionsClient(
            sandbox.url, sandbox.project, ApiKey(sandbox.api_key),
            pacer=pacer, clock=Clock(), workers=2, timeout_s=5.0,
        ) as client:  # fmt: skip
            assert (await client.project()).status == 200
            assert (await client.listing(lambda _part: None)).status == 200
            gc.collect()
            return [shown for shown in map(repr, everything_from(client)) if sandbox.api_key in shown]

    assert asyncio.run(reached()) == []


def test_no_library_below_the_client_logs_the_key(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """With all that aiohttp, httpx and asyncio have to say: a request's own headers are not in it."""

    async def ask() -> None:
        pacer = Pacer(FixedRate(UNLIMITED), Patience(), Clock())
        for root in (sandbox.url, "http://127.0.0.1:9"):
            async with ConnectionsClient(
                root, "p", ApiKey(sandbox.api_key), pacer=pacer, clock=Clock(), workers=2, timeout_s=5.0
            ) as client:
                await client.project()

    with caplog.at_level(logging.DEBUG):
        asyncio.run(ask(), debug=True)

    assert "asyncio" in {record.name for record in caplog.records}
    assert sandbox.api_key not in caplog.text


def everything_from(start: object) -> list[object]:
    """What can be reached from an object, but for code, the loop that runs this test, and what a key holds."""
    found: dict[int, object] = {}
    waiting = [start]
    passed_by = (ApiKey, ModuleType, FunctionType, type, asyncio.AbstractEventLoop, asyncio.Task)
    while waiting:
        thing = waiting.pop()
        if id(thing) not in found:
            found[id(thing)] = thing
            if not isinstance(thing, passed_by):
                waiting += gc.get_referents(thing)
    return list(found.values())
