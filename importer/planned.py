"""A sound row on its way through the plan, and what the rows of a chunk became."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from importer.decide import RowFacts
from importer.ledger.base import Entry, ProblemRow
from importer.outcomes import Issue
from importer.preparing import PreparedRow
from importer.records import Identity, Place
from importer.spool import TO_SEND, Action, SpooledRow


@dataclass(slots=True)
class PlannedRow:
    """One sound row: what was prepared of it, and where the ledger has it."""

    place: Place
    prepared: PreparedRow
    facts: RowFacts
    entry: Entry | None = None

    @property
    def identity(self) -> Identity:
        """The key of its connection."""
        return self.prepared.identity

    @property
    def key(self) -> bytes:
        """The digest of that key."""
        return self.prepared.key

    @property
    def refresh_digest(self) -> bytes | None:
        """The digest of its refresh token."""
        return self.prepared.refresh_digest


@dataclass(slots=True)
class Verdicts:
    """What a chunk's rows became: lines for the spool, and the sound rows that something is sent for."""

    rows: list[SpooledRow] = field(default_factory=list)
    problems: list[ProblemRow] = field(default_factory=list)
    warnings: list[ProblemRow] = field(default_factory=list)
    to_send: list[tuple[PlannedRow, Action]] = field(default_factory=list)

    def decide(self, row: PlannedRow, action: Action, kind: str) -> None:
        """This is done with a sound row, and `kind` is what it is counted as."""
        place, sent = row.place, action in TO_SEND
        self.rows.append(
            SpooledRow(
                place.source_no, place.row, action, row.identity, row.entry.connection_id if row.entry else None, kind,
                row.facts.fingerprint.dump() if action is Action.CHANGED else None,
                row.facts.scheme, row.prepared.freshness if sent else 0,
            )
        )  # fmt: skip
        if sent:
            self.to_send.append((row, action))

    def refuse(self, place: Place, identity: Identity, issues: Sequence[Issue], kind: str = "rejected") -> None:
        """A row is not sent, for these reasons; of the kind `enter` it is rejected in the ledger too."""
        self.rows.append(SpooledRow(place.source_no, place.row, Action.REJECTED, identity, kind=kind))
        self.problems += [ProblemRow(place, identity, issue) for issue in issues]
