"""What the administration API does with keys and values: show, save, delete, count, and give another time to live."""

from __future__ import annotations

import codecs
import logging
import math
from typing import TYPE_CHECKING, Any, Final

from dapr_state_proto.admin.v1 import admin_pb2

from dapr_state import errors
from dapr_state.admin import keys, spaces
from dapr_state.admin.messages import seconds_of, set_time, text
from dapr_state.api.keys import SEPARATOR
from dapr_state.api.state import row_for
from dapr_state.clock import WAITING
from dapr_state.golang import json
from dapr_state.golang.quoting import quote
from dapr_state.slices import Work
from dapr_state.stores.base import StoreError, Unsupported
from dapr_state.stores.model import Delete, Feature, StoredValue, Upsert
from dapr_state.stores.slices import slices

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from dapr_state.admin.spaces import Space
    from dapr_state.admin.tokens import Seals
    from dapr_state.api.state import BoundStore
    from dapr_state.stores.model import Operation

PAGE: Final = 200  # keys, if nothing else is asked for
PAGE_AT_MOST: Final = 1000  # some milliseconds, and less than a megabyte of an answer without values
VALUE: Final = 4096  # octets of each value in a list, if nothing else is asked for
KEY_AT_MOST: Final = 64 * 1024  # characters of one that can be shown: no address in a browser names a longer one
VALUE_AT_MOST: Final = 256 * 1024  # octets of it, in 3 ms: whoever wants more asks for that value
VALUES_AT_MOST: Final = 2 << 20  # octets that all values of a page are: those behind it are told without
READ_AT_ONCE: Final = 64  # values, of which only the beginning may be shown
PART: Final = 64 * 1024  # octets of one value, if nothing else is asked for
PART_AT_MOST: Final = 1 << 20  # octets, which are written as base64 in 5 ms; whoever wants more asks for the next part
TEXT_AT_ONCE: Final = 256 * 1024  # octets that are looked at whether they are text: half a millisecond
BUDGET: Final = 0.2  # seconds for a count; who asks for more waits longer, not others
BUDGET_AT_MOST: Final = 10.0  # seconds of it: then the caller has a number to show, and may go on
SAMPLE: Final = 20  # keys that are shown of those that are to be removed
CONFIRMED_FOR: Final = 300.0  # seconds after the dry run: somebody has read what it said

log = logging.getLogger("dapr.runtime.admin")


