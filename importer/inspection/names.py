"""What other people call the fields of a request: the usual names of columns, compared without case and separators."""

import re
from collections.abc import Mapping, Sequence

PROVIDER_NAMES = (
    "provider", "providername", "providerid", "providerkey", "providerslug", "integration", "integrationname",
    "integrationkey", "integrationslug", "crm", "connector", "connectorname", "connectortype", "service",
    "servicename", "platform", "vendor", "saas", "toolkit", "app", "appname", "application", "backend", "source",
)  # fmt: skip

WORD_NAMES = frozenset(
    {"type", "kind", "status", "tokentype", "authtype", "authscheme", "authmode", "granttype", "scheme"}
)  # fmt: skip
"""Columns whose words are shown, beside those that name a provider: as far as they are `TYPE_WORDS` or providers."""

TYPE_WORDS = frozenset(
    {"oauth", "oauth1", "oauth2", "oauth2_cc", "oidc", "openid", "email", "credential", "credentials",
     "webauthn", "passkey", "bearer", "basic", "basic_auth", "jwt", "api_key", "apikey", "two_step",
     "authorization_code", "refresh_token", "client_credentials", "active", "inactive", "enabled", "disabled",
     "expired", "revoked", "pending", "failed", "initiated", "deleted"}
)  # fmt: skip
"""Words of token stores for kinds and states, in lower case. Any other word of a cell may be somebody's secret."""

_TOKENS = "oauth2AuthorizationCode"
_CLIENT = "oauth2ClientCredentials"

USUAL: Mapping[str, Sequence[str]] = {
    "provider": PROVIDER_NAMES,
    f"{_TOKENS}.accessToken.token": (
        "accesstoken", "oauthtoken", "oauthaccesstoken", "provideraccesstoken", "providertoken", "useraccesstoken",
        "accesstok", "authtoken", "bearertoken", "bearer", "token", "tok", "access",
    ),
    f"{_TOKENS}.refreshToken.token": (
        "refreshtoken", "oauthrefreshtoken", "providerrefreshtoken", "refreshtok", "reftoken", "refresh", "rtoken",
    ),
    f"{_TOKENS}.accessToken.expiresAt": (
        "accesstokenexpiresat", "accesstokenexpires", "accesstokenexpiry", "accesstokenexpirydate", "tokenexpiresat",
        "tokenexpires", "tokenexpiry", "tokenexpiration", "expiresat", "expires", "expireson", "expiresutc", "expiry",
        "expirydate", "expiration", "expirationdate", "expirationtime", "expiretime", "expdate", "exp", "validuntil",
        "validto", "accesstokenexpiresin", "tokenexpiresin", "expiresin", "ttl",
    ),
    f"{_TOKENS}.accessToken.issuedAt": (
        "accesstokenissuedat", "tokenissuedat", "tokencreatedat", "issuedat", "issued", "issuedon", "iat", "obtainedat",
        "authtime", "grantedat", "authorizedat", "connectedat",
    ),
    f"{_TOKENS}.refreshToken.expiresAt": (
        "refreshtokenexpiresat", "refreshtokenexpires", "refreshtokenexpiry", "refreshtokenexpirydate",
        "refreshexpiresat", "refreshexpires", "refreshexpiry", "refreshexp", "refreshtokenexpiresin",
        "xrefreshtokenexpiresin", "refreshexpiresin",
    ),
    f"{_TOKENS}.scopes": ("scopes", "scope", "grantedscopes", "tokenscopes", "oauthscopes", "scps", "scp",
                          "permissions", "perms"),
    "apiKey": ("apikey", "apitoken", "apisecret", "secretkey", "accesskey", "apikeyvalue", "key"),
    "basicAuth.username": ("username", "basicusername", "basicuser", "apiuser", "login", "loginname", "user", "usr"),
    "basicAuth.password": ("password", "basicpassword", "passwd", "passphrase", "pass", "pwd"),
    f"{_CLIENT}.clientId": ("clientid", "oauthclientid", "consumerkey", "clientkey"),
    f"{_CLIENT}.clientSecret": ("clientsecret", "oauthclientsecret", "consumersecret"),
    "authScheme": ("authscheme",),
    "providerMetadata.workspace": (
        "providerworkspaceref", "workspace", "workspaceref", "subdomain", "instance", "instancename", "mydomain",
        "shop", "shopdomain", "shopname", "site", "sitename", "portal", "domain", "host", "hostname", "instanceurl",
        "baseurl", "apidomain",
    ),
    "groupRef": (
        "groupref", "groupid", "organizationid", "organisationid", "orgid", "tenantid", "accountid", "companyid",
        "customerid", "teamid", "workspaceid", "businessid", "clientaccountid", "organization", "organisation", "org",
        "tenant", "account", "company", "customer", "team", "group", "business", "accountref", "customerref", "orgref",
        "tenantref", "customerkey", "tenantkey", "accountno", "customerno", "accountnumber", "customernumber",
    ),
    "consumerRef": (
        "consumerref", "consumerid", "userid", "userref", "enduserid", "memberid", "ownerid", "personid", "employeeid",
        "agentid", "seatid", "connectedby", "createdby", "userkey", "useruuid", "user", "member", "owner", "login",
        "userlogin", "useremail", "username", "email", "mail",
    ),
    "groupName": (
        "groupname", "organizationname", "organisationname", "orgname", "tenantname", "accountname", "companyname",
        "customername", "teamname",
    ),
    "consumerName": ("consumername", "userfullname", "fullname", "displayname", "username", "membername", "ownername",
                     "useremail", "email", "loginname"),
}  # fmt: skip
"""Field of the request -> what a column of it is usually called; the first ones are the surest."""

