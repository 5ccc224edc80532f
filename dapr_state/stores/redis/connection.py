"""One connection to a Redis server, shared by all requests: commands in, replies out, matched by their order.

Replies are the caller's own, or there are none. So a batch of commands ends with a mark: an ECHO of the batch's number.
The replies between two marks are those of one batch, as many as were asked for, and a caller gets them when the mark
behind them is his. Anything else, one reply too many or of a shape that its command never gives, ends the connection.

Rules that a change must respect:
1. Every batch that is sent has its place in `_pending` until its mark is here, whatever becomes of its caller.
2. What one tick of the event loop sends leaves in one write.
3. A connection that broke a rule of the protocol, or fell silent, is never used again: a late reply finds nobody.
4. Whoever waits is answered, with replies or with the reason why there are none.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import hiredis

from dapr_state.clock import WAITING
from dapr_state.stores.base import NotDone, StoreError
from dapr_state.stores.batching import CALLERS_AT_MOST

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_UNSENT: Final = 64 * 1024 * 1024  # bytes kept for a server that does not read
_SHARE: Final = 128 * 1024  # octets that came at once: there may be more, and others have their turn first
_MARK: Final = b"*2\r\n$4\r\nECHO\r\n$8\r\n%b\r\n"
_CHECKS: Final = 4  # how often per read timeout the replies are looked at: silence is seen after 1 to 1.25 timeouts


class ReplyError(StoreError):
    """The server answered this command with an error; it begins with the error's code."""

    @property
    def is_undone(self) -> bool:  # type: ignore[override]  # of each by itself
        """A script that itself has failed may have written before that; what the server refuses it has not begun."""
        return "user_script" not in str(self)


class ConnectionLost(StoreError):
    """The connection ended while the command waited: nobody knows whether it was carried out."""


class NotSent(ConnectionLost):
    """It had ended before."""

    is_undone = True


class Silence(ConnectionLost):
    """The server did not answer in time, and the connection was given up."""


class Waiter(Protocol):
    """Who waits for replies: a future, or as much of one as a connection needs."""

    def done(self) -> bool: ...

    def set_result(self, replies: list[Any], /) -> None:
        """Take the replies. If it raises they cannot be his: the connection ends, and he is told so."""

    def set_exception(self, error: StoreError, /) -> None: ...


