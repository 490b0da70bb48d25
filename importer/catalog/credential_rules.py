"""Rules 2 and 6 to 10: the right kind of credential, and what is in it."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from pydantic import SecretStr
from pydantic.alias_generators import to_camel

from importer.api.models import BLOCKS, AuthScheme, GenerateRequest, Token
from importer.api.wire import _plain as reveal  # the one place that reveals a secret
from importer.catalog.findings import NOTHING, Finding, Findings, Sheet, blank, error, is_blank, warning
from importer.catalog.metadata_rules import unlisted
from importer.catalog.quirks import (
    CUSTOM_LISTS,
    ENCODED_PAIRS,
    KEY_AS_USERNAME,
    LASTING_TOKENS,
    PASSWORDS,
    USERNAME_SHAPES,
)
from importer.outcomes import Code

_ACCESS, _REFRESH = "oauth2AuthorizationCode.accessToken", "oauth2AuthorizationCode.refreshToken"


def no_way_in(sheet: Sheet, _request: GenerateRequest, _now: datetime) -> Findings:
    """Rules 2 and 10: ways to sign in that `generate` cannot do, whatever the row has."""
    name = sheet.info.name
    if sheet.info.multi_step:
        reason = f"{name} signs in in several steps, and a connection cannot be made out of stored credentials"
        fix = "Remove the row, and have the customer connect in your app (POST …/custom-auth/connect)."
    else:
        reason, fix = f"{name} signs in with {sheet.info.auth}, which cannot be imported", "Remove the row."
    return [error("provider", Code.NOT_IMPORTABLE, reason, fix)]


def fitting_block(sheet: Sheet, request: GenerateRequest, _now: datetime) -> Findings:
    """Rule 2: no provider has two auth schemes, and one kind of credential is never made into another."""
    info, given = sheet.info, request.auth_scheme
    if given is info.scheme:
        return NOTHING
    wanted = _block(info.scheme)
    return [
        error(
            _block(given) or wanted,
            Code.WRONG_CREDENTIAL,
            f"{info.name} signs in with {info.auth}, and this row has {given}",
            f"Map the credential to {wanted}, or correct the provider." if wanted else "Remove the credential.",
        )
    ]


def _block(scheme: AuthScheme | None) -> str:
    """The path of a scheme's block in the request; "" for none."""
    return to_camel(BLOCKS[scheme]) if scheme in BLOCKS else ""


def api_key(sheet: Sheet, request: GenerateRequest, _now: datetime) -> Findings:
    """Rule 6: not blank, not a pair that should be encoded, and without what is put before it at every call."""
    if request.api_key is None:
        return NOTHING
    name, prefix = sheet.info.name, sheet.info.key_prefix
    if is_blank(request.api_key):
        return [blank("apiKey", name)]
    key: str = reveal(request.api_key)
    if prefix and key[: len(prefix)].casefold() == prefix.casefold():
        reason = f"this begins with {prefix.strip()}, which is put before every key of {name}"
        return [warning("apiKey", Code.DOUBLED_PREFIX, reason, "Write only what comes after it.")]
    if name in ENCODED_PAIRS and ":" in key:
        reason = f"this has a colon, and {name} takes id and token encoded as one"
        return [warning("apiKey", Code.ODD_CREDENTIAL, reason, "Write the base64 of id:token.")]
    return NOTHING


def basic(sheet: Sheet, request: GenerateRequest, _now: datetime) -> Findings:
    """Rule 7: a user name of the right shape; a blank password is legal, and usual where the key is the user name."""
    block, name = request.basic_auth, sheet.info.name
    if block is None:
        return NOTHING
    if is_blank(block.username):
        return [blank("basicAuth.username", name, is_the="the API key" if name in KEY_AS_USERNAME else "")]
    found = []
    if name in USERNAME_SHAPES:
        shape, written = USERNAME_SHAPES[name]
        if not shape.fullmatch(reveal(block.username)):
            reason = f"a user name of {name} is written {written}, and this is not"
            found.append(warning("basicAuth.username", Code.ODD_CREDENTIAL, reason, "Check the column."))
    if name in PASSWORDS and is_blank(block.password):
        reason = f"this is blank, and the password of {name} is {PASSWORDS[name]}"
        found.append(warning("basicAuth.password", Code.ODD_CREDENTIAL, reason, "Fill it in."))
    return found


