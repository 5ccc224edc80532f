"""No connection holds up the others: what one sends at once is read, and its calls begun, a share at a time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from dapr_state.serving.turns import Turns
from dapr_state.wire.http2 import frames
from dapr_state.wire.http2.faults import ErrorCode
from dapr_state.wire.http2.frames import FrameType
from tests.serving.grpc.inside import blocking, serving
from tests.serving.grpc.raw import RawClient

if TYPE_CHECKING:
    import grpc

    from dapr_state.serving.grpc import NativeServer

MANY = 20_000


def answer(client: RawClient) -> bytes:
    client.socket.sendall(client.request("echo", b"on"))
    found = client.until(FrameType.DATA)
    return found[3] if found else b""


async def test_turns_are_taken_in_the_order_of_asking() -> None:
    """One in each round of the loop; who asks again comes after those that wait."""
    turns, seen = Turns(), []
    done = asyncio.get_running_loop().create_future()

    def work(name: str, times: int) -> None:
        seen.append(name)
        if times:
            turns.wait(lambda: work(name, times - 1))
        elif not turns.are_waited_for:
            done.set_result(None)

    for name in "abc":
        turns.wait(lambda name=name: work(name, 2))
    rounds = 0
    while not done.done():
        await asyncio.sleep(0)
        rounds += 1
        assert len(seen) <= rounds

    assert "".join(seen) == "abcabcabc"


async def test_a_turn_that_fails_costs_nobody_else_his() -> None:
    """What one raises is the loop's to report; the next has its turn all the same."""
    turns = Turns()
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
    done = asyncio.Event()
    turns.wait(lambda: int("none"))
    turns.wait(done.set)
    await done.wait()

    assert len(reported) == 1


async def behind(server: NativeServer) -> None:
    """Return once some connection waits for its turn."""
    while not server.shared.turns.are_waited_for:  # noqa: ASYNC110 - whoever waits says it to nobody
        await asyncio.sleep(0)


async def test_a_burst_of_frames_lets_others_be_answered() -> None:
    """While two connections have megabytes of small frames to be read, a third one's call is answered."""
    async with serving() as (server, port):
        with RawClient(port) as first, RawClient(port) as second, RawClient(port) as third:
            await blocking(answer, third)
            floods = []
            for client in (first, second):
                burst = [client.headers("total") for _ in range(50)]
                pieces = [frames.frame(FrameType.DATA, 0, 2 * number % 100 + 1, b"\0") for number in range(50 * MANY)]
                floods.append(asyncio.ensure_future(blocking(client.socket.sendall, b"".join(burst + pieces))))
            await behind(server)
            answered = await blocking(answer, third)
            still_behind = server.shared.turns.are_waited_for
            for client in (first, second):
                client.socket.close()
            await asyncio.gather(*floods, return_exceptions=True)

    assert answered == b"\0\0\0\0\2on"
    assert still_behind


async def test_a_burst_of_calls_lets_others_be_answered() -> None:
    """Calls that take long are begun a few at a time, however many came at once; all are answered in the end."""
    begun = []

    async def work(_: bytes, __: grpc.aio.ServicerContext) -> bytes:
        begun.append(1)
        time.sleep(0.001)  # noqa: ASYNC251 - what it does holds the loop
        return b"done"

    async with serving(work=work) as (server, port):
        with RawClient(port) as client, RawClient(port) as other:
            await blocking(answer, other)
            client.socket.sendall(b"".join(client.request("work") for _ in range(300)))
            await behind(server)
            answered = await blocking(answer, other)
            begun_before = len(begun)
            answers = 0
            while answers < 300:
                found = await blocking(client.until, FrameType.DATA)
                answers += found[3] == b"\0\0\0\0\4done"

    assert answered == b"\0\0\0\0\2on"
    assert begun_before < 300
    assert len(begun) == 300


async def test_messages_without_content_count_as_well() -> None:
    """Empty messages that nobody reads close the window like any others."""
    async with serving() as (_, port):
        with RawClient(port) as client:
            client.socket.sendall(client.headers("hang_reading"))
            message = frames.frame(FrameType.DATA, 0, 1, bytes(5) * 3_000)
            # of what one read brings, a part may be credited before the rest is seen: two windows are the most
            sent = await blocking(lambda: [client.socket.sendall(message) for _ in range(20)])
            reset = await blocking(client.until, FrameType.RST_STREAM)

    assert sent
    assert reset is not None
    assert frames.word(reset[3]) == ErrorCode.FLOW_CONTROL_ERROR
