"""The settings of a run: a TOML file, the environment and the flags, in rising order of weight.

`config.example.toml` is the reference of every key. A key that is not known, or a value of the wrong kind, is one
line that names the key, the file and the nearest key. Standard library only, so that `status` and `init` start without
pydantic.
"""

import os
import re
import tomllib
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from importer.crash import discreet
from importer.errors import ConfigError
from importer.fields import FieldSpec, nearest, read_mapping
from importer.values import typed_value

_NAME_IT = (
    'Name where it is instead: api_key_env = "AMP_API_KEY" (the variable), api_key_file, api_key_command or '
    "api_key_keyring; and consider the key known: make a new one."
)
_LARGEST = 1024 * 1024
"""Bytes of a config: also of one that has no end, such as a device."""

DEFAULT_URL = "https://api.withampersand.com"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def _is_a_literal_key(api_key_env: str) -> bool:
    if re.fullmatch(r"[A-Z_]+", api_key_env):
        return False
    from importer.redaction import looks_like_a_token  # here, so that --help starts without it

    return looks_like_a_token(api_key_env)


@dataclass(frozen=True, slots=True)
class ApiConfig:
    """Where the platform is, and how its key is found; the key itself is never in a config.

    One of `api_key_file`, `api_key_command` and `api_key_keyring` (the name of a service) may be set, and then wins
    over `api_key_env`, which has a default. `ca_file` holds certificates that are trusted beside the system's.
    """

    project: str | None = None
    url: str = DEFAULT_URL
    api_key_env: str = "AMP_API_KEY"
    api_key_file: str | None = None
    api_key_command: str | None = None
    api_key_keyring: str | None = None
    ca_file: str | None = None
    timeout_s: float = field(default=30.0, metadata={"above": 0})

    def __post_init__(self) -> None:
        named = [key for key in ("api_key_file", "api_key_command", "api_key_keyring") if getattr(self, key)]
        if len(named) > 1:
            raise ConfigError(
                f"{' and '.join(f'api.{key}' for key in named)} each say where the API key is",
                hint="Keep one of them.",
            )
        if _is_a_literal_key(self.api_key_env):
            raise ConfigError("api.api_key_env holds what looks like the API key itself", hint=_NAME_IT)


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """What is read; `provider` serves a file that holds the rows of one provider and does not say so.

    `preset` names the token store that the rows come from; what the `[mapping]` says of a field wins over it.
    `paths` may hold the URL of a database, with its password: they are not shown. `records` is the path of the list of
    rows in a JSON document. With one of the `processes` the rows are prepared in the one that sends.
    """

    paths: tuple[str, ...] = field(default=(), repr=False)
    url_env: str | None = None
    query: str | None = None
    records: str | None = None
    format: Literal["auto", "csv", "parquet", "jsonl", "sql"] = "auto"
    provider: str | None = None
    preset: str | None = None
    processes: Literal[1, 2] = 2

    def named(self, env: Mapping[str, str]) -> tuple[str, ...]:
        """The paths, or where there is none, the database URL in the variable that `url_env` names; () without either.

        Raises ConfigError where the variable is not set or holds no URL; neither is quoted.
        """
        if self.paths or self.url_env is None:
            return self.paths
        if not re.fullmatch(r"\w+", self.url_env):
            raise ConfigError(
                "source.url_env is no name of an environment variable",
                hint='Name the variable that holds the URL, e.g. url_env = "DATABASE_URL", and not the URL itself.',
            )
        url = env.get(self.url_env)
        if not url or "://" not in url:
            raise ConfigError(
                f"the environment variable {self.url_env} (source.url_env) {'holds no URL' if url else 'is not set'}",
                hint="Set it to the URL of the database: postgresql://user:password@host/database.",
            )
        return (url,)


