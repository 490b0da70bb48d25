"""Peak memory of a whole run must not grow with the file."""

import tempfile
from pathlib import Path

from benchmarks.world import measure, sandbox, write_rows

ROWS = (10_000, 100_000)
FLAGS = ["--rate", "unlimited", "--workers", "64", "--quiet"]


def lines() -> list[str]:
    """Peak memory of `run` for 10,000 and for 100,000 rows, and their ratio."""
    peaks: list[float] = []
    out: list[str] = []
    for count in ROWS:
        with tempfile.TemporaryDirectory() as name, sandbox() as environment:
            folder = Path(name)
            write_rows(folder / "rows.csv", count)
            run = measure(["run", "rows.csv", *FLAGS], environment, folder)
            assert run.exit_code == 0, f"the run ended with {run.exit_code}"
            peaks.append(run.peak_mib)
            pace = f"{count / run.wall_s:,.0f} rows/s"
            out.append(f"| `run` of {count:,} CSV rows: peak memory | {run.peak_mib:.0f} MiB | {pace} |")
    out.append(f"| peak memory, {ROWS[1]:,} rows to {ROWS[0]:,} | {peaks[1] / peaks[0]:.2f} | bound 1.20 |")
    return out
