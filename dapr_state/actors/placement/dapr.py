"""Placement as Dapr's placement service says: one table for all sidecars of a namespace, changed in rounds.

Rules that a change must keep:
1. A round closes the types whose hosts are others now. Before it is answered, every actor that has gone elsewhere has
   ended here, or its turn was stopped after ROUND; until it is over nobody is let to those that are others' now. All
   others go on: a turn that is to end may call them.
2. Without the service nothing lives here: what runs is ended before others may take it over, and who asks waits.
3. When a round is over, or the service is lost, no type stays closed by what was before.
4. A sidecar that was frozen knows it before it looks at anything else: others may have its actors since.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Final

from dapr_state.actors.gate import Gate
from dapr_state.actors.placement.base import HERE, Claim, LostError, NoHostError, Placement
from dapr_state.actors.placement.table import Table
from dapr_state.clock import WAITING
from dapr_state.slices import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    from dapr_state_proto.placement.v1 import placement_pb2

    from dapr_state.actors.placement.ring import Ring
    from dapr_state.app.model import ActorId
    from dapr_state.clock import WaitingClock

    Former = tuple[Ring | None, Mapping[str, str]]  # a ring, and the app ids of its hosts

    class Local(Protocol):
        """The actors of this sidecar."""

        async def halt(self, is_lost: Callable[[ActorId], bool], *, drains: bool) -> None: ...


ROUND: Final = 6.0  # seconds for what a round asks of this sidecar: the service closes streams that take 8
NO_HOST_WAIT: Final = 5.0  # seconds for which a type that nobody hosts is waited for, as daprd
WAITING_AT_MOST: Final = 1024  # callers who wait for such types
FOLDED: Final = 8  # rounds that may follow each other without an end, before nothing is compared any more
FROZEN: Final = 3.0  # seconds between two beats, of one each second, that say so: placement waits for 5
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1", "[::1]"})
_WHAT: Final = "the placement service"

log = logging.getLogger("dapr.runtime.actor.placement")


class _Closed:
    """A type whose hosts change: who waits, and the rings that there were since somebody was let to it."""

    def __init__(self, waiting: WaitingClock) -> None:
        self.gate = Gate(waiting, is_open=False, what=_WHAT)
        self._before: list[Former] = []

    def add(self, ring: Ring | None, hosts: Mapping[str, str]) -> None:
        self._before = [*self._before, (ring, hosts)] if len(self._before) < FOLDED else [(None, {})]

    @property
    def first(self) -> Former:
        """What the last who were let to it have heard."""
        return self._before[0]

    def has_always(self, owner: str | None, hosts: Mapping[str, str], actor_id: str) -> bool:
        """Whether the actor lived there all the time: nobody else begins a turn of it."""
        return owner is not None and all(
            ring and ring.owner(actor_id) == owner and before.get(owner) == hosts[owner]
            for ring, before in self._before
        )


class DaprPlacement(Placement):
    """`update`, `unlock` and `lose` are what the client of the service has to say."""

    def __init__(self, me: str, local: Local, waiting: WaitingClock = WAITING) -> None:
        """`me` is the name that this sidecar has in the table."""
        self._me = me
        self._local = local
        self._waiting = waiting
        self._table = Table()
        self._hosts: dict[str, str] = {}  # app ids by names
        self._claims: dict[str, Claim] = {}
        self._connected = Gate(waiting, is_open=False, what=_WHAT)
        self._closed: dict[str, _Closed] = {}
        self._lost: dict[str, Former] = {}  # what there was when the service was lost; until the next round is over
        self._alive_until = math.inf  # monotonic; any time while nothing is known that others may have since
        self._is_severed = False  # others may have what is active here; until the next round is over
        self._unlocked = asyncio.Event()  # a new one for each round
        self._waiters = 0  # for types that nobody hosts
        self._halts: set[asyncio.Task[None]] = set()
        self.on_ready: list[Callable[[], object]] = []  # told at the end of each round
        self.on_lost: list[Callable[[], object]] = []
        self.on_frozen: list[Callable[[], object]] = []
        self.on_table: list[Callable[[Mapping[str, str]], object]] = []  # told the app ids of all hosts, by names

    def __repr__(self) -> str:
        return f"<DaprPlacement {self._me} {'ready' if self.is_ready else 'lost'}, {self._table!r}>"

    @property
    def is_ready(self) -> bool:
        return self._connected.is_open

    # What is asked

    def lookup_now(self, actor: ActorId) -> Claim | None:
        if self._waiting.monotonic() > self._alive_until:
            self._thaw()
        if not self._connected.is_open:
            return None
        ring = self._table.rings.get(actor.type)
        if ring is None:
            return None
        owner = ring.owner(actor.id) if actor.id else None
        closed = self._closed.get(actor.type) if self._closed else None
        if closed and not closed.has_always(owner, self._hosts, actor.id):
            return None
        if owner is None:
            raise NoHostError(actor)
        return self._claims.get(owner) or self._claim(owner)

    async def lookup(self, actor: ActorId, patience: float | None = None) -> Claim:
        while True:
            if not self._connected.is_open:
                await self._connects(patience)
            elif claim := self.lookup_now(actor):
                return claim
            elif closed := self._closed.get(actor.type):
                await closed.gate.pass_through()
            else:
                await self._appears(actor)

    async def _connects(self, patience: float | None) -> None:
        try:
            async with self._waiting.timeout(patience):
                await self._connected.pass_through()
        except TimeoutError:
            raise LostError from None

    async def _appears(self, actor: ActorId) -> None:
        """Return when there has been a round since. Raises NoHostError if there was none for long enough."""
        if self._waiters >= WAITING_AT_MOST:
            raise NoHostError(actor)
        self._waiters += 1
        try:
            async with self._waiting.timeout(NO_HOST_WAIT):
                while not (actor.type in self._table.rings or actor.type in self._closed or not self.is_ready):
                    await self._unlocked.wait()
        except TimeoutError:
            raise NoHostError(actor) from None
        finally:
            self._waiters -= 1

    def before(self, actor: ActorId) -> Claim | None:
        closed = self._closed.get(actor.type)
        ring, hosts = self._lost.get(actor.type) or (closed.first if closed else (None, {}))
        owner = ring.owner(actor.id) if ring and actor.id else None
        return None if owner is None or self._is_me(owner) else Claim(owner, hosts[owner])

    def holds(self) -> bool:
        if self._waiting.monotonic() > self._alive_until:
            self._thaw()
        return not self._is_severed

    def _claim(self, name: str) -> Claim:
        found = HERE if self._is_me(name) else Claim(name, self._hosts[name])
        self._claims[name] = found
        return found

    def _is_me(self, name: str) -> bool:
        """By its very text, or both by names of the loopback."""
        host, _, port = name.rpartition(":")
        my_host, _, my_port = self._me.rpartition(":")
        return name == self._me or (port == my_port and {host, my_host} <= _LOOPBACK)

    def _is_mine(self, actor: ActorId) -> bool:
        ring = self._table.rings.get(actor.type)
        owner = ring.owner(actor.id) if ring else None
        return owner is not None and self._is_me(owner)

    # What the service says

    async def update(self, tables: placement_pb2.PlacementTables) -> None:
        """A new table; returns when every actor that is no longer here has ended, or has had its time.

        Raises TableError.
        """
        if math.isinf(self._alive_until):
            self._alive_until = self._waiting.monotonic() + FROZEN
        table = await Table.read(tables, self._table)
        changed = table.changed(self._table)
        work = Work()
        for actor_type in changed:
            self._closed.setdefault(actor_type, _Closed(self._waiting)).add(
                self._table.rings.get(actor_type), self._hosts
            )
            if work.is_over():  # one that is closed early has the old table's owner until then
                await work.pause()
        self._table, self._hosts = table, table.hosts
        self._claims.clear()
        for tell in self.on_table:
            tell(self._hosts)
        # at once: the round goes on without those of an earlier one that take too long
        self._begin_halt(lambda actor: actor.type in changed and not self._is_mine(actor), drains=True)
        try:
            async with self._waiting.timeout(ROUND):
                while self._halts:
                    await asyncio.wait(self._halts)
        except TimeoutError:
            log.warning("Actors that moved have not ended within %.0f s: the round goes on without them", ROUND)
            self._begin_halt(lambda actor: not self._is_mine(actor), drains=False)

    def unlock(self) -> None:
        """The round is over everywhere."""
        now = self._waiting.monotonic()
        if now > self._alive_until:  # law 4: it was, and others may have taken over since
            self._thaw()
            return
        self._alive_until = now + FROZEN
        self._is_severed = False
        self._connected.open()
        self._lost = {}
        self._open_types()
        for tell in self.on_ready:
            tell()

    def beat(self) -> None:
        """To be told each second: so long as it is, this sidecar was not frozen."""
        now = self._waiting.monotonic()
        if now > self._alive_until:
            self._thaw()
        elif not math.isinf(self._alive_until):
            self._alive_until = now + FROZEN

    def _thaw(self) -> None:
        log.warning("This sidecar has not run for more than %.0f s: others may have its actors", FROZEN)
        self.lose(drains=False)
        for tell in self.on_frozen:
            tell()

    def lose(self, *, drains: bool) -> None:
        """The service is gone; `drains` False: others may take over at any moment."""
        self._connected.shut()
        if not drains:
            self._is_severed = True
            self._alive_until = math.inf
        if not self._lost:
            closed = {actor_type: each.first for actor_type, each in self._closed.items()}
            self._lost = {actor_type: (ring, self._hosts) for actor_type, ring in self._table.rings.items()} | closed
        self._table, self._hosts = Table(), {}
        self._open_types()  # who waits there waits for the service from now on
        self._begin_halt(lambda _: True, drains=drains)
        for tell in self.on_lost:
            tell()

    def _open_types(self) -> None:
        closed, self._closed = self._closed, {}
        for each in closed.values():
            each.gate.open()
        self._unlocked.set()
        self._unlocked = asyncio.Event()

    def _begin_halt(self, is_lost: Callable[[ActorId], bool], *, drains: bool) -> None:
        """It goes on though nobody waits for it any more."""
        halt = asyncio.ensure_future(self._local.halt(is_lost, drains=drains))
        self._halts.add(halt)
        halt.add_done_callback(self._halts.discard)