@dataclass(frozen=True, slots=True)
class CatalogConfig:
    """How the catalog of providers is read: `modules` says of a provider which of its modules the rows are for.

    It decides which metadata a row needs, and is never sent: the API takes none.
    """

    modules: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LimitsConfig:
    """Four limits, four names, none derived from another."""

    rate: float | Literal["auto", "unlimited"] = field(default=20.0, metadata={"above": 0})
    workers: int = field(default=32, metadata={"above": 0})
    attempts: int = field(default=5, metadata={"above": 0})
    stop_after: int = field(default=100, metadata={"least": 0})


@dataclass(frozen=True, slots=True)
class RetryConfig:
    """How long to wait before a request is sent again, in seconds."""

    base_s: float = field(default=0.5, metadata={"above": 0})
    cap_s: float = field(default=60.0, metadata={"above": 0})
    max_wait_s: float = field(default=300.0, metadata={"above": 0})
    settle_s: float = field(default=5.0, metadata={"least": 0})


@dataclass(frozen=True, slots=True)
class PolicyConfig:
    """What to do with a connection that is there already, and with a done row whose credentials changed."""

    existing: Literal["adopt", "fail", "update"] = "adopt"
    changed: Literal["update", "report"] = "update"


@dataclass(frozen=True, slots=True)
class LedgerConfig:
    """Where the ledger lies."""

    url: str = "sqlite:///importer-ledger.db"


@dataclass(frozen=True, slots=True)
class ReportConfig:
    """Where the reports go."""

    dir: str = "importer-report"


@dataclass(frozen=True, slots=True)
class NotifyConfig:
    """A program that is told how a run ended."""

    command: str | None = None


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """Where figures of the last run go for Prometheus; a relative path starts from the config's folder."""

    textfile: str | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of a run. `base` is the folder that relative paths of the config start from.

    `catalog_of` is the root of the API whose kept catalog serves, where it is not the one that is sent to.
    """

    api: ApiConfig = ApiConfig()
    source: SourceConfig = SourceConfig()
    mapping: Mapping[str, FieldSpec] | None = None
    catalog: CatalogConfig = CatalogConfig()
    limits: LimitsConfig = LimitsConfig()
    retry: RetryConfig = RetryConfig()
    policy: PolicyConfig = PolicyConfig()
    ledger: LedgerConfig = LedgerConfig()
    report: ReportConfig = ReportConfig()
    notify: NotifyConfig = NotifyConfig()
    metrics: MetricsConfig = MetricsConfig()
    base: Path = field(default=Path(), metadata={"internal": True})
    catalog_of: str = field(default="", metadata={"internal": True})

    @property
    def api_root(self) -> str:
        """The API's root, without `/v1` and without a slash at the end."""
        return self.api.url.rstrip("/").removesuffix("/v1").rstrip("/")

    @property
    def ca_path(self) -> Path | None:
        """The file of `api.ca_file`; a relative path starts from the config's folder."""
        return self.base / self.api.ca_file if self.api.ca_file else None

    @property
    def ledger_path(self) -> Path:
        """The file of the ledger; relative paths start from the config's folder."""
        scheme, _, path = self.ledger.url.partition(":///")
        if scheme != "sqlite" or not path:
            raise ConfigError(
                f"ledger.url begins with {scheme.partition(':')[0][:20]!r} and is no SQLite URL",
                hint='Give a file, e.g. url = "sqlite:///importer-ledger.db".',
            )
        return self.base / path

    @property
    def report_dir(self) -> Path:
        """The folder of the reports; a relative one starts from the config's folder."""
        return self.base / self.report.dir


@discreet
def load_config(path: Path | None, env: Mapping[str, str], **flags: Any) -> Config:
    """The settings from a TOML file (or none), the environment and flags given as `section__key=value`.

    Flags win over the environment, the environment over the file; a flag of None was not given. Without `path`,
    `config.toml` in the working directory is read if it is there. Raises ConfigError, one line for the first fault.
    """
    if path is None and Path("config.toml").is_file():
        path = Path("config.toml")
    config = Config() if path is None else _read(path)
    given = {"api__url": env.get("AMP_API_URL"), "api__project": env.get("AMP_PROJECT")}
    given |= {name: value for name, value in flags.items() if value is not None}
    for name, value in given.items():
        if value not in (None, ""):
            config = _with(config, name, value)
    if not config.base.parts:
        config = replace(config, base=Path())
    _check_url(config.api.url)
    return config


