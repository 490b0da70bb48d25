"""What a measurement needs: files of rows, a sandbox in a process of its own, and a command with its peak memory."""

import csv
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_SERVE = """
import sys
from importer.sandbox import Sandbox, serve_forever
sandbox = Sandbox()
sandbox.start()
for n in range(int(sys.argv[1])):
    sandbox.add_connection("salesforce", f"there-{n}", f"user-{n}")
print(sandbox.url, flush=True)
serve_forever(sandbox)
"""


@dataclass(frozen=True)
class Measured:
    """One command: seconds of wall time and of CPU, peak memory in MiB, exit code."""

    wall_s: float
    cpu_s: float
    peak_mib: float
    exit_code: int


def row(number: int) -> dict[str, str]:
    """One authorization-code row of about 500 bytes, by its columns."""
    return {
        "provider": "salesforce",
        "group_ref": f"customer-{number:07}",
        "group_name": f"Customer {number}",
        "consumer_ref": f"user-{number:07}",
        "access_token": f"fake-access-{number:07}-" + "x" * 180,
        "access_token_expires_at": "2030-01-31T12:00:00Z",
        "refresh_token": f"fake-refresh-{number:07}-" + "y" * 160,
        "scopes": "api refresh_token",
        "metadata.workspace": f"acme-{number}",
    }


def write_rows(path: Path, count: int) -> Path:
    """A CSV of `count` rows."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, row(0))
        writer.writeheader()
        writer.writerows(map(row, range(count)))
    return path


def write_parquet(path: Path, count: int) -> Path:
    """The same rows as Parquet."""
    pq.write_table(pa.Table.from_pylist([row(number) for number in range(count)]), path)
    return path


@contextmanager
def sandbox(there: int = 0) -> Iterator[dict[str, str]]:
    """A sandbox without latency on the other core, and the environment that leads to it.

    `there` connections are there already.
    """
    process = subprocess.Popen([sys.executable, "-c", _SERVE, str(there)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        yield {"AMP_API_URL": url, "AMP_API_KEY": "sandbox-key", "AMP_PROJECT": "sandbox"}
    finally:
        process.terminate()
        process.wait()


def measure(words: list[str], environment: Mapping[str, str], folder: Path) -> Measured:
    """Run `importer` with these words in `folder`, quietly; its memory is that of all its processes together."""
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "importer", *words], cwd=folder, env=os.environ | environment, stdout=subprocess.DEVNULL
    )
    peak = 0
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        peak = max(peak, _resident(process.pid))
        time.sleep(0.02)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Measured(time.monotonic() - started, usage.ru_utime + usage.ru_stime, peak / 1024 / 1024, process.returncode)


def seconds_of_the_run(folder: Path) -> float:
    """From the first row read to the last report, of the only run in the ledger there: summary.json's end earlier."""
    from importer.ledger import SqliteLedger

    with closing(SqliteLedger(folder / "importer-ledger.db", read_only=True)) as ledger:
        (run,) = ledger.runs()
    assert run.ended_at, "it has not ended"
    return run.ended_at - run.started_at


def _resident(pid: int) -> int:
    """Bytes that a process and its children hold; what two of them share counts twice."""
    import psutil  # of the extra `benchmark`

    total = 0
    with suppress(psutil.NoSuchProcess):
        first = psutil.Process(pid)
        for one in (first, *first.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += one.memory_info().rss
    return total


@contextmanager
def bare_server(folder: Path, name: str = "at-once", *, latency_ms: int = 0) -> Iterator[dict[str, str]]:
    """A server that only answers, over TLS, and the environment that leads to it.

    Its certificate is made here, in `folder` under `name`. SSL_CERT_FILE has it trusted, by every client that asks
    OpenSSL whom it may trust: nothing is switched off.
    """
    import trustme  # of the extra `benchmark`

    authority, pem = trustme.CA(), folder / f"{name}.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(pem))
    authority.cert_pem.write_to_path(str(folder / f"{name}-authority.pem"))
    words = [sys.executable, "-m", "benchmarks.bare_server", str(pem), str(latency_ms)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        yield {
            "AMP_API_URL": url,
            "AMP_API_KEY": "fake-key",
            "AMP_PROJECT": "benchmark",
            "SSL_CERT_FILE": str(folder / f"{name}-authority.pem"),
        }
    finally:
        process.terminate()
        process.wait()
