"""A million rows in the memory of fifty thousand, in `plan` and in `run`, with everything that belongs to it."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.planning import written
from benchmarks.world import bare_server, measure

ROWS = (50_000, 1_000_000)
FLAGS = ["--rate", "unlimited", "--workers", "64", "--quiet"]
BOUND = 1.15


def lines() -> Iterator[str]:
    """Peak memory of both verbs at both sizes, against a server that only answers."""
    with tempfile.TemporaryDirectory() as name, bare_server(Path(name)) as environment:
        for verb, flags in (("plan", ["--quiet"]), ("run", FLAGS)):
            yield from _grown(verb, flags, Path(name), environment)


def _grown(verb: str, flags: list[str], folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    peaks: list[float] = []
    for count in ROWS:
        with tempfile.TemporaryDirectory(dir=folder) as there, tempfile.TemporaryDirectory(dir=folder) as rows:
            source = written(Path(rows), count)
            ours = measure([verb, str(source), *flags], environment, Path(there))
        assert ours.exit_code == 0, f"{verb} ended with {ours.exit_code}"
        peaks.append(ours.peak_mib)
        pace = f"{count / ours.wall_s:,.0f} rows/s"
        yield f"| `{verb}` of {count:,} Parquet rows: peak memory | {ours.peak_mib:.0f} MiB | {pace} |"
    yield f"| peak memory, {ROWS[1]:,} rows to {ROWS[0]:,} | {peaks[1] / peaks[0]:.2f} | bound {BOUND} |"
