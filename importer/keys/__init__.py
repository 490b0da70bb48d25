"""The API key: where it is kept and how it is fetched. Never a flag, never in a config, never in a message."""

import re
from collections.abc import Mapping
from pathlib import Path

from importer.api.key import ApiKey
from importer.config import ApiConfig
from importer.errors import ConfigError
from importer.keys.file import key_in_file
from importer.keys.program import LONGEST, printed_by
from importer.keys.ring import key_in_keyring
from importer.redaction import looks_like_a_token


def read_key(api: ApiConfig, base: Path, env: Mapping[str, str]) -> ApiKey:
    """The API key, from the one of `api_key_file`, `api_key_command` and `api_key_keyring` that is set.

    Without any of them, from the variable that `api_key_env` names. `base` is the folder that a relative file starts
    from. Raises ConfigError that says where it was looked for; it never quotes what was found.
    """
    if api.api_key_file:
        return _checked(key_in_file(base / api.api_key_file), f"the file {api.api_key_file}")
    if api.api_key_command:
        return _checked(printed_by(api.api_key_command), "what api.api_key_command printed")
    if api.api_key_keyring:
        found = key_in_keyring(api.api_key_keyring, api.project or "")
        return _checked(found, "what the keyring holds (api.api_key_keyring)")
    # whoever writes the key itself there must not see it printed: a name is shown only if it looks like one
    named = re.fullmatch(r"[A-Z][A-Z0-9_]{0,60}", api.api_key_env) and not looks_like_a_token(api.api_key_env)
    where = f"the environment variable {api.api_key_env}" if named else "the variable that api.api_key_env names"
    return _checked(env.get(api.api_key_env, "").encode("utf-8", "surrogateescape"), where)


def _checked(content: bytes, where: str) -> ApiKey:
    """The key that was found, without the blanks and line ends around it. Raises ConfigError where it is none."""
    key = content.decode("utf-8-sig", "replace").strip()
    if not key:
        raise ConfigError(f"no API key: {where} is empty", hint="Set it to a full API key of the project.")
    if fault := _fault(content, key):
        raise ConfigError(f"{where} is no API key: it {fault}", hint="Copy the key again, and nothing but the key.")
    return ApiKey(key)


def _fault(content: bytes, key: str) -> str:
    """What is wrong with a key, in words that hold nothing of it; "" where it can be one."""
    if len(content) > LONGEST:
        return f"has more than {LONGEST // 1024} KiB"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "is UTF-16 text, and UTF-8 is read"
    if lines := len(key.splitlines()) - 1:
        return f"has {lines + 1} lines"
    if key[0] in "\"'":
        return "stands in quotes"
    if not key.isascii() or not key.isprintable() or " " in key:
        return "holds blanks or characters no header can carry"
    return ""
