"""The connections of one sandbox, in memory."""

import json
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from importer.sandbox.problems import now

CODE = "oauth2AuthorizationCode"


@dataclass(slots=True, eq=False)
class Connection:
    """One connection. The body is kept as bytes: 200,000 parsed ones would take several times the memory."""

    provider: str
    group_ref: str
    consumer_ref: str
    scheme: str
    sent: bytes
    patched: dict[str, Any] = field(default_factory=dict)
    status: str = "created"
    create_time: str = field(default_factory=now)
    update_time: str | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def current(self) -> dict[str, Any]:
        """The body as it was sent, with what was patched or refreshed since."""
        sent: dict[str, Any] = json.loads(self.sent)
        return sent | self.patched

    def record(self) -> dict[str, Any]:
        """What a test asks for: the refs, the state, `request` as it was sent and `current` as it is now."""
        return {
            "id": self.id,
            "provider": self.provider,
            "groupRef": self.group_ref,
            "consumerRef": self.consumer_ref,
            "status": self.status,
            "createTime": self.create_time,
            "updateTime": self.update_time,
            "request": json.loads(self.sent),
            "current": self.current(),
        }

    def shown(self, project_id: str, body: dict[str, Any], *secrets: str) -> dict[str, Any]:
        """The API's `Connection`, with those `secrets` that are asked for: apiKey, accessToken, refreshToken."""
        shared = {"projectId": project_id, "createTime": self.create_time}
        names = (body.get("groupName", self.group_ref), body.get("consumerName", self.consumer_ref))
        answer = {
            "id": self.id,
            "createTime": self.create_time,
            "projectId": project_id,
            "provider": self.provider,
            "authScheme": self.scheme,
            "status": self.status,
            "group": {"groupRef": self.group_ref, "groupName": names[0], **shared},
            "consumer": {"consumerRef": self.consumer_ref, "consumerName": names[1], **shared},
        }
        if self.update_time:
            answer["updateTime"] = self.update_time
        for name in ("providerWorkspaceRef", "providerMetadata", "apiKey"):
            if name in body and (name != "apiKey" or name in secrets):
                answer[name] = body[name]
        if CODE in body and "accessToken" in secrets:
            answer[CODE] = {name: body[CODE][name] for name in (*secrets, "scopes") if name in body[CODE]}
        return answer

    def patch(self, changes: dict[str, Any]) -> None:
        """Replace these fields of the body."""
        self.patched |= changes
        self.update_time = now()

    def refresh(self, *, force: bool) -> None:
        """Trade the refresh token for new tokens, as the provider would; a revoked or absent one is found out here."""
        tokens = self.current().get(CODE)
        if tokens is None or not (force or _expired(tokens)):
            return
        token = tokens.get("refreshToken", {}).get("token", "revoked")
        if "revoked" in token:
            self.status, self.update_time = "bad_credentials", now()
            return
        self.status, serial = "created", uuid.uuid4().hex
        expires = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        access = {"token": f"fake-access-{serial}", "issuedAt": now(), "expiresAt": expires}
        self.patch({CODE: {**tokens, "accessToken": access, "refreshToken": {"token": f"fake-refresh-{serial}"}}})


def _expired(tokens: dict[str, Any]) -> bool:
    expires = tokens.get("accessToken", {}).get("expiresAt")
    return expires is not None and datetime.fromisoformat(expires.upper()) <= datetime.now(UTC)


class Store:
    """All connections, in order of creation. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._all: dict[str, Connection] = {}
        # Lookups come by group, one a row: a scan of 200,000 would hold up everybody else.
        self._by_group: dict[str, dict[str, Connection]] = {}
        self.keep: Callable[[str], str] = str
        """What becomes of a group ref, where it is kept and where it is looked for; `str` leaves it as it is."""

    def add(self, connection: Connection) -> None:
        """Keep one more, whether or not its refs are there already."""
        with self._lock:
            connection.group_ref = self.keep(connection.group_ref)
            self._all[connection.id] = connection
            self._by_group.setdefault(connection.group_ref, {})[connection.id] = connection

    def get(self, connection_id: str) -> Connection | None:
        """The connection of this id, if there is one."""
        return self._all.get(connection_id)

    def remove(self, connection_id: str) -> bool:
        """Forget it; False if it was not there."""
        with self._lock:
            connection = self._all.pop(connection_id, None)
            if connection is None:
                return False
            del self._by_group[connection.group_ref][connection_id]
            return True

    def select(
        self, provider: str | None = None, group_ref: str | None = None, consumer_ref: str | None = None
    ) -> list[Connection]:
        """A snapshot of those that match every filter given, exactly."""
        with self._lock:
            found = list((self._all if group_ref is None else self._by_group.get(self.keep(group_ref), {})).values())
        return [
            connection
            for connection in found
            if provider in (None, connection.provider) and consumer_ref in (None, connection.consumer_ref)
        ]
