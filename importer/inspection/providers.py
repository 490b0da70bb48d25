"""Values of a provider column as the catalog calls them: only what is certain, for a guess would be read as a fact."""

import re
from collections.abc import Sequence
from functools import lru_cache

from importer.catalog import ALIASES, Catalog
from importer.inspection.wording import squeezed

COMMON = frozenset(
    {"airtable", "asana", "atlassian", "bitbucket", "dropbox", "github", "gitlab", "google", "gong", "hubspot",
     "intercom", "klaviyo", "linkedIn", "mailchimp", "marketo", "microsoft", "notion", "outreach", "pipedrive",
     "quickbooks", "salesforce", "shopify", "slack", "stripe", "xero", "zendeskSupport", "zoho", "zoom"}
)  # fmt: skip
"""Keys of the catalog that are recognised without it."""

_ABBREVIATED = {"sfdc": "salesforce", "gsuite": "google", "gworkspace": "google", "msft": "microsoft"}

_PROBABLY = {"hs": "hubspot", "sf": "salesforce", "zd": "zendeskSupport", "ms": "microsoft", "qb": "quickbooks",
             "qbo": "quickbooks", "gh": "github"}  # fmt: skip
"""Short for more than one thing: only asked about."""

_CODE = re.compile(r"[A-Z]{2,5}")

_GRANT = re.compile(r"oauth2?(?:sandbox)?$")
"""What token stores write behind the name of a provider."""


def is_known(word: str, catalog: Catalog | None = None) -> bool:
    """Whether a word is a provider's name in the catalog, that of a well-known one, or what token stores call one."""
    return _well_known(word) is not None or (bool(catalog) and _key(word, catalog) is not None)


def is_code(word: str) -> bool:
    """Whether a word is a short code in capitals, as apps give to providers, and so no credential of anybody."""
    return _CODE.fullmatch(word) is not None


def asked(word: str) -> str:
    """A word that no name of the catalog is known for, with the one that it may stand for."""
    near = _PROBABLY.get(word.casefold())
    return f"{word} ({near}?)" if near else word


def translated(words: Sequence[str], catalog: Catalog | None) -> tuple[dict[str, str], list[str]]:
    """Word -> key of the catalog, {} where each is one already; and the words of which none is known.

    Those are left out of the table, so that their rows are refused until somebody says what they mean.
    """
    keys = {word: _key(word, catalog) for word in words}
    doubtful = [word for word, key in keys.items() if key is None]
    table = {word: key for word, key in keys.items() if key is not None}
    return (table if doubtful or any(word != key for word, key in table.items()) else {}), doubtful


def _key(word: str, catalog: Catalog | None) -> str | None:
    """The key that a word certainly stands for: its own, that in another case, or the one it is an alias of."""
    if not catalog:
        # a name that nobody knows may be a key of the catalog all the same
        return _well_known(word) or (word if word[:1].islower() else None)
    if catalog.describe(word):
        return word
    known = _ABBREVIATED.get(word.casefold()) or ALIASES.get(word.casefold()) or word
    # never what is merely alike, as `linear` is to `line`
    keys = _squeezed(catalog.providers)
    return keys.get(squeezed(known)) or keys.get(_GRANT.sub("", squeezed(known)))


@lru_cache(maxsize=1)
def _squeezed(keys: tuple[str, ...]) -> dict[str, str]:
    return {squeezed(key): key for key in keys}


def _well_known(word: str) -> str | None:
    folded = word.casefold()
    return _FOLDED.get(folded) or ALIASES.get(folded) or _ABBREVIATED.get(folded)


_FOLDED = {key.casefold(): key for key in COMMON}
