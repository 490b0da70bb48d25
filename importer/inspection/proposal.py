"""The `[mapping]` that a file of no known kind probably needs: by the names of its columns and by how they look.

A proposal is read by a person before it is used, so each line says why it stands there, and what could not be found is
named. It is pure: it sees looks, and no cell.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from importer.catalog import Catalog
from importer.fields import FieldSpec
from importer.inspection.columns import Column
from importer.inspection.looks import Kind
from importer.inspection.names import is_safe_guess, rank, squeezed
from importer.inspection.providers import asked, is_known, translated
from importer.mapping.ciphertext import names_ciphertext
from importer.mapping.dates import EXPIRES_IN
from importer.mapping.schemes import WORDS

_TOKENS = "oauth2AuthorizationCode"
_ACCESS, _REFRESH = f"{_TOKENS}.accessToken", f"{_TOKENS}.refreshToken"
_CLIENT = "oauth2ClientCredentials"

_TEXTS = {Kind.WORD, Kind.TEXT, Kind.OPAQUE, Kind.HOST, Kind.MIXED}
_REFS = _TEXTS | {Kind.INTEGER, Kind.UUID, Kind.EMAIL}
_SECRETS = _TEXTS | {Kind.TOKEN, Kind.JWT, Kind.PRIVATE_KEY, Kind.UUID, Kind.CIPHERTEXT, Kind.INTEGER, Kind.EMPTY}
_SPOILT = {Kind.MASK, Kind.SERIALIZED, Kind.NOTHING, Kind.BYTES}
"""What stands where a credential should be, and cannot be used as it is."""

FITS: Mapping[str, Set[Kind]] = {
    "provider": _TEXTS,
    "groupRef": _REFS,
    "consumerRef": _REFS,
    "groupName": _TEXTS | {Kind.EMAIL},
    "consumerName": _TEXTS | {Kind.EMAIL},
    "authScheme": {Kind.WORD},
    "providerMetadata.workspace": _REFS - {Kind.EMAIL} | {Kind.URL},
    f"{_ACCESS}.token": _SECRETS | _SPOILT,
    f"{_REFRESH}.token": _SECRETS | _SPOILT,
    f"{_ACCESS}.expiresAt": {Kind.EPOCH, Kind.TIME, Kind.DURATION, Kind.EMPTY},
    f"{_REFRESH}.expiresAt": {Kind.EPOCH, Kind.TIME, Kind.DURATION, Kind.EMPTY},
    f"{_ACCESS}.issuedAt": {Kind.EPOCH, Kind.TIME},
    f"{_TOKENS}.scopes": _TEXTS | {Kind.LIST, Kind.URL, Kind.EMPTY},
    "apiKey": _SECRETS | _SPOILT,
    "basicAuth.username": _REFS,
    "basicAuth.password": _SECRETS | _SPOILT | {Kind.LIST, Kind.EMAIL, Kind.DECIMAL},
    f"{_CLIENT}.clientId": _REFS | {Kind.TOKEN},
    f"{_CLIENT}.clientSecret": _SECRETS | _SPOILT,
}
"""Field of the request -> the looks a column of it may have."""

_MISFITS = set(Kind) - {Kind.EMPTY, Kind.OBJECT}
"""Looks that are spoken of where they fit no field: an empty column loses nothing, and objects are looked into."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a proposal: a field, where it comes from, and why. One that is not `sure` is proposed as a comment.

    Without a `spec` it says what could not be found.
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


def propose(columns: Sequence[Column], catalog: Catalog | None, provider: str | None = None) -> Proposal:
    """The mapping for these columns; `provider` is that of the whole file, where it is known."""
    pool = _Pool(columns)
    credentials = list(_credentials(pool))
    refs = list(_refs(pool))
    lines = [*_provider(pool, catalog, provider), *refs, *_beside(pool), *credentials]
    return Proposal([*lines, *_misfits(pool, lines)])


def _misfits(pool: "_Pool", lines: Sequence[Line]) -> Iterator[Line]:
    """The columns that are named for a field that no other column fills, and do not look like it."""
    found = {line.path for line in lines if line.spec is not None and line.spec.column != "…"}
    has_tokens = any(path.startswith(_TOKENS) for path in found)
    for path in FITS:
        if path in found or (path.startswith(_TOKENS) and not path.endswith(".token") and not has_tokens):
            continue
        if column := pool.take(path, _MISFITS - FITS[path]):
            yield Line(path, spec_of(column), f"{column.look.brief}, not mapped", sure=False)


