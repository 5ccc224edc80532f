"""When garbage in cycles is looked for: the young as Python does it, all of it only while no long work is under way.

A full collection walks every object that may be part of a cycle, 50 to 100 ns each, and nothing else runs meanwhile.
Left alone, Python begins one in the middle of a large request (300,000 items: 40 to 100 ms), and none at all in a
process that has nothing to do, which then keeps what the last requests have left behind.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Final

from dapr_state import slices
from dapr_state.clock import WAITING

if TYPE_CHECKING:
    from collections.abc import Callable

    from dapr_state.clock import Alarm

# Python's own numbers for the young: at most 7,700 objects are walked, half a millisecond
YOUNG: Final = 700  # objects made and not freed, before the youngest are looked through
MIDDLE: Final = 10  # such looks, before those that were left over are looked through as well
NEVER: Final = 1 << 30  # such looks, before all are: this module decides
INTERVAL: Final = 1.0  # seconds between two looks whether there is something to collect
SOON: Final = 0.02  # the same, while long work has put a collection off: the pause between two requests will do
MOST: Final = 40_000  # objects that a full collection may walk: 2 to 4 ms, and 8 on a busy machine
SHARE: Final = 200  # a full collection, or a look that found too many, of a millisecond is followed by none for so many
# Seconds that a full collection may be put off. Ten of long work without a pause leave some 100 objects in cycles.
OVERDUE: Final = 300.0
RELEASED: Final = 10.0  # seconds between two times that free memory is given back


def begin() -> None:
    """Look for garbage from now on, and not in what a start has made: with that, the first look takes 15 ms."""
    gc.freeze()
    gc.enable()


class Collector:
    """`start` it when everything is open, on the running loop; `stop` it at the end.

    `release` is told when what was used is free: nothing happens just now.
    """

    def __init__(self, release: Callable[[], None]) -> None:
        self._release = release
        self._thresholds = gc.get_threshold()
        self._collected = self._released = WAITING.monotonic()
        self._slices = 0
        self._counts = (0, 0, 0)  # after the last one: where they stand still, nothing was made that lives
        self._earliest = 0.0
        self._alarm: Alarm | None = None

    def start(self) -> None:
        """What there is now lives as long as the process: it is not walked again."""
        gc.freeze()
        gc.set_threshold(YOUNG, MIDDLE, NEVER)
        self._wait(INTERVAL)

    def stop(self) -> None:
        """Leave it to Python again."""
        if self._alarm:
            self._alarm.cancel()
            gc.set_threshold(*self._thresholds)
            gc.unfreeze()

    def _wait(self, seconds: float) -> None:
        self._alarm = WAITING.call_at(WAITING.monotonic() + seconds, self._check)

    def _check(self) -> None:
        now = WAITING.monotonic()
        before, self._slices = self._slices, slices.taken()
        if gc.get_count() == self._counts or now < self._earliest:
            self._wait(INTERVAL)
        elif now > self._collected + OVERDUE or (self._slices == before and _is_quick()):
            self._collect(now)
            self._wait(INTERVAL)
        else:
            self._rest(now)
            self._wait(SOON)

    def _collect(self, began: float) -> None:
        gc.collect()
        self._counts = gc.get_count()
        self._collected = WAITING.monotonic()
        self._rest(began)
        if self._collected > self._released + RELEASED:
            self._released = self._collected
            self._release()

    def _rest(self, began: float) -> None:
        now = WAITING.monotonic()
        self._earliest = now + (now - began) * SHARE


def _is_quick() -> bool:
    """Whether a full collection walks few objects. To count them takes a tenth of the time to walk them."""
    return len(gc.get_objects(2)) <= MOST
