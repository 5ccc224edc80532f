"""A cluster of Redis: slots move, under load and by halves, and nodes die; no answer is lost, doubled or another's."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest
from redis.crc import key_slot

from dapr_state.stores.base import StoreError
from dapr_state.stores.model import Delete, StoredValue, Upsert
from dapr_state.stores.redis.connection import ConnectionLost
from dapr_state.stores.redis.node import OPERATIONS_AT_ONCE, Node
from dapr_state.stores.redis.reconnecting import NotConnected
from dapr_state.stores.redis.slots import Elsewhere, elsewhere, slot_of
from dapr_state.stores.redis.writing import NotHere
from dapr_state.testing.stores.keys import NOT_UTF_8, ODD
from tests.stores.redis.conftest import create, eventually, opened, values
from tests.stores.redis.load import Load, survives
from tests.support.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from dapr_state.stores.base import Outcomes
    from dapr_state.stores.model import Operation
    from dapr_state.stores.redis.store import RedisStore
    from tests.support.redis import RedisServer
    from tests.support.redis_groups import ClusterServers

ROUNDS = int(os.environ.get("FAILOVER_ROUNDS", "1"))  # of kill -9 and of moved slots: more by hand
CLUSTER = {"redisType": "cluster"}
KEYS = [f"key{number}" for number in range(9)]  # on all nodes


@pytest.fixture
def servers(redis_cluster_servers: ClusterServers) -> ClusterServers:
    redis_cluster_servers.wipe()
    return redis_cluster_servers


@pytest.fixture
def store(servers: ClusterServers) -> AbstractAsyncContextManager[RedisStore]:
    return opened(servers.address, **CLUSTER)


def other_than(servers: ClusterServers, server: RedisServer) -> RedisServer:
    return next(each for each in servers.primaries() if each is not server)


@pytest.mark.parametrize("strong", [True, False], ids=["strong", "eventual"])
async def test_a_killed_primary_is_replaced_under_load(servers: ClusterServers, strong: bool) -> None:
    """Its keys are written again within ten seconds, none twice; strong writes are kept, others as far as replicas had
    them.
    """
    async with opened(servers.address, **CLUSTER) as store:
        for number in range(ROUNDS):
            await survives(
                store,
                KEYS,
                lambda load, number=number: servers.fail_over(load.writers[number % len(KEYS)].key),
                servers.bring_back,
                strong=strong,
            )


async def test_slots_that_move_under_load_lose_nothing(servers: ClusterServers) -> None:
    """Back and forth, with their keys; no write fails, happens twice, or is another's."""
    async with opened(servers.address, **CLUSTER) as store:
        async with Load(store, KEYS, strong=False) as load:
            for _ in range(2 * ROUNDS):
                for writer in load.writers:
                    owner = await asyncio.to_thread(servers.owner, writer.key)
                    await asyncio.to_thread(servers.move, slot_of(writer.key), other_than(servers, owner))
                await load.goes_on()
        lost = await load.lost()

    assert (load.reasons(), load.foreign, lost) == (set(), [], [])


@pytest.fixture
def half_moved(servers: ClusterServers) -> Iterator[tuple[str, RedisServer, RedisServer]]:
    """A tag whose slot is on its way from one node to another: of its keys `there` is moved and `here` is not."""
    source = servers.owner("{tag}")
    with source.client() as client:
        client.set("{tag}foreign", b"v")
        for key in ("{tag}here", "{tag}there"):
            client.hset(key, mapping={"data": "v", "version": 1})
        client.expire("{tag}here", 1000)
    target = other_than(servers, source)
    servers.begin_to_move(slot_of("{tag}"), source, target)
    servers.move_keys(slot_of("{tag}"), source, target, "{tag}there")
    yield "{tag}", source, target
    servers.move_keys(slot_of("{tag}"), source, target)
    servers.end_move(slot_of("{tag}"), target)


Half = tuple[str, "RedisServer", "RedisServer"]


