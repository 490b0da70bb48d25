"""From the sources to rows that can be decided about: all of a row's work that needs no other row and no ledger.

Read, map, validate, digest, hold against the provider. It may happen in a process of its own (`reading`), so what
comes out is plain: no model and no frame.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from dataclasses import replace as replaced
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple, Protocol

from importer.api.models import GenerateRequest
from importer.api.wire import Body, Digests, body_of
from importer.catalog import Severity
from importer.catalog.findings import Finding
from importer.catalog.judge import Judge
from importer.errors import SourceError
from importer.freshness import freshness
from importer.inputs import Inputs
from importer.mapping import MappedRow
from importer.outcomes import Code, Issue
from importer.records import AuthScheme, Fingerprint, Identity
from importer.sources.base import BadRow, Chunk

Wanted = Callable[[int, int, int], Collection[int]]
"""Which rows of a chunk to prepare, by its source and its first and last row; none: the chunk is passed over."""


class Part(Enum):
    """The chunks of a pass that are prepared here: all of them, or the share of one of two processes."""

    ALL = "all"
    MOST = "most"
    REST = "rest"

    def has(self, number: int) -> bool:
        """Whether it has chunk `number`, counted from 0: of every three the second is the REST's."""
        return self is Part.ALL or (number % 3 == 1) is (self is Part.REST)


class PreparedRow(NamedTuple):
    """A sound row: digests of its key, its credentials and its refresh token, and what its tokens are.

    `objections` are its provider's, with fields as the user knows them, and `app_objections` those that count only
    where a connection is to be made. `expires_at` is in seconds since the epoch; `body` is there if it was asked for.
    """

    row: int
    identity: Identity
    key: bytes
    fingerprint: Fingerprint
    scheme: AuthScheme
    refresh_digest: bytes | None
    freshness: int
    expires_at: float | None
    scopes: tuple[str, ...] | None
    objections: Sequence[Finding]
    app_objections: Sequence[Finding]
    body: Body | None

    def plain(self) -> tuple[Any, ...]:
        """The row without classes, which a pipe takes and gives in a third of the time."""
        row, identity, key, fingerprint, scheme, *rest, body = self
        return (row, *identity, key, fingerprint.dump(), scheme.value, *rest, body and body.json)

    @classmethod
    def of(cls, plain: tuple[Any, ...]) -> "PreparedRow":
        """The row that `plain` was made of."""
        row, provider, group_ref, consumer_ref, key, fingerprint, scheme, *rest, body = plain
        identity, made = Identity(provider, group_ref, consumer_ref), None if body is None else Body(body)
        return cls._make((row, identity, key, Fingerprint.load(fingerprint), _SCHEMES[scheme], *rest, made))


_SCHEMES = {scheme.value: scheme for scheme in AuthScheme}


class UnsoundRow(NamedTuple):
    """A row that cannot be sent, with all that is wrong with it. Its refs are safe to show, and "" where refused."""

    row: int
    identity: Identity
    issues: Sequence[Issue]


@dataclass(frozen=True, slots=True)
class PreparedChunk:
    """The rows of one chunk, from `first` to `last` of its source: sound, unsound, and those that are no rows."""

    source_no: int
    first: int
    last: int
    sound: Sequence[PreparedRow]
    unsound: Sequence[UnsoundRow]
    bad: Sequence[BadRow]


@dataclass(frozen=True, slots=True)
class Task:
    """What rows are prepared with: the key of the digests, the provider's rules, and the moment tokens are held to.

    `sources` are the names of the files as the run has found them: where somebody finds others, nothing is prepared.
    """

    key: bytes
    judge: Judge
    now: datetime
    sources: Sequence[str]


class Preparing(Protocol):
    """Who prepares the rows of a run, in this process or in another."""

    def chunks(self, task: Task, rows: int | None, bodies: Callable[[], bool]) -> Iterator[PreparedChunk]:
        """A pass over all sources, over the first `rows` of them where that is given.

        `bodies` is asked before each chunk. Raises SourceError where a source cannot be read on.
        """

    def again(self, task: Task, rows: int | None, wanted: Wanted) -> Iterator[PreparedChunk]:
        """A second pass, over the wanted rows of those that the first one read, with their bodies."""

    @property
    def notes(self) -> Sequence[str]:
        """What was assumed while mapping, said once each."""

    @property
    def skipped(self) -> int:
        """Rows that are none of the preset's."""


