"""Credentials that are none: ciphertext, masks, and what an export writes where a token should be.

The platform takes any text for a token, and finds out days later that it is of no use. What such a text looks like
stands in one table, `RULES`; nothing here, and no fault, quotes the text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Flag, auto
from itertools import chain
from typing import Any

from importer.api.models import AuthScheme
from importer.mapping.bodies import Columns
from importer.mapping.cells import WORDS_FOR_NOTHING, Fault, replaced, texts_in
from importer.mapping.refs import UNSEEN
from importer.mapping.schemes import scheme_of
from importer.outcomes import Code


class Kind(Flag):
    """What a credential may be. `FREE` is a password, a user name or an input of custom auth: nearly any text."""

    TOKEN = auto()
    KEY = auto()
    FREE = auto()


ISSUED = Kind.TOKEN | Kind.KEY
"""Made by a machine, so neither a word nor a row of stars."""

ANY = ISSUED | Kind.FREE


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that is no credential: a pattern that its text begins with, and what to say.

    A pattern that has to look further than the beginning names `marks`, of which such a text holds one: searching a
    column for them costs next to nothing.
    """

    name: str
    kinds: Kind
    pattern: str
    fault: Fault
    marks: tuple[str, ...] = ()


def _encrypted(name: str, pattern: str, what: str, scheme: str = "", marks: tuple[str, ...] = ()) -> Rule:
    table = f'{{ scheme = "{scheme}", key_env = "…" }}'
    fix = f"Export it decrypted, or have it decrypted here by the [mapping]: decrypt = {table}."
    fault = Fault(Code.ENCRYPTED, f"this is encrypted: {what}", fix if scheme else "Export it decrypted.")
    return Rule(name, ANY, pattern, fault, marks)


def _masked(name: str, kinds: Kind, pattern: str, what: str, marks: tuple[str, ...] = ()) -> Rule:
    fix = "Export it with a permission that shows credentials, or leave it empty."
    return Rule(name, kinds, pattern, Fault(Code.MASKED, f"this is a mask and not the credential: {what}", fix), marks)


def _bad(name: str, kinds: Kind, pattern: str, reason: str, fix: str) -> Rule:
    return Rule(name, kinds, pattern, Fault(Code.BAD_TOKEN, reason, fix))


def _words(*words: str) -> str:
    """A pattern of whole texts in upper or lower case. It begins with the first letters: see `Check` on speed."""
    ends: dict[str, list[str]] = {}
    for word in words:
        ends.setdefault(re.escape(word[0] + word[0].upper()), []).append(re.escape(word[1:]))
    return "|".join(f"[{first}](?i:{'|'.join(rest)})\\Z" for first, rest in ends.items())


_ENDS_IN_00 = "[AEIMQUYcgkosw048]"
"""The characters of base64 whose last two bits are zero."""

# after the tag and its length: version 4, cipher, way to derive the key, hash; or version 3, id of a key, algorithm
_BY_PASSWORD = rf"{_ENDS_IN_00}E[ABC][AQgw][AEM][B-L]"
_BY_KEY = r"A[w-z0-9+/][A-Za-z0-9+/]{10}(?:A[Q-Sg-i]|E[A-C])"
_BY_SHORT_KEY = rf"{_ENDS_IN_00}D[A-Za-z0-9+/]{{10}}{_ENDS_IN_00}[BCQSZ](?:A[Qgw-z0-9+/]|B[A-D])"
_OPENPGP = (
    rf"w(?:[w-z0-9]{_BY_PASSWORD}|c[A-P][A-Za-z0-9+/]{_BY_KEY}|[Q-b]{_BY_SHORT_KEY})",
    rf"h(?:Q[E-L][A-Za-z0-9+/]{_BY_KEY}|[F-J]{_BY_SHORT_KEY})",
    rf"j[A-D]{_BY_PASSWORD}",
)
"""What packets of tag 1 and 3 of OpenPGP (RFC 4880, sections 4.2, 5.1 and 5.3) begin with in base64.

Of 1e9 random texts about three begin so. Each pattern has a letter of its own: see `Check` on speed.
"""

_BASE64_TWICE = "[K-Za-e][A-Za-z0-9+/]{3}"
"""Four characters of base64 that are three of base64. A few come before a repetition, which is slow to begin."""

