"""Which of the hosts of a type has an actor: the ring of points that every sidecar of a cluster computes for itself.

Each host has so many points: the hashes of its name with a number behind it. An actor belongs to the host of the first
point that is not below the hash of its id, or of the first point of all. Every bit of it is daprd's (placement.md 4).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dapr_state.slices import Work

REMEMBERED: Final = 1024  # hosts whose points are remembered: 8 kB each, and 0.1 ms to compute anew


def point(text: str) -> int:
    """The first eight octets of BLAKE2b-512, the lowest first."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogateescape")).digest()[:8], "little")


@lru_cache(REMEMBERED)
def _points(name: str, factor: int) -> tuple[int, ...]:
    return tuple(point(f"{name}{number}") for number in range(factor))


class Ring:
    """The hosts of one type, by their names."""

    __slots__ = ("_names", "_owners", "_points")

    def __init__(self, names: Iterable[str], factor: int) -> None:
        self._points = array("Q")
        self._owners = array("I")  # of each point: which of the names
        self._names = sorted(names)
        for _ in self._steps(factor):
            pass

    @classmethod
    async def make(cls, names: Iterable[str], factor: int, work: Work) -> Ring:
        """The same, of as many as there may be: a thousand hosts take 0.1 s."""
        ring = cls((), factor)
        ring._names = sorted(names)
        for _ in ring._steps(factor):
            if work.is_over():
                await work.pause()
        return ring

    def _steps(self, factor: int) -> Iterator[None]:
        """Hashes are spread evenly: those with the same first octet are few, and are sorted by themselves."""
        parts: list[dict[int, int]] = [{} for _ in range(256)]
        for number, name in enumerate(self._names):
            for each in _points(name, factor):
                parts[each >> 56][each] = number
            yield
        for part in parts:
            if part:
                ordered = sorted(part)
                self._points.extend(ordered)
                self._owners.extend([part[each] for each in ordered])
                part.clear()
                yield

    def __repr__(self) -> str:
        return f"<Ring of {len(self._names)} hosts, {len(self._points)} points>"

    @property
    def points(self) -> list[tuple[int, str]]:
        return [(point, self._names[owner]) for point, owner in zip(self._points, self._owners, strict=True)]

    def owner(self, actor_id: str) -> str | None:
        """The host's name; None if there is none."""
        if not self._points:
            return None
        place = bisect_left(self._points, point(actor_id))
        return self._names[self._owners[place if place < len(self._owners) else 0]]
