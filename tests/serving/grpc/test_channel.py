"""Our client beside grpc's: calls on our server and on grpc's own, whose connection may go at any time."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from dapr_state.clock import WAITING
from dapr_state.serving.grpc import NativeServer
from dapr_state.serving.grpc import channel as channels
from dapr_state.serving.grpc import connection as connections
from dapr_state.serving.grpc.calling import LEAST
from dapr_state.serving.grpc.channel import Channel, Reach
from dapr_state.serving.grpc.connection import Patience
from dapr_state.serving.handshakes import HANDSHAKES
from dapr_state.serving.turns import Turns
from dapr_state.wire.http2 import frames
from dapr_state.wire.http2.faults import ErrorCode
from dapr_state.wire.http2.limits import Limits
from tests.security.test_spiffe import Authority
from tests.serving.grpc.idle_program import Anybody
from tests.serving.grpc.program import SERVICE, handlers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

DEADLINE = 10.0  # seconds: what takes longer hangs


@pytest.fixture(params=["native", "grpcio"])
def kind(request: pytest.FixtureRequest) -> str:
    """Whose server is called."""
    return str(request.param)


@asynccontextmanager
async def serving(kind: str, port: int = 0) -> AsyncIterator[int]:
    options = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)]
    server = NativeServer(options=options) if kind == "native" else grpc.aio.server(options=options)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers()),))
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(0)


@asynccontextmanager
async def calling(port: int, reach: Reach | None = None) -> AsyncIterator[Channel]:
    async with WAITING.timeout(DEADLINE), Channel(f"127.0.0.1:{port}", reach=reach or Reach()) as channel:
        yield channel


def unary(channel: Channel, name: str) -> Any:
    return channel.unary_unary(f"/{SERVICE}/{name}", bytes, bytes)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - it is looked at from outside
        await asyncio.sleep(0)


async def refused(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value


async def test_each_caller_gets_his_own_answer(kind: str) -> None:
    """Though hundreds are under way at a time, in messages of all lengths, and some take more turns than others."""
    async with serving(kind) as port, calling(port) as channel:
        sent = [b"%d" % number * (number % 50 + 1) for number in range(500)]
        answers = await asyncio.gather(*(unary(channel, "later" if len(each) % 2 else "echo")(each) for each in sent))

        assert list(answers) == sent


async def test_a_long_message_goes_through_the_windows(kind: str) -> None:
    """Both ways, beside short ones; and one that is longer than the limit is refused, on either side of the wire."""
    reach = Reach(max_receive=3_000_000, max_send=3_000_000)
    async with serving(kind) as port, calling(port, reach) as channel:
        long = b"x" * 2_999_000
        answers = await asyncio.gather(*(unary(channel, "echo")(each) for each in (long, b"short", long)))
        too_long = await refused(unary(channel, "echo")(b"x" * 3_000_001))
        too_long_back = await refused(unary(channel, "sized")(b"3000001"))
        after = await unary(channel, "echo")(b"after")

    assert (answers, after) == ([long, b"short", long], b"after")
    assert too_long.code() is too_long_back.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert too_long.details() == "trying to send message larger than max (3000001 vs. 3000000)"
    assert too_long_back.details() == "grpc: received message larger than max (3000001 vs. 3000000)"


async def test_an_error_is_told_with_all_that_the_server_says(kind: str) -> None:
    """Code, text and metadata; a method that is not there; a time that is up."""
    async with serving(kind) as port, calling(port) as channel:
        aborted = await refused(unary(channel, "abort")(b"why? 100 %"))
        unknown = await refused(unary(channel, "nothing")(b""))
        late = await refused(unary(channel, "hang")(b"late", timeout=0.05))

    assert (aborted.code(), aborted.details()) == (grpc.StatusCode.FAILED_PRECONDITION, "why? 100 %")
    assert dict(aborted.trailing_metadata())["why-bin"] == b"details"
    assert unknown.code() is grpc.StatusCode.UNIMPLEMENTED
    assert (late.code(), late.details()) == (grpc.StatusCode.DEADLINE_EXCEEDED, "context deadline exceeded")


async def test_metadata_arrive(kind: str) -> None:
    """Texts and octets, and the time that the caller gives the server."""
    async with serving(kind) as port, calling(port) as channel:
        told = await unary(channel, "metadata")(b"", metadata=(("mine", "x"), ("mine-bin", b"\0\xff")), timeout=5)

    assert b'["mine", "x"]' in told
    assert b'["mine-bin", [0, 255]]' in told
    assert b'"left": null' not in told


async def test_who_gives_up_is_not_waited_for(kind: str) -> None:
    """The server hears of it, whether the waiting task is cancelled or the call."""
    async with serving(kind) as port, calling(port) as channel:
        waiting = asyncio.ensure_future(_await(unary(channel, "hang")(b"task")))
        call = unary(channel, "hang")(b"call")
        await unary(channel, "echo")(b"")  # both have arrived
        waiting.cancel()
        call.cancel()
        found = b""
        while not (b"task True" in found and b"call True" in found):
            found = await unary(channel, "report")(b"")

        assert waiting.cancelled() or await asyncio.wait([waiting])
        assert (await refused(call)).code() is grpc.StatusCode.CANCELLED


async def _await(call: Any) -> Any:
    return await call


async def test_a_conversation(kind: str) -> None:
    """Messages go both ways for as long as both sides like; the end is told as EOF, or as the error that it is."""
    async with serving(kind) as port, calling(port) as channel:
        chat = channel.stream_stream(f"/{SERVICE}/chat", bytes, bytes)()
        heard = []
        for message in (b"one", b"x" * 200_000, b""):
            await chat.write(message)
            heard.append(await chat.read())
        await chat.done_writing()
        end = await chat.read()
        counted = [each async for each in channel.unary_stream(f"/{SERVICE}/count", bytes, bytes)(b"5")]
        half = channel.unary_stream(f"/{SERVICE}/half", bytes, bytes)(b"")
        first = await half.read()
        lost = await refused(half.read())

    assert heard == [b"one", b"x" * 200_000, b""]
    assert (end, await chat.code()) == (grpc.aio.EOF, grpc.StatusCode.OK)
    assert counted == [b"0", b"1", b"2", b"3", b"4"]
    assert (first, lost.code()) == (b"one", grpc.StatusCode.DATA_LOSS)


async def test_what_nobody_reads_waits_at_the_server(kind: str) -> None:
    """No more than two windows of it are kept here, and all of it comes once it is read."""
    async with serving(kind) as port, calling(port) as channel:
        many = channel.unary_stream(f"/{SERVICE}/many", bytes, bytes)(b"1000")
        first = await many.read()
        for _ in range(20):
            await unary(channel, "echo")(b"")  # the server has had its time
        kept = many._octets
        rest = [each async for each in many]

    assert first == b"%01024d" % 0
    assert kept <= 2 * frames.DEFAULT_WINDOW
    assert rest == [b"%01024d" % number for number in range(1, 1000)]


async def test_a_server_that_is_not_there(kind: str) -> None:
    """Each caller is told so, in the words of grpc-go; and once it is there calls go through without anything else."""
    async with serving(kind) as port:
        pass
    async with calling(port) as channel:
        alone = await refused(unary(channel, "echo")(b""))
        for _ in range(3):
            assert (await refused(unary(channel, "echo")(b""))).code() is grpc.StatusCode.UNAVAILABLE
        async with serving(kind, port):
            while True:
                try:
                    answer = await unary(channel, "echo")(b"there")
                    break
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(0)

    reason = f'"transport: Error while dialing: dial tcp 127.0.0.1:{port}: connect: connection refused"'
    assert (alone.code(), alone.details()) == (grpc.StatusCode.UNAVAILABLE, f"connection error: desc = {reason}")
    assert answer == b"there"


async def test_a_server_that_goes(kind: str) -> None:
    """What is under way is told so at once; one that comes back on the same port is found."""
    async with calling(0) as nobody:
        assert (await refused(unary(nobody, "echo")(b""))).code() is grpc.StatusCode.UNAVAILABLE
    async with serving(kind) as port:
        channel = Channel(f"127.0.0.1:{port}")
        await unary(channel, "echo")(b"")
        hanging = asyncio.ensure_future(_await(unary(channel, "hang")(b"under way")))
        await unary(channel, "echo")(b"")
    gone = await refused(hanging)
    async with serving(kind, port), WAITING.timeout(DEADLINE):
        answer = await unary(channel, "echo")(b"again")
        await channel.close()

    assert gone.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN}
    assert answer == b"again"


class Raw(asyncio.Protocol):
    """A server of frames: it greets, and says what the test has it say at each head of a request that comes."""

    def __init__(self, *said: bytes, greeting: bytes = frames.settings(())) -> None:
        self.said = list(said)
        self.greeting = greeting
        self.connections = 0
        self.octets = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.connections += 1
        transport.write(self.greeting)

    def data_received(self, data: bytes) -> None:
        self.octets += data
        if b"/Probe" in data or b"test.Probe" in data:
            for each in self.said:
                self.transport.write(each)


@asynccontextmanager
async def raw(*said: bytes, **changes: Any) -> AsyncIterator[tuple[Raw, int]]:
    protocol = Raw(*said, **changes)
    server = await asyncio.get_running_loop().create_server(lambda: protocol, "127.0.0.1", 0)
    async with server:
        yield protocol, server.sockets[0].getsockname()[1]


async def test_a_server_that_says_nothing_is_left() -> None:
    """It is asked with a PING after the silence that is allowed, and given up when it does not answer."""
    patience = Patience(keepalive=0.05, answer=0.05)
    async with raw() as (server, port), calling(port, Reach(patience=patience)) as channel:
        error = await refused(unary(channel, "echo")(b""))

    assert (error.code(), "ping" in error.details()) == (grpc.StatusCode.UNAVAILABLE, True)
    assert frames.ping(b"\0keepali") in server.octets


async def test_a_connection_without_calls_is_closed() -> None:
    """After the time that is set; the next call dials anew."""
    async with serving("native") as port, calling(port, Reach(patience=Patience(idle=0.02))) as channel:
        await unary(channel, "echo")(b"")
        (before,) = channel._connections
        await until(lambda: not channel._connections)
        answer = await unary(channel, "echo")(b"again")

        assert (answer, before in channel._connections) == (b"again", False)


async def test_a_request_that_was_not_looked_at_is_sent_again() -> None:
    """A server that says so in its GOAWAY is asked once more, over a new connection; not a third time."""
    async with raw(frames.goaway(0, ErrorCode.NO_ERROR)) as (server, port), calling(port) as channel:
        error = await refused(unary(channel, "echo")(b""))

    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert server.connections == 2


@pytest.mark.parametrize(
    ("said", "code", "text"),
    [
        (frames.rst_stream(1, ErrorCode.ENHANCE_YOUR_CALM), grpc.StatusCode.RESOURCE_EXHAUSTED, "ENHANCE_YOUR_CALM"),
        (frames.rst_stream(1, ErrorCode.INTERNAL_ERROR), grpc.StatusCode.INTERNAL, "INTERNAL_ERROR"),
        (frames.header_frames(1, b"\x8d", frames.END_STREAM), grpc.StatusCode.UNIMPLEMENTED, "404"),
        (frames.header_frames(1, b"\x88", frames.END_STREAM), grpc.StatusCode.INTERNAL, "without sending trailers"),
        (frames.header_frames(1, b"\x88", 0) + frames.frame(0, 1, 1, b""), grpc.StatusCode.INTERNAL, "trailers"),
        (frames.frame(0, 0, 99, b""), grpc.StatusCode.UNAVAILABLE, "never opened"),
        (frames.header_frames(1, b"\xff\xff\xff\xff\xff\xff", 0), grpc.StatusCode.UNAVAILABLE, "decoded"),
        (frames.frame(0, 0, 1, b"\1\0\0\0\1x"), grpc.StatusCode.INTERNAL, "compressed flag set"),
        (frames.frame(0, 0, 1, b"\0\xff\xff\xff\xff"), grpc.StatusCode.RESOURCE_EXHAUSTED, "larger than max"),
        (b"\xff" * 9, grpc.StatusCode.UNAVAILABLE, "frame too large"),
        (frames.frame(5, 4, 1, b"\0\0\0\2"), grpc.StatusCode.UNAVAILABLE, "PUSH_PROMISE"),
    ],
)
async def test_a_server_that_breaks_the_rules(said: bytes, code: grpc.StatusCode, text: str) -> None:
    """Its caller is told at once; nothing else happens."""
    async with raw(said) as (_, port), calling(port) as channel:
        error = await refused(unary(channel, "echo")(b""))

    assert (error.code(), text in error.details()) == (code, True), error.details()


async def test_no_more_streams_than_the_server_takes() -> None:
    """The others wait for their turn."""
    greeting = frames.settings(((frames.Setting.MAX_CONCURRENT_STREAMS, 2),))
    async with raw(greeting=greeting) as (server, port), calling(port) as channel:
        first = unary(channel, "echo")(b"1")
        await until(lambda: b"test.Probe" in server.octets)  # by then the settings have come, too
        calls = [first, *(unary(channel, "echo")(b"%d" % number) for number in range(2, 6))]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        (connection,) = channel._connections
        open_at_once = len(connection.http2.streams)
        calls[0].cancel()
        after = {*connection.http2.streams}
        for call in calls[1:]:
            call.cancel()

    assert open_at_once == 2
    assert after == {3, 5}


async def test_a_channel_that_is_closed_answers_all() -> None:
    """Those who wait for the connection, and those whose call is under way."""
    async with raw() as (_, port), calling(port) as channel:
        call = unary(channel, "echo")(b"")
        waiting = asyncio.ensure_future(_await(call))
        await until(lambda: call.stream is not None)
        unreached = Channel("127.0.0.1:1")
        other = unary(unreached, "echo")(b"")
        await unreached.close()
        await channel.close()

        assert (await refused(waiting)).code() is grpc.StatusCode.UNAVAILABLE
        assert (await refused(other)).code() is grpc.StatusCode.CANCELLED
        assert (await refused(unary(channel, "echo")(b""))).code() is grpc.StatusCode.CANCELLED


def test_a_connection_that_nobody_uses_is_small() -> None:
    """A peer more is one each way: both ends together are far below 200 kB, also with TLS."""
    command = [sys.executable, "-m", "tests.serving.grpc.idle_program"]
    plain, secured = map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())

    assert plain < 50_000
    assert secured < 200_000


async def test_who_says_nothing_takes_no_place_from_others(tmp_path: Path) -> None:
    """Of handshakes that do not go on there are so many at most; one who does is let in between them, and answered."""
    authority = Authority()
    server_end, client_end = (
        Anybody(authority.context(tmp_path, side, "spiffe://public/ns/default/x"))
        for side in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT)
    )
    server = NativeServer(tls=server_end)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers()),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    (accepting,) = server._listeners
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(2 * HANDSHAKES)]
    async with WAITING.timeout(DEADLINE), Channel(f"127.0.0.1:{port}", client_end) as channel:
        answer = await unary(channel, "echo")(b"heard")
        under_way = len(accepting._under_way)  # type: ignore[attr-defined]  # it is Handshakes
    for each in silent:
        each.close()
    await server.stop(0)

    assert answer == b"heard"
    assert 0 < under_way <= HANDSHAKES


async def test_calls_that_wait_for_a_connection_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is refused at once; one who gives up makes room, and none is counted any more in the end."""
    account = channels.Account(5 * (LEAST + 10_000 + 200))
    monkeypatch.setattr(channels, "_account", account)
    async with raw(greeting=b"") as (_, port), calling(port) as channel:
        waiting = [unary(channel, "echo")(b"x" * 10_000) for _ in range(6)]
        refused_at_once = [call.is_done for call in waiting]
        waiting[0].cancel()
        one_more = unary(channel, "echo")(b"x" * 10_000).is_done
        await channel.close()
        errors = [(await refused(call)).code().name for call in waiting]

    assert refused_at_once == [False] * 5 + [True]
    assert not one_more
    assert errors == ["CANCELLED"] * 5 + ["RESOURCE_EXHAUSTED"]
    assert account.octets == 0


