"""How an answer is written, without a server."""

from __future__ import annotations

from dapr_state.clock import ManualClock
from dapr_state.serving.http.response import DateLine, Response, render


def test_the_date_turns_with_the_wall_clock() -> None:
    """It is made once a second, at the second's beginning and not a second after it was made last."""
    clock = ManualClock(now=1_700_000_000.75)
    date = DateLine(clock)
    lines = []
    for _ in range(3):
        lines.append(date.at(clock.monotonic()))
        clock.advance(0.125)
    lines.append(date.at(clock.monotonic()))

    seconds = [line.rpartition(b":")[2] for line in lines]

    assert seconds == [b"20 GMT\r\n", b"20 GMT\r\n", b"21 GMT\r\n", b"21 GMT\r\n"]


def test_header_lines_are_sent_sorted() -> None:
    """In whatever order they were put on, as Go's server does; the date and the length come behind."""
    response = Response(200, [b"Etag: 1\r\n", b"Content-Type: text/plain\r\n"], b"x")

    assert render(response, b"Date: now\r\n").split(b"\r\n") == [
        b"HTTP/1.1 200 OK",
        b"Content-Type: text/plain",
        b"Etag: 1",
        b"Date: now",
        b"Content-Length: 1",
        b"",
        b"x",
    ]
