"""What the tests of the Redis store share: an open store, a server of one's own, and waiting on the event loop."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import pytest

from dapr_state.resources.component import Component
from dapr_state.resources.properties import Properties
from dapr_state.stores.base import StoreError
from dapr_state.stores.redis.store import RedisStore
from tests.support.redis import RedisServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

PATIENCE = 15  # seconds


def create(address: str, **properties: str) -> RedisStore:
    return RedisStore.from_component(
        Component("store", "state.redis", "v1", Properties({"redisHost": address, **properties}))
    )


@asynccontextmanager
async def opened(address: str, **properties: str) -> AsyncIterator[RedisStore]:
    store = create(address, **properties)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def eventually(look: Callable[[], object]) -> None:
    """Look again and again until it is true."""
    deadline = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.01)


async def served_again(store: RedisStore) -> None:
    """Wait until the store has found its server again."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            await store.ping()
        except StoreError:
            assert time.monotonic() < deadline, f"{store!r} did not come back"
            await asyncio.sleep(0.01)
        else:
            return


def values(rows: object) -> list[bytes | None]:
    """The values of rows; whatever is no row is None."""
    return [getattr(row, "value", None) for row in cast("list[object]", rows)]


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that the test may stop, kill and fill; it keeps on disk what it acknowledged."""
    with RedisServer(tmp_path, appendonly="yes", appendfsync="always") as server:
        yield server
