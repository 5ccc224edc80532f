"""state.<socket>: what the store promises, asked of a component behind its socket.

Rules that a change must respect:
1. A call is said once, within CALL_SECONDS, and fails if nobody listens: what may have happened is never repeated.
   Only a bulk get whose rows are more than one answer may have is asked again, for half of them.
2. A component knows of this store only what Init told it. Another process at the socket is told before it is asked,
   over a connection of its own: the old one may still be there.
3. What is left of a request is not asked of a component that has been silent for one of its calls.
4. A bulk call fails as a whole, so that what may fail by itself (an etag, first-write) is asked for by itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import contextmanager
from datetime import datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

import grpc
from dapr_state_proto.components.v1 import common_pb2, state_pb2
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha import reflection_pb2

from dapr_state.errors import untraced
from dapr_state.query import scan
from dapr_state.stores.base import Found, NotDone, Outcomes, OwnStatus, StateStore, StoreError, Unfit
from dapr_state.stores.batching import CALLERS_AT_MOST, OVERHEAD, Budget, weight, weight_of_keys
from dapr_state.stores.model import Delete, Feature, StoredValue, Upsert
from dapr_state.stores.pluggable import answers, failures, messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dapr_state.query.budget import QueryBudget
    from dapr_state.query.scan import Matches, Position
    from dapr_state.query.tree import Query
    from dapr_state.resources.component import Component
    from dapr_state.stores.model import Operation

    Failed = Callable[[grpc.RpcError], StoreError]

SERVICE: Final = state_pb2.DESCRIPTOR.services_by_name["StateStore"].full_name
_METHODS: Final = {
    method.name: method for each in state_pb2.DESCRIPTOR.services_by_name.values() for method in each.methods
}
_ANSWERS: Final = {name: GetMessageClass(method.output_type) for name, method in _METHODS.items()}
_WITH_VALUES: Final = frozenset({"Get", "BulkGet", "Query"})
_REFLECTION: Final = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
INSTANCE: Final = "x-component-instance"  # the header that says for which component of ours a call is
CALL_SECONDS: Final = 20.0  # daprd waits for ever; as the SQL stores have it by default
SIZE_SECONDS: Final = 5.0  # for the question how large a transaction may be, as daprd
_OCTETS_AT_MOST: Final = 64 << 20  # of what waits: twice what large requests may hold together
AT_ONCE: Final = 32  # calls that one write with etags has under way
_RECONNECT_MILLISECONDS: Final = 1000  # at most, between attempts on a socket at which nobody listens
_CONNECT_MILLISECONDS: Final = 5000  # for the first octets of one who does
_FEATURES: Final = (Feature.ETAG, Feature.TRANSACTIONAL, Feature.TTL)
_EXPIRES: Final = "ttlExpireTime"
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", answers.LARGEST),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", _CONNECT_MILLISECONDS),
    ("grpc.max_reconnect_backoff_ms", _RECONNECT_MILLISECONDS),
    ("grpc.use_local_subchannel_pool", 1),  # each component has a connection of its own, as in daprd
)

log = logging.getLogger("dapr.runtime")


class PluggableStore(StateStore):
    passes_on = True

    def __init__(self, component: Component, path: str) -> None:
        self._path = path
        self._headers = ((INSTANCE, component.name),)
        self._init = state_pb2.InitRequest(metadata=common_pb2.MetadataRequest(properties=dict(component.properties)))
        self._budget = Budget("the component", callers=CALLERS_AT_MOST, octets=_OCTETS_AT_MOST)
        self._channel: grpc.aio.Channel | None = None
        self._told: tuple[int, int] | None = None  # the socket file of the process that has had Init
        self._telling: asyncio.Task[None] | None = None
        self._calls: dict[str, Any] = {}  # of the process that is asked, by their names
        self._leaving: set[asyncio.Task[None]] = set()
        self._left: asyncio.Future[None] | None = None  # of a close that waits for the last caller
        self.features = ()

    def __repr__(self) -> str:
        return f"<PluggableStore {self._path} {'open' if self._channel else 'closed'}>"

    async def open(self) -> None:
        self._connect()
        try:
            await self._check_service()
            await self._tell()
            answer = await self._ask("Features", common_pb2.FeaturesRequest())
            self.told = tuple(answer.features)
            self.features = tuple(feature for feature in _FEATURES if feature in self.told)
            if Feature.TRANSACTIONAL in self.features:
                self.max_transaction_size = await self._largest_transaction()
        except BaseException:
            await self.close()
            raise

    async def reach(self) -> None:
        """What Init does is the component's affair, and may write: it is not said."""
        self._connect()
        await self._check_service()
        await self.close()

    def _connect(self) -> None:
        channel = self._channel = grpc.aio.insecure_channel(f"unix:{self._path}", options=_OPTIONS)
        self._calls = {
            name: channel.unary_unary(f"/{method.containing_service.full_name}/{name}", request_serializer=_octets)
            for name, method in _METHODS.items()
        }

    async def _check_service(self) -> None:
        """Raises StoreError unless the component says by reflection that it is a state store."""
        ask: Any = self._open_channel().stream_stream(_REFLECTION, request_serializer=_octets)
        call = ask(iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=CALL_SECONDS)
        try:
            told = await call.read()  # the first answer says it all: the stream may stay open for ever
        except grpc.RpcError as error:
            raise failures.of_read(error) from None
        finally:
            call.cancel()
        octets = b"" if told is grpc.aio.EOF else told
        _check_length(octets)
        listed = answers.whole(reflection_pb2.ServerReflectionResponse, octets).list_services_response
        if SERVICE not in [each.name for each in listed.service]:
            raise StoreError(f"what listens at {self._path} does not offer {SERVICE}")
        log.info("pluggable component '%s' was successfully registered for '%s'", PurePath(self._path).stem, SERVICE)

    async def _tell(self) -> None:
        """Have Init said to the process at the socket, unless it has had it: one call for all who wait for it."""
        while (file := self._file()) != self._told:
            if self._telling is None:
                self._telling = asyncio.create_task(self._say_init(file))
                self._telling.add_done_callback(self._has_told)
            try:
                await asyncio.shield(self._telling)
            except StoreError as error:
                raise untraced(error) from None  # one error for all, each of whom would lengthen its traceback

    async def _say_init(self, file: tuple[int, int] | None) -> None:
        if self._told is not None:
            self._leave()
        try:
            await self._calls["Init"](self._init, timeout=CALL_SECONDS, metadata=self._headers)
        except grpc.RpcError as error:
            raise failures.of_read(error) from None
        self._told = file

    def _has_told(self, telling: asyncio.Task[None]) -> None:
        self._telling = None
        if not telling.cancelled():
            telling.exception()  # those who waited may all have gone

    def _leave(self) -> None:
        """Connect anew: the connection may still be to a process that has a successor, and would be told instead."""
        old = self._open_channel()
        self._connect()
        leaving = asyncio.create_task(old.close(CALL_SECONDS))  # its calls under way may end
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    def _file(self) -> tuple[int, int] | None:
        """The socket file, which a process makes anew when it starts; while there is none, that of the last one."""
        try:
            status = os.stat(self._path)  # noqa: PTH116 - 2 us for each call; a Path makes it 5
        except OSError:
            return self._told
        return status.st_ino, status.st_ctime_ns

    async def _largest_transaction(self) -> int | None:
        try:
            answer = await self._ask("MultiMaxSize", state_pb2.MultiMaxSizeRequest(), seconds=SIZE_SECONDS)
        except StoreError:  # most have no such call
            return None
        return answer.max_size if answer.max_size > 0 else None

    async def close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is None:
            return
        if self._budget.callers:  # each of them ends in time
            self._left = asyncio.get_running_loop().create_future()
            await self._left
        if self._telling:
            self._telling.cancel()  # who waited for it has gone
            await asyncio.wait([self._telling])
        await asyncio.gather(channel.close(), *self._leaving)

    async def ping(self) -> None:
        self._open_channel()
        await self._ask("Ping", common_pb2.PingRequest())

    async def get(self, keys: Sequence[str]) -> Found:
        self._open_channel()
        refused = {key: error for key in keys if (error := messages.refusal(key))}
        wanted = [key for key in dict.fromkeys(keys) if key not in refused]
        found: dict[str, Any] = dict(refused)
        with self._waiting(weight_of_keys(keys) if keys else 0):
            if len(wanted) == 1:
                answer = await self._ask("Get", messages.get(wanted[0]))
                found[wanted[0]] = _row(answer)
            elif wanted:
                await self._get_many(wanted, found)
        return [found.get(key) for key in keys]

    async def _get_many(self, wanted: Sequence[str], found: dict[str, Any]) -> None:
        """In one call, or in two for half of them if their rows are more than one answer may have."""
        request = state_pb2.BulkGetRequest(items=[messages.get(key) for key in wanted], options={})
        try:
            octets = await self._octets_of("BulkGet", request)
        except failures.TooLarge:
            if len(wanted) == 1:
                raise
            half = len(wanted) // 2
            await self._get_many(wanted[:half], found)
            await self._get_many(wanted[half:], found)
            return
        asked = set(wanted)
        async for part in answers.parts(_ANSWERS["BulkGet"], octets):
            for each in part.items:
                if each.key in asked:
                    found[each.key] = StoreError(each.error) if each.error else _row(each)

    async def write(self, operations: Sequence[Operation]) -> Outcomes:
        self._open_channel()
        outcomes: Outcomes = [messages.refusal(operation) for operation in operations]
        with self._waiting(weight(operations) if operations else 0):
            silent = asyncio.Event()
            for places in _rounds(operations, outcomes):
                await self._write_some(operations, places, outcomes, silent)
        return outcomes

    async def _write_some(
        self, operations: Sequence[Operation], places: list[int], outcomes: Outcomes, silent: asyncio.Event
    ) -> None:
        """Operations on keys of which none comes twice: in any order, beside each other."""
        alone = [place for place in places if _may_fail_alone(operations[place])]
        sets = [place for place in places if place not in set(alone) and isinstance(operations[place], Upsert)]
        deletes = [place for place in places if place not in set(alone) and isinstance(operations[place], Delete)]
        slots = asyncio.Semaphore(AT_ONCE)

        async def outcome(call: str, request: Any, failed: Failed = failures.of_write) -> StoreError | None:
            if silent.is_set():
                return NotDone("the component was silent before it was asked for this")
            error = await self._outcome(call, request, failed)
            if isinstance(error, failures.Silence):
                silent.set()
            return error

        async def one(place: int) -> None:
            async with slots:
                operation = operations[place]
                call = "Set" if isinstance(operation, Upsert) else "Delete"
                outcomes[place] = await outcome(call, messages.write(operation))

        async def many(places: list[int], call: str, kind: Any) -> None:
            if len(places) == 1:
                await one(places[0])
            elif places:
                failed = failures.of_bulk_delete if call == "BulkDelete" else failures.of_write
                request = kind(items=[messages.write(operations[place]) for place in places], options={})
                error = await outcome(call, request, failed)
                for place in places:
                    outcomes[place] = error

        await asyncio.gather(
            many(sets, "BulkSet", state_pb2.BulkSetRequest),
            many(deletes, "BulkDelete", state_pb2.BulkDeleteRequest),
            *map(one, alone),
        )

    async def transact(self, operations: Sequence[Operation]) -> None:
        self._open_channel()
        for operation in operations:
            if error := messages.refusal(operation):
                raise error
        if not operations:
            return
        with self._waiting(weight(operations)):
            error = await self._outcome("Transact", messages.transaction(operations))
        if error:
            kind = Unfit if error.is_final else StoreError
            raise kind(str(error)) if isinstance(error, OwnStatus) else error  # always a 500, as by daprd

    async def query(self, prefix: str, query: Query, *, after: Position | None = None, budget: QueryBudget) -> Matches:  # noqa: ARG002
        """As the component understands it, with its tokens; rows of others, and of actors, are left out."""
        self._open_channel()
        if error := messages.refusal_of(query.metadata):
            raise error
        with self._waiting(OVERHEAD + len(query.text)):
            answer = await self._octets_of("Query", messages.query(query))
        found: list[scan.Match] = []
        token, metadata = "", {}
        async for part in answers.parts(_ANSWERS["Query"], answer):
            token = part.token or token
            metadata.update(part.metadata)
            for item in part.items:
                if item.key.startswith(prefix) and item.key.find(scan.OF_OTHERS, len(prefix)) < 0:
                    row = StoreError(item.error) if item.error else StoredValue(item.data, item.etag.value)
                    octets = scan.OVERHEAD + len(item.key) + len(item.data)
                    budget.take(octets)
                    found.append(scan.Match((), item.key, row, (), octets))
        return scan.Matches(found, token, metadata)

    def _open_channel(self) -> grpc.aio.Channel:
        if self._channel is None:
            raise NotDone("the store is closed")
        return self._channel

    @contextmanager
    def _waiting(self, octets: int) -> Iterator[None]:
        self._budget.take(octets)
        try:
            yield
        finally:
            self._budget.give(1, octets)
            if self._left and not self._budget.callers and not self._left.done():
                self._left.set_result(None)

    async def _outcome(
        self,
        call: str,
        request: Any,
        failed: Failed = failures.of_write,
    ) -> StoreError | None:
        """What a write ends with."""
        try:
            await self._ask(call, request, failed)
        except StoreError as error:
            return error.with_traceback(None)
        return None

    async def _ask(
        self, call: str, request: Any, failed: Failed = failures.of_read, *, seconds: float | None = None
    ) -> Any:
        return answers.whole(_ANSWERS[call], await self._octets_of(call, request, failed, seconds=seconds))

    async def _octets_of(
        self, call: str, request: Any, failed: Failed = failures.of_read, *, seconds: float | None = None
    ) -> bytes:
        """What the component answers, not yet decoded."""
        await self._tell()
        try:
            octets: bytes = await self._calls[call](request, timeout=seconds or CALL_SECONDS, metadata=self._headers)
        except grpc.RpcError as error:
            raise failed(error) from None
        if call not in _WITH_VALUES:
            _check_length(octets)
        return octets


def _octets(message: Any) -> bytes:
    octets: bytes = message.SerializeToString()
    return octets


def _check_length(octets: bytes) -> None:
    if len(octets) > answers.LARGEST_WITHOUT_VALUES:
        raise StoreError(f"the component's answer without any value has {len(octets)} bytes")


def _row(answer: Any) -> StoredValue | None:
    """A key without data and etag is missing."""
    if not answer.data and not answer.etag.value:
        return None
    return StoredValue(answer.data, answer.etag.value, _expiry(answer.metadata.get(_EXPIRES, "")))


def _expiry(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        return None


def _may_fail_alone(operation: Operation) -> bool:
    return bool(operation.etag) or operation.first_write


def _rounds(operations: Sequence[Operation], refused: Outcomes) -> Iterator[list[int]]:
    """The places of those that are not refused, cut where a key comes again: it sees what was done before."""
    some: list[int] = []
    seen: set[str] = set()
    for place, operation in enumerate(operations):
        if refused[place] is not None:
            continue
        if operation.key in seen:
            yield some
            some, seen = [], set()
        some.append(place)
        seen.add(operation.key)
    if some:
        yield some
