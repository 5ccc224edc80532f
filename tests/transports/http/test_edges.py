"""The protocol's edges, as bytes: our answer is daprd's, to the last header, unless the case says why it is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.support.http import Answer, Socket, plain
from tests.support.recorded import data

if TYPE_CHECKING:
    from tests.support.recorded import Recorded
    from tests.support.sidecar import Sidecar

KEY = b"GET /v1.0/state/mem/edge HTTP/1.1\r\nHost: localhost\r\n"
SAVE = b"POST /v1.0/state/mem HTTP/1.1\r\nHost: localhost\r\n"
BODY = b'[{"key":"edge","value":1}]'
CHUNK = b"%x\r\n%b\r\n" % (len(BODY), BODY)
SPAN = b"0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def get(path: bytes) -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"


SAME = {
    "get": KEY + b"\r\n",
    "close": KEY + b"Connection: close\r\n\r\n",
    "http 1.0": b"GET /v1.0/state/mem/edge HTTP/1.0\r\n\r\n",
    "http 1.0 kept alive": b"GET /v1.0/state/mem/edge HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "http 1.2": b"GET /v1.0/state/mem/edge HTTP/1.2\r\nHost: localhost\r\n\r\n",
    "http 0.9": b"GET /x HTTP/0.9\r\nHost: localhost\r\n\r\n",
    "http 3.0": b"GET /x HTTP/3.0\r\nHost: localhost\r\n\r\n",
    "options path": b"OPTIONS /x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "unknown verb": b"FOO /x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "lower-case verb": b"get /v1.0/state/mem/edge HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "connect": b"CONNECT x:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "asterisk": get(b"*"),
    "no host": b"GET /v1.0/state/mem/edge HTTP/1.1\r\n\r\n",
    "two hosts": KEY + b"Host: y\r\n\r\n",
    "odd host": b"GET /x HTTP/1.1\r\nHost: a b\r\n\r\n",
    "empty host": b"GET /v1.0/state/mem/edge HTTP/1.1\r\nHost:\r\n\r\n",
    "garbage": b"hello\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\r\n\r\n",
    "blank lines first": b"\r\n\r\n" + KEY + b"\r\n",
    "bad escape": get(b"/v1.0/state/mem/a%zz"),
    "cut escape": get(b"/v1.0/state/mem/a%2"),
    "bad escape in the query": get(b"/v1.0/state/mem/edge?x=%zz"),
    "blank in the path": get(b"/v1.0/state/mem/a b"),
    "tab in the path": get(b"/v1.0/state/mem/a\tb"),
    "delete in the path": get(b"/v1.0/state/mem/a\x7fb"),
    "odd characters in the path": get(b'/v1.0/state/mem/"<>|\\^`{}[]'),
    "bytes in the path": get(b"/v1.0/state/mem/\xc3\xa9\xff"),
    "hash in the path": get(b"/v1.0/state/mem/edge#x"),
    "address": get(b"http://foo/v1.0/state/mem/edge"),
    "address without a path": get(b"http://foo"),
    "path without a slash": get(b"v1.0/state/mem/edge"),
    "header without a colon": KEY + b"foo\r\n\r\n",
    "header with a blank": KEY + b"foo : a\r\n\r\n",
    "header with high bytes": KEY + b"foo: a\xff\r\n\r\n",
    "header with nul": KEY + b"foo: a\x00\r\n\r\n",
    "upgrade": KEY + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "length of letters": SAVE + b"Content-Length: abc\r\n\r\n",
    "two lengths": SAVE + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n[]]",
    "one length twice": SAVE + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n[]",
    "unknown coding": SAVE + b"Transfer-Encoding: foo\r\n\r\n",
    "gzip and chunks": SAVE + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunks": SAVE + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK + b"0\r\n\r\n",
    "chunks with trailers": SAVE + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK + b"0;a=b\r\nfoo: bar\r\n\r\n",
    "a chunk's size with a bare line feed": SAVE + b"Transfer-Encoding: chunked\r\n\r\n2\n[]\r\n0\r\n\r\n",
    "bad chunk": SAVE + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n[]\r\n0\r\n\r\n",
    "big header": KEY + b"A: " + b"x" * 14000 + b"\r\n\r\n",
    "header within the limit": KEY + b"A: " + b"x" * 7000 + b"\r\n\r\n",
    "big path": get(b"/v1.0/state/mem/" + b"x" * 14000),
    "expect without a body": KEY + b"Expect: 100-continue\r\n\r\n",
    "health": get(b"/v1.0/healthz"),
    "a key named healthz": get(b"/v1.0/state/mem/healthz"),
    "trace context": KEY + b"traceparent: 00-" + SPAN + b"\r\ntracestate: a=b\r\n\r\n",
    "trace context of a later version": KEY + b"traceparent: 01-" + SPAN + b"-more\r\n\r\n",
    "broken trace context": KEY + b"traceparent: 00-" + SPAN + b"-more\r\ntracestate: a=b\r\n\r\n",
    "trace context in capitals": KEY + b"traceparent: 00-" + SPAN.upper() + b"\r\n\r\n",
    "baggage": KEY + b"baggage: a=b, c=d;p=1;q\r\n\r\n",
    "baggage without a value": KEY + b"baggage: a=\r\n\r\n",
    "empty baggage": KEY + b"baggage: \r\n\r\n",
    "baggage of nothing": KEY + b"baggage: ;;\r\n\r\n",
    "baggage that is no pair": KEY + b"baggage: a\r\n\r\n",
    "baggage with a bad name": KEY + b"baggage: a b=c\r\n\r\n",
    "baggage with a bad value": KEY + b'baggage: a="x"\r\n\r\n',
    "baggage with a bad escape": KEY + b"baggage: a=%zz\r\n\r\n",
    "baggage with a bad property": KEY + b"baggage: a=b;=c\r\n\r\n",
    "baggage of two lines": KEY + b"baggage: a=b\r\nBaggage: c=d\r\n\r\n",
    "baggage of which the second line is bad": KEY + b"baggage: a=b\r\nbaggage: c\r\n\r\n",
    "baggage of which the first line is empty": KEY + b"baggage: \r\nbaggage: a=b\r\n\r\n",
    "trace state of two lines": KEY + b"traceparent: 00-" + SPAN + b"\r\ntracestate: a=b\r\ntracestate: c=d\r\n\r\n",
}


@dataclass(frozen=True)
class Different:
    """What is sent, our status line and body, and why they are not daprd's."""

    sent: bytes
    status: str
    why: str


