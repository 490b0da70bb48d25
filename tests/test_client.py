"""The calls of the platform's API, on the sandbox and on servers that break the rules: each ends in an Answer."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from conformance.transport import OK, Peer, Server, after_reading

from importer.api.client import ConnectionsClient
from importer.api.key import ApiKey
from importer.api.models import AuthScheme, Connection, GenerateRequest
from importer.api.problems import Answer, Fate
from importer.api.wire import Body, body_of, patch_of
from importer.clock import Clock
from importer.errors import LedgerLost
from importer.existing import Existing
from importer.pace import UNLIMITED, FixedRate
from importer.pacing import PROBE_AFTER, Pacer, Patience
from importer.records import Identity
from importer.redaction import WITHHELD
from importer.retry import Backoff
from importer.sandbox import Sandbox

KEY = "fake-api-key-1"
ACCESS, REFRESH = "fake-access-token-1", "fake-refresh-token-1"
ADA = Identity("hubspot", "acme", "ada")
ODD = Identity("hubspot", "a/ché & co + 100% #1?", "ada=1;b\u2028c")

Talk = Callable[[ConnectionsClient], Awaitable[Any]]


def body(identity: Identity = ADA, access: str = ACCESS) -> Body:
    """The body of a row with these tokens."""
    tokens = {"accessToken": {"token": access}, "refreshToken": {"token": REFRESH}, "scopes": ["read"]}
    fields = {"provider": identity.provider, "groupRef": identity.group_ref, "consumerRef": identity.consumer_ref}
    block = {"oauth2AuthorizationCode": tokens, "authScheme": AuthScheme.AUTHORIZATION_CODE}
    return body_of(GenerateRequest.model_validate({**fields, **block}))


def ignore(_part: list[Connection]) -> None:
    """Take a part of a listing and do nothing with it."""


def with_client(
    talk: Talk, url: str, project: str = "sandbox", key: str = KEY, *, workers: int = 8, timeout_s: float = 5.0
) -> Any:
    """What `talk` returns, given a client of this API."""

    async def run() -> Any:
        clock = Clock()
        pacer = Pacer(FixedRate(UNLIMITED), Patience(), clock)
        async with ConnectionsClient(
            url, project, ApiKey(key), pacer=pacer, clock=clock, workers=workers, timeout_s=timeout_s
        ) as client:
            return await talk(client)

    return asyncio.run(run())


def on(sandbox: Sandbox, talk: Talk, **options: Any) -> Any:
    """What `talk` returns, given a client of the sandbox."""
    return with_client(talk, sandbox.url, **{"project": sandbox.project, "key": sandbox.api_key, **options})


def against(behave: Callable[[Server, Peer], Awaitable[None]], talk: Talk, **options: Any) -> tuple[Any, Server]:
    """What `talk` returns, given a client of a server that behaves so; and that server."""
    server = Server(behave)

    async def run() -> Any:
        clock = Clock()
        pacer = Pacer(FixedRate(UNLIMITED), Patience(), clock)
        async with server.serving(), ConnectionsClient(
            server.url.rstrip("/"), "sandbox", ApiKey(KEY),
            pacer=pacer, clock=clock, **{"workers": 8, "timeout_s": 5.0, **options},
        ) as client:  # fmt: skip
            return await talk(client)

    return asyncio.run(run()), server


def response(status: int, content: Any, *headers: str) -> bytes:
    """An answer on the wire."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(raw)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw


# --- the endpoints ---


def test_generate_makes_the_connection_that_the_row_asks_for(sandbox: Sandbox) -> None:
    answer: Answer[Connection] = on(sandbox, lambda client: client.generate(body()))

    assert (answer.fate, answer.status, answer.ok, answer.problem) == (Fate.ANSWERED, 201, True, None)
    assert answer.value is not None
    made = sandbox.connections()
    assert [(one["id"], one["request"]) for one in made] == [(answer.value.id, json.loads(body().json))]
    assert answer.value.identity == ADA
    assert answer.latency_s > 0


@pytest.mark.parametrize("identity", [ADA, ODD], ids=["plain", "odd"])
def test_find_gives_the_connections_of_one_key(sandbox: Sandbox, identity: Identity) -> None:
    ids = [sandbox.add_connection(*identity) for _ in range(2)]
    sandbox.add_connection("hubspot", "acme", "bob")
    sandbox.add_connection("stripe", *identity[1:])

    answer: Answer[list[Connection]] = on(sandbox, lambda client: client.find(identity))

    assert [one.id for one in answer.value or []] == ids
    assert {one.identity for one in answer.value or []} == {identity}


