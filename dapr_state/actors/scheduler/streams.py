"""Streams on which schedulers say what is due: each trigger is run, and its result goes back on the same stream.

Rules that a change must keep:
1. A trigger is answered once at most, on the stream that it came on: the service closes a stream that answers twice.
2. What is left unanswered at the end of a stream the service sends again, on another one, and counts no attempt. So a
   trigger is not begun any more once its stream is about to end, and one that waits for its turn gives it up.
3. Streams that take the place of others are there before those end.
4. All triggers that have come and are not answered hold so many octets at most: beyond that no stream is read. Nor is
   one whose results the service does not take.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, Any, Final

import grpc
from dapr_state_proto.scheduler.v1.scheduler_pb2 import (
    JobTargetType,
    WatchJobsRequest,
    WatchJobsRequestInitial,
    WatchJobsRequestResult,
    WatchJobsRequestResultStatus,
)

from dapr_state.actors.scheduler import jobs
from dapr_state.actors.scheduler.triggers import Due
from dapr_state.clock import WAITING
from dapr_state.slices import Work

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from dapr_state.actors.scheduler.hosts import Connection, Hosts
    from dapr_state.actors.scheduler.jobs import Identity
    from dapr_state.actors.scheduler.triggers import Triggers
    from dapr_state.clock import WaitingClock

AGAIN: Final = (0.25, 0.75)  # seconds after a stream that ended or was refused, at random in between, as daprd
OPENING: Final = 2.0  # seconds for new streams, before those whose place they take end
FINISHING: Final = 3.0  # seconds for what runs on a stream whose place another one has taken
LAST: Final = 1.0  # seconds for the service to take the last results and end the stream
BREATH: Final = 0.25  # seconds between two changes of all streams
RESULTS_AT_MOST: Final = 1024  # of a stream, that have not left; those of triggers that run come on top

log = logging.getLogger("dapr.runtime.scheduler")


class JobStreams:
    """`count` to each scheduler, as long as there are types to `offer`; `leave` in time, `close` at the end."""

    def __init__(
        self, hosts: Hosts, triggers: Triggers, me: Identity, count: int, waiting: WaitingClock = WAITING
    ) -> None:
        self._hosts = hosts
        self._triggers = triggers
        self._me = me
        self._count = count
        self._waiting = waiting
        self._types: tuple[str, ...] = ()
        self._streams: Sequence[_Stream] = ()
        self._changed = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        hosts.on_list.append(self._changed.set)

    def __repr__(self) -> str:
        return f"<JobStreams {len(self._streams)} for {', '.join(self._types) or 'nothing'}>"

    def offer(self, types: Collection[str]) -> None:
        """Triggers of these types are taken from now on, and of no others."""
        offered = tuple(sorted(types))
        if offered == self._types:
            return
        self._types = offered
        self._changed.set()
        if self._running is None:
            self._running = asyncio.ensure_future(self._run())

    def leave(self) -> None:
        """Begin no trigger any more; what runs may still be answered."""
        if self._running:
            self._running.cancel()
        for stream in self._streams:
            stream.leave()

    async def close(self) -> None:
        self.leave()
        for stream in self._streams:
            stream.cancel()
        for task in self._leaving:
            task.cancel()
        tasks = [*self._leaving, *(stream.task for stream in self._streams)]
        tasks += [self._running] if self._running else []
        if tasks:
            await asyncio.wait(tasks)

    async def _run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._renew()
            await self._waiting.sleep(BREATH)

    def _renew(self) -> None:
        """Also where nothing has changed for a stream: a scheduler that counts its like anew begins from nothing."""
        old = self._streams
        connections = self._hosts.connections if self._types else ()
        self._streams = [self._begin(each) for _ in range(self._count) for each in connections]
        task = asyncio.ensure_future(self._replace(old, self._streams))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def _begin(self, connection: Connection) -> _Stream:
        initial = WatchJobsRequestInitial(
            app_id=self._me.app_id,
            namespace=self._me.namespace,
            actor_types=self._types,  # never none: one without types takes the whole service down
            accept_job_types=[JobTargetType.JOB_TARGET_TYPE_ACTOR_REMINDER],
        )
        return _Stream(connection, self._triggers, initial, self._waiting)

    async def _replace(self, old: Sequence[_Stream], new: Sequence[_Stream]) -> None:
        try:
            if old and new:
                await self._waiting.wait([stream.opened for stream in new], timeout=OPENING)
            for stream in old:
                stream.leave()
            if old:
                await self._waiting.wait([stream.task for stream in old], timeout=FINISHING)
        finally:
            for stream in old:
                stream.cancel()


class _Stream:
    """One place among the streams of a scheduler: when a conversation has ended, the next one begins."""

    def __init__(
        self, connection: Connection, triggers: Triggers, initial: WatchJobsRequestInitial, waiting: WaitingClock
    ) -> None:
        self._connection = connection
        self._triggers = triggers
        self._initial = initial
        self._waiting = waiting
        self._conversation: Conversation | None = None
        self._is_leaving = False
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task = asyncio.ensure_future(self._run())

    def leave(self) -> None:
        self._is_leaving = True
        if self._conversation:
            self._conversation.leave()
        else:
            self.task.cancel()

    def cancel(self) -> None:
        self.task.cancel()

    async def _run(self) -> None:
        while not self._is_leaving:
            try:
                await self._converse()
            except grpc.aio.AioRpcError as error:
                log.debug("Scheduler %s: the stream of triggers has ended: %s", self._connection.address, error)
            except Exception:  # without this task no trigger would come from there any more
                log.exception("The stream of triggers of scheduler %s has failed", self._connection.address)
            finally:
                self._conversation = None
            if not self._is_leaving:
                await self._waiting.sleep(random.uniform(*AGAIN))  # noqa: S311 - not for secrets

    async def _converse(self) -> None:
        call: Any = self._connection.stub.WatchJobs()
        try:
            await call.write(WatchJobsRequest(initial=self._initial))
            log.info("Scheduler stream connected for [JOB_TARGET_TYPE_ACTOR_REMINDER]")
            if not self.opened.done():
                self.opened.set_result(None)
            self._conversation = Conversation(call, self._triggers, self._waiting)
            await self._conversation.run()
        finally:
            call.cancel()


class Conversation:
    """One stream from its first message to its end."""

    def __init__(self, call: Any, triggers: Triggers, waiting: WaitingClock) -> None:
        self._call = call
        self._triggers = triggers
        self._waiting = waiting
        self._open: dict[int, Due] = {}  # law 1
        self._results: asyncio.Queue[WatchJobsRequestResult | None] = asyncio.Queue()  # None: that was the last
        self._has_left = asyncio.Event()  # a result
        self._is_leaving = False

    def __repr__(self) -> str:
        return f"<Conversation {len(self._open)} open{', leaving' if self._is_leaving else ''}>"

    async def run(self) -> None:
        """Return when it has ended. Raises what the call raises."""
        tasks = [asyncio.ensure_future(work()) for work in (self._read, self._write)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._is_leaving = True
            for due in self._open.values():
                self._triggers.forget(due)
            self._open.clear()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def leave(self) -> None:
        """Begin none any more, and end when none runs."""
        self._is_leaving = True
        self._end_if_idle()

    def begin(self, due: Due) -> bool:
        """Whether it may run now."""
        if self._is_leaving or self._open.get(due.id) is not due:
            return False
        due.task = asyncio.current_task()
        return True

    def end(self, due: Due, *, is_taken: bool | None) -> None:
        """It runs no more; None: it is not answered."""
        due.task = None
        if is_taken is not None and self._open.get(due.id) is due:
            del self._open[due.id]
            self._triggers.forget(due)
            status = WatchJobsRequestResultStatus.SUCCESS if is_taken else WatchJobsRequestResultStatus.FAILED
            self._results.put_nowait(WatchJobsRequestResult(id=due.id, status=status))
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._is_leaving and not any(due.task for due in self._open.values()):
            self._results.put_nowait(None)

    async def _room(self) -> None:
        """Return when another trigger may come."""
        while self._results.qsize() >= RESULTS_AT_MOST:
            self._has_left.clear()
            await self._has_left.wait()
        await self._triggers.room()

    async def _read(self) -> None:
        work = Work()
        while True:
            await self._room()
            message = await self._call.read()
            if message is grpc.aio.EOF:
                return
            if work.is_over():  # many may have come at once
                await work.pause()
            if message.id in self._open:
                raise OrderError(f"the scheduler has sent two triggers with the id {message.id}")
            try:
                trigger = jobs.trigger(message)
            except ValueError as error:
                self._triggers.tell_odd(message, error)
                failed = WatchJobsRequestResult(id=message.id, status=WatchJobsRequestResultStatus.FAILED)
                self._results.put_nowait(failed)
                continue
            due = self._open[message.id] = Due(self, message.id, trigger, message.ByteSize())
            self._triggers.take(due)

    async def _write(self) -> None:
        while result := await self._results.get():
            await self._call.write(WatchJobsRequest(result=result))
            self._has_left.set()
        await self._call.done_writing()
        await self._waiting.sleep(LAST)


class OrderError(Exception):
    """The service does not keep to the rules: the stream is given up."""
