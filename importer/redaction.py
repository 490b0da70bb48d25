"""Hiding credentials: a secret is shown as its kind and length, never in part, and nobody else hides things."""

import base64
import html
import json
import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote, quote_plus

PIECE = 8
"""A text that shares this many characters in a row with a credential is not shown."""

BLOT = "(withheld)"

_PUNCTUATION = re.compile(r"[\"'`,;()<>{}\[\]\\]+")
_ADDRESS = re.compile(r"https?://[^?#@]*$")

WITHHELD = "(withheld: the server's text repeats a part of a credential)"

_KNOWN_TOKEN = re.compile(
    r"""
    eyJ[\w-]{8}[.\w-]*                                 # JSON Web Token, or base64 of JSON
    | ya29\.[\w.-]{8,} | 1//0[\w-]{8,}                 # Google
    | xox[a-z]-[\w-]{8,} | xoxe[.\w-]{8,}              # Slack
    | [sprk]{2}_(live|test)_\w{8,}                      # Stripe
    | sk-(?=\S*\d)(?=\S*[A-Z])[\w-]{16,}              # OpenAI and kin
    | (gh[opusr]|glpat|shp[a-z]{2}|ntn|secret|lin_api)[_-](?=\S*\d|\S{20})\w{12,} | github_pat_\w{12,}
    | pat-(na|eu|ap)\d?-[0-9a-f]{8}-[0-9a-f-]{20,}      # HubSpot
    | SG\.[\w-]{12,}\.[\w-]{12,}                       # SendGrid
    | A[KS]IA[A-Z0-9]{16}                               # AWS
    | gAAAAA[\w=-]{12,}                                 # Fernet
    | EAA[A-Z][A-Za-z0-9]{12,}                          # Meta
    | 00D[A-Za-z0-9]{12,15}![\x21-\x7e]+                # Salesforce session
    | (Bearer|Basic|Token)\ (?=\S*[\d=+/])\S{8,}        # a header's value
    | -----BEGIN[ ].*
    """,
    re.VERBOSE | re.DOTALL,
)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")
_PREFIXED_ID = re.compile(r"([a-z]+_)+(?=[A-Za-z0-9]{20,30}$)")
_WORD = re.compile(r"[A-Z]?[a-z]*|[A-Z]*|[0-9]*|\w{1,4}")
_RUN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_CONSONANTS = re.compile(r"[bcdfghjklmnpqrstvwxz]{5}", re.IGNORECASE)
_HEX = re.compile(r"[0-9a-fA-F-]{16,}")
_SCOPE = re.compile(r"[A-Za-z][A-Za-z0-9]*([_.:/*-]+[A-Za-z0-9]+)*[/*]?")
_SCOPE_PIECE = re.compile(
    r"""
    [A-Z]{0,4}[a-z]{2,}([A-Z]{1,4}[a-z]{2,})*[A-Z]{0,4}   # a word, or several in camelCase: ZohoCRM, readWrite
    | [A-Z]+ | [A-Za-z][a-z]? | v[0-9]{1,3}
    | oauth2 | saml2 | openid2 | s3 | ec2 | ga4 | m8 | [dmo]365 | office365 | dynamics365 | b2b | b2c | x509 | 1st
    """,
    re.VERBOSE,
)
_SCOPE_WORDS = frozenset({
    "access", "account", "accounting", "accounts", "activities", "address", "admin", "agile", "all", "api", "apis",
    "app", "apps", "audit", "automation", "base", "basic", "billing", "bot", "bots", "business", "calendar",
    "calendars", "calls", "campaigns", "channels", "chat", "chatter", "cms", "comments", "companies", "contact",
    "contacts", "content", "crm", "customers", "data", "deals", "default", "devices", "documents", "drive", "email",
    "emails", "events", "extended", "feed", "files", "forms", "full", "gist", "graph", "groups", "guilds", "id",
    "identify", "identity", "impersonation", "invoices", "issue", "issues", "items", "launch", "leads", "lightning",
    "lists", "mail", "me", "media", "meetings", "members", "messages", "notes", "notifications", "oauth", "offline",
    "online", "openid", "orders", "org", "organization", "orgs", "payments", "people", "phone", "photos", "posts",
    "products", "profile", "project", "projects", "public", "pullrequest", "read", "readonly", "readwrite", "records",
    "refresh", "repo", "reports", "repos", "repository", "roles", "sales", "schema", "scim", "search", "settings",
    "signature", "sites", "social", "tasks", "team", "teams", "tickets", "timeline", "transactions", "user",
    "userinfo", "users", "visualforce", "web", "webhook", "webhooks", "wiki", "workflow", "workspace", "write",
})  # fmt: skip
"""What is shown without punctuation around it: the usual scopes of one word. Any other word may be a password."""
_DIGIT = re.compile(r"[0-9]")
_SIGNS = re.compile(r"(?=.*[A-Za-z])(?=.*[0-9])(?=.*[#$%^&*!?=+~|<>{}\[\]\\`])\S{8,}")
_LOWER = r"(?:[a-z]|[^\W\d_A-Za-z]){2,}"
# each of the words but the first has to begin with a capital: else a run of letters falls into words in n**3 ways
_PART = re.compile(
    rf"[A-Z]?{_LOWER}(?:[A-Z]{_LOWER}){{0,3}}[0-9]{{0,6}}|[A-Za-z]|[A-Z]+[0-9]{{0,6}}|[a-z][0-9]+|[0-9]{{1,20}}"
)
_BETWEEN = re.compile(r"[-_.@+ :/]+")
_MADE_UP = re.compile(r"token|key|secret|pass|test|fake|dummy|sample|demo|example|xxx|change|todo", re.IGNORECASE)
_OPAQUE = re.compile(r"[A-Za-z0-9+/=_.~-]{32,}")


