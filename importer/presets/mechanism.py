"""From a preset and the columns of a file to a mapping: the first of a field's names that the file has is taken.

What had to be assumed, and what cannot be filled, is noted for the plan.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from importer.catalog.names import ALIASES
from importer.errors import SourceError
from importer.fields import FieldSpec, RowFilter
from importer.notes import Notes
from importer.presets.store import Place, Preset

_TOKENS = "oauth2AuthorizationCode"
_ACCESS_TOKEN = f"{_TOKENS}.accessToken.token"
_REFRESH_TOKEN = f"{_TOKENS}.refreshToken.token"
EXPECTED = {
    f"{_TOKENS}.accessToken.expiresAt": "expiresAt of the access token",
    _REFRESH_TOKEN: "refreshToken",
    f"{_TOKENS}.scopes": "scopes",
    "providerWorkspaceRef": "providerWorkspaceRef",
}
"""Path -> its name in a note, of what a connection is the worse for not having."""

GROUPS = (
    "group_ref", "groupRef", "organization_id", "organizationId", "organisation_id", "organisationId", "org_id",
    "orgId", "tenant_id", "tenantId", "team_id", "teamId", "company_id", "companyId",
)  # fmt: skip
"""Columns with the customer's organisation, which none of the stores knows: an export may have been joined with it."""

_CREDENTIALS = ("apiKey", ".token", ".username", "Credentials.clientId")
"""How the paths of credentials end."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a preset makes of one file; `expected` are the paths, with their names, that some row should fill."""

    mapping: Mapping[str, FieldSpec]
    only: Sequence[RowFilter]
    expected: Mapping[str, str]


def take(
    preset: Preset,
    columns: Sequence[str],
    own: Mapping[str, FieldSpec],
    *,
    source: str,
    provider: str | None,
    notes: Notes,
) -> Taken:
    """Fit a preset to the columns of one file, beside the `[mapping]` of the user (`own`), which wins path by path.

    `provider` is that of the whole file, where the user named it. Raises SourceError where the file lacks a column that
    is needed, with the names that were looked for.
    """
    return _Taking(preset, columns, own, notes).take(source, provider)


class _Taking:
    def __init__(self, preset: Preset, columns: Sequence[str], own: Mapping[str, FieldSpec], notes: Notes) -> None:
        self._preset = preset
        self._columns = frozenset(columns)
        self._own = own
        self._notes = notes

    def take(self, source: str, provider: str | None) -> Taken:
        found = {path: spec for path in self._preset.places if (spec := self._spec(path)) is not None}
        mapping = {**found, **self._own}
        if provider is None:
            self._need("provider", mapping, source, also=" A file of one provider may go without: --provider names it.")
        self._need("consumerRef", mapping, source)
        if not any(path.endswith(_CREDENTIALS) or path.startswith("customAuth") for path in mapping):
            self._need(_ACCESS_TOKEN, mapping, source)
        if "groupRef" not in mapping:
            mapping["groupRef"] = self._group(mapping["consumerRef"])
        self._say_what_is_missing(mapping)
        only = [rule for columns, one in self._preset.only if (rule := self._rule(columns, one)) is not None]
        return Taken(mapping, only, {path: what for path, what in EXPECTED.items() if path in found})

    def _spec(self, path: str) -> FieldSpec | None:
        if path in self._own:
            return None
        specs = [spec for place in self._preset.places[path] for spec in self._at(place)]
        if not specs:
            return None
        if path == "provider":
            specs = [replace(spec, aliases={**ALIASES, **self._preset.aliases}) for spec in specs]
        return replace(specs[0], otherwise=tuple(specs[1:]))

    def _at(self, place: Place) -> Iterator[FieldSpec]:
        """The place in this file, if it has it: a duration needs its moment too, and is tried with each."""
        column = self._first(place.columns)
        moments = [name for name in place.since if name.startswith("$") or name in self._columns]
        if column is None:
            return
        if not place.since:
            yield replace(place.spec, column=column)
        for since in moments:
            yield replace(place.spec, column=column, since=since)

    def _first(self, columns: Sequence[str]) -> str | None:
        return next((name for name in columns if name in self._columns), None)

    def _group(self, consumer: FieldSpec) -> FieldSpec:
        column = self._first(GROUPS)
        if column is not None:
            self._notes.say(f"groupRef: taken from {column}")
            return FieldSpec(column=column)
        self._notes.say(
            "groupRef: no column for it, so the user's id serves: where users belong to organisations, map it to theirs"
        )
        return consumer

    def _need(self, path: str, mapping: Mapping[str, FieldSpec], source: str, also: str = "") -> None:
        if path not in mapping:
            names = self._names(path)
            without = f"{self._preset.without} " if path == _ACCESS_TOKEN and self._preset.without else ""
            raise SourceError(
                f"{source} has no column for {path}: the preset {self._preset.name} looked for {' or '.join(names)}",
                hint=f'{without}If another column has it, map it: {path} = "column" under [mapping].{also}',
            )

    def _names(self, path: str) -> list[str]:
        return list(dict.fromkeys(name for place in self._preset.places.get(path, ()) for name in place.columns))

    def _say_what_is_missing(self, mapping: Mapping[str, FieldSpec]) -> None:
        for path, what in EXPECTED.items():
            if path in mapping:
                continue
            if moments := self._moments_of_a_duration(path):
                self._notes.say(
                    f"{what}: left out, for how long it lasts is known, and not from when on (looked for: "
                    f"{', '.join(moments)})"
                )
            elif path in self._preset.places:
                self._notes.gather("not filled, since there is no column", f"{what} ({' or '.join(self._names(path))})")
            else:
                self._notes.gather(f"not filled, since {self._preset.store} do not have it", what)

    def _moments_of_a_duration(self, path: str) -> list[str]:
        """The names of the moment that were looked for, where the file has the duration."""
        there = [place for place in self._preset.places.get(path, ()) if self._first(place.columns) is not None]
        return [name for place in there for name in place.since]

    def _rule(self, columns: Sequence[str], rule: RowFilter) -> RowFilter | None:
        column = self._first(columns)
        return None if column is None else replace(rule, column=column)
