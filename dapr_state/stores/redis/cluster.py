"""A Redis Cluster: each key's slot is on one node, and slots move, when nodes fail and while the cluster is in use.

Each node has its one connection (node.py), on which the replies match the commands. Above them these rules hold:

1. A request goes to the node that has its slot. What a node answers with MOVED, ASK, TRYAGAIN or CLUSTERDOWN it has not
   done: that is asked again, as a new request, of the node that was named, or after a pause of whoever has the slot by
   then; so is what was never sent because there was no connection.
2. A write that was sent, and whose node died before it answered, is an error to its caller: nobody knows whether it
   happened, and it is never sent again. Such a read is asked again.
3. Each caller has the outcome of each of his keys: a node that is down fails what is on it, and nothing else.
4. A transaction is one call of the script on one node. If its keys are in several slots it is refused, and nothing is
   written.
5. Which node has which slot is asked whenever a node is lost or names another, each few seconds, and not more often
   than the floor; and where a list ends, for all that end meanwhile together. Of several views the one of the latest
   configuration is taken.

Redis replicates behind its answers: what a node acknowledged in its last moments its replica may not have when it takes
over. Who needs more asks for consistency `strong`, which waits for the replicas.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from dapr_state.clock import WAITING
from dapr_state.stores.base import Found, Outcomes, StoreError, Unfit
from dapr_state.stores.redis import listing, slots
from dapr_state.stores.redis.asking import Shared, answers
from dapr_state.stores.redis.connecting import ConnectError, connect, tls_context
from dapr_state.stores.redis.connection import ConnectionLost, ReplyError
from dapr_state.stores.redis.grouping import SLICE, budget
from dapr_state.stores.redis.node import Node
from dapr_state.stores.redis.reconnecting import Location, NotConnected
from dapr_state.stores.redis.redirecting import (
    READS,
    WRITES,
    Patience,
    outcomes,
    transact,
    where_of_read,
    where_of_write,
)
from dapr_state.stores.redis.slots import Elsewhere, Topology, slot_of
from dapr_state.stores.slices import slices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapr_state.stores.model import Operation
    from dapr_state.stores.redis.options import Options

_EVERY: Final = 5.0  # seconds between two looks at the topology when nothing calls for one
_FLOOR: Final = 0.25  # seconds between two looks, whatever happens
_ASKED: Final = 3  # nodes: one of them may be behind
_TOLD: Final = 200  # characters of a key in an error


class Cluster:
    """It can be asked what a Node can be asked."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._context = tls_context(options)
        self._waiting = budget()
        self._nodes: dict[str, Node] = {}  # by address
        self._guests: set[str] = set()  # who were named since the last look: they may have no slots yet
        self._owners: list[str | None] = [None] * slots.NUMBER  # the address for each slot
        self._topology: Topology | None = None
        self._map = 0  # tells one distribution of the slots from another
        self._is_in_doubt = asyncio.Event()
        self._look = Shared(self._refresh)
        self._keeper: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<Cluster {self._topology} {[*self._nodes.values()]}>"

    async def open(self) -> None:
        try:
            await self._find()
            pings = await asyncio.gather(*(node.ping() for node in self._nodes.values()), return_exceptions=True)
            failed = [ping for ping in pings if isinstance(ping, BaseException)]
            if len(failed) == len(pings):
                raise failed[0] if failed else self._failure("no node has a slot")  # noqa: TRY301
        except BaseException:
            await self.close()
            raise
        self._keeper = asyncio.create_task(self._keep_up())

    async def close(self) -> None:
        self._is_closed = True
        if self._keeper:
            self._keeper.cancel()
            await WAITING.wait([self._keeper])
        await self._look.close()
        await asyncio.gather(*(node.close() for node in self._nodes.values()), *self._closing)

    async def ping(self) -> None:
        for node in self._primaries():
            await node.ping()

    async def read(self, keys: Sequence[str]) -> Found:
        if len(keys) == 1 and (node := self._live(keys[0])):  # as most are: the usual answer in few steps
            try:
                found = await node.read(keys)
            except StoreError as error:
                if where_of_read(error) is None:
                    raise
            else:
                if found[0] is None or where_of_read(found[0]) is None:
                    return found
        self._check_open()
        return await outcomes(self, READS, keys)

    async def write(self, operations: Sequence[Operation]) -> Outcomes:
        if len(operations) == 1 and (node := self._live(operations[0].key)):
            with suppress(NotConnected):
                told = await node.write(operations)
                if told[0] is None or where_of_write(told[0]) is None:
                    return told
        self._check_open()
        return await outcomes(self, WRITES, operations)

    async def transact(self, operations: Sequence[Operation]) -> Outcomes:
        slot = slot_of(operations[0].key)
        for some in slices(operations, SLICE):
            _check_slot(slot, operations[0].key, some)
            if len(some) == SLICE:
                await asyncio.sleep(0)
        return await transact(self, slot, operations)

    async def find(self, prefix: str, after: str, size: int) -> tuple[list[str], str]:
        """Keys of one node after another; if slots have moved meanwhile, from the first one again."""
        at = listing.walk(prefix, after, self._map)
        names = {primary.name: address for address, primary in self._told().primaries.items()}
        left = sorted(name for name in names if name >= at.node)
        if not left:
            raise self._failure("no node has a slot")
        keys, at.after = await self._nodes[names[left[0]]].find(prefix, at.after, size)
        if at.after:
            at.node = left[0]
        elif left[1:]:
            at.node = left[1]
        else:
            await self._look.now()  # slots that moved from a node behind to one before are seen now, if not yet
            if at.map == self._map:
                return keys, ""
        return keys, listing.text(at)

    # what requests ask

    def patience(self) -> Patience:
        """As long as a caller waits for one server."""
        attempts = (1 + self._options.retries) * self._options.retry_interval
        limit = self._options.dial_timeout
        return Patience(attempts if limit is None else min(attempts, limit), self._waiting, lambda: self._is_closed)

    def route(self, slot: int, where: Elsewhere | None) -> Node:
        address = (where and where.address) or self._owners[slot]
        if address is None:
            raise self._failure(f"no node has slot {slot}")
        node = self._nodes.get(address)
        if node is None:
            self._check_open()
            self._guests.add(address)
            node = self._start(address, 0)
        return node

    def redirected(self, slot: int, where: Elsewhere) -> None:
        self._is_in_doubt.set()
        if where.address and not where.is_for_once:
            self._owners[slot] = where.address

    # topology

    def _live(self, key: str) -> Node | None:
        node = self._nodes.get(self._owners[slot_of(key)] or "")
        return node if node and node.is_live else None

    def _primaries(self) -> list[Node]:
        return [self._nodes[address] for address in self._told().primaries if address in self._nodes]

    def _told(self) -> Topology:
        if self._topology is None:
            raise self._failure("not open")
        return self._topology

    def _start(self, address: str, replicas: int) -> Node:
        async def locate() -> Location:
            known = self._topology.primaries.get(address) if self._topology else None
            return Location(address, known.replicas if known else replicas)

        node = Node(
            replace(self._options, address=address),
            self._context,
            self._waiting,
            locate=locate,
            on_down=self._is_in_doubt.set,
        )
        self._nodes[address] = node
        node.start()
        return node

    async def _find(self) -> None:
        """The first look, in as many attempts as the component allows."""
        for left in range(self._options.retries, -1, -1):
            try:
                await self._refresh()
            except StoreError as error:
                is_final = isinstance(error, ReplyError) or (isinstance(error, ConnectError) and error.final)
                if is_final or not left:
                    raise self._failure(error) from None
            else:
                return
            await WAITING.sleep(self._options.retry_interval)

    async def _keep_up(self) -> None:
        while True:
            try:
                async with WAITING.timeout(_EVERY):
                    await self._is_in_doubt.wait()
            except TimeoutError:
                pass
            self._is_in_doubt.clear()
            with suppress(StoreError):  # nobody answers: each node tries to connect, and calls for another look
                await self._look.now()
            await WAITING.sleep(_FLOOR)

    async def _refresh(self) -> None:
        """Ask some nodes that are connected, or else those that the component names."""
        live = [node for node in self._nodes.values() if node.is_live]
        views = await answers([self._ask(node) for node in live[:_ASKED]], self._options.dial_timeout)
        if not any(view.is_ok for view in views):
            reasons: list[StoreError] = []
            questions = [self._ask_stranger(address, reasons) for address in self._options.addresses]
            views += await answers(questions, self._options.dial_timeout)
            if not views:
                raise reasons[0] if reasons else ConnectError("no node answers")
        self._adopt(max(views, key=lambda view: (view.is_ok, view.epoch)))

    async def _ask(self, node: Node) -> Topology:
        return slots.topology(await node.ask(*slots.QUESTION), node.address)

    async def _ask_stranger(self, address: str, reasons: list[StoreError]) -> Topology:
        try:
            connection, _ = await connect(replace(self._options, address=address), self._context)
            try:
                return slots.topology(await connection.ask(*slots.QUESTION), address)
            finally:
                connection.abort(ConnectionLost("it was asked for the topology"))
        except StoreError as error:
            reasons.append(error)
            raise

    def _adopt(self, topology: Topology) -> None:
        if self._is_closed:
            return
        if self._topology and not topology.is_ok:
            return  # while nobody knows better, what was right stays
        self._topology = topology
        self._owners = [*topology.owners]
        self._map = topology.map
        for address, primary in topology.primaries.items():
            node = self._nodes.get(address) or self._start(address, primary.replicas)
            node.has_replicas(primary.replicas)
        for address in self._nodes.keys() - topology.primaries.keys() - self._guests:
            closing = asyncio.create_task(self._nodes.pop(address).close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        self._guests.clear()

    def _check_open(self) -> None:
        if self._is_closed:
            raise self._failure("the store is closed")

    def _failure(self, reason: object) -> StoreError:
        return NotConnected(f"redis store: error connecting to redis at {self._options.address}: {reason}")


def _check_slot(slot: int, first: str, operations: Sequence[Operation]) -> None:
    for operation in operations:
        if operation.key != first and slot_of(operation.key) != slot:
            raise Unfit(
                f"the keys of a transaction in a Redis Cluster must be in one slot, and {first[:_TOLD]!a} and "
                f"{operation.key[:_TOLD]!a} are in two: keys with the same text in braces are in one, "
                "as {order7}head and {order7}lines; for the state of actors, `actorHashTag: true` in the component "
                "does that"
            )
