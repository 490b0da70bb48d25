"""The ledger: where every connection stands, what each run did, and the lock that lets one run in at a time."""

from importer.ledger.base import (
    Compared,
    Entry,
    Forget,
    Ledger,
    Move,
    PatchEnd,
    PatchIntent,
    ProblemRow,
    Reported,
    Result,
    Run,
    Superseded,
    Write,
)
from importer.ledger.lock import LedgerLock
from importer.ledger.sqlite import SqliteLedger

__all__ = [
    "Compared",
    "Entry",
    "Forget",
    "Ledger",
    "LedgerLock",
    "Move",
    "PatchEnd",
    "PatchIntent",
    "ProblemRow",
    "Reported",
    "Result",
    "Run",
    "SqliteLedger",
    "Superseded",
    "Write",
]
