"""A row on its way: what is sent for it, and how far it has come."""

from collections.abc import Sequence
from dataclasses import dataclass

from importer.api.wire import Body
from importer.decide import Decision
from importer.outcomes import Issue
from importer.records import Identity, Place
from importer.spool import Action

STALE_S = 2.0
"""An intent older than this is renewed before its request starts: the ledger must have nearly the true time."""


@dataclass(slots=True)
class Job:
    """One row that something has to be sent for. The body is its credential: it lives no longer than the job.

    `attempts` are posts that reached the server or may have, `pauses` sendings that certainly did nothing (429, never
    left), `looks` look-ups that failed. `mask` is what a PATCH has to change, `whole_mask` all that it could (None
    where the API cannot replace the credential). `once_there` is what is left to do for a row in doubt when its
    connection is found, `connection_id` of such a row one that the server made under other refs. `unsure` says that
    a PATCH may have been carried out, `objections` are the catalog's against a row in doubt, should it not be there,
    and `remarks` go with whatever becomes of the row. Times are seconds since the epoch.
    """

    place: Place
    identity: Identity
    action: Action
    body: Body
    fingerprint: bytes
    refresh_digest: bytes | None
    mask: tuple[str, ...] | None
    connection_id: str | None = None
    whole_mask: tuple[str, ...] | None = None
    once_there: Decision | None = None
    attempts: int = 0
    pauses: int = 0
    looks: int = 0
    sent_at: float = 0.0
    settle_at: float = 0.0
    doubt: bool = False
    resent: bool = False
    answered_201: bool = False
    no_more: bool = False
    http_status: int | None = None
    request_id: str = ""
    said: str = ""
    unsure: bool = False
    objections: Sequence[Issue] = ()
    remarks: Sequence[Issue] = ()
