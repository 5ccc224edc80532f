"""Requests of a cluster: each goes to the nodes that have what it asks for, and again where they say they have not.

What may be asked again is what was not done: see the rules of cluster.py.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from dapr_state.clock import WAITING
from dapr_state.stores.base import StoreError
from dapr_state.stores.batching import OVERHEAD, weight, weight_of_keys
from dapr_state.stores.redis import reading, writing
from dapr_state.stores.redis.connection import ConnectionLost, ReplyError, Silence
from dapr_state.stores.redis.grouping import SLICE
from dapr_state.stores.redis.node import Node, in_order
from dapr_state.stores.redis.reconnecting import NotConnected
from dapr_state.stores.redis.scripts import packed
from dapr_state.stores.redis.slots import Elsewhere, elsewhere, slot_of
from dapr_state.stores.slices import slices

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from dapr_state.stores.base import Found, Outcomes
    from dapr_state.stores.batching import Budget
    from dapr_state.stores.model import Operation

_HOPS: Final = 5  # that a request is passed on at once; then it waits in between
_SHORTEST: Final = 0.01  # seconds that it waits
_LONGEST: Final = 0.25  # seconds: as often as the topology is looked at
_AT_ONCE: Final = 1024  # of what one request wants: 4 ms of the event loop
_GUESTS_AT_ONCE: Final = 64  # keys: each brings the script along
_ASKING: Final = packed(b"ASKING")


class Routes(Protocol):
    """Who knows which node has which slot."""

    def patience(self) -> Patience:
        """Of one request."""

    def route(self, slot: int, where: Elsewhere | None) -> Node:
        """The node to ask: the one that was named, or the slot's own. NotConnected if there is none."""

    def redirected(self, slot: int, where: Elsewhere) -> None:
        """Learn from what a node said of where the slot is."""


class Kind(NamedTuple):
    """What is asked for: reads or writes."""

    slot: Callable[[Any], int]
    at: Callable[[Node, list[Any]], Awaitable[list[Any]]]
    as_guest: Callable[[Node, list[Any]], Awaitable[list[Any]]]  # of a node that was named for this once
    where: Callable[[object], Elsewhere | None]  # to ask again after this outcome; None: it is one
    weigh: Callable[[Sequence[Any]], int]


class Patience:
    """How long one request is asked again; `waiting` bounds all who do."""

    def __init__(self, seconds: float, waiting: Budget, is_over: Callable[[], bool]) -> None:
        self._until = WAITING.monotonic() + seconds
        self._waiting = waiting
        self._is_over = is_over
        self._hops = 0

    async def is_left(self, octets: int, *, at_once: bool) -> bool:
        """Whether to ask again: at once, if somebody was named, or after a pause that grows, with so many octets."""
        self._hops += 1
        if self._is_over():
            return False
        if at_once and self._hops <= _HOPS:
            return True
        if WAITING.monotonic() >= self._until:
            return False
        try:
            self._waiting.take(octets)
        except StoreError:  # too many wait
            return False
        try:
            await WAITING.sleep(min(_LONGEST, _SHORTEST * 2**self._hops))
        finally:
            self._waiting.give(1, octets)
        return True


async def outcomes(routes: Routes, kind: Kind, wanted: Sequence[Any]) -> list[Any]:
    """An outcome for each that is wanted, from all nodes at the same time."""
    if len(wanted) <= _AT_ONCE:
        return await _outcomes(routes, kind, wanted)
    found: list[Any] = []
    for some in slices(wanted, _AT_ONCE):  # one behind the other: in their order, and others come in between
        found += await _outcomes(routes, kind, some)
    return found


async def _outcomes(routes: Routes, kind: Kind, wanted: Sequence[Any]) -> list[Any]:
    patience = routes.patience()
    slots = [kind.slot(each) for each in wanted]
    found: list[Any] = [None] * len(wanted)
    left: dict[int, Elsewhere | None] = dict.fromkeys(range(len(wanted)))  # places, and where they are said to be
    while left:
        groups: defaultdict[tuple[Node, bool], list[int]] = defaultdict(list)
        for place, where in left.items():
            try:
                node = routes.route(slots[place], where)
            except NotConnected as error:
                found[place] = error
            else:
                groups[node, bool(where and where.is_for_once)].append(place)
        asking = [_ask(kind, node, once, [wanted[place] for place in some]) for (node, once), some in groups.items()]
        answered = [await asking[0]] if len(asking) == 1 else await asyncio.gather(*asking)
        for some, told in zip(groups.values(), answered, strict=True):
            for place, outcome in zip(some, told, strict=True):
                found[place] = outcome
        named = [(place, kind.where(found[place])) for place in left]
        left = {place: where for place, where in named if where is not None}
        for place, where in left.items():
            if where is not None:
                routes.redirected(slots[place], where)
        is_named = all(where and where.address for where in left.values())
        if left and not await patience.is_left(kind.weigh(wanted), at_once=is_named):
            break
    return found


