"""The State building block: what each call does, for gRPC and HTTP alike."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import msgspec

from dapr_state import errors
from dapr_state.api.keys import SEPARATOR
from dapr_state.api.operation_metrics import OperationMetrics, of_operation
from dapr_state.api.query import Queries
from dapr_state.clock import WAITING
from dapr_state.errors import untraced
from dapr_state.golang import json
from dapr_state.query.budget import QUERIES_AT_MOST, QueryBudgets
from dapr_state.slices import Work
from dapr_state.stores.base import EtagInvalid, EtagMismatch, Late, OwnStatus, Refused, StateStore, StoreError
from dapr_state.stores.model import Delete, Feature, HintedKey, Hints, Operation, StoredValue, Upsert

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dapr_state.observability.metrics import Metrics
    from dapr_state.stores.base import Outcomes

UPSERT, DELETE = "upsert", "delete"

_CONCURRENCY = {"": False, "last-write": False, "first-write": True}  # text → first write
_CONSISTENCY = {"": False, "eventual": False, "strong": True}  # text → strong

MANY: Final = 1000  # items: a few milliseconds of work, here and in any store

# Octets of all values in one answer; daprd has no limit. A request of 4 MB can name one key of 4 MB 800,000 times.
LARGEST_ANSWER: Final = 256 << 20
TO_BEGIN_WITH: Final = 128  # keys of a bulk get that are read before anything is known of their size
AT_A_TIME: Final = 8 << 20  # octets that are then read at a time, if they are as large as those before

_now = WAITING.monotonic
_value = attrgetter("value")


class Item(msgspec.Struct, frozen=True, gc=False):
    """One entry of a request, as the caller gave it."""

    key: str
    value: bytes = b""
    etag: str = ""  # "" = none
    metadata: Mapping[str, str] = MappingProxyType({})
    concurrency: str = ""
    consistency: str = ""
    is_json: bool = False  # the value came as JSON text (over HTTP)
    content_type: str = ""  # as it says itself, over HTTP: a component may ask


class BoundStore:
    """A store under the name and key prefix of its component."""

    __slots__ = ("default_ttl", "name", "prefix", "store")

    def __init__(self, name: str, prefix: str, store: StateStore) -> None:
        self.name = name
        self.prefix = prefix
        self.store = store
        self.default_ttl = store.ttl_rule.default


Outcome = StoredValue | StoreError | None
_Conflict = EtagMismatch | EtagInvalid


class Found(list[Outcome]):
    """What a bulk get found, and how many octets its values have together."""

    __slots__ = ("octets",)

    def __init__(self, outcomes: Iterable[Outcome] = ()) -> None:
        super().__init__(outcomes)
        try:
            self.octets = sum(map(len, map(_value, self)))
        except AttributeError:  # some have no value
            self.octets = sum(len(each.value) for each in self if isinstance(each, StoredValue))


class State:
    """Answers for all state components. `stores` may change while it serves (hot reload)."""

    def __init__(
        self,
        app_id: str,
        stores: Mapping[str, BoundStore],
        metrics: Metrics | None = None,
        queries_at_most: int = QUERIES_AT_MOST,
    ) -> None:
        self._app_id = app_id
        self._stores = stores
        self.queries = Queries(self._find, QueryBudgets(queries_at_most), metrics)
        self._gets = of_operation("get", metrics)
        self._bulk_gets = of_operation("bulk_get", metrics)
        self._saves = of_operation("set", metrics)
        self._deletes = of_operation("delete", metrics)
        self._bulk_deletes = of_operation("bulk_delete", metrics)
        self._transactions = of_operation("transaction", metrics)

    async def get(self, store: str, key: str, hints: Hints | None = None) -> StoredValue | None:
        """The value under `key`, or None if it is missing or expired."""
        bound = self._stores.get(store) or self._find(store)
        if SEPARATOR in key:
            raise _illegal(bound, key)
        began = _now()
        try:
            if hints is not None and bound.store.passes_on:
                (found,) = await bound.store.get((HintedKey(bound.prefix + key, hints),))
            else:
                (found,) = await bound.store.get((bound.prefix + key,))
        except StoreError as error:
            found = untraced(error)
        if isinstance(found, StoreError):
            self._gets.failed(store, began, found)
            raise row_for(errors.STATE_GET, found)(key=key, store=store, cause=found) from found
        self._gets.done(store, began)
        return found

    async def get_bulk(self, store: str, wanted: Sequence[str], hints: Hints | None = None) -> Found:
        """One outcome for each key of `wanted`, in its order; a row that cannot be read is its StoreError.

        Refused as soon as it is known that the values are more than `LARGEST_ANSWER` together.
        """
        bound = self._find(store)
        if len(wanted) > MANY or SEPARATOR in "\n".join(wanted):  # a look at all of them at once
            await _check_keys(bound, wanted)
        if not wanted:
            return Found()
        began = _now()
        try:
            found = await _get(bound, wanted, hints if bound.store.passes_on else None)
        except StoreError as error:
            self._bulk_gets.failed(store, began, error)
            raise _row_of_bulk_get(error)(cause=error) from error
        if found.octets > LARGEST_ANSWER:
            refusal = errors.STATE_ANSWER_TOO_LARGE(limit=LARGEST_ANSWER)
            self._bulk_gets.failed(store, began, refusal)
            raise refusal
        self._bulk_gets.done(store, began)
        return found

    async def save(self, store: str, items: Sequence[Item]) -> None:
        """Write the items in their order. Those that fail are named in the error; the others are written."""
        bound = self._stores.get(store) or self._find(store)
        work = Work() if len(items) > MANY else None
        for item in items:
            if not item.key:
                raise errors.STATE_KEY_EMPTY()  # noqa: RSE102  a row is called to make its error
            if SEPARATOR in item.key:
                raise _illegal(bound, item.key)
            if item.metadata:
                await _check_json(item)
            if work and work.is_over():
                await work.pause()
        if failures := await _write(bound, items, _upsert, self._saves):
            raise _failed(errors.STATE_SAVE, failures, of=len(items), store=store)

    async def delete(self, store: str, item: Item) -> None:
        """Remove one key; that it is missing is a success unless the caller gave an etag."""
        bound = self._find(store)
        if SEPARATOR in item.key:
            raise _illegal(bound, item.key)
        if failures := await _write(bound, (item,), _delete, self._deletes):
            raise _failed(errors.STATE_DELETE, failures, of=1, key=item.key)

    async def delete_bulk(self, store: str, items: Sequence[Item]) -> None:
        """Remove the keys in their order, as `save` writes them."""
        bound = self._find(store)
        await _check_keys(bound, (item.key for item in items))
        if failures := await _write(bound, items, _delete, self._bulk_deletes):
            raise _failed(errors.STATE_BULK_DELETE, failures, of=len(items), store=store)

    def check_exists(self, store: str) -> None:
        """Raise unless there is such a store: HTTP says so before it has read the body."""
        self._find(store)

    def check_transactional(self, store: str) -> None:
        """Raise unless the store can do transactions: HTTP says so before it has read the body."""
        _transactional(self._find(store))

    async def transact(
        self, store: str, steps: Iterable[tuple[str, Item]], metadata: Mapping[str, str] | None = None
    ) -> None:
        """Apply every step, (upsert | delete, item), in order, or none. `metadata` is for steps without their own."""
        bound = _transactional(self._find(store))
        count, operations, refused = await _prepared(bound, steps, metadata)
        began = _now()
        if not count:  # the one empty request that counts, as for daprd
            self._transactions.done(store, began)
            return
        limit = bound.store.max_transaction_size
        if limit and count > limit:
            raise errors.STATE_TOO_MANY_OPERATIONS(store=store, currentOpsTransaction=count, maxOpsPerTransaction=limit)
        try:
            if refused is None:
                await bound.store.transact(operations)
        except StoreError as error:
            refused = untraced(error)
        if refused:
            self._transactions.failed(store, began, refused)
            raise row_for(errors.STATE_TRANSACTION, refused)(cause=refused) from refused
        self._transactions.done(store, began)

    def _find(self, name: str) -> BoundStore:
        bound = self._stores.get(name)
        if bound is not None:
            return bound
        missing = errors.STATE_STORE_NOT_FOUND if self._stores else errors.STATE_STORE_NOT_CONFIGURED
        raise missing(store=name, app_id=self._app_id)


async def _check_keys(bound: BoundStore, wanted: Iterable[str]) -> None:
    work = Work()
    for key in wanted:
        if SEPARATOR in key:
            raise _illegal(bound, key)
        if work.is_over():
            await work.pause()


async def _get(bound: BoundStore, wanted: Sequence[str], hints: Hints | None) -> Found:
    """As many keys at a time as hold nobody up, and no more values than an answer may have."""
    if len(wanted) <= TO_BEGIN_WITH:
        return await _get_once(bound, bound.store, wanted, hints)
    with bound.store.in_parts() as store:
        found = await _get_once(bound, store, wanted[:TO_BEGIN_WITH], hints)
        work = Work()
        while len(found) < len(wanted) and found.octets <= LARGEST_ANSWER:
            await work.pause()
            # as large as those before: else a thousand keys might bring gigabytes
            count = AT_A_TIME * len(found) // (found.octets + 1)
            part = await _get_once(bound, store, wanted[len(found) : len(found) + min(max(count, 1), MANY)], hints)
            found += part
            found.octets += part.octets
    return found


async def _get_once(bound: BoundStore, store: StateStore, wanted: Sequence[str], hints: Hints | None) -> Found:
    keys = [bound.prefix + key for key in wanted]
    if hints is not None:
        keys = [HintedKey(key, hints) for key in keys]
    if len(set(keys)) == len(keys):
        return Found(await store.get(keys))
    unique = list(dict.fromkeys(keys))  # a store need not read one key again and again
    rows = dict(zip(unique, await store.get(unique), strict=True))
    return Found(rows[key] for key in keys)


def _illegal(bound: BoundStore, key: str) -> errors.DaprError:
    return errors.ILLEGAL_KEY(key=key, field=key, store=bound.name)


def _is_declared_json(metadata: Mapping[str, str]) -> bool:
    """Whether the caller says that the value is JSON; daprd takes this one spelling only."""
    return metadata.get("contentType") == "application/json"


async def _check_json(item: Item) -> None:
    """A caller who says that the bytes are JSON is held to it (gRPC SaveState; HTTP values are JSON already)."""
    if not item.is_json and _is_declared_json(item.metadata) and (problem := await json.problem(item.value)):
        raise errors.STATE_VALUE_NOT_JSON(cause=problem)


async def _prepared(
    bound: BoundStore, steps: Iterable[tuple[str, Item]], metadata: Mapping[str, str] | None
) -> tuple[int, list[Operation], StoreError | None]:
    """How many steps there are, the writes they ask for, and what the store would refuse them for."""
    operations: list[Operation] = []
    refused: StoreError | None = None
    refusals = 0
    is_short = isinstance(steps, list) and len(steps) <= MANY
    for kind, item in steps:
        if SEPARATOR in item.key:
            raise _illegal(bound, item.key)
        prepare = _PREPARE.get(kind)
        if prepare is None:
            raise errors.STATE_OPERATION_UNKNOWN(operation=kind)
        try:
            operations.append(prepare(bound, _with_default(item, metadata) if metadata else item))
            if metadata and bound.store.passes_on and len(operations) == 1:
                operations = [_hinted(operations[0], metadata)]
        except StoreError as error:
            refused = refused or untraced(error)
            refusals += 1
        if not (is_short or (len(operations) + refusals) % MANY):
            await Work().pause()
    return len(operations) + refusals, operations, refused


def _with_default(item: Item, metadata: Mapping[str, str]) -> Item:
    if item.metadata:  # not copied: both may be long, and only two names are ever looked for
        metadata = _Layers(cast("dict[str, str]", item.metadata), cast("dict[str, str]", metadata))
    return msgspec.structs.replace(item, metadata=metadata)


class _Layers(ChainMap[str, str]):
    """Of maps of which one that is asked for a name that it has not may make it, as those of protobuf do."""

    def __getitem__(self, name: str) -> str:
        for layer in self.maps:
            if name in layer:
                return layer[name]
        raise KeyError(name)


def _transactional(bound: BoundStore) -> BoundStore:
    if Feature.TRANSACTIONAL not in bound.store.features:
        raise errors.STATE_TRANSACTIONS_NOT_SUPPORTED(store=bound.name)
    return bound


def _upsert(bound: BoundStore, item: Item) -> Upsert:
    """The write that an item asks for; StoreError says what it got wrong, which fails it as the store would."""
    if item.metadata or item.concurrency or item.consistency or item.content_type:
        return _upsert_with_options(bound, item)
    return Upsert(bound.prefix + item.key, item.value, item.etag, False, False, bound.default_ttl, item.is_json)


def _upsert_with_options(bound: BoundStore, item: Item) -> Upsert:
    first_write, strong = _options(item)
    try:
        ttl = bound.store.ttl_rule.read(item.metadata)
    except ValueError as error:
        raise StoreError(str(error)) from error
    is_json = item.is_json or _is_declared_json(item.metadata)
    return Upsert(
        bound.prefix + item.key, item.value, item.etag, first_write, strong, ttl, is_json, _hints(bound, item)
    )


def _delete(bound: BoundStore, item: Item) -> Delete:
    if item.concurrency or item.consistency or bound.store.passes_on:
        return Delete(bound.prefix + item.key, item.etag, *_options(item), _hints(bound, item))
    return Delete(bound.prefix + item.key, item.etag)


def _hints(bound: BoundStore, item: Item) -> Hints | None:
    if not bound.store.passes_on:
        return None
    return Hints(dict(item.metadata), item.concurrency, item.consistency, item.content_type)


def _hinted(operation: Operation, metadata: Mapping[str, str]) -> Operation:
    """With the metadata of its whole transaction."""
    hints = msgspec.structs.replace(operation.hints or Hints(), of_all=dict(metadata))
    return msgspec.structs.replace(operation, hints=hints)


def _options(item: Item) -> tuple[bool, bool]:
    if item.concurrency not in _CONCURRENCY:
        raise StoreError(f"unrecognized concurrency model '{item.concurrency}'")
    if item.consistency not in _CONSISTENCY:
        raise StoreError(f"unrecognized consistency model '{item.consistency}'")
    return _CONCURRENCY[item.concurrency], _CONSISTENCY[item.consistency]


_Prepare = Callable[[BoundStore, Item], Operation]
_PREPARE: Final[Mapping[str, _Prepare]] = {UPSERT: _upsert, DELETE: _delete}


class _Failure(NamedTuple):
    key: str
    error: StoreError


class _Failures:
    """Those of one request: as many as an error has room for, and what it says of all. The rest would be garbage."""

    __slots__ = ("conflicts", "count", "first", "shown", "worst")

    def __init__(self, failed: Sequence[_Failure] = ()) -> None:
        self.count = 0
        self.shown: list[_Failure] = []
        self.conflicts = 0
        self.first: _Conflict | None = None
        self.worst: _Conflict | None = None
        self.add(failed)

    def add(self, failed: Sequence[_Failure]) -> None:
        self.count += len(failed)
        self.shown += failed[: MANY - len(self.shown)]
        for _, error in failed:
            if isinstance(error, _Conflict):
                self.conflicts += 1
                self.first = self.first or error
                if self.worst is None or (isinstance(error, EtagInvalid) and not isinstance(self.worst, EtagInvalid)):
                    self.worst = error


async def _write(
    bound: BoundStore, items: Sequence[Item], prepare: _Prepare, metrics: OperationMetrics
) -> _Failures | None:
    """Write what may be written; return what failed, in request order."""
    if not items:
        return None
    began = _now()
    if len(items) > MANY:
        failures = await _write_in_parts(bound, items, prepare)
    else:
        operations, refused = _operations(bound, items, prepare)
        try:
            outcomes = await bound.store.write(operations) if operations else []
        except StoreError as error:
            outcomes = [untraced(error)] * len(operations)
        failed = _failures_of(items, refused, outcomes)
        failures = _Failures(failed) if failed else None
    if failures:
        metrics.failed(bound.name, began, failures.shown[0].error)
    else:
        metrics.done(bound.name, began)
    return failures


async def _write_in_parts(bound: BoundStore, items: Sequence[Item], prepare: _Prepare) -> _Failures | None:
    """As many at a time as hold nobody up."""
    failures = _Failures()
    work = Work()
    with bound.store.in_parts() as store:
        for first in range(0, len(items), MANY):
            part = items[first : first + MANY]
            operations, refused = _operations(bound, part, prepare)
            try:
                outcomes = await store.write(operations) if operations else []
            except StoreError as error:
                outcomes = [untraced(error)] * len(operations)
            failed = _failures_of(part, refused, outcomes)
            failures.add(failed)
            if len(failed) == len(part) and all(each.error is failed[0].error for each in failed):
                # the store as a whole: it is not asked for the rest, as it may take its time to fail
                failures.count += len(items) - first - len(part)
                break
            await work.pause()
    return failures if failures.count else None


def _operations(
    bound: BoundStore, items: Sequence[Item], prepare: _Prepare
) -> tuple[list[Operation], dict[int, StoreError]]:
    """What the items ask for, and why some may not, by place: their siblings are written all the same."""
    try:
        return [prepare(bound, item) for item in items], {}
    except StoreError:
        pass
    operations: list[Operation] = []
    refused: dict[int, StoreError] = {}
    for place, item in enumerate(items):
        try:
            operations.append(prepare(bound, item))
        except StoreError as error:
            refused[place] = untraced(error)
    return operations, refused


def _failures_of(items: Sequence[Item], refused: Mapping[int, StoreError], outcomes: Outcomes) -> list[_Failure]:
    if not refused and not any(outcomes):
        return []  # the usual way, without a look at each item
    remaining = iter(outcomes)
    settled = (refused.get(place) or next(remaining) for place in range(len(items)))
    return [_Failure(item.key, error) for item, error in zip(items, settled, strict=True) if error is not None]


def row_for(row: errors.ErrorRow, error: StoreError) -> errors.ErrorRow:
    """The same error where the store's reason is of a kind that has statuses of its own."""
    if isinstance(error, EtagMismatch):
        return row.conflict()
    if isinstance(error, EtagInvalid):
        return row.invalid()
    if isinstance(error, OwnStatus):
        return row.own(error.http, error.grpc, error.grpc_text, error.info)
    return row