class Connection(asyncio.Protocol):
    def __init__(
        self,
        address: str,
        *,
        read_timeout: float | None = None,
        write_timeout: float | None = None,
        max_waiting: int = CALLERS_AT_MOST,
        on_lost: Callable[[Connection], None] | None = None,
    ) -> None:
        self._address = address
        self._read_timeout = read_timeout
        self._write_timeout = write_timeout
        self._max_waiting = max_waiting
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport  # from connection_made on; nobody sends before
        self.lost: ConnectionLost | None = None  # why it ended
        self._connected = False

        self._out: list[bytes] = []  # packed commands that wait for the end of the tick, or for the server to read
        self._flushing = False  # the tick's write is scheduled
        self._gathering: list[Callable[[], None]] = []  # they send what comes in the tick, at its end
        self._paused = False  # the server reads more slowly than we write
        self._unsent = 0  # bytes in `_out` while paused

        self.marks = True  # False: the server does not do ECHO for this user; then numbers and shapes have to do
        self._batches = 0
        self._reader = hiredis.Reader(protocolError=hiredis.ProtocolError, replyError=ReplyError)
        # who waits, for how many replies, and the mark among them that is the last
        self._pending: deque[tuple[Waiter, int, bytes | None]] = deque()
        self._all_answered: asyncio.Future[None] | None = None  # what a closing connection waits for
        self._replies: list[Any] = []  # of the first in `_pending`, as far as they are here
        self._heard = 0  # how often data came
        self.received = 0  # octets
        self._resting = False  # until the next turn, for others have theirs
        self._watch: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        state = "lost" if self.lost else "paused" if self._paused else "open"
        return f"<Connection {self._address} {state}, {len(self._pending)} waiting>"

    def ask(self, commands: bytes, replies: int) -> asyncio.Future[list[Any]]:
        """Send packed commands that get so many replies, one at least; an error is an item like any other.

        Raises StoreError, with nothing sent, when the connection is lost or too many wait already.
        """
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        self.send(commands, replies, future)
        return future

    def send(self, commands: bytes, replies: int, waiter: Waiter) -> None:
        """As `ask`; the replies, or why there are none, go to `waiter`."""
        if self.lost:
            raise NotSent(str(self.lost))
        if len(self._pending) >= self._max_waiting or (self._paused and self._unsent > MAX_UNSENT):
            raise NotDone(f"too many requests wait for redis at {self._address}: {len(self._pending)}")
        if replies < 1:
            raise ValueError("a batch without a command")
        mark = None
        if self.marks:
            self._batches += 1
            mark = b"%08x" % (self._batches & 0xFFFFFFFF)
            commands += _MARK % mark
            replies += 1
        self._pending.append((waiter, replies, mark))
        self._out.append(commands)
        if self._paused:
            self._unsent += len(commands)
        elif not self._flushing:
            self._flushing = True
            self._loop.call_soon(self.flush)

    def before_flush(self, send: Callable[[], None]) -> None:
        """Have this called before what the tick has sent is written."""
        self._gathering.append(send)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what was sent in this tick."""
        self._flushing = True  # by this call
        gathering, self._gathering = self._gathering, []
        for send in gathering:
            send()
        self._flushing = False
        if self._paused or not self._out:
            self._unsent = sum(map(len, self._out))
            return
        out, self._out = self._out, []
        self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    async def close(self, patience: float | None) -> None:
        """Let those who wait have their replies, for so long; then end. Commands sent from now on are refused."""
        if self._pending:
            self._all_answered = self._loop.create_future()
            await WAITING.wait([self._all_answered], timeout=patience)
        self.abort(ConnectionLost(f"the connection to redis at {self._address} was closed"))

    def abort(self, reason: ConnectionLost) -> None:
        """End at once: every command that waits fails with this reason."""
        if self.lost:
            return
        self.lost = reason
        for timer in (self._watch, self._stall):
            if timer:
                timer.cancel()
        if self._connected:
            self._transport.abort()
        if self._on_lost:
            self._on_lost(self)
        self._out.clear()
        pending, self._pending = self._pending, deque()
        while pending:  # emptied: what is older than the process's start is never collected, and would keep them all
            waiter, _, _ = pending.popleft()
            if not waiter.done():
                waiter.set_exception(type(reason)(str(reason)))
        self._tell_all_answered()

    # what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._connected = True
        if self._read_timeout:
            self._check_silence(self._read_timeout, 0, None, 0)

    def data_received(self, data: bytes) -> None:
        self._heard += 1
        self.received += len(data)
        if len(data) >= _SHARE and not self._resting:
            self._resting = True
            self._transport.pause_reading()
            self._loop.call_soon(self._read_on)
        pending, replies, take = self._pending, self._replies, self._reader.gets
        wanted = pending[0][1] if pending else 1
        try:
            self._reader.feed(data)
            while (reply := take()) is not False:
                replies.append(reply)
                if len(replies) < wanted:
                    continue
                if not pending:
                    # an error tells why the server speaks up by itself; anything else may be a value, and is not shown
                    self.leave(f"a reply without a command {reply if isinstance(reply, ReplyError) else ''}")
                    return
                if not self._answer(replies):
                    return
                replies = []
                wanted = pending[0][1] if pending else 1
        except hiredis.ProtocolError as error:
            self.leave(str(error))
            return
        self._replies = replies
        if not self._pending:
            self._tell_all_answered()

    def _read_on(self) -> None:
        self._resting = False
        if not self.lost:
            self._transport.resume_reading()

    def _answer(self, replies: list[Any]) -> bool:
        """Give the first who waits his replies; False where they are not his, and the connection has ended."""
        waiter, _, mark = self._pending[0]
        if mark is not None and replies.pop() != mark:
            self.leave("its replies are not those of the commands")
            return False
        if not waiter.done():  # its caller may have given up; the replies were his all the same
            try:
                waiter.set_result(replies)
            except Exception as error:  # noqa: BLE001 - nobody may be left waiting; the text could hold a value
                self.leave(f"a reply of another kind than was asked for ({type(error).__name__})")
                return False
        if self.lost:
            return False
        self._pending.popleft()
        return True

    def _tell_all_answered(self) -> None:
        if self._all_answered is not None and not self._all_answered.done():
            self._all_answered.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        cause = str(exc) if exc else "closed by the server"
        self.abort(ConnectionLost(f"connection to redis at {self._address} lost: {cause}"))

    def pause_writing(self) -> None:
        self._paused = True
        if self._write_timeout:
            self._stall = WAITING.call_later(
                self._write_timeout, self.abort, self._silence("write", self._write_timeout)
            )

    def resume_writing(self) -> None:
        self._paused = False
        self._unsent = 0
        if self._stall:
            self._stall.cancel()
        self.flush()

    def leave(self, broken: str) -> None:
        """End, for the server has answered what it must not."""
        self.abort(ConnectionLost(f"redis at {self._address} broke the protocol: {broken}".rstrip()))

    # timeouts

    def _check_silence(self, timeout: float, heard: int, first: object, silent: int) -> None:
        """Look a few times per timeout: data since the last look, or another command at the head, is a sign of life."""
        head = self._pending[0] if self._pending else None
        silent = silent + 1 if head is not None and head is first and heard == self._heard else 0
        if silent >= _CHECKS:
            self.abort(self._silence("read", timeout))
            return
        self._watch = WAITING.call_later(timeout / _CHECKS, self._check_silence, timeout, self._heard, head, silent)

    def _silence(self, what: str, timeout: float) -> Silence:
        return Silence(f"redis at {self._address} did not answer: {what} timeout after {timeout:g}s")
