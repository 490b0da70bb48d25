"""What other platforms call a provider, and the nearest name of the catalog: a suggestion, never a silent guess."""

import difflib
import re
from collections.abc import Iterable, Iterator

ALIASES: dict[str, str] = {
    "google-oauth2": "google",
    "google_oauth2": "google",
    "salesforce-oauth2": "salesforce",
    "salesforce-oauth2-sandbox": "salesforce",
    "microsoft-graph": "microsoft",
    "azure-ad": "microsoft",
    "azuread-v2-tenant-oauth2": "microsoft",
    "microsoft-entra-id": "microsoft",
    "zoom-oauth2": "zoom",
    "linkedin_oauth2": "linkedIn",
    "linkedin-openidconnect": "linkedIn",
    "bitbucket-oauth2": "bitbucket",
    "intuit": "quickbooks",
    "quickbooks_online": "quickbooks",
    "zendesk": "zendeskSupport",
    "jira": "atlassian",
    "confluence": "atlassian",
    "dropbox-oauth2": "dropbox",
}
"""Name in a token store (NextAuth, allauth, python-social-auth, OmniAuth, Nango) -> key of the catalog."""

LIKENESS = 0.75
"""difflib's ratio from which a name is taken for another one misspelt."""

MOST_SUGGESTIONS = 1_000
"""Likeness is worked out for so many names, at about a millisecond each: a whole wrong column must not cost hours."""

_DECORATION = re.compile(r"[^a-z0-9]+")
_SUFFIX = re.compile(r"(oauth2?(cc)?|api(key|token)|basic(auth)?|pat|sandbox)$")
"""What Nango and others put behind a plain name: how one signs in, or that the account is for trials."""


class Names:
    """The keys of a catalog, found by what somebody else may call them."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = {_plain(key): key for key in keys}
        known = set(self._keys.values())
        self._aliases = {_plain(alias): key for alias, key in ALIASES.items() if key in known}
        self._alike: dict[str, str | None] = {}

    def nearest(self, name: str) -> str | None:
        """The key that `name` probably means: in another case, by an alias, without a suffix, or misspelt."""
        plain = _plain(name)
        for form in _without_suffixes(plain):
            if near := self._keys.get(form) or self._aliases.get(form):
                return near
        return self._like(plain)

    def _like(self, plain: str) -> str | None:
        if plain not in self._alike and len(self._alike) < MOST_SUGGESTIONS:
            near = difflib.get_close_matches(plain, self._keys, n=1, cutoff=LIKENESS)
            self._alike[plain] = self._keys[near[0]] if near else None
        return self._alike.get(plain)


def _plain(name: str) -> str:
    """A name without case and punctuation: `zendesk_support` is `zendeskSupport`."""
    return _DECORATION.sub("", name.casefold())


def _without_suffixes(plain: str) -> Iterator[str]:
    """A plain name, then the same without its last suffix, and so on: paypalsandboxoauth2, paypalsandbox, paypal."""
    while plain:
        yield plain
        plain, was = _SUFFIX.sub("", plain), plain
        if plain == was:
            return
