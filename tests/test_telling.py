"""What the world around hears of a run: the program of `[notify]`, and the text file of `[metrics]`."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from desk import Ended, key_row, write_csv
from prometheus_client.parser import text_string_to_metric_families

from importer.sandbox import Sandbox

Run = Callable[..., Ended]
HEARD = """
import json, os, sys
with open("heard.json", "w") as file:
    json.dump({"summary": json.load(sys.stdin), "environment": dict(os.environ)}, file)
"""


@pytest.fixture
def told(home: Path) -> Callable[[], dict[str, Any]]:
    """With a program to tell: what it heard."""
    (home / "tell.py").write_text(HEARD)
    configure(home, f"[notify]\ncommand = '{sys.executable} tell.py'\n")
    return lambda: json.loads((home / "heard.json").read_text())


def configure(home: Path, more: str) -> None:
    with (home / "config.toml").open("a") as file:
        file.write(more)


def figures(path: Path) -> dict[str, float]:
    """What Prometheus reads: the name of each sample, with its outcome, and its value."""
    families = list(text_string_to_metric_families(path.read_text()))
    assert all(family.type == "gauge" and family.documentation for family in families)
    samples = [sample for family in families for sample in family.samples]
    assert {sample.labels["project"] for sample in samples} == {"sandbox"}
    return {" ".join([one.name, *filter(None, [one.labels.get("outcome")])]): one.value for one in samples}


# a program


def test_a_program_hears_the_summary_and_the_exit_code(home: Path, shell: Run, told: Any) -> None:
    write_csv(home / "rows.csv", [key_row(1), key_row(2, group_ref="")])
    assert shell("run", "rows.csv").exit_code == 3
    assert told()["summary"] == json.loads((home / "importer-report/summary.json").read_text())
    assert told()["environment"]["IMPORTER_EXIT_CODE"] == "3"


def test_it_is_told_of_a_run_that_could_not_begin(home: Path, shell: Run, told: Any) -> None:
    assert shell("run", "missing.csv").exit_code == 2
    assert told()["summary"]["exit_code"] == 2
    assert "missing.csv" in told()["summary"]["stopped"]["message"]


def test_it_is_told_of_a_key_that_is_refused(home: Path, shell: Run, told: Any, sandbox: Sandbox) -> None:
    write_csv(home / "rows.csv", [key_row(1)])
    assert shell("run", "rows.csv", AMP_API_KEY="fake-wrong-key").exit_code == 5
    assert told()["summary"]["exit_code"] == 5
    assert "fake-wrong-key" not in json.dumps(told())


def test_it_does_not_have_the_key_nor_what_else_holds_a_credential(home: Path, shell: Run, told: Any) -> None:
    configure(
        home,
        '[source]\nurl_env = "STORE"\nquery = "select * from nothing"\n[mapping]\nprovider = "provider"\n'
        'groupRef = "g"\nconsumerRef = "u"\n'
        'apiKey = { column = "k", decrypt = { scheme = "fernet", key_env = "SEAL" } }\n',
    )
    shell("run", STORE="sqlite:///fake-store.db", SEAL="fake-seal", OTHER="kept")
    assert told()["environment"].keys().isdisjoint({"AMP_API_KEY", "STORE", "SEAL"})
    assert told()["environment"]["OTHER"] == "kept"


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import sys; print('what it says', file=sys.stderr); sys.exit(7)", "notify.command ended with code 7"),
        ("import os, sys; os.close(0); sys.exit(1)", "notify.command ended with code 1"),
    ],
)
def test_a_program_that_fails_changes_nothing(home: Path, shell: Run, program: str, said: str) -> None:
    (home / "tell.py").write_text(program)
    configure(home, f"[notify]\ncommand = '{sys.executable} tell.py'\n")
    write_csv(home / "rows.csv", [key_row(1)])
    ended = shell("run", "rows.csv")
    assert ended.exit_code == 0
    assert f"warning: {said}" in ended.err


def test_a_program_that_hangs_is_ended_with_what_it_started(
    home: Path, monkeypatch: pytest.MonkeyPatch, importer: Run
) -> None:
    (home / "tell.py").write_text("import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'while 1: pass'])")
    configure(home, f"[notify]\ncommand = '{sys.executable} {home}/tell.py'\n")
    write_csv(home / "rows.csv", [key_row(1)])
    monkeypatch.setattr("importer.notify.PATIENCE_S", 1.0)  # nobody waits a minute for a test
    ended = importer("run", "rows.csv")
    assert ended.exit_code == 0
    assert "notify.command did not end within 1 s, and was ended" in ended.err


@pytest.mark.parametrize("command", ["no-such-program --now", "'open", " "])
def test_a_command_that_names_no_program_is_told_before_anything_is_sent(
    home: Path, shell: Run, sandbox: Sandbox, command: str
) -> None:
    configure(home, f'[notify]\ncommand = "{command}"\n')
    write_csv(home / "rows.csv", [key_row(1)])
    ended = shell("run", "rows.csv")
    assert ended.exit_code == 2
    assert "notify.command names no program that is there" in ended.err
    assert sandbox.count() == 0


# figures


def test_figures_of_the_last_run_are_what_prometheus_reads(home: Path, shell: Run) -> None:
    configure(home, "[metrics]\ntextfile = 'metrics/importer.prom'\n")
    write_csv(home / "rows.csv", [key_row(1), key_row(2), key_row(3, group_ref="")])
    shell("run", "rows.csv")
    path = home / "metrics/importer.prom"
    found = figures(path)
    assert found["importer_last_run_rows created"] == 2
    assert found["importer_last_run_rows rejected"] == 1
    assert found["importer_last_run_exit_code"] == 3
    assert found["importer_last_run_read_rows"] == 3
    assert found["importer_last_success_timestamp_seconds"] == found["importer_last_run_end_timestamp_seconds"]
    assert path.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in path.parent.iterdir()] == ["importer.prom"]
    assert "g1" not in path.read_text()


def test_a_run_that_fails_keeps_the_time_of_the_last_success(home: Path, shell: Run) -> None:
    configure(home, "[metrics]\ntextfile = 'importer.prom'\n")
    write_csv(home / "rows.csv", [key_row(1)])
    shell("run", "rows.csv")
    before = figures(home / "importer.prom")
    assert shell("run", "rows.csv", AMP_API_KEY="fake-wrong-key").exit_code == 5
    after = figures(home / "importer.prom")
    assert after["importer_last_run_exit_code"] == 5
    assert after["importer_last_success_timestamp_seconds"] == before["importer_last_success_timestamp_seconds"]
    assert after["importer_last_run_end_timestamp_seconds"] > before["importer_last_run_end_timestamp_seconds"]


def test_a_file_of_something_else_is_no_success(home: Path, shell: Run) -> None:
    configure(home, "[metrics]\ntextfile = 'importer.prom'\n")
    (home / "importer.prom").write_text("no metrics {{{")
    assert shell("run", "missing.csv").exit_code == 2
    assert "importer_last_success_timestamp_seconds" not in figures(home / "importer.prom")


@pytest.mark.parametrize(
    ("path", "said"), [("/proc/importer.prom", "cannot be written in /proc"), ("figures.txt", "reads *.prom only")]
)
def test_a_place_that_will_not_do_is_told_before_anything_is_sent(
    home: Path, shell: Run, sandbox: Sandbox, path: str, said: str
) -> None:
    configure(home, f"[metrics]\ntextfile = '{path}'\n")
    write_csv(home / "rows.csv", [key_row(1)])
    ended = shell("run", "rows.csv")
    assert ended.exit_code == 2
    assert said in ended.err
    assert sandbox.count() == 0
