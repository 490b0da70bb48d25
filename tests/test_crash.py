"""Bugs: their kind and place get out, and no value does, however one looks."""

import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from desk import token_row, write_csv

from importer import commands
from importer.config import load_config
from importer.crash import Bug, bug_of, discreet
from importer.errors import ConfigError
from importer.ledger.sqlite import SqliteLedger

SECRET = "fake-secret-of-a-customer"


def seen(error: BaseException) -> str:
    """All that an error tracker shows of an error: texts, attributes, causes, groups and the variables of frames."""
    shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    return shown + repr(error.__dict__) + repr(error.args)


def below(error: BaseException) -> str:
    """What is shown from the front door on: the frames above are this test's own, with the value."""
    _above, found, shown = seen(error).partition(", in call")
    assert found
    return shown


def crash(values: dict[str, str]) -> None:
    """A bug with a value in its text, its cause and its variables."""
    token = values["token"]
    try:
        int(token)
    except ValueError as error:
        raise KeyError(token) from error


@discreet
def run(values: dict[str, str], raises: Callable[[dict[str, str]], None] = crash) -> None:
    """A front door."""
    token = values["token"]
    raises({"token": token})


def caught(function: Callable[[], Any]) -> BaseException:
    try:
        function()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def test_a_bug_has_its_kind_and_place_and_no_value() -> None:
    error = caught(lambda: run({"token": SECRET}))
    assert isinstance(error, Bug)
    assert error.kind == "KeyError"
    assert "in crash" in error.frames
    assert SECRET not in below(error)


def test_the_cause_and_the_context_are_cut_off() -> None:
    error = caught(lambda: run({"token": SECRET}))
    assert error.__cause__ is None
    assert error.__context__ is None


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, ConfigError])
def test_what_is_no_bug_goes_through_without_variables(kind: type[BaseException]) -> None:
    def stop(values: dict[str, str]) -> None:
        try:
            crash(values)
        except KeyError as error:
            raise kind("a message") from error

    error = caught(lambda: run({"token": SECRET}, stop))
    assert type(error) is kind
    assert error.__cause__ is None
    assert SECRET not in below(error)


def test_of_a_group_the_first_is_told() -> None:
    def several(values: dict[str, str]) -> None:
        raise ExceptionGroup(SECRET, [ExceptionGroup("inner", [ValueError(values["token"])]), KeyError(SECRET)])

    error = caught(lambda: run({"token": SECRET}, several))
    assert isinstance(error, Bug)
    assert error.kind == "ValueError"
    assert SECRET not in str(error) + error.frames


def test_a_bug_keeps_the_frames_of_the_process_it_comes_from() -> None:
    bug = bug_of(Bug("KeyError", "  File of the other process\n"))
    assert (bug.kind, bug.frames) == ("KeyError", "  File of the other process\n")


def test_a_wrong_call_says_which_argument_is_wrong() -> None:
    with pytest.raises(TypeError, match="'no_such'"):
        run({"token": SECRET}, no_such=1)  # type: ignore[call-arg]  # the wrong call


def test_a_program_around_gets_no_row_with_an_exception(
    home: Path, sandbox: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger breaks in an unforeseen way while rows are in hand; what the program's tracker shows has none."""

    def broken(_self: SqliteLedger, writes: Any, _run_id: str) -> None:
        raise RuntimeError(f"{writes!r} {SECRET}")

    monkeypatch.chdir(home)
    # a bug of ours cannot be caused from outside, so one is put in
    monkeypatch.setattr(SqliteLedger, "apply", broken)
    rows = write_csv(home / "rows.csv", [token_row(n) for n in range(1, 20)])
    config = load_config(home / "config.toml", sandbox.environment(), source__paths=[str(rows)])
    error = caught(lambda: commands.run(config, env=sandbox.environment()))
    assert isinstance(error, Bug)
    assert error.kind == "RuntimeError"
    shown = seen(error)
    assert "fake-" not in shown
    assert "sandbox-key" not in shown


HOOKS = """
import asyncio, gc, sys, threading
from importer.crash import install_hooks
install_hooks()
def crash(token):
    raise KeyError(token)
class Broken:
    def __del__(self):
        crash(sys.argv[1])
def in_thread():
    thread = threading.Thread(target=crash, args=(sys.argv[1],))
    thread.start(); thread.join()
def unraisable():
    Broken(); gc.collect()
def uncaught():
    crash(sys.argv[1])
{0}()
"""


@pytest.mark.parametrize(("where", "exit_code"), [("in_thread", 0), ("unraisable", 0), ("uncaught", 1)])
def test_nothing_that_python_prints_by_itself_has_a_value(where: str, exit_code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HOOKS.format(where), SECRET], text=True, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == exit_code
    assert "KeyError" in done.stderr
    assert SECRET not in done.stderr
