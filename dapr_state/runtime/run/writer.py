"""What children and `run` itself say, on its way to an output that may be slow, stand still or be gone.

Whoever puts something waits at most for a moment. A terminal that was stopped, or a pager that nobody scrolls, holds
neither the applications nor the end of the run: what is too much is left out then, and how much that was is told.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from typing import Final

MOST: Final = 1 << 20  # octets that wait
AT_ONCE: Final = 65_536  # octets
PATIENCE: Final = 5.0  # seconds without any room: then it stands still


class Writer:
    """To one file descriptor, in a thread, in the order in which it was put; `None` is nowhere."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = -1 if descriptor is None else descriptor
        self._changed = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._size = 0  # of those, and of what is being written
        self._lost = 0  # octets
        self._is_still = False
        self._is_deaf = descriptor is None  # nobody reads what we write
        self._room = select.poll()
        if not self._is_deaf:
            self._room.register(self._descriptor, select.POLLOUT)
            threading.Thread(target=self._write, daemon=True).start()

    def __repr__(self) -> str:
        return f"<Writer {self._descriptor}, {self._size} octets waiting, {self._lost} lost>"

    def put(self, lines: bytes) -> None:
        """Whole lines, which nothing comes between. It waits for room, PATIENCE at most."""
        with self._changed:
            if not self._is_still:
                self._is_still = not self._changed.wait_for(lambda: self._has_room(lines), PATIENCE)
            self._add_or_lose(lines)

    def put_now(self, lines: bytes) -> None:
        """The same for the event loop, which does not wait."""
        with self._changed:
            self._add_or_lose(lines)

    def _add_or_lose(self, lines: bytes) -> None:
        if self._has_room(lines):
            self._add(lines)
        else:
            self._lost += len(lines)

    def settle(self, seconds: float) -> None:
        """Return when all is written, or the time is up."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_deaf or not self._size, seconds)

    def _has_room(self, lines: bytes) -> bool:
        return self._is_deaf or not self._size or self._size + len(lines) <= MOST

    def _add(self, lines: bytes) -> None:
        if self._is_deaf:
            return
        self._waiting.append(lines)
        self._size += len(lines)
        self._changed.notify_all()

    def _write(self) -> None:
        while not self._is_deaf:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                lines = self._waiting.popleft()
            try:
                self._write_all(lines)
            except OSError:
                self._is_deaf = True  # and those who put go on: a child shall not stand still
            with self._changed:
                self._size -= len(lines)
                self._is_still = False
                if self._lost:
                    self._add(f"dapr-state: {self._lost} octets are left out here: nobody has read them\n".encode())
                    self._lost = 0
                self._changed.notify_all()

    def _write_all(self, text: bytes) -> None:
        while text:
            try:
                text = text[os.write(self._descriptor, text[:AT_ONCE]) :]
            except BlockingIOError:  # an application that shares it has made it so
                self._room.poll()
