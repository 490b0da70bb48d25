"""What many tests start from: the sandbox on a real port, a ledger of one's own, and a clock that tests move."""

import asyncio
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from desk import Ended
from postgres import Postgres, running_postgres

from importer import cli
from importer.clock import Clock
from importer.ledger import SqliteLedger
from importer.sandbox import Sandbox


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--thorough", action="store_true", help="The crash tests with 3,000 rows and five seeds.")


def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are cores: a quarter of the time a test waits for a command or for its own clock."""
    return (os.cpu_count() or 1) + 1


class MovedClock(Clock):
    """A clock on which sleeping is the only thing that takes time; `late_s` is how much later a sleep ends."""

    def __init__(self, *, late_s: float = 0.0) -> None:
        self.time, self.late_s = 1_000.0, late_s

    def now(self) -> float:
        return 1_700_000_000.0 + self.time

    def steady(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += max(0.0, seconds) + self.late_s
        await asyncio.sleep(0)  # let the others see it


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or writes the catalog that the user of this machine has kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqliteLedger]:
    opened = SqliteLedger(tmp_path / "ledger.db")
    yield opened
    opened.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The working directory of a command, with a config that does not wait long."""
    (tmp_path / "config.toml").write_text(
        "[api]\ntimeout_s = 2.0\n[limits]\nrate = 'unlimited'\nworkers = 16\n[retry]\nbase_s = 0.05\nsettle_s = 0.3\n"
    )
    return tmp_path


@pytest.fixture
def start(home: Path, sandbox: Sandbox) -> Callable[..., "subprocess.Popen[str]"]:
    """Start the command line as a process, in `home` and against the sandbox."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AMP_")} | sandbox.environment()

    def run(*words: str, **more: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "importer", *words],
            cwd=home, env=environment | more, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    return run


@pytest.fixture
def shell(start: Callable[..., "subprocess.Popen[str]"]) -> Callable[..., Ended]:
    """Run the command line to its end, as a process of its own."""

    def run(*words: str, stdin: str | None = None, **more: str) -> Ended:
        with start(*words, **more) as process:
            out, err = process.communicate(stdin, timeout=120)
        return Ended(process.returncode, out, err)

    return run


@pytest.fixture
def importer(home: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Run the command line to its end within this process, which spares a second of imports each time."""

    def run(*words: str, **more: str) -> Ended:
        out, err = io.StringIO(), io.StringIO()
        with monkeypatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(home)
            for name in [name for name in os.environ if name.startswith("AMP_")]:
                patch.delenv(name)
            for name, value in (sandbox.environment() | more).items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["importer", *words])  # what a process has, and the next command quotes
            patch.setattr(sys, "stdin", io.StringIO())
            interval_s = sys.getswitchinterval()
            try:
                code = cli.run_command(list(words))
            finally:
                sys.setswitchinterval(interval_s)  # a process sets it for itself alone
        return Ended(code, out.getvalue(), err.getvalue())

    return run
