"""The API key: where it is kept and how it is fetched. Never a flag, never in a config, never in a message."""

import os
import re
import shlex
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

from importer.config import ApiConfig
from importer.errors import ConfigError
from importer.redaction import looks_like_a_token


def read_key(api: ApiConfig, base: Path, env: Mapping[str, str]) -> str:
    """The API key: from `api_key_file`, else what `api_key_command` prints, else the variable `api_key_env`.

    Raises ConfigError that says where it was looked for; it never quotes what was found.
    """
    if api.api_key_file:
        return _checked(_from_file(base / api.api_key_file), f"the file {api.api_key_file}")
    if api.api_key_command:
        return _checked(_from_command(api.api_key_command), "what api.api_key_command printed")
    # whoever writes the key itself there must not see it printed: a name is shown only if it looks like one
    named = re.fullmatch(r"[A-Z][A-Z0-9_]{0,60}", api.api_key_env) and not looks_like_a_token(api.api_key_env)
    where = f"the environment variable {api.api_key_env}" if named else "the variable that api.api_key_env names"
    return _checked(env.get(api.api_key_env, ""), where)


def _from_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise ConfigError(
                    f"{path} holds the API key and others on this machine can read it",
                    hint=f"chmod 600 {path}, and consider the key known: make a new one.",
                )
            return file.read(65536).decode("utf-8", "replace")
    except OSError as error:
        raise ConfigError(f"api.api_key_file {path} cannot be read: {error.strerror}", hint="Check the path.") from None


def _from_command(command: str) -> str:
    try:
        words = shlex.split(command)
        # no shell: nothing in the setting is expanded or chained; what the program says on stderr is the operator's
        ran = subprocess.run(words, stdout=subprocess.PIPE, timeout=60, check=False)  # noqa: S603
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired) as error:
        raise ConfigError(
            f"api.api_key_command cannot be run: {type(error).__name__}", hint="Try it in a terminal."
        ) from None
    if ran.returncode:
        raise ConfigError(f"api.api_key_command ended with code {ran.returncode}", hint="Try it in a terminal.")
    return ran.stdout.decode("utf-8", "replace")


def _checked(key: str, where: str) -> str:
    key = key.strip()
    if not key:
        raise ConfigError(f"no API key: {where} is empty", hint="Set it to a full API key of the project.")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(
            f"{where} is no API key: it holds blanks or characters no header can carry", hint="Copy the key again."
        )
    return key
