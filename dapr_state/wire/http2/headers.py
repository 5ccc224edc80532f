"""Header blocks: what a request's block means, remembered per connection, and the bytes of an answer's.

The memory rests on one law of HPACK (RFC 7541): what a block means depends on its bytes and the dynamic table alone.
While the table does not change, the same bytes are the same headers; clients repeat theirs: most cost one lookup.
What is remembered is counted by what it stands for, not by the block, which may be a thousandth of that.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from dapr_state.wire.http2.faults import ErrorCode, StreamFault
from dapr_state.wire.http2.hpack import Decoder, Field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from dapr_state.wire.http2.limits import Limits, Turn

M = TypeVar("M")

REMEMBERED_BLOCKS: Final = 256  # of a connection: enough for the distinct calls of one client
REMEMBERED_SIZE: Final = 16_384  # octets in memory; a request with more is rare, and reading it not what it costs
MEMORY: Final = 16_777_216  # octets in memory of what all connections of the process remember
OPEN_MEMORY: Final = 8_388_608  # and of the large heads of their open streams
LARGE: Final = 8_192  # octets in memory: a head that asks before its stream opens
# What a request and one of its fields take in memory beside their octets, which are there twice: as fields, and as what
# the layer above made of them.
_REQUEST_OVERHEAD: Final = 1_024
_FIELD_OVERHEAD: Final = 256  # octets

_REQUIRED: Final = (b":method", b":scheme", b":path")
_PSEUDO: Final = frozenset((*_REQUIRED, b":authority"))
# RFC 9113, section 8.2.2: they belong to one connection of HTTP/1.1
_CONNECTION_SPECIFIC: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)
_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")  # a token (RFC 9110, section 5.6.2) without capital letters


class RequestHead(Generic[M]):
    """The head of a request. `parsed`: what the layer above made of it, once for all requests with these headers.

    Of one that `is_too_long` nothing is known: whoever parses it refuses it.
    """

    __slots__ = ("authority", "content_length", "fields", "is_too_long", "method", "parsed", "path", "size")

    def __init__(self, pseudo: dict[bytes, bytes], fields: Sequence[Field]) -> None:
        self.method = pseudo[b":method"]
        self.path = pseudo[b":path"]
        self.authority = pseudo.get(b":authority", b"")
        self.fields = fields
        self.content_length = _content_length(fields)
        self.is_too_long = False
        self.size = 0  # octets in memory, of one that is large and not remembered
        self.parsed: M


class HeadMemory:
    """What the heads of requests take in memory, of all connections that share it: those of the process.

    When too much is remembered, the connection that has learned nothing for longest forgets all. When the large heads
    of open streams are too much, another one is refused.
    """

    def __init__(self, size: int = MEMORY, open_size: int = OPEN_MEMORY) -> None:
        self._size = size
        self._open_left = open_size
        self._taken: dict[HeaderBlocks[Any], int] = {}  # the one that learned last is the last
        self._total = 0

    def __repr__(self) -> str:
        return f"<HeadMemory {self._total} of {self._size} octets, {len(self._taken)} connections>"

    @property
    def total(self) -> int:
        """Octets that are remembered."""
        return self._total

    def add(self, blocks: HeaderBlocks[Any], octets: int) -> None:
        """Called by the one that remembers something more."""
        self._taken[blocks] = self._taken.pop(blocks, 0) + octets
        self._total += octets
        while self._total > self._size:
            next(iter(self._taken)).forget()

    def open(self, size: int) -> bool:
        """Whether a stream with a large head may open."""
        if size > self._open_left:
            return False
        self._open_left -= size
        return True

    def close(self, size: int) -> None:
        """Called when a stream with a large head is gone."""
        self._open_left += size

    def leave(self, blocks: HeaderBlocks[Any]) -> None:
        """Called by the one that has forgotten all."""
        self._total -= self._taken.pop(blocks, 0)


class HeaderBlocks(Generic[M]):
    """Reads the blocks of one connection, in the order they arrive."""

    def __init__(
        self, parse: Callable[[RequestHead[M]], M], limits: Limits, turn: Turn, memory: HeadMemory | None = None
    ) -> None:
        self._parse = parse
        self._decoder = Decoder(limits.max_header_list_size, limits.header_fields, limits.longest_list)
        self.known: dict[bytes, RequestHead[M]] = {}  # by their blocks
        self._max_fields = limits.header_fields
        self._turn = turn
        self._memory = memory or HeadMemory()

    def request(self, block: bytes) -> RequestHead[M]:
        """Read the block that opens a stream; StreamFault when the request is malformed."""
        known = self.known.get(block)
        if known is not None:
            return known
        changes = self._decoder.changes
        fields = self._decode(block)
        request: RequestHead[M] = _too_long() if fields is None else _checked_request(fields)
        request.parsed = self._parse(request)
        if fields is None:
            return request
        octets = 2 * sum(len(name) + len(value) for name, value in fields) + len(block)
        size = octets + _REQUEST_OVERHEAD + _FIELD_OVERHEAD * len(fields)
        if self._decoder.changes == changes and size <= REMEMBERED_SIZE:
            self._remember(block, request, size)
        elif size > LARGE:
            request.size = size
        return request

    def trailers(self, block: bytes) -> Sequence[Field]:
        """Read the block that ends a stream; StreamFault when it is malformed."""
        fields = self._decode(block)
        if fields is None:
            raise StreamFault(ErrorCode.ENHANCE_YOUR_CALM, "trailers too long")
        for name, value in fields:
            _check_field(name, value)
        return fields

    def skip(self, block: bytes) -> None:
        """Read a block that concerns nobody any more: it may still change the table."""
        if block not in self.known:
            self._decode(block)

    def forget(self) -> None:
        """Remember nothing; what comes is learned again."""
        self.known.clear()
        self._memory.leave(self)

    def _remember(self, block: bytes, request: RequestHead[M], size: int) -> None:
        if len(self.known) >= REMEMBERED_BLOCKS:
            self.forget()
        self.known[block] = request
        self._memory.add(self, size)

    def _decode(self, block: bytes) -> Sequence[Field] | None:
        decoder = self._decoder
        changes = decoder.changes
        fields = decoder.decode(block)
        if decoder.changes != changes and self.known:
            self.forget()
        # a Huffman code costs as much for these octets as a field does
        self._turn.left -= (self._max_fields if fields is None else len(fields)) + (len(block) >> 5)
        return fields


def _too_long() -> RequestHead[Any]:
    request: RequestHead[Any] = RequestHead({b":method": b"", b":path": b""}, ())
    request.is_too_long = True
    return request


def _checked_request(fields: Sequence[Field]) -> RequestHead[Any]:
    pseudo: dict[bytes, bytes] = {}
    regular: list[Field] = []
    for name, value in fields:
        if name[:1] != b":":
            _check_field(name, value)
            regular.append((name, value))
            continue
        if regular or name in pseudo or name not in _PSEUDO:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, f"pseudo-header {name!r} unknown, twice, or late")
        _check_value(name, value)
        pseudo[name] = value
    if not all(pseudo.get(name) for name in _REQUIRED):
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, "a request needs :method, :scheme and :path")
    return RequestHead(pseudo, regular)


def _check_field(name: bytes, value: bytes) -> None:
    if not _NAME.fullmatch(name):
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, f"header name {name[:40]!r}")
    _check_value(name, value)
    if name in _CONNECTION_SPECIFIC or (name == b"te" and value != b"trailers"):
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, f"header {name!r} belongs to HTTP/1.1")


def _is_value(value: bytes) -> bool:
    """RFC 9113, section 8.2.1, without its rule for blanks at the ends: daprd takes them for a part of the value.

    A regular expression takes a hundred times as long for a value of 4 KB.
    """
    return b"\n" not in value and b"\r" not in value and b"\0" not in value


def _check_value(name: bytes, value: bytes) -> None:
    if not _is_value(value):
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, f"value of header {name[:40]!r}")


def sendable(name: bytes, value: bytes) -> bool:
    """Whether a peer would take the field for well-formed."""
    if not _NAME.fullmatch(name) or name in _CONNECTION_SPECIFIC:
        return False
    return _is_value(value) and value.strip(b" \t") == value


def _content_length(fields: Sequence[Field]) -> int | None:
    given = {value for name, value in fields if name == b"content-length"}
    if not given:
        return None
    value = given.pop()
    if given or not value.isdigit() or len(value) > 18:  # noqa: PLR2004 - 10^18: beyond any body
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, "content-length")
    return int(value)


def encode(fields: Iterable[Field]) -> bytes:
    """The block for these fields: literals that never enter the peer's table, so that equal fields are equal bytes."""
    return b"".join(_literal(name, value) for name, value in fields)


# RFC 7541, appendix A: the entries of the static table that a gRPC server's answers use.
_STATUS_200: Final = 0x88
_NAME_INDEX: Final = {b":status": 8, b"content-type": 31}


def _literal(name: bytes, value: bytes) -> bytes:
    if (name, value) == (b":status", b"200"):
        return bytes((_STATUS_200,))
    index = _NAME_INDEX.get(name)
    opening = b"\0" + _text(name) if index is None else _integer(index, 4)
    return opening + _text(value)


def _text(text: bytes) -> bytes:
    return _integer(len(text), 7) + text


def _integer(value: int, bits: int) -> bytes:
    """RFC 7541, section 5.1; the bits before the prefix are zero, as they are for a literal without indexing."""
    most = (1 << bits) - 1
    if value < most:
        return bytes((value,))
    octets = bytearray((most,))
    value -= most
    while value > 127:  # noqa: PLR2004 - seven bits an octet
        octets.append(value & 127 | 128)
        value >>= 7
    octets.append(value)
    return bytes(octets)
