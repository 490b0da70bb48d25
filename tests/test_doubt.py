"""Rows in doubt: sent, and no answer that can be trusted. What settles them, and what the ledger says afterwards."""

import json
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import pytest
from desk import Ended, key_row, read_csv, token_row, write_csv

from importer.jobs import STALE_S
from importer.sandbox import Sandbox

Importer = Callable[..., Ended]


def codes(home: Path) -> list[str]:
    return [row["code"] for row in read_csv(home / "importer-report/errors.csv")]


def outcomes(home: Path) -> list[str]:
    return [row["outcome"] for row in read_csv(home / "importer-report/results.csv")]


def entry(home: Path, group: str = "g1") -> tuple[str, int, int | None]:
    """What the ledger says of a row: its state, whether it is in doubt, whether its connection is ours."""
    with closing(sqlite3.connect(home / "importer-ledger.db")) as db:
        state, doubt, ours = db.execute(
            "SELECT state, doubt, ours FROM entries WHERE group_ref = ?", (group,)
        ).fetchone()
    return str(state), int(doubt), ours


def set_policy(home: Path, existing: str) -> None:
    config = home / "config.toml"
    config.write_text(f"{config.read_text()}\n[policy]\nexisting = '{existing}'\n")


def lose(sandbox: Sandbox, importer: Importer, fault: str) -> None:
    """Run while the post meets a fault and no look says what came of it; afterwards the server is well again."""
    sandbox.next(fault)
    sandbox.next("none", on="list")
    sandbox.next("500_before", 50, on="list")
    assert importer("run", "rows.csv", "--attempts", "1").exit_code == 4
    sandbox.calm()


# a server that keeps refs otherwise


