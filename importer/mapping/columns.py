"""Fields of the request as columns: where the cells of each come from, and what reads them."""

import string
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from importer.catalog.workspace import salesforce_label
from importer.config import environment
from importer.errors import ConfigError
from importer.fields import FieldSpec
from importer.mapping.bodies import OPEN
from importer.mapping.cells import Fault, Reader, cells_of, distinct, is_blank, texts, trimmed
from importer.mapping.ciphertext import fault_of, names_ciphertext
from importer.mapping.dates import EXPIRES, EXPIRES_IN, DateReader, Untimed, durations, ends, epochs_or_durations
from importer.mapping.decrypt import Decryptor
from importer.mapping.header import Header
from importer.mapping.json_cells import parsed
from importer.mapping.lists import list_reader, struct_reader, texts_or_lists
from importer.mapping.refs import names, providers, refs
from importer.mapping.schemes import read_schemes, scheme_of
from importer.mapping.swaps import NAMES_A_CREDENTIAL
from importer.notes import Notes
from importer.outcomes import Code

_READERS: dict[str, Reader] = {
    "provider": providers,
    "groupRef": refs,
    "consumerRef": refs,
    "groupName": names,
    "consumerName": names,
    "authScheme": read_schemes,
    "basicAuth.password": texts,
    "oauth2PasswordCredentials.password": texts,
    "providerMetadata": struct_reader(trimmed),
    "customAuth": struct_reader(texts_or_lists),
}
"""Path -> what reads its cells; text is trimmed where this table is silent."""

_TIMES = {
    f"oauth2AuthorizationCode.{token}.{time}"
    for token in ("accessToken", "refreshToken")
    for time in ("expiresAt", "issuedAt")
}
_DURATIONS = (EXPIRES_IN, EXPIRES)
_SCOPES = {
    f"{block}.scopes" for block in ("oauth2AuthorizationCode", "oauth2ClientCredentials", "oauth2PasswordCredentials")
}


class Cells:
    """The columns of one chunk as lists: each is taken out of the frame, decrypted, and parsed as JSON, once."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        self._plain: dict[str, list[Any]] = {}
        self._opened: dict[Hashable, list[Any]] = {}
        self._parsed: dict[Hashable, list[Any]] = {}

    def __len__(self) -> int:
        return len(self._frame)

    def plain(self, column: str) -> list[Any]:
        """The cells as they are, None where one is missing."""
        if column not in self._plain:
            self._plain[column] = cells_of(self._frame, column)
        return self._plain[column]

    def opened(self, column: str, decryptor: Decryptor | None) -> list[Any]:
        """The cells as the mapping reads them: decrypted, if it says how, with a fault where one does not open."""
        if decryptor is None:
            return self.plain(column)
        if decryptor.key not in self._opened:
            beside = (self.plain(name) for name in decryptor.beside)
            self._opened[decryptor.key] = decryptor(self.plain(column), *beside)
        return self._opened[decryptor.key]

    def parsed(self, column: str, decryptor: Decryptor | None) -> list[Any]:
        """What the JSON in the cells holds, a fault where it is none."""
        key = decryptor.key if decryptor else column
        if key not in self._parsed:
            self._parsed[key] = list(map(parsed, self.opened(column, decryptor)))
        return self._parsed[key]


Fetch = Callable[[Cells], list[Any]]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the request. `label` is what the user knows it by: the column, or the path in the mapping.

    Fields of the same `source` are filled from the same cells; None is that of a constant.
    """

    path: str
    label: str
    source: Hashable
    fetch: Fetch
    read: Reader

    def column(self, cells: Cells) -> list[Any]:
        """The values of a chunk, one for each row: None where blank, a `Fault` where there is something wrong."""
        return self.read(self.fetch(cells))


