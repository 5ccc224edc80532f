"""The terminal belongs to the application while it runs: it reads it, and Ctrl-C is for it."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress


class Terminal:
    """That of standard input, if we are in its foreground; otherwise nothing happens."""

    def __init__(self) -> None:
        self._descriptor: int | None = None
        with suppress(OSError, ValueError, AttributeError):
            descriptor = sys.stdin.fileno()
            if os.tcgetpgrp(descriptor) == os.getpgrp():
                self._descriptor = descriptor
        if self._descriptor is not None:
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # to give it away from the background would stop us

    def __repr__(self) -> str:
        return f"<Terminal {'of ours' if self.is_ours else 'of somebody else'}>"

    @property
    def is_ours(self) -> bool:
        return self._descriptor is not None

    def give(self, group: int) -> None:
        """To this group; it may have tried to read already, and have been stopped for that."""
        self._set(group)
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGCONT)

    def take_back(self) -> None:
        self._set(os.getpgrp())

    def _set(self, group: int) -> None:
        if self._descriptor is not None:
            with suppress(OSError):  # the group has ended, or the terminal is gone
                os.tcsetpgrp(self._descriptor, group)
