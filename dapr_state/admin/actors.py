"""What the administration API shows of actors, and does to them: each change of one actor happens in its turn."""

from __future__ import annotations

import asyncio
import heapq
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from dapr_state_proto.admin.v1 import admin_pb2

from dapr_state import errors
from dapr_state.actors.gate import AwayError
from dapr_state.actors.placement.base import NoHostError
from dapr_state.actors.reminders import CannotError, RefusedError
from dapr_state.actors.runtime import ClosingError
from dapr_state.actors.state import NoStoreError
from dapr_state.admin.messages import seconds_of, set_duration, set_time, text
from dapr_state.api.keys import SEPARATOR
from dapr_state.app.model import ActorCall, ActorId, AppError, Trigger
from dapr_state.clock import VISIBLE, WAITING
from dapr_state.slices import Work
from dapr_state.stores import paging
from dapr_state.stores.base import StoreError
from dapr_state.stores.model import Delete, Feature
from dapr_state.stores.slices import slices

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator

    from dapr_state.actors.directory import ActorType
    from dapr_state.actors.reminders import ReminderBackend, ReminderState
    from dapr_state.actors.router import ActorRouter
    from dapr_state.actors.runtime import ActorRuntime
    from dapr_state.actors.timers import Key as TimerKey
    from dapr_state.actors.timers import Timers, TimerState
    from dapr_state.actors.turns import Turn
    from dapr_state.admin.tokens import Seals
    from dapr_state.stores.base import StateStore

PAGE: Final = 200  # actors, reminders or timers, if nothing else is asked for
PAGE_AT_MOST: Final = 1000  # some milliseconds
STATE_SHOWN: Final = 200  # keys of one actor; its others are a list of keys
WAIT: Final = 5.0  # seconds for the turn of an actor that is busy, if nothing else is asked for
WAIT_AT_MOST: Final = 60.0  # seconds of it
ENDED_AT_ONCE: Final = 100  # actors whose ends are waited for together
SCANNED: Final = 100_000  # keys of a store without order, among which the ids of a page are sought: two seconds
DELETED_AT_ONCE: Final = 8192  # keys of one actor in a transaction: as stores take at once
TIMERS_AT_ONCE: Final = 2000  # that are looked at: half a millisecond
TRIGGERS: Final = 64  # that were asked for, and whose ends nobody waits for
_SECOND: Final = 1_000_000_000

log = logging.getLogger("dapr.runtime.admin")

T = TypeVar("T")


class Parts(NamedTuple):
    """What actors consist of."""

    app_id: str
    runtime: ActorRuntime
    router: ActorRouter
    backend: ReminderBackend
    timers: Timers
    store: Callable[[], StateStore | None]
    store_name: Callable[[], str]
    drain: Callable[[float], Awaitable[None]]


class _Sought(NamedTuple):
    """Actors of one type: the first so many behind one, whose ids begin so, in the order of their keys."""

    type: str
    prefix: str
    after: str
    size: int

    def takes(self, actor_id: str) -> bool:
        return actor_id.startswith(self.prefix) and (not self.after or _place(actor_id) > _place(self.after))

    def first(self, ids: Iterable[str]) -> list[str]:
        return heapq.nsmallest(self.size, ids, key=_place)


def _place(actor_id: str) -> str:
    """Where an actor stands in the order of keys: `a!` comes before `a`."""
    return actor_id + SEPARATOR


