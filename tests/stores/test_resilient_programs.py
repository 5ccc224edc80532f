"""Random programs under policies, over a way that cuts, holds and answers late: what callers are told is what is so.

Each worker writes keys of its own, one call after the other. What is acknowledged is stored, what is certainly refused
is not, a write on a condition happens once, and nobody conflicts with himself.
"""

from __future__ import annotations

import asyncio
import os
import random
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from dapr_state.clock import WAITING
from dapr_state.resiliency.guard import Guard
from dapr_state.resiliency.policies import Chosen, Named, Retry
from dapr_state.resources.component import Component
from dapr_state.resources.properties import Properties
from dapr_state.stores import registry
from dapr_state.stores.base import EtagMismatch, StateStore, StoreError
from dapr_state.stores.model import Delete, StoredValue, Upsert
from dapr_state.stores.resilient import ResilientStore
from dapr_state.stores.wrapper import Wrapper
from tests.support.unsteady import Unsteady

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from dapr_state.stores.base import Found, Outcomes
    from dapr_state.stores.model import Operation
    from tests.support.postgresql import PostgresServer
    from tests.support.redis import RedisServer

WORKERS = 12
CALLS = 400  # of all workers together
SEEDS = range(5, 5 + int(os.environ.get("PROGRAMS", "1")))  # scripts/soak-resiliency plays more of them
REDIS_DB = 9  # of these tests alone
CHOSEN = Chosen(Named("t", 0.08), Named("r", Retry(duration=0.01, max_retries=4)))


class Hold(Wrapper):
    """The same in the process: a store that does things late, or does them and does not say so."""

    def __init__(self, inner: StateStore, chance: random.Random) -> None:
        super().__init__(inner)
        self._chance = chance
        self.is_steady = False
        self.cuts = 0

    async def _come(self) -> str:
        fate = "" if self.is_steady else self._chance.choices(("", "late", "before", "after"), (12, 1, 1, 1))[0]
        if fate == "late":
            await WAITING.sleep(0.1)
        if fate == "before":
            self.cuts += 1
            raise StoreError("cut off")
        return fate

    async def _go(self, fate: str) -> None:
        if fate == "after":
            self.cuts += 1
            raise StoreError("cut off")

    async def get(self, keys: Sequence[str]) -> Found:
        fate = await self._come()
        found = await self.inner.get(keys)
        await self._go(fate)
        return found

    async def write(self, operations: Sequence[Operation]) -> Outcomes:
        fate = await self._come()
        outcomes = await self.inner.write(operations)
        await self._go(fate)
        return outcomes

    async def transact(self, operations: Sequence[Operation]) -> None:
        fate = await self._come()
        await self.inner.transact(operations)
        await self._go(fate)


class Keys:
    """What a worker's two keys may hold, as far as it was told; the second is written by transactions alone."""

    def __init__(self, number: int) -> None:
        self.names = (f"k{number}", f"k{number}-too")
        self.may: tuple[set[bytes | None], set[bytes | None]] = ({None}, {None})

    def told(self, place: int, value: bytes | None, error: StoreError | None) -> None:
        assert not isinstance(error, EtagMismatch), f"a conflict with himself: {error}"
        if error is None:
            self.may[place].clear()
        if error is None or not error.is_undone:
            self.may[place].add(value)


async def worker(store: StateStore, keys: Keys, chance: random.Random, step: Callable[[], bool]) -> None:
    number = 0
    while step():
        number += 1
        value = b"%d" % number
        kind = chance.choice(("save", "save", "delete", "etag", "etag", "transact"))
        first, second = keys.names
        if kind == "transact":
            error = await _outcome(store.transact([Upsert(first, value), Upsert(second, value)]))
            keys.told(0, value, error)
            keys.told(1, value, error)
            continue
        operation: Operation = Upsert(first, value) if kind == "save" else Delete(first)
        if kind == "etag":
            row = await _row(store, first)
            if not isinstance(row, StoredValue):
                continue
            assert row.value in keys.may[0], "acknowledged, and gone"
            keys.may[0].intersection_update({row.value})
            operation = Upsert(first, value, row.etag)
        error = await _outcome(store.write([operation]))
        keys.told(0, None if isinstance(operation, Delete) else value, error)


async def test_what_was_lost_does_not_come_after_what_was_acknowledged(redis_server: RedisServer) -> None:
    """A network that still carries a write of a connection that was given up finds nobody at the server."""
    async with Unsteady(redis_server.port) as way:
        fields = {"redisHost": f"127.0.0.1:{way.port}", "redisDB": str(REDIS_DB), "readTimeout": "200ms"}
        fields["redisMinRetryInterval"] = "5ms"
        store = registry.create(Component("st", "state.redis", "v1", Properties(fields)))
        await store.open()
        held = way.hold_these()
        with pytest.raises(StoreError):
            await store.write([Upsert("late", b"lost")])
        await _steadily(lambda: store.write([Upsert("late", b"acknowledged")]))
        held.set()
        with redis_server.client(db=REDIS_DB) as control:
            for _ in range(20):
                await store.ping()
                assert control.hget("late", "data") == b"acknowledged"
        await store.close()