def describe(secret: str, kind: str = "value") -> str:
    """What may be said of a secret: its kind and its length in characters."""
    return f"{kind} of {len(secret)} characters"


def has_a_known_form(text: str) -> bool:
    """Whether `text` is written as some provider or library writes its tokens and keys, and nothing else."""
    return _KNOWN_TOKEN.fullmatch(text) is not None


def looks_like_a_token(text: str) -> bool:
    """Whether `text` has the shape of a credential rather than of a name, an id or an address.

    Known forms, and long opaque strings that mix upper case, lower case and digits. A UUID, a hex digest, an e-mail
    address, a plain number, an id behind a lower-case word (`user_…`) and words joined by dashes are none.
    """
    if has_a_known_form(text):
        return True
    if _UUID.fullmatch(text) or _PREFIXED_ID.match(text) or not _OPAQUE.fullmatch(text):
        return False
    if all(_WORD.fullmatch(part) for part in re.split(r"[-_.]", text)):
        return False  # words and numbers joined by dashes: a name
    return bool(re.search(r"[A-Z]", text) and re.search(r"[a-z]", text) and len(re.findall(r"[0-9]", text)) >= 2)


def may_be_a_key(text: str) -> bool:
    """Whether a short text could be a key rather than a word or a name: a suspicion, not enough to refuse it by itself.

    Letters and digits in turn, as in no word; hexadecimal; five consonants in a row; or signs as in a password.
    """
    if len(text) < 10 or " " in text or "@" in text or text.isdigit():
        return False
    if has_the_signs_of_a_password(text) or _CONSONANTS.search(text) or (_HEX.fullmatch(text) and _DIGIT.search(text)):
        return True
    runs = _RUN.findall(text)
    return len(runs) >= 4 and sum(map(len, runs)) / len(runs) < 4


