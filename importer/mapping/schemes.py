"""Which credential a row carries: told by what is filled, and by its auth scheme where that leaves a doubt."""

import difflib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic.alias_generators import to_camel

from importer.api.models import BLOCKS, AuthScheme
from importer.errors import ConfigError
from importer.mapping.cells import Fault, distinct, trimmed
from importer.outcomes import Code, Issue

if TYPE_CHECKING:
    from importer.mapping.columns import Field

PATHS: dict[AuthScheme, str] = {scheme: to_camel(block) for scheme, block in BLOCKS.items()}
"""Auth scheme -> the path of its block in the body. From the fewest parts up: a lone user name is basic auth."""

WORDS: dict[str, AuthScheme] = {scheme.value: scheme for scheme in AuthScheme} | {
    "oauth2/authorizationCodePKCE": AuthScheme.AUTHORIZATION_CODE
}
"""What `authScheme` may say; the platform's catalog has a word of its own for PKCE, the body has not."""

_NEEDS: dict[AuthScheme, tuple[tuple[str, ...], ...]] = {
    AuthScheme.API_KEY: (("apiKey",),),
    AuthScheme.BASIC: (("basicAuth.username",),),
    AuthScheme.CLIENT_CREDENTIALS: (("oauth2ClientCredentials.clientId",), ("oauth2ClientCredentials.clientSecret",)),
    AuthScheme.PASSWORD: (
        ("oauth2PasswordCredentials.username",),
        ("oauth2PasswordCredentials.password",),
        ("oauth2PasswordCredentials.clientId",),
        ("oauth2PasswordCredentials.clientSecret",),
    ),
    AuthScheme.AUTHORIZATION_CODE: (
        ("oauth2AuthorizationCode.accessToken.token", "oauth2AuthorizationCode.refreshToken.token"),
    ),
}
"""Auth scheme -> what must be filled: of each tuple, one at least. (Of custom auth: anything; see `_needs`.)"""

BASIC_PASSWORD = "basicAuth.password"  # noqa: S105 - a path


def read_schemes(cells: list[Any]) -> list[Any]:
    """Auth schemes from their words."""
    words = trimmed(cells)
    known: dict[str, AuthScheme | Fault] = {word: WORDS.get(word) or _unknown(word) for word in distinct(words)}
    return [known[word] if isinstance(word, str) else word for word in words]


_WHICH_OAUTH = (
    "Write oauth2/authorizationCode for access and refresh tokens, oauth2/clientCredentials for a client id and "
    "secret, oauth2/password where a user name belongs to them."
)


def _unknown(word: str) -> Fault:
    if "oauth" in word.casefold():
        # the nearest word to "oauth2" would be the password grant, which hardly anybody means
        return Fault(Code.WRONG_SCHEME, "this is no auth scheme", _WHICH_OAUTH)
    folded = {known.casefold(): known for known in WORDS}
    near = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.5)
    hint = f"Did you mean {folded[near[0]]}?" if near else f"Write one of: {', '.join(WORDS)}."
    return Fault(Code.WRONG_SCHEME, "this is no auth scheme", hint)


def scheme_of(path: str) -> AuthScheme | None:
    """The auth scheme that a credential's path belongs to; None where it is no credential, such as scopes or a time."""
    block = path.partition(".")[0]
    scheme = next((scheme for scheme, own in PATHS.items() if own == block), None)
    beside = scheme is not AuthScheme.CUSTOM and path.endswith((".scopes", ".expiresAt", ".issuedAt"))
    return None if beside else scheme


@dataclass(frozen=True, slots=True)
class Choice:
    """The auth scheme of a row, or why it has none."""

    scheme: AuthScheme | None
    issues: Sequence[Issue] = ()


