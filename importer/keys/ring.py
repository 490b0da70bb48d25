"""The API key in the system's keyring (`importer[keyring]`): Keychain, Secret Service, KWallet, Credential Locker.

A process of its own asks. Backends are other people's code: one may hang behind a dialogue, crash with the password in
its traceback, or print it. The process is ended when its time is over, and nothing that it says reaches anybody.
"""

import json
import os
import shlex
import subprocess
import sys

from importer.errors import ConfigError
from importer.keys.program import PATIENCE_S, printed
from importer.redaction import looks_like_a_token

_BOOT = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from importer.keys.ring import answer; answer()"


def key_in_keyring(service: str, project: str) -> bytes:
    """What the keyring holds for a service and a user name, which is the project. Raises ConfigError."""
    if looks_like_a_token(service):
        raise ConfigError(
            "api.api_key_keyring names no service",
            hint="Give the name that the key is kept under in the keyring, and never the key itself.",
        )
    paths = json.dumps([path for path in sys.path if isinstance(path, str)])
    try:
        code, content = printed(
            # -P: nothing is imported from the working directory, which may hold somebody's export
            [sys.executable, "-P", "-c", _BOOT, paths, service, project], PATIENCE_S, stderr=subprocess.DEVNULL
        )  # fmt: skip
        trouble, found = (None, "") if code is None else json.loads(content)
    except (OSError, ValueError):
        trouble, found = "it crashed", ""
    if trouble != "":
        raise _refusal(trouble, service, project)
    return str(found).encode()


def _refusal(trouble: str | None, service: str, project: str) -> ConfigError:
    """What is said where the keyring gives no key; `trouble` is the name of an error, None where it took too long."""
    match trouble:
        case "Empty":
            return ConfigError(
                f"the keyring holds no API key under the service {service} and the user name {project}",
                hint=f"Put it there: keyring set {shlex.quote(service)} {shlex.quote(project)}",
            )
        case "Absent":
            return ConfigError(
                "api.api_key_keyring needs the package keyring, which is not there",
                hint="pip install 'importer[keyring]'",
            )
        case "NoKeyringError":
            return ConfigError(
                "api.api_key_keyring: this machine has no keyring, as is usual for a server",
                hint="Set api_key_file or api_key_command instead.",
            )
        case None:
            return ConfigError(
                f"the keyring did not answer within {PATIENCE_S:.0f} s",
                hint="It may be waiting to be unlocked; on a server, set api_key_file or api_key_command instead.",
            )
    return ConfigError(
        f"the keyring cannot be read: {trouble}",
        hint="Look at it in a terminal: keyring --list-backends",
    )


# --- in the process itself ---


def answer() -> None:
    """Say what the keyring holds for the service and the user name among the arguments: trouble, or "", and the key."""
    to_run = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # a backend may print
    *_, service, project = sys.argv
    json.dump(_asked(service, project), to_run)
    to_run.flush()
    os._exit(0)  # a backend's thread or exit handler must not keep us


def _asked(service: str, project: str) -> tuple[str, str]:
    """The name of what went wrong, and the key; one of them is empty."""
    try:
        import keyring
    except ImportError:
        return "Absent", ""
    try:
        found = keyring.get_password(service, project)
    except BaseException as error:  # its text could hold a password
        return type(error).__name__, ""
    return ("Empty", "") if found is None else ("", found)
