"""What no server, config or log may do: properties of what reads answers and settings, and hides secrets."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime

from importer.api.models import GenerateRequest
from importer.api.problems import TEXT_LIMIT, read_problem, read_retry_after
from importer.catalog import Catalog
from importer.config import load_config
from importer.errors import ConfigError
from importer.redaction import (
    looks_like_a_token,
    may_be_a_key,
    reads_as_a_name,
    reads_as_a_scope,
    shares_a_piece,
    withhold,
)

from .held import choice, held, text

SECRETS = ("fake-secret-Pa55/word+1", "fake-token-zQ8")

NOW = 1_790_000_000.0


def problem(content: bytes) -> None:
    """A body becomes a Problem of bounded texts, none of which shares a piece with a credential of its row."""
    found = read_problem(422, content, lambda: SECRETS)
    texts = [found.text, found.remedy, found.request_id, *(t for i in found.issues for t in (i.name, i.text))]
    assert all(len(one) <= TEXT_LIMIT for one in texts)
    assert not any(shares_a_piece(one, SECRETS) for one in texts), "a credential is shown"
    assert len(found.issues) <= 20
    "".join(texts).encode()


def retry_after(content: bytes) -> None:
    """What a server asks for is a number of seconds that can be waited, or nothing."""
    kind, content = choice(content, 3)
    date, _, rest = text(content).partition("\n")
    name = ("retry-after", "x-amp-retry-after", "none")[kind]
    body = content if kind == 2 else b""
    wait = read_retry_after({"date": date, name: rest}, body, NOW)
    assert wait is None or (math.isfinite(wait) and wait >= 0)


def config(content: bytes) -> None:
    """A file is a config, or one line says why not."""
    try:
        found = load_config(held(content, "config.toml"), {})
        _ = found.api_root, found.report_dir, found.ledger_path
    except ConfigError as error:
        said = str(error)
    else:
        said = ""
    assert "\n" not in said
    assert len(said) < 1_000


def catalog(content: bytes) -> None:
    """A catalog of any shape is read as far as it goes, and judges a row."""
    read = Catalog.read(content)
    for provider in read.providers:
        read.describe(provider)
        read.required_inputs(provider)
        read.derive_workspace(provider, "https://acme.example.com/a")
        read.check(_request(provider), now=datetime(2026, 1, 1, tzinfo=UTC))
    read.nearest_provider("hubspott")


def _request(provider: str) -> GenerateRequest:
    body: Mapping[str, object] = {
        "provider": provider, "groupRef": "g1", "consumerRef": "u1", "providerWorkspaceRef": "acme",
        "apiKey": "fake-key-1", "authScheme": "apiKey",
    }  # fmt: skip
    return GenerateRequest.model_validate(body)


def redaction(content: bytes) -> None:
    """A text is shown or withheld, and never a credential in it; what it looks like can be told of any."""
    kind, content = choice(content, 3)
    said = text(content)
    if kind < 2:
        said = f"{said}{SECRETS[kind]}{said}" if kind else said
        shown = withhold(said, SECRETS)
        assert not any(secret in shown for secret in SECRETS), "a credential is shown"
    for ask in (looks_like_a_token, may_be_a_key, reads_as_a_name, reads_as_a_scope):
        assert ask(said) in (True, False)
