"""A long answer in pieces: what is large in it is named where it is, and never copied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGE: Final = 16 * 1024  # octets: about what is copied in the time that a piece of its own costs


@final
class Pieces:
    """Octets as `bytes` has them, where only their number and their order matter."""

    __slots__ = ("_size", "_small", "_whole")

    def __init__(self) -> None:
        self._whole: list[bytes] = []
        self._small = bytearray()  # what comes behind them
        self._size = 0

    def __repr__(self) -> str:
        return f"<Pieces {self._size} octets>"

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        self._close_small()
        return iter(self._whole)

    def __bytes__(self) -> bytes:
        return b"".join(self)

    def add(self, octets: bytes | memoryview) -> None:
        self._size += len(octets)
        if len(octets) <= LARGE or type(octets) is not bytes:
            self._small += octets
            if len(self._small) > LARGE:
                self._close_small()
        else:
            self._close_small()
            self._whole.append(octets)

    def _close_small(self) -> None:
        if self._small:
            self._whole.append(bytes(self._small))
            self._small.clear()