_UNSEEN = Fault(
    Code.BAD_TOKEN,
    "this contains characters that cannot be seen (a NUL, a line break, a zero-width character)",
    "Remove them: no header can carry them, and no token has any.",
)

RULES: tuple[Rule, ...] = (
    # A JSON Web Token begins with eyJ too, but not with {"iv": - and has dots, as an encrypted one (JWE) has.
    _encrypted("laravel", r"eyJpdiI6[A-Za-z0-9+/]*={0,2}\Z", "so Laravel's Crypt and its casts write", "laravel"),
    _encrypted("rails", r'\{\s*"(?:p"\s*:.*"h|h"\s*:.*"p)"\s*:', "so `encrypts` of Rails writes", "rails"),
    _encrypted(
        "rails_message",
        r"[A-Za-z0-9+/]+={0,2}--[A-Za-z0-9+/]{16}--[A-Za-z0-9+/]{22}==\Z",
        "so the MessageEncryptor of Rails writes",
        marks=("==",),
    ),
    # Base64 of base64 that ends in ==. A signed message, which the tokens of Basecamp are, is base64 of something else.
    _encrypted(
        "rails_cbc",
        rf"{_BASE64_TWICE * 4}(?:{_BASE64_TWICE}){{12,}}(?:(?<=[Tz]09)|(?<=9)PQ==|PT0=)"
        r"--[0-9a-f]{40}(?:[0-9a-f]{24})?\Z",
        "so the MessageEncryptor of Rails writes",
    ),
    # The second of two parts is longer than the first: a pair of keys of 32 digits each is none, nor is the key of
    # Ghost (24 and 64 digits).
    _encrypted(
        "hex_parts",
        r"(?i:[0-9a-f]{24}:(?![0-9a-f]{64}\Z)|[0-9a-f]{32}:)"
        r"(?i:(?:[0-9a-f]{2}){17,}|[0-9a-f]{32}:(?:[0-9a-f]{2})+|(?:[0-9a-f]{2})+:[0-9a-f]{32})\Z",
        "so programs on Node's crypto write, as iv:ciphertext",
        marks=(":",),
    ),
    _encrypted("fernet", r"gAAAAA[A-Za-z0-9_-]{10,}={0,2}\Z", "this is a Fernet token", "fernet"),
    _encrypted("vault", r"vault:v\d+:", "so the transit engine of Vault writes"),
    _encrypted("nango", r'\{\s*"encrypted_credentials"', "so Nango keeps credentials", "aes-gcm"),
    _encrypted("better_auth", r"\$ba\$\d+\$", "so Better Auth keeps tokens with encryptOAuthTokens"),
    _encrypted(
        "pgcrypto",
        r"\\x(?i:c30d|c1c[01])[0-9a-fA-F]*\Z"
        r"|[cC](?i:3(?:0d|1e|26|2e)040[1-9a]0[013]0[1-9ab]|1c[01][0-9a-f]{2}03[0-9a-f]{16}(?:01|02|10)[0-2][0-9a-f])"
        r"[0-9a-fA-F]*\Z",
        "so pgcrypto writes",
    ),
    _encrypted("openpgp", "|".join(rf"{head}[A-Za-z0-9+/\s]*={{0,2}}\s*\Z" for head in _OPENPGP),
              "so pgcrypto and PGP write"),
    _encrypted("armor", r"-----BEGIN (?:PGP MESSAGE|AGE ENCRYPTED FILE)-----", "by PGP or age"),
    _encrypted("kms", r"AQ[EI]CAH[A-Za-z0-9+/]{20,}={0,2}\Z", "so the KMS of AWS writes"),
    _encrypted("tool", r"\$ANSIBLE_VAULT;|ENC\[AES256_GCM,|ENC\(\S{16,}\)\Z", "by Ansible Vault, SOPS or Jasypt"),
    _encrypted("label", r"[eE](?i:nc|ncrypted):[\w+/=:.-]{16,}\Z|v\d{1,2}:[\w+/=:.-]{16,}\Z", "by its label, as enc:"),
    _encrypted("openssl", r"U2FsdGVkX1[A-Za-z0-9+/]+={0,2}\Z", "so OpenSSL and CryptoJS write"),
    _encrypted("spring", r"\{cipher\}", "so Spring Cloud Config writes"),
    _encrypted("iron", r"Fe26\.2\*", "this is sealed with iron"),
    _encrypted("hash", r"\$2[aby]\$\d\d\$|\$argon2|\$scrypt\$|\{SHA", "this is a hash, which nobody can undo"),
    _masked(
        "mask_word", ANY,
        r"REDACTED\Z|[\[<({*][\[<({*]*(?i:redacted|filtered|hidden|masked|removed|secret|sensitive|encrypted)[\]>)}*]+\Z",
        "a word in its place",
    ),
    _masked(
        "mask_bare_word", ISSUED, _words("redacted", "filtered", "hidden", "masked", "removed", "encrypted"),
        "a word in its place",
    ),
    _masked("mask_run", ANY, r"[*•●∙·▪■#][*•●∙·▪■#]{2,}\Z", "nothing but stars or bullets"),
    _masked("mask_signs", ISSUED, r"[-–—*•●∙·▪■#][-–—*•●∙·▪■#]+\Z", "nothing but dashes, stars or bullets"),
    _masked("mask_x", ISSUED, r"[xX][xX]{4,}[A-Za-z0-9]{0,6}\Z", "a row of x"),
    # Random tokens have dots and stars too (those of Salesforce, those of Microsoft): only a short one with three in a
    # row is a mask, as ab12...yz89 is.
    _masked(
        "mask_part", ISSUED, r".{0,20}(?:\.\.\.|\*\*\*).{0,8}\Z|.*(?:\*{5}|••|●●|…|\.\.\.\Z)",
        "a part of it is left out",
        marks=("...", "***", "••", "●●", "…"),
    ),
    _bad(
        "nothing", ISSUED, _words(*WORDS_FOR_NOTHING),
        "this is a word that an export wrote where there is nothing",
        "Export such cells empty.",
    ),
    _bad(
        "placeholder", ISSUED, r"[yY](?i:our)[_ -](?i:[a-z]+[_ -])?(?i:token|key|secret)\Z",
        "this stands in the place of a token that somebody was to fill in", "Fill it in.",
    ),
    _bad(
        "quoted", ISSUED, r'".*"\Z', "this has quotation marks around it, as JSON text has", "Export it without them.",
    ),
    _bad("address", Kind.TOKEN, r"https?://", "this is an address and not a token", "Check the column."),
    _bad(
        "header", Kind.TOKEN, r"[bB](?i:earer|asic)\s",
        "the word before this token (Bearer, Basic) belongs to a header and not to the token",
        "Remove the word and the blank: it is put before the token when it is used.",
    ),
    _bad(
        "header_alone", ISSUED, _words("bearer", "basic"),
        "this is the word that stands before a token in a header (Bearer, Basic), and not the token",
        "Check that the column of the token is mapped, and not that of its type.",
    ),
    _bad(
        "python", ISSUED, r"""[\[{(]\s*u?'|b(?:'.*'|".*")\Z""",
        "this was written by Python's print: a dict, a list or bytes, and not a token",
        "Export it with json.dumps, or decode the bytes.",
    ),
    _bad("ruby", ISSUED, r"---(?:\s|\Z)", "this is YAML, as Ruby keeps a hash in a column", "Export the token in it."),
    _bad("php", ISSUED, r'[aO]:\d+:[{"]|s:\d+:"', "this was written by PHP's serialize", "Export the token in it."),
    _bad("javascript", ISSUED, r"\[object Object\]", "JavaScript wrote an object as text", "Export the token in it."),
    _bad(
        "json", Kind.TOKEN, r'[\[{]\s*["\[{\]}]',
        "this is JSON and not a token",
        'Name the token in it by its path in the [mapping], e.g. json = "$.access_token".',
    ),
    _bad(
        "bytea", ISSUED, r"\\x(?:[0-9a-fA-F]{2})+\Z",
        "these are bytes as PostgreSQL prints them, and not a token",
        "They may be encrypted: export them decrypted, or as text with convert_from(…, 'UTF8').",
    ),
)  # fmt: skip
"""What is no credential. Of two that fit, the first without marks counts."""


