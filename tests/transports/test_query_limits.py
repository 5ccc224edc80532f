"""What bounds queries: how many run, what they keep, and that they end with their callers."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from typing import TYPE_CHECKING

import pytest
from dapr_state_proto.runtime.v1 import state_pb2

from dapr_state.api.state import BoundStore, State
from dapr_state.errors import DaprError
from dapr_state.query.budget import OCTETS_OF_ONE, QueryBudgets
from dapr_state.query.text import OCTETS_AT_MOST, parse
from dapr_state.query.tree import MalformedQueryError
from dapr_state.stores.memory import MemoryStore
from dapr_state.stores.model import Upsert
from dapr_state.testing.stores.asking import put
from tests.support.components import component
from tests.support.http import Socket, request
from tests.support.redis import RedisServer
from tests.support.sidecar import Sidecar
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dapr_state.stores.base import Page

EVERYTHING = b"{}"


class Slow(MemoryStore):
    """Lists when it is told to, and counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.is_asked = asyncio.Semaphore(0)
        self.may_go_on = asyncio.Event()

    async def list(self, prefix: str, *, after: str = "", limit: int) -> Page:
        self.asked += 1
        self.is_asked.release()
        await self.may_go_on.wait()
        return await super().list(prefix, after=after, limit=limit)


def state_of(store: MemoryStore, queries_at_most: int = 16) -> State:
    return State("app", {"s": BoundStore("s", "app||", store)}, queries_at_most=queries_at_most)


async def run(state: State, text: bytes = EVERYTHING) -> list[str]:
    async with state.queries.ask("s", text) as results:
        return [each.key for each in results.found]


async def test_no_more_queries_run_than_are_allowed() -> None:
    """The next is refused, and says which option allows more; it is taken when one has ended."""
    store = Slow()
    state = state_of(store, queries_at_most=2)
    running = [asyncio.create_task(run(state)) for _ in range(2)]
    await store.is_asked.acquire()
    await store.is_asked.acquire()
    with pytest.raises(DaprError) as refused:
        await run(state)
    store.may_go_on.set()
    await asyncio.gather(*running)
    after = await run(state)

    assert refused.value.message == (
        "state store s query failed: 2 queries are running, and --max-concurrent-queries allows no more: try again"
    )
    assert (refused.value.row.http, refused.value.row.grpc.name) == (503, "RESOURCE_EXHAUSTED")
    assert after == []


async def test_a_store_that_stalls_takes_no_places_of_others() -> None:
    """While the queries of one wait for it, those of another are answered."""
    stalled = Slow()
    stores = {"s": BoundStore("s", "app||", stalled), "other": BoundStore("other", "app||", MemoryStore())}
    state = State("app", stores, queries_at_most=1)
    waiting = asyncio.create_task(run(state))
    await stalled.is_asked.acquire()
    async with state.queries.ask("other", EVERYTHING) as results:
        found = results.found
    stalled.may_go_on.set()
    await waiting

    assert found == []


async def test_a_query_ends_with_its_caller() -> None:
    """It asks the store no more, and its place is free."""
    store = Slow()
    state = state_of(store, queries_at_most=1)
    left = asyncio.create_task(run(state))
    await store.is_asked.acquire()
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    store.may_go_on.set()
    after = await run(state)

    assert (store.asked, after) == (2, [])


async def test_results_that_are_too_large_are_refused_whole() -> None:
    """No part of them looks like all; in pages they come."""
    store = MemoryStore()
    size = 1 << 20
    count = OCTETS_OF_ONE // size + 1
    await put(store, *(Upsert(f"app||{number:02}", b'"' + b"x" * size + b'"') for number in range(count)))
    state = state_of(store)
    with pytest.raises(DaprError) as refused:
        await run(state)
    page = await run(state, b'{"page":{"limit":3}}')
    largest = await run(state, b'{"sort":[{"key":"a","order":"DESC"}],"page":{"limit":30}}')

    assert "ask for smaller pages" in refused.value.message
    assert (refused.value.row.http, refused.value.row.grpc.name) == (413, "RESOURCE_EXHAUSTED")
    assert page == ["00", "01", "02"]
    assert len(largest) == 30


