"""Words on a terminal or in a log: data on stdout, talk and progress on stderr, one object a line with `--json`.

Knows nothing of HTTP, SQL or files.
"""

import json
import os
import shlex
import shutil
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from importer.errors import ImporterError
from importer.events import Listener, Progress
from importer.ledger.base import Result
from importer.outcomes import Outcome
from importer.progress_line import duration, progress_format, progress_line
from importer.records import Target
from importer.spool import ProviderRows
from importer.summary import CommonProblem, PlanSummary, RunSummary

if TYPE_CHECKING:
    from tqdm import tqdm

SHOWN_KINDS = 5
"""Kinds of problems that are told one by one; `--json` and the reports have all."""

LOG_EVERY_S = 30.0
"""Seconds between two progress lines where nobody watches a terminal."""


class Console(Listener):
    """Says what a command does. `quiet` leaves out progress and talk; `as_json` prints objects and nothing else.

    Without `errors`, they are left to a log.
    """

    def __init__(
        self,
        *,
        as_json: bool = False,
        quiet: bool = False,
        errors: bool = True,
        out: IO[str] | None = None,
        talk: IO[str] | None = None,
    ) -> None:
        self._json = as_json
        self._quiet = quiet
        self._errors = errors
        self._out = out or sys.stdout
        self._talk = talk or sys.stderr
        self._bar: tqdm[Any] | None = None
        self._read = 0
        self._next_line = time.monotonic() + LOG_EVERY_S
        self._log_progress = Progress(None, 0, {}, 0, 0, 0, 0, 0, "", 0)

    # what a command found

    def plan(self, plan: PlanSummary, *, rate: float | str, report: str, command: Sequence[str]) -> None:
        """The plan on one screen: what is there, what would be sent, what is wrong and what to do next."""
        if self._json:
            duration_s = None if isinstance(rate, str) else round(plan.to_send / rate, 1)
            self.emit("summary", plan.as_json() | {"rate": rate, "duration_s": duration_s})
            return
        self._print(f"{_names(plan.sources)}: {_rows(plan.read)}{'' if plan.complete else ' read of more'}")
        self._print(f"  {_heads(plan)}")
        for line in _provider_lines(plan.by_provider):
            self._print(f"  {line}")
        if plan.to_send:
            self._print(f"  to send: {_rows(plan.to_send)}{_duration_at(plan.to_send, rate)}")
        for line in (*plan.samples, *plan.notes):
            self._print(f"  note: {line}")
        for line in plan.online.lines() if plan.online else ():
            self._print(f"  online: {line}")
        if plan.warnings:
            self._print(f"  {_counted(plan.warnings, 'warning')}: see {report.replace('errors', 'warnings')}")
            self._problems(plan.common_warnings, plan.warnings)
        self._problems(plan.common, plan.problems)
        if plan.problems:
            self._print(f"{_counted(plan.problems, 'problem')} in all: see {report}")
        if plan.is_mass_change:
            self._print(
                f"{plan.newly_changed:,} of {plan.known:,} done rows look changed, more than a night's work: "
                "compare the mapping and the export with the last run; run sends nothing of it without --yes"
            )
        elif plan.to_send:
            self._print(f"next: {shlex.join(command)}")

    def summary(self, summary: RunSummary, *, report: str, command: Sequence[str]) -> None:
        """What a run came to, what to fix and the next command."""
        self._end_bar()
        if self._json:
            self.emit("summary", summary.as_json())
            return
        counts = summary.outcomes
        shown = [Outcome.CREATED, Outcome.REJECTED, Outcome.FAILED, Outcome.UNKNOWN]
        shown += [o for o in Outcome if o not in shown and counts[o]]
        pace = f"{summary.elapsed_s:,.0f} s, {summary.rate:,.1f} requests/s"
        waits = f", {_counted(summary.throttled, 'refusal')} for pace" if summary.throttled else ""
        parts = [f"{o.value} {counts[o]:,}" for o in shown]
        parts += [f"skipped {summary.skipped:,}"] if summary.skipped else []
        self._print(f"{' · '.join(parts)}      {pace}{waits}")
        if summary.stopped:
            self.error(summary.stopped)
        self._problems(summary.common, summary.problems)
        if summary.problems:
            left = summary.problems - summary.to_fix
            parts = [f"{_counted(summary.to_fix, 'problem')} to fix"] if summary.to_fix else []
            parts += [f"{left:,} to try again"] if left else []
            self._print(f"{' and '.join(parts)}: see {report}")
        if counts[Outcome.FAILED] or counts[Outcome.UNKNOWN] or summary.stopped:
            self._print(f"next: {shlex.join(command)}")

    def rehearsed(self, summary: RunSummary, *, page: str) -> None:
        """What a rehearsal came to, for whoever plans the night."""
        rows = _rows(summary.read) if summary.complete else f"the first {_rows(summary.read)}"
        self.say(f"rehearsal: {rows} took {duration(summary.elapsed_s)}, and nothing left this machine; see {page}")

    def verified(self, found: Mapping[str, Any], *, report: str) -> None:
        """What a verification found."""
        if self._json:
            self.emit("summary", found)
            return
        shown = [
            f"{head.replace('_', ' ')} {count:,}"
            for head, count in found.items()
            if count and head not in ("run_id", "exit_code", "checked", "stopped")
        ]
        self._print(f"checked {found['checked']:,} rows of the ledger: {' · '.join(shown) or 'all is as it says'}")
        if found["strangers"]:
            self._print("  strangers: connections of the project that the ledger does not know")
        if any(found[head] for head in ("missing", "bad_credentials", "doubles", "unknown", "strangers")):
            self._print(f"each of them, and what to do: see {report}")

    def _problems(self, common: Sequence[CommonProblem], total: int) -> None:
        for problem in common[:SHOWN_KINDS]:
            issue = problem.issue
            field = f" in {_shortened(issue.field)}" if issue.field else ""
            self._print(f"  {problem.count:,} × {issue.code}{field}")
            self._print(f"      {'' if problem.count == 1 else 'e.g. '}{problem.example}: {issue.reason}")
            self._print(f"      {issue.fix}")
        shown = sum(problem.count for problem in common[:SHOWN_KINDS])
        if total > shown:
            self._print(f"  and {total - shown:,} more of other kinds")

    def say(self, text: str) -> None:
        """A line of talk: on stderr, and not at all with --quiet or --json."""
        if not self._quiet and not self._json:
            print(_fitted(text, self._talk), file=self._talk)

    def warn(self, text: str) -> None:
        """What should be seen to, though the command goes on: on stderr, and not at all with --quiet."""
        if not self._quiet:
            print(_fitted(f"warning: {text}", self._talk), file=self._talk)

    def warned(self, text: str) -> None:
        """See `Listener`."""
        self.warn(text)

    def data(self, text: str) -> None:
        """A line of what was asked for, on stdout."""
        self._print(text)

    def error(self, error: ImporterError) -> None:
        """What went wrong and what to do, a line each, on stderr; one object with --json."""
        self._end_bar()
        if self._json:
            self.emit("error", {"message": str(error), "fix": error.hint, "exit_code": int(error.exit_code)})
            return
        if not self._errors:
            return
        first, *rest = _fitted(f"error: {error}", self._talk).split("\n")
        print("\n".join([first.replace("error:", self._red("error:"), 1), *rest]), file=self._talk)
        if error.hint:
            print(_fitted(f"  {error.hint}", self._talk), file=self._talk)

    def emit(self, kind: str, document: Mapping[str, Any]) -> None:
        """One object a line on stdout."""
        print(json.dumps({"type": kind, **document}, ensure_ascii=False), file=self._out, flush=True)

    def emit_status(self, document: Mapping[str, Any]) -> None:
        """Where the ledger stands, with --json."""
        if self._json:
            self.emit("status", document)

    # what a run tells

    def started(self, run_id: str, target: Target, sources: Sequence[str]) -> None:
        """Which run, and against what."""
        if self._json:
            self.emit("start", {"run_id": run_id, "project_id": target.project_id, "sources": list(sources)})

    def planning(self, rows: int) -> None:
        """Rows read in the plan pass."""
        self._read += rows
        if self._watched:
            bar = self._bar or self._new_bar("reading", None)
            bar.update(rows)

    def planned(self, plan: PlanSummary) -> None:
        """What the plan pass found, before anything is sent."""
        self._end_bar()
        if plan.read:
            self.say(f"{_names(plan.sources)}: {_rows(plan.read)}, {_heads(plan)}")
        if plan.warnings:
            kinds = _join(f"{found.count:,} × {found.issue.code}" for found in plan.common_warnings[:SHOWN_KINDS])
            self.say(f"  {_counted(plan.warnings, 'warning')}: {kinds} (importer plan tells more)")
        for note in plan.notes:
            self.say(f"  note: {note}")

    def row(self, result: Result) -> None:
        """A finished row."""
        if self._json:
            place, identity = result.place, result.identity
            self.emit(
                "row",
                {
                    "source": place.source, "row": place.row, "provider": identity.provider,
                    "group_ref": identity.group_ref, "consumer_ref": identity.consumer_ref,
                    "outcome": result.outcome, "connection_id": result.connection_id, "attempts": result.attempts,
                },
            )  # fmt: skip

    def progress(self, progress: Progress) -> None:
        """The bar on a terminal; elsewhere a line now and then."""
        if self._json or self._quiet:
            if self._json and time.monotonic() >= self._next_line:
                self._next_line = time.monotonic() + LOG_EVERY_S
                self.emit("progress", _progress_json(progress))
            return
        if self._watched:
            bar = self._bar or self._new_bar("sending", progress.to_send)
            columns = shutil.get_terminal_size().columns - 1  # asked for each time: it may have been resized
            bar.ncols = columns
            bar.bar_format = progress_format(progress, columns, bar.format_dict["rate"])
            bar.update(progress.finished - bar.n)
            bar.refresh()
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + LOG_EVERY_S
            self.say(progress_line(progress, 200))

    @property
    def _watched(self) -> bool:
        dumb = os.environ.get("TERM") == "dumb"  # it cannot go back to the beginning of a line
        return self._talk.isatty() and not dumb and not self._quiet and not self._json

    def _new_bar(self, what: str, total: int | None) -> "tqdm[Any]":
        from tqdm import tqdm

        self._bar = tqdm(
            total=total, desc=what, unit=" rows", file=self._talk, dynamic_ncols=True, leave=False, mininterval=0.25,
            smoothing=0.1, ascii=None if _speaks_utf8(self._talk) else True,
        )  # fmt: skip
        return self._bar

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _print(self, text: str) -> None:
        if not self._json:
            print(_fitted(text, self._out), file=self._out)

    def _red(self, text: str) -> str:
        plain = os.environ.get("NO_COLOR") or not self._talk.isatty()
        return text if plain else f"\x1b[31m{text}\x1b[0m"


