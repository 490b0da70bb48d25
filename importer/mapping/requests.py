"""Rows out of columns: what is wrong with each, and the request of each that may be sent."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import NoneType
from typing import Any

from pydantic import ValidationError

from importer.api.models import GenerateRequest
from importer.errors import ConfigError
from importer.fields import FieldSpec, RowFilter
from importer.mapping.bodies import CLIENT_ID, KEY, OPEN, Columns, bodies
from importer.mapping.canonical import COLUMN_OF, canonical_mapping, unused
from importer.mapping.cells import Fault, distinct, has_a_word_for_nothing
from importer.mapping.ciphertext import refuse_unusable
from importer.mapping.columns import Cells, compile_field
from importer.mapping.filters import Filter, without_skipped
from importer.mapping.header import Header
from importer.mapping.leaks import refuse_credentials
from importer.mapping.refs import provider_fault
from importer.mapping.schemes import PATHS, Choice, Chooser, scheme_of
from importer.mapping.swaps import refuse_swapped
from importer.notes import Notes
from importer.outcomes import Code, Issue
from importer.sources.base import Chunk

_EMPTY = Fault(Code.MISSING_VALUE, "this is empty, and every row needs it", "Fill it in.")


@dataclass(frozen=True, slots=True)
class MappedRow:
    """A row as a request, or with all its issues at once. The refs are safe to show: "" where missing or refused.

    `client_id` is the client that its tokens were issued to, where the source knows it: not sent, and not shown.
    """

    row: int
    request: GenerateRequest | None
    issues: Sequence[Issue]
    provider: str
    group_ref: str
    consumer_ref: str
    client_id: str | None = None


class Mapper:
    """Maps the rows of one source. `notes` grows while chunks are mapped."""

    def __init__(
        self,
        mapping: Mapping[str, FieldSpec] | None,
        columns: Sequence[str],
        *,
        source: str,
        provider: str | None = None,
        only: Sequence[RowFilter] = (),
        expected: Mapping[str, str] | None = None,
        notes: Notes | None = None,
    ) -> None:
        """Take the columns by `mapping`, or by their canonical names; `provider` serves where no column names one.

        Rows that a filter of `only` leaves out are skipped and counted in `notes`, which several mappers may share;
        of `expected` paths, with their names, it is noted where no row has one.

        Raises SourceError or ConfigError with the missing column and the nearest one.
        """
        if provider is not None and provider_fault(provider):
            raise ConfigError(
                "the provider given for the whole source is no name of one", hint="See importer providers."
            )
        self._notes = Notes() if notes is None else notes
        header = Header(source, columns)
        specs = canonical_mapping(header, provider) if mapping is None else _given(mapping, header, provider)
        if provider is not None and (own := specs["provider"].column) is not None:
            self._notes.say(f"provider: taken from {own}, and {provider} only where that is blank")
        if mapping is None and (ignored := unused(header)):
            self._notes.say(f"columns not used: {', '.join(ignored)}")
        self._expected = dict(expected or {})
        for what in self._expected.values():
            self._notes.await_value(what)
        self._only = [Filter(rule, header) for rule in only]
        self._fields = [compile_field(path, spec, header, self._notes) for path, spec in specs.items()]
        self._labels = {field.path: field.label for field in self._fields}
        self.in_order = any(one.decrypt for spec in specs.values() for one in (spec, *(spec.otherwise or ())))
        """Whether the first chunk has to be looked at first: it tells whether the key of a column fits."""
        self._trusted = frozenset(path for path, spec in specs.items() if spec.opaque)
        self._chooser = Chooser(self._fields, COLUMN_OF if mapping is None else {})
        if mapping is not None:
            self._chooser.check()
        self._schemes = [s for s in PATHS if any(scheme_of(field.path) is s for field in self._fields)]

    def map(self, chunk: Chunk) -> list[MappedRow]:
        """The rows of a chunk in their order, without those that are skipped."""
        if self._only:
            chunk = without_skipped(chunk, self._only, self._notes)
        cells = Cells(chunk.frame)
        columns: Columns = {field.path: field.column(cells) for field in self._fields}
        self._look_for_the_expected(columns)
        self._note_words_for_nothing(columns)
        choices = self._choices(columns, len(cells))
        problems = self._problems(columns, choices)
        # a refused ref is not shown, whatever it is
        key = [[text if isinstance(text, str) else "" for text in columns[path]] for path in KEY]
        request_bodies = bodies(columns, self._schemes, [choice.scheme for choice in choices])
        rows = [
            MappedRow(row, None, tuple(problems[position]), *refs)
            if position in problems
            else self._validated(row, body, *refs)
            for position, (row, body, *refs) in enumerate(zip(chunk.rows, request_bodies, *key, strict=True))
        ]
        if CLIENT_ID not in columns:
            return rows
        clients = zip(rows, columns[CLIENT_ID], strict=True)
        return [replace(row, client_id=text) if isinstance(text, str) else row for row, text in clients]

    def _look_for_the_expected(self, columns: Columns) -> None:
        self._notes.looked()
        for path in list(self._expected):
            if any(cell is not None and not isinstance(cell, Fault) for cell in columns[path]):
                self._notes.found(self._expected.pop(path))

    @property
    def notes(self) -> list[str]:
        """What the plan says once."""
        return self._notes.lines()

    def _note_words_for_nothing(self, columns: Columns) -> None:
        """A ref may be the word `null`, and is taken as it is written; most times nothing is meant, and it is said."""
        for path in (*OPEN, "providerWorkspaceRef", "providerMetadata.workspace"):
            if path in columns and has_a_word_for_nothing(distinct(columns[path])):
                self._notes.say(
                    f"{self._labels[path]}: words for nothing (NULL, None, …) are taken as they are written; where "
                    "nothing is meant, export such cells empty"
                )

    def _choices(self, columns: Columns, rows: int) -> list[Choice]:
        said = columns.get("authScheme", [None] * rows)
        filled = [[cell is not None for cell in columns[field.path]] for field in self._chooser.credentials]
        flags = zip(*filled, strict=True) if filled else [()] * rows
        choose = self._chooser.choose
        return [
            Choice(None) if isinstance(word, Fault) else choose(row_flags, word)
            for row_flags, word in zip(flags, said, strict=True)
        ]

    def column_of(self, path: str) -> str:
        """What the user knows a field of the request by: its column, or the path where it has none."""
        if path == "providerMetadata.workspace" and path not in self._labels:
            path = "providerWorkspaceRef"  # where there is one, it is sent as metadata too
        return self._labels.get(path, path)

    def _problems(self, columns: Columns, choices: list[Choice]) -> dict[int, list[Issue]]:
        """Position in the chunk -> all that is wrong with the row. Puts faults into `columns`: see the two refusals."""
        problems: dict[int, dict[Issue, None]] = defaultdict(dict)  # a dict as an ordered set: one column, two fields
        refuse_credentials(columns)
        refuse_swapped(columns, self._trusted)
        refuse_unusable(columns)  # afterwards: a ref that repeats a credential is hidden, be it encrypted or not
        for path, column in columns.items():
            for position, fault in _faults(column, _EMPTY if path in KEY else None):
                problems[position][fault.issue(self._labels[path])] = None
        for position, choice in enumerate(choices):
            if choice.issues:
                problems[position].update(dict.fromkeys(choice.issues))
        return {position: list(issues) for position, issues in problems.items()}

    def _validated(self, row: int, body: dict[str, Any], *key: str) -> MappedRow:
        try:
            return MappedRow(row, GenerateRequest.model_validate(body), (), *key)
        except ValidationError as error:
            # a guard behind our own checks; pydantic's words may quote the cell, its kind of error does not
            found = error.errors(include_input=False, include_url=False, include_context=False)
            return MappedRow(row, None, [self._refused(detail["loc"], detail["type"]) for detail in found], *key)

    def _refused(self, loc: tuple[int | str, ...], kind: str) -> Issue:
        path = ".".join(str(part) for part in loc)
        known = (label for field, label in self._labels.items() if path == field or path.startswith(f"{field}."))
        block = str(loc[0]) if loc else "the row"
        if kind == "string_too_short":
            return Issue(
                next(known, block), Code.BAD_REQUEST, "a name or a value in it is empty", "Fill it in or remove it."
            )
        reason = f"the request does not allow this ({kind})"
        return Issue(next(known, block), Code.BAD_REQUEST, reason, "Check that the right column is mapped.")


def _given(mapping: Mapping[str, FieldSpec], header: Header, provider: str | None) -> dict[str, FieldSpec]:
    """The mapping, with `provider` where no column names one, and for the blank cells of a column that does."""
    specs = dict(mapping)
    if provider is not None:
        spec = specs.get("provider")
        if spec is None or (spec.column is not None and spec.column not in header):
            specs["provider"] = FieldSpec(value=provider)
        elif spec.column is not None and spec.default is None:
            specs["provider"] = replace(spec, default=provider)
    for path in KEY:
        if path not in specs:
            raise ConfigError(f"mapping.{path} is missing", hint=f'Name its column: {path} = "column".')
    if "authScheme" not in specs and not any(map(scheme_of, specs)):
        raise ConfigError("the mapping has no credential", hint='Map one, e.g. apiKey = "column".')
    return specs


def _faults(column: list[Any], if_blank: Fault | None) -> Iterator[tuple[int, Fault]]:
    """Positions and faults of a column; `if_blank` is the fault of a blank cell where it may not be blank."""
    kinds = set(map(type, column))  # most columns have no fault at all, and this is the fastest way to know
    if Fault in kinds:
        yield from ((position, cell) for position, cell in enumerate(column) if isinstance(cell, Fault))
    if if_blank and NoneType in kinds:
        yield from ((position, if_blank) for position, cell in enumerate(column) if cell is None)