class ActorsAdmin:
    def __init__(self, parts: Parts, seals: Seals) -> None:
        self._parts = parts
        self._seals = seals
        self._triggers: set[asyncio.Task[str]] = set()

    def __repr__(self) -> str:
        return f"<ActorsAdmin of {self._parts.runtime!r}>"

    # What there is

    async def list_types(self, _: Any) -> Any:
        parts = self._parts
        hosted, waiting = parts.runtime.types(), parts.runtime.waiting()
        reminders, timers = parts.backend.counts(), parts.timers.counts()
        paused = parts.backend.paused()
        answer = admin_pb2.ListTypesResponse()
        for name in sorted({*hosted, *reminders, *timers, *paused}):
            told = answer.types.add(
                name=name,
                waiting_calls=waiting.get(name, 0),
                reminders=reminders.get(name, 0),
                timers=timers.get(name, 0),
                state_store=parts.store_name(),
                paused=name in paused,
                parked_reminders=parts.backend.parked(name),
            )
            if kind := hosted.get(name):
                told.hosted, told.active, told.busy = kind.is_hosted, kind.count, len(kind.busy)
                told.reentrant = kind.config.reentrant
                set_duration(told.idle_timeout, kind.config.idle_timeout)
        return answer

    async def list_actors(self, request: Any) -> Any:
        if not request.type:
            raise errors.ADMIN_REQUEST(cause="of which type? give type")
        size = min(request.page_size or PAGE, PAGE_AT_MOST)
        seal = ("actors", request.type, request.which, request.id_prefix)
        after = self._seals.opened(request.page_token, *seal) if request.page_token else ""
        which = request.which or admin_pb2.ListActorsRequest.ANY
        is_any = which == admin_pb2.ListActorsRequest.ANY
        sought = _Sought(request.type, request.id_prefix, after, size)
        found: set[str] = set()
        with _told():
            if is_any or which == admin_pb2.ListActorsRequest.ACTIVE:
                found |= set(await self._active(sought))
            if is_any or which == admin_pb2.ListActorsRequest.WITH_REMINDERS:
                found |= set(await self._reminded(sought))
            if (is_any and self._lists()) or which == admin_pb2.ListActorsRequest.WITH_STATE:
                found |= set(await self._stateful(sought))
        ids = sought.first(found)
        answer = admin_pb2.ListActorsResponse()
        work = Work()
        for actor_id in ids:
            self._describe(answer.actors.add(), ActorId(request.type, actor_id))
            if work.is_over():
                await work.pause()
        if len(ids) == size:
            answer.next_page_token = self._seals.sealed(ids[-1], *seal)
        return answer

    async def _active(self, sought: _Sought) -> list[str]:
        kind = self._parts.runtime.types().get(sought.type)
        return await _first(filter(sought.takes, (*kind.busy, *kind.resting)), sought) if kind else []

    async def _reminded(self, sought: _Sought) -> list[str]:
        found: set[str] = set()
        async for page in self._reminders(sought.type):
            found |= {each.id for each in page if sought.takes(each.id)}
            if len(found) > 4 * sought.size:
                found = set(sought.first(found))
        return sought.first(found)

    async def _stateful(self, sought: _Sought) -> list[str]:
        """One look into the store for each id, where it has an order."""
        store = self._store()
        head, _, tail = store.together("\0").partition("\0")
        of_type = f"{head}{self._parts.app_id}{SEPARATOR}{sought.type}{SEPARATOR}"
        end = tail + SEPARATOR
        if Feature.ORDER not in store.features:
            return await self._scanned(store, sought, of_type, end)
        ids: list[str] = []
        token = paging.token_beyond(f"{of_type}{sought.after}{end}") if sought.after else ""
        work = Work()
        while len(ids) < sought.size:
            page = await store.keys(of_type + sought.prefix, after=token, limit=1)
            token = page.after
            if page.rows:
                actor_id, separator, _ = page.rows[0].key[len(of_type) :].partition(end)
                token = paging.token_beyond(f"{of_type}{actor_id}{separator}")
                if separator:
                    ids.append(actor_id)
            if not token:
                break
            if work.is_over():
                await work.pause()
        return ids

    async def _scanned(self, store: StateStore, sought: _Sought, of_type: str, end: str) -> list[str]:
        found: set[str] = set()
        token, scanned = "", 0
        while scanned < SCANNED:
            page = await store.keys(of_type + sought.prefix, after=token, limit=PAGE_AT_MOST)
            scanned += PAGE_AT_MOST
            for row in page.rows:
                actor_id, separator, _ = row.key[len(of_type) :].partition(end)
                if separator and sought.takes(actor_id):
                    found.add(actor_id)
            token = page.after
            if not token:
                break
        return sought.first(found)

    async def get_actor(self, request: Any) -> Any:
        actor = _actor(request.actor)
        answer = admin_pb2.Actor()
        self._describe(answer, actor)
        if activation := self._parts.runtime.find(actor):
            for turn in activation.turns.all():
                _tell_turn(answer.turns.add(), turn)
        with _told():
            known, work = set[str](), Work()
            async for page in self._reminders(actor.type, actor.id):
                for each in page:
                    if each.name not in known:  # one may come twice
                        known.add(each.name)
                        self._tell_reminder(answer.reminders.add(), each)
                    if work.is_over():
                        await work.pause()
            await self._tell_timers(answer, await self._timers(lambda of, _: of == actor))
            if self._lists():
                await self._tell_state(answer, actor)
        return answer

    async def _tell_state(self, answer: Any, actor: ActorId) -> None:
        store, prefix = self._store(), self._prefix(actor)
        page = await store.keys(prefix, limit=STATE_SHOWN, sizes=True)
        for row in page.rows:
            told = answer.state.add(key=text(row.key[len(prefix) :]), size=row.size or 0, etag=row.etag)
            set_time(told.expires_at, row.expires_at)
        answer.state_truncated = bool(page.after)

    def _describe(self, told: Any, actor: ActorId) -> None:
        told.actor.type, told.actor.id = text(actor.type), text(actor.id)
        runtime = self._parts.runtime
        activation, kind = runtime.find(actor), runtime.types().get(actor.type)
        if activation is None:
            return
        told.active = True
        told.busy, told.waiting_calls = activation.turns.is_busy, activation.turns.waiting
        set_time(told.active_since, _wall(activation.since))
        if kind and not told.busy:
            deadline = activation.idle_since + kind.config.idle_timeout
            set_time(told.idle_deadline, VISIBLE.now() + deadline - VISIBLE.monotonic())

    # Reminders and timers

    async def list_reminders(self, request: Any) -> Any:
        size = min(request.page_size or PAGE, PAGE_AT_MOST)
        before = request.due_before if request.HasField("due_before") else None
        seal = ("reminders", request.type, request.id, str(before), request.failing)
        after = self._after(request, seal)
        limit = None if before is None else before.seconds * _SECOND + before.nanos
        found: dict[tuple[str, str, str], ReminderState] = {}
        keys: set[tuple[str, str, str]] = set()
        with _told():
            async for page in self._reminders(request.type, request.id or None):
                for each in page:
                    if limit is not None and (each.next_at is None or each.next_at > limit):
                        continue
                    if request.failing and not each.failures:
                        continue
                    keys.add(each.key)
                    if each.key > after:
                        found[each.key] = each
                if len(found) > 4 * size:  # one more than is shown: it says that there are more
                    found = {key: found[key] for key in heapq.nsmallest(size + 1, found)}
        shown = heapq.nsmallest(size, found)
        answer = admin_pb2.ListRemindersResponse(total=len(keys))
        work = Work()
        for key in shown:
            self._tell_reminder(answer.reminders.add(), found[key])
            if work.is_over():
                await work.pause()
        if len(found) > size:
            answer.next_page_token = self._seals.sealed(_joined(shown[-1]), *seal)
        return answer

    async def list_timers(self, request: Any) -> Any:
        size = min(request.page_size or PAGE, PAGE_AT_MOST)
        seal = ("timers", request.type, request.id)
        after = self._after(request, seal)

        def is_sought(actor: ActorId, name: str) -> bool:
            return (
                request.type in {"", actor.type}
                and request.id in {"", actor.id}
                and _timer_place((actor, name)) > after
            )

        chosen = await self._timers(is_sought, size + 1)
        answer = admin_pb2.ListTimersResponse()
        await self._tell_timers(answer, chosen[:size])
        if len(chosen) > size:
            answer.next_page_token = self._seals.sealed(_joined(_timer_place(chosen[size - 1])), *seal)
        return answer

    async def _timers(self, is_sought: Callable[[ActorId, str], bool], size: int | None = None) -> list[TimerKey]:
        """Those that are sought, in their order, the first so many: looked for in slices, as there may be 10^5."""
        found: list[TimerKey] = []
        work = Work()
        for some in slices(self._parts.timers.names(), TIMERS_AT_ONCE):
            found += [key for key in some if is_sought(*key)]
            if size is not None and len(found) > 4 * size:
                found = heapq.nsmallest(size, found, key=_timer_place)
            if work.is_over():
                await work.pause()
        return sorted(found, key=_timer_place)[:size]

    async def _tell_timers(self, answer: Any, names: Iterable[TimerKey]) -> None:
        work = Work()
        for name in names:
            if state := self._parts.timers.state(name):
                _tell_timer(answer.timers.add(), state)
            if work.is_over():
                await work.pause()

    def _after(self, request: Any, seal: tuple[object, ...]) -> tuple[str, ...]:
        return _parted(self._seals.opened(request.page_token, *seal)) if request.page_token else ()

    async def _reminders(self, actor_type: str, actor_id: str | None = None) -> AsyncIterator[Any]:
        """Some at a time; none where no store keeps them."""
        backend = self._parts.backend
        types = [actor_type] if actor_type or backend.counts() else list(self._parts.runtime.types())
        try:
            for each in types:
                async for page in backend.states(each, actor_id):
                    yield page
        except NoStoreError:
            return

    def _tell_reminder(self, told: Any, state: ReminderState) -> None:
        told.actor.type, told.actor.id, told.name = text(state.type), text(state.id), text(state.name)
        told.period, told.fired, told.failures, told.last_error = (
            state.period,
            state.fired,
            state.failures,
            state.last_error,
        )
        told.parked, told.firing, told.data_size = state.is_parked, state.is_firing, state.data_size
        told.paused = state.type in self._parts.backend.paused()
        set_time(told.next_at, None if state.next_at is None else state.next_at / _SECOND)
        set_time(told.ends_at, None if state.ends_at is None else state.ends_at / _SECOND)
        set_time(told.last_at, state.last_at)

    async def trigger_reminder(self, request: Any) -> Any:
        actor, backend = _actor(request.actor), self._parts.backend
        with _told():
            view = await backend.get(actor, request.name)
            if view is None:
                raise errors.ADMIN_NOT_FOUND(what=f"reminder {request.name} of {actor}")
            log.info("TriggerReminder %s %s", _named(actor), errors.shortened(request.name))
            delivering = self._deliver(actor, request, Trigger(actor, request.name, bytes(view.data) or None))
            answer = admin_pb2.TriggerReminderResponse()
            if request.wait:
                answer.error = await delivering
                answer.delivered = not answer.error
            else:
                if len(self._triggers) >= TRIGGERS:
                    delivering.close()
                    raise errors.ADMIN_UNCONFIRMED(cause="too many triggers are under way: ask to wait for this one")
                task = asyncio.ensure_future(delivering)
                self._triggers.add(task)
                task.add_done_callback(self._triggers.discard)
            async for page in backend.states(actor.type, actor.id):
                for each in page:
                    if each.name == request.name and each.next_at is not None:
                        set_time(answer.next_at, each.next_at / _SECOND)
        return answer

    async def _deliver(self, actor: ActorId, request: Any, trigger: Trigger) -> str:
        """What went wrong."""
        try:
            answer = await self._parts.router.deliver_reminder(trigger)
            if request.advance_schedule or answer.cancels_reminder:
                await self._parts.backend.advance(actor, request.name, is_over=answer.cancels_reminder)
        except (AppError, AwayError, NoHostError, ClosingError, CannotError, StoreError) as error:
            log.warning("TriggerReminder %s %s: %s", _named(actor), errors.shortened(request.name), error)
            return str(error) or type(error).__name__
        return ""

    async def pause_reminders(self, request: Any) -> Any:
        if not request.type:
            raise errors.ADMIN_REQUEST(cause="of which type? give type")
        log.info("PauseReminders %s %s", errors.shortened(request.type), request.paused)
        with _told():
            affected = await self._parts.backend.pause(request.type, is_paused=request.paused)
        return admin_pb2.PauseRemindersResponse(affected=affected)

    # Ends

    async def deactivate(self, request: Any) -> Any:
        wait = min(seconds_of(request, "wait", WAIT), WAIT_AT_MOST)
        match request.WhichOneof("which"):
            case "actor":
                actors = [_actor(request.actor)]
            case "type":
                actors = self._actors([request.type])
            case "all" if request.all:
                actors = self._actors(self._parts.runtime.types())
            case _:
                raise errors.ADMIN_REQUEST(cause="which? give actor, type or all")
        log.info("Deactivate %s", _named(actors[0]) if len(actors) == 1 else f"{len(actors)} actors")
        answer = admin_pb2.DeactivateResponse()
        for some in slices(actors, ENDED_AT_ONCE):
            ends = await asyncio.gather(*(self._parts.runtime.deactivate(each, wait) for each in some))
            answer.deactivated += ends.count(True)
            answer.busy += ends.count(False)
        return answer

    def _actors(self, types: Iterable[str]) -> list[ActorId]:
        kinds: list[tuple[str, ActorType | None]] = [(name, self._parts.runtime.types().get(name)) for name in types]
        return [ActorId(name, actor_id) for name, kind in kinds if kind for actor_id in (*kind.busy, *kind.resting)]

    async def delete_actor(self, request: Any) -> Any:
        actor, parts = _actor(request.actor), self._parts
        wait = min(seconds_of(request, "wait", WAIT), WAIT_AT_MOST)
        answer = admin_pb2.DeleteActorResponse(was_active=parts.runtime.is_active(actor))
        with _told():
            names = {each.name async for page in self._reminders(actor.type, actor.id) for each in page}
            timers = [name for _, name in await self._timers(lambda of, _: of == actor)]
            if request.dry_run:
                answer.state_keys = len(await self._state_keys(actor))
                answer.reminders, answer.timers = len(names), len(timers)
                return answer
            log.info("DeleteActor %s", _named(actor))

            async def delete() -> None:
                answer.reminders, answer.timers = len(names), len(timers)
                await self._delete(actor, timers, answer)

            if parts.runtime.is_hosted(actor.type):
                if await asyncio.shield(parts.runtime.deactivate(actor, wait, delete)) is False:
                    raise errors.ADMIN_BUSY(actor=actor, seconds=f"{wait:g}")
            else:
                await asyncio.shield(delete())
        return answer

    async def _delete(self, actor: ActorId, timers: list[str], answer: Any) -> None:
        """First what would wake it."""
        parts = self._parts
        for name in timers:
            parts.timers.delete(actor, name)
        if answer.reminders:
            await parts.backend.delete_all(actor.type, actor.id)
        keys = await self._state_keys(actor)
        for some in slices(keys, parts_of(self._store()) if keys else 1):
            await self._store().transact([Delete(key) for key in some])
        answer.state_keys = len(keys)

    async def _state_keys(self, actor: ActorId) -> list[str]:
        if not self._lists():
            return []
        store, prefix, found, after = self._store(), self._prefix(actor), dict[str, None](), ""
        while True:
            page = await store.keys(prefix, after=after, limit=PAGE_AT_MOST)
            found.update(dict.fromkeys(row.key for row in page.rows))
            after = page.after
            if not after:
                return list(found)

    async def drain(self, request: Any) -> Any:
        runtime = self._parts.runtime
        before = sum(runtime.counts().values())
        log.info("Drain %d actors", before)
        await self._parts.drain(min(seconds_of(request, "timeout", WAIT), WAIT_AT_MOST))
        left = sum(kind.count for kind in runtime.types().values())
        return admin_pb2.DrainResponse(deactivated=max(0, before - left), still_busy=left)

    # The store

    def _store(self) -> StateStore:
        store = self._parts.store()
        if store is None:
            raise NoStoreError
        return store

    def _lists(self) -> bool:
        store = self._parts.store()
        return store is not None and Feature.LIST in store.features

    def _prefix(self, actor: ActorId) -> str:
        return self._store().together(f"{self._parts.app_id}||{actor.type}||{actor.id}") + SEPARATOR


