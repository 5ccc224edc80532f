"""HTTP/2 by prior knowledge, with h2 as the client: many requests on one connection, answers in any order."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, InformationalResponseReceived, ResponseReceived, StreamEnded, StreamReset

from dapr_state.wire.http2.frames import PREFIX_SIZE, FrameType
from tests.support.http import TIMEOUT, Answer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from h2.events import Event

    Field = tuple[bytes, bytes]


class Http2Client:
    """Checks nothing of what it sends, so that a test can send anything."""

    def __init__(self, port: int) -> None:
        self.raw = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self.h2 = H2Connection(
            H2Configuration(validate_outbound_headers=False, normalize_outbound_headers=False, header_encoding=None)
        )
        self.h2.initiate_connection()
        self.interim: list[int] = []  # streams that were told to go on
        self.last_streams: list[int] = []  # of each GOAWAY
        self.is_closed = False
        self._received = b""
        self._unsent: dict[int, bytes] = {}
        self._events: dict[int, list[Event]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.raw.close()

    def ask(self, method: str, target: str | bytes, body: bytes | str | None = None, **headers: str) -> Answer:
        """One request and its answer; `If_Match="1"` is the header if-match."""
        return self.answer(self.send(method, target, body, **headers))

    def send(self, method: str, target: str | bytes, body: bytes | str | None = None, **headers: str) -> int:
        """Send a request as far as the server lets it; returns its stream."""
        path = target.encode() if isinstance(target, str) else target
        content = body.encode() if isinstance(body, str) else body
        fields = [(name.replace("_", "-").lower().encode(), value.encode()) for name, value in headers.items()]
        if content is not None:
            fields.append((b"content-length", b"%d" % len(content)))
        stream = self.open(head(method, path, *fields), ended=content is None)
        if content is not None:
            self._unsent[stream] = content
            self._send_more()
        return stream

    def open(self, fields: Iterable[Field], *, ended: bool = True) -> int:
        """Send a head, whatever is in it."""
        stream = self.h2.get_next_available_stream_id()
        self._events[stream] = []
        self.h2.send_headers(stream, list(fields), end_stream=ended)
        self.flush()
        return stream

    def answer(self, stream: int) -> Answer:
        """The answer on a stream. Raises ConnectionError when the stream is reset or the connection ends."""
        while not any(isinstance(event, StreamEnded | StreamReset) for event in self._events[stream]):
            self._read()
        fields: list[Field] = []
        body = b""
        for event in self._events.pop(stream):
            match event:
                case ResponseReceived():
                    fields = list(event.headers)
                case DataReceived():
                    body += event.data
                case StreamReset() if not fields:
                    raise ConnectionError(f"reset with code {int(event.error_code)}")
        (_, status), *others = fields
        lines = tuple(f"{name.decode()}: {value.decode('latin-1')}" for name, value in others if name != b"date")
        return Answer(f"HTTP/2 {status.decode()}", lines, body)

    def reset(self, stream: int) -> None:
        self.h2.reset_stream(stream)
        self.flush()

    def wait_for_the_end(self) -> None:
        """Read until the server closes."""
        while not self.is_closed:
            try:
                self._read()
            except ConnectionError:
                self.is_closed = True

    def flush(self) -> None:
        self.raw.sendall(self.h2.data_to_send())

    def _read(self) -> None:
        data = self.raw.recv(1 << 20)
        if not data:
            raise ConnectionError("closed")
        for event in self.h2.receive_data(self._without_goaway(data)):
            if isinstance(event, DataReceived):
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if isinstance(event, InformationalResponseReceived):
                self.interim.append(event.stream_id)
            elif (stream := getattr(event, "stream_id", 0)) in self._events:
                self._events[stream].append(event)
        self._send_more()

    def _without_goaway(self, data: bytes) -> bytes:
        """Whole frames; h2 takes GOAWAY for the end of all streams, which it is not (RFC 9113, 6.8)."""
        self._received += data
        frames = b""
        while len(self._received) >= PREFIX_SIZE:
            end = PREFIX_SIZE + int.from_bytes(self._received[:3])
            if len(self._received) < end:
                break
            one, self._received = self._received[:end], self._received[end:]
            if one[3] == FrameType.GOAWAY:
                self.last_streams.append(int.from_bytes(one[PREFIX_SIZE : PREFIX_SIZE + 4]))
            else:
                frames += one
        return frames

    def _send_more(self) -> None:
        for stream, content in list(self._unsent.items()):
            if any(isinstance(event, StreamReset) for event in self._events.get(stream, ())):
                del self._unsent[stream]
                continue
            left = content
            while left and (size := min(len(left), self.h2.local_flow_control_window(stream), 16_384)) > 0:
                self.h2.send_data(stream, left[:size])
                left = left[size:]
            self._unsent[stream] = left
            if not left:
                self.h2.end_stream(stream)
                del self._unsent[stream]
        self.flush()


def head(method: str, path: bytes, *fields: Field, authority: bytes = b"localhost") -> list[Field]:
    """The fields that open a request."""
    pseudo = ((b":method", method.encode()), (b":scheme", b"http"), (b":authority", authority), (b":path", path))
    return [*pseudo, *fields]
