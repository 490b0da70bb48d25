"""What a ledger keeps and what may be asked of it, whatever it is written in.

A ledger is written to by values: each says one thing that happened, and `apply` puts a batch of them on disk, all or
nothing. A batch costs one commit, which is what makes an intent before every request affordable.

What is made once a row is a NamedTuple: a frozen dataclass of thirteen fields takes five times as long to make.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from importer.outcomes import Issue, Outcome, State
from importer.records import Identity, Place, Target


class Entry(NamedTuple):
    """Where one connection stands. Times are seconds since the epoch; digests are keyed with the ledger's key."""

    identity: Identity
    state: State
    fingerprint: bytes | None = None
    refresh_digest: bytes | None = None
    connection_id: str | None = None
    ours: bool | None = None
    posts: int = 0
    doubt: bool = False
    sent_at: float | None = None
    settle_at: float | None = None
    op_fingerprint: bytes | None = None
    reported: bytes | None = None
    run_id: str | None = None


class Move(NamedTuple):
    """An entry goes to state `to`, if TRANSITIONS allows it from where it is. None leaves a value as it was.

    `posts` is added. An entry that is not there yet is made, as if it had been pending.
    With `if_allowed`, a move that is forbidden leaves the entry alone instead of raising.
    """

    identity: Identity
    to: State
    at: float
    run_id: str | None = None
    fingerprint: bytes | None = None
    refresh_digest: bytes | None = None
    connection_id: str | None = None
    ours: bool | None = None
    posts: int = 0
    doubt: bool | None = None
    sent_at: float | None = None
    settle_at: float | None = None
    if_allowed: bool = False


@dataclass(frozen=True, slots=True)
class PatchIntent:
    """A PATCH towards `fingerprint` is about to be sent; the entry stays `created` with its old fingerprint."""

    identity: Identity
    fingerprint: bytes
    at: float


@dataclass(frozen=True, slots=True)
class PatchEnd:
    """The PATCH was answered: carried out (the fingerprint moves, the old one is superseded) or refused (it stays).

    `unsure` says that an earlier one may have been carried out: then nobody knows what the connection holds.
    """

    identity: Identity
    carried_out: bool
    at: float
    refresh_digest: bytes | None = None
    unsure: bool = False


@dataclass(frozen=True, slots=True)
class Superseded:
    """Credentials of a key that newer ones in the same run replaced: a row that brings them back is stale."""

    identity: Identity
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Forget:
    """A rolled-back or missing entry may be posted again: it is pending, and nothing is known of a connection."""

    identity: Identity
    at: float


@dataclass(frozen=True, slots=True)
class Reported:
    """A change that cannot be patched was reported as an error: from the next run on it is none."""

    identity: Identity
    fingerprint: bytes


class Result(NamedTuple):
    """One line of results.csv. An identity may have blanks where a row had no ref that may be shown."""

    place: Place
    identity: Identity
    outcome: Outcome
    connection_id: str | None = None
    http_status: int | None = None
    attempts: int = 0
    finished_at: float | None = None
    issues: Sequence[Issue] = ()


Write = Move | PatchIntent | PatchEnd | Superseded | Forget | Reported | Result


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """One line of errors.csv."""

    place: Place
    identity: Identity
    issue: Issue
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """One use of the ledger. `summary` is what summary.json says, once the run has ended."""

    run_id: str
    verb: str
    pid: int
    host: str
    started_at: float
    ended_at: float | None = None
    exit_code: int | None = None
    summary: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Compared:
    """The rows with problems of one run beside those of the run before it, `run_id`.

    `newly_failing` had none then, `again` had some then too, `fixed` had some and are created now; `gone` had some and
    were not among the rows, or not yet done.
    """

    run_id: str
    started_at: float
    newly_failing: int
    again: int
    fixed: int
    gone: int


class Ledger(Protocol):
    """Keeps where every connection of a target stands. Raises LedgerError and its family, nothing else."""

    @property
    def key(self) -> bytes:
        """32 random bytes that key every digest of this ledger."""

    def project_id(self, api_root: str, given: str) -> str | None:
        """The id that a project's name or id had when it was last asked for."""

    def remember_project(self, api_root: str, given: str, project_id: str, at: float) -> None:
        """Keep what id a project's name or id has."""

    def pace(self) -> float | None:
        """The pace that this target was last found to allow, in requests per second."""

    def remember_pace(self, rate: float, at: float) -> None:
        """Keep the pace that this target was found to allow, for the next run to begin with."""

    def aim(self, target: Target) -> None:
        """Speak of this target's entries from now on."""

    def recover(self, at: float, settle_s: float) -> int:
        """Make `unknown` of every `sending` entry: its owner is gone. Returns how many. Only the lock's holder may."""

    def entries(self, identities: Sequence[Identity]) -> list[Entry | None]:
        """The entry of each identity, None where there is none, in the same order."""

    def holders(self, refresh_digests: Sequence[bytes]) -> dict[bytes, Identity]:
        """Which key of this target has, or may have, a connection with a refresh token."""

    def holder_of(self, connection_id: str) -> Identity | None:
        """The key of this target that a connection is known by."""

    def is_superseded(self, identity: Identity, fingerprint: bytes) -> bool:
        """Whether a later fingerprint replaced this one."""

    def in_state(self, states: Iterable[State]) -> Iterator[Entry]:
        """Every entry of the target in one of these states."""

    def posted_by(self, run_id: str) -> Iterator[Entry]:
        """Every created entry whose connection a run posted, and that is ours."""

    def apply(self, writes: Sequence[Write], run_id: str) -> None:
        """Put all of it on disk, or nothing. When it returns, it survives a power failure.

        Raises IllegalTransition for a forbidden move, LedgerLost when it cannot be written.
        """

    def start_run(self, run: Run, sources: Sequence[str]) -> None:
        """Note that a run began, and the names of its sources in their order."""

    def end_run(self, run_id: str, at: float, exit_code: int, summary: Mapping[str, Any]) -> None:
        """Note how it ended."""

    def keep_course(self, run_id: str, course: Mapping[str, Any]) -> None:
        """Keep how a run went over time, as JSON has it: for its report, which can be written anew."""

    def course(self, run_id: str) -> Mapping[str, Any] | None:
        """What `keep_course` kept of a run; None where nothing is known."""

    def compared(self, run_id: str) -> Compared | None:
        """What changed since the run before, of the same target and verb; None where there was none."""

    def runs(self, limit: int = 10) -> list[Run]:
        """The last runs, the newest first."""

    def is_run_of_target(self, run_id: str) -> bool:
        """Whether a run had to do with the target that is aimed at."""

    def counts(self) -> dict[State, int]:
        """How many entries stand where, over every target."""

    def progress(self, run_id: str, since: float) -> tuple[int, int]:
        """How many rows of a run have a result, and how many of them by an answer that came since (an epoch time).

        Those that were unchanged have none.
        """
        ...

    def results(self, run_id: str) -> Iterator[Result]:
        """The results of a run, in the order of its rows."""

    def problems(self, run_id: str) -> Iterator[ProblemRow]:
        """The problems of a run, in the order of its rows."""

    def common_problems(self, run_id: str, limit: int) -> list[tuple[int, ProblemRow]]:
        """The commonest problems of a run: how many rows have each, and the first of them."""

    def close(self) -> None:
        """Let go of it."""
