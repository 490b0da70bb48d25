"""A proposal as TOML to paste: a line for each field, with the reason behind it."""

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from importer.fields import FieldSpec
from importer.inspection.lines import Line, Proposal

REASONS_AT = 72
"""Column at which the reasons start, at most: a longer line has its reason two blanks behind its end."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def mapping_lines(proposal: Proposal) -> list[str]:
    """The lines of a `[mapping]`, its header first."""
    written = [(_assignment(line), line) for line in proposal.lines]
    width = max((len(text) for text, _ in written if len(text) <= REASONS_AT), default=0)
    return ["[mapping]", *(_with_reason(text, line, width) for text, line in written)]


def as_document(spec: FieldSpec) -> Any:
    """Where a field comes from, as the TOML reads when it is parsed: a column, or a table."""
    given = {f.name: found for f in fields(spec) if (found := getattr(spec, f.name)) not in (None, (), False)}
    return given["column"] if set(given) == {"column"} else given


def toml(value: Any) -> str:
    """A text, or a table of texts, as TOML on one line.

    What JSON escapes in a string is what TOML asks to be escaped (toml.io, "String"), but for DEL.
    """
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{_key(name)} = {toml(found)}' for name, found in value.items())} }}"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _assignment(line: Line) -> str:
    if line.spec is None:
        return ""
    text = f"{'.'.join(map(_key, line.path.split('.')))} = {toml(as_document(line.spec))}"
    return text if line.sure else f"# {text}"


def _with_reason(text: str, line: Line, width: int) -> str:
    if not text:
        return f"# ? {line.path}{': ' if line.path else ''}{line.why}"
    return f"{text:<{width}}  # {'' if line.sure else '? '}{line.why}"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else toml(name)
