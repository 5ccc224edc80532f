"""A master that sentinels watch over: found, followed through failovers, and never taken for what it was."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from dapr_state.resources.properties import Properties
from dapr_state.stores.base import StoreError
from dapr_state.stores.model import StoredValue, Upsert
from dapr_state.stores.redis import options
from dapr_state.stores.redis.node import OPERATIONS_AT_ONCE, Node
from dapr_state.stores.redis.reconnecting import Location
from dapr_state.stores.redis.sentinels import Master, view
from dapr_state.stores.redis.writing import NotHere
from tests.stores.redis.conftest import create, eventually, opened, served_again
from tests.stores.redis.load import survives
from tests.support.processes import free_port
from tests.support.redis_groups import MASTER, Group

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dapr_state.stores.base import Outcomes
    from dapr_state.stores.model import Operation
    from dapr_state.stores.redis.store import RedisStore

ROUNDS = int(os.environ.get("FAILOVER_ROUNDS", "1"))  # of kill -9: more by hand
FOLLOWED = {"failover": "true", "sentinelMasterName": MASTER}
KEYS = [f"key{number}" for number in range(8)]


def followed(group: Group, **properties: str) -> RedisStore:
    return create(group.address, **FOLLOWED, **properties)


@pytest.mark.parametrize("strong", [True, False], ids=["strong", "eventual"])
async def test_a_killed_master_is_replaced_under_load(redis_group: Group, strong: bool) -> None:
    """Writes go on within ten seconds; none happens twice; strong ones are kept, others as far as replicas had them."""
    async with opened(redis_group.address, **FOLLOWED) as store:
        for _ in range(ROUNDS):
            await survives(store, KEYS, lambda _: redis_group.fail_over(), redis_group.bring_back, strong=strong)


async def test_a_master_that_was_deaf_meanwhile_is_not_written_to(redis_group: Group) -> None:
    """It still believes that it is the master when it is back; the connection to it has ended by then."""
    async with opened(redis_group.address, **FOLLOWED, readTimeout="1s") as store:
        old = redis_group.master()
        old.pause()
        await asyncio.to_thread(redis_group.replaced, old)
        await eventually(lambda: f":{redis_group.master().port} open" in repr(store))
        old.resume()
        await store.write([Upsert("after", b"v")])
        with redis_group.master().client() as client, old.client() as stale:
            found = client.hget("after", "data"), stale.info("replication")["role"], stale.hget("after", "data")
        await asyncio.to_thread(redis_group.bring_back, old)

    assert found[0] == b"v"
    assert found[1:] in {("master", None), ("slave", b"v"), ("slave", None)}


async def test_a_server_that_became_a_replica_writes_nothing_and_is_left(redis_group: Group) -> None:
    """A write that it refuses is not done, and is told so, or is done by the master."""
    async with opened(redis_group.address, **FOLLOWED, redisMaxRetries="-1") as store:
        master = redis_group.master()
        other = next(server for server in redis_group.servers if server is not master)
        with master.client() as client:
            client.replicaof("127.0.0.1", other.port)
            refused = await store.write([Upsert("refused", b"v")])
            client.replicaof("NO", "ONE")
        await asyncio.to_thread(redis_group.whole)

    assert isinstance(refused[0], NotHere)
    assert str(refused[0]).startswith("failed to set key refused: READONLY ")


async def test_of_one_request_the_last_write_of_a_key_stays_though_its_server_was_a_replica_at_first(
    redis_group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first of its runs is refused for as long as a master is looked for; the others follow."""
    write, refusals = Node.write, [NotHere("READONLY")] * 2

    async def not_at_first(node: Node, operations: Sequence[Operation]) -> Outcomes:
        if refusals and len(operations) <= OPERATIONS_AT_ONCE:
            return [refusals.pop()] * len(operations)
        return await write(node, operations)

    async with opened(redis_group.address, **FOLLOWED, redisMaxRetries="1") as store:
        monkeypatch.setattr(Node, "write", not_at_first)
        between = [Upsert(f"k{number}", b"v") for number in range(OPERATIONS_AT_ONCE)]
        outcomes = await store.write([Upsert("k", b"first"), *between, Upsert("k", b"last")])
        (row,) = await store.get(["k"])

    assert outcomes == [None] * (OPERATIONS_AT_ONCE + 2)
    assert isinstance(row, StoredValue)
    assert row.value == b"last"


