"""Ends of values that are kept beside them: what the store says of them after any call, also for the next process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from dapr_state.clock import VisibleClock
from dapr_state.stores.base import StoreError
from dapr_state.stores.memory import MemoryStore
from dapr_state.stores.model import StoredValue, Upsert
from dapr_state.stores.wrapper import Wrapper
from dapr_state.testmode.timekeeper import Timekeeper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapr_state.stores.base import Outcomes
    from dapr_state.stores.model import Operation


class Server(Wrapper):
    """A store with a clock of its own: it says what was written, and waits or fails with what is for `held` key."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.octets = 0
        self.held = ""
        self.fails = False
        self.came, self.go = asyncio.Event(), asyncio.Event()

    async def write(self, operations: Sequence[Operation]) -> Outcomes:
        self.octets += sum(len(each.value) for each in operations)
        if not any(each.key == self.held for each in operations):
            return await self._inner.write(operations)
        if self.fails:
            raise StoreError("the server is gone")
        outcomes = await self._inner.write(operations)
        self.came.set()
        await self.go.wait()
        return outcomes


async def opened(server: Server, clock: VisibleClock) -> Timekeeper:
    """The store of one process."""
    store = Timekeeper(server, clock, "app||")
    await store.open()
    return store


async def values(store: Timekeeper, *keys: str) -> list[bytes | None]:
    return [row.value if isinstance(row, StoredValue) else None for row in await store.get(keys)]


@pytest.mark.parametrize("how", ["conflict", "failure", "transaction"])
async def test_a_write_that_is_refused_leaves_no_end(how: str) -> None:
    """The value that was there before lives on, in this process and in the next one."""
    server, clock = Server(), VisibleClock()
    store = await opened(server, clock)
    await store.write([Upsert("k", b"old")])
    wrong = Upsert("k", b"new", etag="wrong", ttl=60)
    if how == "conflict":
        assert (await store.write([wrong]))[0] is not None
    elif how == "transaction":
        with pytest.raises(StoreError):
            await store.transact([wrong])
    else:
        server.held, server.fails = "k", True
        with pytest.raises(StoreError, match="is gone"):
            await store.write([Upsert("k", b"new", ttl=60)])
        server.held = ""
    clock.move(61)

    assert await values(store, "k") == [b"old"]
    assert await values(await opened(server, clock), "k") == [b"old"]


async def test_who_leaves_a_write_does_not_take_its_end_away() -> None:
    """What was done has the end that it was to have, in this process and in the next one."""
    server, clock = Server(), VisibleClock()
    store = await opened(server, clock)
    server.held = "k"
    leaving = asyncio.ensure_future(store.write([Upsert("k", b"1", ttl=60)]))
    await server.came.wait()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    server.go.set()
    await store.write([Upsert("k2", b"2")])
    again = await opened(server, clock)
    there = await values(store, "k") + await values(again, "k")
    clock.move(61)

    assert there == [b"1", b"1"]
    assert await store.expire("") == await again.expire("") == 1


async def test_what_has_ended_is_not_removed_from_under_a_write() -> None:
    """A value that is written while its last end comes is there when its writer was told so."""
    server, clock = Server(), VisibleClock()
    store = await opened(server, clock)
    await store.write([Upsert("k", b"old", ttl=1)])
    server.held = "k"
    writing = asyncio.ensure_future(store.write([Upsert("k", b"new")]))
    await server.came.wait()
    clock.move(2)
    server.held = ""
    reading = asyncio.ensure_future(values(store, "k"))
    await asyncio.sleep(0)
    server.go.set()

    assert await writing == [None]
    assert await reading == [b"new"]
    assert await values(store, "k") == [b"new"]


async def test_writes_at_one_time_lose_no_end() -> None:
    """Those whose keys are kept in one row as well: the next process knows the end of each."""
    server, clock = Server(), VisibleClock()
    store = await opened(server, clock)
    keys = [str(number) for number in range(600)]
    await asyncio.gather(*(store.write([Upsert(key, b"1", ttl=60), Upsert(f"{key}e", b"1")]) for key in keys))
    again = await opened(server, clock)
    clock.move(61)

    assert await again.expire("") == len(keys)
    assert await values(again, "0", "0e") == [None, b"1"]


async def test_one_more_end_saves_few_others_with_it() -> None:
    """Of ten thousand keys: a hundredth of what all take together, twice."""
    server, clock = Server(), VisibleClock()
    store = await opened(server, clock)
    await store.write([Upsert(str(number), b"", ttl=60) for number in range(10_000)])
    every, server.octets = server.octets, 0
    await store.write([Upsert("one more", b"", ttl=60)])

    assert 0 < server.octets < every / 50
