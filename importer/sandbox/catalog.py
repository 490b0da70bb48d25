"""A small catalog of real provider keys, in the shape of GET /v1/providers, and what it has against a body.

Facts (keys, URLs, grants, inputs) are those of the published catalog, snapshot of 2026-08-21.
"""

from typing import Any

from importer.sandbox.problems import issue
from importer.sandbox.schema import BLOCKS

_CODE, _PKCE = "authorizationCode", "authorizationCodePKCE"


def _provider(
    key: str, name: str, auth_type: str, base_url: str, *inputs: dict[str, Any], **more: Any
) -> dict[str, Any]:
    metadata = {"metadata": {"input": list(inputs)}} if inputs else {}
    facts = {"name": key, "displayName": name, "authType": auth_type, "baseURL": base_url, "defaultModule": ""}
    return facts | metadata | more


def _oauth2(grant: str, token_url: str, auth_url: str = "", *, scopes: bool = False, workspace: bool = False) -> Any:
    facts = {"grantType": grant, "explicitScopesRequired": scopes, "explicitWorkspaceRequired": workspace}
    return facts | {"tokenURL": token_url} | ({"authURL": auth_url} if auth_url else {})


def _input(name: str, display_name: str, *modules: str, **more: str) -> dict[str, Any]:
    needed_by: dict[str, Any] = {"moduleDependencies": {module: {} for module in modules}} if modules else {}
    return {"name": name, "displayName": display_name} | needed_by | more


def _modules(**base_urls: str) -> dict[str, Any]:
    return {name.replace("_", "-"): {"displayName": name, "baseURL": url} for name, url in base_urls.items()}


_SALESFORCE, _ZENDESK = "https://{{.workspace}}.my.salesforce.com", "https://{{.workspace}}.zendesk.com"
_MARKETO, _SUGAR = "https://{{.workspace}}.mktorest.com", "{{.workspace}}/rest/v11_24"
_SUBDOMAIN = _input("workspace", "Subdomain")
_PARDOT = ("account-engagement", "account-engagement-demo")

_PROVIDERS = [
    _provider(
        *("salesforce", "Salesforce", "oauth2", _SALESFORCE),
        _input("workspace", "Subdomain", "crm", *_PARDOT),
        _input("businessUnitId", "Business Unit ID", *_PARDOT),
        defaultModule="crm",
        modules=_modules(crm=_SALESFORCE, account_engagement="https://pi.pardot.com"),
        oauth2Opts=_oauth2(
            *(_PKCE, f"{_SALESFORCE}/services/oauth2/token", f"{_SALESFORCE}/services/oauth2/authorize"), workspace=True
        ),
    ),
    _provider(
        *("hubspot", "HubSpot", "oauth2", "https://api.hubapi.com"),
        defaultModule="crm",
        modules=_modules(crm="https://api.hubapi.com/crm"),
        oauth2Opts=_oauth2(
            *(_CODE, "https://api.hubapi.com/oauth/v1/token", "https://app.hubspot.com/oauth/authorize"), scopes=True
        ),
    ),
    _provider(
        *("google", "Google", "oauth2", "https://www.googleapis.com"),
        defaultModule="calendar",
        modules=_modules(calendar="https://www.googleapis.com/calendar", gmail="https://gmail.googleapis.com/gmail"),
        oauth2Opts=_oauth2(
            *(_CODE, "https://oauth2.googleapis.com/token", "https://accounts.google.com/o/oauth2/v2/auth"), scopes=True
        ),
    ),
    _provider(
        *("slack", "Slack", "oauth2", "https://slack.com/api"),
        oauth2Opts=_oauth2(
            *(_CODE, "https://slack.com/api/oauth.v2.access", "https://slack.com/oauth/v2/authorize"), scopes=True
        ),
    ),
    _provider(
        *("zendeskSupport", "Zendesk Support", "oauth2", _ZENDESK, _SUBDOMAIN),
        oauth2Opts=_oauth2(
            *(_CODE, f"{_ZENDESK}/oauth/tokens", f"{_ZENDESK}/oauth/authorizations/new"), scopes=True, workspace=True
        ),
    ),
    _provider(
        *("notion", "Notion", "oauth2", "https://api.notion.com"),
        oauth2Opts=_oauth2(_CODE, "https://api.notion.com/v1/oauth/token", "https://api.notion.com/v1/oauth/authorize"),
    ),
    _provider(
        *("stripe", "Stripe", "apiKey", "https://api.stripe.com"),
        apiKeyOpts={"attachmentType": "header", "header": {"name": "Authorization", "valuePrefix": "Bearer "}},
    ),
    _provider("freshdesk", "Freshdesk", "basic", "https://{{.workspace}}.freshdesk.com", _input("workspace", "Domain")),
    _provider(
        *("chargebee", "Chargebee", "basic", "https://{{.workspace}}.chargebee.com/api"),
        _input("workspace", "Site name"),
    ),
    _provider(
        *("marketo", "Marketo", "oauth2", _MARKETO, _input("workspace", "Munchkin Account ID")),
        defaultModule="root",
        oauth2Opts=_oauth2("clientCredentials", f"{_MARKETO}/identity/oauth/token", workspace=True),
    ),
    _provider(
        *("adobe", "Adobe", "oauth2", "https://platform.adobe.io"),
        oauth2Opts=_oauth2("clientCredentials", "https://ims-na1.adobelogin.com/ims/token/v3", scopes=True),
    ),
    _provider(
        *("sugarCRM", "SugarCRM", "oauth2", _SUGAR, _input("workspace", "Base URL")),
        oauth2Opts=_oauth2("password", f"{_SUGAR}/oauth2/token", workspace=True),
    ),
    _provider(
        *("discourse", "Discourse", "custom", "https://{{.workspace}}", _input("workspace", "Your domain")),
        customOpts={"inputs": [_input("apiKey", "API Key"), _input("username", "API Username")]},
    ),
    _provider(
        *("gitlab", "GitLab", "custom", "https://gitlab.com"),
        customOpts={"inputs": [_input("token", "Access Token")]},
    ),
    _provider(
        *("redtail", "Redtail", "custom", "https://{{.region}}.redtailtechnology.com/api/public/v1"),
        _input("region", "Region", defaultValue="crm"),
        customOpts={
            "inputs": [_input("apiKey", "API Key"), _input("username", "Username"), _input("password", "Password")],
            "multiStep": True,
        },
    ),
]
CATALOG: dict[str, dict[str, Any]] = {provider["name"]: provider for provider in _PROVIDERS}
"""Provider key -> ProviderInfo."""