async def test_what_a_query_kept_is_given_back() -> None:
    """Whether it ended well or not."""
    budgets = QueryBudgets(1)
    for error in (None, ValueError()):
        try:
            with budgets.enter("s") as budget:
                budget.take(1000)
                if error:
                    raise error
        except ValueError:
            pass

    assert repr(budgets) == "<QueryBudgets: 0 queries with 0 octets>"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b" " * (OCTETS_AT_MOST + 1), "the query is longer than 262144 bytes"),
        (
            json.dumps({"filter": {"OR": [{"EQ": {"a": 1}}] * 1000}}).encode(),
            "more than 1000 conditions at filter.OR[999]",
        ),
        (json.dumps({"filter": {"IN": {"a": [1] * 10_001}}}).encode(), "more than 10000 values of IN at filter.IN.a"),
        (
            b'{"filter":' + b'{"AND":[{"EQ":{"a":1}},' * 40 + b"{}" + b"]}" * 40 + b"}",
            f"filters nested deeper than 32 levels at filter{'.AND[1]' * 31}.AND",
        ),
        (json.dumps({"sort": [{"key": "a"}] * 17}).encode(), "more than 16 sort keys at sort"),
        (
            json.dumps({"filter": {"EQ": {".".join("a" * 33): 1}}}).encode(),
            "a path of more than 1024 characters or 32 steps at filter.EQ",
        ),
        (
            b'{"filter":{"EQ":{"a":1e9999999999999999}}}',
            "the number is longer than 1024 characters, or its exponent at filter.EQ.a",
        ),
        (
            b'{"filter":{"EQ":{"a":"' + b"x" * 16_385 + b'"}}}',
            "the string is longer than 16384 characters at filter.EQ.a",
        ),
    ],
)
async def test_what_a_query_may_ask_is_bounded(text: bytes, reason: str) -> None:
    """Beyond that it is refused by name."""
    with pytest.raises(MalformedQueryError) as refused:
        await parse(text)

    assert str(refused.value) == reason


@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_a_caller_that_leaves_makes_room(transport: str, tmp_path: Path) -> None:
    """While the store stands still, another query is refused; when the first caller has gone, it is let in to wait."""
    with (
        RedisServer(tmp_path) as redis,
        Sidecar(
            tmp_path,
            [component("redis", "state.redis", redisHost=redis.address)],
            flags=["--max-concurrent-queries", "1"],
        ) as sidecar,
        sidecar.client() as client,
        sidecar.client() as other,
    ):
        query = state_pb2.QueryStateRequest(store_name="redis", query="{}")
        send = other.channel.unary_unary("/dapr.proto.runtime.v1.Dapr/QueryStateAlpha1").future

        def seen() -> str:
            return client.call("QueryStateAlpha1", query, timeout=0.3).code

        def begin() -> Callable[[], object]:
            """Ask, and say how to leave."""
            if transport == "grpc":
                return send(query.SerializeToString(), wait_for_ready=True).cancel
            caller = Socket(sidecar.http_port)
            # with a reset: an end of what is sent is not yet one of what is read
            caller.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            caller.send(request("POST", "/v1.0-alpha1/state/redis/query", b"{}"))
            return caller.raw.close

        callers: list[Callable[[], object]] = []

        def is_full() -> bool:
            """The other one may have been there first: then the new one was refused."""
            callers.append(begin())
            return seen() == "RESOURCE_EXHAUSTED"

        assert seen() == "OK"
        redis.pause()
        try:
            until(is_full)
            for leave in callers:
                leave()
            until(lambda: seen() == "DEADLINE_EXCEEDED")
        finally:
            redis.resume()
        until(lambda: seen() == "OK")