class StateAdmin:
    """`stores` may change while it serves. `shows_all`: other applications' keys too."""

    def __init__(
        self,
        app_id: str,
        stores: Mapping[str, BoundStore],
        check_exists: Callable[[str], None],
        seals: Seals,
        *,
        shows_all: bool = False,
    ) -> None:
        self._app_id = app_id
        self._stores = stores
        self._check_exists = check_exists
        self._seals = seals
        self._shows_all = shows_all

    def __repr__(self) -> str:
        return f"<StateAdmin of {len(self._stores)} stores>"

    def space(self, request: Any) -> Space:
        """The keys that are meant. Raises if there is no such store, or they are not to be seen."""
        self._check_exists(request.store_name)
        if any(len(getattr(request, each, "")) > KEY_AT_MOST for each in ("key", "prefix")):
            raise errors.ADMIN_REQUEST(cause=f"a key has {KEY_AT_MOST} characters or less here")
        if request.space == admin_pb2.STORE and not self._shows_all:
            raise errors.ADMIN_SCOPE()  # noqa: RSE102  a row is called to make its error
        return spaces.of(request.space, self._stores[request.store_name], self._app_id)

    # Lists

    async def list_keys(self, request: Any) -> Any:
        space = self._listed(request)
        seal = _of_list(request)
        after = self._seals.opened(request.page_token, *seal) if request.page_token else ""
        wish = _wish(request, min(request.page_size or PAGE, PAGE_AT_MOST), after)
        try:
            found = await keys.page(space, wish)
            work = Work()
            answer = admin_pb2.ListKeysResponse(
                next_page_token=self._seals.sealed(found.after, *seal) if found.after else "",
                scanned=found.scanned,
                ordered=Feature.ORDER in space.store.features,
            )
            for thing in found.things:
                if work.is_over():  # a key may be a megabyte
                    await work.pause()
                if isinstance(thing, keys.Group):
                    answer.groups.add(prefix=text(thing.prefix), count=thing.size, at_least=thing.at_least)
                else:
                    self._show(answer.entries.add(), space, thing, request)
            if request.with_values:
                listed = [thing for thing in found.things if isinstance(thing, keys.Row)]
                await _add_values(space, listed, answer.entries, shown_of_values(request))
        except StoreError as error:
            raise self._failed(request, error) from error
        if work.is_over():
            await work.pause()
        return answer

    async def stream_keys(self, request: Any) -> AsyncIterator[Any]:
        space = self._listed(request)
        if request.delimiter or request.page_token:
            raise errors.ADMIN_REQUEST(cause="a stream has all keys: it takes no delimiter and no page_token")
        work = Work()
        try:
            async for rows in keys.rows(space, _wish(request, PAGE_AT_MOST, "")):
                for some in slices(rows, READ_AT_ONCE):
                    entries = [admin_pb2.KeyEntry() for _ in some]
                    for entry, row in zip(entries, some, strict=True):
                        self._show(entry, space, row, request)
                    if request.with_values:
                        await _add_values(space, some, entries, shown_of_values(request))
                    for entry in entries:
                        yield entry
                        if work.is_over():  # who takes them has written them meanwhile
                            await work.pause()
        except StoreError as error:
            raise self._failed(request, error) from error

    def _listed(self, request: Any) -> Space:
        space = self.space(request)
        keys.check(space, request.store_name, Feature.LIST, *([Feature.ORDER] if request.reverse else ()))
        return space

    def _show(self, entry: Any, space: Space, thing: keys.Row, request: Any) -> None:
        row = thing.row
        entry.etag, entry.error = row.etag, row.error
        name(entry, thing.key, row.key)
        set_time(entry.expires_at, row.expires_at)
        if request.with_sizes and row.size is not None:
            entry.size = row.size
        entry.encrypted = _is_encrypted(space)

    async def count_keys(self, request: Any) -> Any:
        space = self._listed_all(request)
        budget = min(seconds_of(request, "budget", BUDGET), BUDGET_AT_MOST)
        try:
            count, size, is_complete = await _count(space, request.prefix, budget, sizes=request.with_bytes)
        except StoreError as error:
            raise self._failed(request, error) from error
        answer = admin_pb2.CountKeysResponse(
            count=count, complete=is_complete, estimated=Feature.ORDER not in space.store.features
        )
        if request.with_bytes:
            answer.bytes = size
        return answer

    def _listed_all(self, request: Any) -> Space:
        space = self.space(request)
        keys.check(space, request.store_name, Feature.LIST)
        return space

    # One entry

    async def get_entry(self, request: Any) -> Any:
        space = self.space(request)
        stored = self._stored(space, request)
        row = await self._read(space, stored, request)
        answer = admin_pb2.Entry(total_size=len(row.value))
        _describe(answer.entry, space, request.key, stored, row)
        limit = min(request.max_bytes or PART, PART_AT_MOST)
        answer.entry.value = row.value[request.offset : request.offset + limit]
        answer.entry.value_truncated = len(answer.entry.value) < len(row.value)
        if not request.offset:  # it may be long: that is told once
            answer.is_utf8 = await _is_text(row.value)
            answer.is_json = answer.is_utf8 and bool(row.value) and await _is_json(row.value)
        return answer

    async def save_entry(self, request: Any) -> Any:
        space = self.space(request)
        stored = self._stored(space, request)
        is_json = request.WhichOneof("content") == "json"
        value = request.json.encode() if is_json else request.value
        if is_json and not await _is_json(value):
            raise errors.ADMIN_REQUEST(cause="json is no JSON text: give other values as value")
        ttl = None
        if request.HasField("expire_in"):
            ttl = _whole_seconds(request)
            keys.check(space, request.store_name, Feature.TTL)
        log.info("SaveEntry %s %s", request.store_name, errors.shortened(stored))
        await self._write(space, Upsert(stored, value, request.etag, request.only_new, False, ttl, is_json), request)
        answer = admin_pb2.SaveEntryResponse()
        row = await self._read(space, stored, request)
        _describe(answer.entry, space, request.key, stored, row)
        if row.value != value and not is_json:  # JSON may be kept in another form
            answer.entry.etag = ""
        return answer

    async def delete_entry(self, request: Any) -> Any:
        space = self.space(request)
        stored = self._stored(space, request)
        log.info("DeleteEntry %s %s", request.store_name, errors.shortened(stored))
        await self._write(space, Delete(stored, request.etag), request)
        return admin_pb2.DeleteEntryResponse()

    async def touch(self, request: Any) -> Any:
        space = self.space(request)
        stored = self._stored(space, request)
        wish = request.WhichOneof("ttl")
        if wish is None or (wish == "persist" and not request.persist):
            raise errors.ADMIN_REQUEST(cause="how long shall it live? give expire_in, or persist")
        ttl = _whole_seconds(request) if wish == "expire_in" else None
        log.info("Touch %s %s", request.store_name, errors.shortened(stored))
        try:
            await space.store.touch(stored, ttl, etag=request.etag)
        except StoreError as error:
            raise self._failed(request, error) from error
        answer = admin_pb2.TouchResponse()
        set_time(answer.expires_at, (await self._read(space, stored, request)).expires_at)
        return answer

    async def _read(self, space: Space, stored: str, request: Any) -> StoredValue:
        try:
            (row,) = await space.store.get([stored])
        except StoreError as error:
            raise self._failed(request, error) from error
        if isinstance(row, StoreError):
            raise self._failed(request, row) from row
        if row is None:
            raise errors.ADMIN_NOT_FOUND(
                what=f"key {errors.shortened(request.key)} of state store {request.store_name}"
            )
        return row

    async def _write(self, space: Space, operation: Operation, request: Any) -> None:
        try:
            (refusal,) = await space.store.write([operation])
        except StoreError as error:
            raise self._failed(request, error) from error
        if refusal:
            raise self._failed(request, refusal) from refusal

    def _stored(self, space: Space, request: Any) -> str:
        stored = space.stored(request.key)
        if not request.key or space.shown(stored) is None:
            meant = admin_pb2.Space.Name(space.kind)
            raise errors.ADMIN_REQUEST(cause=f"{quote(request.key)} is no key of the space {meant}")
        return stored

    # Many

    async def delete_by_prefix(self, request: Any) -> Any:
        space = self._listed_all(request)
        if SEPARATOR in request.prefix and space.kind == admin_pb2.APPLICATION:
            raise errors.ADMIN_REQUEST(cause=f"no key of an application has {SEPARATOR} in it")
        try:
            if request.dry_run:
                return await self._look(space, request)
            return await self._remove(space, request)
        except StoreError as error:
            raise self._failed(request, error) from error

    async def _look(self, space: Space, request: Any) -> Any:
        count, _, is_complete = await _count(space, request.prefix, BUDGET_AT_MOST)
        found = await keys.page(space, keys.Wish(request.prefix, SAMPLE))
        until = str(WAITING.wall() + CONFIRMED_FOR)
        return admin_pb2.DeleteByPrefixResponse(
            matched=count,
            sample=[errors.shortened(text(row.key)) for row in found.things if isinstance(row, keys.Row)],
            confirm_token=self._seals.sealed(until, *_of_removal(request)),
            complete=is_complete,
        )

    async def _remove(self, space: Space, request: Any) -> Any:
        if request.confirm_token:
            if float(self._seals.opened(request.confirm_token, *_of_removal(request))) < WAITING.wall():
                raise errors.ADMIN_UNCONFIRMED(cause="the dry run is too long ago: look again at what would go")
        elif not request.everything:
            raise errors.ADMIN_UNCONFIRMED(cause="ask with dry_run first, and give the confirm_token of its answer")
        if expected := request.expect_count:
            count, _, _ = await _count(space, request.prefix, BUDGET_AT_MOST, enough=expected + 1)
            if count > expected:
                raise errors.ADMIN_TOO_MANY(count=count, expected=expected)
        log.info("DeleteByPrefix %s %s", request.store_name, errors.shortened(space.stored(request.prefix)))
        prefix, hidden = space.stored(request.prefix), _hidden(space)
        deleted, after, work, until = 0, "", Work(), WAITING.monotonic() + BUDGET_AT_MOST
        while WAITING.monotonic() < until:
            step = await _remove_step(space, prefix, after, hidden)
            deleted, after = deleted + step.keys, step.after
            if not after:
                break
            if work.is_over():
                await work.pause()
        return admin_pb2.DeleteByPrefixResponse(matched=deleted, deleted=deleted, complete=not after)

    def _failed(self, request: Any, error: StoreError) -> errors.DaprError:
        if isinstance(error, Unsupported):
            return errors.ADMIN_NOT_SUPPORTED(store=request.store_name, feature=str(error).rpartition(" ")[2])
        return row_for(errors.ADMIN_STORE, error)(store=request.store_name, cause=error)


