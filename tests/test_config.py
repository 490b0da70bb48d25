"""Settings: who wins, and one line for whatever is wrong in them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from importer.config import DEFAULT_URL, Config, load_config
from importer.errors import ConfigError, Exit
from importer.fields import FieldSpec, read_mapping

KEY = "fake-api-key-in-the-wrong-place"


def loaded(folder: Path, text: str, env: Mapping[str, str] | None = None, **flags: Any) -> Config:
    """The settings from a file with this text."""
    (folder / "config.toml").write_text(text, "utf-8")
    return load_config(folder / "config.toml", env or {}, **flags)


def refused(folder: Path, text: str, env: Mapping[str, str] | None = None, **flags: Any) -> str:
    """What is said of a file with this text: one line, a hint of one line, and no key."""
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, env, **flags)
    return said(caught.value)


def said(error: ConfigError) -> str:
    assert error.exit_code is Exit.USAGE
    assert error.hint
    shown = f"{error} {error.hint}"
    assert "\n" not in shown
    assert KEY not in shown
    return shown


def test_without_a_file_everything_has_a_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    config = load_config(None, {})

    assert config == Config()
    assert (config.limits.rate, config.limits.workers, config.limits.attempts, config.limits.stop_after) == (
        20.0, 32, 5, 100,
    )  # fmt: skip
    assert (config.retry.base_s, config.retry.cap_s, config.retry.max_wait_s, config.retry.settle_s) == (
        0.5,
        60,
        300,
        5,
    )
    assert config.api_root == DEFAULT_URL
    assert config.mapping is None


def test_a_config_toml_in_the_working_directory_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.toml").write_text("[limits]\nworkers = 7\n")
    monkeypatch.chdir(tmp_path)

    assert load_config(None, {}).limits.workers == 7


# --- who wins ---

FILE = '[api]\nproject = "of-the-file"\nurl = "https://file.example.com"\n'
ENV = {"AMP_PROJECT": "of-the-environment", "AMP_API_URL": "https://env.example.com"}
FLAGS = {"api__project": "of-the-flags", "api__url": "https://flags.example.com"}


@pytest.mark.parametrize(
    ("text", "env", "flags", "of"),
    [
        ("", {}, {}, (None, DEFAULT_URL)),
        (FILE, {}, {}, ("of-the-file", "https://file.example.com")),
        (FILE, {"AMP_PROJECT": "", "AMP_API_URL": ""}, {}, ("of-the-file", "https://file.example.com")),
        (FILE, ENV, {}, ("of-the-environment", "https://env.example.com")),
        (FILE, ENV, dict.fromkeys(FLAGS), ("of-the-environment", "https://env.example.com")),
        (FILE, ENV, FLAGS, ("of-the-flags", "https://flags.example.com")),
        (FILE, {}, {"api__project": "of-the-flags"}, ("of-the-flags", "https://file.example.com")),
    ],
)
def test_flags_win_over_environment_and_environment_over_file(
    tmp_path: Path, text: str, env: dict[str, str], flags: dict[str, Any], of: tuple[str | None, str]
) -> None:
    config = loaded(tmp_path, text, env, **flags)

    assert (config.api.project, config.api.url) == of


@pytest.mark.parametrize(
    ("flag", "given", "read"),
    [
        ("limits__rate", "12.5", 12.5),
        ("limits__rate", "auto", "auto"),
        ("limits__rate", "unlimited", "unlimited"),
        ("limits__workers", "3", 3),
        ("limits__workers", 3, 3),
        ("source__paths", ("a.csv", "b.csv"), ("a.csv", "b.csv")),
        pytest.param("limits__stop_after", 0, 0),
        pytest.param("retry__settle_s", 0.0, 0.0),
    ],
)
def test_a_flag_is_read_as_its_setting_is(tmp_path: Path, flag: str, given: Any, read: Any) -> None:
    section, key = flag.split("__")
    text = "[limits]\nrate = 1\nworkers = 1\nstop_after = 5\n[retry]\nsettle_s = 9\n"

    assert getattr(getattr(loaded(tmp_path, text, **{flag: given}), section), key) == read


@pytest.mark.parametrize(
    ("flag", "given"), [("limits__rate", "fast"), ("limits__workers", "2.5"), ("limits__rate", "-1")]
)
def test_a_wrong_flag_is_said_to_be_one(tmp_path: Path, flag: str, given: Any) -> None:
    shown = refused(tmp_path, "", **{flag: given})

    assert shown.startswith(f"{flag.replace('__', '.')} ")
    assert "the command line or the environment" in shown


def test_a_rate_of_nought_on_the_command_line_is_refused(tmp_path: Path) -> None:
    assert "limits.rate is 0" in refused(tmp_path, "", limits__rate=0.0)


# --- values ---


@pytest.mark.parametrize(
    ("section", "line", "setting", "hint"),
    [
        # the wrong type
        ("api", "project = 7", "api.project is 7", "Give a text."),
        ("api", 'project = ""', "api.project is ''", "Give a text."),
        ("api", "project = true", "api.project is True", "Give a text."),
        ("api", 'timeout_s = "soon"', "api.timeout_s is 'soon'", "Give a number."),
        ("api", "timeout_s = [30]", "api.timeout_s is [30]", "Give a number."),
        ("api", "timeout_s = 2026-01-31", "api.timeout_s is datetime.date(2026, 1, 31)", "Give a number."),
        ("source", "paths = 7", "source.paths is 7", "Give a list of texts."),
        ("source", 'paths = ["a.csv", 7]', "source.paths is a list that does not fit", "Give a list of texts."),
        (
            "source",
            'format = "xlsx"',
            "source.format is 'xlsx'",
            'Give "auto" or "csv" or "parquet" or "jsonl" or "sql".',
        ),
        ("limits", 'rate = "fast"', "limits.rate is 'fast'", 'Give a number or "auto" or "unlimited".'),
        ("limits", "workers = 2.0", "limits.workers is 2.0", "Give a whole number."),
        ("limits", "attempts = {}", "limits.attempts is {}", "Give a whole number."),
        ("policy", 'existing = "Adopt"', "policy.existing is 'Adopt'", 'Give "adopt" or "fail" or "update".'),
        ("policy", "changed = false", "policy.changed is False", 'Give "update" or "report".'),
        ("ledger", "url = 1", "ledger.url is 1", "Give a text."),
        ("report", "dir = []", "report.dir is []", "Give a text."),
        # a boolean is no number
        ("limits", "rate = true", "limits.rate is True", 'Give a number or "auto" or "unlimited".'),
        ("limits", "workers = true", "limits.workers is True", "Give a whole number."),
        ("retry", "base_s = false", "retry.base_s is False", "Give a number."),
        # neither are these
        ("limits", "rate = nan", "limits.rate is nan", 'Give a number or "auto" or "unlimited".'),
        ("limits", "rate = inf", "limits.rate is infinite", "Give a number."),
        ("limits", "rate = -inf", "limits.rate is -inf", "Give a number above 0."),
        ("retry", "max_wait_s = inf", "retry.max_wait_s is infinite", "Give a number."),
        ("retry", "settle_s = nan", "retry.settle_s is nan", "Give a number."),
        # bounds
        ("limits", "rate = 0", "limits.rate is 0", "Give a number above 0."),
        ("limits", "rate = -0.5", "limits.rate is -0.5", "Give a number above 0."),
        ("limits", "workers = 0", "limits.workers is 0", "Give a number above 0."),
        ("limits", "attempts = 0", "limits.attempts is 0", "Give a number above 0."),
        ("limits", "stop_after = -1", "limits.stop_after is -1", "Give 0 or more."),
        ("api", "timeout_s = 0", "api.timeout_s is 0", "Give a number above 0."),
        ("retry", "base_s = 0", "retry.base_s is 0", "Give a number above 0."),
        ("retry", "cap_s = -1", "retry.cap_s is -1", "Give a number above 0."),
        ("retry", "settle_s = -0.1", "retry.settle_s is -0.1", "Give 0 or more."),
    ],
)
def test_a_wrong_value_is_named_with_what_is_right(
    tmp_path: Path, section: str, line: str, setting: str, hint: str
) -> None:
    shown = refused(tmp_path, f"[{section}]\n{line}\n")

    assert shown.replace(f" in {tmp_path / 'config.toml'}", "", 1) == f"{setting} {hint}"


@pytest.mark.parametrize(
    ("line", "read"),
    [("stop_after = 0", 0), ("stop_after = 1_000", 1_000)],
)
def test_a_value_at_its_bound_is_right(tmp_path: Path, line: str, read: int) -> None:
    assert loaded(tmp_path, f"[limits]\n{line}\n").limits.stop_after == read


def test_a_whole_number_is_a_number(tmp_path: Path) -> None:
    assert loaded(tmp_path, "[limits]\nrate = 50\n[retry]\nsettle_s = 0\n").limits.rate == 50.0


@pytest.mark.parametrize(
    ("text", "named", "near"),
    [
        ("[limits]\nrats = 1\n", "limits.rats", "Did you mean limits.rate?"),
        ("[limits]\nstop-after = 1\n", "limits.stop-after", "Did you mean limits.stop_after?"),
        ("[limit]\nrate = 1\n", "limit", "Did you mean limits?"),
        ("[retry]\nmaxwait = 1\n", "retry.maxwait", "Did you mean retry.max_wait_s?"),
        (
            "rate = 1\n",
            "rate",
            "Known here: api, catalog, ledger, limits, mapping, metrics, notify, policy, report, retry, source.",
        ),
        ("[report]\nxyzzy = 1\n", "report.xyzzy", "Known here: dir."),
        ("base = '/'\n", "base", ""),
        ('limits = "fast"\n', "limits", "Write it as [limits]."),
        ("limits = [1]\n", "limits", "Write it as [limits]."),
        ("[api.project]\nid = 1\n", "api.project", "Give a text."),
    ],
)
def test_an_unknown_key_is_told_with_the_nearest(tmp_path: Path, text: str, named: str, near: str) -> None:
    shown = refused(tmp_path, text)

    assert shown.startswith(f"{named} ")
    assert str(tmp_path / "config.toml") in shown
    assert shown.endswith(near)


@pytest.mark.parametrize(
    "name",
    ["key", "api_key", "token", "apikey", "apiKey", "api-key", "X-Api-Key", "AMP_API_KEY", "secret", "bearer_token",
     "api_secret", "password"],
)  # fmt: skip
def test_a_key_in_the_config_is_refused_and_not_shown(tmp_path: Path, name: str) -> None:
    shown = refused(tmp_path, f'[api]\n{name} = "{KEY}"\n')

    assert shown.startswith(f"api.{name} in ")
    assert "a config does not hold the API key" in shown
    assert 'api_key_env = "AMP_API_KEY"' in shown
    assert refused(tmp_path, f'{name} = "{KEY}"\n').startswith(f"{name} in ")


@pytest.mark.parametrize(("slip", "near"), [("api_key_fil", "api_key_file"), ("key_command", "api_key_command")])
def test_a_slip_in_the_name_of_a_place_is_no_key(tmp_path: Path, slip: str, near: str) -> None:
    assert refused(tmp_path, f'[api]\n{slip} = "x"\n').endswith(f"Did you mean api.{near}?")


@pytest.mark.parametrize(
    "text",
    [
        f'api_key = "{KEY}"\n',
        f'[api]\nsecret = "{KEY}"\n',
        f'[api]\napikey = "{KEY}"\n',
        f"[api]\napi_key_env = {KEY}\n",
        f'[api]\nproject = "{KEY}\n',
        f'api = "{KEY}"\n',
        pytest.param(f'[api]\napi_key_env = ["{KEY}"]\n'),
        pytest.param(
            f'[ledger]\nurl = "postgresql://importer:{KEY}@db/ledger"\n',
        ),
        pytest.param(
            f'[api]\nurl = "http://{KEY}@api.example.com"\n',
        ),
    ],
)
def test_a_key_in_the_wrong_place_is_not_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text).ledger_path  # noqa: B018 - a ledger's URL is read when it is asked for
    said(caught.value)


# --- the URL ---


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("https://api.example.com", "https://api.example.com"),
        ("https://api.example.com/", "https://api.example.com"),
        ("https://api.example.com/v1", "https://api.example.com"),
        ("https://api.example.com/v1/", "https://api.example.com"),
        ("https://example.com/amp/v1", "https://example.com/amp"),
        ("https://example.com/amp/v1beta", "https://example.com/amp/v1beta"),
        ("http://127.0.0.1:8900", "http://127.0.0.1:8900"),
        ("http://localhost:8900/v1", "http://localhost:8900"),
        ("http://[::1]:8900", "http://[::1]:8900"),
    ],
)
def test_the_root_is_the_same_with_or_without_v1(tmp_path: Path, url: str, root: str) -> None:
    assert loaded(tmp_path, f'[api]\nurl = "{url}"\n').api_root == root
    assert loaded(tmp_path, "", {"AMP_API_URL": url}).api_root == root


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://api.example.com", "credentials are not sent without TLS"),
        ("http://127.0.0.1.example.com", "credentials are not sent without TLS"),
        ("http://localhost@api.example.com", "credentials are not sent without TLS"),
        ("http://10.0.0.1", "credentials are not sent without TLS"),
        ("HTTP://api.example.com", "credentials are not sent without TLS"),
        ("api.example.com", "no URL of an API"),
        ("localhost:8900", "no URL of an API"),
        ("ftp://api.example.com", "no URL of an API"),
        ("https://", "no URL of an API"),
        ("https:///v1", "no URL of an API"),
        pytest.param("https://[::1", "no URL of an API"),
    ],
)
def test_a_url_that_would_send_credentials_in_clear_or_nowhere_is_refused(tmp_path: Path, url: str, why: str) -> None:
    assert why in refused(tmp_path, f'[api]\nurl = "{url}"\n')
    assert why in refused(tmp_path, "", {"AMP_API_URL": url})
    assert why in refused(tmp_path, "", api__url=url)


# --- paths ---


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///ledger.db", "ledger.db"),
        ("sqlite:///state/ledger.db", "state/ledger.db"),
        ("sqlite:///../ledger.db", "../ledger.db"),
        ("sqlite:////srv/ledger.db", "/srv/ledger.db"),
    ],
)
def test_the_ledger_lies_where_its_url_says_from_the_configs_folder(tmp_path: Path, url: str, path: str) -> None:
    assert loaded(tmp_path, f'[ledger]\nurl = "{url}"\n').ledger_path == tmp_path / path


@pytest.mark.parametrize(
    "url", ["ledger.db", "sqlite://ledger.db", "sqlite:///", "sqlite:ledger.db", "postgresql:///l"]
)
def test_a_url_of_another_kind_is_no_ledger(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="no SQLite URL") as caught:
        loaded(tmp_path, f'[ledger]\nurl = "{url}"\n').ledger_path  # noqa: B018 - reading it is what fails
    assert "sqlite:///importer-ledger.db" in said(caught.value)


def test_relative_paths_start_from_the_configs_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/import.toml").write_text('[report]\ndir = "out"\n')
    monkeypatch.chdir(tmp_path)

    config = load_config(Path("conf/import.toml"), {})

    assert config.base == Path("conf")
    assert (config.report_dir, config.ledger_path) == (Path("conf/out"), Path("conf/importer-ledger.db"))


def test_absolute_paths_stay(tmp_path: Path) -> None:
    assert loaded(tmp_path, '[report]\ndir = "/srv/report"\n').report_dir == Path("/srv/report")


def test_the_path_of_the_rows_is_a_text(tmp_path: Path) -> None:
    assert loaded(tmp_path, '[source]\nrecords = "$.result.items"\n').source.records == "$.result.items"
    assert "source.records in " in refused(tmp_path, '[source]\nrecords = ["result", "items"]\n')


# --- files that are no config ---


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"[limits\nrate = 1\n", "is not TOML"),
        (b"[limits]\nrate = \n", "is not TOML"),
        (b"[limits]\nrate = 1\nrate = 2\n", "is not TOML"),
        (b'[api]\nproject = "\xe9"\n', "is not UTF-8 text"),
        ("[limits]\nrate = 1\n".encode("utf-16"), "is not UTF-8 text"),
        (b"\x00\x00", "is not TOML"),
        pytest.param(b"mapping = 3\n", "mapping"),
        pytest.param(b'mapping = "preset"\n', "mapping"),
        pytest.param(
            b"[limits]\nrate = 1" + b"0" * 400 + b"\n",
            "limits.rate",
        ),
        pytest.param(
            b"[limits]\nrate = 1" + b"0" * 5_000 + b"\n",
            "TOML",
        ),
        pytest.param(b"a = " + b"[" * 20_000, "TOML"),
    ],
    ids=lambda case: case[:20] if isinstance(case, bytes) else case,
)
def test_what_is_no_config_is_told_in_one_line(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "config.toml").write_bytes(content)

    with pytest.raises(ConfigError, match=why) as caught:
        load_config(tmp_path / "config.toml", {})

    assert str(tmp_path / "config.toml") in said(caught.value)


def test_a_file_that_begins_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    """Windows' editor writes one."""
    (tmp_path / "config.toml").write_bytes(b"\xef\xbb\xbf[limits]\nrate = 1\n")

    assert load_config(tmp_path / "config.toml", {}).limits.rate == 1.0


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_file_that_is_not_there_is_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        load_config(tmp_path / name, {})
    assert str(tmp_path / name) in said(caught.value)


