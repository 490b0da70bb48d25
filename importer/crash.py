"""Bugs without values: what is raised, printed and kept of one holds its kind and its place, and no row.

A text such as `KeyError: 'the token'`, an attribute such as `JSONDecodeError.doc` and the variables of a frame, which
debuggers, error trackers and `traceback.TracebackException(capture_locals=True)` show, can each hold a credential.
"""

import functools
import inspect
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import IO, ParamSpec, TypeVar

from importer.errors import ImporterError

P = ParamSpec("P")
T = TypeVar("T")


class Bug(Exception):
    """A bug of ours. `kind` is the name of what was raised, `frames` where: its text and its variables are dropped."""

    def __init__(self, kind: str, frames: str) -> None:
        super().__init__(f"{kind} (its text is withheld: it could hold a credential)")
        self.kind = kind
        self.frames = frames


def bug_of(error: BaseException) -> Bug:
    """What may be kept of an error. Of a group, the first of those that are in it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]  # a bug in a worker comes wrapped in those of the workers it took along
    frames = "".join(traceback.format_tb(error.__traceback__))
    if isinstance(error, Bug):
        return Bug(error.kind, frames + error.frames)
    return Bug(type(error).__name__, frames)


def discreet(function: Callable[P, T]) -> Callable[P, T]:
    """Let out of `function` what an operator can cause, `Bug` and nothing else, and no variable of any frame below.

    What ends a program (KeyboardInterrupt, SystemExit) goes through as it is, without those variables.
    """

    signature = inspect.signature(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        signature.bind(*args, **kwargs)  # a wrong call is the caller's, who is to read which argument it is
        try:
            return function(*args, **kwargs)
        except ImporterError as error:
            out: BaseException = error
        except Exception as error:  # a bug of whatever kind: what it holds must not reach the program around
            out = bug_of(error)
            _forget(error)
        except BaseException as error:
            out = error
        _forget(out)
        # both hold values: the caller's environment, and options that may name a database with its password
        args, kwargs = (), {}  # type: ignore[assignment]  # of no call: only let go
        raise out

    return call


def _forget(error: BaseException) -> None:
    """Clear the variables of all frames that have ended, and cut off what the error came from."""
    for found in _chain(error):
        traceback.clear_frames(found.__traceback__)
        found.__cause__ = found.__context__ = None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, what it came from, and what is in a group; each once."""
    left, seen = [error], set[int]()
    while left:
        found = left.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        left += [other for other in (found.__cause__, found.__context__) if other]
        left += found.exceptions if isinstance(found, BaseExceptionGroup) else ()
        yield found


def report_bug(bug: Bug, stream: IO[str]) -> None:
    """Print where a bug is, and what to do with the lines."""
    stream.write(
        f"{bug.frames}{bug}\n"
        "This is a bug of importer: please report the lines above. The ledger is intact; run again.\n"
    )


def install_hooks() -> None:
    """For a process of ours: what ends a thread, or is raised where nobody catches it, is printed without values."""

    def uncaught(_kind: type[BaseException], error: BaseException, _frames: TracebackType | None) -> None:
        report_bug(bug_of(error), sys.stderr)

    def in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
            report_bug(bug_of(args.exc_value), sys.stderr)

    def unraisable(args: "sys.UnraisableHookArgs") -> None:
        # raised while an object was taken down: nothing is lost, and its text and the object are nobody's business
        if args.exc_value is not None:
            sys.stderr.write(f"{bug_of(args.exc_value)}\n")

    sys.excepthook = uncaught
    threading.excepthook = in_thread
    sys.unraisablehook = unraisable