def client(sheet: Sheet, request: GenerateRequest, _now: datetime) -> Findings:
    """Rule 8: nothing blank, and scopes where the provider demands them."""
    block = request.oauth2_client_credentials or request.oauth2_password_credentials
    if block is None:
        return NOTHING
    path = _block(request.auth_scheme)
    found = [
        blank(f"{path}.{to_camel(name)}", sheet.info.name)
        for name, value in block
        if isinstance(value, SecretStr) and is_blank(value)
    ]
    if sheet.info.needs_scopes and not block.scopes:
        reason = f"{sheet.info.name} grants nothing without scopes, and the row has none"
        fix = f'Fill in scopes, or map them: {path}.scopes = "column".'
        found.append(warning(f"{path}.scopes", Code.NO_SCOPES, reason, fix))
    return found


def tokens(sheet: Sheet, request: GenerateRequest, now: datetime) -> Findings:
    """Rule 9: bare tokens, of which one still works and one renews it. (Neither is what the models refuse.)"""
    block = request.oauth2_authorization_code
    if block is None:
        return NOTHING
    access, refresh = block.access_token, block.refresh_token
    found: Findings = NOTHING
    if access is not None and (odd := _odd_token(access, _ACCESS, sheet.info.name)):
        found = [odd]
    if refresh is not None and (odd := _odd_token(refresh, _REFRESH, sheet.info.name)):
        found = [*found, odd]
    missing = _missing_token(sheet.info.name, access, refresh, now)
    return [*found, missing] if missing else found


def _odd_token(token: Token, path: str, provider: str) -> Finding | None:
    text: str = reveal(token.token)
    if text.isspace():
        return blank(f"{path}.token", provider)
    # a token has no blank in it (RFC 6749, appendix A.12, allows one; nobody does), so this is told at once
    if " " in text and "bearer " in text.casefold():
        reason = "this holds the word Bearer, which is put before the token at every call"
        return error(f"{path}.token", Code.DOUBLED_PREFIX, reason, "Write only the token.")
    return None


def _missing_token(provider: str, access: Token | None, refresh: Token | None, now: datetime) -> Finding | None:
    """What will not work soon, or not any more; the gravest only."""
    if refresh is not None and _is_over(refresh, now):
        reason = "the refresh token has expired, so the connection cannot be renewed"
        return warning(f"{_REFRESH}.expiresAt", Code.EXPIRED_TOKEN, reason, "Have the customer log in again.")
    if refresh is not None:
        if access is not None:
            return None
        reason = "there is no access token: the connection works only once the refresh token has been used"
        return warning(f"{_ACCESS}.token", Code.NO_ACCESS_TOKEN, reason, "Export both, if the store has both.")
    if access is not None and _is_over(access, now):
        reason = "the access token has expired, and there is no refresh token"
        return warning(f"{_ACCESS}.expiresAt", Code.EXPIRED_TOKEN, reason, "Have the customer log in again.")
    if provider in LASTING_TOKENS and access is not None and access.expires_at is None:
        return None
    reason = "there is no refresh token: the connection ends when the access token expires"
    return warning(f"{_REFRESH}.token", Code.NO_REFRESH_TOKEN, reason, "Map the refresh token, if the store has it.")


def _is_over(token: Token, now: datetime) -> bool:
    return token.expires_at is not None and token.expires_at <= now


def custom(sheet: Sheet, request: GenerateRequest, _now: datetime) -> Findings:
    """Rule 10: every input of the provider and no other; the catalog's templates fail on a missing one."""
    given = request.custom_auth
    if given is None:
        return NOTHING
    found = list(_missing_parts(sheet, given))
    if not sheet.custom_names.issuperset(given):
        found.append(unlisted("customAuth", sheet.info.name, sheet.info.custom_inputs))
    return found


def _missing_parts(sheet: Sheet, given: Mapping[str, SecretStr | tuple[SecretStr, ...]]) -> Iterator[Finding]:
    name = sheet.info.name
    for entry in sheet.info.custom_inputs:
        value, path = given.get(entry.name), f"customAuth.{entry.name}"
        if value is None:
            fix = f'Fill it in: in a column custom_auth.{entry.name}, or by a [mapping], {path} = "column".'
            yield error(path, Code.MISSING_INPUT, f"{name} needs {path}, and the row has none", fix)
        elif not _is_filled(value):
            yield blank(path, name)
    listed = CUSTOM_LISTS.get(name)
    if listed:
        value = given.get(listed)
        if not isinstance(value, tuple) or not _is_filled(value):
            path = f"customAuth.{listed}"
            reason = f"{name} needs {path} as an array, and the row has none"
            yield error(path, Code.NO_SCOPES, reason, f'Map it: {path} = {{ column = "column", split = " " }}.')


def _is_filled(value: SecretStr | tuple[SecretStr, ...]) -> bool:
    if isinstance(value, tuple):
        return any(not is_blank(item) for item in value)
    return not is_blank(value)