def _with(config: Config, name: str, value: Any) -> Config:
    section, _, key = name.partition("__")
    table = getattr(config, section)
    hints = typing.get_type_hints(type(table))
    spec = next(f for f in fields(table) if f.name == key)
    checked = typed_value(value, hints[key], spec.metadata, f"{section}.{key}", "the command line or the environment")
    # a path given as a flag is relative to the working directory, not to the config's folder
    return replace(config, **{section: replace(table, **{key: checked})})


def _read(path: Path) -> Config:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise ConfigError(
                f"{path} is larger than 1 MiB, and no config is", hint="Is it the source? Name it without -c."
            )
        table = tomllib.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint="Give a config with -c FILE.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text", hint="Save it as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        # the parser's message names line and column and quotes no more than a character
        raise ConfigError(f"{path} is not TOML: {error}", hint="Strings stand in double quotes.") from None
    except (ValueError, RecursionError):
        raise ConfigError(
            f"{path} is not TOML that can be read: a number or a nesting without end",
            hint="Look for a slip of the hand.",
        ) from None
    mapping = table.pop("mapping", None)
    if mapping is not None and not isinstance(mapping, Mapping):
        raise ConfigError(f"mapping in {path} is not a table", hint="Write it as [mapping].")
    config: Config = _table(table, Config, "", path)
    if mapping is not None:
        config = replace(config, mapping=read_mapping(mapping, str(path)))
    return replace(config, base=path.parent)


def _table(table: Mapping[str, Any], into: Any, prefix: str, path: Path) -> Any:
    """A dataclass from a TOML table, key by key."""
    hints = typing.get_type_hints(into)
    known = {f.name: f for f in fields(into) if "internal" not in f.metadata}
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{prefix}{key}"
        if key not in known:
            _refuse_a_literal_key(name, path)
            raise ConfigError(f"{name:.80} in {path} is not a setting", hint=nearest(key, known, prefix))
        if is_dataclass(hints[key]):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{name} in {path} is not a table", hint=f"Write it as [{name}].")
            values[key] = _table(value, hints[key], f"{name}.", path)
        else:
            values[key] = typed_value(value, hints[key], known[key].metadata, name, str(path))
    return into(**values)


def _refuse_a_literal_key(name: str, path: Path) -> None:
    section, _, key = name.rpartition(".")
    if section in ("", "api") and re.sub(r"[^a-z]", "", key.lower()) in _KEYS_OF_ALL_SPELLINGS:
        raise ConfigError(f"{name} in {path}: a config does not hold the API key", hint=_NAME_IT)


_KEYS_OF_ALL_SPELLINGS = frozenset(
    {"key", "apikey", "ampapikey", "xapikey", "token", "apitoken", "accesstoken", "bearer", "bearertoken", "secret",
     "apisecret", "secretkey", "apikeysecret", "apikeyvalue", "password", "credential", "credentials", "authorization"}
)  # fmt: skip


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigError("api.url is no URL of an API", hint=f"Give e.g. {DEFAULT_URL}.") from None
    if (parts.scheme == "https" and parts.hostname) or (parts.scheme == "http" and parts.hostname in LOOPBACK):
        if parts.username or parts.password:
            raise ConfigError("api.url holds a user name or a password", hint="Leave it out: the API takes a key.")
        return
    if parts.scheme == "http":
        raise ConfigError(
            f"api.url begins with http:// and leads to {parts.hostname}: credentials are not sent without TLS",
            hint="Use https://; http:// is for 127.0.0.1 only.",
        )
    raise ConfigError("api.url is no URL of an API", hint=f"Give e.g. {DEFAULT_URL}.")


def environment() -> Mapping[str, str]:
    """The process's environment, as one value that tests can replace."""
    return os.environ
