"""The platform's catalog of providers, as a judge of rows: what GET /v1/providers says must be sent, and how.

It comes live or out of the cache, and is never baked into the package. It knows nothing of HTTP, the clock or disks.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from importer.api.models import AuthScheme, GenerateRequest
from importer.catalog.findings import Finding, Severity, Sheet
from importer.catalog.info import PROVIDER_NAME, Input, ProviderInfo, read_provider
from importer.catalog.names import ALIASES, Names
from importer.catalog.rules import may_be_named, prepare, unknown_provider
from importer.catalog.workspace import salesforce_label

__all__ = ["ALIASES", "Catalog", "Finding", "Input", "ProviderInfo", "Severity", "may_be_named", "salesforce_label"]


class Catalog:
    """Providers by their keys. False where it has none: then nothing can be checked, and nothing is found."""

    def __init__(self, entries: Mapping[str, Any]) -> None:
        """`entries` are provider keys and their ProviderInfo; those that cannot be read are known by name only."""
        names = [name for name in entries if isinstance(name, str) and PROVIDER_NAME.fullmatch(name)]
        read = {name: read_provider(name, entries[name]) for name in names}
        self._infos = {name: info for name, info in sorted(read.items()) if info is not None}
        self._unread = frozenset(read) - self._infos.keys()
        self._names = Names(self._infos)
        self._sheets: dict[tuple[str, str | None], Sheet] = {}

    @classmethod
    def read(cls, document: Mapping[str, Any] | bytes) -> "Catalog":
        """The catalog in an answer of `GET /v1/providers`, or in `{"catalog": …}`; empty where there is none."""
        entries = _loaded(document) if isinstance(document, bytes) else document
        if not isinstance(entries, Mapping):
            return cls({})
        inner = entries.get("catalog")
        return cls(inner if isinstance(inner, Mapping) and "authType" not in inner else entries)

    def __bool__(self) -> bool:
        return bool(self._infos)

    def __len__(self) -> int:
        return len(self._infos)

    def __contains__(self, provider: str) -> bool:
        """Whether it has a provider of this name, be it one whose entry could not be read."""
        return provider in self._infos or provider in self._unread

    @property
    def providers(self) -> tuple[str, ...]:
        """The keys of all providers that could be read, sorted."""
        return tuple(self._infos)

    def describe(self, provider: str) -> ProviderInfo | None:
        """What is known of a provider: its auth scheme, its inputs, the shape of its workspace."""
        return self._infos.get(provider)

    def check(self, request: GenerateRequest, *, now: datetime, module: str | None = None) -> list[Finding]:
        """All that speaks against a row, errors and warnings; `module` as in the config, else each provider's default.

        A provider whose entry could not be read is not checked: that it is there is known, and nothing else.
        """
        sheet = self._sheets.get((request.provider, module)) or self._sheet(request.provider, module)
        if sheet is None:
            return self._unknown(request.provider)
        found: list[Finding] = []
        for rule in sheet.rules:
            found += rule(sheet, request, now)
        return found

    def _sheet(self, provider: str, module: str | None) -> Sheet | None:
        info = self._infos.get(provider)
        if info is None:
            return None
        return self._sheets.setdefault((provider, module), prepare(info, module))

    def _unknown(self, provider: str) -> list[Finding]:
        if not self or provider in self._unread:
            return []
        return [unknown_provider(provider, self.nearest_provider(provider))]

    def nearest_provider(self, name: str) -> str | None:
        """The key that `name` probably means: another case, another platform's word, a misspelling. Only to suggest."""
        return self._names.nearest(name)

    def scheme_of(self, provider: str) -> AuthScheme | None:
        """How a provider signs in; None where it is unknown or cannot be imported."""
        info = self._infos.get(provider)
        return info.scheme if info else None

    def needs_app(self, provider: str) -> bool:
        """Whether the project must have a provider app before rows of this provider are imported."""
        info = self._infos.get(provider)
        return info is not None and info.needs_app

    def required_inputs(self, provider: str, module: str | None = None) -> tuple[str, ...]:
        """The names of metadata that a row must have; those with a default are not among them."""
        info = self._infos.get(provider)
        return tuple(entry.name for entry in info.inputs_of(module) if entry.default is None) if info else ()

    def derive_workspace(self, provider: str, url_or_host: str) -> str | None:
        """The workspace out of a URL or a host, `acme` of https://acme.my.salesforce.com; None where it has none.

        What is a workspace already comes back as it is. The result is a part of a cell: not for a message.
        """
        info = self._infos.get(provider)
        return info.workspace.derive(url_or_host) if info and info.workspace else None


def _loaded(document: bytes) -> Any:
    try:
        return json.loads(document)
    except (ValueError, RecursionError):
        return None
