"""Every parser that reads what others wrote, with inputs to begin from."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import answers, files, rows

SEEDS = Path(__file__).parent / "seeds"
"""Inputs that once broke a property, in a folder for each target."""

SAMPLES = Path(__file__).parents[2] / "samples"


@dataclass(frozen=True, slots=True)
class Target:
    """One parser: `run` raises where an input breaks its property. Of `sample` the first byte often makes a choice."""

    run: Callable[[bytes], None]
    samples: tuple[bytes, ...]


_PROBLEM = json.dumps({
    "type": "about:blank", "title": "Bad", "detail": "fake-secret is not valid", "status": 422, "retryable": True,
    "retryAfter": "2026-11-26T12:00:00Z", "remedy": "Mend it", "requestId": "r1", "causes": ["one", "two"],
    "issues": [{"name": "apiKey", "detail": "too long", "value": "fake-token"}],
}).encode()  # fmt: skip

_PROVIDER = json.dumps({
    "hubspot": {
        "name": "hubspot", "displayName": "HubSpot", "authType": "oauth2", "baseURL": "https://{{.workspace}}.x.com",
        "oauth2Opts": {"grantType": "authorizationCode", "explicitScopesRequired": True, "authURL": "https://x.com"},
        "metadata": {"input": [{"name": "workspace", "displayName": "Domain", "moduleDependencies": {"crm": {}}}]},
        "modules": {"crm": {"baseURL": "https://x.com"}}, "defaultModule": "crm",
    },
    "stripe": {"authType": "apiKey", "apiKeyOpts": {"header": {"valuePrefix": "Bearer "}}},
}).encode()  # fmt: skip

_JSON = b'{"id": "g1", "access_token": "fake-1", "at": {"$date": 1790000000000}, "n": 1.5, "s": ["a", {"b": 2}]}'

_CONNECTION = json.dumps({
    "id": "c1", "provider": "hubspot", "group": {"ref": "g1"}, "consumer": {"ref": "u1"}, "status": "working",
    "providerMetadata": {"workspace": {"value": "acme", "source": "input"}}, "createTime": "2026-11-26T12:00:00Z",
}).encode()  # fmt: skip


def _sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


TARGETS: dict[str, Target] = {
    "delimited": Target(rows.delimited, (_sample("connections.csv")[:2_000], b'a;b\r\n"1";"x\n""y"""\r\n\r\n2;3;4\n')),
    "json": Target(
        rows.json_rows,
        (
            b"\0" + _JSON + b"\n" + _JSON,
            b"\1[" + _JSON + b"," + _JSON + b"]",
            b'\2{"result": {"items": [' + _JSON + b"]}}",
        ),
    ),
    "parquet": Target(rows.parquet, (_sample("connections.parquet"),)),
    "dates": Target(
        rows.dates,
        (
            b"\0" + b"2026-01-31T12:00:00Z\n2026-W05-6 UTC",
            b"\1" + b"1790000000\n1790000000000.5",
            b"\5" + b"2026-01-31 12:00:00",
            b"\6" + b"31/01/26 11:00 PM",
            b"\7" + b"2026-01-31T12:00:00.5+01:00",
            b"\10" + b"3600",
            b"\11" + b"63072001",
        ),
    ),
    "mapping": Target(
        rows.mapping,
        (
            b"\0"
            + "\x1f".join(["hubspot", "g1", "u1", "fake-access-1", "2030-01-31", "fake-refresh-1", "a b"]).encode(),
            b"\1" + b'HS\x1fg1\x1f{"id": "u1"}\x1fhttps://acme.my.salesforce.com\x1f' + _JSON + b"\x1fa|b",
            b"\2" + b'g1\x1fu1\x1ffake-key-1\x1f["a"]\x1ffake-user\x1ffake-password',
        ),
    ),
    "specs": Target(
        rows.specs,
        (
            b"\0{a} ({b}) {{}}",
            b"\1$.a..b[?match(@, 'x.*')]",
            b"\2%Y-%m-%d",
            b"\3Europe/Berlin",
            b"\4json",
            b"\0{a.__class__!r:>10}",
            b"\1$['a'][?@.b == 1 && !@.c || search(@.d, '(a+)+')][0:2:-1]",
        ),
    ),
    "cells": Target(rows.cells, (b'\0["a", "b"]', b"\1" + _JSON, b'\1{"a": [{"b": 2, "c": 3}]}', b'\0{a,"b c"}')),
    "ciphertext": Target(
        rows.ciphertext,
        (
            b"\0gAAAAABfake",
            b"\1aabbccdd\nAAECAwQFBgcICQoL",
            b'\3{"p":"AA==","h":{"iv":"AA==","at":"AA==","c":true}}',
            b"\2eyJpdiI6IkFBIiwidmFsdWUiOiJBQSIsIm1hYyI6IkFBIn0=",
            b"\4jA0EBwMCfake",
            b"\4abcd...wxyz",
            b"\4U2FsdGVkX1+A",
        ),
    ),
    "report": Target(rows.report, (b'=1+1\x1f-12\x1fa,b"c\r\nd\x1f;@x',)),
    "problem": Target(answers.problem, (_PROBLEM,)),
    "retry_after": Target(
        answers.retry_after,
        (b"\0Thu, 26 Nov 2026 12:00:00 GMT\n120", b"\1\nThu, 26 Nov 2026 12:05:00 GMT", b"\2" + _PROBLEM),
    ),
    "config": Target(
        answers.config, (_sample("crm-export.toml"), b"[api]\nurl = 'http://127.0.0.1'\n[limits]\nrate = 1e3\n")
    ),
    "catalog": Target(answers.catalog, (_PROVIDER, b'{"catalog": ' + _PROVIDER + b"}")),
    "listing": Target(
        files.listing,
        (b"\x10[" + _CONNECTION + b", " + _CONNECTION + b"]", b"\xff[]", b"\x02 [" + _CONNECTION + b"] x"),
    ),
    "ledger": Target(files.ledger, (files.a_ledger(),)),
    "looked_at": Target(
        files.looked_at,
        (
            b"\0" + _sample("authjs-accounts.csv"),
            b"\1[" + _JSON + b"]",
            b"\2" + _JSON,
            b"\3" + _sample("connections.parquet"),
        ),
    ),
    "redaction": Target(
        answers.redaction, (b"\0https://x.com/?t=fake", b"\1 in base64: ", b"\2crm.objects.contacts.read")
    ),
}
"""Name -> target. A new parser gets a line here, and is fuzzed by each test run from then on."""


def seeds(name: str) -> list[Path]:
    """The inputs that once broke a target's property."""
    return sorted((SEEDS / name).glob("*")) if (SEEDS / name).is_dir() else []
