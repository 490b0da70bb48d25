"""What a plan costs beside the bare work on its rows, and that its memory does not grow with the file."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.world import measure

MEMORY_ROWS = (100_000, 1_000_000)
RATE_ROWS = 100_000
PAIRS = 5

BARE = """
import gc, sys
import pyarrow.parquet as pq
from importer.api.models import GenerateRequest
from importer.api.wire import body_of
gc.freeze(); gc.set_threshold(50_000, 20, 100)
rows = 0
for batch in pq.ParquetFile(sys.argv[1]).iter_batches(5_000):
    frame = batch.to_pandas()
    for provider, group, name, user, access, expires, refresh, scopes, workspace in zip(
        *(frame[column].tolist() for column in frame.columns), strict=True
    ):
        request = GenerateRequest.model_validate({
            "provider": provider, "groupRef": group, "groupName": name, "consumerRef": user,
            "authScheme": "oauth2/authorizationCode", "providerWorkspaceRef": workspace,
            "providerMetadata": {"workspace": {"value": workspace, "source": "input"}},
            "oauth2AuthorizationCode": {
                "accessToken": {"token": access, "expiresAt": expires}, "refreshToken": {"token": refresh},
                "scopes": scopes.split(),
            },
        })
        body_of(request)
        rows += 1
assert rows == int(sys.argv[2])
"""
"""Reading the file into chunks, taking the columns as lists, validating and serialising each row, and nothing else."""


def write_parquet(path: Path, count: int) -> Path:
    """A Parquet file of `count` authorization-code rows of about 500 bytes, 100,000 to a row group."""
    import pyarrow as pa  # only the process that writes needs the memory for it
    import pyarrow.parquet as pq

    names = ("provider", "group_ref", "group_name", "consumer_ref", "access_token", "access_token_expires_at",
             "refresh_token", "scopes", "metadata.workspace")  # fmt: skip
    schema = pa.schema([(name, pa.timestamp("us", "UTC") if name.endswith("_at") else pa.string()) for name in names])
    with pq.ParquetWriter(path, schema) as writer:
        for first in range(0, count, 100_000):
            numbers = range(first, min(first + 100_000, count))
            ends = pa.array([1_895_313_600_000_000] * len(numbers), pa.timestamp("us", "UTC"))
            columns = [
                ["salesforce"] * len(numbers),
                [f"customer-{n:07}" for n in numbers],
                [f"Customer {n}" for n in numbers],
                [f"user-{n:07}" for n in numbers],
                [f"fake-access-{n:07}-" + "x" * 180 for n in numbers],
                ends,
                [f"fake-refresh-{n:07}-" + "y" * 160 for n in numbers],
                ["api refresh_token"] * len(numbers),
                [f"acme-{n}" for n in numbers],
            ]
            writer.write_table(pa.table(columns, schema=schema))
    return path


def written(folder: Path, count: int) -> Path:
    """Such a file in `folder`, by a process of its own, which takes the memory for it away with it."""
    write = f"from benchmarks.planning import *; write_parquet(Path('rows.parquet'), {count})"
    here = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    subprocess.run([sys.executable, "-c", write], cwd=folder, env=here, check=True)
    return folder / "rows.parquet"


def lines() -> list[str]:
    """The rate of `plan` against the bare work, whole processes in turn; its peak memory at 100,000 and 1,000,000."""
    with tempfile.TemporaryDirectory() as name:
        return [*_rates(Path(name)), *_memory(Path(name))]


def _rates(folder: Path) -> list[str]:
    rows = write_parquet(folder / "rows.parquet", RATE_ROWS)
    bare: list[float] = []
    plan: list[float] = []
    for _ in range(PAIRS):
        started = time.monotonic()
        subprocess.run([sys.executable, "-c", BARE, str(rows), str(RATE_ROWS)], check=True)
        bare.append(time.monotonic() - started)
        ours = measure(["plan", rows.name, "--quiet"], {}, folder)
        assert ours.exit_code == 0, f"the plan ended with {ours.exit_code}"
        plan.append(ours.wall_s)
    ratios = [theirs / ours for theirs, ours in zip(bare, plan, strict=True)]
    return [
        f"| bare work on {RATE_ROWS:,} Parquet rows: read, columns as lists, validate, serialise"
        f" | {RATE_ROWS / statistics.median(bare):,.0f} rows/s | |",
        f"| `plan` of the same | {RATE_ROWS / statistics.median(plan):,.0f} rows/s | |",
        f"| the ratio of the two rates, median of {PAIRS} pairs | {statistics.median(ratios):.2f} | bound 0.40 |",
    ]


def _memory(folder: Path) -> list[str]:
    peaks: list[float] = []
    out: list[str] = []
    for count in MEMORY_ROWS:
        written(folder, count)
        ours = measure(["plan", "rows.parquet", "--quiet"], {}, folder)
        assert ours.exit_code == 0, f"the plan ended with {ours.exit_code}"
        peaks.append(ours.peak_mib)
        pace = f"{count / ours.wall_s:,.0f} rows/s"
        out.append(f"| `plan` of {count:,} Parquet rows: peak memory | {ours.peak_mib:.0f} MiB | {pace} |")
    ratio = peaks[1] / peaks[0]
    return [*out, f"| peak memory, {MEMORY_ROWS[1]:,} rows to {MEMORY_ROWS[0]:,} | {ratio:.2f} | bound 1.20 |"]
