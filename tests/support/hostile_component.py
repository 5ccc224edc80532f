"""A pluggable state store that means harm, or is broken: what it is asked for names what it does.

hostile_component.py SOCKET
"""

# ruff: noqa: T201 - a line says that it is ready
from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import grpc
from dapr_state_proto.components.v1 import common_pb2, state_pb2
from google.protobuf import any_pb2
from google.rpc import status_pb2
from grpc_reflection.v1alpha import reflection_pb2

MEGABYTE = 1 << 20
SERVICE = "dapr.proto.components.v1.StateStore"
ROW = state_pb2.BulkStateItem


def get(asked: bytes) -> bytes:
    key = state_pb2.GetRequest.FromString(asked).key.rpartition("||")[2]
    if key == "year 1":
        return state_pb2.GetResponse(data=b"v", metadata={"ttlExpireTime": "0001-01-01"}).SerializeToString()
    return {
        "garbage": b"\xff\xff\xff",
        "cut": b"\x0a\x05ab",
        "a number for its etag": b"\x10\x05",
        "an etag that is no text": b"\x12\x03\x0a\x01\xff",
        "large": state_pb2.GetResponse(data=bytes(17 * MEGABYTE)).SerializeToString(),
    }.get(key, b"")


def bulk_get(asked: bytes) -> bytes:
    keys = [each.key for each in state_pb2.BulkGetRequest.FromString(asked).items]
    first = keys[0].rpartition("||")[2]
    if first == "garbage":
        return b"\xff\xff\xff"
    if first == "cut":
        return state_pb2.BulkGetResponse(items=[ROW(key=each, data=b"v") for each in keys]).SerializeToString()[:-1]
    if first == "rows that nobody asked for":
        others = [ROW(key=f"other {number}", data=b"v") for number in range(200_000)]
        return state_pb2.BulkGetResponse(items=[*others, ROW(key=keys[0], data=b"v")]).SerializeToString()
    rows = [ROW(key=each, data=each.encode() + bytes(6 * MEGABYTE)) for each in keys]
    return state_pb2.BulkGetResponse(items=rows).SerializeToString()


async def refuse(asked: bytes, context: Any) -> bytes:
    """The details are none, or one of them is none."""
    key = state_pb2.SetRequest.FromString(asked).key.rpartition("||")[2]
    no_info = any_pb2.Any(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff\xff")
    status = status_pb2.Status(code=grpc.StatusCode.INTERNAL.value[0], message="no", details=[no_info])
    details = b"\xff\xff\xff" if key == "garbage" else status.SerializeToString()
    await context.abort(grpc.StatusCode.INTERNAL, "no", (("grpc-status-details-bin", details),))
    return b""


def die(_: bytes) -> bytes:
    os._exit(1)


ANSWERS = {
    "Init": lambda _: b"",
    "Features": lambda _: common_pb2.FeaturesResponse(features=["ETAG", "TRANSACTIONAL"]).SerializeToString(),
    "Get": get,
    "BulkGet": bulk_get,
    "Query": lambda _: b"\xff\xff\xff",
    "BulkSet": die,
    "Transact": die,
}


async def reflect(_: Any, context: Any) -> None:
    """It answers, and keeps the stream."""
    services = [reflection_pb2.ServiceResponse(name=SERVICE)]
    listed = reflection_pb2.ListServiceResponse(service=services)
    await context.write(reflection_pb2.ServerReflectionResponse(list_services_response=listed).SerializeToString())
    await asyncio.Event().wait()


class Handler(grpc.GenericRpcHandler):
    def service(self, handler_call_details: Any) -> Any:
        name = handler_call_details.method.rpartition("/")[2]
        if name == "ServerReflectionInfo":
            return grpc.stream_stream_rpc_method_handler(reflect)
        if name == "Set":
            return grpc.unary_unary_rpc_method_handler(refuse)
        answer = ANSWERS.get(name)
        return answer and grpc.unary_unary_rpc_method_handler(lambda asked, _: answer(asked))


async def main(path: str) -> None:
    server = grpc.aio.server(options=[("grpc.max_send_message_length", -1)])
    server.add_generic_rpc_handlers([Handler()])
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    print("ready", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    Path(sys.argv[1]).unlink(missing_ok=True)  # of a process that was killed
    asyncio.run(main(sys.argv[1]))
