"""The catalog as a judge of rows: each rule with its exceptions, every provider that is published, and the cache."""

import json
import os
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.api.models import AuthScheme, GenerateRequest
from importer.catalog import Catalog, Finding, Severity, salesforce_label
from importer.catalog.cache import default_path, load, save
from importer.catalog.names import MOST_SUGGESTIONS
from importer.catalog.rules import RULES
from importer.outcomes import Code, Stage
from importer.sandbox.catalog import CATALOG as SANDBOX_CATALOG

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PAST, FUTURE = "2026-05-31T23:59:59Z", "2026-06-01T00:00:01Z"
CANARY = "fake-canary-7f3e9a51"
PUBLISHED = Path(__file__).parents[2] / "shared" / "api" / "catalog.json"

TOKENS = {"accessToken": {"token": "fake-access-token-1"}, "refreshToken": {"token": "fake-refresh-token-1"}}
BLOCKS: dict[str, dict[str, Any]] = {
    "apiKey": {"apiKey": "fake-key-1"},
    "basic": {"basicAuth": {"username": "fake-user-1", "password": "fake-password-1"}},
    "oauth2/clientCredentials": {
        "oauth2ClientCredentials": {"clientId": "fake-id-1", "clientSecret": "fake-secret-1", "scopes": ["read"]}
    },
    "oauth2/password": {
        "oauth2PasswordCredentials": {
            "username": "fake-user-1", "password": "fake-password-1",
            "clientId": "fake-id-1", "clientSecret": "fake-secret-1",
        }
    },
    "oauth2/authorizationCode": {"oauth2AuthorizationCode": TOKENS},
    "custom": {"customAuth": {"token": "fake-token-1"}},
    "none": {},
}  # fmt: skip


def row(provider: str, scheme: str, *, metadata: dict[str, str] | None = None, **fields: Any) -> GenerateRequest:
    """A request with the sound block of its scheme, unless `fields` has another."""
    body = {"provider": provider, "groupRef": "g1", "consumerRef": "c1", "authScheme": scheme, **BLOCKS[scheme]}
    if metadata:
        body["providerMetadata"] = {name: {"value": value, "source": "input"} for name, value in metadata.items()}
    return GenerateRequest.model_validate(body | fields)


def provider(auth: str, *inputs: dict[str, Any], url: str = "https://api.example.com", **more: Any) -> dict[str, Any]:
    """An entry of a small catalog."""
    auth_type, _, grant = auth.partition("/")
    oauth2 = {"oauth2Opts": {"grantType": grant, **more.pop("oauth2", {})}} if grant else {}
    metadata = {"metadata": {"input": list(inputs), **more.pop("later", {})}}
    return {"authType": auth_type, "baseURL": url, "defaultModule": "", **metadata, **oauth2, **more}


def needs(name: str, *modules: str, **more: str) -> dict[str, Any]:
    return {"name": name, **({"moduleDependencies": {module: {} for module in modules}} if modules else {}), **more}


CODE, CLIENT = "oauth2/authorizationCode", "oauth2/clientCredentials"
WORKSPACE = needs("workspace")
SMALL = Catalog.read(
    {
        "hubspot": provider(CODE),
        "google": provider(CODE),
        "zendeskSupport": provider(CODE, WORKSPACE, url="https://{{.workspace}}.zendesk.com"),
        "salesforce": provider(
            "oauth2/authorizationCodePKCE",
            needs("workspace", "crm", "Account-Engagement", displayName="Subdomain"),
            needs("businessUnitId", "Account-Engagement"),
            url="https://{{.workspace}}.my.salesforce.com",
            defaultModule="CRM",
            modules={"crm": {}, "account-engagement": {}},
        ),
        "marketo": provider(CLIENT, WORKSPACE, url="https://{{.workspace}}.mktorest.com", defaultModule="root"),
        "adobe": provider(CLIENT, oauth2={"explicitScopesRequired": True}),
        "payPal": provider(CLIENT),
        "sugarCRM": provider("oauth2/password", WORKSPACE, url="{{.workspace}}/rest/v11_24"),
        "stripe": provider("apiKey", apiKeyOpts={"header": {"name": "Authorization", "valuePrefix": "Bearer "}}),
        "front": provider("apiKey", apiKeyOpts={"header": {"name": "Authorization"}}),
        "aircall": provider("apiKey", apiKeyOpts={"header": {"name": "Authorization", "valuePrefix": "Basic"}}),
        "chargebee": provider("basic", WORKSPACE, url="https://{{.workspace}}.chargebee.com/api"),
        "freshdesk": provider("basic", WORKSPACE, url="https://{{.workspace}}.freshdesk.com"),
        "aws": provider("basic"),
        "connectWise": provider("basic", needs("region", defaultValue="na")),
        "netsuite": provider(
            CODE, needs("workspace", defaultValue="1234567-sb"), url="https://{{.workspace}}.suitetalk.api.netsuite.com"
        ),
        "xero": provider(CODE, later={"postAuthentication": [{"name": "tenantId"}]}),
        "discourse": provider(
            "custom",
            WORKSPACE,
            url="https://{{.workspace}}",
            customOpts={"inputs": [{"name": "apiKey"}, {"name": "username"}]},
        ),
        "googleWorkspaceDelegation": provider("custom", customOpts={"inputs": [{"name": "serviceAccountKey"}]}),
        "redtail": provider("custom", customOpts={"inputs": [{"name": "apiKey"}], "multiStep": True}),
        "gong": provider(CODE, url="{{.api_base_url_for_customer}}"),
        "snowflake": provider("custom", url="https://{{.workspace}}.snowflakecomputing.com"),
        "basecamp": provider(CODE, WORKSPACE, url="https://3.basecampapi.com/{{.workspace}}"),
        "seismic": provider(
            CODE, WORKSPACE, oauth2={"tokenURL": "https://auth.seismic.com/tenants/{{.workspace}}/connect/token"}
        ),
        "bitbucket": provider(CODE, WORKSPACE),
        "braze": provider("apiKey", WORKSPACE, url="https://rest.{{.workspace}}.braze.com"),
        "dynamicsCRM": provider(
            CODE,
            WORKSPACE,
            needs("region", defaultValue="crm"),
            url="https://{{.workspace}}.api.{{.region}}.dynamics.com",
        ),
        "talkdesk": provider(
            CODE,
            WORKSPACE,
            needs("domain", defaultValue="talkdeskid.com"),
            url="https://{{.workspace}}.{{.domain}}/oauth",
        ),
        "signed": provider("jwt"),
        "open": provider("none"),
        "shopify": provider(CODE, WORKSPACE, url="https://{{.workspace}}.myshopify.com"),
        "novel": provider("webauthn"),
        "broken": 7,
    }
)


