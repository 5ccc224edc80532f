"""HTTP/1.1 requests (RFC 9112): bytes in, whole requests out, one at a time and in order.

Why not a parser that exists: the same small read with a minimal handler, in one run on two cores beside daprd
(18 000/s, 68 us of CPU each), made 22 000/s (32 us) on uvicorn and 80 000/s (10 us) with httptools on a bare protocol.
Uvicorn is out of reach of twice daprd, and has no say in the answers to oversized, slow or broken requests. httptools
refuses paths in plain UTF-8 and verbs that it does not know, which daprd answers, and takes `gzip, chunked` for chunks.
What is here is as fast as httptools for two reasons: clients repeat their headers, so a block of headers that was read
once is remembered, and the same bytes mean the same fields; and the usual first line is one regular expression.

Rules that a change must keep:
1. Nobody else is to read a message differently than we do: what RFC 9112 calls ambiguous (two lengths, length and
   chunks, folded lines, bare line feeds, blanks before a colon) is refused, also where Go's server accepts it.
2. Memory is bounded by `max_head`, `max_body`, and what one `feed` brings.
3. A refused message is the last of its connection.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from dapr_state.wire.http1.body import NO_LIMIT, ChunkedBody, CountedBody

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

MAX_KNOWN_BLOCKS = 256  # of a connection: enough for the distinct heads of one client
# Of a block that is remembered. 8 KB may be 2 000 fields, which take 300 KB: so much times 256 would stay for ever.
MAX_KNOWN_OCTETS = 2048
MAX_KNOWN_FIELDS = 64  # of the same
MAX_SKIPPED = 256 * 1024  # as Go: so much of a body beyond the limit is read over, to keep the connection

# The usual first line, of which nothing needs a second look: a known verb, and a path without escapes and query
_PLAIN_LINE = re.compile(rb"(GET|POST|PUT|DELETE) (/[^\x00-\x20\x7f%+?]*) HTTP/1\.1\r\n")

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# a path, an address, or the asterisk of OPTIONS
_TARGET = re.compile(rb"(?:/|[A-Za-z][A-Za-z0-9+.\-]*:|\*$)[^\x00-\x20\x7f]*")
_AUTHORITY = re.compile(rb"[^\x00-\x20\x7f]+")  # of CONNECT
_BAD_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_VERSION = re.compile(rb"HTTP/\d\.\d")
_VALUE = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")
_HOST = re.compile(rb"[A-Za-z0-9!$%&'()*+,\-.:;=@\[\]_~]*")
_LINE_ENDS = re.compile(rb"(?:\r\n)*+")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_LENGTH = re.compile(rb"[0-9]{1,18}")


class RefusedError(Exception):
    """The bytes are not a request that can be answered: `status` is the rest of the status line, `text` the body."""

    def __init__(self, status: str, text: str = "") -> None:
        super().__init__(status)
        self.status = status
        self.text = text or status


BAD_REQUEST = "400 Bad Request"
HEAD_TOO_LARGE = "431 Request Header Fields Too Large"
BAD_VERSION = "505 HTTP Version Not Supported: unsupported protocol version"


class Fields:
    """A block of header fields: the first value of each name, and what it says about the message.

    `more`: the further lines of a name; `baggage`: all of its values in one, as daprd reads them.
    `parsed`: what the layer above made of it, once for all requests with these headers; `is_usual`: its checks of
    headers have nothing to say of these.
    """

    __slots__ = (
        "baggage",
        "chunked",
        "connection",
        "expect",
        "has_host",
        "is_usual",
        "length",
        "more",
        "parsed",
        "persists",
        "values",
    )

    def __init__(
        self,
        values: Mapping[str, str],
        length: int,
        connection: frozenset[str],
        *,
        chunked: bool,
        more: Sequence[tuple[str, str]] = (),
    ) -> None:
        self.values = values
        self.more = tuple(more)
        first = [values["baggage"]] if "baggage" in values else []
        self.baggage = ",".join(first + [value for name, value in more if name == "baggage"])
        self.length = length
        self.chunked = chunked
        self.connection = connection
        self.persists = "close" not in connection  # unless HTTP/1.0 was spoken
        self.expect = values.get("expect", "").lower()
        self.has_host = "host" in values
        self.parsed: Any = None
        self.is_usual = False


# msgspec.Struct costs a fourth of a slotted class with an __init__ of its own to make.
class Request(msgspec.Struct, eq=False):
    """One request, whole. Several may share their `fields`, so these are only read.

    `is_plain`: the target is a path that needs no decoding, without a query.
    """

    method: str
    target: bytes
    fields: Fields
    keep_alive: bool
    expect: str
    is_plain: bool = False
    is_http10: bool = False
    body: bytes = b""
    body_error: str = ""  # why `body` is only the beginning of what was announced

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.target.decode(errors='replace')}, {len(self.body)} bytes>"

    @property
    def headers(self) -> Mapping[str, str]:
        """By lower-case names."""
        return self.fields.values


R = TypeVar("R", bound=Request)


def request_of(make: type[R], method: bytes, target: bytes, fields: Iterable[tuple[bytes, bytes]]) -> R:
    """A request whose head came in another version's form, without its body.

    Raises RefusedError for what this version refuses as well.
    """
    verb, read = _checked_verb(method, target), _fields(fields)
    is_plain = _PLAIN_LINE.fullmatch(b"%b %b HTTP/1.1\r\n" % (method, target)) is not None
    return make(verb, target, read, keep_alive=True, expect=read.expect, is_plain=is_plain)


class RequestReader(Generic[R]):
    """`feed` it what arrives, ask `next_request` until it returns None; `make` is the class of its requests."""

    def __init__(self, make: type[R], max_head: int, max_body: int, known: dict[bytes, Fields]) -> None:
        self._make = make
        self._max_head = max_head
        self._max_body = max_body if max_body > 0 else NO_LIMIT
        self._known = known  # shared by the connections of a server
        self._buffer = b""
        self._at = 0
        self._skip = 0  # bytes of the last body that nobody is to see
        self._request: R | None = None  # its head is read, its body is not
        self._body: CountedBody | ChunkedBody | None = None

    @property
    def is_between_requests(self) -> bool:
        """Nothing of another request has arrived."""
        return self._request is None and self._at == len(self._buffer) and not self._skip

    def is_done(self) -> bool:
        """Nothing of another request has arrived, and what was read is not in memory any more."""
        if self._at < len(self._buffer):
            return False
        self._buffer, self._at = b"", 0
        return self._request is None and not self._skip

    @property
    def waiting(self) -> int:
        """How many bytes wait for `next_request`."""
        return len(self._buffer) - self._at

    @property
    def held(self) -> int:
        """How many bytes are in memory for what waits: `compact` gives back those that were read."""
        return len(self._buffer)

    @property
    def unread(self) -> bytes:
        """What waits for `next_request`."""
        return self._buffer[self._at :]

    @property
    def is_cut(self) -> bool:
        """Nothing has to arrive for `next_request` to go on: it has done its share of the work."""
        return self._body is not None and self._body.is_cut

    @property
    def unfinished(self) -> R | None:
        """The request whose body has begun, or is to begin, and is not complete."""
        return self._request

    @property
    def body_size(self) -> int:
        """The most that the body of the unfinished request may take."""
        return self._body.size if self._body else 0

    @property
    def body_received(self) -> int:
        """What has come of the body of the unfinished request."""
        return self._body.received if self._body else 0

    def expects_continue(self) -> bool:
        """Whether the client waits for a word before it sends the body; true once for each request."""
        request = self._request
        if request is None or request.expect != "100-continue" or request.is_http10:
            return False
        request.expect = ""
        return True

    def feed(self, data: bytes) -> None:
        if self._at == len(self._buffer):
            self._buffer = data
        else:
            self._buffer = self._buffer[self._at :] + data
        self._at = 0

    def compact(self) -> None:
        """Keep no more in memory than what waits."""
        self._buffer = self._buffer[self._at :]
        self._at = 0

    def drop(self) -> None:
        """Forget what waits: it will not be answered."""
        self._buffer, self._at = b"", 0
        self._request = self._body = None

    def next_request(self) -> R | None:
        """The next request; None when it has not arrived in full, or there is work for another turn (`is_cut`).

        Raises RefusedError.
        """
        if self._at == len(self._buffer):
            self._buffer, self._at = b"", 0
            return None
        request = self._request or self._read_head()
        if request is None:
            return None
        body = self._body
        if body is None:
            return request
        self._at = body.take(self._buffer, self._at)
        if not body.is_complete:
            self._request = request
            if self._at == len(self._buffer):
                self._buffer, self._at = b"", 0
            return None
        request.body, request.body_error = body.content, body.error
        if body.unread > MAX_SKIPPED:
            request.keep_alive = False
        else:
            self._skip = body.unread
        self._request = self._body = None
        return request

    def _read_head(self) -> R | None:
        buffer, at = self._buffer, self._at
        plain = None if self._skip else _PLAIN_LINE.match(buffer, at)
        if plain is None and (at := self._pass_over(buffer, at)) == len(buffer):
            return None
        end = buffer.find(b"\r\n\r\n", at)
        if end < 0:
            self._refuse_hopeless(buffer[at:])
            return None
        if end + 4 - at > self._max_head:
            raise RefusedError(HEAD_TOO_LARGE)
        if plain:
            verb, target = plain.groups()
            fields_at, is_http10 = plain.end(), False
            method = _VERBS[verb]
        else:
            fields_at = buffer.find(b"\r\n", at) + 2
            method, target, is_http10 = _parse_line(buffer[at : fields_at - 2])
        block = buffer[fields_at : end + 2]
        self._at = end + 4
        fields = self._known.get(block) or self._learn(block)
        if not (fields.has_host or is_http10):
            raise RefusedError("400 Bad Request: missing required Host header")
        keep_alive = "keep-alive" in fields.connection if is_http10 else fields.persists
        request = self._make(method, target, fields, keep_alive, fields.expect, plain is not None, is_http10)
        if fields.length or fields.chunked:
            self._begin_body(request)
        return request

    def _begin_body(self, request: R) -> None:
        fields, begin = request.fields, self._at
        if fields.chunked:
            if request.is_http10:  # the older protocol has no chunks
                raise RefusedError(BAD_REQUEST)
            self._body = ChunkedBody(self._max_body, self._max_head)
        elif fields.length <= self._max_body and begin + fields.length <= len(self._buffer):  # it is here already
            self._at = begin + fields.length
            request.body = self._buffer[begin : self._at]
        else:
            self._body = CountedBody(fields.length, self._max_body)

    def _pass_over(self, buffer: bytes, at: int) -> int:
        """Where the next head begins: after what is left of a body, and after line ends too many (RFC 9112 2.2)."""
        skipped = min(self._skip, len(buffer) - at)
        self._skip -= skipped
        self._at = _LINE_ENDS.match(buffer, at + skipped).end()  # type: ignore[union-attr] # none is a match too
        return self._at

    def _refuse_hopeless(self, head: bytes) -> None:
        """A head that is not complete, and can never be right."""
        if len(head) > self._max_head:
            raise RefusedError(HEAD_TOO_LARGE)
        if _BARE_LF.search(head):
            raise RefusedError(BAD_REQUEST)

    def _learn(self, block: bytes) -> Fields:
        fields = _fields(_fields_in(block))
        if len(block) <= MAX_KNOWN_OCTETS and len(fields.values) <= MAX_KNOWN_FIELDS:
            if len(self._known) >= MAX_KNOWN_BLOCKS:
                self._known.clear()
            self._known[block] = fields
        return fields


def _parse_line(line: bytes) -> tuple[str, bytes, bool]:
    """Verb, target, and whether the version is 1.0."""
    try:
        method, target, version = line.split(b" ")
    except ValueError:
        raise RefusedError(BAD_REQUEST) from None
    is_http10 = version != b"HTTP/1.1" and _is_http10(version)
    return _checked_verb(method, target), target, is_http10


def _checked_verb(method: bytes, target: bytes) -> str:
    verb = _VERBS.get(method) or _other_verb(method)
    if not (_AUTHORITY if verb == "CONNECT" else _TARGET).fullmatch(target):
        raise RefusedError(BAD_REQUEST)
    if b"%" in target and _BAD_PERCENT.search(target.partition(b"?")[0]):
        raise RefusedError(BAD_REQUEST)
    return verb


_VERBS = {verb.encode(): verb for verb in ("GET", "POST", "PUT", "DELETE")}


def _other_verb(method: bytes) -> str:
    if not _TOKEN.fullmatch(method):
        raise RefusedError(BAD_REQUEST)
    return method.decode()


def _is_http10(version: bytes) -> bool:
    if not _VERSION.fullmatch(version):
        raise RefusedError(BAD_REQUEST)
    if not version.startswith(b"HTTP/1."):
        raise RefusedError(BAD_VERSION)
    return version == b"HTTP/1.0"  # 1.2 to 1.9 do not exist, and are to be read as 1.1


def _fields_in(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and values of a block's lines."""
    for line in block.split(b"\r\n")[:-1] if block else ():
        name, colon, value = line.partition(b":")
        if not colon:
            raise RefusedError(BAD_REQUEST)
        if name[:1] in b" \t":  # a folded line, or no name
            raise RefusedError(BAD_REQUEST)
        yield name, value.strip(b" \t")


