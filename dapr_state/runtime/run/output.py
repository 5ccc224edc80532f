"""Lines of children, each with a mark of whose it is. They are read as they come, however long they are."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from contextlib import suppress
from functools import cache
from typing import IO, TYPE_CHECKING, Final

from dapr_state.runtime.run.writer import AT_ONCE, Writer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

REMEMBERED: Final = 20  # lines of each child, for when it fails
LONGEST: Final = 500  # octets of such a line
KEPT: Final = 9  # logs of earlier runs
COLOURS: Final = tuple(f"\x1b[{number}m" for number in (36, 33, 32, 35, 34, 91))
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"
SAYING: Final = 0.02  # seconds for a line of our own to be there before what is done next


class Relay:
    """Copies one child's output to `target` until it ends, in a thread.

    A line that is longer than what is read at once is passed on in pieces.
    """

    def __init__(self, source: IO[bytes], mark: str, target: Writer | None, file: Path | None = None) -> None:
        """With a `file` the text goes there too, as the child wrote it."""
        self._source = source
        self._mark = mark.encode()
        self._target = target
        self._file = file.open("ab", buffering=0) if file else None
        self.last: deque[bytes] = deque(maxlen=REMEMBERED)
        self._thread = threading.Thread(target=self._copy, daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<Relay {self._mark!r}>"

    def join(self, seconds: float) -> None:
        """Return when all is copied, or the time is up: somebody else may hold the other end."""
        self._thread.join(seconds)

    def _copy(self) -> None:
        rest = b""
        while piece := os.read(self._source.fileno(), AT_ONCE):
            self._keep(piece)
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) >= AT_ONCE:
                lines.append(rest)
                rest = b""
            self._write(lines)
        self._write([rest] if rest else [])
        self._source.close()
        if self._file:
            self._file.close()

    def _keep(self, piece: bytes) -> None:
        if self._file:
            with suppress(OSError):  # a disk that is full stops nobody
                self._file.write(piece)

    def _write(self, lines: list[bytes]) -> None:
        self.last.extend(line[:LONGEST] for line in lines[-REMEMBERED:])
        if lines and self._target:
            self._target.put(b"".join(self._mark + line + b"\n" for line in lines))


def has_colour(stream: IO[str], environ: Mapping[str, str]) -> bool:
    if environ.get("NO_COLOR"):
        return False
    return bool(environ.get("FORCE_COLOR")) or (stream.isatty() and environ.get("TERM") != "dumb")


def rotated(path: Path) -> Path:
    """The place for a new log: those of the nine runs before are kept beside it, as .1 to .9."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for number in range(KEPT - 1, -1, -1):
        older = path.with_name(f"{path.name}.{number}") if number else path
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    return path


def mark(text: str, environ: Mapping[str, str], colour: str = _DIM) -> str:
    """What stands before each line."""
    return f"{colour}{text} │{_PLAIN} " if has_colour(sys.stderr, environ) else f"{text} │ "


def say(text: str) -> None:
    """A line of our own."""
    errors = standard()[1]
    errors.put_now(f"dapr-state: {text}\n".encode(errors="replace"))
    errors.settle(SAYING)


@cache
def standard() -> tuple[Writer, Writer]:
    """Of our output and our errors: one and the same where both are the same terminal or pipe."""
    output, errors = _descriptor(sys.stdout), _descriptor(sys.stderr)
    first = Writer(output)
    if output is not None and errors is not None and os.path.sameopenfile(output, errors):
        return first, first
    return first, Writer(errors)


def _descriptor(stream: IO[str] | None) -> int | None:
    """None where we were started without one."""
    return stream.fileno() if stream else None
