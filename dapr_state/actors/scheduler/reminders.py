"""Reminders that Dapr's scheduler keeps: all sidecars of a namespace, ours and daprd's, share them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc
from dapr_state_proto.scheduler.v1.scheduler_pb2 import (
    DeleteByMetadataRequest,
    DeleteJobRequest,
    GetJobRequest,
    ListJobsRequest,
)

from dapr_state.actors.reminders import ExistsError, RefusedError, ReminderBackend, in_order
from dapr_state.actors.scheduler import jobs
from dapr_state.actors.scheduler.calls import CallError, Calls
from dapr_state.actors.scheduler.hosts import Hosts
from dapr_state.actors.scheduler.streams import JobStreams
from dapr_state.actors.scheduler.triggers import Triggers
from dapr_state.app.model import ActorId
from dapr_state.clock import WAITING
from dapr_state.slices import Work

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence

    from dapr_state_proto.scheduler.v1.scheduler_pb2 import NamedJob

    from dapr_state.actors.reminder_triggers import TriggerTarget
    from dapr_state.actors.reminders import ReminderRequest, ReminderState, ReminderView
    from dapr_state.actors.scheduler.jobs import Identity
    from dapr_state.clock import WaitingClock
    from dapr_state.serving.tls import Tls

_GET: Final = "api error: code = Internal desc = failed to get job due to: "  # daprd's words


class ScheduledReminders(ReminderBackend):
    """`hosts` is begun by itself: calls need it before there are types to take triggers of."""

    def __init__(
        self,
        addresses: Collection[str],
        me: Identity,
        target: TriggerTarget,
        streams: int,
        *,
        tls: Tls | None = None,
        waiting: WaitingClock = WAITING,
        types: Callable[[], Collection[str]],
        fired: Callable[[str, bool], None] = lambda *_: None,
    ) -> None:
        """`types` are those that triggers are taken of at this moment; `streams` are to each scheduler."""
        self._me = me
        self._types = types
        self.hosts = Hosts(addresses, tls, waiting)
        self._calls = Calls(self.hosts, waiting)
        self._triggers = Triggers(target, waiting, fired=fired)
        self._streams = JobStreams(self.hosts, self._triggers, me, streams, waiting)
        self._is_stopped = False

    def __repr__(self) -> str:
        return f"<ScheduledReminders {self.hosts!r}, {self._streams!r}, {self._triggers!r}>"

    def counts(self) -> Mapping[str, int]:
        return {}  # the schedulers know

    # What the API asks

    async def create(self, request: ReminderRequest) -> None:
        registration = jobs.registration(request, self._me)
        try:
            await self._calls.ask("ScheduleJob", registration, is_repeatable=request.overwrite)
        except CallError as error:
            if error.code is grpc.StatusCode.ALREADY_EXISTS:
                raise ExistsError from error
            raise RefusedError(str(error)) from error

    async def get(self, actor: ActorId, name: str) -> ReminderView | None:
        request = self._request(GetJobRequest, actor.type, actor.id, name=name)
        try:
            answer = await self._calls.ask("GetJob", request)
            return jobs.view(actor, name, answer.job) if answer.HasField("job") else None
        except CallError as error:
            if error.code is grpc.StatusCode.NOT_FOUND:
                return None
            raise RefusedError(f"{_GET}{error}") from error
        except ValueError as error:
            raise RefusedError(f"{_GET}{error}") from error

    async def delete(self, actor: ActorId, name: str) -> None:
        await self._do("DeleteJob", self._request(DeleteJobRequest, actor.type, actor.id, name=name))

    async def list(self, actor_type: str, actor_id: str | None = None) -> list[ReminderView]:
        if actor_id == "":  # to the scheduler that is all of the type
            return []
        answer = await self._do("ListJobs", self._request(ListJobsRequest, actor_type, actor_id))
        return await in_order(await Work().each(_listed, answer.jobs))

    async def delete_all(self, actor_type: str, actor_id: str | None = None) -> None:
        if actor_id == "":
            return
        request = self._request(DeleteByMetadataRequest, actor_type, actor_id, id_prefix_match=False)
        await self._do("DeleteByMetadata", request)

    async def _do(self, method: str, request: Any) -> Any:
        try:
            return await self._calls.ask(method, request)
        except CallError as error:
            raise RefusedError(str(error)) from error

    def _request(self, kind: Any, actor_type: str, actor_id: str | None, **fields: object) -> Any:
        try:
            return kind(metadata=self._me.metadata(actor_type, actor_id or ""), **fields)
        except UnicodeEncodeError as error:
            raise RefusedError(f"the name is not valid Unicode: {error.reason}") from None

    async def states(self, actor_type: str, actor_id: str | None = None) -> AsyncIterator[Sequence[ReminderState]]:
        for each in [actor_type] if actor_type else self._types():
            async for page in super().states(each, actor_id):
                yield page

    # Life

    def begin(self) -> None:
        self.changed()

    def hosted(self, types: Collection[str]) -> None:  # noqa: ARG002  all that are hosted are asked for
        self.changed()

    def changed(self) -> None:
        """What triggers are taken of may be other types now."""
        if not self._is_stopped:
            self._streams.offer(self._types())

    def stop(self) -> None:
        self._is_stopped = True
        self._streams.leave()
        self._triggers.stop()

    async def close(self) -> None:
        self.stop()
        await self._streams.close()
        await self._triggers.close()
        await self.hosts.close()


def _listed(each: NamedJob) -> ReminderView:
    target = each.metadata.target.actor
    try:
        return jobs.view(ActorId(target.type, target.id), each.name, each.job)
    except ValueError as error:
        raise RefusedError(f"reminder {target.type}||{target.id}||{each.name}: {error}") from error
