"""What the values of a column look like: told from its cells, and said without showing them.

A cell may be a credential, an id or an address, so a look speaks of kinds, lengths and formats. The exceptions are
times (decoded), the keys of JSON objects, and a handful of words that are known for what they are.
"""

import json
import math
import re
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum
from numbers import Integral, Real
from typing import Any

from importer.catalog import Catalog
from importer.inspection.names import PROVIDER_NAMES, TYPE_WORDS, WORD_NAMES, is_usual
from importer.inspection.providers import is_code, is_known
from importer.inspection.times import epochs, spans, written_times
from importer.inspection.wording import is_id_name, squeezed, words_of
from importer.mapping.cells import Fault, is_blank, is_python_repr
from importer.mapping.ciphertext import RULES, encrypted_json, fault_of
from importer.mapping.json_cells import loads
from importer.mapping.schemes import WORDS
from importer.outcomes import Code
from importer.redaction import describe, looks_like_a_token


class Kind(StrEnum):
    """What the cells of a column are."""

    EMPTY = "empty"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    DECIMAL = "decimal"
    EPOCH = "epoch"
    DURATION = "duration"
    TIME = "time"
    TOKEN = "token"  # noqa: S105 - a word
    OPAQUE = "opaque"
    JWT = "jwt"
    PRIVATE_KEY = "private_key"
    CIPHERTEXT = "ciphertext"
    MASK = "mask"
    NOTHING = "nothing"
    UUID = "uuid"
    EMAIL = "email"
    URL = "url"
    HOST = "host"
    WORD = "word"
    LIST = "list"
    OBJECT = "object"
    JSON = "json"
    SERIALIZED = "serialized"
    BYTES = "bytes"
    TEXT = "text"
    MIXED = "mixed"


_PLURAL = {
    Kind.EMPTY: "empty",
    Kind.BOOLEAN: "yes or no",
    Kind.INTEGER: "integers",
    Kind.DECIMAL: "decimal numbers",
    Kind.TIME: "times",
    Kind.TOKEN: "tokens",
    Kind.OPAQUE: "opaque texts",
    Kind.JWT: "JWTs",
    Kind.PRIVATE_KEY: "private keys",
    Kind.CIPHERTEXT: "encrypted",
    Kind.MASK: "masks, not the values",
    Kind.NOTHING: "words for nothing, such as null",
    Kind.UUID: "UUIDs",
    Kind.EMAIL: "e-mail addresses",
    Kind.URL: "URLs",
    Kind.HOST: "host names",
    Kind.WORD: "words",
    Kind.LIST: "lists",
    Kind.OBJECT: "JSON objects",
    Kind.JSON: "JSON, no objects",
    Kind.SERIALIZED: "serialized",
    Kind.BYTES: "bytes",
    Kind.TEXT: "texts",
}

MOST_WORDS = 12
"""Different words that are listed, at most; and so many keys of an object."""

LONGEST_KEY, MOST_PARTS = 24, 5
"""Characters and words of an object's key, up to which it is a name and may be shown."""

_KEY_WORD = re.compile(r"[a-z]{1,16}[0-9]{0,3}|[0-9]{1,2}")

MOST = 0.9
"""The share of cells that must be of one kind, for the column to be of it."""

_LENGTH_TOLD = {Kind.TOKEN, Kind.OPAQUE, Kind.JWT, Kind.PRIVATE_KEY, Kind.CIPHERTEXT, Kind.TEXT, Kind.WORD, Kind.MASK}
_NUMBER_TOLD = {Kind.INTEGER, Kind.UUID, Kind.EMAIL, Kind.URL, Kind.HOST, Kind.TEXT, Kind.OPAQUE, Kind.WORD}
_JOINED = {
    Kind.DECIMAL: {Kind.INTEGER, Kind.DECIMAL},
    Kind.LIST: {Kind.LIST, Kind.WORD, Kind.URL, Kind.HOST},
    Kind.TEXT: {Kind.INTEGER, Kind.DECIMAL, Kind.WORD, Kind.TEXT, Kind.OPAQUE, Kind.HOST, Kind.BOOLEAN, Kind.TIME},
    Kind.OPAQUE: {Kind.INTEGER, Kind.WORD, Kind.OPAQUE, Kind.HOST, Kind.UUID},
    Kind.WORD: {Kind.INTEGER, Kind.WORD, Kind.HOST, Kind.BOOLEAN},
}
"""What a column is whose cells are now of one kind and now of another: a list of one scope looks like a word."""

_WORDY = {Kind.WORD, Kind.OPAQUE, Kind.TEXT}
"""What a column may be whose cells are names of providers, or of kinds and states."""

