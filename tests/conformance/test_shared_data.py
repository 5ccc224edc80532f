"""Our sidecar and daprd at work on the same database: each reads, updates and deletes what the other wrote."""

from __future__ import annotations

import json
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support.client import FIRST_WRITE, Client, item
from tests.support.components import component
from tests.support.redis_groups import MASTER
from tests.support.sidecar import Daprd, Sidecar
from tests.support.stores import on_postgresql
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.postgresql import PostgresServer
    from tests.support.redis import RedisServer
    from tests.support.redis_groups import ClusterServers, Group

pytestmark = pytest.mark.oracle

STORES = ("redis", "sentinel", "cluster", "lite", "pg1", "pg2")
REDIS = ("redis", "sentinel", "cluster")  # daprd tells no expiry there
TURNS = 30
SHARED_REDIS = 3  # a database of the server that no other test uses


class Pair(NamedTuple):
    writer: Client
    other: Client


@pytest.fixture(scope="module")
def components(
    tmp_path_factory: pytest.TempPathFactory,
    redis_server: RedisServer,
    redis_group: Group,
    redis_cluster_servers: ClusterServers,
    postgres_server: PostgresServer,
) -> list[dict[str, object]]:
    folder = tmp_path_factory.mktemp("database")
    return [
        *on_postgresql(postgres_server, "shared_data"),
        component("redis", "state.redis", redisHost=redis_server.address, redisDB=str(SHARED_REDIS)),
        component("sentinel", "state.redis", redisHost=redis_group.address, failover="true", sentinelMasterName=MASTER),
        component("cluster", "state.redis", redisHost=redis_cluster_servers.address, redisType="cluster"),
        component("lite", "state.sqlite", connectionString=str(folder / "shared.db")),
    ]


@pytest.fixture(scope="module")
def clients(
    tmp_path_factory: pytest.TempPathFactory, components: list[dict[str, object]], daprd_binary: Path
) -> Iterator[tuple[Client, Client]]:
    folder = tmp_path_factory.mktemp("shared")
    with (
        Sidecar(folder, components) as ours,
        Daprd(daprd_binary, folder, components) as theirs,
        ours.client() as first,
        theirs.client() as second,
    ):
        yield first, second


@pytest.fixture(params=["we write", "daprd writes"])
def pair(request: pytest.FixtureRequest, clients: tuple[Client, Client]) -> Pair:
    """Both directions: the one that writes first, and the one that comes upon it."""
    first, second = clients
    return Pair(first, second) if request.param == "we write" else Pair(second, first)


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key of the test's own."""
    return str(request.node.name)


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("value", [b"text", b"", b"\x00\xff\xfe", b'{"a": [1, 2]}', b"x" * 2**20], ids=range(5))
def test_bytes_are_read_by_the_other(value: bytes, store: str, pair: Pair, key: str) -> None:
    """A value of any bytes comes back as it was written, with the same etag on both."""
    saved = pair.writer.save(store, item(key, value))
    if store == "pg2" and not value and not saved.ok:
        assert "null value" in saved.message  # daprd takes no empty value there: state-stores.md 8.12
        return
    written, read = pair.writer.get(store, key), pair.other.get(store, key)

    assert read.response.get("data", b"") == value
    assert read == written


@pytest.mark.parametrize("store", STORES)
def test_json_is_read_by_the_other(store: str, pair: Pair, key: str) -> None:
    """A value that was declared to be JSON comes back as JSON of the same meaning."""
    assert pair.writer.save(
        store, item(key, b'{"a":[1,true,"\xc3\xa9"]}', metadata={"contentType": "application/json"})
    ).ok

    assert json.loads(pair.other.get(store, key).response["data"]) == {"a": [1, True, "\u00e9"]}


@pytest.mark.parametrize("store", STORES)
def test_the_other_updates_with_the_etag(store: str, pair: Pair, key: str) -> None:
    """The etag that one gave out is good for the other's update, once."""
    pair.writer.save(store, item(key, b"1"))
    etag = pair.writer.get(store, key).response["etag"]
    updated = pair.other.save(store, item(key, b"2", etag=etag))
    stale = [client.save(store, item(key, b"3", etag=etag)).code for client in pair]
    found = pair.writer.get(store, key)
    back = pair.writer.save(store, item(key, b"4", etag=found.response["etag"]))

    assert updated.ok
    assert stale == ["ABORTED", "ABORTED"]
    assert found.response["data"] == b"2"
    assert back.ok
    assert pair.other.get(store, key).response["data"] == b"4"