async def test_answers_that_are_not_whole_are_on_an_account() -> None:
    """What would be too much of them is given up, with the reason; what is over takes nothing any more."""
    part = frames.header_frames(1, b"\x88", 0) + frames.frame(0, 0, 1, b"\0\0\x01\0\0" + b"x" * 16_000)
    more = frames.frame(0, 0, 1, b"x" * 16_000)
    answers = Refusing()
    async with raw(part, more) as (_, port), calling(port, Reach(holder=answers)) as channel:
        error = await refused(unary(channel, "echo")(b""))

    assert (error.code(), error.details()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "no room for 32005")
    assert answers.held == set()


class Refusing:
    """An account that has no room for more than 20,000 octets."""

    def __init__(self) -> None:
        self.held: set[object] = set()

    def hold(self, holder: object, octets: int) -> str:
        self.held.add(holder)
        return f"no room for {octets}" if octets > 20_000 else ""

    def drop(self, holder: object) -> None:
        self.held.discard(holder)


async def test_a_request_that_is_sent_again_is_a_call_like_others() -> None:
    """On the same connection, too: its answer is as long as it likes, and who gives it up is heard."""
    half = frames.header_frames(3, b"\x88", 0) + frames.frame(0, 0, 3, b"\0\0\x01\0\0" + b"x" * 16_000)
    more = frames.frame(0, 0, 3, b"x" * 16_000)
    async with raw(greeting=frames.settings(())) as (server, port), calling(port) as channel:
        call = unary(channel, "echo")(b"")
        for stream_id, said in (1, frames.rst_stream(1, ErrorCode.REFUSED_STREAM)), (3, half + more * 2):
            await until(lambda number=stream_id: frames.frame(0, 1, number, b"\0" * 5) in server.octets)
            server.transport.write(said)
        await until(lambda: frames.window_update(3, 48_005) in server.octets)
        call.cancel()
        await until(lambda: frames.rst_stream(3, ErrorCode.CANCEL) in server.octets)


