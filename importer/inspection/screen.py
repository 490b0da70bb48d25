"""What a look found, in words: one readable screen."""

import shlex
from collections.abc import Iterator, Sequence

from importer.inspection import Inspection
from importer.inspection.columns import Column

WIDEST_NAME = 40
"""Characters that a name may have before it pushes its line to the right."""


def screen(found: Inspection, again: Sequence[str]) -> Iterator[str]:
    """The lines of the screen; `again` are the words that name the source once more, for the next command."""
    yield f"{found.source}: {_columns(found)}, {_rows(found)}"
    names = [_name(column) for column in found.columns]
    width = min(WIDEST_NAME, max(map(len, names)))
    for name, column in zip(names, found.columns, strict=True):
        yield f"  {name:<{width}}  {_percent(column.share):>5}  {_looks(column)}"
    yield ""
    if not found.named:
        yield "the names do not read like names, so none is shown: does the first line hold the names of the columns?"
        yield ""
    elif hidden := len({column.name for column in found.columns if not column.named}):
        one = "1 name could be a key, so it is" if hidden == 1 else f"{hidden} names could be keys, so they are"
        yield f"{one} not shown, and not in the mapping: does the first line hold the names of the columns?"
        yield ""
    if found.mapping_toml:
        yield from found.mapping_toml
        yield ""
    yield from verdict(found)
    yield f"next: {shlex.join(['importer', *_next(found, again)])}"


def verdict(found: Inspection) -> Iterator[str]:
    """What the rows that were looked at come to, in a few lines."""
    trial = found.trial
    if found.canonical:
        lacking = ", but none of them names the provider" if trial.obstacle else ""
        yield f"the columns have the canonical names, so no mapping is needed{lacking}"
    if found.fit:
        yield f"preset {found.fit.preset} fits: {found.fit.reason}"
    if trial.obstacle:
        if not found.canonical:
            yield f"something is missing yet: {trial.obstacle}"
            yield f"  {trial.obstacle.hint}"
        return
    others = f", {trial.skipped:,} of other types are skipped" if trial.skipped else ""
    yield f"{trial.good:,} of the {_counted(trial.rows, 'row')} looked at can be sent so{others}"
    for count, issue in trial.problems:
        field = f" in {issue.field}" if issue.field else ""
        yield f"  {count:,} × {issue.code}{field}: {issue.reason}"


def _next(found: Inspection, again: Sequence[str]) -> list[str]:
    """The next command: the plan, or a config with the mapping first."""
    if found.canonical and found.trial.obstacle:
        return ["plan", *again, "--provider", "NAME"]
    if found.fit and again[0] != "-c":
        return ["plan", *again, "--preset", found.fit.preset]
    return ["plan", *again] if found.canonical or again[0] == "-c" else ["init", "--from", *again]


def _columns(found: Inspection) -> str:
    return _counted(sum(column.json is None for column in found.columns), "column")


def _rows(found: Inspection) -> str:
    looked = f"{'all' if found.complete else 'the first'} {_counted(found.rows, 'row')} looked at"
    bad = f", {_counted(found.bad_rows, 'row')} cannot be read" if found.bad_rows else ""
    more = f", {_counted(found.further, 'more file')} not" if found.further else ""
    return f"{looked}{bad}{more}"


def _name(column: Column) -> str:
    return column.shown if column.json is None else f"{'  ' * column.depth}{column.json}"


def _looks(column: Column) -> str:
    stored = "" if column.stored == "text" or column.json is not None else f"{column.stored}: "
    return f"{stored}{column.look.said}"


def _percent(share: float) -> str:
    """A share in whole percent; 100 and 0 mean all and none."""
    rounded = round(share * 100)
    return f"{min(max(rounded, 1), 99) if 0 < share < 1 else rounded} %"


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"
