"""The columns that a proposal is made of, until a line has each: to be asked for by name, by words and by look."""

from collections.abc import Mapping, Sequence, Set

from importer.inspection.columns import Column
from importer.inspection.looks import Kind
from importer.inspection.names import is_usual, rank
from importer.inspection.providers import is_known
from importer.inspection.wording import is_safe_guess, names_a_token, squeezed

TOKENS = "oauth2AuthorizationCode"
ACCESS, REFRESH = f"{TOKENS}.accessToken", f"{TOKENS}.refreshToken"
CLIENT = "oauth2ClientCredentials"

_TEXTS = {Kind.WORD, Kind.TEXT, Kind.OPAQUE, Kind.HOST, Kind.MIXED}
_REFS = _TEXTS | {Kind.INTEGER, Kind.UUID, Kind.EMAIL}
SECRETS = _TEXTS | {Kind.TOKEN, Kind.JWT, Kind.PRIVATE_KEY, Kind.UUID, Kind.CIPHERTEXT, Kind.INTEGER, Kind.EMPTY}
SPOILT = {Kind.MASK, Kind.SERIALIZED, Kind.NOTHING, Kind.BYTES}
"""What stands where a credential should be, and cannot be used as it is."""

FITS: Mapping[str, Set[Kind]] = {
    "provider": _TEXTS,
    "groupRef": _REFS,
    "consumerRef": _REFS,
    "groupName": _TEXTS | {Kind.EMAIL},
    "consumerName": _TEXTS | {Kind.EMAIL},
    "authScheme": {Kind.WORD},
    "providerMetadata.workspace": _REFS - {Kind.EMAIL} | {Kind.URL},
    f"{ACCESS}.token": SECRETS | SPOILT,
    f"{REFRESH}.token": SECRETS | SPOILT,
    f"{ACCESS}.expiresAt": {Kind.EPOCH, Kind.TIME, Kind.DURATION, Kind.EMPTY},
    f"{REFRESH}.expiresAt": {Kind.EPOCH, Kind.TIME, Kind.DURATION, Kind.EMPTY},
    f"{ACCESS}.issuedAt": {Kind.EPOCH, Kind.TIME},
    f"{TOKENS}.scopes": _TEXTS | {Kind.LIST, Kind.URL, Kind.EMPTY},
    "apiKey": SECRETS | SPOILT,
    "basicAuth.username": _REFS,
    "basicAuth.password": SECRETS | SPOILT | {Kind.LIST, Kind.EMAIL, Kind.DECIMAL},
    f"{CLIENT}.clientId": _REFS | {Kind.TOKEN},
    f"{CLIENT}.clientSecret": SECRETS | SPOILT,
}
"""Field of the request -> the looks a column of it may have."""


class Pool:
    """The columns that no line has taken yet."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.left = list(columns)
        self._names = [column.own_name for column in columns]

    def best(self, path: str, kinds: Set[Kind] | None = None) -> Column | None:
        """The column that fits a field best, by name and look."""
        fits = FITS[path] if kinds is None else kinds
        found = [
            (place, column.look.kind is Kind.EMPTY, column.depth, number)
            for number, column in enumerate(self.left)
            if column.look.kind in fits and (place := rank(column.known_as, path)) is not None
        ]
        return self.left[min(found)[-1]] if found else None

    def take(self, path: str, kinds: Set[Kind] | None = None) -> Column | None:
        """The same, which then serves no other field."""
        column = self.best(path, kinds)
        if column is not None:
            self.drop(column)
        return column

    def drop(self, column: Column) -> None:
        """Leave a column to the line that has it."""
        self.left.remove(column)

    def drop_account_of_a_store(self) -> None:
        """Beside a `token_secret`, `account_id` is django-allauth's: the account at the provider, and no customer."""
        if "tokensecret" in map(squeezed, self._names):
            self.left = [column for column in self.left if squeezed(column.own_name) != "accountid"]

    def by_words(self) -> list[Column]:
        """The columns that hold nothing but names of providers, whatever they are called."""
        looks = [(column, column.look) for column in self.left]
        return [column for column, look in looks if look.words and not look.unknown and all(map(is_known, look.words))]

    def of_salesforce(self) -> Column | None:
        """The column of Salesforce's addresses, if it is one."""
        found = [column for column in self.left if "label_of" in column.look.shape]
        if len(found) == 1:
            self.drop(found[0])
        return found[0] if len(found) == 1 else None

    def by_look(self, *kinds: Kind) -> list[Column]:
        """The columns that look like a credential, whatever they are called."""
        return [column for column in self.left if most(column) in kinds and is_safe_guess(column.known_as)]

    def tokens(self) -> list[Column]:
        """The columns that look like a token or are named as one, and as no other part of a credential."""
        looking = self.by_look(Kind.TOKEN, Kind.JWT, Kind.OPAQUE, Kind.CIPHERTEXT)
        own = [column for column in looking if not is_usual(column.known_as)]
        return own + [column for column in self.named_tokens() if column not in own]

    def named_tokens(self) -> list[Column]:
        """The columns that are named as some token, whichever."""
        kinds = _TEXTS | {Kind.TOKEN, Kind.JWT}
        return [column for column in self.left if names_a_token(column.known_as) and most(column) in kinds]


def most(column: Column) -> Kind:
    """The look of a column; that of most of its cells, where these are of several."""
    kinds: Mapping[str, int] = column.look.details.get("kinds", {})
    return Kind(max(kinds, key=kinds.__getitem__)) if kinds else column.look.kind
