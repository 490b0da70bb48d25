"""One run at a time holds a ledger: an OS lock on a file beside it.

The kernel drops the lock when its holder dies, however it dies, so nobody has to clean up, and pids (all 1 in
containers) do not decide. The file is never unlinked: a second run could lock a name that is gone. `filelock`
truncates the file before it has the lock, which would wipe out the holder's name; hence these few lines.
"""

import fcntl
import json
import os
import socket
import stat
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from importer.errors import LedgerError, LedgerInUse
from importer.ledger.files import check_place


class LedgerLock:
    """Held from construction to `release`. Raises LedgerInUse, naming pid, host and start of the holder."""

    def __init__(self, ledger: Path) -> None:
        check_place(ledger)
        ledger = ledger.resolve()  # one lock for the file, by whatever link it is reached
        path = ledger.with_name(f"{ledger.name}.lock")
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise LedgerError(
                f"the ledger's lock {path} cannot be opened: {error.strerror}",
                hint="Check the folder's owner and mode.",
            ) from None
        facts = os.fstat(self._fd)
        if not stat.S_ISREG(facts.st_mode) or facts.st_nlink > 1:
            os.close(self._fd)  # we write into it: somebody may have put another name of a file of ours here
            raise LedgerError(f"the ledger's lock {path} is no file of its own", hint="Remove it.")
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(self._fd)
            os.close(self._fd)
            raise LedgerInUse(
                f"another run holds {ledger}: {holder}", hint="Wait for it to end: importer status shows how far it is."
            ) from None
        _say_who(self._fd)

    def release(self) -> None:
        """Let the next run in."""
        os.close(self._fd)


def _say_who(fd: int) -> None:
    who = {"pid": os.getpid(), "host": socket.gethostname(), "start": datetime.now(UTC).isoformat(timespec="seconds")}
    with suppress(OSError):  # a full disk: the lock holds all the same, and the ledger will say so
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps(who).encode(), 0)


def _holder(fd: int) -> str:
    try:
        who = json.loads(os.pread(fd, 1000, 0))
        return f"pid {who['pid']} on {who['host']}, since {who['start']}"
    except (ValueError, KeyError, TypeError):
        return "it has not said who it is"
