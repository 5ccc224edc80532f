"""What stores, reminders and time were at a moment: kept in memory, to be brought back.

Rows are kept as they stand in their store, under a component's encryption. Their versions are new when they are back,
as after any write; a time to live is kept to the second.
"""

from __future__ import annotations

import json
import math
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from dapr_state import errors
from dapr_state.actors.reminder_store import SPACE
from dapr_state.stores.base import StoreError, Unsupported
from dapr_state.stores.model import Upsert

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dapr_state.actors.reminders import ReminderBackend
    from dapr_state.api.state import BoundStore
    from dapr_state.clock import VisibleClock
    from dapr_state.stores.base import Entry, StateStore

AT_MOST: Final = 100  # at one time: blocks that stand in each other
LARGEST: Final = 256 << 20  # octets of all, with WEIGHT for each row: tests arrange less
WEIGHT: Final = 200  # octets that a row takes beside its key and value
PAGE: Final = 1000  # rows that are read or written together: some milliseconds
SEPARATOR: Final = "||"


class Snapshot(Struct):
    """`moved` is by how much time was ahead of real time, `stood_at` where it stood, if it did."""

    id: str
    rows: Mapping[str, Sequence[Entry]]
    reminders: Sequence[Any]
    moved: int
    stood_at: int | None
    weight: int

    @property
    def keys(self) -> int:
        return sum(map(len, self.rows.values()))


class Snapshots:
    def __init__(self, clock: VisibleClock) -> None:
        self._clock = clock
        self._kept: dict[str, Snapshot] = {}
        self._numbers = count(1)

    def __repr__(self) -> str:
        return f"<Snapshots {', '.join(self._kept) or 'none'}>"

    async def take(
        self, stores: Mapping[str, BoundStore], prefixes: Mapping[str, Iterable[str]], reminders: ReminderBackend
    ) -> Snapshot:
        """Nothing is to be under way meanwhile."""
        if len(self._kept) >= AT_MOST:
            raise errors.TEST_SNAPSHOT(reason=f"there are {AT_MOST} snapshots already")
        rows: dict[str, list[Entry]] = {}
        weight = sum(each.weight for each in self._kept.values())
        for name, bound in stores.items():
            rows[name] = []
            async for page in _pages(bound, prefixes[name]):
                rows[name] += page
                weight += sum(WEIGHT + len(each.key) + len(each.row.value) for each in page)
                if weight > LARGEST:
                    raise errors.TEST_SNAPSHOT(reason=f"snapshots hold {LARGEST} octets at most")
        stood_at = self._clock.nanoseconds() if self._clock.is_frozen else None
        number = str(next(self._numbers))
        others = sum(each.weight for each in self._kept.values())
        taken = Snapshot(number, rows, await reminders.kept(), self._clock.moved, stood_at, weight - others)
        self._kept[number] = taken
        return taken

    def pop(self, name: str) -> Snapshot:
        """It, and those that were taken since are forgotten."""
        if name not in self._kept:
            raise errors.TEST_SNAPSHOT(reason=f"there is no snapshot {name} (any more)")
        taken = self._kept[name]
        self._kept = {each.id: each for each in self._kept.values() if int(each.id) < int(name)}
        return taken

    def clear(self) -> None:
        self._kept.clear()

    async def bring_back(self, taken: Snapshot, stores: Mapping[str, BoundStore], reminders: ReminderBackend) -> None:
        """Into stores that are empty; the clock is held meanwhile, and is held afterwards."""
        if taken.stood_at is None:
            self._clock.be_real()
            self._clock.hold()
            self._clock.move_ns(taken.moved)
        else:
            self._clock.hold()
            self._clock.move_ns(taken.stood_at - self._clock.nanoseconds())
        for name, entries in taken.rows.items():
            if name in stores:
                await self._write(stores[name].store.bare, entries)
        await reminders.put_back(taken.reminders)

    async def _write(self, store: StateStore, entries: Sequence[Entry]) -> None:
        now = self._clock.now()
        for begin in range(0, len(entries), PAGE):
            written = [_written(each, now) for each in entries[begin : begin + PAGE]]
            for refusal in filter(None, await store.write(written)):
                raise refusal


async def _pages(bound: BoundStore, prefixes: Iterable[str]) -> Any:
    """Its rows, each once, but for those of reminders, which have a form of their own."""
    store, met = bound.store.bare, set[str]()
    for prefix in prefixes:
        after = None
        while after != "":
            try:
                page = await store.list(prefix, after=after or "", limit=PAGE)
            except Unsupported as error:
                raise errors.TEST_SNAPSHOT(reason=f"{bound.name} cannot be kept: {error}") from error
            found = []
            for each in page.entries:
                if each.key in met or each.key.startswith(f"{prefix}{SPACE}{SEPARATOR}"):
                    continue
                if isinstance(each.row, StoreError):
                    raise each.row
                met.add(each.key)
                found.append(each)
            yield found
            after = page.after


def _written(entry: Entry, now: float) -> Upsert:
    row: Any = entry.row
    ttl = None if row.expires_at is None else max(1, math.ceil(row.expires_at - now))
    return Upsert(entry.key, row.value, ttl=ttl, is_json=_is_json(row.value))


def _is_json(value: bytes) -> bool:
    try:
        json.loads(value)
    except ValueError:
        return False
    return True
