"""Every route of both transports, called raw, and its answer as far as the guards decide it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2

from tests.support.client import DETAILS
from tests.support.http import Socket, request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.sidecar import Sidecar

KNOWN = error_details_pb2.ErrorInfo  # json_format can only open what was imported

HTTP = (
    ("GET", "/v1.0/state/mem/k", None),
    ("POST", "/v1.0/state/mem", "[]"),
    ("DELETE", "/v1.0/state/mem/k", None),
    ("POST", "/v1.0/state/mem/bulk", '{"keys":[]}'),
    ("POST", "/v1.0/state/mem/transaction", '{"operations":[]}'),
    ("POST", "/v1.0-alpha1/state/nope/query", "{}"),  # of a store that is there we answer more than daprd
    ("GET", "/v1.0/state/mem", None),
    ("PATCH", "/v1.0/state/mem/k", None),
    ("FOO", "/v1.0/state/mem/k", None),
    ("HEAD", "/v1.0/state/mem/k", None),
    ("OPTIONS", "/v1.0/state/mem", None),
    ("GET", "/v1.0/metadata", None),
    ("POST", "/v1.0/metadata", None),
    ("PUT", "/v1.0/metadata/a", "x"),
    ("GET", "/v1.0/healthz", None),
    ("GET", "/v1.0/healthz/?appid=app", None),
    ("GET", "/v1.0//healthz", None),
    ("GET", "/v1.0/healthz/outbound", None),
    ("POST", "/v1.0/healthz", None),
    ("GET", "/v1.0/healthzz", None),
    ("POST", "/v1.0/actors/T/1/method/m", ""),
    ("GET", "/v1.0/secrets/a/b", None),
    ("POST", "/v1.0/publish/p/t", "x"),
    ("POST", "/v1.0-alpha1/unlock/l", '{"resourceId":"a","lockOwner":"b"}'),
    ("GET", "/nope", None),
    ("GET", "/", None),
)
SHUTDOWN = ("POST", "/v1.0/shutdown", None)

DAPR = "/dapr.proto.runtime.v1.Dapr/"
STATE = ("GetState", "GetBulkState", "SaveState", "DeleteState", "DeleteBulkState", "ExecuteStateTransaction")
GRPC = (
    *(DAPR + name for name in (*STATE, "QueryStateAlpha1", "GetMetadata", "SetMetadata", "NoSuchMethod")),
    "/dapr.proto.runtime.v1.AppCallback/OnInvoke",
    "/some.other.Service/Method",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)
REFLECTION = "/grpc.reflection."  # daprd's own tracing breaks it: state-api.md 7.7
HEALTH = "/grpc.health.v1.Health/Check"
TRACEPARENT = "Traceparent:"


def http(sidecar: Sidecar, call: tuple[str, str, str | None], headers: Mapping[str, str]) -> tuple[Any, ...]:
    """Status line, header lines in any order, and the body but for that of a success."""
    method, target, body = call
    with Socket(sidecar.http_port) as connection:
        answer = connection.send(request(method, target, body, **headers)).answer(method)
    # Go does not tell a HEAD the length of an answer that has no body anyway
    lines = [line for line in answer.lines if not (method == "HEAD" and line == "Content-Length: 0")]
    return answer.status, sorted(lines), answer.body if answer.code != 200 else b""


def guarded(sidecar: Sidecar, call: tuple[str, str, str | None], headers: Mapping[str, str]) -> tuple[Any, ...]:
    """The same as far as a guard decides it: what a route says when it is reached is another test's matter."""
    answer = http(sidecar, call, headers)
    return answer[:1] if answer[0] == "HTTP/1.1 200 OK" else answer


def grpc_call(sidecar: Sidecar, method: str, *metadata: tuple[str, str]) -> tuple[Any, ...]:
    """Code, message and details."""
    with grpc.insecure_channel(sidecar.address) as channel:
        try:
            channel.unary_unary(method)(b"", metadata=metadata, timeout=20)
        except grpc.RpcError as error:
            trailers = dict(error.trailing_metadata() or ())
            details = status_pb2.Status.FromString(trailers.get(DETAILS, b"")).details
            return error.code().name, error.details(), [json_format.MessageToDict(detail) for detail in details]
    return ("OK",)
