"""The lines of a proposal: a field of the request, the column it comes from, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from importer.fields import FieldSpec
from importer.inspection.columns import Column


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a proposal: a field, where it comes from, and why. One that is not `sure` is proposed as a comment.

    Without a `spec` it says what could not be found; without a `path` too, which columns are not used.
    """

    path: str
    spec: FieldSpec | None
    why: str
    sure: bool = True


@dataclass(frozen=True, slots=True)
class Proposal:
    """A mapping, line by line."""

    lines: Sequence[Line]

    @property
    def mapping(self) -> dict[str, FieldSpec]:
        """What is proposed for use, as `read_mapping` gives it."""
        return {line.path: line.spec for line in self.lines if line.spec and line.sure}

    @property
    def open(self) -> list[Line]:
        """What a person has to decide."""
        return [line for line in self.lines if not line.sure]


def spec_of(column: Column, **more: Any) -> FieldSpec:
    """Where a column's value comes from."""
    return FieldSpec(column=column.name, json=column.json, **more)


def named(column: Column) -> str:
    """Why a column was taken by its name: what its values look like speaks for it too."""
    return f"named so; {column.look.brief}"
