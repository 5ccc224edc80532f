"""Header blocks: what a request's block means, remembered per connection, and the bytes of an answer's.

The memory rests on one law of HPACK (RFC 7541): what a block means depends on its bytes and the dynamic table alone.
While the table does not change, the same bytes are the same headers; clients repeat theirs: most cost one lookup.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import hpack
from hpack.table import HeaderTable

from dapr_state.wire.faults import ConnectionFault, ErrorCode, StreamFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Field = tuple[bytes, bytes]
M = TypeVar("M")

# Enough for the distinct calls of one client; one that never repeats itself costs this much memory and no more.
REMEMBERED_BLOCKS: Final = 256
REMEMBERED_SIZE: Final = 1024  # octets; a longer block is rare, and decoding it is not what it costs

_REQUIRED: Final = (b":method", b":scheme", b":path")
_PSEUDO: Final = frozenset((*_REQUIRED, b":authority"))
# RFC 9113, section 8.2.2: they belong to one connection of HTTP/1.1
_CONNECTION_SPECIFIC: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)
_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")  # a token (RFC 9110, section 5.6.2) without capital letters
_BAD_VALUE: Final = re.compile(rb"[\0\r\n]|^[ \t]|[ \t]$")  # RFC 9113, section 8.2.1


class Request(Generic[M]):
    """The head of a request. `meaning`: what the layer above made of it, once for all requests with these headers."""

    __slots__ = ("authority", "content_length", "fields", "meaning", "method", "path")

    def __init__(self, pseudo: dict[bytes, bytes], fields: Sequence[Field]) -> None:
        self.method = pseudo[b":method"]
        self.path = pseudo[b":path"]
        self.authority = pseudo.get(b":authority", b"")
        self.fields = fields
        self.content_length = _content_length(fields)
        self.meaning: M


class _WatchedTable(HeaderTable):
    """HPACK's table, counting what could change the meaning of a block."""

    def __init__(self) -> None:
        super().__init__()
        self.changes = 0

    def add(self, name: bytes, value: bytes) -> None:
        self.changes += 1
        super().add(name, value)

    @property
    def maxsize(self) -> int:
        return super().maxsize

    @maxsize.setter
    def maxsize(self, size: int) -> None:
        self.changes += 1
        HeaderTable.maxsize.__set__(self, size)  # type: ignore[attr-defined] # a property, whatever the checker says


class HeaderBlocks(Generic[M]):
    """Reads the blocks of one connection, in the order they arrive."""

    def __init__(self, interpret: Callable[[Request[M]], M], max_size: int) -> None:
        self._interpret = interpret
        # once it refuses a list that is too long, the decoder is of no more use: the connection ends
        self._decoder = hpack.Decoder(max_header_list_size=max_size)
        self._table = self._decoder.header_table = _WatchedTable()
        self._known: dict[bytes, Request[M]] = {}

    def request(self, block: bytes) -> Request[M]:
        """Read the block that opens a stream; StreamFault when the request is malformed."""
        known = self._known.get(block)
        if known is not None:
            return known
        changes = self._table.changes
        request: Request[M] = _checked_request(self._decode(block))
        request.meaning = self._interpret(request)
        if self._table.changes == changes and len(block) <= REMEMBERED_SIZE:
            self._remember(block, request)
        return request

    def trailers(self, block: bytes) -> Sequence[Field]:
        """Read the block that ends a stream; StreamFault when it is malformed."""
        fields = self._decode(block)
        for name, value in fields:
            _check_field(name, value)
        return fields

    def skip(self, block: bytes) -> None:
        """Read a block that concerns nobody any more: it may still change the table."""
        if block not in self._known:
            self._decode(block)

    def _remember(self, block: bytes, request: Request[M]) -> None:
        if len(self._known) >= REMEMBERED_BLOCKS:
            self._known.clear()
        self._known[block] = request

    def _decode(self, block: bytes) -> Sequence[Field]:
        changes = self._table.changes
        try:
            return list(self._decoder.decode(block, raw=True))
        except hpack.OversizedHeaderListError as error:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "header list too long") from error
        # an index or an integer out of all bounds surfaces as one of Python's own errors
        except (hpack.HPACKError, IndexError, ValueError, OverflowError) as error:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, "header block cannot be decoded") from error
        finally:
            if self._table.changes != changes:
                self._known.clear()


def _checked_request(fields: Sequence[Field]) -> Request[Any]:
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
    return Request(pseudo, regular)


def _check_field(name: bytes, value: bytes) -> None:
    if not _NAME.fullmatch(name):
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, f"header name {name[:40]!r}")
    _check_value(name, value)
    if name in _CONNECTION_SPECIFIC or (name == b"te" and value != b"trailers"):
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, f"header {name!r} belongs to HTTP/1.1")


def _check_value(name: bytes, value: bytes) -> None:
    if _BAD_VALUE.search(value):
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, f"value of header {name[:40]!r}")


def sendable(name: bytes, value: bytes) -> bool:
    """Whether a peer would take the field for well-formed."""
    return bool(_NAME.fullmatch(name)) and not _BAD_VALUE.search(value) and name not in _CONNECTION_SPECIFIC


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