def parts_of(store: StateStore) -> int:
    """How many keys of one actor go in one transaction."""
    return min(store.max_transaction_size or DELETED_AT_ONCE, DELETED_AT_ONCE)


def _actor(given: Any) -> ActorId:
    if not (given.type and given.id):
        raise errors.ADMIN_REQUEST(cause="which actor? give its type and id")
    return ActorId(given.type, given.id)


def _timer_place(key: TimerKey) -> tuple[str, str, str]:
    """Where it stands in a list."""
    actor, name = key
    return actor.type, actor.id, name


def _joined(place: tuple[str, str, str]) -> str:
    """As one text: any letter may be in its parts."""
    first, second, _ = map(len, place)
    return f"{first} {second} {''.join(place)}"


def _parted(joined: str) -> tuple[str, str, str]:
    first, second, text = joined.split(" ", 2)
    start, end = int(first), int(first) + int(second)
    return text[:start], text[start:end], text[end:]


def _named(actor: ActorId) -> str:
    """As the log has it: an id may be megabytes."""
    return errors.shortened(str(actor))


async def _first(items: Iterator[str], sought: _Sought) -> list[str]:
    """The first of them, looked for in slices."""
    work, found = Work(), list[str]()
    for item in items:
        found.append(item)
        if len(found) >= 4 * sought.size:
            found = sought.first(found)
        if work.is_over():
            await work.pause()
    return sought.first(found)


