"""The actors of this sidecar: calls and triggers take their turn and go to the application; at the end all drain.

Only what lives here comes here. While it is not known what the application hosts (it does not run yet, or is unwell)
calls wait at the gate.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import structs

from dapr_state.actors.directory import AT_ONCE, ENDING, Directory
from dapr_state.actors.gate import Gate
from dapr_state.actors.overdue import LateError, Overdue
from dapr_state.actors.placement.base import LostError, NoHostError
from dapr_state.actors.shielded import RunToCompletion
from dapr_state.actors.turns import ClosedError, TooDeepError
from dapr_state.app.model import AppError
from dapr_state.clock import VISIBLE, WAITING
from dapr_state.slices import Work

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping
    from typing import Any

    from dapr_state.actors.activation import Activation
    from dapr_state.actors.config import Registration
    from dapr_state.actors.directory import ActorType
    from dapr_state.actors.overdue import Patience
    from dapr_state.actors.turns import Turn
    from dapr_state.app.channel import AppChannel
    from dapr_state.app.model import ActorCall, ActorId, AppAnswer, Trigger
    from dapr_state.clock import VisibleClock, WaitingClock

    Send = Callable[[Any], Coroutine[Any, Any, AppAnswer]]

log = logging.getLogger("dapr.runtime.actor")

REENTRANCY_HEADER: Final = "Dapr-Reentrancy-Id"
_LOWERED: Final = REENTRANCY_HEADER.lower()


class Watcher(Protocol):
    """Who wants to know of actors that end."""

    def __call__(self, actor_type: str, *, is_failed: bool) -> None: ...


class ClosingError(Exception):
    """The sidecar stops: no turn begins any more."""


class ActorRuntime:
    """`host` and `unhost` say what the application hosts, `halt` what has to move; `drain` ends it all."""

    def __init__(
        self, *, has_app: bool, is_alone: bool = True, clock: VisibleClock = VISIBLE, waiting: WaitingClock = WAITING
    ) -> None:
        """`has_app`: there is an application to wait for before it is known what is hosted.

        `is_alone`: while it is unwell calls wait for it; else its actors live on other sidecars meanwhile.
        """
        self._waiting = waiting
        self._is_alone = is_alone
        self._directory = Directory(clock, self._expired)
        self._gate = Gate(waiting, is_open=not has_app)
        self._is_closing = False
        self._drains_rebalanced = True
        self._flying: dict[str, int] = {}  # reentrancy ids that calls under way have, and how many of them
        self._endings: set[asyncio.Task[None]] = set()
        self._moving: dict[Activation, asyncio.Task[None]] = {}  # those that are halted while they have a turn
        self.overdue = Overdue(waiting)
        self.holds: Callable[[], bool] = lambda: True  # whether nobody else can have what is active here
        self._patience: Callable[[str], Patience | None] | None = None  # of types; None: no caller's wait is bounded
        self.on_deactivated: Watcher | None = None
        self.on_rebalanced: Callable[[str], object] | None = None  # told the type of each actor that ends to move
        self.on_hosted: list[Callable[[Collection[str]], object]] = []  # told each time types come to be hosted
        self.on_unhosted: list[Callable[[], object]] = []

    def __repr__(self) -> str:
        state = "closing" if self._is_closing else "ready" if self.is_ready else "waiting for the application"
        return f"<ActorRuntime {state}, {self._directory!r}>"

    # What is hosted

    @property
    def is_closing(self) -> bool:
        return self._is_closing

    @property
    def is_ready(self) -> bool:
        return self._gate.is_open

    @property
    def is_open(self) -> bool:
        """Whether any call may come; if not, `admit` says of one whether and when."""
        return self._gate.is_open and not self._is_closing

    async def admit(self, call: ActorCall) -> None:
        """Return when the call may be made. Raises AwayError or ClosingError."""
        if not self._gate.is_open:
            await self.ready(len(call.body))
        if self._is_closing and reentrancy_id_of(call) not in self._flying:
            raise ClosingError  # only what a running turn calls is let in

    def joins(self, call: ActorCall) -> bool:
        """Whether it is a part of a turn that runs here: that cannot end without it."""
        if not self._flying or (reentrancy_id := reentrancy_id_of(call)) not in self._flying:
            return False
        activation = self._directory.find_actor(call.actor)
        return activation is not None and not activation.is_lost and activation.turns.runs(reentrancy_id)

    def check_open(self) -> None:
        """Raise ClosingError once no trigger may come."""
        if self._is_closing:
            raise ClosingError

    async def ready(self, octets: int = 0) -> None:
        """Return when it is known what the application hosts; `octets` is what the caller brings. Raises AwayError."""
        await self._gate.pass_through(octets)

    def host(self, hosted: Registration, channel: AppChannel) -> None:
        if self._is_closing:
            return
        if hosted.types:
            log.info("Registering hosted actors: [%s]", " ".join(hosted.types))
        self._drains_rebalanced = hosted.drains_rebalanced
        self._directory.host(hosted.types, channel)
        self._gate.open()
        for tell in self.on_hosted:
            tell(tuple(hosted.types))

    async def unhost(self, types: Collection[str]) -> None:
        """End the actors of these types without a word to the application; turns that run come to their end."""
        self._directory.unhost(types)
        if self._is_alone and not self._directory.counts() and not self._is_closing:
            self._gate.shut()
        for tell in self.on_unhosted:
            tell()

    def is_hosted(self, actor_type: str) -> bool:
        return self._directory.find(actor_type) is not None

    def types(self) -> Mapping[str, ActorType]:
        """What is hosted, with its actors, for whoever looks."""
        return self._directory.all()

    def find(self, actor: ActorId) -> Activation | None:
        """An actor that is active, for whoever looks."""
        return self._directory.find_actor(actor)

    def is_active(self, actor: ActorId) -> bool:
        return self._directory.is_active(actor)

    def counts(self) -> Mapping[str, int]:
        """How many actors of each hosted type are active."""
        return self._directory.counts()

    def waiting(self) -> Mapping[str, int]:
        """How many calls wait for a turn, by type."""
        found: dict[str, int] = dict.fromkeys(self._directory.counts(), 0)
        for activation in self._directory.busy():
            if waiting := activation.turns.waiting:
                found[activation.actor.type] = found.get(activation.actor.type, 0) + waiting
        return found

    # Where the clock that users see is moved

    @property
    def next_due(self) -> float | None:
        """When the next actor has rested long enough, in monotonic seconds."""
        return self._directory.next_due

    @property
    def is_idle(self) -> bool:
        """Whether no actor has a turn, and none is ending."""
        return not self._endings and next(self._directory.busy(), None) is None

    def busy(self) -> list[ActorId]:
        """The actors that have a turn."""
        return [activation.actor for activation in self._directory.busy()]

    def ring(self) -> None:
        """End the actors that have rested long enough by now."""
        self._directory.ring()

    # Turns

    async def invoke(self, call: ActorCall) -> AppAnswer:
        """Call a method in the actor's turn. Raises AppError, NoHostError or TooDeepError.

        ClosedError: the actor has ended while the turn was waited for. LostError: during the turn it had to move.
        """
        hosted = self._hosted(call.actor)
        if hosted.config.reentrant:
            return await self._reenter(hosted, call)
        return await self._turn(hosted, call.actor, hosted.channel.invoke, call)

    async def deliver_reminder(self, trigger: Trigger) -> AppAnswer:
        """Fire a reminder in the actor's turn. Raises as `invoke`."""
        hosted = self._hosted(trigger.actor)
        return await self._turn(hosted, trigger.actor, hosted.channel.remind, trigger)

    async def deliver_timer(self, trigger: Trigger) -> AppAnswer:
        """Fire a timer in the actor's turn. Raises as `invoke`."""
        hosted = self._hosted(trigger.actor)
        return await self._turn(hosted, trigger.actor, hosted.channel.timer, trigger)

    def _hosted(self, actor: ActorId) -> ActorType:
        hosted = self._directory.find(actor.type)
        if hosted is None:  # it has gone while placement waited, or is asked for by one who knows no better
            raise NoHostError(actor)
        return hosted

    async def _turn(
        self,
        hosted: ActorType,
        actor: ActorId,
        send: Send,
        what: ActorCall | Trigger,
        reentrancy_id: str = "",
    ) -> AppAnswer:
        activation = self._directory.take(hosted, actor)
        turns = activation.turns
        try:
            turn = turns.enter(reentrancy_id, hosted.config.max_depth)
        except TooDeepError:
            self._directory.give(hosted, activation)
            raise
        turn.what, turn.send = what, send
        if not turn.has_begun:
            send = partial(self._send_if_held, send)
        patience = self._patience(actor.type) if self._patience else None
        if patience is None and not turn.has_begun:
            try:
                await turn.begun()
            except BaseException:
                self._leave(hosted, activation, turn, None)
                raise
            patience = self._patience(actor.type) if self._patience else None  # which may have come meanwhile
        if patience is not None:
            leave = partial(self._leave, hosted, activation, turn)
            return await self.overdue.run(turns, turn, send(what), what, patience=patience, leave=leave)
        work = RunToCompletion(send(what))
        turn.work.append(work)
        try:
            return await work
        finally:
            if self.overdue.is_watching:
                self.overdue.release(work)
            turns.leave(turn, work)
            self._directory.give(hosted, activation)

    async def _send_if_held(self, send: Send, what: ActorCall | Trigger) -> AppAnswer:
        """Raises ClosedError: the sidecar was frozen while the turn was waited for, and others may have the actor."""
        if not self.holds():
            raise ClosedError
        return await send(what)

    def _leave(
        self, hosted: ActorType, activation: Activation, turn: Turn, work: RunToCompletion[AppAnswer] | None
    ) -> None:
        activation.turns.leave(turn, work)
        self._directory.give(hosted, activation)

    async def _reenter(self, hosted: ActorType, call: ActorCall) -> AppAnswer:
        reentrancy_id = reentrancy_id_of(call)
        if not reentrancy_id:
            from uuid import uuid4  # noqa: PLC0415 - 2 ms that only reentrant actors need

            reentrancy_id = str(uuid4())
            call = structs.replace(call, headers=(*call.headers, (REENTRANCY_HEADER, reentrancy_id)))
        self._flying[reentrancy_id] = self._flying.get(reentrancy_id, 0) + 1
        is_over = True
        try:
            return await self._turn(hosted, call.actor, hosted.channel.invoke, call, reentrancy_id)
        except LateError as late:
            if late.begun:  # it goes on, and may call others
                is_over = False
                late.begun.ended.add_done_callback(lambda _: self._land(reentrancy_id))
            raise
        finally:
            if is_over:
                self._land(reentrancy_id)

    def _land(self, reentrancy_id: str) -> None:
        self._flying[reentrancy_id] -= 1
        if not self._flying[reentrancy_id]:
            del self._flying[reentrancy_id]

    def be_patient(self, patience: Callable[[str], Patience | None] | None) -> None:
        """Bound how long each type is waited for from now on; turns that run have had that time since their begin."""
        if patience is None and self._patience is None:
            return
        self._patience = self.overdue.patience = patience
        for activation in self._directory.busy():
            if turn := activation.turns.running:
                for work in turn.work:
                    self.overdue.watch(work, turn)

    # The end of actors

    def _expired(self, activation: Activation, *, moves: bool = False) -> None:
        hosted = self._directory.find(activation.actor.type)
        if hosted is None or activation.turns.is_busy:
            return
        # a turn of its own: a call that comes meanwhile waits, and finds the actor active still, or anew
        self._begin_end(hosted.channel, activation, activation.turns.enter(), moves=moves)

    async def deactivate(
        self, actor: ActorId, wait: float, first: Callable[[], Awaitable[object]] | None = None
    ) -> bool | None:
        """End an actor in its turn, which is waited for: True if it was active, False if its turn has not come.

        `first` is done in the turn, before the application is told: an actor that is not active has one then, too.
        """
        hosted = self._directory.find(actor.type)
        if hosted is None or (first is None and self._directory.find_actor(actor) is None):
            return None
        was_active = self._directory.find_actor(actor) is not None
        activation = self._directory.take(hosted, actor)
        turn = activation.turns.enter()
        try:
            async with self._waiting.timeout(wait):
                await turn.begun()
            if first:
                await first()
        except BaseException as error:
            activation.turns.leave(turn)
            self._directory.give(hosted, activation)
            if isinstance(error, TimeoutError | ClosedError):
                return False
            raise
        await asyncio.wait([self._begin_end(hosted.channel, activation, turn)])
        return True if was_active else None

    def _begin_end(
        self, channel: AppChannel, activation: Activation, turn: Turn, *, moves: bool = False
    ) -> asyncio.Task[None]:
        if moves and self.on_rebalanced:
            self.on_rebalanced(activation.actor.type)
        activation.is_ending = True
        ending = asyncio.create_task(self._end(channel, activation, turn))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        return ending

    async def _end(self, channel: AppChannel, activation: Activation, turn: Turn) -> None:
        actor = activation.actor
        is_failed = True
        try:
            await channel.deactivate(actor)
            is_failed = False
            log.debug("Deactivated actor '%s'", actor)
        except AppError as error:
            log.error("Failed to deactivate actor '%s': %s", actor, error)  # noqa: TRY400  the reason says it all
        finally:
            activation.is_ending = False
            activation.turns.leave(turn)
            self._directory.end(activation)
            if self.on_deactivated:
                self.on_deactivated(actor.type, is_failed=is_failed)

    async def halt(self, is_lost: Callable[[ActorId], bool], *, drains: bool = True) -> None:
        """End the actors that are lost: they live elsewhere from now on, and nobody must be let to them meanwhile.

        Who waits for a turn is sent away; a turn that runs has the drain time of its type, or none. Then the
        application is told of each end, once though several halts may be under way. Returns when it has answered.
        """
        busy = [activation for activation in self._directory.busy() if is_lost(activation.actor)]
        halts = [self._move(activation, drains=drains) for activation in busy]
        work = Work()
        for activation in self._directory.resting():
            if is_lost(activation.actor) and self._directory.wake(activation):
                self._expired(activation, moves=True)
            while len(self._endings) >= ENDING:
                await asyncio.wait(self._endings, return_when=asyncio.FIRST_COMPLETED)
            if work.is_over():
                await work.pause()
        if halts:
            await asyncio.wait(halts)
        await self._ended()

    def _move(self, activation: Activation, *, drains: bool) -> asyncio.Task[None]:
        move = self._moving.get(activation)
        if move is None:
            move = self._moving[activation] = asyncio.ensure_future(self._halt(activation, drains=drains))
            move.add_done_callback(lambda _: self._moving.pop(activation))
        elif not drains:  # the time that it was given is over
            activation.lose(LostError())
        return move

    async def _halt(self, activation: Activation, *, drains: bool) -> None:
        hosted = self._directory.keeping(activation)
        activation.turns.close()
        if self._directory.wake(activation):  # its turn has ended since it was seen
            self._expired(activation, moves=True)
        if hosted is None or activation.is_ending:
            return
        lost = partial(activation.lose, LostError())
        drain = hosted.config.drain_timeout if drains and self._drains_rebalanced else 0.0
        alarm = self._waiting.call_at(self._waiting.monotonic() + drain, lost)
        try:
            last = await _last(activation)
        finally:
            alarm.cancel()
        if hosted.is_hosted and not self._is_closing:
            self._begin_end(hosted.channel, activation, last, moves=True)
        else:  # the application is not told, or told with all others at the end
            activation.is_lost = False
            activation.turns.leave(last)
            self._directory.give_back(activation)

    async def drain(self, grace: float | None) -> None:
        """Begin no turn any more, let those that run end, and deactivate all actors; in `grace` seconds (None: any).

        Calls that wait for a turn are refused at once. What still runs after the grace is for the channel to end.
        """
        self._is_closing = True
        self._directory.close()
        self._gate.open()  # nobody waits for an application any more
        for activation in self._directory.busy():
            activation.turns.close()
        try:
            async with self._waiting.timeout(grace):
                await self._ended()
                # again: a turn may have called other actors meanwhile
                while busy := [activation for activation in self._directory.busy() if activation.turns.is_busy]:
                    await asyncio.gather(*map(self._idle, busy))
                while resting := self._directory.take_resting(AT_ONCE):
                    for activation in resting:
                        self._expired(activation)
                    if len(self._endings) >= ENDING:
                        await asyncio.wait(self._endings, return_when=asyncio.FIRST_COMPLETED)
                    else:
                        await asyncio.sleep(0)
                await self._ended()
        except TimeoutError:
            for ending in self._endings:
                ending.cancel()

    async def _idle(self, activation: Activation) -> None:
        """Return when no turn runs: the turn that one takes for that is the last."""
        turn = activation.turns.enter()
        try:
            await turn.begun()
        finally:
            activation.turns.leave(turn)
            self._directory.give_back(activation)

    async def _ended(self) -> None:
        """Return when no deactivation is under way."""
        while self._endings:
            await asyncio.wait(self._endings)


async def _last(activation: Activation) -> Turn:
    """The turn behind those that run, also if all who wait are sent away meanwhile."""
    while True:
        turn = activation.turns.enter()
        try:
            await turn.begun()
        except ClosedError:
            activation.turns.leave(turn)
        else:
            return turn


def reentrancy_id_of(call: ActorCall) -> str:
    return next((value for name, value in call.headers if name.lower() == _LOWERED), "")