async def _ask(kind: Kind, node: Node, is_for_once: bool, wanted: list[Any]) -> list[Any]:
    try:
        return await (kind.as_guest if is_for_once else kind.at)(node, wanted)
    except StoreError as error:
        return [type(error)(str(error)) for _ in wanted]


async def transact(routes: Routes, slot: int, operations: Sequence[Operation]) -> Outcomes:
    """All operations, whose keys are of this slot, or none."""
    patience = routes.patience()
    where: Elsewhere | None = None
    while True:
        try:
            told = await _transact(routes.route(slot, where), operations, bool(where and where.is_for_once))
            where = next(filter(None, map(elsewhere, told)), None)
        except StoreError as error:
            where = where_of_write(error)
            if where is None:
                raise
            told = [type(error)(str(error))]
        if where is None:
            return told
        routes.redirected(slot, where)
        if not await patience.is_left(OVERHEAD * len(operations), at_once=bool(where.address)):
            return told


async def _transact(node: Node, operations: Sequence[Operation], is_for_once: bool) -> Outcomes:
    if not is_for_once:
        return await node.transact(operations)
    if len(operations) > SLICE:  # it would be packed at once, for a slot that will soon have moved
        raise ReplyError("TRYAGAIN the slot of this transaction is moving to another node")
    is_strong = any(operation.strong for operation in operations)
    _, reply = await node.ask(_ASKING + writing.call(writing.ALL, operations, whole=True), 2, is_strong=is_strong)
    if isinstance(reply, ReplyError):
        raise reply
    return writing.outcomes(operations, reply)


async def _read(node: Node, keys: list[str]) -> Found:
    return await node.read(keys)


async def _read_as_guest(node: Node, keys: list[str]) -> Found:
    found: Found = []
    for some in slices(keys, _GUESTS_AT_ONCE):
        calls = [_ASKING + reading.pack_read_any([key]) for key in some]
        replies = await node.ask(b"".join(calls), 2 * len(some))
        found += [reading.any_row(reply) for reply in replies[1::2]]
    return found


async def _write(node: Node, operations: list[Operation]) -> Outcomes:
    async def write(run: Sequence[Operation]) -> Outcomes:
        try:
            return await node.write(run)
        except StoreError as error:  # of this run: what was done before stays done
            return [type(error)(str(error)) for _ in run]

    return await in_order(operations, write, lambda outcome: where_of_write(outcome) is not None)


async def _write_as_guest(node: Node, operations: list[Operation]) -> Outcomes:
    places: defaultdict[str, list[int]] = defaultdict(list)
    for place, operation in enumerate(operations):
        places[operation.key].append(place)
    is_strong = any(operation.strong for operation in operations)
    told: Outcomes = [None] * len(operations)
    for some in slices([*places.values()], _GUESTS_AT_ONCE):
        groups = [[operations[place] for place in group] for group in some]
        calls = [_ASKING + writing.call(writing.EACH, group, whole=True) for group in groups]
        try:
            replies = (await node.ask(b"".join(calls), 2 * len(groups), is_strong=is_strong))[1::2]
        except StoreError as error:  # of these: what was done before stays done
            replies = [error] * len(groups)
        for group, wanted, reply in zip(some, groups, replies, strict=True):
            is_error = isinstance(reply, StoreError)
            outcomes = [type(reply)(str(reply)) for _ in wanted] if is_error else writing.outcomes(wanted, reply)
            for place, outcome in zip(group, outcomes, strict=True):
                told[place] = outcome
    return told


def _slot(operation: Operation) -> int:
    return slot_of(operation.key)


def where_of_write(outcome: object) -> Elsewhere | None:
    """Where to ask again: only what was not done, or not even sent, is."""
    return Elsewhere() if isinstance(outcome, NotConnected) else elsewhere(outcome)


def where_of_read(outcome: object) -> Elsewhere | None:
    """A read may have happened; but a server that was silent has taken the caller's patience."""
    if isinstance(outcome, ConnectionLost) and not isinstance(outcome, Silence):
        return Elsewhere()
    return where_of_write(outcome)


READS: Final = Kind(slot_of, _read, _read_as_guest, where_of_read, weight_of_keys)
WRITES: Final = Kind(_slot, _write, _write_as_guest, where_of_write, weight)
