"""Calls of actors under policies: each attempt passes the breakers of its type and actor, and some are repeated.

An attempt that was not answered in time still holds its turn. Its retry waits for that answer, which decides: the
method is not called again beside itself, nor once more when it has done what it was asked.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from dapr_state.actors.gate import AwayError
from dapr_state.actors.overdue import LateError, Patience
from dapr_state.actors.placement.base import NoHostError
from dapr_state.actors.router import RemoteError
from dapr_state.app.http import ERROR_HEADER
from dapr_state.app.model import AppError, MissingMethodError
from dapr_state.resiliency.breaker import Breaker
from dapr_state.resiliency.guard import Attempts, Guard
from dapr_state.resiliency.policies import ID, TYPE

if TYPE_CHECKING:
    from collections.abc import Callable

    from dapr_state.actors.router import ActorRouter
    from dapr_state.app.model import ActorCall, ActorId, AppAnswer
    from dapr_state.clock import WaitingClock
    from dapr_state.resiliency.begun import Begun, Pauses
    from dapr_state.resiliency.breaker import State
    from dapr_state.resiliency.guard import Counts
    from dapr_state.resiliency.policies import Chosen

# What a policy on actors is for, beside what the application says: it is not there, or nobody hosts the type
_NOBODY: Final = (AwayError, NoHostError)
_FAILURES: Final = (AppError, *_NOBODY)

_INVOKE: Final = "error invoke actor method: "  # how another sidecar begins what it passes on


class RefusedError(AppError):
    """A circuit breaker lets nothing through."""


class ActorGuard(Guard):
    """Of one type. Breakers of single actors are forgotten as nobody calls them, the one first that was used least."""

    def __init__(
        self,
        actor_type: str,
        chosen: Chosen,
        counts: Counts,
        clock: WaitingClock,
        *,
        before: ActorGuard | None = None,
        pauses: Pauses | None = None,
    ) -> None:
        """`before` is the one in whose place it comes: breakers that are to be the same stay as they are."""
        super().__init__(f"actor[{actor_type}]", chosen, counts=counts, clock=clock, pauses=pauses)
        self.is_answered = False  # an application has answered for this type once: nobody has made it up
        self.patience = None
        if self.seconds or chosen.longest_turn:
            self.patience = Patience(self.seconds or 0.0, chosen.longest_turn, counts)
        self._of_type = self._new(actor_type) if chosen.breaker and chosen.scope != ID else None
        self._of_ids: OrderedDict[str, Breaker] = OrderedDict()
        if before:
            self.is_answered = before.is_answered
        if before and (before.chosen.breaker, before.chosen.scope) == (chosen.breaker, chosen.scope):
            self._of_type, self._of_ids = before._of_type, before._of_ids  # noqa: SLF001 - it is one of us
            while len(self._of_ids) > chosen.cache_size:
                self._of_ids.popitem(last=False)

    def breaker_of(self, actor: ActorId) -> Breaker | Both:
        of_type, chosen = self._of_type, self.chosen
        if chosen.breaker is None:
            return self.breaker  # which never opens
        if of_type and chosen.scope == TYPE:
            return of_type
        of_id = self._of_ids.get(actor.id)
        if of_id is None:
            of_id = self._of_ids[actor.id] = self._new(f"{actor.type}-{actor.id}")
            if len(self._of_ids) > chosen.cache_size:
                self._of_ids.popitem(last=False)
        else:
            self._of_ids.move_to_end(actor.id)
        return Both(of_type, of_id) if of_type else of_id

    def breakers(self) -> list[Breaker]:
        return [*((self._of_type,) if self._of_type else ()), *self._of_ids.values()]

    def _new(self, target: str) -> Breaker:
        assert self.chosen.breaker  # noqa: S101 - for the type checker
        name, rule = self.chosen.breaker
        return Breaker(f"{name}-{target}", rule, self.clock.monotonic, self.counts.changed)


class Both:
    """The breaker of a type and that of one actor: either refuses."""

    def __init__(self, of_type: Breaker, of_id: Breaker) -> None:
        self._both = (of_type, of_id)

    @property
    def state(self) -> State:
        return self._both[0].state if self._both[0].state is not self._both[0].state.CLOSED else self._both[1].state

    @property
    def generation(self) -> tuple[int, int]:
        return self._both[0].generation, self._both[1].generation

    def refuses(self) -> str:
        of_type, of_id = self._both
        if text := of_type.refuses():
            return text
        if text := of_id.refuses():
            of_type.left(of_type.generation)  # which has not let anything through
        return text

    def succeeded(self, generation: tuple[int, int]) -> None:
        for breaker, each in zip(self._both, generation, strict=True):
            breaker.succeeded(each)

    def failed(self, generation: tuple[int, int], reason: object) -> None:
        for breaker, each in zip(self._both, generation, strict=True):
            breaker.failed(each, reason)

    def left(self, generation: tuple[int, int]) -> None:
        for breaker, each in zip(self._both, generation, strict=True):
            breaker.left(each)


class ResilientCalls:
    """`invoke` as the router has it. `guard_of` gives the policies of a type, or None."""

    def __init__(self, router: ActorRouter, guard_of: Callable[[str], ActorGuard | None]) -> None:
        self._router = router
        self._guard_of = guard_of

    async def invoke(self, call: ActorCall) -> AppAnswer:
        """Raises what the router raises, and RefusedError."""
        guard = self._guard_of(call.actor.type)
        if guard is None:
            return await self._router.invoke(call)
        return await _Call(guard, self._router, call).all()


class _Call:
    def __init__(self, guard: ActorGuard, router: ActorRouter, call: ActorCall) -> None:
        self._guard = guard
        self._router = router
        self._call = call
        self._breaker = guard.breaker_of(call.actor)
        self._attempts = Attempts(guard, self._breaker, f"actor[{call.actor.type}, {call.actor.id}]")
        self._on_its_way: Begun | None = None  # an attempt that was not answered in time

    async def all(self) -> AppAnswer:
        counts = self._guard.counts
        counts.calls += 1
        counts.in_state[self._breaker.state] += 1
        came = await self._attempt()
        while (failure := _failure(came)) is not None:
            seconds = None if _is_final(failure) else self._attempts.wait(failure)
            if seconds is None:
                break
            came = await self._rest(seconds, came)
            failure = _failure(came)
            if failure is not None and not _is_final(failure) and not self._guard.pauses.is_over:
                came = await self._attempt()
        if isinstance(came, BaseException):
            raise came
        return came

    async def _attempt(self) -> AppAnswer | Exception:
        """What the application answers, or the failure."""
        if refusal := self._attempts.refused():
            return RefusedError(refusal)
        try:
            came: AppAnswer | Exception = await self._answer()
        except _FAILURES as error:
            came = error.with_traceback(None)
            if isinstance(error, LateError):
                self._on_its_way = error.begun
        except BaseException:  # the caller has gone, or what he asked is no matter of the application
            self._attempts.left()
            raise
        self._guard.is_answered = self._guard.is_answered or not isinstance(came, _NOBODY)
        failure = _failure(came)
        if failure is None or _is_answer(failure):
            self._attempts.succeeded()
        else:
            self._attempts.failed(failure)
        return came

    async def _answer(self) -> AppAnswer:
        begun, self._on_its_way = self._on_its_way, None
        if begun is None:
            return await self._router.invoke(self._call)
        if not await begun.ends_within(self._guard.seconds or 0.0, self._guard.clock):
            raise LateError(begun)
        answer: AppAnswer = begun.ended.result()
        return answer

    async def _rest(self, seconds: float, came: AppAnswer | Exception) -> AppAnswer | Exception:
        """Wait before the next attempt; an answer that is on its way ends the wait, if it is one."""
        begun, clock, pauses = self._on_its_way, self._guard.clock, self._guard.pauses
        until = clock.monotonic() + seconds
        await pauses.pause(until, clock, begun)
        if begun is None or not begun.ended.done():
            return came
        self._on_its_way = None
        try:
            came = begun.ended.result()
        except _FAILURES as error:
            came = error.with_traceback(None)
        if (failure := _failure(came)) is not None and not _is_final(failure):
            await pauses.pause(until, clock)
        return came


def _failure(came: AppAnswer | Exception) -> object:
    """Why this is none, or no good answer; None if it is one."""
    if isinstance(came, Exception):
        return came
    return came if came.header(ERROR_HEADER) else None


def _is_final(failure: object) -> bool:
    return isinstance(failure, RefusedError) or _is_answer(failure)


def _is_answer(failure: object) -> bool:
    """The application has no such method, wherever it is: that is nobody's failure, and will be so again."""
    if isinstance(failure, RemoteError):
        return failure.details.removeprefix(_INVOKE).startswith(MissingMethodError.BEGINNING)
    return isinstance(failure, MissingMethodError)
