"""What a plan found and what a run came to, as values: for the screen, for summary.json and for the exit code."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from importer.decide import Decision
from importer.errors import ConfigError, Exit, ImporterError
from importer.online import PreflightSummary
from importer.outcomes import Code, Issue, Outcome
from importer.records import Place
from importer.spool import TO_SEND, Action, ProviderRows, Spool, Table

MASS_CHANGE_SHARE = 0.2
MASS_CHANGE_ROWS = 20
"""More changed rows than this number and this share of the done ones look like a wrong column, not like a night."""


MOST_KINDS = 200
"""Kinds of problems that a plan tells apart; the screen has the commonest of them, `--json` all."""


@dataclass(frozen=True, slots=True)
class CommonProblem:
    """One kind of problem: how many rows have it, and the first of them."""

    count: int
    example: Place
    issue: Issue

    def as_json(self) -> dict[str, Any]:
        """The same as one object."""
        issue = self.issue
        return {
            "count": self.count, "code": issue.code, "field": issue.field, "source": self.example.source,
            "row": self.example.row, "message": issue.reason, "fix": issue.fix,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class PlanSummary:
    """What a plan pass found. `to_send` rows need a request; the heads add up to `read`."""

    sources: Sequence[str]
    read: int
    to_send: int
    new: int
    changed: int
    unfinished: int
    done: int
    duplicate: int
    rejected: int
    held_back: int
    by_provider: Sequence[ProviderRows]
    problems: int
    common: Sequence[CommonProblem]
    newly_changed: int = 0
    """Changed rows that are patched, or that are reported for the first time."""
    warnings: int = 0
    common_warnings: Sequence[CommonProblem] = ()
    notes: Sequence[str] = ()
    samples: Sequence[str] = ()
    complete: bool = True
    skipped: int = 0
    """Rows of other types, which a preset leaves out: they are read, and in no report."""
    online: PreflightSummary | None = None
    """What the platform said, where it was asked."""

    @property
    def known(self) -> int:
        """Rows that were done before, changed or not."""
        return self.done + self.changed

    @property
    def is_mass_change(self) -> bool:
        """Whether so many of them look changed that `run` would send nothing without a yes."""
        return looks_like_a_mass_change(self.newly_changed, self.known)

    @property
    def exit_code(self) -> Exit:
        """What `plan` ends with: 2 where `run` would send nothing without a yes."""
        if self.is_mass_change:
            return Exit.USAGE
        return Exit.ROWS_NEED_A_FIX if self.problems else Exit.DONE

    def as_json(self) -> dict[str, Any]:
        """The same as one object."""
        heads = ("new", "changed", "unfinished", "done", "duplicate", "rejected", "held_back", "skipped")
        return {
            "sources": list(self.sources),
            "read": self.read,
            "complete": self.complete,
            "to_send": self.to_send,
            "rows": {head: getattr(self, head) for head in heads},
            "providers": _by_name(self.by_provider),
            "mass_change": self.is_mass_change,
            "problems": self.problems,
            "common": [common.as_json() for common in self.common],
            "warnings": self.warnings,
            "common_warnings": [common.as_json() for common in self.common_warnings],
            "notes": list(self.notes),
            "samples": list(self.samples),
            **({"online": self.online.as_json()} if self.online else {}),
        }  # fmt: skip


def _by_name(providers: Sequence[ProviderRows]) -> dict[str, dict[str, Any]]:
    """Provider -> its rows, and the same for each auth scheme of them."""
    found: dict[str, dict[str, Any]] = {}
    for rows in providers:
        counts = {name: n for name, n in asdict(rows).items() if isinstance(n, int)}
        of_provider = found.setdefault(rows.provider, dict.fromkeys(counts, 0) | {"schemes": {}})
        for name, n in counts.items():
            of_provider[name] += n
        of_provider["schemes"][rows.scheme or "unknown"] = counts
    return found


def summarise_plan(
    spool: Spool,
    sources: Sequence[str],
    *,
    notes: Sequence[str],
    samples: Sequence[str],
    complete: bool,
    skipped: int = 0,
) -> PlanSummary:
    """Count what the plan pass left in the spool."""
    counts = spool.counts()
    by_action = Counter[Action]()
    kinds = Counter[str]()
    for (action, kind), n in counts.items():
        by_action[action] += n
        if action not in (Action.REJECTED, Action.DUPLICATE, Action.NOT_SENT):
            kinds[kind] += n
    return PlanSummary(
        sources=sources,
        read=by_action.total() + skipped,
        to_send=sum(by_action[action] for action in TO_SEND),
        new=kinds["new"],
        changed=kinds["changed"] + kinds["stale"],
        unfinished=kinds["unfinished"],
        done=kinds["done"],
        duplicate=by_action[Action.DUPLICATE],
        rejected=by_action[Action.REJECTED],
        held_back=by_action[Action.NOT_SENT],
        by_provider=spool.by_provider(),
        problems=spool.problem_count(),
        common=_common(spool, sources, "problems"),
        newly_changed=counts.get((Action.PATCH, "changed"), 0) + spool.problem_count(Code.CHANGED, Code.STALE),
        warnings=spool.warning_count(),
        common_warnings=_common(spool, sources, "warnings"),
        notes=notes,
        samples=samples,
        complete=complete,
        skipped=skipped,
    )


def _common(spool: Spool, sources: Sequence[str], table: Table) -> list[CommonProblem]:
    return [
        CommonProblem(n, Place(sources[source_no], source_no, row), issue)
        for n, source_no, row, issue in spool.worst(MOST_KINDS, table)
    ]


def change_heads(decision: Decision) -> Iterator[str]:
    """What a decision about a row counts for in the comparison with the last run: `known`, `newly_changed`."""
    if decision.kind in ("done", "changed", "stale"):
        yield "known"
        if decision.action is Action.PATCH or decision.issue:
            yield "newly_changed"


def looks_like_a_mass_change(newly_changed: int, known: int) -> bool:
    """Whether suspiciously many of the done rows look changed: more than 20, and more than a fifth."""
    return newly_changed > max(MASS_CHANGE_ROWS, MASS_CHANGE_SHARE * known)


class MassChange(ConfigError):
    """Suspiciously many done rows look changed: none of the changes is sent."""


def refuse_a_mass_change(newly_changed: int, known: int) -> None:
    """Stop before a change is sent where suspiciously many done rows look changed. Raises MassChange."""
    if looks_like_a_mass_change(newly_changed, known):
        raise MassChange(
            f"{newly_changed:,} of {known:,} done rows look changed, more than a night's work: none of them was sent",
            hint="Compare the mapping and the export with the last run. If the changes are meant, run with --yes.",
        )


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run came to: summary.json, and why it stopped early where it did. `to_fix` problems need a person."""

    run_id: str
    outcomes: Counter[Outcome]
    read: int
    complete: bool
    requests: int
    throttled: int
    elapsed_s: float
    problems: int
    to_fix: int
    common: Sequence[CommonProblem] = ()
    stopped: ImporterError | None = None
    skipped: int = 0
    sent: bool = True
    """Whether any row was sent, or may have been."""

    @property
    def rate(self) -> float:
        """Requests per second over the whole run."""
        return self.requests / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def exit_code(self) -> int:
        """5 (or what stopped it) wins over 3, 3 over 4. 2 says that nothing was sent: on the way it is 5."""
        if self.stopped:
            code = self.stopped.exit_code
            return Exit.STOPPED if code is Exit.USAGE and self.sent else code
        if self.to_fix:
            return Exit.ROWS_NEED_A_FIX
        return Exit.ROWS_LEFT if self.outcomes[Outcome.FAILED] or self.outcomes[Outcome.UNKNOWN] else Exit.DONE

    def as_json(self) -> dict[str, Any]:
        """The content of summary.json."""
        document: dict[str, Any] = {
            "run_id": self.run_id,
            "exit_code": int(self.exit_code),
            "outcomes": {outcome.value: self.outcomes[outcome] for outcome in Outcome},
            "read": self.read,
            "skipped": self.skipped,
            "complete": self.complete,
            "problems": self.problems,
            "requests": self.requests,
            "throttled": self.throttled,
            "elapsed_s": round(self.elapsed_s, 3),
            "rate": round(self.rate, 2),
        }
        if self.stopped:
            document["stopped"] = {"message": str(self.stopped), "fix": self.stopped.hint}
        return document
