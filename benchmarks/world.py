"""What a measurement needs: files of rows, a sandbox in a process of its own, and a command with its peak memory."""

import csv
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

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
    """One process: seconds of wall time and of CPU, peak memory in MiB, exit code."""

    wall_s: float
    cpu_s: float
    peak_mib: float
    exit_code: int


def write_rows(path: Path, count: int) -> Path:
    """A CSV of `count` authorization-code rows of about 500 bytes each."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ("provider", "group_ref", "group_name", "consumer_ref", "access_token", "access_token_expires_at",
             "refresh_token", "scopes", "metadata.workspace")
        )  # fmt: skip
        for n in range(count):
            writer.writerow(
                ("salesforce", f"customer-{n:07}", f"Customer {n}", f"user-{n:07}", f"fake-access-{n:07}-" + "x" * 180,
                 "2030-01-31T12:00:00Z", f"fake-refresh-{n:07}-" + "y" * 160, "api refresh_token", f"acme-{n}")
            )  # fmt: skip
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


def measure(words: list[str], environment: dict[str, str], folder: Path) -> Measured:
    """Run `importer` with these words in `folder`, quietly, and take the kernel's account of it."""
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "importer", *words], cwd=folder, env=os.environ | environment, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Measured(
        time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, process.returncode
    )
