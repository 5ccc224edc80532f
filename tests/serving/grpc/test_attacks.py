"""Clients that do not read or write, or take back what they asked for: the server stays small and serves others."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dapr_state.wire import grpc as framing
from dapr_state.wire.http2 import frames
from dapr_state.wire.http2.faults import ErrorCode
from dapr_state.wire.http2.frames import END_STREAM, FrameType, Setting
from tests.serving.grpc.raw import RawClient
from tests.serving.grpc.server import Server, path
from tests.support.waiting import until

MEGABYTE = 1_000_000


def memory(server: Server) -> int:
    """Octets that the server's process has in memory."""
    kilobytes = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{server.pid}/status").read_text())
    assert kilobytes
    return int(kilobytes[1]) * 1024


def serves(server: Server) -> bool:
    with server.channel() as channel:
        return channel.unary_unary(path("echo"))(b"on", timeout=30) == b"on"


def test_a_client_that_does_not_read_is_not_read_either(tmp_path: Path) -> None:
    """Answers pile up to a bound, not to what was asked for: here a gigabyte."""
    opened = ((Setting.INITIAL_WINDOW_SIZE, frames.MAX_WINDOW),)
    with Server(tmp_path) as server, RawClient(server.port, opened) as client:
        client.socket.sendall(frames.window_update(0, 2**30))
        before = memory(server)
        client.send_until_stuck(b"".join(client.request("sized", b"1000000") for _ in range(1000)))
        grown = memory(server) - before

        assert serves(server)
        assert grown < 40 * MEGABYTE


def test_answers_behind_a_closed_window_are_bounded(tmp_path: Path) -> None:
    """Requests whose answers may not be sent wait themselves, once a few megabytes do."""
    with Server(tmp_path) as server, RawClient(server.port, ((Setting.INITIAL_WINDOW_SIZE, 0),)) as client:
        before = memory(server)
        client.socket.sendall(
            b"".join(client.request("sized", b"1000000") for _ in range(900)) + frames.ping(b"all done")
        )
        client.until(FrameType.PING)
        grown = memory(server) - before
        client.socket.sendall(b"".join(frames.window_update(number, MEGABYTE * 2) for number in range(1, 41, 2)))
        client.socket.sendall(frames.window_update(0, 2**30))
        first = client.until(FrameType.DATA)

        assert grown < 40 * MEGABYTE
        assert first is not None
        assert serves(server)


def test_a_client_that_takes_nothing_for_long_is_dropped(tmp_path: Path) -> None:
    """Output that nothing moves ends the connection after a while, and gives its memory back."""
    closed = ((Setting.INITIAL_WINDOW_SIZE, 0),)
    with Server(tmp_path, stall=0.1) as server, RawClient(server.port, closed) as client:
        client.socket.sendall(client.request("sized", b"1000000"))
        goaway = client.until(FrameType.GOAWAY)

        assert goaway is not None
        assert frames.word(goaway[3], 4) == ErrorCode.ENHANCE_YOUR_CALM
        assert client.frame() is None


def test_calls_whose_streams_are_gone_count_until_they_end(tmp_path: Path) -> None:
    """A client cannot have more work done by resetting what it asked for (CVE-2023-44487, CVE-2025-8671)."""
    with Server(tmp_path, grpc__max_concurrent_streams=50) as server, RawClient(server.port) as client:
        for _ in range(500):
            octets = client.request("stubborn")
            client.socket.sendall(octets + frames.rst_stream(client.last_stream, ErrorCode.CANCEL))
        client.socket.sendall(frames.ping(b"all done"))
        client.until(FrameType.PING)
        with server.channel() as channel:
            running = int(channel.unary_unary(path("running"))(b"", timeout=30))
            channel.unary_unary(path("release"))(b"", timeout=30)

        assert running <= 51


def test_a_client_may_send_while_the_end_of_its_answer_waits(server: Server) -> None:
    """What comes for a call that is over, but whose last octets wait for the client's window, is dropped."""
    with RawClient(server.port) as client:
        message = frames.frame(FrameType.DATA, 0, 1, framing.message(b"more"))
        client.socket.sendall(client.headers("flood") + message)
        received = 0
        while received < frames.DEFAULT_WINDOW:
            received += len((client.until(FrameType.DATA) or b"    ")[3])
        client.socket.sendall(message * 3 + frames.window_update(0, 2**30) + frames.window_update(1, 2**30))
        while (frame := client.frame()) is not None and frame[0] == FrameType.DATA:
            received += len(frame[3])

    assert received == 1_000_005
    assert frame is not None
    assert frame[0] == FrameType.HEADERS


def test_one_that_says_nothing_is_dropped(tmp_path: Path) -> None:
    """A connection that does not begin to speak HTTP/2 is closed."""
    with (
        Server(tmp_path, grpc__server_handshake_timeout_ms=10) as server,
        RawClient(server.port, greet=False) as client,
    ):
        assert client.until(FrameType.DATA) is None


def test_one_that_died_silently_is_noticed(tmp_path: Path) -> None:
    """A peer that does not answer a ping is dropped, and its calls are cancelled."""
    with Server(tmp_path, grpc__keepalive_time_ms=100, grpc__keepalive_timeout_ms=100) as server:
        with RawClient(server.port) as client:
            client.socket.sendall(client.request("hang", b"silent"))

            assert client.until(FrameType.PING) is not None
            assert client.frame() is None
        with server.channel() as channel:
            until(lambda: b"silent" in channel.unary_unary(path("report"))(b"", timeout=30))


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (b"\0\0\0\0\5\0", b"unexpected EOF"),
        (b"", b"EOF"),
        (b"\1\0\0\0\0", b"grpc: compressed flag set with identity or empty encoding"),
        (b"\0\0\0\0\0" * 2, b"the request has more than one message"),
    ],
)
def test_a_request_that_is_no_message_is_refused(server: Server, octets: bytes, status: bytes) -> None:
    """The status says what is wrong with it, and the connection goes on."""
    with RawClient(server.port) as client:
        client.socket.sendall(client.headers("echo") + frames.frame(FrameType.DATA, END_STREAM, 1, octets))
        trailers = client.until(FrameType.HEADERS)

        assert trailers is not None
        assert status in trailers[3]
