"""The plan pass: read, map and decide every row, and send nothing.

It finds what one row cannot know: a key that comes twice, a refresh token under two keys, how much has changed. What it
decides lies in the spool; the send pass reads the sources again and takes up the rows that something is sent for.
A source that can be read only once (standard input) is decided and sent in one pass: of two rows in conflict only
the later one is refused there.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import repeat
from typing import Literal

from importer.api.wire import Body, Digests
from importer.catalog import may_be_named
from importer.catalog.judge import Judge
from importer.conflicts import SHARED_GROUP, Conflicts
from importer.decide import Decision, Only, RowFacts, decide, decide_once_there, masks, whole_mask
from importer.errors import SourceLost
from importer.inputs import Inputs
from importer.jobs import Job
from importer.kept import Kept, KeptChunk
from importer.ledger.base import Ledger, ProblemRow
from importer.outcomes import Code, Issue, State
from importer.planned import PlannedRow, Verdicts
from importer.preparing import PreparedChunk, Preparer, Preparing, Task, Wanted, rejecting
from importer.records import Identity, Place
from importer.redaction import reads_as_a_scope
from importer.spool import Action, Spool
from importer.summary import PlanSummary, change_heads, refuse_a_mass_change, summarise_plan


@dataclass(frozen=True, slots=True)
class PlanPolicy:
    """The settings that decide about a row."""

    changed: Literal["update", "report"] = "update"
    only: Only = "all"
    rows: int | None = None
    strict: bool = False
    any_change: bool = False
    """Whether a mass change is meant, or looked at by somebody else."""


class Planner:
    """Decides about rows, chunk by chunk, and keeps the decisions in the spool. For one thread."""

    def __init__(
        self,
        inputs: Inputs,
        *,
        ledger: Ledger | None,
        spool: Spool,
        key: bytes,
        policy: PlanPolicy,
        judge: Judge | None = None,
        notes: Sequence[str] = (),
        preparing: Preparing | None = None,
    ) -> None:
        """`ledger` is None where there is none yet: then every row is new. Without a `judge` less is checked.

        `key` is that of the digests, `notes` are things to say that were found before the first row, and `preparing`
        prepares the rows of these inputs elsewhere.
        """
        self._task = Task(key, judge or Judge(), datetime.now(UTC), [source.name for source in inputs.sources])
        self._preparing: Preparing = preparing or Preparer(inputs)
        self._said = notes
        self.sources = inputs.sources
        self.names = [source.name for source in self.sources]
        self.one_pass = not all(source.repeatable for source in self.sources)
        self._stamps = inputs.stamps
        self._ledger = ledger
        self._spool = spool
        self._policy = policy
        self._samples: dict[str, str] = {}
        self._heads = Counter[str]()
        self._decided = False
        self._conflicts = Conflicts(spool, ledger, Digests(key), self.names, one_pass=self.one_pass)
        self._kept = Kept()

    @property
    def notes(self) -> list[str]:
        """What was assumed while mapping, said once each."""
        lines = [*self._said, *self._preparing.notes]
        if self.skipped and not self._decided:
            lines.append("no row is left: every one was skipped, so check that the preset fits")
        return list(dict.fromkeys(lines))

    @property
    def skipped(self) -> int:
        """Rows that are none of the preset's: read, and neither decided about nor listed."""
        return self._preparing.skipped

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

    def read_all(self, seen: Callable[[int], None], *, keep: bool = False) -> None:
        """The whole plan pass; `seen` is told how many rows each chunk had.

        With `keep` the jobs of the first rows are kept for `jobs`, as far as they fit.
        """
        for chunk in self._preparing.chunks(self._task, self._policy.rows, lambda: keep and self._kept.all):
            decided = self._decide_chunk(chunk)
            if keep and self._kept.all:
                self._kept.add(KeptChunk(chunk.source_no, chunk.first, chunk.last, self._jobs(decided.to_send)))
            seen(len(chunk.sound) + len(chunk.unsound) + len(chunk.bad))
        self._spool.object_to_shared_groups(SHARED_GROUP, refuse=self._policy.strict)

    def jobs(self) -> Iterator[list[Job]]:
        """The send pass: the rows that something is sent for, chunk by chunk, with their bodies.

        Raises SourceLost when a source is no longer what the plan pass read.
        """
        if self.one_pass:
            yield from self._jobs_in_one_pass()
            return
        kept_until = (-1, -1)
        for kept in self._kept.take():
            self.check_sources()
            # a later row may have refused or replaced one of these since
            still = self._spool.rows_to_send(kept.source_no, kept.first_row, kept.last_row)
            yield [job for job in kept.jobs if job.place.row in still]
            kept_until = (kept.source_no, kept.last_row)
        if self._kept.chunks and self._kept.all:
            return
        for chunk in self._preparing.again(self._task, self._policy.rows, self._wanted_after(kept_until)):
            self.check_sources()
            yield self._jobs_again(chunk)

    def _wanted_after(self, kept_until: tuple[int, int]) -> Wanted:
        """Which rows of a chunk are prepared once more: those to send that were not kept."""

        def wanted(source_no: int, first: int, last: int) -> Collection[int]:
            return () if (source_no, first) <= kept_until else self._spool.rows_to_send(source_no, first, last)

        return wanted

    def _jobs_in_one_pass(self) -> Iterator[list[Job]]:
        """Changes wait in memory until the source has ended: only then it is known whether they are too many."""
        held: list[Job] = []
        most = self._ledger.counts().get(State.CREATED, 0) if self._ledger else 0
        for chunk in self._preparing.chunks(self._task, self._policy.rows, lambda: True):
            jobs = self._jobs(self._decide_chunk(chunk).to_send)
            yield [job for job in jobs if job.action is not Action.PATCH]
            held += (job for job in jobs if job.action is Action.PATCH)
            self._refuse_a_mass_change(most)
        self._refuse_a_mass_change(self._heads["known"])
        yield held

    def _refuse_a_mass_change(self, known: int) -> None:
        if not self._policy.any_change:
            refuse_a_mass_change(self._heads["newly_changed"], known)

    def check_sources(self) -> None:
        """Raise SourceLost when a source is no longer what the plan pass read."""
        for source, stamp in zip(self.sources, self._stamps, strict=True):
            if source.stamp() != stamp:
                raise SourceLost(
                    f"{source.name} changed while it was being sent",
                    hint="Run again: what was sent is in the ledger, the rest is read anew.",
                )

    def _jobs_again(self, chunk: PreparedChunk) -> list[Job]:
        wanted = self._spool.to_send(chunk.source_no, chunk.first, chunk.last)
        name = self.names[chunk.source_no]
        rows = self._sound(chunk)
        for row in rows:
            if row.identity != wanted[row.place.row][1]:
                raise SourceLost(f"{row.place} changed while it was being sent", hint="Run again.")
        if len(rows) != len(wanted):
            raise SourceLost(f"{name} changed while it was being sent", hint="Run again.")
        return self._jobs([(row, wanted[row.place.row][0]) for row in rows])

    def _decide_chunk(self, chunk: PreparedChunk) -> Verdicts:
        out = Verdicts()
        source_no = chunk.source_no
        name = self.names[source_no]
        for bad in chunk.bad:
            out.refuse(Place(name, source_no, bad.row), Identity("", "", ""), [bad.issue])
        for unsound in chunk.unsound:
            place, identity = Place(name, source_no, unsound.row), unsound.identity
            out.refuse(place, identity, unsound.issues, kind="enter" if all(identity) else "rejected")
        self._conflicts.note_unsound(source_no, chunk.unsound)
        rows = self._conflicts.without_known_keys(out, self._sound(chunk))
        for sound in self._conflicts.without_known_tokens(out, rows):
            self._decide_row(out, sound)
        self._decided = self._decided or bool(out.rows)
        self._spool.add(out.rows, out.problems, out.warnings)
        self._take_samples(out)
        return out

    def _sound(self, chunk: PreparedChunk) -> list[PlannedRow]:
        """The sound rows of a chunk with their entries."""
        name, source_no = self.names[chunk.source_no], chunk.source_no
        entries = self._ledger.entries([row.identity for row in chunk.sound]) if self._ledger else repeat(None)
        return [
            PlannedRow(Place(name, source_no, row.row), row, RowFacts(row.fingerprint, row.scheme), entry)
            for row, entry in zip(chunk.sound, entries, strict=False)
        ]

    def _decide_row(self, out: Verdicts, row: PlannedRow) -> None:
        taint = self._conflicts.taint_of(row)
        if row.entry and row.entry.state is State.CREATED:
            row.facts = self._with_history(row)
        decision = decide(row.facts, row.entry, changed=self._policy.changed, only=self._policy.only)
        self._heads.update(change_heads(decision))
        if taint is not None and decision.action is Action.POST:
            out.refuse(row.place, row.identity, [taint], kind="enter")
            return
        if decision.action in (Action.POST, Action.PATCH) and self._judge_refuses(out, row, decision.action):
            return
        out.decide(row, decision.action, decision.kind)
        if decision.issue:
            out.problems.append(ProblemRow(row.place, row.identity, decision.issue))

    def _judge_refuses(self, out: Verdicts, row: PlannedRow, action: Action) -> bool:
        """Hold a row that is to be sent against its provider: errors refuse it, warnings are noted."""
        errors, warnings = self._objections(row, action)
        if errors:
            # a name that nobody knows and that could be a key is neither stored nor shown
            hidden = errors[0].code is Code.UNKNOWN_PROVIDER and not may_be_named(row.identity.provider)
            identity = row.identity._replace(provider="") if hidden else row.identity
            out.refuse(row.place, identity, errors, kind="rejected" if hidden else "enter")
            return True
        out.warnings += [ProblemRow(row.place, row.identity, issue) for issue in warnings]
        return False

    def _objections(self, row: PlannedRow, action: Action) -> tuple[list[Issue], list[Issue]]:
        """What its provider has against a row: errors (with --strict all of it), and warnings."""
        findings, more = row.prepared.objections, row.prepared.app_objections
        if more and action is not Action.PATCH:
            findings = [*findings, *more]
        if not findings:
            return [], []
        errors = rejecting(findings, strict=self._policy.strict)
        return errors, [] if errors else [found.issue for found in findings]

    def _jobs(self, rows: Iterable[tuple[PlannedRow, Action]]) -> list[Job]:
        return [self._job(row, action, row.prepared.body) for row, action in rows if row.prepared.body is not None]

    def _job(self, row: PlannedRow, action: Action, body: Body) -> Job:
        entry = row.entry
        return Job(
            place=row.place,
            identity=row.identity,
            action=action,
            body=body,
            fingerprint=row.facts.fingerprint.dump(),
            refresh_digest=row.refresh_digest,
            mask=masks(row.facts, entry) if entry and action in (Action.PATCH, Action.LOOK) else None,
            connection_id=entry.connection_id if entry else None,
            whole_mask=whole_mask(row.facts),
            once_there=self._once_there(row) if action is Action.LOOK else None,
            unsure=bool(entry and entry.op_fingerprint),
            objections=self._objections(row, action)[0] if action is Action.LOOK else (),
            doubt=bool(entry and entry.doubt),
            settle_at=(entry and entry.settle_at) or 0.0,
        )

    def _once_there(self, row: PlannedRow) -> Decision | None:
        if row.entry is None or row.entry.fingerprint is None:
            return None
        return decide_once_there(self._with_history(row), row.entry, self._policy.changed)

    def _with_history(self, row: PlannedRow) -> RowFacts:
        """The facts of a row, with whether its credentials are an older version of what the connection holds."""
        wanted, entry = row.facts.fingerprint.dump(), row.entry
        if self._ledger is None or entry is None or not entry.fingerprint or entry.fingerprint == wanted:
            return row.facts
        return row.facts._replace(superseded=self._ledger.is_superseded(row.identity, wanted))

    def _take_samples(self, out: Verdicts) -> None:
        """Keep one decoded time and one scope list, so that a wrong unit is seen before anything is sent."""
        for row, _ in out.to_send:
            if len(self._samples) == 2:
                return
            ends, scopes = row.prepared.expires_at, row.prepared.scopes
            if ends is not None:
                expires_at = f"{datetime.fromtimestamp(ends, UTC):%Y-%m-%d %H:%M:%S UTC}"
                self._samples.setdefault("time", f"{row.place}: the access token expires {expires_at}")
            if scopes and all(map(reads_as_a_scope, scopes)):
                self._samples.setdefault("scopes", f"{row.place}: scopes {', '.join(scopes)}"[:120])
