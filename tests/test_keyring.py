"""The API key in the system's keyring, with backends of our own: the environment chooses one, as for all of keyring."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_keys import KEY, refused

from importer.config import ApiConfig
from importer.keys import read_key, ring

RING = ApiConfig(project="acme prod", api_key_keyring="ampersand")

BACKEND = """
from keyring.backend import KeyringBackend

class Ring(KeyringBackend):
    priority = 1
    def get_password(self, service, username):
        {code}
    def set_password(self, service, username, password): ...
    def delete_password(self, service, username): ...
"""


@pytest.fixture
def backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Backend":
    return Backend(tmp_path, monkeypatch)


class Backend:
    """Sets up a keyring that does what some Python code says."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._patch = patch

    def does(self, code: str) -> None:
        (self._folder / "fake_ring.py").write_text(BACKEND.format(code=code))
        self._patch.syspath_prepend(str(self._folder))
        self._patch.setenv("PYTHON_KEYRING_BACKEND", "fake_ring.Ring")


def test_the_key_is_what_the_keyring_holds_for_the_service_and_the_project(tmp_path: Path, backend: Backend) -> None:
    backend.does(f"return '{KEY}' if (service, username) == ('ampersand', 'acme prod') else 'fake-2'")

    assert read_key(RING, tmp_path, {"AMP_API_KEY": "fake-3"}).reveal() == KEY


def test_a_keyring_without_the_key_is_told_with_the_command_that_puts_it_there(
    tmp_path: Path, backend: Backend
) -> None:
    backend.does("return None")

    shown = refused(RING, tmp_path, {"AMP_API_KEY": KEY})

    assert shown == (
        "the keyring holds no API key under the service ampersand and the user name acme prod "
        "Put it there: keyring set ampersand 'acme prod'"
    )


def test_a_server_without_a_keyring_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")  # what is chosen on a headless server

    shown = refused(RING, tmp_path)

    assert "this machine has no keyring" in shown
    assert "api_key_file or api_key_command" in shown


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keyring.py").write_text("raise ImportError")  # in front of the one that is installed
    monkeypatch.syspath_prepend(str(tmp_path))

    assert refused(RING, tmp_path).endswith("pip install 'importer[keyring]'")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (f"raise RuntimeError('{KEY}')", "the keyring cannot be read: RuntimeError"),
        (f"from keyring.errors import KeyringLocked; raise KeyringLocked('{KEY}')", "cannot be read: KeyringLocked"),
        (f"raise SystemExit('{KEY}')", "the keyring cannot be read: SystemExit"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "the keyring cannot be read: it crashed"),
        (f"import os; os.write(1, b'{KEY}'); os.write(2, b'{KEY}'); os._exit(0)", "cannot be read: it crashed"),
        ("return 'fake key'", "what the keyring holds (api.api_key_keyring) is no API key: it holds blanks"),
        ("return ''", "no API key: what the keyring holds (api.api_key_keyring) is empty"),
    ],
)
def test_a_keyring_that_fails_is_told_and_what_it_says_is_not(
    tmp_path: Path, backend: Backend, capfd: pytest.CaptureFixture[str], code: str, told: str
) -> None:
    backend.does(code)

    assert told in refused(RING, tmp_path)
    assert capfd.readouterr() == ("", "")


def test_a_backend_that_prints_shows_nothing(
    tmp_path: Path, backend: Backend, capfd: pytest.CaptureFixture[str]
) -> None:
    backend.does(f"print('{KEY}', flush=True); import sys; print('{KEY}', file=sys.stderr); return '{KEY}'")

    assert read_key(RING, tmp_path, {}).reveal() == KEY
    assert capfd.readouterr() == ("", "")


def test_a_keyring_that_waits_for_somebody_is_not_waited_for_without_end(
    tmp_path: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring, "PATIENCE_S", 1.0)  # a minute, and no test waits for one
    backend.does("import time; time.sleep(60)")
    began = time.monotonic()

    assert "did not answer within" in refused(RING, tmp_path)
    assert time.monotonic() - began < 20


def test_the_working_directory_is_not_where_a_keyring_is_looked_for(
    tmp_path: Path, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may hold somebody's export, and a json.py beside it."""
    backend.does(f"return '{KEY}'")
    (tmp_path / "work").mkdir()
    (tmp_path / "work/json.py").write_text("raise SystemExit(1)")
    monkeypatch.chdir(tmp_path / "work")
    read = "from importer.keys import read_key; from importer.config import ApiConfig; from pathlib import Path"
    ask = "print(read_key(ApiConfig(project='acme prod', api_key_keyring='ampersand'), Path(), {}))"

    ended = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys; sys.path[:] = {sys.path!r}; {read}; {ask}"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert ended.stdout == f"API key of {len(KEY)} characters\n"
