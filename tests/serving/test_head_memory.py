"""What the heads of open requests take in memory is on one account, whatever server they came to."""

from __future__ import annotations

from typing import Any

from dapr_state.serving.request_memory import RequestMemory
from dapr_state.wire.http2 import frames
from dapr_state.wire.http2.faults import ErrorCode
from dapr_state.wire.http2.frames import FrameType
from dapr_state.wire.http2.headers import HeadMemory
from tests.serving.grpc.inside import blocking
from tests.serving.grpc.inside import serving as serving_grpc
from tests.serving.grpc.raw import RawClient
from tests.serving.http.serving import serving as serving_http

LARGE = ("x-large", "v" * 8_000)  # twice that in memory: one of them fits


async def _never(_: object) -> Any:
    raise AssertionError("refused before")


async def test_servers_share_the_account_of_open_heads() -> None:
    """One large head at gRPC's server leaves no memory for another at HTTP's, and gives it back when it is gone."""
    memory = RequestMemory()
    memory.heads = HeadMemory(open_size=30_000)
    async with serving_grpc(memory=memory) as (_, port), serving_http(_never, memory=memory) as (_, other):
        with RawClient(port) as first, RawClient(other) as second:
            first.socket.sendall(first.headers("chat", LARGE) + frames.ping(b"all done"))
            await blocking(first.until, FrameType.PING)
            second.socket.sendall(second.headers("chat", LARGE))
            refused = await blocking(second.until, FrameType.RST_STREAM)

    assert refused[3] == int(ErrorCode.REFUSED_STREAM).to_bytes(4, "big")
