"""TLS and proxies, with real certificates and a real CONNECT proxy: who is not trusted gets nothing of a request."""

import asyncio
import base64
import ssl
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
import trustme
from conformance.transport import PATIENT_S, TIMEOUT_S, Behave, Peer, Server, after_reading, answers
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from desk import Ended, key_row, write_csv

from importer.api.transport import AiohttpTransport, Lost, NeverLeft
from importer.api.trust import check_ca_file, mistrust, trusting
from importer.config import Config
from importer.errors import ConfigError
from importer.sandbox import Sandbox

KEY, TOKEN, PASSWORD = "fake-api-key-1", "fake-token-1", "fake-proxy-password"
PROXY_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    authority.cert_pem.write_to_path(tmp_path / "company-ca.pem")
    return tmp_path / "company-ca.pem"


def served_with(authority: trustme.CA, *names: str, expires: datetime | None = None) -> ssl.SSLContext:
    """A server's side of TLS, with a certificate for these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, not_after=expires).configure_cert(context)
    return context


def post(url: str, ca_file: Path | None = None, timeout_s: float = PATIENT_S) -> Awaitable[httpx.Response]:
    """A request that holds a key and a token, over a transport of its own."""

    async def send() -> httpx.Response:
        transport = AiohttpTransport(connections=1, timeout_s=timeout_s, ca_file=ca_file)
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            return await client.post(url, content=TOKEN, headers={"X-Api-Key": KEY})

    return send()


def refused(context: ssl.SSLContext, ca_file: Path | None = None) -> str:
    """What is said of a server with this side of TLS, which got nothing of the request."""
    server = Server(answers)

    async def run() -> str:
        async with server.serving(ssl=context):
            with pytest.raises(NeverLeft) as caught:
                await post(server.url, ca_file)
            return str(caught.value)

    said = asyncio.run(run())
    assert server.requests == []
    return said


# --- certificates ---


def test_a_company_s_own_authority_is_trusted_once_it_is_named(authority: trustme.CA, ca_file: Path) -> None:
    context = served_with(authority, "127.0.0.1")
    server = Server(answers)

    async def run() -> int:
        async with server.serving(ssl=context):
            return (await post(server.url, ca_file)).status_code

    assert asyncio.run(run()) == 200
    assert "name it in api.ca_file" in refused(context)


def test_what_the_environment_trusts_stays_trusted_beside_a_ca_file(
    authority: trustme.CA, ca_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = trustme.CA()
    other.cert_pem.write_to_path(tmp_path / "other.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    server = Server(answers)

    async def run() -> int:
        async with server.serving(ssl=served_with(authority, "127.0.0.1")):
            return (await post(server.url, tmp_path / "other.pem")).status_code

    assert asyncio.run(run()) == 200


def test_a_certificate_for_another_host_gets_nothing(authority: trustme.CA, ca_file: Path) -> None:
    said = "the server's certificate is for another host name: check api.url"
    assert refused(served_with(authority, "127.0.0.2"), ca_file) == said
    assert refused(served_with(authority, "api.example.com"), ca_file) == said


def test_a_certificate_that_has_expired_gets_nothing(authority: trustme.CA, ca_file: Path) -> None:
    context = served_with(authority, "127.0.0.1", expires=datetime(2021, 1, 1, tzinfo=UTC))
    assert refused(context, ca_file) == "the server's certificate is out of date, or this machine's clock is wrong"


def by_hand(bits: int, path: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's side of TLS for 127.0.0.1, and the file with its authority, as somebody may make them by hand: the
    authority says that it is one, and nothing else of what RFC 5280 (4.2.1) wants of it."""
    key = rsa.generate_private_key(65_537, bits)
    company, host = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in ("Fake CA", "host"))
    authority, server = (
        x509.CertificateBuilder(company, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(extension, critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        for subject, extension in (
            (company, x509.BasicConstraints(ca=True, path_length=None)),
            (host, x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])),
        )
    )
    formats = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (path / "by-hand.pem").write_bytes(authority)
    (path / "server.pem").write_bytes(server + key.private_bytes(*formats))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # or the local OpenSSL refuses to serve a short key
    context.load_cert_chain(path / "server.pem")
    return context, path / "by-hand.pem"


def test_a_key_that_is_too_short_is_said_to_be(tmp_path: Path) -> None:
    context, ca_file = by_hand(1_024, tmp_path)

    said = "the server's certificate, or its authority's, is too weak to be trusted ("
    assert refused(context, ca_file).startswith(said)


