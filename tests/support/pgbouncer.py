"""A PgBouncer of one's own before a PostgreSQL server, which gives each transaction any of its few connections."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.postgresql import USER
from tests.support.processes import Process, free_port

if TYPE_CHECKING:
    from tests.support.postgresql import PostgresServer

_SETTINGS = """\
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = transaction
default_pool_size = {size}
"""


class PgBouncer(Process):
    """It refuses to run as root, as PostgreSQL does."""

    def __init__(self, server: PostgresServer, *, size: int = 2) -> None:
        program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
        if program is None:
            pytest.skip("pgbouncer is missing: apt-get install pgbouncer")
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="dapr-state-pgbouncer-"))
        users, settings = self.folder / "users.txt", self.folder / "pgbouncer.ini"
        users.write_text(f'"{USER}" ""\n')
        settings.write_text(_SETTINGS.format(server=server.port, port=self.port, users=users, size=size))
        as_user: list[str] = []
        if os.getuid() == 0:
            entry = pwd.getpwnam(USER)
            for path in (self.folder, users, settings):
                os.chown(path, entry.pw_uid, entry.pw_gid)
            as_user = ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups", "--"]
        super().__init__([*as_user, program, settings], self.folder.with_suffix(".log"))

    def is_ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False

    def url(self, database: str) -> str:
        """A connection string, as a component has it."""
        return f"host=127.0.0.1 port={self.port} user={USER} database={database}"

    def close(self) -> None:
        super().close()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.log_file.unlink(missing_ok=True)