class _Pool:
    """The columns that no line has taken yet."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._left = list(columns)
        self._names = [column.own_name for column in columns]

    def best(self, path: str, kinds: Set[Kind] | None = None) -> Column | None:
        """The column that fits a field best, by name and look."""
        fits = FITS[path] if kinds is None else kinds
        found = [
            (place, column.look.kind is Kind.EMPTY, column.depth, number)
            for number, column in enumerate(self._left)
            if column.look.kind in fits and (place := rank(column.own_name, path)) is not None
        ]
        return self._left[min(found)[-1]] if found else None

    def take(self, path: str, kinds: Set[Kind] | None = None) -> Column | None:
        """The same, which then serves no other field."""
        column = self.best(path, kinds)
        if column is not None:
            self.drop(column)
        return column

    def drop(self, column: Column) -> None:
        """Leave a column to the line that has it."""
        self._left.remove(column)

    def drop_account_of_a_store(self) -> None:
        """Beside a `token_secret`, `account_id` is django-allauth's: the account at the provider, and no customer."""
        if "tokensecret" in map(squeezed, self._names):
            self._left = [column for column in self._left if squeezed(column.own_name) != "accountid"]

    def by_words(self) -> list[Column]:
        """The columns that hold nothing but names of providers, whatever they are called."""
        looks = [(column, column.look) for column in self._left]
        return [column for column, look in looks if look.words and not look.unknown and all(map(is_known, look.words))]

    def by_look(self, *kinds: Kind) -> list[Column]:
        """The columns that look like a credential, whatever they are called."""
        return [column for column in self._left if _most(column) in kinds and is_safe_guess(column.own_name)]


def _most(column: Column) -> Kind:
    """The look of a column; that of most of its cells, where these are of several."""
    kinds: Mapping[str, int] = column.look.details.get("kinds", {})
    return Kind(max(kinds, key=kinds.__getitem__)) if kinds else column.look.kind


def spec_of(column: Column, **more: Any) -> FieldSpec:
    """Where a column's value comes from."""
    return FieldSpec(column=column.name, json=column.json, **more)


def _named(column: Column) -> str:
    """Why a column was taken by its name: what its values look like speaks for it too."""
    return f"named so; {column.look.brief}"


def _ref_why(column: Column) -> str:
    blank = column.rows - len(column.filled)
    gaps = f"; blank in {blank:,} of {column.rows:,} rows, which need a default or are refused" if blank else ""
    return f"{_named(column)}{gaps}"


def _provider(pool: _Pool, catalog: Catalog | None, given: str | None) -> Iterator[Line]:
    if given is not None:
        yield Line("provider", FieldSpec(value=given), "as it was given")
        return
    column = pool.take("provider") or next(iter(pool.by_words()), None)
    if column is None:
        spec = FieldSpec(value="…")
        yield Line("provider", spec, "no column names it: fill it in, or give --provider NAME", sure=False)
        return
    values, doubtful = translated(column.look.words, catalog)
    why = "named so" if column.look.words else _named(column)
    if values:
        why = "translated to the catalog's names; add those that come later in the file"
    yield Line("provider", spec_of(column, values=values or None), why)
    if doubtful:
        words = ", ".join(map(asked, doubtful))
        yield Line("provider", None, f"give each its name in the catalog under values: {words}", sure=False)
    if doubt := _unknown(column, catalog, bool(values)):
        yield Line("provider", None, doubt, sure=False)


def _unknown(column: Column, catalog: Catalog | None, is_translated: bool) -> str | None:
    """What to say of values that may be anything and are not shown; without a catalog they may be keys of it."""
    count = column.look.unknown
    if count and (catalog or is_translated):
        words = "1 word is" if count == 1 else f"{count:,} words are"
        return f"{words} unknown, and not shown: give each its name in the catalog under values"
    if catalog and not column.look.words:
        return "none of the values is a name of the catalog: is it the right column?"
    return None


