"""The bodies of the platform's API: what a row must become before it may be sent, and what comes back.

Field names and which are required come from the published schema (`GenerateConnectionRequest`,
`UpdateConnectionRequest`, `Connection`); "exactly one credential block" is ours, for the schema is silent and the
platform's own clients never send two.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    SerializationInfo,
    StringConstraints,
    model_validator,
)
from pydantic.alias_generators import to_camel

from importer.records import AuthScheme as AuthScheme
from importer.records import Identity
from importer.redaction import has_a_known_form


class Wire:
    """The serialization context in which secrets are revealed; only `api/wire.py` holds it."""


def _reveal(value: SecretStr, info: SerializationInfo[Any]) -> str:
    """The secret on the wire, stars everywhere else (a log, a debugger, `model_dump_json` by mistake)."""
    return value.get_secret_value() if info.context is Wire else str(value)


_revealed_on_the_wire = PlainSerializer(_reveal, return_type=str, when_used="json")
Secret = Annotated[SecretStr, Field(min_length=1), _revealed_on_the_wire]
MaybeEmptySecret = Annotated[SecretStr, _revealed_on_the_wire]
Text = Annotated[str, StringConstraints(min_length=1)]
Scopes = Annotated[tuple[Text, ...], Field(min_length=1)]


class _Body(BaseModel):
    """A part of a request: camelCase on the wire, no field we do not know, no input in an error."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )


class Token(_Body):
    """An access or refresh token; times without a zone are refused, for the server parses RFC 3339."""

    token: Secret
    expires_at: AwareDatetime | None = None
    issued_at: AwareDatetime | None = None


class AuthorizationCode(_Body):
    """Tokens of an OAuth 2 authorization-code grant, with PKCE or without: at least one of the two."""

    access_token: Token | None = None
    refresh_token: Token | None = None
    scopes: Scopes | None = None

    @model_validator(mode="after")
    def _has_a_token(self) -> "AuthorizationCode":
        if self.access_token is None and self.refresh_token is None:
            raise ValueError("neither an access token nor a refresh token")
        return self


class BasicAuth(_Body):
    """A user name and a password, which may be empty: some providers take an API key as user name."""

    username: Secret
    password: MaybeEmptySecret


class ClientCredentials(_Body):
    """An OAuth 2 client-credentials grant (RFC 6749 section 4.4)."""

    client_id: Secret
    client_secret: Secret
    scopes: Scopes | None = None


class PasswordCredentials(_Body):
    """An OAuth 2 resource-owner-password grant (RFC 6749 section 4.3)."""

    username: Secret
    password: Secret
    client_id: Secret
    client_secret: Secret
    scopes: Scopes | None = None


class MetadataEntry(_Body):
    """One value a provider needs beside the credential. Held as a secret: some providers keep keys here."""

    value: Secret
    source: Literal["input", "token", "provider"] = "input"
    display_name: Text | None = None


class GenerateRequest(_Body):
    """The body of `POST …/connections:generate`: refs, metadata, and exactly one credential block.

    `auth_scheme` is never sent: it is what the row was asked to be. No block is legal only where it says `none`.
    """

    provider: Text
    group_ref: Text
    consumer_ref: Text
    group_name: Text | None = None
    consumer_name: Text | None = None
    provider_workspace_ref: Secret | None = None
    provider_metadata: Annotated[Mapping[Text, MetadataEntry], Field(min_length=1)] | None = None
    api_key: Secret | None = None
    basic_auth: BasicAuth | None = None
    oauth2_client_credentials: ClientCredentials | None = None
    oauth2_password_credentials: PasswordCredentials | None = None
    oauth2_authorization_code: AuthorizationCode | None = None
    custom_auth: Annotated[Mapping[Text, Secret | tuple[Secret, ...]], Field(min_length=1)] | None = None
    auth_scheme: Annotated[AuthScheme, Field(exclude=True)]

    @property
    def identity(self) -> Identity:
        """The key of the connection this request makes."""
        return Identity(self.provider, self.group_ref, self.consumer_ref)

    @model_validator(mode="after")
    def _has_the_block_of_its_scheme(self) -> "GenerateRequest":
        filled = [scheme for scheme, block in BLOCKS.items() if getattr(self, block) is not None]
        wanted = [] if self.auth_scheme is AuthScheme.NONE else [self.auth_scheme]
        if filled != wanted:
            raise ValueError("exactly one credential block, the one of the auth scheme")
        return self


BLOCKS: dict[AuthScheme, str] = {
    AuthScheme.API_KEY: "api_key",
    AuthScheme.BASIC: "basic_auth",
    AuthScheme.CLIENT_CREDENTIALS: "oauth2_client_credentials",
    AuthScheme.PASSWORD: "oauth2_password_credentials",
    AuthScheme.AUTHORIZATION_CODE: "oauth2_authorization_code",
    AuthScheme.CUSTOM: "custom_auth",
}
"""Auth scheme -> the field of `GenerateRequest` that carries its credential."""


class _Answer(BaseModel):
    """A part of an answer: only what we use, anything else ignored, nothing shown in an error."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )


def _is_no_token(text: str) -> str:
    if has_a_known_form(text):
        raise ValueError("a token where an id should be")
    return text


def _instant(text: str) -> str:
    return text if _INSTANT.fullmatch(text) else ""


_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.]{5,20}(?:Z|[+-]\d\d:?\d\d)?", re.ASCII)
ShownId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:/+=~-]{1,200}$"), AfterValidator(_is_no_token)]
"""An id of the platform's: it is shown, and kept in the ledger, so what could be a secret or a trick is none."""


class Group(_Answer):
    """The customer a connection belongs to."""

    group_ref: str = ""


class Consumer(_Answer):
    """The customer's user a connection belongs to."""

    consumer_ref: str = ""


class Connection(_Answer):
    """A connection as the API gives it. Lenient: only `id` must be there, for the published example breaks the schema.

    It may carry credentials on the wire; they are not read.
    """

    id: ShownId
    provider: str = ""
    group: Group = Group()
    consumer: Consumer = Consumer()
    status: str = ""
    create_time: Annotated[str, AfterValidator(_instant)] = ""
    auth_scheme: str = ""

    @property
    def identity(self) -> Identity:
        """The key of this connection, as the API says it."""
        return Identity(self.provider, self.group.group_ref, self.consumer.consumer_ref)


class Project(_Answer):
    """The project that a key belongs to."""

    id: ShownId
    name: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{0,200}$"), AfterValidator(_is_no_token)] = ""
