"""What the memory store does by itself: it frees what has expired, a little at a time, and keeps nothing else."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from dapr_state.clock import ManualClock
from dapr_state.stores.expiries import Expiries
from dapr_state.stores.memory import MemoryStore
from dapr_state.stores.model import Delete, Upsert
from tests.stores.looking import put

MANY = 5000
times = st.one_of(st.none(), st.floats(1, 9).map(lambda at: round(at, 1)))  # None: without an end
steps = st.lists(st.tuples(st.sampled_from("abcdef"), times), max_size=60)


@settings(derandomize=True, deadline=None, database=None, max_examples=300)
@given(program=steps, now=st.floats(0, 10), count=st.integers(1, 4))
def test_exactly_what_is_due_is_found(program: list[tuple[str, float | None]], now: float, count: int) -> None:
    """The last word about a key counts, to the second; nothing is kept of what was overwritten or found."""
    mine, model = Expiries(), dict[str, float]()
    for key, at in program:
        if at is None:
            mine.discard(key)
            model.pop(key, None)
        else:
            mine.put(key, at)
            model[key] = at
    taken: list[str] = []
    while some := mine.take_due(now, count):
        assert len(some) <= count
        taken += some
    left = {key for key, at in model.items() if at > now // 1}

    assert sorted(taken) == sorted(model.keys() - left)
    assert {key for key in model if key in mine} == left
    assert len(mine) == len(left)
    assert set().union(*mine._buckets.values()) == left
    assert mine._seconds.page(0, 100, beyond=False) == sorted(mine._buckets)


async def test_expired_values_are_freed_in_slices() -> None:
    """Others have their turns while thousands are freed that ended in one second; those that live stay."""
    clock = ManualClock()
    store = MemoryStore(clock)
    await put(store, *(Upsert(f"k{number}", b"v", ttl=10) for number in range(MANY)))
    await put(store, Upsert("k0", b"v", ttl=100), Upsert("k1", b"v"), Delete("k2"))
    clock.advance(20)
    sweeping = asyncio.create_task(store.sweep())
    turns = 0
    while not sweeping.done():
        turns += 1
        await asyncio.sleep(0)

    assert turns >= 5
    assert repr(store) == "<MemoryStore 2 keys>"


async def test_a_sweep_that_finds_nothing_due_looks_at_no_key() -> None:
    """However many keys have a TTL: it ends within its first turn of the loop."""
    store = MemoryStore(ManualClock())
    await put(store, *(Upsert(f"k{number}", b"v", ttl=10 + number) for number in range(MANY)))
    sweeping = asyncio.create_task(store.sweep())
    await asyncio.sleep(0)

    assert sweeping.done()
    assert repr(store) == f"<MemoryStore {MANY} keys>"


async def test_a_ttl_that_is_renewed_for_ever_takes_no_more_room() -> None:
    """One key, one note of its end."""
    store = MemoryStore(ManualClock())
    for ttl in range(1, MANY):
        await put(store, Upsert("k", b"v", ttl=ttl))

    assert repr(store._mortal) == "<Expiries of 1 keys in 1 buckets>"
    assert store._mortal._seconds.page(0, MANY, beyond=False) == list(store._mortal._buckets)


async def test_closing_frees_the_rows_in_slices() -> None:
    """A reload closes a store while others are served."""
    store = MemoryStore()
    await put(store, *(Upsert(f"k{number}", b"v", ttl=10) for number in range(MANY)))
    closing = asyncio.create_task(store.close())
    turns = 0
    while not closing.done():
        turns += 1
        await asyncio.sleep(0)

    assert turns >= 5
    assert (repr(store), len(store._mortal)) == ("<MemoryStore 0 keys>", 0)