@contextmanager
def _told() -> Iterator[None]:
    """What these parts raise, as the API tells it."""
    try:
        yield
    except NoStoreError as error:
        raise errors.ACTOR_NO_STATE_STORE() from error  # noqa: RSE102  a row is called to make its error
    except CannotError as error:
        raise errors.ADMIN_CANNOT(cause=error) from error
    except (RefusedError, StoreError, AwayError) as error:
        raise errors.ADMIN_ACTORS(cause=error) from error


def _tell_turn(told: Any, turn: Turn) -> None:
    what = turn.what
    told.waiting = not turn.has_begun
    told.reentrancy_id = turn.id
    set_time(told.began_at, _wall(turn.since))
    if isinstance(what, ActorCall):
        told.kind, told.method = "call", text(what.method)
        told.trace_id = next((value for name, value in what.headers if name.lower() == "traceparent"), "")[3:35]
    elif isinstance(what, Trigger):
        told.kind = "timer" if turn.send.__name__ == "timer" else "reminder"
        told.method = text(what.name)
    else:
        told.kind = "deactivation"


def _tell_timer(told: Any, timer: TimerState) -> None:
    told.actor.type, told.actor.id, told.name = text(timer.actor.type), text(timer.actor.id), text(timer.name)
    told.callback, told.period, told.fired = text(timer.callback), timer.period, timer.fired
    set_time(told.next_at, timer.next_at / _SECOND)


def _wall(monotonic: float) -> float:
    return WAITING.wall() - (WAITING.monotonic() - monotonic)