def test_find_of_a_key_that_is_not_there_is_an_empty_answer_and_no_failure(sandbox: Sandbox) -> None:
    answer = on(sandbox, lambda client: client.find(ADA))

    assert (answer.status, answer.value, answer.ok) == (200, [], True)


def test_patch_replaces_what_is_masked(sandbox: Sandbox) -> None:
    there = sandbox.add_connection("stripe", "acme", "ada", apiKey="fake-old-key")
    row = GenerateRequest.model_validate(
        {
            "provider": "stripe",
            "groupRef": "acme",
            "consumerRef": "ada",
            "apiKey": "fake-new-key",
            "authScheme": "apiKey",
        }
    )

    change = patch_of(body_of(row), ["apiKey"], {})
    assert change is not None

    answer = on(sandbox, lambda client: client.patch(there, change))

    assert (answer.status, answer.value.id) == (200, there)
    assert [(one["id"], one["current"]["apiKey"]) for one in sandbox.connections()] == [(there, "fake-new-key")]


def test_delete_takes_it_away_and_says_when_it_was_gone(sandbox: Sandbox) -> None:
    there = sandbox.add_connection(*ADA)

    assert [on(sandbox, lambda client: client.delete(there)).status for _ in range(2)] == [204, 404]
    assert sandbox.count() == 0


def test_get_gives_one_connection_without_its_credentials(sandbox: Sandbox) -> None:
    there = sandbox.add_connection(*ADA, oauth2AuthorizationCode={"accessToken": {"token": ACCESS}})

    answer = on(sandbox, lambda client: client.get(there))

    assert answer.value["id"] == there
    assert ACCESS not in repr(answer)


def test_get_may_have_the_tokens_refreshed(sandbox: Sandbox) -> None:
    tokens = {"accessToken": {"token": ACCESS}, "refreshToken": {"token": "fake-revoked-token"}}
    there = sandbox.add_connection(*ADA, oauth2AuthorizationCode=tokens)

    assert on(sandbox, lambda client: client.get(there)).value["status"] == "created"
    assert on(sandbox, lambda client: client.get(there, refresh="force")).value["status"] == "bad_credentials"


@pytest.mark.parametrize("connection_id", ["no such id", "a/../../providers", "é?x=1#y"])
def test_an_id_is_one_part_of_the_path(sandbox: Sandbox, connection_id: str) -> None:
    assert on(sandbox, lambda client: client.get(connection_id)).status == 404
    assert on(sandbox, lambda client: client.delete(connection_id)).status == 404
    assert sandbox.requests.kinds == {"get": 1, "delete": 1}


def test_the_project_says_its_id(sandbox: Sandbox) -> None:
    by_name = on(sandbox, lambda client: client.project())
    by_id = on(sandbox, lambda client: client.project(), project=sandbox.project_id)

    assert by_name.value == by_id.value
    assert (by_name.value.id, by_name.value.name) == (sandbox.project_id, sandbox.project)


@pytest.mark.parametrize(("options", "status"), [({"key": "fake-wrong-key"}, 401), ({"project": "a/b é"}, 404)])
def test_a_key_or_a_project_that_is_refused_is_an_answer(
    sandbox: Sandbox, options: dict[str, str], status: int
) -> None:
    for talk in (
        ConnectionsClient.project,
        lambda client: client.generate(body()),
        lambda client: client.listing(ignore),
    ):
        answer = on(sandbox, talk, **options)
        assert (answer.fate, answer.status, answer.value) == (Fate.ANSWERED, status, None)
        assert answer.problem is not None
        assert answer.problem.text
        assert options.get("key", KEY) not in repr(answer)


def test_provider_apps_and_providers_are_given_as_they_are(sandbox: Sandbox) -> None:
    sandbox.provider_apps = [{"id": "app-1", "provider": "hubspot", "clientId": "fake-client"}]

    assert on(sandbox, lambda client: client.provider_apps()).value == sandbox.provider_apps
    assert "hubspot" in json.dumps(on(sandbox, lambda client: client.providers()).value)


# --- the listing ---


def listed(sandbox: Sandbox, provider: str | None = None) -> tuple[Answer[int], list[list[Connection]]]:
    """The answer to a listing, and the parts in which it came."""
    parts = list[list[Connection]]()
    return on(sandbox, lambda client: client.listing(lambda part: parts.append(list(part)), provider)), parts


def test_a_listing_of_5000_connections_comes_in_parts_and_each_once(sandbox: Sandbox) -> None:
    ids = [sandbox.add_connection("hubspot", f"group-{number}", "ada") for number in range(5_000)]

    answer, parts = listed(sandbox)

    assert (answer.status, answer.value) == (200, 5_000)
    assert [one.id for part in parts for one in part] == ids
    assert len(parts) > 10


