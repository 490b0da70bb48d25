"""`--help` of each verb, and what the shell completes."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from importer.cli import importer
from importer.presets import NAMES

VERBS = sorted(importer.commands)


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_has_an_example_that_it_understands(verb: str) -> None:
    helped = CliRunner().invoke(importer, [verb, "--help"], terminal_width=80)
    assert helped.exit_code == 0
    examples = [line for line in helped.output.splitlines() if "Example: " in line]
    assert len(examples) == 1
    words = examples[0].partition("Example: importer ")[2].split()
    command = importer.commands[words[0]]
    assert words[0] == verb
    command.make_context(verb, words[1:], resilient_parsing=False)


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_says_what_it_is_for_in_80_columns(verb: str) -> None:
    options = [one for one in importer.commands[verb].params if isinstance(one, click.Option)]
    assert [option.name for option in options if not option.help] == []
    output = CliRunner().invoke(importer, [verb, "--help"], terminal_width=80).output
    assert max(map(len, output.splitlines())) <= 80


def completed(*words: str) -> list[str]:
    *before, begun = words
    return [item.value for item in ShellComplete(importer, {}, "importer", "_X").get_completions(before, begun)]


def test_verbs_options_and_presets_are_completed() -> None:
    assert completed("ver") == ["verify"]
    assert "--rehearse" in completed("run", "--re")
    assert completed("run", "--preset", "") == list(NAMES)
    assert completed("run", "--preset", "better") == ["better-auth"]
    assert completed("run", "--log-format", "") == ["text", "json"]


def test_bash_takes_the_completion_of_the_readme(tmp_path: Path) -> None:
    program = tmp_path / "importer"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m importer "$@"\n')
    program.chmod(0o755)
    script = 'eval "$(_IMPORTER_COMPLETE=bash_source importer)"; complete -p importer'
    own = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], env=own, capture_output=True, text=True, timeout=60, check=False)
    if "4.4" in done.stderr and done.returncode:
        pytest.skip("this bash is older than completion needs")
    assert "importer" in done.stdout, done.stderr
