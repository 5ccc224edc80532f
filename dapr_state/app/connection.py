"""One HTTP/1.1 connection to the application: one request at a time, and its answer.

A request that was written is never written again: nobody knows whether the application has acted on it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

import httptools

from dapr_state.app.answers import SMALL, Answers
from dapr_state.app.callbacks import Reply

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_HEAD: Final = 64 * 1024  # of an answer; daprd stops at its --read-buffer-size, 4 KiB

_SWITCHING_PROTOCOLS: Final = 101
_LAST_INTERIM: Final = 199


class BrokenError(Exception):
    """There is no answer; the text says why, as Go does."""


class AppConnection(asyncio.Protocol):
    """`exchange` may be called while `is_free`; `on_lost` is called once, with the connection that is no more."""

    def __init__(self, on_lost: Callable[[AppConnection], None], answers: Answers) -> None:
        self._answers = answers
        self.idle_since = 0.0  # kept by the pool
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._answer: asyncio.Future[Reply] | None = None
        self._is_open = False
        self._parser = httptools.HttpResponseParser(self)
        self._begin_answer()

    def __repr__(self) -> str:
        state = "closed" if not self._is_open else "busy" if self._answer else "free"
        return f"<AppConnection {state}>"

    @property
    def is_free(self) -> bool:
        return self._is_open and self._answer is None and not self._transport.get_write_buffer_size()

    def exchange(self, request: bytes) -> asyncio.Future[Reply]:
        """Write the request; the future is the answer, or BrokenError."""
        self._answer = self._loop.create_future()
        self._transport.write(request)
        return self._answer

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        self._is_open = False
        self._transport.abort()

    # What happens to the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._is_open = True

    def data_received(self, data: bytes) -> None:
        if self._answer is None:  # nobody has asked
            self.abort()
            return
        self._has_begun = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.abort()  # its 101 is the answer already
        except httptools.HttpParserError as error:
            self._break(f"net/http: HTTP/1.x transport connection broken: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        self._is_open = False
        if self._is_in_body and error is None and self._ends_with_connection():
            self._finish(keep=False)
        else:
            self._break(self._reason(error))
        self._on_lost(self)

    # What the parser finds

    def on_message_begin(self) -> None:
        if self._answer is None:  # more than was asked for
            self.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._is_in_body:  # a trailer has nowhere to go
            self._headers.append((name, value))
        self._head += len(name) + len(value)
        if self._head > MAX_HEAD:
            self._break(f"net/http: server response headers exceeded {MAX_HEAD} bytes; aborted")

    def on_headers_complete(self) -> None:
        self._is_in_body = True

    def on_body(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size > SMALL:
            self._hold()

    def _hold(self) -> None:
        if self._answer is None:  # given up: the parser has more of it in its hands
            self._begin_answer()
        elif why := self._answers.hold(self, self._size):
            self._break(why)

    def on_message_complete(self) -> None:
        if _SWITCHING_PROTOCOLS != self._parser.get_status_code() <= _LAST_INTERIM:
            self._begin_answer()  # the word before the answer
        else:
            self._finish(keep=self._parser.should_keep_alive())

    def _begin_answer(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._size = 0  # bytes of its body
        self._is_in_body = False
        self._has_begun = False
        self._head = 0  # bytes of its header fields

    def _ends_with_connection(self) -> bool:
        names = {name.lower() for name, _ in self._headers}
        return names.isdisjoint((b"content-length", b"transfer-encoding"))

    def _reason(self, error: Exception | None) -> str:
        if isinstance(error, OSError) and error.errno:
            return reason(error)
        return "unexpected EOF" if self._has_begun else "EOF"

    # The end of a request

    def _finish(self, *, keep: bool) -> None:
        reply = Reply(self._parser.get_status_code(), self._headers, b"".join(self._parts))
        if self._size > SMALL:
            self._answers.drop(self)
        self._begin_answer()
        answer, self._answer = self._answer, None
        if not keep:
            self.abort()
        if answer and not answer.done():
            answer.set_result(reply)

    def _break(self, why: str) -> None:
        answer, self._answer = self._answer, None
        self._answers.drop(self)
        self._begin_answer()
        self.abort()
        if answer and not answer.done():
            answer.set_exception(BrokenError(why))


def reason(error: OSError) -> str:
    """The system's words, in Go's spelling."""
    return (error.strerror or str(error)).lower()
