"""gRPC over HTTP/2: messages, metadata, timeouts and status as bytes (PROTOCOL-HTTP2.md of grpc/grpc)."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple, final
from urllib.parse import unquote_to_bytes

from dapr_state.wire.http2 import headers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from dapr_state.wire.http2.hpack import Field

PREFIX: Final = Struct(">BI")  # compressed or not, length
PREFIX_SIZE: Final = 5
_LENGTH: Final = Struct(">I")

DEFLATE_RATIO: Final = 1032  # of what comes out to what goes in, at most: 258 octets for two bits
INFLATED_AT_ONCE: Final = 16 * 1024  # octets: some 20 microseconds

OK: Final = 0
UNKNOWN: Final = 2
INVALID_ARGUMENT: Final = 3
RESOURCE_EXHAUSTED: Final = 8
UNIMPLEMENTED: Final = 12
INTERNAL: Final = 13

UNREADABLE: Final = "grpc: error unmarshalling request: proto: cannot parse invalid wire-format data"  # with INTERNAL

CONTENT_TYPE: Final = b"application/grpc"
BINARY: Final = "-bin"

# What HTTP/2 and gRPC carry for themselves, and no application sees or sets.
RESERVED: Final = frozenset((
    b"content-type",
    b"te",
    b"grpc-timeout",
    b"grpc-encoding",
    b"grpc-accept-encoding",
    b"grpc-status",
    b"grpc-message",
    b"content-length",
))  # fmt: skip

_TIMEOUT: Final = re.compile(rb"([0-9]{1,8})([HMSmun])")
_SECONDS: Final = {b"H": 3600, b"M": 60, b"S": 1, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


class Metadatum(NamedTuple):
    key: str
    value: str | bytes


class Refused(Exception):
    """The request cannot be served: the status that says why."""

    def __init__(self, code: int, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


class Encoding(NamedTuple):
    """A message encoding; `window_bits` is zlib's name for the format around its deflate."""

    name: bytes
    window_bits: int


ENCODINGS: Final[Mapping[bytes, Encoding | None]] = {
    b"identity": None,
    b"gzip": Encoding(b"gzip", 16 + zlib.MAX_WBITS),
    b"deflate": Encoding(b"deflate", zlib.MAX_WBITS),
}
ACCEPTED_ENCODINGS: Final = b",".join(ENCODINGS)


# Messages


def message(body: bytes) -> bytes:
    return PREFIX.pack(0, len(body)) + body


def only_message(data: bytes) -> bytes | None:
    """The message, if the data is exactly one that is not compressed: so are nearly all unary requests."""
    length = len(data) - PREFIX_SIZE
    if length >= 0 and data[:PREFIX_SIZE] == PREFIX.pack(0, length):
        return data[PREFIX_SIZE:]
    return None


@final
class Packed:
    """A compressed message, as it came. `len` of it is what it takes now, `most` what it may stand for."""

    __slots__ = ("_body", "_encoding", "_limit")

    def __init__(self, body: bytes, encoding: Encoding, limit: int) -> None:
        self._body = body
        self._encoding = encoding
        self._limit = limit

    def __repr__(self) -> str:
        return f"<Packed {len(self._body)} octets>"

    def __len__(self) -> int:
        return len(self._body)

    @property
    def most(self) -> int:
        return min(len(self._body) * DEFLATE_RATIO, self._limit)

    def parts(self) -> Iterator[bytes]:
        """The message, some octets at a time. Raises Refused when it is none, or longer than the limit."""
        inflate, left = zlib.decompressobj(wbits=self._encoding.window_bits), self._limit
        try:
            for start in range(0, len(self._body), INFLATED_AT_ONCE):
                piece = self._body[start : start + INFLATED_AT_ONCE]
                while piece and not inflate.eof:
                    part = inflate.decompress(piece, INFLATED_AT_ONCE)
                    piece = inflate.unconsumed_tail
                    left -= len(part)
                    if left < 0:
                        raise Refused(RESOURCE_EXHAUSTED, _TOO_LONG_INFLATED.format(self._limit))
                    yield part
            yield inflate.flush()  # a copy that the input's end had begun
        except zlib.error as error:
            raise Refused(INTERNAL, f"grpc: failed to decompress the received message: {error}") from error
        if not inflate.eof:
            raise Refused(INTERNAL, "grpc: failed to decompress the received message: unexpected EOF")


_TOO_LONG_INFLATED: Final = "grpc: received message after decompression larger than max {}"