class Preparer:
    """Prepares rows in this process."""

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs

    @property
    def notes(self) -> Sequence[str]:
        """What was assumed while mapping, said once each."""
        return self._inputs.notes.lines()

    @property
    def skipped(self) -> int:
        """Rows that are none of the preset's."""
        return self._inputs.notes.skipped

    @property
    def inputs(self) -> Inputs:
        """What it reads."""
        return self._inputs

    def chunks(
        self, task: Task, rows: int | None, bodies: Callable[[], bool], part: Part = Part.ALL
    ) -> Iterator[PreparedChunk]:
        """See `Preparing`. The chunks that are not of this part are read and passed over."""
        digests = Digests(task.key)
        for number, (source_no, chunk) in enumerate(self._read(task, rows)):
            if part.has(number):
                yield self._prepared(task, digests, source_no, chunk, with_bodies=bodies())

    def again(self, task: Task, rows: int | None, wanted: Wanted) -> Iterator[PreparedChunk]:
        """See `Preparing`."""
        digests = Digests(task.key)
        for source_no, chunk in self._read(task, rows):
            first, last = first_and_last(chunk)
            these = wanted(source_no, first, last)
            if these:
                part = _only(chunk, these)
                prepared = self._prepared(task, digests, source_no, part, with_bodies=True)
                yield replaced(prepared, first=first, last=last)

    def _read(self, task: Task, rows: int | None) -> Iterator[tuple[int, Chunk]]:
        if [source.name for source in self._inputs.sources] != list(task.sources):
            raise SourceError("files came or went while the run was looking for them", hint="Run again.")
        read = 0
        for source_no, source in enumerate(self._inputs.sources):
            for chunk in source.chunks():
                if not chunk.rows and not chunk.bad:
                    continue
                left = None if rows is None else rows - read
                if left is not None and left <= 0:
                    return
                part = chunk if left is None else _first_rows(chunk, left)
                read += len(part.rows) + len(part.bad)
                yield source_no, part

    def _prepared(
        self, task: Task, digests: Digests, source_no: int, chunk: Chunk, *, with_bodies: bool
    ) -> PreparedChunk:
        mapper = self._inputs.mappers[source_no]
        mapped = mapper.map(chunk)
        unsound = [row for row in mapped if row.request is None]
        _refuse_swapped_columns(chunk.source, mapped, unsound)
        prepare = _Row(task, digests, mapper.column_of, with_bodies=with_bodies)
        return PreparedChunk(
            source_no,
            *first_and_last(chunk),
            [prepare(row, row.request) for row in mapped if row.request is not None],
            [UnsoundRow(r.row, Identity(r.provider, r.group_ref, r.consumer_ref), r.issues) for r in unsound],
            chunk.bad,
        )


class _Row:
    """Prepares one row after the other."""

    def __init__(self, task: Task, digests: Digests, column_of: Callable[[str], str], *, with_bodies: bool) -> None:
        self._judge = task.judge
        self._now = task.now
        self._at = task.now.timestamp()
        self._digests = digests
        self._column_of = column_of
        self._with_bodies = with_bodies

    def __call__(self, row: MappedRow, request: GenerateRequest) -> PreparedRow:
        digests, judge, identity = self._digests, self._judge, request.identity
        tokens = request.oauth2_authorization_code
        expires_at = tokens.access_token.expires_at if tokens and tokens.access_token else None
        against = judge.check(request, now=self._now, client_id=row.client_id)
        against_app = judge.check_app(request, row.client_id)
        return PreparedRow(
            row.row,
            identity,
            digests.identity(identity),
            digests.fingerprint(request),
            request.auth_scheme,
            digests.refresh_token(request),
            freshness(request, self._at),
            expires_at.timestamp() if expires_at else None,
            tokens.scopes if tokens else None,
            self._named(against) if against else (),
            self._named(against_app) if against_app else (),
            body_of(request) if self._with_bodies else None,
        )

    def _named(self, findings: Sequence[Finding]) -> Sequence[Finding]:
        """With the columns of the user in the place of the paths in the request."""
        column_of = self._column_of
        return [found._replace(issue=replaced(found.issue, field=column_of(found.issue.field))) for found in findings]


def rejecting(findings: Sequence[Finding], *, strict: bool) -> list[Issue]:
    """The findings that reject a row: the errors, and with `strict` all of them."""
    return [found.issue for found in findings if strict or found.severity is Severity.ERROR]


def first_and_last(chunk: Chunk) -> tuple[int, int]:
    """The numbers of the first and the last row of a chunk, bad ones too."""
    ends = [rows[at] for rows in (chunk.rows, [bad.row for bad in chunk.bad]) if rows for at in (0, -1)]
    return min(ends), max(ends)


def _first_rows(chunk: Chunk, count: int) -> Chunk:
    """The first rows of a chunk, bad ones counted too."""
    numbers = sorted([*chunk.rows, *(bad.row for bad in chunk.bad)])[:count]
    last = numbers[-1]
    whole = sum(row <= last for row in chunk.rows)
    return Chunk(chunk.source, chunk.rows[:whole], chunk.frame.iloc[:whole], [b for b in chunk.bad if b.row <= last])


def _only(chunk: Chunk, wanted: Collection[int]) -> Chunk:
    """Some rows of a chunk."""
    if len(wanted) == len(chunk.rows):
        return Chunk(chunk.source, chunk.rows, chunk.frame, ())
    positions = [at for at, row in enumerate(chunk.rows) if row in wanted]
    return Chunk(chunk.source, [chunk.rows[at] for at in positions], chunk.frame.iloc[positions], ())


def _refuse_swapped_columns(source: str, mapped: Sequence[MappedRow], unsound: Sequence[MappedRow]) -> None:
    """Raise SourceError where most rows of a chunk have a credential in a column that is stored and shown.

    Then two columns are swapped, and those rows in which a key happens to look like a name must not get through.
    """
    found = Counter(
        issue.field for row in unsound for issue in row.issues if issue.code is Code.CREDENTIAL_IN_REF
    ).most_common(1)
    if found and found[0][1] * 2 > len(mapped) >= 3:
        column, rows = found[0]
        raise SourceError(
            f"{source} has what looks like a credential in {column}, which is stored and shown, in {rows:,} of "
            f"{len(mapped):,} rows: nothing of them is sent or stored",
            hint="Two columns are swapped, in the file or in the mapping. If the ids are like that, and it is your own "
            "[mapping], add opaque = true to this column.",
        )
