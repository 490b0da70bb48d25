"""Looks for inputs that break a property, led by the branches that they reach: `python -m tests.fuzz.guided TARGET`.

Outside the test run, for it takes minutes to hours (`importer[fuzz]`, which has atheris). It goes on after an input
that breaks the property, cuts that to what matters, and writes it to `seeds/TARGET/`, one for each place in the code.
An input that takes longer than 10 s or more than 2 GB ends it, as libFuzzer says.
"""

import argparse
import hashlib
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["importer"]):
    from .targets import SEEDS, TARGETS, Target, seeds

LONGEST_S = 10
LARGEST_MB = 2_048
LONGEST_INPUT = 4_096


class Hunt:
    """Runs one target on what libFuzzer comes up with, and keeps what broke it."""

    def __init__(self, name: str, target: Target, inputs: int) -> None:
        self._name = name
        self._target = target
        self._inputs = inputs
        self._began = time.monotonic()
        self._run = 0
        self._found: set[str] = set()

    def try_(self, content: bytes) -> None:
        """One input."""
        self._run += 1
        if (place := self._broken(content)) and place not in self._found:
            self._found.add(place)
            self._keep(content, place)
        if self._run == self._inputs:
            self.say("done")

    def say(self, what: str) -> None:
        """The figures so far."""
        took_s = time.monotonic() - self._began
        print(f"{self._name}: {what}: {self._run:,} inputs, {len(self._found)} breaks, {took_s:.0f} s", flush=True)

    def _broken(self, content: bytes) -> str:
        """Where the property breaks on an input; an empty text where it holds."""
        try:
            self._target.run(content)
        except Exception as error:  # whatever breaks is what is looked for
            frames = traceback.extract_tb(error.__traceback__)
            ours = [f for f in frames if "/importer/" in f.filename or "/fuzz/" in f.filename]
            return f"{type(error).__name__} at {Path(ours[-1].filename).name}:{ours[-1].lineno}"
        return ""

    def _keep(self, content: bytes, place: str) -> None:
        small = self._cut(content, place)
        folder = SEEDS / self._name
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / hashlib.sha256(small).hexdigest()[:12]
        path.write_bytes(small)
        self.say(f"{place} on {small!r:.200}, kept in {path.name}")

    def _cut(self, content: bytes, place: str) -> bytes:
        """What is left of an input when every piece that its break does not need is cut out."""
        size = max(1, len(content) // 2)
        while True:
            for at in range(0, len(content), size):
                shorter = content[:at] + content[at + size :]
                if self._broken(shorter) == place:
                    content = shorter
                    break
            else:
                if size == 1:
                    return content
                size //= 2


def main(words: list[str]) -> None:
    """Fuzz one target. libFuzzer ends the process."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided", description=__doc__.partition(":")[0])
    parser.add_argument("target", choices=sorted(TARGETS))
    parser.add_argument("--inputs", type=int, default=100_000, help="How many are tried.")
    parser.add_argument("--seed", type=int, default=0, help="Of the random numbers; 0: another one each time.")
    given = parser.parse_args(words)
    hunt = Hunt(given.target, TARGETS[given.target], given.inputs)
    corpus = Path(tempfile.mkdtemp(prefix="corpus-"))
    examples = [*TARGETS[given.target].samples, *(path.read_bytes() for path in seeds(given.target))]
    for number, content in enumerate(examples):
        (corpus / str(number)).write_bytes(content)
    options: list[Any] = [
        f"-runs={given.inputs}", f"-timeout={LONGEST_S}", f"-rss_limit_mb={LARGEST_MB}", f"-max_len={LONGEST_INPUT}",
        f"-seed={given.seed}", f"-artifact_prefix={corpus}/broke-", "-print_final_stats=0", "-verbosity=0",
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(corpus)], hunt.try_)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
