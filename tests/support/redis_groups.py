"""Servers of Redis that belong together: a master with replicas under three sentinels, and a cluster of six nodes."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

import pytest
import redis
from redis.crc import key_slot

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
sentinel down-after-milliseconds {name} 1500
sentinel failover-timeout {name} 1500
sentinel parallel-syncs {name} 2
{more}
"""


class Sentinel(Process):
    def __init__(self, folder: Path, master: int, *, password: str = "", **options: str) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("redis-server is missing: apt-get install redis-server")
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.password = password
        settings = folder / f"sentinel-{self.port}.conf"
        more = "\n".join(f"{name.replace('_', '-')} {value}" for name, value in options.items())
        more += f"\nrequirepass {password}\nsentinel sentinel-pass {password}" if password else ""
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


class Servers:
    """What is started together ends together."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started = ExitStack()
        self.servers: list[RedisServer] = []

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._started.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._started.close()

    def _start(self) -> None:
        raise NotImplementedError


class Group(Servers):
    """A master, two replicas, three sentinels."""

    def __init__(self, folder: Path, *, password: str = "") -> None:
        super().__init__(folder)
        self._password = password
        self.sentinels: list[Sentinel] = []

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
        return self.replicas(self.master()) == 2 and all(map(self._follows, self.servers))

    def _follows(self, server: RedisServer) -> bool:
        with server.client() as client:
            told = client.info("replication")
        return told["role"] == "master" or told["master_link_status"] == "up"

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
        until(self._agree, 20)
        if server.exit_code is not None:
            server.start()
        with server.client() as client:
            client.replicaof("127.0.0.1", self.master().port)
        self.whole()

    def _agree(self) -> bool:
        """Whether the failover has ended for all sentinels: until then one of them may undo what is done by hand."""
        masters = set()
        for sentinel in self.sentinels:
            with sentinel.client() as client:
                told = client.sentinel_master(MASTER)
            masters.add((told["ip"], told["port"], told["config-epoch"], told["flags"]))
        return len(masters) == 1 and "failover" not in str(masters)


SLOTS = 16384


class ClusterServers(Servers):
    """Three primaries, each with a replica or without; options as RedisServer has them."""

    def __init__(self, folder: Path, *, replicas: int = 1, **options: str) -> None:
        super().__init__(folder)
        self._replicas = replicas
        self._options = options
        self.tls_addresses: list[str] = []  # with the option tls_cluster

    @property
    def address(self) -> str:
        """Of two nodes, as a component names them."""
        return ",".join(server.address for server in self.servers[:2])

    def _start(self) -> None:
        size = 3 + 3 * self._replicas
        buses = [free_port() for _ in range(size)]
        for number, bus in enumerate(buses):
            server = RedisServer(
                self._folder,
                cluster_enabled="yes",
                cluster_port=str(bus),
                cluster_config_file=f"nodes-{number}.conf",
                cluster_node_timeout="2000",
                cluster_replica_validity_factor="0",
                repl_diskless_sync_delay="0",
                repl_ping_replica_period="1",
                dbfilename=f"{number}.rdb",
                **self._options,
                **self._tls_port(),
            )
            self.servers.append(server.launch())
            self._started.callback(server.close)
        for server in self.servers:
            server.wait_ready()
        share = -(-SLOTS // 3)
        for number, server in enumerate(self.servers):
            if number < 3:
                first = number * share
                self.ask(server, "CLUSTER", "ADDSLOTSRANGE", first, min(first + share, SLOTS) - 1)
                self.ask(server, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            self.ask(self.servers[0], "CLUSTER", "MEET", "127.0.0.1", server.port, buses[number])
        until(lambda: all(len(self.nodes(server)) == size for server in self.servers))
        for number in range(3, size):
            self.ask(self.servers[number], "CLUSTER", "REPLICATE", self.name(self.servers[number - 3]))
        self.whole()

    def _tls_port(self) -> dict[str, str]:
        if "tls_cluster" not in self._options:
            return {}
        port = free_port()
        self.tls_addresses.append(f"127.0.0.1:{port}")
        return {"tls_port": str(port)}

    def ask(self, server: RedisServer, *words: object) -> object:
        with server.client(decode_responses=True) as client:
            return client.execute_command(*words)  # type: ignore[arg-type]

    def name(self, server: RedisServer) -> str:
        return str(self.ask(server, "CLUSTER", "MYID"))

    def nodes(self, server: RedisServer) -> list[list[str]]:
        """What this one knows of each: name, address, flags, whose replica it is, ..., slots."""
        with server.client() as client:
            client.set_response_callback("CLUSTER NODES", bytes.decode)
            told = client.execute_command("CLUSTER NODES")
        return [line.split() for line in str(told).splitlines()]

    def is_whole(self) -> bool:
        """Whether all know of all, each primary has a replica in step, and all slots are served."""
        primaries = 0
        for server in self.servers:
            nodes = self.nodes(server)
            if len(nodes) != len(self.servers) or any("fail" in node[2] or "handshake" in node[2] for node in nodes):
                return False
            with server.client() as client:
                told = client.info("replication")
                state = client.execute_command("CLUSTER INFO")
            if "cluster_state:ok" not in str(state) and (not isinstance(state, dict) or state["cluster_state"] != "ok"):
                return False
            if told["role"] != "master":
                if told["master_link_status"] != "up":
                    return False
            else:
                primaries += 1
                replicas = [told[f"slave{each}"]["state"] for each in range(told["connected_slaves"])]
                if replicas != ["online"] * self._replicas:
                    return False
        return primaries == 3

    def whole(self) -> None:
        until(self.is_whole, 30)

    def owner(self, key: str) -> RedisServer:
        """The primary that has the slot of a key."""
        return self.owner_of_slot(self.slot(key))

    @staticmethod
    def slot(key: str) -> int:
        return key_slot(key.encode())

    def primaries(self) -> list[RedisServer]:
        return [server for server in self.servers if "role:master" in self._replication(server)]

    def _replication(self, server: RedisServer) -> str:
        if server.exit_code is not None:
            return ""
        with server.client() as client:
            return f"role:{client.info('replication')['role']}"

    def wipe(self) -> None:
        for server in self.primaries():
            with server.client() as client:
                client.flushall()

    def fail_over(self, key: str) -> RedisServer:
        """Kill the primary of a key as `kill -9` does; return it once its replica is in its place."""
        old = self.owner(key)
        old.kill()
        self.replaced(key)
        return old

    def replaced(self, key: str) -> None:
        """Wait until somebody has the slot of a key."""
        until(lambda: self._has_owner(key), 20)

    def _has_owner(self, key: str) -> bool:
        try:
            self.owner(key)
        except LookupError:
            return False
        return True

    def bring_back(self, server: RedisServer) -> None:
        """Start who was killed: it becomes the replica of who took its place."""
        server.start()
        self.whole()

    def move(self, slot: int, to: RedisServer) -> None:
        """Move a slot with its keys, as `redis-cli --cluster reshard` does."""
        source = self.owner_of_slot(slot)
        if source is to:
            return
        self.begin_to_move(slot, source, to)
        self.move_keys(slot, source, to)
        self.end_move(slot, to)

    def owner_of_slot(self, slot: int) -> RedisServer:
        for server in self.primaries():
            for _, _, flags, *rest in self.nodes(server):
                if "myself" in flags and any(slot in ranged(word) for word in rest[5:]):
                    return server
        raise LookupError(slot)

    def begin_to_move(self, slot: int, source: RedisServer, to: RedisServer) -> None:
        self.ask(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", self.name(source))
        self.ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", self.name(to))

    def move_keys(self, slot: int, source: RedisServer, to: RedisServer, *some: str) -> None:
        """All keys, or only some."""
        with source.client() as client:
            if some:
                client.execute_command("MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS", *some)
                return
            while keys := client.execute_command("CLUSTER GETKEYSINSLOT", slot, 10):
                client.execute_command("MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS", *keys)

    def end_move(self, slot: int, to: RedisServer) -> None:
        name = self.name(to)
        for server in [to, *(each for each in self.primaries() if each is not to)]:
            self.ask(server, "CLUSTER", "SETSLOT", slot, "NODE", name)


def ranged(word: str) -> range:
    """The slots that a word of CLUSTER NODES names; none for one that is moving."""
    if word.startswith("["):
        return range(0)
    first, _, last = word.partition("-")
    return range(int(first), int(last or first) + 1)
