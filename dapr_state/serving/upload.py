"""What one stream of HTTP/2 holds of the process's memory for requests: asked for before its window opens that far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dapr_state.serving.request_memory import SMALL
from dapr_state.wire.http2.frames import DEFAULT_WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from dapr_state.serving.request_memory import RequestMemory


class Upload:
    """Asks when a request is large; `go_on` is called when one that had to wait may be held."""

    __slots__ = ("_asked", "_go_on", "_memory", "is_held")

    def __init__(self, memory: RequestMemory, go_on: Callable[[], None]) -> None:
        self._memory = memory
        self._go_on = go_on
        self._asked = False
        self.is_held = False

    def __repr__(self) -> str:
        return f"<Upload {'held' if self.is_held else 'waiting' if self._asked else 'small'}>"

    @property
    def is_waiting(self) -> bool:
        return self._asked and not self.is_held

    def may_hold(self, octets: int, here: int = DEFAULT_WINDOW) -> bool:
        """Whether so much may be held. False: `go_on` will say when. Raises CrowdedError when too much waits.

        `here`: what comes while it waits, of a request that is not whole a window's worth.
        """
        if octets <= SMALL or self.is_held:
            return True
        if not self._asked:
            self.is_held = self._memory.ask(self, octets, min(octets, here))
            self._asked = True
        return self.is_held

    def shrink(self, octets: int) -> None:
        """The request turned out to be so small."""
        self._memory.shrink(self, octets)

    def on_memory(self) -> None:
        """What was asked for may be held now."""
        if self._asked:
            self.is_held = True
            self._go_on()

    def give_back(self) -> None:
        """Nothing of the request is in memory any more."""
        if self._asked:
            self._asked = self.is_held = False
            self._memory.give_back(self)
