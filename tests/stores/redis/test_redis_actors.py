"""Actors on a cluster: their state in one slot where the component says so, their reminders wherever they are."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from dapr_state.actors import reminder
from dapr_state.actors.reminder_store import StoredReminders
from dapr_state.actors.reminder_table import Put as PutReminder
from dapr_state.actors.reminders import ReminderRequest
from dapr_state.actors.state import ActorState, Put, Remove
from dapr_state.app.model import ActorId
from dapr_state.stores.base import EtagMismatch, StoreError
from dapr_state.stores.redis.slots import slot_of
from tests.stores.redis.conftest import create, opened, values

if TYPE_CHECKING:
    from tests.support.redis_groups import ClusterServers

CLUSTER = {"redisType": "cluster", "actorStateStore": "true"}
CARTS = [ActorId("cart", str(number)) for number in range(10)]


async def test_with_the_tag_an_actor_s_state_is_in_one_slot_and_whole(redis_cluster_servers: ClusterServers) -> None:
    """A transaction of several keys happens or not; actors are on all nodes, under keys that the README tells."""
    async with opened(redis_cluster_servers.address, **CLUSTER, actorHashTag="true") as store:
        state = ActorState("shop", lambda: store)
        for cart in CARTS:
            await state.transact(cart, [Put("a", b"1"), Put("b", b"1"), Remove("c")])
            with pytest.raises(EtagMismatch):
                await state.transact(cart, [Put("a", b"2"), Remove("b", etag="9")])
        found = [await state.get(cart, key) for cart in CARTS for key in "ab"]
        rows = await store.get(["{shop||cart||3}||a", "shop||cart||3||a"])

    assert values(found) == [b"1"] * 20
    assert values(rows) == [b"1", None]
    assert slot_of("{shop||cart||3}||a") == slot_of("{shop||cart||3}||b")


@pytest.mark.parametrize("actor", ["}", "a}b", "{", "{}", "{a}"])
async def test_braces_in_an_actor_s_name_do_not_part_its_keys(
    redis_cluster_servers: ClusterServers, actor: str
) -> None:
    """The first ones count, and they are those of the tag."""
    async with opened(redis_cluster_servers.address, **CLUSTER, actorHashTag="true") as store:
        state = ActorState("shop", lambda: store)
        await state.transact(ActorId("cart", actor), [Put("a", b"1"), Put("b", b"2")])

        assert values([await state.get(ActorId("cart", actor), "b")]) == [b"2"]


async def test_without_the_tag_keys_are_daprd_s_and_transactions_of_several_are_refused(
    redis_cluster_servers: ClusterServers, caplog: pytest.LogCaptureFixture
) -> None:
    """With nothing written; the reason and a warning at the start name the option. One key at a time is well."""
    with caplog.at_level(logging.WARNING, logger="dapr.contrib"):
        store = create(redis_cluster_servers.address, **CLUSTER)
    await store.open()
    try:
        state = ActorState("shop", lambda: store)
        await state.transact(CARTS[0], [Put("alone", b"1")])
        with pytest.raises(StoreError, match="actorHashTag"):
            await state.transact(CARTS[0], [Put("x", b"1"), Put("y", b"1"), Put("z", b"1")])
        rows = await store.get([f"shop||cart||0||{key}" for key in ("alone", "x", "y", "z")])
    finally:
        await store.close()

    assert values(rows) == [b"1", None, None, None]
    assert "actorHashTag" in caplog.text


async def test_reminders_are_found_on_all_nodes(redis_cluster_servers: ClusterServers) -> None:
    """All of them, those of a type and those of one actor, with the tag as without."""
    async with opened(redis_cluster_servers.address, **CLUSTER, actorHashTag="true") as store:
        table = StoredReminders("reminded", lambda: store)
        for cart in CARTS:
            for name in ("one", "two"):
                assert await table.write(PutReminder(reminder.register(ReminderRequest(cart, name, "1h"), 1000, "me")))
        everything = [kept.reminder.key async for page in table.pages() for kept in page]
        of_one = [kept.reminder.key async for page in table.pages("cart", "3") for kept in page]
        await table.close()

    assert len(set(everything)) == 20
    assert len(set(of_one)) == 2
