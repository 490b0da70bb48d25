"""The `[mapping]` that a file of no known kind probably needs: by the names of its columns and by how they look.

A proposal is read by a person before it is used, so each line says why it stands there, and what could not be found is
named. It is pure: it sees looks, and no cell.
"""

from collections.abc import Iterator, Sequence

from importer.catalog import Catalog
from importer.fields import FieldSpec
from importer.inspection.columns import Column
from importer.inspection.credentials import credentials
from importer.inspection.lines import Line, Proposal, named, spec_of
from importer.inspection.looks import Kind
from importer.inspection.pool import FITS, TOKENS, Pool, most
from importer.inspection.providers import asked, translated

_MISFITS = set(Kind) - {Kind.EMPTY, Kind.OBJECT}
"""Looks that are spoken of where they fit no field: an empty column loses nothing, and objects are looked into."""

_MISSED = {Kind.TOKEN, Kind.JWT, Kind.OPAQUE, Kind.CIPHERTEXT, Kind.PRIVATE_KEY, Kind.EPOCH, Kind.TIME, Kind.DURATION,
           Kind.LIST}  # fmt: skip
"""Looks of a credential and of what goes with one: a column of such a look is not left out without a word."""


def propose(columns: Sequence[Column], catalog: Catalog | None, provider: str | None = None) -> Proposal:
    """The mapping for these columns; `provider` is that of the whole file, where it is known.

    A column whose name must not be shown is not mapped.
    """
    pool = Pool([column for column in columns if column.named])
    found = list(credentials(pool))
    refs = list(_refs(pool))
    lines = [*_provider(pool, catalog, provider), *refs, *_beside(pool), *found]
    lines += _misfits(pool, lines)
    return Proposal([*lines, *_unused([*pool.left, *(column for column in columns if not column.named)])])


def _misfits(pool: Pool, lines: Sequence[Line]) -> Iterator[Line]:
    """The columns that are named for a field that no other column fills, and do not look like it."""
    found = {line.path for line in lines if line.spec is not None and line.spec.column != "…"}
    has_tokens = any(path.startswith(TOKENS) for path in found)
    for path in FITS:
        if path in found or (path.startswith(TOKENS) and not path.endswith(".token") and not has_tokens):
            continue
        if column := pool.take(path, _MISFITS - FITS[path]):
            yield Line(path, spec_of(column), f"{column.look.brief}, not mapped", sure=False)


def _unused(columns: Sequence[Column]) -> Iterator[Line]:
    """What could be a part of a credential and is in no line: those of one look together."""
    by_look: dict[str, list[str]] = {}
    for column in columns:
        if most(column) in _MISSED:
            inner = "" if column.json is None else f" {column.json}"
            by_look.setdefault(column.look.brief, []).append(f"{column.shown}{inner}")
    for look, names in by_look.items():
        yield Line("", None, f"not used: {', '.join(names)} ({look})", sure=False)


def _ref_why(column: Column) -> str:
    blank = column.rows - len(column.filled)
    gaps = f"; blank in {blank:,} of {column.rows:,} rows, which need a default or are refused" if blank else ""
    return f"{named(column)}{gaps}"


def _provider(pool: Pool, catalog: Catalog | None, given: str | None) -> Iterator[Line]:
    if given is not None:
        yield Line("provider", FieldSpec(value=given), "as it was given")
        return
    column = pool.take("provider")
    why = "" if column is None else "named so" if column.look.words else named(column)
    if column is None and (column := next(iter(pool.by_words()), None)):
        pool.drop(column)
        why = "its values are names of providers"
    if column is None:
        spec = FieldSpec(value="…")
        yield Line("provider", spec, "no column names it: fill it in, or give --provider NAME", sure=False)
        return
    values, doubtful = translated(column.look.words, catalog)
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


def _refs(pool: Pool) -> Iterator[Line]:
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


def _beside(pool: Pool) -> Iterator[Line]:
    """Names and the workspace."""
    for path in ("groupName", "consumerName"):
        if column := pool.take(path):
            yield Line(path, spec_of(column), named(column))
    if column := pool.take("providerMetadata.workspace") or pool.of_salesforce():
        yield _workspace(column)


def _workspace(column: Column) -> Line:
    path, is_url = "providerMetadata.workspace", column.look.kind is Kind.URL
    label_of = column.look.shape.get("label_of")
    if label_of is None:
        why = "URLs: the workspace is a part of them, put it into a column" if is_url else named(column)
        return Line(path, spec_of(column), why, sure=not is_url)
    others = len(column.filled) - column.look.details["of_salesforce"]
    why = "Salesforce's addresses: the workspace is cut out of them"
    why += f"; {others:,} of {len(column.filled):,} are none, and left out" if others else ""
    # of the others, a whole URL is no workspace anywhere, but a host may be one
    return Line(path, spec_of(column, label_of=label_of), why, sure=is_url or not others)
