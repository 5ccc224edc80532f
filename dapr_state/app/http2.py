"""Sending requests over HTTP/2: to applications that speak nothing else (h2c), and the health check of gRPC ones."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
    WindowUpdated,
)
from h2.exceptions import H2Error, TooManyStreamsError
from msgspec import Struct, field

from dapr_state.app.answers import SMALL, Answers
from dapr_state.app.callbacks import Reply
from dapr_state.app.client import MAX_CONNECTIONS, Client, without_verification
from dapr_state.app.connection import BrokenError, reason

if TYPE_CHECKING:
    from dapr_state.app.model import Headers


class _Exchange(Struct, eq=False):
    """One request, and what has come of its answer so far."""

    answer: asyncio.Future[Reply]
    unsent: memoryview
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)
    size: int = 0
    status: int = 0


class AppHttp2Connection(asyncio.Protocol):
    """Any number of requests at once; `exchange` while `is_open`."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._loop = asyncio.get_running_loop()
        self._h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._transport: asyncio.Transport
        self._exchanges: dict[int, _Exchange] = {}
        self._room = asyncio.Event()  # the application takes one more request; it first says how many
        self.is_open = False

    def __repr__(self) -> str:
        return f"<AppHttp2Connection {'open' if self.is_open else 'closed'}, {len(self._exchanges)} requests>"

    async def exchange(self, headers: list[tuple[str, str]], body: bytes) -> Reply:
        """Send a request. Raises BrokenError."""
        number = await self._begin(headers, ends=not body)
        exchange = _Exchange(self._loop.create_future(), memoryview(body))
        self._exchanges[number] = exchange
        self._send(number, exchange)
        self._flush()
        try:
            return await exchange.answer
        finally:
            self._answers.drop(exchange)
            if self._exchanges.pop(number, None) and self.is_open:
                self._h2.reset_stream(number)  # nobody waits for the rest
                self._flush()
            self._room.set()

    def abort(self) -> None:
        self.is_open = False
        self._transport.abort()

    # What happens to the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True
        self._h2.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        try:
            for event in self._h2.receive_data(data):
                self._take(event)
            self._flush()
        except H2Error as error:
            self._break(f"http2: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        self._break(reason(error) if isinstance(error, OSError) else "EOF")

    # Requests and answers

    async def _begin(self, headers: list[tuple[str, str]], *, ends: bool) -> int:
        """Open a stream as soon as the application lets us."""
        await self._room.wait()
        while self.is_open:
            number = self._h2.get_next_available_stream_id()
            try:
                self._h2.send_headers(number, headers, end_stream=ends)
            except TooManyStreamsError:
                self._room.clear()
                await self._room.wait()
            except H2Error as error:
                raise BrokenError(f"http2: {error}") from error
            else:
                return number
        raise BrokenError("http2: client connection lost")

    def _take(self, event: Event) -> None:
        if isinstance(event, RemoteSettingsChanged):
            self._room.set()
        if isinstance(event, RemoteSettingsChanged | WindowUpdated):
            for number, exchange in self._exchanges.items():
                self._send(number, exchange)
        elif isinstance(event, ConnectionTerminated):  # h2 reads nothing after it, not even what was promised
            self._break("http2: server sent GOAWAY and closed the connection")
        elif isinstance(event, DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        if asked := self._exchanges.get(getattr(event, "stream_id", None) or 0):
            self._take_answer(event, asked)

    def _take_answer(self, event: Event, exchange: _Exchange) -> None:
        if isinstance(event, ResponseReceived | TrailersReceived):
            pairs = [(bytes(name), bytes(value)) for name, value in event.headers]
            exchange.status = next((int(value) for name, value in pairs if name == b":status"), exchange.status)
            exchange.headers += [pair for pair in pairs if not pair[0].startswith(b":")]
        elif isinstance(event, DataReceived):
            exchange.parts.append(event.data)
            exchange.size += len(event.data)
            if exchange.size > SMALL and (why := self._answers.hold(exchange, exchange.size)):
                exchange.parts.clear()
                _fail(exchange, why)
        elif isinstance(event, StreamReset):
            self._exchanges.pop(event.stream_id)
            _fail(exchange, f"stream error: stream ID {event.stream_id}; error code {event.error_code}")
        elif isinstance(event, StreamEnded):
            if not exchange.unsent:  # an answer before its request is complete leaves a stream to be reset
                self._exchanges.pop(event.stream_id)
            if not exchange.answer.done():
                exchange.answer.set_result(Reply(exchange.status, exchange.headers, b"".join(exchange.parts)))

    def _send(self, number: int, exchange: _Exchange) -> None:
        """As much of the body as the application takes."""
        while exchange.unsent:
            size = min(self._h2.local_flow_control_window(number), self._h2.max_outbound_frame_size)
            if size <= 0:
                return
            part, exchange.unsent = exchange.unsent[:size], exchange.unsent[size:]
            self._h2.send_data(number, bytes(part), end_stream=not exchange.unsent)

    def _flush(self) -> None:
        if data := self._h2.data_to_send():
            self._transport.write(data)

    def _break(self, why: str) -> None:
        self.abort()
        exchanges, self._exchanges = self._exchanges, {}
        for exchange in exchanges.values():
            _fail(exchange, why)
        self._room.set()


class Http2Client(Client):
    """One connection at a time; `max_concurrency` 0 means no limit but daprd's of connections."""

    def __init__(self, host: str, port: int, *, tls: bool = False, max_concurrency: int = 0) -> None:
        super().__init__(host, port, tls=tls)
        self._tls = without_verification() if tls else None
        if self._tls:
            self._tls.set_alpn_protocols(["h2"])
        self._answers = Answers()
        self._places = asyncio.Semaphore(max_concurrency or MAX_CONNECTIONS)
        self._dialling = asyncio.Lock()
        self._connection: AppHttp2Connection | None = None

    async def send(self, method: str, target: str, headers: Headers, body: bytes = b"") -> Reply:
        lines = [(":method", method), (":scheme", self.scheme), (":authority", self.authority), (":path", target)]
        lines += [(name.lower(), value) for name, value in headers]
        if body or method == "PUT":
            lines.append(("content-length", str(len(body))))
        async with self._places:
            try:
                return await (await self._connect()).exchange(lines, body)
            except BrokenError as error:
                raise self.fault(method, target, str(error)) from error
            except OSError as error:
                raise self.unreachable(method, target, error) from error

    async def close(self) -> None:
        if self._connection:
            self._connection.abort()

    async def _connect(self) -> AppHttp2Connection:
        async with self._dialling:
            if self._connection is None or not self._connection.is_open:
                loop = asyncio.get_running_loop()
                _, self._connection = await loop.create_connection(
                    lambda: AppHttp2Connection(self._answers), self.host, self.port, ssl=self._tls
                )
            return self._connection


def _fail(exchange: _Exchange, why: str) -> None:
    if not exchange.answer.done():
        exchange.answer.set_exception(BrokenError(why))
