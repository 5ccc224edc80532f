"""Short questions to a store, for the asserts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dapr_state.stores.base import EtagInvalid, EtagMismatch
from dapr_state.stores.model import StoredValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapr_state.stores.base import StateStore, StoreError
    from dapr_state.stores.model import Operation


async def row_of(store: StateStore, key: str) -> StoredValue:
    (row,) = await store.get([key])
    assert isinstance(row, StoredValue), f"{key}: {row!r}"
    return row


async def value_of(store: StateStore, key: str) -> bytes | None:
    (row,) = await store.get([key])
    return row.value if isinstance(row, StoredValue) else None


async def values_of(store: StateStore, *keys: str) -> list[bytes | None]:
    return [row.value if isinstance(row, StoredValue) else None for row in await store.get(keys)]


async def put(store: StateStore, *operations: Operation) -> None:
    """Write what must succeed."""
    assert await store.write(operations) == [None] * len(operations)


async def write_one(store: StateStore, operation: Operation) -> StoreError | None:
    (outcome,) = await store.write([operation])
    return outcome


def conflicts(outcomes: Sequence[StoreError | None]) -> list[bool]:
    """Where an etag was the reason."""
    return [isinstance(outcome, EtagMismatch | EtagInvalid) for outcome in outcomes]