_TOKEN_PATH = "oauth2AuthorizationCode.accessToken.token"  # noqa: S105 - a path
_RULE_OF = {rule.fault: rule.name for rule in reversed(RULES)}
_ENCRYPTED = {rule.fault for rule in RULES if rule.fault.code is Code.ENCRYPTED}

_SHAPES: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    (Kind.INTEGER, re.compile(r"[+-]?[0-9]{1,30}")),
    (Kind.DECIMAL, re.compile(r"[+-]?[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]{1,2})?")),
    (Kind.BOOLEAN, re.compile(r"(?i:true|false|yes|no|t|f)")),
    (Kind.UUID, re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")),
    (Kind.EMAIL, re.compile(r"[^@\s:/]+@[^@\s:/]+\.[^@\s]+")),
    (Kind.URL, re.compile(r"https?://\S+")),
    (Kind.TIME, re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ].*)?")),
    (Kind.JWT, re.compile(r"eyJ[\w-]+\.[\w-]+(\.[\w-]*)?")),
    (Kind.PRIVATE_KEY, re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*", re.DOTALL)),
)
"""Kind -> the whole of a text of it; the first that fits counts."""

_HOST = re.compile(r"(?:[a-z0-9-]+\.)+[a-z]{2,}")
_SALESFORCE = re.compile(
    r"^(?:https?://)?[\w.-]+\.(?:salesforce|lightning\.force)\.com(?::[0-9]+)?(?:[/?#]|$)", re.IGNORECASE
)
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.!-]{0,40}")
_PART = r"(?:https?://[\w./-]+|[a-z][\w.:/*-]*)"
_SEPARATORS = {" ": "blanks", ",": "commas", ", ": "commas", "|": "|", ";": ";", "+": "+"}
_LIST = {mark: re.compile(rf"{_PART}(?:{re.escape(mark)}{_PART})+") for mark in _SEPARATORS}


@dataclass(frozen=True, slots=True)
class Look:
    """What a column's cells are. `said` is that in words; `details` the same for a program.

    `words` are the different values that may be shown, `unknown` counts the others beside them. `shape` is what a
    mapping needs to read them: `format` and `zone` of times, `split` of lists, `scheme` of ciphertext, `label_of` of
    addresses.
    """

    kind: Kind
    said: str
    details: Mapping[str, Any] = field(default_factory=dict)
    words: Sequence[str] = ()
    unknown: int = 0
    shape: Mapping[str, str] = field(default_factory=dict)

    @property
    def brief(self) -> str:
        """The same without examples and counts."""
        return re.sub(r", e\.g\. .*|, (?:all|[0-9,]+) different|, always the same", "", self.said)


def look_at(name: str, cells: list[Any], catalog: Catalog | None = None) -> Look:
    """The look of a column; its name decides where its cells leave a doubt, as an id and an epoch do.

    Of its words, names of the `catalog` may be shown too.
    """
    filled = [cell.strip() if isinstance(cell, str) else cell for cell in cells if not is_blank(cell)]
    if not filled:
        return Look(Kind.EMPTY, "empty")
    kinds = Counter(map(kind_of, filled))
    most = _common(kinds, len(filled))
    if most is Kind.MIXED:
        return _mixed(kinds, len(filled))
    own = filled if most in _JOINED else [cell for cell in filled if kind_of(cell) is most]
    if most in _WORDY and (words := _words(name, own, catalog)):
        return words
    special = _SPECIAL.get(most)
    found = special(name, own) if special else None
    return found or _plain(most, own)


def _common(kinds: Counter[Kind], cells: int) -> Kind:
    """The kind that (nearly) all cells have, or that their kinds have in common."""
    most, count = kinds.most_common(1)[0]
    if count >= MOST * cells:
        return most
    return next((kind for kind, parts in _JOINED.items() if kinds.keys() <= parts and kinds[kind]), Kind.MIXED)


def kind_of(cell: Any) -> Kind:
    """What one cell, not blank, is by itself."""
    if not isinstance(cell, str):
        return _kind_of_typed(cell)
    for kind, shape in _SHAPES:
        if shape.fullmatch(cell):
            return kind
    if cell[0] in "{[":
        return _kind_of_json(cell)
    fault = fault_of(_TOKEN_PATH, cell)
    if fault is not None and _RULE_OF.get(fault) != "header":
        return _kind_of_fault(fault)
    if any(shape.fullmatch(cell) for shape in _LIST.values()):
        return Kind.LIST
    if looks_like_a_token(cell) or fault is not None:
        return Kind.TOKEN
    if _HOST.fullmatch(cell):
        return Kind.HOST
    if len(cell) >= 16 and " " not in cell and re.search(r"[0-9]", cell) and re.search(r"[A-Za-z]", cell):
        return Kind.OPAQUE
    return Kind.WORD if _WORD.fullmatch(cell) else Kind.TEXT


