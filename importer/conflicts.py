"""What one row cannot know: that another row of the run, or of the ledger, has its key or its refresh token."""

from collections.abc import Sequence

from importer.api.wire import Digests
from importer.ledger.base import Ledger
from importer.outcomes import Code, Issue, Stage, State
from importer.planned import PlannedRow, Verdicts
from importer.preparing import UnsoundRow
from importer.records import Identity, Place
from importer.spool import Action, Seen, Spool, SpooledRow

UNSOUND = b""
"""In the place of the fingerprint of a row that cannot be sent."""


class Conflicts:
    """Leaves out rows whose key or token another one has. Of two rows in conflict in one pass, only the later one."""

    def __init__(
        self, spool: Spool, ledger: Ledger | None, digests: Digests, names: Sequence[str], *, one_pass: bool
    ) -> None:
        self._spool = spool
        self._ledger = ledger
        self._digests = digests
        self._names = names
        self._one_pass = one_pass
        self._tainted: dict[tuple[int, int], Place] = {}

    def note_unsound(self, source_no: int, unsound: Sequence[UnsoundRow]) -> None:
        """Keep the keys of rows that cannot be sent: a sound row of a later file takes the place of each."""
        keys = [
            (self._digests.identity(row.identity), UNSOUND, source_no, row.row) for row in unsound if all(row.identity)
        ]
        for at in self._spool.seen_keys(keys):
            self._spool.note_conflict(keys[at][0], source_no, keys[at][3])

    def without_known_keys(self, out: Verdicts, rows: list[PlannedRow]) -> list[PlannedRow]:
        """Leave out rows whose key came before; across files the later one counts instead."""
        keys = [(r.key, r.facts.fingerprint.dump(), r.place.source_no, r.place.row) for r in rows]
        known = self._spool.seen_keys(keys)
        if not known:
            return rows
        kept: list[PlannedRow] = []
        newer: dict[bytes, Seen] = {}  # keys that this chunk took over from an earlier row: its first row counts
        for at, row in enumerate(rows):
            seen = newer.get(row.key) or known.get(at)
            in_earlier_file = seen is not None and seen.source_no != row.place.source_no and not self._one_pass
            if seen and (in_earlier_file or seen.digest == UNSOUND):
                if not in_earlier_file:
                    self._spool.note_conflict(row.key, seen.source_no, seen.row)  # a later file takes its place too
                if in_earlier_file:
                    self._supersede(seen, row.key, keys[at][1])
                self._spool.take_key(keys[at])
                newer[row.key] = Seen(keys[at][1], row.place.source_no, row.place.row)
                seen = None
            if seen is None:
                kept.append(row)
            elif seen.digest == keys[at][1]:
                out.decide(row, Action.DUPLICATE, "duplicate")
            else:
                out.refuse(row.place, row.identity, [_conflict(self._name(seen))])
                self._spool.note_conflict(row.key, row.place.source_no, row.place.row)
        return kept

    def _supersede(self, seen: Seen, key: bytes, newer: bytes) -> None:
        """What earlier files say of a key does not count any more, and nor does what was wrong with it."""
        for source_no, row in ((seen.source_no, seen.row), *self._spool.take_conflicts(key)):
            if earlier := self._spool.get(source_no, row):
                self._spool.drop_problems(source_no, row)
                # what it brought is an older version from now on, should it ever come alone
                older = seen.digest if row == seen.row and seen.digest not in (UNSOUND, newer) else None
                gone = SpooledRow(
                    source_no, row, Action.DUPLICATE, earlier.identity, kind="duplicate", fingerprint=older
                )
                self._spool.add([gone])

    def without_known_tokens(self, out: Verdicts, rows: list[PlannedRow]) -> list[PlannedRow]:
        """Leave out rows whose refresh token another key brought too: it would log one of the two customers out."""
        bearing = [row for row in rows if row.refresh_digest]
        tokens = [(r.refresh_digest or b"", r.key, r.place.source_no, r.place.row) for r in bearing]
        known = self._spool.seen_tokens(tokens)
        holders = self._ledger.holders([token[0] for token in tokens]) if self._ledger else {}
        refused: set[int] = set()
        for at, row in enumerate(bearing):
            if row.entry and row.entry.state is State.CREATED:
                continue  # no token is sent for it, whoever else brings one
            seen, holder = known.get(at), holders.get(tokens[at][0])
            if seen and seen.digest != row.key and self._is_superseded(seen):
                self._spool.take_token(tokens[at])
                seen = None
            if seen and seen.digest != row.key:
                out.refuse(row.place, row.identity, [_shared_token(self._name(seen))], kind="enter")
                self._refuse_earlier(out, seen, row.place)
            elif holder and holder != row.identity:
                out.refuse(row.place, row.identity, [_shared_token(_ref_of(holder))], kind="enter")
            else:
                continue
            refused.add(id(row))
        return [row for row in rows if id(row) not in refused]

    def _is_superseded(self, seen: Seen) -> bool:
        """Whether a later file has replaced that row: then what it brought is nobody's any more."""
        row = self._spool.get(seen.source_no, seen.row)
        return row is not None and row.action is Action.DUPLICATE

    def _refuse_earlier(self, out: Verdicts, seen: Seen, later: Place) -> None:
        """The earlier of two rows with one token is refused too, if it is not sent or done yet."""
        if self._one_pass:
            return
        waiting = next((r for r in out.rows if (r.source_no, r.row) == (seen.source_no, seen.row)), None)
        earlier = waiting or self._spool.get(seen.source_no, seen.row)
        place = Place(self._names[seen.source_no], seen.source_no, seen.row)
        if earlier is None:  # in this very chunk and not decided yet
            self._tainted[(seen.source_no, seen.row)] = later
        elif earlier.action is Action.POST:
            out.refuse(place, earlier.identity, [_shared_token(str(later))], kind="enter")

    def taint_of(self, row: PlannedRow) -> Issue | None:
        """What a later row of the same chunk has brought against this one, asked once."""
        later = self._tainted.pop((row.place.source_no, row.place.row), None)
        return _shared_token(str(later)) if later else None

    def _name(self, seen: Seen) -> str:
        return f"{self._names[seen.source_no]} row {seen.row}"


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


SHARED_GROUP = Issue(
    "", Code.SHARED_GROUP, "the group has several consumers for this provider",
    "Usually right where each user connects an account of their own: then have installations name their connection, "
    "for one that names none takes the group's default.",
    Stage.PLAN,
)  # fmt: skip
"""Rule 12 of section 5 of the fact sheet about the API, a warning; only where the sources are read twice."""
