"""Where log lines go: a file, a pipe or a terminal that may be slow, full or gone.

A line is written at once where there is room for it, as `print` would. Where there is none (a pipe that nobody reads, a
terminal that was stopped) it waits, MAX_WAITING octets of lines at most, for a thread that writes as the reader comes;
meanwhile requests are answered, while daprd stops there. Beyond that the oldest lines are lost: the last ones say why
a process ended. How many were lost is told in their place.
"""

from __future__ import annotations

import logging
import os
import select
import stat
import threading
from collections import deque
from typing import Final

MAX_WAITING: Final = 4 << 20  # octets: some 20,000 lines
FLUSH_SECONDS: Final = 2.0  # at the end of the process, for a reader that is slow
_UNREADABLE: Final = "a log line could not be written: %s"
_LOST: Final = "%d log lines were lost: %s"
_NO_READER: Final = "nobody has read them"


class OutputHandler(logging.Handler):
    """Writes lines to a file descriptor, in UTF-8 whatever the locale; never raises, and never waits."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        mode = os.fstat(fd).st_mode
        # of what is no file, the kernel takes so much without waiting where it says that there is room
        self._piece = None if stat.S_ISREG(mode) else select.PIPE_BUF
        self._room = select.poll()
        self._room.register(fd, select.POLLOUT)
        self._guard = threading.Lock()  # for what follows; nobody waits for the output while holding it
        self._writer: threading.Thread | None = None  # while it runs, only it writes
        self._waiting: deque[bytes] = deque()
        self._size = 0  # of those that wait
        self._lost = 0
        self._reason = _NO_READER
        self._is_cut = False  # the last line was written in part

    def __repr__(self) -> str:
        return f"<OutputHandler {self._fd}, {self._size} bytes waiting, {self._lost} lines lost>"

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self._line(record)
        except Exception as error:  # noqa: BLE001 - a mistake in a log line is told in its place, and nothing else
            line = self._line(_record(logging.ERROR, _UNREADABLE, error))
        with self._guard:
            if self._writer is None:
                self._write_now(line)
            else:
                self._keep(line)

    def flush(self) -> None:
        """Wait for what has not been read yet, FLUSH_SECONDS at most."""
        if writer := self._writer:
            writer.join(FLUSH_SECONDS)

    def _line(self, record: logging.LogRecord) -> bytes:
        return self.format(record).encode("utf-8", "backslashreplace") + b"\n"

    def _write_now(self, line: bytes) -> None:
        lost = self._lost
        rest = self._write(self._told() + line if lost else line, None if self._piece is None else 0)
        if self._lost:  # again: nothing was told yet
            self._lost += lost
        if rest:
            writer = threading.Thread(target=self._write_later, args=(rest,), name="log", daemon=True)
            self._writer = writer
            try:
                writer.start()
            except RuntimeError:  # no more threads: the next line tries again
                self._writer, self._is_cut = None, len(rest) < len(line)
                self._lost += 1

    def _keep(self, line: bytes) -> None:
        self._waiting.append(line)
        self._size += len(line)
        while self._size > MAX_WAITING:
            self._size -= len(self._waiting.popleft())
            self._lost, self._reason = self._lost + 1, _NO_READER

    def _write_later(self, line: bytes) -> None:
        """Write this, and then what waits: in a thread, for as long as that takes."""
        while line:
            self._write(line, None)
            with self._guard:
                line = self._next()

    def _next(self) -> bytes:
        if self._lost:
            return self._told()
        if self._waiting:
            line = self._waiting.popleft()
            self._size -= len(line)
            return line
        self._writer = None
        return b""

    def _told(self) -> bytes:
        told = self._line(_record(logging.WARNING, _LOST, self._lost, self._reason))
        self._lost = 0
        return told

    def _write(self, data: bytes, patience: int | None) -> bytes:
        """Write as much as there is room for within `patience` ms (None: all); what is left is given back."""
        if self._is_cut:
            data, self._is_cut = b"\n" + data, False
        begun = False
        try:
            while data and (self._piece is None or self._room.poll(patience)):
                try:
                    data = data[os.write(self._fd, data[: self._piece]) :]
                    begun = True
                except BlockingIOError:  # somebody else who writes there has taken the room
                    if patience is not None:
                        break
        except OSError as error:  # a full disk; a pipe whose reader has gone
            self._lost, self._reason, self._is_cut = self._lost + 1, str(error.strerror), begun
            return b""
        return data


def _record(level: int, text: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("dapr.runtime", level, __file__, 0, text, arguments, None)
