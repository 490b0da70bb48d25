"""Breaks one function of importer in a process of the tests, as CANARY_TAMPER says: `crash:MODULE:NAME` or a leak.

`crash there:…` breaks it only in the process that reads for a run, and not in the run itself, which reads too.

Python imports this module when it starts. A crash cannot be caused from outside in each layer, nor a leak at all, and
only a leak that is found shows that the search finds leaks.
"""

import base64
import html
import json
import logging
import os
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from importlib import import_module
from pathlib import Path
from urllib.parse import quote

TAMPER = os.environ.get("CANARY_TAMPER", "")


def secrets() -> list[str]:
    """The canaries of this world."""
    return Path(os.environ["CANARY_SECRETS"]).read_text("utf-8").split("\n")


def crash(module: str, name: str) -> None:
    """Let a function raise what holds all the canaries, in its text, its attributes, its cause and its variables."""
    owner = import_module(module)
    *path, last = name.split(".")
    for part in path:
        owner = getattr(owner, part)

    def broken(*args: object, **kwargs: object) -> object:
        row = secrets()
        error = json.JSONDecodeError("no JSON", "\n".join(row), 0)
        raise ExceptionGroup(f"of {row}", [KeyError(*row, args, kwargs), ValueError(row)]) from error

    setattr(owner, last, broken)


def leak(how: str) -> None:
    """Let a credential out, each time that a connection is posted."""
    client = import_module("importer.api.client").ConnectionsClient
    generate = client.generate

    def leaking(self: object, body: object, *more: object) -> object:
        LEAKS[how](body.secrets()[-1])
        return generate(self, body, *more)

    client.generate = leaking


def _event(text: str) -> None:
    import_module("importer.logs").event(logging.getLogger("importer.x"), logging.ERROR, "row", hint=text)


def _into_the_ledger(text: str) -> None:
    with closing(sqlite3.connect("importer-ledger.db", timeout=10)) as ledger, ledger:
        ledger.execute("create table if not exists notes (note text)")
        ledger.execute("insert into notes values (?)", [text])


def _append(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(text)


LEAKS = {
    "stdout": lambda text: sys.stdout.write(text),
    "stderr, its first characters": lambda text: sys.stderr.write(text[:12]),
    "stderr, its last characters": lambda text: sys.stderr.write("…" + text[-12:]),
    "stderr, in base64": lambda text: sys.stderr.write(base64.b64encode(b"key=" + text.encode()).decode()),
    "stderr, in hex": lambda text: sys.stderr.write(text.encode().hex().upper()),
    "stderr, escaped twice": lambda text: sys.stderr.write(json.dumps(json.dumps({"a": text}))),
    "the log": lambda text: _event(text[4:17]),
    "the ledger": _into_the_ledger,
    "a report": lambda text: _append("importer-report/results.html", html.escape(text)),
    "the name of a file": lambda text: _append(f"importer-report/{quote(text, safe='')[:60]}.csv", ""),
    "a temporary file": lambda text: _append(f"{tempfile.mkdtemp()}/body", text),
    "the cache": lambda text: _append(os.environ["XDG_CACHE_HOME"] + "/importer/last.json", text),
    "an argument": lambda text: subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(2)", text]),
    "another library's log": lambda text: logging.getLogger("aiohttp.client").debug("sent %s", text),
}

if TAMPER.startswith("crash:"):
    crash(*TAMPER.split(":")[1:])
elif TAMPER.startswith("crash there:"):
    if "-P" in sys.orig_argv:  # the process that the run starts
        crash(*TAMPER.split(":")[1:])
elif TAMPER.startswith("leak:"):
    leak(TAMPER.partition(":")[2])
elif TAMPER == "no redaction":
    problems = import_module("importer.api.problems")
    problems.withhold = lambda text, _secrets: text
    problems.blot = lambda text, _is_secret: text
elif TAMPER == "bugs with their texts":
    module = import_module("importer.crash")
    bug_of = module.bug_of

    def telling(error: BaseException) -> object:
        bug = bug_of(error)
        bug.frames += repr(error)
        return bug

    module.bug_of = telling
    crash("importer.planner", "Planner.read_all")
