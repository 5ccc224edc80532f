"""The contract of every store: what each call promises, and the errors that a store may raise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias

import msgspec

from dapr_state.errors import shortened
from dapr_state.query import scan
from dapr_state.slices import Work
from dapr_state.stores.model import Delete, Feature, StoredValue, Upsert
from dapr_state.stores.ttl import TtlRule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dapr_state.clock import VisibleClock
    from dapr_state.errors import ErrorInfo
    from dapr_state.query.budget import QueryBudget
    from dapr_state.query.scan import Matches, Position
    from dapr_state.query.tree import Condition, Query
    from dapr_state.stores.model import Operation


AT_A_STEP: Final = 1000  # keys that are counted or removed before others have their turn: some milliseconds
SERVERS_FAULT: Final = 500  # and above: statuses of HTTP that are not the caller's doing


class StoreError(Exception):
    """The store could not do it; the text is the reason in the store's own words, and never holds a value.

    What it quotes may be megabytes: no more is kept of it than anybody is told. Whether it happened is not known,
    unless its class says so.
    """

    is_undone: ClassVar[bool] = False  # it has certainly not happened, and will not
    is_final: ClassVar[bool] = False  # it is about what was asked, or a row: asked again, it would be the same

    def __init__(self, text: str = "") -> None:
        super().__init__(shortened(text))


class NotDone(StoreError):
    """The store could not do it, and nothing of it has happened."""

    is_undone = True


class Unfit(NotDone):
    """What was asked for cannot be, on whichever day; or there is a row that cannot be read."""

    is_final = True


class Late(StoreError):
    """The store has not answered within the time that a policy gives it."""

    def __init__(self) -> None:
        super().__init__("context deadline exceeded")


class Refused(NotDone):
    """A circuit breaker lets nothing through."""


class EtagMismatch(StoreError):
    """The row is not at the version that the caller gave. Build it with one of the three causes."""

    PREFIX = "possible etag mismatch. error from state store"
    is_undone = is_final = True

    def __init__(self, cause: str) -> None:
        super().__init__(f"{self.PREFIX}: {cause}")

    @classmethod
    def stale(cls, key: str, current: str, given: str) -> EtagMismatch:
        return cls(f"state etag not match for key={key}: current={current}, expect={given}")

    @classmethod
    def missing(cls, key: str) -> EtagMismatch:
        return cls(f"state not exist or expired for key={key}")

    @classmethod
    def exists(cls, key: str) -> EtagMismatch:
        return cls(f"item already exists and no etag was passed for key={key}")


class EtagInvalid(StoreError):
    """The given etag is of a form that this store never makes."""

    PREFIX = "invalid etag value"
    is_undone = is_final = True

    def __init__(self, cause: str) -> None:
        super().__init__(f"{self.PREFIX}: {cause}")


class OwnStatus(StoreError):
    """A pluggable component says itself what callers are given: both statuses, and over gRPC text and detail."""

    def __init__(self, text: str, *, http: int, grpc: int, grpc_text: str, info: ErrorInfo, tag: str = "") -> None:
        super().__init__(text)
        self.http = http
        self.grpc = grpc
        self.is_final = http < SERVERS_FAULT  # type: ignore[misc]  # each has its own
        self.grpc_text = grpc_text
        self.info = info
        self.tag = tag  # the code over HTTP, of the calls where it is its own


class Unsupported(Unfit):
    """The store lacks the feature that the call belongs to."""

    def __init__(self, feature: Feature) -> None:
        super().__init__(f"the store does not support {feature}")


class Entry(msgspec.Struct, frozen=True):
    """A key that a list has found, with what it holds, or why that cannot be read."""

    key: str
    row: StoredValue | StoreError


class Page(msgspec.Struct, frozen=True):
    """Some entries of a list; `after` asks for those that follow, and is "" when there are none."""

    entries: list[Entry]
    after: str = ""


class KeyRow(msgspec.Struct, frozen=True, gc=False):
    """A key that a list has found, without its value."""

    key: str
    etag: str = ""
    expires_at: float | None = None
    size: int | None = None  # octets of the value; None if that was not asked for, or cannot be told
    error: str = ""  # why the row cannot be read


class KeyPage(msgspec.Struct, frozen=True):
    """As Page."""

    rows: list[KeyRow]
    after: str = ""


class Count(msgspec.Struct, frozen=True, gc=False):
    """How many keys one step of a count has met; `after` asks for the next step, and is "" behind the last."""

    keys: int
    size: int = 0  # octets of their values, if that was asked
    after: str = ""


# a store has a method named list, which would hide the type's name from what stands in its class
Found: TypeAlias = list[StoredValue | StoreError | None]
Outcomes: TypeAlias = list[StoreError | None]


def conflict(operation: Operation, current: str | None) -> EtagMismatch | None:
    """Why `operation` may not happen on a row whose etag is `current` (None = there is no row), or None if it may."""
    if operation.etag:
        if current is None:
            return EtagMismatch.missing(operation.key)
        if current != operation.etag:
            return EtagMismatch.stale(operation.key, current, operation.etag)
        return None
    if current is not None and operation.first_write and isinstance(operation, Upsert):
        return EtagMismatch.exists(operation.key)
    return None


def _without_value(entry: Entry, *, sizes: bool) -> KeyRow:
    row = entry.row
    if isinstance(row, StoreError):
        return KeyRow(entry.key, error=str(row))
    return KeyRow(entry.key, row.etag, row.expires_at, len(row.value) if sizes else None)


async def _shown(rows: Sequence[KeyRow], prefix: str, hidden: str) -> Sequence[KeyRow]:
    """Those that have `hidden` nowhere behind the prefix: keys may be megabytes."""
    if not hidden:
        return rows
    shown, work = list[KeyRow](), Work()
    for row in rows:
        if row.key.find(hidden, len(prefix)) < 0:
            shown.append(row)
        if work.is_over():
            await work.pause()
    return shown


class StateStore(ABC):
    """Keys and values as bytes, with versions (etags) and expiry.

    The API hands over keys that already carry their prefix, and operations whose options and TTL were checked.
    Every call may run beside every other on the same event loop; a call that is cancelled may or may not have
    happened, but never by half. Every method raises StoreError when the store itself fails (down, timed out,
    full); then nothing of the call may be assumed, except for `transact`, which leaves no trace.
    Each call is one round trip to the store, whatever its number of keys.
    """

    features: tuple[Feature, ...]
    ttl_rule: TtlRule = TtlRule()
    max_transaction_size: int | None = None
    is_encrypted: bool = False  # what is kept is not what was handed over
    passes_on: bool = False  # to a component of its own mind: hints, and queries with their tokens and metadata
    told: tuple[str, ...] = ()  # capabilities in the words of the store itself; () = those that its type is known for

    @property
    def unencrypted(self) -> StateStore:
        """The store that keeps values as they are handed over: itself, or what an encrypting one writes to."""
        return self

    @property
    def bare(self) -> StateStore:
        """The store that talks to its server, without anything that stands before it."""
        return self

    @abstractmethod
    async def open(self) -> None:
        """Connect and bring the layout up to date. Called once, before all else."""

    @abstractmethod
    async def close(self) -> None:
        """Finish what is under way, then let go of every connection and file. Later calls raise StoreError."""

    def follow(self, clock: VisibleClock) -> bool:  # noqa: ARG002
        """Keep time by a clock that a test may move, from `open` on; False if it is its server's that counts."""
        return False

    async def expire(self, prefix: str) -> int:  # noqa: ARG002
        """Of a store that follows such a clock: remove the keys with this prefix that have expired; how many."""
        return 0

    @abstractmethod
    async def ping(self) -> None:
        """Ask the store whether it is there."""

    async def reach(self) -> None:
        """Ask, in the place of `open`, whether it could be opened. A store whose `open` writes does it without.

        What was opened for it is closed again, or by `close` when it fails.
        """
        await self.open()
        await self.ping()
        await self.close()

    @abstractmethod
    async def get(self, keys: Sequence[str]) -> Found:
        """One entry per key, in the order of `keys`, duplicates included; None for a key that is missing or expired.

        A row that cannot be read gives its StoreError in its place and leaves the other entries as they are.
        """

    @abstractmethod
    async def write(self, operations: Sequence[Operation]) -> Outcomes:
        """Apply independent operations in their order; one entry each: None when it is durable, else why it is not."""

    @abstractmethod
    async def transact(self, operations: Sequence[Operation]) -> None:
        """Apply all operations in their order, or none: the first that fails is raised and nothing is changed.

        Each operation sees what those before it did, as in a SQL transaction.
        """

    @contextmanager
    def in_parts(self) -> Iterator[StateStore]:
        """What takes the parts of one call of a caller, whose items are more than are asked for at once."""
        yield self

    def together(self, prefix: str) -> str:
        """How keys begin that a transaction may hold together, in the place of `prefix`, which is what they share."""
        return prefix

    async def list(self, prefix: str, *, after: str = "", limit: int) -> Page:  # noqa: ARG002
        """The live rows whose keys begin with `prefix`: at most `limit` of them, and at most a page's worth of octets.

        Go on with the page's `after`, which means something to this store and prefix alone; another one is refused.
        A page may hold fewer entries than asked for, even none, while there are more: only `after` tells. A row that
        does not change while its pages are read comes; one that does may come or not. Memory and SQL stores list in
        the order of keys (as code points), and each of them once. Redis has no order: a row may come on several pages,
        and who must not meet it twice keeps the keys that he has met.
        """
        raise Unsupported(Feature.LIST)

    def list_behind(self, key: str) -> str | None:  # noqa: ARG002
        """The token of a list that goes on behind a key; None if the store does not list in the order of keys."""
        return None

    async def keys(
        self, prefix: str, *, after: str = "", limit: int, reverse: bool = False, sizes: bool = False
    ) -> KeyPage:
        """As `list`, but the rows without their values: `sizes` asks how long these are.

        A store that lists in order does so backwards as well, and goes on behind `paging.token_beyond(group)`, too.
        """
        if reverse:
            raise Unsupported(Feature.ORDER)
        page = await self.list(prefix, after=after, limit=limit)
        return KeyPage([_without_value(entry, sizes=sizes) for entry in page.entries], page.after)

    async def count(self, prefix: str, *, after: str = "", hidden: str = "", sizes: bool = False) -> Count:
        """One step, of some milliseconds, of counting the keys that begin with `prefix`.

        Those that have `hidden` somewhere behind it do not count.
        """
        page = await self.keys(prefix, after=after, limit=AT_A_STEP, sizes=sizes)
        rows = await _shown(page.rows, prefix, hidden)
        return Count(len(rows), sum(row.size or 0 for row in rows) if sizes else 0, page.after)

    async def remove(self, prefix: str, *, after: str = "", hidden: str = "") -> Count:
        """One step of removing the keys that begin with `prefix`, but for those that are `hidden`: each by itself.

        Raises StoreError for the first that is not removed.
        """
        page = await self.keys(prefix, after=after, limit=AT_A_STEP)
        gone = [Delete(row.key) for row in await _shown(page.rows, prefix, hidden)]
        for refusal in filter(None, await self.write(gone) if gone else ()):
            raise refusal
        return Count(len(gone), 0, page.after)

    async def touch(self, key: str, ttl: int | None, *, etag: str = "") -> None:  # noqa: ARG002
        """Let a row live for so many seconds from now, or for ever; value and etag stay.

        Raises EtagMismatch if there is none, or not at this version.
        """
        raise Unsupported(Feature.TOUCH)

    async def candidates(self, prefix: str, condition: Condition) -> Sequence[str] | None:  # noqa: ARG002
        """Keys among which are all whose rows match, or cannot be read; None where the store knows no better than all.

        It may be the keys of rows that do not match, and of rows that are gone.
        """
        return None

    async def query(self, prefix: str, query: Query, *, after: Position | None = None, budget: QueryBudget) -> Matches:
        """The first rows behind `after` that match, in the query's order, of those whose keys begin with `prefix`.

        What a query means is in docs/query.md. Rows of actors and of other applications do not count; those that
        cannot be read do. Raises QueryError when there is no room for what was found.
        """
        if Feature.QUERY not in self.features:
            raise Unsupported(Feature.QUERY)
        return await scan.run(self, prefix, query, after, budget)
