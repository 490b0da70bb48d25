"""What an operator sees: through a real pseudo-terminal at three widths, and without one."""

import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from desk import Ended, key_row, write_csv
from terminal import Terminal

from importer.events import Progress
from importer.outcomes import Outcome
from importer.progress_line import progress_line
from importer.sandbox import Sandbox

# Python 3.12 and later warn of a fork where there are threads, of which the child uses none
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

Open = Callable[..., Terminal]
Run = Callable[..., Ended]
LINE = re.compile(r"\d+ of 150 · ")


@pytest.fixture
def slow() -> Iterator[Sandbox]:
    with Sandbox(rate=80, burst=10) as running:
        yield running


@pytest.fixture
def terminal(home: Path, slow: Sandbox) -> Open:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AMP_", "COLUMNS", "LINES"))}

    def open_(columns: int, *words: str, **more: str) -> Terminal:
        return Terminal(columns, home, own | slow.environment() | {"TERM": "xterm-256color"} | more, *words)

    return open_


def rows(home: Path, bad: int = 0) -> None:
    write_csv(
        home / "rows.csv", [key_row(n) for n in range(150)] + [key_row(1_000 + n, group_ref="") for n in range(bad)]
    )


# the progress line


HALFWAY = Progress(
    to_send=12_000, finished=3_000, outcomes={Outcome.CREATED: 2_900, Outcome.REJECTED: 60, Outcome.FAILED: 40},
    waiting=7, rate=19.6, allowed=20.0, throttled=3, held_s=0.0, held_for="", elapsed_s=20.0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "line"),
    [
        (200, "3,000 of 12,000 · 20/s, 20 allowed · 60 s to go · created 2,900 · rejected 60 · failed 40 · waiting 7"),
        (100, "3,000 of 12,000 · 20/s, 20 allowed · 60 s to go · created 2,900 · rejected 60 · failed 40"),
        (60, "3,000 of 12,000 · 20/s, 20 allowed · 60 s to go"),
        (20, "3,000 of 12,000"),
        (5, "3,000"),
    ],
)
def test_the_most_important_stays_where_room_is_short(columns: int, line: str) -> None:
    assert progress_line(HALFWAY, columns) == line


def test_a_rest_is_shown_with_its_reason_in_the_place_of_the_pace() -> None:
    line = progress_line(replace(HALFWAY, held_s=42.3, held_for="the API asked for it"), 60)
    assert line == "3,000 of 12,000 · resting 42 s: the API asked for it"


def test_a_stop_is_shown_while_requests_end() -> None:
    assert "stopping: requests in flight are let end" in progress_line(replace(HALFWAY, stopping=True), 80)


def test_where_the_total_is_unknown_nothing_is_promised() -> None:
    assert (
        progress_line(replace(HALFWAY, to_send=None), 60)
        == "3,000 rows · 20/s, 20 allowed · created 2,900 · rejected 60"
    )


# in a terminal


@pytest.mark.parametrize("columns", [60, 100, 200])
def test_one_calm_line_and_an_end_that_fits(home: Path, terminal: Open, columns: int) -> None:
    rows(home, bad=40)
    seen = terminal(columns, "run", "rows.csv", "--rate", "100")
    assert seen.end() == 3

    lines = [[line for line in screen if LINE.search(line)] for screen in seen.screens]
    assert max(map(len, lines)) == 1, "there is never more than one"
    assert len({line[0] for line in lines if line}) >= 3, "and it moves"
    assert all(len(line[0]) < columns for line in lines if line)
    assert len(seen.screens) < 80, "it is not drawn more often than the eye can follow"
    last = seen.text.splitlines()
    assert not [line for line in last if LINE.search(line)], "nothing of it is left at the end"
    assert len(last) <= 14
    assert "created 150 · rejected 40" in seen.text
    assert "40 × missing_value in group_ref" in seen.text
    words = set(re.sub(r"\s+", " ", seen.text).split())
    assert {"importer-report/errors.csv", "every", "needs"} <= words, "no word is cut in two"