def compile_field(path: str, spec: FieldSpec, header: Header, notes: Notes) -> Field:
    """A field that is ready to read chunks. Raises ConfigError or SourceError for what no chunk could put right."""
    specs = (spec, *spec.otherwise)
    fields = [_compiled(path, one, header, notes) for one in specs]
    if len(fields) == 1 and spec.since is None and spec.note is None:
        return fields[0]
    label = " or ".join(dict.fromkeys(field.label for field in fields))
    source = fields[0].source if len(fields) == 1 else tuple(field.source for field in fields)
    return Field(path, label, source, _first_filled(fields, [one.note for one in specs], notes), list)


def _first_filled(fields: Sequence[Field], said: Sequence[str | None], notes: Notes) -> Fetch:
    """The values of the first field that is filled in a row; `said` is noted of one once a value comes from it."""

    def fetch(cells: Cells) -> list[Any]:
        merged: list[Any] = [None] * len(cells)
        for field, note in zip(fields, said, strict=True):
            column = field.column(cells)
            taken = [
                old is None or (isinstance(old, Untimed) and not isinstance(new, Untimed))
                for old, new in zip(merged, column, strict=True)
            ]
            if note and any(is_taken and _is_filled(new) for is_taken, new in zip(taken, column, strict=True)):
                notes.say(note)
            merged = [
                new if is_taken and new is not None else old
                for is_taken, new, old in zip(taken, column, merged, strict=True)
            ]
        for reason in {value.reason for value in merged if isinstance(value, Untimed)}:
            notes.say(reason)
        return [None if isinstance(value, Untimed) else value for value in merged]

    return fetch


def _is_filled(value: Any) -> bool:
    return value is not None and not isinstance(value, Fault)


def _compiled(path: str, spec: FieldSpec, header: Header, notes: Notes) -> Field:
    """A field without its alternatives."""
    where = f"mapping.{path}"
    label = spec.column if spec.column is not None else where
    _check_options(path, spec, where)
    _check_name(path, spec, where)
    decryptor = _decryptor(spec, header, where)
    if decryptor is None and spec.column is not None and scheme_of(path) and names_ciphertext(spec.column):
        notes.say(
            f"{label}: by its name this column is encrypted; if it is, say how: decrypt = {{ scheme = …, key_env = … }}"
        )
    fetch = _fetch(spec, decryptor, header, where)
    if spec.values is not None:
        fetch = _translated(fetch, spec.values, where)
    if spec.aliases is not None:
        fetch = _renamed(fetch, spec.aliases, notes)
    if spec.rival is not None:
        fetch = _beside_rival(fetch, spec, decryptor, header, where, notes)
    if spec.label_of is not None:
        fetch = _labels(fetch, label, notes)
    if spec.default is not None:
        fetch = _with_default(fetch, spec.default)
    read = _reader(path, spec, lambda zone: notes.say(f"{label}: times without a zone are read as {zone}"))
    for name, text in (("value", spec.value), ("default", spec.default)):
        _check_constant(path, durations if spec.format in _DURATIONS else read, text, f"{where}.{name}")
    if spec.since is not None:
        fetch = _counted(fetch, spec, decryptor, header, where, notes)
    source = None if spec.value is not None else (spec.column, spec.json, spec.template)
    return Field(path, label, source, fetch, read)


LABELLED = "salesforce"
"""The one provider that `label_of` may name."""

_WORKSPACES = ("providerWorkspaceRef", "providerMetadata.workspace")


