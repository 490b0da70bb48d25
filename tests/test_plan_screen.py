"""What `importer plan` shows: one screen, and all of it with --json."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from desk import Ended, key_row, token_row, write_csv

from importer.sandbox import Sandbox

Importer = Callable[..., Ended]


def ends_in(**span: float) -> dict[str, str]:
    return {"access_token_expires_at": (datetime.now(UTC) + timedelta(**span)).isoformat()}


def as_json(ended: Ended) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ended.out.splitlines()[-1])
    return found


@pytest.fixture
def mixed(home: Path) -> Path:
    """Rows of two providers and two auth schemes, with tokens that are dead, that die tonight and that live."""
    slack = {"provider": "slack"}
    rows = [
        token_row(1, **ends_in(hours=-1)),
        token_row(2, **ends_in(hours=23)),
        token_row(3, **ends_in(hours=25)),
        token_row(4, refresh_token="", **ends_in(hours=-1)),
        token_row(5, **slack, refresh_token=""),
        key_row(6),
        key_row(7),
        key_row(8, api_key=""),
    ]
    return write_csv(home / "rows.csv", rows)


def test_rows_are_counted_by_provider_and_auth_scheme_and_their_tokens_by_how_long_they_live(
    mixed: Path, importer: Importer
) -> None:
    providers = as_json(importer("plan", mixed.name, "--json"))["providers"]

    assert providers["hubspot"]["schemes"]["oauth2/authorizationCode"] == {
        "rows": 4, "to_send": 4, "expired": 2, "expire_soon": 1, "without_refresh_token": 1,
    }  # fmt: skip
    assert providers["slack"]["without_refresh_token"] == 1
    assert providers["stripe"]["rows"] == 3
    assert providers["stripe"]["to_send"] == providers["stripe"]["schemes"]["apiKey"]["rows"] == 2


def test_the_screen_says_it_in_a_line_for_each(mixed: Path, importer: Importer) -> None:
    lines = [line.split("  ") for line in importer("plan", mixed.name).out.splitlines()]

    said = {words[1]: words[-1].strip() for words in lines if len(words) > 2}
    assert said["hubspot oauth2/authorizationCode"] == (
        "4 rows, access tokens: 2 expired, 1 expire within a day, 1 without refresh token"
    )
    assert said["stripe apiKey"] == "2 rows"


def test_of_rows_that_are_done_nobody_says_that_their_tokens_are_old(
    mixed: Path, sandbox: Sandbox, importer: Importer
) -> None:
    """The platform has refreshed them since: what the file says of them is history."""
    assert importer("run", mixed.name).exit_code == 3

    assert as_json(importer("plan", mixed.name, "--json"))["providers"]["hubspot"]["expired"] == 0


def test_a_column_of_a_hundred_names_does_not_fill_the_screen(home: Path, importer: Importer) -> None:
    write_csv(home / "rows.csv", [key_row(n, provider=f"acme{n:02}") for n in range(100)])

    out = importer("plan", "rows.csv").out

    assert "and 92 more, with 92 rows" in out
    assert len(out.splitlines()) < 40