@pytest.mark.parametrize(
    ("kept", "fault", "code", "said"),
    [
        (lambda ref: f"acme-{ref}", "none", "no_answer", "but under other refs"),
        (str.upper, "bad_json", "exists", "differ from these in case or blanks only"),
    ],
    ids=["prefixed and answered", "in capitals and unreadable"],
)
def test_a_201_under_other_refs_is_never_posted_a_second_time(
    kept: Callable[[str], str], fault: str, code: str, said: str, home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    """It was created, says the server, and it is not there under our refs: posted again, it would be there twice."""
    sandbox.keep_group_refs(kept)
    sandbox.next(fault)
    write_csv(home / "rows.csv", [token_row(1)])

    for _ in range(3):
        ended = importer("run", "rows.csv")
        assert ended.exit_code == (4 if code == "no_answer" else 3), ended.err
        assert outcomes(home) == ["unknown"]
        (error,) = read_csv(home / "importer-report/errors.csv")
        assert error["code"] == code
        assert said in error["message"]
        assert entry(home)[:2] == ("unknown", 1)
        assert importer("verify").exit_code == 4
        assert entry(home)[:2] == ("unknown", 1)
    assert sandbox.count() == sandbox.requests.kinds["generate"] == 1


def test_a_row_that_was_made_under_other_refs_is_sent_again_once_that_connection_is_deleted(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    sandbox.keep_group_refs(lambda ref: f"acme-{ref}")
    write_csv(home / "rows.csv", [token_row(1)])
    assert importer("run", "rows.csv").exit_code == 4

    sandbox.remove_connection(sandbox.connections()[0]["id"])
    sandbox.keep_group_refs(str)
    assert importer("run", "rows.csv").exit_code == 0

    assert [connection["groupRef"] for connection in sandbox.connections()] == ["g1"]


def test_a_lost_ledger_doubles_nothing_on_a_server_that_folds_refs(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    """Its `G1` may be our `g1`, or somebody else's: posting would be a guess."""
    sandbox.keep_group_refs(str.upper)
    write_csv(home / "rows.csv", [token_row(1), token_row(2)])
    assert importer("run", "rows.csv").exit_code == 0
    (home / "importer-ledger.db").unlink()

    assert importer("run", "rows.csv").exit_code == 3

    assert codes(home) == ["exists", "exists"]
    assert sandbox.count() == 2


def test_two_customers_whose_refs_differ_in_case_only_are_two(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    write_csv(home / "rows.csv", [token_row(1)])
    assert importer("run", "rows.csv").exit_code == 0

    write_csv(home / "rows.csv", [token_row(1), token_row(2, group_ref="G1", consumer_ref="u1")])
    assert importer("run", "rows.csv").exit_code == 0

    assert sorted(connection["groupRef"] for connection in sandbox.connections()) == ["G1", "g1"]


def test_a_server_that_was_seen_to_fold_refs_is_met_on_its_own_terms(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    """The first answer shows how it keeps refs; by that, the row whose answer is lost is found."""
    sandbox.keep_group_refs(str.upper)
    sandbox.next("none")
    sandbox.next("drop_after_commit")
    write_csv(home / "rows.csv", [token_row(1), token_row(2)])

    assert importer("run", "rows.csv", "--workers", "1").exit_code == 0

    assert outcomes(home) == ["created", "created"]
    assert importer("run", "rows.csv").exit_code == 0
    assert sandbox.count() == sandbox.requests.kinds["generate"] == 2


# what the row says meanwhile


def test_a_newer_credential_that_came_while_the_row_was_in_doubt_is_brought(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    """The post made the connection, with the older key: the ledger must not take it for the newer one."""
    write_csv(home / "rows.csv", [key_row(1)])
    lose(sandbox, importer, "drop_after_commit")
    write_csv(home / "rows.csv", [key_row(1, api_key="fake-newer-1")])

    assert importer("run", "rows.csv").exit_code == 0

    (connection,) = sandbox.connections()
    assert connection["current"]["apiKey"] == "fake-newer-1"
    assert entry(home)[0] == "created"
    before = sandbox.requests.kinds
    assert importer("run", "rows.csv").exit_code == 0
    assert outcomes(home) == ["unchanged"]
    after = sandbox.requests.kinds
    assert [after[kind] - before[kind] for kind in ("generate", "patch", "delete")] == [0, 0, 0]


# what a look that found nothing leaves behind


def _looked_up_and_posted_again_at_once(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    """The second post is refused: the row is open, and certainly has no connection of ours."""
    sandbox.next("drop_before")
    sandbox.next("echo_secret_422")
    assert importer("run", "rows.csv").exit_code == 3
    assert sandbox.requests.kinds["generate"] == 2


def _posted_again_by_the_next_run(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    lose(sandbox, importer, "drop_before")
    sandbox.next("echo_secret_422")
    assert importer("run", "rows.csv").exit_code == 3
    assert sandbox.requests.kinds["generate"] == 2


def _verified_not_to_be_there(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    lose(sandbox, importer, "drop_before")
    assert importer("verify").exit_code == 0
    assert entry(home)[0] == "pending"


def _found_deleted_and_forgotten(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    sandbox.next("drop_after_commit")
    assert importer("run", "rows.csv").exit_code == 0
    assert entry(home)[:2] == ("created", 1)
    sandbox.remove_connection(sandbox.connections()[0]["id"])
    assert importer("verify", "--forget-missing", "--yes").exit_code == 0
    assert entry(home)[0] == "pending"


@pytest.mark.parametrize("settle_s", [0, 0.3], ids=["at once", "after a while"])
@pytest.mark.parametrize(
    "begin",
    [
        _looked_up_and_posted_again_at_once,
        _posted_again_by_the_next_run,
        _verified_not_to_be_there,
        _found_deleted_and_forgotten,
    ],
)
def test_a_connection_made_by_hand_is_not_taken_for_a_doubt_that_was_cleared(
    begin: Callable[[Path, Sandbox, Importer], None], settle_s: float, home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    """The row had a lost answer once, and was seen not to be there: what comes later is the customer's own."""
    config = home / "config.toml"
    config.write_text(config.read_text().replace("settle_s = 0.3", f"settle_s = {settle_s}"))
    write_csv(home / "rows.csv", [token_row(1)])
    begin(home, sandbox, importer)
    assert entry(home)[1] == 0
    by_hand = sandbox.add_connection("hubspot", "g1", "u1")
    set_policy(home, "fail")

    refused = importer("run", "rows.csv")

    assert refused.exit_code == 3
    assert (outcomes(home), codes(home)) == (["rejected"], ["exists"])
    assert entry(home)[0] == "rejected"
    assert [connection["id"] for connection in sandbox.connections()] == [by_hand]


def test_a_row_that_was_posted_anew_is_no_longer_in_doubt(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    """Its connection is deleted by hand and the customer connects himself: a rollback leaves that one alone."""
    write_csv(home / "rows.csv", [token_row(1)])
    lose(sandbox, importer, "drop_before")
    assert importer("run", "rows.csv").exit_code == 0
    assert entry(home) == ("created", 0, 1)
    sandbox.remove_connection(sandbox.connections()[0]["id"])
    by_hand = sandbox.add_connection("hubspot", "g1", "u1")
    assert importer("verify", "--forget-missing", "--yes").exit_code == 0

    assert importer("run", "rows.csv").exit_code == 0

    assert outcomes(home) == ["adopted"]
    assert entry(home) == ("created", 0, 0)
    for run in json.loads(importer("status", "--json").out)["runs"]:
        if run["verb"] == "run":
            assert importer("rollback", "--run", run["run_id"], "--yes").exit_code == 0
    assert [connection["id"] for connection in sandbox.connections()] == [by_hand]


# what the end of a run looks at


def test_a_look_for_doubles_that_fails_is_told(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    """The row was sent again after a lost answer; when the run ends, the API does not answer any more."""
    write_csv(home / "rows.csv", [token_row(1)])
    sandbox.next("drop_before")
    sandbox.next("none", 3, on="list")  # the listing, the look at once, the look after settle_s
    sandbox.next("500_before", 50, on="list")

    ended = importer("run", "rows.csv", "--attempts", "2")

    assert ended.exit_code == 3
    assert outcomes(home) == ["created"]
    assert codes(home) == ["not_checked"]


def test_a_look_for_doubles_is_tried_again(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    write_csv(home / "rows.csv", [token_row(1)])
    sandbox.next("drop_before")
    sandbox.next("none", 3, on="list")
    sandbox.next("500_before", 2, on="list")

    assert importer("run", "rows.csv").exit_code == 0
    assert codes(home) == []


def test_two_connections_that_were_there_before_are_adopted_and_reported(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    first = sandbox.add_connection("hubspot", "g1", "u1")
    sandbox.add_connection("hubspot", "g1", "u1")
    write_csv(home / "rows.csv", [token_row(1)])

    assert importer("run", "rows.csv").exit_code == 3

    (result,) = read_csv(home / "importer-report/results.csv")
    assert (result["outcome"], result["connection_id"]) == ("adopted", first)
    assert codes(home) == ["double"]
    assert importer("run", "rows.csv").exit_code == 0


@pytest.mark.parametrize(
    ("fault", "said"), [("500_before", "HTTP 500"), ("html_502", "HTTP 502"), ("drop_before", "connection")]
)
def test_spent_attempts_say_what_the_last_answer_was(
    fault: str, said: str, home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    write_csv(home / "rows.csv", [token_row(1)])
    sandbox.next(fault, 20)

    assert importer("run", "rows.csv", "--attempts", "2").exit_code == 4

    (error,) = read_csv(home / "importer-report/errors.csv")
    assert error["code"] == "attempts_spent"
    assert error["message"].startswith("no connection was made in 2 attempts; the last answer: ")
    assert said in error["message"]


class Vague(BaseHTTPRequestHandler):
    """Answers each post with 200 and a connection, and never has one."""

    def do_GET(self) -> None:
        kind = urlsplit(self.path).path.rpartition("/")[2]
        self._say({"connections": [], "provider-apps": [], "providers": {}}.get(kind, {"id": "project-1"}))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._say({"id": "c-1"})

    def _say(self, document: object) -> None:
        content = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_spent_attempts_say_what_was_answered_where_it_looked_like_a_connection(home: Path, importer: Importer) -> None:
    write_csv(home / "rows.csv", [key_row(1)])
    with ThreadingHTTPServer(("127.0.0.1", 0), Vague) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        ended = importer("run", "rows.csv", "--attempts", "2", AMP_API_URL=f"http://127.0.0.1:{server.server_port}")
        server.shutdown()

    assert ended.exit_code == 4, ended.err
    (error,) = read_csv(home / "importer-report/errors.csv")
    assert error["message"] == "no connection was made in 2 attempts; the last answer: HTTP 200, unreadable"


def test_an_intent_without_its_owner_waits_for_as_long_as_its_request_may_have_left_after_it(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    write_csv(home / "rows.csv", [token_row(1)])
    lose(sandbox, importer, "drop_before")
    with closing(sqlite3.connect(home / "importer-ledger.db")) as db:
        db.execute("UPDATE entries SET state = 'sending', settle_at = NULL")
        db.commit()
    sandbox.next("none", on="list")
    sandbox.next("500_before", 50, on="list")

    assert importer("run", "rows.csv", "--attempts", "1").exit_code == 4

    with closing(sqlite3.connect(home / "importer-ledger.db")) as db:
        ((waits_s,),) = db.execute("SELECT settle_at - sent_at FROM entries")
    assert waits_s == pytest.approx(2.0 + STALE_S)  # the config's timeout_s, and how old an intent may be


def test_a_connection_made_by_hand_after_a_row_had_failed_is_not_ours(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    """Each look had shown that nothing was there: what appears later is somebody else's, and rollback leaves it."""
    write_csv(home / "rows.csv", [token_row(1)])
    sandbox.next("drop_before", 20)
    assert importer("run", "rows.csv", "--attempts", "1").exit_code == 4
    sandbox.calm()
    sandbox.add_connection("hubspot", "g1", "u1")

    assert importer("run", "rows.csv").exit_code == 0

    assert outcomes(home) == ["adopted"]
    for run in json.loads(importer("status", "--json").out)["runs"]:
        assert importer("rollback", "--run", run["run_id"], "--yes").exit_code == 0
    assert sandbox.count() == 1


@pytest.mark.parametrize("keep", [str.upper, str.strip], ids=["capitals", "trimmed"])
def test_an_answer_lost_by_a_server_that_folds_refs_doubles_nothing(
    keep: Callable[[str], str], home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    """The very first answer is lost, so nothing has shown yet how the server keeps refs."""
    sandbox.keep_group_refs(keep)
    sandbox.next("drop_after_commit")
    ref = "g1" if keep is str.upper else "g1\u00a0x"
    write_csv(home / "rows.csv", [token_row(1, group_ref=ref)])

    ended = importer("run", "rows.csv")

    assert ended.exit_code == (3 if keep is str.upper else 0)
    assert sandbox.count() == 1


def test_on_a_server_that_folds_refs_no_row_settles_on_the_connection_of_another(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    sandbox.keep_group_refs(str.upper)
    sandbox.next("none")
    sandbox.next("drop_before")
    write_csv(home / "rows.csv", [token_row(1), token_row(2, group_ref="G1", consumer_ref="u1")])

    importer("run", "rows.csv", "--workers", "1")

    made = [row["connection_id"] for row in read_csv(home / "importer-report/results.csv") if row["connection_id"]]
    assert len(made) == len(set(made)) == sandbox.count()
    tokens = {c["current"]["oauth2AuthorizationCode"]["accessToken"]["token"] for c in sandbox.connections()}
    assert tokens == {"fake-access-1", "fake-access-2"}


def test_a_row_in_doubt_that_its_provider_refuses_today_is_looked_up_and_not_posted(
    home: Path, sandbox: Sandbox, importer: Importer
) -> None:
    write_csv(home / "rows.csv", [key_row(1)])
    lose(sandbox, importer, "drop_before")
    write_csv(home / "rows.csv", [key_row(1, api_key="", username="fake-u", password="fake-p")])

    assert importer("run", "rows.csv").exit_code == 3

    assert codes(home) == ["wrong_credential"]
    assert entry(home)[0] == "rejected"
    assert sandbox.count() == 0


def test_a_clock_that_was_wrong_makes_nobody_wait_for_days(home: Path, sandbox: Sandbox, importer: Importer) -> None:
    write_csv(home / "rows.csv", [token_row(1)])
    lose(sandbox, importer, "drop_before")
    with closing(sqlite3.connect(home / "importer-ledger.db")) as db:
        db.execute("UPDATE entries SET settle_at = settle_at + 1e6, sent_at = sent_at + 1e6")
        db.commit()

    assert importer("run", "rows.csv").exit_code == 0
    assert outcomes(home) == ["created"]


def test_a_key_that_is_refused_while_looking_up_stops_the_run(
    home: Path, sandbox: Sandbox, start: Callable[..., "subprocess.Popen[str]"]
) -> None:
    write_csv(home / "rows.csv", [token_row(1)])
    sandbox.next("drop_after_commit")
    sandbox.next("none", on="list")
    sandbox.next("500_before", 3, on="list")
    process = start("run", "rows.csv")
    while not sandbox.requests.kinds["generate"]:
        time.sleep(0.005)
    sandbox.revoke("another-key")

    _, err = process.communicate(timeout=30)

    assert process.returncode == 5
    assert "the API key is refused (401)" in err
    assert entry(home)[0] == "unknown"