def _check_options(path: str, spec: FieldSpec, where: str) -> None:
    """Refuse an option that would do nothing where it stands."""
    idle = {
        "json": spec.json is not None and spec.column is None,
        "format": spec.format is not None and path not in _TIMES,
        "zone": spec.zone is not None and path not in _TIMES,
        "split": spec.split is not None and path not in _SCOPES and not path.startswith("customAuth."),
        "decrypt": spec.decrypt is not None and spec.column is None,
        "since": spec.since is not None and (spec.format not in _DURATIONS or not path.endswith(".expiresAt")),
        "opaque": spec.opaque and path not in OPEN,
        "label_of": spec.label_of is not None and path not in _WORKSPACES,
    }
    homes = {
        "json": "where there is a column",
        "split": "for scopes and customAuth",
        "decrypt": "where there is a column",
        "since": f'for expiresAt with format = "{EXPIRES_IN}"',
        "opaque": "for refs and names",
        "label_of": "for the workspace",
    }
    for option, is_idle in idle.items():
        if is_idle:
            raise ConfigError(
                f"{where}.{option} has no effect there",
                hint=f"{option} is {homes.get(option, 'for expiresAt and issuedAt')}; remove it.",
            )
    if spec.label_of not in (None, LABELLED):
        raise ConfigError(
            f"{where}.label_of is not known",
            hint=f'Only "{LABELLED}" has addresses that a workspace is cut out of without the catalog; of another '
            "provider, export the workspace in a column of its own.",
        )
    if spec.format in _DURATIONS and spec.since is None:
        raise ConfigError(
            f"{where} has the format {spec.format} and no since: a duration is nothing without its moment",
            hint='Name the column that says when the token was issued, e.g. since = "issued_at"; '
            "where there is none, leave the field out.",
        )
    if spec.split == "":
        raise ConfigError(f"{where}.split is empty", hint='Give a separator, e.g. split = " ", or "json".')


def _check_name(path: str, spec: FieldSpec, where: str) -> None:
    """Refuse a column of credentials, by its name, for a field that is stored and shown."""
    if path not in OPEN or spec.opaque:
        return
    named = [spec.column or "", *(column or "" for _, column, _, _ in _parts(spec.template or "", where))]
    for column in named:
        if NAMES_A_CREDENTIAL.fullmatch(column) and spec.json is None:
            raise ConfigError(
                f"{where} is stored and shown, and takes it from {column}, a column of credentials by its name",
                hint="Name the column with the customer's id; if this is one, add opaque = true to the mapping of it.",
            )


def _check_constant(path: str, read: Reader, text: str | None, where: str) -> None:
    value = read([text])[0]
    fault = value if isinstance(value, Fault) else fault_of(path, value)
    if fault:
        raise ConfigError(f"{where}: {fault.reason}", hint=fault.fix)


def _reader(path: str, spec: FieldSpec, on_naive: Callable[[str], None]) -> Reader:
    if path in _TIMES:
        # a duration has become a time when it is read
        return DateReader(None if spec.format in _DURATIONS else spec.format, spec.zone, on_naive=on_naive)
    if path in _SCOPES or spec.split is not None:
        return list_reader(spec.split)
    return _READERS.get(path, texts_or_lists if path.startswith("customAuth.") else trimmed)


def _decryptor(spec: FieldSpec, header: Header, where: str) -> Decryptor | None:
    if spec.decrypt is None or spec.column is None:
        return None
    return Decryptor(header.check(spec.column, where), spec.decrypt, header, f"{where}.decrypt", environment())


def _fetch(spec: FieldSpec, decryptor: Decryptor | None, header: Header, where: str) -> Fetch:
    if spec.template is not None:
        return _template(spec.template, header, where)
    if spec.column is None:
        return lambda cells: [spec.value] * len(cells)
    column = header.check(spec.column, where)
    if spec.json is None:
        return lambda cells: cells.opened(column, decryptor)
    from importer.mapping.json_paths import finder  # most mappings have none

    find = finder(spec.json)
    return lambda cells: list(map(find, cells.parsed(column, decryptor)))


def _counted(
    fetch: Fetch, spec: FieldSpec, decryptor: Decryptor | None, header: Header, where: str, notes: Notes
) -> Fetch:
    """Durations as the times they end: they count from `since`, a column, or with `json` a path beside their own."""
    since = spec.since or ""
    if spec.json is not None and since.startswith("$"):
        fetch_since = _fetch(replace(spec, json=since), decryptor, header, f"{where}.since")
    else:
        fetch_since = _fetch(FieldSpec(column=since), None, header, f"{where}.since")
    untimed = Untimed(
        Code.BAD_DATE,
        f"{spec.column or where}: where {since} is blank, nobody knows when the token expires, and expiresAt is left "
        "out",
        "",
    )
    read = DateReader(
        "auto", spec.zone, on_naive=lambda zone: notes.say(f"{since}: times without a zone are read as {zone}")
    )
    read_spans = epochs_or_durations if spec.format == EXPIRES else durations
    return lambda cells: ends(read_spans(fetch(cells)), read(fetch_since(cells)), since, untimed)