# --- the mapping ---


def test_every_right_hand_side_of_a_mapping_is_read(tmp_path: Path) -> None:
    text = """
        [mapping]
        provider = { column = "crm", values = { SFDC = "salesforce" }, default = "hubspot" }
        groupRef = "account_id"
        groupName = { template = "{account_name} ({account_id})" }
        consumerRef = { value = "system" }
        providerMetadata.workspace = "subdomain"
        oauth2AuthorizationCode.accessToken.token = { column = "extra", json = "$.access_token" }
        oauth2AuthorizationCode.accessToken.expiresAt = { column = "expires", format = "epoch_s", zone = "UTC" }
        oauth2AuthorizationCode.scopes = { column = "scope", split = " " }
        customAuth.anything = "it"
    """

    assert loaded(tmp_path, text).mapping == {
        "provider": FieldSpec(column="crm", values={"SFDC": "salesforce"}, default="hubspot"),
        "groupRef": FieldSpec(column="account_id"),
        "groupName": FieldSpec(template="{account_name} ({account_id})"),
        "consumerRef": FieldSpec(value="system"),
        "providerMetadata.workspace": FieldSpec(column="subdomain"),
        "oauth2AuthorizationCode.accessToken.token": FieldSpec(column="extra", json="$.access_token"),
        "oauth2AuthorizationCode.accessToken.expiresAt": FieldSpec(column="expires", format="epoch_s", zone="UTC"),
        "oauth2AuthorizationCode.scopes": FieldSpec(column="scope", split=" "),
        "customAuth.anything": FieldSpec(column="it"),
    }