def test_a_terminal_that_is_made_narrower_on_the_way(home: Path, terminal: Open) -> None:
    rows(home)
    seen = terminal(120, "run", "rows.csv", "--rate", "40")
    seen.until(lambda text: bool(LINE.search(text)))
    seen.resize(60)
    before = len(seen.screens)
    assert seen.end() == 0
    later = [line for screen in seen.screens[before + 2 :] for line in screen if LINE.search(line)]
    assert later
    assert all(len(line) < 60 for line in later)


def test_a_rest_that_the_api_asked_for_counts_down(home: Path, terminal: Open, slow: Sandbox) -> None:
    rows(home)
    slow.next("429_wait", 1)
    seen = terminal(100, "run", "rows.csv", "--rate", "100")
    assert seen.end() == 0
    shown = {found[1] for screen in seen.screens for line in screen if (found := re.search(r"resting (\d) s: ", line))}
    assert len(shown) >= 2


def test_ctrl_c_says_what_it_waits_for_and_what_to_do_next(home: Path, terminal: Open, slow: Sandbox) -> None:
    rows(home)
    slow.next("slow", 1)
    seen = terminal(100, "run", "rows.csv", "--rate", "20")
    seen.until(lambda text: bool(LINE.search(text)))
    seen.interrupt()
    assert seen.end() == 130
    assert "interrupted by SIGINT: requests in flight were let end" in seen.text
    assert "next: importer run rows.csv --rate 20" in seen.text
    assert "Traceback" not in seen.text


@pytest.mark.parametrize("more", [{"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_a_terminal_that_can_do_less_gets_less(home: Path, terminal: Open, more: dict[str, str]) -> None:
    rows(home)
    seen = terminal(80, "run", "no-such-file.csv", **more)
    assert seen.end() == 2
    assert b"\x1b[31m" not in seen.written or "TERM" in more
    seen = terminal(80, "run", "rows.csv", "--rate", "unlimited", **more)
    assert seen.end() == 0
    assert (b"\r" in seen.written.replace(b"\r\n", b"")) is ("TERM" not in more)


def test_many_kinds_of_problems_are_no_flood(home: Path, terminal: Open) -> None:
    write_csv(home / "rows.csv", [
        key_row(n, **{["group_ref", "consumer_ref", "provider", "api_key", "metadata.workspace"][n % 5]: ""}
                if n % 2 else {"group_ref": f"g\x1b[31m{n}"}) for n in range(2_000)
    ])  # fmt: skip
    seen = terminal(100, "plan", "rows.csv")
    assert seen.end() == 3
    assert len(seen.text.splitlines()) < 36
    assert b"\x1b[31m" not in seen.written, "what a cell holds does not reach the terminal"


# from another terminal, and without one


def test_status_tells_of_a_run_in_progress(home: Path, terminal: Open, shell: Run) -> None:
    rows(home)
    seen = terminal(100, "run", "rows.csv", "--rate", "30")
    seen.until(lambda text: bool(LINE.search(text)))
    finished = 0
    while finished < 20:
        status = shell("status").out
        told = re.search(
            r"  run  .*  running for \d+ s, (\d+) rows finished so far, (\d+) in the last minute \(pid \d+ on ", status
        )
        assert told, status
        finished = int(told[1])
        assert finished == int(told[2])
    with closing(sqlite3.connect(home / "importer-ledger.db", timeout=10)) as ledger, ledger:
        # as if they had been finished long ago
        ledger.execute("UPDATE results SET finished_at = finished_at - 3600 WHERE row <= 3")
    told = re.search(r" (\d+) rows finished so far, (\d+) in the last minute", shell("status").out)
    assert told
    assert 0 < int(told[2]) == int(told[1]) - 3
    seen.kill()
    seen.end()
    assert re.search(r"  died, \d+ rows finished so far .*: run again", shell("status").out)
    assert shell("run", "rows.csv", "--rate", "unlimited").exit_code == 0
    assert "exit 0" in shell("status").out


def test_a_log_file_has_whole_lines_and_no_control_character(home: Path, shell: Run) -> None:
    rows(home, bad=3)
    ended = shell("run", "rows.csv")
    assert all(character.isprintable() or character == "\n" for character in ended.err + ended.out)
