"""The API key as a program prints it, so that any secret manager serves."""

import os
import select
import shlex
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from importer.errors import ConfigError
from importer.redaction import looks_like_a_token

LONGEST = 64 * 1024
"""Bytes that are read in search of a key; what is longer is none."""

PATIENCE_S = 60.0
"""Seconds that a program has: somebody may have to unlock what it asks."""


def printed_by(command: str) -> bytes:
    """What the command prints. Raises ConfigError where it cannot be run, fails, or takes longer than PATIENCE_S.

    No shell: nothing in the setting is expanded or chained. It has this process's environment, and what it says on
    standard error is for the operator.
    """
    try:
        words = shlex.split(command)
        if not words or looks_like_a_token(command.strip()):
            raise ConfigError(
                "api.api_key_command cannot be run: it names no program",
                hint='Name one that prints the key, e.g. "pass show ampersand/api-key"; never write the key itself.',
            )
        code, content = printed(words, PATIENCE_S)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"api.api_key_command cannot be run: {type(error).__name__}",
            hint="Try it in a terminal: it names a program that prints the key, and is not the key itself.",
        ) from None
    if code is None:
        raise ConfigError(
            f"api.api_key_command did not end within {PATIENCE_S:.0f} s", hint="Try it in a terminal: it may ask."
        )
    if code:
        raise ConfigError(f"api.api_key_command ended with code {code}", hint="Try it in a terminal.")
    return content


def printed(words: Sequence[str], patience_s: float, **more: Any) -> tuple[int | None, bytes]:
    """How a program ends (None: not in time) and what it prints, at most a byte or so more than LONGEST.

    It is ended when its time is over or it prints without end, and it gets nothing of our standard input, which may be
    the rows; only from a terminal can it ask. `more` is for `subprocess.Popen`. Raises OSError and ValueError.
    """
    stdin = None if os.isatty(0) else subprocess.DEVNULL
    deadline = time.monotonic() + patience_s
    content = b""
    with subprocess.Popen(words, stdin=stdin, stdout=subprocess.PIPE, **more) as process:  # noqa: S603 - no shell
        assert process.stdout  # noqa: S101 - as it was asked for
        heard = select.poll()  # select() takes no descriptor above 1023, and a program may have many
        heard.register(process.stdout, select.POLLIN)
        try:
            while len(content) <= LONGEST:
                # a child of the program's own may keep the pipe open after it: the clock counts, not the program
                if not heard.poll(max(0.0, deadline - time.monotonic()) * 1000):
                    return None, b""
                part = os.read(process.stdout.fileno(), LONGEST)
                if not part:
                    return process.wait(max(0.0, deadline - time.monotonic())), content
                content += part
            return 0, content
        except subprocess.TimeoutExpired:
            return None, b""
        finally:
            process.kill()
