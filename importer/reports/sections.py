"""The parts of report.html that are read from top to bottom: outcome, fixes, changes, plots, tokens."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from importer.errors import Exit
from importer.freshness import SOON_S
from importer.ledger.base import Compared, ProblemRow
from importer.outcomes import DONE, Outcome
from importer.reports.groups import Group, counted, grouped
from importer.reports.markup import Cell, Column, cell, legend, safe, table
from importer.reports.plots import plots

SHORTEST = 3
"""Slices of which something can be seen."""


@dataclass(frozen=True, slots=True)
class Head:
    """The top of the page: its title, and the outcome as markup."""

    title: str
    markup: str


def head(summary: Mapping[str, Any], started_at: float, course: Mapping[str, Any]) -> Head:
    """The outcome in one sentence, what to do next, a bar of outcomes, and the figures of the run."""
    outcomes = {Outcome(name): n for name, n in summary.get("outcomes", {}).items() if n}
    word, colour, follows = _STATES.get(summary.get("exit_code", Exit.STOPPED), _STATES[Exit.STOPPED])
    stopped = summary.get("stopped")
    sentence = outcome_sentence(outcomes)
    when = datetime.fromtimestamp(started_at, UTC)
    parts = [
        f'<p class="state"><b class="{colour}">{word}</b> · {when:%Y-%m-%d %H:%M} UTC{_of(course)}</p>\n',
        f"<h1>{sentence}</h1>\n",
    ]
    if stopped:
        parts.append(f'<p class="stopped">{safe(stopped["message"])}<br>{safe(stopped["fix"])}</p>\n')
    elif follows:
        parts.append(f"<p>{follows}</p>\n")
    parts += [_bar(outcomes), f'<p class="facts">{_figures(summary)}</p>\n']
    return Head(f"{word}: {sentence} ({when:%Y-%m-%d %H:%M} UTC)", "".join(parts))


_STATES: Mapping[int, tuple[str, str, str]] = {
    Exit.DONE: ("Done", "done", ""),
    Exit.ROWS_NEED_A_FIX: (
        "Rows need a fix", "fix", "Correct them as said below and run again: what is done stays done.",
    ),
    Exit.ROWS_LEFT: ("Rows are left", "left", "Run again: they are taken up where they were left."),
    Exit.STOPPED: ("Stopped early", "left", "Run again to go on: every row is where it was."),
}  # fmt: skip
"""What an exit code is called here, in which colour, and what follows from it."""


def outcome_sentence(outcomes: Mapping[Outcome, int]) -> str:
    """What the run came to, in one sentence."""
    total, done = sum(outcomes.values()), sum(n for outcome, n in outcomes.items() if outcome in DONE)
    if not total:
        return "No row was read."
    if outcomes.get(Outcome.UNCHANGED, 0) + outcomes.get(Outcome.DUPLICATE, 0) == total:
        return f"Nothing was to be done: {'the one row was' if total == 1 else f'all {total:,} rows were'} done before."
    if done == total:
        return f"{'The one row is' if total == 1 else f'All {total:,} rows are'} done."
    heads = (
        ((Outcome.REJECTED,), "{} rejected"),
        ((Outcome.CHANGED,), "{} changed and cannot be replaced"),
        ((Outcome.FAILED,), "{} failed"),
        ((Outcome.UNKNOWN,), "{} in doubt"),
        ((Outcome.NOT_SENT,), "{} not sent"),
    )
    others = [
        text.format(f"{n:,}") for kinds, text in heads if (n := sum(outcomes.get(outcome, 0) for outcome in kinds))
    ]
    return f"{done:,} of {total:,} rows {'is' if done == 1 else 'are'} done; {', '.join(others)}."


def _of(course: Mapping[str, Any]) -> str:
    sources: Sequence[str] = course.get("sources") or ()
    if not sources:
        return ""
    more = f" and {len(sources) - 1:,} more" if len(sources) > 1 else ""
    return f" · {safe(sources[0])}{more}"


def _bar(outcomes: Mapping[Outcome, int]) -> str:
    """A bar as wide as the page, a part of it for each outcome, with its numbers below."""
    total, at, parts = sum(outcomes.values()), 0.0, []
    if not total:
        return ""
    ordered = [(outcome, outcomes[outcome]) for outcome in Outcome if outcomes.get(outcome)]
    for outcome, n in ordered:
        width = 1_000 * n / total
        parts.append(f'<rect class="{outcome}" x="{at:.2f}" width="{max(width - 1.5, 1):.2f}" height="20"/>')
        at += width
    said = ", ".join(f"{n:,} {_word(outcome)}" for outcome, n in ordered)
    bar = (
        f'<svg class="bar" viewBox="0 0 1000 20" preserveAspectRatio="none" role="img" aria-label="Outcomes: {said}">'
        f"{''.join(parts)}</svg>\n"
    )
    return bar + legend((outcome, f"<b>{n:,}</b> {_word(outcome)}") for outcome, n in ordered) + "\n"


def _word(outcome: Outcome) -> str:
    return outcome.replace("_", " ")


def _figures(summary: Mapping[str, Any]) -> str:
    requests, throttled = summary.get("requests", 0), summary.get("throttled", 0)
    facts = [
        f"{duration(summary.get('elapsed_s', 0.0))}",
        f"{requests:,} requests, {summary.get('rate', 0.0):,.1f} a second",
        f"{throttled:,} refused for pace (429)" if throttled else "none refused for pace",
    ]
    if skipped := summary.get("skipped", 0):
        facts.append(f"{skipped:,} rows of other types skipped")
    return " · ".join(facts)


def duration(seconds: float) -> str:
    """A duration with the two units that matter."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {rest} s"


