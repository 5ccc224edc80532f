"""Which store promises what, and a fixture for each: a new store is one line and one fixture here."""

from __future__ import annotations

import json
import uuid
from functools import partial
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from dapr_state.clock import ManualClock, VisibleClock
from dapr_state.resiliency.breaker import Breaker
from dapr_state.resiliency.guard import Guard
from dapr_state.resiliency.policies import BreakerRule, Chosen, Named, Retry
from dapr_state.resources.component import Component
from dapr_state.resources.properties import Properties
from dapr_state.stores import registry
from dapr_state.stores.base import Entry, Page, StateStore, StoreError
from dapr_state.stores.encrypted import EncryptedStore
from dapr_state.stores.encryption import Key
from dapr_state.stores.memory import MemoryStore
from dapr_state.stores.model import Feature
from dapr_state.stores.resilient import ResilientStore
from dapr_state.stores.watched import WatchedStore
from dapr_state.stores.wrapper import Wrapper
from dapr_state.testing.stores import Ability, Declaration, Place, kind, over  # noqa: F401 - a fixture
from dapr_state.testmode.faults import Faults
from dapr_state.testmode.store import FaultyStore
from dapr_state.testmode.timekeeper import Timekeeper
from tests.support.pluggable import PluggableComponent
from tests.support.redis import RedisServer
from tests.support.redis_groups import MASTER, ClusterServers, Group
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from dapr_state.stores.base import Found, Outcomes
    from dapr_state.stores.model import Operation
    from tests.support.postgresql import PostgresServer

UUID = "00000000-0000-4000-8000-000000000000"
VERSION = "999999999"
XMIN = "2"  # of no transaction
E, T, L, P, Q = Feature.ETAG, Feature.TRANSACTIONAL, Feature.TTL, Feature.LIST, Feature.QUERY
S, U = Feature.ORDER, Feature.TOUCH
SQL = frozenset({Ability.DURABLE})
TEXTS = frozenset({Ability.NUL_KEY, Ability.JSON_AS_TEXT})
pytest_generate_tests = over(
    Declaration("memory", (E, T, L, P, S, U, Q), TEXTS | {Ability.ANY_KEY}, UUID),
    Declaration("resilient", (E, T, L, P, S, U, Q), TEXTS | {Ability.ANY_KEY}, UUID),
    Declaration("encrypted", (E, T, L, P, S, U), TEXTS | {Ability.ANY_KEY}, UUID),
    Declaration("watched", (E, T, L, P, S, U, Q), TEXTS | {Ability.ANY_KEY}, UUID),
    Declaration("sqlite_file", (E, T, L, P, S, U, Q), TEXTS | SQL, UUID),
    Declaration("sqlite_no_wal", (E, T, L, P, S, U, Q), TEXTS | SQL, UUID),
    Declaration("sqlite_memory", (E, T, L, P, S, U, Q), TEXTS, UUID),
    Declaration("postgresql_v1", (E, T, L, P, S, Q), SQL, XMIN),
    Declaration("postgresql_v2", (E, T, L, P, S, Q, U), SQL | {Ability.JSON_AS_TEXT}, UUID),
    Declaration("pluggable", (E, T, L), TEXTS | {Ability.DURABLE}, UUID),
    Declaration("redis", (E, T, L, P, U, Q), TEXTS | {Ability.DURABLE, Ability.ANY_KEY}, VERSION),
    Declaration("redis_timed_here", (E, T, L, P, U, Q), TEXTS | {Ability.DURABLE, Ability.ANY_KEY}, VERSION),
    Declaration("redis_replicated", (E, T, L, P, U, Q), TEXTS | {Ability.DURABLE, Ability.ANY_KEY}, VERSION),
    Declaration("redis_sentinel", (E, T, L, P, U, Q), TEXTS | {Ability.DURABLE, Ability.ANY_KEY}, VERSION),
    Declaration(
        "redis_cluster", (E, T, L, P, U, Q), TEXTS | {Ability.DURABLE, Ability.ANY_KEY, Ability.SLOTS}, VERSION
    ),
    Declaration("redis_one_slot", (E, T, L, P, U, Q), TEXTS | {Ability.DURABLE, Ability.ANY_KEY}, VERSION),
)