def _refs(pool: _Pool) -> Iterator[Line]:
    """The customer's organisation and its user; where only one of them is there, it stands in for the other."""
    pool.drop_account_of_a_store()
    group, consumer = pool.take("groupRef"), pool.take("consumerRef")
    if group is None and consumer is None:
        yield Line("groupRef", FieldSpec(column="…"), "no column is named as a customer's id: name yours", sure=False)
        yield Line("consumerRef", FieldSpec(column="…"), "no column is named as a user's id: name yours", sure=False)
        return
    found = {"groupRef": (group, consumer), "consumerRef": (consumer, group)}
    for path, (own, other) in found.items():
        if column := own or other:
            yield Line(path, spec_of(column), _ref_why(column) if own else _STANDS_IN[path])


_STANDS_IN = {
    "groupRef": "? no column names the customer, so the user's id stands in: map the organisation, if there is one",
    "consumerRef": "? no column names the user, so the customer's id stands in: map the user, if there is one",
}


def _beside(pool: _Pool) -> Iterator[Line]:
    """Names and the workspace."""
    for path in ("groupName", "consumerName"):
        if column := pool.take(path):
            yield Line(path, spec_of(column), _named(column))
    if column := pool.take("providerMetadata.workspace"):
        is_url = column.look.kind is Kind.URL
        why = "URLs: the workspace is a part of them, put it into a column" if is_url else _named(column)
        yield Line("providerMetadata.workspace", spec_of(column), why, sure=not is_url)


@dataclass(frozen=True, slots=True)
class _Block:
    """The lines of one auth scheme, and the rows in which its credentials are filled."""

    lines: Sequence[Line]
    rows: frozenset[int]


def _credentials(pool: _Pool) -> Iterator[Line]:
    """The blocks that no row fills two of: a connection has exactly one credential."""
    blocks = [block for make in (_tokens, _client, _basic, _api_key) if (block := make(pool))]
    usable = [block for block in blocks if any(line.sure for line in block.lines)]
    if not usable:
        found = _tokens_by_look(pool)
        blocks = [found, *blocks] if found else blocks
    if not blocks:
        spec = FieldSpec(column="…")
        yield Line(f"{_ACCESS}.token", spec, "no column looks like a credential: name it, or map apiKey", sure=False)
    taken: frozenset[int] = frozenset()
    for block in blocks:
        both = len(taken & block.rows)
        if both:
            why = f"filled in {both:,} rows that have the credential above too, and a connection has one"
            yield from (replace(line, why=why, sure=False) for line in block.lines)
        else:
            yield from block.lines
            taken |= block.rows
    column = pool.best("authScheme")
    if column and column.look.words and not column.look.unknown and set(column.look.words) <= WORDS.keys():
        yield Line("authScheme", spec_of(column), "the auth scheme of each row")


def _tokens(pool: _Pool) -> _Block | None:
    access = pool.take(f"{_ACCESS}.token")
    refresh = pool.take(f"{_REFRESH}.token")
    found = [(f"{_ACCESS}.token", access), (f"{_REFRESH}.token", refresh)]
    if access is None and refresh is None:
        return None
    lines = [_secret(path, column) for path, column in found if column]
    lines[1:1] = _times(pool, access) if access else []
    lines += _refresh_expiry(pool, refresh) if refresh else []
    if column := pool.take(f"{_TOKENS}.scopes"):
        lines.append(Line(f"{_TOKENS}.scopes", spec_of(column, split=_split(column)), _named(column)))
    return _Block(lines, _rows(access, refresh))


def _tokens_by_look(pool: _Pool) -> _Block | None:
    for kinds in ((Kind.TOKEN, Kind.JWT), (Kind.OPAQUE,), (Kind.CIPHERTEXT,)):
        found = pool.by_look(*kinds)
        lines = [_secret(f"{_ACCESS}.token", column) for column in found]
        if len(found) == 1:
            pool.drop(found[0])
            line = replace(lines[0], why=f"{lines[0].why}: by its look alone, check it")
            return _Block([line, *_times(pool, found[0])], found[0].filled)
        if found:
            why = "one of several that look like a token: which is it?"
            return _Block([replace(line, why=f"{why} ({column.look.brief})", sure=False)
                           for line, column in zip(lines, found, strict=True)], frozenset())  # fmt: skip
    return None


