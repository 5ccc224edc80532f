"""What callers and answers say again and again, as their headers, is worked out once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")

ENTRIES: Final = 256  # of each: the clients and applications of a sidecar are few kinds; 1 MB at most
LONGEST: Final = 2048  # octets, about, of what is worth remembering


class Remembered(Generic[K, V]):
    """`make` depends on its key alone. What it raises is not remembered."""

    def __init__(self, make: Callable[[K], V], size: Callable[[K], int]) -> None:
        """`size` of a key, in octets."""
        self._make = make
        self._size = size
        self._known: dict[K, V] = {}

    def __repr__(self) -> str:
        return f"<Remembered {len(self._known)} of {self._make.__name__}>"

    def of(self, key: K) -> V:
        found = self._known.get(key)
        if found is None:
            found = self._make(key)
            if self._size(key) <= LONGEST:
                if len(self._known) >= ENTRIES:
                    self._known.clear()
                self._known[key] = found
        return found


def octets_of(headers: tuple[tuple[str, str], ...]) -> int:
    return sum(len(name) + len(value) for name, value in headers)