def _template(template: str, header: Header, where: str) -> Fetch:
    """Several columns in one text; the text is absent where one of its parts is."""
    pattern, columns = "", []
    for literal, column, format_spec, conversion in _parts(template, where):
        pattern += literal.replace("{", "{{").replace("}", "}}")
        if column is None:
            continue
        if format_spec or conversion or (column not in header and (not column or set(column) & set(".[]"))):
            raise ConfigError(
                f"{where}.template is more than text and column names",
                hint='Write it like "{account_name} ({account_id})".',
            )
        columns.append(header.check(column, where))
        pattern += "{}"
    if not columns:
        raise ConfigError(f"{where}.template names no column", hint="Give a constant as value = instead.")

    def fetch(cells: Cells) -> list[Any]:
        rows = zip(*(texts(cells.plain(column)) for column in columns), strict=True)
        return [_filled(pattern, parts) for parts in rows]

    return fetch


def _parts(template: str, where: str) -> list[tuple[str, str | None, str | None, str | None]]:
    try:
        return list(string.Formatter().parse(template))
    except ValueError:
        raise ConfigError(
            f"{where}.template has a brace without its partner", hint="A brace that is meant is written twice: {{."
        ) from None


def _filled(pattern: str, parts: tuple[Any, ...]) -> Any:
    if None in parts:
        return None
    return next((part for part in parts if isinstance(part, Fault)), None) or pattern.format(*parts)


def _translated(fetch: Fetch, table: Mapping[str, str], where: str) -> Fetch:
    fault = Fault(
        Code.NOT_IN_VALUES,
        f"the value is not one of the {len(table)} that {where}.values translates (upper and lower case count)",
        f"Add it to {where}.values, or correct it in the file.",
    )

    def translate(cells: Cells) -> list[Any]:
        return [
            cell if cell is None or isinstance(cell, Fault) else table.get(cell, fault)
            for cell in trimmed(fetch(cells))
        ]

    return translate


def _renamed(fetch: Fetch, aliases: Mapping[str, str], notes: Notes) -> Fetch:
    """Providers by the names of the catalog, as far as they are known; each translation is noted."""

    def rename(cells: Cells) -> list[Any]:
        names = trimmed(fetch(cells))
        for name in sorted(aliases.keys() & distinct(names)):
            notes.gather("provider names translated", f"{name} → {aliases[name]}")
        return [aliases.get(name, name) if isinstance(name, str) else name for name in names]

    return rename


def _beside_rival(
    fetch: Fetch, spec: FieldSpec, decryptor: Decryptor | None, header: Header, where: str, notes: Notes
) -> Fetch:
    """The values, with a note once a row has another one beside it that could have been meant as well."""
    fetch_rival = _fetch(replace(spec, json=spec.rival), decryptor, header, where)

    def choose(cells: Cells) -> list[Any]:
        values = fetch(cells)
        pairs = zip(values, fetch_rival(cells), strict=True)
        if any(not is_blank(value) and not is_blank(rival) for value, rival in pairs):
            notes.say(spec.rival_note or "")
        return values

    return choose


def _labels(fetch: Fetch, label: str, notes: Notes) -> Fetch:
    """Workspaces out of addresses; an address without one is left out, and that is noted."""

    def cut_out(address: str) -> str | None:
        workspace = salesforce_label(address)
        if workspace is None:
            notes.say(f"{label}: addresses that do not name a workspace, as na139.salesforce.com, are left out")
        return workspace

    return lambda cells: [cut_out(cell) if isinstance(cell, str) else cell for cell in trimmed(fetch(cells))]


def _with_default(fetch: Fetch, default: str) -> Fetch:
    return lambda cells: [default if is_blank(cell) else cell for cell in fetch(cells)]
