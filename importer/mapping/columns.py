"""Fields of the request as columns: where the cells of each come from, and what reads them."""

import string
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from importer.config import FieldSpec
from importer.errors import ConfigError
from importer.mapping.cells import Fault, Reader, cells_of, is_blank, texts, trimmed
from importer.mapping.dates import DateReader
from importer.mapping.header import Header
from importer.mapping.json_cells import finder, parsed
from importer.mapping.lists import list_reader, struct_reader, texts_or_lists
from importer.mapping.refs import names, providers, refs
from importer.mapping.schemes import read_schemes
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
_SCOPES = {
    f"{block}.scopes" for block in ("oauth2AuthorizationCode", "oauth2ClientCredentials", "oauth2PasswordCredentials")
}


class Cells:
    """The columns of one chunk as lists, each taken out of the frame, and each JSON column parsed, once."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        self._plain: dict[str, list[Any]] = {}
        self._parsed: dict[str, list[Any]] = {}

    def __len__(self) -> int:
        return len(self._frame)

    def plain(self, column: str) -> list[Any]:
        """The cells as they are, None where one is missing."""
        if column not in self._plain:
            self._plain[column] = cells_of(self._frame, column)
        return self._plain[column]

    def parsed(self, column: str) -> list[Any]:
        """What the JSON in the cells holds, a fault where it is none."""
        if column not in self._parsed:
            self._parsed[column] = list(map(parsed, self.plain(column)))
        return self._parsed[column]


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


def compile_field(path: str, spec: FieldSpec, header: Header, note: Callable[[str], None]) -> Field:
    """A field that is ready to read chunks. Raises ConfigError or SourceError for what no chunk could put right."""
    where = f"mapping.{path}"
    label = spec.column if spec.column is not None else where
    _check_options(path, spec, where)
    fetch = _fetch(spec, header, where)
    if spec.values is not None:
        fetch = _translated(fetch, spec.values, where)
    if spec.default is not None:
        fetch = _with_default(fetch, spec.default)
    read = _reader(path, spec, lambda zone: note(f"{label}: times without a zone are read as {zone}"))
    for name, text in (("value", spec.value), ("default", spec.default)):
        _check_constant(read, text, f"{where}.{name}")
    source = None if spec.value is not None else (spec.column, spec.json, spec.template)
    return Field(path, label, source, fetch, read)


def _check_options(path: str, spec: FieldSpec, where: str) -> None:
    """Refuse an option that would do nothing where it stands."""
    idle = {
        "json": spec.json is not None and spec.column is None,
        "format": spec.format is not None and path not in _TIMES,
        "zone": spec.zone is not None and path not in _TIMES,
        "split": spec.split is not None and path not in _SCOPES and not path.startswith("customAuth."),
    }
    for option, is_idle in idle.items():
        if is_idle:
            homes = {"json": "where there is a column", "split": "for scopes and customAuth"}
            raise ConfigError(
                f"{where}.{option} has no effect there",
                hint=f"{option} is {homes.get(option, 'for expiresAt and issuedAt')}; remove it.",
            )
    if spec.split == "":
        raise ConfigError(f"{where}.split is empty", hint='Give a separator, e.g. split = " ", or "json".')


def _check_constant(read: Reader, text: str | None, where: str) -> None:
    fault = read([text])[0]
    if isinstance(fault, Fault):
        raise ConfigError(f"{where}: {fault.reason}", hint=fault.fix)


def _reader(path: str, spec: FieldSpec, on_naive: Callable[[str], None]) -> Reader:
    if path in _TIMES:
        return DateReader(spec.format, spec.zone, on_naive=on_naive)
    if path in _SCOPES or spec.split is not None:
        return list_reader(spec.split)
    return _READERS.get(path, texts_or_lists if path.startswith("customAuth.") else trimmed)


def _fetch(spec: FieldSpec, header: Header, where: str) -> Fetch:
    if spec.template is not None:
        return _template(spec.template, header, where)
    if spec.column is None:
        return lambda cells: [spec.value] * len(cells)
    column = header.check(spec.column, where)
    if spec.json is None:
        return lambda cells: cells.plain(column)
    find = finder(spec.json)
    return lambda cells: list(map(find, cells.parsed(column)))


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


def _with_default(fetch: Fetch, default: str) -> Fetch:
    return lambda cells: [default if is_blank(cell) else cell for cell in fetch(cells)]
