"""Which schedulers there are: the list that any of them tells, and a connection to each.

Rules that a change must keep:
1. The list is asked of each address that is known, given or told, until one answers. What that one says later counts
   too; when its stream ends another is asked.
2. A connection that is in the list no more takes no new calls, and is closed when those under way have ended.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import grpc
from dapr_state_proto.scheduler.v1.scheduler_pb2 import WatchHostsRequest
from dapr_state_proto.scheduler.v1.scheduler_pb2_grpc import SchedulerStub

from dapr_state.actors.gate import Gate
from dapr_state.app.answers import MAX_BODY, Answers
from dapr_state.clock import WAITING
from dapr_state.serving.grpc.channel import Channel, Reach
from dapr_state.serving.grpc.connection import Patience
from dapr_state.serving.grpc.settings import UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from dapr_state.clock import WaitingClock
    from dapr_state.serving.tls import Tls

SILENCE: Final = 4.0  # seconds: the service sends a PING after 3 s; then it is asked with one of ours
ANSWER: Final = 5.0  # seconds for the answer to that: as long as the service waits for ours
FIRST_LIST: Final = 5.0  # seconds for the list, before another address is asked
REFUSED: Final = (0.5, 1.5)  # seconds after an address that cannot be reached, at random in between, as daprd
ENDED: Final = 0.1  # seconds after a stream that has told a list
PACE: Final = 0.1  # seconds between two lists that are heeded: each makes all streams anew
HOSTS_AT_MOST: Final = 64  # of a list: etcd, which they are made on, has seven at most
RETIRED: Final = 30.0  # seconds for the calls of a connection that is in the list no more: as long as each may take
ASKED_AGAIN: Final = 60.0  # seconds, for a service that knows no lists
TOLD_AGAIN: Final = 60.0  # an address that cannot be reached is told of once a minute
# Of an answer: all reminders of a type are one message, 64 MB of it some 300,000; of all that are not whole, twice that
_answers: Final = Answers()
REACH: Final = Reach(MAX_BODY, UNLIMITED, connect=FIRST_LIST, patience=Patience(SILENCE, ANSWER), holder=_answers)

DNS: Final = "dns:///"  # how gRPC names an address that is looked up: as all are

log = logging.getLogger("dapr.runtime.scheduler")


class Connection:
    """To one scheduler: calls and streams share it."""

    __slots__ = ("address", "channel", "stub")

    def __init__(self, address: str, channel: Channel) -> None:
        self.address = address
        self.channel = channel
        self.stub = SchedulerStub(channel)

    def __repr__(self) -> str:
        return f"<Connection to scheduler {self.address}{' down' if self.is_down else ''}>"

    @property
    def is_down(self) -> bool:
        """Whether the last attempt to reach it has failed."""
        return self.channel.get_state() is grpc.ChannelConnectivity.TRANSIENT_FAILURE


class Hosts:
    """`begin` it, and `close` it at the end."""

    def __init__(self, addresses: Collection[str], tls: Tls | None = None, waiting: WaitingClock = WAITING) -> None:
        """`addresses` are those that the user gave; `tls` secures the way to each, also to those that are told."""
        self._given = tuple(addresses)
        self._tls = tls
        self._waiting = waiting
        self._connections: dict[str, Connection] = {}
        self._known = Gate(waiting, is_open=False, what="the scheduler")
        self._turn = 0
        self._told: dict[str, float] = {}  # addresses, and until when their failures are not told again
        self._running: asyncio.Task[None] | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self.on_list: list[Callable[[], object]] = []  # told each time that a list has come, be it the same

    def __repr__(self) -> str:
        return f"<Hosts {', '.join(self._connections) or 'unknown'}>"

    @property
    def connections(self) -> tuple[Connection, ...]:
        """To all that are in the list; none before the first has come."""
        return tuple(self._connections.values())

    async def known(self, octets: int = 0) -> None:
        """Return when a list has come; `octets` is what the caller brings. Raises AwayError."""
        await self._known.pass_through(octets)

    def next(self, failed: Collection[str] = ()) -> Connection:
        """The one whose turn it is, of those that have not failed; one that is down only if all are."""
        left = [each for each in self._connections.values() if each.address not in failed] or list(self.connections)
        left = [each for each in left if not each.is_down] or left
        self._turn += 1
        return left[self._turn % len(left)]

    def has_others(self, failed: Collection[str]) -> bool:
        return not self._connections.keys() <= {*failed}

    def begin(self) -> None:
        self._running = asyncio.ensure_future(self._run())

    async def close(self) -> None:
        if self._running:
            self._running.cancel()
            await asyncio.wait([self._running])
        for task in self._retiring:
            task.cancel()
        if self._retiring:
            await asyncio.wait(self._retiring)
        for connection in self.connections:
            await connection.channel.close()

    async def _run(self) -> None:
        while True:
            addresses = [*{*self._given, *self._connections}]
            random.shuffle(addresses)
            for address in addresses:
                try:
                    is_told = await self._follow(address)
                except Exception:  # without this task no other scheduler would be found any more
                    log.exception("The stream to scheduler %s has failed", address)
                    is_told = False
                if is_told:
                    break
                await self._waiting.sleep(random.uniform(*REFUSED))  # noqa: S311 - not for secrets
            await self._waiting.sleep(ENDED)

    async def _follow(self, address: str) -> bool:
        """One stream of lists, to its end; whether there was one."""
        is_told = False
        async with self._dial(address) as channel:
            call: Any = SchedulerStub(channel).WatchHosts(WatchHostsRequest())
            try:
                # a stream that ends badly, or tells no list in time, has the same meaning: its status says which it was
                with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError, TimeoutError):
                    while (answer := await self._read(call, is_first=not is_told)) is not grpc.aio.EOF:
                        is_told = self._take([host.address for host in answer.hosts[:HOSTS_AT_MOST]]) or is_told
                        await self._waiting.sleep(PACE)
            finally:
                call.cancel()
            code, details = await call.code(), await call.details()
        if code is grpc.StatusCode.UNIMPLEMENTED:
            self._take(self._given)
            await self._waiting.sleep(ASKED_AGAIN)
            return True
        if is_told:
            log.info("Scheduler stream of hosts closed: %s: %s. Reconnecting...", code, details)
        else:
            self._tell(address, details or str(code))
        return is_told

    async def _read(self, call: Any, *, is_first: bool) -> Any:
        async with self._waiting.timeout(FIRST_LIST if is_first else None):
            return await call.read()

    def _tell(self, address: str, reason: str) -> None:
        now = self._waiting.monotonic()
        if now >= self._told.get(address, 0.0):
            self._told[address] = now + TOLD_AGAIN
            log.error("Failed to connect to scheduler host: %s: %s. Retrying...", address, reason)

    def _take(self, addresses: Sequence[str]) -> bool:
        """Whether it is a list that says anything."""
        if not addresses:
            return False
        log.info("Received updated list of scheduler hosts: %s", ", ".join(addresses))
        self._told.clear()
        for address in self._connections.keys() - {*addresses}:
            self._retire(self._connections.pop(address))
        for address in addresses:
            if address not in self._connections:
                self._connections[address] = Connection(address, self._dial(address))
        self._known.open()
        for tell in self.on_list:
            tell()
        return True

    def _dial(self, address: str) -> Channel:
        return Channel(address.removeprefix(DNS), self._tls, REACH)

    def _retire(self, connection: Connection) -> None:
        task = asyncio.ensure_future(connection.channel.close(RETIRED))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)
