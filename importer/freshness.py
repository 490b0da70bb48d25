"""How long the tokens of a row will serve: what a plan counts for each provider, before it is too late to ask."""

from enum import IntFlag
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importer.api.models import GenerateRequest

SOON_S = 86_400.0
"""A token that ends within a day may be dead before the import is through."""


class Freshness(IntFlag):
    """What there is to say of an access token and of what could renew it."""

    EXPIRED = 1
    EXPIRES_SOON = 2
    NO_REFRESH_TOKEN = 4


def freshness(request: "GenerateRequest", now: float) -> int:
    """The flags of a row at `now`, in seconds since the epoch; 0 where it has no authorization-code tokens."""
    tokens = request.oauth2_authorization_code
    if tokens is None:
        return 0
    found = 0 if tokens.refresh_token else int(Freshness.NO_REFRESH_TOKEN)
    ends = tokens.access_token.expires_at if tokens.access_token else None
    if ends is not None:
        left_s = ends.timestamp() - now
        found |= Freshness.EXPIRED if left_s <= 0 else Freshness.EXPIRES_SOON if left_s <= SOON_S else 0
    return found
