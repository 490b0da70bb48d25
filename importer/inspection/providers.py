"""Values of a provider column as the catalog calls them: a proposal that is shown, never a silent guess."""

from collections.abc import Sequence

from importer.catalog import ALIASES, Catalog

COMMON = frozenset(
    {"airtable", "asana", "atlassian", "bitbucket", "dropbox", "github", "gitlab", "google", "gong", "hubspot",
     "intercom", "klaviyo", "linkedIn", "mailchimp", "marketo", "microsoft", "notion", "outreach", "pipedrive",
     "quickbooks", "salesforce", "shopify", "slack", "stripe", "xero", "zendeskSupport", "zoho", "zoom"}
)  # fmt: skip
"""Keys of the catalog that are recognised without it."""

_ABBREVIATED = {"sfdc": "salesforce", "gsuite": "google", "gworkspace": "google", "msft": "microsoft"}


def is_known(word: str) -> bool:
    """Whether a word is the name of a well-known provider, or what token stores call one."""
    folded = word.casefold()
    return folded in _FOLDED or folded in ALIASES or folded in _ABBREVIATED


def translated(words: Sequence[str], catalog: Catalog | None) -> tuple[dict[str, str], list[str]]:
    """Word -> key of the catalog, {} where each is one already; and the words of which none is known."""
    keys = {word: _key(word, catalog) for word in words}
    doubtful = [word for word, key in keys.items() if key is None]
    table = {word: key or word for word, key in keys.items()}
    return ({} if all(word == key for word, key in table.items()) else table), doubtful


def _key(word: str, catalog: Catalog | None) -> str | None:
    folded = word.casefold()
    if catalog:
        if catalog.describe(word):
            return word
        return catalog.nearest_provider(_ABBREVIATED.get(folded, word))
    # without a catalog, a name that nobody knows may be a key of it all the same
    known = _FOLDED.get(folded) or ALIASES.get(folded) or _ABBREVIATED.get(folded)
    return known or (word if word[:1].islower() else None)


_FOLDED = {key.casefold(): key for key in COMMON}
