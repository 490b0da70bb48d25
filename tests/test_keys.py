"""The API key comes from a file, a program or the environment, and is never in what is said of it."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from importer.config import ApiConfig
from importer.errors import ConfigError
from importer.keys import read_key

KEY = "fake-api-key-1"
BAD_KEYS = ["fake api-key-1", "fake-api\nkey-1", "fäke-api-key-1", "fake-api-key-1\x00", "fake\tapi-key-1", "'fake' 1"]


def refused(api: ApiConfig, base: Path, env: Mapping[str, str] | None = None, *hidden: str) -> str:
    """What is said when there is no key, or none that may be used; it holds nothing of these texts."""
    with pytest.raises(ConfigError) as caught:
        read_key(api, base, env or {})
    shown = f"{caught.value} {caught.value.hint}"
    assert caught.value.hint
    assert "\n" not in shown
    for text in (KEY, *hidden):
        assert text not in shown
    return shown


def printing(code: str) -> ApiConfig:
    """A config whose key is what this Python code prints."""
    return ApiConfig(api_key_command=shlex.join([sys.executable, "-c", code]))


def key_file(folder: Path, content: bytes, mode: int = 0o600) -> ApiConfig:
    """A config whose key is in a file with this content."""
    (folder / "key").write_bytes(content)
    (folder / "key").chmod(mode)
    return ApiConfig(api_key_file="key")


# --- the environment ---


def test_the_key_is_read_from_the_environment(tmp_path: Path) -> None:
    assert read_key(ApiConfig(), tmp_path, {"AMP_API_KEY": KEY}) == KEY
    assert read_key(ApiConfig(api_key_env="OTHER"), tmp_path, {"AMP_API_KEY": "fake-2", "OTHER": f" {KEY}\n"}) == KEY


@pytest.mark.parametrize("env", [{}, {"AMP_API_KEY": ""}, {"AMP_API_KEY": " \n"}, {"OTHER": KEY}])
def test_a_variable_that_is_not_set_is_named(tmp_path: Path, env: dict[str, str]) -> None:
    assert refused(ApiConfig(), tmp_path, env).startswith("no API key: the environment variable AMP_API_KEY is empty")


@pytest.mark.parametrize("bad", BAD_KEYS)
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(tmp_path: Path, bad: str) -> None:
    shown = refused(ApiConfig(), tmp_path, {"AMP_API_KEY": bad}, bad, bad.split()[0])

    assert shown.startswith("the environment variable AMP_API_KEY is no API key")


def test_a_key_written_in_place_of_the_variables_name_is_not_shown(tmp_path: Path) -> None:
    refused(ApiConfig(api_key_env=KEY), tmp_path)


# --- a file ---


@pytest.mark.parametrize("content", [KEY.encode(), f"{KEY}\n".encode(), f"\r\n {KEY} \r\n".encode()])
def test_the_key_is_read_from_a_private_file_beside_the_config(tmp_path: Path, content: bytes) -> None:
    assert read_key(key_file(tmp_path, content), tmp_path, {"AMP_API_KEY": "fake-2"}) == KEY


def test_an_absolute_file_is_taken_as_it_is(tmp_path: Path) -> None:
    key_file(tmp_path, KEY.encode(), 0o400)

    assert read_key(ApiConfig(api_key_file=str(tmp_path / "key")), tmp_path / "elsewhere", {}) == KEY


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o601, 0o777])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    shown = refused(key_file(tmp_path, KEY.encode(), mode), tmp_path)

    assert str(tmp_path / "key") in shown
    assert f"chmod 600 {tmp_path / 'key'}" in shown


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    shown = refused(ApiConfig(api_key_file="missing"), tmp_path, {"AMP_API_KEY": KEY})

    assert str(tmp_path / "missing") in shown
    assert "No such file" in shown


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir(0o700)

    assert str(tmp_path / "key") in refused(ApiConfig(api_key_file="key"), tmp_path)


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_an_empty_file_is_named(tmp_path: Path, content: bytes) -> None:
    assert "the file key is empty" in refused(key_file(tmp_path, content), tmp_path)


@pytest.mark.parametrize("bad", [f"{KEY}\n{KEY}".encode(), b"fake\xff-key", f'api_key = "{KEY}"'.encode(), b"\0" * 9])
def test_a_file_that_holds_more_than_a_key_is_refused_and_not_shown(tmp_path: Path, bad: bytes) -> None:
    assert "the file key is no API key" in refused(key_file(tmp_path, bad), tmp_path)


# --- a program ---


@pytest.mark.parametrize("printed", [KEY, f"{KEY}\n", f"\n  {KEY}\r\n\n"])
def test_the_key_is_what_a_program_prints(tmp_path: Path, printed: str) -> None:
    assert read_key(printing(f"print({printed!r}, end='')"), tmp_path, {"AMP_API_KEY": "fake-2"}) == KEY


def test_a_file_wins_over_a_program(tmp_path: Path) -> None:
    key_file(tmp_path, KEY.encode())
    api = ApiConfig(api_key_file="key", api_key_command=printing("print('fake-2')").api_key_command)

    assert read_key(api, tmp_path, {}) == KEY


def test_no_shell_reads_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a shell would expand or chain reaches the program as it was written."""
    monkeypatch.setenv("FAKE_VARIABLE", "expanded")
    words = ["$FAKE_VARIABLE", "*", ";", "touch", str(tmp_path / "touched"), "`id`", "|", "$(id)"]
    command = " ".join(
        shlex.quote(word) for word in [sys.executable, "-c", "import sys; print('~'.join(sys.argv[1:]))"]
    )

    key = read_key(ApiConfig(api_key_command=f"{command} {' '.join(words)}"), tmp_path, {})

    assert key == "~".join(words)
    assert not (tmp_path / "touched").exists()


def test_a_program_that_fails_is_told_by_its_code_and_what_it_printed_is_not(tmp_path: Path) -> None:
    shown = refused(printing(f"print('{KEY}'); raise SystemExit(7)"), tmp_path)

    assert "api.api_key_command ended with code 7" in shown


@pytest.mark.parametrize("printed", ["", " \n"])
def test_a_program_that_prints_nothing_is_told(tmp_path: Path, printed: str) -> None:
    assert "what api.api_key_command printed is empty" in refused(printing(f"print({printed!r}, end='')"), tmp_path)


@pytest.mark.parametrize("bad", [f"{KEY} {KEY}", f"key: {KEY}", f"{KEY}\n{KEY}"])
def test_a_program_that_prints_more_than_a_key_is_refused_and_not_shown(tmp_path: Path, bad: str) -> None:
    assert "what api.api_key_command printed is no API key" in refused(printing(f"print({bad!r})"), tmp_path)


@pytest.mark.parametrize(
    "command",
    [
        "no-such-program-of-ours --read fake-api-key-1",
        "sh -c 'unbalanced fake-api-key-1",
        "/",
        pytest.param(" "),
    ],
)
def test_a_command_that_cannot_be_run_is_told_without_its_words(tmp_path: Path, command: str) -> None:
    assert "api.api_key_command cannot be run" in refused(ApiConfig(api_key_command=command), tmp_path)
