"""What a request's headers mean to the server: the method they name, or why they are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc

from dapr_state.serving.grpc.observed import ObservedHandler, as_it_is, behavior_of
from dapr_state.wire import grpc as framing
from dapr_state.wire.http2 import headers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from google.protobuf.message import Message

    from dapr_state.serving.grpc.observed import After, StatusOf
    from dapr_state.wire.http2.headers import RequestHead

    Handler = grpc.RpcMethodHandler[Any, Any]


class Method:
    """One method of a service: its behaviour, and what turns its messages into bytes and back.

    See ObservedHandler for `after` and `status_of`.
    """

    __slots__ = (
        "after",
        "behavior",
        "deserialize",
        "message",
        "path",
        "request_streaming",
        "response_streaming",
        "serialize",
        "status_of",
    )

    def __init__(self, path: str, handler: Handler) -> None:
        self.path = path
        self.after: After | None = None
        self.status_of: StatusOf = _no_status
        if isinstance(handler, ObservedHandler):
            self.after, self.status_of, handler = handler.after, handler.status_of, handler.plain
        self.request_streaming = bool(handler.request_streaming)
        self.response_streaming = bool(handler.response_streaming)
        self.deserialize: Callable[[bytes], Any] = handler.request_deserializer or as_it_is
        self.message: type[Message] | None = _message(self.deserialize)
        self.serialize: Callable[[Any], bytes] = handler.response_serializer or as_it_is
        self.behavior: Callable[[Any, Any], Any] = behavior_of(handler)

    def __repr__(self) -> str:
        return f"<Method {self.path}>"


def _message(deserialize: Any) -> type[Message] | None:
    """The class whose `FromString` it is, if it is one: messages of it can be parsed in slices."""
    owner = getattr(deserialize, "__self__", None)
    return owner if isinstance(owner, type) and hasattr(owner, "MergeFromString") else None


def _no_status(_: BaseException) -> None:
    return None


class Refusal:
    """An answer that is known from the headers alone. With an HTTP status other than 200 it has a text for people."""

    __slots__ = ("block", "body")

    def __init__(self, code: int, details: str, status: int = 200) -> None:
        self.body = b"" if status == 200 else details.encode() + b"\n"  # noqa: PLR2004 - HTTP's OK
        content_type = b"text/plain; charset=utf-8" if self.body else framing.CONTENT_TYPE
        fields = [(b":status", b"%d" % status), (b"content-type", content_type)]
        self.block = headers.encode([*fields, *framing.status_fields(code, details), *_ACCEPTS])


_ACCEPTS: Final = [(b"grpc-accept-encoding", framing.ACCEPTED_ENCODINGS)]


class ParsedHeaders:
    """A request's headers, understood: worked out once for all requests that carry the same."""

    __slots__ = ("content_type", "encoding", "headers", "metadata", "method", "refusal", "timeout")

    def __init__(self) -> None:
        self.refusal: Refusal | None = None
        self.method: Method
        self.metadata: tuple[framing.Metadatum, ...] = ()
        self.timeout: float | None = None
        self.encoding: framing.Encoding | None = None
        self.content_type = framing.CONTENT_TYPE
        self.headers = _PLAIN_HEADERS


_PLAIN_HEADERS: Final = framing.answer_headers(framing.CONTENT_TYPE)


