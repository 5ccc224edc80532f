"""Watching keys: what there is, if that is asked, and then what changes, behind the place that was seen last."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

from dapr_state_proto.admin.v1 import admin_pb2

from dapr_state import errors
from dapr_state.admin import feed, keys
from dapr_state.admin.feed import Place
from dapr_state.admin.messages import set_time
from dapr_state.admin.state import name, shown_of_values
from dapr_state.api.keys import SEPARATOR
from dapr_state.slices import Work
from dapr_state.stores.base import StoreError
from dapr_state.stores.model import Feature

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from dapr_state.admin.feed import Change, Feed
    from dapr_state.admin.spaces import Space
    from dapr_state.admin.state import StateAdmin

TOGETHER: Final = 100  # changes of one message
OCTETS_TOGETHER: Final = 256 * 1024  # of their keys and values, beside one that may be larger: 3 ms as JSON
_KINDS: Final = {
    feed.SAVED: admin_pb2.Change.SAVED,
    feed.DELETED: admin_pb2.Change.DELETED,
    feed.EXPIRED: admin_pb2.Change.EXPIRED,
}


class Watching:
    def __init__(self, state: StateAdmin, of: Feed) -> None:
        self._state = state
        self._feed = of

    def __repr__(self) -> str:
        return f"<Watching {self._feed!r}>"

    async def watch(self, request: Any) -> AsyncIterator[Any]:
        """Until the caller goes, or has fallen behind what is known, or the sidecar stops."""
        space = self._state.space(request)
        if not request.WhichOneof("what"):
            raise errors.ADMIN_REQUEST(cause="what? give key or prefix")
        work = Work()
        seen = Place.of(request.from_revision) if request.from_revision else None
        try:
            with self._feed.watching() as news:
                place = self._feed.place
                if seen and self._feed.has(seen):
                    place = seen
                    yield admin_pb2.WatchResponse(revision=str(place))
                else:
                    yield admin_pb2.WatchResponse(revision=str(place), lost=bool(request.from_revision))
                    if request.with_snapshot:
                        async with aclosing(self._snapshot(space, request, place)) as messages:
                            async for message in messages:
                                yield message
                while not self._feed.is_closed:
                    news.clear()
                    if not self._feed.has(place):
                        raise errors.ADMIN_BEHIND(revision=place)
                    found = self._feed.since(place, TOGETHER, OCTETS_TOGETHER)
                    if found:
                        await work.pause()  # a write wakes all that watch: they go on one after the other
                        place = place._replace(number=found[-1].number)
                        if message := self._told(space, request, found, place):
                            yield message
                    else:
                        await news.wait()
        except feed.CrowdedError as error:
            raise errors.ADMIN_WATCHERS(limit=feed.WATCHERS_AT_MOST) from error

    async def _snapshot(self, space: Space, request: Any, place: Place) -> AsyncGenerator[Any, None]:
        if request.WhichOneof("what") == "key":
            wanted = [space.stored(request.key)]
            async for message in self._rows(space, request, wanted, place):
                yield message
        else:
            keys.check(space, request.store_name, Feature.LIST)
            wish = keys.Wish(request.prefix, TOGETHER)
            async for rows in keys.rows(space, wish):
                async for message in self._rows(space, request, [row.row.key for row in rows], place):
                    yield message
        yield admin_pb2.WatchResponse(revision=str(place), snapshot_end=True)

    async def _rows(self, space: Space, request: Any, wanted: list[str], place: Place) -> AsyncGenerator[Any, None]:
        """They may be large: those that a message has no room for are in the next one."""
        try:
            found = await space.store.get(wanted)
        except StoreError as error:
            raise errors.ADMIN_STORE(store=request.store_name, cause=error) from error
        work = Work()
        await work.pause()
        message, octets = admin_pb2.WatchResponse(revision=str(place)), 0
        for stored, row in zip(wanted, found, strict=True):
            if row is None or isinstance(row, StoreError):
                continue
            change = message.changes.add(kind=admin_pb2.Change.SNAPSHOT, revision=str(place))
            _describe(change.entry, space, stored, row.value, request)
            change.entry.etag = row.etag
            set_time(change.entry.expires_at, row.expires_at)
            if row.expires_at is not None:
                self._feed.expect(request.store_name, stored, row.expires_at)
            octets += len(stored) + len(change.entry.value)
            if octets > OCTETS_TOGETHER:
                await work.pause()
                yield message
                message, octets = admin_pb2.WatchResponse(revision=str(place)), 0
        if message.changes:
            yield message

    def _told(self, space: Space, request: Any, found: list[Change], place: Place) -> Any:
        message = admin_pb2.WatchResponse(revision=str(place))
        for each in found:
            if each.store != request.store_name or not _is_meant(space, request, each.key):
                continue
            change = message.changes.add(
                kind=_KINDS[each.kind],
                revision=str(place._replace(number=each.number)),
                origin="state" if SEPARATOR not in each.key[len(space.before) :] else "actor",
                transaction=each.transaction,
            )
            set_time(change.at, each.at)
            _describe(change.entry, space, each.key, each.value, request)
            set_time(change.entry.expires_at, each.expires_at)
        return message if message.changes else None


def _is_meant(space: Space, request: Any, stored: str) -> bool:
    key = space.shown(stored)
    if key is None:
        return False
    return key == request.key if request.WhichOneof("what") == "key" else key.startswith(request.prefix)


def _describe(entry: Any, space: Space, stored: str, value: bytes | None, request: Any) -> None:
    name(entry, space.shown(stored) or "", stored)
    entry.encrypted = space.store.is_encrypted
    if value is None:
        return
    entry.size = len(value)
    if request.with_values:
        limit = shown_of_values(request)
        entry.value = value[:limit]
        entry.value_truncated = len(value) > limit