@pytest.mark.parametrize("store", STORES)
def test_the_other_deletes_with_the_etag(store: str, pair: Pair, key: str) -> None:
    """A wrong etag deletes nothing, the right one deletes for both."""
    pair.writer.save(store, item(key, b"1"))
    refused = pair.other.delete(store, key, etag="999")
    kept = pair.writer.get(store, key)
    deleted = pair.other.delete(store, key, etag=kept.response["etag"])

    assert refused.code == "ABORTED"
    assert kept.response["data"] == b"1"
    assert deleted.ok
    assert [client.get(store, key).response for client in pair] == [{}, {}]


@pytest.mark.parametrize("store", STORES)
def test_transactions_are_seen_by_the_other(store: str, pair: Pair, key: str) -> None:
    """What a transaction wrote and deleted is so for both; braces put the keys together where there are slots."""
    pair.writer.save(store, item(f"{{{key}}}-old", b"0"))
    done = pair.other.transact(store, ("upsert", item(f"{{{key}}}-new", b"1")), ("delete", item(f"{{{key}}}-old")))
    found = pair.writer.bulk_get(store, f"{{{key}}}-new", f"{{{key}}}-old").response["items"]

    assert done.ok
    assert {entry["key"].rpartition("-")[2]: entry.get("data") for entry in found} == {"new": b"1", "old": None}


def _is_gone(client: Client, store: str, key: str) -> bool:
    return client.get(store, key).response == {}


@pytest.mark.parametrize("store", STORES)
def test_a_ttl_of_one_is_kept_by_the_other(store: str, pair: Pair, key: str) -> None:
    """The value is there for both until its time is over, and then for neither."""
    began = time.time()
    pair.writer.save(store, item(key, b"v", metadata={"ttlInSeconds": "2"}))
    both = [client.get(store, key).response.get("data") for client in pair]
    for client in pair:
        until(partial(_is_gone, client, store, key))

    assert both == [b"v", b"v"]
    assert time.time() - began > 1  # SQLite counts in whole seconds


@pytest.mark.parametrize("store", STORES)
def test_the_other_clears_a_ttl(store: str, pair: Pair, redis_server: RedisServer, key: str) -> None:
    """An explicit -1 takes the TTL away, whoever set it."""
    pair.writer.save(store, item(key, b"v", metadata={"ttlInSeconds": "1000"}))
    pair.other.save(store, item(key, b"w", metadata={"ttlInSeconds": "-1"}))
    found = pair.writer.get(store, key)

    assert found.response["data"] == b"w"
    assert "metadata" not in found.response
    if store == "redis":
        with redis_server.client(db=SHARED_REDIS) as redis:
            assert redis.ttl(f"app||{key}") == -1


