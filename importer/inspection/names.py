"""What other people call the fields of a request: the usual names of columns.

They are compared without case and separators, and with the usual abbreviations written out.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from importer.inspection.wording import KINDS_OF_ID, as_id, says_a_time, spelled_out, squeezed, without_unit, words_of

PROVIDER_NAMES = (
    "provider", "providername", "providerid", "providerkey", "providerslug", "integration", "integrationname",
    "integrationkey", "integrationslug", "crm", "connector", "connectorname", "connectortype", "service",
    "servicename", "platform", "vendor", "saas", "toolkit", "tool", "toolname", "app", "appname", "application",
    "backend", "source",
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
        "accesstok", "authtoken", "bearertoken", "bearer", "token", "tok", "access", "jwttoken",
        "accessjwt", "jwt",
    ),
    f"{_TOKENS}.refreshToken.token": (
        "refreshtoken", "oauthrefreshtoken", "providerrefreshtoken", "refreshtok", "reftoken", "refresh", "rtoken",
        "refreshjwt",
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
        "agentid", "seatid", "connectedby", "createdby", "userkey", "useruuid", "uid", "user", "member", "owner",
        "agent", "login", "userlogin", "useremail", "username", "email", "mail",
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

_TIMES = ("expiresAt", "issuedAt")
_REFS = ("groupRef", "consumerRef")

_OTHERWISE, _PART = 100, 1_000
"""What is added to a rank for each further way of writing the name, and for a usual name that is only its end."""


@lru_cache(maxsize=20_000)
def rank(name: str, path: str) -> int | None:
    """How well a column's name fits a field of the request, 0 best; None where it does not.

    A name that has to be written out, as `acc_tok`, counts less than a usual one, and one of which a usual name is only
    a part, as of `hubspot_access_token`, least.
    """
    usual = USUAL[path]
    ways = list(_ways(name, path))
    for number, own in enumerate([squeezed(name), *map("".join, ways)]):
        if own in usual:
            return _OTHERWISE * number + usual.index(own)
    ends = {end for words in ways for end in _ends(words)}
    long_enough = [number for number, known in enumerate(usual) if known in ends and len(known) >= 8]
    return _PART + long_enough[0] if long_enough else None


def _ends(words: list[str]) -> Iterator[str]:
    """What a name ends with, without its first word; all of it but a word that says how the thing is kept."""
    kept = ["", *words[:-1]] if words and words[-1] in _TAILS else words
    return ("".join(kept[start:]) for start in range(1, len(kept)))


def _ways(name: str, path: str) -> Iterator[list[str]]:
    """The words of a name, as they are and written out in each way that it may be meant for a field."""
    words = spelled_out(name)
    yield words_of(name)
    yield words
    if path.endswith(_TIMES):
        yield without_unit(words)
    elif path in _REFS:
        yield from (as_id(words, kinds) for kinds in KINDS_OF_ID)


def is_usual(name: str) -> bool:
    """Whether a column is named as one of a token store usually is."""
    return any(rank(name, path) is not None for path in USUAL)


def is_usual_whole(name: str) -> bool:
    """The same, where all of the name is usual, and not only its end."""
    return any((place := rank(name, path)) is not None and place < _PART for path in USUAL)


def is_time_name(name: str) -> bool:
    """Whether a column is named as times are."""
    return says_a_time(name) or any(squeezed(name) in USUAL[path] for path in USUAL if path.endswith(_TIMES))