_TAILS = {"ciphertext", "encrypted", "enc", "value", "raw", "plain"}
"""Last words of a name that say how a thing is kept, and not what it is."""

_IDS = {"id", "ref", "no", "nr", "number", "key", "uid", "pk", "phone", "zip", "count"}
_TIMES = {"at", "on", "exp", "iat", "nbf", "time", "date", "expires", "expiry", "expiration", "issued", "created",
          "updated", "timestamp", "ts", "until", "valid"}  # fmt: skip


def words_of(name: str) -> list[str]:
    """The words of a name, in lower case: `accessTokenExpires_at` is access, token, expires, at."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return re.findall(r"[a-z0-9]+", apart.lower())


def squeezed(name: str) -> str:
    """A name without case and separators: `access_token` and `AccessToken` are `accesstoken`."""
    return re.sub(r"[^a-z0-9]+", "", name.lower())


def rank(name: str, path: str) -> int | None:
    """How well a column's name fits a field of the request, 0 best; None where it does not.

    A usual name that is only a part of the column's, as in `hubspot_access_token`, counts less than one that is all.
    """
    usual, own = USUAL[path], squeezed(name)
    if own in usual:
        return usual.index(own)
    words = words_of(name)
    if words and words[-1] in _TAILS:
        words = ["", *words[:-1]]
    ends = {"".join(words[start:]) for start in range(1, len(words))}
    long_enough = [number for number, known in enumerate(usual) if known in ends and len(known) >= 8]
    return 100 + long_enough[0] if long_enough else None


def is_usual(name: str) -> bool:
    """Whether a column is named as one of a token store usually is."""
    return any(rank(name, path) is not None for path in USUAL)


def is_id_name(name: str) -> bool:
    """Whether a column is named as ids and numbers are."""
    words = words_of(name)
    return bool(words) and (words[-1] in _IDS or squeezed(name).endswith("id"))


def is_time_name(name: str) -> bool:
    """Whether a column is named as times are."""
    return not _TIMES.isdisjoint(words_of(name)) or any(
        squeezed(name) in USUAL[path] for path in USUAL if path.endswith(("expiresAt", "issuedAt"))
    )


def is_duration_name(name: str) -> bool:
    """Whether a column is named as durations in seconds are."""
    return words_of(name)[-2:] == ["expires", "in"] or squeezed(name).endswith(("expiresin", "ttl", "lifetime"))


def is_safe_guess(name: str) -> bool:
    """Whether a column that looks like a credential may be one, by its name: no id, hash or token of a login."""
    return _NO_CREDENTIAL.isdisjoint(words_of(name))


_NO_CREDENTIAL = {"id", "hash", "digest", "csrf", "session", "signature", "nonce", "verifier", "state", "etag", "uid",
                  "ref", "checksum", "cookie", "uuid", "url"}  # fmt: skip