def _row_of_bulk_get(error: StoreError) -> errors.ErrorRow:
    if isinstance(error, Late):
        return errors.STATE_BULK_GET_LATE
    return errors.STATE_BULK_GET_REFUSED if isinstance(error, Refused) else row_for(errors.STATE_BULK_GET, error)


def _failed(row: errors.ErrorRow, failures: _Failures, *, of: int, **fields: str) -> errors.DaprError:
    """Make the one error for a request `of` many items: its kind, and who of them failed (state-api.md 1.4)."""
    shown, first, worst = failures.shown, failures.first, failures.worst
    if failures.count == of and all(each.error is shown[0].error for each in shown):  # one, or of the call as a whole
        failure = shown[0]
        return row_for(row, failure.error)(cause=failure.error, http_cause=failure.error, **fields)
    text = _listed(shown, len(shown) if failures.count == of else of)
    if first is None or worst is None:
        return row(cause=text, http_cause=text, **fields)
    if failures.conflicts < failures.count:  # over HTTP daprd shows the first conflict only
        return row_for(row, first)(cause=text, http_cause=first, **fields)
    text = f"{worst.PREFIX}: {text}"
    return row_for(row, worst)(cause=text, http_cause=text, **fields)


def _listed(failures: Sequence[_Failure], of: int) -> str:
    """One line for each reason, with the keys that it holds for, unless it names them itself or holds for all."""
    reasons: dict[str, list[str]] = {}
    for key, error in failures:
        reasons.setdefault(str(error), []).append(key)
    return "\n".join(
        reason if len(named) == of or named[0] in reason else f"{reason} (key {', '.join(named)})"
        for reason, named in reasons.items()
    )
