"""The one place where a secret is revealed: to be sent, to be digested, or to be looked for in a server's words."""

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

from pydantic import SecretStr
from pydantic_core import PydanticSerializationError, to_json

from importer.api.models import BLOCKS, AuthorizationCode, AuthScheme, GenerateRequest, Wire, _Body
from importer.records import Fingerprint, Identity
from importer.redaction import PIECE, shares_a_piece

FINGERPRINT_VERSION = 1

_OPEN = frozenset({"provider", "groupRef", "consumerRef", "groupName", "consumerName", "displayName", "source",
                   "scopes", "expiresAt", "issuedAt"})  # fmt: skip
"""Names of fields that hold no credential, wherever they stand in a body."""

_MAY_BE_IN_AN_ID = _OPEN | {"providerWorkspaceRef", "providerMetadata", "username", "clientId"}
"""Names of fields whose values an id may rightly be made of."""

# the compiled serializer itself: `model_dump_json` adds a third to its time
_to_json = GenerateRequest.__pydantic_serializer__.to_json


_slow_json = json.JSONEncoder(separators=(",", ":")).encode


def _compact(parts: Sequence[Any]) -> bytes:
    """What `json.dumps` writes without blanks, to the byte: digests of it lie in ledgers. In half its time.

    The two differ in DEL, which one of them escapes, and in half a surrogate pair, which the other refuses.
    """
    try:
        return to_json(parts, ensure_ascii=True).replace(b"\x7f", b"\\u007f")
    except PydanticSerializationError:
        return _slow_json(parts).encode()


class Body:
    """The JSON of a request, ready to be sent: bytes that neither a traceback nor a log shows."""

    __slots__ = ("json",)

    def __init__(self, json_bytes: bytes) -> None:
        self.json = json_bytes

    def __repr__(self) -> str:
        return f"<body of {len(self.json)} bytes>"

    def __reduce__(self) -> tuple[type["Body"], tuple[bytes]]:
        return Body, (self.json,)

    def secrets(self) -> list[str]:
        """Every value of the body that could be a credential: all but refs, names, times, scopes and the provider."""
        fields = json.loads(self.json)
        return [text for text in _strings(fields.get("connection", fields), _OPEN) if text]

    def may_hold(self, word: str) -> bool:
        """Whether a word without blanks and quotes stands somewhere in the body: a quick look before `secrets`."""
        return word.encode("utf-8", "replace") in self.json

    def _has_a_piece_of(self, text: bytes) -> bool:
        for start in range(max(len(text) - PIECE + 1, 1)):  # noqa: SIM110 - `any` takes twice the time
            if text[start : start + PIECE] in self.json:
                return True
        return False

    def _has_half_a_run_of(self, digits: bytes) -> bool:
        """Whether the body has enough of a UUID's digits in a row that _DIGITS of them may be in it."""
        body = self.json.translate(_LOWER, b"-")
        for at in _HALVES:  # noqa: SIM110 - `any` takes a third more
            if digits[at : at + _HALF] in body:
                return True
        return False

    def is_repeated_in(self, connection_id: str) -> bool:
        """Whether an id that a server gives is a credential of this body, or has a piece of one in it.

        Of a UUID it takes _DIGITS of its digits in a row: keys that are UUIDs too share eight characters by chance once
        in 800,000 rows, for some of those are the same in all of them (RFC 9562).
        """
        # each row pays for this, so what the id could say is looked for in the body before the body is taken apart
        if _UUID.fullmatch(connection_id):
            digits = connection_id.replace("-", "")
            if not self._has_half_a_run_of(digits.encode()):
                return False
            runs = [digits[at : at + _DIGITS] for at in range(32 - _DIGITS + 1)]
            return any(run in secret.replace("-", "").lower() for secret in self._not_in_an_id() for run in runs)
        if not any(map(self._has_a_piece_of, _decoded(connection_id))):
            return False
        return shares_a_piece(connection_id, self._not_in_an_id())

    def _not_in_an_id(self) -> Iterator[str]:
        fields = json.loads(self.json)
        return _strings(fields.get("connection", fields), _MAY_BE_IN_AN_ID)


def _decoded(connection_id: str) -> Iterator[bytes]:
    """What an id may say: itself, or as hexadecimal or base64 at each of the four places where a text can begin."""
    yield connection_id.encode()
    if _HEX.fullmatch(connection_id):
        yield bytes.fromhex(connection_id)
    plain = connection_id.encode().translate(_BASE64, b"=.:~")
    for start in range(min(4, len(plain) - 1)):
        part = plain[start : len(plain) - ((len(plain) - start) % 4 == 1)]  # one character alone says nothing
        yield base64.b64decode(part + b"=" * (-len(part) % 4))


