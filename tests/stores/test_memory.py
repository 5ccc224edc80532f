"""What the memory store does by itself: it frees what has expired, a little at a time, and keeps nothing else."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dapr_state.clock import ManualClock
from dapr_state.stores.base import EtagMismatch
from dapr_state.stores.encrypted import EncryptedStore
from dapr_state.stores.encryption import Key
from dapr_state.stores.expiries import Expiries
from dapr_state.stores.memory import MemoryStore
from dapr_state.stores.model import Delete, StoredValue, Upsert
from dapr_state.testing.stores.asking import put, values_of

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


async def turns_of(task: asyncio.Task[Any]) -> int:
    """How often the loop turns until the task is done."""
    turns = 0
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    return turns


@pytest.mark.parametrize("encrypted", [False, True])
async def test_large_requests_are_done_in_slices(*, encrypted: bool) -> None:
    """Each of them lets others go on, and has its outcomes in their order."""
    store = EncryptedStore(MemoryStore(), "store", [Key("k1", bytes(32))]) if encrypted else MemoryStore()
    keys = [f"k{number}" for number in range(MANY)]
    writing = asyncio.create_task(store.write([Upsert(key, key.encode()) for key in [*keys, "k0"]]))
    turns = [await turns_of(writing)]
    transacting = asyncio.create_task(store.transact([Upsert(key, key.encode() * 2) for key in keys]))
    turns.append(await turns_of(transacting))
    reading = asyncio.create_task(store.get([*keys, "missing"]))
    turns.append(await turns_of(reading))
    await transacting

    assert writing.result() == [None] * (MANY + 1)
    assert [row and isinstance(row, StoredValue) and row.value for row in reading.result()] == [
        *(key.encode() * 2 for key in keys),
        None,
    ]
    assert min(turns) >= 5


async def test_large_values_are_encrypted_and_decrypted_some_at_a_time() -> None:
    """Few of them are as long a turn as many small ones."""
    store = EncryptedStore(MemoryStore(), "store", [Key("k1", bytes(32))])
    operations = [Upsert(f"k{number}", bytes(2**20)) for number in range(6)]
    turns = [await turns_of(asyncio.create_task(store.write(operations)))]
    turns.append(await turns_of(asyncio.create_task(store.get([operation.key for operation in operations]))))

    assert min(turns) >= 6


async def test_nobody_sees_half_of_a_large_transaction() -> None:
    """Neither readers nor writers nor lists, whether it happens or is refused at its end."""
    store = MemoryStore()
    keys = [f"k{number}" for number in range(MANY)]
    await put(store, *(Upsert(key, b"0") for key in keys))
    seen: list[set[bytes]] = []
    refused = False
    for number in range(1, 5):
        last = [] if number % 2 else [Delete(keys[-1], etag="stale")]
        task = asyncio.create_task(store.transact([*(Upsert(key, b"%d" % number) for key in keys), *last]))
        await asyncio.sleep(0)
        rows = await store.get([keys[0], keys[MANY // 2], keys[-1]])
        page = await store.list("k", limit=1000)
        seen += [{row.value for row in rows if isinstance(row, StoredValue)}]
        seen += [{entry.row.value for entry in page.entries if isinstance(entry.row, StoredValue)}]
        refused = isinstance((await asyncio.gather(task, return_exceptions=True))[0], EtagMismatch)

    assert seen == [{b"1"}, {b"1"}, {b"1"}, {b"1"}, {b"3"}, {b"3"}, {b"3"}, {b"3"}]
    assert refused


async def test_a_write_that_comes_during_a_large_transaction_comes_after_it() -> None:
    """Also where the transaction is refused in the end: what it undoes is its own."""
    store = MemoryStore()
    keys = [f"k{number}" for number in range(MANY)]
    large = [*(Upsert(key, b"large") for key in keys), Delete("k1", etag="stale")]
    task = asyncio.create_task(store.transact(large))
    await asyncio.sleep(0)
    await put(store, Upsert("k0", b"small"))
    await asyncio.gather(task, return_exceptions=True)
    await store.transact([Upsert("k1", b"small")])

    assert await values_of(store, "k0", "k1", "k2") == [b"small", b"small", None]


async def test_a_large_transaction_whose_caller_gives_up_is_not_left_by_half() -> None:
    """It happens, whole."""
    store = MemoryStore()
    keys = [f"k{number}" for number in range(MANY)]
    task = asyncio.create_task(store.transact([Upsert(key, b"v") for key in keys]))
    await asyncio.sleep(0)
    task.cancel()
    rows = await store.get(keys)

    assert len([row for row in rows if row]) == MANY


async def test_the_collector_does_not_walk_through_keys() -> None:
    """Neither through the rows, nor through when they expire, nor through their order: of a million 40 ms each time."""
    store = MemoryStore()
    await put(store, *(Upsert(f"k{number}", b"v", ttl=1000 if number % 2 else None) for number in range(1000)))
    await store.list("k", limit=1)
    assert store._sorted
    gc.collect()
    containers = [store._rows, *store._rows.values(), *store._mortal._buckets.values(), *store._sorted._parts]

    assert [each for each in containers if gc.is_tracked(each)] == []
