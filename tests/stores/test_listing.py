"""Lists where the store is one that is known: without lists, encrypted, in memory."""

from __future__ import annotations

import asyncio

import pytest

from dapr_state.stores.base import Entry, StateStore, StoreError, Unsupported
from dapr_state.stores.encrypted import EncryptedStore
from dapr_state.stores.encryption import Key
from dapr_state.stores.memory import MemoryStore
from dapr_state.stores.model import Delete, Feature, StoredValue, Upsert
from dapr_state.testing.stores.asking import put
from dapr_state.testing.stores.lists import keys_of, pages_of


class Listless(MemoryStore):
    features = (Feature.ETAG,)
    list = StateStore.list


async def test_a_store_without_lists_says_so() -> None:
    """In the agreed way."""
    with pytest.raises(Unsupported, match=r"^the store does not support LIST$"):
        await Listless().list("", limit=1)


async def test_an_entry_whose_value_cannot_be_read_leaves_the_others() -> None:
    """Its error stands in its place, as in a get."""
    inner = MemoryStore()
    store = EncryptedStore(inner, "store", [Key("k1", bytes(32))])
    await put(store, Upsert("a", b"1"), Upsert("c", b"3"))
    await put(inner, Upsert("b", b"plain"))
    page = await store.list("", limit=10)

    a, b, c = page.entries
    assert [isinstance(entry, Entry) and isinstance(entry.row, StoredValue) for entry in (a, c)] == [True, True]
    assert (b.key, isinstance(b.row, StoreError)) == ("b", True)


async def test_memory_sorts_its_keys_in_slices_while_others_write() -> None:
    """What is written, deleted and written again meanwhile is in the list as it is at the end, once."""
    store = MemoryStore()
    await put(store, *(Upsert(f"k{number:05}", b"v") for number in range(5000)))
    listing = asyncio.create_task(pages_of(store, "k", 1000))
    turns = 0
    while not listing.done():
        turns += 1
        await put(store, Delete("k00001"), Delete("k04999"), Upsert("k04999", b"w"), Upsert(f"k04998-{turns}", b"v"))
        await asyncio.sleep(0)
    seen = keys_of(await listing)

    assert turns >= 5
    assert len(seen) == len(set(seen))
    assert set(seen) >= {f"k{number:05}" for number in range(5000)} - {"k00001"}
    assert keys_of(await pages_of(store, "k0000", 9)) == [f"k0000{number}" for number in (0, 2, 3, 4, 5, 6, 7, 8, 9)]
