"""Which signals are one wish, for a sidecar and for `run` alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dapr_state.clock import WAITING

if TYPE_CHECKING:
    import signal

# Seconds. coreutils' `timeout` sends its signal to the process and then to its group, and wrappers that pass Ctrl-C on
# send what the terminal has sent already; whoever wishes it again presses a key again, or chooses another signal.
ECHO: Final = 0.1


class Echo:
    """Of the first signal."""

    def __init__(self) -> None:
        self._first: tuple[signal.Signals, float] | None = None

    def __repr__(self) -> str:
        return f"<Echo {self._first}>"

    def is_heard(self, number: signal.Signals) -> bool:
        """Whether the signal that has come now says no more than the first."""
        now = WAITING.monotonic()
        if self._first is None:
            self._first = (number, now)
            return False
        first, then = self._first
        return number == first and now - then < ECHO
