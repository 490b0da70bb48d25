"""What rows are held against, brought together for one command.

The catalog, the modules that the config names, and the provider apps of the project where they were asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from importer.api.models import AuthScheme, GenerateRequest
from importer.catalog import Catalog
from importer.catalog.apps import Apps
from importer.catalog.findings import Finding
from importer.catalog.token_rules import token_findings
from importer.errors import ConfigError
from importer.fields import nearest


@dataclass(frozen=True, slots=True)
class Judge:
    """Says what speaks against a row.

    `modules` are those of `catalog.modules` in the config, provider -> module; `apps` None where nobody asked.
    """

    catalog: Catalog = field(default_factory=lambda: Catalog({}))
    modules: Mapping[str, str] = field(default_factory=dict)
    apps: Apps | None = None

    def check(self, request: GenerateRequest, *, now: datetime, client_id: str | None) -> Sequence[Finding]:
        """All that speaks against a row, errors and warnings, but for `check_app`.

        `client_id` is the client that its tokens were issued to, where the source knows it.
        """
        found = self.catalog.check(request, now=now, module=self.modules.get(request.provider))
        found += token_findings(request, client_id)
        return found

    def check_app(self, request: GenerateRequest, client_id: str | None) -> Sequence[Finding]:
        """What the project's provider apps have against making a connection: one that is there needs none any more."""
        if self.apps is None or not self._needs_app(request):
            return ()
        return self.apps.check(request.provider, client_id)

    def _needs_app(self, request: GenerateRequest) -> bool:
        """Whether a row has tokens that are refreshed with an app; without a catalog its credential tells."""
        is_code = request.auth_scheme is AuthScheme.AUTHORIZATION_CODE
        return is_code and (not self.catalog or self.catalog.needs_app(request.provider))


def refuse_unknown_modules(catalog: Catalog, modules: Mapping[str, str]) -> None:
    """Raise ConfigError for a module of the config, or its provider, that a catalog does not have.

    Upper and lower case do not count, as in the platform's UI. Without a catalog nothing can be said.
    """
    for provider, module in modules.items() if catalog else ():
        if provider not in catalog:
            near = catalog.nearest_provider(provider)
            hint = f"Did you mean {near}?" if near else "importer providers lists them."
            raise ConfigError(f"catalog.modules names {provider}, which the catalog does not have", hint=hint)
        info = catalog.describe(provider)
        if info is None:
            continue  # its entry could not be read, and nothing of it is checked
        if not info.modules:
            raise ConfigError(f"catalog.modules names a module of {provider}, which has none", hint="Remove the line.")
        if module.casefold() not in {name.casefold() for name in info.modules}:
            raise ConfigError(
                f"catalog.modules: {provider} has no module {module:.40}",
                hint=nearest(module, dict.fromkeys(info.modules)),
            )
