"""Servers of Redis that belong together: a master with replicas under three sentinels, and a cluster of six nodes."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

import pytest
import redis

from tests.support.processes import Process, free_port
from tests.support.redis import RedisServer
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

MASTER = "orders"  # what the sentinels call it
_SENTINEL = """\
port {port}
bind 127.0.0.1
dir {folder}
sentinel monitor {name} 127.0.0.1 {master} 2
sentinel down-after-milliseconds {name} 1000
sentinel failover-timeout {name} 1500
sentinel parallel-syncs {name} 2
{more}
"""


class Sentinel(Process):
    def __init__(self, folder: Path, master: int, *, password: str = "") -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("redis-server is missing: apt-get install redis-server")
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.password = password
        settings = folder / f"sentinel-{self.port}.conf"
        more = f"requirepass {password}\nsentinel sentinel-pass {password}" if password else ""
        settings.write_text(
            _SENTINEL.format(port=self.port, folder=folder, master=master, name=MASTER, more=more), encoding="utf-8"
        )
        super().__init__([program, settings, "--sentinel"], folder / f"sentinel-{self.port}.log")

    def is_ready(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    def client(self) -> redis.Redis:
        return redis.Redis(host="127.0.0.1", port=self.port, password=self.password or None, decode_responses=True)


class Group:
    """A master, two replicas, three sentinels."""

    def __init__(self, folder: Path, *, password: str = "") -> None:
        self._folder = folder
        self._password = password
        self._started = ExitStack()
        self.servers: list[RedisServer] = []
        self.sentinels: list[Sentinel] = []

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._started.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._started.close()

    @property
    def address(self) -> str:
        """Of the sentinels, as a component names them."""
        return ",".join(sentinel.address for sentinel in self.sentinels)

    def _start(self) -> None:
        first = self._server()
        for _ in range(2):
            self._server(replicaof=f"127.0.0.1 {first.port}")
        until(lambda: self.replicas(first) == 2)
        for _ in range(3):
            self.sentinels.append(
                self._started.enter_context(Sentinel(self._folder, first.port, password=self._password))
            )
        self.whole()

    def _server(self, **options: str) -> RedisServer:
        server = RedisServer(
            self._folder,
            repl_diskless_sync_delay="0",
            repl_ping_replica_period="1",
            dbfilename=f"{len(self.servers)}.rdb",
            **options,
        )
        self.servers.append(self._started.enter_context(server))
        return server

    def master(self) -> RedisServer:
        """The one that the first sentinel names."""
        with self.sentinels[0].client() as client:
            _, port = client.sentinel_get_master_addr_by_name(MASTER)
        (server,) = [server for server in self.servers if server.port == int(port)]
        return server

    def replicas(self, server: RedisServer) -> int:
        """How many replicas of this one are in step."""
        with server.client() as client:
            told = client.info("replication")
        if told["role"] != "master":
            return -1
        return sum(told[f"slave{number}"]["state"] == "online" for number in range(told["connected_slaves"]))

    def is_whole(self) -> bool:
        """Whether all know of all, and a failover could begin."""
        for sentinel in self.sentinels:
            with sentinel.client() as client:
                told = client.sentinel_master(MASTER)
            if told["num-other-sentinels"] != 2 or told["num-slaves"] != 2 or told["is_odown"] or told["is_sdown"]:
                return False
        return self.replicas(self.master()) == 2

    def fail_over(self) -> RedisServer:
        """Kill the master as `kill -9` does; return it once another is in its place."""
        old = self.master()
        old.kill()
        self.replaced(old)
        return old

    def replaced(self, old: RedisServer) -> None:
        """Wait until another is in its place."""
        until(lambda: self.master() is not old, 20)

    def whole(self) -> None:
        """Wait until all are there, in step."""
        until(self.is_whole, 30)

    def bring_back(self, server: RedisServer) -> None:
        """Start who was killed, as a replica: sentinels would make it one after ten seconds."""
        if server.exit_code is not None:
            server.start()
        with server.client() as client:
            client.replicaof("127.0.0.1", self.master().port)
        self.whole()
