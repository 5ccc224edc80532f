"""Whether files have changed, by looking at their names, times and sizes: right on every file system."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Seen = Mapping[str, tuple[int, ...]]  # path and traits


class Changes:
    """`snapshot` tells all files with their traits."""

    def __init__(self, snapshot: Callable[[], Seen]) -> None:
        self._snapshot = snapshot
        self._acted = self._last = snapshot()
        self.paths: list[str] = []  # that the last change was about

    def settled(self) -> bool:
        """Whether there was a change, once for each, and not before two looks in a row see the same.

        A file that an editor is still writing is not read by half.
        """
        before, self._last = self._last, self._snapshot()
        if self._last != before or self._last == self._acted:
            return False
        self.paths = sorted(path for path, _ in self._acted.items() ^ self._last.items())
        self._acted = self._last
        return True


def traits(path: str) -> tuple[int, ...]:
    try:
        status = os.stat(path)  # noqa: PTH116  a Path costs more than the look
    except OSError:  # a link that leads nowhere, or a file that has just gone
        return ()
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size