def test_a_listing_of_one_provider_or_of_none(sandbox: Sandbox) -> None:
    sandbox.add_connection("stripe", "acme", "ada")
    there = sandbox.add_connection(*ADA)

    answer, parts = listed(sandbox, "hubspot")
    assert (answer.value, [one.id for part in parts for one in part]) == (1, [there])
    assert listed(sandbox)[0].value == 2
    answer, parts = listed(sandbox, "salesforce")
    assert (answer.status, answer.value, answer.ok, parts) == (200, 0, True, [])


@pytest.mark.parametrize(
    ("fault", "fate", "status"),
    [
        ("drop_before", Fate.LOST, None),
        ("html_502", Fate.ANSWERED, 502),
        ("503_retryable", Fate.ANSWERED, 503),
    ],
)
def test_a_listing_that_fails_has_no_value(sandbox: Sandbox, fault: str, fate: Fate, status: int | None) -> None:
    sandbox.add_connection(*ADA)
    sandbox.next(fault, times=2, on="list")

    answer, parts = listed(sandbox)

    assert (answer.fate, answer.status, answer.value, parts) == (fate, status, None, [])


ONE = b'{"id": "c-1", "provider": "hubspot"}'


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"[" + ONE,
        b"[" + ONE + b"}",
        b"<html>",
        b"[" + ONE + b', {"provider": "no id"}]',
        b"[1, 2]",
        b"[" + ONE + b"] and more",
        b"[" * 2_000,
        b'["\xff"]',
        pytest.param(ONE),
        pytest.param(
            b'{"connections": [' + ONE + b"]}",
        ),
        pytest.param(b"null"),
    ],
    ids=lambda said: repr(said[:30]),
)
def test_a_listing_that_is_no_array_of_connections_is_never_taken_for_a_whole_one(said: bytes) -> None:
    """An empty listing means that nothing is there: taken from what cannot be read, it would double everything."""
    answer, _ = against(after_reading(response(200, said)), lambda client: client.listing(ignore))

    assert answer.value is None
    assert not answer.ok


@pytest.mark.parametrize("cut", range(1, len(KEY)))
def test_a_listing_with_the_key_in_it_is_not_believed_wherever_its_parts_meet(cut: int) -> None:
    """Sent in two parts, of which neither has the key: only together they have."""
    said = b'[{"id": "c-1", "name": "' + KEY.encode() + b'"}]'
    at = said.index(KEY.encode()) + cut
    first, second, end = (b"%x\r\n%s\r\n" % (len(part), part) for part in (said[:at], said[at:], b""))
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    taken: list[Connection] = []

    answer, _ = against(
        after_reading(head + first, second + end, gap_s=0.05), lambda client: client.listing(taken.extend)
    )

    assert (answer.fate, answer.value, taken) == (Fate.LOST, None, [])


def test_a_listing_that_breaks_off_is_lost() -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    part = b"[" + ONE + b","
    taken: list[Connection] = []

    answer, _ = against(
        after_reading(head + b"%x\r\n%s\r\n" % (len(part), part), gap_s=0.02),
        lambda client: client.listing(taken.extend),
    )

    assert (answer.fate, answer.value) == (Fate.LOST, None)
    assert [one.id for one in taken] == ["c-1"]


# --- what went wrong ---


def test_credentials_that_the_server_quotes_are_withheld(sandbox: Sandbox) -> None:
    sandbox.next("echo_secret_422")

    answer = on(sandbox, lambda client: client.generate(body()))

    assert (answer.status, answer.problem.text) == (422, WITHHELD)
    assert {issue.text for issue in answer.problem.issues} == {WITHHELD}
    for secret in (ACCESS, REFRESH, sandbox.api_key):
        assert secret not in repr(answer)


@pytest.mark.parametrize(
    ("quoted", "shown"),
    [
        (ACCESS, "(withheld)"),  # of the row before: it reads as a name, and only that it was sent tells what it is
        (REFRESH[:8], "(withheld)"),
        ("ghp_fakeFAKE0123456789fakeFAKE012345", "(withheld)"),  # of nobody we know: it has the shape of a token
        ("4f5e6d7c8b9a0f1e", "(withheld)"),
        ("workspace", "workspace"),
        ("customer-12", "customer-12"),
    ],
)
def test_a_word_of_another_rows_credential_is_blotted(quoted: str, shown: str) -> None:
    """A server that mixes two rows up names a credential that is not this row's."""
    said = response(400, {"detail": f"The value {quoted} is in use."})
    other = body(Identity("hubspot", "acme", "bob"), access="fake-other-value-2")
    other = Body(other.json.replace(REFRESH.encode(), b"fake-second-value-2"))

    async def refuse(server: Server, peer: Peer) -> None:
        while True:
            await server.read(peer)
            await peer.send(said)

    async def talk(client: ConnectionsClient) -> Answer[Connection]:
        await client.generate(body())
        return await client.generate(other)

    answer, _ = against(refuse, talk)

    assert answer.problem.text == f"The value {shown} is in use."


