"""The master of a group of servers that Redis Sentinel watches over: found, followed, and never taken for what it was.

1. The sentinels are asked before each connection, all of them, and the one that knows of the latest failover is right.
2. Who says that he is no master is not connected to, and nothing is sent to him.
3. While there is a connection the sentinels are asked each second, and the server what it is. A connection to who is no
   master any more ends, with what waits on it: nobody knows what became of that, and a write is not sent again.
4. A write that was refused because its server had become a replica was not done: it is sent again, to the new master.

Redis replicates behind its answers: what a master acknowledged within its last moments, or while it was cut off, may be
unknown to the next one. Who needs more asks for consistency `strong`, which waits for the replicas.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dapr_state.clock import WAITING
from dapr_state.stores.base import StoreError
from dapr_state.stores.batching import OVERHEAD
from dapr_state.stores.redis.asking import answers
from dapr_state.stores.redis.connecting import ConnectError, connect, replication, tls_context
from dapr_state.stores.redis.connection import ConnectionLost, ReplyError
from dapr_state.stores.redis.grouping import budget
from dapr_state.stores.redis.node import Node
from dapr_state.stores.redis.reconnecting import Location, Reconnecting
from dapr_state.stores.redis.scripts import packed
from dapr_state.stores.redis.writing import NotHere

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from dapr_state.stores.base import Outcomes
    from dapr_state.stores.batching import Budget
    from dapr_state.stores.model import Operation
    from dapr_state.stores.redis.grouping import Grouping
    from dapr_state.stores.redis.options import Options

_EVERY: Final = 1.0  # seconds between two looks: sentinels take some to agree that a master is gone
_AT_MOST: Final = 16  # sentinels that are asked: seven are many; one that is gone makes room


class View(NamedTuple):
    """What one sentinel says."""

    epoch: int  # of the failover that made this master
    is_promoted: bool  # in a failover that still goes on, which it leads: the others know nothing of it yet
    address: str
    replicas: int  # that it has or shall have
    others: frozenset[str] = frozenset()  # sentinels that are alive


class Sentinels:
    def __init__(self, options: Options, context: ssl.SSLContext | None, waiting: Budget) -> None:
        if options.sentinel is None:
            raise ValueError("no sentinels")
        self._name = options.sentinel.master
        self._dial_timeout = options.dial_timeout
        self._context = context
        self._waiting = waiting
        self._options = replace(
            options,
            sentinel=None,
            username=options.sentinel.username,
            password=options.sentinel.password,
            database=0,
            retries=0,
        )
        self._links: dict[str, Reconnecting] = {}  # by address: those of the component, and those that they know
        self._closing: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Sentinels of {self._name}: {[*self._links.values()]}>"

    def open(self) -> None:
        for address in self._options.addresses:
            self._add(address)

    async def close(self) -> None:
        await asyncio.gather(*(link.close() for link in self._links.values()), *self._closing)

    async def master(self) -> Location:
        """Where the master is. Raises ConnectError when none of them knows it."""
        asked = [link for link in self._links.values() if link.live] or [*self._links.values()]
        views = await answers([self._ask(link) for link in asked], self._dial_timeout)
        known = [each for each in views if each]
        if not known:
            none = "redis: all sentinels specified in configuration are unreachable"
            raise ConnectError(f"{none}: they know no master named {self._name!r}" if views else none)
        self._keep({*self._options.addresses}.union(*(each.others for each in known)))
        latest = max(known)
        return Location(latest.address, min(latest.replicas, 1), (latest.epoch, latest.is_promoted))

    async def _ask(self, link: Reconnecting) -> View | None:
        """None if this sentinel knows no such master."""
        grouping = await link.connected(OVERHEAD)
        # while a failover goes on, the first says the new master and the second the old one
        words = (b"GET-MASTER-ADDR-BY-NAME", b"MASTER", b"SENTINELS")
        commands = [packed(b"SENTINEL", word, self._name) for word in words]
        address, facts, others = await grouping.connection.ask(b"".join(commands), len(commands))
        if isinstance(facts, ReplyError) and str(facts).startswith("ERR No such master"):
            return None
        for reply in (address, facts):
            if isinstance(reply, ReplyError):
                raise reply
        return view(address, facts, others if isinstance(others, list) else [])

    def _keep(self, named: set[str]) -> None:
        """Ask those who are named too. Who is not any more, and does not answer, makes room for who took his place."""
        for address in [address for address, link in self._links.items() if not (address in named or link.live)]:
            closing = asyncio.create_task(self._links.pop(address).close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        for address in sorted(named):
            self._add(address)

    def _add(self, address: str) -> None:
        if address not in self._links and len(self._links) < _AT_MOST:
            self._links[address] = Reconnecting(replace(self._options, address=address), self._context, self._waiting)
            self._links[address].open()


def view(address: Any, facts: Any, others: Sequence[Any] = ()) -> View | None:
    if address is None:
        return None
    known = _known(facts)
    now = _address({b"ip": address[0], b"port": address[1]})
    alive = frozenset(_address(each) for each in map(_known, others) if b"s_down" not in each.get(b"flags", b""))
    epoch, replicas = int(known.get(b"config-epoch", 0)), int(known.get(b"num-slaves", 0))
    return View(epoch, now != _address(known), now, replicas, alive)


def _known(facts: Any) -> dict[bytes, bytes]:
    return dict(zip(facts[::2], facts[1::2], strict=True))


def _address(known: dict[bytes, bytes]) -> str:
    host, port = known[b"ip"].decode(), known[b"port"].decode()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Master(Node):
    """The master of a group, whichever server that is."""

    def __init__(self, options: Options) -> None:
        context, waiting = tls_context(options), budget()
        self._sentinels = Sentinels(options, context, waiting)
        self._follower: asyncio.Task[None] | None = None
        super().__init__(options, context, waiting, locate=self._sentinels.master)

    async def open(self) -> None:
        self._sentinels.open()
        try:
            await super().open()
        except BaseException:
            await self._sentinels.close()
            raise
        self._follower = asyncio.create_task(self._follow())

    async def close(self) -> None:
        if self._follower:
            self._follower.cancel()
            await WAITING.wait([self._follower])
        await super().close()
        await self._sentinels.close()

    async def write(self, operations: Sequence[Operation]) -> Outcomes:
        asked = self._link.live
        outcomes = await super().write(operations)
        for _ in range(self._options.retries):
            refused = [place for place, outcome in enumerate(outcomes) if isinstance(outcome, NotHere)]
            if not refused:
                break
            asked = self._left(asked)
            try:
                again = await super().write([operations[place] for place in refused])
            except StoreError as error:  # of these: what was done before stays done
                again = [type(error)(str(error)) for _ in refused]
            for place, outcome in zip(refused, again, strict=True):
                outcomes[place] = outcome
        return outcomes

    async def transact(self, operations: Sequence[Operation]) -> Outcomes:
        asked = self._link.live
        outcomes = await super().transact(operations)
        for _ in range(self._options.retries):
            if not any(isinstance(outcome, NotHere) for outcome in outcomes):
                break
            asked = self._left(asked)
            outcomes = await super().transact(operations)
        return outcomes

    def _left(self, asked: Grouping | None) -> Grouping | None:
        """Leave who refused, and tell who is there now: others may have left him, and write to the next one already."""
        if asked is None or asked is self._link.live:
            self._leave("it is a replica now")
        return self._link.live

    async def _follow(self) -> None:
        while True:
            await WAITING.sleep(_EVERY)
            try:
                await self._refresh()
            except StoreError:  # no sentinel answers: then the server stays what it was
                continue

    async def _refresh(self) -> None:
        live = self._link.live
        if live is None:
            return  # whoever connects asks
        found, known = await self._sentinels.master(), self._link.location
        if found.address != known.address and found.rank > known.rank and await self._may_be_master(found.address):
            self._leave(f"the master is {found.address} now")
            return
        role, replicas = await replication(live.connection)
        if role not in {"", "master"}:
            self._leave(f"it is a {role} now")
        elif live is self._link.live:
            self._link.server = replace(self._link.server, replicas=max(replicas, found.replicas))

    async def _may_be_master(self, address: str) -> bool:
        """Whether he does not deny it."""
        try:
            connection, server = await connect(replace(self._options, address=address), self._context)
        except ConnectError:  # what is written to the other one meanwhile would be lost
            return True
        connection.abort(ConnectionLost("it was asked for its role"))
        return server.role in {"", "master"}
