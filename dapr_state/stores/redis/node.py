"""One server of Redis, and how it is asked: the only place that knows of lost connections, replicas and runs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dapr_state.errors import untraced
from dapr_state.stores.base import Found, Outcomes, StoreError, Unfit
from dapr_state.stores.batching import OVERHEAD, runs, weight, weight_of_keys
from dapr_state.stores.redis import listing
from dapr_state.stores.redis.connecting import tls_context
from dapr_state.stores.redis.connection import ConnectionLost, ReplyError, Silence
from dapr_state.stores.redis.grouping import OCTETS_AT_MOST, SLICE, budget
from dapr_state.stores.redis.reconnecting import Reconnecting
from dapr_state.stores.redis.replicas import Replicated
from dapr_state.stores.redis.scripts import packed
from dapr_state.stores.redis.writing import NotHere
from dapr_state.stores.slices import slices

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Sequence

    from dapr_state.stores.batching import Budget
    from dapr_state.stores.model import Operation
    from dapr_state.stores.redis.grouping import Grouping
    from dapr_state.stores.redis.options import Options
    from dapr_state.stores.redis.reconnecting import Locate

# Of one request: what is more goes in runs, so that others come in between. Redis takes some 1.5 ms for the writes.
OPERATIONS_AT_ONCE: Final = 512
_TRANSACTION_AT_MOST: Final = 300_000  # operations: a second of Redis's time; before 7.0 it cuts off who asks for more
_PING: Final = packed(b"PING")

T = TypeVar("T")


async def in_order(
    operations: Sequence[Operation],
    write: Callable[[Sequence[Operation]], Awaitable[Outcomes]],
    is_undone: Callable[[StoreError | None], bool],
) -> Outcomes:
    """Run behind run; others come in between.

    What `is_undone` will be asked again. Who stands behind it on its key is left undone too: else the earlier of the
    two would come last, and stay.
    """
    told: Outcomes = []
    undone: dict[str, StoreError] = {}
    for run in runs(operations, weight, at_most=OPERATIONS_AT_ONCE, octets_at_most=OCTETS_AT_MOST):
        free = [operation for operation in run if operation.key not in undone] if undone else run
        try:
            outcomes = iter(await write(free) if free else ())
        except StoreError as error:
            if not told:
                raise
            return [*told, *[untraced(error)] * (len(operations) - len(told))]  # what was done before stays done
        for operation in run:
            before = undone.get(operation.key)
            outcome = type(before)(str(before)) if before else next(outcomes)
            told.append(outcome)
            if outcome is not None and is_undone(outcome):
                undone[operation.key] = outcome
    return told


class Node:
    """`waiting` is of the store, which may have several; `locate` and `on_down` as Reconnecting has them."""

    def __init__(
        self,
        options: Options,
        context: ssl.SSLContext | None = None,
        waiting: Budget | None = None,
        *,
        locate: Locate | None = None,
        on_down: Callable[[], None] | None = None,
    ) -> None:
        self._options = options
        self._context = context or tls_context(options)
        self._waiting = waiting or budget()
        self._locate = locate
        self._link = Reconnecting(options, self._context, self._waiting, locate=locate, on_down=on_down)
        self._replicated: Replicated | None = None  # from the first strong write to a server with replicas on

    def __repr__(self) -> str:
        return f"<Node {self._link!r}>"

    @property
    def address(self) -> str:
        return self._link.location.address

    @property
    def is_live(self) -> bool:
        return self._link.live is not None

    def start(self) -> None:
        """Begin to connect."""
        self._link.open()

    async def open(self) -> None:
        self.start()
        try:
            await self._link.connected(OVERHEAD)
        except BaseException:
            await self._link.close()
            raise

    async def close(self) -> None:
        if self._link.live:
            self._link.live.flush()
        if self._replicated:
            await self._replicated.close(self._options.read_timeout)
        await self._link.close()

    async def ping(self) -> None:
        grouping = await self._link.connected(OVERHEAD)
        (reply,) = await grouping.connection.ask(_PING, 1)
        if isinstance(reply, ReplyError):
            raise self._link.failure(reply)

    async def ask(self, commands: bytes, replies: int, *, is_strong: bool = False) -> list[Any]:
        """Send packed commands, see Connection.ask; strong ones wait for the replicas."""
        grouping = await self._link.connected(OVERHEAD + len(commands))
        if is_strong and self._link.server.replicas:
            return await self._replicated_writes().ask(commands, replies)
        return await grouping.connection.ask(commands, replies)

    def has_replicas(self, number: int) -> None:
        """What is known since it was connected to."""
        self._link.server = replace(self._link.server, replicas=number)

    async def read(self, keys: Sequence[str]) -> Found:
        """Rows, so many at once that others are not kept waiting."""
        grouping = self._link.live or await self._link.connected(weight_of_keys(keys))
        if len(keys) > grouping.keys_at_once:
            return await self._read_in_runs(keys)
        try:
            return await grouping.read(keys)
        except ConnectionLost as lost:
            return await self._again(lambda grouping: grouping.read(keys), weight_of_keys(keys), lost)

    async def find(self, prefix: str, after: str, size: int) -> tuple[list[str], str]:
        """The keys of a page of a list, and where it goes on."""

        async def find(grouping: Grouping) -> tuple[list[str], str]:
            return await listing.find(grouping.connection, grouping.server.process, prefix, after, size)

        octets = OVERHEAD + len(prefix) + len(after)
        try:
            return await find(await self._link.connected(octets))
        except ConnectionLost as lost:
            return await self._again(find, octets, lost)

    async def write(self, operations: Sequence[Operation]) -> Outcomes:
        if len(operations) > 1 and (len(operations) > OPERATIONS_AT_ONCE or weight(operations) > OCTETS_AT_MOST):
            return await in_order(operations, self.write, lambda outcome: isinstance(outcome, NotHere))
        grouping = self._link.live or await self._link.connected(weight(operations))
        if self._link.server.replicas and self._waits_for_replicas(operations):
            return await self._replicated_writes().write(operations)
        return await grouping.write(operations)

    async def transact(self, operations: Sequence[Operation]) -> Outcomes:
        if len(operations) > _TRANSACTION_AT_MOST:
            raise Unfit(f"a transaction of {len(operations)} operations is more than redis takes in one call")
        grouping = self._link.live or await self._link.connected(OVERHEAD * len(operations))
        if self._link.server.replicas:
            for some in slices(operations, SLICE):
                if self._waits_for_replicas(some):
                    return await self._replicated_writes().transact(operations)
                if len(some) == SLICE:
                    await asyncio.sleep(0)
        return await grouping.transact(operations)

    async def _read_in_runs(self, keys: Sequence[str]) -> Found:
        found: Found = []
        while len(found) < len(keys):
            at_once = self._link.live.keys_at_once if self._link.live else 1
            found += await self.read(keys[len(found) : len(found) + at_once])
        return found

    async def _again(self, read: Callable[[Grouping], Awaitable[T]], octets: int, lost: ConnectionLost) -> T:
        """Repeat a read whose connection was lost, as often as the component allows; a write is never repeated."""
        for _ in range(self._options.retries):
            if isinstance(lost, Silence):  # the caller has waited long enough
                break
            try:
                return await read(await self._link.connected(octets))
            except ConnectionLost as again:
                lost = again
        try:
            raise lost
        finally:
            del lost  # else it holds this frame, which holds it: 5,000 callers left 15 MB for a collection

    def _leave(self, reason: str) -> None:
        """Connect anew."""
        self._link.leave(reason)
        if self._replicated:
            self._replicated.link.leave(reason)

    def _waits_for_replicas(self, operations: Sequence[Operation]) -> bool:
        return any(operation.strong for operation in operations)

    def _replicated_writes(self) -> Replicated:
        """The connection of those that wait for replicas."""
        if self._replicated is None:
            self._replicated = Replicated(self._options, self._context, self._waiting, self._locate)
            self._replicated.link.open()
        self._replicated.replicas = self._link.server.replicas
        return self._replicated