_SEEN = bytes(range(0x20, 0x7F))


class Check:
    """Finds what is no credential in a column of one kind."""

    def __init__(self, kind: Kind) -> None:
        rules = [rule for rule in RULES if kind in rule.kinds]
        self._by_name = {rule.name: rule.fault for rule in rules}
        # one pattern for all of them, and once more with groups, whose names tell which rule it was: without them, a
        # branch whose first letter does not fit is never entered, which is five times as fast
        begin = [rule for rule in rules if not rule.marks]
        self._begin = re.compile("|".join(rule.pattern for rule in begin), re.DOTALL)
        self._begin_by_name = "|".join(f"(?P<{rule.name}>{rule.pattern})" for rule in begin)  # compiled when asked
        self._marked = [(rule.marks, re.compile(rule.pattern, re.DOTALL), rule.fault) for rule in rules if rule.marks]
        self._marks = tuple(chain.from_iterable(rule.marks for rule in rules))
        self._printable = kind in ISSUED

    def __call__(self, column: list[Any]) -> list[Any]:
        """The column, with a fault in place of each text, list or structure that is, or holds, no credential."""
        is_flat = set(map(type, column)).isdisjoint({tuple, dict})
        texts = [cell for cell in column if isinstance(cell, str)] if is_flat else [*chain(*map(texts_in, column))]
        faults = {text: fault for text in self._suspects(texts) if (fault := self.fault(text))}
        if not faults or is_flat:
            return replaced(column, faults)
        return [next((faults[text] for text in texts_in(cell) if text in faults), cell) for cell in column]

    def fault(self, text: str) -> Fault | None:
        """What is wrong with one text."""
        if self._begin.match(text) and (begin := re.match(self._begin_by_name, text, re.DOTALL)):
            return self._by_name[begin.lastgroup or ""]
        for marks, pattern, fault in self._marked:
            if any(mark in text for mark in marks) and pattern.match(text):
                return fault
        if not self._printable or text.isprintable() or text.startswith("-----BEGIN "):
            return None  # a private key has lines, and some providers take one as a secret
        return _UNSEEN if UNSEEN.search(text) else None

    def named(self, rule: str) -> Fault:
        """The fault of one rule."""
        return self._by_name[rule]

    def _suspects(self, texts: list[str]) -> set[str]:
        """The texts worth a closer look: hardly ever any, and so a whole column is looked at in C."""
        joined = " ".join(texts)
        suspects = set(filter(self._begin.match, texts))
        for mark in self._marks:
            if mark[0] in joined and mark in joined:  # one character is found ten times as fast as two
                suspects.update(text for text in texts if mark in text)
        if self._printable and _has_unseen(joined):
            suspects.update(text for text in texts if not text.isprintable())
        return suspects


