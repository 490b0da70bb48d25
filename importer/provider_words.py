"""What the catalog says of a provider, in words and as JSON: what a row of it needs."""

from collections.abc import Iterator
from typing import Any

from importer.catalog import Catalog, Input, ProviderInfo


def catalog_lines(catalog: Catalog) -> Iterator[str]:
    """A line for each provider: its key, how it signs in, and the metadata that a row has to bring."""
    width = max((len(name) for name in catalog.providers), default=0)
    for name in catalog.providers:
        info = _info(catalog, name)
        yield f"{name:<{width}}  {_auth(info):<25}  {' '.join(catalog.required_inputs(name))}".rstrip()


def provider_lines(catalog: Catalog, name: str) -> Iterator[str]:
    """All about one provider."""
    info = _info(catalog, name)
    yield f"{name} ({info.display_name})" if info.display_name else name
    yield f"  auth scheme: {_auth(info)}"
    for item in info.custom_inputs:
        yield f"  custom_auth.{item.name}{_more(item)}"
    for item in info.inputs:
        yield f"  metadata.{item.name}{_more(item)}"
    if info.workspace and str(info.workspace):
        yield f"  workspace: {info.workspace}"
    if info.needs_app:
        yield "  the project needs a provider app for it, with the client that the tokens were issued to"


def provider_as_json(catalog: Catalog, name: str) -> dict[str, Any]:
    """The same as one object."""
    info = _info(catalog, name)
    return {
        "name": name,
        "auth_scheme": _auth(info),
        "importable": info.scheme is not None and not info.multi_step,
        "metadata": [{"name": i.name, "default": i.default, "modules": sorted(i.modules)} for i in info.inputs],
        "custom_auth": [i.name for i in info.custom_inputs],
        "needs_app": info.needs_app,
    }


def _info(catalog: Catalog, name: str) -> ProviderInfo:
    info = catalog.describe(name)
    assert info is not None  # noqa: S101 - the caller took the name from the catalog
    return info


def _auth(info: ProviderInfo) -> str:
    if info.multi_step:
        return f"{info.auth} (in several steps: cannot be imported)"
    return info.auth if info.scheme else f"{info.auth} (cannot be imported)"


def _more(item: Input) -> str:
    words = [f"default {item.default}"] if item.default else []
    words += [f"only for {', '.join(sorted(item.modules))}"] if item.modules else []
    return f"  ({'; '.join(words)})" if words else ""
