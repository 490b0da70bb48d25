"""Print the table: `python -m benchmarks [NAME…]`; without a name, all of them."""

import importlib.metadata
import os
import platform
import sys
from datetime import UTC, datetime

from benchmarks import memory

ALL = {"memory": memory.lines}


def main(names: list[str]) -> None:
    """Measure and print."""
    packages = ("pandas", "pyarrow", "httpx", "aiohttp", "pydantic")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}; {versions}\n"
    )
    print("| what | figure | beside it |\n|---|---|---|")
    for name in names or ALL:
        for line in ALL[name]():
            print(line, flush=True)


main(sys.argv[1:])
