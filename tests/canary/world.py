"""Where the canaries live: a folder that is searched whole, with its own home, cache and temporary files."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from canary.search import Search
from canary.values import Canaries

KEY = "fake-Key9zQ4vT8wLm2Xc7Rb5Nd"
TAMPERING = Path(__file__).with_name("tampering")
FAST = """
[api]
timeout_s = 2.0
[limits]
rate = "unlimited"
workers = 8
attempts = 2
stop_after = 0
[retry]
base_s = 0.01
cap_s = 0.02
max_wait_s = 1.0
settle_s = 0.02
"""


@dataclass
class Tried:
    """What one command left to be seen, and its exit code."""

    words: tuple[str, ...]
    exit_code: int
    out: bytes
    err: bytes
    arguments: bytes


@dataclass
class World:
    """A working directory to run commands in. `given` holds the inputs, which are not searched."""

    folder: Path
    given: Path
    url: str
    canaries: Canaries = field(default_factory=Canaries)
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("work", "home", "cache", "tmp"):
            (self.folder / name).mkdir(parents=True)
        self.given.mkdir(parents=True, exist_ok=True)
        self.canaries.made.append(KEY)
        self.config(FAST)

    @property
    def work(self) -> Path:
        """The working directory."""
        return self.folder / "work"

    def config(self, text: str) -> None:
        """Write config.toml."""
        (self.work / "config.toml").write_text(text, "utf-8")

    def input(self, name: str, content: str | bytes) -> str:
        """An input, out of the searched folder; its path, as the working directory has it."""
        (self.given / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return os.path.relpath(self.given / name, self.work)

    def start(
        self, *words: str, tamper: str = "", program: tuple[str, ...] = ("-m", "importer")
    ) -> subprocess.Popen[bytes]:
        """Start a command with all that debugs a Python program switched on."""
        secrets = self.given / "canaries"
        secrets.write_text("\n".join(self.canaries.made), "utf-8")
        own = {name: value for name, value in os.environ.items() if not name.startswith(("AMP_", "CANARY"))}
        path = os.pathsep.join([*([str(TAMPERING)] if tamper else []), *filter(None, [own.get("PYTHONPATH")])])
        own |= {
            "HOME": str(self.folder / "home"), "XDG_CACHE_HOME": str(self.folder / "cache"),
            "TMPDIR": str(self.folder / "tmp"), "AMP_API_URL": self.url, "AMP_API_KEY": KEY, "AMP_PROJECT": "sandbox",
            "PYTHONASYNCIODEBUG": "1", "PYTHONFAULTHANDLER": "1", "PYTHONPATH": path, "CANARY_TAMPER": tamper,
            "CANARY_SECRETS": str(secrets),
        }  # fmt: skip
        return subprocess.Popen(
            [sys.executable, "-W", "default", *program, *words], cwd=self.work, env=own | self.environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(
        self, *words: str, stdin: bytes = b"", tamper: str = "", program: tuple[str, ...] = ("-m", "importer")
    ) -> Tried:
        """Run a command to its end, and note the arguments of all its processes while it runs."""
        with self.start(*words, tamper=tamper, program=program) as process, Arguments(process.pid) as arguments:
            out, err = process.communicate(stdin, timeout=60)
        return Tried(words, process.returncode, out, err, arguments.seen)

    def leaks(self, *tried: Tried) -> dict[str, set[str]]:
        """Place -> the canaries that can be seen there."""
        search = Search(self.canaries.made)
        found = search.in_files(self.folder)
        for one in tried:
            for place, seen in (("stdout", one.out), ("stderr", one.err), ("arguments", one.arguments)):
                if canaries := search.in_bytes(seen):
                    found[f"{place} of {' '.join(one.words)}"] = canaries
        return found


class Arguments:
    """Notes what `ps` would show of a process and of those that it started."""

    def __init__(self, pid: int) -> None:
        self._pid, self._ended = pid, threading.Event()
        self._lines: set[bytes] = set()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Arguments":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def seen(self) -> bytes:
        """Every command line so far."""
        return b"\n".join(self._lines)

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            for pid in family(self._pid):
                self._lines.add(proc(pid, "cmdline"))


def family(pid: int) -> list[int]:
    """A process and those that descend from it."""
    own = [pid]
    for one in own:
        with suppress(FileNotFoundError):  # it has gone meanwhile
            for task in Path(f"/proc/{one}/task").iterdir():
                own += map(int, proc(one, f"task/{task.name}/children").split())
    return own


def proc(pid: int, name: str) -> bytes:
    """A file of /proc; nothing, where the process has gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def wait_until(what: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until `what()` is true."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)
