"""The way of a call or a tick to its actor: here, or at another sidecar.

Who was sent away, since the actor went or had to move, looks again where it lives. What concerns this sidecar alone
(which types it hosts, whether an actor is active here) is asked of the runtime below, never of the router.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from dapr_state.actors.placement.base import LostError, NoHostError
from dapr_state.actors.turns import ClosedError

if TYPE_CHECKING:
    from dapr_state.actors.placement.base import Claim, Placement
    from dapr_state.actors.runtime import ActorRuntime
    from dapr_state.app.model import ActorCall, AppAnswer, Tick


class Remote(Protocol):
    """The way out to other sidecars, by the address of their internal ports. Raises LostError to be asked again."""

    async def invoke(self, address: str, call: ActorCall, /) -> AppAnswer: ...

    async def deliver_reminder(self, address: str, tick: Tick, /) -> AppAnswer: ...

    async def deliver_timer(self, address: str, tick: Tick, /) -> AppAnswer: ...


class Alone(Remote):
    """There are no others."""

    async def invoke(self, _: str, call: ActorCall) -> AppAnswer:
        raise NoHostError(call.actor)

    async def deliver_reminder(self, _: str, tick: Tick) -> AppAnswer:
        raise NoHostError(tick.actor)

    deliver_timer = deliver_reminder


class ActorRouter:
    """What calls actors without knowing where they live."""

    def __init__(self, local: ActorRuntime, placement: Placement, remote: Remote | None = None) -> None:
        self.local = local
        self._placement = placement
        self._remote = remote or Alone()

    def __repr__(self) -> str:
        return f"<ActorRouter to {self.local!r}>"

    def is_hosted(self, kind: str) -> bool:
        return self.local.is_hosted(kind)

    async def invoke(self, call: ActorCall) -> AppAnswer:
        """Call a method in the actor's turn. Raises AppError, AwayError, NoHostError, TooDeepError or ClosingError.

        One who is cancelled before the turn begins leaves the queue; a turn that has begun runs to its end.
        """
        local, placement = self.local, self._placement
        while True:
            if not local.is_open:
                await local.admit(call)
            claim = placement.look(call.actor) or await placement.lookup(call.actor)
            try:
                if claim.is_here:
                    return await local.invoke(call)
                return await self._remote.invoke(claim.address, call)
            except (ClosedError, LostError):
                continue

    async def deliver_reminder(self, tick: Tick) -> AppAnswer:
        """Fire a reminder in the actor's turn. Raises AppError, NoHostError or ClosingError."""
        while True:
            claim = await self._claim(tick)
            try:
                if claim.is_here:
                    return await self.local.deliver_reminder(tick)
                return await self._remote.deliver_reminder(claim.address, tick)
            except (ClosedError, LostError):
                continue

    async def deliver_timer(self, tick: Tick) -> AppAnswer:
        """Fire a timer in the actor's turn. Raises AppError, NoHostError or ClosingError."""
        while True:
            claim = await self._claim(tick)
            try:
                if claim.is_here:
                    return await self.local.deliver_timer(tick)
                return await self._remote.deliver_timer(claim.address, tick)
            except (ClosedError, LostError):
                continue

    async def _claim(self, tick: Tick) -> Claim:
        self.local.check_open()
        return self._placement.look(tick.actor) or await self._placement.lookup(tick.actor)
