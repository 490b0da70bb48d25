"""Folders and files that are their owner's alone, from the first byte on; and no core dump of what is in memory.

Modes are given when a file is made and not after it: there is no moment in which it is open, whatever the umask.
"""

import fcntl
import os
import re
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for their owner only. Raises OSError."""
    for missing in reversed([at for at in (folder, *folder.parents) if not at.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)  # `parents=True` would leave those above to the umask


def open_new(path: Path) -> int:
    """A descriptor of a new file; whatever is there already, a link to nowhere too, is an error. Raises OSError."""
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


@contextmanager
def whole_file(path: Path, mode: Literal["w", "wb"] = "w") -> Iterator[IO[Any]]:
    """A file that appears under its name only once all of it is on disk; until then the old one stays. Raises OSError.

    It is written beside its place: a link there is replaced and never followed.
    """
    make_folder(path.parent)
    part, descriptor = _new_part(path)
    try:
        with open(  # noqa: PTH123 - a descriptor, no path
            descriptor, mode, encoding=None if mode == "wb" else "utf-8", newline=None if mode == "wb" else ""
        ) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _new_part(path: Path) -> tuple[Path, int]:
    """A new file beside `path`, locked: the kernel drops the lock when its writer dies, which `sweep` looks for."""
    while True:
        part = path.with_name(f".{path.name}.{os.urandom(4).hex()}")
        descriptor = open_new(part)
        with suppress(OSError):  # a file system without locks: there, nothing is swept either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return part, descriptor
        os.close(descriptor)  # swept in the moment between its making and its lock


def probe(folder: Path) -> None:
    """Make a folder if it is not there, and a file in it for a moment. Raises OSError where there could be none."""
    make_folder(folder)
    part, descriptor = _new_part(folder / "probe.csv")
    os.close(descriptor)
    part.unlink()


_PART = re.compile(r"\.[\w-]+\.(csv|json|html)\.[0-9a-f]{8}")


def sweep(folder: Path) -> None:
    """Remove what writers that died have left half written in a folder: files of this user that nobody holds locked."""
    try:
        left = [entry for entry in os.scandir(folder) if _PART.fullmatch(entry.name)]
    except OSError:
        return
    for entry in left:
        with suppress(OSError):  # gone, or held, or no regular file
            _remove_unless_held(entry)


def _remove_unless_held(entry: "os.DirEntry[str]") -> None:
    facts = entry.stat(follow_symlinks=False)
    if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid():
        return
    descriptor = os.open(entry.path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        Path(entry.path).unlink()
    finally:
        os.close(descriptor)


def others_can_write(folder: Path) -> bool:
    """Whether somebody other than this user and root can rename or exchange what is in a folder.

    All may write and it is not sticky, a group that is not this user's own may, or it belongs to another user. A folder
    that is not there, or cannot be looked at, is none of that.
    """
    try:
        facts = folder.stat()
    except OSError:
        return False
    if facts.st_uid not in (os.geteuid(), 0):
        return True
    if facts.st_mode & stat.S_ISVTX:
        return False  # there, only a file's owner can take it away
    group = facts.st_mode & stat.S_IWGRP and facts.st_gid not in (os.getegid(), 0)
    return bool(group or facts.st_mode & stat.S_IWOTH)


def leave_no_core() -> None:
    """Have a crash of this process, and of those it starts, write no core file: it would hold credentials.

    Where a system pipes cores to a program, that program is told the limit; systemd-coredump keeps none then.
    """
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