def _fields(given: Iterable[tuple[bytes, bytes]]) -> Fields:
    values: dict[str, str] = {}
    hosts: list[bytes] = []
    lengths: set[bytes] = set()
    encodings: list[bytes] = []
    connection: set[str] = set()
    more: list[tuple[str, str]] = []
    for name, value in given:
        if not _VALUE.fullmatch(value):
            raise RefusedError(BAD_REQUEST)
        if not _TOKEN.fullmatch(name):
            raise RefusedError("400 Bad Request: invalid header name")
        lowered = name.lower().decode()
        text = value.decode("utf-8", "surrogateescape")
        if lowered in values:
            more.append((lowered, text))
        else:
            values[lowered] = text
        if lowered == "host":
            hosts.append(value)
        elif lowered == "content-length":
            lengths.add(value)
        elif lowered == "transfer-encoding":
            encodings.append(value.lower())
        elif lowered == "connection":
            connection.update(word.strip().lower() for word in value.decode("latin-1").split(","))
    _check_host(hosts)
    chunked = _is_chunked(encodings, lengths)
    return Fields(values, _length(lengths), frozenset(connection), chunked=chunked, more=more)


def _check_host(hosts: list[bytes]) -> None:
    if len(hosts) > 1:
        raise RefusedError(BAD_REQUEST)
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise RefusedError("400 Bad Request: malformed Host header")


def _length(lengths: set[bytes]) -> int:
    if not lengths:
        return 0
    (length, *others) = lengths
    if others or not _LENGTH.fullmatch(length):
        raise RefusedError(BAD_REQUEST)
    return int(length)


def _is_chunked(encodings: list[bytes], lengths: set[bytes]) -> bool:
    if not encodings:
        return False
    if encodings != [b"chunked"]:
        raise RefusedError("501 Not Implemented", "Unsupported transfer encoding")
    if lengths:
        raise RefusedError(BAD_REQUEST)
    return True
