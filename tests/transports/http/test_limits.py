"""What a client may send, and how slowly: limits are kept, and one client's misuse costs the others nothing."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from dapr_state.serving.http.response import Response
from dapr_state.serving.timeouts import Timeouts
from dapr_state.wire.http1.body import MAX_PARTS
from dapr_state.wire.http2 import frames, headers
from dapr_state.wire.http2.frames import END_STREAM, FrameType
from tests.serving.http.serving import blocking, serving
from tests.support.components import component
from tests.support.http import Socket, ask, request
from tests.support.recorded import data
from tests.support.sidecar import Daprd, Sidecar
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dapr_state.serving.http.request import Request
    from tests.support.recorded import Recorded

LIMIT = 1000
FLAGS = ("--max-body-size", str(LIMIT), "--read-buffer-size", "1Ki")
SLOW_CLIENTS = 500


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    with Sidecar(tmp_path_factory.mktemp("small"), [component("mem", "state.in-memory")], flags=FLAGS) as server:
        yield server


@pytest.fixture(scope="module")
def small_daprd(tmp_path_factory: pytest.TempPathFactory, daprd_binary: Path) -> Iterator[Daprd]:
    folder = tmp_path_factory.mktemp("small-daprd")
    with Daprd(daprd_binary, folder, [component("mem", "state.in-memory")], flags=FLAGS) as server:
        yield server


LARGE = '[{"key":"a","value":"' + "x" * LIMIT + '"}]'
BODIES = {
    "noted metadata": ("PUT", "/v1.0/metadata/x", "x" * 2 * LIMIT),
    "save": ("POST", "/v1.0/state/mem", LARGE),
    "bulk": ("POST", "/v1.0/state/mem/bulk", '{"keys":["' + "x" * LIMIT + '"]}'),
    "transaction": ("POST", "/v1.0/state/mem/transaction", '{"operations":[' + " " * LIMIT + "]}"),
    "query": ("POST", "/v1.0-alpha1/state/mem/query", "{" + " " * LIMIT + "}"),
    "padded after its end": ("POST", "/v1.0/state/mem", '[{"key":"a","value":1}]' + " " * LIMIT),
    "unknown store": ("POST", "/v1.0/state/nope", LARGE),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_beyond_the_limit_is_answered_as_daprd_does(name: str, small: Sidecar, recorded: Recorded) -> None:
    """The status and the error name the limit, and only what has to be read counts."""
    theirs = recorded(name, lambda daprd: ask(daprd.http_port, *BODIES[name]), of="small_daprd")

    assert data(ask(small.http_port, *BODIES[name])) == theirs


def test_a_chunked_body_beyond_the_limit_is_refused(small: Sidecar) -> None:
    """The limit holds where no length is announced, and the connection ends there."""
    chunk = b"64\r\n" + b" " * 100 + b"\r\n"
    with Socket(small.http_port) as client:
        client.send(
            b"POST /v1.0/state/mem HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 11
        )
        answer = client.answer()
        closed = client.is_closed()

    assert (answer.code, answer.json["message"], closed) == (400, "stream too large", True)


def test_the_head_limit_follows_its_flag(small: Sidecar) -> None:
    """1 KiB and Go's 4 KiB above it are taken, more is not."""
    within = ask(small.http_port, "GET", "/v1.0/healthz", X="x" * 5000)
    beyond = ask(small.http_port, "GET", "/v1.0/healthz", X="x" * 5200)

    assert (within.code, beyond.status) == (204, "HTTP/1.1 431 Request Header Fields Too Large")


def test_a_head_that_never_ends_is_refused_at_the_limit(small: Sidecar) -> None:
    """Nobody has to send the end of the head for the limit to hold."""
    with Socket(small.http_port) as client:
        answer = client.send(b"GET / HTTP/1.1\r\nX: " + b"x" * 6000).answer()

    assert answer.code == 431


def test_slow_clients_do_not_stop_the_others(small: Sidecar) -> None:
    """500 connections that have sent half a head or half a body, and every other request is answered."""
    halves = (b"GET /v1.0/healthz HTTP/1.1\r\nHo", request("POST", "/v1.0/state/mem", "[]")[:-1])
    slow = [Socket(small.http_port).send(halves[number % 2]) for number in range(SLOW_CLIENTS)]

    answers = [ask(small.http_port, "GET", "/v1.0/healthz").code for _ in range(50)]
    last = slow[-1].send(b"]").answer().code
    for client in slow:
        client.raw.close()

    assert (set(answers), last) == ({204}, 204)


