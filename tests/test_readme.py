"""What the README and the docs say is what the program does: every command in them is run, every list is complete."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
from pages import plain

from importer.config import Config, load_config
from importer.outcomes import Code
from importer.sandbox import Sandbox

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def commands() -> list[tuple[str, str]]:
    """Every `$ importer …` of a console block, with what stands below it."""
    blocks = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    parts = [part for block in blocks for part in re.split(r"^\$ (?=importer)", block, flags=re.MULTILINE)[1:]]
    return [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts]


def test_there_are_commands_to_run() -> None:
    assert len(commands()) >= 3


@pytest.mark.parametrize(("command", "printed"), commands(), ids=[command for command, _ in commands()])
def test_a_command_prints_what_the_readme_says(command: str, printed: str, tmp_path: Path, sandbox: Sandbox) -> None:
    shutil.copytree(ROOT / "samples", tmp_path / "samples")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AMP_")} | sandbox.environment()

    ended = subprocess.run(
        [sys.executable, "-m", *command.split()],
        cwd=tmp_path, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
        check=False,
    )  # fmt: skip

    assert plain(ended.stdout) == plain(printed)
    assert ended.returncode == 0


def test_the_two_commands_that_set_everything_up_stand_as_they_are_run() -> None:
    assert "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/importer demo\n" in README
    assert "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/pytest\n" in README


def test_every_link_leads_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_every_code_is_explained() -> None:
    page = (ROOT / "docs" / "problems.md").read_text("utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == {code.value for code in Code}


def settings(kind: type, prefix: str = "") -> dict[str, object]:
    """Every key of the config as a dotted name, with its default."""
    found: dict[str, object] = {}
    for field in fields(kind):
        if "internal" in field.metadata or field.name == "mapping":
            continue
        value = getattr(kind(), field.name)
        if is_dataclass(value):
            found |= settings(type(value), f"{field.name}.")
        else:
            found[prefix + field.name] = value
    return found


def test_the_example_config_has_every_key_with_its_default() -> None:
    text = (ROOT / "config.example.toml").read_text("utf-8")
    example = load_config(ROOT / "config.example.toml", {})
    own = {"api.project", "source.paths"}  # what makes the example work on the samples
    for name, default in settings(Config).items():
        section, _, key = name.partition(".")
        table = text.partition(f"\n[{section}]")[2].partition("\n[")[0]
        assert re.search(rf"^(# )?{key} = ", table, re.MULTILINE), f"{name} is not in config.example.toml"
        if name not in own:
            assert getattr(getattr(example, section), key) == default, name


def test_the_example_config_names_no_key_that_is_none() -> None:
    """Commented keys count too: each is read as if it were not commented."""
    text = (ROOT / "config.example.toml").read_text("utf-8")
    known = set(settings(Config))
    section = ""
    for line in text.splitlines():
        if header := re.fullmatch(r"(?:# )?\[(\w+)\].*", line):
            section = header[1]
        elif (key := re.match(r"(?:# )?(\w+) = ", line)) and section != "mapping":
            assert f"{section}.{key[1]}" in known, line


def test_the_mapping_in_the_example_config_is_right(tmp_path: Path) -> None:
    text = (ROOT / "config.example.toml").read_text("utf-8")
    block = text.partition("\n# [mapping]")[2].partition("\n\n")[0]
    lines = [line.removeprefix("# ") for line in ("# [mapping]" + block).splitlines()]
    (tmp_path / "config.toml").write_text("\n".join(line for line in lines if not line.startswith("#")), "utf-8")

    mapping = load_config(tmp_path / "config.toml", {}).mapping

    assert mapping is not None
    assert mapping["oauth2AuthorizationCode.refreshToken.token"].json == "$.refresh_token"


def test_the_starting_config_of_init_is_right(tmp_path: Path) -> None:
    shutil.copy(ROOT / "importer" / "starter.toml", tmp_path / "config.toml")
    assert load_config(tmp_path / "config.toml", {}).limits.workers == 32