def check(request: GenerateRequest, module: str | None = None) -> list[Finding]:
    return SMALL.check(request, now=NOW, module=module)


def said(found: list[Finding]) -> set[tuple[str, str, str]]:
    """Severity, code and field of each finding."""
    return {(finding.severity.value, finding.issue.code.value, finding.issue.field) for finding in found}


def salesforce(**fields: Any) -> GenerateRequest:
    return row("salesforce", CODE, **({"metadata": {"workspace": "acme"}} | fields))


# --- the list of rules ---


def test_the_table_has_every_rule_that_one_row_can_break() -> None:
    """1 stands apart, since it has no provider to be prepared for; 12 is about several rows."""
    assert [number for number, _, _ in RULES] == [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]


def test_every_finding_belongs_to_the_plan() -> None:
    found = check(row("salesforce", "apiKey", metadata={"other": "x"})) + check(row("nobody", "apiKey"))
    assert {finding.issue.stage for finding in found} == {Stage.PLAN}


def test_all_that_is_wrong_is_said_at_once() -> None:
    assert said(check(row("salesforce", "apiKey", metadata={"other": "x"}))) == {
        ("error", "wrong_credential", "apiKey"),
        ("error", "missing_input", "providerMetadata.workspace"),
        ("warning", "unknown_input", "providerMetadata"),
    }


# --- 1: the provider ---


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("HubSpot", "hubspot"),
        ("hubspott", "hubspot"),
        ("hubspot-oauth2", "hubspot"),
        ("google-oauth2", "google"),
        ("salesforce-oauth2-sandbox", "salesforce"),
        ("zendesk", "zendeskSupport"),
        ("zendesk_support", "zendeskSupport"),
        ("stripe-api-key", "stripe"),  # as Nango has it; by itself it could be a key, and would not be shown
        ("zendesk-api-token", "zendeskSupport"),
        ("freshdesk-basic", "freshdesk"),
        ("salesforce-sandbox", "salesforce"),
        ("hubspot_sandbox_oauth2_cc", "hubspot"),
        ("intuit", None),  # quickbooks is not in this catalog, and what is not there is not suggested
        ("qwertz", None),
    ],
)
def test_an_unknown_provider_is_refused_with_the_nearest_name(name: str, near: str | None) -> None:
    (finding,) = check(row(name, CODE))

    assert said([finding]) == {("error", "unknown_provider", "provider")}
    assert name in finding.issue.reason
    assert SMALL.nearest_provider(name) == near
    assert near is None or f'"{name}" = "{near}"' in finding.issue.fix


@pytest.mark.parametrize("name", ["fake-api-key", "api-key", "fake-stripe-1-api-key", "sandbox"])
def test_a_suffix_alone_makes_no_provider(name: str) -> None:
    assert SMALL.nearest_provider(name) is None


def test_a_longer_key_of_the_catalog_wins_over_a_shorter_one() -> None:
    catalog = Catalog.read({"payPal": provider(CODE), "payPalSandBox": provider(CODE)})

    assert catalog.nearest_provider("paypal-sandbox-oauth2") == "payPalSandBox"
    assert catalog.nearest_provider("paypal-oauth2") == "payPal"


def test_a_wrong_case_is_named_as_such() -> None:
    assert "upper and lower case" in check(row("HubSpot", CODE))[0].issue.reason
    assert "upper and lower case" not in check(row("hubspott", CODE))[0].issue.reason


def test_a_whole_wrong_column_ends_the_search_for_likenesses() -> None:
    """A million names would cost a quarter of an hour; what is only in another case is still found."""
    catalog = Catalog.read({"hubspot": provider(CODE)})
    for number in range(MOST_SUGGESTIONS):
        catalog.nearest_provider(f"x{number}")

    assert catalog.nearest_provider("hubspott") is None
    assert catalog.nearest_provider("HUBSPOT") == "hubspot"


def test_without_a_catalog_nothing_is_found() -> None:
    empty = Catalog.read(b"")
    assert not empty
    assert empty.check(row("nobody", CODE), now=NOW) == []


@pytest.mark.parametrize("name", ["novel", "broken"])
def test_a_provider_whose_entry_cannot_be_read_is_known_and_not_checked(name: str) -> None:
    assert check(row(name, "apiKey")) == []
    assert name not in SMALL.providers


# --- 2: the credential block ---