def test_the_key_that_the_server_quotes_is_withheld() -> None:
    said = response(401, {"detail": f"The key {KEY} is revoked."})

    for talk in (ConnectionsClient.project, lambda client: client.listing(ignore)):
        answer, _ = against(after_reading(said), talk)
        assert answer.problem.text == WITHHELD


@pytest.mark.parametrize(
    ("fault", "fate", "status", "made"),
    [
        ("drop_before", Fate.LOST, None, 0),
        ("drop_after_commit", Fate.LOST, None, 1),
        ("bad_json", Fate.ANSWERED, 201, 1),
        ("html_502", Fate.ANSWERED, 502, 0),
        ("500_after_commit", Fate.ANSWERED, 500, 1),
    ],
)
def test_a_post_is_sent_once_whatever_comes_back(
    sandbox: Sandbox, fault: str, fate: Fate, status: int | None, made: int
) -> None:
    sandbox.next(fault)

    answer = on(sandbox, lambda client: client.generate(body()))

    assert (answer.fate, answer.status, answer.value) == (fate, status, None)
    assert (sandbox.requests.kinds, sandbox.count()) == ({"generate": 1}, made)
    assert ACCESS not in repr(answer)


def test_a_post_that_is_not_answered_in_time_may_still_be_at_work() -> None:
    with Sandbox(slow_s=0.6) as sandbox:
        sandbox.next("slow")
        answer = on(sandbox, lambda client: client.generate(body()), timeout_s=0.2)

    assert (answer.fate, answer.timed_out, answer.why) == (Fate.LOST, True, "no answer within 0.2 s")


def test_nobody_there_means_it_never_left(sandbox: Sandbox) -> None:
    url = sandbox.url
    sandbox.stop()

    for talk in (lambda client: client.generate(body()), lambda client: client.listing(ignore)):
        answer = with_client(talk, url)
        assert (answer.fate, answer.status, answer.value) == (Fate.NEVER_LEFT, None, None)
        assert answer.why.startswith("cannot connect")


@pytest.mark.parametrize("said", [b"", b"{}", b'{"id": ""}', b'{"id": 7}', b"[]", b"null", b'{"id": "c-1"', b"\xff"])
@pytest.mark.parametrize("status", [200, 201])
def test_a_success_without_a_connection_has_no_value(said: bytes, status: int) -> None:
    answer, _ = against(after_reading(response(status, said)), lambda client: client.generate(body()))

    assert (answer.fate, answer.status, answer.value, answer.problem) == (Fate.ANSWERED, status, None, None)


def test_a_wish_to_wait_is_read_from_every_refusal() -> None:
    for talk in (lambda client: client.generate(body()), lambda client: client.listing(ignore)):
        answer, _ = against(after_reading(response(429, {}, "Retry-After: 7")), talk)
        assert (answer.status, answer.retry_after_s) == (429, 7.0)
    answer, _ = against(after_reading(response(201, {"id": "c-1"}, "Retry-After: 7")), lambda client: client.project())
    assert answer.retry_after_s is None


# --- the key ---


def test_the_key_is_in_one_header_and_nowhere_else() -> None:
    async def talk(client: ConnectionsClient) -> str:
        await client.generate(body())
        await client.find(ODD)
        await client.listing(ignore)
        return f"{client!r}{client} {client.pacer!r} {client._transport!r}"

    async def answers(server: Server, peer: Peer) -> None:
        while True:
            await server.read(peer)
            await peer.send(OK)

    shown, server = against(answers, talk)

    assert KEY not in shown
    assert len(server.requests) == 3
    for request in server.requests:
        head = request.lower().partition(b"\r\n\r\n")[0].split(b"\r\n")
        assert [line for line in head if KEY.encode() in line] == [f"x-api-key: {KEY}".encode()]
        assert request.count(KEY.encode()) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_neither_key_nor_row_goes_where_an_answer_points(sandbox: Sandbox, status: int) -> None:
    """The sandbox is where it points: nothing arrives there."""
    said = response(status, {"id": "c-1"}, f"Location: {sandbox.url}/v1/projects/sandbox")

    for talk in (
        lambda client: client.generate(body()),
        lambda client: client.project(),
        lambda client: client.listing(ignore),
    ):
        answer, server = against(after_reading(said), talk)
        assert (answer.fate, answer.status, answer.value) == (Fate.ANSWERED, status, None)
        assert len(server.requests) == 1
    assert sandbox.requests.total == 0