def name(entry: Any, key: str, stored: str) -> None:
    """The entry is of this key; of one that is megabytes the beginning is told."""
    if len(key) > KEY_AT_MOST:
        entry.error = f"this key is too long to be shown: it has {len(key)} characters"
        key, stored = errors.shortened(key), errors.shortened(stored)
    entry.key, entry.stored_key = text(key), text(stored)


def shown_of_values(request: Any) -> int:
    """How many octets of each value are shown where there are many."""
    return min(request.max_value_bytes or VALUE, VALUE_AT_MOST)


def _of_list(request: Any) -> tuple[object, ...]:
    """What a page's token is good for."""
    return "list", request.store_name, request.prefix, request.space, request.reverse, request.delimiter


def _of_removal(request: Any) -> tuple[object, ...]:
    return "remove", request.store_name, request.prefix, request.space


def _wish(request: Any, size: int, after: str) -> keys.Wish:
    scan = min(request.scan_limit or keys.SCAN, keys.SCAN)
    return keys.Wish(request.prefix, size, after, request.reverse, request.with_sizes, request.delimiter, scan)


def _is_encrypted(space: Space) -> bool:
    return space.store.is_encrypted


def _hidden(space: Space) -> str:
    return SEPARATOR if space.kind == admin_pb2.APPLICATION else ""


