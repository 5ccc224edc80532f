"""Which of the hosts of a type has an actor: the ring of points that every sidecar of a cluster computes for itself.

Each host has so many points: the hashes of its name with a number behind it. An actor belongs to the host of the first
point that is not below the hash of its id, or of the first point of all. Every bit of it is daprd's (placement.md 4).
"""

from __future__ import annotations

from bisect import bisect_left
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

REMEMBERED: Final = 1024  # hosts whose points are remembered: 8 kB each, and 0.1 ms to compute anew


def point(text: str) -> int:
    """The first eight octets of BLAKE2b-512, the lowest first."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogateescape")).digest()[:8], "little")


@lru_cache(REMEMBERED)
def _points(name: str, factor: int) -> tuple[int, ...]:
    return tuple(point(f"{name}{number}") for number in range(factor))


class Ring:
    """The hosts of one type, by their names."""

    __slots__ = ("_hosts", "_points")

    def __init__(self, names: Iterable[str], factor: int) -> None:
        found = {each: name for name in sorted(names) for each in _points(name, factor)}
        self._points = sorted(found)
        self._hosts = [found[each] for each in self._points]

    def __repr__(self) -> str:
        return f"<Ring of {len(set(self._hosts))} hosts, {len(self._points)} points>"

    @property
    def points(self) -> list[tuple[int, str]]:
        return list(zip(self._points, self._hosts, strict=True))

    def owner(self, actor_id: str) -> str | None:
        """The host's name; None if there is none."""
        if not self._points:
            return None
        place = bisect_left(self._points, point(actor_id))
        return self._hosts[place if place < len(self._hosts) else 0]