def test_no_cookie_of_one_row_travels_with_another() -> None:
    async def sets_cookies(server: Server, peer: Peer) -> None:
        while True:
            await server.read(peer)
            await peer.send(response(201, {"id": "c-1"}, "Set-Cookie: session=of-ada; Path=/"))

    async def talk(client: ConnectionsClient) -> None:
        for _ in range(3):
            await client.generate(body())

    _, server = against(sets_cookies, talk)

    assert len(server.requests) == 3
    assert b"of-ada" not in b"".join(server.requests)


# --- before a request leaves ---


def test_ready_is_awaited_before_the_first_byte_leaves(sandbox: Sandbox) -> None:
    seen: list[int] = []

    async def ready() -> None:
        await asyncio.sleep(0.05)
        seen.append(sandbox.requests.total)

    on(sandbox, lambda client: client.generate(body(), ready))

    assert seen == [0]
    assert sandbox.count() == 1


def test_nothing_leaves_when_the_intent_could_not_be_written(sandbox: Sandbox) -> None:
    async def cannot() -> None:
        raise LedgerLost("the disk is full")

    async def talk(client: ConnectionsClient) -> None:
        for _ in range(5):
            with pytest.raises(LedgerLost):
                await client.generate(body(), cannot)
        assert (await client.project()).ok

    on(sandbox, talk, workers=1)

    assert (sandbox.count(), sandbox.requests.kinds) == (0, {"project": 1})


def test_a_probe_that_never_left_lets_the_next_one_go(sandbox: Sandbox) -> None:
    async def cannot() -> None:
        raise LedgerLost("the disk is full")

    async def talk(client: ConnectionsClient) -> None:
        for _ in range(PROBE_AFTER):
            client.pacer.heard(Answer(Fate.LOST))
        client.pacer._hold_until = 0.0
        with pytest.raises(LedgerLost):
            await client.generate(body(), cannot)
        async with asyncio.timeout(0.5):
            await client.project()

    on(sandbox, talk)


def test_no_more_requests_are_in_flight_than_there_are_workers() -> None:
    in_flight = most = 0

    async def slowly(server: Server, peer: Peer) -> None:
        nonlocal in_flight, most
        while True:
            await server.read(peer)
            in_flight += 1
            most = max(most, in_flight)
            await asyncio.sleep(0.01)
            in_flight -= 1
            await peer.send(OK)

    async def talk(client: ConnectionsClient) -> None:
        await asyncio.gather(*(client.generate(body()) for _ in range(20)), *(client.listing(ignore) for _ in range(4)))

    _, server = against(slowly, talk, workers=3)

    assert (most, len(server.requests)) == (3, 24)


def test_every_answer_is_heard_by_the_pacer() -> None:
    with Sandbox(rate=1, burst=1) as sandbox:

        async def talk(client: ConnectionsClient) -> tuple[int, int]:
            answers = await asyncio.gather(*(client.project() for _ in range(4)))
            assert sorted(answer.status or 0 for answer in answers) == [200, 429, 429, 429]
            assert client.pacer.hold_s > 0
            return client.pacer.requests, client.pacer.throttled

        assert on(sandbox, talk) == (4, 3)


# --- a server whose filters are not exact ---


def test_what_a_server_gives_beyond_the_filter_is_handed_on_and_sorted_out_by_who_asked() -> None:
    """The filters are not promised to be exact: `find` says what came, `Existing.look` compares it."""
    others = [("acme", "bob"), ("acme2", "ada"), ("Acme", "ada"), ("acme", "ada")]
    said = [
        {"id": f"c-{no}", "provider": "hubspot", "group": {"groupRef": group}, "consumer": {"consumerRef": consumer}}
        for no, (group, consumer) in enumerate(others)
    ]

    async def talk(client: ConnectionsClient) -> tuple[int, list[str], list[str]]:
        existing = Existing(client, Backoff(), Clock())
        try:
            answer = await client.find(ADA)
            looked = await existing.look(ADA)
        finally:
            existing.close()
        assert looked is not None
        return len(answer.value or []), [found.id for found in looked.mine], [found.id for found in looked.near]

    async def answers(server: Server, peer: Peer) -> None:
        while True:
            await server.read(peer)
            await peer.send(response(200, said))

    assert against(answers, talk)[0] == (4, ["c-3"], ["c-2"])