async def test_a_head_has_to_arrive_in_time() -> None:
    """A client that does not finish its head is let go without an answer; one between requests may rest."""

    async def handler(_: Request) -> Response:
        return Response(204)

    async with serving(handler, timeouts=Timeouts(head=0.2)) as (_, port):
        with Socket(port) as silent, Socket(port) as slow, Socket(port) as resting:
            resting.send(request("GET", "/"))
            first = await blocking(resting.answer)
            slow.send(b"GET / HTTP/1.1\r\n")
            gone = [await blocking(silent.is_closed), await blocking(slow.is_closed)]
            resting.send(request("GET", "/"))
            second = await blocking(resting.answer)

    assert (first.code, gone, second.code) == (204, [True, True], 204)


async def test_what_is_sent_ahead_is_not_all_kept() -> None:
    """While a request is being answered, a client that floods us is not read."""
    release = asyncio.Event()

    async def handler(_: Request) -> Response:
        await release.wait()
        return Response(204)

    flood = request("GET", "/", X="x" * 3000) * 10_000  # far more than what the kernel holds between two sockets

    async with serving(handler) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(flood)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(writer.drain(), 0.5)
        held = writer.transport.get_write_buffer_size()
        release.set()
        await writer.drain()
        answers = await reader.readexactly(len(b"HTTP/1.1 204 No Content"))
        writer.close()

    assert held > len(flood) // 2
    assert answers == b"HTTP/1.1 204 No Content"


async def test_answers_that_nobody_reads_are_not_all_made() -> None:
    """A client that sends and does not read stops being served until it does."""
    made = 0

    async def handler(_: Request) -> Response:
        nonlocal made
        made += 1
        return Response(200, body=b"x" * 10_000)

    async with serving(handler) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(request("GET", "/") * 5000)
        seen = -1
        while made != seen:  # until nothing more happens
            seen = made
            await asyncio.sleep(0.2)
        while made < 5000:
            assert await reader.read(1 << 20)
        writer.close()

    assert seen < 4000


async def test_what_is_passed_over_has_to_arrive_in_time_too() -> None:
    """The rest of a body beyond the limit: if it never comes the connection ends, if it does it may rest."""

    async def handler(_: Request) -> Response:
        return Response(204)

    sent = request("POST", "/", b"x" * 3000)
    async with serving(handler, max_body=1000, timeouts=Timeouts(head=0.2)) as (_, port):
        with Socket(port) as stuck, Socket(port) as whole:
            stuck.send(sent[:-1])
            whole.send(sent)
            codes = [(await blocking(client.answer)).code for client in (stuck, whole)]
            gone = await blocking(stuck.is_closed)
            codes.append((await blocking(whole.send(request("GET", "/")).answer)).code)

    assert (codes, gone) == ([204, 204, 204], True)