@pytest.mark.parametrize(
    ("table", "named", "hint"),
    [
        # a target that is none
        ({"groupref": "c"}, "mapping.groupref", "Did you mean groupRef?"),
        ({"group_ref": "c"}, "mapping.group_ref", "Did you mean groupRef?"),
        ({"xyzzy": "c"}, "mapping.xyzzy", "Known here: provider, groupRef"),
        ({"basicAuth": {"user": "c"}}, "mapping.basicAuth.user", "Did you mean basicAuth.username?"),
        (
            {"oauth2AuthorizationCode": {"accessToken": {"expires": "c"}}},
            "mapping.oauth2AuthorizationCode.accessToken.expires",
            "Did you mean oauth2AuthorizationCode.accessToken.expiresAt?",
        ),
        ({"oauth2AuthorizationCode": "c"}, "mapping.oauth2AuthorizationCode", "oauth2AuthorizationCode.accessToken"),
        ({"providerMetadata": "c"}, "mapping.providerMetadata", "providerMetadata.*"),
        ({"basicAuth": ["c"]}, "mapping.basicAuth", "basicAuth.username, basicAuth.password"),
        # a right-hand side that is none
        ({"groupRef": 7}, "mapping.groupRef", 'groupRef = "column"'),
        ({"groupRef": ""}, "mapping.groupRef", 'groupRef = "column"'),
        ({"groupRef": ["c"]}, "mapping.groupRef", 'groupRef = { value = "…" }'),
        ({"groupRef": True}, "mapping.groupRef", 'groupRef = "column"'),
        ({"groupRef": {}}, "mapping.groupRef", "Give exactly one of column, template and value."),
        ({"groupRef": {"default": "d"}}, "mapping.groupRef", "Give exactly one of column, template and value."),
        ({"groupRef": {"column": "c", "value": "v"}}, "mapping.groupRef", "Give exactly one of"),
        ({"groupRef": {"column": "c", "template": "{c}"}}, "mapping.groupRef", "Give exactly one of"),
        # a key of it that is none
        ({"groupRef": {"colum": "c"}}, "mapping.groupRef.colum", "Did you mean column?"),
        ({"groupRef": {"xyzzy": "c"}}, "mapping.groupRef.xyzzy", "Known here: column, "),
        ({"providerMetadata": {"a": {"b": "c"}}}, "mapping.providerMetadata.a.b", "Known here: column"),
        # of the wrong kind
        ({"groupRef": {"column": 7}}, "mapping.groupRef.column", "Give a text."),
        ({"groupRef": {"column": "c", "default": 7}}, "mapping.groupRef.default", "Give a text."),
        ({"groupRef": {"column": "c", "values": "v"}}, "mapping.groupRef.values", "Give a table of texts."),
        ({"groupRef": {"column": "c", "values": {"a": 1}}}, "mapping.groupRef.values", "Give a table of texts."),
        ({"groupRef": {"column": "c", "format": ["iso8601"]}}, "mapping.groupRef.format", "Give a text."),
        pytest.param(
            {"groupRef": {"column": ""}}, "mapping.groupRef", "",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_mapping_is_named(table: dict[str, Any], named: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_mapping(table, "config.toml")

    shown = said(caught.value)
    assert shown.startswith(f"{named} in config.toml ")
    assert hint in shown


def test_a_value_of_a_mapping_is_never_shown() -> None:
    """A constant may be a credential that all rows share."""
    for table in ({"apiKey": [KEY]}, {"apiKey": {"value": [KEY]}}, {"apiKey": {"value": KEY, "column": KEY}}):
        with pytest.raises(ConfigError) as caught:
            read_mapping(table, "config.toml")
        said(caught.value)
