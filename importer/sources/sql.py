"""The rows of one query on PostgreSQL, MySQL or SQLite, streamed through a cursor of the server.

The URL holds a password, the query may hold a key, and a driver's message may quote any of them, or a cell: what goes
wrong is told in words of our own.
"""

import re
import weakref
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from sqlalchemy import URL, Connection, CursorResult, NullPool, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from importer.errors import SourceError
from importer.sources.base import CHUNK_ROWS, Chunk
from importer.sources.columns import check_header
from importer.sources.files import display_name

CONNECT_S = 10
"""Seconds that a server has to answer at first."""

_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
    "sqlite": "sqlite",
}
"""Name of a database in a URL -> what reads it, whatever driver an app's own URL names."""

_SESSION = {
    # the rows of a run are sent for hours while its query is open, and a server that thinks us idle would hang up
    "postgresql": ("SET TRANSACTION READ ONLY", "SET LOCAL idle_in_transaction_session_timeout = 0"),
    "mysql": ("SET SESSION net_write_timeout = 86400, wait_timeout = 86400", "START TRANSACTION READ ONLY"),
    "sqlite": (),  # the file is opened for reading only
}
"""Database -> what it is told before the query."""

_REASONS = (
    (r"password authentication failed|no password supplied|\b1045\b|\b28P01\b|role .* does not exist",
     "the user or the password is refused", "Check both in the URL; @ / : in a password are written %40 %2F %3A."),
    (r"database .* does not exist|\b1049\b|\b3D000\b", "there is no database of that name", "Check the URL."),
    (r"timeout expired|timed out", "it does not answer", "Check host, port and firewall."),
    (r"resolve|translate host|getaddrinfo|Name or service", "its host is not known", "Check the URL."),
    (r"[Rr]efused|No such file or directory|\b2003\b", "nothing listens there", "Check host and port."),
    (r"pg_hba|SSL|TLS|encryption", "it refuses this connection", "Ask for TLS: add ?sslmode=require to the URL."),
    (r"invalid (connection|URI query)|unexpected keyword", "the URL has a parameter that is not known",
     "Remove what follows the ? in it."),
    (r"\b42P01\b|\b1146\b|no such table", "the query names a table that is not there", "Check schema and spelling."),
    (r"\b42703\b|\b1054\b|no such column", "the query names a column that is not there",
     "Check its spelling; texts stand in single quotes."),
    (r"\b42883\b|\b1305\b|\b1630\b|no such function", "the query calls a function that is not there", "Check it."),
    (r"\b42601\b|\b1064\b|syntax error|incomplete input|one statement", "the query is no single, sound SELECT",
     "Try it in the database's own client."),
    (r"\b42501\b|\b1044\b|\b1142\b|\b1143\b", "the user may not read what the query names", "Grant SELECT on it."),
    (r"\b25006\b|\b1792\b|readonly", "the query writes, and only reading is allowed", "Give a SELECT."),
    (r"not a database", "the file is no SQLite database", "Check the path."),
    (r"\b22021\b|\b22P05\b|Could not decode", "a cell holds text that is not UTF-8",
     "Leave such rows out in the query; where all of it is in one encoding, name that in the URL, on PostgreSQL by "
     "?client_encoding=latin1, on MySQL by ?charset=latin1."),
    (r"too (large|small|long)|out of range",
     "a cell cannot be read: a time outside the years 1 to 9999, such as infinity",
     "Leave such values out in the query, e.g. nullif(expires_at, 'infinity')."),
    (r"\b57014\b|\b3024\b", "the server cancelled the query", "Raise its statement timeout."),
    (r"terminat|closed the connection|\b2013\b|\b2006\b|\b57P0\d\b|connection .*lost", "the connection was lost",
     "Run again."),
)  # fmt: skip
"""Pattern in a driver's code and message, which are not shown -> what happened, and what to do; the first one counts.

The codes: PostgreSQL, appendix A (five characters); MySQL, error reference (four digits).
"""


