"""The HTTP/1.1 reader alone: bytes in, requests out."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapr_state.wire.http1.request import MAX_KNOWN_BLOCKS, MAX_SKIPPED, RefusedError, Request, RequestReader

MAX_HEAD, MAX_BODY = 400, 100


def reader(known: dict | None = None) -> RequestReader:  # type: ignore[type-arg]
    return RequestReader(Request, MAX_HEAD, MAX_BODY, {} if known is None else known)


def read(*parts: bytes) -> list[tuple[str, bytes, bytes, str]]:
    """Verb, target, body and what was wrong with it, for each request."""
    reading = reader()
    found: list[Request] = []
    for part in parts:
        reading.feed(part)
        while request := reading.next_request():
            found.append(request)
    return [(each.method, each.target, each.body, each.body_error) for each in found]


def refusal(data: bytes) -> str:
    with pytest.raises(RefusedError) as refused:
        read(data)
    return refused.value.status


THREE = (
    b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    b"POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1;x=y\r\nf\r\n0\r\nT: 1\r\n\r\n"
    b"GET /c HTTP/1.1\r\nHost: x\r\n\r\n"
)


@given(st.lists(st.integers(0, len(THREE)), max_size=8))
def test_where_the_bytes_are_divided_makes_no_difference(cuts: list[int]) -> None:
    """Any division into parts gives the same three requests."""
    edges = [0, *sorted(cuts), len(THREE)]
    parts = [THREE[start:end] for start, end in pairwise(edges)]

    assert read(*parts) == [("POST", b"/a", b"abc", ""), ("POST", b"/b", b"def", ""), ("GET", b"/c", b"", "")]


WORDS = st.sampled_from(
    [
        *(b"GET ", b"POST ", b"/a", b"%zz", b" HTTP/1.1", b" HTTP/1.0", b" HTTP/9.9"),
        *(b"\r\n", b"\n", b"\r", b" ", b"\t", b": ", b"\x00", b"\xff", b"x" * 90),
        *(b"Host: x\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"),
        *(b"Expect: 100-continue\r\n", b"Connection: close\r\n"),
        *(b"5\r\n", b"0\r\n\r\n", b"hello", b"ffffffffffffffff\r\n"),
    ]
)


@given(st.lists(st.one_of(WORDS, st.binary(max_size=20)), max_size=30))
def test_no_bytes_do_more_than_be_refused(parts: list[bytes]) -> None:
    """Whatever comes, it is a request, or refused, or waits for more; and no more is held than the limits allow."""
    reading = reader()
    held = 0
    with suppress(RefusedError):
        for part in parts:
            reading.feed(part)
            while request := reading.next_request():
                held = max(held, len(request.body) - MAX_BODY)
            held = max(held, reading.waiting - MAX_HEAD)

    assert held <= 0


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /\r\nHost: x\r\n\r\n", "400 Bad Request"),
        (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request"),
        (b"G@T / HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request"),
        (b"GET / http/1.1\r\nHost: x\r\n\r\n", "400 Bad Request"),
        (b"GET / HTTP/1.1\nHost: x\r\n", "400 Bad Request"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", "400 Bad Request"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: \n\r\n\r\n", "400 Bad Request"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n", "400 Bad Request: invalid header name"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\n", "400 Bad Request"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\n", "400 Bad Request"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999999999999\r\n\r\n", "400 Bad Request"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", "400 Bad Request"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", "501 Not Implemented"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", "400 Bad Request"),
        (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "400 Bad Request"),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", "505 HTTP Version Not Supported: unsupported protocol version"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"x" * MAX_HEAD + b"\r\n\r\n", "431 Request Header Fields Too Large"),
        (b"GET /" + b"x" * MAX_HEAD, "431 Request Header Fields Too Large"),
    ],
)
def test_a_message_that_could_be_read_in_two_ways_is_refused(head: bytes, status: str) -> None:
    """Every ambiguity of RFC 9112 ends the connection with its own status."""
    assert refusal(head) == status


@pytest.mark.parametrize(
    ("chunks", "error"),
    [
        (b"zz\r\n", "invalid byte in chunk length"),
        (b"-1\r\n", "invalid byte in chunk length"),
        (b" 1\r\na\r\n", "invalid byte in chunk length"),
        (b"0x1\r\na\r\n", "invalid byte in chunk length"),
        (b"1" * 16 + b"\r\n", "invalid byte in chunk length"),
        (b"1\na", "chunked line ends with bare LF"),
        (b"1;x\ny\r\na", "chunked line ends with bare LF"),
        (b"1\r\na\r\n\n", "chunked line ends with bare LF"),
        (b"1;" + b"x" * 100_000 + b"\r\na\r\n0\r\n\r\n", "header line too long"),
        (b"1" * (MAX_HEAD + 1), "header line too long"),
        (b"1\r\nab\r\n", "malformed chunked encoding"),
        (b"1\r\na\n", "malformed chunked encoding"),
        (b"ff\r\n" + b"a" * 255, "stream too large"),
        (b"0\r\n" + b"A: b\r\n" * 100, "http: suspiciously long trailer after chunked body"),
    ],
)
def test_chunks_that_are_none_end_the_body(chunks: bytes, error: str) -> None:
    """The handler sees what came before, and why there is no more; the connection is not used again."""
    reading = reader()
    reading.feed(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    request = reading.next_request()

    assert request is not None
    assert (request.body_error, request.keep_alive) == (error, False)


@pytest.mark.parametrize(("over", "kept"), [(0, True), (1, True), (MAX_SKIPPED, True), (MAX_SKIPPED + 1, False)])
def test_the_rest_of_a_large_body_is_passed_over_if_it_is_short(over: int, kept: bool) -> None:
    """Up to 256 KiB are read over, and the next request is found behind them."""
    reading = reader()
    body = b"x" * (MAX_BODY + over)
    reading.feed(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:-1])
    first = reading.next_request()
    reading.feed(body[-1:] + b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n")
    first = first or reading.next_request()

    assert first is not None
    assert (len(first.body), bool(first.body_error), first.keep_alive) == (MAX_BODY, over > 0, kept)
    if kept:
        following = reading.next_request()
        assert following is not None
        assert following.target == b"/next"


def test_headers_that_repeat_are_read_once() -> None:
    """Two requests with the same block of headers share what was read; others do not; few blocks are kept."""
    known: dict = {}  # type: ignore[type-arg]
    reading = reader(known)

    def headers(block: bytes) -> object:
        reading.feed(b"GET / HTTP/1.1\r\nHost: x\r\n" + block + b"\r\n")
        request = reading.next_request()
        assert request is not None
        return request.headers

    first, again, other = headers(b"A: 1\r\n"), headers(b"A: 1\r\n"), headers(b"A: 2\r\n")
    for number in range(2 * MAX_KNOWN_BLOCKS):
        headers(b"N: %d\r\n" % number)

    assert first is again
    assert (first, other) == ({"host": "x", "a": "1"}, {"host": "x", "a": "2"})
    assert len(known) <= MAX_KNOWN_BLOCKS


def test_heads_that_take_much_memory_are_not_remembered() -> None:
    """Neither long ones nor those of many fields: 256 of them would stay for ever."""
    known: dict = {}  # type: ignore[type-arg]
    for number in range(3):
        reading = RequestReader(Request, 10_000, MAX_BODY, known)
        many = b"".join(b"%x:\r\n" % (number + n) for n in range(400))
        long = b"A: %b%d\r\n" % (b"x" * 3000, number)
        for block in (many, long):
            reading.feed(b"GET / HTTP/1.1\r\nHost: x\r\n" + block + b"\r\n")
            assert reading.next_request()

    assert not known


def test_the_first_of_several_values_counts() -> None:
    """As for Go's Header.Get; names are lower-case, blanks around a value are not part of it."""
    reading = reader()
    reading.feed(b"GET / HTTP/1.1\r\nHost: x\r\nIF-Match: \t a b \r\nif-match: c\r\nEmpty:\r\n\r\n")
    request = reading.next_request()

    assert request is not None
    assert request.headers == {"host": "x", "if-match": "a b", "empty": ""}


@pytest.mark.parametrize(
    ("line", "is_plain"),
    [
        (b"GET /a/b-c_d:e HTTP/1.1", True),
        (b"GET /\xc3\xa9 HTTP/1.1", True),
        (b"GET /a%20b HTTP/1.1", False),
        (b"GET /a+b HTTP/1.1", False),
        (b"GET /a?b HTTP/1.1", False),
        (b"GET http://x/a HTTP/1.1", False),
    ],
)
def test_a_plain_target_is_a_path_as_it_stands(line: bytes, is_plain: bool) -> None:
    """Nothing in it has another meaning, so that those who look for its route need not look for that."""
    reading = reader()
    reading.feed(line + b"\r\nHost: x\r\n\r\n")
    request = reading.next_request()

    assert request is not None
    assert (request.is_plain, request.target) == (is_plain, line.split()[1])