@pytest.mark.parametrize(
    "said",
    [
        frames.settings(((frames.Setting.MAX_CONCURRENT_STREAMS, 2),)),
        frames.goaway(1, ErrorCode.NO_ERROR),
    ],
    ids=["room", "another connection"],
)
async def test_who_waits_for_a_place_hears_of_one(said: bytes) -> None:
    """As soon as the server takes more streams, or sends its callers away: not when one of the others ends."""
    greeting = frames.settings(((frames.Setting.MAX_CONCURRENT_STREAMS, 1),))
    async with raw(greeting=greeting) as (server, port), calling(port) as channel:
        first = unary(channel, "echo")(b"1")
        await until(lambda: b"test.Probe" in server.octets)
        second = unary(channel, "echo")(b"2")
        server.transport.write(said)
        await until(lambda: second.stream is not None)
        first.cancel()
        second.cancel()


async def test_messages_without_content_wait_at_the_server_too() -> None:
    """A stream of nothing but empty messages, which nobody reads, is stopped by its window."""
    some = frames.frame(0, 0, 1, b"\0\0\0\0\0" * 3_200)
    async with raw(frames.header_frames(1, b"\x88", 0)) as (server, port), calling(port) as channel:
        call = channel.unary_stream("/test.Probe/many", bytes, bytes)(b"")
        await until(lambda: b"test.Probe" in server.octets)
        for number in range(1, 5):
            server.transport.write(some)
            await until(lambda come=number * 3_200: len(call._come) == come)
        assert call.stream.receive_window < frames.DEFAULT_WINDOW >> 1
        assert [await call.read() for _ in range(12_800)] == [b""] * 12_800
        assert call.stream.receive_window > frames.DEFAULT_WINDOW >> 1
        call.cancel()