def _kind_of_typed(cell: Any) -> Kind:
    if isinstance(cell, dict):
        return Kind.CIPHERTEXT if encrypted_json(cell) else Kind.OBJECT
    if isinstance(cell, list | tuple) or type(cell).__name__ == "ndarray":
        return Kind.LIST if all(isinstance(item, str) for item in cell) else Kind.JSON
    known: tuple[tuple[Any, Kind], ...] = (
        (bool, Kind.BOOLEAN), (Integral, Kind.INTEGER), (Real | Decimal, Kind.DECIMAL), (date, Kind.TIME),
        (uuid.UUID, Kind.UUID), (bytes | bytearray | memoryview, Kind.BYTES),
    )  # fmt: skip
    return next((kind for types, kind in known if isinstance(cell, types)), Kind.TEXT)


def _kind_of_json(text: str) -> Kind:
    try:
        return _kind_of_typed(loads(text))
    except (ValueError, RecursionError):
        fault = fault_of(_TOKEN_PATH, text)
        return Kind.SERIALIZED if is_python_repr(text) else _kind_of_fault(fault) if fault else Kind.TEXT


def _kind_of_fault(fault: Fault) -> Kind:
    if fault.code is Code.ENCRYPTED:
        return Kind.CIPHERTEXT
    if fault.code is Code.MASKED:
        return Kind.MASK
    # "bearer" is what belongs into a column of types
    told = {"nothing": Kind.NOTHING, "json": Kind.TEXT, "header_alone": Kind.WORD}
    return told.get(_RULE_OF.get(fault, "json"), Kind.SERIALIZED)


def _mixed(kinds: Counter[Kind], total: int) -> Look:
    parts = [f"{count / total:.0%} {_PLURAL[kind]}".replace("%", " %") for kind, count in kinds.most_common(3)]
    return Look(Kind.MIXED, f"mixed: {', '.join(parts)}", {"kinds": {kind.value: n for kind, n in kinds.items()}})


def _plain(kind: Kind, cells: list[Any]) -> Look:
    """A look in words, lengths and numbers: nothing of a cell is shown."""
    said, details = _PLURAL[kind], dict[str, Any]()
    if kind in _LENGTH_TOLD:
        lengths = [len(cell) if isinstance(cell, str) else len(json.dumps(cell, default=str)) for cell in cells]
        details = {"shortest": min(lengths), "longest": max(lengths)}
        said += f" {_span(min(lengths), max(lengths))}"
    if len(cells) > 1 and all(cell == cells[0] for cell in cells):
        return Look(kind, f"{said}, always the same", details | {"different": 1})
    if kind in _NUMBER_TOLD:
        different = len(set(map(str, cells)))
        details["different"] = different
        if len(cells) > 1:
            said += ", all different" if different == len(cells) else f", {different:,} different"
    return Look(kind, said, details)


def _span(shortest: int, longest: int) -> str:
    return describe(" " * longest, "")[1:] if shortest == longest else f"of {shortest} to {longest} characters"


def _numbers(name: str, cells: list[Any]) -> Look | None:
    """Epochs and durations, which are integers too."""
    finite = [cell for cell in cells if isinstance(cell, Integral) or math.isfinite(float(cell))]
    numbers = [int(float(cell)) if "." in str(cell) else int(cell) for cell in finite]
    if not numbers:
        return None
    if span := spans(name, numbers):
        return Look(Kind.DURATION, span)
    found = None if is_id_name(name) else epochs(name, numbers)
    if found is None:
        return None
    details = {"format": found.format, "example": found.example}
    return Look(Kind.EPOCH, found.said, details, shape={"format": found.format})


def _times(_name: str, cells: list[Any]) -> Look | None:
    found = written_times(cells)
    if found is None:
        return None
    shape = {key: value for key, value in (("format", found.format), ("zone", found.zone)) if value}
    return Look(Kind.TIME, found.said, {"example": found.example, "has_zone": not found.zone, **shape}, shape=shape)


