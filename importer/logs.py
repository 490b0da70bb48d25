"""Events for a log, one a line, as text or as JSON: what happened to which row in which run, and never a credential.

Only what a call names gets out. The text of an exception and whatever another library logs could hold a header, a
body or a row, and nobody can tell: of those the name, the level and the kind are written. That is also why the two
formatters are our own: those of the known packages write all that a record has.
"""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import IO, Literal

Field = str | int | float | bool | None

RUN_ID: ContextVar[str] = ContextVar("RUN_ID", default="")
"""The run that this task works for: in each of its events."""

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.,:/@+#%")


def event(log: logging.Logger, level: int, name: str, **fields: Field) -> None:
    """Log that something happened. `fields` are shown: name none that could hold a credential or a server's words."""
    if log.isEnabledFor(level):
        log.log(level, name, extra={"run_id": RUN_ID.get(), "fields": fields})


@contextmanager
def log_to(stream: IO[str], level: str | None = None, form: Literal["text", "json"] | None = None) -> Iterator[None]:
    """Write our events to `stream` from a level on; with neither level nor format given, none of them.

    Records of other libraries are kept off the stream but for one line that says that there was one: errors always,
    warnings where there is a log. (Without a handler at the root, logging would print them with all they hold.)
    """
    ours, root = logging.getLogger("importer"), logging.getLogger()
    logged = level is not None or form is not None
    formatter = _Json() if form == "json" else _Text()
    own, foreign = _handler(stream, formatter), _handler(stream, formatter)
    foreign.setLevel(logging.WARNING if logged else logging.ERROR)
    before = ours.level, ours.propagate
    ours.setLevel((level or "info").upper() if logged else logging.CRITICAL + 1)
    ours.propagate = False
    with _only(ours, own), _only(root, foreign):
        try:
            yield
        finally:
            ours.propagate = before[1]
            ours.setLevel(before[0])


@contextmanager
def _only(logger: logging.Logger, handler: logging.Handler) -> Iterator[None]:
    """Give the logger a handler in the place of those that an outer `log_to` gave it."""
    outer = [other for other in logger.handlers if isinstance(other, _Handler)]
    for other in outer:
        logger.removeHandler(other)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        for other in outer:
            logger.addHandler(other)


def _handler(stream: IO[str], formatter: logging.Formatter) -> logging.Handler:
    handler = _Handler(stream)
    handler.setFormatter(formatter)
    return handler


class _Handler(logging.StreamHandler[IO[str]]):
    """Writes lines, and says nothing where that fails: logging would print the record with all it holds."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        error = sys.exception()
        if isinstance(error, OSError):
            return  # the log's reader has gone, or its disk is full: the import goes on
        self.stream.write(f"a line of the log could not be written ({type(error).__name__} in {record.name})\n")


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether this package wrote it: another library's may hold a header or a body, and nobody can tell."""
    return record.name.partition(".")[0] == "importer"


def _facts(record: logging.LogRecord) -> dict[str, Field]:
    """What is shown of a record, in its order; of one that is not ours, that there was one."""
    time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    facts: dict[str, Field] = {"time": time, "level": record.levelname.lower()}
    fields = getattr(record, "fields", None)
    if _is_ours(record) and isinstance(fields, dict):
        run_id = getattr(record, "run_id", "")
        return facts | {"event": record.getMessage()} | ({"run_id": run_id} if run_id else {}) | fields
    error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
    return facts | {"event": "library", "logger": record.name, "error": error}


class _Json(logging.Formatter):
    """One object a line."""

    def format(self, record: logging.LogRecord) -> str:
        facts = {name: value for name, value in _facts(record).items() if value is not None}
        return json.dumps(facts)  # in ASCII: no control character and no line separator gets to a terminal


class _Text(logging.Formatter):
    """`time level event key=value …`, with quotes where a value is no plain word (the "logfmt" of many tools)."""

    def format(self, record: logging.LogRecord) -> str:
        facts = _facts(record)
        head = f"{facts.pop('time')} {facts.pop('level')!s:<7} {facts.pop('event')}"
        return " ".join([head, *(f"{name}={_word(value)}" for name, value in facts.items() if value is not None)])


def _word(value: Field) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if text and _PLAIN.issuperset(text) else json.dumps(text)