def test_an_authority_that_python_minds_from_3_13_on_is_said_to_break_a_rule(tmp_path: Path) -> None:
    context, ca_file = by_hand(2_048, tmp_path)
    strict = trusting(ca_file)
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    server = Server(answers)

    async def run() -> BaseException:
        async with server.serving(ssl=context):
            with pytest.raises(ssl.SSLCertVerificationError) as caught:
                await asyncio.open_connection("127.0.0.1", httpx.URL(server.url).port, ssl=strict)
            return caught.value

    said = mistrust(asyncio.run(run()))
    assert said.startswith("the server's certificate, or its authority's, breaks a rule of RFC 5280 (")
    assert "127.0.0.1" not in said
    if sys.version_info >= (3, 13):
        assert refused(context, ca_file) == said


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_a_server_that_speaks_no_more_than_tls_1_1_gets_nothing(authority: trustme.CA, ca_file: Path) -> None:
    context = served_with(authority, "127.0.0.1")
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # or the local OpenSSL refuses to serve it
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1

    assert refused(context, ca_file).startswith(("no TLS connection", "cannot connect (it hung up)"))
    # an OpenSSL built for TLS 1.2 only would refuse it without us, too
    assert trusting(ca_file).minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_server_that_refuses_our_version_of_tls_says_what_is_needed() -> None:
    """Its alert, protocol_version (RFC 8446 section 6.2), as it goes over the wire."""

    async def alert(server: Server, peer: Peer) -> None:
        await peer.send(b"\x15\x03\x01\x00\x02\x02\x46")
        await peer.forever()

    server = Server(alert)

    async def run() -> str:
        async with server.serving():
            with pytest.raises(NeverLeft) as caught:
                await post(server.url.replace("http:", "https:"))
            return str(caught.value)

    assert asyncio.run(run()) == "no TLS connection could be agreed on: the server has to speak TLS 1.2 or later"


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"\x00\xff" * 99], ids=["", "empty", "text", "raw"])
def test_a_ca_file_that_cannot_be_used_is_one_line_before_anything_is_read_or_sent(
    importer: Callable[..., Ended], sandbox: Sandbox, home: Path, content: bytes | None
) -> None:
    if content is not None:
        (home / "ca.pem").write_bytes(content)
    config = (home / "config.toml").read_text().replace("[api]", '[api]\nca_file = "ca.pem"')
    (home / "config.toml").write_text(config)
    write_csv(home / "rows.csv", [key_row(1)])

    for words in (["run", "rows.csv"], ["plan", "rows.csv", "--online"], ["providers"]):
        ended = importer(*words)

        assert ended.exit_code == 2
        assert "api.ca_file ca.pem" in ended.err
        assert "Traceback" not in ended.err
    assert sandbox.requests.total == 0
    assert not (home / "importer-ledger.db").exists()


def test_a_folder_is_no_ca_file_and_a_relative_one_lies_beside_the_config(tmp_path: Path, ca_file: Path) -> None:
    with pytest.raises(ConfigError, match="no regular file"):
        check_ca_file(tmp_path)
    config = Config(base=tmp_path)
    assert config.ca_path is None
    check_ca_file(ca_file)


# --- proxies ---


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while part := await reader.read(65_536):
        writer.write(part)
        await writer.drain()
    writer.close()


def tunnel_to(target: Server, password: str = "") -> Behave:
    """Behave: a proxy that opens every tunnel to `target`, whatever name was asked for."""

    async def behave(server: Server, peer: Peer) -> None:
        asked = await server.read(peer)
        login = base64.b64encode(f"fake-user:{password}".encode())
        if password and b"Proxy-Authorization: Basic " + login not in asked:
            await peer.send(b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")
            return
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(target.url).port)
        try:
            await peer.send(b"HTTP/1.1 200 Connected\r\n\r\n")
            await asyncio.gather(_pipe(peer._reader, writer), _pipe(reader, peer._writer))
        finally:
            writer.close()

    return behave


