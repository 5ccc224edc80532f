"""The client of Dapr's placement service: it finds the leader, reports what is hosted, and goes along with each round.

Rules that a change must keep:
1. One task reads orders and answers locks; what takes time (updates, and the unlocks behind them) is done by another,
   in order. The member bounds what it does.
2. Versions are those of one stream. A stream that ends takes all that it said with it.
3. Nothing heard for SILENCE, not even a PING, is the end of the stream: others would take over 5 s after the last one.
4. What waits to be done, or to be answered, is bounded: then nothing more is read. Of updates that wait one behind the
   other the last one counts; those before it are only answered, for the service has given their rounds up.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import grpc
from dapr_state_proto.placement.v1 import placement_pb2_grpc
from dapr_state_proto.placement.v1.placement_pb2 import Host, HostOperation, PlacementOrder, PlacementTables
from msgspec import Struct

from dapr_state.actors.placement.table import TableError
from dapr_state.clock import WAITING
from dapr_state.serving.grpc.channel import Channel, Reach
from dapr_state.serving.grpc.connection import Patience
from dapr_state.slices import Work

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Sequence

    from dapr_state.clock import WaitingClock
    from dapr_state.serving.tls import Tls

    Call = grpc.aio.StreamStreamCall[Host, PlacementOrder]

BEAT: Final = 1.0  # seconds between two signs that this sidecar runs
SILENCE: Final = 2.5  # the service sends a PING after 2 s; then it is asked with one of ours, which it has to answer in
ANSWER: Final = 1.5  # so many: with both, before it gives this sidecar's actors away
CONNECT: Final = 5.0  # for an address that says nothing
REFUSED: Final = (0.25, 0.75)  # after an address that cannot be reached, at random in between, as daprd
NO_LEADER: Final = 0.05  # after a turn of all addresses without a leader; it grows from turn to turn
NO_LEADER_AT_MOST: Final = 0.5  # seconds
FIRST: Final = 1  # the round before which nobody was told a table; a later one may follow rounds of others
LEAVING: Final = 3.0  # for the round in which the others take over at the end
TOLD_AGAIN: Final = 60.0  # an address that cannot be reached is told of once a minute
API_LEVEL: Final = 20  # of daprd 1.18
# Octets: a table grows with types, hosts and what each of them hosts; daprd takes 4 MiB, 10,000 hosts of a type are 1
ORDER: Final = 16 << 20
TABLES_AT_MOST: Final = 2  # that wait to be read: rounds that have ended while an earlier one still takes its time
WAITING_AT_MOST: Final = 256  # orders, or answers that the service does not take
_REACH: Final = Reach(max_receive=ORDER, connect=CONNECT, patience=Patience(SILENCE, ANSWER))
_KICKED: Final = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.PERMISSION_DENIED)

log = logging.getLogger("dapr.runtime.actor.placement")


class Identity(Struct, frozen=True):
    """A sidecar as the service knows it; `name` is host:port of its internal port."""

    name: str
    app_id: str
    namespace: str


class Member(Protocol):
    """Who does what the service says."""

    async def update(self, tables: PlacementTables, /) -> None: ...

    def unlock(self) -> None: ...

    def beat(self) -> None: ...

    def lose(self, *, drains: bool) -> None: ...


class OrderError(Exception):
    """The service does not keep to the rounds: the stream is given up."""


class _Order:
    """One that waits to be done; without a table it is only answered."""

    __slots__ = ("is_update", "tables", "version")

    def __init__(self, version: int, tables: PlacementTables | None = None, *, is_update: bool) -> None:
        self.version = version
        self.tables = tables
        self.is_update = is_update


class PlacementClient:
    """`begin` it when it is known what is hosted, tell it with `report` of each change, `leave` in time, `close` it."""

    def __init__(
        self,
        addresses: Sequence[str],
        me: Identity,
        member: Member,
        types: Callable[[], Collection[str]],
        limit: float,
        *,
        tls: Tls | None = None,
        waiting: WaitingClock = WAITING,
    ) -> None:
        """`types` are those hosted now; `limit` is how long a round may take, in seconds."""
        self._addresses = addresses
        self._me = me
        self._member = member
        self._types = types
        self._limit = limit
        self._tls = tls
        self._waiting = waiting
        self._stream: _Stream | None = None
        self._told: dict[str, float] = {}  # failures, and until when they are not told again
        self._is_leaving = False
        self._has_begun = False  # a stream, ever
        self._running: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return f"<PlacementClient {self._me.name} {'connected' if self._stream else 'looking for the leader'}>"

    def begin(self) -> None:
        """Harmless when it has begun already: then it is a report."""
        if self._running:
            self.report()
        else:
            self._running = [asyncio.ensure_future(self._run()), asyncio.ensure_future(self._beat())]

    def report(self) -> None:
        """What is hosted has changed."""
        if self._stream:
            self._stream.report(self._hosted())

    def join_anew(self) -> None:
        """What the service has said so far does not count any more."""
        if self._stream:
            self._stream.is_void.set()

    async def leave(self, grace: float | None) -> None:
        """Host nothing any more; return when the others have taken over, or the time is up."""
        self._is_leaving = True
        if self._stream is None or not self._stream.has_begun or not self._types():
            return
        self._stream.report(())
        seconds = LEAVING if grace is None else min(grace, LEAVING)
        try:
            async with self._waiting.timeout(seconds):
                await self._stream.is_out.wait()
        except TimeoutError:
            log.warning("The other sidecars have not been heard to take over within %.1f s", seconds)

    async def close(self) -> None:
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    async def _beat(self) -> None:
        """Also while there is no stream: what still ends of what was active must not go on once it was frozen."""
        while True:
            await self._waiting.sleep(BEAT)
            self._member.beat()

    def _hosted(self) -> Collection[str]:
        return () if self._is_leaving else self._types()

    # Finding the leader

    async def _run(self) -> None:
        turns = 0  # without a leader
        while True:
            async for target in self._turn():
                try:
                    pause = await self._serve(target)
                except Exception:  # without this task no actor would be found any more
                    log.exception("The stream to placement %s has failed", target)
                    pause = REFUSED[1]
                if pause is None:  # it was the leader
                    turns, pause = 0, NO_LEADER
                await self._waiting.sleep(pause)
            turns += 1
            await self._waiting.sleep(min(NO_LEADER * turns, NO_LEADER_AT_MOST))

    async def _turn(self) -> AsyncIterator[str]:
        """Each address, and of a name all that it stands for."""
        for address in self._addresses:
            host, _, port = address.removeprefix("dns:///").rpartition(":")
            try:
                found = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError, ValueError) as error:
                self._tell(address, str(error))
                await self._waiting.sleep(random.uniform(*REFUSED))  # noqa: S311 - not for secrets
                continue
            for family, _, _, _, where in dict.fromkeys(found):
                ip, number, *_ = cast("tuple[str, int]", where)
                yield f"[{ip}]:{number}" if family == socket.AF_INET6 else f"{ip}:{number}"

    async def _serve(self, target: str) -> float | None:
        """One stream; then the seconds until the next address, or None if this one was the leader."""
        async with Channel(target, self._tls, _REACH) as channel:
            call: Any = placement_pb2_grpc.PlacementStub(channel).ReportDaprStatus()
            stream = _Stream(call, target, self._me, self._member, limit=self._limit, waiting=self._waiting)
            stream.is_another = self._has_begun
            drains, is_lawful = True, True
            try:
                await stream.run(self._hosted, self._opened)
            except OrderError as error:
                log.warning("%s, closing stream to reconnect", error)
                is_lawful = False
            except grpc.aio.AioRpcError:
                drains = not _is_taken_over(await call.code(), await call.details())
            finally:
                self._stream = None
                self._has_begun = self._has_begun or stream.has_begun
                if stream.has_begun:  # whatever ends it, the end of this sidecar included
                    self._member.lose(drains=drains)
                call.cancel()
            code, details = await call.code(), await call.details()
        if stream.has_begun:
            self._told.clear()
            log.info("Placement stream closed: %s: %s. Reconnecting...", code, details)
        if not is_lawful:  # each that joins costs all others a round
            return random.uniform(*REFUSED)  # noqa: S311 - not for secrets
        if stream.has_begun:
            return None
        if code is grpc.StatusCode.FAILED_PRECONDITION:
            log.debug("Placement %s: %s", target, details)
            return 0.0
        self._tell(target, details or "")
        return random.uniform(*REFUSED)  # noqa: S311 - not for secrets

    def _tell(self, address: str, reason: str) -> None:
        now = self._waiting.monotonic()
        if now >= self._told.get(address, 0.0):
            self._told[address] = now + TOLD_AGAIN
            log.error("Failed to connect to placement service: %s: %s. Retrying...", address, reason)

    def _opened(self, stream: _Stream) -> None:
        self._stream = stream


class _Stream:
    """One conversation with the service."""

    def __init__(
        self, call: Any, target: str, me: Identity, member: Member, *, limit: float, waiting: WaitingClock
    ) -> None:
        self._call = call
        self._target = target
        self._me = me
        self._member = member
        self._limit = limit
        self._waiting = waiting
        self._version = 0
        self._is_updated = False
        # monotonic: for the next order of the round, and for the first of all
        self._deadline: float | None = waiting.monotonic() + limit
        self._outgoing: asyncio.Queue[Host] = asyncio.Queue()
        self._orders: asyncio.Queue[_Order] = asyncio.Queue()
        self._latest: _Order | None = None  # an update that waits, and behind which no unlock has come
        self._tables = 0  # that wait
        self._done = asyncio.Event()  # something of what waited
        self._is_named = True  # by the table that was told last
        self.is_another = False  # there was one before
        self.has_begun = False  # an order has come: this is the leader
        self.is_void = asyncio.Event()
        self.is_out = asyncio.Event()  # since the last report a round is over whose table does not name this sidecar

    def report(self, types: Collection[str]) -> None:
        me = self._me
        self.is_out.clear()
        self._outgoing.put_nowait(
            Host(
                name=me.name,
                id=me.app_id,
                namespace=me.namespace,
                entities=types,
                api_level=API_LEVEL,
                operation=HostOperation.REPORT,
            )
        )

    async def run(self, types: Callable[[], Collection[str]], opened: Callable[[_Stream], None]) -> None:
        """Return when the service ends it. Raises OrderError, or what the call raises."""
        self.report(types())
        opened(self)
        tasks = [asyncio.ensure_future(work()) for work in (self._write, self._work, self._read, self._end)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _end(self) -> None:
        await self.is_void.wait()
        log.info("Joining placement anew")

    async def _write(self) -> None:
        while True:
            await self._call.write(await self._outgoing.get())
            self._done.set()

    async def _room(self) -> None:
        while self._tables > TABLES_AT_MOST or max(self._orders.qsize(), self._outgoing.qsize()) >= WAITING_AT_MOST:
            self._done.clear()
            await self._done.wait()

    async def _read(self) -> None:
        work = Work()
        while True:
            if work.is_over():  # many may have come at once
                await work.pause()
            seconds = None if self._deadline is None else max(0.0, self._deadline - self._waiting.monotonic())
            try:
                async with self._waiting.timeout(seconds):
                    await self._room()
                    order = await self._call.read()
            except TimeoutError:
                what = f"version {self._version}" if self.has_begun else "the first table"
                raise OrderError(f"Dissemination timeout for {what}") from None
            if order is grpc.aio.EOF:
                return
            self._take(order)

    def _begin(self, version: int) -> None:
        self.has_begun = True
        log.info("Connected to placement service: %s", self._target)
        if self.is_another and version > FIRST:  # they may have what still ends here since the last stream
            self._member.lose(drains=False)

    def _take(self, order: PlacementOrder) -> None:
        version = order.version or int(order.tables.version or 0)
        if not self.has_begun:
            self._begin(version)
        log.debug("Handling placement order=%s version=%d", order.operation, version)
        match order.operation:
            case "lock":
                self._version = version
                self._is_updated = False
                self._wait_for_next()
                self._answer(HostOperation.LOCK, version)
            case "update":
                if version < self._version:
                    raise OrderError(f"version mismatch: expected {self._version}, got {version}")
                self._is_updated = True
                self._wait_for_next()
                self._drop_table(self._latest)
                self._tables += 1
                self._latest = _Order(self._version, order.tables, is_update=True)
                self._orders.put_nowait(self._latest)
            case "unlock":
                if self._is_updated and version >= self._version:
                    self._is_updated = False
                    self._version = version
                    self._deadline = None
                    self._latest = None
                    self._orders.put_nowait(_Order(version, is_update=False))
            case other:
                raise OrderError(f"unknown operation: {other}")

    def _wait_for_next(self) -> None:
        self._deadline = self._waiting.monotonic() + self._limit

    def _answer(self, operation: HostOperation, version: int) -> None:
        me = self._me
        self._outgoing.put_nowait(Host(id=me.app_id, namespace=me.namespace, operation=operation, version=version))

    async def _work(self) -> None:
        """What the orders ask of this sidecar, one after the other."""
        while True:
            order = await self._orders.get()
            if self.is_void.is_set():
                return
            if order is self._latest:
                self._latest = None
            if order.is_update:
                if tables := self._drop_table(order):
                    await self._update(tables)
                self._answer(HostOperation.UPDATE, order.version)
            else:
                self._member.unlock()
                log.info("Dissemination complete for version %d", order.version)
                self._answer(HostOperation.UNLOCK, order.version)
                if not self._is_named:
                    self.is_out.set()
            self._done.set()

    def _drop_table(self, order: _Order | None) -> PlacementTables | None:
        """Its table, if it still has one."""
        if order is None or order.tables is None:
            return None
        tables, order.tables = order.tables, None
        self._tables -= 1
        return tables

    async def _update(self, tables: PlacementTables) -> None:
        try:
            await self._member.update(tables)
        except TableError as error:
            raise OrderError(str(error)) from None
        self._is_named = any(self._me.name in each.load_map for each in tables.entries.values())


def _is_taken_over(code: grpc.StatusCode, details: str | None) -> bool:
    """Whether the others may have this sidecar's actors already: it was thrown out, or has heard nothing for long."""
    return code in _KICKED or "ping" in (details or "").lower()
