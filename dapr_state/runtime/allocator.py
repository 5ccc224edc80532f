"""What glibc's allocator keeps of freed memory: it is told to give large pieces back at once, and the rest on demand.

Left alone, glibc raises its threshold to 32 MiB as soon as pieces of that size have been freed, and from then on keeps
them: after 300 uploads of 4 MB that were given up, 750 MB stayed.
"""

from __future__ import annotations

import asyncio
import ctypes
from typing import Final

from dapr_state.clock import WAITING

# mallopt(3). What is larger gets pages of its own, and gives them back when it is freed; given once, glibc leaves the
# number alone. 256 KiB: saves of ordinary size do not pay for it.
_M_MMAP_THRESHOLD: Final = -3
_M_TRIM_THRESHOLD: Final = -1
THRESHOLD: Final = 256 * 1024  # octets
TOP: Final = 4 << 20  # of the heap's end, so much stays for the next requests
DELAY: Final = 1.0  # seconds: a burst that is followed by another needs its memory again


class Allocator:
    """`configure` once for the process; elsewhere than on glibc this does nothing."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        self._libc = library if hasattr(library, "malloc_trim") else None
        self._pending: asyncio.TimerHandle | None = None

    def configure(self) -> None:
        if self._libc:
            self._libc.mallopt(_M_MMAP_THRESHOLD, THRESHOLD)
            self._libc.mallopt(_M_TRIM_THRESHOLD, TOP)

    def release_soon(self) -> None:
        """Give what is free back to the system, in a while."""
        if self._libc and not self._pending:
            self._pending = WAITING.call_later(DELAY, self._release, self._libc)

    def _release(self, libc: ctypes.CDLL) -> None:
        self._pending = None
        # in a thread: it looks at the whole heap, and does so without the interpreter's lock
        asyncio.get_running_loop().run_in_executor(None, libc.malloc_trim, TOP)
