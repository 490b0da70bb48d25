"""Folders and files that are their owner's alone, from the first byte on."""

import os
import stat
from pathlib import Path


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
