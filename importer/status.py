"""Where the ledger stands, for the screen and as JSON."""

from datetime import UTC, datetime

from importer.console import Console
from importer.ledger.base import Ledger, Run
from importer.outcomes import State


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
        console.data(f"  {_line(run)}")


def _line(run: Run) -> str:
    head = f"{run.run_id}  {run.verb}  {_time(run.started_at)}"
    if run.ended_at is None:
        return f"{head}  not ended (pid {run.pid} on {run.host})"
    outcomes = (run.summary or {}).get("outcomes", {})
    came_to = " · ".join(f"{name} {count:,}" for name, count in outcomes.items() if count)
    return f"{head}  {run.ended_at - run.started_at:,.0f} s  exit {run.exit_code}  {came_to}".rstrip()


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
