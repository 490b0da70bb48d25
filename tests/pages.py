"""The pages of docs/ as things to try: their commands run in one shell, one after the other, as a reader would."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"

_BLOCK = re.compile(r"^```(?P<kind>\w+)(?: (?P<name>\S+))?\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_CHANGES_EACH_TIME = (
    (re.compile(r"[\d,.]+ s, [\d,.]+ requests/s"), "N s, N requests/s"),
    (re.compile(r"\b\d{8}T\d{6}-[0-9a-f]{4}\b"), "RUN-ID"),
    (re.compile(r"\b20\d\d-\d\d-\d\d \d\d:\d\d:\d\dZ?"), "TIME"),
    (re.compile(r"\b\d+ s\b"), "N s"),
)


@dataclass(frozen=True)
class Block:
    """A fenced block: a `kind`, the name of a file where the page gives one to it, and what stands in it."""

    kind: str
    name: str
    text: str


@dataclass(frozen=True)
class Tried:
    """A command of a page, what the page says that it prints, what it printed, and its exit code."""

    command: str
    promised: str
    printed: str
    exit_code: int


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page."""
    text = (DOCS / page).read_text("utf-8")
    return [Block(found["kind"], found["name"] or "", found["text"]) for found in _BLOCK.finditer(text)]


def plain(text: str) -> list[str]:
    """Lines without what changes from run to run: times, rates, ids."""
    for pattern, word in _CHANGES_EACH_TIME:
        text = pattern.sub(word, text)
    return [line.rstrip() for line in text.strip().splitlines()]


def try_page(page: str, folder: Path, environment: Mapping[str, str]) -> list[Tried]:
    """Do what a page says, in one shell: write the files that it names, run each `$ command` of its console blocks."""
    commands = list(_commands(page))
    script = "".join(f"{step}\nprintf '\\036%s\\036' $?\n" for step, _ in commands)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = {name: value for name, value in os.environ.items() if not name.startswith("AMP_")}
    shell = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=own | {"PATH": path} | dict(environment), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, check=False,
    )  # fmt: skip
    parts = shell.stdout.split("\x1e")
    printed, codes = parts[0::2], parts[1::2]
    steps = zip(commands, printed, codes, strict=False)
    tried = [Tried(command, promised, out, int(code)) for (command, promised), out, code in steps]
    assert len(tried) == len(commands), shell.stdout
    return [one for one in tried if not one.command.startswith("cat > ")]


def _commands(page: str) -> Iterator[tuple[str, str]]:
    for block in blocks(page):
        if block.name:
            yield f"cat > {block.name} <<'END OF FILE'\n{block.text}END OF FILE", ""
        elif block.kind == "console":
            for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
                command, _, promised = part.partition("\n")
                yield command, promised
