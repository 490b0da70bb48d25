"""The credentials of a proposal: for each auth scheme the columns that carry it, by name, and tokens by look."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from importer.fields import FieldSpec
from importer.inspection.columns import Column
from importer.inspection.lines import Line, named, spec_of
from importer.inspection.looks import Kind
from importer.inspection.pool import ACCESS, CLIENT, REFRESH, SPOILT, TOKENS, Pool, most
from importer.inspection.wording import hints_at_refreshing
from importer.mapping.ciphertext import names_ciphertext
from importer.mapping.dates import EXPIRES_IN
from importer.mapping.schemes import WORDS


@dataclass(frozen=True, slots=True)
class _Block:
    """The lines of one auth scheme, and the rows in which its credentials are filled."""

    lines: Sequence[Line]
    rows: frozenset[int]


def credentials(pool: Pool) -> Iterator[Line]:
    """The blocks that no row fills two of: a connection has exactly one credential."""
    blocks = [block for make in (_tokens, _client, _basic, _api_key) if (block := make(pool))]
    usable = [block for block in blocks if any(line.sure for line in block.lines)]
    if not usable:
        found = _tokens_by_look(pool)
        blocks = [found, *blocks] if found else blocks
    blocks[:1] = [_with_the_other_token(pool, block) for block in blocks[:1]]
    if not blocks:
        spec = FieldSpec(column="…")
        yield Line(f"{ACCESS}.token", spec, "no column looks like a credential: name it, or map apiKey", sure=False)
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


def _tokens(pool: Pool) -> _Block | None:
    access = pool.take(f"{ACCESS}.token")
    refresh = pool.take(f"{REFRESH}.token")
    found = [(f"{ACCESS}.token", access), (f"{REFRESH}.token", refresh)]
    if access is None and refresh is None:
        return None
    lines = [_secret(path, column) for path, column in found if column]
    lines[1:1] = _times(pool, access) if access else []
    lines += _refresh_expiry(pool, refresh) if refresh else []
    return _Block([*lines, *_scopes(pool)], _rows(access, refresh))


def _scopes(pool: Pool) -> Iterator[Line]:
    if column := pool.take(f"{TOKENS}.scopes"):
        yield Line(f"{TOKENS}.scopes", spec_of(column, split=_split(column)), named(column))


def _tokens_by_look(pool: Pool) -> _Block | None:
    """The access token where no name tells it; of several that it may be, a person chooses."""
    likely = pool.by_look(Kind.TOKEN, Kind.JWT)
    likely += [column for column in pool.named_tokens() if column not in likely]
    for found in (likely, pool.by_look(Kind.OPAQUE), pool.by_look(Kind.CIPHERTEXT)):
        for column in found:
            pool.drop(column)
        lines = [_secret(f"{ACCESS}.token", column) for column in found]
        if len(found) == 1:
            why = f"{lines[0].why.removeprefix('named so; ')}: the only column that may be a token, check it"
            return _Block([replace(lines[0], why=why), *_times(pool, found[0]), *_scopes(pool)], found[0].filled)
        if found:
            why = "one of several that may be the token: which is it?"
            return _Block([replace(line, why=f"{why} ({column.look.brief})", sure=False)
                           for line, column in zip(lines, found, strict=True)], frozenset())  # fmt: skip
    return None


def _with_the_other_token(pool: Pool, block: _Block) -> _Block:
    """A block of an access or a refresh token, with the other of them where one column alone is left for it."""
    paths = [line.path for line in block.lines]
    known = [path for path in (f"{ACCESS}.token", f"{REFRESH}.token") if path in paths]
    left = pool.tokens() if len(known) == 1 and block.rows else []
    if len(left) != 1:
        return block
    column, is_refresh = left[0], known == [f"{ACCESS}.token"]
    pool.drop(column)
    line = _secret(f"{REFRESH if is_refresh else ACCESS}.token", column)
    is_sure = line.sure and is_refresh and hints_at_refreshing(column.known_as)
    why = line.why if is_sure or not line.sure else f"{column.look.brief}: the only other column that may be a token"
    beside = _refresh_expiry(pool, column) if is_sure else ()
    return _Block([*block.lines, replace(line, why=why, sure=is_sure), *beside], block.rows)


def _secret(path: str, column: Column) -> Line:
    """A line for a credential: if encrypted, it says how it is opened; if spoilt, it is no more than named."""
    kind, scheme = column.look.kind, column.look.shape.get("scheme")
    if scheme:
        table = {"scheme": scheme, "key_env": "TOKEN_KEY"}
        if scheme == "rails":
            table["salt_env"] = "TOKEN_KEY_SALT"
        variables = " and ".join(name for key, name in table.items() if key.endswith("_env"))
        return Line(path, spec_of(column, decrypt=table), f"{column.look.said}: set {variables}")
    if kind in SPOILT or Kind.CIPHERTEXT in (kind, most(column)):
        return Line(path, spec_of(column), f"not usable as it is: {column.look.said}", sure=False)
    if names_ciphertext(column.own_name) and kind is not Kind.JWT:
        why = "encrypted, by its name: add decrypt = { scheme = …, key_env = … }"
        return Line(path, spec_of(column), why, sure=False)
    return Line(path, spec_of(column), named(column))


def _times(pool: Pool, token: Column) -> Iterator[Line]:
    """When an access token expires and when it was issued; a duration needs the second for the first."""
    expires, issued = pool.take(f"{ACCESS}.expiresAt"), pool.take(f"{ACCESS}.issuedAt")
    if expires:
        yield _beside_token(_expiry(f"{ACCESS}.expiresAt", expires, issued), expires, token)
    if issued:
        line = Line(f"{ACCESS}.issuedAt", spec_of(issued, **issued.look.shape), _time_why(issued))
        yield _beside_token(line, issued, token)


def _refresh_expiry(pool: Pool, token: Column) -> Iterator[Line]:
    if column := pool.take(f"{REFRESH}.expiresAt"):
        yield _beside_token(_expiry(f"{REFRESH}.expiresAt", column, None), column, token)


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


def _client(pool: Pool) -> _Block | None:
    client_id, secret = pool.best(f"{CLIENT}.clientId"), pool.best(f"{CLIENT}.clientSecret")
    return _pair(pool, (f"{CLIENT}.clientId", client_id), (f"{CLIENT}.clientSecret", secret))


def _basic(pool: Pool) -> _Block | None:
    user, password = pool.best("basicAuth.username"), pool.best("basicAuth.password")
    return _pair(pool, ("basicAuth.username", user), ("basicAuth.password", password))


def _pair(pool: Pool, first: tuple[str, Column | None], second: tuple[str, Column | None]) -> _Block | None:
    """A block of two columns, if both are there and filled."""
    (path, column), (other_path, other) = first, second
    if column is None or other is None or not (column.filled and other.filled):
        return None
    pool.drop(column)
    pool.drop(other)
    return _Block([_secret(path, column), _secret(other_path, other)], _rows(column, other))


def _api_key(pool: Pool) -> _Block | None:
    column = pool.take("apiKey")
    return _Block([_secret("apiKey", column)], column.filled) if column else None


def _rows(*columns: Column | None) -> frozenset[int]:
    return frozenset().union(*(column.filled for column in columns if column))
