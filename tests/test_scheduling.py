"""docs/scheduling.md: what is to be copied is right for its scheduler, and its command imports the rows."""

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from desk import key_row, write_csv
from pages import blocks

from importer.sandbox import Sandbox

FILES = {block.name: block.text for block in blocks("scheduling.md") if block.name}


@pytest.fixture
def srv(tmp_path: Path) -> Path:
    """What the page calls /srv/importer: a folder that lasts, with a config, rows, and the program."""
    (tmp_path / "config.toml").write_text('[source]\npaths = ["rows.csv"]\n[limits]\nrate = "unlimited"\n')
    write_csv(tmp_path / "rows.csv", [key_row(n) for n in range(3)])
    (tmp_path / ".venv/bin").mkdir(parents=True)
    program = f'#!/bin/sh\nexec "{sys.executable}" -m importer "$@"\n'
    (tmp_path / ".venv/bin/importer").write_text(program)
    (tmp_path / ".venv/bin/importer").chmod(0o755)
    (tmp_path / "amp-api-key").write_text("sandbox-key\n")
    (tmp_path / "amp-api-key").chmod(0o600)
    return tmp_path


def run(srv: Path, sandbox: Sandbox, command: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command as its scheduler would, with the folder where it is here."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("AMP_")}
    path = f"{srv / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"
    environment = own | {"PATH": path} | sandbox.environment() | more
    return subprocess.run(
        ["bash", "-c", command.replace("/srv/importer", str(srv))], cwd=srv, env=environment, text=True,
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip


def parsed_yaml(text: str) -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="safe").load(text)


def test_every_scheduler_is_there() -> None:
    assert set(FILES) == {
        "importer.crontab", "importer.service", "importer.timer", "importer-cronjob.yaml", "Dockerfile",
        "importer-workflow.yaml", "importer_dag.py",
    }  # fmt: skip


def test_cron(srv: Path, sandbox: Sandbox) -> None:
    from crontab import CronTab

    (job,) = CronTab(tab=FILES["importer.crontab"])
    assert job.is_valid()
    assert str(job.slices) == "15 2 * * *"
    assert "%" not in job.command, "cron makes a line end of it"
    ended = run(srv, sandbox, job.command)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sandbox.count() == 3


def test_cron_does_not_overlap(srv: Path, sandbox: Sandbox) -> None:
    from crontab import CronTab

    (job,) = CronTab(tab=FILES["importer.crontab"])
    with subprocess.Popen(["flock", str(srv / "importer.lock"), "sleep", "60"]) as other:
        while "WRITE" not in Path("/proc/locks").read_text():
            pass
        assert run(srv, sandbox, job.command).returncode == 1
        other.kill()
    assert sandbox.count() == 0


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not on this machine")
def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    for name in ("importer.service", "importer.timer"):
        (tmp_path / name).write_text(FILES[name])
    units = [str(tmp_path / name) for name in ("importer.service", "importer.timer")]
    checked = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_service_of_systemd_runs(srv: Path, sandbox: Sandbox) -> None:
    command = re.search(r"^ExecStart=/bin/sh -c '(.*)'$", FILES["importer.service"], re.MULTILINE)
    assert command
    script = command[1].replace("$$", "$")  # as systemd does
    ended = run(srv, sandbox, script, AMP_API_KEY="", CREDENTIALS_DIRECTORY=str(srv))
    assert ended.returncode == 0, ended.stderr
    assert sandbox.count() == 3
    assert [json.loads(line)["event"] for line in ended.stderr.splitlines()][-1] == "command_ended"


def test_kubernetes(srv: Path, sandbox: Sandbox) -> None:
    import kubernetes_validate

    job = parsed_yaml(FILES["importer-cronjob.yaml"])
    kubernetes_validate.validate(job, "1.31", strict=True)
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    words = [word.replace("/data/config.toml", "config.toml") for word in container["args"]]
    assert run(srv, sandbox, " ".join([".venv/bin/importer", *words])).returncode == 0
    assert sandbox.count() == 3


@pytest.mark.parametrize(("rows", "exit_code"), [([key_row(1)], 0), ([key_row(1, group_ref="")], 0)])
def test_github_actions(srv: Path, sandbox: Sandbox, rows: list[dict[str, str]], exit_code: int) -> None:
    (srv / "workflow.yaml").write_text(FILES["importer-workflow.yaml"])
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", "workflow.yaml"]
    checked = subprocess.run(command, cwd=srv, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    (step,) = parsed_yaml(FILES["importer-workflow.yaml"])["jobs"]["import"]["steps"]
    write_csv(srv / "rows.csv", rows)
    assert run(srv, sandbox, step["run"]).returncode == exit_code
    assert run(srv, sandbox, step["run"], AMP_API_KEY="fake-wrong-key").returncode == 5


def test_airflow(srv: Path, sandbox: Sandbox) -> None:
    """Read as Airflow reads it where Airflow is (1,000 packages: not among those of the tests), else as Python."""
    tree = ast.parse(FILES["importer_dag.py"])
    (command,) = [
        node.value.value for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "bash_command" and isinstance(node.value, ast.Constant)
    ]  # fmt: skip
    assert run(srv, sandbox, str(command)).returncode == 0
    assert sandbox.count() == 3
    if importlib.util.find_spec("airflow"):
        exec(compile(tree, "importer_dag.py", "exec"), {})  # noqa: S102 - our own page
