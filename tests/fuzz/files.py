"""What no listing, ledger or file to look at may do. The messages of the reading process are no target: both ends are
ours, and what is sent is what the other targets give.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

from importer.api.listing import Unreadable, read_listing
from importer.api.models import Connection
from importer.config import Config, SourceConfig
from importer.errors import ImporterError
from importer.inspection import inspect
from importer.inspection.screen import screen
from importer.ledger import SqliteLedger
from importer.outcomes import State

from .held import choice

SUFFIXES = (".csv", ".json", ".jsonl", ".parquet", ".csv.gz", ".tsv")


def listing(content: bytes) -> None:
    """A listing gives connections, as many as it says, or is unreadable; in pieces it is what it is as a whole."""
    cut, content = choice(content, 256)

    async def read(size: int) -> list[Connection] | None:
        async def parts() -> AsyncIterator[bytes]:
            for start in range(0, len(content), size):
                yield content[start : start + size]

        found: list[Connection] = []
        try:
            count = await read_listing(parts(), found.extend)
        except Unreadable:
            return None
        assert count == len(found)
        return found

    assert asyncio.run(read(len(content) + 1)) == asyncio.run(read(cut + 1))


def a_ledger() -> bytes:
    """The bytes of a new one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ledger.db")
        SqliteLedger(path).close()
        return path.read_bytes()


def ledger(content: bytes) -> None:
    """A damaged ledger is told in one line, or still is one; it is not written over."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ledger.db")
        path.write_bytes(content)
        said = ""
        try:
            with closing(SqliteLedger(path, read_only=True)) as opened:
                _ = opened.counts(), opened.runs(), list(opened.in_state([State.CREATED]))
        except ImporterError as error:
            said = str(error)
        assert "\n" not in said
        assert path.read_bytes() == content


def looked_at(content: bytes) -> None:
    """A file of any kind can be looked at, and what is proposed can be shown; or one line says why not."""
    kind, content = choice(content, len(SUFFIXES))
    with tempfile.TemporaryDirectory() as folder:
        name = f"rows{SUFFIXES[kind]}"
        Path(folder, name).write_bytes(content)
        config = Config(base=Path(folder), source=SourceConfig(paths=(name,)))
        said = ""
        try:
            "".join(screen(inspect(config), ["importer", "plan"])).encode()
        except ImporterError as error:
            said = str(error)
        assert "\n" not in said
