"""A placement service of our own for machines that have not the real one: one server, the rounds, and nothing else.

    placement_program.py PORT [HOSTS]

Every change of what is hosted is a round of its own for all streams: lock, update, unlock, each when all have answered
the one before. What comes during a round is dealt with after it. HOSTS more are in its tables, and nowhere else.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import grpc
from dapr_state_proto.placement.v1 import placement_pb2_grpc
from dapr_state_proto.placement.v1.placement_pb2 import (
    Host,
    HostOperation,
    PlacementOrder,
    PlacementTable,
    PlacementTables,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

FACTOR = 100
TYPES = ("far", "further")
ANSWERS = {"lock": HostOperation.LOCK, "update": HostOperation.UPDATE, "unlock": HostOperation.UNLOCK}


class Stream:
    def __init__(self, context: Any) -> None:
        self.context = context
        self.host: Host | None = None
        self.answers: asyncio.Queue[Host | None] = asyncio.Queue()  # None: it has ended


class Placement(placement_pb2_grpc.PlacementServicer):
    def __init__(self, hosts: int) -> None:
        self.hosts = hosts
        self.streams: list[Stream] = []
        self.changed = asyncio.Event()
        self.version = 0

    async def ReportDaprStatus(self, messages: AsyncIterator[Host], context: Any) -> None:  # noqa: N802 - gRPC's name
        stream = Stream(context)
        try:
            async for message in messages:
                if message.operation == HostOperation.REPORT:
                    if stream.host is None:
                        self.streams.append(stream)
                    stream.host = message
                    self.changed.set()
                else:
                    stream.answers.put_nowait(message)
        finally:
            self.streams.remove(stream)
            stream.answers.put_nowait(None)
            self.changed.set()

    async def run(self) -> None:
        while True:
            await self.changed.wait()
            self.changed.clear()
            self.version += 1
            streams = list(self.streams)
            for operation in ANSWERS:
                tables = self._tables() if operation == "update" else None
                order = PlacementOrder(operation=operation, version=self.version, tables=tables)
                await asyncio.gather(*(self._order(stream, order) for stream in streams))

    async def _order(self, stream: Stream, order: PlacementOrder) -> None:
        with suppress(grpc.aio.UsageError, asyncio.InvalidStateError, grpc.RpcError):
            await stream.context.write(order)
            while answer := await stream.answers.get():
                if (answer.operation, answer.version) == (ANSWERS[order.operation], order.version):
                    return
        stream.answers.put_nowait(None)

    def _tables(self) -> PlacementTables:
        entries: dict[str, PlacementTable] = {}
        for stream in self.streams:
            if stream.host:
                for kind in stream.host.entities:
                    entries.setdefault(kind, PlacementTable()).load_map[stream.host.name].CopyFrom(stream.host)
        for number in range(self.hosts):
            name = f"10.0.{number >> 8}.{number & 255}:50002"
            for kind in TYPES[number % 2 :]:  # no two types have the same hosts
                entries.setdefault(kind, PlacementTable()).load_map[name].CopyFrom(
                    Host(name=name, id=f"app-{number}", entities=TYPES, namespace="default")
                )
        return PlacementTables(entries=entries, version=str(self.version), replication_factor=FACTOR)


async def main(port: str, hosts: str = "0") -> None:
    server = grpc.aio.server()
    placement = Placement(int(hosts))
    placement_pb2_grpc.add_PlacementServicer_to_server(placement, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await placement.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
