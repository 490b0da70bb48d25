"""Where the rows of a JSON document are: in the document itself, in the list it holds, or where a path leads."""

import re
from collections.abc import Iterator
from typing import Any, Protocol

import ijson

from importer.errors import ConfigError, SourceError
from importer.outcomes import Code, Issue, Stage
from importer.redaction import may_be_a_key
from importer.sources.columns import is_data
from importer.sources.extended_json import DEEPEST as DEEPEST_VALUE
from importer.sources.extended_json import plain_object

DEEPEST = 12
"""Objects within objects, at most, in which a list is looked for."""

SHOWN = 6
"""Paths of lists that a hint names, at most."""

LIST_HINT = "Give JSON Lines, a list of objects, or one object that holds such a list."

Row = dict[str, Any] | Issue
"""A row's cells by name, or what is wrong with it."""

Names = tuple[str, ...]
"""A path from the top of a document: the names of what is passed on the way."""

_NO_OBJECT = Issue("", Code.BAD_JSON, "is no object, but another value", LIST_HINT, Stage.READ)

_TOO_DEEP = Issue(
    "", Code.BAD_JSON, f"holds values within values, more than {DEEPEST_VALUE} deep", LIST_HINT, Stage.READ
)

_STEP = r"""\.([\w@$-]+)|\['([^'\\]+)'\]|\["([^"\\]+)"\]"""
_NAME = re.compile(r"[A-Za-z]{1,20}(?:[_-][A-Za-z]{1,20}){0,4}")


class Readable(Protocol):
    """What ijson reads from."""

    def read(self, size: int) -> bytes:
        """About `size` bytes of UTF-8; none at the end. Raises SourceError where too many make no end of a value."""

    def begin(self) -> None:
        """A value begins."""


def names_of(path: str) -> Names:
    """The names in a path such as `$.result.items`. Raises ConfigError where it is none."""
    if not re.fullmatch(rf"\$(?:{_STEP})+", path):
        raise ConfigError(
            "source.records is no path of names",
            hint="""Write it like records = "$.result.items", and a name with blanks in it like $['my items'].""",
        )
    return tuple("".join(step) for step in re.findall(_STEP, path))


def holds_a_list(value: Any, depth: int = 0) -> bool:
    """Whether an object holds a list of objects, as the answer of an API does: itself, or an object in it."""
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], dict)
    if not isinstance(value, dict) or depth == DEEPEST:
        return False
    return any(holds_a_list(held, depth + 1) for held in value.values() if isinstance(held, dict | list))


class Document:
    """The rows of a document; each is built without the others, and what is no row is not built."""

    def __init__(self, name: str, stream: Readable, records: Names) -> None:
        self._name = name
        self._stream = stream
        self._records = records
        self._found = False
        self._lists: list[Names] = []

    def rows(self, *, is_list: bool = False) -> Iterator[Row]:
        """The elements of the list at `records`; without it, of the document that is a list, or of the one in it.

        With `records` there may be several documents after one another. Raises SourceError where there is no such list.
        """
        if is_list and not self._records:
            # five times as fast as `_elements`, but passes over a second list at the same place without a word
            for element in ijson.items(self._stream, "item"):
                yield self._row(element)
            return
        events = ijson.basic_parse(self._stream, multiple_values=bool(self._records))
        for event, _ in events:
            self._found = False
            yield from self._in_value(event, events, ())
            if not self._found:
                raise self._no_list()

    def _in_value(self, event: str, events: Iterator[Any], at: Names) -> Iterator[Row]:
        """The rows in the value that begins with this event."""
        if event == "start_array":
            yield from self._in_list(events, at)
        elif event == "start_map" and len(at) < DEEPEST:
            for inner, name in events:
                if inner == "end_map":
                    return
                yield from self._in_value(next(events)[0], events, (*at, name))
        else:
            self._pass_over(events, _DEPTH.get(event, 0))

    def _in_list(self, events: Iterator[Any], at: Names) -> Iterator[Row]:
        """The rows of the list that has just begun, if it is the one that is meant."""
        if at == self._records:
            self._found = True
            yield from self._elements(events)
            return
        event, value = next(events)
        if event == "start_map" and len(self._lists) < SHOWN:
            self._lists.append(at)
        if event == "start_map" and len(at) == 1 and not self._records:
            self._found_one()
            yield self._row(_value(event, value, events))
            yield from self._elements(events)
        else:
            self._pass_over(events, 1 + _DEPTH.get(event, 0))

    def _elements(self, events: Iterator[Any]) -> Iterator[Row]:
        """The elements of the list that has just begun, or what is left of it."""
        for event, value in events:
            if event == "end_array":
                return
            yield self._row(_value(event, value, events))

    def _row(self, element: Any) -> Row:
        self._stream.begin()
        if not isinstance(element, dict):
            return _NO_OBJECT
        try:
            return plain_object(element)
        except RecursionError:
            return _TOO_DEEP

    def _pass_over(self, events: Iterator[Any], depth: int) -> None:
        """Read on until the values that are open are closed."""
        while depth:
            self._stream.begin()
            depth += _DEPTH.get(next(events)[0], 0)

    def _found_one(self) -> None:
        if self._found:
            raise SourceError(
                f"{self._name} holds more than one list of objects",
                hint=f"Say which one has the rows: {self._choice('$.connections')}.",
            )
        self._found = True

    def _no_list(self) -> SourceError:
        if self._records:
            path = _as_path(self._records)
            hint = f"Perhaps {self._choice('')}." if any(map(_as_path, self._lists)) else LIST_HINT
            if () in self._lists:
                hint = "The document is itself a list: leave records out."
            return SourceError(f"{self._name} has no list at {path or 'the path in source.records'}", hint=hint)
        if self._lists:
            return SourceError(
                f"{self._name} is one object, and its list of objects lies deeper in it",
                hint=f"Say where: {self._choice('$.result.items')}; or name the file .jsonl if the object is a row.",
            )
        return SourceError(f"{self._name} is one object without a list of objects in it", hint=LIST_HINT)

    def _choice(self, otherwise: str) -> str:
        """The setting, with the paths of the lists that there are; no name that could be data is shown."""
        paths = [path for at in self._lists if (path := _as_path(at))] or [otherwise]
        return "records = " + " or ".join(f'"{path}"' for path in paths) + " under [source]"


def _as_path(names: Names) -> str:
    """The path of a list, where it consists of plain words; else an empty text."""
    is_plain = all(_NAME.fullmatch(name) and not is_data(name) and not may_be_a_key(name) for name in names)
    return ".".join(["$", *names]) if is_plain else ""


_DEPTH = {"start_map": 1, "start_array": 1, "end_map": -1, "end_array": -1}
"""How much deeper in nested values an event of ijson leads."""


def _value(event: str, value: Any, events: Iterator[Any]) -> Any:
    """The value that begins with this event."""
    builder = ijson.ObjectBuilder()
    builder.event(event, value)
    depth = _DEPTH.get(event, 0)
    while depth:
        event, value = next(events)
        builder.event(event, value)
        depth += _DEPTH.get(event, 0)
    return builder.value
