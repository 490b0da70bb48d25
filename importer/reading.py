"""A second process that prepares the rows, so that a second core reads while the first one sends.

It reads, maps, validates, serialises and digests (`preparing`); rows come back over a pipe, a chunk at a time. Of the
plan pass, in which nothing is sent, the run prepares a third of the chunks itself (a fifth less time). Worth it
from some thousand rows on: the process takes a second to load pandas, which the command line has it do while it loads
its own. `multiprocessing` is not for us: it would import the program of whoever uses this package as a library.

Light to import: the heavy parts are loaded where they are used.
"""

import gc
import json
import os
import pickle
import stat
import struct
import subprocess
import sys
from array import array
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from glob import iglob
from itertools import chain, count
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import IO, TYPE_CHECKING, Any

from importer.config import Config, environment
from importer.crash import Bug, bug_of, install_hooks
from importer.errors import ImporterError, SourceError, SourceLost
from importer.notes import Notes
from importer.private import leave_no_core
from importer.process import give_memory_back, look_for_garbage_after

if TYPE_CHECKING:
    from importer.preparing import PreparedChunk, Preparer, Task, Wanted

WORTHWHILE_BYTES = {".parquet": 512 * 1024, ".pq": 512 * 1024, ".gz": 1024 * 1024, ".zst": 1024 * 1024}
"""Size of the sources from which the process is worth its start, by their suffix: some 8,000 rows."""

WORTHWHILE_OTHERS = 4 * 1024 * 1024
"""The same for a text file that is not compressed."""

PART_ROWS = 500
"""Rows of one message: taking them out of it keeps the interpreter for two milliseconds, of a whole chunk for 30."""

AHEAD = 2
"""Chunks that are asked for before the first of them is taken: one is decided about while the next is made."""

UNSAID = 12
"""Messages that wait for the run to take them: about a chunk, so that the next one is made meanwhile."""

_BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from importer.reading import serve; serve()"
_LENGTH = struct.Struct("<Q")


class _RunEnded(Exception):
    """There is nobody to read for any more."""


def start_reading(config: Config) -> "ReaderProcess | None":
    """The process, loading what it needs, where the sources are files large enough and there is a core for it."""
    if config.source.processes < 2 or _cores() < 2 or not _is_python(sys.executable) or not _is_worthwhile(config):
        return None
    try:
        return ReaderProcess(config)
    except OSError:
        return None  # no room for another process: the rows are prepared in this one


def _is_python(executable: str | None) -> bool:
    """Whether it is an interpreter that can be started with our words, and no program with one built into it."""
    return bool(executable) and "python" in Path(executable or "").name.lower() and not hasattr(sys, "frozen")


