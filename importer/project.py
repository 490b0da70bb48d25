"""The project behind a name and a key: whether they are right, and the id that entries are kept under."""

from importer.api.client import ConnectionsClient
from importer.api.models import Project
from importer.api.problems import Answer
from importer.clock import Clock
from importer.errors import ApiRefused
from importer.existing import said_of
from importer.retry import REFUSES_THE_KEY, Backoff, Wait, until_done


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


async def find_project(client: ConnectionsClient, backoff: Backoff, clock: Clock) -> Project:
    """One cheap read of the project, tried again while the API does not answer. Raises ApiRefused."""
    found: Project | None = None
    tries = 0

    async def ask() -> Wait | None:
        nonlocal found, tries
        answer = await client.project()
        if answer.value:
            found = answer.value
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

    await until_done(ask, clock.sleep)
    assert found is not None  # noqa: S101 - the loop ends with one or raises
    return found
