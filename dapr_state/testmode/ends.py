"""When keys end: in rows by the hash of the key, so that a change saves few others with it, and in order of time."""

from __future__ import annotations

import json
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ROWS: Final = 256  # all are read at a start; of 100,000 keys one has 400, some 30 KB
SLACK: Final = 1000  # entries of what was overwritten, beside as many as there are keys


class Ends:
    """The end of each key in nanoseconds since 1970; None: it has none, and is known to be there."""

    def __init__(self) -> None:
        self._rows: list[dict[str, int | None]] = [{} for _ in range(ROWS)]
        self._count = 0
        self._by_time: list[tuple[int, str]] = []  # a heap; an entry counts only if it is the key's end still

    def __repr__(self) -> str:
        return f"<Ends of {self._count} keys>"

    @staticmethod
    def rows_of(keys: Iterable[str]) -> Sequence[int]:
        """The numbers of the rows in which these keys are, sorted."""
        return sorted({_row_of(key) for key in keys})

    def get(self, key: str) -> int | None:
        return self._rows[_row_of(key)].get(key)

    def keys(self, prefix: str, rows: Iterable[int] = range(ROWS)) -> Sequence[str]:
        """Those that begin so."""
        return [key for number in rows for key in self._rows[number] if key.startswith(prefix)]

    def filled(self) -> Sequence[int]:
        """The numbers of the rows that hold any."""
        return [number for number, row in enumerate(self._rows) if row]

    def put(self, key: str, end: int | None) -> None:
        row = self._rows[_row_of(key)]
        self._count += key not in row
        row[key] = end
        if end is not None:
            self.remember(key, end)

    def discard(self, key: str) -> None:
        row = self._rows[_row_of(key)]
        self._count -= key in row
        row.pop(key, None)

    def remember(self, key: str, end: int) -> None:
        """That it is to be taken when that moment has come."""
        heappush(self._by_time, (end, key))
        if len(self._by_time) > 2 * self._count + SLACK:
            self._by_time = [(end, key) for row in self._rows for key, end in row.items() if end is not None]
            heapify(self._by_time)

    def is_due(self, now: int) -> bool:
        """Whether there may be any that has ended."""
        return bool(self._by_time) and self._by_time[0][0] <= now

    def take_due(self, now: int, count: int) -> Mapping[str, int]:
        """Some of the keys that have ended, at most so many, with their ends: whoever takes them removes them."""
        taken: dict[str, int] = {}
        while len(taken) < count and self._by_time and self._by_time[0][0] <= now:
            end, key = heappop(self._by_time)
            if self.get(key) == end:
                taken[key] = end
        return taken

    def written(self, number: int, more: Mapping[str, int | None]) -> bytes:
        """A row as it is kept in the store, with these ends of its keys in the place of their own; b"": it is empty."""
        ends = self._rows[number] | {key: end for key, end in more.items() if _row_of(key) == number}
        return json.dumps(ends).encode() if ends else b""

    def read(self, row: bytes) -> None:
        """What `written` gave."""
        for key, end in json.loads(row).items():
            self.put(key, end)


def _row_of(key: str) -> int:
    return crc32(key.encode(errors="surrogatepass")) % ROWS