class Methods:
    """The methods of a server, by path."""

    def __init__(self) -> None:
        self._known: dict[str, Method] = {}
        self._generic: list[grpc.GenericRpcHandler] = []

    def add_generic(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        # grpc.aio asks those that were added last first
        self._generic[:0] = handlers

    def add_registered(self, service: str, handlers: Mapping[str, Handler]) -> None:
        for name, handler in handlers.items():
            path = f"/{service}/{name}"
            self._known[path] = Method(path, handler)

    def parse(self, request: RequestHead[ParsedHeaders]) -> ParsedHeaders:
        """Understand a request's headers, or find the reason to refuse it; the checks and texts are grpc-go's."""
        parsed = ParsedHeaders()
        try:
            self._parse(request, parsed)
        except framing.Refused as refused:
            parsed.refusal = Refusal(refused.code, refused.details)
        except _HttpRefused as refused:
            parsed.refusal = Refusal(refused.code, refused.details, refused.status)
        return parsed

    def _parse(self, request: RequestHead[ParsedHeaders], parsed: ParsedHeaders) -> None:
        if request.is_too_long:
            raise framing.Refused(framing.RESOURCE_EXHAUSTED, "the headers are longer than the limit")
        fields = dict(request.fields)
        content_type = fields.get(b"content-type", b"")
        if not _is_grpc(content_type):
            text = _quoted(content_type)
            raise _HttpRefused(415, framing.INVALID_ARGUMENT, f"invalid gRPC request content-type {text}")
        if request.method != b"POST":
            text = f"Received a HEADERS frame with :method {_quoted(request.method)} which should be POST"
            raise _HttpRefused(405, framing.INTERNAL, text)
        if content_type != framing.CONTENT_TYPE:
            parsed.content_type = content_type
            parsed.headers = framing.answer_headers(content_type)
        parsed.timeout = _timeout(fields)
        parsed.encoding = _encoding(fields)
        try:
            parsed.metadata = framing.read_metadata(request.fields)
        except ValueError as error:
            raise _HttpRefused(400, framing.INTERNAL, f"malformed metadata: {error}") from error
        parsed.method = self._find(request.path, parsed.metadata)

    def _find(self, path: bytes, metadata: tuple[framing.Metadatum, ...]) -> Method:
        name = path.decode("utf-8", "replace")
        known = self._known.get(name)
        if known is not None:
            return known
        service, slash, _ = name[1:].rpartition("/")
        if name[0] != "/" or not slash:
            raise framing.Refused(framing.UNIMPLEMENTED, f"malformed method name: {_quoted(path)}")
        details = _CallDetails(name, metadata)
        for generic in self._generic:
            handler = generic.service(details)
            if handler is not None:
                return Method(name, handler)
        raise framing.Refused(framing.UNIMPLEMENTED, f"unknown service {service}")


class _HttpRefused(Exception):
    """Refused with a status of HTTP: whoever asks may not speak gRPC."""

    def __init__(self, status: int, code: int, details: str) -> None:
        super().__init__(details)
        self.status = status
        self.code = code
        self.details = details


class _CallDetails(grpc.HandlerCallDetails):
    def __init__(self, method: str, metadata: tuple[framing.Metadatum, ...]) -> None:
        self.method = method
        self.invocation_metadata = metadata


def _is_grpc(content_type: bytes) -> bool:
    """application/grpc, alone or followed by +proto and the like, or by parameters."""
    lowered = content_type.lower()
    return lowered.startswith(framing.CONTENT_TYPE) and lowered[len(framing.CONTENT_TYPE) :][:1] in {b"", b"+", b";"}


def _timeout(fields: Mapping[bytes, bytes]) -> float | None:
    value = fields.get(b"grpc-timeout")
    if value is None:
        return None
    try:
        return framing.timeout(value)
    except ValueError as error:
        raise _HttpRefused(400, framing.INTERNAL, f"malformed grpc-timeout: {_quoted(value)}") from error


def _encoding(fields: Mapping[bytes, bytes]) -> framing.Encoding | None:
    name = fields.get(b"grpc-encoding", b"identity")
    if name not in framing.ENCODINGS:
        text = f"grpc: Decompressor is not installed for grpc-encoding {_quoted(name)}"
        raise framing.Refused(framing.UNIMPLEMENTED, text)
    return framing.ENCODINGS[name]


def _quoted(value: bytes) -> str:
    return '"' + value.decode("utf-8", "replace") + '"'
