"""A query answered by going through the rows of a store: whatever else a store does only spares it some of them.

A page is the first rows, in the order of the sort keys and then of the keys, behind the last row of the page before.
So what does not change meanwhile is on one page and no other, whatever comes and goes, and in whatever order a store
lists its rows. A row that cannot be read may be what is asked for: it is always among the results, as its error.
"""

from __future__ import annotations

from bisect import insort
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from dapr_state.query.documents import Paths, UnreadableDocumentError
from dapr_state.query.tree import SORTED_CHARACTERS, Nothing, compiled, directed, rank
from dapr_state.slices import Work

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from dapr_state.query.budget import QueryBudget
    from dapr_state.query.tree import Condition, Query, Rank, Scalar

AT_ONCE: Final = 1000  # rows that a store is asked for
OVERHEAD: Final = 512  # octets that a row costs beside its key, its value and what it is sorted by
GOT_AT_FIRST: Final = 8  # rows by their keys: it is not known how large they are
GOT_AT_MOST: Final = 256  # rows by their keys at a time: a millisecond
OCTETS_AT_ONCE: Final = 1 << 20  # of rows by their keys, if they are as large as those before
OF_OTHERS: Final = "||"  # in what is behind the prefix: the row is an actor's, or that of another application


class Row(Protocol):
    @property
    def value(self) -> bytes: ...
    @property
    def etag(self) -> str: ...


Outcome = Row | Exception


class Listed(Protocol):
    """A row, or why it cannot be read."""

    @property
    def key(self) -> str: ...
    @property
    def row(self) -> Outcome: ...


class Listing(Protocol):
    @property
    def entries(self) -> Sequence[Listed]: ...
    @property
    def after(self) -> str: ...


class Lister(Protocol):
    """What is asked of a store: see base.py."""

    async def list(self, prefix: str, *, after: str = "", limit: int) -> Listing: ...
    async def get(self, keys: Sequence[str]) -> Sequence[Outcome | None]: ...
    async def candidates(self, prefix: str, condition: Condition) -> Sequence[str] | None: ...
    def list_behind(self, key: str) -> str | None: ...


class Position(NamedTuple):
    """Where a page ended: what its last row is sorted by (see `tree.rank`), and its key."""

    ranks: tuple[tuple[int, bool | Scalar], ...]
    key: str


class Match(NamedTuple):
    """A row that is among the results; `sorted_by` and `key` come first because they compare."""

    sorted_by: Rank
    key: str
    row: Outcome
    ranks: tuple[tuple[int, bool | Scalar], ...]
    octets: int


class Matches(NamedTuple):
    found: list[Match]
    token: str = ""  # of who gives his own
    metadata: Mapping[str, str] = MappingProxyType({})  # of his answer

    @property
    def end(self) -> Position | None:
        """Where the next page begins, if there may be one."""
        return Position(self.found[-1].ranks, self.found[-1].key) if self.found else None


async def run(store: Lister, prefix: str, query: Query, after: Position | None, budget: QueryBudget) -> Matches:
    """The matches of a page, in order. Raises ResultTooLargeError, and what the store raises."""
    page = _Page(query, after, budget)
    start = after.key if after and not query.sort else ""
    in_order = not query.sort and store.list_behind(prefix) is not None
    work = Work()
    async for entries in _entries(store, prefix, query.condition, start):
        for key, row in entries:
            if key.find(OF_OTHERS, len(prefix)) < 0:
                await page.consider(key, row)
                if in_order and page.is_full:
                    return page.matches
            if work.is_over():
                await work.pause()
    return page.matches


async def _entries(
    store: Lister, prefix: str, condition: Condition | None, start: str
) -> AsyncIterator[list[tuple[str, Outcome]]]:
    """Some rows at a time, in the store's order, where it has one from `start` on; each that matches is among them."""
    keys = await store.candidates(prefix, condition) if condition else None
    if keys is not None:
        async for entries in _got(store, sorted(key for key in keys if key > start)):
            yield entries
        return
    after = (start and store.list_behind(start)) or ""
    while True:
        page = await store.list(prefix, after=after, limit=AT_ONCE)
        yield [(entry.key, entry.row) for entry in page.entries]
        after = page.after
        if not after:
            return


async def _got(store: Lister, keys: Sequence[str]) -> AsyncIterator[list[tuple[str, Outcome]]]:
    at, count = 0, GOT_AT_FIRST
    while at < len(keys):
        some = keys[at : at + count]
        rows = [(key, row) for key, row in zip(some, await store.get(some), strict=True) if row is not None]
        octets = sum(len(row.value) for _, row in rows if not isinstance(row, Exception))
        yield rows
        at += len(some)
        count = max(1, min(GOT_AT_MOST, OCTETS_AT_ONCE * len(some) // (octets + 1)))


class _Page:
    """The first matches of those that were considered, as many as are asked for."""

    def __init__(self, query: Query, after: Position | None, budget: QueryBudget) -> None:
        paths = query.paths()
        self._paths = Paths(paths)
        self._matches = compiled(query.condition, paths) if query.condition else None
        self._sort = query.sort
        self._places = [paths.index(key.path) for key in query.sort]
        self._limit = query.limit
        self._after = (directed(after.ranks, query.sort), after.key) if after else None  # type: ignore[arg-type]
        self._budget = budget
        self._found: list[Match] = []
        self._keys: set[str] = set()  # of those

    @property
    def is_full(self) -> bool:
        return 0 < self._limit <= len(self._found)

    @property
    def matches(self) -> Matches:
        return Matches(self._found)

    async def consider(self, key: str, row: Outcome) -> None:
        if key in self._keys:
            return  # a store without an order may tell a row twice; the rows that made room for the first are gone
        values: Sequence[Scalar] | None = None
        if not isinstance(row, Exception):
            try:
                values = await self._paths.of(row.value)
            except UnreadableDocumentError as error:
                row = error
        if values is not None and self._matches and not self._matches(values):
            return
        ranks = tuple(rank(Nothing.MISSING if values is None else values[place]) for place in self._places)
        sorted_by = directed(ranks, self._sort)
        if self._after and (sorted_by, key) <= self._after:
            return
        if self.is_full and (sorted_by, key) > self._found[-1][:2]:
            return
        octets = OVERHEAD + len(key) + (0 if isinstance(row, Exception) else len(row.value))
        octets += SORTED_CHARACTERS * len(ranks)
        match = Match(sorted_by, key, row, ranks, octets)
        if self.is_full:
            last = self._found.pop()
            self._keys.remove(last.key)
            self._budget.take(-last.octets)
        self._budget.take(octets)
        insort(self._found, match)
        self._keys.add(key)
