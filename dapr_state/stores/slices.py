"""Large requests are done some at a time, so that others have their turn in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")


def slices(asked: Sequence[T], at_once: int) -> Iterator[Sequence[T]]:
    """All of it, in slices of so many; the last may be shorter."""
    return (asked[at : at + at_once] for at in range(0, len(asked), at_once))