BAD = "HTTP/1.1 400 Bad Request"

DIFFERENT = {
    "folded header": Different(KEY + b"foo: a\r\n b\r\n\r\n", BAD, "RFC 9112 5.2: proxies read it in two ways"),
    "line feeds": Different(b"GET /x HTTP/1.1\nHost: localhost\n\n", BAD, "RFC 9112 2.2: the same"),
    "length and chunks": Different(
        SAVE + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD, "RFC 9112 6.1: smuggling"
    ),
    "http 2": Different(
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "HTTP/1.1 505 HTTP Version Not Supported: unsupported protocol version",
        "HTTP/2 is served to those who begin with it",
    ),
    "expectation": Different(
        SAVE + b"Expect: foo\r\nContent-Length: 2\r\n\r\n[]",
        "HTTP/1.1 417 Expectation Failed",
        "as daprd, but for order",
    ),
    "options": Different(
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200 OK", "as daprd, but for order"
    ),
}


def exchange(server: Sidecar, sent: bytes) -> tuple[Answer, bool]:
    """The answer, and whether the connection is closed after it."""
    with Socket(server.http_port) as connection:
        connection.send(SAVE + b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)).answer()
        answer = connection.send(sent).answer()
        answer = Answer(answer.status, tuple(plain(it.encode()).decode() for it in answer.lines), answer.body)
        if answer.header("Connection") == "close" or sent.endswith(b"HTTP/1.0\r\n\r\n"):
            return answer, connection.is_closed()
        return answer, connection.send(get(b"/v1.0/healthz")).answer().code != 204


