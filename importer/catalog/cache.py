"""The last catalog that was fetched, kept with its moment in the user's cache folder, so that `plan` works offline.

A cache is never worth a failure: what cannot be written is not, and what cannot be trusted is not there.
"""

import hashlib
import json
import math
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from importer.catalog import Catalog
from importer.private import sweep, whole_file

LARGEST = 64 * 2**20
"""Bytes that a catalog may have (the published one has 0.3 MB): a file put there by somebody must not fill memory."""

_FOREIGN_WRITE = stat.S_IWGRP | stat.S_IWOTH


def default_path(api_root: str, environ: Mapping[str, str] = os.environ) -> Path:
    """Where the catalog of one API is kept: each has its own. Below XDG_CACHE_HOME, else ~/.cache.

    The XDG specification says that a relative XDG_CACHE_HOME is to be ignored. (`platformdirs` does not, and is a
    dependency for one line.)
    """
    given = environ.get("XDG_CACHE_HOME", "")
    folder = Path(given) if given.startswith("/") else Path(environ.get("HOME") or Path.home()) / ".cache"
    digest = hashlib.sha256(api_root.rstrip("/").encode()).hexdigest()[:16]
    return folder / "importer" / f"providers-{digest}.json"


def save(path: Path, document: bytes, at: float) -> bool:
    """Keep an answer of `GET /v1/providers` and its moment (epoch seconds), whole or not at all; whether it could be.

    Only the owner can read it. A link in its place is replaced, never followed.
    """
    try:
        content = json.dumps({"fetched_at": at, "catalog": json.loads(document)}).encode()
        with whole_file(path, "wb") as file:
            file.write(content)
        sweep(path.parent)
    except (OSError, ValueError, RecursionError):
        return False
    return True


def load(path: Path) -> tuple[Catalog, float] | None:
    """The catalog that was kept and its moment, in epoch seconds; None where there is none, or none to be trusted.

    Trusted is a regular file that this user owns and nobody else can write.
    """
    try:
        # O_NONBLOCK: a pipe in its place would have us wait for a writer for ever
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, no path
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & _FOREIGN_WRITE:
                return None
            if facts.st_size > LARGEST:
                return None
            kept = json.loads(file.read())
        at, entries = kept["fetched_at"], kept["catalog"]
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return None
    if (
        not isinstance(at, int | float)
        or isinstance(at, bool)
        or not math.isfinite(at)
        or not isinstance(entries, dict)
    ):
        return None
    catalog = Catalog.read(entries)
    return (catalog, float(at)) if catalog else None