async def test_who_was_refused_by_a_replica_that_others_have_left_does_not_leave_its_master(
    redis_group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What others ask the new one by then would be lost."""
    write = Node.write

    async def refused(node: Node, _: Sequence[Operation]) -> Outcomes:
        monkeypatch.setattr(Node, "write", write)
        node._leave("it is a replica now")
        await eventually(lambda: node._link.live)
        present.append(node._link.live)
        return [NotHere("READONLY")]

    present: list[object] = []
    async with opened(redis_group.address, **FOLLOWED) as store:
        monkeypatch.setattr(Node, "write", refused)
        outcomes = await store.write([Upsert("k", b"v")])
        present.append(store._node._link.live)  # type: ignore[union-attr]

    assert outcomes == [None]
    assert present[0] is present[1]


async def test_who_says_that_he_is_no_master_is_not_connected_to(redis_group: Group) -> None:
    """Whatever a sentinel said."""
    master = redis_group.master()
    replica = next(server for server in redis_group.servers if server is not master)

    async def locate() -> Location:
        return Location(replica.address, 0)

    node = Node(options.read(Properties({"redisMaxRetries": "-1"})), locate=locate)
    with pytest.raises(StoreError, match=f"redis at {replica.address} is no master: slave"):
        await node.open()


async def test_a_sentinel_that_is_gone_is_done_without(redis_group: Group) -> None:
    """One of them is enough to find the master, whether the others are dead or deaf."""
    dead, deaf, _ = redis_group.sentinels
    dead.kill()
    deaf.pause()
    try:
        async with opened(redis_group.address, **FOLLOWED) as store:
            assert await store.write([Upsert("k", b"v")]) == [None]
            assert await store.get(["k"]) == [StoredValue(b"v", (await store.get(["k"]))[0].etag)]  # type: ignore[union-attr]
    finally:
        deaf.resume()
        dead.start()


async def test_the_sentinels_that_one_knows_of_are_asked_too(redis_group: Group) -> None:
    """When the one that the component names is gone, the next master is found all the same."""
    *_, named = redis_group.sentinels
    async with opened(named.address, **FOLLOWED) as store:
        await store.write([Upsert("k", b"v", strong=True)])
        named.kill()
        old = await asyncio.to_thread(redis_group.fail_over)
        await served_again(store)
        outcomes = await store.write([Upsert("k", b"w")])
        named.start()
        await asyncio.to_thread(redis_group.bring_back, old)

    assert outcomes == [None]


async def test_a_sentinel_that_is_gone_for_good_is_not_asked_for_ever(redis_group: Group) -> None:
    """Else those that take its place, elsewhere, have none: no more than some are asked. One that is back is asked."""
    gone, *_, named = redis_group.sentinels
    async with opened(named.address, **FOLLOWED) as store:
        assert isinstance(store._node, Master)
        asked = store._node._sentinels._links
        await eventually(lambda: {sentinel.address for sentinel in redis_group.sentinels} == asked.keys())
        gone.kill()
        await eventually(lambda: gone.address not in asked)
        others = {*asked}
        gone.start()
        await eventually(lambda: gone.address in asked)
        await asyncio.to_thread(redis_group.whole)

    assert others == {sentinel.address for sentinel in redis_group.sentinels[1:]}


async def test_a_named_sentinel_is_asked_for_ever(redis_group: Group) -> None:
    """It may be a name, which is another's address some day; and nobody forgets others because nobody answers."""
    async with opened(redis_group.address, **FOLLOWED) as store:
        assert isinstance(store._node, Master)
        sentinels = store._node._sentinels
        for sentinel in redis_group.sentinels:
            sentinel.kill()
        with pytest.raises(StoreError, match="unreachable"):
            await sentinels.master()
        asked = {*sentinels._links}
        for sentinel in redis_group.sentinels:
            sentinel.start()
        await asyncio.to_thread(redis_group.whole)

    assert asked == {sentinel.address for sentinel in redis_group.sentinels}


def test_of_several_sentinels_the_one_that_knows_of_the_latest_failover_is_right() -> None:
    """The one that leads it knows first; until it has ended, all count it as the one before."""
    before = [b"ip", b"10.0.0.9", b"port", b"1", b"config-epoch", b"3", b"num-slaves", b"2"]
    behind = view([b"10.0.0.9", b"1"], before)
    leader = view([b"10.0.0.1", b"1"], before)
    after = view([b"::1", b"1"], [b"ip", b"::1", b"port", b"1", b"config-epoch", b"4"])

    assert None not in {behind, leader, after}
    assert sorted(filter(None, [after, leader, behind])) == [behind, leader, after]
    assert [each.address for each in (behind, leader, after) if each] == ["10.0.0.9:1", "10.0.0.1:1", "[::1]:1"]


async def test_no_sentinel_and_no_master_are_told_apart(redis_group: Group) -> None:
    """In the words of daprd's client where it has any."""
    nobody = create(f"127.0.0.1:{free_port()},127.0.0.1:{free_port()}", **FOLLOWED, redisMaxRetries="-1")
    with pytest.raises(StoreError, match=r"redis: all sentinels specified in configuration are unreachable$"):
        await nobody.open()
    other = create(redis_group.address, failover="true", sentinelMasterName="other", redisMaxRetries="-1")
    with pytest.raises(StoreError, match=r"are unreachable: they know no master named 'other'$"):
        await other.open()

    assert len(asyncio.all_tasks()) == 1


async def test_sentinels_may_have_a_password(tmp_path: Path) -> None:
    """It is not the server's."""
    with Group(tmp_path, password="hush") as group:
        async with opened(group.address, **FOLLOWED, sentinelPassword="hush") as store:
            assert await store.write([Upsert("k", b"v")]) == [None]
        wrong = create(group.address, **FOLLOWED, sentinelPassword="wrong", redisMaxRetries="-1")
        with pytest.raises(StoreError, match="all sentinels specified in configuration are unreachable"):
            await wrong.open()
