"""What a body may look like, as JSON Schema written for the sandbox alone.

It is stricter than the published one (null, empty strings and unknown names are refused), so that a client which sends
what Go's `omitempty` would not is found out here.
"""

from typing import Any

from jsonschema_rs import Draft202012Validator, ValidationError

from importer.sandbox.problems import issue

_TEXT = {"type": "string", "minLength": 1}
_TIME = {"type": "string", "format": "date-time"}
_SCOPES = {"type": "array", "items": _TEXT}


def _object(required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required.split(), "properties": properties, "additionalProperties": False}


_TOKEN = _object("token", token=_TEXT, expiresAt=_TIME, issuedAt=_TIME)
_CODE = _object("", accessToken=_TOKEN, refreshToken=_TOKEN, scopes=_SCOPES)

BLOCKS: dict[str, dict[str, Any]] = {
    "apiKey": _TEXT,
    # chargebee and recurly take the API key as the username and no password at all.
    "basicAuth": _object("username password", username=_TEXT, password={"type": "string"}),
    "oauth2ClientCredentials": _object("clientId clientSecret", clientId=_TEXT, clientSecret=_TEXT, scopes=_SCOPES),
    "oauth2PasswordCredentials": _object(
        "username password clientId clientSecret",
        username=_TEXT,
        password=_TEXT,
        clientId=_TEXT,
        clientSecret=_TEXT,
        scopes=_SCOPES,
    ),
    "oauth2AuthorizationCode": {**_CODE, "anyOf": [{"required": ["accessToken"]}, {"required": ["refreshToken"]}]},
    "customAuth": {"type": "object", "minProperties": 1, "additionalProperties": {"not": {"enum": [None, ""]}}},
}
"""Auth block -> its schema."""

_ENTRY = _object("value source", value=_TEXT, source={"enum": ["input", "token", "provider"]}, displayName=_TEXT)
_NAMES = "provider groupRef groupName consumerRef consumerName providerWorkspaceRef"
_FIELDS = {
    **dict.fromkeys(_NAMES.split(), _TEXT),
    "providerMetadata": {"type": "object", "additionalProperties": _ENTRY},
    **BLOCKS,
}

GENERATE = _object("provider groupRef consumerRef", **_FIELDS)
"""The body of connections:generate."""
PATCH = _object(
    "updateMask connection", updateMask={"type": "array", "items": _TEXT}, connection=_object("", **_FIELDS)
)
"""The body of PATCH connections/{id}."""

MASKS = (
    "providerWorkspaceRef",
    "providerMetadata",
    "apiKey",
    "basicAuth",
    "oauth2ClientCredentials",
    "oauth2PasswordCredentials",
)
"""What PATCH can change: tokens, customAuth, refs and names are not among them."""

# The validators' mask stands where the library's message would quote the value, and with it a credential.
_VALIDATORS = [Draft202012Validator(schema, validate_formats=True, mask="the value") for schema in (GENERATE, PATCH)]


def generate_issues(body: Any) -> list[dict[str, Any]]:
    """What the schema has against a generate body; empty if nothing."""
    return _issues(_VALIDATORS[0], body)


def patch_issues(body: Any) -> list[dict[str, Any]]:
    """What the schema has against a PATCH body; empty if nothing."""
    return _issues(_VALIDATORS[1], body)


def _issues(validator: Draft202012Validator, body: Any) -> list[dict[str, Any]]:
    if validator.is_valid(body):
        return []
    return [issue(_place(error), error.message) for error in validator.iter_errors(body)]


def _place(error: ValidationError) -> str:
    return ".".join(str(part) for part in error.instance_path) or "body"
