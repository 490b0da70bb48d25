"""Reads that come before any row: the project behind a name and a key, and the catalog of providers."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from importer.api.client import ConnectionsClient
from importer.api.models import Project
from importer.api.problems import Answer
from importer.errors import ApiRefused
from importer.existing import said_of
from importer.retry import REFUSES_THE_KEY, Backoff, Wait, until_done

T = TypeVar("T")


def refused(answer: Answer[object]) -> ApiRefused:
    """The one message for a key or a project that the API refuses."""
    if answer.status == 404:
        return ApiRefused(
            "the project is not there (404)", hint="Check --project, and that the key belongs to that project."
        )
    return ApiRefused(
        f"the API key is refused ({answer.status})",
        hint="Set AMP_API_KEY to a full, active key of this project, then run again: every row is where it was.",
    )


async def find_project(client: ConnectionsClient, backoff: Backoff) -> Project:
    """One cheap read of the project, tried again while the API does not answer. Raises ApiRefused."""
    return await _read(client.project, backoff, client.pacer.rest)


async def fetch_catalog(client: ConnectionsClient, backoff: Backoff) -> dict[str, Any]:
    """The catalog of providers as the API gives it, tried again while it does not answer. Raises ApiRefused."""
    return await _read(client.providers, backoff, client.pacer.rest)


async def _read(
    ask_for: Callable[[], Awaitable[Answer[T]]], backoff: Backoff, rest: Callable[[float], Awaitable[None]]
) -> T:
    found: list[T] = []
    tries = 0

    async def ask() -> Wait | None:
        nonlocal tries
        answer = await ask_for()
        if answer.value is not None:
            found.append(answer.value)
            return None
        if answer.status in REFUSES_THE_KEY:
            raise refused(answer)
        tries += 1
        delay_s = backoff.delay_s(tries, answer.retry_after_s)
        if delay_s is None:
            raise ApiRefused(
                f"the API does not answer: {said_of(answer)}",
                hint="Check --api-url and the network, then run again. Nothing was sent.",
            )
        return Wait(delay_s)

    await until_done(ask, rest)
    return found[0]
