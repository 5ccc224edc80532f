"""A scheduler on a port of its own that says what the test wants; streams are handed over as they come."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

import grpc
from dapr_state_proto.scheduler.v1 import scheduler_pb2 as pb
from dapr_state_proto.scheduler.v1 import scheduler_pb2_grpc
from google.protobuf.wrappers_pb2 import BytesValue

from dapr_state.actors.scheduler.jobs import BYTES_VALUE, Identity
from dapr_state.actors.scheduler.reminders import ScheduledReminders
from dapr_state.app.model import ActorId, AppAnswer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from dapr_state.app.model import Trigger

ME = Identity("app", "default")
ACTOR = ActorId("ta", "1")
DEADLINE = 10.0  # seconds: what takes longer hangs
OK, FAILED = pb.SUCCESS, pb.FAILED
Failure = tuple[grpc.StatusCode, str]


async def taken(queue: asyncio.Queue[Any]) -> Any:
    async with asyncio.timeout(DEADLINE):
        return await queue.get()


class Stream:
    """One call that is open until it is ended."""

    def __init__(self, context: Any, messages: AsyncIterator[pb.WatchJobsRequest] | None = None) -> None:
        self._context = context
        self._messages = messages
        self._end: asyncio.Future[Failure | None] = asyncio.get_running_loop().create_future()
        self.initial = pb.WatchJobsRequestInitial()
        self.results: asyncio.Queue[tuple[int, int] | None] = asyncio.Queue()  # None: the client has ended it

    async def run(self) -> None:
        reading = asyncio.ensure_future(self._read())
        try:
            await asyncio.wait([reading, self._end], return_when=asyncio.FIRST_COMPLETED)
        finally:
            reading.cancel()
            self.results.put_nowait(None)
        if self._end.done() and (failure := self._end.result()):
            await self._context.abort(*failure)

    async def _read(self) -> None:
        if self._messages is None:
            await asyncio.Event().wait()
            return
        async for message in self._messages:
            self.results.put_nowait((message.result.id, message.result.status))

    async def tell(self, *addresses: str) -> None:
        await self._context.write(pb.WatchHostsResponse(hosts=[pb.Host(address=each) for each in addresses]))

    async def send(self, id_: int, name: str = "n", actor: ActorId = ACTOR, data: bytes = b"") -> None:
        metadata = Identity("another", "default").metadata(actor.type, actor.id)
        packed: Any = {"type_url": BYTES_VALUE, "value": BytesValue(value=data).SerializeToString()} if data else None
        await self._context.write(pb.WatchJobsResponse(name=name, id=id_, data=packed, metadata=metadata))

    async def send_nothing(self, id_: int) -> None:
        """A trigger for no actor."""
        await self._context.write(pb.WatchJobsResponse(name="n", id=id_))

    async def result(self) -> tuple[int, int] | None:
        found: tuple[int, int] | None = await taken(self.results)
        return found

    def end(self, *failure: Any) -> None:
        if not self._end.done():
            self._end.set_result(failure or None)


class Service(scheduler_pb2_grpc.SchedulerServicer):
    """`fails` says how the next calls of a method fail; "hang" leaves one without an answer."""

    def __init__(self, *, tells: bool = True) -> None:
        """`tells`: each stream of hosts begins with this one alone."""
        self._tells = tells
        self.host_streams: asyncio.Queue[Stream] = asyncio.Queue()
        self.job_streams: asyncio.Queue[Stream] = asyncio.Queue()
        self.fails: list[Failure | str] = []
        self.asked: list[Any] = []
        self.job: pb.Job | None = None
        self.jobs: list[pb.NamedJob] = []

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self, port: int = 0) -> None:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        scheduler_pb2_grpc.add_SchedulerServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self.address = f"127.0.0.1:{self.port}"
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(0)

    async def hosts(self) -> Stream:
        stream: Stream = await taken(self.host_streams)
        return stream

    async def watcher(self) -> Stream:
        """The next stream of triggers."""
        stream: Stream = await taken(self.job_streams)
        return stream

    async def WatchHosts(self, _: Any, context: Any) -> None:  # type: ignore[override]  # noqa: N802 - gRPC's name
        stream = Stream(context)
        if self._tells:
            await stream.tell(self.address)
        self.host_streams.put_nowait(stream)
        await stream.run()

    async def WatchJobs(self, messages: Any, context: Any) -> None:  # type: ignore[override]  # noqa: N802
        stream = Stream(context, messages)
        stream.initial = (await anext(messages)).initial
        self.job_streams.put_nowait(stream)
        await stream.run()

    async def _answer(self, request: Any, context: Any, answer: Any) -> Any:
        self.asked.append(request)
        if self.fails:
            failure = self.fails.pop(0)
            if isinstance(failure, str):
                await asyncio.Event().wait()
            else:
                await context.abort(*failure)
        return answer

    async def ScheduleJob(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._answer(request, context, pb.ScheduleJobResponse())

    async def GetJob(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._answer(request, context, pb.GetJobResponse(job=self.job))

    async def DeleteJob(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._answer(request, context, pb.DeleteJobResponse())

    async def ListJobs(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._answer(request, context, pb.ListJobsResponse(jobs=self.jobs))

    async def DeleteByMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        return await self._answer(request, context, pb.DeleteByMetadataResponse())


class Keeper(Service):
    """Keeps the jobs, as the real one does; `before` is called with each that is about to be made."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str, str], pb.Job] = {}
        self.before: Callable[[tuple[str, str, str]], Awaitable[None]] | None = None

    async def ScheduleJob(self, request: Any, context: Any) -> Any:  # noqa: N802
        key = _key(request)
        if self.before:
            await self.before(key)
        if key in self.kept and not request.overwrite:
            await context.abort(grpc.StatusCode.ALREADY_EXISTS, f"job already exists: {key}")
        await self._answer(request, context, None)
        self.kept[key] = request.job
        return pb.ScheduleJobResponse()

    async def GetJob(self, request: Any, context: Any) -> Any:  # noqa: N802
        if _key(request) not in self.kept:
            await context.abort(grpc.StatusCode.NOT_FOUND, "job not found")
        return pb.GetJobResponse(job=self.kept[_key(request)])

    async def DeleteJob(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.kept.pop(_key(request), None)
        return await self._answer(request, context, pb.DeleteJobResponse())

    async def ListJobs(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.jobs = [
            pb.NamedJob(name=name, metadata=ME.metadata(type_, id_), job=job)
            for (type_, id_, name), job in self.kept.items()
        ]
        return await super().ListJobs(request, context)

    async def DeleteByMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.kept.clear()
        return await super().DeleteByMetadata(request, context)


def _key(request: Any) -> tuple[str, str, str]:
    target = request.metadata.target.actor
    return target.type, target.id, request.name


class Target:
    """Takes triggers: at once, or when told, or with the error that `fails` has for it."""

    def __init__(self) -> None:
        self.types = ["ta"]
        self.seen: asyncio.Queue[Trigger] = asyncio.Queue()
        self.gate: asyncio.Event | None = None
        self.fails: list[Exception] = []
        self.running = 0
        self.cancelled = 0

    def is_hosted(self, actor_type: str) -> bool:
        return actor_type in self.types

    async def deliver_reminder(self, trigger: Trigger) -> AppAnswer:
        self.seen.put_nowait(trigger)
        self.running += 1
        try:
            if self.gate:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        if self.fails:
            raise self.fails.pop(0)
        return AppAnswer()


@asynccontextmanager
async def scheduled(target: Target, *addresses: str, streams: int = 1) -> AsyncIterator[ScheduledReminders]:
    """One that hosts what the target hosts."""
    reminders = ScheduledReminders(addresses, ME, target, streams, types=lambda: target.types)
    reminders.hosts.begin()
    reminders.begin()
    try:
        yield reminders
    finally:
        await reminders.close()
