"""The plan pass: read, map and decide every row, and send nothing.

It finds what one row cannot know: a key that comes twice, a refresh token under two keys, how much has changed. What it
decides lies in the spool; the send pass reads the sources again and takes up the rows that something is sent for.
A source that can be read only once (standard input) is decided and sent in one pass: of two rows in conflict only
the later one is refused there.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal

from importer.api.models import GenerateRequest
from importer.api.wire import Digests, body_of
from importer.catalog import Severity, may_be_named
from importer.catalog.judge import Judge
from importer.decide import Decision, Only, RowFacts, decide, decide_once_there, masks, whole_mask
from importer.errors import SourceError, SourceLost
from importer.inputs import Inputs
from importer.jobs import Job
from importer.ledger.base import Entry, Ledger, ProblemRow
from importer.mapping import MappedRow
from importer.outcomes import Code, Issue, Stage, State
from importer.records import Identity, Place
from importer.sources.base import Chunk
from importer.spool import TO_SEND, Action, Seen, Spool, SpooledRow
from importer.summary import PlanSummary, change_heads, refuse_a_mass_change, summarise_plan

UNSOUND = b""
"""In the place of the fingerprint of a row that cannot be sent."""


@dataclass(frozen=True, slots=True)
class PlanPolicy:
    """The settings that decide about a row."""

    changed: Literal["update", "report"] = "update"
    only: Only = "all"
    rows: int | None = None
    strict: bool = False
    any_change: bool = False
    """Whether a mass change is meant, or looked at by somebody else."""


@dataclass(slots=True)
class _Row:
    """One sound row on its way through the plan."""

    place: Place
    request: GenerateRequest
    key: bytes
    facts: RowFacts
    refresh_digest: bytes | None
    client_id: str | None = None
    entry: Entry | None = None

    @property
    def identity(self) -> Identity:
        return self.request.identity


@dataclass(slots=True)
class _Verdicts:
    """What a chunk's rows became: lines for the spool, and the sound rows that something is sent for."""

    rows: list[SpooledRow] = field(default_factory=list)
    problems: list[ProblemRow] = field(default_factory=list)
    warnings: list[ProblemRow] = field(default_factory=list)
    to_send: list[tuple[_Row, Action]] = field(default_factory=list)


