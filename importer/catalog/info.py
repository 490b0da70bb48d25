"""One provider as `GET /v1/providers` describes it (`ProviderInfo` of the published schema), read leniently.

What we do not use is not looked at, and what is malformed is as if it were not there: a catalog is newer than we are.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from importer.api.models import AuthScheme
from importer.catalog.workspace import TEMPLATE, WORKSPACE, Shape, read_shape

SCHEMES: dict[str, AuthScheme | None] = {
    "apiKey": AuthScheme.API_KEY,
    "basic": AuthScheme.BASIC,
    "oauth2/authorizationCode": AuthScheme.AUTHORIZATION_CODE,
    "oauth2/authorizationCodePKCE": AuthScheme.AUTHORIZATION_CODE,
    "oauth2/clientCredentials": AuthScheme.CLIENT_CREDENTIALS,
    "oauth2/password": AuthScheme.PASSWORD,
    "custom": AuthScheme.CUSTOM,
    "none": AuthScheme.NONE,
    "jwt": None,  # in the schema, but unsupported by the platform's connectors
}
"""`authType`, with its grant for OAuth 2 -> the auth scheme; None where nothing can be imported."""

PROVIDER_NAME = re.compile(r"[A-Za-z0-9._!-]{1,64}")
"""What a provider may be called, the same as for a row: names are printed."""

_INPUT_NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)
_LONGEST_TEXT = 500


@dataclass(frozen=True, slots=True)
class Input:
    """A value that a connection needs beside the credential; `modules`, in lower case, need it: empty means all."""

    name: str
    display_name: str = ""
    prompt: str = ""
    default: str | None = None
    modules: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ProviderInfo:
    """What is known of a provider. `auth` is in the catalog's words, `scheme` None where it cannot be imported.

    `post_auth` are names of metadata that the platform finds out itself; `unresolved` are names in URLs that neither
    it nor an input fills; `key_prefix` is put before an API key when it is used.
    """

    name: str
    display_name: str
    auth: str
    scheme: AuthScheme | None
    inputs: tuple[Input, ...] = ()
    custom_inputs: tuple[Input, ...] = ()
    post_auth: frozenset[str] = frozenset()
    unresolved: frozenset[str] = frozenset()
    modules: tuple[str, ...] = ()
    default_module: str = ""
    multi_step: bool = False
    needs_scopes: bool = False
    key_prefix: str = ""
    workspace: Shape | None = None

    @property
    def needs_app(self) -> bool:
        """Whether the project must have a provider app: the tokens are refreshed with its client."""
        return self.scheme is AuthScheme.AUTHORIZATION_CODE

    def inputs_of(self, module: str | None) -> tuple[Input, ...]:
        """The inputs that a module needs; the default one's where `module` is None or not of this provider.

        As the platform's UI resolves it: without case, and all inputs where the provider has no modules.
        """
        if not self.modules:
            return self.inputs
        known = {name.casefold() for name in self.modules}
        wanted = (module or "").casefold()
        chosen = wanted if wanted in known else self.default_module.casefold()
        return tuple(entry for entry in self.inputs if not entry.modules or chosen in entry.modules)


def read_provider(name: str, entry: Any) -> ProviderInfo | None:
    """A provider from its entry; None where the entry is malformed or signs in in a way we have never heard of."""
    facts, oauth2 = _table(entry), _table(_table(entry).get("oauth2Opts"))
    auth = _text(facts.get("authType"))
    if auth == "oauth2":
        auth = f"oauth2/{_text(oauth2.get('grantType'))}"
    if auth not in SCHEMES:
        return None
    metadata, custom = _table(facts.get("metadata")), _table(facts.get("customOpts"))
    inputs = tuple(_inputs(metadata.get("input")))
    post_auth = frozenset(found.name for found in _inputs(metadata.get("postAuthentication")))
    modules = _table(facts.get("modules"))
    urls = [url for url in _urls(facts, oauth2, modules) if url]
    filled = post_auth | {found.name for found in inputs}
    return ProviderInfo(
        name=name,
        display_name=_text(facts.get("displayName")) or name,
        auth=auth,
        scheme=SCHEMES[auth],
        inputs=inputs,
        custom_inputs=tuple(_inputs(custom.get("inputs"))),
        post_auth=post_auth,
        unresolved=frozenset(found for url in urls for found in TEMPLATE.findall(url)) - filled,
        modules=tuple(module for module in modules if isinstance(module, str)),
        default_module=_text(facts.get("defaultModule")),
        multi_step=custom.get("multiStep") is True,
        needs_scopes=oauth2.get("explicitScopesRequired") is True,
        key_prefix=_text(_table(_table(facts.get("apiKeyOpts")).get("header")).get("valuePrefix")),
        workspace=read_shape(name, urls, declared=any(found.name == WORKSPACE for found in inputs)),
    )


def _urls(facts: Mapping[str, Any], oauth2: Mapping[str, Any], modules: Mapping[str, Any]) -> Iterator[str]:
    yield _text(facts.get("baseURL"))
    yield _text(oauth2.get("authURL"))
    yield _text(oauth2.get("tokenURL"))
    for module in modules.values():
        yield _text(_table(module).get("baseURL"))


def _inputs(entries: Any) -> Iterator[Input]:
    for entry in entries if isinstance(entries, list) else []:
        facts = _table(entry)
        name, default = _text(facts.get("name")), facts.get("defaultValue")
        if _INPUT_NAME.fullmatch(name):
            yield Input(
                name,
                _text(facts.get("displayName")),
                _text(facts.get("prompt")),
                _text(default) if isinstance(default, str) and default else None,
                frozenset(str(module).casefold() for module in _table(facts.get("moduleDependencies"))),
            )


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    """A text as it may be printed; "" where it is none."""
    if not isinstance(value, str):
        return ""
    return "".join(character for character in value[:_LONGEST_TEXT] if character.isprintable())