class SqlSource:
    """The rows of a query; they are read once, in one transaction that cannot write."""

    repeatable = False

    def __init__(self, url: str, query: str | None, base: Path) -> None:
        """Connects to nothing yet. The file of an SQLite URL starts at `base`. Raises SourceError."""
        parsed = _parsed(url)
        self._database = parsed.get_backend_name()
        label = parsed.database or ""
        if self._database == "sqlite":
            parsed, label = _sqlite(parsed, base)
        self.name = f"{self._database} query on {label}" if label else f"{self._database} query"
        if not query:
            raise SourceError(
                f"{self.name}: there is no query", hint='Write one in the config: query = "select …" under [source].'
            )
        self._url = parsed
        self._query = query
        self._result: CursorResult[Any] | None = None
        self._held = ExitStack()
        self._spent = False
        weakref.finalize(self, self._held.close)  # the columns may be all that is ever asked of it

    def columns(self) -> list[str]:
        """The names of the query's columns. Starts the query; `chunks` reads its rows."""
        return list(self._begin().keys())

    def chunks(self, size: int = CHUNK_ROWS) -> Iterator[Chunk]:
        """All rows, at most `size` at a time, as Python values. Raises SourceError where they break off."""
        if self._spent:
            raise SourceError(f"{self.name} can be read only once", hint="Run the command again.")
        result, row = self._begin(), 1
        self._spent = True
        with self._held:
            while rows := self._fetch(result, size, row):
                yield Chunk(self.name, range(row, row + len(rows)), _frame(rows, list(result.keys())), [])
                row += len(rows)

    def close(self) -> None:
        """Hang up."""
        self._held.close()

    def stamp(self) -> None:
        """Unknown: what a query gives cannot be told without reading it."""

    def _begin(self) -> CursorResult[Any]:
        if self._result is None:
            with self._told():
                connection = self._connect()
                self._held.callback(_end, connection)
                for statement in _SESSION[self._database]:
                    connection.exec_driver_sql(statement)
                # as it is: text() would take `:name` for a parameter, and a driver with parameters `%` for a mark
                options = {"stream_results": True, "no_parameters": True}
                result = connection.exec_driver_sql(self._query, execution_options=options)
                self._held.callback(_end, result.cursor)
                self._check_columns(result)
            self._result = result
        return self._result

    def _connect(self) -> Connection:
        options: dict[str, Any] = {"connect_timeout": CONNECT_S}
        if self._database == "postgresql" and "client_encoding" not in self._url.query:
            options["client_encoding"] = "utf8"  # else text of a database in SQL_ASCII comes as bytes, SQLAlchemy's too
        if self._database == "sqlite":
            # one thread at a time, but not always the same
            options = {"timeout": CONNECT_S, "check_same_thread": False}
        try:
            engine = create_engine(self._url, poolclass=NullPool, hide_parameters=True, connect_args=options)
        except ImportError:
            raise SourceError(
                f"{self.name} needs a driver that is not installed", hint="pip install 'importer[sql]'"
            ) from None
        return engine.connect()

    def _check_columns(self, result: CursorResult[Any]) -> None:
        if not result.returns_rows:
            raise SourceError(f"{self.name}: the query gives no rows", hint="Give a SELECT.")
        names = list(result.keys())
        for number, name in enumerate(names, start=1):
            # MySQL and SQLite call a column without a name by its whole expression, with the key of a decryption
            if re.search("""['"(?]""", name):
                raise SourceError(
                    f"column {number} of {self.name} has no name of its own", hint="Name it: … AS access_token."
                )
        check_header(names, self.name)

    def _fetch(self, result: CursorResult[Any], size: int, row: int) -> Sequence[Sequence[Any]]:
        with self._told(f", from row {row} on"):
            return result.fetchmany(size)

    @contextmanager
    def _told(self, where: str = "") -> Iterator[None]:
        """Raise a SourceError in place of what SQLAlchemy and the drivers raise, and hang up."""
        try:
            yield
        except SourceError:
            self._held.close()
            raise
        except (SQLAlchemyError, RuntimeError, ValueError, TypeError, OSError) as error:
            self._held.close()
            reason, hint = _reason(error)
            raise SourceError(f"{self.name}{where}: {reason}", hint=hint) from None


def _end(held: Any) -> None:
    """Close a cursor or a connection; that it was lost before has been told, or does not matter any more."""
    with suppress(Exception):
        held.close()


def _frame(rows: Sequence[Sequence[Any]], names: Sequence[str]) -> pd.DataFrame:
    # dtype=object: any other turns None into NaN, and 2**53 + 1 even
    return pd.DataFrame(dict(zip(names, zip(*rows, strict=True), strict=True)), dtype=object)


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise SourceError(
            "a source is a database URL that cannot be read",
            hint="Write it postgresql://user:password@host:5432/database; @ / : in a password are written %40 %2F %3A.",
        ) from None
    return parsed.set(drivername=_DRIVERS[parsed.drivername.partition("+")[0]])


def _sqlite(url: URL, base: Path) -> tuple[URL, str]:
    """The URL that opens the file for reading only, and what the file is called."""
    if not url.database or url.database == ":memory:":
        raise SourceError(
            "an sqlite URL names no file", hint="Write it sqlite:///relative/path or sqlite:////absolute."
        )
    path = base / url.database
    if not path.is_file():  # SQLite would make it
        raise SourceError(f"sqlite query on {display_name(path)}: the file is not there", hint="Check the path.")
    read_only = url.set(database=f"file:{quote(str(path.absolute()))}", query={"mode": "ro", "uri": "true"})
    return read_only, display_name(path)


def _reason(error: Exception) -> tuple[str, str]:
    """What happened and what to do, in our words."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    # a codec's error holds the cell, which may say anything
    args = ["Could not decode"] if isinstance(cause, UnicodeError) else cause.args
    said = f"{getattr(cause, 'sqlstate', None) or ''} {' '.join(map(str, args))}"
    for pattern, reason, hint in _REASONS:
        if re.search(pattern, said):
            return reason, hint
    return _other_reason(cause)


def _other_reason(cause: BaseException) -> tuple[str, str]:
    """What may be said of an error that is in no table: what the database calls it, and no word of its message."""
    state, name = getattr(cause, "sqlstate", None) or "", type(cause).__name__
    if state:  # psycopg has a class for each condition
        name = re.sub("(?<=[a-z])(?=[A-Z])", " ", name).lower()
    elif cause.args and isinstance(cause.args[0], int) and cause.args[0]:
        name = f"error {cause.args[0]}"  # of MySQL
    else:
        name = getattr(cause, "sqlite_errorname", name)
    if state.startswith("22"):
        return (
            f"a value does not fit what the query does with it ({name})",
            "Mend the cast or the computation in the query, or leave such rows out.",
        )
    if name == type(cause).__name__:
        return f"the driver cannot read it ({name})", "Have the query give its columns as text: cast(… AS text)."
    return f"the database refuses the query ({name})", "Try it in the database's own client, which tells more."
