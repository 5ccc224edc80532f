"""The messages of a request that do not come whole with its headers: of a stream, or of a large one.

They wait here until the servicer takes them; the window opens as what has come finds room in the process's memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from dapr_state.clock import WAITING
from dapr_state.serving.grpc.inflating import inflated
from dapr_state.serving.request_memory import PROTOBUF_PARTS, SMALL, weight
from dapr_state.wire import grpc as framing

if TYPE_CHECKING:
    from collections.abc import Callable

    from dapr_state.serving.grpc.methods import ParsedHeaders
    from dapr_state.serving.grpc.shared import Shared
    from dapr_state.serving.http2 import Http2Protocol
    from dapr_state.wire.http2.stream import Stream


class RequestStream:
    __slots__ = (
        "_has_memory",
        "_is_closed",
        "_is_complete",
        "_memory",
        "_messages",
        "_protocol",
        "_readers",
        "_shared",
        "_stream",
        "_unread",
        "_unread_octets",
        "moved",
        "waits_for_memory",
    )

    def __init__(self, protocol: Http2Protocol[ParsedHeaders], shared: Shared, stream: Stream[ParsedHeaders]) -> None:
        self._protocol = protocol
        self._shared = shared
        self._stream = stream
        self._messages = framing.Messages(shared.settings.max_receive, stream.request.parsed.encoding)
        self._unread: deque[bytes | framing.Packed] = deque()
        self._unread_octets = 0  # of them, as they came
        self._memory = shared.memory
        self._has_memory = False  # something of it is on the process's account
        self.waits_for_memory = False
        self._readers: list[asyncio.Future[None]] = []  # wait for a message, or for the end
        self._is_complete = False  # all messages are in `_unread`; the stream may have ended before that
        self._is_closed = False  # the call is over
        self.moved = protocol.last_received  # when a piece of it came

    def __repr__(self) -> str:
        return f"<RequestStream {len(self._unread)} unread{' complete' * self._is_complete}>"

    # The protocol's side

    def receive(self, data: bytes, ended: bool) -> None:
        """A piece of the request has come."""
        self.moved = self._protocol.last_received
        messages = self._messages.feed(data)
        if ended and self._messages.missing:
            raise framing.Refused(framing.INTERNAL, "unexpected EOF")
        self._unread += messages
        self._unread_octets += sum(map(len, messages)) + framing.PREFIX_SIZE * len(messages)
        self._is_complete = ended
        self._wake()

    def only(self) -> bytes | framing.Packed | None:
        """The one message of a request that is no stream; None while it is not whole."""
        if len(self._unread) > 1:
            raise framing.Refused(framing.INTERNAL, "the request has more than one message")
        if not self._is_complete:
            return None
        if not self._unread:
            raise framing.Refused(framing.INTERNAL, "EOF")
        return self._unread.popleft()

    def open_window(self) -> None:
        """Let more come, if there is memory for it. Raises CrowdedError when too much has come of others."""
        if self._stream.ended:
            return
        unread = self._unread_octets
        here = self._messages.here + unread
        if here <= SMALL:
            self.give_back()  # one message is over and another may begin
        elif not self._may_go_on(self._memory.arrive, here, 0 if unread else self._messages.missing):
            return
        self._protocol.connection.open_window(self._stream, unread)

    def may_hold(self, message: bytes | framing.Packed) -> bool:
        """Whether there is memory for this message, whole as it is. Raises CrowdedError when too much waits."""
        octets = message.most if type(message) is framing.Packed else weight(message, PROTOBUF_PARTS)
        if octets <= SMALL:
            self.give_back()  # it may have waited as a part: with its prefix it was more
            return True
        return self._may_go_on(self._memory.ask, octets, len(message))

    def _may_go_on(self, ask: Callable[[RequestStream, int, int], bool], first: int, second: int) -> bool:
        self._has_memory = True
        self.waits_for_memory = not ask(self, first, second)
        return not self.waits_for_memory

    def on_memory(self) -> None:
        """What came may be answered, or more may come."""
        if self.waits_for_memory and (call := self._stream.call) is not None:
            self.waits_for_memory = False
            self.moved = WAITING.monotonic()
            if not self._stream.ended:
                self._protocol.connection.open_window(self._stream, self._unread_octets)
            call.on_memory()

    def on_standstill(self) -> None:
        """Others wait for what this request holds, and it does not go on."""
        if (call := self._stream.call) is not None and not self._protocol.is_held_up:
            call.on_standstill()

    def shrink(self, message: bytes) -> None:
        """The message turned out to be this one."""
        self._memory.shrink(self, weight(message, PROTOBUF_PARTS))

    def give_back(self) -> None:
        """Nothing of it is in memory any more."""
        if self._has_memory:
            self._has_memory = self.waits_for_memory = False
            self._memory.give_back(self)

    @property
    def is_incomplete(self) -> bool:
        """Whether a message has begun, and is not whole."""
        return bool(self._messages.missing)

    def close(self) -> None:
        """The call is over."""
        self._is_closed = True
        self._wake()

    def _wake(self) -> None:
        readers, self._readers = self._readers, []
        for each in readers:
            if not each.done():  # it may have been cancelled
                each.set_result(None)

    # The servicer's side

    async def read(self) -> bytes | None:
        """The next message; None when there are no more."""
        while not self._unread:
            if self._is_complete:
                return None
            if self._is_closed:
                raise asyncio.CancelledError
            # a servicer may read in several tasks: each waits by itself
            reader = asyncio.get_running_loop().create_future()
            self._readers.append(reader)
            await reader
        message = self._unread.popleft()
        self._unread_octets -= len(message) + framing.PREFIX_SIZE
        self.open_window()
        self._protocol.flush_soon()
        if type(message) is not framing.Packed:
            return message
        async with self._shared.inflating:
            return await inflated(message)