def reads_as_a_name(text: str) -> bool:
    """Whether a text is what a person might give a customer for a name: words, a number, an address.

    What says itself that it is made up (`fake-token-1`) is a trial's credential, and no name.
    """
    # the parts first: most texts that are asked about are tokens, which the first part tells
    return all(_PART.fullmatch(part) for part in _BETWEEN.split(text)) and not _MADE_UP.search(text)


def reads_as_a_scope(text: str) -> bool:
    """Whether a scope is of words and dots, slashes and colons, as `crm.read` or an address: then it is shown.

    Its column may be swapped with one of credentials: digits are taken in few words, and a word alone is a usual one.
    """
    if looks_like_a_token(text) or len(text) > 100 or not _SCOPE.fullmatch(text):
        return False
    pieces = re.findall(r"[A-Za-z0-9]+", text)
    if len(pieces) == 1:
        return text.casefold() in _SCOPE_WORDS
    return all(_SCOPE_PIECE.fullmatch(piece) and not may_be_a_key(piece) for piece in pieces)


def has_the_signs_of_a_password(text: str) -> bool:
    """Letters, digits and signs that stand in no id, in at least eight characters."""
    return _SIGNS.fullmatch(text) is not None


def shares_a_piece(text: str, secrets: Iterable[str]) -> bool:
    """Whether `text` holds a credential, or PIECE characters in a row of one, as it is or in a usual encoding.

    Encodings: JSON-escaped, URL-encoded, HTML-escaped, hex, base64 at each of the three alignments. A secret shorter
    than PIECE counts as a whole.
    """
    folded = _fold(text)
    pieces = set(_pieces(folded))
    return any(_shares(form, folded, pieces) for secret in secrets for form in map(_fold, _encodings(secret)))


def _shares(form: str, text: str, pieces: set[str]) -> bool:
    """Whether a text, with its `pieces`, shares one with a form of a secret, which may be much longer."""
    if len(form) < 3:
        return False  # "a" is in every text: a secret of one or two characters cannot be looked for
    return not pieces.isdisjoint(_pieces(form)) if len(form) >= PIECE else form in text


def withhold(text: str, secrets: Iterable[str]) -> str:
    """`text`, or a message of our own in its place where it repeats a part of one of the credentials."""
    return WITHHELD if shares_a_piece(text, secrets) else text


def blot(text: str, is_secret: Callable[[str], bool]) -> str:
    """`text` without its words that have the shape of a credential, or of which `is_secret` says that they are one.

    For a server's words about a row, in which it may name another customer's credential by mistake.
    """
    return " ".join(
        BLOT if any(_is_blotted(part, is_secret) for part in (word, *_PUNCTUATION.split(word))) else word
        for word in text.split(" ")
    )


def _is_blotted(word: str, is_secret: Callable[[str], bool]) -> bool:
    word = word.strip("\"'`,;()<>{}[].:?!")
    if len(word) < PIECE or len(set(word)) < 4 or _ADDRESS.match(word):
        return False
    return looks_like_a_token(word) or may_be_a_key(word) or has_the_signs_of_a_password(word) or is_secret(word)


def _encodings(secret: str) -> set[str]:
    raw = secret.encode("utf-8", "surrogatepass")
    escaped = json.dumps(secret)[1:-1]
    forms = {secret, escaped, escaped.replace("/", "\\/"), json.dumps(secret, ensure_ascii=False)[1:-1],
             quote(raw, safe=""), quote_plus(raw), html.escape(secret), raw.hex()}  # fmt: skip
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        # the first characters carry the padding we put before, the last the bytes that would have come after
        forms.add(encoded[-(-shift * 4 // 3) : len(encoded) - 1])
    return {form for form in forms if form} | {form.replace("+", "-").replace("/", "_") for form in forms if form}


def _fold(text: str) -> str:
    """Without case, also for letters that have another one only in one direction, such as a dotless i."""
    return text.upper().casefold()


def _pieces(text: str) -> Iterator[str]:
    """All PIECE characters in a row, of those that are as many."""
    return (text[start : start + PIECE] for start in range(len(text) - PIECE + 1))
