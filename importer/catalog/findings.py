"""What a rule says, and what it is told of a provider."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from pydantic import SecretStr

from importer.api.models import GenerateRequest
from importer.api.wire import _plain as reveal  # the one place that reveals a secret
from importer.catalog.info import Input, ProviderInfo
from importer.outcomes import Code, Issue, Stage


class Severity(StrEnum):
    """Whether a finding rejects its row."""

    ERROR = "error"
    WARNING = "warning"


class Finding(NamedTuple):
    """One thing the catalog has against a row; the issue's field is a path in the request."""

    severity: Severity
    issue: Issue


Findings = Sequence[Finding]
NOTHING: Findings = ()


@dataclass(frozen=True, slots=True)
class Sheet:
    """A provider prepared for the rows of one module: what it needs, the names it knows, the rules that concern it."""

    info: ProviderInfo
    inputs: tuple[Input, ...]
    metadata_names: frozenset[str]
    custom_names: frozenset[str]
    rules: tuple["Rule", ...]


Rule = Callable[[Sheet, GenerateRequest, datetime], Findings]
"""Looks at one request at one moment."""


def error(field: str, code: Code, reason: str, fix: str) -> Finding:
    """A finding that rejects its row: it will be refused, or can never work."""
    return Finding(Severity.ERROR, Issue(field, code, reason, fix, Stage.PLAN))


def warning(field: str, code: Code, reason: str, fix: str) -> Finding:
    """A finding that may be meant so."""
    return Finding(Severity.WARNING, Issue(field, code, reason, fix, Stage.PLAN))


def blank(field: str, provider: str, *, is_the: str = "") -> Finding:
    """The finding for a part of a credential that is nothing but white space."""
    fix = f"Write {is_the} here." if is_the else "Fill it in."
    return error(field, Code.MISSING_VALUE, f"this is blank, and {provider} needs it", fix)


def is_blank(secret: SecretStr) -> bool:
    """Whether a secret is empty or nothing but white space: the models refuse only an empty one."""
    text: str = reveal(secret)
    return not text or text.isspace()
