"""The project's provider apps, as a judge of rows: with its client the platform refreshes the tokens of a provider.

A refresh token works only with the client that it was issued to, and `generate` does not let a row choose one.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from importer.catalog.findings import Finding, Findings, error, warning
from importer.mapping.bodies import CLIENT_ID
from importer.outcomes import Code


class Apps:
    """Which providers have an app in the project, and with which client ids; several apps of one provider may be."""

    def __init__(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """`entries` are those of `GET provider-apps`; what has no provider is as if it were not there."""
        self._clients: dict[str, set[str]] = defaultdict(set)
        for entry in entries:
            provider, client_id = entry.get("provider"), entry.get("clientId")
            if isinstance(provider, str) and provider:
                self._clients[provider] |= {client_id} if isinstance(client_id, str) and client_id else set()

    def __contains__(self, provider: str) -> bool:
        return provider in self._clients

    def check(self, provider: str, client_id: str | None) -> Findings:
        """What speaks against a row with tokens of `provider`; `client_id` is None where the source does not know it.

        Neither of two client ids that differ is said: one is a cell.
        """
        if provider not in self._clients:
            return [_missing(provider)]
        known = self._clients[provider]
        if client_id is None or not known or client_id in known:
            return ()
        return [_other_client(provider)]


def _missing(provider: str) -> Finding:
    return error(
        "provider",
        Code.NO_PROVIDER_APP,
        f"the project has no provider app for {provider}, so the platform could not refresh its tokens",
        "Add it in the dashboard (client id and secret), with the app that the tokens were issued to; then run again.",
    )


def _other_client(provider: str) -> Finding:
    return warning(
        CLIENT_ID,
        Code.OTHER_CLIENT,
        f"the tokens were issued to another client id than that of the project's provider app for {provider}, and a "
        "refresh token works only with its own",
        "Set up the provider app with the client that issued them, or have the customer log in again.",
    )
