"""The server's own life: addresses, and an end that loses no call that it can finish."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import grpc
import pytest

from tests.serving.grpc.server import Server, path
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT = 30


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0", "localhost:0"])
def test_it_listens_on_the_address_given(tmp_path: Path, address: str) -> None:
    """Port 0 is a port of the system's choice, on IPv4 and IPv6."""
    host = address.rsplit(":", 1)[0].replace("0.0.0.0", "127.0.0.1").replace("[::]", "127.0.0.1")
    with Server(tmp_path, address) as server, grpc.insecure_channel(f"{host}:{server.port}") as channel:
        assert channel.unary_unary(path("echo"))(b"hello", timeout=TIMEOUT) == b"hello"


def test_it_listens_on_a_unix_socket(tmp_path: Path) -> None:
    """A socket's path is an address too, and the file goes when the server does."""
    file = tmp_path / "socket"
    with Server(tmp_path, f"unix:{file}") as server, grpc.insecure_channel(f"unix:{file}") as channel:
        assert channel.unary_unary(path("echo"))(b"hello", timeout=TIMEOUT) == b"hello"
        channel.close()
        assert server.stop() == 0
    assert not file.exists()


def test_a_port_that_is_taken_is_an_error(tmp_path: Path) -> None:
    """Two servers on one port are refused, not shared."""
    with Server(tmp_path) as server:
        second = Server(tmp_path / "x", f"127.0.0.1:{server.port}")
        (tmp_path / "x").mkdir()
        second.launch()

        assert second.wait() == 1
        assert "Address already in use" in second.log()


def test_calls_under_way_finish_within_the_grace(tmp_path: Path) -> None:
    """A server that is told to stop answers what it has begun, and takes nothing new."""
    with Server(tmp_path, grace=20) as server, server.channel() as channel:
        requests, chat = _chat(channel)
        server.signal(signal.SIGTERM)
        until(lambda: not _accepts(server))
        requests.append(b"late")
        late = next(chat)
        requests.append(None)

        assert late == b"late"
        assert list(chat) == []
        assert server.wait() == 0


def test_calls_that_outlast_the_grace_are_ended(tmp_path: Path) -> None:
    """When the grace is over, calls end as UNAVAILABLE and their servicers are cancelled."""
    with Server(tmp_path, grace=0.2) as server, server.channel() as channel:
        hanging = channel.unary_unary(path("hang")).future(b"", timeout=TIMEOUT)
        channel.unary_unary(path("echo"))(b"")
        server.signal(signal.SIGTERM)

        assert hanging.exception(TIMEOUT).code() == grpc.StatusCode.UNAVAILABLE
        assert server.wait() == 0


def test_an_idle_connection_is_said_goodbye(tmp_path: Path) -> None:
    """A connection without calls is closed after the idle time; the client opens another when it needs one."""
    with Server(tmp_path, grpc__max_connection_idle_ms=10) as server, server.channel() as channel:
        states: list[grpc.ChannelConnectivity] = []
        channel.subscribe(states.append)
        echo = channel.unary_unary(path("echo"))
        first = echo(b"1", timeout=TIMEOUT)
        until(lambda: states and states[-1] is grpc.ChannelConnectivity.IDLE)

        assert (first, echo(b"2", timeout=TIMEOUT)) == (b"1", b"2")


def _chat(channel: grpc.Channel) -> tuple[_Requests, grpc.CallIterator[bytes]]:
    """Open a chat that has been answered once."""
    requests = _Requests()
    chat = channel.stream_stream(path("chat"))(iter(requests), timeout=TIMEOUT)
    requests.append(b"early")
    assert next(chat) == b"early"
    return requests, chat


class _Requests:
    """Messages to send, one by one; None ends them."""

    def __init__(self) -> None:
        self._messages: list[bytes | None] = []

    def append(self, message: bytes | None) -> None:
        self._messages.append(message)

    def __iter__(self) -> _Requests:
        return self

    def __next__(self) -> bytes:
        until(lambda: self._messages)
        message = self._messages.pop(0)
        if message is None:
            raise StopIteration
        return message


def _accepts(server: Server) -> bool:
    with server.channel() as channel:
        try:
            channel.unary_unary(path("echo"))(b"", timeout=2)
        except grpc.RpcError:
            return False
        return True