def _provider_lines(providers: Sequence[ProviderRows], most: int = 8) -> Iterator[str]:
    """A line for each provider and auth scheme: how many rows, and what is wrong with the tokens of those to send."""
    width = max((len(f"{found.provider} {found.scheme}") for found in providers[:most]), default=0)
    for found in providers[:most]:
        of_tokens = {
            "expired": found.expired,
            "expire within a day": found.expire_soon,
            "without refresh token": found.without_refresh_token,
        }
        tokens = ", ".join(f"{n:,} {what}" for what, n in of_tokens.items() if n)
        name = f"{found.provider} {found.scheme}"
        to_send = f", {found.to_send:,} to send" if found.to_send != found.rows else ""
        yield f"{name:<{width}}  {_rows(found.rows)}{to_send}{', access tokens: ' if tokens else ''}{tokens}"
    if more := len(providers) - most if len(providers) > most else 0:
        rows = sum(found.rows for found in providers[most:])
        yield f"and {more:,} more, with {_rows(rows)} (--json has all of them)"


def _heads(plan: PlanSummary) -> str:
    heads = {
        "new": plan.new,
        "changed": plan.changed,
        "unfinished": plan.unfinished,
        "already done": plan.done,
        "duplicate": plan.duplicate,
        "rejected": plan.rejected,
        "held back": plan.held_back,
        "skipped": plan.skipped,
    }
    return ", ".join(f"{n:,} {head}" for head, n in heads.items() if n) or "nothing to do"


