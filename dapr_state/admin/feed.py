"""The writes of this sidecar, numbered, for whoever watches: one feed for all stores, and none while nobody does.

Rules that a change must keep:
1. A write is numbered once it is done, in the order in which its key was written; writers never wait for watchers.
2. What the ring holds is bounded in changes and in octets, whoever watches: a watcher has a place in it, and no queue.
   One whose place has gone from it is told so.
3. Between two epochs something may have been missed; within one, nothing is.
"""

from __future__ import annotations

import asyncio
import os
import re
from bisect import bisect_right
from collections import deque
from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from dapr_state.clock import VISIBLE, WAITING
from dapr_state.stores.expiries import Expiries
from dapr_state.stores.model import Upsert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dapr_state.stores.model import Operation

    Watch = Callable[[str, Sequence[Operation], str], None]

CHANGES_AT_MOST: Final = 10_000  # in the ring: a page that was away for a while goes on where it was
OCTETS_AT_MOST: Final = 16 << 20  # of keys and values in it
OVERHEAD: Final = 300  # octets of a change besides
LINGER: Final = 60.0  # seconds without a watcher: one who comes back until then has missed nothing
WATCHERS_AT_MOST: Final = 64  # each is woken by every write
MORTALS_AT_MOST: Final = 10_000  # rows with an end that are remembered, to tell of it
SWEEP: Final = 1.0  # seconds between two looks at what has expired, as stores sweep

_NUMBER: Final = re.compile("[0-9]{1,20}")  # of a change

SAVED, DELETED, EXPIRED = "SAVED", "DELETED", "EXPIRED"


class Change(msgspec.Struct, frozen=True, gc=False):
    number: int
    store: str
    key: str
    kind: str
    value: bytes | None
    at: float  # unix seconds
    expires_at: float | None
    transaction: str


class CrowdedError(Exception):
    """There are too many watchers."""


class Place(NamedTuple):
    """Where a watcher is: behind this number of an epoch."""

    epoch: str
    number: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.number}"

    @classmethod
    def of(cls, text: str) -> Place | None:
        epoch, _, number = text.partition(".")
        return cls(epoch, int(number)) if _NUMBER.fullmatch(number) else None


class Feed:
    """`watching` while somebody does; `since` gives what is behind a place."""

    def __init__(self, watch: Callable[[Watch | None], None]) -> None:
        """`watch` has all writes told, or none."""
        self._watch = watch
        self._ring: deque[Change] = deque()
        self._octets = 0
        self._number = 0
        self._epoch = ""
        self._watchers: set[asyncio.Event] = set()
        self._mortal = Expiries()
        self._sweeper: asyncio.Task[None] | None = None
        self._end: asyncio.TimerHandle | None = None
        self.is_closed = False

    def __repr__(self) -> str:
        return f"<Feed {self.place}, {len(self._ring)} changes, {len(self._watchers)} watchers>"

    @property
    def is_on(self) -> bool:
        return bool(self._epoch)

    @property
    def place(self) -> Place:
        """Behind all that has happened."""
        return Place(self._epoch, self._number)

    @contextmanager
    def watching(self) -> Iterator[asyncio.Event]:
        """An event that is set when something is new, or the feed is closed."""
        if len(self._watchers) >= WATCHERS_AT_MOST:
            raise CrowdedError
        if self._end:
            self._end.cancel()
            self._end = None
        if not self.is_on:
            self._begin()
        news = asyncio.Event()
        self._watchers.add(news)
        try:
            yield news
        finally:
            self._watchers.discard(news)
            if not self._watchers:
                self._end = WAITING.call_later(LINGER, self._stop)

    def close(self) -> None:
        """End all watching: the sidecar stops."""
        self.is_closed = True
        if self._end:
            self._end.cancel()
        if self.is_on:
            self._stop()
        self._wake()

    def has(self, place: Place) -> bool:
        """Whether all that is behind it is known still."""
        first = self._ring[0].number if self._ring else self._number + 1
        return place.epoch == self._epoch and first - 1 <= place.number <= self._number

    def since(self, place: Place, at_most: int, octets: int) -> list[Change]:
        """The next changes behind a place that it has: so many, or as many as have these octets, and one at least."""
        found = self._behind(place, at_most)
        room = accumulate(_weight(change) for change in found)
        return found[: max(1, bisect_right(list(room), octets))]

    def _behind(self, place: Place, at_most: int) -> list[Change]:
        first = self._ring[0].number if self._ring else self._number + 1
        start = place.number + 1 - first
        if start > len(self._ring) // 2:  # from the end that is nearer: a deque walks
            last = [self._ring[at] for at in range(start - len(self._ring), 0)]
            return last[:at_most]
        return [self._ring[at] for at in range(start, min(start + at_most, len(self._ring)))]

    def expect(self, store: str, key: str, expires_at: float) -> None:
        """It will go then, if nobody writes it before."""
        if len(self._mortal) < MORTALS_AT_MOST:
            self._mortal.put(_together(store, key), expires_at)

    def _begin(self) -> None:
        self._epoch = os.urandom(4).hex()
        self._watch(self._written)
        self._sweeper = asyncio.create_task(self._sweep_for_ever())

    def _stop(self) -> None:
        self._end = None
        self._epoch = ""
        self._watch(None)
        self._ring.clear()
        self._octets = 0
        self._mortal = Expiries()
        if self._sweeper:
            self._sweeper.cancel()

    def _written(self, store: str, operations: Sequence[Operation], transaction: str) -> None:
        if not self.is_on:  # a write that was under way when the last watcher went
            return
        now = VISIBLE.now()
        for operation in operations:
            key = operation.key
            self._mortal.discard(_together(store, key))
            if isinstance(operation, Upsert):
                expires_at = None if operation.ttl is None else now + operation.ttl
                if expires_at is not None:
                    self.expect(store, key, expires_at)
                self._add(store, key, SAVED, operation.value, now, expires_at, transaction)
            else:
                self._add(store, key, DELETED, None, now, None, transaction)
        self._wake()

    def _add(  # noqa: PLR0917  the fields of a change
        self,
        store: str,
        key: str,
        kind: str,
        value: bytes | None,
        at: float,
        expires_at: float | None,
        transaction: str,
    ) -> None:
        self._number += 1
        change = Change(self._number, store, key, kind, value, at, expires_at, transaction)
        self._ring.append(change)
        self._octets += _weight(change)
        while len(self._ring) > CHANGES_AT_MOST or (self._octets > OCTETS_AT_MOST and len(self._ring) > 1):
            self._octets -= _weight(self._ring.popleft())

    def _wake(self) -> None:
        for news in self._watchers:
            news.set()

    async def _sweep_for_ever(self) -> None:
        while True:
            await WAITING.sleep(SWEEP)
            now = VISIBLE.now()
            while due := self._mortal.take_due(now, 1000):
                for together in due:
                    store, _, key = together.partition("\0")
                    self._add(store, key, EXPIRED, None, now, None, "")
                self._wake()
                await asyncio.sleep(0)


def _weight(change: Change) -> int:
    return OVERHEAD + len(change.key) + len(change.value or b"")


def _together(store: str, key: str) -> str:
    return f"{store}\0{key}"
