"""Who may send a large message now: a stream's window opens to a whole message only while the budget allows it."""

from __future__ import annotations

from typing import Generic, TypeVar

S = TypeVar("S")


class ReceiveBudget(Generic[S]):
    """A number of octets shared by the streams of a connection, first come, first served.

    A stream asks for what its message still lacks, and gives it back when the message is complete or the stream is
    gone. One is always let in, however much it asks for: else a message larger than the budget would wait for ever.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._taken: dict[S, int] = {}
        self._waiting: dict[S, int] = {}
        self._total = 0

    def __repr__(self) -> str:
        return (
            f"<ReceiveBudget {self._total} of {self._size} taken by {len(self._taken)}, {len(self._waiting)} waiting>"
        )

    def ask(self, stream: S, octets: int) -> bool:
        """True: let it in (again, where it already is). False: it waits, and `leave` will name it."""
        if stream in self._taken:
            return True
        if stream in self._waiting or not self._fits(octets):
            self._waiting.setdefault(stream, octets)
            return False
        self._enter(stream, octets)
        return True

    def leave(self, stream: S) -> list[tuple[S, int]]:
        """The stream needs its share no more. Returns those that may enter instead, with what they asked for."""
        self._waiting.pop(stream, None)
        self._total -= self._taken.pop(stream, 0)
        entering = []
        while self._waiting:
            first, octets = next(iter(self._waiting.items()))
            if not self._fits(octets):
                break
            del self._waiting[first]
            self._enter(first, octets)
            entering.append((first, octets))
        return entering

    def _fits(self, octets: int) -> bool:
        return not self._taken or self._total + octets <= self._size

    def _enter(self, stream: S, octets: int) -> None:
        self._taken[stream] = octets
        self._total += octets
