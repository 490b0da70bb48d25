"""`--max-runtime`: over in time and in good order, with every row where the ledger says it is."""

import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from desk import Ended, key_row, token_row, write_csv

from importer.options import Duration
from importer.sandbox import Sandbox
from importer.session import GRACE_S, REPORTS_S, last_start_s

Run = Callable[..., Ended]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("45m", 2_700), ("2h", 7_200), ("1h30m", 5_400), ("1h0m1s", 3_601), ("7", 7)]
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "-5", "1.5h", "2 h", "h", "1s1h", "soon", "9" * 30])
def test_what_is_no_duration_is_one_line(text: str) -> None:
    with pytest.raises(click.BadParameter, match="such as 90s, 45m, 2h or 1h30m"):
        Duration().convert(text, None, None)


@pytest.mark.parametrize("timeout_s", [0.5, 30.0, 600.0])
@pytest.mark.parametrize("runtime_s", [1.0, 10.0, 60.0, 7_200.0])
def test_what_is_begun_last_can_end_in_time(runtime_s: float, timeout_s: float) -> None:
    last = last_start_s(runtime_s, timeout_s)
    assert runtime_s / 2 <= last < runtime_s
    assert runtime_s - last <= GRACE_S + REPORTS_S


def test_a_run_ends_in_time_and_the_next_one_goes_on(home: Path, shell: Run, sandbox: Sandbox) -> None:
    write_csv(home / "rows.csv", [key_row(n) for n in range(200)])
    began = time.monotonic()
    ended = shell("run", "rows.csv", "--rate", "20", "--max-runtime", "3s")
    took_s = time.monotonic() - began

    assert ended.exit_code == 5, ended.err
    assert "stopped: the time of --max-runtime is over; requests in flight were let end" in ended.err
    assert "next: importer run rows.csv" in ended.out
    assert 0 < sandbox.count() < 100
    assert took_s < 10, "it is the time of the run, besides the start of a process on a busy machine"
    assert (home / "importer-report" / "results.csv").exists()

    assert shell("run", "rows.csv").exit_code == 0
    assert sandbox.count() == 200


def test_a_plan_pass_that_takes_too_long_stops_too(home: Path, shell: Run) -> None:
    with (home / "rows.csv").open("w") as file:
        file.write("provider,group_ref,consumer_ref,api_key\n")
        file.writelines(f"stripe,g{n},u{n},fake-key-{n}\n" for n in range(300_000))
    ended = shell("run", "rows.csv", "--max-runtime", "2s", "--rate", "10")
    assert ended.exit_code == 5, ended.err
    assert "--max-runtime is over" in ended.err


def test_what_was_let_go_in_flight_is_looked_up_by_the_next_run(home: Path, shell: Run, sandbox: Sandbox) -> None:
    """A request that takes longer than there is time is cut off, and its row is `unknown`, not lost and not twice."""
    sandbox.next("slow", 3)
    write_csv(home / "rows.csv", [key_row(n) for n in range(3)])
    assert shell("run", "rows.csv", "--max-runtime", "2s").exit_code in {4, 5}
    assert shell("run", "rows.csv").exit_code == 0
    assert sandbox.count() == 3


def test_verify_stops_as_well(home: Path, shell: Run, sandbox: Sandbox) -> None:
    write_csv(home / "rows.csv", [token_row(n) for n in range(60)])
    assert shell("run", "rows.csv").exit_code == 0
    ended = shell("verify", "--refresh", "--yes", "--rate", "10", "--max-runtime", "2s")
    assert ended.exit_code == 5, ended.err
    assert "--max-runtime is over" in ended.err


def test_a_bad_duration_is_refused_before_anything_is_read(home: Path, shell: Run) -> None:
    ended = shell("run", "missing.csv", "--max-runtime", "soon")
    assert ended.exit_code == 2
    assert "'soon' is no time such as 90s, 45m, 2h or 1h30m" in ended.err