_DIGITS = 9
"""Of twelve characters in a row of a UUID three may be dashes: so many digits make sure that no twelve are shown."""
_HALF = (_DIGITS + 1) // 2
_HALVES = range(0, 32 - _HALF + 1, _HALF)
"""Of _DIGITS in a row at least _HALF lie between two of these places."""
_UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_BASE64 = bytes.maketrans(b"-_", b"+/")
_LOWER = bytes(range(256)).lower()


def body_of(request: GenerateRequest) -> Body:
    """The body of `connections:generate`: absent fields left out, never null or empty; times in RFC 3339."""
    return Body(_to_json(request, by_alias=True, exclude_none=True, context=Wire))


def patch_of(body: Body, mask: Sequence[str], metadata: Mapping[str, Any]) -> Body | None:
    """The body of a PATCH that brings a connection to what `body` says, for the fields in `mask`.

    `metadata` is what the connection has: the API replaces the whole map, so what the row does not name is kept. None
    where the row names nothing any more of what the mask covers: nothing is taken away from a connection.
    """
    fields = json.loads(body.json)
    if "providerMetadata" in mask:
        fields["providerMetadata"] = {**metadata, **fields.get("providerMetadata", {})}
    masked = [name for name in mask if fields.get(name)]
    if not masked:
        return None
    return Body(json.dumps({"updateMask": masked, "connection": {name: fields[name] for name in masked}}).encode())


class Digests:
    """Keyed digests of keys, credentials and tokens, so that neither the ledger nor an index holds one in clear.

    `key` is 32 random bytes that stay beside the data they protect. BLAKE2b (RFC 7693) has a keyed mode of its own.
    """

    def __init__(self, key: bytes) -> None:
        self._new = hashlib.blake2b(key=key, digest_size=16)

    def _digest(self, parts: Sequence[Any]) -> bytes:
        hasher = self._new.copy()
        hasher.update(_compact(parts))
        return hasher.digest()

    def identity(self, identity: Identity) -> bytes:
        """16 bytes for the key of a connection."""
        return self._digest(["key", *identity])

    def refresh_token(self, request: GenerateRequest) -> bytes | None:
        """16 bytes for the refresh token of a row; None where it has none."""
        tokens = request.oauth2_authorization_code
        if tokens is None or tokens.refresh_token is None:
            return None
        return self._digest(["refresh", tokens.refresh_token.token.get_secret_value()])

    def fingerprint(self, request: GenerateRequest) -> Fingerprint:
        """What the row would send, canonical and versioned: the order of scopes, metadata and inputs is no change."""
        metadata = request.provider_metadata or {}
        workspace = request.provider_workspace_ref
        known = sorted((name, entry.value.get_secret_value()) for name, entry in metadata.items())
        return Fingerprint(
            self._digest(["auth", FINGERPRINT_VERSION, request.auth_scheme, *_credential(request)]),
            self._digest(["metadata", FINGERPRINT_VERSION, *known])[:8],
            self._digest(["workspace", FINGERPRINT_VERSION, workspace and workspace.get_secret_value()])[:8],
        )


def _credential(request: GenerateRequest) -> Iterable[Any]:
    """The credential block as (name, value) pairs in the order of their names; tokens without their times."""
    if request.auth_scheme is AuthScheme.NONE:
        return ()
    block = getattr(request, BLOCKS[request.auth_scheme])
    if isinstance(block, AuthorizationCode):
        tokens = (("accessToken", block.access_token), ("refreshToken", block.refresh_token))
        scopes = None if block.scopes is None else sorted(set(block.scopes))
        return [*((name, token.token.get_secret_value()) for name, token in tokens if token), ("scopes", scopes)]
    if isinstance(block, SecretStr):
        return [("apiKey", block.get_secret_value())]
    if isinstance(block, _Body):
        return [(name, _plain(getattr(block, name))) for name in sorted(type(block).model_fields)]
    return sorted((name, _plain(value)) for name, value in block.items())


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return sorted({_plain(item) for item in value})
    return value


def _strings(value: Any, left_out: Set[str]) -> Iterator[str]:
    """Every text in a part of a body but those under a name that is left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            if name not in left_out:
                yield from _strings(item, left_out)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item, left_out)