def _has_unseen(joined: str) -> bool:
    """Whether a text may hold characters that cannot be seen; of ASCII, four times as fast as `isprintable`."""
    if not joined.isascii():
        return not joined.isprintable()
    return bool(joined.encode().translate(None, _SEEN))


_CHECKS = {kind: Check(kind) for kind in Kind}

_ENVELOPES = {frozenset({"p", "h"}): "rails", frozenset({"encrypted_credentials"}): "nango"}
"""The keys of an object that holds ciphertext -> the rule that says so."""


def kind_of(path: str) -> Kind | None:
    """What may stand in a field of the request; None where it is no credential."""
    scheme = scheme_of(path)
    if scheme is None:
        return None
    if scheme is AuthScheme.AUTHORIZATION_CODE:
        return Kind.TOKEN
    is_free = scheme is AuthScheme.CUSTOM or path.endswith((".username", ".password"))
    return Kind.FREE if is_free else Kind.KEY


def refuse_unusable(columns: Columns) -> None:
    """Put a fault in place of each credential that is plainly none."""
    for path, column in columns.items():
        if kind := kind_of(path):
            columns[path] = _CHECKS[kind](column)


def fault_of(path: str, value: Any) -> Fault | None:
    """What is wrong with one value of a field, as the reader of the field gave it."""
    kind = kind_of(path)
    found = _CHECKS[kind]([value])[0] if kind else None
    return found if isinstance(found, Fault) else None


def encrypted_json(value: Mapping[str, Any]) -> Fault | None:
    """The fault of a JSON object that is nothing but an envelope around ciphertext."""
    name = _ENVELOPES.get(frozenset(value)) if len(value) <= 2 else None
    return _CHECKS[Kind.FREE].named(name) if name else None


def not_plain(text: str) -> Fault | None:
    """The fault of a text that should be JSON, and is ciphertext or a mask."""
    return _CHECKS[Kind.FREE].fault(text)


def names_ciphertext(column: str) -> bool:
    """Whether a column is named as Lockbox and attr_encrypted name theirs; what is in it has no shape of its own."""
    return column.startswith("encrypted_") or column.endswith(("_ciphertext", "_encrypted"))
