"""Where calls are told as they end, while somebody listens: else a call pays for one look at an empty list."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class Ended(NamedTuple):
    """A call that has ended: never its values."""

    transport: str
    api: str  # the group that it belongs to
    operation: str
    target: str  # a key of a store, a method of an actor
    code: str
    is_failed: bool
    at: float  # unix seconds
    seconds: float
    received: int  # octets
    sent: int
    error: str = ""
    trace_id: str = ""
    caller: str = ""


class Tap:
    """`listeners` are told of each call; the list is always the same one, so that who looks at it may keep it."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[Ended], None]] = []

    def __repr__(self) -> str:
        return f"<Tap of {len(self.listeners)} listeners>"

    def tell(self, ended: Ended) -> None:
        for listener in tuple(self.listeners):
            listener(ended)
