"""How long `importer --help` takes beside an interpreter that does nothing, and what it loads."""

import statistics
import subprocess
import sys
import time

PAIRS = 25
HEAVY = {"pandas", "pyarrow", "pydantic", "httpx", "aiohttp", "tenacity"}

_LOADED = """
import contextlib, io, sys
sys.argv = ["importer", "--help"]
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    from importer.cli import main
    main()
print(*sys.modules)
"""


def lines() -> list[str]:
    """Whole processes, in turn."""
    ratios: list[float] = []
    for _ in range(PAIRS):
        nothing = _seconds("-c", "pass")
        ratios.append(_seconds("-m", "importer", "--help") / nothing)
    loaded = subprocess.run([sys.executable, "-c", _LOADED], check=True, capture_output=True, text=True).stdout.split()
    heavy = ", ".join(sorted(HEAVY.intersection(loaded))) or "none of them"
    ratio = statistics.median(ratios)
    return [
        f"| `importer --help` to `python -c pass`, median of {PAIRS} pairs | {ratio:.1f} | bound 8 |",
        f"| loaded by it of {', '.join(sorted(HEAVY))} | {heavy} | bound none |",
    ]


def _seconds(*words: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started