def _words(name: str, cells: list[Any], catalog: Catalog | None) -> Look | None:
    """The words that are known; the others are counted, for a column may be named wrongly.

    A column that is not named for words has them only where each is a provider.
    """
    different = {str(cell) for cell in cells}
    is_named = squeezed(name) in WORD_NAMES or squeezed(name) in PROVIDER_NAMES
    if not is_named and not all(is_known(word, catalog) for word in different):
        return None
    is_of_providers = squeezed(name) in PROVIDER_NAMES
    known = sorted(word for word in different if _is_open(word, catalog) or (is_of_providers and is_code(word)))
    unknown = len(different) - len(known)
    if not known:
        return None
    more = f", {len(known) - MOST_WORDS:,} more" if len(known) > MOST_WORDS else ""
    others = f" and {unknown:,} unknown" if unknown else ""
    said = f"words: {', '.join(known[:MOST_WORDS])}{more}{others}"
    return Look(Kind.WORD, said, {"words": known, "unknown_words": unknown}, known, unknown)


def _is_open(word: str, catalog: Catalog | None) -> bool:
    """Whether a word of a column that is named for words may be shown: a provider, a kind of sign-in, a state."""
    return word.casefold() in TYPE_WORDS or word in WORDS or is_known(word, catalog)


def _addresses(_name: str, cells: list[Any]) -> Look | None:
    """Addresses of which most are Salesforce's: a mapping cuts the workspace out of these alone."""
    count = sum(_SALESFORCE.search(cell) is not None for cell in cells)
    if 2 * count <= len(cells):
        return None
    plain = _plain(kind_of(cells[0]), cells)
    return replace(plain, details={**plain.details, "of_salesforce": count}, shape={"label_of": "salesforce"})


def _lists(_name: str, cells: list[Any]) -> Look | None:
    texts = [cell for cell in cells if isinstance(cell, str) and kind_of(cell) is Kind.LIST]
    if not texts:
        return Look(Kind.LIST, "lists of texts", {"separator": "none"})
    if all(text.startswith("[") for text in texts):
        return Look(Kind.LIST, "lists, written as JSON", {"separator": "json"}, shape={"split": "json"})
    mark = Counter(mark for text in texts for mark, shape in _LIST.items() if shape.fullmatch(text)).most_common(1)[0][
        0
    ]
    split = mark.strip() or " "
    return Look(Kind.LIST, f"lists, separated by {_SEPARATORS[mark]}", {"separator": split}, shape={"split": split})


def _objects(_name: str, cells: list[Any]) -> Look | None:
    objects = [loads(cell) if isinstance(cell, str) else cell for cell in cells]
    keys = [key for key, _ in Counter(key for one in objects for key in one).most_common() if is_safe_key(key)]
    more = f" and {len(keys) - MOST_WORDS} more" if len(keys) > MOST_WORDS else ""
    shown = keys[:MOST_WORDS]
    return Look(Kind.OBJECT, f"JSON objects{': ' if shown else ''}{', '.join(shown)}{more}", {"keys": shown})


def is_safe_key(key: Any) -> bool:
    """Whether a key of an object is a name that may be shown, and not data: a usual one, or a few short words."""
    if not isinstance(key, str) or not re.fullmatch(r"[A-Za-z_][\w.-]{0,40}", key) or looks_like_a_token(key):
        return False
    words = words_of(key)
    is_short = len(key) <= LONGEST_KEY and len(words) <= MOST_PARTS and all(map(_KEY_WORD.fullmatch, words))
    return is_short or is_usual(key)


def _ciphertext(_name: str, cells: list[Any]) -> Look | None:
    faults = [encrypted_json(c) if isinstance(c, dict) else fault_of(_TOKEN_PATH, c) or _envelope(c) for c in cells]
    fault, _ = Counter(fault for fault in faults if fault in _ENCRYPTED).most_common(1)[0]
    rule = _RULE_OF[fault]
    plain = _plain(Kind.CIPHERTEXT, cells)
    shape = {"scheme": rule} if rule in ("laravel", "rails", "fernet") else {}
    return Look(Kind.CIPHERTEXT, f"{fault.reason.removeprefix('this is ')}", {"by": rule, **plain.details}, shape=shape)


def _envelope(text: str) -> Fault | None:
    value = loads(text) if text.startswith("{") else None
    return encrypted_json(value) if isinstance(value, dict) else None


def _serialized(_name: str, cells: list[Any]) -> Look | None:
    fault = fault_of(_TOKEN_PATH, cells[0])
    return Look(Kind.SERIALIZED, fault.reason.removeprefix("this was ").removeprefix("this is ")) if fault else None


_SPECIAL = {
    Kind.INTEGER: _numbers,
    Kind.DECIMAL: _numbers,
    Kind.TIME: _times,
    Kind.URL: _addresses,
    Kind.HOST: _addresses,
    Kind.LIST: _lists,
    Kind.OBJECT: _objects,
    Kind.CIPHERTEXT: _ciphertext,
    Kind.SERIALIZED: _serialized,
    Kind.TEXT: _times,
}
