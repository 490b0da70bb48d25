"""Rules 3, 4, 5 and 11: what a provider must be told beside the credential, and how.

Names of metadata may come out of a cell, as the values do: only names that the catalog lists are said.
"""

from collections.abc import Iterable
from datetime import datetime

from importer.api.models import GenerateRequest
from importer.api.wire import _plain as reveal  # the one place that reveals a secret
from importer.catalog.findings import NOTHING, Finding, Findings, Sheet, error, is_blank, warning
from importer.catalog.info import Input
from importer.catalog.quirks import SAMPLE_DEFAULTS
from importer.catalog.workspace import WORKSPACE
from importer.outcomes import Code

_WORKSPACE = f"providerMetadata.{WORKSPACE}"


def required_inputs(sheet: Sheet, request: GenerateRequest, _now: datetime) -> Findings:
    """Rule 3: an error where an input of the module is missing, a warning where it has a default."""
    metadata = request.provider_metadata or {}
    missing = [entry for entry in sheet.inputs if (given := metadata.get(entry.name)) is None or is_blank(given.value)]
    return [_missing_input(sheet.info.name, entry) for entry in missing] if missing else NOTHING


def _missing_input(provider: str, entry: Input) -> Finding:
    path = f"providerMetadata.{entry.name}"
    called = f" ({entry.display_name})" if entry.display_name else ""
    fix = f'Fill it in: in a column metadata.{entry.name}, or by a [mapping], {path} = "column".'
    if entry.default is None:
        return error(path, Code.MISSING_INPUT, f"{provider} needs {path}{called}, and the row has none", fix)
    reason = f"the row has no {path}{called}, so {provider} gets the default, {entry.default}"
    if provider in SAMPLE_DEFAULTS:
        reason += ": THAT IS A SAMPLE, not the customer's account"
    return warning(path, Code.DEFAULT_INPUT, reason, fix)


def known_metadata(sheet: Sheet, request: GenerateRequest, _now: datetime) -> Findings:
    """Rule 4: metadata that nobody will read, or that the connector finds out by itself after sign-in."""
    metadata = request.provider_metadata
    if metadata is None or sheet.metadata_names.issuperset(metadata):
        return NOTHING
    surplus = metadata.keys() - sheet.metadata_names
    found_out = sorted(surplus & sheet.info.post_auth)
    found = [
        warning(
            f"providerMetadata.{name}",
            Code.UNKNOWN_INPUT,
            f"{sheet.info.name} finds {name} out by itself after sign-in",
            "Remove it, unless you know that it is needed.",
        )
        for name in found_out
    ]
    if len(surplus) > len(found_out):
        found.append(unlisted("providerMetadata", sheet.info.name, sheet.info.inputs))
    return found


def unlisted(path: str, provider: str, inputs: Iterable[Input]) -> Finding:
    """The warning about a name that the catalog does not list; the name itself may be anything and is not said."""
    listed = ", ".join(entry.name for entry in inputs) or "none"
    reason = f"this has a name that the catalog does not list for {provider}; it lists {listed}"
    return warning(path, Code.UNKNOWN_INPUT, reason, "Correct the name, or remove it.")


def workspace_shape(sheet: Sheet, request: GenerateRequest, _now: datetime) -> Findings:
    """Rule 5: a label, a host, a URL or an id, as the provider's URLs have it. In both places, where they differ."""
    entry, ref = (request.provider_metadata or {}).get(WORKSPACE), request.provider_workspace_ref
    given = "" if entry is None else reveal(entry.value)
    found = _odd_workspace(sheet, _WORKSPACE, given) if given else NOTHING
    if ref is not None and (other := reveal(ref)) != given:
        found = [*found, *_odd_workspace(sheet, "providerWorkspaceRef", other)]
    return found


def _odd_workspace(sheet: Sheet, path: str, text: str) -> Findings:
    oddity = sheet.info.workspace and sheet.info.workspace.oddity(text)
    if not oddity or text.isspace():  # a blank one is missing, which is said elsewhere
        return NOTHING
    say = error if oddity.certain else warning
    return [say(path, Code.BAD_WORKSPACE, oddity.reason, oddity.fix)]


def resolved_urls(sheet: Sheet, request: GenerateRequest, _now: datetime) -> Findings:
    """Rule 11: URLs with a part that only an answer of the token endpoint tells (gong, zoho), or that nobody declares.

    An import carries no such answer, and whether a workspace serves in its place is not documented.
    """
    told = {*sheet.info.unresolved, WORKSPACE}
    if request.provider_workspace_ref is not None or not told.isdisjoint(request.provider_metadata or ()):
        return NOTHING
    return [
        warning(
            "providerWorkspaceRef",
            Code.NO_WORKSPACE,
            f"the address of {sheet.info.name} depends on the customer, and the row does not tell it",
            "Map providerWorkspaceRef (the customer's host or instance), and try one row before the others.",
        )
    ]
