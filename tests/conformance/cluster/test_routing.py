"""Where ten thousand actors live: the real daprd is asked for each, and three hosts tell which of them it called."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from dapr_state_proto.internals.v1 import service_invocation_pb2_grpc
from dapr_state_proto.internals.v1.service_invocation_pb2 import InternalInvokeResponse
from dapr_state_proto.internals.v1.status_pb2 import Status
from dapr_state_proto.runtime.v1.actors_pb2 import InvokeActorRequest
from dapr_state_proto.runtime.v1.dapr_pb2_grpc import DaprStub

from dapr_state.actors.placement.client import Identity, PlacementClient
from dapr_state.actors.placement.ring import Ring
from dapr_state.serving.grpc import NativeServer
from dapr_state.serving.grpc.channel import Channel
from tests.support import oracle
from tests.support.cluster import TYPE
from tests.support.control_plane import Placement
from tests.support.http import ask
from tests.support.sidecar import Daprd
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from dapr_state_proto.internals.v1.service_invocation_pb2 import InternalInvokeRequest
    from dapr_state_proto.placement.v1.placement_pb2 import PlacementTables

pytestmark = pytest.mark.oracle

COUNT = 10_000
CALLERS = 64
ALPHABETS = ("0123456789", "abcXYZ-_.", "||:+ ~", "äöüßÜÏ", "日本語テスト", "🙂🚀é\u0301")


def ids() -> list[str]:
    """Counted, random, with separators, in other scripts, short and long."""
    chosen = random.Random(14)
    found = {str(number) for number in range(COUNT // 4)}
    found |= {str(UUID(int=chosen.getrandbits(128))) for _ in range(COUNT // 4)}
    while len(found - {".", ".."}) < COUNT:
        letters = "".join(chosen.sample(ALPHABETS, 2))
        found.add("".join(chosen.choices(letters, k=chosen.choice((1, 2, 5, 20, 200)))))
    return sorted(found - {".", ".."})


class Host(service_invocation_pb2_grpc.ServiceInvocationServicer):
    """It hosts all that placement says, and remembers who was called."""

    def __init__(self) -> None:
        self.called: set[str] = set()
        self.hosts: set[str] = set()  # that the table names
        self._server = NativeServer()
        service_invocation_pb2_grpc.add_ServiceInvocationServicer_to_server(self, self._server)
        self.name = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    async def serve(self, stack: AsyncExitStack, placement: str) -> None:
        await self._server.start()
        stack.push_async_callback(self._server.stop, 0)
        client = PlacementClient([placement], Identity(self.name, "host", "default"), self, lambda: [TYPE], 30.0)
        client.begin()
        stack.push_async_callback(client.close)

    async def CallActor(self, request: InternalInvokeRequest, _: Any) -> InternalInvokeResponse:  # noqa: N802 - gRPC's
        self.called.add(request.actor.actor_id)
        return InternalInvokeResponse(status=Status(code=200))

    async def update(self, tables: PlacementTables) -> None:
        self.hosts = {*tables.entries[TYPE].load_map}

    def unlock(self) -> None: ...

    def beat(self) -> None: ...

    def lose(self, *, drains: bool) -> None: ...


async def _call(daprd: Daprd, names: list[str]) -> None:
    """Each once, many at a time."""
    left = iter(names)

    async def caller(stub: DaprStub) -> None:
        for name in left:
            await stub.InvokeActor(InvokeActorRequest(actor_type=TYPE, actor_id=name, method="m"), timeout=30)

    async with Channel(daprd.address) as channel:
        await asyncio.gather(*(caller(DaprStub(channel)) for _ in range(CALLERS)))


async def test_daprd_finds_each_where_the_ring_says(tmp_path: Path) -> None:
    """Ours is daprd's to the last of them."""
    names = ids()
    with Placement(oracle.program("placement"), tmp_path) as placement:
        async with AsyncExitStack() as stack:
            hosts = [Host() for _ in range(3)]
            for host in hosts:
                await host.serve(stack, placement.address)
            daprd = Daprd(oracle.program("daprd"), tmp_path, flags=("--placement-host-address", placement.address))
            await asyncio.to_thread(daprd.start)
            stack.callback(daprd.close)
            everybody = {host.name for host in hosts}
            async with asyncio.timeout(30):
                while not all(host.hosts == everybody for host in hosts):  # noqa: ASYNC110 - the service tells it
                    await asyncio.sleep(0.01)

            def is_connected() -> bool:
                return bool(ask(daprd.http_port, "GET", "/v1.0/metadata").json["actorRuntime"]["hostReady"])

            await asyncio.to_thread(until, is_connected, what="daprd has the table")
            await _call(daprd, names)
    ring = Ring(everybody, 100)

    assert len(names) == COUNT
    for host in hosts:
        assert host.called == {name for name in names if ring.owner(name) == host.name}
