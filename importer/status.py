"""Where the ledger stands, for the screen and as JSON."""

import os
import platform
import time
from datetime import UTC, datetime

from importer.console import Console
from importer.ledger.base import Ledger, Run
from importer.outcomes import State
from importer.progress_line import duration


def show_status(ledger: Ledger, console: Console, name: str) -> None:
    """Print how many entries stand where and how the last runs went."""
    counts = ledger.counts()
    runs = ledger.runs(10)
    console.emit_status(
        {
            "entries": {state.value: counts.get(state, 0) for state in State},
            "runs": [
                {
                    "run_id": run.run_id, "verb": run.verb, "pid": run.pid, "host": run.host,
                    "started_at": _time(run.started_at), "ended_at": _time(run.ended_at) if run.ended_at else None,
                    "exit_code": run.exit_code, "summary": run.summary,
                }
                for run in runs
            ],
        }
    )  # fmt: skip
    stands = " · ".join(f"{state.value} {counts[state]:,}" for state in State if counts.get(state))
    console.data(f"{name}: {stands or 'no row yet'}")
    for run in runs:
        console.data(f"  {_line(run, ledger)}")


def _line(run: Run, ledger: Ledger) -> str:
    head = f"{run.run_id}  {run.verb}  {_time(run.started_at)}"
    if run.ended_at is None:
        return f"{head}  {_unended(run, ledger)}"
    outcomes = (run.summary or {}).get("outcomes", {})
    came_to = " · ".join(f"{name} {count:,}" for name, count in outcomes.items() if count)
    return f"{head}  {run.ended_at - run.started_at:,.0f} s  exit {run.exit_code}  {came_to}".rstrip()


def _unended(run: Run, ledger: Ledger) -> str:
    """How far a run is that has not ended, or that it died; whether it lives can be told on its own machine only."""
    now = time.time()
    finished, lately = ledger.progress(run.run_id, now - 60)
    rows, where = f"{finished:,} rows finished so far", f"(pid {run.pid} on {run.host})"
    if run.host != platform.node():
        return f"not ended, {rows}, {lately:,} in the last minute {where}"
    if not _lives(run.pid):
        return f"died, {rows} {where}: run again, and what was in flight is looked up"
    return f"running for {duration(now - run.started_at)}, {rows}, {lately:,} in the last minute {where}"


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
