"""The promise, sought to be broken: random answers, crashes, changes and hands, in any order.

The ledger dies at a random commit, as a process does that is killed: what was in flight goes on at the server, and
nothing more is written. Whatever the order, no key ever has two connections that we made, a row that is done stays
done, and once the world is calm a few runs end with every row there exactly once, with its newest credentials.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from desk import key_row, token_row, write_csv
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from importer import commands
from importer.api.key import ApiKey
from importer.config import Config, load_config
from importer.errors import LedgerLost
from importer.events import Listener
from importer.inputs import open_inputs
from importer.ledger import LedgerLock, SqliteLedger, Write
from importer.planner import Planner, PlanPolicy
from importer.runner import Runner, RunOptions
from importer.sandbox import FAULTS, Sandbox
from importer.session import open_session
from importer.spool import Spool

KEYS = 6
LOSING = sorted(set(FAULTS) - {"echo_secret_422", "slow"})


class MortalLedger(SqliteLedger):
    """A ledger whose process dies before its n-th commit: from then on nothing is written, and nobody is told."""

    def __init__(self, path: Path, commits: int) -> None:
        super().__init__(path)
        self.commits = commits

    def apply(self, writes: Sequence[Write], run_id: str) -> None:
        self.commits -= 1
        if self.commits < 0:
            raise LedgerLost("the process died")
        super().apply(writes, run_id)


class Imports(RuleBasedStateMachine):
    """One file of KEYS rows: even ones with tokens, odd ones with a key that may change."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.home = Path(self.folder.name)
        self.sandbox = Sandbox()
        self.sandbox.start()
        self.versions = [0] * KEYS
        self.by_hand: set[int] = set()
        self.posted: set[int] = set()

    def teardown(self) -> None:
        try:
            self.sandbox.calm()
            for _ in range(3):  # one settles what is in doubt, with what was posted; the next brings the newer key
                self._run(commits=10**9)
            assert self._made() == {f"g{n}": 1 for n in range(KEYS)}
            for n in range(1, KEYS, 2):
                if n not in self.by_hand:
                    (connection,) = self.sandbox.connections(f"g{n}")
                    assert connection["current"]["apiKey"] == f"fake-key-{n}-{self.versions[n]}"
            assert self._run(commits=10**9) == 0
            posts = self.sandbox.requests.kinds["generate"]
            self._run(commits=10**9)
            assert self.sandbox.requests.kinds["generate"] == posts
        finally:
            self.sandbox.stop()
            self.folder.cleanup()

    @initialize()
    def begin(self) -> None:
        self._write_rows()

    @rule(fault=st.sampled_from(LOSING), times=st.integers(1, 4), on=st.sampled_from(["generate", "list", "patch"]))
    def misbehave(self, fault: str, times: int, on: str) -> None:
        if on in FAULTS[fault]:
            self.sandbox.next(fault, times, on=on)

    @rule(n=st.integers(0, (KEYS - 1) // 2))
    def change(self, n: int) -> None:
        """A customer's key was rotated at the source."""
        self.versions[2 * n + 1] += 1
        self._write_rows()

    @rule(n=st.integers(0, KEYS - 1))
    def connect_by_hand(self, n: int) -> None:
        """A customer connects in the app before we ever posted the row."""
        if n not in self.posted and not self.sandbox.count(f"g{n}"):
            self.sandbox.add_connection("stripe" if n % 2 else "hubspot", f"g{n}", f"u{n}")
            self.by_hand.add(n)

    @rule(attempts=st.integers(1, 3))
    def run_to_the_end(self, attempts: int) -> None:
        self._run(commits=10**9, attempts=attempts)

    @rule(commits=st.integers(0, 8), attempts=st.integers(1, 3))
    def run_and_die(self, commits: int, attempts: int) -> None:
        self._run(commits=commits, attempts=attempts)

    @rule()
    def verify(self) -> None:
        if (self.home / "ledger.db").exists():
            self.sandbox.next("none", 1, on="project")
            commands.verify(self._config(1), env=self.sandbox.environment())

    @invariant()
    def no_key_has_two(self) -> None:
        assert not [key for key, count in self._made().items() if count > 1]

    def _made(self) -> Counter[str]:
        return Counter(connection["groupRef"] for connection in self.sandbox.connections())

    def _write_rows(self) -> None:
        rows = [key_row(n, api_key=f"fake-key-{n}-{self.versions[n]}") if n % 2 else token_row(n) for n in range(KEYS)]
        write_csv(self.home / "rows.csv", rows)

    def _config(self, attempts: int) -> Config:
        return load_config(
            None,
            self.sandbox.environment(),
            source__paths=[str(self.home / "rows.csv")],
            ledger__url=f"sqlite:///{self.home}/ledger.db",
            report__dir=str(self.home / "report"),
            limits__rate="unlimited",
            limits__workers=3,
            limits__attempts=attempts,
            retry__base_s=0.01,
            retry__settle_s=0.02,
            api__timeout_s=2.0,
        )

    def _run(self, commits: int, attempts: int = 4) -> int:
        """What `commands.run` does, with a ledger that dies; the exit code."""
        config = self._config(attempts)
        self.sandbox.next("none", 1, on="project")
        self.posted.update(range(KEYS))
        lock = LedgerLock(config.ledger_path)
        try:
            with closing(MortalLedger(config.ledger_path, commits)) as ledger, closing(Spool()) as spool:
                return asyncio.run(self._go(config, ledger, spool))
        finally:
            lock.release()

    async def _go(self, config: Config, ledger: SqliteLedger, spool: Spool) -> int:
        async with open_session(config, ApiKey("sandbox-key"), ledger) as session:
            with closing(ledger.reader()) as view:
                planner = Planner(open_inputs(config), ledger=view, spool=spool, key=ledger.key, policy=PlanPolicy())
                summary = await Runner(session, planner, spool, RunOptions(yes=True), Listener()).go()
        return summary.exit_code


Imports.TestCase.settings = settings(
    max_examples=20, stateful_step_count=8, deadline=None, suppress_health_check=list(HealthCheck)
)
TestImports = Imports.TestCase
