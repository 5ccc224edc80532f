"""Which keys expire when, so that those that are due are found without a look at the others.

Keys stand in buckets, one for each second in which some end. A key that is written again moves to another bucket: what
was overwritten leaves nothing behind.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from dapr_state.stores.sortedkeys import SortedKeys

if TYPE_CHECKING:
    from collections.abc import Iterable


class Expiries(dict[str, int]):
    """The second of each key: a dict, as most writes ask whether theirs is in it."""

    def __init__(self) -> None:
        super().__init__()
        # by second; none is empty. A dict that holds texts only is not walked by the garbage collector, a set is
        self._buckets: dict[int, dict[str, None]] = {}
        self._seconds: SortedKeys[int] = SortedKeys()  # of the buckets

    def __repr__(self) -> str:
        return f"<Expiries of {len(self)} keys in {len(self._buckets)} buckets>"

    def has_none_of(self, keys: Iterable[str]) -> bool:
        return self.keys().isdisjoint(keys)

    def put(self, key: str, expires_at: float) -> None:
        """Note when the key expires, in place of what was noted before."""
        second = math.ceil(expires_at)
        if (before := self.get(key)) is not None:
            if before == second:
                return
            self._leave(key, before)
        self[key] = second
        bucket = self._buckets.get(second)
        if bucket is None:
            self._buckets[second] = {key: None}
            self._seconds.add(second)
        else:
            bucket[key] = None

    def discard(self, key: str) -> None:
        """A key that may not be there."""
        if (second := self.pop(key, None)) is not None:
            self._leave(key, second)

    def take_due(self, now: float, count: int) -> list[str]:
        """Forget some keys that have expired, at most so many of them."""
        taken: list[str] = []
        while len(taken) < count and (second := self._seconds.first) is not None and second <= now:
            bucket = self._buckets[second]
            for _ in range(min(count - len(taken), len(bucket))):
                key, _ = bucket.popitem()
                del self[key]
                taken.append(key)
            self._drop_if_empty(second)
        return taken

    def _leave(self, key: str, second: int) -> None:
        del self._buckets[second][key]
        self._drop_if_empty(second)

    def _drop_if_empty(self, second: int) -> None:
        if not self._buckets[second]:
            del self._buckets[second]
            self._seconds.discard(second)
