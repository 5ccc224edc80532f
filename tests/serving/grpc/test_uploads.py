"""Large requests of gRPC ask the process for memory, wait for it, and are ended when they do not go on."""

from __future__ import annotations

import asyncio
import gzip

from dapr_state.clock import SYSTEM
from dapr_state.serving.request_memory import RequestMemory
from dapr_state.wire import grpc as framing
from dapr_state.wire.http2 import frames
from dapr_state.wire.http2.frames import END_STREAM, FrameType
from tests.serving.grpc.inside import blocking, serving
from tests.serving.grpc.raw import RawClient

SIZE = 1_000_000
MANY = 10


def begin(client: RawClient, method: str = "total") -> int:
    """Open a call, and send the first 32 KB of its large message; returns its stream."""
    client.socket.sendall(client.headers(method))
    start = framing.PREFIX.pack(0, SIZE) + bytes(16_379)
    client.socket.sendall(frames.frame(FrameType.DATA, 0, client.last_stream, start))
    client.socket.sendall(frames.frame(FrameType.DATA, 0, client.last_stream, bytes(16_384)))
    client.socket.sendall(frames.ping(b"all done"))
    client.until(FrameType.PING)
    return client.last_stream


async def test_large_requests_of_all_connections_share_one_account() -> None:
    """Those that fit are let in; the others wait with a window each, and are let in as they end."""
    memory = RequestMemory(3 * SIZE)
    async with serving(memory=memory) as (server, port):
        clients = [RawClient(port) for _ in range(MANY)]
        for client in clients:
            await blocking(begin, client, "echo")
        taken, waiting = len(memory._taken), len(memory._waiting)
        for client in clients[:5]:
            client.socket.close()
        while len(server.shared.connections) > MANY - 5:  # noqa: ASYNC110 - the loss of a connection is heard of by nobody
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        then = len(memory._taken), len(memory._waiting)
        for client in clients[5:]:
            client.socket.close()
        while server.shared.connections:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)

    assert (taken, waiting) == (2, 8)
    assert then == (2, 3)
    assert (memory._taken_octets, memory._kept_octets) == (0, 0)


async def test_too_many_that_wait_are_refused() -> None:
    """What waits is bounded as well: one more is told to try again, and is not read on."""
    memory = RequestMemory(SIZE + 200_000)
    async with serving(memory=memory) as (_, port):
        with RawClient(port) as client:
            for _ in range(25):
                await blocking(begin, client, "echo")
            refused = await blocking(client.until, FrameType.HEADERS)
            kept = memory._kept_octets

    assert b"too many large requests wait for memory" in refused[3]
    assert kept <= SIZE + 200_000


async def test_what_a_compressed_message_stands_for_is_asked_for() -> None:
    """Few octets may be megabytes: those are counted before anything is made of them, and the rest waits."""
    memory = RequestMemory(3 * SIZE + 100_000)  # a message is asked for with the most that it may stand for
    bomb = gzip.compress(bytes(SIZE))
    message = b"\1" + len(bomb).to_bytes(4, "big") + bomb
    async with serving(memory=memory) as (_, port):
        with RawClient(port) as client:
            for _ in range(MANY):
                opening = client.headers("hang", ("grpc-encoding", "gzip"))
                client.socket.sendall(opening + frames.frame(FrameType.DATA, END_STREAM, client.last_stream, message))
            client.socket.sendall(frames.ping(b"all done"))
            await blocking(client.until, FrameType.PING)
            while memory._taken_octets != 3 * SIZE:  # noqa: ASYNC110 - whoever is let in says it to nobody
                await asyncio.sleep(0)
            taken, waiting = len(memory._taken), len(memory._waiting)

    assert (taken, waiting) == (3, 7)
    assert (memory._taken_octets, memory._kept_octets) == (0, 0)


async def test_a_request_that_does_not_go_on_is_ended() -> None:
    """A body that stands still is given up, and its memory with it; streams that wait between messages are not."""
    memory = RequestMemory(3 * SIZE)
    async with serving(memory=memory) as (server, port):
        with RawClient(port) as client, RawClient(port) as chat:
            await blocking(begin, client, "echo")
            chat.socket.sendall(chat.headers("chat") + frames.frame(FrameType.DATA, 0, 1, framing.message(b"hi")))
            await blocking(chat.until, FrameType.DATA)
            for connection in server.shared.connections:
                connection.check_timeouts(SYSTEM.monotonic() + connection.timeouts.body + 1)
            ended = await blocking(client.until, FrameType.HEADERS)
            chat.socket.sendall(frames.frame(FrameType.DATA, END_STREAM, 1, framing.message(b"still")))
            answer = await blocking(chat.until, FrameType.DATA)

    assert b"did not come in time" in ended[3]
    assert memory._taken_octets == 0
    assert answer[3] == framing.message(b"still")


async def test_a_whole_message_does_not_keep_a_call_open() -> None:
    """Who sends the one message of a call has to end the stream as well: else its memory were held for ever."""
    async with serving() as (server, port):
        with RawClient(port) as client:
            opening = client.headers("echo")
            client.socket.sendall(opening + frames.frame(FrameType.DATA, 0, 1, framing.message(b"m")))
            client.socket.sendall(frames.ping(b"all done"))
            await blocking(client.until, FrameType.PING)
            for connection in server.shared.connections:
                connection.check_timeouts(SYSTEM.monotonic() + connection.timeouts.body + 1)
            ended = await blocking(client.until, FrameType.HEADERS)

    assert b"did not come in time" in ended[3]