async def test_each_key_of_a_slot_that_moves_is_served_where_it_is(half_moved: Half, servers: ClusterServers) -> None:
    """Reads, writes, guarded writes, deletes, of keys that are here, there, and nowhere yet; beside other slots."""
    tag, _, _ = half_moved
    async with opened(servers.address, **CLUSTER) as store:
        first = await store.get([f"{tag}here", f"{tag}there", f"{tag}new", "other"])
        outcomes = await store.write([
            Upsert(f"{tag}here", b"w", etag="1"),
            Upsert(f"{tag}there", b"w", etag="1", ttl=1000),
            Upsert(f"{tag}new", b"w", first_write=True),
            Upsert("other", b"w"),
            Upsert(f"{tag}there", b"x", etag="7"),
            Delete(f"{tag}nobody", etag="1"),
        ])  # fmt: skip
        second = await store.get([f"{tag}here", f"{tag}there", f"{tag}new", "other"])

    assert values(first) == [b"v", b"v", None, None]
    assert outcomes[:4] == [None] * 4
    assert f"state etag not match for key={tag}there: current=2, expect=7" in str(outcomes[4])
    assert f"state not exist or expired for key={tag}nobody" in str(outcomes[5])
    assert values(second) == [b"w"] * 4
    assert [getattr(row, "etag", None) for row in second] == ["2", "2", "1", "1"]


async def test_what_deletes_and_writes_a_key_of_a_slot_that_moves_does_both(
    half_moved: Half, servers: ClusterServers
) -> None:
    """A script finds a key that it has deleted nowhere: the write goes behind it, to where the key is to be."""
    tag, _, _ = half_moved
    async with opened(servers.address, **CLUSTER) as store:
        outcomes = await store.write([Delete(f"{tag}here"), Upsert(f"{tag}here", b"new"), Upsert(f"{tag}here", b"x")])

        assert outcomes == [None] * 3
        assert await store.get([f"{tag}here"]) == [StoredValue(b"x", "2")]


@pytest.mark.parametrize("key", ["here", "foreign"])
async def test_a_transaction_that_deletes_and_writes_is_whole_while_its_slot_moves(
    half_moved: Half, servers: ClusterServers, key: str
) -> None:
    """Refused before its first write: a row of another type is deleted before it is written, too."""
    tag, _, _ = half_moved
    operations = (
        [Delete(f"{tag}here"), Upsert(f"{tag}here", b"1")] if key == "here" else [Upsert(f"{tag}foreign", b"1")]
    )
    async with opened(servers.address, **CLUSTER, redisMaxRetries="-1") as store:
        with pytest.raises(StoreError, match="TRYAGAIN the slot of the key is moving"):
            await store.transact(operations)

        assert values(await store.get([tag + key])) == [b"v"]


async def test_a_transaction_waits_for_its_slot_to_have_moved(half_moved: Half, servers: ClusterServers) -> None:
    """Some of its keys are here and some there: it is done when they are together again."""
    tag, source, target = half_moved
    async with opened(servers.address, **CLUSTER, redisMaxRetries="20") as store:
        waiting = asyncio.ensure_future(store.transact([Upsert(f"{tag}here", b"1"), Upsert(f"{tag}there", b"1")]))
        await eventually(lambda: "TRYAGAIN" in errors_of(source))
        servers.move_keys(slot_of(tag), source, target)
        servers.end_move(slot_of(tag), target)
        await waiting

        assert values(await store.get([f"{tag}here", f"{tag}there"])) == [b"1", b"1"]


async def test_a_transaction_of_keys_that_are_there_or_nowhere_yet_is_done_there(
    half_moved: Half, servers: ClusterServers
) -> None:
    """In one piece."""
    tag, _, target = half_moved
    async with opened(servers.address, **CLUSTER) as store:
        await store.transact([Upsert(f"{tag}there", b"1"), Upsert(f"{tag}there", b"2")])
        await store.transact([Delete(f"{tag}new"), Upsert(f"{tag}new", b"1")])
        read = await store.get([f"{tag}there", f"{tag}new"])
        with target.client() as client:
            kept = client.execute_command("CLUSTER COUNTKEYSINSLOT", slot_of(tag))

    assert values(read) == [b"2", b"1"]
    assert kept == 2


