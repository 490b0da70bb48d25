"""Refusals as application/problem+json (RFC 9457, with Ampersand's additions)."""

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from aiohttp import web


def now() -> str:
    """The time in RFC 3339, UTC."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


class ProblemError(Exception):
    """A request that is answered with a problem instead of what it asked for."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        retryable: bool | None = False,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        """`more` is put into the body as it is: remedy, issues, causes. `retryable` None is left out."""
        super().__init__(detail)
        self._status, self._detail, self._retryable = status, detail, retryable
        self._headers, self._more = headers, more

    def response(self) -> web.Response:
        """The problem on the wire."""
        body = {
            "type": "about:blank",
            "title": HTTPStatus(self._status).phrase,
            "status": self._status,
            "detail": self._detail,
            "requestId": f"req-{uuid.uuid4()}",
            "time": now(),
            **({} if self._retryable is None else {"retryable": self._retryable}),
            **self._more,
        }
        return web.Response(
            body=json.dumps(body).encode(),
            status=self._status,
            content_type="application/problem+json",
            headers=self._headers,
        )


def issue(name: str, detail: str) -> dict[str, Any]:
    """One entry of `issues`: where in the body, and what is wrong there. It never holds the value."""
    return {"in": "body", "name": name, "detail": detail}
