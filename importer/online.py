"""What a look at the platform came to before anything is sent, as a value: for the plan's screen and for its JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

_WITH_THOSE_THERE = {
    "adopt": "to be adopted",
    "fail": "refused",
    "update": "to be updated, as far as the API can",
}
"""`policy.existing` -> what becomes of rows that are there already."""


@dataclass(frozen=True, slots=True)
class PreflightSummary:
    """What the online checks of a plan found; numbers are rows, by provider.

    `with_app` are the providers of rows to send that have a provider app, None where the apps could not be read.
    `to_post` rows were looked for in the project, and `there` are those that it has already.
    """

    project: str
    project_id: str
    with_app: Sequence[str] | None
    without_app: Mapping[str, int]
    other_client: Mapping[str, int]
    to_post: int
    there: Mapping[str, int]
    existing: Literal["adopt", "fail", "update"]

    def lines(self) -> list[str]:
        """The same in words, a line for each fact."""
        lines = [f"key and project are right ({self.project})"]
        if self.with_app:
            lines.append(f"provider apps are there for {', '.join(self.with_app)}")
        lines += [
            f"{provider}: {_rows(rows)}, and the project has no provider app for it"
            for provider, rows in self.without_app.items()
        ]
        lines += [
            f"{provider}: {_rows(rows)} with tokens of another client id than its provider app has"
            for provider, rows in self.other_client.items()
        ]
        if self.to_post:
            lines.append(self._of_those_there())
        return lines

    def _of_those_there(self) -> str:
        found = sum(self.there.values())
        looked_for = f"{_rows(self.to_post)} to post"
        if not found:
            return f"none of {looked_for} is there already"
        are = "is" if found == 1 else "are"
        return f"{found:,} of {looked_for} {are} there already, {_WITH_THOSE_THERE[self.existing]} (policy.existing)"

    def as_json(self) -> dict[str, Any]:
        """The same as one object."""
        return {
            "project_id": self.project_id,
            "apps_checked": self.with_app is not None,
            "with_app": list(self.with_app or ()),
            "without_app": dict(self.without_app),
            "other_client": dict(self.other_client),
            "to_post": self.to_post,
            "there_already": dict(self.there),
            "policy_existing": self.existing,
        }


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"
