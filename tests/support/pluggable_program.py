"""A pluggable state store for tests: values in memory, for each instance, behind one Unix socket.

    pluggable_program.py SOCKET

Its abilities are the files' that its component names: `features`, with commas (ETAG,TRANSACTIONAL,TTL without), and
`largest`, operations of a transaction. Keys that begin with `fail ` are refused with the code and details that follow.
A key that ends with `heard` holds all that was asked since it was read, as JSON.
"""

# ruff: noqa: N802, T201 - methods are named as the protocol names them; a line says that it is ready
from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
from dapr_state_proto import POOL
from dapr_state_proto.components.v1 import common_pb2, state_pb2, state_pb2_grpc
from google.protobuf import any_pb2, json_format
from google.rpc import error_details_pb2, status_pb2
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status

SERVICE = "dapr.proto.components.v1.StateStore"
KINDS = {"BadRequest": error_details_pb2.BadRequest, "ErrorInfo": error_details_pb2.ErrorInfo}


@dataclass
class Row:
    value: bytes
    etag: str
    expires_at: float | None


@dataclass
class Instance:
    """What one component of one sidecar has here."""

    properties: dict[str, str]
    rows: dict[str, Row] = field(default_factory=dict)
    heard: list[Any] = field(default_factory=list)

    def hear(self, request: Any) -> None:
        """Remember it, but for a while only."""
        told, filters = type(request)(), {}
        told.CopyFrom(request)
        if isinstance(request, state_pb2.QueryRequest):
            filters = {name: json.loads(each.value) for name, each in sorted(request.query.filter.items())}
            told.query.filter.clear()
        self.heard = [*self.heard[-99:], [request.DESCRIPTOR.name, json_format.MessageToDict(told), filters]]

    def row(self, key: str) -> Row | None:
        if key.endswith("heard"):
            heard, self.heard = self.heard[:-1], []
            return Row(json.dumps(heard).encode(), "1", None)
        row = self.rows.get(key)
        if row and row.expires_at is not None and row.expires_at <= time.time():
            del self.rows[key]
            return None
        return row


class Conflict(Exception):
    pass


class Component(
    state_pb2_grpc.StateStoreServicer,
    state_pb2_grpc.TransactionalStateStoreServicer,
    state_pb2_grpc.TransactionalStoreMultiMaxSizeServicer,
    state_pb2_grpc.QueriableStateStoreServicer,
):
    def __init__(self) -> None:
        self.instances: dict[str, Instance] = {}

    async def Init(self, request: Any, context: Any) -> Any:
        name = _name(context)
        properties = dict(request.metadata.properties)
        if properties.get("refuse"):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, properties["refuse"])
        self.instances.setdefault(name, Instance({})).properties = properties
        return state_pb2.InitResponse()

    async def Features(self, _: Any, context: Any) -> Any:
        instance = await self.instance(context)
        features = instance.properties.get("features", "ETAG,TRANSACTIONAL,TTL").split(",")
        return common_pb2.FeaturesResponse(features=features)

    async def Ping(self, _: Any, context: Any) -> Any:
        await self.instance(context)
        return common_pb2.PingResponse()

    async def MultiMaxSize(self, _: Any, context: Any) -> Any:
        instance = await self.instance(context)
        if "largest" not in instance.properties:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "no limit")
        return state_pb2.MultiMaxSizeResponse(max_size=int(instance.properties["largest"]))

    async def Get(self, request: Any, context: Any) -> Any:
        instance = await self.instance(context, request)
        await _fail_if_asked([request.key], context)
        return _told(instance.row(request.key), state_pb2.GetResponse())

    async def BulkGet(self, request: Any, context: Any) -> Any:
        instance = await self.instance(context, request)
        await _fail_if_asked([each.key for each in request.items], context)
        items = [_told(instance.row(each.key), state_pb2.BulkStateItem(key=each.key)) for each in request.items]
        for item in items:
            if item.key.endswith("unreadable"):
                item.error = "cannot be read"
        return state_pb2.BulkGetResponse(items=reversed(items))

    async def Set(self, request: Any, context: Any) -> Any:
        await self.apply([request], context, request)
        return state_pb2.SetResponse()

    async def Delete(self, request: Any, context: Any) -> Any:
        await self.apply([request], context, request)
        return state_pb2.DeleteResponse()

    async def BulkSet(self, request: Any, context: Any) -> Any:
        await self.apply(request.items, context, request)
        return state_pb2.BulkSetResponse()

    async def BulkDelete(self, request: Any, context: Any) -> Any:
        await self.apply(request.items, context, request)
        return state_pb2.BulkDeleteResponse()

    async def Transact(self, request: Any, context: Any) -> Any:
        operations = [getattr(each, each.WhichOneof("request")) for each in request.operations]
        await self.apply(operations, context, request)
        return state_pb2.TransactionalStateResponse()

    async def Query(self, request: Any, context: Any) -> Any:
        """A filter is EQ of one member, or finds nothing; a page is `limit` rows, and a token how many were told."""
        instance = await self.instance(context, request)
        wanted = request.query
        if "fail" in request.metadata:
            await _fail_if_asked([request.metadata["fail"]], context)
        filters = {name: json.loads(each.value) for name, each in wanted.filter.items()}
        members = filters.pop("EQ", {})
        keys = sorted(key for key in instance.rows if (row := instance.row(key)) and _has(row.value, members))
        keys = [] if filters else keys
        if wanted.sort and wanted.sort[0].order == state_pb2.Sorting.DESC:
            keys.reverse()
        start = int(wanted.pagination.token or 0)
        end = start + wanted.pagination.limit if wanted.pagination.limit else len(keys)
        items = []
        for key in keys[start:end]:
            row = instance.rows[key]
            item = state_pb2.QueryItem(key=key, data=row.value, etag=state_pb2.Etag(value=row.etag))
            if key.endswith("unreadable"):
                item = state_pb2.QueryItem(key=key, error="cannot be read")
            items.append(item)
        token = str(end) if end < len(keys) else ""
        return state_pb2.QueryResponse(items=items, token=token, metadata={"rows": str(len(keys))})

    async def instance(self, context: Any, request: Any = None) -> Instance:
        """A process that was started anew knows nothing until Init tells it."""
        instance = self.instances.get(_name(context))
        if instance is None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "Init has not been called")
            raise AssertionError
        if request is not None:
            instance.hear(request)
        return instance

    async def apply(self, operations: Any, context: Any, request: Any) -> None:
        """All or none."""
        instance = await self.instance(context, request)
        await _fail_if_asked([each.key for each in operations], context)
        before = dict(instance.rows)
        try:
            for each in operations:
                _apply(instance, each)
        except Conflict as error:
            instance.rows = before
            violation = error_details_pb2.BadRequest.FieldViolation(field="etag", description=str(error))
            detail = error_details_pb2.BadRequest(field_violations=[violation])
            await _abort(context, grpc.StatusCode.FAILED_PRECONDITION, "etag mismatch", detail)


