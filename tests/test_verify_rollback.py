"""After the import: the ledger is held against the project, and a run is taken back."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from desk import Ended, key_row, read_csv, token_row, write_csv

from importer.ledger import SqliteLedger
from importer.outcomes import State
from importer.sandbox import Sandbox

Importer = Callable[..., Ended]


@pytest.fixture
def imported(home: Path, importer: Importer) -> Path:
    """Six rows are done: g0 to g2 with tokens, g3 to g5 with keys."""
    write_csv(home / "rows.csv", [token_row(n) for n in range(3)] + [key_row(n) for n in range(3, 6)])
    assert importer("run", "rows.csv").exit_code == 0
    return home


def states(home: Path) -> dict[State, int]:
    ledger = SqliteLedger(home / "importer-ledger.db", read_only=True)
    try:
        return ledger.counts()
    finally:
        ledger.close()


def last_run(importer: Importer) -> str:
    runs = json.loads(importer("status", "--json").out)["runs"]
    return str(next(run["run_id"] for run in runs if run["verb"] == "run"))


def verify_problems(home: Path) -> list[tuple[str, str]]:
    return [(row["group_ref"], row["code"]) for row in read_csv(home / "importer-report/verify-errors.csv")]


def id_of(sandbox: Sandbox, group: str) -> str:
    return str(sandbox.connections(group)[0]["id"])


def test_all_is_as_the_ledger_says(imported: Path, sandbox: Sandbox, importer: Importer) -> None:
    before = sandbox.requests.kinds["generate"]

    ended = importer("verify")

    assert ended.exit_code == 0
    assert "checked 6 rows of the ledger: all is as it says" in ended.out
    assert sandbox.requests.kinds["generate"] == before
    assert sandbox.requests.kinds["list"] == 3  # two providers of the run, and one listing of all


def test_missing_unusable_and_unknown_connections_are_found(
    imported: Path, sandbox: Sandbox, importer: Importer
) -> None:
    sandbox.remove_connection(id_of(sandbox, "g0"))
    sandbox.set_status(id_of(sandbox, "g1"), "bad_credentials")
    sandbox.add_connection("hubspot", "stranger", "by-hand")

    ended = importer("verify")

    assert ended.exit_code == 3
    assert verify_problems(imported) == [
        ("g0", "not_found"),
        ("g1", "bad_credentials"),
        ("stranger", "unknown_to_ledger"),
    ]
    assert states(imported) == {State.CREATED: 5, State.MISSING: 1}


def test_a_missing_row_is_posted_again_only_when_that_is_asked_for(
    imported: Path, sandbox: Sandbox, importer: Importer
) -> None:
    sandbox.remove_connection(id_of(sandbox, "g0"))
    assert importer("verify").exit_code == 3

    plain = importer("run", "rows.csv")
    assert plain.exit_code == 3
    assert sandbox.count("g0") == 0
    assert [row["code"] for row in read_csv(imported / "importer-report/errors.csv")] == ["missing"]

    assert importer("verify", "--forget-missing").exit_code == 2  # nobody is there to ask
    assert importer("verify", "--forget-missing", "--yes").exit_code == 0
    assert importer("run", "rows.csv").exit_code == 0
    assert sandbox.count("g0") == 1


def test_a_connection_that_comes_back_is_created_again(imported: Path, sandbox: Sandbox, importer: Importer) -> None:
    """It was missing because the API's listing left it out once."""
    gone = sandbox.connections("g0")[0]
    sandbox.remove_connection(gone["id"])
    assert importer("verify").exit_code == 3

    sandbox.put_back(gone["id"])

    assert importer("verify").exit_code == 0
    assert states(imported) == {State.CREATED: 6}


def test_two_connections_for_one_key_are_reported_and_neither_is_deleted(
    imported: Path, sandbox: Sandbox, importer: Importer
) -> None:
    sandbox.add_connection("hubspot", "g0", "u0")

    assert importer("verify").exit_code == 3
    assert verify_problems(imported) == [("g0", "double")]
    assert sandbox.count("g0") == 2