def fixes(problems: Iterator[ProblemRow], before: Iterator[ProblemRow]) -> str:
    """Problems by provider and reason, each with example rows and the fix; nothing where there is none."""
    groups, rest = grouped(problems)
    if not groups:
        return ""
    earlier = counted(before)
    columns = [
        Column("rows", number=True), Column("provider"), Column("what is wrong", wide=True),
        Column("what to do", wide=True), Column("for example", wide=True), Column("last run", number=True),
    ]  # fmt: skip
    rows = [_group_cells(group, earlier[group.kind]) for group in groups]
    caption = f"{len(groups):,} kinds of problems, the most frequent first."
    if rest:
        caption += f" {rest:,} problems of yet other kinds are in errors.csv."
    body = table(caption, columns, rows, choose=(1,))
    return f'<section aria-labelledby="fixes"><h2 id="fixes">What to fix</h2>\n{body}\n</section>\n'


def _group_cells(group: Group, earlier: int) -> list[Cell]:
    issue = group.issue
    where = f" in {safe(issue.field)}" if issue.field else ""
    examples = "".join(f"<small><bdi>{safe(one.place)}</bdi>{_whose(one)}</small>" for one in group.examples)
    return [
        cell(group.count),
        cell(group.provider or "not known"),
        Cell(f"<span><bdi>{safe(issue.reason)}</bdi><small><code>{safe(issue.code)}</code>{where}</small></span>"),
        Cell(f"<span>{safe(issue.fix)}</span>"),
        Cell(f"<span>{examples}</span>"),
        cell(earlier),
    ]


def _whose(problem: ProblemRow) -> str:
    refs = [ref for ref in problem.identity[1:] if ref]
    return f" <bdi>({' / '.join(map(safe, refs))})</bdi>" if refs else ""


def changes(summary: Mapping[str, Any], compared: Compared | None) -> str:
    """What changed since the last run; nothing where there was none."""
    if compared is None:
        return ""
    when = datetime.fromtimestamp(compared.started_at, UTC)
    created = summary.get("outcomes", {}).get(Outcome.CREATED, 0)
    lines = (
        (created, "newly created"),
        (compared.newly_failing, "newly failing: they had no problem then"),
        (compared.fixed, "fixed since: they had a problem then, and are created now"),
        (compared.again, "failing again: they had a problem then too"),
        (compared.gone, "had a problem then, and were not read or not finished now"),
    )
    items = "".join(f"<li><b>{n:,}</b> {words}</li>" for n, words in lines if n) or "<li>nothing changed</li>"
    return (
        '<section aria-labelledby="changes"><h2 id="changes">Since the last run</h2>\n'
        f"<p>Beside the run of {when:%Y-%m-%d %H:%M} UTC (<code>{safe(compared.run_id)}</code>), in rows:</p>\n"
        f'<ul class="changes">{items}</ul>\n</section>\n'
    )


