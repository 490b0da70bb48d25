"""The problems of a run by provider and reason, each with a few of its rows: what somebody reads first."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from importer.ledger.base import ProblemRow
from importer.outcomes import Issue, gist

EXAMPLES = 3

MOST_GROUPS = 1_000
"""Kinds that are told apart; what comes behind them is counted as one."""

Kind = tuple[str, str, str]
"""Provider, code and field."""


@dataclass(slots=True)
class Group:
    """One kind of problem of one provider: how many, the first rows, and what is wrong with the first of them."""

    provider: str
    issue: Issue
    count: int = 0
    examples: list[ProblemRow] = field(default_factory=list)

    @property
    def kind(self) -> Kind:
        """What a later run knows it by."""
        return self.provider, self.issue.code, self.issue.field


def grouped(problems: Iterable[ProblemRow]) -> tuple[list[Group], int]:
    """The groups, the largest first, and how many problems are in none of them for there being too many kinds."""
    groups: dict[tuple[Kind, str], Group] = {}
    rest = 0
    for problem in problems:
        issue, provider = problem.issue, problem.identity.provider
        key = (provider, issue.code, issue.field), gist(issue.reason)
        group = groups.get(key)
        if group is None:
            if len(groups) >= MOST_GROUPS:
                rest += 1
                continue
            group = groups[key] = Group(provider, issue)
        group.count += 1
        if len(group.examples) < EXAMPLES:
            group.examples.append(problem)
    return sorted(groups.values(), key=lambda group: -group.count), rest


def counted(problems: Iterable[ProblemRow]) -> Counter[Kind]:
    """How many problems of each kind there are."""
    return Counter((problem.identity.provider, problem.issue.code, problem.issue.field) for problem in problems)
