"""When a connection is idle, and how it leaves: nothing that is on the wire is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dapr_state.clock import WAITING
from dapr_state.serving.grpc.settings import Settings
from dapr_state.serving.timeouts import Timeouts
from dapr_state.wire.http2 import frames
from dapr_state.wire.http2.faults import ErrorCode
from dapr_state.wire.http2.frames import ACK, MAX_WINDOW, FrameType
from tests.serving.grpc.inside import blocking, serving
from tests.serving.grpc.raw import RawClient

if TYPE_CHECKING:
    from dapr_state.serving.grpc.server import NativeServer

MAX_IDLE = 180.0
SETTINGS = Settings(timeouts=Timeouts(idle=MAX_IDLE))


def call(client: RawClient) -> bytes:
    """One call from its beginning to its end; the payload of its answer."""
    client.socket.sendall(client.request("echo", b"on"))
    answer = client.until(FrameType.DATA)
    client.until(FrameType.HEADERS)
    return answer[3] if answer else b""


async def make_idle(server: NativeServer, client: RawClient) -> None:
    """Nobody has used the connection for longer than it may rest, since one call."""
    await blocking(call, client)
    (connection,) = server.shared.connections
    connection.check_timeouts(WAITING.monotonic())
    connection.check_timeouts(WAITING.monotonic() + MAX_IDLE + 1)


async def test_a_connection_in_use_is_not_idle() -> None:
    """Calls that begin and end between two looks keep a connection, however long it lives."""
    async with serving(SETTINGS) as (server, port):
        with RawClient(port) as client:
            await blocking(call, client)
            (connection,) = server.shared.connections
            now = WAITING.monotonic()
            for _ in range(10):
                now += MAX_IDLE
                connection.check_timeouts(now)
                answer = await blocking(call, client)

    assert answer == b"\0\0\0\0\2on"


async def test_an_idle_connection_leaves_in_two_steps() -> None:
    """The first GOAWAY promises every call that is on its way; the second names the last, once the peer has heard."""
    async with serving(SETTINGS) as (server, port):
        with RawClient(port) as client:
            await make_idle(server, client)
            first = await blocking(client.until, FrameType.GOAWAY)
            ping = await blocking(client.until, FrameType.PING)
            late = await blocking(call, client)  # it was sent before the client read the GOAWAY
            client.socket.sendall(frames.ping(ping[3], ACK))
            last = await blocking(client.until, FrameType.GOAWAY)
            end = await blocking(client.frame)

    assert (frames.word(first[3]), frames.word(first[3], 4)) == (MAX_WINDOW, ErrorCode.NO_ERROR)
    assert late == b"\0\0\0\0\2on"
    assert (frames.word(last[3]), frames.word(last[3], 4)) == (client.last_stream, ErrorCode.NO_ERROR)
    assert end is None


async def test_a_call_under_way_is_finished_before_the_connection_closes() -> None:
    """A call that began while the goodbye was on its way is answered, although the last stream is named already."""
    async with serving(SETTINGS) as (server, port):
        with RawClient(port) as client:
            await make_idle(server, client)
            ping = await blocking(client.until, FrameType.PING)
            begun = client.headers("echo")
            client.socket.sendall(begun + frames.ping(ping[3], ACK))
            await blocking(client.until, FrameType.GOAWAY)
            message = b"\0\0\0\0\4late"
            client.socket.sendall(frames.frame(FrameType.DATA, frames.END_STREAM, client.last_stream, message))
            answer = await blocking(client.until, FrameType.DATA)

    assert answer[3] == message


async def test_one_that_does_not_hear_the_goodbye_is_closed_all_the_same() -> None:
    """A peer that leaves the ping unanswered has as long as for any other ping."""
    async with serving(SETTINGS) as (server, port):
        with RawClient(port) as client:
            await blocking(call, client)
            (connection,) = server.shared.connections
            now = WAITING.monotonic()
            for seconds in (0, MAX_IDLE + 1, MAX_IDLE + SETTINGS.timeouts.keepalive_answer + 2):
                connection.check_timeouts(now + seconds)
            goodbyes = [await blocking(client.until, FrameType.GOAWAY) for _ in range(2)]
            end = await blocking(client.frame)

    assert [frames.word(each[3]) for each in goodbyes] == [MAX_WINDOW, client.last_stream]
    assert end is None