@pytest.fixture
def proxied(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the usual variables, and clears those of the machine."""
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)

    def name_them(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return name_them


def through(
    behave: Behave, send: Callable[[str], Awaitable[httpx.Response]], proxied: Callable[..., None], login: str = "",
    variable: str = "HTTPS_PROXY",
) -> tuple[int | str, Server]:  # fmt: skip
    """The status that comes back through a proxy that behaves so, or what is said; and the proxy."""
    proxy = Server(behave)

    async def run() -> int | str:
        async with proxy.serving():
            address = httpx.URL(proxy.url)
            proxied(**{variable: f"http://{login}{address.host}:{address.port}"})
            try:
                return (await send("https://api.example.com/v1")).status_code
            except (NeverLeft, Lost) as error:
                chain = (error, error.__cause__, error.__context__)
                assert PASSWORD not in "".join(f"{one}{one!r}{vars(one) if one else ''}" for one in chain)
                return f"{type(error).__name__}: {error}"

    return asyncio.run(run()), proxy


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("password", ["", PASSWORD], ids=["open", "with a password"])
def test_tls_goes_through_a_proxy_which_reads_nothing_of_the_request(
    authority: trustme.CA, ca_file: Path, proxied: Callable[..., None], variable: str, password: str
) -> None:
    api = Server(answers)

    async def send(url: str) -> httpx.Response:
        async with api.serving(ssl=served_with(authority, "api.example.com")):
            return await post(url, ca_file)

    login = f"fake-user:{password}@" if password else ""
    status, proxy = through(tunnel_to(api, password), send, proxied, login, variable)

    assert status == 200
    assert TOKEN.encode() in api.requests[0]
    assert len(proxy.requests) == 1
    assert proxy.requests[0].startswith(b"CONNECT api.example.com:443 ")
    assert KEY.encode() not in proxy.requests[0]
    assert b"proxy-authorization" not in api.requests[0].lower()


def test_a_proxy_that_poses_as_the_api_gets_nothing(ca_file: Path, proxied: Callable[..., None]) -> None:
    """The certificate is checked within the tunnel, against the name of the API."""
    api = Server(answers)

    async def send(url: str) -> httpx.Response:
        async with api.serving(ssl=served_with(trustme.CA(), "api.example.com")):
            return await post(url, ca_file)

    said, _ = through(tunnel_to(api), send, proxied)

    assert str(said).startswith("NeverLeft: the server's certificate is not trusted")
    assert api.requests == []


REFUSING: dict[str, tuple[Behave, str]] = {
    "asks for a password": (tunnel_to(Server(answers), "another"), "NeverLeft: the proxy wants a user name"),
    "refuses": (after_reading(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"), "NeverLeft: the proxy does not let us"),
    "redirects": (
        after_reading(b"HTTP/1.1 302 No\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
        "NeverLeft: the proxy does not let us",
    ),
    "hangs": (after_reading(then="stall"), "NeverLeft: cannot connect in time"),
    "hangs up": (after_reading(), "Lost: the server hung up"),
    "answers garbage": (after_reading(b"SSH-2.0-fake\r\n"), "Lost: the answer is no HTTP"),
    "answers garbage instead of TLS": (after_reading(b"HTTP/1.1 200 OK\r\n\r\nnot TLS"), "NeverLeft: "),
}


@pytest.mark.parametrize("fault", REFUSING)
def test_a_proxy_that_does_not_let_us_through_gets_neither_key_nor_token(
    proxied: Callable[..., None], fault: str
) -> None:
    """Where the tunnel broke off it is lost rather than never left: in doubt, a row is looked up first."""
    behave, expected = REFUSING[fault]

    said, proxy = through(behave, lambda url: post(url, timeout_s=TIMEOUT_S), proxied, f"fake-user:{PASSWORD}@")

    assert str(said).startswith(expected)
    assert len(proxy.requests) == 1
    assert KEY.encode() not in proxy.requests[0]
    assert TOKEN.encode() not in proxy.requests[0]


@pytest.mark.parametrize(
    "address",
    ["socks5://fake-user:{}@127.0.0.1:1", "http://fake-user:{}@127.0.0.1:port", "http://", "//:{}@", "ftp://x"],
)
def test_a_proxy_that_cannot_be_used_is_named_by_its_variable_and_not_by_its_address(
    proxied: Callable[..., None], address: str
) -> None:
    proxied(HTTPS_PROXY=address.format(PASSWORD))

    with pytest.raises(NeverLeft, match="the proxy in HTTPS_PROXY or ALL_PROXY cannot be used") as caught:
        asyncio.run(_send("https://api.example.com/"))

    assert PASSWORD not in str(caught.value)


async def _send(url: str) -> httpx.Response:
    return await post(url, timeout_s=TIMEOUT_S)


def test_a_proxy_without_a_scheme_is_an_http_proxy(proxied: Callable[..., None]) -> None:
    proxied(HTTPS_PROXY="127.0.0.1:1")

    with pytest.raises(NeverLeft, match="cannot connect to the proxy"):
        asyncio.run(_send("https://api.example.com/"))


def test_no_proxy_is_heard(proxied: Callable[..., None]) -> None:
    proxied(HTTPS_PROXY="http://127.0.0.1:1", NO_PROXY="host.invalid")

    with pytest.raises(NeverLeft, match="name cannot be resolved"):
        asyncio.run(_send("https://host.invalid/"))