@pytest.mark.parametrize(
    ("name", "scheme", "field"),
    [
        ("stripe", "basic", "basicAuth"),
        ("hubspot", "apiKey", "apiKey"),
        ("payPal", CODE, "oauth2AuthorizationCode"),
        ("hubspot", "none", "oauth2AuthorizationCode"),
        ("open", "apiKey", "apiKey"),
    ],
)
def test_a_credential_of_another_kind_is_refused(name: str, scheme: str, field: str) -> None:
    assert said(check(row(name, scheme))) == {("error", "wrong_credential", field)}


def test_pkce_means_nothing_for_stored_tokens_and_none_needs_nothing() -> None:
    assert check(salesforce()) == []
    assert check(row("open", "none")) == []


@pytest.mark.parametrize("scheme", ["apiKey", "custom"])
@pytest.mark.parametrize("name", ["signed", "redtail"])
def test_what_cannot_be_imported_is_refused_whatever_the_row_has(name: str, scheme: str) -> None:
    assert said(check(row(name, scheme))) == {("error", "not_importable", "provider")}


# --- 3, 4: metadata ---


@pytest.mark.parametrize(
    ("module", "metadata", "missing"),
    [
        (None, {}, {"workspace"}),
        ("crm", {"workspace": "acme"}, set()),
        ("ACCOUNT-ENGAGEMENT", {"workspace": "acme"}, {"businessUnitId"}),
        ("account-engagement", {"workspace": "acme", "businessUnitId": "0Uv"}, set()),
        ("elsewhere", {"businessUnitId": "0Uv"}, {"workspace"}),  # of another provider: this one has its default
        (None, {"workspace": "  "}, {"workspace"}),
    ],
)
def test_the_inputs_of_the_module_are_required(module: str | None, metadata: dict[str, str], missing: set[str]) -> None:
    found = check(salesforce(metadata=metadata), module)
    assert said(found) == {("error", "missing_input", f"providerMetadata.{name}") for name in missing}


def test_a_provider_without_modules_needs_all_its_inputs() -> None:
    """Marketo has the default module `root`, and no modules."""
    assert said(check(row("marketo", CLIENT))) == {("error", "missing_input", "providerMetadata.workspace")}
    bare = Catalog.read({"bare": provider(CODE, needs("site", "crm"), needs("team"))})
    assert bare.required_inputs("bare", "elsewhere") == ("site", "team")


def test_an_input_with_a_default_is_only_a_warning_loud_where_the_default_is_a_sample() -> None:
    (quiet,) = check(row("connectWise", "basic", basicAuth={"username": "acme+key", "password": "fake-password-1"}))
    (loud,) = check(row("netsuite", CODE))

    assert said([quiet]) == {("warning", "default_input", "providerMetadata.region")}
    assert said([loud]) == {("warning", "default_input", "providerMetadata.workspace")}
    assert "SAMPLE" in loud.issue.reason
    assert "SAMPLE" not in quiet.issue.reason


def test_metadata_that_nobody_reads_is_a_warning_with_the_names_that_are_read() -> None:
    (finding,) = check(salesforce(metadata={"workspace": "acme", CANARY: "x"}))

    assert said([finding]) == {("warning", "unknown_input", "providerMetadata")}
    assert "workspace, businessUnitId" in finding.issue.reason


def test_metadata_that_the_connector_finds_out_is_a_warning() -> None:
    assert said(check(row("xero", CODE, metadata={"tenantId": "t"}))) == {
        ("warning", "unknown_input", "providerMetadata.tenantId")
    }


def test_inputs_of_other_modules_and_a_workspace_are_no_surplus() -> None:
    """The mapper puts a workspace ref into the metadata too, as the platform's UI does."""
    assert check(salesforce(metadata={"workspace": "acme", "businessUnitId": "0Uv"})) == []
    assert check(row("hubspot", CODE, metadata={"workspace": "acme"}, providerWorkspaceRef="acme")) == []


# --- 5: the shape of a workspace ---

SCHEME_OF = {name: str(SMALL.scheme_of(name)) for name in SMALL.providers}


@pytest.mark.parametrize(
    ("name", "workspace", "severity"),
    [
        ("zendeskSupport", "acme", None),
        ("zendeskSupport", "acme_1-x", None),
        ("zendeskSupport", "https://acme.zendesk.com", "error"),
        ("zendeskSupport", "acme/agent", "error"),
        ("zendeskSupport", "acme.zendesk.com", "error"),
        ("zendeskSupport", "ACME.Zendesk.com.", "error"),
        ("zendeskSupport", "zendesk.com", "error"),
        ("zendeskSupport", "support.acme.com", "warning"),
        ("zendeskSupport", "acme inc", "warning"),
        ("salesforce", "acme--dev.sandbox", None),
        ("salesforce", "acme.my.salesforce.com", "error"),
        ("salesforce", "na139.salesforce.com", "error"),
        ("salesforce", "acme.lightning.force.com", "error"),
        ("dynamicsCRM", "org1.api.crm4.dynamics.com", "error"),
        ("talkdesk", "acme.eu", None),
        ("talkdesk", "acme.talkdeskid.com", "warning"),
        ("discourse", "forum.example.com", None),
        ("discourse", "forum.example.com:8443", None),
        ("discourse", "https://forum.example.com", "error"),
        ("discourse", "forum.example.com/latest", "error"),
        ("discourse", "forum", "warning"),
        ("discourse", "my forum.example.com", "warning"),
        ("sugarCRM", "https://crm.example.com", None),
        ("sugarCRM", "crm.example.com", "error"),
        ("sugarCRM", "https://crm.example.com/rest/v11_24", "error"),
        ("basecamp", "6258233", None),
        ("basecamp", "acme", "warning"),
        ("basecamp", "https://app.basecamp.com/6258233", "error"),
        ("seismic", "acme.eu", None),
        ("seismic", "tenants/acme", "error"),
        ("bitbucket", "https://bitbucket.org/acme team", None),
    ],
)
def test_a_workspace_has_the_shape_that_the_providers_urls_want(
    name: str, workspace: str, severity: str | None
) -> None:
    custom = {"customAuth": {"apiKey": "fake-key-1", "username": "system"}} if name == "discourse" else {}
    metadata = {"workspace": workspace, "region": "crm", "domain": "talkdeskid.com"}
    found = check(row(name, SCHEME_OF[name], metadata=metadata, **custom))

    about_it = {finding for finding in said(found) if finding[1] == "bad_workspace"}
    assert about_it == ({(severity, "bad_workspace", "providerMetadata.workspace")} if severity else set())