async def test_a_strong_write_waits_for_the_replicas_of_the_node_that_a_slot_moves_to(
    half_moved: Half, servers: ClusterServers
) -> None:
    """Saves and transactions; what is not strong does not wait."""
    tag, _, target = half_moved
    async with opened(servers.address, **CLUSTER) as store:
        await store.write([Upsert(f"{tag}there", b"0", strong=True)])  # both connections are there
        before = calls(target, "wait")
        await store.write([Upsert(f"{tag}there", b"1", strong=True)])
        await store.transact([Upsert(f"{tag}there", b"2", strong=True)])
        await store.write([Upsert(f"{tag}there", b"3")])

        assert calls(target, "wait") - before == 2
        assert values(await store.get([f"{tag}there"])) == [b"3"]


def errors_of(server: RedisServer) -> str:
    with server.client() as client:
        return str(client.info("errorstats"))


async def test_a_slot_that_has_moved_is_followed_at_once(servers: ClusterServers, store: RedisStore) -> None:
    """By whatever is asked next: it is passed on, and the others of its slot go there directly."""
    calls = {
        "read": lambda key: store.get([key]),
        "write": lambda key: store.write([Upsert(key, b"w")]),
        "transact": lambda key: store.transact([Upsert(key, b"w")]),
    }
    for name, call in calls.items():
        key = f"key-{name}"
        await store.write([Upsert(key, b"v")])
        await asyncio.to_thread(servers.move, slot_of(key), other_than(servers, servers.owner(key)))
        await call(key)

        assert values(await store.get([key])) == [b"v" if name == "read" else b"w"], name


async def test_a_dead_node_fails_what_is_on_it_and_nothing_else(servers: ClusterServers) -> None:
    """In one bulk request of all nodes, each key has its outcome."""
    async with opened(servers.address, **CLUSTER, redisMaxRetries="-1", redisMinRetryInterval="20ms") as store:
        await store.write([Upsert(key, b"v") for key in KEYS])
        dead = servers.owner(KEYS[0])
        there = [servers.owner(key) is dead for key in KEYS]
        dead.kill()
        await eventually(lambda: "down" in repr(store))
        outcomes = await store.write([Upsert(key, b"w") for key in KEYS])
        rows = await store.get(KEYS)
        await asyncio.to_thread(servers.replaced, KEYS[0])
        await asyncio.to_thread(servers.bring_back, dead)

    assert True in there
    assert False in there
    assert [isinstance(outcome, StoreError) for outcome in outcomes] == there
    assert [isinstance(row, StoreError) for row in rows] == there
    assert all("error connecting to redis" in str(outcome) for outcome in outcomes if outcome)


async def test_a_write_that_was_sent_to_a_node_that_died_is_an_error_and_a_read_is_asked_again(
    servers: ClusterServers,
) -> None:
    """The write may have happened, once; nobody sends it again. The read is answered by the node's successor."""
    async with opened(servers.address, **CLUSTER, redisMaxRetries="30", dialTimeout="15s") as store:
        await store.write([Upsert("k", b"v", strong=True)])
        dead = servers.owner("k")
        dead.pause()
        read = asyncio.ensure_future(store.get(["k"]))
        save = asyncio.ensure_future(store.write([Upsert("k", b"w")]))
        await eventually(lambda: "2 waiting" in repr(store))
        dead.kill()
        with pytest.raises(ConnectionLost):
            await save
        found = await read
        await asyncio.to_thread(servers.bring_back, dead)

        assert found == [StoredValue(b"v", "1")]
        assert await store.get(["k"]) == [StoredValue(b"v", "1")]


