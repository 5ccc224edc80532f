"""A redis-server of one's own."""

from __future__ import annotations

import shutil
import socket
from typing import TYPE_CHECKING

import pytest
import redis

from tests.support.processes import Process, free_port

if TYPE_CHECKING:
    from pathlib import Path


class RedisServer(Process):
    """Options are those of redis.conf, with _ for -: RedisServer(folder, appendonly="yes", appendfsync="always").

    Without options it keeps nothing on disk.
    """

    def __init__(self, folder: Path, **options: str) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("redis-server is missing: apt-get install redis-server")
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"redis://{self.address}"
        settings = {"port": self.port, "bind": "127.0.0.1", "dir": folder, "save": "", **options}
        flags = [word for name, value in settings.items() for word in ("--" + name.replace("_", "-"), str(value))]
        super().__init__([program, *flags], folder / f"redis-{self.port}.log")

    def is_ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                # a server with a password refuses the question, but it answers; one that still loads is not ready
                return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def client(self, **options: object) -> redis.Redis:
        """A client of redis-py, for looking at what is stored."""
        return redis.Redis(host="127.0.0.1", port=self.port, **options)  # type: ignore[arg-type]