def test_a_workspace_ref_that_differs_is_judged_too_and_an_equal_one_only_once() -> None:
    same = salesforce(metadata={"workspace": "a/b"}, providerWorkspaceRef="a/b")
    other = salesforce(providerWorkspaceRef="acme.my.salesforce.com")

    assert said(check(same)) == {("error", "bad_workspace", "providerMetadata.workspace")}
    assert len(check(same)) == 1
    assert said(check(other)) == {("error", "bad_workspace", "providerWorkspaceRef")}


def test_the_fix_tells_an_address_with_a_workspace_from_one_without() -> None:
    (with_it,) = check(salesforce(metadata={"workspace": "https://acme.my.salesforce.com"}))
    (without,) = check(salesforce(metadata={"workspace": "https://na139.salesforce.com"}))

    assert "<workspace>.my.salesforce.com" in with_it.issue.reason
    assert "Write only that part" in with_it.issue.fix
    assert "ask the customer" in without.issue.fix


DERIVED = [
    ("salesforce", "https://acme.my.salesforce.com", "acme"),
    ("salesforce", "https://ACME.my.salesforce.com/services/data?x=1", "acme"),
    ("salesforce", "acme--dev.sandbox.my.salesforce.com", "acme--dev.sandbox"),
    ("salesforce", "https://acme.lightning.force.com/page", "acme"),
    ("salesforce", "https://acme.my.salesforce.com:443/x", "acme"),
    ("salesforce", f"https://acme.my.salesforce.com/{'x' * 2_000}", None),
    ("salesforce", "https://na139.salesforce.com", None),
    ("salesforce", "https://acme.example.com", None),
    ("salesforce", "https://my.salesforce.com", None),
    ("salesforce", "acme", "acme"),
    ("salesforce", " acme ", "acme"),
    ("salesforce", "", None),
    ("salesforce", "http://[", None),
    ("zendeskSupport", "https://acme.zendesk.com/agent", "acme"),
    ("braze", "https://rest.iad-01.braze.com", "iad-01"),
    ("dynamicsCRM", "https://org1.api.crm4.dynamics.com/api/data", "org1"),
    ("talkdesk", "https://acme.talkdeskid.eu/oauth", "acme"),
    ("discourse", "https://forum.example.com/latest", "forum.example.com"),
    ("discourse", "https://user@forum.example.com:8443/latest", "forum.example.com:8443"),
    ("sugarCRM", "https://crm.example.com/rest/v11_24/", "https://crm.example.com"),
    ("sugarCRM", "crm.example.com", "https://crm.example.com"),
    ("basecamp", "https://app.basecamp.com/6258233/projects", "6258233"),
    ("basecamp", "https://3.basecampapi.com/6258233", "6258233"),
    ("seismic", "https://auth.seismic.com/tenants/acme/connect/token", "acme"),
    ("seismic", "https://auth.seismic.com/Tenants/ACME", "ACME"),
    ("seismic", "https://acme.seismic.com/app", None),
    ("bitbucket", "https://bitbucket.org/acme", None),
    ("hubspot", "https://acme.hubspot.com", None),
    ("nobody", "https://acme.example.com", None),
]


@pytest.mark.parametrize(("name", "given", "workspace"), DERIVED)
def test_a_workspace_is_taken_out_of_an_address(name: str, given: str, workspace: str | None) -> None:
    assert SMALL.derive_workspace(name, given) == workspace


@pytest.mark.parametrize(("given", "label"), [(given, label) for name, given, label in DERIVED if name == "salesforce"])
def test_salesforce_needs_no_catalog_for_it(given: str, label: str | None) -> None:
    assert salesforce_label(given) == label


# --- 6: API keys ---


@pytest.mark.parametrize(
    ("name", "key", "problem"),
    [
        ("stripe", "fake-key-1", None),
        ("stripe", "Bearer fake-key-1", ("warning", "doubled_prefix", "apiKey")),
        ("stripe", "bearer fake-key-1", ("warning", "doubled_prefix", "apiKey")),
        ("stripe", "fake-Bearer key-1", None),
        ("stripe", "  ", ("error", "missing_value", "apiKey")),
        ("stripe", "fake:key-1", None),
        ("front", "Bearer fake-key-1", None),  # its header has no prefix, so the key must bring it
        ("aircall", "ZmFrZTprZXk=", None),
        ("aircall", "Basic ZmFrZTprZXk=", ("warning", "doubled_prefix", "apiKey")),
        ("aircall", "fake-id:fake-token", ("warning", "odd_credential", "apiKey")),
    ],
)
def test_an_api_key_is_bare(name: str, key: str, problem: tuple[str, str, str] | None) -> None:
    assert said(check(row(name, "apiKey", apiKey=key))) == ({problem} if problem else set())


# --- 7: basic auth ---


