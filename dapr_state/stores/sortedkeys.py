"""A set of keys that can be read in their order, a page at a time.

Keys stand in sorted parts of some hundreds: adding or removing one costs two bisections and copies a kilobyte, whatever
the number of keys, and nothing is ever sorted as a whole. The parts are tuples, for the garbage collector walks through
lists: a million keys took it 45 ms.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

_PART_AT_MOST: Final = 128  # keys: an insertion copies no more than these


K = TypeVar("K", int, str, tuple[str, ...])


class SortedKeys(Generic[K]):
    def __init__(self) -> None:
        self._parts: list[tuple[K, ...]] = []  # none is empty
        self._ends: list[K] = []  # the last key of each part

    def __repr__(self) -> str:
        return f"<SortedKeys in {len(self._parts)} parts>"

    def __iter__(self) -> Iterator[K]:
        """In their order; nobody may add or discard one meanwhile."""
        return chain.from_iterable(self._parts)

    @property
    def first(self) -> K | None:
        return self._parts[0][0] if self._parts else None

    def add(self, key: K) -> None:
        """A key that may be there already."""
        if not self._parts:
            self._parts.append((key,))
            self._ends.append(key)
            return
        at = min(bisect_left(self._ends, key), len(self._parts) - 1)
        part = self._parts[at]
        place = bisect_left(part, key)
        if part[place : place + 1] == (key,):
            return
        part = self._parts[at] = part[:place] + (key,) + part[place:]  # noqa: RUF005 - half of the time
        if len(part) > _PART_AT_MOST:
            half = len(part) // 2
            self._parts[at : at + 1] = [part[:half], part[half:]]
            self._ends.insert(at, part[half - 1])
            at += 1
        self._ends[at] = self._parts[at][-1]

    def discard(self, key: K) -> None:
        """A key that may not be there."""
        at = bisect_left(self._ends, key)
        if at == len(self._parts):
            return
        part = self._parts[at]
        place = bisect_left(part, key)
        if part[place] != key:
            return
        if len(part) > 1:
            part = self._parts[at] = part[:place] + part[place + 1 :]
            self._ends[at] = part[-1]
        else:
            del self._parts[at], self._ends[at]

    def page(self, least: K, count: int, *, beyond: bool) -> list[K]:
        """So many keys in order, from `least` on; `beyond` it, if that is asked."""
        bisect = bisect_right if beyond else bisect_left
        at = bisect(self._ends, least)
        found: list[K] = []
        for part in islice(self._parts, at, None):
            start = 0 if found else bisect(part, least)
            found += part[start : start + count - len(found)]
            if len(found) >= count:
                break
        return found

    def page_back(self, end: K | None, count: int) -> list[K]:
        """So many keys before `end` (None: all of them), the last first."""
        at = len(self._parts) - 1
        if end is not None:
            at = min(at, bisect_left(self._ends, end))
        found: list[K] = []
        while at >= 0 and len(found) < count:
            part = self._parts[at]
            stop = len(part) if end is None else bisect_left(part, end)
            found += reversed(part[max(0, stop - count + len(found)) : stop])
            at -= 1
        return found