async def _outcome(call: Any) -> StoreError | None:
    try:
        outcomes = await call
    except StoreError as error:
        return error
    return outcomes[0] if outcomes else None


async def _row(store: StateStore, key: str) -> Any:
    try:
        (row,) = await store.get([key])
    except StoreError:
        return None
    return row


async def play(store: StateStore, chance: random.Random, disturb: Callable[[], None], rest: Callable[[], None]) -> None:
    """Run the program, then look at what is stored once nothing is on its way any more."""
    resilient = ResilientStore(store, Guard("component[st] output", CHOSEN))
    left = CALLS

    def step() -> bool:
        nonlocal left
        left -= 1
        disturb()
        return left > 0

    owners = [Keys(number) for number in range(WORKERS)]
    await asyncio.gather(*(worker(resilient, keys, random.Random(chance.random()), step) for keys in owners))
    rest()
    for keys in owners:
        # behind whatever was left on its way: it is a write of the same key
        await _last_word(resilient, keys.names[0] + "-end", keys.names)
        for place, name in enumerate(keys.names):
            row = await _steadily(lambda name=name: store.get([name]))  # type: ignore[misc]
            value = row[0].value if isinstance(row[0], StoredValue) else None
            assert value in keys.may[place], f"{name} holds {value!r}, and may hold {keys.may[place]}"


async def _last_word(resilient: ResilientStore, key: str, names: Sequence[str]) -> None:
    """Return when nothing is on its way to these keys."""
    for before in [resilient._left[name].ended for name in names if name in resilient._left]:
        await asyncio.wait([before])
    await _steadily(lambda: resilient.write([Upsert(key, b"")]))


async def _steadily(ask: Callable[[], Any]) -> Any:
    for _ in range(50):
        try:
            return await ask()
        except StoreError:
            await WAITING.sleep(0.05)
    raise AssertionError("the store did not come back")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["in-memory", "sqlite"])
async def test_a_program_over_a_store_of_this_process(kind: str, seed: int, tmp_path: Path) -> None:
    """What is late, cut before and cut after it was done, in any order."""
    properties = {"connectionString": str(tmp_path / "state.db")} if kind == "sqlite" else {}
    inner = registry.create(Component("st", f"state.{kind}", "v1", Properties(properties)))
    chance = random.Random(seed)
    store = Hold(inner, chance)
    await store.open()
    try:
        await play(store, chance, lambda: None, lambda: setattr(store, "is_steady", True))
    finally:
        await store.close()
    assert store.cuts > 10


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["redis", "postgresql"])
async def test_a_program_over_a_way_that_cannot_be_relied_on(
    kind: str, seed: int, request: pytest.FixtureRequest
) -> None:
    """Connections end in the midst of a call, requests come late, answers come late or never."""
    async with AsyncExitStack() as opened:
        if kind == "redis":
            redis: RedisServer = request.getfixturevalue("redis_server")
            with redis.client(db=REDIS_DB) as control:
                control.flushdb()
            way = await opened.enter_async_context(Unsteady(redis.port))
            fields = {
                "redisHost": f"127.0.0.1:{way.port}",
                "redisDB": str(REDIS_DB),
                "redisMaxRetries": "-1",
                "redisMinRetryInterval": "5ms",
                "readTimeout": "400ms",
            }
        else:
            postgres: PostgresServer = request.getfixturevalue("postgres_server")
            postgres.empty("unsteady")
            url = urlsplit(postgres.url("unsteady"))
            way = await opened.enter_async_context(Unsteady(url.port or 5432))
            there = url._replace(netloc=url.netloc.replace(f":{url.port}", f":{way.port}")).geturl()
            fields = {"connectionString": there, "timeout": "1"}
        version = "v2" if kind == "postgresql" else "v1"
        store = registry.create(Component("st", f"state.{kind}", version, Properties(fields)))
        await store.open()
        opened.push_async_callback(store.close)
        chance = random.Random(seed)
        opened.callback(way.go_on)

        def disturb() -> None:
            fate = chance.random()
            if fate < 0.02:
                way.cut()
            elif fate < 0.05:
                way.hold_answers()
            elif fate < 0.08:
                way.hold_requests()
            elif fate < 0.4:
                way.go_on()

        await play(store, chance, disturb, way.go_on)
        assert way.cuts > 2
