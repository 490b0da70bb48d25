"""`run --rehearse`: the real rows and settings, and not one request to anywhere but this machine's sandbox."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from desk import Ended, key_row, read_csv, token_row, write_csv

from importer.sandbox import Sandbox

Run = Callable[..., Ended]


@pytest.fixture
def elsewhere() -> Iterator[socket.socket]:
    """Where the platform and a proxy would be: a port on which nobody may come by."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        yield server


def test_nothing_leaves_the_machine_and_nothing_real_is_touched(
    home: Path, shell: Run, sandbox: Sandbox, elsewhere: socket.socket
) -> None:
    rows = write_csv(home / "rows.csv", [token_row(1, provider="neverHeardOf"), key_row(2), key_row(3, group_ref="")])
    assert shell("run", str(rows)).exit_code == 3
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    posted, address = sandbox.count(), f"http://127.0.0.1:{elsewhere.getsockname()[1]}"

    ended = shell(
        "run", "rows.csv", "--rehearse", AMP_API_URL=address, AMP_API_KEY="", HTTPS_PROXY=address, HTTP_PROXY=address
    )

    with pytest.raises(TimeoutError):
        elsewhere.accept()
    assert ended.exit_code == 3, ended.err
    assert "rehearsal: nothing leaves this machine" in ended.err
    assert "rehearsal: 3 rows took 1 s, and nothing left this machine; see importer-report/rehearsal/" in ended.err
    assert sandbox.count() == posted
    assert {path: path.read_bytes() for path in before} == before
    outcomes = [row["outcome"] for row in read_csv(home / "importer-report/rehearsal/results.csv")]
    assert sorted(outcomes) == ["created", "created", "rejected"]
    assert (home / "importer-report/rehearsal/report.html").is_file()


def test_it_says_that_done_rows_are_rehearsed_too_and_begins_anew_each_time(home: Path, shell: Run) -> None:
    write_csv(home / "rows.csv", [key_row(n) for n in range(5)])
    shell("run", "rows.csv")
    for _ in range(2):
        ended = shell("run", "rows.csv", "--rehearse", "--rows", "3", "--rate", "unlimited")
        assert ended.exit_code == 0, ended.err
        assert "as if nothing had been imported yet; a real run leaves 5 done rows alone" in ended.err
        assert "rehearsal: the first 3 rows took" in ended.err
        assert "created 3" in ended.out


def test_neither_the_program_nor_prometheus_hears_of_it(home: Path, shell: Run) -> None:
    with (home / "config.toml").open("a") as file:
        file.write("[notify]\ncommand = 'touch heard'\n[metrics]\ntextfile = 'importer.prom'\n")
    write_csv(home / "rows.csv", [key_row(1)])
    ended = shell("run", "rows.csv", "--rehearse", "--json")
    assert ended.exit_code == 0
    assert json.loads(ended.out.splitlines()[-1])["outcomes"]["created"] == 1
    assert not (home / "heard").exists()
    assert not (home / "importer.prom").exists()


def test_a_folder_that_no_rehearsal_made_is_left_alone(home: Path, shell: Run) -> None:
    own = home / "importer-report/rehearsal"
    own.mkdir(parents=True)
    (own / "notes.txt").write_text("mine")
    write_csv(home / "rows.csv", [key_row(1)])
    ended = shell("run", "rows.csv", "--rehearse")
    assert ended.exit_code == 2
    assert "is there and no rehearsal made it" in ended.err
    assert (own / "notes.txt").read_text() == "mine"


def test_what_a_config_lacks_is_told_as_ever(home: Path, shell: Run) -> None:
    ended = shell("run", "missing.csv", "--rehearse")
    assert ended.exit_code == 2
    assert "missing.csv" in ended.err


def test_a_credential_stays_in_memory(home: Path, shell: Run) -> None:
    write_csv(home.parent / "rows.csv", [key_row(n) for n in range(20)])
    ended = shell("run", str(home.parent / "rows.csv"), "--rehearse", "--log-level", "debug")
    assert ended.exit_code == 0
    assert [path for path in home.rglob("*") if path.is_file() and b"fake-key-" in path.read_bytes()] == []
    assert "fake-key-" not in ended.out + ended.err
