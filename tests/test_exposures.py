"""What others on the machine could see or change is said, and what they must not see is in no argument and no core."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from desk import Ended, token_row, write_csv

from importer.config import load_config
from importer.reading import ReaderProcess
from importer.sandbox import Sandbox

Importer = Callable[..., Ended]
Start = Callable[..., "subprocess.Popen[str]"]
KEY = "fake-api-key-1"


def warnings_of(ended: Ended) -> list[str]:
    return [line for line in ended.err.splitlines() if line.startswith("warning: ")]


# --- folders ---


@pytest.fixture
def rows(home: Path) -> Path:
    return write_csv(home / "rows.csv", [token_row(1)])


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("verb", ["run", "plan", "verify", "report"])
def test_a_folder_that_others_can_write_to_is_warned_of_once(home: Path, importer: Importer, verb: str) -> None:
    assert warnings_of(importer("run", "rows.csv")) == []
    home.chmod(0o777)
    (home / "importer-report").chmod(0o757)

    ended = importer(verb, *(["rows.csv"] if verb in ("run", "plan") else []))

    assert ended.exit_code == 0
    assert warnings_of(ended) == [
        f"warning: others can write to {home}, and so exchange the ledger and the reports: chmod go-w {home}",
        f"warning: others can write to {home}/importer-report, and so exchange the reports: "
        f"chmod go-w {home}/importer-report",
    ]


@pytest.mark.usefixtures("rows")
def test_a_folder_above_counts_too(home: Path, importer: Importer) -> None:
    """Who can write there puts another folder in the place of ours."""
    (home / "open").mkdir()
    (home / "open").chmod(0o777)

    ended = importer("run", "rows.csv", "--report-dir", "open/new/reports")

    (line,) = warnings_of(ended)
    assert f"others can write to {home}/open, and so exchange the reports: " in line


@pytest.mark.usefixtures("rows")
def test_one_folder_is_one_warning(home: Path, importer: Importer) -> None:
    home.chmod(0o777)

    ended = importer("run", "rows.csv", "--report-dir", ".", "--json")

    assert len(warnings_of(ended)) == 1
    assert "exchange the ledger and the reports: " in ended.err
    assert "warning" not in ended.out
    assert warnings_of(importer("run", "rows.csv", "--report-dir", ".", "--quiet")) == []


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("mode", [0o1777, 0o755, 0o775])
def test_a_folder_in_which_others_can_exchange_nothing_is_none(home: Path, importer: Importer, mode: int) -> None:
    """A sticky one; and one of the user's own group, which is how some systems set people up."""
    home.chmod(mode)

    assert warnings_of(importer("run", "rows.csv")) == []


@pytest.mark.usefixtures("rows")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize(("user", "group", "mode"), [(12345, 12345, 0o755), (0, 12345, 0o775), (12345, 0, 0o1755)])
def test_a_folder_of_another_user_or_group_is_warned_of(
    home: Path, importer: Importer, user: int, group: int, mode: int
) -> None:
    os.chown(home, user, group)
    home.chmod(mode)

    assert len(warnings_of(importer("run", "rows.csv"))) == 1


# --- arguments ---


@pytest.mark.parametrize(
    ("url", "warned"),
    [
        ("postgresql://importer:fake-password@127.0.0.1:9/db", True),
        ("postgresql://127.0.0.1:9/db?user=importer&password=fake-password", True),
        ("postgresql://127.0.0.1:9/db?password=fake-password", True),
        ("postgresql://importer@127.0.0.1:9/db", False),
        ("postgresql://importer:@127.0.0.1:9/db", False),
        ("rows@home:1.csv", False),
    ],
)
@pytest.mark.parametrize("verb", ["plan", "run", "inspect"])
def test_a_password_in_an_argument_is_warned_of_and_not_shown(
    importer: Importer, verb: str, url: str, warned: bool
) -> None:
    ended = importer(verb, url)

    assert len(warnings_of(ended)) == warned
    assert "url_env" in ended.err or not warned
    assert "fake-password" not in ended.out + ended.err


@pytest.mark.parametrize("words", [["--api-key", KEY], [f"--api-key={KEY}"], [f"--apikey={KEY}"], ["--token", KEY],
                                   ["--api-key"], [f"--API_KEY={KEY}"]])  # fmt: skip
@pytest.mark.parametrize("verb", [[], ["run"], ["run", "rows.csv"], ["plan"], ["verify"], ["status"], ["providers"]])
def test_a_key_as_an_argument_is_refused_and_not_shown(importer: Importer, verb: list[str], words: list[str]) -> None:
    """As other tools have it: what to do instead is said, and the value is no SOURCE."""
    ended = importer(*verb, *words)

    option = words[0].partition("=")[0]
    assert ended.exit_code == 2
    assert ended.err.startswith(f"error: {option}: the API key is never an argument")
    assert "AMP_API_KEY" in ended.err
    assert ended.err.count("\n") == 2
    assert KEY not in ended.out + ended.err


def test_any_other_option_that_is_none_is_told_as_ever(importer: Importer) -> None:
    assert "No such option" in importer("run", "--keys", "1").err


# --- core dumps ---


def core_limits(pid: int) -> list[str]:
    """The soft and the hard limit of a process."""
    lines = Path(f"/proc/{pid}/limits").read_text().splitlines()
    return next(line for line in lines if line.startswith("Max core file size")).split()[4:6]


@pytest.fixture
def dumping() -> Iterator[None]:
    """A shell in which a crash leaves a core, as far as this machine lets it."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, before)


@pytest.mark.usefixtures("dumping")
@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="the limits of a process are read in /proc")
def test_a_crash_leaves_no_core(home: Path, sandbox: Sandbox, start: Start) -> None:
    """It would hold every credential of the chunk."""
    write_csv(home / "rows.csv", [token_row(n) for n in range(100)])
    process = start("run", "rows.csv", "--rate", "20")
    while not sandbox.count():
        time.sleep(0.02)

    assert core_limits(process.pid) == ["0", "0"]
    process.send_signal(signal.SIGABRT)
    process.communicate(timeout=30)

    assert process.returncode == -signal.SIGABRT
    assert [path.name for path in home.iterdir() if "core" in path.name] == []


@pytest.mark.usefixtures("dumping")
@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="the limits of a process are read in /proc")
def test_the_reading_process_leaves_no_core_whoever_started_it(rows: Path) -> None:
    """A program that uses the package as a library keeps the limit that it has."""
    with closing(ReaderProcess(load_config(None, {}, source__paths=(str(rows),)))) as reader:
        reader._send("next", True)
        deadline = time.monotonic() + 30
        while core_limits(reader.pid) != ["0", "0"] and time.monotonic() < deadline:
            time.sleep(0.02)
        assert core_limits(reader.pid) == ["0", "0"]
