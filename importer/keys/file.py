"""The API key in a file: read as ssh reads a private key, so not where somebody else can read or change it."""

import os
import stat
from pathlib import Path

from importer.errors import ConfigError
from importer.keys.program import LONGEST
from importer.private import others_can_write
from importer.redaction import looks_like_a_token

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def key_in_file(path: Path) -> bytes:
    """What is in the file, at most a byte more than LONGEST. Raises ConfigError.

    Links are followed: a mounted secret is one. It has to be a regular file of this user with no right for anybody
    else, as for ssh's private keys, or one of root's that a group of this user may read, as libpq has it: so Kubernetes
    mounts a secret where the pod has an `fsGroup`. And it has to lie in folders that nobody else can write to, as
    sshd's `StrictModes` has it: whoever exchanges the key sends every credential to a project of their own.
    """
    shown = "its file" if looks_like_a_token(path.name) else str(path)  # somebody may have written the key there
    try:
        # O_NONBLOCK: a pipe in its place would have us wait for a writer for ever
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, no path
            _check_file(os.fstat(descriptor), path, shown)
            _check_folders(path)
            return file.read(LONGEST + 1)
    except OSError as error:
        raise ConfigError(
            f"api.api_key_file {shown} cannot be read: {error.strerror}",
            hint="Give the path of a file that holds the key.",
        ) from None


def _check_file(facts: os.stat_result, path: Path, shown: str) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise ConfigError(
            f"api.api_key_file {shown} is no regular file",
            hint='For a pipe or a program, set api_key_command instead, e.g. "pass show ampersand/api-key".',
        )
    if facts.st_mode & _OTHERS and not _is_shared_by_root(facts):
        fix = f"chmod 600 {shown}"
        if path.is_symlink():
            fix = f"{fix}, or for a secret that Kubernetes mounts: defaultMode: 0400"
        raise ConfigError(
            f"{shown} holds the API key and others on this machine can read it",
            hint=f"{fix}; and consider the key known: make a new one.",
        )
    if facts.st_uid not in (os.geteuid(), 0):
        raise ConfigError(
            f"{shown} holds the API key and belongs to another user, who can change it",
            hint=f"Copy it to a file of your own: install -m 600 {shown} NEW-FILE.",
        )


def _is_shared_by_root(facts: os.stat_result) -> bool:
    """Whether it is a file of root's that, besides root, only a group may read: this user's, who has opened it."""
    return facts.st_uid == 0 != os.geteuid() and facts.st_mode & _OTHERS == stat.S_IRGRP


def _check_folders(path: Path) -> None:
    """Those on the way to the file as it is named, and to the one that a link leads to."""
    for folder in dict.fromkeys([*path.absolute().parents, *path.resolve().parents]):
        if others_can_write(folder):
            raise ConfigError(
                f"api.api_key_file lies in {folder}, where others can exchange it",
                hint=f"chmod go-w {folder}, or move the file to a folder that only you can write to.",
            )
