"""The way of a call or a trigger to its actor: here, or at another sidecar.

Who was sent away, since the actor went or had to move, looks again where it lives. What concerns this sidecar alone
(which types it hosts, whether an actor is active here) is asked of the runtime below, never of the router.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from dapr_state.actors.placement.base import HERE, LostError, NoHostError
from dapr_state.actors.runtime import reentrancy_id_of
from dapr_state.actors.turns import ClosedError
from dapr_state.app.model import AppError
from dapr_state.clock import WAITING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from dapr_state.actors.placement.base import Claim, Placement
    from dapr_state.actors.runtime import ActorRuntime
    from dapr_state.app.model import ActorCall, ActorId, AppAnswer, Trigger
    from dapr_state.clock import WaitingClock

    Deliver = Callable[[Trigger], Awaitable[AppAnswer]]
    DeliverTo = Callable[[Claim, Trigger], Awaitable[AppAnswer]]

# Seconds before a peer that has let the actor go, or is not reached, is asked for it again: daprd waits five times 1 s
AGAIN_AFTER: Final = (0.1, 0.4, 1.0, 1.5, 2.0)

# Seconds for which what another sidecar asks waits for a placement service that is lost here: it may not be lost there,
# and the actor be somebody else's by now
UNTOLD: Final = 1.0


class RemoteError(AppError):
    """Another sidecar has refused a call: with this code of gRPC, and this text. As Go prints it."""

    def __init__(self, code: int, name: str, details: str) -> None:
        super().__init__(f"rpc error: code = {name} desc = {details}")
        self.code = code
        self.name = name
        self.details = details


class AgainError(Exception):
    """The peer does not have the actor any more, or is not there; `cause` is what it has said."""

    def __init__(self, cause: RemoteError) -> None:
        super().__init__(str(cause))
        self.cause = cause

    def final(self, address: str) -> RemoteError:
        """What the caller is told after the last attempt; the words are daprd's."""
        text = f"failed to invoke target {address} after {len(AGAIN_AFTER)} retries. Error: {self.cause}"
        return RemoteError(self.cause.code, self.cause.name, text)


class Remote(Protocol):
    """The way out to other sidecars, by the claim that says which. Raises AgainError or AppError."""

    async def invoke(self, claim: Claim, call: ActorCall, /) -> AppAnswer: ...

    async def deliver_reminder(self, claim: Claim, trigger: Trigger, /) -> AppAnswer: ...

    async def deliver_timer(self, claim: Claim, trigger: Trigger, /) -> AppAnswer: ...


class Alone(Remote):
    """There are no others."""

    async def invoke(self, _: Claim, call: ActorCall) -> AppAnswer:
        raise NoHostError(call.actor)

    async def deliver_reminder(self, _: Claim, trigger: Trigger) -> AppAnswer:
        raise NoHostError(trigger.actor)

    async def deliver_timer(self, _: Claim, trigger: Trigger) -> AppAnswer:
        raise NoHostError(trigger.actor)


