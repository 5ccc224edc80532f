"""The state of actors in a store: keys, expiry, all or nothing."""

from __future__ import annotations

import asyncio

import pytest

from dapr_state.actors.placement.base import LostError
from dapr_state.actors.state import ActorState, NoStoreError, Put, Remove
from dapr_state.app.model import ActorId
from dapr_state.resources.component import Component
from dapr_state.stores import encryption
from dapr_state.stores.base import EtagMismatch, StateStore, StoreError
from dapr_state.stores.encrypted import EncryptedStore
from dapr_state.stores.memory import MemoryStore
from dapr_state.stores.model import StoredValue

CART = ActorId("cart", "1")


async def _store() -> StateStore:
    store = MemoryStore.from_component(Component("s", "state.in-memory"))
    await store.open()
    return store


async def _value(store: StateStore, key: str) -> bytes | None:
    (row,) = await store.get([key])
    return row.value if isinstance(row, StoredValue) else None


async def test_keys_are_daprds() -> None:
    """Application, type, id and key, whatever is in them; values are kept byte for byte."""
    store = await _store()
    state = ActorState("shop", lambda: store)
    await state.transact(CART, [Put("k", b'{"b": 1, "a": 1e400}', is_json=True), Put("a||b", b"\xff")])

    assert await _value(store, "shop||cart||1||k") == b'{"b": 1, "a": 1e400}'
    assert await _value(store, "shop||cart||1||a||b") == b"\xff"


async def test_all_or_nothing() -> None:
    """A change that fails leaves no trace of those before it."""
    store = await _store()
    state = ActorState("shop", lambda: store)
    await state.transact(CART, [Put("old", b"1")])
    with pytest.raises(EtagMismatch):
        await state.transact(CART, [Put("new", b"2"), Remove("old", etag="999")])

    assert [await state.get(CART, "new"), await _value(store, "shop||cart||1||old")] == [None, b"1"]


async def test_who_may_write_is_asked_last() -> None:
    """While a long transaction is prepared the actor may have come to others: then nothing of it is written."""
    store = await _store()
    state = ActorState("shop", lambda: store)
    long = [Put(str(number), b"1") for number in range(20_000)]
    allowed = [True]
    asyncio.get_running_loop().call_soon(allowed.clear)
    with pytest.raises(LostError):
        await state.transact(CART, long, lambda: bool(allowed))

    assert await state.get(CART, "0") is None


async def test_a_value_may_expire() -> None:
    """`ttlInSeconds` needs no feature flag, and is told when the value is read."""
    store = await _store()
    state = ActorState("shop", lambda: store)
    await state.transact(CART, [Put("k", b"1", metadata={"ttlInSeconds": "60"}), Put("forever", b"1")])
    found = [await state.get(CART, "k"), await state.get(CART, "forever")]

    assert [row is not None and row.expires_at is not None for row in found] == [True, False]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (Put("", b"1"), "missing key"),
        (Remove(""), "missing key"),
        (Put("k", b"1", metadata={"ttlInSeconds": "x"}), "invalid syntax"),
    ],
)
async def test_what_cannot_be_written(change: Put | Remove, text: str) -> None:
    """The error says why, and nothing is written."""
    store = await _store()
    state = ActorState("shop", lambda: store)
    with pytest.raises(StoreError) as error:
        await state.transact(CART, [Put("before", b"1"), change])

    assert text in str(error.value)
    assert await state.get(CART, "before") is None


async def test_nothing_to_do_is_a_success() -> None:
    """An empty transaction asks nothing of the store, and leaves what is there."""
    store = await _store()
    state = ActorState("shop", lambda: store)
    await state.transact(CART, [Put("k", b"1")])
    await state.transact(CART, [])

    assert await _value(store, "shop||cart||1||k") == b"1"


async def test_without_a_store() -> None:
    """Both calls say so, and do not fail in some other way."""
    state = ActorState("shop", lambda: None)
    with pytest.raises(NoStoreError):
        await state.get(CART, "k")
    with pytest.raises(NoStoreError):
        await state.transact(CART, [Put("k", b"1")])


def test_an_encrypting_store_has_a_plain_one() -> None:
    """Actor state goes past encryption, as daprd's does; a store that does not encrypt is its own."""
    key = encryption.Key("k", bytes(16))
    inner = MemoryStore.from_component(Component("s", "state.in-memory"))
    encrypted = EncryptedStore(inner, "s", [key])

    assert encrypted.unencrypted is inner
    assert inner.unencrypted is inner
