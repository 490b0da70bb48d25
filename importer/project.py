"""Reads that come before any row: the project behind a name and a key, its provider apps, the catalog of providers."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from importer.api.client import ConnectionsClient
from importer.api.models import Project
from importer.api.problems import Answer
from importer.catalog.apps import Apps
from importer.errors import ApiRefused
from importer.existing import said_of
from importer.retry import REFUSES_THE_KEY, Backoff, Wait, until_done

T = TypeVar("T")
Rest = Callable[[float], Awaitable[None]]
"""Waits for so many seconds, and no longer than until the run stops."""


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


async def find_apps(client: ConnectionsClient, backoff: Backoff) -> tuple[Apps | None, str]:
    """The project's provider apps; None, and why, where they cannot be had: not every key may see them.

    Raises ApiRefused where the key is refused, or the run is to stop.
    """
    answer = await ask_patiently(client.provider_apps, backoff, client.pacer.rest)
    if answer.value is not None:
        return Apps(answer.value), ""
    if answer.status == 401:
        raise refused(answer)
    return None, said_of(answer)


async def _read(ask_for: Callable[[], Awaitable[Answer[T]]], backoff: Backoff, rest: Rest) -> T:
    answer = await ask_patiently(ask_for, backoff, rest)
    if answer.value is not None:
        return answer.value
    if answer.status in REFUSES_THE_KEY:
        raise refused(answer)
    raise ApiRefused(
        f"the API does not answer: {said_of(answer)}",
        hint="Check --api-url and the network, then run again. Nothing was sent.",
    )


async def ask_patiently(ask_for: Callable[[], Awaitable[Answer[T]]], backoff: Backoff, rest: Rest) -> Answer[T]:
    """The answer to a read, tried again while there is none; the last one where there never is."""
    answers: list[Answer[T]] = []

    async def ask() -> Wait | None:
        answer = await ask_for()
        answers.append(answer)
        if answer.value is not None or answer.status in REFUSES_THE_KEY or answer.redirected:
            return None
        delay_s = backoff.delay_s(len(answers), answer.retry_after_s)
        return None if delay_s is None else Wait(delay_s)

    await until_done(ask, rest)
    return answers[-1]
