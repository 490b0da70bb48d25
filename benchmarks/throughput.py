"""How near the pipeline comes to what the wire allows: beside a bare loop of posts, and under latency.

The server takes one of two cores and the client the other. The pipeline is measured from the first row that it reads
to its last report, the bare loop from its first post to its last answer: of both, the start of the process is left out.
What it comes to with the start stands in a line of its own.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from benchmarks.world import bare_server, seconds_of_the_run, write_parquet

ROWS = 20_000
WORKERS = 64
TURNS = 9
"""A machine that others use as well goes faster and slower within seconds: each turn stands between two bare loops."""
LAGS = LATE_TURNS = 5
FEW = 1_000
FLAGS = ["--rate", "unlimited", "--quiet"]


def lines() -> list[str]:
    """The pipeline's pace, each figure beside its own baseline."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_parquet(folder / "rows.parquet", ROWS)
        write_parquet(folder / "few.parquet", FEW)
        with bare_server(folder) as environment:
            pace, out = _beside_the_bare_loop(folder, environment)
            out += _over_httpx(folder, environment, pace)
            out += _lag(folder, environment)
            with bare_server(folder, "late", latency_ms=100) as late:
                out += _with_latency(folder, environment, late)
    return out


def _beside_the_bare_loop(folder: Path, environment: Mapping[str, str]) -> tuple[float, list[str]]:
    """The median pace of the pipeline in rows/s, and what is printed of it."""
    ours: list[float] = []
    whole: list[float] = []
    sending: list[float] = []
    bare: list[float] = []

    def bare_loop() -> None:
        bare.append(ROWS / _post("bare", ROWS, WORKERS, folder=folder, environment=environment))

    for _ in range(TURNS):
        bare_loop()
        pace, with_start = _rows_per_s("rows.parquet", ROWS, WORKERS, folder, environment)
        ours.append(pace)
        whole.append(with_start)
        sending.append(_while_sending(folder, WORKERS, environment))
    bare_loop()
    beside = [statistics.mean(two) for two in pairwise(bare)]
    ratio, while_sending = (
        statistics.median(own / other for own, other in zip(paces, beside, strict=True)) for paces in (ours, sending)
    )
    return statistics.median(ours), [
        f"| `run` of {ROWS:,} Parquet rows, TLS, {WORKERS} workers, from the first row read to the last report"
        f" | {statistics.median(ours):,.0f} rows/s | prebuilt bodies by `client.post` over `httpx-aiohttp`:"
        f" {statistics.median(bare):,.0f}/s |",
        f"| the ratio of the two, median of {TURNS} turns, each between two bare loops | {ratio:.2f} | bound 1.20 |",
        f"| the same without the plan pass and the reports, while it sends | {statistics.median(sending):,.0f} rows/s"
        f" | {while_sending:.2f} times the bare loop |",
        f"| the same with the start of the process, two of them | {statistics.median(whole):,.0f} rows/s | |",
    ]


def _over_httpx(folder: Path, environment: Mapping[str, str], pace: float) -> list[str]:
    with _empty(folder) as there:
        theirs = FEW / _post("httpx", folder / "few.parquet", WORKERS, folder=there, environment=environment)
    return [
        f"| the same pipeline over httpx's own transport, {FEW:,} rows, once | {theirs:,.0f} rows/s | |",
        f"| the ratio of the two | {pace / theirs:.1f} | bound 15 |",
    ]


def _lag(folder: Path, environment: Mapping[str, str]) -> list[str]:
    lags: list[float] = []
    for _ in range(LAGS):
        with _empty(folder) as there:
            lags.append(_post("watched", folder / "rows.parquet", WORKERS, folder=there, environment=environment))
    what = f"the event loop's lag at that pace, 99th percentile, median of {LAGS}"
    return [f"| {what} | {statistics.median(lags) * 1e3:.0f} ms | bound 50 ms |"]


def _with_latency(folder: Path, at_once: Mapping[str, str], late: Mapping[str, str]) -> list[str]:
    """256 workers against 100 ms, each between two runs without latency; all while they send."""
    ours: list[float] = []
    without = [_while_sending(folder, WORKERS, at_once)]
    for _ in range(LATE_TURNS):
        ours.append(_while_sending(folder, 256, late))
        without.append(_while_sending(folder, WORKERS, at_once))
    reachable = [min(256 / 0.1, statistics.mean(two)) for two in pairwise(without)]
    ratio = statistics.median(own / other for own, other in zip(ours, reachable, strict=True))
    return [
        f"| the same with 100 ms of latency and 256 workers, while it sends | {statistics.median(ours):,.0f} rows/s"
        f" | the lesser of 2,560 and the figure without latency: {statistics.median(reachable):,.0f} |",
        f"| the ratio of the two, median of {LATE_TURNS} turns, each between two without | {ratio:.2f} | bound 0.90 |",
    ]


def _while_sending(folder: Path, workers: int, environment: Mapping[str, str]) -> float:
    with _empty(folder) as there:
        return _post("sending", folder / "rows.parquet", workers, folder=there, environment=environment)


def _rows_per_s(
    source: str, rows: int, workers: int, folder: Path, environment: Mapping[str, str]
) -> tuple[float, float]:
    """The pace from the first row read to the last report, and that of the whole process; into a new ledger.

    Nobody looks at its memory meanwhile: that would take of its cores, and nobody does so to the bare loop.
    """
    with _empty(folder) as there:
        words = [sys.executable, "-m", "importer", "run", str(folder / source), *FLAGS, "--workers", str(workers)]
        started = time.perf_counter()
        quietly = subprocess.DEVNULL
        subprocess.run(words, cwd=there, env=os.environ | dict(environment), stdout=quietly, check=True)
        whole_s = time.perf_counter() - started
        return rows / seconds_of_the_run(there), rows / whole_s


def _post(what: str, first: object, workers: int, *, folder: Path, environment: Mapping[str, str]) -> float:
    """The number that `benchmarks.posting` prints."""
    words = [sys.executable, "-m", "benchmarks.posting", what, str(first), str(workers)]
    path = {"PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        words, cwd=folder, env=os.environ | dict(environment) | path, check=True, capture_output=True, text=True
    )
    return float(done.stdout)


@contextmanager
def _empty(folder: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=folder) as name:
        yield Path(name)
