"""The store that the API sees: what is read on the event loop itself, and what goes to a thread."""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from dapr_state.clock import WAITING, WaitingClock
from dapr_state.stores import paging
from dapr_state.stores.base import Count, Found, KeyPage, NotDone, Outcomes, Page, StateStore, StoreError
from dapr_state.stores.batching import OVERHEAD, weight, weight_of_keys
from dapr_state.stores.model import Feature
from dapr_state.stores.slices import slices
from dapr_state.stores.sql.groups import Write
from dapr_state.stores.sql.keys import refusal
from dapr_state.stores.sqlite import failures, inline, options, reaching, schema
from dapr_state.stores.sqlite.cleanup import FileCleanup
from dapr_state.stores.sqlite.connection import follow
from dapr_state.stores.sqlite.executor import Call, Executor, Read
from dapr_state.stores.sqlite.file import DatabaseFile
from dapr_state.stores.sqlite.indexes import QueryIndexes
from dapr_state.stores.sqlite.inline import ElsewhereError, InlineReads
from dapr_state.stores.sqlite.statements import StateTable
from dapr_state.stores.sqlite.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from dapr_state.clock import VisibleClock
    from dapr_state.query.tree import Condition
    from dapr_state.resources.component import Component
    from dapr_state.stores.model import Operation
    from dapr_state.stores.sqlite.options import Options


AT_ONCE: Final = 8192  # keys or operations of one request in a group: others come in between