class Planner:
    """Decides about rows, chunk by chunk, and keeps the decisions in the spool. For one thread."""

    def __init__(
        self,
        inputs: Inputs,
        *,
        ledger: Ledger | None,
        spool: Spool,
        digests: Digests,
        policy: PlanPolicy,
        judge: Judge | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        """`ledger` is None where there is none yet: then every row is new. Without a `judge` less is checked.

        `notes` are things to say that were found before the first row.
        """
        self._judge = judge or Judge()
        self._now = datetime.now(UTC)
        self._said = notes
        self.sources = inputs.sources
        self.names = [source.name for source in self.sources]
        self.one_pass = not all(source.repeatable for source in self.sources)
        self._mappers = inputs.mappers
        self._stamps = inputs.stamps
        self._notes = inputs.notes
        self._ledger = ledger
        self._spool = spool
        self._digests = digests
        self._policy = policy
        self._read = 0
        self._samples: dict[str, str] = {}
        self._heads = Counter[str]()
        self._tainted: dict[tuple[int, int], Place] = {}

    @property
    def notes(self) -> list[str]:
        """What was assumed while mapping, said once each."""
        return list(dict.fromkeys([*self._said, *self._notes.lines()]))

    @property
    def skipped(self) -> int:
        """Rows that are none of the preset's: read, and neither decided about nor listed."""
        return self._notes.skipped

    def summary(self) -> PlanSummary:
        """What has been read and decided so far."""
        samples = list(self._samples.values())
        return summarise_plan(
            self._spool,
            self.names,
            notes=self.notes,
            samples=samples,
            complete=self.complete,
            skipped=self.skipped,
        )

    @property
    def complete(self) -> bool:
        """Whether every row of the sources was to be read."""
        return self._policy.rows is None

    def read_all(self, seen: Callable[[int], None]) -> None:
        """The whole plan pass; `seen` is told how many rows each chunk had."""
        for source_no, chunk in self._chunks():
            self._decide_chunk(source_no, chunk)
            seen(len(chunk.rows) + len(chunk.bad))

    def jobs(self) -> Iterator[list[Job]]:
        """The send pass: the rows that something is sent for, chunk by chunk, with their bodies.

        Raises SourceLost when a source is no longer what the plan pass read.
        """
        self._read = 0
        if self.one_pass:
            yield from self._jobs_in_one_pass()
            return
        for source_no, chunk in self._chunks():
            self.check_sources()
            numbers = [*chunk.rows, *(bad.row for bad in chunk.bad)]
            wanted = {row.row: row for row in self._spool.to_send(source_no, min(numbers), max(numbers))}
            if wanted:
                yield self._jobs_again(source_no, chunk, wanted)

    def _jobs_in_one_pass(self) -> Iterator[list[Job]]:
        for source_no, chunk in self._chunks():
            yield [self._job(row, action) for row, action in self._decide_chunk(source_no, chunk).to_send]

    def _chunks(self) -> Iterator[tuple[int, Chunk]]:
        for source_no, source in enumerate(self.sources):
            for chunk in source.chunks():
                if not chunk.rows and not chunk.bad:
                    continue
                left = None if self._policy.rows is None else self._policy.rows - self._read
                if left is not None and left <= 0:
                    return
                part = chunk if left is None else _first_rows(chunk, left)
                self._read += len(part.rows) + len(part.bad)
                yield source_no, part

    def check_sources(self) -> None:
        """Raise SourceLost when a source is no longer what the plan pass read."""
        for source, stamp in zip(self.sources, self._stamps, strict=True):
            if source.stamp() != stamp:
                raise SourceLost(
                    f"{source.name} changed while it was being sent",
                    hint="Run again: what was sent is in the ledger, the rest is read anew.",
                )

    def _jobs_again(self, source_no: int, chunk: Chunk, wanted: Mapping[int, SpooledRow]) -> list[Job]:
        positions = [at for at, row in enumerate(chunk.rows) if row in wanted]
        part = Chunk(chunk.source, [chunk.rows[at] for at in positions], chunk.frame.iloc[positions], ())
        rows = self._sound(source_no, self._mappers[source_no].map(part))
        for row in rows:
            if row.identity != wanted[row.place.row].identity:
                raise SourceLost(f"{row.place} changed while it was being sent", hint="Run again.")
        if len(rows) != len(wanted):
            raise SourceLost(f"{chunk.source} changed while it was being sent", hint="Run again.")
        return [self._job(row, wanted[row.place.row].action) for row in rows]

    def _decide_chunk(self, source_no: int, chunk: Chunk) -> _Verdicts:
        out = _Verdicts()
        name = self.names[source_no]
        for bad in chunk.bad:
            self._refuse(out, Place(name, source_no, bad.row), Identity("", "", ""), [bad.issue])
        mapped = self._mappers[source_no].map(chunk)
        unsound = [row for row in mapped if row.request is None]
        _refuse_swapped_columns(name, mapped, unsound)
        for row in unsound:
            identity = Identity(row.provider, row.group_ref, row.consumer_ref)
            place = Place(name, source_no, row.row)
            self._refuse(out, place, identity, row.issues, kind="enter" if all(identity) else "")
        self._note_unsound(source_no, unsound)
        rows = self._without_known_keys(out, self._sound(source_no, mapped))
        for sound in self._without_known_tokens(out, rows):
            self._decide_row(out, sound)
        if self.one_pass and not self._policy.any_change:
            # before anything of this chunk is sent or put on record, so that the next try sees the same changes
            refuse_a_mass_change(self._heads["newly_changed"], self._heads["known"])
        self._spool.add(out.rows, out.problems, out.warnings)
        self._take_samples(out)
        return out

    def _sound(self, source_no: int, mapped: Sequence[MappedRow]) -> list[_Row]:
        """The rows that could be mapped, with their digests and their entries."""
        name, digests = self.names[source_no], self._digests
        rows = [
            _Row(
                Place(name, source_no, row.row),
                row.request,
                digests.identity(row.request.identity),
                RowFacts(digests.fingerprint(row.request), row.request.auth_scheme),
                digests.refresh_token(row.request),
                row.client_id,
            )
            for row in mapped
            if row.request is not None
        ]
        if self._ledger is not None:
            for row, entry in zip(rows, self._ledger.entries([row.identity for row in rows]), strict=True):
                row.entry = entry
        return rows

    def _note_unsound(self, source_no: int, unsound: Sequence[MappedRow]) -> None:
        """Keep the keys of rows that cannot be sent: a sound row of a later file takes the place of each."""
        identities = [(Identity(row.provider, row.group_ref, row.consumer_ref), row.row) for row in unsound]
        self._spool.seen_keys([(self._digests.identity(i), UNSOUND, source_no, row) for i, row in identities if all(i)])

    def _without_known_keys(self, out: _Verdicts, rows: list[_Row]) -> list[_Row]:
        """Leave out rows whose key came before; across files the later one counts instead."""
        keys = [(r.key, r.facts.fingerprint.dump(), r.place.source_no, r.place.row) for r in rows]
        known = self._spool.seen_keys(keys)
        if not known:
            return rows
        kept: list[_Row] = []
        newer: dict[bytes, Seen] = {}  # keys that this chunk took over from an earlier row: its first row counts
        for at, row in enumerate(rows):
            seen = newer.get(row.key) or known.get(at)
            in_earlier_file = seen is not None and seen.source_no != row.place.source_no and not self.one_pass
            if seen and (in_earlier_file or seen.digest == UNSOUND):
                if in_earlier_file:
                    self._supersede(seen, row.key)
                self._spool.take_key(keys[at])
                newer[row.key] = Seen(keys[at][1], row.place.source_no, row.place.row)
                seen = None
            if seen is None:
                kept.append(row)
            elif seen.digest == keys[at][1]:
                out.rows.append(self._spooled(row, Action.DUPLICATE, "duplicate"))
            else:
                self._refuse(out, row.place, row.identity, [_conflict(self._name(seen))])
                self._spool.note_conflict(row.key, row.place.source_no, row.place.row)
        return kept

    def _supersede(self, seen: Seen, key: bytes) -> None:
        """What earlier files say of a key does not count any more, and nor does what was wrong with it."""
        for source_no, row in ((seen.source_no, seen.row), *self._spool.take_conflicts(key)):
            if earlier := self._spool.get(source_no, row):
                self._spool.drop_problems(source_no, row)
                self._spool.add([SpooledRow(source_no, row, Action.DUPLICATE, earlier.identity, kind="duplicate")])

    def _without_known_tokens(self, out: _Verdicts, rows: list[_Row]) -> list[_Row]:
        """Leave out rows whose refresh token another key brought too: it would log one of the two customers out."""
        bearing = [row for row in rows if row.refresh_digest]
        tokens = [(r.refresh_digest or b"", r.key, r.place.source_no, r.place.row) for r in bearing]
        known = self._spool.seen_tokens(tokens)
        holders = self._ledger.holders([token[0] for token in tokens]) if self._ledger else {}
        refused: set[int] = set()
        for at, row in enumerate(bearing):
            seen, holder = known.get(at), holders.get(tokens[at][0])
            if seen and seen.digest != row.key:
                self._refuse(out, row.place, row.identity, [_shared_token(self._name(seen))], kind="enter")
                self._refuse_earlier(out, seen, row.place)
            elif holder and holder != row.identity:
                self._refuse(out, row.place, row.identity, [_shared_token(_ref_of(holder))], kind="enter")
            else:
                continue
            refused.add(id(row))
        return [row for row in rows if id(row) not in refused]

    def _refuse_earlier(self, out: _Verdicts, seen: Seen, later: Place) -> None:
        """The earlier of two rows with one token is refused too, if it is not sent or done yet."""
        if self.one_pass:
            return
        waiting = next((r for r in out.rows if (r.source_no, r.row) == (seen.source_no, seen.row)), None)
        earlier = waiting or self._spool.get(seen.source_no, seen.row)
        place = Place(self.names[seen.source_no], seen.source_no, seen.row)
        if earlier is None:  # in this very chunk and not decided yet
            self._tainted[(seen.source_no, seen.row)] = later
        elif earlier.action is Action.POST:
            self._refuse(out, place, earlier.identity, [_shared_token(str(later))], kind="enter")

    def _decide_row(self, out: _Verdicts, row: _Row) -> None:
        later = self._tainted.pop((row.place.source_no, row.place.row), None)
        if row.entry and row.entry.state is State.CREATED:
            row.facts = self._with_history(row)
        decision = decide(row.facts, row.entry, changed=self._policy.changed, only=self._policy.only)
        self._heads.update(change_heads(decision))
        if later is not None and decision.action is Action.POST:
            self._refuse(out, row.place, row.identity, [_shared_token(str(later))], kind="enter")
            return
        if decision.action in (Action.POST, Action.PATCH) and self._judge_refuses(out, row, decision.action):
            return
        out.rows.append(self._spooled(row, decision.action, decision.kind))
        if decision.issue:
            out.problems.append(ProblemRow(row.place, row.identity, decision.issue))
        if decision.action in TO_SEND:
            out.to_send.append((row, decision.action))

    def _judge_refuses(self, out: _Verdicts, row: _Row, action: Action) -> bool:
        """Hold a row that is to be sent against its provider: errors refuse it, warnings are noted."""
        post = action is Action.POST
        findings = self._judge.check(row.request, now=self._now, client_id=row.client_id, post=post)
        if not findings:
            return False
        column_of = self._mappers[row.place.source_no].column_of
        named = [(found.severity, replace(found.issue, field=column_of(found.issue.field))) for found in findings]
        errors = [issue for severity, issue in named if severity is Severity.ERROR or self._policy.strict]
        if errors:
            # a name that nobody knows and that could be a key is neither stored nor shown
            hidden = errors[0].code is Code.UNKNOWN_PROVIDER and not may_be_named(row.identity.provider)
            identity = row.identity._replace(provider="") if hidden else row.identity
            self._refuse(out, row.place, identity, errors, kind="" if hidden else "enter")
            return True
        out.warnings += [ProblemRow(row.place, row.identity, issue) for _, issue in named]
        return False

    def _spooled(self, row: _Row, action: Action, kind: str) -> SpooledRow:
        connection_id = row.entry.connection_id if row.entry else None
        mark = row.facts.fingerprint.dump() if action is Action.CHANGED else None
        place = row.place
        return SpooledRow(place.source_no, place.row, action, row.identity, connection_id, kind, mark)

    def _refuse(
        self, out: _Verdicts, place: Place, identity: Identity, issues: Sequence[Issue], kind: str = "rejected"
    ) -> None:
        out.rows.append(SpooledRow(place.source_no, place.row, Action.REJECTED, identity, kind=kind or "rejected"))
        out.problems += [ProblemRow(place, identity, issue) for issue in issues]

    def _job(self, row: _Row, action: Action) -> Job:
        entry = row.entry
        return Job(
            place=row.place,
            identity=row.identity,
            action=action,
            body=body_of(row.request),
            fingerprint=row.facts.fingerprint.dump(),
            refresh_digest=row.refresh_digest,
            mask=masks(row.facts, entry) if entry and action in (Action.PATCH, Action.LOOK) else None,
            connection_id=entry.connection_id if entry else None,
            whole_mask=whole_mask(row.facts),
            once_there=self._once_there(row) if action is Action.LOOK else None,
            doubt=bool(entry and entry.doubt),
            settle_at=(entry and entry.settle_at) or 0.0,
        )

    def _once_there(self, row: _Row) -> Decision | None:
        if row.entry is None or row.entry.fingerprint is None:
            return None
        return decide_once_there(self._with_history(row), row.entry, self._policy.changed)

    def _with_history(self, row: _Row) -> RowFacts:
        """The facts of a row, with whether its credentials are an older version of what the connection holds."""
        wanted, entry = row.facts.fingerprint.dump(), row.entry
        if self._ledger is None or entry is None or not entry.fingerprint or entry.fingerprint == wanted:
            return row.facts
        return replace(row.facts, superseded=self._ledger.is_superseded(row.identity, wanted))

    def _take_samples(self, out: _Verdicts) -> None:
        """Keep one decoded time and one scope list, so that a wrong unit is seen before anything is sent."""
        for row, _ in out.to_send if len(self._samples) < 2 else ():
            tokens = row.request.oauth2_authorization_code
            if tokens and tokens.access_token and tokens.access_token.expires_at:
                expires_at = f"{tokens.access_token.expires_at:%Y-%m-%d %H:%M:%S %Z}"
                self._samples.setdefault("time", f"{row.place}: the access token expires {expires_at}")
            if tokens and tokens.scopes:
                self._samples.setdefault("scopes", f"{row.place}: scopes {', '.join(tokens.scopes)}"[:120])

    def _name(self, seen: Seen) -> str:
        return f"{self.names[seen.source_no]} row {seen.row}"


def _first_rows(chunk: Chunk, count: int) -> Chunk:
    """The first rows of a chunk, bad ones counted too."""
    numbers = sorted([*chunk.rows, *(bad.row for bad in chunk.bad)])[:count]
    last = numbers[-1]
    whole = sum(row <= last for row in chunk.rows)
    return Chunk(chunk.source, chunk.rows[:whole], chunk.frame.iloc[:whole], [b for b in chunk.bad if b.row <= last])


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


def _ref_of(identity: Identity) -> str:
    return f"{identity.provider}, group {identity.group_ref}, consumer {identity.consumer_ref} in the ledger"


def _conflict(first: str) -> Issue:
    return Issue(
        "",
        Code.CONFLICT,
        f"the same provider, group and consumer as {first}, with other credentials: that row counts, this one does not",
        "Keep the row with the credentials that are in use, and remove the other.",
        Stage.PLAN,
    )


def _shared_token(other: str) -> Issue:
    return Issue(
        "",
        Code.SHARED_TOKEN,
        f"the same refresh token as {other}: it can serve only one of the two, so this row is not sent",
        "Find out whose token it is, and remove the other row or give it its own.",
        Stage.PLAN,
    )