@pytest.mark.parametrize("kind", [NotConnected, NotHere])
async def test_of_one_request_the_last_write_of_a_key_stays_though_an_earlier_one_is_asked_again(
    servers: ClusterServers, monkeypatch: pytest.MonkeyPatch, kind: type[StoreError]
) -> None:
    """A request of more than one run, whose first one is not done, once; the keys beside are written in any case."""
    write, refusals = Node.write, [kind("not now")]

    async def not_at_first(node: Node, operations: Sequence[Operation]) -> Outcomes:
        if not refusals:
            return await write(node, operations)
        refusal = refusals.pop()
        if isinstance(refusal, NotConnected):
            raise refusal
        return [refusal] * len(operations)

    async with opened(servers.address, **CLUSTER) as store:
        monkeypatch.setattr(Node, "write", not_at_first)
        between = [Upsert(f"{{t}}{number}", b"v") for number in range(OPERATIONS_AT_ONCE)]
        outcomes = await store.write([Upsert("{t}k", b"first"), *between, Upsert("{t}k", b"last")])

        assert outcomes == [None] * (OPERATIONS_AT_ONCE + 2)
        assert values(await store.get(["{t}k", "{t}0"])) == [b"last", b"v"]


async def test_a_primary_that_is_deaf_is_replaced_and_not_written_to(servers: ClusterServers) -> None:
    """Calls wait as long as the component allows, then they fail; once it has a successor they go there."""
    async with opened(servers.address, **CLUSTER, readTimeout="500ms") as store:
        await store.write([Upsert("deaf", b"v", strong=True)])
        old = servers.owner("deaf")
        old.pause()
        async with asyncio.timeout(15):
            while await outcome_of(store, Upsert("deaf", b"w")) is not None:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)
        old.resume()
        await asyncio.to_thread(servers.whole)

        assert values(await store.get(["deaf"])) == [b"w"]
        assert servers.owner("deaf") is not old


async def outcome_of(store: RedisStore, operation: Upsert) -> StoreError | None:
    try:
        (outcome,) = await store.write([operation])
    except StoreError as error:
        return error
    return outcome


async def test_a_list_that_slots_move_past_begins_anew(servers: ClusterServers, store: RedisStore) -> None:
    """A key that went from a node that was to come to one that was read already is not passed over."""
    keys = [f"list-{number}" for number in range(30)]
    await store.write([Upsert(key, b"v") for key in keys])
    page = await store.list("list-", limit=1000)
    seen = [entry.key for entry in page.entries]
    first = servers.owner(seen[0])
    late = [key for key in keys if key not in seen]
    for key in late[:3]:
        await asyncio.to_thread(servers.move, slot_of(key), first)
    while page.after:
        page = await store.list("list-", after=page.after, limit=1000)
        seen += [entry.key for entry in page.entries]

    assert set(seen) == set(keys)


async def test_what_a_tick_asks_is_one_batch_for_each_node(servers: ClusterServers, store: RedisStore) -> None:
    """The reads of all callers are one, and their writes another; and each node has one connection of ours."""
    keys = [f"bulk-{number}" for number in range(60)]  # of each node fewer than are read at one time at first
    await store.write([Upsert(key, b"v") for key in keys])  # the nodes know the script
    before = [batches(server) for server in servers.primaries()]
    halves = [store.get(keys[:30]), store.get(keys[30:])]
    writes = [store.write([Upsert(key, b"w") for key in keys[start::2]]) for start in range(2)]
    await asyncio.gather(*halves, *writes)
    after = [batches(server) for server in servers.primaries()]

    assert [now - then for now, then in zip(after, before, strict=True)] == [2] * 3
    assert [ours(server) for server in servers.primaries()] == [1] * 3


def batches(server: RedisServer) -> int:
    """Each ends with a mark."""
    return calls(server, "echo")


def calls(server: RedisServer, command: str) -> int:
    with server.client() as client:
        return int(client.info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0))


def ours(server: RedisServer) -> int:
    """Connections whose last command was a mark."""
    with server.client() as client:
        return sum(each["cmd"] == "echo" for each in client.client_list())


async def test_a_storm_of_redirections_is_few_looks_at_the_topology(servers: ClusterServers, store: RedisStore) -> None:
    """There is a floor between two of them, however many keys are elsewhere."""
    keys = [f"storm-{number}" for number in range(40)]
    await store.write([Upsert(key, b"v") for key in keys])
    target = servers.primaries()[0]
    before = looks(servers)
    for key in keys[:12]:
        await asyncio.to_thread(servers.move, slot_of(key), target)
        await asyncio.gather(*(store.get([key]) for _ in range(100)))

    assert values(await store.get(keys)) == [b"v"] * 40
    assert looks(servers) - before < 60


