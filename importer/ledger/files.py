"""The file a ledger lies in: made whole or not at all, its owner's alone, and its errors in one line each."""

import os
import secrets
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from importlib.resources import files
from pathlib import Path

from importer.errors import LedgerError
from importer.private import open_new

SCHEMA_VERSION = 4
"""PRAGMA user_version of a ledger that schema.sql makes."""


def make_ledger(path: Path) -> None:
    """Make a new ledger at `path`, unless there is a file already, which must be writable. Raises LedgerError.

    It is made beside its place and moved there when it is whole: so an empty file there was never ours, but cut off.
    """
    check_place(path)
    if path.exists():
        if not os.access(path, os.W_OK):
            raise LedgerError(f"the ledger {path} cannot be written", hint="Check its owner and mode.")
        if path.is_file() and path.stat().st_nlink > 1:
            raise LedgerError(
                f"the ledger {path} has another name too (a hard link), and one name's lock does not hold the other",
                hint="Remove one of the two names.",
            )
        _close_to_others(path.resolve())
        return
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        os.close(open_new(part))  # SQLite gives the files beside a ledger the mode of the ledger
        with explained(path, LedgerError), closing(sqlite3.connect(part)) as db:
            schema = files("importer.ledger").joinpath("schema.sql").read_text("utf-8")
            key = f"INSERT INTO meta VALUES ('key', X'{secrets.token_hex(32)}')"  # noqa: S608 - our own digits
            db.executescript(f"BEGIN; {schema}; {key}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        for left in ("-wal", "-shm", "-journal"):
            # of a ledger that was taken away: SQLite would play it into the new one
            path.with_name(f"{path.name}{left}").unlink(missing_ok=True)
        part.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise LedgerError(
            f"the ledger {path} cannot be made: {error.strerror}", hint="Check the folder, or set ledger.url."
        ) from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def check_place(path: Path) -> None:
    """Refuse a place where no ledger is to be made or followed to. Raises LedgerError.

    A folder that is not there: perhaps a volume is not mounted, and its ledger must not be begun anew. A link that
    leads nowhere, to something else, or that another user made: nobody may have us write to a place of their choice.
    """
    if not path.parent.is_dir():
        raise LedgerError(
            f"the ledger's folder {path.parent} is not there",
            hint="Make it, or mount it; a new ledger in its place would know nothing of what was done.",
        )
    if not path.is_symlink():
        return
    if path.lstat().st_uid not in (os.geteuid(), 0):
        raise LedgerError(f"the ledger {path} is a link that another user made", hint="Remove the link.")
    if not path.exists():
        raise LedgerError(
            f"the ledger {path} is a link to a file that is not there", hint="Mount its folder, or remove the link."
        )
    if not _head(path).startswith(_SQLITE):
        raise LedgerError(f"the ledger {path} is a link to what is no ledger", hint="Remove the link.")


_SQLITE = b"SQLite format 3\0"


def _head(path: Path) -> bytes:
    """The header of a database file (the SQLite file format, §1.3), or what else a file begins with."""
    try:
        with path.open("rb") as file:
            return file.read(100)
    except OSError:
        return b""


def _close_to_others(ledger: Path) -> None:
    """A ledger that was copied back, say, may be open to others, and it is none of their business.

    Nothing but a ledger of this user is touched, and no link followed.
    """
    if not _is_open_to_others(ledger):
        return  # it is not read, either: to close it would take away the locks of this process's other connections
    head = _head(ledger)
    if not head.startswith(_SQLITE) or not 0 < int.from_bytes(head[60:64]) <= SCHEMA_VERSION:  # PRAGMA user_version
        return
    for name in ("", "-wal", "-shm"):
        path = ledger.with_name(f"{ledger.name}{name}")
        if _is_open_to_others(path):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            os.fchmod(descriptor, 0o600)
            os.close(descriptor)


def _is_open_to_others(path: Path) -> bool:
    """Whether it is a file of this user that others have rights to."""
    try:
        facts = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(facts.st_mode) and facts.st_uid == os.geteuid() and bool(facts.st_mode & 0o077)


def replace_private(path: Path) -> None:
    """An empty file for its owner only, in place of an older one or of a link. Raises LedgerError."""
    try:
        path.unlink(missing_ok=True)
        os.close(open_new(path))
    except OSError as error:
        raise LedgerError(f"{path} cannot be made: {error.strerror}", hint="Move away what is there.") from None


def inode(path: Path) -> tuple[int, int, int] | None:
    """Device and number, which tell a file from another of the same name, and its size; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size


def _sync(folder: Path) -> None:
    """Have the folder's entries on disk: a ledger that a power failure takes away would be begun anew."""
    with suppress(OSError):  # not every file system lets a folder be synced
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def explained(path: Path, kind: Callable[..., LedgerError]) -> Iterator[None]:
    """SQLite's errors in one line each; its messages hold no values."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        said = str(error)
        if "full" in said:
            hint = "Make room and run again: nothing was sent that could not be recorded."
        elif "not a database" in said or "malformed" in said:
            hint = "The file is damaged. Restore it, or move it away and run again: the listing finds what was created."
        elif "locked" in said:
            hint = "Another program keeps it locked: close it and run again."
        else:
            hint = "Check the disk and the folder, then run again."
        raise kind(f"the ledger {path} cannot be used: {said}", hint=hint) from error
