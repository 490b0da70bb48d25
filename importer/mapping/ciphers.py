"""What opens ciphertext, scheme by scheme, with the `cryptography` library; imported only where a mapping decrypts.

An opener takes the parts of one value (the cell, then those beside it) and gives the plain bytes; what it raises where
they do not open is one of `FAILURES`, and never leaves this package.
"""

import base64
import hashlib
import hmac
import json
import re
import zlib
from collections.abc import Callable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

Opener = Callable[[Sequence[bytes]], bytes]

FAILURES = (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidTag, InvalidToken, zlib.error)

IV_BYTES, TAG_BYTES = 12, 16
AES_KEY_BYTES = (16, 24, 32)
LARGEST_BYTES = 1024 * 1024
RAILS_ROUNDS = 2**16

_HEX = re.compile(rb"([0-9a-fA-F]{2})+")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]+={0,2}")
_BLANKS = re.compile(rb"\s+")
_PHP_STRING = re.compile(rb's:(\d+):"(.*)";', re.DOTALL)


class BadKey(ValueError):
    """A key that cannot be one of its scheme; the message says what is wanted and not what was given."""


def fernet(keys: str, _salt: str) -> Opener:
    """Fernet (github.com/fernet/spec), of any age: one key, or several separated by commas."""
    try:
        ring = MultiFernet([Fernet(key.strip()) for key in keys.split(",")])
    except ValueError:
        raise BadKey("32 bytes in URL-safe base64, as Fernet.generate_key() gives") from None
    return lambda parts: ring.decrypt(parts[0])


def aes_gcm(key: str, _salt: str) -> Opener:
    """AES-GCM in the layout iv (12 bytes) || ciphertext || tag (16 bytes), each as hex, base64 or bytes.

    Parts that stand in columns of their own are given as (ciphertext, iv) or (ciphertext, iv, tag).
    """
    gcm = AESGCM(_aes_key(key, AES_KEY_BYTES))

    def open_(parts: Sequence[bytes]) -> bytes:
        sealed, *beside = map(_decoded, parts)
        if not beside:
            return gcm.decrypt(sealed[:IV_BYTES], sealed[IV_BYTES:], None)
        return gcm.decrypt(beside[0], sealed + b"".join(beside[1:]), None)

    return open_


def laravel(keys: str, _salt: str) -> Opener:
    """Laravel's Encrypter (AES-CBC with HMAC-SHA256, or AES-GCM): APP_KEY, and older keys after commas.

    `encrypt()` serializes before it encrypts and `encryptString()` does not: a serialized string is unwrapped.
    """
    return _first_that_fits(
        [_laravel(_aes_key(key.strip().removeprefix("base64:"), (16, 32))) for key in keys.split(",")]
    )


def _laravel(key: bytes) -> Opener:
    def open_(parts: Sequence[bytes]) -> bytes:
        payload = json.loads(_from_base64(parts[0]))
        iv, sealed = (_from_base64(payload[name].encode()) for name in ("iv", "value"))
        if payload.get("tag"):
            return _without_php(AESGCM(key).decrypt(iv, sealed + _tag(payload["tag"]), None))
        signed = (payload["iv"] + payload["value"]).encode()
        if not hmac.compare_digest(hmac.digest(key, signed, "sha256").hex(), payload["mac"]):
            raise ValueError
        return _without_php(_cbc(key, iv, sealed))

    return open_


def _cbc(key: bytes, iv: bytes, sealed: bytes) -> bytes:
    aes, padding = Cipher(AES(key), CBC(iv)).decryptor(), PKCS7(128).unpadder()
    padded = aes.update(sealed) + aes.finalize()
    return padding.update(padded) + padding.finalize()


def _without_php(plain: bytes) -> bytes:
    """The text in a string, or nothing in a null, as PHP's serialize writes them; anything else as it is."""
    if plain == b"N;":
        return b""
    string = _PHP_STRING.fullmatch(plain)
    return string[2] if string and int(string[1]) == len(string[2]) else plain


def rails(key: str, salt: str) -> Opener:
    """`encrypts` of Rails (ActiveRecord::Encryption, AES-256-GCM) by its primary key and key derivation salt.

    The key is derived with PBKDF2 over SHA-256 since the defaults of Rails 7.1, over SHA-1 before: both are tried.
    An attribute that is deterministic has the deterministic key in place of the primary one.
    """
    return _first_that_fits(
        [
            _rails(AESGCM(hashlib.pbkdf2_hmac(digest, key.encode(), salt.encode(), RAILS_ROUNDS, 32)))
            for digest in ("sha256", "sha1")
        ]
    )


def _rails(gcm: AESGCM) -> Opener:
    def open_(parts: Sequence[bytes]) -> bytes:
        message = json.loads(parts[0])
        headers = message["h"]
        sealed = _from_base64(message["p"].encode()) + _tag(headers["at"])
        plain = gcm.decrypt(_from_base64(headers["iv"].encode()), sealed, None)
        return _expanded(plain) if headers.get("c") is True else plain

    return open_


def _expanded(packed: bytes) -> bytes:
    """What zlib has packed. Raises ValueError where it is more than any token has, or breaks off."""
    unpacking = zlib.decompressobj()
    plain = unpacking.decompress(packed, LARGEST_BYTES)
    if not unpacking.eof:
        raise ValueError
    return plain


SCHEMES: dict[str, Callable[[str, str], Opener]] = {
    "fernet": fernet,
    "aes-gcm": aes_gcm,
    "laravel": laravel,
    "rails": rails,
}
"""Scheme -> what makes its opener from the text of the key and that of the salt. Raises BadKey."""


def _first_that_fits(openers: Sequence[Opener]) -> Opener:
    """Opens with the first of several keys that does; each of these schemes knows a wrong key by its tag."""
    if len(openers) == 1:
        return openers[0]

    def open_(parts: Sequence[bytes]) -> bytes:
        for opener in openers:
            try:
                return opener(parts)
            except FAILURES:
                continue
        raise ValueError

    return open_


def _aes_key(text: str, lengths: Sequence[int]) -> bytes:
    raw = text.strip().encode()
    try:
        key = bytes.fromhex(raw.decode()) if _HEX.fullmatch(raw) else _from_base64(raw)
    except ValueError:
        key = b""
    if len(key) not in lengths:
        wanted = f"{', '.join(map(str, lengths[:-1]))} or {lengths[-1]}"
        raise BadKey(f"{wanted} bytes, written as hex or base64")
    return key


def _tag(text: str) -> bytes:
    tag = _from_base64(text.encode())
    if len(tag) != TAG_BYTES:  # a shorter one is easier to forge, and would be taken from the ciphertext's end
        raise ValueError
    return tag


def _decoded(part: bytes) -> bytes:
    """Bytes from hex (also as PostgreSQL prints a bytea), from base64, or as they are stored."""
    text = _BLANKS.sub(b"", part)  # MySQL's TO_BASE64 breaks lines
    if _HEX.fullmatch(text.removeprefix(b"\\x")):
        return bytes.fromhex(text.removeprefix(b"\\x").decode())
    return _from_base64(text) if _BASE64.fullmatch(text) else part


def _from_base64(text: bytes) -> bytes:
    """Base64 of either alphabet, padded or not."""
    bare = _BLANKS.sub(b"", text).rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    return base64.b64decode(bare + b"=" * (-len(bare) % 4), validate=True)