async def test_many_lists_that_end_are_few_looks_at_the_topology(servers: ClusterServers, store: RedisStore) -> None:
    """Those that end while somebody looks have the next look together."""
    await store.write([Upsert("lists-k", b"v")])
    before = looks(servers)
    await asyncio.gather(*(_all_of(store, "lists-") for _ in range(100)))

    assert looks(servers) - before < 60


async def _all_of(store: RedisStore, prefix: str) -> None:
    after = None
    while after != "":
        after = (await store.list(prefix, after=after or "", limit=1000)).after


def looks(servers: ClusterServers) -> int:
    return sum(calls(server, "cluster|slots") for server in servers.servers)


async def test_one_living_node_of_those_that_are_named_is_enough(servers: ClusterServers) -> None:
    """The others are found through it; a replica is as good as any."""
    replica = next(each for each in servers.servers if each not in servers.primaries())
    async with opened(f"127.0.0.1:{free_port()},{replica.address}", **CLUSTER) as store:
        assert await store.write([Upsert(key, b"v") for key in KEYS]) == [None] * len(KEYS)


async def test_nodes_may_have_a_password(servers: ClusterServers) -> None:
    """All have the same: those that are found through the first too. A wrong one is told at once."""
    for server in servers.servers:
        with server.client() as client:
            client.config_set("masterauth", "hush")
            client.config_set("requirepass", "hush")
    try:
        async with opened(servers.address, **CLUSTER, redisPassword="hush") as store:
            outcomes = await store.write([Upsert(key, b"v") for key in KEYS])
        wrong = create(servers.address, **CLUSTER, redisPassword="wrong")
        with pytest.raises(StoreError, match="WRONGPASS"):
            await wrong.open()
    finally:
        for server in servers.servers:
            with server.client(password="hush") as client:
                client.config_set("requirepass", "")

    assert outcomes == [None] * len(KEYS)


async def test_what_is_no_cluster_says_so(redis_server: RedisServer) -> None:
    """And nobody at all is the reason that a single server gives."""
    alone = create(redis_server.address, **CLUSTER)
    with pytest.raises(StoreError, match=r"ERR This instance has cluster support disabled$"):
        await alone.open()
    address = f"127.0.0.1:{free_port()}"
    nobody = create(address, **CLUSTER, redisMaxRetries="-1")
    with pytest.raises(StoreError) as refused:
        await nobody.open()

    assert str(refused.value) == (
        f"redis store: error connecting to redis at {address}: dial tcp {address}: connect: connection refused"
    )
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("key", [*ODD.values(), NOT_UTF_8, "{}a", "a{b}c", "{{b}}", "}{", "{a", "{}{b}", ""])
def test_the_slot_of_a_key_is_that_of_the_cluster(key: str) -> None:
    """Of its first braces that hold something."""
    assert slot_of(key) == key_slot(key.encode(errors="surrogateescape"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MOVED 3999 127.0.0.1:6381", Elsewhere("127.0.0.1:6381")),
        ("ASK 3999 ::1:6381", Elsewhere("[::1]:6381", is_for_once=True)),  # as the topology has it
        ("MOVED 3999 :6381", Elsewhere()),
        ("ASK 3999 [::1]:6381", Elsewhere("[::1]:6381", is_for_once=True)),
        ("TRYAGAIN Multiple keys request during rehashing of slot", Elsewhere()),
        ("CLUSTERDOWN The cluster is down", Elsewhere()),
        ("NOPERM this user has no permissions", None),
        ("failed to set key MOVED 1 h:1: OOM", None),
    ],
)
def test_an_error_says_where_else_to_ask(text: str, expected: Elsewhere | None) -> None:
    """Only those that begin with the words of the protocol, whatever a key is called."""
    assert elsewhere(StoreError(text)) == expected
