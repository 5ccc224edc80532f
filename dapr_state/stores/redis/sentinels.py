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
from dapr_state.stores.redis.connecting import ConnectError, replication, tls_context
from dapr_state.stores.redis.connection import ReplyError
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
    from dapr_state.stores.redis.options import Options

_EVERY: Final = 1.0  # seconds between two looks: sentinels take some to agree that a master is gone


class _View(NamedTuple):
    """What one sentinel says."""

    epoch: int  # of the failover that made this master
    address: str
    replicas: int  # that it has or shall have


class Sentinels:
    def __init__(self, options: Options, context: ssl.SSLContext | None, waiting: Budget) -> None:
        if options.sentinel is None:
            raise ValueError("no sentinels")
        self._name = options.sentinel.master
        self._dial_timeout = options.dial_timeout
        common = replace(
            options,
            sentinel=None,
            username=options.sentinel.username,
            password=options.sentinel.password,
            database=0,
            retries=0,
        )
        self._links = [
            Reconnecting(replace(common, address=address), context, waiting) for address in options.addresses
        ]

    def __repr__(self) -> str:
        return f"<Sentinels of {self._name}: {self._links}>"

    def open(self) -> None:
        for link in self._links:
            link.open()

    async def close(self) -> None:
        await asyncio.gather(*(link.close() for link in self._links))

    async def master(self) -> Location:
        """Where the master is. Raises ConnectError when none of them knows it."""
        asked = [link for link in self._links if link.live] or self._links
        views = await answers([self._ask(link) for link in asked], self._dial_timeout)
        known = [view for view in views if view]
        if not known:
            none = "redis: all sentinels specified in configuration are unreachable"
            raise ConnectError(f"{none}: they know no master named {self._name!r}" if views else none)
        latest = max(known)
        return Location(latest.address, min(latest.replicas, 1))

    async def _ask(self, link: Reconnecting) -> _View | None:
        """None if this sentinel knows no such master."""
        grouping = await link.connected(OVERHEAD)
        # while a failover goes on, the first says the new master and the second the old one
        commands = [packed(b"SENTINEL", word, self._name) for word in (b"GET-MASTER-ADDR-BY-NAME", b"MASTER")]
        address, facts = await grouping.connection.ask(b"".join(commands), 2)
        if isinstance(facts, ReplyError) and str(facts).startswith("ERR No such master"):
            return None
        for reply in (address, facts):
            if isinstance(reply, ReplyError):
                raise reply
        return _view(address, facts)


def _view(address: Any, facts: Any) -> _View | None:
    if address is None:
        return None
    host, port = (str(part, "utf-8", "replace") for part in address)
    known = dict(zip(facts[::2], facts[1::2], strict=True))
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return _View(int(known.get(b"config-epoch", 0)), address, int(known.get(b"num-slaves", 0)))


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
        outcomes = await super().write(operations)
        for _ in range(self._options.retries):
            refused = [place for place, outcome in enumerate(outcomes) if isinstance(outcome, NotHere)]
            if not refused:
                break
            self._leave("it is a replica now")
            try:
                again = await super().write([operations[place] for place in refused])
            except StoreError as error:  # of these: what was done before stays done
                again = [type(error)(str(error)) for _ in refused]
            for place, outcome in zip(refused, again, strict=True):
                outcomes[place] = outcome
        return outcomes

    async def transact(self, operations: Sequence[Operation]) -> Outcomes:
        outcomes = await super().transact(operations)
        for _ in range(self._options.retries):
            if not any(isinstance(outcome, NotHere) for outcome in outcomes):
                break
            self._leave("it is a replica now")
            outcomes = await super().transact(operations)
        return outcomes

    async def _follow(self) -> None:
        while True:
            await WAITING.sleep(_EVERY)
            try:
                await self._look()
            except StoreError:  # no sentinel answers: then the server stays what it was
                continue

    async def _look(self) -> None:
        live = self._link.live
        if live is None:
            return  # whoever connects asks
        address, at_least = await self._sentinels.master()
        if address != self._link.address:
            self._leave(f"the master is {address} now")
            return
        role, replicas = await replication(live.connection)
        if role not in {"", "master"}:
            self._leave(f"it is a {role} now")
        elif live is self._link.live:
            self._link.server = replace(self._link.server, replicas=max(replicas, at_least))
