"""The `[mapping]` of a config: which field of the API's request comes from where.

The left side is a path in the JSON body, `TARGETS` the tree of what it may be; the right side says which column,
constant or template it comes from and how that is read. A slip is one line that names the path and the nearest one.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from importer.errors import ConfigError

_OF_PRESETS = {"presets": True}


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """Where one field of a request comes from: a column, several in a template, or a constant; and how it is read.

    `since` names the column with the moment that a duration (`format = "expires_in"`) counts from; with `json` it may
    be a path beside the duration's own. `decrypt` is a table of `scheme` and `key_env`, and of what else the scheme
    needs. `opaque` says of a ref that its ids look like keys, and are none.

    `label_of` names a provider out of whose addresses the workspace is cut, as `acme` is out of a Salesforce
    `instance_url`. Only presets have the rest: `aliases` are translated, and other values taken as they are;
    `otherwise` are tried in turn where this one is blank, and `note` is said once a value came from here; `rival` is
    a path beside `json` whose value is passed over where both are filled, and `rival_note` is said of it.
    """

    column: str | None = None
    value: str | None = None
    template: str | None = None
    json: str | None = None
    values: Mapping[str, str] | None = None
    default: str | None = None
    format: str | None = None
    zone: str | None = None
    since: str | None = None
    split: str | None = None
    decrypt: Mapping[str, str] | None = None
    opaque: bool = False
    aliases: Mapping[str, str] | None = field(default=None, metadata=_OF_PRESETS)
    label_of: str | None = None
    otherwise: tuple["FieldSpec", ...] = field(default=(), metadata=_OF_PRESETS)
    note: str | None = field(default=None, metadata=_OF_PRESETS)
    rival: str | None = field(default=None, metadata=_OF_PRESETS)
    rival_note: str | None = field(default=None, metadata=_OF_PRESETS)


@dataclass(frozen=True, slots=True)
class RowFilter:
    """Which rows of a table are meant: by a column, or by a path in its JSON.

    A row is skipped where the text there is one of `drop`, or none of `keep` (if there is any), upper or lower case;
    with `drop_true` where it says true, and with `drop_filled` where anything stands there. A blank one is kept, and so
    is one that cannot be read: its row is refused with a reason. `called` is what skipped rows are known by, and words
    of `drop` and `known` may be shown beside it.
    """

    column: str
    called: str
    json: str | None = None
    keep: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    drop_true: bool = False
    drop_filled: bool = False


TARGETS: dict[str, Any] = {
    "provider": None,
    "groupRef": None,
    "groupName": None,
    "consumerRef": None,
    "consumerName": None,
    "providerWorkspaceRef": None,
    "providerMetadata": {"*": None},
    "apiKey": None,
    "basicAuth": {"username": None, "password": None},
    "oauth2ClientCredentials": {"clientId": None, "clientSecret": None, "scopes": None},
    "oauth2PasswordCredentials": {
        "username": None,
        "password": None,
        "clientId": None,
        "clientSecret": None,
        "scopes": None,
    },
    "oauth2AuthorizationCode": {
        "accessToken": {"token": None, "expiresAt": None, "issuedAt": None},
        "refreshToken": {"token": None, "expiresAt": None, "issuedAt": None},
        "scopes": None,
    },
    "customAuth": {"*": None},
    "authScheme": None,
    "providerApp": {"clientId": None},
}
"""What `[mapping]` may fill: the API's body as a tree, `*` for a name of the provider's.

`authScheme` and `providerApp` are not sent: one says what a row is, the other is compared with the project.
"""


def read_mapping(table: Mapping[str, Any], where: str) -> dict[str, FieldSpec]:
    """A `[mapping]` table as a flat dict: dotted path in the request -> where it comes from. Raises ConfigError."""
    return {path: _spec(value, path, where) for path, value in leaves(table, where)}


def leaves(table: Mapping[str, Any], where: str) -> Iterator[tuple[str, Any]]:
    """The dotted paths of a `[mapping]` table, each with its right-hand side. Raises ConfigError for one unknown."""
    return _leaves(table, TARGETS, "", where)


def _leaves(table: Mapping[str, Any], tree: Mapping[str, Any], prefix: str, where: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        path = f"{prefix}{key}"
        if key not in tree and "*" not in tree:
            known = {f"{prefix}{name}": None for name in tree}
            near = difflib.get_close_matches(path, known, n=1, cutoff=0.4)
            hint = f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(known)}."
            raise ConfigError(f"mapping.{path} in {where} is not a field of the request", hint=hint)
        below = tree.get(key, tree.get("*"))
        if below is None:
            yield path, value
        elif isinstance(value, Mapping):
            yield from _leaves(value, below, f"{path}.", where)
        else:
            raise ConfigError(
                f"mapping.{path} in {where} is not one field",
                hint=f"Map what is in it: {', '.join(f'{path}.{name}' for name in below)}.",
            )


def _spec(value: Any, path: str, where: str) -> FieldSpec:
    """One right-hand side of the mapping; a bare string names a column."""
    if isinstance(value, str) and value:
        return FieldSpec(column=value)
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"mapping.{path} in {where} is no source of a value",
            hint=f'Name a column: {path} = "column", or a constant: {path} = {{ value = "…" }}.',
        )
    known = {f.name for f in fields(FieldSpec) if not f.metadata}
    for key, given in value.items():
        if key not in known:
            raise ConfigError(f"mapping.{path}.{key} in {where} is not known", hint=nearest(key, known))
        if (kind := _wrong_kind(key, given)) is not None:
            raise ConfigError(f"mapping.{path}.{key} in {where} is of the wrong kind", hint=f"Give {kind}.")
    spec = FieldSpec(**value)
    if spec.column == "":
        raise ConfigError(f"mapping.{path} in {where} names a column without a name", hint="Name the column.")
    if sum(part is not None for part in (spec.column, spec.value, spec.template)) != 1:
        raise ConfigError(
            f"mapping.{path} in {where} does not say where the value comes from",
            hint="Give exactly one of column, template and value.",
        )
    return spec


def _wrong_kind(key: str, given: Any) -> str | None:
    """What an option should have been; None where it is that."""
    if key == "opaque":
        return None if isinstance(given, bool) else "true or false"
    if key in ("values", "decrypt"):
        return None if _is_table_of_texts(given) else "a table of texts"
    return None if isinstance(given, str) else "a text"


def _is_table_of_texts(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(text, str) for text in value.values())


def nearest(key: str, known: Mapping[str, Any] | set[str], prefix: str = "") -> str:
    """A hint: the nearest of the known keys, or all of them."""
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"Did you mean {prefix}{near[0]}?" if near else f"Known here: {', '.join(sorted(known))}."