def over_time(timeline: Mapping[str, Any] | None) -> str:
    """The plots, and their numbers as a table; for a run that was too short, a sentence."""
    heading = '<section aria-labelledby="course"><h2 id="course">Over time</h2>\n'
    if not timeline or not sum(timeline["requests"]):
        return ""
    whole = timeline["whole"]
    said = ""
    if whole["p50_ms"] is not None:
        said = (
            f"Half of the answers came within {_ms(whole['p50_ms'])}, 95 % within {_ms(whole['p95_ms'])}, "
            f"99 % within {_ms(whole['p99_ms'])}. "
        )
    if paused := sum(timeline["paused_s"]):
        said += f"Nothing was allowed to start for {duration(paused)}. "
    if not any(any(timeline[key]) for key in ("throttled", "failed", "again")):
        said += "No request was refused for pace or failed, and none was sent again."
    if len(timeline["requests"]) < SHORTEST:
        return f"{heading}<p>{said} The run was too short for a plot.</p>\n</section>\n"
    drawn = "\n".join(plots(timeline))
    return (
        f'{heading}<p>{said}</p>\n<div class="plots">{drawn}</div>\n'
        f"<details><summary>The numbers behind the plots</summary>{_slices(timeline)}</details>\n</section>\n"
    )


_SLICE_COLUMNS = {
    "requests": "requests", "allowed": "allowed a second", "paused_s": "paused, s", "throttled": "429", "failed":
    "failed", "again": "sent again", "p50_ms": "p50, ms", "p95_ms": "p95, ms", "p99_ms": "p99, ms",
}  # fmt: skip


def _slices(timeline: Mapping[str, Any]) -> str:
    width_s = timeline["width_s"]
    columns = [Column(name, number=True) for name in ("from, s", "rows finished", *_SLICE_COLUMNS.values())]
    finished = [sum(each) for each in zip(*timeline["finished"].values(), strict=True)]
    rows = [
        [
            cell(number * width_s),
            cell(finished[number] if finished else 0),
            *(cell(timeline[key][number]) for key in _SLICE_COLUMNS),
        ]
        for number in range(len(timeline["requests"]))
    ]
    return table(f"One line for each {width_s:g} s since sending began.", columns, rows)


def _ms(value: float) -> str:
    return f"{value / 1_000:,.3g} s" if value >= 1_000 else f"{value:,.3g} ms"


def tokens(providers: Sequence[Mapping[str, Any]] | None) -> str:
    """Tokens that will not serve long; nothing where no row with tokens was to be sent."""
    sent = [rows for rows in providers or () if rows["to_send"] and rows["scheme"] == "oauth2/authorizationCode"]
    if not sent:
        return ""
    heading = '<section aria-labelledby="tokens"><h2 id="tokens">Tokens</h2>\n'
    keys = ("expired", "expire_soon", "without_refresh_token")
    ailing = [rows for rows in sent if any(rows[key] for key in keys)]
    if not ailing:
        return (
            f"{heading}<p>Every token that was to be sent can be refreshed, and none ends within"
            f" {SOON_S / 3_600:.0f} hours.</p>\n</section>\n"
        )
    columns = [
        Column("provider"), Column("to send", number=True), Column("expired", number=True),
        Column("ends within a day", number=True), Column("without refresh token", number=True),
    ]  # fmt: skip
    rows = [[cell(one["provider"]), cell(one["to_send"]), *(cell(one[key]) for key in keys)] for one in ailing]
    caption = (
        "Access tokens of the rows that were to be sent. One without a refresh token ends with its access token:"
        " the customer has to log in again."
    )
    return f"{heading}{table(caption, columns, rows)}\n</section>\n"
