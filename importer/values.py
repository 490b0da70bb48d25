"""The value of a setting as the type it has, and what is said where it does not fit. Standard library only."""

import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from importer.errors import ConfigError


def typed_value(value: Any, hint: Any, limits: Mapping[str, Any], name: str, where: str) -> Any:
    """A value from a TOML file, the environment or a flag as the type its setting has; flags are text, numbers too.

    `hint` is the setting's annotation, `limits` its bounds (`above`, `least`), `name` and `where` are for the message.
    Raises ConfigError.
    """
    for kind in _kinds(hint):
        fitted = _fit(value, kind)
        if fitted is not None:
            if isinstance(fitted, float | int):
                _check_limits(fitted, limits, name, where)
            return fitted
    raise ConfigError(f"{name} in {where} is {_shown(value, name)}", hint=f"Give {_kind_name(hint)}.")


def _shown(value: Any, name: str) -> str:
    """What may be said of a value that does not fit: not where a key or a password could stand by mistake."""
    if name in _SENSITIVE and value != "" and not isinstance(value, int | float):
        return f"a {'text' if isinstance(value, str) else 'list'} that does not fit"
    if isinstance(value, int) and abs(value) > _LARGEST:
        return "a number without end"  # Python refuses to write out more than some thousand digits
    return f"{value!r:.40}"


_LARGEST = 2**53
"""What a whole number may be at most: no setting needs as much, and beyond it no float tells it from the next."""

_SENSITIVE = frozenset(
    {"api.url", "api.api_key_env", "api.api_key_file", "api.api_key_command", "api.api_key_keyring",
     "ledger.url", "source.paths", "source.url_env", "source.query"}
)  # fmt: skip


def _fit(value: Any, kind: Any) -> Any:
    """`value` as `kind`, or None where it does not fit."""
    if typing.get_origin(kind) is Literal:
        return value if value in typing.get_args(kind) else None
    if typing.get_origin(kind) is tuple:
        items = [value] if isinstance(value, str) else value
        return tuple(items) if isinstance(items, list | tuple) and all(isinstance(i, str) for i in items) else None
    if typing.get_origin(kind) is Mapping:
        return dict(value) if isinstance(value, Mapping) and _are_texts(value.values()) else None
    if kind in (int, float) and not isinstance(value, bool):
        try:
            number = kind(value) if isinstance(value, str | kind) or kind is float else None
        except (TypeError, ValueError, OverflowError):
            return None
        is_one = number is not None and number == number and (kind is float or abs(number) <= _LARGEST)
        return number if is_one else None
    if kind is str:
        return value if isinstance(value, str) and value else None
    return None


def _are_texts(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) and value for value in values)


def _check_limits(number: float, limits: Mapping[str, Any], name: str, where: str) -> None:
    if "above" in limits and number <= limits["above"]:
        raise ConfigError(f"{name} is {number:g} in {where}", hint=f"Give a number above {limits['above']}.")
    if "least" in limits and number < limits["least"]:
        raise ConfigError(f"{name} is {number:g} in {where}", hint=f"Give {limits['least']} or more.")
    if number == float("inf"):
        raise ConfigError(f"{name} is infinite in {where}", hint="Give a number.")


def _kinds(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)


_KINDS = {int: "a whole number", float: "a number", str: "a text", Mapping: "a table of texts"}


def _kind_name(hint: Any) -> str:
    names: list[str] = []
    for kind in _kinds(hint):
        if typing.get_origin(kind) is Literal:
            names += [f'"{word}"' for word in typing.get_args(kind)]
        elif kind is not types.NoneType:
            names.append(_KINDS.get(typing.get_origin(kind) or kind, "a list of texts"))
    return " or ".join(names)
