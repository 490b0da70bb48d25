"""Inputs that lie in memory, and random bytes taken apart into the pieces that a parser wants."""

import io
import os
from pathlib import Path
from typing import cast


class _Held:
    """A file as far as the readers look at one: writing each input to a disk would cost more than reading it."""

    parent = Path()

    def __init__(self, content: bytes, name: str) -> None:
        self.name = name
        self._content = content

    def __str__(self) -> str:
        return self.name

    def is_file(self) -> bool:
        return True

    def stat(self) -> os.stat_result:
        return os.stat_result((0, id(self), 0, 1, 0, 0, len(self._content), 0, 0, 0))

    def open(self, _mode: str = "rb") -> io.BufferedReader:
        return io.BufferedReader(io.BytesIO(self._content))


def held(content: bytes, name: str) -> Path:
    """Such a file, for whoever takes a path and does no more with it than that."""
    return cast(Path, _Held(content, name))


def choice(content: bytes, among: int) -> tuple[int, bytes]:
    """Which of so many things the first byte stands for, and what follows it."""
    return (content[0] if content else 0) % among, content[1:]


def text(content: bytes) -> str:
    """Bytes as text; readers refuse what is none, so that no parser behind them meets surrogates."""
    return content.decode("utf-8", "replace")
