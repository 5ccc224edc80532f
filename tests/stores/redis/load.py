"""Callers that write and read without pause while servers fail, and what must hold of what they were told."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Self

from dapr_state.stores.base import StateStore, StoreError
from dapr_state.stores.model import StoredValue, Upsert

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

_loads = count()
_PAUSE = 0.002  # seconds between two calls of a caller: the machine has others


@dataclass
class Writer:
    """One caller and his key, which nobody else writes: its version tells how often it was written."""

    key: str
    asked: int = 0
    acknowledged: int = 0
    newest: int = 0  # the last number that was acknowledged
    unknown: list[str] = field(default_factory=list)  # why, for each write that was not


@dataclass
class Lost:
    """Acknowledged writes that are not there."""

    key: str
    acknowledged: int
    found: int  # of them


class Load:
    """`async with Load(store, keys, strong=True) as load:` kill, move; then `check`."""

    def __init__(self, store: StateStore, keys: list[str], *, strong: bool) -> None:
        number = next(_loads)  # keys of its own: what a server forgets is not mistaken for what another load wrote
        self.writers = [Writer(f"{key}-{number}") for key in keys]
        self.foreign: list[object] = []  # what readers saw that the key's writer did not write
        self._store = store
        self._strong = strong
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        for writer in self.writers:
            first = Upsert(writer.key, self._value(writer, 0), strong=self._strong)
            assert await self._store.write([first]) == [None]
            self._tasks.append(asyncio.create_task(self._write(writer)))
        self._tasks += [asyncio.create_task(self._read()) for _ in range(3)]
        return self

    async def __aexit__(self, *exception: object) -> None:
        for task in self._tasks:
            task.cancel()
        ends = await asyncio.gather(*self._tasks, return_exceptions=True)
        assert [end for end in ends if not isinstance(end, asyncio.CancelledError)] == []

    async def goes_on(self, where: Callable[[str], bool] = lambda _: True) -> None:
        """Wait until each of these keys was written once more, for 10 seconds at most."""
        before = {writer.key: writer.acknowledged for writer in self.writers if where(writer.key)}
        async with asyncio.timeout(10):
            while any(writer.acknowledged <= before.get(writer.key, -1) for writer in self.writers):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def lost(self) -> list[Lost]:
        """What was acknowledged and is not there, of what was written once and not twice. Call it behind the load."""
        lost = []
        for writer, row in zip(
            self.writers, await self._store.get([writer.key for writer in self.writers]), strict=True
        ):
            assert isinstance(row, StoredValue), row
            found, version = self._number(writer.key, row), int(row.etag)
            assert version <= 1 + writer.asked, f"{writer} was written {version} times, {found}"
            assert found <= writer.asked
            if found < writer.newest or version < 1 + writer.acknowledged:
                lost.append(Lost(writer.key, writer.acknowledged, version - 1))
        return lost

    def reasons(self) -> set[str]:
        """Why writes failed."""
        return {reason for writer in self.writers for reason in writer.unknown}

    async def _write(self, writer: Writer) -> None:
        while True:
            await asyncio.sleep(_PAUSE)
            writer.asked += 1
            number = writer.asked
            try:
                (outcome,) = await self._store.write([
                    Upsert(writer.key, self._value(writer, number), strong=self._strong)
                ])  # fmt: skip
            except StoreError as error:
                outcome = error
            if outcome is None:
                writer.acknowledged += 1
                writer.newest = number
            else:
                writer.unknown.append(str(outcome))

    async def _read(self) -> None:
        keys = [writer.key for writer in self.writers]
        while True:
            await asyncio.sleep(_PAUSE)
            try:
                rows = await self._store.get(keys)
            except StoreError:
                continue
            for key, row in zip(keys, rows, strict=True):
                if isinstance(row, StoredValue):
                    is_foreign = row.value.partition(b"=")[0] != key.encode()
                else:
                    is_foreign = row is None and self._strong  # else its replica may not have heard of it yet
                if is_foreign:
                    self.foreign.append((key, row))

    def _value(self, writer: Writer, number: int) -> bytes:
        return f"{writer.key}={number}".encode()

    def _number(self, key: str, row: StoredValue) -> int:
        name, _, number = row.value.decode().partition("=")
        assert name == key
        return int(number)


async def survives(
    store: StateStore,
    keys: list[str],
    fail_over: Callable[[Load], Any],
    bring_back: Callable[[Any], object],
    *,
    strong: bool,
) -> None:
    """A server dies under load, others take over, and it comes back: asserts what must hold of the calls meanwhile."""
    async with Load(store, keys, strong=strong) as load:
        await load.goes_on()
        killed = time.monotonic()
        old = await asyncio.to_thread(fail_over, load)
        await load.goes_on()
        log.info("%.1f s until all was written again", time.monotonic() - killed)
        await asyncio.to_thread(bring_back, old)
        await load.goes_on()
    lost = await load.lost()
    acknowledged = sum(writer.acknowledged for writer in load.writers)
    failed = sum(len(writer.unknown) for writer in load.writers)
    log.info("%d writes acknowledged, %d failed, lost: %s", acknowledged, failed, lost)

    assert load.foreign == []
    assert not strong or lost == []
