"""The two forms of a body in HTTP/1.1: of a known length, and in chunks; what arrives is taken, never asked for.

A body beyond the limit, or one that breaks the rules, ends early: `content` is what came before, `error` says why, and
`unread` how many bytes of it still follow.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TOO_LARGE = "stream too large"  # Dapr's sentence, and ours
NO_LIMIT = 1 << 62

# Parts of a chunked body that are taken at one time, 4 ms of work. Chunks of one octet are three parts for six octets:
# 256 KB of them, which one read may bring, would be 60 ms.
MAX_PARTS = 8192

_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?")


class CountedBody:
    """A body of known length. One beyond the limit ends at the limit, with an error."""

    __slots__ = ("_missing", "_seen", "content", "error", "is_complete", "size", "unread")

    is_cut = False  # all that is here is taken at one time

    def __init__(self, length: int, limit: int) -> None:
        self.size = self._missing = min(length, limit)
        self._seen = bytearray()  # not a list of parts: one of a byte would take forty
        self.content = b""
        self.error = TOO_LARGE if length > limit else ""
        self.unread = length - self._missing
        self.is_complete = False

    @property
    def received(self) -> int:
        return len(self._seen)

    def take(self, buffer: bytes, at: int) -> int:
        """Take what belongs to the body from `at` on; returns where it left off."""
        part = buffer[at : at + self._missing]
        self._missing -= len(part)
        if self._missing:
            self._seen += part
        else:
            self.content = b"".join((self._seen, part)) if self._seen else part
            self.is_complete = True
        return at + len(part)


class ChunkedBody:
    """A body in chunks (RFC 9112, 7.1); extensions and trailers are passed over.

    One part after the other is taken: size, data, line end, size, ..., size 0, trailers.
    """

    __slots__ = (
        "_line_room",
        "_max_line",
        "_missing",
        "_room",
        "_seen",
        "_step",
        "content",
        "error",
        "is_complete",
        "is_cut",
        "size",
        "unread",
    )

    def __init__(self, limit: int, max_line: int) -> None:
        self._max_line = max_line  # of a size line, and of all trailers together
        self._line_room = max_line
        self.size = self._room = limit
        self._missing = 0  # bytes of this chunk's data
        self._seen = bytearray()
        # takes one part, or nothing if it is not there yet; a plain function, because a method would be a cycle
        self._step: Callable[[ChunkedBody, bytes, int], int] = ChunkedBody._size
        self.unread = 0
        self.content = b""
        self.error = ""
        self.is_complete = False
        self.is_cut = False

    @property
    def received(self) -> int:
        return len(self._seen)

    def take(self, buffer: bytes, at: int) -> int:
        """Take what belongs to the body from `at` on, or a share of it (`is_cut`); returns where it left off."""
        self.is_cut = False
        for _ in range(MAX_PARTS):
            before, at = at, self._step(self, buffer, at)
            if self.is_complete or at == before:
                return at
        self.is_cut = at < len(buffer)  # else there is nothing to go on with
        return at

    def _size(self, buffer: bytes, at: int) -> int:
        end = buffer.find(b"\n", at)
        if (len(buffer) if end < 0 else end) - at > self._max_line:
            return self._end(at, "header line too long")
        if end < 0:
            return at
        if buffer[end - 1 : end] != b"\r":
            return self._end(at, "chunked line ends with bare LF")
        size = _CHUNK_SIZE.fullmatch(buffer, at, end - 1)
        if not size:
            return self._end(at, "invalid byte in chunk length")
        self._missing = int(size[1], 16)
        self._step = ChunkedBody._data if self._missing else ChunkedBody._trailer
        return end + 1

    def _data(self, buffer: bytes, at: int) -> int:
        part = buffer[at : at + self._missing]
        self._missing -= len(part)
        if len(part) > self._room:
            self._seen += part[: self._room]
            return self._end(at, TOO_LARGE)
        self._room -= len(part)
        self._seen += part
        if not self._missing:
            self._step = ChunkedBody._line_end
        return at + len(part)

    def _line_end(self, buffer: bytes, at: int) -> int:
        found = buffer[at : at + 2]
        if found == b"\r\n":
            self._step = ChunkedBody._size
            return at + 2
        return at if b"\r\n".startswith(found) else self._end(at, "malformed chunked encoding")

    def _trailer(self, buffer: bytes, at: int) -> int:
        end = buffer.find(b"\r\n", at)
        seen = (len(buffer) if end < 0 else end) - at
        if seen > self._line_room:
            return self._end(at, "http: suspiciously long trailer after chunked body")
        if end < 0:
            return at
        self._line_room -= seen + 2
        return self._end(end + 2) if end == at else end + 2

    def _end(self, at: int, error: str = "") -> int:
        self.content = bytes(self._seen)
        self.error = error
        if error:  # the rest of the body cannot be told from what follows
            self.unread = NO_LIMIT
        self.is_complete = True
        return at
