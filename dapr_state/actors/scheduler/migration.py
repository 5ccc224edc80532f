"""Reminders on their way from the store into the scheduler, while sidecars may fire and change them.

Rules that a change must keep:
1. A row is removed once the scheduler has the reminder, and only as it was read. If it has changed meanwhile the job
   that was made of it is taken back, and the row is looked at again.
2. Nothing is kept of how far it went: who begins anew finds what is left. A job that is there already was made by one
   who was broken off (it is due at the very same nanosecond), or by an application since: then it counts, not the row.
3. There is one at a time (lease.py): to another one a row that is gone would be one that was deleted.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import grpc
from dapr_state_proto.scheduler.v1.scheduler_pb2 import DeleteJobRequest, GetJobRequest

from dapr_state.actors.reminder_table import Remove
from dapr_state.actors.schedule import ScheduleError
from dapr_state.actors.scheduler import jobs
from dapr_state.actors.scheduler.calls import CallError
from dapr_state.actors.scheduler.lease import Lease
from dapr_state.stores.slices import slices

if TYPE_CHECKING:
    from collections.abc import Callable

    from dapr_state_proto.scheduler.v1.scheduler_pb2 import ScheduleJobRequest

    from dapr_state.actors.reminder_table import Kept, ReminderTable
    from dapr_state.actors.scheduler.calls import Calls
    from dapr_state.actors.scheduler.jobs import Identity
    from dapr_state.stores.base import StateStore

AT_ONCE: Final = 16  # under way at one time: more make the scheduler's etcd no faster
CHANGES_AT_MOST: Final = 5  # of a row while it is moved; then it is left for the next time
_FINAL: Final = (grpc.StatusCode.UNKNOWN, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED)


class Report:
    """How far it is."""

    def __init__(self) -> None:
        self.total = self.moved = self.stay = 0
        self.superseded = 0  # the scheduler had another one of that name

    def __repr__(self) -> str:
        return f"<Report {self.moved} of {self.total} moved, {self.superseded} superseded, {self.stay} stay>"

    @property
    def left(self) -> int:
        return self.total - self.moved - self.superseded - self.stay


class Migration:
    """`run` it; `stop` lets it end what is under way and begin nothing more."""

    def __init__(
        self,
        store: StateStore,
        table: ReminderTable,
        calls: Calls,
        me: Identity,
        tell: Callable[[str], object] = lambda _: None,
    ) -> None:
        """`table` is in `store`; `tell` is told each reminder that is not simply moved, in a sentence."""
        self._lease = Lease(store, me.app_id, self.stop)
        self._table = table
        self._calls = calls
        self._me = me
        self._tell = tell
        self._is_stopped = False
        self.report = Report()

    def __repr__(self) -> str:
        return f"<Migration {self.report}>"

    def stop(self) -> None:
        self._is_stopped = True

    async def run(self) -> None:
        """Raises CallError or AwayError when the scheduler is not there, StoreError or NoStoreError."""
        await self._lease.take(self._tell)
        try:
            await self._move_all()
        finally:
            await self._lease.give()

    async def _move_all(self) -> None:
        async for page in self._table.pages():
            self.report.total += len(page)
        async for page in self._table.pages():
            for some in slices(page, AT_ONCE):
                if self._is_stopped:
                    return
                outcomes = await asyncio.gather(*map(self._move, some), return_exceptions=True)
                for outcome in outcomes:
                    if outcome:
                        raise outcome

    async def _move(self, kept: Kept) -> None:
        key = kept.reminder.key
        found: Kept | None = kept
        for _ in range(CHANGES_AT_MOST):
            if found is None:  # it was the last tick, or somebody has deleted it
                self.report.total -= 1
                return
            try:
                request = jobs.moved(found.reminder, self._me)
                is_new = await self._schedule(request)
            except (ScheduleError, CallError) as error:
                if isinstance(error, CallError) and error.code not in _FINAL:
                    raise
                self.report.stay += 1
                self._tell(f"{'||'.join(key)} stays: {error}")
                return
            is_mine = is_new or await self._is_there(request)
            if await self._table.write(Remove(key, found.etag)):
                self.report.moved += is_mine
                self.report.superseded += not is_mine
                if not is_mine:
                    self._tell(f"{'||'.join(key)}: the scheduler has one already, which counts")
                return
            if is_mine and await self._is_there(request):
                await self._calls.ask("DeleteJob", DeleteJobRequest(name=request.name, metadata=request.metadata))
            found = await self._table.read(key)
        self.report.stay += 1
        self._tell(f"{'||'.join(key)} stays: it changes all the time")

    async def _schedule(self, request: ScheduleJobRequest) -> bool:
        """Whether it was made; False if there is one of that name."""
        try:
            await self._calls.ask("ScheduleJob", request, is_repeatable=True)
        except CallError as error:
            if error.code is not grpc.StatusCode.ALREADY_EXISTS:
                raise
            return False
        return True

    async def _is_there(self, request: ScheduleJobRequest) -> bool:
        """Whether the scheduler's is the one that was made of this row."""
        try:
            answer: Any = await self._calls.ask("GetJob", GetJobRequest(name=request.name, metadata=request.metadata))
        except CallError as error:
            if error.code is not grpc.StatusCode.NOT_FOUND:
                raise
            return False
        return bool(answer.job.due_time == request.job.due_time and answer.job.schedule == request.job.schedule)