async def test_a_body_that_does_not_go_on_is_ended() -> None:
    """It gets 408 and the end of its connection; one that goes on slowly is answered."""

    async def handler(it: Request) -> Response:
        return Response(200, body=it.body)

    head = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
    async with serving(handler, timeouts=Timeouts(body=0.3)) as (_, port):
        with Socket(port) as counted, Socket(port) as chunked, Socket(port) as slow:
            counted.send(head + b"Content-Length: 5\r\n\r\nab")
            chunked.send(head + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n")
            slow.send(head + b"Content-Length: 9\r\n\r\n")

            pause = threading.Event()

            def slowly() -> int:
                for _ in range(9):
                    pause.wait(0.1)
                    slow.send(b"x")
                return slow.answer().code

            went_on = await blocking(slowly)
            refused = [await blocking(client.answer) for client in (counted, chunked)]
            closed = [await blocking(client.is_closed) for client in (counted, chunked)]

    assert went_on == 200
    assert [answer.status for answer in refused] == ["HTTP/1.1 408 Request Timeout"] * 2
    assert closed == [True, True]


async def test_a_client_that_takes_no_answers_is_let_go() -> None:
    """One that takes nothing of its answers loses its connection, and one that reads slowly does not."""

    async def handler(_: Request) -> Response:
        return Response(200, body=b"x" * 20_000_000)

    async with serving(handler, timeouts=Timeouts(stall=0.3)) as (server, port):
        with Socket(port) as silent, Socket(port) as slow:
            silent.send(request("GET", "/"))
            slow.send(request("GET", "/"))

            def slowly() -> int:
                seen = 0
                while part := slow.raw.recv(2_000_000):
                    seen += len(part)
                    if seen > 20_000_000:
                        break
                    gone_yet.wait(0.05)
                return seen

            gone_yet = threading.Event()
            seen = await blocking(slowly)
            slow.raw.close()
            await eventually(lambda: " 0 connections" in repr(server))

    assert seen > 20_000_000


async def test_many_small_requests_of_one_client_leave_others_their_turn() -> None:
    """A burst of requests that are answered at once does not hold the loop for its length."""
    burst = 0

    async def handler(it: Request) -> Response:
        nonlocal burst
        burst += it.target == b"/burst"
        return Response(200, body=b"%d" % burst)

    flood = b"GET /burst HTTP/1.1\r\nHost: localhost\r\n\r\n" * 40_000
    async with serving(handler) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        other_reader, other_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(flood)
        other_writer.write(request("GET", "/other"))
        await other_reader.readuntil(b"\r\n\r\n")
        seen = int(await other_reader.read(10))
        taken = bytearray()  # whole: an answer may come in two reads
        while taken.count(b"HTTP/1.1 200") < 40_000:
            taken += await reader.read(1 << 20)
        for each in (writer, other_writer):
            each.close()

    assert seen < 5_000
    assert burst == 40_000


async def test_however_many_flood_who_asks_for_little_waits_for_one_turn() -> None:
    """Connections with more to do than fits in a turn go on one after another: others wait for one of them."""
    burst = 0
    begun = asyncio.Event()

    async def handler(it: Request) -> Response:
        nonlocal burst
        burst += it.target == b"/burst"
        begun.set()
        return Response(200, body=b"%d" % burst)

    flood = b"GET /burst HTTP/1.1\r\nHost: localhost\r\n\r\n" * 4_000
    async with serving(handler) as (server, port):
        floods = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
        other_reader, other_writer = await asyncio.open_connection("127.0.0.1", port)
        await eventually(lambda: " 21 connections" in repr(server))
        for _, writer in floods:
            writer.write(flood)
        await begun.wait()
        before = burst
        other_writer.write(request("GET", "/other"))
        await other_reader.readuntil(b"\r\n\r\n")
        passed = int(await other_reader.read(10)) - before
        for _, writer in floods:
            writer.close()
        other_writer.close()

    assert passed < 8_000


async def test_a_chunked_body_is_taken_in_shares() -> None:
    """Chunks of one octet: others are answered while those that have come are read."""
    order = []

    async def handler(it: Request) -> Response:
        order.append(it.target)
        return Response(200, body=b"%d" % len(it.body))

    count = 40_000
    body = b"1\r\nx\r\n" * count + b"0\r\n\r\n"
    head = b"POST /chunks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving(handler) as (_, port):
        with Socket(port) as chunked, Socket(port) as other:
            chunked.send(head + body)
            other.send(request("GET", "/other"))
            answers = [await blocking(client.answer) for client in (chunked, other)]

    assert [answer.body for answer in answers] == [b"40000", b"0"]
    assert order == [b"/other", b"/chunks"]


async def test_a_share_of_chunks_that_ends_where_the_octets_do_is_no_share_left() -> None:
    """Nothing is left to read then: the rest is waited for, and the request is answered."""

    async def handler(it: Request) -> Response:
        return Response(200, body=b"%d" % len(it.body))

    # three parts a chunk, and two of the last one
    begun = b"1\r\nx\r\n" * (MAX_PARTS // 3) + b"1\r\nx"
    head = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with serving(handler) as (server, port):
        with Socket(port) as client:
            client.send(request("GET", "/"))
            await blocking(client.answer)
            client.send(head + begun)
            await eventually(lambda: "1 connections" in repr(server) and not server._shared.turns.are_waited_for)
            client.send(b"\r\n0\r\n\r\n")
            answer = await blocking(client.answer)

    assert MAX_PARTS % 3 == 2
    assert answer.body == b"%d" % (MAX_PARTS // 3 + 1)


async def test_http2_that_had_to_wait_for_its_turn_is_read_on() -> None:
    """A connection that turned out to speak HTTP/2 when its turn came is read like any other."""

    async def handler(it: Request) -> Response:
        return Response(200, body=b"%d" % len(it.body))

    fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"localhost")]
    block = headers.encode(fields)
    async with serving(handler) as (server, port):
        turns = server._shared.turns
        is_first_answered = False

        def again() -> None:
            if not is_first_answered and not turns.are_waited_for:
                turns.wait(again)

        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        turns.wait(again)  # somebody else has more to do than fits in a turn
        large = frames.header_frames(1, block, 0) + frames.frame(FrameType.DATA, END_STREAM, 1, b"x" * 10_000)
        writer.write(frames.PREFACE + frames.settings(()) + large)
        await reader.readuntil(b"10000")
        is_first_answered = True
        writer.write(frames.header_frames(3, block, END_STREAM))
        answered = await reader.readuntil(b"\0\0\0\x03")  # of the second stream
        writer.close()

    assert answered