class ActorRouter:
    """What calls actors without knowing where they live."""

    def __init__(
        self, local: ActorRuntime, placement: Placement, remote: Remote | None = None, waiting: WaitingClock = WAITING
    ) -> None:
        self.local = local
        local.holds = placement.holds
        self._placement = placement
        self._remote = remote or Alone()
        self._waiting = waiting

    def __repr__(self) -> str:
        return f"<ActorRouter to {self.local!r}>"

    def is_hosted(self, actor_type: str) -> bool:
        return self.local.is_hosted(actor_type)

    def may_write(self, actor: ActorId) -> bool:
        """Whether the actor is active here, and nobody else can have it: a turn that goes on elsewhere is over here."""
        return self._placement.holds() and self.local.is_active(actor)

    # What this sidecar's own callers, reminders and timers ask

    async def invoke(self, call: ActorCall) -> AppAnswer:
        """Call a method in the actor's turn. Raises AppError, AwayError, NoHostError, TooDeepError or ClosingError.

        One who is cancelled before the turn begins leaves the queue; a turn that has begun runs to its end.
        """
        local, placement = self.local, self._placement
        pauses: Iterator[float] | None = None
        has_asked = False
        while True:
            if not local.is_open:
                await local.admit(call)
            claim = placement.lookup_now(call.actor)
            if claim is None and local.joins(call):
                claim = HERE
            elif claim is None:
                if not has_asked and (answer := await self._join(call)):
                    return answer
                has_asked = True
                claim = await placement.lookup(call.actor)
            try:
                if claim.is_here:
                    return await local.invoke(call)
                return await self._remote.invoke(claim, call)
            except (ClosedError, LostError):
                continue
            except (AgainError, NoHostError) as error:
                pauses = await self._again(claim, error, pauses)

    async def _join(self, call: ActorCall) -> AppAnswer | None:
        """Call as a part of a turn that may run where the actor lived until now.

        What it moves for is waiting for that turn to end, and the turn for this call. None: there is none.
        """
        claim = self._placement.before(call.actor) if reentrancy_id_of(call) else None
        if claim is None:
            return None
        try:
            return await self._remote.invoke(claim, call)
        except AgainError:
            return None

    async def deliver_reminder(self, trigger: Trigger) -> AppAnswer:
        """Fire a reminder in the actor's turn. Raises AppError, AwayError, NoHostError or ClosingError."""
        return await self._deliver(trigger, self.local.deliver_reminder, self._remote.deliver_reminder)

    async def deliver_timer(self, trigger: Trigger) -> AppAnswer:
        """Fire a timer in the actor's turn. Raises as `deliver_reminder`."""
        return await self._deliver(trigger, self.local.deliver_timer, self._remote.deliver_timer)

    async def _deliver(self, trigger: Trigger, here: Deliver, there: DeliverTo) -> AppAnswer:
        pauses: Iterator[float] | None = None
        while True:
            self.local.check_open()
            claim = self._placement.lookup_now(trigger.actor) or await self._placement.lookup(trigger.actor)
            try:
                return await (here(trigger) if claim.is_here else there(claim, trigger))
            except (ClosedError, LostError):
                continue
            except (AgainError, NoHostError) as error:
                pauses = await self._again(claim, error, pauses)

    async def _again(
        self, claim: Claim, error: AgainError | NoHostError, pauses: Iterator[float] | None
    ) -> Iterator[float]:
        """Wait for the next attempt; NoHostError: placement has not heard yet that the actor cannot live here.

        Raises what the peer has said if it was the last.
        """
        pauses = iter(AGAIN_AFTER) if pauses is None else pauses
        for pause in pauses:
            await self._waiting.sleep(pause)
            return pauses
        raise error.final(claim.address) if isinstance(error, AgainError) else error from None

    # What another sidecar asks: it is never passed on

    async def take_call(self, call: ActorCall) -> AppAnswer:
        """Raises LostError if the actor does not live here, else as `invoke`."""
        await self.local.admit(call)
        if not self.local.joins(call):
            await self.check_here(call.actor)
        try:
            return await self.local.invoke(call)
        except (ClosedError, NoHostError):
            raise LostError from None

    async def take_trigger(self, trigger: Trigger, *, is_timer: bool) -> AppAnswer:
        """Raises LostError if the actor does not live here, else as `deliver_reminder`."""
        await self.local.ready()
        self.local.check_open()
        await self.check_here(trigger.actor)
        try:
            return await (self.local.deliver_timer(trigger) if is_timer else self.local.deliver_reminder(trigger))
        except (ClosedError, NoHostError):
            raise LostError from None

    async def check_here(self, actor: ActorId) -> None:
        """Raises LostError if the actor does not live here."""
        claim = self._placement.lookup_now(actor) or await self._placement.lookup(actor, UNTOLD)
        if not claim.is_here:
            raise LostError
