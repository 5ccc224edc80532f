"""Whatever right a user lacks: what was refused is not stored, and what was told as done is."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from dapr_state.stores.base import StoreError
from dapr_state.stores.model import Delete, Operation, Upsert
from tests.stores.redis.conftest import opened
from tests.support.redis import RedisServer
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import redis

LOGIN = {"redisUsername": "app", "redisPassword": "pw"}
COMMANDS = (
    *("hset", "hget", "hmget", "del", "persist", "expire", "exists", "pexpiretime", "echo", "wait", "info"),
    *("eval", "evalsha", "script"),
)
HARMLESS = {f"-{command}" for command in ("hmget", "pexpiretime", "echo", "wait", "info", "script")}  # for writes
RIGHTS = [("~*", "+@all", f"-{command}") for command in COMMANDS] + [
    ("~[ab]", "+@all"),  # some keys only
    ("+@all", "-persist", "~*", "(+@all ~a)"),  # and rights that differ from key to key
    ("+@all", "-del", "~*", "(+@all ~a)"),
    ("+@all", "-hset", "~*", "(+@all ~a)"),
    ("%R~*", "+@all", "(+@all ~a)"),
]
KEYS = ("a", "b", "mortal", "list", "odd", "new")
PROGRAMS: list[list[Operation]] = [
    *([kind(key)] for key in KEYS for kind in (lambda k: Upsert(k, b"w"), Delete)),
    *([Upsert(key, b"w", ttl=9)] for key in KEYS),
    *([Upsert(key, b"w", first_write=True)] for key in KEYS),
    [Upsert("a", b"w", etag="1"), Delete("b", etag="1")],
    [Upsert("a", b"w"), Upsert("mortal", b"w"), Delete("b")],
    [Delete("a"), Upsert("a", b"w", first_write=True), Upsert("b", b"w", ttl=9)],
    [Upsert("a", b"w"), Delete("list"), Upsert("list", b"w")],
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("rights")) as server:
        yield server


def fill(client: redis.Redis) -> None:
    client.flushdb()
    for key in ("a", "b", "mortal"):
        client.hset(key, mapping={"data": "v", "version": "1"})
    client.expire("mortal", 1000)
    client.rpush("list", "x")
    client.hset("odd", "data", "v")


def kept(client: redis.Redis) -> dict[str, Any]:
    """What is stored under each key, and whether it expires."""
    return {key: (client.dump(key), client.ttl(key) > 0) for key in KEYS}


@pytest.mark.parametrize("rights", RIGHTS, ids=" ".join)
async def test_refused_means_not_stored(server: RedisServer, rights: Sequence[str]) -> None:
    """Every kind of write, alone, several at once, and as a transaction, for a user without some right."""
    told: list[str] = []
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "app", "reset", "on", ">pw", "+ping", "+auth", *rights)
        client.script_flush()
        async with opened(server.address, **LOGIN) as store:
            for operations, together in itertools.product(PROGRAMS, (False, True)):
                fill(client)
                before = kept(client)
                try:
                    outcomes = [await store.transact(operations)] if together else await store.write(operations)
                except StoreError as error:
                    outcomes = [error]
                after = kept(client)
                told += [str(outcome) for outcome in outcomes if outcome]
                if len(outcomes) == len(operations):
                    refused = {op.key for op, outcome in zip(operations, outcomes, strict=True) if outcome}
                    refused -= {op.key for op, outcome in zip(operations, outcomes, strict=True) if not outcome}
                else:  # one for all
                    refused = {operation.key for operation in operations if outcomes[0]}
                assert {key: after[key] for key in refused} == {key: before[key] for key in refused}, operations

    assert all(any(word in text for word in ("NOPERM", "can't run", "etag")) for text in told)
    assert any("etag" not in text for text in told) or rights[-1] in HARMLESS


async def test_who_may_not_wait_for_replicas_stores_nothing_that_should_wait(tmp_path: Path) -> None:
    """A strong write is refused before it is done; others are done."""
    with (
        RedisServer(tmp_path) as primary,
        RedisServer(tmp_path, replicaof=f"127.0.0.1 {primary.port}") as replica,
        primary.client() as client,
        replica.client() as copy,
    ):
        until(lambda: copy.info("replication")["master_link_status"] == "up")
        client.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-wait")
        async with opened(primary.address, **LOGIN) as store:
            with pytest.raises(StoreError, match="to acknowledge write, err: NOPERM"):
                await store.write([Upsert("strong", b"v", strong=True)])
            done = await store.write([Upsert("weak", b"v")])

        assert (done, client.keys()) == ([None], [b"weak"])