def test_verify_settles_what_is_unknown(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    """The answer is lost and so is every look: the row is unknown, not failed, and not posted blindly."""
    write_csv(home / "rows.csv", [token_row(1), token_row(2)])
    sandbox.next("drop_after_commit", 1)
    sandbox.next("drop_before", 1)
    importer("run", "rows.csv", "--attempts", "1", "--workers", "1", **failing_looks(sandbox))
    assert states(home)[State.UNKNOWN] == 2

    sandbox.calm()
    ended = importer("verify")

    assert ended.exit_code == 0, ended.err
    assert states(home) == {State.CREATED: 1, State.PENDING: 1}
    assert importer("run", "rows.csv").exit_code == 0
    assert sandbox.count() == 2


def failing_looks(sandbox: Sandbox) -> dict[str, str]:
    """After the listing that comes before the first post, no connection can be looked up any more."""
    sandbox.next("none", 1, on="list")
    sandbox.next("500_before", 20, on="list")
    return {}


def test_a_row_in_doubt_for_which_two_connections_are_there_is_settled_and_reported(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    """The post made one, and the customer connected by hand before anybody could look."""
    write_csv(home / "rows.csv", [token_row(1), token_row(2)])
    sandbox.next("drop_after_commit", 2)
    importer("run", "rows.csv", "--attempts", "1", **failing_looks(sandbox))
    assert states(home) == {State.UNKNOWN: 2}
    sandbox.calm()
    both = {id_of(sandbox, "g1"), sandbox.add_connection("hubspot", "g1", "u1")}

    ended = importer("verify", "--json")

    assert ended.exit_code == 3
    summary = json.loads((home / "importer-report/verify-summary.json").read_text())
    assert (summary["settled"], summary["doubles"], summary["unknown"], summary["strangers"]) == (2, 1, 0, 0)
    (problem,) = read_csv(home / "importer-report/verify-errors.csv")
    assert (problem["group_ref"], problem["code"]) == ("g1", "double")
    assert all(connection_id in problem["message"] for connection_id in both)
    assert states(home) == {State.CREATED: 2}
    assert {connection["id"] for connection in sandbox.connections("g1")} == both


def test_refresh_proves_which_tokens_work(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    rows = [token_row(1), token_row(2, refresh_token="fake-revoked-2"), key_row(3), token_row(4, refresh_token="")]
    write_csv(home / "rows.csv", rows)
    assert importer("run", "rows.csv").exit_code == 0

    assert importer("verify", "--refresh").exit_code == 2  # nobody is there to ask
    ended = importer("verify", "--refresh", "--yes")

    assert ended.exit_code == 3
    assert verify_problems(home) == [("g2", "bad_credentials")]
    assert sandbox.requests.kinds["get"] == 2
    # one without a refresh token was not asked for it: that would have made a connection bad that works
    assert sandbox.connections("g4")[0]["status"] == "created"
    assert "without refresh token 1" in ended.out


def test_rollback_deletes_what_the_run_posted_and_nothing_it_adopted(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    by_hand = sandbox.add_connection("hubspot", "g1", "u1")
    write_csv(home / "rows.csv", [token_row(1), token_row(2), key_row(3)])
    assert importer("run", "rows.csv").exit_code == 0
    run_id = last_run(importer)

    dry = importer("rollback", "--run", run_id, "--dry-run")
    assert (dry.exit_code, sandbox.count()) == (0, 3)
    assert "would delete 2" in dry.out
    assert importer("rollback", "--run", run_id).exit_code == 2  # nobody is there to ask
    assert importer("rollback", "--run", run_id, "--yes").exit_code == 0

    assert [connection["id"] for connection in sandbox.connections()] == [by_hand]
    assert states(home) == {State.CREATED: 1, State.ROLLED_BACK: 2}
    again = importer("run", "rows.csv")
    assert again.exit_code == 3
    assert sandbox.count() == 1
    assert {row["code"] for row in read_csv(home / "importer-report/errors.csv")} == {"rolled_back"}


def test_a_rollback_whose_answers_are_lost_goes_on(imported: Path, sandbox: Sandbox, importer: Importer) -> None:
    run_id = last_run(importer)
    sandbox.next("drop_after_commit", 2, on="delete")
    sandbox.next("500_before", 2, on="delete")

    assert importer("rollback", "--run", run_id, "--yes").exit_code == 0
    assert sandbox.count() == 0


def test_a_rollback_that_cannot_end_says_so_and_can_be_run_again(
    imported: Path, sandbox: Sandbox, importer: Importer
) -> None:
    run_id = last_run(importer)
    sandbox.next("500_before", 100, on="delete")

    first = importer("rollback", "--run", run_id, "--yes", "--attempts", "2")
    assert first.exit_code == 4
    assert sandbox.count() == 6

    sandbox.calm()
    assert importer("rollback", "--run", run_id, "--yes").exit_code == 0
    assert sandbox.count() == 0


def test_a_rollback_counts_what_is_still_in_doubt_as_left(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    """What may be there and is not known to be cannot be deleted: verify settles it, and the rollback goes on."""
    write_csv(home / "rows.csv", [token_row(1), token_row(2)])
    sandbox.next("none", 1)
    sandbox.next("drop_after_commit", 1)
    importer("run", "rows.csv", "--attempts", "1", "--workers", "1", **failing_looks(sandbox))
    assert states(home) == {State.CREATED: 1, State.UNKNOWN: 1}
    sandbox.calm()
    run_id = last_run(importer)

    first = importer("rollback", "--run", run_id, "--yes", "--json")

    assert first.exit_code == 4
    ended = json.loads(first.out.splitlines()[-1])
    assert (ended["found"], ended["deleted"], ended["left"]) == (2, 1, 1)
    assert states(home) == {State.ROLLED_BACK: 1, State.UNKNOWN: 1}
    assert sandbox.count() == 1
    assert importer("verify").exit_code == 0
    assert importer("rollback", "--run", run_id, "--yes").exit_code == 0
    assert sandbox.count() == 0


def test_a_run_that_the_ledger_does_not_know_cannot_be_rolled_back(imported: Path, importer: Importer) -> None:
    ended = importer("rollback", "--run", "no-such-run", "--yes")
    assert ended.exit_code == 2
    assert "no run no-such-run" in ended.err


def test_a_rollback_says_what_is_left_and_why(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    write_csv(home / "rows.csv", [token_row(1), token_row(2)])
    assert importer("run", "rows.csv").exit_code == 0
    run_id = json.loads((home / "importer-report/summary.json").read_text())["run_id"]
    sandbox.next("500_before", 1, on="delete")

    ended = importer("rollback", "--run", run_id, "--yes", "--attempts", "1")

    assert ended.exit_code == 4
    (error,) = read_csv(home / "importer-report/rollback-errors.csv")
    assert error["code"] == "attempts_spent"
    assert "HTTP 500" in error["message"]
    assert "rollback-errors.csv" in ended.out


def test_a_forgotten_row_is_not_missing_any_more(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    write_csv(home / "rows.csv", [token_row(1)])
    assert importer("run", "rows.csv").exit_code == 0
    sandbox.remove_connection(sandbox.connections()[0]["id"])

    assert importer("verify", "--forget-missing", "--yes").exit_code == 0
    assert importer("run", "rows.csv").exit_code == 0
    assert sandbox.count() == 1


def test_a_rollback_of_another_projects_run_is_refused(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    write_csv(home / "rows.csv", [token_row(1)])
    assert importer("run", "rows.csv").exit_code == 0
    with Sandbox() as other:
        ended = importer("rollback", "--run", last_run(importer), "--yes", **other.environment())

    assert ended.exit_code == 2
    assert "was of another project" in ended.err
    assert sandbox.count() == 1


def test_the_report_of_a_rollback_leaves_those_of_the_run_alone(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    write_csv(home / "rows.csv", [token_row(1)])
    assert importer("run", "rows.csv").exit_code == 0
    before = (home / "importer-report/summary.json").read_bytes()
    assert importer("rollback", "--run", last_run(importer), "--yes").exit_code == 0
    (rollback,) = [
        run["run_id"] for run in json.loads(importer("status", "--json").out)["runs"] if run["verb"] == "rollback"
    ]
    (home / "importer-report/rollback-errors.csv").unlink()

    assert importer("report", "--run", rollback).exit_code == 0

    assert read_csv(home / "importer-report/rollback-errors.csv") == []
    assert (home / "importer-report/summary.json").read_bytes() == before


@pytest.mark.parametrize("verb", ["verify", "rollback"])
def test_a_signal_ends_a_wait_at_once(
    verb: str, home: Path, sandbox: Sandbox, start: Callable[..., "subprocess.Popen[str]"], importer: Importer
) -> None:
    """The API does not answer, and the next try is due in a minute."""
    config = home / "config.toml"
    config.write_text(config.read_text().replace("base_s = 0.05", "base_s = 60.0"))
    write_csv(home / "rows.csv", [token_row(1)])
    assert importer("run", "rows.csv").exit_code == 0
    kind = {"verify": "list", "rollback": "delete"}[verb]
    sandbox.next("500_before", 99, on=kind)
    before = sandbox.requests.kinds[kind]
    process = start(verb, *(["--run", last_run(importer), "--yes"] if verb == "rollback" else []))
    while sandbox.requests.kinds[kind] == before:
        time.sleep(0.02)
    time.sleep(0.3)

    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=5)

    assert process.returncode == 143
