"""A project with many connections: the listing before the first post is a stream, and memory does not follow it."""

import tempfile
from pathlib import Path

from benchmarks.world import measure, sandbox, write_rows

THERE = 200_000
BOUND_MIB = 300
FLAGS = ["--rate", "unlimited", "--quiet"]


def lines() -> list[str]:
    """Peak memory and time of a run of ten rows of a provider that has THERE connections."""
    with tempfile.TemporaryDirectory() as name, sandbox(THERE) as environment:
        folder = Path(name)
        write_rows(folder / "rows.csv", 10)
        run = measure(["run", "rows.csv", *FLAGS], environment, folder)
        assert run.exit_code == 0, f"the run ended with {run.exit_code}"
    what = f"`run` of 10 rows beside {THERE:,} connections of their provider: peak memory"
    return [f"| {what} | {run.peak_mib:.0f} MiB in {run.wall_s:.0f} s | bound {BOUND_MIB} MiB |"]
