"""A client of the administration API over either transport, whose answers are the same messages."""

from __future__ import annotations

import base64
import json
import re
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlencode

import grpc
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2

from dapr_state.admin import table
from tests.support.http import Answer, Socket, request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.sidecar import Sidecar

TRANSPORTS = ("grpc", "http")
RPCS = {rpc.name: rpc for rpc in table.RPCS}
GUARD = {"content-type": "application/json", "x-dapr-state": "1"}
KNOWN_DETAILS = (error_details_pb2.ErrorInfo,)  # see tests/support/client.py
TIMEOUT = 30  # seconds; what takes longer hangs


class Refused(Exception):
    """An error of the API: over HTTP its code, over gRPC its reason, which are the same."""

    def __init__(self, code: str, status: str, text: str) -> None:
        super().__init__(f"{code} {status}: {text}")
        self.code = code
        self.status = status
        self.text = text


@dataclass(frozen=True)
class Admin:
    sidecar: Sidecar
    transport: str

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def call(self, name: str, /, **fields: Any) -> Any:
        """Call what the table names so. Raises Refused."""
        rpc = RPCS[name]
        message = rpc.request(**fields)
        return self._over_grpc(rpc, message) if self.transport == "grpc" else self._over_http(rpc, message)

    @contextmanager
    def stream(self, name: str, /, seen: str = "", **fields: Any) -> Iterator[Iterator[Any]]:
        """The messages of a call that answers with many. Raises Refused."""
        rpc = RPCS[name]
        message = rpc.request(**fields)
        with (
            self._stream_of_grpc(rpc, message)
            if self.transport == "grpc"
            else self._stream_of_http(rpc, message, {"last-event-id": seen} if seen else {}) as messages
        ):
            yield messages

    @contextmanager
    def _stream_of_grpc(self, rpc: table.Rpc, message: Any) -> Iterator[Iterator[Any]]:
        def read(call: Any) -> Iterator[Any]:
            try:
                yield from call
            except grpc.RpcError as error:
                raise _refused(error) from None

        with grpc.insecure_channel(self.sidecar.address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            send: Any = channel.unary_stream(
                f"/{rpc.full_name}",
                request_serializer=rpc.request.SerializeToString,
                response_deserializer=rpc.response.FromString,
            )
            yield read(send(message, timeout=TIMEOUT))

    @contextmanager
    def _stream_of_http(self, rpc: table.Rpc, message: Any, headers: dict[str, str]) -> Iterator[Iterator[Any]]:
        verb, target, _ = http_form(rpc, message)
        connection = HTTPConnection("127.0.0.1", self.sidecar.http_port, timeout=TIMEOUT)
        try:
            connection.request(verb, target, headers=headers)
            answer = connection.getresponse()
            if answer.status != 200:
                told = json.loads(answer.read())
                raise Refused(told["errorCode"], str(answer.status), told["message"])
            yield _read_lines(rpc, answer)
        finally:
            connection.close()

    def _over_grpc(self, rpc: table.Rpc, message: Any) -> Any:
        with grpc.insecure_channel(self.sidecar.address) as channel:
            send: Any = channel.unary_unary(
                f"/{rpc.full_name}",
                request_serializer=rpc.request.SerializeToString,
                response_deserializer=rpc.response.FromString,
            )
            try:
                return send(message, timeout=TIMEOUT)
            except grpc.RpcError as error:
                raise _refused(error) from None

    def _over_http(self, rpc: table.Rpc, message: Any) -> Any:
        answer = http(self.sidecar.http_port, *http_form(rpc, message))
        told = json.loads(answer.body)
        if answer.code != 200:
            raise Refused(told["errorCode"], str(answer.code), told["message"])
        return json_format.ParseDict(told, rpc.response(), ignore_unknown_fields=True)


def _read_lines(rpc: table.Rpc, answer: HTTPResponse) -> Iterator[Any]:
    """Of JSON, or of server-sent events."""
    is_error = False
    for line in answer:
        text = line.decode().removesuffix("\n")
        if text.startswith("event: "):
            is_error = text == "event: error"
        text = text.removeprefix("data: ")
        if not text.startswith("{"):
            continue
        told = json.loads(text)
        if is_error:
            raise Refused(told["errorCode"], "", told["message"])
        yield json_format.ParseDict(told, rpc.response(), ignore_unknown_fields=True)


def http_form(rpc: table.Rpc, message: Any) -> tuple[str, str, bytes]:
    """Verb, target and body that mean this message: by the first route whose places it fills."""
    fields = {name: _text(value) for name, value in _leaves(message)}
    forms = [(verb, path, re.findall(r"\{([a-z_.]+)\}", path)) for verb, path in rpc.routes]
    verb, path, places = next(form for form in forms if all(map(fields.get, form[2])))
    target = table.BASE + path
    for place in places:
        target = target.replace(f"{{{place}}}", quote(fields[place], safe=":"))
    rest = {name: value for name, value in fields.items() if name not in places}
    if verb != "POST":
        return verb, f"{target}?{urlencode(rest)}" if rest else target, b""
    body = json_format.MessageToDict(message)
    for place in places:
        _drop(body, place)
    return verb, target, json.dumps(body).encode()


def http(port: int, verb: str, target: str, body: bytes = b"", **headers: str) -> Answer:
    """One request as a script sends it."""
    guard = {} if verb == "GET" else {name.replace("-", "_"): value for name, value in GUARD.items()}
    with Socket(port) as client:
        return client.send(request(verb, target, body, **(guard | headers))).answer(verb)


def _leaves(message: Any, before: str = "") -> list[tuple[str, Any]]:
    found = []
    for field, value in message.ListFields():
        name = before + field.name
        is_tree = field.message_type and not field.message_type.full_name.startswith("google.")
        found += _leaves(value, f"{name}.") if is_tree else [(name, (field, value))]
    return found


def _text(field_and_value: tuple[Any, Any]) -> str:
    field, value = field_and_value
    if field.is_repeated:
        return ",".join(map(str, value))
    if field.enum_type:
        return str(field.enum_type.values_by_number[value].name)
    if field.message_type:
        return str(value.ToJsonString())
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value).lower() if isinstance(value, bool) else str(value)


def _drop(body: dict[str, Any], place: str) -> None:
    first, _, rest = place.partition(".")
    name = re.sub("_([a-z])", lambda found: found[1].upper(), first)
    if rest:
        _drop(body[name], rest)
        if not body[name]:
            del body[name]
    else:
        body.pop(name, None)


def _refused(error: Any) -> Refused:
    trailers = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailers.get("grpc-status-details-bin", b""))
    reasons = [json_format.MessageToDict(detail).get("reason", "") for detail in status.details]
    return Refused(next(filter(None, reasons), ""), error.code().name, error.details() or "")
