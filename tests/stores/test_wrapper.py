"""Wrappers: what they do not change is the store's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from dapr_state.stores.base import StateStore, Unsupported
from dapr_state.stores.memory import MemoryStore
from dapr_state.stores.model import Delete, Feature, Upsert
from dapr_state.stores.wrapper import Wrapper
from dapr_state.testing.stores.asking import put, values_of

if TYPE_CHECKING:
    from collections.abc import Iterator

OF_THE_INSTANCE = {"features", "ttl_rule", "max_transaction_size", "told", "passes_on", "is_encrypted"}


def asked_of_a_store() -> Iterator[str]:
    return (name for name in {**vars(StateStore), **StateStore.__annotations__} if not name.startswith("_"))


@pytest.mark.parametrize("name", sorted(asked_of_a_store()))
def test_everything_that_a_store_can_be_asked_is_forwarded(name: str) -> None:
    """A new method of the contract that the wrapper forgets would answer for the wrong store."""
    wrapped = Wrapper(MemoryStore())

    assert name in vars(wrapped if name in OF_THE_INSTANCE else Wrapper)


async def test_a_wrapper_that_changes_nothing_is_the_store() -> None:
    """Its rows, refusals and limits."""
    inner = MemoryStore()
    store = Wrapper(Wrapper(inner))
    await store.open()
    await put(store, Upsert("a", b"1"))
    await store.transact([Upsert("b", b"2"), Delete("a")])
    await store.ping()
    seen = await values_of(inner, "a", "b")
    page = await store.list("", limit=9)
    told = (store.features, store.ttl_rule, store.max_transaction_size, store.unencrypted)
    await store.close()

    assert seen == [None, b"2"]
    assert [entry.key for entry in page.entries] == ["b"]
    assert told == (inner.features, inner.ttl_rule, inner.max_transaction_size, inner)


async def test_a_wrapper_may_keep_fewer_features() -> None:
    """Those that it knows, in the store's order; a store that lacks one is not given it."""

    class Narrow(Wrapper):
        keeps: ClassVar = frozenset({Feature.TTL, Feature.ETAG})

    class Poor(MemoryStore):
        features = (Feature.TTL,)
        list = StateStore.list

    assert Narrow(MemoryStore()).features == (Feature.ETAG, Feature.TTL)
    assert Narrow(Poor()).features == (Feature.TTL,)
    with pytest.raises(Unsupported):
        await Wrapper(Poor()).list("", limit=1)
