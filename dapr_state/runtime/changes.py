"""Whether files have changed, by looking at their names, times and sizes: right on every file system."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Seen = Mapping[str, tuple[int, ...]]  # path and traits


class Changes:
    """`snapshot` tells all files with their traits."""

    def __init__(self, snapshot: Callable[[], Seen], looks_at_most: int = 0) -> None:
        """`looks_at_most`: at files that never rest, after which that counts as a change; 0: it never does."""
        self._snapshot = snapshot
        self._looks_at_most = looks_at_most
        self._restless = 0  # looks in a row that each saw another thing
        self._acted = self._last = snapshot()
        self.paths: list[str] = []  # that the last change was about

    def settled(self) -> bool:
        """Whether there was a change, once for each, and not before two looks in a row see the same, if they ever do.

        A file that an editor is still writing is not read by half.
        """
        before, self._last = self._last, self._snapshot()
        self._restless = self._restless + 1 if self._last != before else 0
        is_at_rest = not self._restless or self._restless == self._looks_at_most
        if not is_at_rest or self._last == self._acted:
            return False
        self._restless = 0
        self.paths = sorted(path for path, _ in self._acted.items() ^ self._last.items())
        self._acted = self._last
        return True


def traits(path: str) -> tuple[int, ...]:
    try:
        status = os.stat(path)  # noqa: PTH116  a Path costs more than the look
    except OSError:  # a link that leads nowhere, or a file that has just gone
        return ()
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size
