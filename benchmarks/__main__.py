"""Print the table: `python -m benchmarks [NAME…]`; without a name, all of them."""

import importlib.metadata
import os
import platform
import sys
from datetime import UTC, datetime

from benchmarks import listing, memory, million, nightly, pacing, planning, start, throughput

ALL = {
    "start": start.lines,
    "memory": memory.lines,
    "million": million.lines,
    "nightly": nightly.lines,
    "listing": listing.lines,
    "planning": planning.lines,
    "pacing": pacing.lines,
    "throughput": throughput.lines,
}


def main(names: list[str]) -> None:
    """Measure and print."""
    packages = ("pandas", "pyarrow", "httpx", "aiohttp", "pydantic")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    machine = f"{platform.system()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(f"{datetime.now(UTC):%Y-%m-%d}, {machine}; {versions}\n")
    print("| what | figure | beside it |\n|---|---|---|")
    for name in names or ALL:
        for line in ALL[name]():
            print(line, flush=True)


main(sys.argv[1:])