@pytest.mark.parametrize("name", SAME)
def test_an_edge_is_answered_as_daprd_does(name: str, sidecar: Sidecar, recorded: Recorded) -> None:
    """Status line, headers in their order, body, and whether the connection goes on are all the same."""
    theirs = recorded(name, lambda daprd: exchange(daprd, SAME[name]))

    assert data(exchange(sidecar, SAME[name])) == theirs


@pytest.mark.parametrize("name", DIFFERENT)
def test_an_edge_that_is_answered_otherwise(name: str, sidecar: Sidecar) -> None:
    """The answer is the one that the table gives a reason for."""
    answer, _ = exchange(sidecar, DIFFERENT[name].sent)

    assert answer.status == DIFFERENT[name].status


def test_head_has_the_headers_of_the_answer_and_no_body(sidecar: Sidecar) -> None:
    """HEAD is an unknown route as in daprd; the length is that of the body that is not sent."""
    with Socket(sidecar.http_port) as connection:
        answer = connection.send(b"HEAD /v1.0/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").answer("HEAD")
        after = connection.send(get(b"/v1.0/healthz")).answer()

    assert (answer.code, answer.header("Content-Length"), after.code) == (404, "118", 204)


def test_a_client_that_waits_for_a_word_gets_it(sidecar: Sidecar) -> None:
    """100 Continue comes before the body is sent, the answer after it."""
    with Socket(sidecar.http_port) as connection:
        head = SAVE + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY)
        first = connection.send(head).answer()
        second = connection.send(BODY).answer()

    assert (first.status, second.code) == ("HTTP/1.1 100 Continue", 204)


def test_requests_that_are_sent_ahead_are_answered_in_order(sidecar: Sidecar) -> None:
    """A hundred saves and reads in one write: each read sees the save before it."""
    stores = ("mem", "lite", "redis")
    sent = b""
    for number in range(100):
        store = stores[number % 3].encode()
        body = b'[{"key":"ahead","value":%d}]' % number
        sent += b"POST /v1.0/state/%b HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b" % (
            store,
            len(body),
            body,
        )
        sent += get(b"/v1.0/state/%b/ahead" % store)

    with Socket(sidecar.http_port) as connection:
        connection.send(sent)
        answers = [connection.answer() for _ in range(200)]

    assert [answer.code for answer in answers] == [204, 200] * 100
    assert [answer.body for answer in answers[1::2]] == [b"%d" % number for number in range(100)]


def test_a_request_may_come_byte_by_byte(sidecar: Sidecar) -> None:
    """Where the network divides a request makes no difference."""
    sent = SAVE + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK + b"0\r\n\r\n"

    with Socket(sidecar.http_port) as connection:
        for index in range(len(sent)):
            connection.send(sent[index : index + 1])
        answer = connection.answer()

    assert answer.code == 204


def test_a_client_that_has_said_all_still_gets_its_answer(sidecar: Sidecar) -> None:
    """A half-closed connection is answered, then closed."""
    with Socket(sidecar.http_port) as connection:
        answer = connection.send(get(b"/v1.0/state/redis/none")).end().answer()
        closed = connection.is_closed()

    assert (answer.code, closed) == (204, True)


def test_a_number_without_end_is_a_number(sidecar: Sidecar) -> None:
    """Of a lock's expiry it matters only whether it is one and not zero: it is not converted."""
    body = b'{"expiryInSeconds":%b}' % (b"9" * 5000)
    head = b"POST /v1.0-alpha1/lock/l HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
    with Socket(sidecar.http_port) as connection:
        answer = connection.send(head + body).answer()

    assert b"ERR_LOCK_STORE_NOT_CONFIGURED" in answer.body
