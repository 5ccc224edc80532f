"""An answer over HTTP, and how it is written."""

from __future__ import annotations

import math
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NewType

import msgspec

from dapr_state.clock import WAITING
from dapr_state.serving.http.streaming import Streamed
from dapr_state.serving.pieces import Pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dapr_state.clock import WaitingClock

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
WITHOUT_LENGTH = frozenset({204, 304})

# A header line with its line end. `line` alone makes them: values come from stores, applications and callers, and what
# follows a line end of theirs would be an answer of its own to whoever shares the connection.
Line = NewType("Line", bytes)

_BREAKS: Final = str.maketrans("\r\n\0", "   ")


def line(name: str, value: str) -> Line:
    """One header line. What would end it early becomes a blank, as Go does."""
    if not value.isprintable():
        value = value.translate(_BREAKS)
    return Line(f"{name}: {value}\r\n".encode("utf-8", "surrogateescape"))


JSON = line("Content-Type", "application/json")
TEXT = line("Content-Type", "text/plain; charset=utf-8")
NO_SNIFF = line("X-Content-Type-Options", "nosniff")


class Response(msgspec.Struct, eq=False):
    """`lines` are header lines in any order: they are sent sorted, as Go does."""

    status: int
    lines: list[Line] = []  # each response has a list of its own
    body: bytes | Pieces | Streamed = b""
    error: Exception | None = None  # what it tells, where it was made of one

    def __repr__(self) -> str:
        return f"<Response {self.status}, {len(self.body)} bytes>"


def no_content() -> Response:
    return Response(204)


def text(status: int, sentence: str) -> Response:
    """Plain text, as Go's `http.Error` answers."""
    return Response(status, [TEXT, NO_SNIFF], f"{sentence}\n".encode())


class DateLine:
    """The Date header, made once a second."""

    def __init__(self, clock: WaitingClock = WAITING) -> None:
        self._clock = clock
        self._line = b""
        self._until = -math.inf

    def at(self, now: float) -> bytes:
        """The line at the clock's monotonic `now`, which whoever writes an answer has read already."""
        if now >= self._until:
            second, fraction = divmod(self._clock.wall(), 1)
            self._until = now + 1 - fraction
            self._line = _date(int(second))
        return self._line


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _date(second: int) -> bytes:
    # not strftime: its names follow the locale
    at = time.gmtime(second)
    day = f"{_DAYS[at.tm_wday]}, {at.tm_mday:02} {_MONTHS[at.tm_mon - 1]} {at.tm_year}"
    return f"Date: {day} {at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} GMT\r\n".encode()


LONG = 64 * 1024  # octets of a body that is not copied into the answer: as much is copied in 10 us


def pieces(response: Response, date: bytes, *, connection: bytes = b"", is_http10: bool = False) -> Iterator[bytes]:
    """What `render` gives, without a copy of the body."""
    yield render(response, date, connection=connection, is_http10=is_http10, head=True)
    body = response.body
    if isinstance(body, Pieces):
        yield from body
    elif isinstance(body, bytes):
        yield body


def render(
    response: Response, date: bytes, *, connection: bytes = b"", is_http10: bool = False, head: bool = False
) -> bytes:
    """The bytes of an answer; `connection` is its Connection header line, if it needs one; `head`: without the body."""
    body, lines = response.body, response.lines
    status = _STATUS_LINES[response.status]
    if is_http10:
        status = b"HTTP/1.0" + status[8:]
    lines.sort()
    length = b"" if response.status in WITHOUT_LENGTH else b"Content-Length: %d\r\n" % len(body)
    if head or isinstance(body, Streamed):
        body = b""
    elif type(body) is not bytes:
        body = bytes(body)
    return b"".join((status, *lines, date, length, connection, b"\r\n", body))


def stream_head(response: Response, date: bytes, *, connection: bytes = b"", is_http10: bool = False) -> bytes:
    """What comes before the pieces of an answer of unknown length; before HTTP/1.1 the connection's end is its end."""
    status = _STATUS_LINES[response.status]
    if is_http10:
        status = b"HTTP/1.0" + status[8:]
    coding = b"" if is_http10 else b"Transfer-Encoding: chunked\r\n"
    return b"".join((status, *sorted(response.lines), date, coding, connection, b"\r\n"))


def chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


LAST_CHUNK: Final = b"0\r\n\r\n"