class SqliteStore(StateStore):
    features = (
        Feature.ETAG,
        Feature.TRANSACTIONAL,
        Feature.TTL,
        Feature.LIST,
        Feature.ORDER,
        Feature.TOUCH,
        Feature.QUERY,
    )

    def __init__(self, settings: Options, clock: WaitingClock = WAITING) -> None:
        self._options = settings
        self._clock = clock
        self._table = StateTable(settings.table)
        self._indexes = QueryIndexes(settings.table, settings.query_indexes)
        self._executors: list[Executor] = []
        self._file: DatabaseFile | None = None
        self._writing: Worker | None = None
        self._reading: Worker | None = None
        self._inline: InlineReads | None = None  # if the database allows it
        self._cleanup: asyncio.Task[None] | None = None
        self._follows: VisibleClock | None = None

    @classmethod
    def from_component(cls, component: Component) -> SqliteStore:
        return cls(options.read(component.properties))

    def __repr__(self) -> str:
        state = f"{self._executors[0].commits} commits" if self._executors else "closed"
        return f"<SqliteStore {self._options.database.uri} {state}>"

    def follow(self, clock: VisibleClock) -> bool:
        self._follows = clock
        return True

    async def expire(self, prefix: str) -> int:
        expired: int = await _ask(self._writing, Call(partial(self._table.expire, prefix)))
        return expired

    async def open(self) -> None:
        try:
            await asyncio.to_thread(self._connect)
        except (sqlite3.Error, StoreError):
            await self.close()
            raise
        writer, *others = self._executors
        self._writing = self._reading = self._worker(writer)
        if others:
            self._reading = self._worker(others[0])
            self._inline = InlineReads(others[1])
        # others who use the file have not moved with us: their rows are not for us to remove
        if self._options.cleanup_interval and not self._follows:
            self._cleanup = asyncio.create_task(FileCleanup(self._options, self._writing, self._clock).run_for_ever())

    async def reach(self) -> None:
        await asyncio.to_thread(reaching.look, self._options.database)

    def _connect(self) -> None:
        """One executor that writes, one that reads, and one that reads on the event loop and never waits for a lock.

        An in-memory database has one executor for all: connections to it would lock each other out.
        """
        self._executors.append(self._executor())
        schema.migrate(self._executors[0].connection, self._options.table, self._options.metadata_table)
        with schema.saying("create the query indexes"):
            self._indexes.create(self._executors[0].connection)
        if not self._options.database.in_memory:
            self._executors.append(self._executor())
            self._executors.append(
                self._executor(
                    busy_timeout=0.0, timeout=inline.SLOW_SECONDS, steps_between_checks=inline.STEPS_BETWEEN_CHECKS
                )
            )
            self._file = DatabaseFile(self._executors[0].connection)
            for executor in self._executors:
                executor.file = self._file

    def _executor(self, **limits: Any) -> Executor:
        limits = {"busy_timeout": self._options.database.busy_timeout, "timeout": self._options.timeout, **limits}
        try:
            executor = Executor(self._options, self._table, self._clock, **limits)
        except sqlite3.Error as error:
            raise StoreError(f"failed to ping: {failures.describe(error)}") from error
        if self._follows:
            follow(executor.connection, self._follows)
        return executor

    def _worker(self, executor: Executor) -> Worker:
        return Worker(executor.handle, self._clock, self._options.timeout)

    async def close(self) -> None:
        if self._cleanup:
            self._cleanup.cancel()
        self._inline = None
        workers = {worker for worker in (self._writing, self._reading) if worker}
        await asyncio.gather(*(worker.stop() for worker in workers))
        executors, self._executors = self._executors, []
        file, self._file = self._file, None
        # the last to close writes the log back into the file, which takes the disk's time
        await asyncio.to_thread(_close, executors)
        if file:
            file.close()

    async def ping(self) -> None:
        await _ask(self._reading, Call(self._table.ping))

    async def get(self, keys: Sequence[str]) -> Found:
        reads = self._inline
        if reads and keys and reads.takes(keys):
            try:  # `suppress` costs three calls
                return await reads.read(keys)
            except ElsewhereError:
                pass
        if len(keys) <= AT_ONCE:
            return await self._read(keys)
        return [entry for some in slices(keys, AT_ONCE) for entry in await self._read(some)]

    async def _read(self, keys: Sequence[str]) -> Found:
        read: Found = await _ask(self._reading, Read(keys), weight_of_keys(keys))
        if self._inline and self._executors:
            self._inline.read_elsewhere(self._executors[1].read_seconds)
        return read

    async def list(self, prefix: str, *, after: str = "", limit: int) -> Page:
        size = paging.size(limit)
        behind = paging.key_of(after, prefix) if after else None
        page: Page = await _ask(self._reading, Call(partial(self._table.page, prefix, behind, size)))
        return page

    def list_behind(self, key: str) -> str:
        return paging.token(paging.encoded(key))

    async def keys(
        self, prefix: str, *, after: str = "", limit: int, reverse: bool = False, sizes: bool = False
    ) -> KeyPage:
        size, wanted = paging.size(limit), _range(prefix, after, reverse=reverse)
        if wanted is None:
            return KeyPage([])
        page: KeyPage = await _ask(self._reading, Call(partial(self._table.keys, wanted, size, reverse, sizes)))
        return page

    async def count(self, prefix: str, *, after: str = "", hidden: str = "", sizes: bool = False) -> Count:
        behind = paging.row_of(after, prefix) if after else None
        wanted = _range(prefix, after if behind is None else "")
        if wanted is None:
            return Count(0)
        step = (
            partial(self._table.count, prefix, wanted, hidden, sizes)
            if behind is None
            else partial(self._table.count_in_file, prefix, wanted, behind, hidden, sizes)
        )
        counted: Count = await _ask(self._reading, Call(step))
        return counted

    async def touch(self, key: str, ttl: int | None, *, etag: str = "") -> None:
        await _ask(self._writing, Call(partial(self._table.touch, key, ttl, etag)))

    async def candidates(self, prefix: str, condition: Condition) -> Sequence[str] | None:
        if not self._indexes.can_narrow(condition):
            return None
        keys: list[str] | None = await _ask(self._reading, Call(partial(self._indexes.candidates, prefix, condition)))
        return keys

    async def write(self, operations: Sequence[Operation]) -> Outcomes:
        if len(operations) <= AT_ONCE:
            outcomes: Outcomes = await _ask(self._writing, Write(operations), weight(operations))
            return outcomes
        return [outcome for some in slices(operations, AT_ONCE) for outcome in await self.write(some)]

    async def transact(self, operations: Sequence[Operation]) -> None:
        octets = weight(operations) if len(operations) < AT_ONCE else await _weight_in_parts(operations)
        (failure,) = await _ask(self._writing, Write(operations, is_transaction=True), octets)
        if failure:
            raise failure


async def _weight_in_parts(operations: Sequence[Operation]) -> int:
    octets = 0
    for some in slices(operations, AT_ONCE):
        octets += weight(some)
        await asyncio.sleep(0)
    return octets


def _range(prefix: str, after: str, *, reverse: bool = False) -> paging.Range | None:
    if refused := refusal(prefix):
        raise refused
    return paging.range_of(prefix, after, reverse=reverse)


def _close(executors: list[Executor]) -> None:
    for executor in reversed(executors):
        executor.close()


def _ask(worker: Worker | None, work: Read | Write | Call, octets: int = OVERHEAD) -> Awaitable[Any]:
    if worker is None:
        raise NotDone("the store is not open")
    return worker.ask(work, octets)
