"""The value in a JSON document that a path addresses. Loaded where a mapping has such a path."""

from collections.abc import Callable
from typing import Any

import jsonpath
from jsonpath.selectors import NameSelector
from jsonpath.token import TOKEN_DDOT

from importer.errors import ConfigError
from importer.mapping.cells import Fault
from importer.mapping.json_cells import BROKEN
from importer.outcomes import Code

_LONGEST_PATH = 500
"""Characters of a JSONPath: the parser is recursive, and no path to one value is as long."""


class _Paths(jsonpath.JSONPathEnvironment):
    """JSONPath by its RFC, without what takes a time that no cell should cost.

    `match` and `search` take a regex, of which some try for ever on a cell of a hundred characters; each `..` visits
    all that the one before has found.
    """

    def setup_function_extensions(self) -> None:
        """All functions of the RFC but these two."""
        super().setup_function_extensions()
        for name in ("match", "search"):
            del self.function_extensions[name]

    def compile(self, path: str) -> Any:
        """A query. Raises JSONPathError."""
        if len(path) > _LONGEST_PATH:
            raise jsonpath.JSONPathError(f"it has more than {_LONGEST_PATH} characters")
        if sum(token.kind == TOKEN_DDOT for token in self.lexer.tokenize(path)) > 1:
            raise jsonpath.JSONPathError("it has more than one ..")
        try:
            return super().compile(path)
        except jsonpath.JSONPathError:
            raise
        except (OverflowError, ValueError):  # which the library lets out, of [?@ == 1e310] and of [1e3]
            raise jsonpath.JSONPathError("it has a number that cannot stand there") from None


_PATHS = _Paths(strict=True)  # the library's own additions to the RFC have regexes, too


def finder(path: str) -> Callable[[Any], Any]:
    """What finds the one value that a JSONPath (RFC 9535) addresses: None where nothing matches. Raises ConfigError."""
    try:
        query = _PATHS.compile(path)
    except jsonpath.JSONPathError as error:
        reason = str(error.args[0]).partition("\n")[0]  # str(error) fails itself where the path is empty
        raise ConfigError(
            f"{path[:80]!r} is no JSONPath: {reason}", hint='Write it like json = "$.token.refresh_token".'
        ) from None
    names = _names(query)

    def walk(value: Any) -> Any:
        for name in names or ():
            value = value.get(name) if isinstance(value, dict) else None
        return value

    def find(value: Any) -> Any:
        try:
            matches = query.findall(value) if isinstance(value, dict | list) else []
        except (jsonpath.JSONPathError, RecursionError):  # nested too deeply for a path with ..
            return BROKEN
        if len(matches) > 1:
            return Fault(
                Code.BAD_JSON, f"{path} matches {len(matches)} values here", "Write a path to exactly one value."
            )
        return matches[0] if matches else None

    def find_or_pass(value: Any) -> Any:
        if value is None or isinstance(value, Fault):
            return value
        return walk(value) if names is not None else find(value)

    return find_or_pass


def _names(query: Any) -> list[str] | None:
    """The names of a plain path such as $.a.b, which is nearly every one; None for any other.

    Such a path is walked here: the library takes 11 to 20 µs for a cell, half of what all else costs for the row.
    """
    selectors = [s for segment in getattr(query, "segments", ()) for s in segment.selectors]
    plain = isinstance(query, jsonpath.JSONPath) and query.singular_query()
    return [s.name for s in selectors] if plain and all(isinstance(s, NameSelector) for s in selectors) else None
