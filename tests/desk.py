"""The operator's desk: the command line as a process of its own, and rows to import."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    exit_code: int
    out: str
    err: str


def write_csv(path: Path, rows: Sequence[dict[str, str]]) -> Path:
    """A CSV with the columns that any of the rows has."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def read_csv(path: Path) -> list[dict[str, str]]:
    """The lines of a report."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def token_row(n: int, **more: str) -> dict[str, str]:
    """A sound row with OAuth tokens; its number is in each of its values."""
    return {
        "provider": "hubspot", "group_ref": f"g{n}", "consumer_ref": f"u{n}", "access_token": f"fake-access-{n}",
        "refresh_token": f"fake-refresh-{n}", **more,
    }  # fmt: skip


def key_row(n: int, **more: str) -> dict[str, str]:
    """A sound row with an API key, which the API can replace."""
    return {"provider": "stripe", "group_ref": f"g{n}", "consumer_ref": f"u{n}", "api_key": f"fake-key-{n}", **more}
