"""The API key comes from a file, a program or the environment, and is never in what is said of it."""

import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from desk import Ended, token_row, write_csv

from importer.config import ApiConfig, load_config
from importer.errors import ConfigError
from importer.keys import program, read_key
from importer.sandbox import Sandbox

Shell = Callable[..., Ended]

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
    assert read_key(ApiConfig(), tmp_path, {"AMP_API_KEY": KEY}).reveal() == KEY
    assert (
        read_key(ApiConfig(api_key_env="OTHER"), tmp_path, {"AMP_API_KEY": "fake-2", "OTHER": f" {KEY}\n"}).reveal()
        == KEY
    )


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
    assert read_key(key_file(tmp_path, content), tmp_path, {"AMP_API_KEY": "fake-2"}).reveal() == KEY


def test_an_absolute_file_is_taken_as_it_is(tmp_path: Path) -> None:
    key_file(tmp_path, KEY.encode(), 0o400)

    assert read_key(ApiConfig(api_key_file=str(tmp_path / "key")), tmp_path / "elsewhere", {}).reveal() == KEY


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
    assert read_key(printing(f"print({printed!r}, end='')"), tmp_path, {"AMP_API_KEY": "fake-2"}).reveal() == KEY


def test_no_shell_reads_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a shell would expand or chain reaches the program as it was written."""
    monkeypatch.setenv("FAKE_VARIABLE", "expanded")
    words = ["$FAKE_VARIABLE", "*", ";", "touch", str(tmp_path / "touched"), "`id`", "|", "$(id)"]
    command = " ".join(
        shlex.quote(word) for word in [sys.executable, "-c", "import sys; print('~'.join(sys.argv[1:]))"]
    )

    key = read_key(ApiConfig(api_key_command=f"{command} {' '.join(words)}"), tmp_path, {}).reveal()

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


def test_a_program_that_prints_without_end_is_ended(tmp_path: Path) -> None:
    """It would fill the memory otherwise."""
    shown = refused(printing("while True: print('x' * 65536)"), tmp_path)

    assert "what api.api_key_command printed is no API key: it has more than 64 KiB" in shown


SLEEP = "import time; time.sleep(60)"


@pytest.mark.parametrize(
    "code",
    [
        SLEEP,
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', '{SLEEP}'])",
        f"import os; os.close(1); {SLEEP}",
    ],
    ids=["sleeps", "leaves a child behind", "closes its output"],
)
def test_a_program_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Also one that ends itself, and leaves a child behind that holds its standard output."""
    monkeypatch.setattr(program, "PATIENCE_S", 0.5)  # a minute, and no test waits for one
    began = time.monotonic()

    shown = refused(printing(f"print('{KEY}', flush=True); {code}"), tmp_path)

    assert "did not end within" in shown
    assert time.monotonic() - began < 10


def test_what_a_program_says_on_standard_error_is_for_the_operator(shell: Shell, home: Path) -> None:
    code = f"import sys; print('{KEY}'); print('touch the token', file=sys.stderr); sys.exit(3)"
    (home / "config.toml").write_text(f"[api]\napi_key_command = '''{shlex.join([sys.executable, '-c', code])}'''\n")

    ended = shell("verify")

    assert ended.exit_code == 2
    assert "touch the token" in ended.err
    assert "api.api_key_command ended with code 3" in ended.err
    assert KEY not in ended.out + ended.err


def test_a_program_does_not_eat_the_rows_on_standard_input(shell: Shell, home: Path, sandbox: Sandbox) -> None:
    code = f"import sys; sys.stdin.read(); print('{sandbox.api_key}')"
    (home / "config.toml").write_text(f"[api]\napi_key_command = '''{shlex.join([sys.executable, '-c', code])}'''\n")
    rows = write_csv(home / "rows.csv", [token_row(1)]).read_text()

    assert shell("run", "-", stdin=rows, AMP_API_KEY="").exit_code == 0
    assert sandbox.count() == 1


def test_a_program_has_the_environment_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret manager's own session is in it."""
    monkeypatch.setenv("FAKE_SESSION", KEY)

    api = printing("import os; print(os.environ['FAKE_SESSION'])")

    assert read_key(api, tmp_path, {}).reveal() == KEY


# --- which of them ---


@pytest.mark.parametrize("api", [
    {"api_key_file": "key", "api_key_command": "cat key"},
    {"api_key_file": "key", "api_key_keyring": "ampersand"},
    {"api_key_command": "cat key", "api_key_keyring": "ampersand"},
])  # fmt: skip
def test_a_key_has_one_place(tmp_path: Path, api: dict[str, str]) -> None:
    """Whoever set two of them may believe in the other one."""
    text = "[api]\n" + "".join(f'{name} = "{value}"\n' for name, value in api.items())
    (tmp_path / "config.toml").write_text(text)

    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "config.toml", {})

    assert str(caught.value) == " and ".join(f"api.{name}" for name in api) + " each say where the API key is"


def test_a_place_that_is_named_wins_over_the_variable_even_where_that_is_named_too(tmp_path: Path) -> None:
    key_file(tmp_path, KEY.encode())
    api = ApiConfig(api_key_file="key", api_key_env="OTHER_KEY")

    assert read_key(api, tmp_path, {"OTHER_KEY": "fake-2", "AMP_API_KEY": "fake-3"}).reveal() == KEY


