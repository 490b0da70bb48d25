"""What is asked of the platform before anything is sent: the project, the catalog, the provider apps, what is there.

Reads only. `run` asks within its session; `plan --online` asks twice, before the rows are read and after it.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from importer.api.client import ConnectionsClient
from importer.api.key import ApiKey
from importer.api.models import Project
from importer.catalog import Catalog
from importer.catalog.cache import default_path, load, save
from importer.catalog.judge import Judge, refuse_unknown_modules
from importer.clock import Clock
from importer.config import LOOPBACK, Config
from importer.errors import ApiRefused
from importer.existing import Existing, Found, exists, exists_nearly
from importer.ledger.base import Ledger, ProblemRow
from importer.online import PreflightSummary
from importer.outcomes import Code, Issue, Stage, State
from importer.pace import rate_policy
from importer.pacing import Pacer, Patience
from importer.project import fetch_catalog, find_apps, find_project
from importer.records import Identity, Place
from importer.retry import Backoff
from importer.spool import Action, Spool, SpooledRow


@dataclass(frozen=True, slots=True)
class Desk:
    """What asking takes: the client, with its pace, and the patience."""

    config: Config
    client: ConnectionsClient
    backoff: Backoff
    clock: Clock


@dataclass(frozen=True, slots=True)
class Ground:
    """What rows are held against, and what has to be said of it."""

    judge: Judge
    notes: Sequence[str] = ()


def kept_ground(config: Config, now: float) -> Ground:
    """The catalog that was kept, which is no reason to stop where there is none. Raises ConfigError: see `_ground`."""
    catalog, notes = _kept_catalog(config, now)
    return _ground(config, Judge(catalog), notes)


async def live_ground(desk: Desk) -> Ground:
    """The catalog and the project's provider apps as they are now.

    Raises ApiRefused where the API is not there at all, and ConfigError: see `_ground`.
    """
    catalog, notes = await _live_catalog(desk)
    apps, why = await find_apps(desk.client, desk.backoff)
    if apps is None:
        notes = [*notes, f"the provider apps of the project were not checked: {why}"]
    return _ground(desk.config, Judge(catalog, apps=apps), notes)


def _ground(config: Config, judge: Judge, notes: Sequence[str]) -> Ground:
    """With the modules of the config. Raises ConfigError for one that the catalog does not have."""
    refuse_unknown_modules(judge.catalog, config.catalog.modules)
    return Ground(replace(judge, modules=config.catalog.modules), notes)


async def _live_catalog(desk: Desk) -> tuple[Catalog, list[str]]:
    """The catalog of now, which is kept; the one that was kept before where it cannot be had."""
    root = desk.config.api_root
    try:
        document = await fetch_catalog(desk.client, desk.backoff)
    except ApiRefused:
        if desk.client.pacer.stopped:
            raise
        return _kept_catalog(desk.config, desk.clock.now())
    if urlsplit(root).hostname not in LOOPBACK:  # a sandbox is another one tomorrow
        save(default_path(root), json.dumps(document).encode(), desk.clock.now())
    return Catalog.read(document), []


def _kept_catalog(config: Config, now: float) -> tuple[Catalog, list[str]]:
    """The catalog that was kept, an empty one where there is none, and what is said of it."""
    kept = load(default_path(config.catalog_of or config.api_root))
    return (kept[0] if kept else Catalog({})), [_of_the_catalog(kept and now - kept[1])]


def _of_the_catalog(age_s: float | None) -> str:
    """What is said of the catalog that rows are held against."""
    if age_s is None:
        return "no catalog of providers is at hand, so less was checked: importer providers fetches it"
    hours = age_s / 3600
    age = f"{hours:.0f} hours" if hours < 48 else f"{hours / 24:.0f} days"
    return f"rows were held against the catalog of providers of {age} ago"


class Preflight:
    """The online checks of a plan: `before` the rows are read, and `after` it. Sends reads only, writes no ledger."""

    def __init__(self, config: Config, key: ApiKey) -> None:
        self._config = config
        self._key = key

    def before(self) -> tuple[Project, Ground]:
        """Whether key and project are right, and what rows are held against. Raises ApiRefused and ConfigError."""

        async def ask() -> tuple[Project, Ground]:
            async with self._desk() as desk:
                project = await find_project(desk.client, desk.backoff)
                return project, await live_ground(desk)

        return asyncio.run(ask())

    def after(
        self, project: Project, judge: Judge, spool: Spool, names: Sequence[str], ledger: Ledger | None
    ) -> PreflightSummary:
        """What the project has already of the rows to post, each provider listed once; and what was found before.

        Rows that `run` would refuse for what is there are refused in the spool. Raises ApiRefused.
        """
        to_post = spool.to_post()

        async def ask() -> Counter[str]:
            async with self._desk() as desk:
                with closing(Existing(desk.client, desk.backoff, desk.clock)) as existing:
                    for provider in to_post:
                        await existing.list_provider(provider)
                    return _Comparison(existing, spool, names, ledger, self._config.policy.existing).go()

        there = asyncio.run(ask()) if to_post else Counter[str]()
        with_app = None if judge.apps is None else [name for name in sorted(to_post) if name in judge.apps]
        return PreflightSummary(
            project=self._config.api.project or project.id,
            project_id=project.id,
            with_app=with_app,
            without_app=spool.rows_with(Code.NO_PROVIDER_APP),
            other_client=spool.rows_with(Code.OTHER_CLIENT),
            to_post=sum(to_post.values()),
            there=there,
            existing=self._config.policy.existing,
        )

    @asynccontextmanager
    async def _desk(self) -> AsyncIterator[Desk]:
        limits, retry, clock = self._config.limits, self._config.retry, Clock()
        patience = Patience(retry.max_wait_s, limits.stop_after, retry.base_s, retry.cap_s)
        async with ConnectionsClient(
            self._config.api_root, self._config.api.project or "", self._key,
            pacer=Pacer(rate_policy(limits.rate), patience, clock), clock=clock, workers=1,
            timeout_s=self._config.api.timeout_s, ca_file=self._config.ca_path,
        ) as client:  # fmt: skip
            yield Desk(self._config, client, Backoff(limits.attempts, retry.base_s, retry.cap_s), clock)


class _Comparison:
    """Holds the rows to post against the listings, as the worker pool does before it claims them."""

    def __init__(
        self, existing: Existing, spool: Spool, names: Sequence[str], ledger: Ledger | None, policy: str
    ) -> None:
        self._existing = existing
        self._spool = spool
        self._names = names
        self._ledger = ledger
        self._policy = policy

    def go(self) -> Counter[str]:
        """How many rows are there already, by provider; refuses in the spool what `run` would refuse."""
        there = Counter[str]()
        for row in self._spool.posts():
            if self._in_doubt(row.identity):
                continue
            found = self._existing.known(row.identity)
            if found:
                there[row.identity.provider] += 1
                if self._policy == "fail":
                    self._refuse(row, exists(found[0]))
            elif strangers := [near for near in self._existing.nearly(row.identity) if not self._knows(near)]:
                self._refuse(row, exists_nearly(strangers[0]))
        return there

    def _in_doubt(self, identity: Identity) -> bool:
        """Whether an earlier run sent the row and lost the answer: what is there is its own."""
        entry = self._ledger.entries([identity])[0] if self._ledger else None
        return entry is not None and entry.state in (State.UNKNOWN, State.SENDING)

    def _knows(self, found: Found) -> bool:
        return self._ledger is not None and self._ledger.holder_of(found.id) is not None

    def _refuse(self, row: SpooledRow, issue: Issue) -> None:
        place = Place(self._names[row.source_no], row.source_no, row.row)
        refused = row._replace(action=Action.REJECTED, kind="enter")
        self._spool.add([refused], [ProblemRow(place, row.identity, replace(issue, stage=Stage.PLAN))])
