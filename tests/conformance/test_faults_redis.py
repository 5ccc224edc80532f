"""What happens when Redis dies, or lives and does not answer."""

from __future__ import annotations

import random
import re
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

import pytest

from tests.conformance.load import Load
from tests.support.client import item
from tests.support.components import component
from tests.support.http import Socket, request
from tests.support.redis import RedisServer
from tests.support.sidecar import Sidecar
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.client import Client, Reply

KILLS = 20


def _stores(redis: RedisServer, **metadata: str) -> list[dict[str, object]]:
    return [
        component("redis", "state.redis", redisHost=redis.address, **metadata),
        component("mem", "state.in-memory"),
    ]


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that the test may kill: it writes to disk before it answers."""
    with RedisServer(tmp_path, appendonly="yes", appendfsync="always") as server:
        yield server


def test_no_acknowledged_write_is_lost_when_redis_is_killed(tmp_path: Path, own_redis: RedisServer) -> None:
    """After each of twenty kills every acknowledged write is there, once, and no transaction by half."""
    moments = random.Random(3)
    loads: list[Load] = []
    with Sidecar(tmp_path, _stores(own_redis)) as server, server.client() as client:
        for number in range(KILLS):
            with Load(server.grpc_port, "redis", f"round-{number}") as load:
                load.wait_for(moments.randint(20, 300))
                own_redis.kill()
            loads.append(load)
            own_redis.start()
            until(lambda: client.get("redis", "k").ok, what="the sidecar has found Redis again")
            load.check(client)
        for load in loads:
            load.check(client)
        with own_redis.client() as redis:
            saves = list(redis.scan_iter(match="*save*", count=1000))
            versions = {redis.hget(key, "version") for key in saves}

    refusals = {tally.refusal.partition(" ")[0] for load in loads for tally in load.tallies.values()}
    assert refusals - {""} == {"INTERNAL"}  # "" for a worker that had no call under way
    assert versions == {b"1"}  # each key was written by one call, once


def test_the_sidecar_outlives_an_absent_redis(tmp_path: Path, own_redis: RedisServer) -> None:
    """While nobody listens, calls of every kind fail with the reason; afterwards they work."""
    with Sidecar(tmp_path, _stores(own_redis)) as server, server.client() as client:
        client.save("redis", item("k", b"v"))
        own_redis.kill()
        refused = _one_of_each(client, "absent")
        own_redis.start()
        until(lambda: client.get("redis", "k").ok, what="the sidecar has found Redis again")
        after = _one_of_each(client, "back")

    assert {reply.code for name, reply in refused.items() if name != "bulk get"} == {"INTERNAL"}
    assert refused["bulk get"].code in {"INTERNAL", "UNKNOWN"} or _items_failed(refused["bulk get"])
    assert {reply.code for reply in after.values()} == {"OK"}


def test_a_silent_redis_fails_what_waits_for_it(tmp_path: Path, own_redis: RedisServer) -> None:
    """Redis stops answering: calls fail with the reason instead of hanging, and no other store notices.

    When it answers again the service goes on, and no write has happened twice.
    """
    with (
        Sidecar(tmp_path, _stores(own_redis, readTimeout="1s", writeTimeout="1s", redisMaxRetries="1")) as server,
        server.client() as client,
        ThreadPoolExecutor(32) as pool,
    ):
        client.save("redis", item("k", b"v"))
        own_redis.pause()
        waiting = [pool.submit(client.save, "redis", item(f"silent-{number}", b"v")) for number in range(16)]
        waiting += [pool.submit(client.transact, "redis", ("upsert", item(f"silent-t{n}", b"v"))) for n in range(8)]
        waiting += [pool.submit(client.get, "redis", "k") for _ in range(8)]
        other = client.save("mem", item("k", b"v"))
        refused = [call.result() for call in waiting]
        own_redis.resume()
        until(lambda: client.get("redis", "k").ok, what="the sidecar has found Redis again")
        after = _one_of_each(client, "back")
        with own_redis.client() as redis:
            versions = {redis.hget(key, "version") for key in redis.scan_iter(match="*silent*")}

    assert other.ok
    assert {reply.code for reply in refused} == {"INTERNAL"}
    assert all(re.search("timeout|timed out|deadline", reply.message) for reply in refused), refused[0]
    assert {reply.code for reply in after.values()} == {"OK"}
    assert versions <= {b"1"}  # a save that was given up may still happen, but once


def test_after_too_many_have_waited_everyone_reads_his_own_key(tmp_path: Path, own_redis: RedisServer) -> None:
    """More calls wait for a silent Redis than may: some are refused, and all later reads are right."""
    with Sidecar(tmp_path, _stores(own_redis, readTimeout="60s")) as server, server.client() as client:
        for number in range(500):
            client.save("redis", item(f"own-{number}", b'"%d"' % number))
        own_redis.pause()
        with ExitStack() as waiting:
            crowd = [waiting.enter_context(_Crowd(server.http_port)) for _ in range(160)]  # 40,000 calls
            refused = crowd[-1].first_answer()
            own_redis.resume()
            until(lambda: client.save("redis", item("k", b"v")).ok, what="a save is not refused any more")
            with Socket(server.http_port) as http:
                asked = [request("GET", f"/v1.0/state/redis/own-{number % 500}") for number in range(1000)]
                answers = [http.send(each).answer() for each in asked]

    assert b"too many requests wait" in refused
    assert [answer.body for answer in answers] == [b'"%d"' % (number % 500) for number in range(1000)]


class _Crowd:
    """As many gets at once as one HTTP/2 connection may ask for."""

    SIZE = 250

    def __init__(self, port: int) -> None:
        path = b"/v1.0/state/redis/own-7"
        head = b"\x82\x86\x04%c%b\x01\x09localhost" % (len(path), path)  # GET, http, :path, :authority
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        frames = [
            struct.pack("!BHBBL", 0, len(head), 0x1, 0x5, 2 * number + 1) + head  # HEADERS, whole, and the end
            for number in range(self.SIZE)
        ]
        self._socket.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + struct.pack("!BHBBL", 0, 0, 4, 0, 0) + b"".join(frames)
        )

    def first_answer(self) -> bytes:
        """What has come up to the first body."""
        came = b""
        while b"errorCode" not in came:
            came += self._socket.recv(65_536)
        return came

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def _one_of_each(client: Client, name: str) -> dict[str, Reply]:
    """All at once: each call waits for its own attempts to reach the server."""
    calls = {
        "get": lambda: client.get("redis", "k"),
        "save": lambda: client.save("redis", item(f"{name}-1", b"v")),
        "saves": lambda: client.save("redis", item(f"{name}-2", b"v"), item(f"{name}-3", b"v")),
        "delete": lambda: client.delete("redis", f"{name}-1"),
        "bulk get": lambda: client.bulk_get("redis", "k", f"{name}-2"),
        "bulk delete": lambda: client.bulk_delete("redis", item(f"{name}-2"), item(f"{name}-3")),
        "transaction": lambda: client.transact("redis", ("upsert", item(f"{name}-4", b"v"))),
    }
    with ThreadPoolExecutor(len(calls)) as pool:
        made = {kind: pool.submit(call) for kind, call in calls.items()}
        return {kind: call.result() for kind, call in made.items()}


def _items_failed(reply: Reply) -> bool:
    return all(entry.get("error") for entry in reply.response["items"])
