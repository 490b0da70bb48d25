"""What the catalog does not say of single providers and their guides do: data for the rules, nothing else."""

import re

SAMPLE_DEFAULTS = frozenset({"netsuite", "netsuiteM2M"})
"""Defaults that are a sample account, which is nobody's."""

OTHER_URLS: dict[str, tuple[str, ...]] = {
    "salesforce": ("https://{{.workspace}}.my.salesforce.com", "https://{{.workspace}}.lightning.force.com"),
    "salesforceJWT": ("https://{{.workspace}}.my.salesforce.com", "https://{{.workspace}}.lightning.force.com"),
    "basecamp": ("https://app.basecamp.com/{{.workspace}}",),
}
"""Addresses that people copy a workspace from, and the connector does not call."""

NUMBERED_WORKSPACES = frozenset({"basecamp"})
"""The workspace is the number of an account; a tenant elsewhere is a name or a UUID."""

ENCODED_PAIRS = frozenset({"aircall", "greenhouseJobBoard"})
"""The API key is the base64 of `id:token`: the connector only puts `Basic` before it."""

KEY_AS_USERNAME = frozenset({"chargebee", "recurly"})
"""The API key is the user name of basic auth, and the password stays blank."""

USERNAME_SHAPES: dict[str, tuple[re.Pattern[str], str]] = {
    "connectWise": (re.compile(r"[^+]+\+.+"), "Company+PublicKey")
}
"""What a user name looks like, and how to write that down."""

PASSWORDS: dict[str, str] = {"aws": "the secret access key", "connectWise": "the private key"}
"""What the password is; elsewhere a blank one is as good as any, and the platform's UI allows it on purpose."""

CUSTOM_LISTS: dict[str, str] = {"googleWorkspaceDelegation": "scopes"}
"""A custom input that must be an array, and that the catalog does not list."""

LASTING_TOKENS = frozenset({"github", "notion", "shopify", "slack"})
"""Access tokens that last unless they say until when: without a refresh token, nothing is missing."""
