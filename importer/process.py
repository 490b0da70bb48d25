"""Settings of a process that is ours as a whole: the command line's, and the one that reads for it.

A program that has the library in it makes its own. Light to import, and to be called before anything large is loaded.
"""

import gc
import os
import sys
from contextlib import suppress
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
"""Numbers of malloc.h."""

_LARGE_BYTES: Final = 512 * 1024
"""A block of this size has a mapping of its own and goes back at once. glibc raises the size as large blocks come and
go, unless it is set. asyncio asks for 256 KiB at each read of TLS: those must not, which took a tenth of a run."""

_FREE_BYTES: Final = 4 * 1024 * 1024
"""So much may be free at the end of the heap before it is shortened."""


def spare_the_start() -> None:
    """Load in three quarters of the time, and keep less of what was read; what the environment says already stays.

    numpy's linear algebra, of which nothing is used, starts threads that take a tenth of a second; pyarrow's own
    allocator keeps 80 MB of what it has read from a Parquet file.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    look_for_garbage_after(50_000)


def look_for_garbage_after(objects: int) -> None:
    """Have Python look for garbage after so many new objects, and not each 700.

    What is loaded stays, and of a chunk of rows 100,000 objects live together and die together: looking at them costs
    a tenth of the start, and a third of a run.
    """
    gc.set_threshold(objects, 20, 100)


def give_memory_back() -> None:
    """Have malloc return what was freed to the system, where it is glibc's: 30 MB of a process that reads for long."""
    if sys.platform != "linux":
        return
    import ctypes

    with suppress(OSError, AttributeError):  # another library's malloc may have no such setting
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _FREE_BYTES)


def make_ready_to_send() -> None:
    """Settings for a run: a loop that sends beside threads that work.

    The loop gives the interpreter away at every send and read, and gets it back after a millisecond at the latest.
    """
    give_memory_back()
    sys.setswitchinterval(0.001)


def leave_at_once() -> None:
    """Have the end of the process not look for garbage among all that is left, which takes a tenth of a second."""
    gc.freeze()
