"""The Test service: one answer for each of its calls, a message in and a message out; both transports serve them."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from dapr_state_proto.admin.v1 import admin_pb2

from dapr_state import errors
from dapr_state.app.model import ActorId, AppError
from dapr_state.clock import VISIBLE
from dapr_state.stores.base import Unsupported
from dapr_state.testmode import fitting
from dapr_state.testmode.application import Deliveries, TestedChannel, TestedRuntime
from dapr_state.testmode.calls import Calls
from dapr_state.testmode.faults import AT_MOST, Faults
from dapr_state.testmode.snapshots import Snapshots
from dapr_state.testmode.store import FaultyStore, is_looking
from dapr_state.testmode.timekeeper import Timekeeper
from dapr_state.testmode.travel import NotQuietError, Parts, RunawayError, Travel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping

    from google.protobuf.duration_pb2 import Duration

    from dapr_state.actors.reminders import ReminderBackend
    from dapr_state.actors.runtime import ActorRuntime
    from dapr_state.actors.timers import Timers
    from dapr_state.api.metadata import Metadata
    from dapr_state.api.state import BoundStore
    from dapr_state.clock import VisibleClock
    from dapr_state.stores.base import StateStore

log = logging.getLogger("dapr.runtime")

_SECOND: Final = 1_000_000_000
PATIENCE: Final = 10.0  # seconds, where a call gives none
RESET_PATIENCE: Final = 2.0  # seconds for what is under way at a test's end
MAX_TICKS: Final = 10_000  # of one move, where a call says nothing: more are a timer of a millisecond
LOOKED_AT: Final = 1000  # keys at once: some may be none of the test's
LATEST: Final = 253_402_300_800 * _SECOND  # the year 10,000: no time is told beyond

WARNING: Final = "TEST MODE: whoever can call this sidecar can move its clock, empty its stores and have it fail"


class TestMode:
    """Made before the components are opened; `attach` it once there is all that it moves."""

    __test__ = False  # pytest takes the name for one of its own

    def __init__(self, app_id: str, clock: VisibleClock = VISIBLE) -> None:
        self._app_id = app_id
        self._clock = clock
        self.faults = Faults()
        self.calls = Calls()
        self._deliveries = Deliveries()
        self.calls.on_end = self._deliveries.ended.set
        self._journey: asyncio.Task[None] | None = None
        self._resetting = asyncio.Lock()
        self._snapshots = Snapshots(clock)
        self.metadata: Metadata  # of this sidecar
        log.warning(WARNING)

    def __repr__(self) -> str:
        return f"<TestMode {self._clock!r}>"

    def store(self, name: str, prefix: str, store: StateStore) -> StateStore:
        """A component's store as it is served: it follows the clock, and fails when a test wants it to."""
        actors = f"{self._app_id}||"
        followed = store if store.follow(self._clock) else Timekeeper(store, self._clock, actors)
        return FaultyStore(followed, self.faults, name, (prefix, actors))

    def target(self, runtime: ActorRuntime) -> TestedRuntime:
        """Who is told what the application hosts: the runtime, with another channel to it."""
        done = self._deliveries
        return TestedRuntime(runtime, done, lambda inner: TestedChannel(inner, self.faults, done, self.calls))

    def attach(
        self,
        stores: Mapping[str, BoundStore],
        actors: ActorRuntime,
        timers: Timers,
        reminders: ReminderBackend,
    ) -> None:
        self._stores = stores
        self._parts = Parts(actors, timers, reminders, self.calls, self._deliveries)
        self._travel = Travel(self._clock, self._parts)

    def answers(self) -> dict[str, Callable[[Any], Awaitable[Any]]]:
        return {
            "Advance": self.advance,
            "SetTime": self.set_time,
            "WaitIdle": self.wait_idle,
            "Reset": self.reset,
            "TakeSnapshot": self.take_snapshot,
            "RestoreSnapshot": self.restore_snapshot,
            "AddFault": self.add_fault,
            "RemoveFault": self.remove_fault,
            "ListFaults": self.list_faults,
            "Calls": self.list_calls,
            "Clock": self.tell_time,
            "TriggerTimer": self.trigger_timer,
        }

    # Time

    async def advance(self, request: admin_pb2.AdvanceRequest) -> admin_pb2.AdvanceResponse:
        by = request.by.ToNanoseconds()
        if by < 0:
            raise errors.TEST_TIME_BACK(reason="time moves forwards alone: set_time on an empty sidecar moves it back")
        return await self._to(lambda: self._clock.nanoseconds() + by, request.patience, request.max_ticks)

    async def set_time(self, request: admin_pb2.SetTimeRequest) -> admin_pb2.AdvanceResponse:
        to = request.to.ToNanoseconds()
        if to >= self._clock.nanoseconds():
            return await self._to(lambda: to, request.patience)
        if to < 0:
            raise errors.TEST_TIME_BACK(reason="no time is told before 1970")
        if left := await self._left():
            raise errors.TEST_TIME_BACK(reason=f"time moves back on an empty sidecar alone, and there are {left}")
        self._clock.move_ns(to - self._clock.nanoseconds())
        return self._advanced(0)

    async def tell_time(self, request: admin_pb2.ClockRequest) -> admin_pb2.ClockResponse:
        if request.HasField("frozen"):
            if request.frozen:
                self._clock.freeze()
            else:
                self._clock.resume()
        answer = admin_pb2.ClockResponse(frozen=self._clock.is_frozen)
        answer.now.FromNanoseconds(self._clock.nanoseconds())
        answer.moved.FromNanoseconds(self._clock.moved)
        return answer

    async def wait_idle(self, request: admin_pb2.WaitIdleRequest) -> admin_pb2.WaitIdleResponse:
        try:
            await self._travel.quiet(_seconds(request.patience))
        except NotQuietError:
            return admin_pb2.WaitIdleResponse(idle=False, busy=self._travel.busy())
        return admin_pb2.WaitIdleResponse(idle=True)

    async def _to(self, moment: Callable[[], int], patience: Duration, max_ticks: int = 0) -> admin_pb2.AdvanceResponse:
        if self._journey or self._resetting.locked():
            raise errors.TEST_TRAVELS()  # noqa: RSE102  a row is called to make its error
        end = moment()
        if end >= LATEST:
            raise errors.TEST_TIME_BACK(reason="no time is told beyond the year 9999")
        journey = self._travel.to(end, _seconds(patience), max_ticks or MAX_TICKS)
        self._journey = asyncio.ensure_future(self._travelled(journey))
        try:
            await asyncio.wait([self._journey])
            await self._journey
            return self._advanced(await self._expire(), end)
        except asyncio.CancelledError:
            raise errors.TEST_NOT_QUIET(busy="the sidecar was reset meanwhile") from None
        except NotQuietError as error:
            raise errors.TEST_NOT_QUIET(busy=error) from error
        except RunawayError as error:
            raise errors.TEST_RUNAWAY(reason=error) from error
        finally:
            self._journey = None

    async def _travelled(self, journey: Coroutine[Any, Any, None]) -> None:
        await self._expire()  # what did so before is not counted
        await journey

    def _advanced(self, expired: int, end: int | None = None) -> admin_pb2.AdvanceResponse:
        done = self._deliveries
        answer = admin_pb2.AdvanceResponse(
            reminders=done.reminders,
            timers=done.timers,
            deactivations=done.deactivations,
            expired=expired,
            failures=done.failures,
        )
        answer.now.FromNanoseconds(self._clock.nanoseconds() if end is None else end)
        done.begin()
        return answer

    async def _expire(self) -> int:
        return sum(
            [await bound.store.expire(each) for bound in self._stores.values() for each in self._prefixes(bound)]
        )

    # Isolation

    async def reset(self, request: admin_pb2.ResetRequest) -> admin_pb2.ResetResponse:
        """Of who moves the clock at that moment nothing is left either: the test that did so was broken off."""
        if unknown := set(request.stores) - set(self._stores):
            stores = ", ".join(self._stores) or "none"
            raise errors.ADMIN_REQUEST(cause=f"there is no store {min(unknown)!r} (stores: {stores})")
        async with self._alone():
            return await self._reset(request)

    async def take_snapshot(self, _: admin_pb2.TakeSnapshotRequest) -> admin_pb2.Snapshot:
        async with self._alone():
            try:
                await self._travel.quiet(RESET_PATIENCE)
            except NotQuietError as error:
                raise errors.TEST_NOT_QUIET(busy=error) from error
            prefixes = {name: self._prefixes(bound) for name, bound in self._stores.items()}
            taken = await self._snapshots.take(self._stores, prefixes, self._parts.reminders)
        return admin_pb2.Snapshot(id=taken.id, keys=taken.keys, reminders=len(taken.reminders))

    async def restore_snapshot(self, request: admin_pb2.RestoreSnapshotRequest) -> admin_pb2.ResetResponse:
        answer = admin_pb2.ResetResponse()
        async with self._alone():
            taken = self._snapshots.pop(request.id)
            self._clock.hold()
            try:
                await self._end_actors(answer)
                await self._empty_all(answer, self._stores)
                await self._snapshots.bring_back(taken, self._stores, self._parts.reminders)
            finally:
                if taken.stood_at is None:
                    self._clock.resume()
                else:
                    self._clock.release()
        return answer

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Whoever moves the clock at that moment is broken off: so is the test that did."""
        is_looking.set(True)
        async with self._resetting:
            if self._journey:
                self._journey.cancel()
                await asyncio.wait([self._journey])
            yield

    async def _reset(self, request: admin_pb2.ResetRequest) -> admin_pb2.ResetResponse:
        answer = admin_pb2.ResetResponse()
        answer.faults.extend(self._handles())
        self._clock.hold()
        if not request.keep_faults:
            self.faults.clear()
        await self._end_actors(answer)
        if not request.keep_state:
            self._snapshots.clear()
            await self._empty_all(answer, request.stores or self._stores)
            self.metadata.forget()
        self._deliveries.begin()
        self.calls.clear()
        if request.keep_state or request.keep_clock:
            self._clock.resume()
        else:
            self._clock.be_real()
        return answer

    async def _end_actors(self, answer: admin_pb2.ResetResponse) -> None:
        try:
            await self._travel.quiet(RESET_PATIENCE)
        except NotQuietError:
            answer.busy.extend(self._travel.busy())
            self._deliveries.give_up()
        actors = self._parts.actors
        answer.actors = sum(actors.counts().values())
        await actors.halt(lambda _: True, drains=False)

    async def _empty_all(self, answer: admin_pb2.ResetResponse, stores: Iterable[str]) -> None:
        self._parts.timers.clear()
        answer.reminders = await self._parts.reminders.clear()
        for name in stores:
            answer.keys += await self._empty(self._stores[name])

    def _prefixes(self, bound: BoundStore) -> tuple[str, ...]:
        """Under which its keys stand; a store that is kept whole for one application is not emptied beyond those."""
        return tuple({bound.prefix, f"{self._app_id}||"} - {""})

    async def _empty(self, bound: BoundStore) -> int:
        removed = 0
        for prefix in self._prefixes(bound):
            try:
                removed += await _remove(bound.store, prefix)
            except Unsupported as error:
                raise errors.TEST_CANNOT_EMPTY(store=bound.name, reason=error) from error
        return removed

    async def _left(self) -> str:
        """What keeps time from being moved back; nothing does where all is empty."""
        if self._parts.timers.next_due is not None:
            return "timers"
        if self._parts.reminders.next_due is not None:
            return "reminders"
        if sum(self._parts.actors.counts().values()):
            return "active actors"
        for bound in self._stores.values():
            for prefix in self._prefixes(bound):
                if await _holds_any(bound.store, prefix):
                    return f"keys in {bound.name}"
        return ""

    # Faults and calls

    async def add_fault(self, request: admin_pb2.Fault) -> admin_pb2.FaultHandle:
        if reason := fitting.problem(request, self._stores):
            raise errors.TEST_FAULT_BAD(reason=reason)
        if self.faults.is_full:
            raise errors.TEST_FAULT_BAD(reason=f"there are {AT_MOST} faults already")
        return admin_pb2.FaultHandle(id=self.faults.add(request).id)

    async def remove_fault(self, request: admin_pb2.FaultHandle) -> admin_pb2.FaultHandle:
        fault = self.faults.remove(request.id)
        if fault is None:
            raise errors.TEST_FAULT_UNKNOWN(id=request.id)
        return admin_pb2.FaultHandle(id=fault.id, hits=fault.hits)

    async def list_faults(self, _: admin_pb2.ListFaultsRequest) -> admin_pb2.ListFaultsResponse:
        return admin_pb2.ListFaultsResponse(faults=self._handles())

    def _handles(self) -> list[admin_pb2.FaultHandle]:
        return [admin_pb2.FaultHandle(id=each.id, hits=each.hits) for each in self.faults.all()]

    async def list_calls(self, request: admin_pb2.CallsRequest) -> admin_pb2.CallsResponse:
        return admin_pb2.CallsResponse(calls=self.calls.behind(request.from_event))

    async def trigger_timer(self, request: admin_pb2.TriggerTimerRequest) -> admin_pb2.TriggerTimerResponse:
        timer = self._parts.timers.find(ActorId(request.actor.type, request.actor.id), request.name)
        if timer is None:
            raise errors.TEST_TIMER_UNKNOWN(name=request.name, type=request.actor.type, id=request.actor.id)
        try:
            await self._parts.actors.deliver_timer(timer)
        except AppError as error:
            return admin_pb2.TriggerTimerResponse(error=str(error))
        return admin_pb2.TriggerTimerResponse(delivered=True)


def _seconds(patience: Duration) -> float:
    if patience.ToNanoseconds() < 0:
        raise errors.ADMIN_REQUEST(cause="`patience` is above 0 s; without, it is 10 s")
    return patience.ToNanoseconds() / _SECOND or PATIENCE


async def _holds_any(store: StateStore, prefix: str) -> bool:
    after = None
    while after != "":
        page = await store.keys(prefix, after=after or "", limit=LOOKED_AT)
        if page.rows:
            return True
        after = page.after
    return False


async def _remove(store: StateStore, prefix: str) -> int:
    removed, after = 0, None
    while after != "":
        step = await store.remove(prefix, after=after or "")
        removed, after = removed + step.keys, step.after
    return removed