@pytest.mark.parametrize("store", [store for store in STORES if store not in REDIS])
def test_both_tell_the_same_time_of_expiry(store: str, pair: Pair, key: str) -> None:
    """ttlExpireTime is the same from both on SQL stores, and is when it should be."""
    expected = time.time() + 1000
    pair.writer.save(store, item(key, b"v", metadata={"ttlInSeconds": "1000"}))
    told = [client.get(store, key).response["metadata"]["ttlExpireTime"] for client in pair]
    moment = datetime.strptime(told[0], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()

    assert told[0] == told[1]
    assert abs(moment - expected) < 5


def test_we_tell_the_time_of_expiry_that_daprd_set_on_redis(clients: tuple[Client, Client], key: str) -> None:
    """daprd itself never tells it on Redis."""
    ours, theirs = clients
    expected = time.time() + 1000
    theirs.save("redis", item(key, b"v", metadata={"ttlInSeconds": "1000"}))
    told = ours.get("redis", key).response["metadata"]["ttlExpireTime"]
    moment = datetime.strptime(told, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()

    assert abs(moment - expected) < 5


@pytest.mark.parametrize("store", STORES)
def test_first_write_is_first_for_both(store: str, clients: tuple[Client, Client], key: str) -> None:
    """What daprd wrote first, first-write does not overwrite."""
    ours, theirs = clients
    theirs.save(store, item(key, b"1", options=FIRST_WRITE))
    refused = ours.save(store, item(key, b"2", options=FIRST_WRITE))

    assert refused.code == "ABORTED"
    assert theirs.get(store, key).response["data"] == b"1"


@pytest.mark.parametrize("store", STORES)
def test_deleting_frees_a_first_write_for_both(store: str, pair: Pair, key: str) -> None:
    """After a delete the key may be written first again, by either."""
    pair.writer.save(store, item(key, b"1", options=FIRST_WRITE))
    deleted = pair.other.delete(store, key)
    again = pair.other.save(store, item(key, b"2", options=FIRST_WRITE))

    assert deleted.ok
    assert again.ok
    assert pair.writer.get(store, key).response["data"] == b"2"


def _count(client: Client, store: str, key: str) -> None:
    done = 0
    while done < TURNS:
        read = client.get(store, key).response
        reply = client.save(store, item(key, str(int(read["data"]) + 1).encode(), etag=read["etag"]))
        assert reply.code in {"OK", "ABORTED"}, reply
        done += reply.ok


@pytest.mark.parametrize("store", STORES)
def test_both_at_once_lose_no_update(store: str, clients: tuple[Client, Client], key: str) -> None:
    """Each adds one, thirty times, guarded by the etag that it read."""
    ours, theirs = clients
    ours.save(store, item(key, b"0"))
    with ThreadPoolExecutor(2) as pool:
        for counted in [pool.submit(_count, client, store, key) for client in clients]:
            counted.result()

    assert theirs.get(store, key).response["data"] == str(2 * TURNS).encode()


def test_a_hash_has_the_fields_that_daprd_gives_it(
    clients: tuple[Client, Client], redis_server: RedisServer, key: str
) -> None:
    """On Redis an ordinary save leaves the same fields, whoever makes it."""
    for name, client in zip(("ours", "theirs"), clients, strict=True):
        client.save("redis", item(f"{key}-{name}", b"1"))
        client.save("redis", item(f"{key}-{name}", b"2"))
    with redis_server.client(db=SHARED_REDIS) as redis:
        ours, theirs = (redis.hgetall(f"app||{key}-{name}") for name in ("ours", "theirs"))

    assert ours == theirs == {b"data": b"2", b"version": b"2"}


def _rows(path: Path, sql: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(path) as connection:
        return connection.execute(sql).fetchall()


def _layout(path: Path) -> dict[str, object]:
    """The columns of every table, the indexes, and the levels of migration that were reached."""
    tables = [str(name) for (name,) in _rows(path, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    return {
        "columns": {name: _rows(path, f"PRAGMA table_info({name})") for name in tables},
        "indexes": _rows(path, "SELECT name, tbl_name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"),
        "levels": _rows(path, "SELECT key, value FROM metadata WHERE key NOT LIKE 'last-cleanup%' ORDER BY key"),
    }


def test_a_database_that_we_made_is_complete_for_daprd(tmp_path: Path, daprd_binary: Path) -> None:
    """daprd finds nothing to migrate in it, and leaves it as it was."""
    path = tmp_path / "ours.db"
    store = [component("lite", "state.sqlite", connectionString=str(path))]
    with Sidecar(tmp_path, store) as ours, ours.client() as client:
        client.save("lite", item("k", b"v"))
    before = _layout(path)
    with Daprd(daprd_binary, tmp_path, store) as theirs, theirs.client() as client:
        found = client.get("lite", "k")

    assert found.response["data"] == b"v"
    assert "igration" not in theirs.log()
    assert _layout(path) == before


def test_a_database_that_daprd_made_is_complete_for_us(tmp_path: Path, daprd_binary: Path) -> None:
    """We change nothing in its layout, which is the one that we make ourselves."""
    theirs_path, ours_path = tmp_path / "theirs.db", tmp_path / "ours.db"
    store = [component("lite", "state.sqlite", connectionString=str(theirs_path))]
    with Daprd(daprd_binary, tmp_path, store) as theirs, theirs.client() as client:
        client.save("lite", item("k", b"v"))
    before = _layout(theirs_path)
    own = component("own", "state.sqlite", connectionString=str(ours_path))
    with Sidecar(tmp_path, [*store, own]) as ours, ours.client() as client:
        found = client.get("lite", "k")

    assert "Performing migration" in theirs.log()  # the line that must not appear the other way round
    assert found.response["data"] == b"v"
    assert _layout(theirs_path) == before
    assert _layout(ours_path) == before
