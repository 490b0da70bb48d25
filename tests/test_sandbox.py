"""The sandbox behaves as the API does, and misbehaves as it is asked to."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from importer.sandbox import FAULTS, Sandbox, schema

PUBLISHED = Path(__file__).parents[1] / "../shared/api/openapi.json"

TOKENS = {
    "accessToken": {"token": "fake-access", "expiresAt": "2020-01-31T12:00:00Z"},
    "refreshToken": {"token": "fake-refresh"},
    "scopes": ["read"],
}
CLIENT = {"clientId": "fake-id", "clientSecret": "fake-secret"}
LOGIN = {"username": "fake-user", "password": "fake-pass"}
WORKSPACE = {"providerMetadata": {"workspace": {"value": "acme", "source": "input"}}}
BODIES: dict[str, dict[str, Any]] = {
    "oauth2/authorizationCode": {"provider": "hubspot", "oauth2AuthorizationCode": TOKENS},
    "oauth2/authorizationCodePKCE": {"provider": "salesforce", "oauth2AuthorizationCode": TOKENS, **WORKSPACE},
    "apiKey": {"provider": "stripe", "apiKey": "fake-key"},
    "basic": {"provider": "chargebee", "basicAuth": {"username": "fake-key", "password": ""}, **WORKSPACE},
    "oauth2/clientCredentials": {"provider": "adobe", "oauth2ClientCredentials": {**CLIENT, "scopes": ["read"]}},
    "oauth2/password": {"provider": "sugarCRM", "oauth2PasswordCredentials": {**CLIENT, **LOGIN}, **WORKSPACE},
    "custom": {"provider": "gitlab", "customAuth": {"token": "fake-token"}},
}
REFS = {"groupRef": "acme", "consumerRef": "ada"}
HUBSPOT = {**REFS, **BODIES["oauth2/authorizationCode"]}
STRIPE = {**REFS, **BODIES["apiKey"]}


class Client(httpx.Client):
    """Speaks to one sandbox."""

    def __init__(self, sandbox: Sandbox, **more: Any) -> None:
        base_url = f"{sandbox.url}/v1/projects/{sandbox.project}"
        super().__init__(base_url=base_url, headers={"X-Api-Key": sandbox.api_key}, trust_env=False, **more)

    def generate(self, body: Any = HUBSPOT) -> httpx.Response:
        return self.post(f"{self.base_url}".rstrip("/") + "/connections:generate", json=body)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(slow_s=0.2) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    with Client(sandbox) as client:
        yield client


def problem(response: httpx.Response, status: int) -> dict[str, Any]:
    """The problem in this response, after a look at what every problem has."""
    assert response.status_code == status
    assert response.headers["Content-Type"].split(";")[0] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert {"type", "title", "detail", "requestId", "time"} <= set(body)
    assert body["status"] == status
    return body


def named(response: httpx.Response) -> set[str]:
    """What the issues of a 422 name."""
    return {entry["name"] for entry in problem(response, 422)["issues"]}


# What it answers


@pytest.mark.parametrize("scheme", BODIES)
def test_each_scheme_gets_its_connection(sandbox: Sandbox, client: Client, scheme: str) -> None:
    body = {**REFS, "groupName": "Acme", **BODIES[scheme]}

    response = client.generate(body)

    assert response.status_code == 201
    shown = response.json()
    assert shown["authScheme"] == scheme
    assert shown["status"] == "created"
    assert shown["group"] == {
        "groupRef": "acme",
        "groupName": "Acme",
        "projectId": sandbox.project_id,
        "createTime": shown["createTime"],
    }
    assert shown["consumer"]["consumerName"] == "ada"
    for echoed in ("apiKey", "oauth2AuthorizationCode", "providerMetadata"):
        assert shown.get(echoed) == body.get(echoed)
    assert [found["request"] for found in sandbox.connections()] == [body]


def test_asked_twice_it_makes_a_second_connection(sandbox: Sandbox, client: Client) -> None:
    first, second = client.generate(), client.generate()

    assert first.json()["id"] != second.json()["id"]
    assert sandbox.count("acme") == 2


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"groupRef": None}, "groupRef"),
        ({"consumerRef": ""}, "consumerRef"),
        ({"groupName": ""}, "groupName"),
        ({"colour": "red"}, "body"),
        ({"oauth2AuthorizationCode": {}}, "oauth2AuthorizationCode"),
        (
            {"oauth2AuthorizationCode": {"accessToken": {"token": "fake-access", "expiresAt": "2026-01-31T12:00:00"}}},
            "oauth2AuthorizationCode.accessToken.expiresAt",
        ),
        ({"providerMetadata": {"workspace": {"value": "acme"}}}, "providerMetadata.workspace"),
        ({"apiKey": "fake-key"}, "apiKey"),
        ({"provider": "stripe"}, "oauth2AuthorizationCode"),
        ({"provider": "salesforce"}, "providerMetadata.workspace"),
        ({"provider": "redtail"}, "provider"),
        ({"provider": "gitlab", "customAuth": {"token": None}}, "customAuth.token"),
        ({"provider": "discourse", "customAuth": {"apiKey": "fake-key"}}, "customAuth.username"),
    ],
)
def test_an_unacceptable_body_is_refused_by_name(
    sandbox: Sandbox, client: Client, changes: dict[str, Any], name: str
) -> None:
    response = client.generate(HUBSPOT | changes)

    assert name in named(response)
    assert "fake-" not in response.text
    assert sandbox.count() == 0


def test_a_block_is_needed(client: Client) -> None:
    assert named(client.generate({**REFS, "provider": "stripe"})) == {"apiKey"}


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b'{"groupRef": "\\ud800"}'])
def test_what_is_no_json_is_a_400(sandbox: Sandbox, client: Client, raw: bytes) -> None:
    response = client.post(f"{sandbox.url}/v1/projects/sandbox/connections:generate", content=raw)

    problem(response, 400)


def test_an_unknown_provider_is_a_400(client: Client) -> None:
    assert problem(client.generate(HUBSPOT | {"provider": "Hubspot"}), 400)["issues"][0]["name"] == "provider"


def test_key_and_project_are_looked_at(sandbox: Sandbox, client: Client) -> None:
    for name in (sandbox.project, sandbox.project_id):
        assert client.get(f"{sandbox.url}/v1/projects/{name}").json()["id"] == sandbox.project_id
    problem(client.get(f"{sandbox.url}/v1/projects/another"), 404)
    problem(client.get(sandbox.url + "/v1/nothing"), 404)
    problem(client.get("/connections", headers={"X-Api-Key": "wrong"}), 401)


def test_the_catalog_is_open_and_apps_can_be_set(sandbox: Sandbox, client: Client) -> None:
    providers = httpx.get(sandbox.url + "/v1/providers", trust_env=False).json()
    assert {name: info["name"] for name, info in providers.items()} == {name: name for name in providers}
    assert providers["salesforce"]["oauth2Opts"]["grantType"] == "authorizationCodePKCE"
    assert {app["provider"] for app in client.get("/provider-apps").json()} >= {"hubspot", "salesforce"}

    sandbox.provider_apps = []

    assert client.get("/provider-apps").json() == []


def test_a_list_obeys_every_filter_and_shows_no_secret(client: Client) -> None:
    for group, consumer in (("acme", "ada"), ("acme", "bob"), ("ac&me/ü", "ada")):
        client.generate(HUBSPOT | {"groupRef": group, "consumerRef": consumer})

    def listed(**filters: str) -> int:
        response = client.get("/connections", params=filters)
        assert "fake-" not in response.text
        return len(response.json())

    assert listed() == 3
    assert listed(groupRef="acme") == 2
    assert listed(groupRef="acme", consumerRef="ada", provider="hubspot") == 1
    assert listed(groupRef="ac&me/ü") == 1
    assert listed(provider="stripe", groupRef="acme") == 0


def test_a_long_list_is_whole(sandbox: Sandbox, client: Client) -> None:
    ids = [sandbox.add_connection("hubspot", f"group-{number}", "ada") for number in range(1_234)]

    assert [shown["id"] for shown in client.get("/connections").json()] == ids


def test_tokens_are_shown_when_asked_for_and_rotate_when_forced(sandbox: Sandbox, client: Client) -> None:
    path = f"/connections/{client.generate().json()['id']}"

    assert "oauth2AuthorizationCode" not in client.get(path).json()
    assert "refreshToken" not in client.get(path, params={"includeCreds": "true"}).json()["oauth2AuthorizationCode"]
    both = client.get(path, params={"includeRefreshToken": "true"}).json()["oauth2AuthorizationCode"]
    assert both == TOKENS

    client.get(path, params={"refresh": "ifExpired"})
    once = sandbox.connections()[0]["current"]["oauth2AuthorizationCode"]["refreshToken"]
    client.get(path, params={"refresh": "ifExpired"})
    assert sandbox.connections()[0]["current"]["oauth2AuthorizationCode"]["refreshToken"] == once
    client.get(path, params={"refresh": "force"})
    assert sandbox.connections()[0]["current"]["oauth2AuthorizationCode"]["refreshToken"] != once
    assert sandbox.connections()[0]["request"] == HUBSPOT


def test_a_revoked_refresh_token_is_found_out(sandbox: Sandbox, client: Client) -> None:
    body = HUBSPOT | {"oauth2AuthorizationCode": {"refreshToken": {"token": "fake-revoked"}}}
    path = f"/connections/{client.generate(body).json()['id']}"

    assert client.get(path).json()["status"] == "created"
    assert client.get(path, params={"refresh": "force"}).json()["status"] == "bad_credentials"


def test_a_patch_replaces_what_it_masks(sandbox: Sandbox, client: Client) -> None:
    path = f"/connections/{client.generate(STRIPE | WORKSPACE).json()['id']}"
    metadata = {"region": {"value": "eu", "source": "input"}}
    change = {"apiKey": "fake-newer", "providerMetadata": metadata, "groupName": "ignored"}

    response = client.patch(path, json={"updateMask": ["apiKey", "providerMetadata"], "connection": change})

    assert response.status_code == 200
    assert response.json()["providerMetadata"] == metadata
    assert response.json()["group"]["groupName"] == "acme"
    assert sandbox.connections()[0]["current"] == {**STRIPE, "apiKey": "fake-newer", "providerMetadata": metadata}


def test_a_patch_is_refused_for_a_wrong_mask(sandbox: Sandbox, client: Client) -> None:
    path = f"/connections/{client.generate().json()['id']}"

    def patch(mask: str, connection: dict[str, Any]) -> httpx.Response:
        return client.patch(path, json={"updateMask": [mask], "connection": connection})

    assert "providerWorkspaceRef" in problem(patch("oauth2AuthorizationCode", HUBSPOT), 400)["remedy"]
    assert named(patch("apiKey", {"apiKey": "fake-key"})) == {"apiKey"}
    assert named(patch("providerMetadata", {})) == {"providerMetadata"}
    problem(client.patch("/connections/none", json={}), 404)
    assert sandbox.connections()[0]["current"] == HUBSPOT


def test_others_connect_and_disconnect(sandbox: Sandbox, client: Client) -> None:
    one = sandbox.add_connection("stripe", "acme", "ada", apiKey="fake-key")
    two = sandbox.add_connection("stripe", "acme", "bob")
    sandbox.set_status(one, "bad_credentials")

    assert client.get(f"/connections/{one}").json()["status"] == "bad_credentials"
    assert client.delete(f"/connections/{one}").status_code == 204
    problem(client.delete(f"/connections/{one}"), 404)
    sandbox.remove_connection(two)
    assert client.get("/connections").json() == []
    with pytest.raises(KeyError):
        sandbox.remove_connection(two)


# How fast it may be asked


@pytest.mark.parametrize("retry_after", [True, False])
def test_too_many_requests_are_refused(retry_after: bool) -> None:
    with Sandbox(rate=0.5, burst=2, retry_after=retry_after) as sandbox, Client(sandbox) as client:
        responses = [client.generate() for _ in range(3)]

    assert [response.status_code for response in responses] == [201, 201, 429]
    assert problem(responses[2], 429)["retryable"] is True
    assert responses[2].headers.get("Retry-After") == ("2" if retry_after else None)
    assert sandbox.count() == 2


def test_the_rate_is_kept_and_measured() -> None:
    with Sandbox(rate=50, burst=1) as sandbox, Client(sandbox) as client:
        began_s = time.monotonic()
        while time.monotonic() < began_s + 0.5:
            client.generate()
        took_s = time.monotonic() - began_s

    requests = sandbox.requests
    assert requests.total == len(requests.starts_s) == sum(requests.statuses.values())
    assert requests.starts_s[0] >= began_s
    assert 10 <= requests.statuses[201] <= math.ceil(50 * took_s) + 1


def test_latency_holds_up_nobody_else() -> None:
    with Sandbox(latency_ms=150) as sandbox, Client(sandbox) as client, ThreadPoolExecutor(10) as pool:
        began_s = time.monotonic()
        responses = list(pool.map(lambda _: client.generate(), range(10)))
        took_s = time.monotonic() - began_s

    assert {response.status_code for response in responses} == {201}
    assert 0.15 <= took_s < 0.9


# How it misbehaves


@pytest.mark.parametrize("fault", ["drop_before", "drop_after_commit"])
def test_it_hangs_up(sandbox: Sandbox, client: Client, fault: str) -> None:
    sandbox.next(fault)

    with pytest.raises(httpx.TransportError):
        client.generate()

    assert sandbox.count() == (fault == "drop_after_commit")
    assert sandbox.requests.statuses == {0: 1}
    assert client.generate().status_code == 201


@pytest.mark.parametrize(
    ("fault", "status", "retryable"),
    [
        ("500_before", 500, None),
        ("500_after_commit", 500, None),
        ("503_retryable", 503, True),
        ("503_retryable_after_commit", 503, True),
    ],
)
def test_it_fails(sandbox: Sandbox, client: Client, fault: str, status: int, retryable: bool | None) -> None:
    sandbox.next(fault, times=2)

    for _ in range(2):
        assert problem(client.generate(), status).get("retryable") is retryable

    assert sandbox.count() == (2 if "after" in fault else 0)
    assert sandbox.requests.faults == {fault: 2}
    assert client.generate().status_code == 201


def test_a_proxy_answers_in_html(sandbox: Sandbox, client: Client) -> None:
    sandbox.next("html_502")

    response = client.generate()

    assert (response.status_code, response.headers["Content-Type"].split(";")[0]) == (502, "text/html")
    assert sandbox.count() == 0


def test_bad_json_is_committed_all_the_same(sandbox: Sandbox, client: Client) -> None:
    sandbox.next("bad_json")

    response = client.generate()

    assert response.status_code == 201
    with pytest.raises(json.JSONDecodeError):
        response.json()
    assert sandbox.count() == 1


def test_secrets_are_echoed_everywhere(sandbox: Sandbox, client: Client) -> None:
    sandbox.next("echo_secret_422")

    body = problem(client.generate(STRIPE), 422)

    assert body["issues"][0]["value"] == "fake-key"
    assert all("fake-key" in text for text in (body["detail"], body["causes"][0], body["issues"][0]["detail"]))
    assert sandbox.count() == 0


def test_slow_commits_even_when_the_client_has_gone(sandbox: Sandbox, client: Client) -> None:
    sandbox.next("slow")
    with pytest.raises(httpx.ReadTimeout), Client(sandbox, timeout=0.05) as impatient:
        impatient.generate()
    assert sandbox.count() == 0

    deadline_s = time.monotonic() + 2
    while not sandbox.count() and time.monotonic() < deadline_s:
        time.sleep(0.01)

    assert sandbox.count() == 1


@pytest.mark.parametrize("fault", ["drop_after_commit", "500_after_commit"])
def test_a_lost_patch_or_delete_was_done(sandbox: Sandbox, client: Client, fault: str) -> None:
    path = f"/connections/{client.generate(STRIPE).json()['id']}"

    def lose(method: str, **more: Any) -> None:
        sandbox.next(fault, on=method.lower())
        if fault == "500_after_commit":
            problem(client.request(method, path, **more), 500)
        else:
            with pytest.raises(httpx.TransportError):
                client.request(method, path, **more)

    lose("PATCH", json={"updateMask": ["apiKey"], "connection": {"apiKey": "fake-newer"}})
    assert sandbox.connections()[0]["current"]["apiKey"] == "fake-newer"
    lose("DELETE")
    assert sandbox.count() == 0


def test_reads_fail_too(sandbox: Sandbox, client: Client) -> None:
    sandbox.next("503_retryable", on="read")
    sandbox.next("html_502", on="list")

    problem(client.get("/provider-apps"), 503)
    assert client.get("/connections").status_code == 502
    assert client.generate().status_code == 201


def test_a_refused_request_stays_refused(sandbox: Sandbox, client: Client) -> None:
    sandbox.next("500_after_commit")

    problem(client.generate({}), 422)


def test_the_same_seed_gives_the_same_faults() -> None:
    def statuses(seed: int) -> list[int]:
        faults = {"503_retryable": 0.3, "html_502": 0.2}
        with Sandbox(faults=faults, seed=seed) as sandbox, Client(sandbox) as client:
            return [client.generate().status_code for _ in range(40)]

    assert statuses(1) == statuses(1) != statuses(2)
    assert set(statuses(1)) == {201, 502, 503}


def test_dice_hit_reads_only_with_what_commits_nothing() -> None:
    for fault in FAULTS:
        with Sandbox(faults={fault: 1.0}, slow_s=0) as sandbox, Client(sandbox) as client:
            try:
                hit = client.get("/connections").status_code != 200
            except httpx.TransportError:
                hit = True
            assert hit == (fault in {"drop_before", "500_before", "503_retryable", "html_502"}), fault


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({"500_befor": 0.1}, "500_before"),
        ({"nonsense": 0.1}, "html_502"),
        ({"slow": 1.1}, "0 to 1"),
        ({"slow": -0.1}, "0 to 1"),
        ({"slow": float("nan")}, "0 to 1"),
        ({"slow": 0.6, "html_502": 0.6}, "add up"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(faults: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Sandbox(faults=faults)


def test_a_script_that_cannot_be_is_refused(sandbox: Sandbox) -> None:
    for fault, on, said in (("slo", "generate", "slow"), ("bad_json", "read", "bad_json"), ("slow", "put", "generate")):
        with pytest.raises(ValueError, match=said):
            sandbox.next(fault, on=on)


# How it starts and stops


def test_it_can_be_used_again_and_again() -> None:
    sandbox, projects = Sandbox(), set()
    for _ in range(5):
        with sandbox, Client(sandbox) as client:
            projects.add(sandbox.project_id)
            assert client.get("/connections").json() == []
            client.generate()
        assert sandbox.count() == 1

    assert len(projects) == 5
    assert sandbox.environment() == {"AMP_API_URL": sandbox.url, "AMP_API_KEY": "sandbox-key", "AMP_PROJECT": "sandbox"}


def test_it_stops_at_once_with_slow_requests_pending() -> None:
    with Sandbox(faults={"slow": 1.0}, slow_s=60) as sandbox:
        with pytest.raises(httpx.ReadTimeout), Client(sandbox, timeout=0.1) as client:
            client.generate()
        began_s = time.monotonic()

    assert time.monotonic() - began_s < 1.5
    assert sandbox.count() == 0


def test_an_occupied_port_is_said(sandbox: Sandbox) -> None:
    other = Sandbox(port=int(sandbox.url.rsplit(":", 1)[1]))
    with pytest.raises(OSError, match="address"):
        other.start()
    other.stop()


def test_it_shows_what_it_holds(sandbox: Sandbox, client: Client) -> None:
    client.generate()

    assert client.get(sandbox.url + "/_sandbox/connections").json() == sandbox.connections()
    stats = client.get(sandbox.url + "/_sandbox/stats").json()
    assert stats == {"kinds": {"generate": 1}, "statuses": {"201": 1}, "faults": {}, "connections": 1}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop(number: signal.Signals) -> None:
    program = (
        "import sys; from importer.sandbox import *; sandbox = Sandbox(); sandbox.start();"
        "print(sandbox.url, flush=True); serve_forever(sandbox); print('over');"
        "print({'pandas', 'httpx', 'pydantic'} & set(sys.modules))"
    )
    root = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout
        url = process.stdout.readline().decode().strip()
        assert httpx.get(url + "/v1/providers", trust_env=False).status_code == 200
        time.sleep(0.1)  # until it blocks in serve_forever
        process.send_signal(number)
        assert process.stdout.read() == b"over\nset()\n"
    assert process.returncode == 0


# Whether it still agrees with the published schema


def shape(part: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """Names, required ones, types and enums of a schema, without what else it says."""
    if "$ref" in part:
        return shape(schemas[part["$ref"].rsplit("/", 1)[1]], schemas)
    if "items" in part:
        return [shape(part["items"], schemas)]
    if "properties" in part:
        required = set(part.get("required", []))
        return {name + "!" * (name in required): shape(value, schemas) for name, value in part["properties"].items()}
    if isinstance(part.get("additionalProperties"), dict) and "not" not in part["additionalProperties"]:
        return {"*": shape(part["additionalProperties"], schemas)}
    return sorted(part["enum"]) if "enum" in part else part.get("format", part.get("type"))


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published schema is not here")
def test_the_schema_agrees_with_the_published_one() -> None:
    schemas = json.loads(PUBLISHED.read_text())["components"]["schemas"]
    asked = {name + "!" * (name in {"groupRef", "consumerRef", "provider"}) for name in schema.GENERATE["properties"]}

    published = shape(schemas["ConnectionRequest"], schemas)
    ours = {name.rstrip("!"): value for name, value in shape(schema.GENERATE, {}).items()}
    assert ours == published
    assert set(shape(schema.GENERATE, {})) == asked
    assert set(schemas["GenerateConnectionRequest"]["allOf"][1]["required"]) == set(schema.GENERATE["required"])
    masks = schemas["UpdateConnectionRequest"]["properties"]["updateMask"]["items"]["enum"]
    assert set(schema.MASKS) == set(masks)


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published schema is not here")
@pytest.mark.parametrize("scheme", BODIES)
def test_a_connection_has_the_published_shape(client: Client, scheme: str) -> None:
    schemas = json.loads(PUBLISHED.read_text())["components"]["schemas"]
    shown = client.generate({**REFS, **BODIES[scheme]}).json()

    for name, part in (("Connection", shown), ("Group", shown["group"]), ("Consumer", shown["consumer"])):
        assert set(schemas[name]["required"]) <= set(part) <= set(schemas[name]["properties"])