def _secret(path: str, column: Column) -> Line:
    """A line for a credential: if encrypted, it says how it is opened; if spoilt, it is no more than named."""
    kind, scheme = column.look.kind, column.look.shape.get("scheme")
    if scheme:
        table = {"scheme": scheme, "key_env": "TOKEN_KEY"}
        if scheme == "rails":
            table["salt_env"] = "TOKEN_KEY_SALT"
        variables = " and ".join(name for key, name in table.items() if key.endswith("_env"))
        return Line(path, spec_of(column, decrypt=table), f"{column.look.said}: set {variables}")
    if kind in _SPOILT or Kind.CIPHERTEXT in (kind, _most(column)):
        return Line(path, spec_of(column), f"not usable as it is: {column.look.said}", sure=False)
    if names_ciphertext(column.own_name) and kind is not Kind.JWT:
        why = "encrypted, by its name: add decrypt = { scheme = …, key_env = … }"
        return Line(path, spec_of(column), why, sure=False)
    return Line(path, spec_of(column), _named(column))


def _times(pool: _Pool, token: Column) -> Iterator[Line]:
    """When an access token expires and when it was issued; a duration needs the second for the first."""
    expires, issued = pool.take(f"{_ACCESS}.expiresAt"), pool.take(f"{_ACCESS}.issuedAt")
    if expires:
        yield _beside_token(_expiry(f"{_ACCESS}.expiresAt", expires, issued), expires, token)
    if issued:
        line = Line(f"{_ACCESS}.issuedAt", spec_of(issued, **issued.look.shape), _time_why(issued))
        yield _beside_token(line, issued, token)


def _refresh_expiry(pool: _Pool, token: Column) -> Iterator[Line]:
    if column := pool.take(f"{_REFRESH}.expiresAt"):
        yield _beside_token(_expiry(f"{_REFRESH}.expiresAt", column, None), column, token)


def _beside_token(line: Line, time: Column, token: Column) -> Line:
    """A line for a time; what lies in the JSON of another column may be the time of another token."""
    if time.json is None or time.name == token.name:
        return line
    return replace(line, why=f"in {time.shown}, and the token is not: is it the same token's?", sure=False)


def _expiry(path: str, column: Column, issued: Column | None) -> Line:
    if column.look.kind is Kind.EMPTY:
        return Line(path, spec_of(column, format="auto"), "empty in these rows")
    if column.look.kind is not Kind.DURATION:
        return Line(path, spec_of(column, **column.look.shape), _time_why(column))
    is_beside = issued is not None and (issued.json is None or issued.name == column.name)
    if issued is None or not is_beside:
        why = f"{column.look.said}: no column says from when on they count, so the time is not known"
        return Line(path, spec_of(column, format=EXPIRES_IN, since="…"), why, sure=False)
    spec = spec_of(column, format=EXPIRES_IN, since=issued.json or issued.name)
    return Line(path, spec, f"{column.look.said}, counted from {issued.own_name}")


def _time_why(column: Column) -> str:
    return f"{column.look.brief}{'; UTC is assumed' if column.look.shape.get('zone') else ''}"


def _split(column: Column) -> str | None:
    """The separator of a list that is no blank, comma or JSON: those are found without being told."""
    split = column.look.shape.get("split", " ")
    return None if split in (" ", ",", "json") else split


def _client(pool: _Pool) -> _Block | None:
    client_id, secret = pool.best(f"{_CLIENT}.clientId"), pool.best(f"{_CLIENT}.clientSecret")
    return _pair(pool, (f"{_CLIENT}.clientId", client_id), (f"{_CLIENT}.clientSecret", secret))


def _basic(pool: _Pool) -> _Block | None:
    user, password = pool.best("basicAuth.username"), pool.best("basicAuth.password")
    return _pair(pool, ("basicAuth.username", user), ("basicAuth.password", password))


def _pair(pool: _Pool, first: tuple[str, Column | None], second: tuple[str, Column | None]) -> _Block | None:
    """A block of two columns, if both are there and filled."""
    (path, column), (other_path, other) = first, second
    if column is None or other is None or not (column.filled and other.filled):
        return None
    pool.drop(column)
    pool.drop(other)
    return _Block([_secret(path, column), _secret(other_path, other)], _rows(column, other))


def _api_key(pool: _Pool) -> _Block | None:
    column = pool.take("apiKey")
    return _Block([_secret("apiKey", column)], column.filled) if column else None


def _rows(*columns: Column | None) -> frozenset[int]:
    return frozenset().union(*(column.filled for column in columns if column))