async def test_a_flood_of_small_frames_is_read_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others have their turns meanwhile; no frame is lost, whatever comes behind them, and reading goes on."""
    monkeypatch.setattr(connections, "_LIMITS", Limits(turn=10))
    head = frames.header_frames(1, b"\x88", 0)
    flood = [frames.frame(0, 0, 1, b"\0\0\0\0\1%c" % (number % 256)) for number in range(2_000)]
    async with raw(head + b"".join(flood[:1_000])) as (server, port), calling(port) as channel:
        call = channel.unary_stream("/test.Probe/many", bytes, bytes)(b"")
        sizes = []
        while len(call._come) < 1_000:
            sizes.append(len(call._come))
            await asyncio.sleep(0)
        sizes.append(len(call._come))
        server.transport.write(b"".join(flood[1_000:]))
        heard = [await call.read() for _ in flood]
        call.cancel()

    assert max(after - before for before, after in pairwise(sizes)) <= 20
    assert heard == [b"%c" % (number % 256) for number in range(2_000)]


async def test_floods_of_many_connections_are_read_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that share their turns: a turn of the loop is as long as for one."""
    monkeypatch.setattr(connections, "_LIMITS", Limits(turn=10))
    head = frames.header_frames(1, b"\x88", 0)
    flood = [head, *(frames.frame(0, 0, 1, b"\0\0\0\0\1x") for _ in range(2_000))]
    reach = Reach(turns=Turns())
    async with AsyncExitStack() as stack:
        calls = []
        for _ in range(4):
            _, port = await stack.enter_async_context(raw(b"".join(flood)))
            channel = await stack.enter_async_context(calling(port, reach))
            calls.append(channel.unary_stream("/test.Probe/many", bytes, bytes)(b""))
        counts = []
        while not counts or counts[-1] < 4 * 2_000:
            counts.append(sum(len(call._come) for call in calls))
            await asyncio.sleep(0)
        for call in calls:
            call.cancel()

    # a connection's first octets are read at once, as are those of one that has less to say
    assert sum(after - before > 20 for before, after in pairwise(counts)) <= 4


