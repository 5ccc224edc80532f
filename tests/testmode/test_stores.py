"""Values expire by the clock that a test moves, on every store, and a reset removes what the test has left alone."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.testmode.asking import ask, get, save
from tests.testmode.conftest import STORES

if TYPE_CHECKING:
    from dapr_state.pytest.sidecar import Dapr
    from tests.support.postgresql import PostgresServer
    from tests.support.redis import RedisServer


@pytest.mark.parametrize("store", STORES)
def test_a_value_expires_when_its_time_has_come(stores: Dapr, store: str) -> None:
    """A moment before it is there, a moment after it is gone and told so; what has no end stays."""
    save(stores, store, "short", ttlInSeconds="3600")
    save(stores, store, "long", ttlInSeconds="86400")
    save(stores, store, "endless")
    before = stores.clock.advance("59m58s"), get(stores, store, "short")
    after = stores.clock.advance("2s"), get(stores, store, "short")
    stores.clock.advance("1d")

    assert (before[0].expired, before[1]) == (0, 1)
    assert (after[0].expired, after[1]) == (1, None)
    assert [get(stores, store, key) for key in ("long", "endless")] == [None, 1]


@pytest.mark.parametrize("store", STORES)
def test_what_has_expired_is_no_more_in_any_call(stores: Dapr, store: str) -> None:
    """Bulk reads miss it, it can be written as the first time, and its last end is not that of the new value."""
    save(stores, store, "k", ttlInSeconds="60")
    stores.clock.advance("61s")
    first = {"key": "k", "value": 2, "options": {"concurrency": "first-write"}}

    assert ask(stores, "POST", f"state/{store}/bulk", {"keys": ["k"]}) == (200, [{"key": "k"}])
    assert ask(stores, "POST", f"state/{store}", [first])[0] == 204
    stores.clock.advance("7d")
    assert get(stores, store, "k") == 2


@pytest.mark.parametrize("store", STORES)
def test_an_end_is_set_anew_and_taken_away(stores: Dapr, store: str) -> None:
    """A later write has its own end or none, in a transaction as well; the end that is told is the moved clock's."""
    for key in ("anew", "away", "both"):
        save(stores, store, key, ttlInSeconds="60")
    save(stores, store, "anew", 2, ttlInSeconds="600")
    save(stores, store, "away", 2)
    changes = [{"operation": "upsert", "request": {"key": "both", "value": 2, "metadata": {"ttlInSeconds": "600"}}}]
    ask(stores, "POST", f"state/{store}/transaction", {"operations": changes})
    stores.clock.advance("5m")
    left = [get(stores, store, key) for key in ("anew", "away", "both")]
    _, headers, _ = stores._client.send("GET", f"/v1.0/state/{store}/anew", as_client=True)
    ends = datetime.fromisoformat(headers["metadata.ttlexpiretime"]) - stores.clock.now()
    stores.clock.advance("5m1s")

    assert left == [2, 2, 2]
    assert timedelta(minutes=4, seconds=58) < ends <= timedelta(minutes=5)
    assert [get(stores, store, key) for key in ("anew", "away", "both")] == [None, 2, None]


@pytest.mark.parametrize("store", STORES)
def test_a_clock_that_stands_still_lets_nothing_expire(stores: Dapr, store: str) -> None:
    """However much real time passes; moved on by hand it does."""
    stores.clock.freeze()
    at = stores.clock.now()
    save(stores, store, "k", ttlInSeconds="1")
    stores._process.pause(1.1)  # type: ignore[union-attr]  # it has been started here
    still = get(stores, store, "k"), stores.clock.now()
    stores.clock.advance("2s")

    assert still == (1, at)
    assert (get(stores, store, "k"), stores.clock.now()) == (None, at + timedelta(seconds=2))


@pytest.mark.parametrize("store", STORES)
def test_a_reset_leaves_nothing(stores: Dapr, store: str) -> None:
    """Neither values nor their ends, nor moved time: a value of the next test lives as long as it says."""
    save(stores, store, "k", ttlInSeconds="60")
    save(stores, store, "endless")
    stores.clock.advance("30s")
    stores.end()
    gone = [get(stores, store, key) for key in ("k", "endless")]
    save(stores, store, "k")
    stores.clock.advance("1h")

    assert gone == [None, None]
    assert get(stores, store, "k") == 1


def test_others_in_a_shared_store_lose_nothing(
    stores: Dapr, redis_server: RedisServer, postgres_server: PostgresServer
) -> None:
    """Keys of other applications neither expire by the moved clock nor are removed by a reset."""
    with redis_server.client(db=5) as control:
        control.hset("other||k", mapping={"data": "1", "version": "1"})
        control.expire("other||k", 3600)
        statement = "INSERT INTO second_state (key, value, expires_at) VALUES ('other||k', '1', now() + interval '1h')"
        postgres_server.sql(f"{statement} RETURNING 1", database="moved")
        save(stores, "redis", "k", ttlInSeconds="60")
        save(stores, "pg2", "k", ttlInSeconds="60")
        stores.clock.advance("7d")
        stores.end()

        assert control.ttl("other||k") > 3500
        assert control.keys("app||*") == []
    assert postgres_server.sql("SELECT key FROM second_state", database="moved") == [("other||k",)]
    postgres_server.sql("DELETE FROM second_state RETURNING 1", database="moved")


def test_columns_of_when_it_was_written_have_the_moved_time(
    every_store: Dapr, stores: Dapr, postgres_server: PostgresServer
) -> None:
    """Whoever looks into SQLite or PostgreSQL sees when the test says that it was."""
    stores.clock.advance("365d")
    now = stores.clock.now()
    for store in ("lite", "pg1", "pg2"):
        save(stores, store, "k")
        save(stores, store, "k", 2)
    (folder,) = every_store._process.settings.folders  # type: ignore[union-attr]  # it has been started here
    with sqlite3.connect(folder.parent / "state.db") as lite:
        ((written,),) = lite.execute("SELECT update_time FROM state WHERE key = 'app||k'")
    found = [datetime.fromisoformat(f"{written}+00:00")]
    for table, column in (("first", "updatedate"), ("second_state", "updated_at")):
        found += postgres_server.sql(f"SELECT {column} FROM {table} WHERE key = 'app||k'", database="moved")[0]

    assert len(found) == 3
    assert all(abs(each.astimezone(UTC) - now) < timedelta(seconds=30) for each in found)


def test_values_and_their_ends_outlive_a_crash(stores: Dapr) -> None:
    """On stores that keep them: after the restart the clock is where it was, and they expire when they would have."""
    durable = [store for store in STORES if store != "mem"]
    for store in durable:
        save(stores, store, "k", ttlInSeconds="7200")
    stores.clock.advance("1h")
    stores.restart(kill=True)
    kept = [get(stores, store, "k") for store in durable]
    stores.clock.advance("61m")

    assert kept == [1] * len(durable)
    assert [get(stores, store, "k") for store in durable] == [None] * len(durable)