# of the paths that the tests of queries ask for, but for some
INDEXES = json.dumps([{"name": "own", "indexes": [{"key": key, "type": "any"} for key in ("a", "b", "a.b", "b.c.a")]}])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What runs over all nodes of the cluster need not run over one slot of it."""
    names = {item.nodeid for item in items}
    items[:] = [
        item
        for item in items
        if "redis_one_slot" not in item.nodeid or item.nodeid.replace("redis_one_slot", "redis_cluster") not in names
    ]


REDIS_DB = 7  # the contract's own: it is emptied before each test


def create(name: str, **properties: str) -> StateStore:
    return registry.create(Component("store", name, "v1", Properties(properties)))


@pytest.fixture
def memory() -> Place:
    clock = ManualClock()
    return Place(lambda: MemoryStore(clock), lambda: None, clock.advance)


@pytest.fixture
def encrypted() -> Place:
    """What a wrapper forwards keeps the contract too."""
    clock = ManualClock()
    keys = [Key("k1", bytes(32))]
    return Place(lambda: EncryptedStore(MemoryStore(clock), "store", keys), lambda: None, clock.advance)


@pytest.fixture
def resilient() -> Place:
    """Nothing of the contract is lost under policies; nor is more of it asked for when nothing fails."""
    clock = ManualClock()
    chosen = Chosen(Named("t", 60.0), Named("r", Retry(max_retries=3)), Named("b", BreakerRule()))
    guard = Guard("component[store] output", chosen, Breaker("b-store", BreakerRule(), clock.monotonic))
    return Place(lambda: ResilientStore(MemoryStore(clock), guard), lambda: None, clock.advance)


@pytest.fixture
def watched() -> Place:
    """Who is told of the writes changes nothing for those who write."""
    clock = ManualClock()
    return Place(lambda: WatchedStore(MemoryStore(clock), lambda *_: None), lambda: None, clock.advance)


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Place:
    return _sqlite(tmp_path / "state.db")


@pytest.fixture
def sqlite_no_wal(tmp_path: Path) -> Place:
    """Readers and writers wait for each other; and there are indexes for queries."""
    return _sqlite(tmp_path / "state.db", disableWAL="true", queryIndexes=INDEXES)


def _sqlite(file: Path, **properties: str) -> Place:
    def wipe() -> None:
        for path in file.parent.glob(file.name + "*"):
            path.unlink()

    return Place(lambda: create("state.sqlite", connectionString=str(file), **properties), wipe)


@pytest.fixture
def sqlite_memory() -> Place:
    return Place(lambda: create("state.sqlite", connectionString=":memory:"), lambda: None)


@pytest.fixture
def postgresql_v1(postgres_server: PostgresServer) -> Place:
    return _postgresql(postgres_server, "contract_v1", "v1")


@pytest.fixture
def postgresql_v2(postgres_server: PostgresServer) -> Place:
    return _postgresql(postgres_server, "contract_v2", "v2")


def _postgresql(server: PostgresServer, database: str, version: str) -> Place:
    properties = Properties({"connectionString": server.url(database), "queryIndexes": INDEXES})
    component = Component("store", "state.postgresql", version, properties)
    return Place(lambda: registry.create(component), lambda: server.empty(database))


@pytest.fixture(scope="session")
def component_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PluggableComponent]:
    with PluggableComponent(tmp_path_factory.mktemp("pluggable")) as process:
        yield process


@pytest.fixture
def pluggable(component_process: PluggableComponent, monkeypatch: pytest.MonkeyPatch) -> Place:
    """One process for all: what was is another instance's."""
    for name, value in component_process.environment.items():
        monkeypatch.setenv(name, value)
    instances = [uuid.uuid4()]
    return Place(
        lambda: registry.create(Component(str(instances[-1]), "state.plugged")), lambda: instances.append(uuid.uuid4())
    )


@pytest.fixture
def redis(redis_server: RedisServer) -> Place:
    return Place(partial(_redis, redis_server), partial(_flush, redis_server))


