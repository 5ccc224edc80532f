"""A scheduler, and reminders that the store still has of before."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from dapr_state.actors.embedded_reminders import EmbeddedReminders
from dapr_state.actors.reminder_store import StoredReminders
from dapr_state.actors.reminders import ExistsError, ReminderRequest
from dapr_state.actors.scheduler.leftovers import WithLeftovers
from dapr_state.app.model import ActorId
from dapr_state.stores.memory import MemoryStore
from dapr_state.stores.model import Feature
from tests.actors.scheduler.service import ACTOR, Keeper, Target, scheduled, taken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Store(MemoryStore):
    reads = 0

    async def get(self, keys: Any) -> Any:
        self.reads += 1
        return await super().get(keys)


class Setting:
    def __init__(self, service: Keeper, store: Store | None, both: WithLeftovers, old: EmbeddedReminders) -> None:
        self.service = service
        self.store = store
        self.both = both
        self.old = old


@asynccontextmanager
async def setting(*names: str, store: Store | None = None, due_time: str = "1h") -> AsyncIterator[Setting]:
    """With these in the store, from before."""
    target = Target()
    if names:
        before = EmbeddedReminders(target, StoredReminders("app", lambda: store), "me")
        for name in names:
            await before.create(ReminderRequest(ACTOR, name, due_time=due_time, data=b'"old"'))
        await before.close()
    async with Keeper() as service, scheduled(target, service.address) as new:
        old = EmbeddedReminders(target, StoredReminders("app", lambda: store), "me")
        both = WithLeftovers(new, old)
        both.begin()
        await asyncio.wait_for(old.is_read.wait(), 10)
        try:
            yield Setting(service, store, both, old)
        finally:
            await both.close()


def request(name: str, **fields: Any) -> ReminderRequest:
    return ReminderRequest(ACTOR, name, due_time="2h", **fields)


async def test_both_are_shown() -> None:
    """Of one name, the scheduler's."""
    async with setting("a", "b", store=Store()) as here:
        await here.both._new.create(request("b"))
        await here.both.create(request("c"))
        one, other = await here.both.get(ACTOR, "a"), await here.both.get(ACTOR, "b")
        listed = await here.both.list("ta")
        states = [each.name async for page in here.both.states("") for each in page]

    assert sorted(states) == ["a", "b", "b", "c"]  # as administration is told: one may come twice
    assert one
    assert other
    assert (one.due_time, other.due_time) == ("1h", "2h")
    assert [(each.name, each.due_time) for each in listed] == [("a", "1h"), ("b", "2h"), ("c", "2h")]


async def test_one_that_is_made_anew_takes_the_place_of_the_old() -> None:
    """It is in the scheduler then, and there alone; with overwrite=false it is refused."""
    async with setting("a", store=Store()) as here:
        with pytest.raises(ExistsError):
            await here.both.create(request("a", overwrite=False))
        await here.both.create(request("a"))
        old = await here.old.list("ta")

    assert old == []
    assert list(here.service.kept) == [("ta", "1", "a")]


async def test_what_is_deleted_is_nowhere() -> None:
    """One, or all of an actor, or of the type."""
    async with setting("a", "b", store=Store()) as here:
        await here.both.create(request("c"))
        await here.both.delete(ACTOR, "a")
        left = [each.name for each in await here.both.list("ta")]
        await here.both.delete_all("ta", "1")
        nothing = await here.both.list("ta")

    assert (left, nothing) == (["b", "c"], [])


async def test_what_the_store_has_fires_from_there(caplog: pytest.LogCaptureFixture) -> None:
    """And how it is moved is said at the start."""
    async with setting("a", store=Store(), due_time="0s") as here:
        seen = await taken(here.both._new._triggers._target.seen)  # type: ignore[attr-defined]

    assert (seen.name, seen.data) == ("a", b'"old"')
    assert [each.getMessage().split(".")[0] for each in caplog.records if "still in" in each.getMessage()] == [
        "Reminders are still in the actor state store, and fire from there: 1 of ta"
    ]


async def test_a_store_without_any_is_not_asked() -> None:
    """The scheduler alone answers."""
    store = Store()
    async with setting(store=store) as here:
        await here.both.create(request("a"))
        await here.both.get(ACTOR, "a")
        await here.both.get(ActorId("ta", "2"), "none")
        await here.both.delete(ACTOR, "a")

    assert store.reads == 0


class Unlisted(Store):
    features = tuple(each for each in MemoryStore.features if each is not Feature.LIST)


@pytest.mark.parametrize("store", [None, Unlisted()])
async def test_no_store_is_needed(store: Store | None) -> None:
    """Nor one that can list what it has."""
    async with setting(store=store) as here:
        await here.both.create(request("a"))
        found = await here.both.get(ACTOR, "a")
        listed = await here.both.list("ta")
        await here.both.delete_all("ta")

    assert found
    assert [each.name for each in listed] == ["a"]