class Chooser:
    """Decides on the scheme of a row from which of its `credentials` are filled.

    A constant is in every row and so says nothing, unless its block has nothing but constants. Columns may feed several
    blocks: `column_of` names the column of a path that the source has not.
    """

    def __init__(self, fields: Iterable["Field"], column_of: Mapping[str, str]) -> None:
        self._fields = [field for field in fields if scheme_of(field.path) is not None]
        self._column_of = column_of
        told = {scheme_of(field.path) for field in self._fields if field.source is not None}
        self._telling = [f for f in self._fields if f.source is not None or scheme_of(f.path) not in told]
        first: dict[Hashable, Field] = {}
        for field in self._telling:
            first.setdefault(_source(field), field)
        self.credentials = list(first.values())
        self._covers = {
            scheme: {_source(field) for field in self._telling if scheme_of(field.path) is scheme} for scheme in PATHS
        }
        self._known: dict[tuple[tuple[bool, ...], AuthScheme | None], Choice] = {}

    def check(self) -> None:
        """Raise ConfigError for a block of which a part is nowhere mapped: no row could have it."""
        for field in self._fields:
            scheme = scheme_of(field.path)
            for alternatives in [*_needs(scheme), *self._place_of_a_password(scheme)]:
                if not any(self._of(path) for path in alternatives):
                    empty = ' An empty one is { value = "" }.' if alternatives == (BASIC_PASSWORD,) else ""
                    raise ConfigError(
                        f"the mapping has {field.path} but not {' or '.join(alternatives)}",
                        hint=f"Map it too.{empty}",
                    )

    def choose(self, filled: tuple[bool, ...], said: AuthScheme | None) -> Choice:
        """The scheme of a row: `filled` is parallel to `credentials`, `said` is its auth scheme or None."""
        key = (filled, said)
        if key not in self._known:
            self._known[key] = self._decide(
                [f for f, is_filled in zip(self.credentials, filled, strict=True) if is_filled], said
            )
        return self._known[key]

    def _decide(self, filled: list["Field"], said: AuthScheme | None) -> Choice:
        sources = {_source(field) for field in filled}
        if said is None and not filled:
            return Choice(None, [_no_credential(self.credentials)])
        scheme = said or next((s for s, covered in self._covers.items() if sources <= covered), None)
        if scheme is None:
            return Choice(None, [_several(filled)])
        surplus = [field for field in filled if _source(field) not in self._covers.get(scheme, ())]
        issues = [_surplus(surplus, scheme)] if surplus else []
        return Choice(scheme, issues + list(self._missing(scheme, sources)))

    def _missing(self, scheme: AuthScheme, sources: set[Hashable]) -> Iterable[Issue]:
        for alternatives in _needs(scheme):
            fields = [field for path in alternatives for field in self._of(path)]
            if not any(field.source is None or field.source in sources for field in fields):
                labels = [self._label(path) for path in alternatives]
                yield _missing(" or ".join(dict.fromkeys(labels)), scheme)
        for (path,) in self._place_of_a_password(scheme):
            if not self._of(path):
                yield Issue(
                    self._label(path),
                    Code.MISSING_VALUE,
                    "a user name stands here, and there is no column with its password",
                    "Add the column; it may be empty where the password is.",
                )

    @staticmethod
    def _place_of_a_password(scheme: AuthScheme | None) -> Sequence[tuple[str]]:
        """Of basic auth, the password may be blank; but somebody must have said so, with a column or a constant."""
        return [(BASIC_PASSWORD,)] if scheme is AuthScheme.BASIC else []

    def _of(self, path: str) -> list["Field"]:
        """The fields of a path; of custom auth, also those below it."""
        return [field for field in self._fields if path in {field.path, field.path.partition(".")[0]}]

    def _label(self, path: str) -> str:
        return next((field.label for field in self._of(path)), self._column_of.get(path, path))


def _source(field: "Field") -> Hashable:
    return field.path if field.source is None else field.source


def _needs(scheme: AuthScheme | None) -> tuple[tuple[str, ...], ...]:
    if scheme is None or scheme is AuthScheme.NONE:
        return ()
    return _NEEDS.get(scheme, (("customAuth",),))


def _labels(fields: Iterable["Field"]) -> str:
    return ", ".join(dict.fromkeys(field.label for field in fields))


def _no_credential(credentials: Iterable["Field"]) -> Issue:
    return Issue(
        _labels(credentials),
        Code.NO_CREDENTIAL,
        "the row has no credential: none of these columns is filled",
        "Fill in this row's credential. Only where the provider needs none, set auth_scheme to none.",
    )


def _several(filled: Iterable["Field"]) -> Issue:
    return Issue(
        _labels(filled),
        Code.SEVERAL_CREDENTIALS,
        "these columns are filled, and they belong to different kinds of credential",
        "Empty those that are not meant; a connection has exactly one credential.",
    )


def _surplus(surplus: Iterable["Field"], scheme: AuthScheme) -> Issue:
    return Issue(
        _labels(surplus),
        Code.SEVERAL_CREDENTIALS,
        f"the auth scheme of the row is {scheme}, and this credential is not a part of it",
        "Empty it, or correct the auth scheme.",
    )


def _missing(label: str, scheme: AuthScheme) -> Issue:
    return Issue(
        label,
        Code.MISSING_VALUE,
        f"this is empty, and the auth scheme {scheme} needs it",
        f"Fill it in; the row's auth_scheme, or else its filled columns, make it {scheme}.",
    )
