"""What the catalog has against a row: RULES, with the numbers of section 5 of the fact sheet about the API.

The rule with number 12 is not here: one row cannot know what another has; `planner` does.
"""

from collections.abc import Callable

from importer.api.models import AuthScheme
from importer.catalog import credential_rules, metadata_rules
from importer.catalog.findings import Finding, Rule, Sheet, error
from importer.catalog.info import ProviderInfo
from importer.catalog.quirks import CUSTOM_LISTS
from importer.catalog.workspace import WORKSPACE
from importer.outcomes import Code
from importer.redaction import may_be_a_key, reads_as_a_name

Concerns = Callable[[ProviderInfo], bool]


def _signing_in_by(*schemes: AuthScheme) -> Concerns:
    return lambda info: info.scheme in schemes


def _every(_info: ProviderInfo) -> bool:
    return True


def _with_inputs(info: ProviderInfo) -> bool:
    return bool(info.inputs)


def _with_a_workspace(info: ProviderInfo) -> bool:
    return info.workspace is not None


def _with_open_urls(info: ProviderInfo) -> bool:
    return bool(info.unresolved)


RULES: tuple[tuple[int, Concerns, Rule], ...] = (
    # 1, an unknown provider, has no entry to be checked by: `unknown_provider`
    (2, _every, credential_rules.fitting_block),
    (3, _with_inputs, metadata_rules.required_inputs),
    (4, _every, metadata_rules.known_metadata),
    (5, _with_a_workspace, metadata_rules.workspace_shape),
    (6, _signing_in_by(AuthScheme.API_KEY), credential_rules.api_key),
    (7, _signing_in_by(AuthScheme.BASIC), credential_rules.basic),
    (8, _signing_in_by(AuthScheme.CLIENT_CREDENTIALS, AuthScheme.PASSWORD), credential_rules.client),
    (9, _signing_in_by(AuthScheme.AUTHORIZATION_CODE), credential_rules.tokens),
    (10, _signing_in_by(AuthScheme.CUSTOM), credential_rules.custom),
    (11, _with_open_urls, metadata_rules.resolved_urls),
)
"""Number, which providers it concerns, and the rule."""


def prepare(info: ProviderInfo, module: str | None) -> Sheet:
    """The sheet of a provider, with the rules that may have something to say of its rows."""
    importable = info.scheme is not None and not info.multi_step
    custom_names = {entry.name for entry in info.custom_inputs}
    if info.name in CUSTOM_LISTS:
        custom_names.add(CUSTOM_LISTS[info.name])
    return Sheet(
        info=info,
        inputs=info.inputs_of(module),
        # the mapper puts a workspace in both its places, as the platform's UI does: it is never one name too many
        metadata_names=frozenset({entry.name for entry in info.inputs} | info.unresolved | {WORKSPACE}),
        custom_names=frozenset(custom_names),
        rules=tuple(rule for _, concerns, rule in RULES if concerns(info))
        if importable
        else (credential_rules.no_way_in,),
    )


def may_be_named(name: str) -> bool:
    """Whether the name of a provider that nobody knows may be shown and stored: it reads as one."""
    return reads_as_a_name(name) and not may_be_a_key(name)


def unknown_provider(name: str, near: str | None) -> Finding:
    """Rule 1. A name that could be a key is not said unless it is nearly one of the catalog."""
    reason = f"the catalog has no provider {name}"
    if near is None and not may_be_named(name):
        reason = "the catalog has no provider of this name, and it could be a key, so it is not shown"
        fix = "Check that no two columns are swapped. importer providers lists the names."
    elif near is None:
        fix = "See importer providers; translate your names in the mapping with values = { … }."
    else:
        fix = f'Probably {near}: correct it, or translate it in the mapping with values = {{ "{name}" = "{near}" }}.'
        if near.casefold() == name.casefold():
            reason += ", since upper and lower case count"
    return error("provider", Code.UNKNOWN_PROVIDER, reason, fix)
