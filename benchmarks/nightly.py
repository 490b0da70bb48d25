"""A night in which nothing changed must cost little more than looking at the file once."""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.world import measure, sandbox, write_rows

ROWS = 200_000
PAIRS = 5
FLAGS = ["--rate", "unlimited", "--workers", "64", "--quiet"]

ONE_PASS = """
import gc, sys
from importer.api.wire import Digests, body_of
from importer.mapping import Mapper
from importer.sources import open_sources
from pathlib import Path
gc.freeze(); gc.set_threshold(50_000, 20, 100)
digests = Digests(b"k" * 32)
(source,) = open_sources([sys.argv[1]], Path())
mapper = Mapper(None, source.columns(), source=source.name)
rows = 0
for chunk in source.chunks():
    for mapped in mapper.map(chunk):
        body_of(mapped.request)
        digests.fingerprint(mapped.request)
        rows += 1
assert rows == int(sys.argv[2])
"""
"""One bare pass: read, map, validate, serialise and fingerprint, and nothing else."""


def lines() -> list[str]:
    """The rerun of an unchanged file against one bare pass over it, whole processes, in turn."""
    with tempfile.TemporaryDirectory() as name, sandbox() as environment:
        folder = Path(name)
        rows = write_rows(folder / "rows.csv", ROWS)
        assert measure(["run", "rows.csv", *FLAGS], environment, folder).exit_code == 0
        bare: list[float] = []
        night: list[float] = []
        for _ in range(PAIRS):
            started = time.monotonic()
            subprocess.run([sys.executable, "-c", ONE_PASS, str(rows), str(ROWS)], check=True)
            bare.append(time.monotonic() - started)
            again = measure(["run", "rows.csv", *FLAGS], environment, folder)
            assert again.exit_code == 0
            night.append(again.wall_s)
    ratios = [ours / theirs for ours, theirs in zip(night, bare, strict=True)]
    return [
        f"| one bare pass over {ROWS:,} rows: read, map, validate, serialise, fingerprint"
        f" | {statistics.median(bare):.1f} s | {ROWS / statistics.median(bare):,.0f} rows/s |",
        f"| `run` again, nothing changed | {statistics.median(night):.1f} s | no listing, no post |",
        f"| the ratio of the two, median of {PAIRS} pairs | {statistics.median(ratios):.2f} | bound 2.20 |",
    ]
