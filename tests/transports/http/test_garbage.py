"""What a refused request held is free when it is answered: no cycle keeps it until the next collection."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from dapr_state.api.state import BoundStore, State
from dapr_state.errors import DaprError
from dapr_state.serving.http.request import Request
from dapr_state.stores.memory import MemoryStore
from dapr_state.transports.http.state import StateRoutes
from dapr_state.wire.http1.request import request_of

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

ITEMS = {
    "an etag": b'"etag":"1"',
    "a TTL": b'"metadata":{"ttlInSeconds":"x"}',
    "a concurrency": b'"options":{"concurrency":"x"}',
    "a member of a wrong kind": b'"options":{"concurrency":1}',
    "a key": b'"key":"a||b"',
}


async def refused(asked: Coroutine[Any, Any, object]) -> None:
    with suppress(DaprError):
        await asked
        pytest.fail("it was not refused")


async def left_by(body: bytes, kind: str, *, closed: bool = False) -> int:
    """Objects that only a collection finds."""
    store = MemoryStore()
    await store.open()
    if closed:
        await store.close()
    routes = StateRoutes(State("app", {"s": BoundStore("s", "app||", store)}))
    request = request_of(Request, b"POST", b"/v1.0/state/s", b"")
    request.body = body
    gc.collect()
    gc.disable()
    try:
        await refused(
            {
                "save": lambda: routes.save("s", request, {}),
                "transaction": lambda: routes.transact("s", request, {}),
                "get": lambda: routes.get("s", "k"),
            }[kind]()
        )
        return gc.collect()
    finally:
        gc.enable()


@pytest.mark.parametrize("item", ITEMS)
def test_a_refused_item(item: str) -> None:
    """Of a save or a transaction that is refused for what an item says, nothing is left."""
    made = b'{"key":"k","value":1,' + ITEMS[item] + b"}"
    transaction = b'{"operations":[{"operation":"upsert","request":' + made + b"}]}"

    assert asyncio.run(left_by(b"[" + made + b"]", "save")) == 0
    assert asyncio.run(left_by(transaction, "transaction")) == 0


@pytest.mark.parametrize("kind", ["save", "transaction", "get"])
def test_a_store_that_fails(kind: str) -> None:
    """Of a request that the store itself fails, nothing is left."""
    made = b'{"key":"k","value":1}'
    body = b"[" + made + b"]" if kind == "save" else b'{"operations":[{"operation":"upsert","request":' + made + b"}]}"

    assert asyncio.run(left_by(body, kind, closed=True)) == 0