def _cores() -> int:
    """The cores that this process may use, where the system tells (not on macOS and Windows: there, all)."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def _is_worthwhile(config: Config) -> bool:
    paths = config.source.named(environment())
    if not paths or any(path == "-" or "://" in path for path in paths):
        return False
    worth = 0.0
    for name in chain.from_iterable(_files(config.base / path) for path in paths):
        try:
            found = name.stat()
        except OSError:
            continue
        if stat.S_ISFIFO(found.st_mode) or stat.S_ISCHR(found.st_mode):
            return False  # a pipe: what one process reads from it, the other does not get
        worth += found.st_size / WORTHWHILE_BYTES.get(name.suffix.lower(), WORTHWHILE_OTHERS)
    return worth >= 1


def _files(path: Path) -> Iterator[Path]:
    """The files that are probably meant: a guess, which decides about nothing but speed."""
    return map(Path, iglob(str(path / "*" if path.is_dir() else path)))  # noqa: PTH207 - an absolute pattern, too


class ReaderProcess:
    """The process, as seen from the run: prepares rows as a `Preparer` does. For one thread at a time."""

    def __init__(self, config: Config) -> None:
        """Start it. Raises OSError where no process can be started."""
        self._config = config
        own = {name: value for name, value in environment().items() if name != config.api.api_key_env}
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, and our own words
            # -P: nothing is imported from the working directory, which may hold somebody's export
            [sys.executable, "-P", "-c", _BOOT, json.dumps([path for path in sys.path if isinstance(path, str)])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=own,
            start_new_session=True,  # Ctrl-C is for the run, which lets this end
        )
        assert self._process.stdin  # noqa: S101 - as it was asked for
        assert self._process.stdout  # noqa: S101 - as it was asked for
        self._to, self._from = self._process.stdin, self._process.stdout
        self._spans: list[tuple[int, int, int]] = []
        self._sending = False
        self._beside: Preparer | None = None
        self._noted = Notes()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def close(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        for pipe in (self._to, self._from):
            try:
                pipe.close()
            except OSError:
                continue  # what it was still to hear
        self._process.wait()

    def share_with(self, own: "Preparer") -> None:
        """Have a part of the first pass prepared in this process, which would only wait: a fifth less time for it.

        Not where the rows have to be looked at in order.
        """
        if not any(mapper.in_order for mapper in own.inputs.mappers):
            self._beside = own

    @property
    def notes(self) -> Sequence[str]:
        """What was assumed while mapping, said once each."""
        return self._all_noted.lines()

    @property
    def skipped(self) -> int:
        """Rows that are none of the preset's."""
        return self._all_noted.skipped

    @property
    def _all_noted(self) -> Notes:
        return self._noted.with_those_of(self._beside.inputs.notes) if self._beside else self._noted

    def chunks(self, task: "Task", rows: int | None, bodies: Callable[[], bool]) -> "Iterator[PreparedChunk]":
        """See `preparing.Preparing`."""
        from importer.preparing import Part

        self._spans.clear()
        own = self._beside.chunks(task, rows, bodies, Part.REST) if self._beside else None
        self._send("chunks", task, rows, self._config, Part.MOST if own else Part.ALL)
        for _ in range(AHEAD):
            self._send("next", bodies())
        made: PreparedChunk | None = None
        for number in count():
            if own and Part.REST.has(number + 1):
                made = next(own, None)  # before its turn, which is after the one that is being made there
            is_own = own is not None and Part.REST.has(number)
            chunk, made = (made, None) if is_own else (self._receive(), made)
            if chunk is None:
                break
            self._spans.append((chunk.source_no, chunk.first, chunk.last))
            yield chunk
            if not is_own:
                self._send("next", bodies())
        if made or (is_own and self._receive()):
            raise SourceError("a source changed while it was being read", hint="Run again.")

    def again(self, task: "Task", rows: int | None, wanted: "Wanted") -> "Iterator[PreparedChunk]":
        """See `preparing.Preparing`. All that is wanted is said at once: while chunks come, nothing is written."""
        ranges: dict[tuple[int, int], bytes] = {}
        awaited: deque[tuple[int, int, int]] = deque()
        for span in self._spans:
            if these := wanted(*span):
                ranges[span[:2]] = _packed(these)
                awaited.append(span)
        if awaited:
            self._sending = True
            self._send("again", task, rows, ranges)
        while awaited:
            chunk = self._receive()
            if chunk is None or (chunk.source_no, chunk.first, chunk.last) != awaited.popleft():
                raise SourceLost("a source changed while it was being sent", hint="Run again.")
            yield chunk

    def _send(self, *message: Any) -> None:
        try:
            _write(self._to, pickle.dumps(message, protocol=5))
        except OSError:
            raise self._lost() from None

    def _receive(self) -> "PreparedChunk | None":
        """The next chunk; None at the end of a pass. Raises what ended it."""
        from importer.preparing import PreparedRow

        sound: list[PreparedRow] = []
        while True:
            try:
                kind, *rest = _read(self._from)
            except (EOFError, OSError):
                raise self._lost() from None
            if kind != "rows":
                break
            sound += map(PreparedRow.of, rest[0])
        match kind:
            case "chunk":
                chunk: PreparedChunk = rest[0]
                return replace(chunk, sound=sound)
            case "end":
                (self._noted,) = rest
                return None
            case "error":
                raise rest[0]
            case _:
                raise Bug(*rest)

    def _lost(self) -> SourceError:
        code = self._process.wait()
        how = f"by signal {-code}" if code < 0 else f"with {code}"
        kind, kept = (SourceLost, ": what was sent is in the ledger") if self._sending else (SourceError, "")
        return kind(
            f"the process that reads the sources ended {how} before it was through",
            hint=f"Run again{kept}. If memory was short, set processes = 1 under [source].",
        )


