"""A terminal of the tests' own: a command runs in it, and what stands on its screen can be looked at."""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pyte

ROWS = 40


class Terminal:
    """Runs `importer` in a pseudo-terminal with so many columns, and emulates what it draws (pyte)."""

    def __init__(self, columns: int, folder: Path, environment: Mapping[str, str], *words: str) -> None:
        self.screens: list[list[str]] = []
        self.written = b""
        self._screen = pyte.Screen(columns, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:  # the child, which becomes the command
            os.chdir(folder)
            os.execve(sys.executable, [sys.executable, "-m", "importer", *words], dict(environment))  # noqa: S606 - this interpreter
        self._size(columns)

    def resize(self, columns: int) -> None:
        """Make it so many columns wide."""
        self._screen.resize(ROWS, columns)
        self._size(columns)

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.write(self._terminal, b"\x03")

    def until(self, seen: Callable[[str], bool], seconds: float = 30.0) -> str:
        """Read until what stands on the screen is as wanted; the screen then."""
        end = time.monotonic() + seconds
        while not seen(self.text):
            assert time.monotonic() < end, self.text
            assert self._read(), f"it ended before: {self.text}"
        return self.text

    def end(self) -> int:
        """Read until the command has ended; its exit code."""
        while self._read():
            pass
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])

    @property
    def text(self) -> str:
        """What stands on the screen."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip()

    def _size(self, columns: int) -> None:
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))

    def _read(self) -> bool:
        """Take in what was written since; False once nothing more will be."""
        if not select.select([self._terminal], [], [], 1.0)[0]:
            return True
        try:
            part = os.read(self._terminal, 65_536)
        except OSError:  # the other end is closed
            return False
        self.written += part
        self._stream.feed(part)
        self.screens.append(self.text.splitlines())
        return bool(part)

    def kill(self) -> None:
        """End it at once, if it has not ended."""
        os.kill(self._pid, signal.SIGKILL)
