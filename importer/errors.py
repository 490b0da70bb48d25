"""What the operator is told when a whole command cannot go on.

    ImporterError
    ├── ConfigError        a setting is missing, wrong or contradicts another        exit 2
    ├── SourceError        a source cannot be read at all                            exit 2
    │   └── SourceLost     a source changed or vanished while it was being sent      exit 5
    ├── ScratchError       the temporary folder has no room                          exit 2
    ├── ReportError        a report cannot be written                                exit 2
    ├── LedgerError        the ledger cannot be opened or trusted                    exit 2
    │   ├── LedgerInUse    another run holds it                                      exit 6
    │   ├── LedgerLost     it vanished, or its disk filled up, on the way            exit 5
    │   └── IllegalTransition   a row was moved in a way TRANSITIONS forbids         exit 1
    └── ApiRefused         the API refuses the key or the project, or is not there   exit 5

Exit 2 says that nothing was sent: once something was, what stops a run ends it in 5 (`summary.RunSummary`).
What becomes of one row is a value (`outcomes.Rejected`), never one of these. The message says what and where, the
hint what to do next; neither quotes a credential.
"""

from enum import IntEnum


class Exit(IntEnum):
    """Exit codes: they speak of the rows that this command read or touched."""

    DONE = 0
    BUG = 1
    USAGE = 2
    ROWS_NEED_A_FIX = 3
    ROWS_LEFT = 4
    STOPPED = 5
    LEDGER_IN_USE = 6
    INTERRUPTED = 130
    TERMINATED = 143


class ImporterError(Exception):
    """A command cannot go on; `hint` is what the operator does next."""

    exit_code: Exit = Exit.USAGE

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(ImporterError):
    """A setting is missing, wrong or contradicts another."""


class SourceError(ImporterError):
    """A source cannot be read at all; nothing was sent."""


class SourceLost(SourceError):
    """A source changed or vanished between the plan pass and the end of the send pass."""

    exit_code = Exit.STOPPED


class LedgerError(ImporterError):
    """The ledger cannot be opened or trusted; nothing was sent."""


class LedgerInUse(LedgerError):
    """Another run holds this ledger."""

    exit_code = Exit.LEDGER_IN_USE


class LedgerLost(LedgerError):
    """The ledger vanished or could not be written on the way; no request is sent that it could not record."""

    exit_code = Exit.STOPPED


class IllegalTransition(LedgerError):
    """A row was asked to move in a way that TRANSITIONS forbids: a bug of ours."""

    exit_code = Exit.BUG


class ApiRefused(ImporterError):
    """The API refuses the key or the project, or cannot be reached: one message, not one a row."""

    exit_code = Exit.STOPPED