@pytest.mark.parametrize(
    ("name", "username", "password", "problem"),
    [
        ("chargebee", "fake-key-1", "", None),
        ("freshdesk", "fake-key-1", "", None),
        ("chargebee", " ", "fake-key-1", ("error", "missing_value", "basicAuth.username")),
        ("aws", "fake-key-id", "fake-secret-1", None),
        ("aws", "fake-key-id", "", ("warning", "odd_credential", "basicAuth.password")),
        ("connectWise", "acme+fake-public-key", "fake-private-key", None),
        ("connectWise", "fake-public-key", "fake-private-key", ("warning", "odd_credential", "basicAuth.username")),
        ("connectWise", "+fake-public-key", "fake-private-key", ("warning", "odd_credential", "basicAuth.username")),
        ("connectWise", "acme+", "fake-private-key", ("warning", "odd_credential", "basicAuth.username")),
    ],
)
def test_basic_auth_needs_a_user_name_and_seldom_a_password(
    name: str, username: str, password: str, problem: tuple[str, str, str] | None
) -> None:
    metadata = {"workspace": "acme"} | ({"region": "na"} if name == "connectWise" else {})
    found = check(row(name, "basic", metadata=metadata, basicAuth={"username": username, "password": password}))
    assert said(found) == ({problem} if problem else set())


def test_a_key_that_belongs_into_the_user_name_is_said_to() -> None:
    swapped = row("chargebee", "basic", metadata={"workspace": "acme"}, basicAuth={"username": " ", "password": "k"})
    assert "API key" in check(swapped)[0].issue.fix


# --- 8: client credentials and the password grant ---


def test_scopes_are_missed_only_where_the_provider_demands_them() -> None:
    bare = {"oauth2ClientCredentials": {"clientId": "fake-id-1", "clientSecret": "fake-secret-1"}}

    assert said(check(row("adobe", CLIENT, **bare))) == {("warning", "no_scopes", "oauth2ClientCredentials.scopes")}
    assert check(row("adobe", CLIENT)) == []
    assert check(row("payPal", CLIENT, **bare)) == []


def test_blank_parts_of_a_client_or_a_password_grant_are_missing() -> None:
    blank = {"clientId": " ", "clientSecret": "\t"}
    password = {"username": " ", "password": "fake-password-1", **blank}
    crm = {"workspace": "https://crm.example.com"}

    assert said(check(row("payPal", CLIENT, oauth2ClientCredentials=blank))) == {
        ("error", "missing_value", "oauth2ClientCredentials.clientId"),
        ("error", "missing_value", "oauth2ClientCredentials.clientSecret"),
    }
    assert said(check(row("sugarCRM", "oauth2/password", metadata=crm, oauth2PasswordCredentials=password))) == {
        ("error", "missing_value", f"oauth2PasswordCredentials.{part}")
        for part in ("username", "clientId", "clientSecret")
    }


# --- 9: tokens ---

ACCESS, REFRESH = "oauth2AuthorizationCode.accessToken", "oauth2AuthorizationCode.refreshToken"


def token(expires_at: str | None = None, text: str = "fake-token-1") -> dict[str, str]:
    return {"token": text} | ({"expiresAt": expires_at} if expires_at else {})


@pytest.mark.parametrize(
    ("tokens", "problem"),
    [
        ({"accessToken": token(), "refreshToken": token()}, None),
        ({"accessToken": token(PAST), "refreshToken": token()}, None),
        ({"accessToken": token(FUTURE), "refreshToken": token(FUTURE)}, None),
        ({"refreshToken": token()}, ("warning", "no_access_token", f"{ACCESS}.token")),
        ({"accessToken": token()}, ("warning", "no_refresh_token", f"{REFRESH}.token")),
        ({"accessToken": token(FUTURE)}, ("warning", "no_refresh_token", f"{REFRESH}.token")),
        ({"accessToken": token(PAST)}, ("warning", "expired_token", f"{ACCESS}.expiresAt")),
        ({"accessToken": token(), "refreshToken": token(PAST)}, ("warning", "expired_token", f"{REFRESH}.expiresAt")),
        (
            {"accessToken": token(text="Bearer fake-token-1"), "refreshToken": token()},
            ("error", "doubled_prefix", f"{ACCESS}.token"),
        ),
        (
            {"accessToken": token(), "refreshToken": token(text='"bearer fake-token-1')},
            ("error", "doubled_prefix", f"{REFRESH}.token"),
        ),
        ({"accessToken": token(text="  "), "refreshToken": token()}, ("error", "missing_value", f"{ACCESS}.token")),
    ],
)
def test_tokens_are_bare_and_alive(tokens: dict[str, Any], problem: tuple[str, str, str] | None) -> None:
    assert said(check(row("hubspot", CODE, oauth2AuthorizationCode=tokens))) == ({problem} if problem else set())


def test_a_lasting_access_token_needs_no_refresh_token_unless_it_says_when_it_ends() -> None:
    def found(expires_at: str | None) -> set[str]:
        tokens = {"accessToken": token(expires_at)}
        rows = check(row("shopify", CODE, metadata={"workspace": "acme"}, oauth2AuthorizationCode=tokens))
        return {finding.issue.code.value for finding in rows}

    assert found(None) == set()
    assert found(FUTURE) == {"no_refresh_token"}
    assert found(PAST) == {"expired_token"}


# --- 10: custom inputs ---

FORUM = {"metadata": {"workspace": "forum.example.com"}}


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        ({"apiKey": "fake-key-1", "username": "system"}, set()),
        ({"apiKey": "fake-key-1"}, {("error", "missing_input", "customAuth.username")}),
        ({"apiKey": "fake-key-1", "username": " "}, {("error", "missing_value", "customAuth.username")}),
        ({"apiKey": "fake-key-1", "username": ()}, {("error", "missing_value", "customAuth.username")}),
        ({"apiKey": "fake-key-1", "username": "system", "x": "y"}, {("warning", "unknown_input", "customAuth")}),
    ],
)
def test_custom_auth_has_every_input_and_no_other(given: dict[str, Any], problems: set[tuple[str, str, str]]) -> None:
    assert said(check(row("discourse", "custom", **FORUM, customAuth=given))) == problems