@pytest.fixture
def redis_timed_here(redis_server: RedisServer) -> Place:
    """As a test has it: the ends of values are kept beside it, by a clock that is moved; and no fault is put in."""
    clock = VisibleClock()

    def make() -> StateStore:
        return FaultyStore(Timekeeper(_redis(redis_server), clock, "timed||"), Faults(), "store", ("app||",))

    return Place(make, partial(_flush, redis_server), clock.move)


@pytest.fixture(scope="session")
def redis_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server with a replica that keeps in step."""
    folder = tmp_path_factory.mktemp("redis-pair")
    with (
        RedisServer(folder, repl_diskless_sync_delay="0") as primary,
        RedisServer(folder, replicaof=f"127.0.0.1 {primary.port}", dbfilename="replica.rdb"),
        primary.client() as client,
    ):
        until(lambda: client.info("replication").get("slave0", {}).get("state") == "online")
        yield primary


@pytest.fixture
def redis_replicated(redis_pair: RedisServer) -> Place:
    """Every write waits for the replica."""
    return Place(lambda: Strong(_redis(redis_pair)), partial(_flush, redis_pair))


@pytest.fixture
def redis_sentinel(redis_group: Group) -> Place:
    """The master is found by its sentinels."""
    found = {"redisHost": redis_group.address, "failover": "true", "sentinelMasterName": MASTER}
    return Place(lambda: create("state.redis", **found, redisDB=str(REDIS_DB)), lambda: _flush(redis_group.master()))


@pytest.fixture
def redis_cluster(redis_cluster_servers: ClusterServers) -> Place:
    """Keys are on three nodes."""
    return Place(
        lambda: create("state.redis", redisHost=redis_cluster_servers.address, redisType="cluster"),
        redis_cluster_servers.wipe,
    )


@pytest.fixture
def redis_one_slot(redis_cluster: Place) -> Place:
    """The same, where all keys carry one tag: so transactions may have any of them."""
    return Place(lambda: Tagged(redis_cluster.make()), redis_cluster.wipe)


def _redis(server: RedisServer) -> StateStore:
    return create("state.redis", redisHost=server.address, redisDB=str(REDIS_DB))


def _flush(server: RedisServer) -> None:
    with server.client(db=REDIS_DB) as client:
        client.flushdb()


class Strong(Wrapper):
    async def write(self, operations: Sequence[Operation]) -> Outcomes:
        return await super().write([replace(operation, strong=True) for operation in operations])

    async def transact(self, operations: Sequence[Operation]) -> None:
        await super().transact([replace(operation, strong=True) for operation in operations])


class Tagged(Wrapper):
    """Behind each key stands the same tag; errors are told without it."""

    TAG = "{t}"

    async def get(self, keys: Sequence[str]) -> Found:
        return await super().get([key + self.TAG for key in keys])

    async def write(self, operations: Sequence[Operation]) -> Outcomes:
        outcomes = await super().write([self._tagged(operation) for operation in operations])
        return [error and self._untagged(error) for error in outcomes]

    async def transact(self, operations: Sequence[Operation]) -> None:
        try:
            await super().transact([self._tagged(operation) for operation in operations])
        except StoreError as error:
            raise self._untagged(error) from None

    async def list(self, prefix: str, *, after: str = "", limit: int) -> Page:
        page = await super().list(prefix, after=after, limit=limit)
        return Page([Entry(entry.key.removesuffix(self.TAG), entry.row) for entry in page.entries], page.after)

    async def touch(self, key: str, ttl: int | None, *, etag: str = "") -> None:
        try:
            await super().touch(key + self.TAG, ttl, etag=etag)
        except StoreError as error:
            raise self._untagged(error) from None

    keys = StateStore.keys
    count = StateStore.count
    remove = StateStore.remove
    candidates = StateStore.candidates
    query = StateStore.query

    def _tagged(self, operation: Operation) -> Operation:
        return replace(operation, key=operation.key + self.TAG)

    def _untagged(self, error: StoreError) -> StoreError:
        error.args = (str(error).replace(self.TAG, ""),)
        return error
