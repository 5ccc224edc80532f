"""The worst that one connection can send in one burst: requests, and frames and lines that ask for nothing.

HTTP1 goes to the HTTP port; HTTP2 to every port that speaks HTTP/2. A burst is about two megabytes.
"""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import hpack

from tests.support.flood import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    block,
    frame,
    settings,
    window,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

BURST = 2_000_000
LAST_STREAM = 2**31 - 1

GET = b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST /v1.0/state/mem HTTP/1.1\r\nHost: localhost\r\n"


def filled(part: bytes, size: int = BURST) -> bytes:
    return part * (size // len(part))


def save(body: bytes) -> bytes:
    return POST + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(chunk: bytes, count: int) -> bytes:
    return POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * count + b"0\r\n\r\n"


HTTP1: Mapping[str, Callable[[], bytes]] = {
    "health": lambda: filled(GET % b"/v1.0/healthz"),
    "gets": lambda: filled(GET % b"/v1.0/state/mem/k"),
    "gets on SQLite": lambda: filled(GET % b"/v1.0/state/lite/k", BURST // 5),
    "gets on Redis": lambda: filled(GET % b"/v1.0/state/redis/k", BURST // 5),
    "metadata": lambda: filled(GET % b"/v1.0/metadata", BURST // 5),
    "saves": lambda: filled(save(b'[{"key":"k","value":1}]')),
    "saves on SQLite": lambda: filled(save(b'[{"key":"k","value":1}]').replace(b"/mem", b"/lite"), BURST // 5),
    "saves that are wrong": lambda: filled(save(b"[")),
    "no such path": lambda: b"".join(GET % b"/%d" % number for number in range(BURST // 40)),
    "metadata of requests": lambda: filled(GET % (b"/v1.0/state/mem/k?" + b"&".join([b"metadata.a=1"] * 290))),
    "most headers": lambda: filled(b"GET /v1.0/healthz HTTP/1.1\r\nHost: localhost\r\n" + b"a:\r\n" * 1000 + b"\r\n"),
    "escaped paths": lambda: filled(GET % (b"/v1.0/state/mem/" + b"%41" * 1200)),
    "empty lines": lambda: filled(b"\r\n"),
    "chunks of one octet": lambda: chunked(b"1\r\n \r\n", BURST // 6),
    "chunks with extensions": lambda: chunked(b"1;" + b"a" * 1000 + b"\r\n \r\n", BURST // 1007),
    "trailers": lambda: POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * (BURST // 6) + b"\r\n",
    "a head without end": lambda: POST + filled(b"a: b\r\n"),
    "a line without end": lambda: b"GET /" + filled(b"a"),
}


class Opener:
    """Makes the octets that open streams; every header block means the same and changes nothing."""

    def __init__(self, *, is_grpc: bool) -> None:
        self.is_grpc = is_grpc
        path = "/dapr.proto.runtime.v1.Dapr/GetState" if is_grpc else "/v1.0/state/mem/k"
        self.fields = (
            (":method", "POST" if is_grpc else "GET"),
            (":scheme", "http"),
            (":authority", "localhost"),
            (":path", path),
            *((("te", "trailers"), ("content-type", "application/grpc")) if is_grpc else ()),
        )
        encoder = hpack.Encoder()
        self.first = encoder.encode(self.fields)
        self.later = encoder.encode(self.fields)
        self.literal = block(*self.fields)
        self.body = b"\0\0\0\0\x08\x0a\x03mem\x12\x01k" if is_grpc else b""

    def open(self, stream: int, *, ends: bool = False, more: bytes = b"") -> bytes:
        return frame(HEADERS, END_HEADERS | (END_STREAM if ends else 0), stream, self.literal + more)

    def request(self, stream: int, more: bytes = b"") -> bytes:
        if not self.is_grpc:
            return self.open(stream, ends=True, more=more)
        return self.open(stream, more=more) + frame(DATA, END_STREAM, stream, self.body)


def reset(stream: int) -> bytes:
    return frame(RST_STREAM, 0, stream, b"\0\0\0\x08")


def odd(count: int) -> Iterator[int]:
    return iter(range(1, 2 * count, 2))


def _reset_then(part: Callable[[Opener, int], bytes], streams: int = 100) -> Callable[[Opener], bytes]:
    """Streams that are opened and reset, and then so much of something on them."""

    def make(opener: Opener) -> bytes:
        opened = b"".join(opener.open(stream) + reset(stream) for stream in odd(streams))
        return opened + filled(b"".join(part(opener, stream) for stream in odd(streams)))

    return make


def _on_open(part: bytes) -> Callable[[Opener], bytes]:
    return lambda opener: opener.open(1) + filled(part)


def _skipping(opener: Opener) -> bytes:
    """One stream with a high number closes all below it, never used; then each of them is sent headers."""
    count = BURST // len(opener.open(1))
    return opener.open(LAST_STREAM) + b"".join(opener.open(stream) for stream in odd(count))


def _amplified(opener: Opener) -> bytes:
    """A field of nearly the table's size is put there once, and each block refers to it a thousand times."""
    entry = b"\x40\x01b" + b"\x7f\x81\x1e" + b"v" * 3968
    blocks = [opener.open(1, ends=True, more=entry)]
    blocks += [
        opener.open(stream, ends=True, more=b"\xbe" * (900 + stream % 100)) + reset(stream)
        for stream in range(3, 1200, 2)
    ]
    return b"".join(blocks)


def _most_fields(opener: Opener) -> bytes:
    """One block in CONTINUATION frames, of fields of one octet."""
    field = b"\x00\x01a\x00"
    pieces = [opener.literal + field * 3_000, *[field * 4_000] * 22]
    first = frame(HEADERS, END_STREAM, 1, pieces[0])
    return first + b"".join(
        frame(CONTINUATION, END_HEADERS if number == 21 else 0, 1, piece) for number, piece in enumerate(pieces[1:])
    )


def _compressed(opener: Opener) -> bytes:
    """Messages of 4 MB, each from 4 KB; over HTTP nobody asks what they are."""
    body = gzip.compress(bytes(4_000_000))
    field = block(("grpc-encoding", "gzip"))
    message = b"\1" + len(body).to_bytes(4, "big") + body
    return b"".join(
        opener.open(stream, more=field) + frame(DATA, END_STREAM, stream, message) for stream in odd(BURST // len(body))
    )


HTTP2: Mapping[str, Callable[[Opener], bytes]] = {
    "requests": lambda opener: b"".join(opener.request(stream) for stream in odd(BURST // 60)),
    "requests, a thousand": lambda opener: b"".join(opener.request(stream) for stream in odd(1000)),
    "requests of new headers": lambda opener: b"".join(
        opener.request(stream, block(("x", str(stream)))) for stream in odd(BURST // 80)
    ),
    "rapid reset": lambda opener: b"".join(opener.open(stream) + reset(stream) for stream in odd(BURST // 80)),
    "HEADERS on reset streams": _reset_then(lambda opener, stream: opener.open(stream)),
    "DATA on reset streams": _reset_then(lambda _, stream: frame(DATA, 0, stream, b"x")),
    "WINDOW_UPDATE on reset streams": _reset_then(lambda _, stream: window(stream, 1024)),
    "RST_STREAM on reset streams": _reset_then(lambda _, stream: reset(stream)),
    "PRIORITY on reset streams": _reset_then(lambda _, stream: frame(PRIORITY, 0, stream, bytes(5))),
    "HEADERS in gaps": _skipping,
    "PING": lambda _: filled(frame(PING, 0, 0, b"12345678")),
    "SETTINGS": lambda _: filled(settings((4, 65_535))),
    "SETTINGS of many": lambda _: filled(settings(*((4, number) for number in range(2_700)))),
    "SETTINGS acknowledged": lambda _: filled(frame(SETTINGS, 1, 0)),
    "PRIORITY": lambda _: filled(frame(PRIORITY, 0, 3, bytes(5))),
    "unknown frames": lambda _: filled(frame(0xFA, 0, 0)),
    "empty DATA": _on_open(frame(DATA, 0, 1)),
    "padded empty DATA": _on_open(frame(DATA, PADDED, 1, b"\0")),
    "DATA of one octet": _on_open(frame(DATA, 0, 1, b"\0")),
    "padded DATA of one octet": _on_open(frame(DATA, PADDED, 1, b"\2\0\0\0")),
    "WINDOW_UPDATE of 1,024": _on_open(window(1, 1024)),
    "WINDOW_UPDATE of 1,024 for the connection": lambda _: filled(window(0, 1024)),
    "SETTINGS with a thousand streams": lambda opener: (
        b"".join(opener.open(stream) for stream in odd(900)) + settings((4, 1)) + filled(settings((4, 2)), 30_000)
    ),
    "most fields of one octet": _most_fields,
    "header blocks that stand for megabytes": _amplified,
    "compressed messages": _compressed,
    "empty CONTINUATION": lambda opener: frame(HEADERS, 0, 1, opener.literal) + filled(frame(CONTINUATION, 0, 1)),
}