@pytest.mark.parametrize(
    ("scopes", "is_sound"), [(("https://example.com/auth/mail",), True), ("mail", False), ((), False), (None, False)]
)
def test_workspace_delegation_needs_an_array_of_scopes(scopes: Any, is_sound: bool) -> None:
    given = {"serviceAccountKey": "fake-key-1"} | ({"scopes": scopes} if scopes is not None else {})
    found = said(check(row("googleWorkspaceDelegation", "custom", customAuth=given)))
    assert found == (set() if is_sound else {("error", "no_scopes", "customAuth.scopes")})


# --- 11: addresses that only the token endpoint tells ---


def test_a_provider_whose_address_depends_on_the_customer_wants_a_workspace() -> None:
    wanted = {("warning", "no_workspace", "providerWorkspaceRef")}

    assert said(check(row("gong", CODE))) == wanted
    assert check(row("gong", CODE, providerWorkspaceRef="https://us-1.api.example.com")) == []
    assert wanted <= said(check(row("snowflake", "custom")))
    assert not wanted & said(check(row("snowflake", "custom", metadata={"workspace": "acme"})))


# --- reading, and what the `providers` verb shows ---


@pytest.mark.parametrize("wrap", [lambda entries: entries, lambda entries: {"catalog": entries, "timestamp": "x"}])
@pytest.mark.parametrize("dump", [lambda document: document, lambda document: json.dumps(document).encode()])
def test_the_catalog_is_read_bare_or_wrapped_as_bytes_or_parsed(wrap: Any, dump: Any) -> None:
    assert Catalog.read(dump(wrap({"hubspot": provider(CODE)}))).providers == ("hubspot",)


def test_the_sandbox_catalog_is_read_whole() -> None:
    assert set(Catalog.read(SANDBOX_CATALOG).providers) == set(SANDBOX_CATALOG)


@pytest.mark.parametrize(
    "document", [b"", b"[]", b"null", b"7", b"{", b"\xff", b"[" * 100_000, b'{"catalog": []}', b'{"a": {}}']
)
def test_an_unusable_document_is_an_empty_catalog(document: bytes) -> None:
    assert not Catalog.read(document)
    assert len(Catalog.read(document)) == 0


def test_a_provider_is_described() -> None:
    info = SMALL.describe("salesforce")

    assert info is not None
    assert (info.auth, info.scheme, info.multi_step) == (
        "oauth2/authorizationCodePKCE", AuthScheme.AUTHORIZATION_CODE, False
    )  # fmt: skip
    assert [(entry.name, entry.default, sorted(entry.modules)) for entry in info.inputs] == [
        ("workspace", None, ["account-engagement", "crm"]),
        ("businessUnitId", None, ["account-engagement"]),
    ]
    assert str(info.workspace) == "label in <workspace>.my.salesforce.com"
    assert SMALL.describe("nobody") is None


def test_apps_schemes_and_required_inputs_are_told() -> None:
    assert SMALL.needs_app("salesforce")
    assert not SMALL.needs_app("payPal")
    assert not SMALL.needs_app("nobody")
    assert (SMALL.scheme_of("sugarCRM"), SMALL.scheme_of("signed"), SMALL.scheme_of("nobody")) == (
        AuthScheme.PASSWORD, None, None
    )  # fmt: skip
    assert SMALL.required_inputs("salesforce", "account-engagement") == ("workspace", "businessUnitId")
    assert SMALL.required_inputs("salesforce") == ("workspace",)
    assert SMALL.required_inputs("connectWise") == ()
    assert SMALL.required_inputs("nobody") == ()


def test_what_a_catalog_says_is_printed_without_control_characters_and_within_bounds() -> None:
    entry = provider(CODE, needs("workspace", displayName="a\x1b[31m\nb", prompt="x" * 9_999), displayName="H\x07ub")
    info = Catalog.read({"hub": entry, "hub\x1b": entry}).describe("hub")

    assert info is not None
    assert (info.display_name, info.inputs[0].display_name, len(info.inputs[0].prompt)) == ("Hub", "a[31mb", 500)
    assert Catalog.read({"hub\x1b": entry}).providers == ()


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_url = st.sampled_from(
    ["{{.workspace}}", "https://{{.workspace}}", "https://{{ .workspace }}{{.workspace}}.x", "{{", "https://{{.a}}/?{{.workspace}}"]
)  # fmt: skip
_inputs = st.lists(
    _json | st.fixed_dictionaries({"name": st.sampled_from(["workspace", "x"]) | _json}, optional={
        "defaultValue": _json, "moduleDependencies": _json, "displayName": _json
    }),
    max_size=2,
)  # fmt: skip
_entry = st.fixed_dictionaries(
    {"authType": st.sampled_from(["apiKey", "basic", "oauth2", "custom", "jwt", "none"]) | _json},
    optional={
        "baseURL": _url | _json,
        "defaultModule": _json,
        "modules": _json | st.dictionaries(st.text(max_size=3), st.fixed_dictionaries({"baseURL": _url | _json})),
        "metadata": _json | st.fixed_dictionaries({}, optional={"input": _inputs, "postAuthentication": _inputs}),
        "oauth2Opts": _json
        | st.fixed_dictionaries({"grantType": st.sampled_from(["authorizationCode", "password"]), "tokenURL": _url}),
        "customOpts": _json | st.fixed_dictionaries({"inputs": _inputs, "multiStep": _json}),
        "apiKeyOpts": _json | st.fixed_dictionaries({"header": _json | st.fixed_dictionaries({"valuePrefix": _json})}),
    },
)
_names = st.sampled_from(["hubspot", "salesforce", "basecamp", "googleWorkspaceDelegation", "catalog"])