async def _count(
    space: Space, prefix: str, budget: float, *, sizes: bool = False, enough: int = 0
) -> tuple[int, int, bool]:
    """How many keys of a space begin so, their octets, and whether these are all that there are."""
    count = size = 0
    after, work, until = "", Work(), WAITING.monotonic() + budget
    stored, hidden = space.stored(prefix), _hidden(space)
    while True:
        if space.kind == admin_pb2.ACTORS:  # not all that begins as they do is theirs
            page = await space.store.keys(stored, after=after, limit=PAGE_AT_MOST, sizes=sizes)
            rows = [row for row in page.rows if space.shown(row.key) is not None]
            count, size, after = count + len(rows), size + sum(row.size or 0 for row in rows), page.after
        else:
            step = await space.store.count(stored, after=after, hidden=hidden, sizes=sizes)
            count, size, after = count + step.keys, size + step.size, step.after
        if not after:
            return count, size, True
        if WAITING.monotonic() > until or (enough and count >= enough):
            return count, size, False
        if work.is_over():
            await work.pause()


async def _remove_step(space: Space, prefix: str, after: str, hidden: str) -> Any:
    if space.kind != admin_pb2.ACTORS:
        return await space.store.remove(prefix, after=after, hidden=hidden)
    page = await space.store.keys(prefix, after=after, limit=PAGE_AT_MOST)
    gone = [Delete(row.key) for row in page.rows if space.shown(row.key) is not None]
    for refusal in filter(None, await space.store.write(gone) if gone else ()):
        raise refusal
    return keys.Step(len(gone), page.after)


async def _add_values(space: Space, rows: Sequence[keys.Row], entries: Any, limit: int) -> None:
    """To as many as a page has room for."""
    room = VALUES_AT_MOST
    for number, some in enumerate(slices(rows, READ_AT_ONCE)):
        found = await space.store.get([row.row.key for row in some])
        for entry, value in zip(entries[number * READ_AT_ONCE :], found, strict=False):
            if isinstance(value, StoreError):
                entry.error = str(value)
            elif value is not None and room > 0:
                entry.value = value.value[:limit]
                entry.value_truncated = len(value.value) > limit
                entry.size = len(value.value)
                room -= len(entry.value)
        if room <= 0:
            return


def _describe(entry: Any, space: Space, key: str, stored: str, row: StoredValue) -> None:
    entry.key, entry.stored_key, entry.etag, entry.size = key, text(stored), row.etag, len(row.value)
    entry.encrypted = _is_encrypted(space)
    set_time(entry.expires_at, row.expires_at)


def _whole_seconds(request: Any) -> int:
    """No store counts less than seconds: a part of one is a whole one."""
    seconds = math.ceil(seconds_of(request, "expire_in", 0))
    if seconds < 1:
        raise errors.ADMIN_REQUEST(cause="expire_in must be more than nothing")
    return seconds


async def _is_text(value: bytes) -> bool:
    decode, work = codecs.getincrementaldecoder("utf-8")().decode, Work()
    try:
        for at in range(0, len(value), TEXT_AT_ONCE):
            decode(value[at : at + TEXT_AT_ONCE])
            if work.is_over():
                await work.pause()
        decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


async def _is_json(value: bytes) -> bool:
    verdict = json.verdict(value) if len(value) <= json.LONG else None  # what is long waits for its turn
    return await json.problem(value) is None if verdict is None else verdict
