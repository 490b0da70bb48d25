"""Tokens that open nothing, or not for long, whoever the provider is: what a token and its scopes tell of themselves.

They are signs and no proof, so they only warn; they need no catalog.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from importer.api.models import GenerateRequest
from importer.api.wire import _plain as reveal  # the one place that reveals a secret
from importer.catalog.findings import NOTHING, Finding, Findings, warning
from importer.outcomes import Code

_BLOCK = "oauth2AuthorizationCode"

_LOGIN_SCOPES = frozenset(
    {"openid", "email", "profile", "address", "phone", "offline_access", "user:email", "read:user", "identity.basic",
     "identity.email", "https://www.googleapis.com/auth/userinfo.email",
     "https://www.googleapis.com/auth/userinfo.profile"}
)  # fmt: skip
"""Those of OpenID Connect Core 1.0, sections 5.4 and 11, and what Google, GitHub and Slack call the same."""

_IDENTITY_CLAIMS = frozenset({"nonce", "at_hash", "c_hash"})
"""Claims that OpenID Connect Core 1.0 (sections 2, 3.1.3.6 and 3.3.2.11) knows in ID tokens only."""

_LONG_HEX = re.compile(r"(?:[0-9a-f]{2}){64,}|(?:[0-9A-F]{2}){64,}")
"""The shortest ciphertext that Better Auth wrote as bare hexadecimal (24 + 16 bytes and the token) is as long."""


def token_findings(request: GenerateRequest, client_id: str | None) -> Findings:
    """What speaks against the tokens of a row; `client_id` is the client they were issued to, where it is known."""
    block = request.oauth2_authorization_code
    if block is None:
        return NOTHING
    access, refresh, scopes = block.access_token, block.refresh_token, block.scopes
    found: list[Finding] = []
    if access is not None and _is_suspect(text := reveal(access.token)):
        found += _about(text, f"{_BLOCK}.accessToken.token", client_id)
    if refresh is not None and _is_suspect(text := reveal(refresh.token)):
        found += _about(text, f"{_BLOCK}.refreshToken.token", client_id)
    if scopes and _is_login_only(scopes):
        reason = "these scopes let a customer log in and nothing else, so the tokens are probably those of your login"
        fix = "Check that they were issued to the client of the integration."
        found.append(warning(f"{_BLOCK}.scopes", Code.LOGIN_SCOPES, reason, fix))
    return found


@lru_cache(maxsize=1_000)
def _is_login_only(scopes: tuple[str, ...]) -> bool:
    return _LOGIN_SCOPES.issuperset(scopes)


def _is_suspect(text: str) -> bool:
    """Whether a token deserves a closer look: hardly any does."""
    return text.startswith("eyJ") or (len(text) >= 128 and _LONG_HEX.fullmatch(text) is not None)


def _about(text: str, path: str, client_id: str | None) -> Iterator[Finding]:
    if not text.startswith("eyJ"):
        reason = "this is nothing but hexadecimal digits, and more than most tokens have: it may be encrypted"
        fix = "Older versions of Better Auth write so with encryptOAuthTokens: export it decrypted."
        yield warning(path, Code.ODD_CREDENTIAL, reason, fix)
    elif what := _no_key(_claims(text), client_id):
        yield warning(path, Code.ID_TOKEN, f"this is {what}, and opens nothing at the provider", "Map another one.")


def _no_key(claims: Mapping[str, Any], client_id: str | None) -> str:
    """What a token is that says who somebody is, and not what its bearer may do; "" where it may be an access token."""
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if "session_id" in claims and "authenticated" in audiences:
        return "a session of Supabase"
    is_for_its_client = client_id is not None and client_id in audiences
    says_so = claims.get("token_use") == "id" or claims.get("typ") == "ID"  # Cognito, Keycloak
    return "an ID token" if says_so or is_for_its_client or not _IDENTITY_CLAIMS.isdisjoint(claims) else ""


def _claims(text: str) -> Mapping[str, Any]:
    """The claims of a JSON Web Token (RFC 7519, section 3), unverified; none where it is another thing."""
    parts = text.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}