@given(_json | st.dictionaries(_names, _entry | _json, max_size=4))
def test_no_json_makes_reading_or_checking_fail(document: Any) -> None:
    catalog = Catalog.read(json.dumps(document).encode())
    if isinstance(document, dict):
        assert Catalog.read(document).providers == catalog.providers
    for name in [*catalog.providers, "nobody"]:
        for scheme in BLOCKS:
            catalog.check(row(name, scheme, metadata={"workspace": "a.b/c"}), now=NOW)
        catalog.derive_workspace(name, "https://a.b/c")


@given(
    st.sampled_from(SMALL.providers),
    st.sampled_from(
        ["{}", "https://{}.my.salesforce.com", "{}.zendesk.com", "Bearer {}", "bearer {} ", "Basic {}", "{}:{}",
         "https://user:{}@example.com/{}", "{}/{}", " {}", "{}.com", "+{}", "https://app.basecamp.com/{}"]
    ),
    st.sampled_from([PAST, FUTURE]),
)  # fmt: skip
def test_no_finding_quotes_a_credential(name: str, form: str, expires_at: str) -> None:
    """Whatever stands in a cell, also where the names of metadata come out of one."""
    text = form.replace("{}", CANARY)
    blocks: dict[str, dict[str, Any]] = {
        "apiKey": {"apiKey": text},
        "basic": {"basicAuth": {"username": text, "password": ""}},
        CLIENT: {"oauth2ClientCredentials": {"clientId": text, "clientSecret": text}},
        CODE: {"oauth2AuthorizationCode": {"accessToken": token(expires_at, text)}},
        "custom": {"customAuth": {text: text, "scopes": text}},
    }
    for scheme, block in blocks.items():
        metadata = {text: text, "workspace": text}
        found = check(row(name, scheme, metadata=metadata, providerWorkspaceRef=text, **block))
        assert found
        assert CANARY not in repr(found)


# --- every provider that is published ---

_published = Catalog.read(PUBLISHED.read_bytes()) if PUBLISHED.is_file() else Catalog.read(b"")
_raw: dict[str, Any] = json.loads(PUBLISHED.read_bytes())["catalog"] if PUBLISHED.is_file() else {}
published = pytest.mark.skipif(not _published, reason="the published catalog is not beside this checkout")

HOSTS = {"coupa", "discourse", "emailBison", "kaseyaVSAX", "loxo", "odoo", "vtiger"}
MULTI_STEP = {"redtail", "microsoftAdminConsent"}
IMPORTABLE = [name for name in _published.providers if name not in MULTI_STEP]
COUNTS = {
    "apiKey": 69, "basic": 32, "custom": 11, "oauth2/authorizationCode": 108, "oauth2/authorizationCodePKCE": 9,
    "oauth2/clientCredentials": 8, "oauth2/password": 1,
}  # fmt: skip
"""Auth -> how many providers of the snapshot of 2026-08-21 have it, as the fact sheet counts them."""


def right_row(name: str, *, without: str | None = None, **fields: Any) -> GenerateRequest:
    """A row of a published provider as its guide wants it, made from the raw entry rather than from our reading."""
    entry = _raw[name]
    auth = entry["authType"]
    grant = entry.get("oauth2Opts", {}).get("grantType", "").removesuffix("PKCE")
    workspace = (
        "shop.example.com" if name in HOSTS
        else {"sugarCRM": "https://crm.example.com", "basecamp": "6258233"}.get(name, "acme")
    )  # fmt: skip
    metadata = {
        given["name"]: workspace if given["name"] == "workspace" else "x1"
        for given in entry.get("metadata", {}).get("input", [])
        if given["name"] != without
    }
    if name == "connectWise":
        fields.setdefault("basicAuth", {"username": "acme+fake-key", "password": "fake-password-1"})
    if auth == "custom":
        inputs: dict[str, Any] = {given["name"]: "fake-1" for given in entry["customOpts"].get("inputs", [])}
        extra = {"scopes": ("mail",)} if name == "googleWorkspaceDelegation" else {}
        fields.setdefault("customAuth", {**inputs, **extra} or {"x": "fake-1"})
    return row(name, f"oauth2/{grant}" if grant else auth, metadata=metadata, **fields)


@published
def test_every_published_provider_is_read_with_its_auth_scheme() -> None:
    infos = [_published.describe(name) for name in _published.providers]
    assert Counter(info.auth for info in infos if info) == COUNTS


@published
@pytest.mark.parametrize("name", IMPORTABLE)
def test_a_right_row_of_a_published_provider_passes(name: str) -> None:
    found = said(_published.check(right_row(name), now=NOW))

    open_ended = {"gong", "zoho", "snowflake"}
    assert {severity for severity, _, _ in found} <= ({"warning"} if name in open_ended else set())
    assert ("warning", "no_workspace", "providerWorkspaceRef") in found or name not in open_ended


@published
@pytest.mark.parametrize("name", _published.providers)
def test_a_row_with_another_block_is_refused_by_every_published_provider(name: str) -> None:
    own = _published.scheme_of(name)
    for scheme in BLOCKS:
        if scheme != own:
            found = _published.check(row(name, scheme), now=NOW)
            codes = {finding.issue.code for finding in found if finding.severity is Severity.ERROR}
            assert (Code.NOT_IMPORTABLE if name in MULTI_STEP else Code.WRONG_CREDENTIAL) in codes