class Messages:
    """Cuts the data of a stream into messages, none of them longer than `limit`."""

    __slots__ = ("_buffer", "_encoding", "_limit")

    def __init__(self, limit: int, encoding: Encoding | None) -> None:
        self._limit = limit
        self._encoding = encoding
        self._buffer = bytearray()

    @property
    def missing(self) -> int:
        """Octets that the message under way still lacks; 0 between two messages."""
        buffer = self._buffer
        if not buffer:
            return 0
        if len(buffer) < PREFIX_SIZE:
            return PREFIX_SIZE - len(buffer)
        return int(PREFIX_SIZE + _LENGTH.unpack_from(buffer, 1)[0] - len(buffer))

    @property
    def here(self) -> int:
        """Octets that have come of the message under way."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes | Packed]:
        """Return the messages that are complete now. Raises Refused as soon as one is known to be too long."""
        buffer = self._buffer
        buffer += data
        messages: list[bytes | Packed] = []
        position = 0
        while len(buffer) - position >= PREFIX_SIZE:
            flag, length = PREFIX.unpack_from(buffer, position)
            if length > self._limit:
                raise too_long(length, self._limit)
            start = position + PREFIX_SIZE
            if len(buffer) < start + length:
                break
            position = start + length
            messages.append(self._message(flag, bytes(memoryview(buffer)[start:position])))
        if position:
            del buffer[:position]
        return messages

    def _message(self, flag: int, body: bytes) -> bytes | Packed:
        if not flag:
            return body
        if self._encoding is None or flag != 1:
            raise Refused(INTERNAL, "grpc: compressed flag set with identity or empty encoding")
        return Packed(body, self._encoding, self._limit)


def too_long(length: int, limit: int) -> Refused:
    return Refused(RESOURCE_EXHAUSTED, f"grpc: received message larger than max ({length} vs. {limit})")


# Metadata


def timeout(value: bytes) -> float:
    """Seconds of a grpc-timeout; ValueError if it is none."""
    match = _TIMEOUT.fullmatch(value)
    if not match:
        raise ValueError(f"no timeout: {value!r}")
    return int(match[1]) * _SECONDS[match[2]]


def read_metadata(fields: Iterable[Field]) -> tuple[Metadatum, ...]:
    """What the application sees of a request's headers; ValueError for a -bin value that is not base64."""
    metadata = []
    for name, value in fields:
        if name in RESERVED:
            continue
        key = name.decode("ascii")
        if not key.endswith(BINARY):
            metadata.append(Metadatum(key, value.decode("latin-1")))
            continue
        # several values of one name may come joined by commas
        metadata += (Metadatum(key, _from_base64(part)) for part in value.split(b","))
    return tuple(metadata)


def write_metadata(metadata: Iterable[tuple[str, str | bytes]]) -> list[Field]:
    """The fields for an application's metadata; ValueError for a name or value that cannot be sent."""
    fields = []
    for key, value in metadata:
        name = key.lower().encode("ascii")
        octets = value if isinstance(value, bytes) else value.encode("utf-8" if key.endswith(BINARY) else "ascii")
        if key.endswith(BINARY):
            octets = base64.b64encode(octets).rstrip(b"=")
        if name[:1] == b":" or name in RESERVED or not headers.sendable(name, octets):
            raise ValueError(f"metadata {key!r} cannot be sent")
        fields.append((name, octets))
    return fields


def _from_base64(value: bytes) -> bytes:
    value = value.strip(b" ").rstrip(b"=")
    try:
        return base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError("illegal base64 data in metadata") from error


# Answers


def answer_headers(content_type: bytes, metadata: Sequence[Field] = ()) -> bytes:
    """The header block that opens an answer."""
    return headers.encode(((b":status", b"200"), (b"content-type", content_type), *metadata))


def status_fields(code: int, details: str, metadata: Sequence[Field] = ()) -> list[Field]:
    return [(b"grpc-status", b"%d" % code), (b"grpc-message", percent_encoded(details)), *metadata]


def percent_encoded(details: str) -> bytes:
    """Status details: space to tilde as they are, percent and all other octets of UTF-8 as %XX."""
    octets = details.encode("utf-8", "replace")
    if _PLAIN.fullmatch(octets):
        return octets
    return _SPECIAL.sub(lambda match: b"%%%02X" % match[0][0], octets)


def percent_decoded(message: bytes) -> str:
    return unquote_to_bytes(message).decode("utf-8", "replace")


_PLAIN: Final = re.compile(rb"(?!.* $)(?! )[ -$&-~]*")  # without spaces at the ends: HTTP would strip them
_SPECIAL: Final = re.compile(rb"[^ -$&-~]|^ | $")

TRAILERS_OK: Final = headers.encode(status_fields(OK, ""))