@pytest.mark.parametrize(
    "greeting",
    [
        None,
        b"",
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        frames.settings(((frames.Setting.MAX_CONCURRENT_STREAMS, 0),)) + frames.goaway(0, ErrorCode.NO_ERROR),
    ],
    ids=["closes", "closes when it is spoken to", "HTTP/1", "takes nobody"],
)
async def test_a_server_that_nobody_can_call_is_dialled_with_pauses(
    monkeypatch: pytest.MonkeyPatch, greeting: bytes | None
) -> None:
    """It accepts, and does not serve: whoever waits is refused, as where nobody listens, and it is left in peace."""
    monkeypatch.setattr(channels, "FIRST_PAUSE", 1000.0)
    dialled = 0

    class Useless(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            nonlocal dialled
            dialled += 1
            self.transport = transport
            if greeting is None:
                transport.abort()
            else:
                transport.write(greeting)

        def data_received(self, _: bytes) -> None:
            self.transport.close()

    server = await asyncio.get_running_loop().create_server(Useless, "127.0.0.1", 0)
    async with server, calling(server.sockets[0].getsockname()[1]) as channel:
        codes = {(await refused(call)).code() for call in [unary(channel, "echo")(b"") for _ in range(300)]}
        first = dialled
        codes |= {(await refused(unary(channel, "echo")(b""))).code() for _ in range(300)}

    assert codes == {grpc.StatusCode.UNAVAILABLE}
    assert dialled == first <= 3


@pytest.mark.parametrize(
    ("said", "code"),
    [(frames.frame(5, 4, 1, b"\0\0\0\2"), "UNAVAILABLE"), (frames.goaway(1, ErrorCode.NO_ERROR), "UNKNOWN")],
    ids=["fault", "goaway"],
)
async def test_a_server_that_reads_nothing_holds_nobody(
    monkeypatch: pytest.MonkeyPatch, said: bytes, code: str
) -> None:
    """Once the connection is over its callers are told, and it ends though what was said has not left."""
    monkeypatch.setattr(connections, "LINGER", 0.01)
    open_wide = frames.settings(((frames.Setting.INITIAL_WINDOW_SIZE, 2**31 - 1),)) + frames.window_update(0, 2**30)
    async with raw(greeting=open_wide) as (server, port), calling(port) as channel:
        first = unary(channel, "echo")(b"")
        await until(lambda: b"test.Probe" in server.octets)
        transport = server.transport
        transport.pause_reading()
        (connection,) = channel._connections
        connection._transport.set_write_buffer_limits(2**30)  # as if all but a little less had left
        second = unary(channel, "echo")(b"x" * 20_000_000)
        await until(lambda: connection._transport.get_write_buffer_size() > 0)
        transport.write(said + frames.header_frames(1, b"\x88\x00\x0bgrpc-status\x012", frames.END_STREAM))
        found = (await refused(first)).code().name
        await until(lambda: connection not in channel._connections)
        transport.abort()
        second.cancel()
        await refused(second)

    assert found == code


async def test_a_request_of_which_nothing_is_taken_is_given_up() -> None:
    """A server that opens no window holds it from one look to the next, whatever it says; one that does, longer."""
    greeting = frames.settings(((frames.Setting.INITIAL_WINDOW_SIZE, 100),))
    async with raw(greeting=greeting) as (server, port), calling(port) as channel:
        small = unary(channel, "echo")(b"")
        await until(lambda: b"test.Probe" in server.octets)
        large = unary(channel, "echo")(b"x" * 1_000)
        await until(lambda: large.stream is not None and large.stream.queued == 905)
        (connection,) = channel._connections
        connection._look_for_stuck()
        server.transport.write(frames.window_update(3, 5))
        await until(lambda: large.stream.queued == 900)
        connection._look_for_stuck()
        connection._look_for_stuck()
        error = await refused(large)
        await until(lambda: frames.rst_stream(3, ErrorCode.CANCEL) in server.octets)
        left = small.is_done, connection._look
        small.cancel()

    assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, "the server takes nothing of the request")
    assert left == (False, None)