@published
@pytest.mark.parametrize("name", [name for name in IMPORTABLE if _raw[name].get("metadata", {}).get("input")])
def test_a_missing_input_of_the_default_module_is_seen(name: str) -> None:
    entry = _raw[name]
    for wanted in entry["metadata"]["input"]:
        found = said(_published.check(right_row(name, without=wanted["name"]), now=NOW))
        modules = wanted.get("moduleDependencies")
        concerns = not modules or not entry.get("modules") or entry["defaultModule"] in modules
        seen = ("warning", "default_input") if "defaultValue" in wanted else ("error", "missing_input")
        assert ((*seen, f"providerMetadata.{wanted['name']}") in found) == concerns


@published
@pytest.mark.parametrize("name", [name for name in IMPORTABLE if name != "snowflake"])
def test_a_blank_credential_is_refused_by_every_published_provider(name: str) -> None:
    scheme = str(_published.scheme_of(name))
    blank: dict[str, dict[str, Any]] = {
        "apiKey": {"apiKey": " "},
        "basic": {"basicAuth": {"username": " ", "password": ""}},
        CLIENT: {"oauth2ClientCredentials": {"clientId": " ", "clientSecret": " "}},
        "oauth2/password": {
            "oauth2PasswordCredentials": {"username": " ", "password": " ", "clientId": " ", "clientSecret": " "}
        },
        CODE: {"oauth2AuthorizationCode": {"accessToken": {"token": " "}}},
        "custom": {"customAuth": {given["name"]: " " for given in _raw[name].get("customOpts", {}).get("inputs", [])}},
    }  # fmt: skip
    found = _published.check(right_row(name, **blank[scheme]), now=NOW)
    assert (Severity.ERROR, Code.MISSING_VALUE) in {(finding.severity, finding.issue.code) for finding in found}


@published
def test_several_steps_are_refused_and_names_of_token_stores_lead_to_the_catalog() -> None:
    for name in MULTI_STEP:
        assert said(_published.check(row(name, "custom"), now=NOW)) == {("error", "not_importable", "provider")}
    assert [_published.nearest_provider(alias) for alias in ("intuit", "jira", "azure-ad", "linkedin_oauth2")] == [
        "quickbooks", "atlassian", "microsoft", "linkedIn"
    ]  # fmt: skip


# --- the cache ---

DOCUMENT = json.dumps({"catalog": {"hubspot": provider(CODE)}}).encode()
FETCHED_AT = 1_780_000_000.5


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "cache" / "importer" / "providers.json"
    assert save(path, DOCUMENT, FETCHED_AT)
    return path


def test_a_kept_catalog_comes_back_with_its_moment(kept: Path) -> None:
    loaded = load(kept)

    assert loaded is not None
    assert (loaded[0].providers, loaded[1]) == (("hubspot",), FETCHED_AT)


def test_a_kept_catalog_is_the_owners_alone_and_nothing_else_is_left(kept: Path) -> None:
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700
    assert list(kept.parent.iterdir()) == [kept]


def test_a_link_is_neither_read_nor_written_through(kept: Path, tmp_path: Path) -> None:
    victim, link = tmp_path / "victim", tmp_path / "link.json"
    victim.write_bytes(kept.read_bytes())
    link.symlink_to(victim)
    assert load(link) is None

    assert save(link, json.dumps({"stripe": provider("apiKey")}).encode(), FETCHED_AT)
    assert not link.is_symlink()
    assert victim.read_bytes() == kept.read_bytes()


def test_what_somebody_else_can_write_is_not_trusted(kept: Path) -> None:
    kept.chmod(0o620)
    assert load(kept) is None
    kept.chmod(0o602)
    assert load(kept) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_not_trusted(kept: Path) -> None:
    os.chown(kept, 65_534, -1)
    assert load(kept) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"catalog": {}}',
        b'{"fetched_at": "x", "catalog": {"a": {"authType": "basic"}}}',
        b'{"fetched_at": true, "catalog": {"a": {"authType": "basic"}}}',
        b'{"fetched_at": NaN, "catalog": {"a": {"authType": "basic"}}}',
        b'{"fetched_at": 1, "catalog": {}}',
        b'{"fetched_at": 1, "catalog": []}',
        b"[" * 100_000,
    ],
)
def test_a_file_that_is_no_kept_catalog_is_not_there(kept: Path, content: bytes) -> None:
    kept.write_bytes(content)
    assert load(kept) is None


def test_a_folder_a_pipe_and_nothing_are_not_there(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert [load(tmp_path / name) for name in ("pipe", "nothing", ".")] == [None, None, None]


def test_what_cannot_be_kept_leaves_the_old_one_whole(kept: Path) -> None:
    before = kept.read_bytes()

    assert not save(kept, b"<html>", FETCHED_AT + 1)
    assert not save(kept / "below", DOCUMENT, FETCHED_AT + 1)

    assert kept.read_bytes() == before
    assert list(kept.parent.iterdir()) == [kept]


def test_each_api_has_its_own_place_below_the_users_cache() -> None:
    home = {"HOME": "/home/someone"}
    prod = default_path("https://api.example.com", home)

    assert prod.parent == Path("/home/someone/.cache/importer")
    assert prod.name.startswith("providers-")
    assert prod == default_path("https://api.example.com/", home)
    assert prod != default_path("https://staging.example.com", home)
    assert default_path("x", home | {"XDG_CACHE_HOME": "/var/c"}).parent == Path("/var/c/importer")
    assert default_path("x", home | {"XDG_CACHE_HOME": "relative"}).parent == Path("/home/someone/.cache/importer")
