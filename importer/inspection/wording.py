"""The words of a column's name, with the usual abbreviations written out, and what they say of its values."""

import re
from collections.abc import Set

_SPELLED = {
    "tok": ("token",), "toks": ("token",), "atok": ("access", "token"), "atoken": ("access", "token"),
    "rtok": ("refresh", "token"), "rtoken": ("refresh", "token"), "exp": ("expires",), "expire": ("expires",),
    "expiry": ("expires",), "expiration": ("expires",), "till": ("until",), "pw": ("password",),
    "pwd": ("password",), "psw": ("password",), "pswd": ("password",), "passwd": ("password",), "usr": ("user",),
    "cust": ("customer",), "acct": ("account",), "perm": ("permissions",), "perms": ("permissions",),
}  # fmt: skip
"""Short for one thing only."""

_BEFORE_A_TOKEN = {"acc": "access", "ref": "refresh", "refr": "refresh"}
"""What these are short for before `token`; elsewhere they mean an account and a reference."""

_IDS = {"id", "ref", "no", "nr", "number", "key", "uid", "pk", "phone", "zip", "count"}
KINDS_OF_ID = ({"uuid", "guid", "uid", "identifier"}, {"slug"})
"""Last words of a name that say which kind of id it is of, the likeliest to be what an app passes first."""

_TIMES = {"at", "on", "expires", "iat", "nbf", "time", "date", "issued", "created", "updated", "timestamp", "ts",
          "until", "valid"}  # fmt: skip
_SECONDS = {"s", "sec", "secs", "second", "seconds"}
_UNITS = _SECONDS | {"ms", "msec", "millis", "us", "utc", "gmt", "unix", "epoch", "timestamp", "ts", "date", "datetime",
                     "time"}  # fmt: skip
"""Last words of a time's name that say how it is written, and not which time it is."""

_NO_CREDENTIAL = {"id", "hash", "digest", "csrf", "session", "signature", "nonce", "verifier", "state", "etag", "uid",
                  "ref", "checksum", "cookie", "uuid", "url"}  # fmt: skip
_RENEWS = {"refresh", "ref", "rt", "renew", "renewal", "renewing", "offline"}


def words_of(name: str) -> list[str]:
    """The words of a name, in lower case: `accessTokenExpires_at` is access, token, expires, at."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return re.findall(r"[a-z0-9]+", apart.lower())


def squeezed(name: str) -> str:
    """A name without case and separators: `access_token` and `AccessToken` are `accesstoken`."""
    return re.sub(r"[^a-z0-9]+", "", name.lower())


def spelled_out(name: str) -> list[str]:
    """The words of a name without abbreviations: `acc_tok` is access, token."""
    words = [word for short in words_of(name) for word in _SPELLED.get(short, (short,))]
    return [
        _BEFORE_A_TOKEN.get(word, word) if following == "token" else word
        for word, following in zip(words, [*words, ""][1:], strict=True)
    ]


def without_unit(words: list[str]) -> list[str]:
    """The words of a time's name without how it is written: `expiry_ms` is expires. Of a duration, only seconds go."""
    end = len(words)
    while end > 1 and words[end - 1] in (_SECONDS if words[end - 2] == "in" else _UNITS):
        end -= 1
    return words[:end]


def as_id(words: list[str], kinds: Set[str]) -> list[str]:
    """The words of a name with `id` for the kind of id that it ends with."""
    return [*words[:-1], "id"] if len(words) > 1 and words[-1] in kinds else words


def is_id_name(name: str) -> bool:
    """Whether a column is named as ids and numbers are."""
    words = words_of(name)
    return bool(words) and (words[-1] in _IDS or squeezed(name).endswith("id"))


def says_a_time(name: str) -> bool:
    """Whether a word of a name is one of times."""
    return not _TIMES.isdisjoint(spelled_out(name))


def is_duration_name(name: str) -> bool:
    """Whether a column is named as durations in seconds are."""
    words = without_unit(spelled_out(name))
    return words[-2:] == ["expires", "in"] or "".join(words).endswith(("expiresin", "ttl", "lifetime"))


def is_safe_guess(name: str) -> bool:
    """Whether a column that looks like a credential may be one, by its name: no id, hash or token of a login."""
    return _NO_CREDENTIAL.isdisjoint(spelled_out(name))


def names_a_token(name: str) -> bool:
    """Whether a column is named as some token, whichever: `bot_token`."""
    return spelled_out(name)[-1:] == ["token"] and is_safe_guess(name)


def hints_at_refreshing(name: str) -> bool:
    """Whether a name says of a token that it renews another."""
    return not _RENEWS.isdisjoint(spelled_out(name))
