"""Large requests of gRPC ask the process for memory, wait for it, and are ended when they do not go on."""

from __future__ import annotations

import asyncio
import gc
import gzip

from dapr_state.clock import WAITING
from dapr_state.serving.grpc.call import Call
from dapr_state.serving.grpc.settings import Settings
from dapr_state.serving.request_memory import RequestMemory
from dapr_state.serving.timeouts import Timeouts
from dapr_state.wire import grpc as framing
from dapr_state.wire.http2 import frames
from dapr_state.wire.http2.frames import END_STREAM, FrameType
from tests.serving.grpc.inside import blocking, serving
from tests.serving.grpc.raw import RawClient
from tests.support.waiting import eventually

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


async def test_messages_that_never_end_keep_nobody_waiting() -> None:
    """A whole message of 30 kB is answered while they are held; they hold what came, and not what they announced."""
    memory = RequestMemory(3 * SIZE)
    async with serving(memory=memory) as (_, port):
        with RawClient(port) as holder, RawClient(port) as other:
            for _ in range(MANY):
                await blocking(begin, holder, "echo")
            whole = framing.message(bytes(30_000))
            opening = other.headers("echo")
            sent = frames.frame(FrameType.DATA, 0, 1, whole[:16_384])
            sent += frames.frame(FrameType.DATA, END_STREAM, 1, whole[16_384:])
            other.socket.sendall(opening + sent)
            answer = await blocking(other.until, FrameType.DATA)
            held = len(memory._parts), memory._part_octets
        await eventually(lambda: not memory._parts)

    assert answer[3].startswith(framing.PREFIX.pack(0, 30_000))
    assert held == (MANY, MANY * 32_768)
    assert (memory._taken_octets, memory._kept_octets, memory._part_octets) == (0, 0, 0)


async def test_too_many_that_are_not_whole_are_refused() -> None:
    """What has come of them is bounded as well: one more is told to try again, and is not read on."""
    memory = RequestMemory(SIZE)
    async with serving(memory=memory) as (_, port):
        with RawClient(port) as client:
            sent = b""
            for _ in range(35):
                start = framing.PREFIX.pack(0, SIZE) + bytes(16_379)
                sent += client.headers("echo") + frames.frame(FrameType.DATA, 0, client.last_stream, start)
                sent += frames.frame(FrameType.DATA, 0, client.last_stream, bytes(16_384))
            client.socket.sendall(sent)
            refused = await blocking(client.until, FrameType.HEADERS)
            held = memory._part_octets

    assert b"too many large requests wait for memory" in refused[3]
    assert held <= SIZE + 65_536


async def test_a_call_that_has_ended_leaves_nothing_to_the_garbage_collector() -> None:
    """An idle process does not collect: what a message takes must be free as soon as its call is over."""
    gc.collect()
    gc.disable()
    try:
        async with serving() as (server, port):
            with RawClient(port) as client:
                for _ in range(MANY):
                    await blocking(begin, client, "echo")
                assert len(_calls()) == MANY
            await eventually(lambda: not server.shared.connections)
            left = _calls()
    finally:
        gc.enable()

    assert left == []


def _calls() -> list[Call]:
    return [each for each in gc.get_objects() if type(each) is Call]


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
                connection.check_timeouts(WAITING.monotonic() + connection.timeouts.body + 1)
            ended = await blocking(client.until, FrameType.HEADERS)
            chat.socket.sendall(frames.frame(FrameType.DATA, END_STREAM, 1, framing.message(b"still")))
            answer = await blocking(chat.until, FrameType.DATA)

    assert b"did not come in time" in ended[3]
    assert memory._taken_octets == 0
    assert answer[3] == framing.message(b"still")


async def test_a_stop_does_not_wait_for_a_request_that_stands_still() -> None:
    """Not even for headers without a message, however long it may rest otherwise; whoever goes on is answered."""
    async with serving(Settings(timeouts=Timeouts(body=1_000))) as (server, port):
        with RawClient(port) as stuck, RawClient(port) as silent, RawClient(port) as goes_on:
            await blocking(begin, stuck, "echo")
            for client in (silent, goes_on):
                client.socket.sendall(client.headers("echo") + frames.ping(b"all done"))
                await blocking(client.until, FrameType.PING)
            stopping = asyncio.create_task(server.stop(60))
            await blocking(goes_on.until, FrameType.GOAWAY)
            goes_on.socket.sendall(frames.frame(FrameType.DATA, END_STREAM, 1, framing.message(b"m")))
            answer = await blocking(goes_on.until, FrameType.DATA)
            ended = [await blocking(client.until, FrameType.HEADERS) for client in (stuck, silent)]
            await stopping

    assert answer[3] == framing.message(b"m")
    assert all(b"did not come in time" in frame[3] for frame in ended)


async def test_a_whole_message_does_not_keep_a_call_open() -> None:
    """Who sends the one message of a call has to end the stream as well: else its memory were held for ever."""
    async with serving() as (server, port):
        with RawClient(port) as client:
            opening = client.headers("echo")
            client.socket.sendall(opening + frames.frame(FrameType.DATA, 0, 1, framing.message(b"m")))
            client.socket.sendall(frames.ping(b"all done"))
            await blocking(client.until, FrameType.PING)
            for connection in server.shared.connections:
                connection.check_timeouts(WAITING.monotonic() + connection.timeouts.body + 1)
            ended = await blocking(client.until, FrameType.HEADERS)

    assert b"did not come in time" in ended[3]


class Holder:
    """Holds memory, and does nothing with it."""

    def on_memory(self) -> None:
        pass

    def on_standstill(self) -> None:
        pass


async def test_a_call_that_waited_as_a_part_is_begun_once() -> None:
    """With its prefix a message is more than a small one, and waits; whole it is small, and its servicer runs once."""
    begun = []
    may_end = asyncio.Event()

    async def counted(request: bytes, _: object) -> bytes:
        begun.append(len(request))
        await may_end.wait()
        return b""

    memory = RequestMemory(SIZE)
    others = Holder(), Holder()
    async with serving(memory=memory, counted=counted) as (_, port):
        with RawClient(port) as client:
            for other, octets in zip(others, (SIZE // 2, SIZE // 2 - 4_096), strict=True):
                memory.arrive(other, octets, SIZE)
            small = framing.message(bytes(16_384))
            sent = client.headers("counted") + frames.frame(FrameType.DATA, 0, 1, small[:8_000])
            client.socket.sendall(sent + frames.frame(FrameType.DATA, 0, 1, small[8_000:16_386]))
            client.socket.sendall(frames.ping(b"all done"))
            await blocking(client.until, FrameType.PING)
            client.socket.sendall(frames.frame(FrameType.DATA, END_STREAM, 1, small[16_386:]))
            await eventually(lambda: begun)
            for other in others:
                memory.give_back(other)
            client.socket.sendall(frames.ping(b"all done"))
            await blocking(client.until, FrameType.PING)
            may_end.set()
            await blocking(client.until, FrameType.HEADERS)

    assert begun == [16_384]
