"""An answer as a value: what came back, or that nothing trustworthy did.

Problem documents are RFC 9457 with the platform's own members (`retryable`, `retryAfter`, `remedy`, `issues`,
`causes`, `requestId`). A gateway's HTML, an empty body and broken JSON are answers too. Whatever the server says is
cleaned of the row's credentials here, before anything else can see it: validation problems echo what was sent.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any, Generic, NamedTuple, TypeVar

from importer.redaction import BLOT, WITHHELD, blot, looks_like_a_token, withhold

T = TypeVar("T", covariant=True)

SEARCHED = 20_000
"""Characters of one text that are looked at; what lies behind them is not shown either."""

TEXT_LIMIT = 500
"""Characters of one text of a server that are kept."""


class Fate(StrEnum):
    """What became of one request on the wire."""

    ANSWERED = "answered"
    LOST = "lost"
    NEVER_LEFT = "never_left"


@dataclass(frozen=True, slots=True)
class ProblemIssue:
    """One field the server objects to."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What a server says of a request it did not carry out; every text is cleaned of credentials."""

    text: str = ""
    remedy: str = ""
    request_id: str = ""
    retryable: bool | None = None
    issues: Sequence[ProblemIssue] = ()


class Answer(NamedTuple, Generic[T]):
    """What came back for one request. `value` is what was asked for, None where it is not there or not readable.

    `retry_after_s` is the longest of the server's wishes, in seconds from now. `why` says in our words what happened
    to a request without an answer; `timed_out` that it may still be at work at the server.
    """

    fate: Fate
    status: int | None = None
    value: T | None = None
    problem: Problem | None = None
    retry_after_s: float | None = None
    why: str = ""
    timed_out: bool = False
    latency_s: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether it holds what was asked for."""
        return self.value is not None

    @property
    def redirected(self) -> bool:
        """Whether it points elsewhere, where neither the key nor a token is ever sent: another try changes nothing."""
        return self.status is not None and 300 <= self.status < 400


def _nobodys(_: str) -> bool:
    return False


def read_problem(
    status: int,
    content: bytes,
    secrets: Callable[[], Sequence[str]],
    is_of_another_row: Callable[[str], bool] = _nobodys,
) -> Problem:
    """The problem document in an answer's body; a body that is none becomes a Problem that says so.

    Texts follow the order of the platform's own client: `causes`, else `detail`, else `title`. One that repeats a
    piece of one of `secrets` is withheld as a whole, a word that looks like another row's credential by itself.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        kind = "an empty body" if not content.strip() else "a body that is no problem document"
        return Problem(text=f"HTTP {status} with {kind}")
    hidden = secrets()

    def said(value: Any) -> str:
        if isinstance(value, list):
            value = "; ".join(part for part in value if isinstance(part, str))
        if not isinstance(value, str):
            return ""
        value = value[:SEARCHED].encode("utf-8", "replace").decode()  # half a surrogate pair could not be written down
        # compared as it came: folding blanks first would take a credential apart that holds some
        return " ".join(withhold(value, hidden).split())[:TEXT_LIMIT]

    def text(value: Any) -> str:
        shown = said(value)
        return shown if shown == WITHHELD else blot(shown, is_of_another_row)

    found = document.get("issues")
    issues = [entry for entry in found if isinstance(entry, dict)][:20] if isinstance(found, list) else []
    retryable, request_id = document.get("retryable"), said(document.get("requestId"))
    return Problem(
        text=text(document.get("causes"))
        or text(document.get("detail"))
        or text(document.get("title"))
        or f"HTTP {status}",
        remedy=text(document.get("remedy")),
        # often hexadecimal, and so not looked at as closely
        request_id=BLOT if looks_like_a_token(request_id) or is_of_another_row(request_id) else request_id,
        retryable=retryable if isinstance(retryable, bool) else None,
        issues=[
            # never `value`: it is what we sent
            ProblemIssue(
                text(entry.get("name")),
                text(entry.get("causes")) or text(entry.get("detail")) or text(entry.get("title")),
            )
            for entry in issues
        ],
    )


READ_HEADERS = frozenset({b"date", b"retry-after", b"x-amp-retry-after"})
"""The headers of an answer that are read, in lower case."""


def read_retry_after(headers: Mapping[str, str], content: bytes, now: float) -> float | None:
    """Seconds the server asks to wait, the longest of its wishes; None where it has none.

    `Retry-After` is seconds or a date (RFC 9110 section 10.2.3), `X-Amp-Retry-After` a date, `retryAfter` in a problem
    document an RFC 3339 instant. Instants are read against the server's own `Date`, so that a wrong clock on this
    machine does no harm. What cannot be read is no wish.
    """
    server_now = _instant(headers.get("date", "")) or now
    wishes = [_wait(headers.get(name, ""), server_now) for name in ("retry-after", "x-amp-retry-after")]
    if b'"retryAfter"' in content:
        try:
            document = json.loads(content)
            wishes.append(_wait(str(document.get("retryAfter")), server_now))
        except (ValueError, AttributeError, RecursionError):
            pass
    known = [wish for wish in wishes if wish is not None]
    return max(known) if known else None


def _wait(text: str, server_now: float) -> float | None:
    text = text.strip()
    if text.isascii() and text.replace(".", "", 1).isdigit():
        return float(text[:12])
    instant = _instant(text)
    return None if instant is None else max(0.0, instant - server_now)


def _instant(text: str) -> float | None:
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = parse(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
    return None