@pytest.mark.parametrize("name", ["api_key_env", "api_key_file", "api_key_command", "api_key_keyring"])
def test_a_key_in_place_of_where_it_is_is_refused_and_not_shown(tmp_path: Path, name: str) -> None:
    literal = "sk_live_fakeFake0fakeFake1"
    (tmp_path / "config.toml").write_text(f'[api]\nproject = "p"\n{name} = "{literal}"\n')

    with pytest.raises(ConfigError) as caught:
        read_key(load_config(tmp_path / "config.toml", {}).api, tmp_path, {})

    assert caught.value.hint
    assert literal not in f"{caught.value} {caught.value.hint}"
    assert "key itself" in f"{caught.value} {caught.value.hint}" or name == "api_key_file"


# --- faults of a key ---


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"x" * 65_537, "has more than 64 KiB"),
        (KEY.encode("utf-16"), "is UTF-16 text, and UTF-8 is read"),
        (f"{KEY}\r\n{KEY}\r\n{KEY}".encode(), "has 3 lines"),
        (f'"{KEY}"'.encode(), "stands in quotes"),
        (f"\ufeff\ufeff{KEY}".encode(), "holds blanks or characters no header can carry"),
    ],
)
def test_the_fault_of_a_key_is_told_and_the_key_is_not(tmp_path: Path, content: bytes, fault: str) -> None:
    assert f"the file key is no API key: it {fault}" in refused(key_file(tmp_path, content), tmp_path)


def test_the_mark_that_windows_puts_before_a_text_is_no_part_of_the_key(tmp_path: Path) -> None:
    assert read_key(key_file(tmp_path, f"\ufeff{KEY}\r\n".encode()), tmp_path, {}).reveal() == KEY


# --- whose file ---


def test_a_pipe_is_no_file_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key", 0o600)

    assert "is no regular file" in refused(ApiConfig(api_key_file="key"), tmp_path)
    assert "is no regular file" in refused(ApiConfig(api_key_file="/dev/zero"), tmp_path)


def test_a_secret_that_kubernetes_mounts_is_read_through_its_links(tmp_path: Path) -> None:
    """The file is a link into a folder that is a link; readable for all, it is refused with the setting to change."""
    (tmp_path / "..2026_01_01").mkdir(0o755)
    api = key_file(tmp_path / "..2026_01_01", KEY.encode(), 0o400)
    (tmp_path / "..data").symlink_to("..2026_01_01")
    (tmp_path / "key").symlink_to("..data/key")

    assert read_key(api, tmp_path, {}).reveal() == KEY

    (tmp_path / "..2026_01_01/key").chmod(0o644)
    assert "defaultMode: 0400" in refused(api, tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to a group of others")
@pytest.mark.parametrize(
    ("mode", "owner", "group", "user", "is_read"),
    [
        (0o440, 0, 2000, 12345, True),
        (0o640, 0, 2000, 12345, True),
        (0o660, 0, 2000, 12345, False),  # the group could exchange it
        (0o444, 0, 2000, 12345, False),
        (0o440, 12345, 2000, 12345, False),  # nobody but its owner has shared it
        (0o440, 0, 2000, 0, False),  # root needs no group
        (0o440, 0, 3000, 12345, False),  # it cannot be read at all
    ],
)
def test_a_file_of_root_may_be_shared_with_a_group_of_this_user(
    mode: int, owner: int, group: int, user: int, is_read: bool
) -> None:
    """As Kubernetes mounts a secret where the pod runs as somebody else than root and has an `fsGroup`."""
    folder = Path(tempfile.mkdtemp())  # pytest's own folders are closed to everybody else
    folder.chmod(0o755)
    api, groups = key_file(folder, KEY.encode(), mode), os.getgroups()
    os.chown(folder / "key", owner, group)
    try:
        os.setgroups([2000])
        os.seteuid(user)
        assert (read_key(api, folder, {}).reveal() == KEY) if is_read else refused(api, folder)
    finally:
        os.seteuid(0)
        os.setgroups(groups)
        shutil.rmtree(folder)


@pytest.mark.parametrize("mode", [0o777, 0o757, 0o703])
def test_a_file_that_others_can_exchange_is_refused(tmp_path: Path, mode: int) -> None:
    """Whoever exchanges the key has every credential sent to a project of their own."""
    (tmp_path / "open").mkdir()
    (tmp_path / "open/own").mkdir(0o700)
    key_file(tmp_path / "open/own", KEY.encode())
    (tmp_path / "open").chmod(mode)

    shown = refused(ApiConfig(api_key_file="open/own/key"), tmp_path)

    assert f"lies in {tmp_path / 'open'}, where others can exchange it" in shown
    (tmp_path / "open").chmod(mode | 0o1000)  # sticky, as a folder for temporary files
    assert read_key(ApiConfig(api_key_file="open/own/key"), tmp_path, {}).reveal() == KEY


@pytest.mark.parametrize(("link", "file"), [("open", "own"), ("own", "open")])
def test_neither_a_link_nor_what_it_leads_to_may_be_exchanged_by_others(tmp_path: Path, link: str, file: str) -> None:
    (tmp_path / "own").mkdir(0o700)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    key_file(tmp_path / file, KEY.encode())
    (tmp_path / link / "link").symlink_to(f"../{file}/key")

    assert "others can exchange it" in refused(ApiConfig(api_key_file=f"{link}/link"), tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("given", ["key", "own"])
def test_what_belongs_to_another_user_is_refused(tmp_path: Path, given: str) -> None:
    (tmp_path / "own").mkdir(0o700)
    key_file(tmp_path / "own", KEY.encode())
    os.chown(tmp_path / "own" / ("key" if given == "key" else "."), 12345, 12345)

    shown = refused(ApiConfig(api_key_file="own/key"), tmp_path)

    assert ("belongs to another user" if given == "key" else "others can exchange it") in shown
