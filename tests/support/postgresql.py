"""A PostgreSQL server of one's own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.processes import Process, free_port
from tests.support.waiting import until

USER = "postgres"
_AS_ONE = (signal.SIGSTOP, signal.SIGCONT)  # for all its processes, as if the machine did it


def program(name: str) -> Path:
    """One of the server's programs: Debian keeps them off PATH."""
    on_path = shutil.which(name)
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    if on_path is None and not found:
        pytest.skip(f"{name} is missing: apt-get install postgresql")
    return found[-1] if found else Path(str(on_path))


class PostgresServer(Process):
    """Options are those of postgresql.conf: PostgresServer(fsync="on"). Without it, the disk is not waited for.

    The server refuses to run as root: then it runs as the user that Debian made for it.
    """

    def __init__(self, **options: str) -> None:
        self.port = free_port()
        self._clients: dict[str, psycopg.Connection[tuple[Any, ...]]] = {}
        self.folder = Path(tempfile.mkdtemp(prefix="dapr-state-postgresql-"))
        self.data = self.folder / "data"
        self._as_user: list[str | Path] = []
        if os.getuid() == 0:
            entry = pwd.getpwnam(USER)
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
            self._as_user = ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups", "--"]
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.folder),
            "fsync": "off",
            **options,
        }
        flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        super().__init__(
            [*self._as_user, program("postgres"), "-D", self.data, "-p", str(self.port), *flags],
            self.folder.with_suffix(".log"),
        )

    def make(self) -> None:
        """Make the folder of its data."""
        command = [*self._as_user, program("initdb"), "--pgdata", self.data, "--no-sync", "--auth=trust"]
        command += ["--username", USER, "--encoding=UTF8", "--locale=C.UTF-8"]
        subprocess.run(command, check=True, capture_output=True)

    def replica(self) -> PostgresServer:
        """A server that follows this one, not yet started."""
        other = PostgresServer()
        source = f"host=127.0.0.1 port={self.port} user={USER}"
        command = [*self._as_user, program("pg_basebackup"), "--pgdata", other.data, "--write-recovery-conf"]
        command += ["--dbname", source, "--checkpoint=fast", "--no-sync"]
        subprocess.run(command, check=True, capture_output=True)
        return other

    def launch(self) -> PostgresServer:
        if not self.data.exists():
            self.make()
        super().launch()
        return self

    def is_ready(self) -> bool:
        try:
            self.sql("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def url(self, database: str = "postgres") -> str:
        """A connection string, as a component has it."""
        return f"host=127.0.0.1 port={self.port} user={USER} database={database}"

    def client(self, database: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
        """A client of psycopg, for looking at what is stored."""
        return psycopg.connect(
            f"host=127.0.0.1 port={self.port} user={USER} dbname={database} connect_timeout=5", autocommit=True
        )

    def sql(self, statement: str, *arguments: object, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Ask for something; the rows, if there are any."""
        with self.client(database) as client, client.cursor() as cursor:
            cursor.execute(statement.encode(), arguments or None)
            return cursor.fetchall() if cursor.description else []

    def wipe(self, database: str) -> None:
        """Have an empty database of this name."""
        if not self.sql("SELECT 1 FROM pg_database WHERE datname = %s", database):
            self.sql(f"CREATE DATABASE {database} STRATEGY FILE_COPY")
        for (table,) in self.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database=database):
            self.sql(f'DROP TABLE "{table}"', database=database)

    def empty(self, database: str) -> None:
        """Have a database in which the store has tables already, and no rows: ten times as fast as `wipe`."""
        client = self._clients.get(database)
        if client is None:
            self.wipe(database)
            self._clients[database] = self.client(database)
        elif client.execute("SELECT to_regclass('state')").fetchone() != (None,):
            client.execute("DELETE FROM state")

    def signal(self, number: signal.Signals) -> None:
        if number in _AS_ONE:
            _send(number, self._children())
        super().signal(number)

    def kill(self) -> None:
        """All its processes, and none is left that would keep the next start from its memory."""
        super().signal(signal.SIGSTOP)  # it makes no more of them
        children = self._children()
        _send(signal.SIGKILL, children)
        super().kill()
        until(lambda: not any(map(_runs, children)), what="the server's processes have ended")

    def stop(self, timeout: float = 20) -> int:
        """Fast: clients are sent away."""
        self.signal(signal.SIGINT)
        return self.wait(timeout)

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
        super().close()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.log_file.unlink(missing_ok=True)

    def _children(self) -> list[int]:
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]


def _send(number: signal.Signals, pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False
