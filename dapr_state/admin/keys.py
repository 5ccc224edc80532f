"""Lists of keys: pages of one space, in which keys with a common beginning may become a group.

What is no key of the space is passed over: where the store has an order, with all that begin as it does. So a page
costs the same whether an application has ten actors or a million.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from dapr_state import errors
from dapr_state.clock import WAITING
from dapr_state.slices import Work
from dapr_state.stores import paging
from dapr_state.stores.model import Feature

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dapr_state.admin.spaces import Space
    from dapr_state.stores.base import KeyRow

SCAN: Final = 10_000  # keys that are looked at for one page: 50 ms of a store, in steps
GROUPS_BUDGET: Final = 0.1  # seconds of a page for counting groups: of others it is told that they are there
MORE: Final = 4  # times as many keys are asked for as before, while none is passed over
GROUP_COUNTED: Final = 1000  # keys of a group; of more it is told that they are more


class Wish(NamedTuple):
    """What a caller wants to see."""

    prefix: str
    size: int
    after: str = ""
    reverse: bool = False
    sizes: bool = False
    delimiter: str = ""
    scan: int = SCAN


class Row(NamedTuple):
    key: str  # as it is shown
    row: KeyRow


class Group(NamedTuple):
    prefix: str
    size: int
    at_least: bool


class Found(NamedTuple):
    things: list[Row | Group]
    after: str
    scanned: int


class Step(NamedTuple):
    """As Count of a store."""

    keys: int
    after: str


async def page(space: Space, wish: Wish) -> Found:
    """The next things of the list; there may be fewer than wished for, even none, while there are more."""
    making, work = _Page(space, wish), Work()
    prefix, after, scanned, octets = space.stored(wish.prefix), wish.after, 0, 0
    behind = space.store.list_behind
    at_once = wish.size  # few behind keys that are passed over: the next ones may be, too
    while len(making.things) < wish.size and scanned < wish.scan and octets <= paging.OCTETS_AT_MOST:
        limit = min(wish.size - len(making.things), at_once, paging.ENTRIES_AT_MOST)
        at_once *= MORE
        found = await space.store.keys(prefix, after=after, limit=limit, reverse=wish.reverse, sizes=wish.sizes)
        after = found.after
        for row in found.rows:
            scanned, octets = scanned + 1, octets + len(row.key)
            if beyond := await making.add(row):
                after, at_once = paging.token_beyond(beyond), 1
                break
            if octets > paging.OCTETS_AT_MOST and row is not found.rows[-1] and (rest := behind(row.key)):
                after = rest
                break
            if work.is_over():
                await work.pause()
        if not after:
            break
        if work.is_over():
            await work.pause()
    return Found(making.told(), after, scanned)


class _Page:
    """A page that is being made."""

    def __init__(self, space: Space, wish: Wish) -> None:
        self.things: list[Row | Group] = []
        self._space = space
        self._wish = wish
        self._is_ordered = Feature.ORDER in space.store.features
        self._until = WAITING.monotonic() + GROUPS_BUDGET
        self._groups: dict[str, int] = {}  # without an order: keys of each, as far as this page has met them

    async def add(self, row: KeyRow) -> str:
        """Take the row for what it is; how those begin that are passed over with it, "" if none are."""
        key = self._space.shown(row.key)
        if key is None:
            return self._space.foreign(row.key) if self._is_ordered else ""
        if not self._wish.delimiter:
            self.things.append(Row(key, row))
            return ""
        head, delimiter, _ = key[len(self._wish.prefix) :].partition(self._wish.delimiter)
        if not delimiter:
            self.things.append(Row(key, row))
            return ""
        prefix = self._wish.prefix + head + delimiter
        if self._is_ordered:
            is_in_time = WAITING.monotonic() < self._until
            self.things.append(await _group(self._space, prefix) if is_in_time else Group(prefix, 1, at_least=True))
            return self._space.stored(prefix)
        if prefix not in self._groups:
            self.things.append(Group(prefix, 0, at_least=True))
        self._groups[prefix] = self._groups.get(prefix, 0) + 1
        return ""

    def told(self) -> list[Row | Group]:
        """Groups of a store without an order with as many keys as there were here."""
        if not self._groups:
            return self.things
        return [
            each._replace(size=self._groups[each.prefix]) if isinstance(each, Group) else each for each in self.things
        ]


async def _group(space: Space, prefix: str) -> Group:
    found = await space.store.keys(space.stored(prefix), limit=GROUP_COUNTED)
    count = sum(space.shown(row.key) is not None for row in found.rows)
    return Group(prefix, count, at_least=bool(found.after))


async def rows(space: Space, wish: Wish) -> AsyncIterator[list[Row]]:
    """All keys that a list has, a page at a time."""
    after = wish.after
    while True:
        found = await page(space, wish._replace(after=after))
        yield [each for each in found.things if isinstance(each, Row)]
        after = found.after
        if not after:
            return


def check(space: Space, store: str, *features: Feature) -> None:
    """Raise unless the store has them."""
    for feature in features:
        if feature not in space.store.features:
            raise errors.ADMIN_NOT_SUPPORTED(store=store, feature=feature)