def _progress_json(progress: Progress) -> dict[str, Any]:
    return {
        "to_send": progress.to_send,
        "finished": progress.finished,
        "outcomes": {outcome.value: n for outcome, n in progress.outcomes.items()},
        "waiting": progress.waiting,
        "rate": round(progress.rate, 2),
        "throttled": progress.throttled,
        "held_s": round(progress.held_s, 1),
        "elapsed_s": round(progress.elapsed_s, 1),
    }


def _duration_at(rows: int, rate: float | str) -> str:
    if isinstance(rate, str):
        return f", at the rate the API allows ({rate})"
    return f", about {duration(rows / rate)} at {rate:g} requests/s"


def _names(sources: Sequence[str]) -> str:
    return sources[0] if len(sources) == 1 else f"{len(sources):,} files"


def _join(parts: Any, most: int = 8) -> str:
    words = list(parts)
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


def _shortened(field: str) -> str:
    """The names of the columns a problem is about, the first three of them."""
    names = field.split(", ")
    return field if len(names) <= 3 else f"{', '.join(names[:3])} and {len(names) - 3} more"


def _rows(count: int) -> str:
    return _counted(count, "row")


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _fitted(text: str, stream: IO[str]) -> str:
    """A text whose lines break between words on a terminal; elsewhere as it is, for whatever searches it."""
    if not stream.isatty():
        return text
    columns = max(40, shutil.get_terminal_size().columns)
    return "\n".join(_broken(line, columns) for line in text.split("\n"))


def _broken(line: str, columns: int) -> str:
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    # a path or a command stays in one piece, to be copied
    return textwrap.fill(line, columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False,
                         replace_whitespace=False, drop_whitespace=True) if len(line) > columns else line  # fmt: skip


def _speaks_utf8(stream: IO[str]) -> bool:
    return (getattr(stream, "encoding", "") or "").lower().replace("-", "") == "utf8"