_BLOCK_OF = {
    "apiKey": "apiKey",
    "basic": "basicAuth",
    "custom": "customAuth",
    "oauth2/clientCredentials": "oauth2ClientCredentials",
    "oauth2/password": "oauth2PasswordCredentials",
    f"oauth2/{_CODE}": "oauth2AuthorizationCode",
    f"oauth2/{_PKCE}": "oauth2AuthorizationCode",
}


def scheme(provider: str) -> str:
    """The `authScheme` of this provider's connections; the published list has no word for custom ones."""
    info = CATALOG[provider]
    return f"oauth2/{info['oauth2Opts']['grantType']}" if info["authType"] == "oauth2" else str(info["authType"])


def block(provider: str) -> str:
    """The one auth block that fits this provider."""
    return block_of(scheme(provider))


def block_of(auth_scheme: str) -> str:
    """The auth block of an `authScheme`; "" where it has none."""
    return _BLOCK_OF.get(auth_scheme, "")


def scheme_of(body: dict[str, Any]) -> str:
    """The `authScheme` of what a generate body makes: the provider's, or for an unknown one that of its block."""
    if body["provider"] in CATALOG:
        return scheme(body["provider"])
    return next((word for word, name in _BLOCK_OF.items() if name in body), "none")


# Worked out once: generate is asked thousands of times a second.
_FITTING = {provider: block(provider) for provider in CATALOG}
AUTH_CODE_PROVIDERS = [provider for provider in CATALOG if _FITTING[provider] == "oauth2AuthorizationCode"]
"""Those that need a provider app."""


def _required_inputs(info: dict[str, Any]) -> list[str]:
    """Names of the inputs that must be sent: those of the default module that have no default."""
    return [
        entry["name"]
        for entry in info.get("metadata", {}).get("input", [])
        if "defaultValue" not in entry
        and ("moduleDependencies" not in entry or info["defaultModule"] in entry["moduleDependencies"])
    ]


_REQUIRED = {provider: _required_inputs(info) for provider, info in CATALOG.items()}


def issues(body: dict[str, Any]) -> list[dict[str, Any]]:
    """What the catalog has against a generate body of a known provider; empty if nothing."""
    provider = body["provider"]
    found, metadata = _auth_issues(provider, body), body.get("providerMetadata", {})
    for name in _REQUIRED[provider]:
        if name not in metadata:
            found.append(issue(f"providerMetadata.{name}", f"{provider} needs this input."))
    return found


def _auth_issues(provider: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    custom, fitting = CATALOG[provider].get("customOpts", {}), _FITTING[provider]
    if custom.get("multiStep"):
        return [issue("provider", f"{provider} authenticates in several steps, which generate cannot do.")]
    found = [issue(sent, f"{provider} takes {fitting}.") for sent in BLOCKS if sent in body and sent != fitting]
    if fitting not in body:
        return [*found, issue(fitting, f"{provider} needs this auth block.")]
    names = [entry["name"] for entry in custom.get("inputs", [])]
    missing = [name for name in names if name not in body[fitting]]
    return found + [issue(f"customAuth.{name}", f"{provider} needs this input.") for name in missing]