def _has(value: bytes, members: dict[str, Any]) -> bool:
    try:
        found = json.loads(value)
    except ValueError:
        return not members
    return all(isinstance(found, dict) and found.get(name) == each for name, each in members.items())


def _apply(instance: Instance, operation: Any) -> None:
    key, row = operation.key, instance.row(operation.key)
    first_write = operation.options.concurrency == state_pb2.StateOptions.CONCURRENCY_FIRST_WRITE
    is_set = isinstance(operation, state_pb2.SetRequest)
    if operation.HasField("etag"):
        if row is None:
            raise Conflict(f"state not exist or expired for key={key}")
        if row.etag != operation.etag.value:
            raise Conflict(f"state etag not match for key={key}: current={row.etag}, expect={operation.etag.value}")
    elif is_set and first_write and row is not None:
        raise Conflict(f"item already exists and no etag was passed for key={key}")
    if is_set:
        ttl = operation.metadata.get("ttlInSeconds")
        instance.rows[key] = Row(operation.value, str(uuid.uuid4()), time.time() + int(ttl) if ttl else None)
    else:
        instance.rows.pop(key, None)


def _told(row: Row | None, answer: Any) -> Any:
    if row:
        answer.data = row.value
        answer.etag.value = row.etag
        if row.expires_at is not None:
            answer.metadata["ttlExpireTime"] = datetime.fromtimestamp(row.expires_at, UTC).isoformat(timespec="seconds")
    return answer


async def _fail_if_asked(keys: list[str], context: Any) -> None:
    for key in keys:
        _, asked, text = key.partition("fail ")
        if asked:
            wish = json.loads(text)
            details = [KINDS[name](**fields) for name, fields in wish.get("details", [])]
            await _abort(context, grpc.StatusCode[wish["code"]], wish.get("text", "as asked"), *details)


async def _abort(context: Any, code: grpc.StatusCode, text: str, *details: Any) -> None:
    status = status_pb2.Status(code=code.value[0], message=text)
    for each in details:
        packed = any_pb2.Any()
        packed.Pack(each)
        status.details.append(packed)
    await context.abort_with_status(rpc_status.to_status(status))


def _name(context: Any) -> str:
    return str(dict(context.invocation_metadata()).get("x-component-instance", ""))


async def main(path: str) -> None:
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)])
    component = Component()
    state_pb2_grpc.add_StateStoreServicer_to_server(component, server)
    state_pb2_grpc.add_TransactionalStateStoreServicer_to_server(component, server)
    state_pb2_grpc.add_TransactionalStoreMultiMaxSizeServicer_to_server(component, server)
    state_pb2_grpc.add_QueriableStateStoreServicer_to_server(component, server)
    reflection.enable_server_reflection((SERVICE, reflection.SERVICE_NAME), server, pool=POOL)
    server.add_insecure_port(f"unix:{path}")
    await server.start()
    print("ready", flush=True)
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    await over.wait()
    await server.stop(0)


if __name__ == "__main__":
    Path(sys.argv[1]).unlink(missing_ok=True)  # of a process that was killed
    asyncio.run(main(sys.argv[1]))