def _packed(rows: Collection[int]) -> bytes:
    """Row numbers as ranges: two numbers of eight bytes for each run of them."""
    ends = array("Q")
    for row in sorted(rows):
        if not ends or row != ends[-1] + 1:
            ends.extend((row, row))
        ends[-1] = row
    return ends.tobytes()


def _unpacked(ranges: bytes) -> set[int]:
    """What `_packed` was given."""
    ends = array("Q", ranges)
    return set(chain.from_iterable(range(first, last + 1) for first, last in zip(ends[::2], ends[1::2], strict=True)))


def _write(pipe: IO[bytes], content: bytes) -> None:
    pipe.write(_LENGTH.pack(len(content)))
    pipe.write(content)
    pipe.flush()


def _read(pipe: IO[bytes]) -> Any:
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    content = pipe.read(length)
    if len(content) < length:
        raise EOFError
    return pickle.loads(content)  # noqa: S301 - a pipe between two processes of ours


# --- in the process itself ---


def serve() -> None:
    """Do what standard input says, until it ends: with the run, however that ends."""
    leave_no_core()
    install_hooks()
    to_run = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing but our messages may get between them
    look_for_garbage_after(250_000)  # more than a chunk has
    give_memory_back()
    from importer import preparing as _loaded  # noqa: F401 - while the run loads its own

    gc.freeze()  # what was loaded stays, and need not be looked at again
    try:
        _Serving(sys.stdin.buffer, to_run).go()
    except _RunEnded:
        os._exit(0)


class _Serving:
    def __init__(self, from_run: IO[bytes], to_run: IO[bytes]) -> None:
        self._from = from_run
        self._to = to_run
        self._unsaid: Queue[Any] = Queue(maxsize=UNSAID)
        Thread(target=self._say_all, name="writer", daemon=True).start()

    def go(self) -> None:
        from importer.inputs import open_inputs
        from importer.preparing import Preparer

        preparer: Preparer | None = None
        while True:
            kind, *rest = self._heard()
            if kind == "next":
                continue  # of a pass that has ended already
            try:
                task, rows, more, *part = rest
                if preparer is None:
                    preparer = Preparer(open_inputs(more))
                if kind == "chunks":
                    made = preparer.chunks(task, rows, self._next, *part)
                else:
                    made = preparer.again(task, rows, partial(_wanted, more))
                for chunk in made:
                    for first_row in range(0, len(chunk.sound), PART_ROWS):
                        rows_of_it = chunk.sound[first_row : first_row + PART_ROWS]
                        self._say("rows", [row.plain() for row in rows_of_it])
                    self._say("chunk", replace(chunk, sound=()))
                self._say("end", preparer.inputs.notes)
            except _RunEnded:
                raise
            except ImporterError as error:
                self._say("error", error)
            except Exception as error:  # a bug: the run hears of it in place of the rest, without its values
                bug = bug_of(error)
                self._say("bug", bug.kind, bug.frames)

    def _next(self) -> bool:
        """What the run says of the next chunk: whether with bodies."""
        kind, *rest = self._heard()
        assert kind == "next", kind  # noqa: S101 - a run asks for one thing at a time
        return bool(rest[0])

    def _heard(self) -> Any:
        try:
            return _read(self._from)
        except (EOFError, OSError):
            raise _RunEnded from None

    def _say(self, *message: Any) -> None:
        self._unsaid.put(pickle.dumps(message, protocol=5))

    def _say_all(self) -> None:
        """Write what is to be said: the run may be busy, and a pipe takes 64 KiB before it has somebody wait."""
        while True:
            try:
                _write(self._to, self._unsaid.get())
            except OSError:
                os._exit(0)  # there is nobody to read for any more


def _wanted(ranges: Mapping[tuple[int, int], bytes], source_no: int, first: int, _last: int) -> set[int]:
    return _unpacked(ranges.get((source_no, first), b""))
