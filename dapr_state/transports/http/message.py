"""An answer over HTTP, and how it is written."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from dapr_state.clock import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dapr_state.clock import Clock

_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_WITHOUT_LENGTH = frozenset({204, 304})

JSON = b"Content-Type: application/json\r\n"
TEXT = b"Content-Type: text/plain; charset=utf-8\r\n"
NO_SNIFF = b"X-Content-Type-Options: nosniff\r\n"


class Response:
    """`lines` are header lines, each with its line end, in any order: they are sent sorted, as Go does."""

    __slots__ = ("body", "lines", "status")

    def __init__(self, status: int, lines: Iterable[bytes] = (), body: bytes = b"") -> None:
        self.status = status
        self.lines = list(lines)
        self.body = body

    def __repr__(self) -> str:
        return f"<Response {self.status}, {len(self.body)} bytes>"


def line(name: str, value: str) -> bytes:
    """One header line. What would end the line early becomes a blank, as Go does."""
    text = value.replace("\r", " ").replace("\n", " ")
    return f"{name}: {text}\r\n".encode("utf-8", "surrogateescape")


def no_content() -> Response:
    return Response(204)


def text(status: int, sentence: str) -> Response:
    """Plain text, as Go's `http.Error` answers."""
    return Response(status, (TEXT, NO_SNIFF), f"{sentence}\n".encode())


class DateLine:
    """The Date header, made once a second."""

    def __init__(self, clock: Clock = SYSTEM) -> None:
        self._clock = clock
        self._second = 0
        self._line = b""

    def __call__(self) -> bytes:
        second = int(self._clock.now())
        if second != self._second:
            self._second = second
            self._line = _date(second)
        return self._line


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _date(second: int) -> bytes:
    # not strftime: its names follow the locale
    at = time.gmtime(second)
    day = f"{_DAYS[at.tm_wday]}, {at.tm_mday:02} {_MONTHS[at.tm_mon - 1]} {at.tm_year}"
    return f"Date: {day} {at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} GMT\r\n".encode()


def render(response: Response, date: bytes, *, connection: bytes = b"", is_http10: bool = False, head: bool) -> bytes:
    """The bytes of an answer; `connection` is its Connection header line, if it needs one; `head`: without the body."""
    status = _STATUS_LINES[response.status]
    if is_http10:
        status = b"HTTP/1.0" + status[8:]
    length = b"" if response.status in _WITHOUT_LENGTH else b"Content-Length: %d\r\n" % len(response.body)
    body = b"" if head else response.body
    return b"".join((status, *sorted(response.lines), date, length, connection, b"\r\n", body))
