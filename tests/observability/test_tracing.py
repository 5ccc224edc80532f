"""Spans as collectors receive them: the official OTLP service over gRPC and HTTP, and Zipkin's format."""

from __future__ import annotations

import base64
import json
import queue
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

import grpc
import h2.connection
import h2.events
import pytest
from dapr_state_proto.runtime.v1 import dapr_pb2_grpc, state_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from dapr_state.observability.tracing import MAX_ATTRIBUTE, MAX_ATTRIBUTES
from tests.support.configured import TOKEN, ours
from tests.support.http import Socket, ask, request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{PARENT}-01"
SAVE, GET = "/v1.0/state/mem", "/v1.0/state/mem/k"
GET_STATE = "/dapr.proto.runtime.v1.Dapr/GetState"
TIMEOUT = 30


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Takes spans as OTLP over gRPC."""

    def __init__(self) -> None:
        self.received: queue.Queue[Any] = queue.Queue()
        self._server = grpc.server(ThreadPoolExecutor(2))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    def Export(self, request: Any, _: Any) -> Any:  # noqa: N802 - the protocol's name
        put_spans(self.received, request)
        return trace_service_pb2.ExportTraceServiceResponse()

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None)


def put_spans(received: queue.Queue[Any], request: Any) -> None:
    for resource in request.resource_spans:
        service = attributes(resource.resource)["service.name"]
        for scope in resource.scope_spans:
            for span in scope.spans:
                received.put((service, scope.scope.name, span))


def attributes(span: Any) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in span.attributes}


class Posted(ThreadingHTTPServer):
    """Keeps what is posted to it: (path, body)."""

    def __init__(self) -> None:
        self.received: queue.Queue[tuple[str, bytes]] = queue.Queue()
        super().__init__(("127.0.0.1", 0), _Keep)

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Keep(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.put((self.path, body))  # type: ignore[attr-defined]
        self.send_response(202)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def posted() -> Iterator[Posted]:
    with Posted() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def otel(port: int, protocol: str = "grpc", rate: str = "1") -> str:
    return (
        f"spec:\n  tracing:\n    samplingRate: '{rate}'\n"
        f"    otel: {{endpointAddress: '127.0.0.1:{port}', protocol: {protocol}, isSecure: false}}\n"
    )


def test_http_request_is_a_span_under_its_callers(tmp_path: Path) -> None:
    """A span over OTLP has daprd's name and attributes, and its parent is the span that the request names."""
    with Collector() as collector, ours(tmp_path, otel(collector.port)) as sidecar:
        with Socket(sidecar.http_port) as connection:
            host, port = connection.raw.getsockname()
            answer = connection.send(request("GET", GET, **{"traceparent": SAMPLED, "dapr-note": "n"})).answer()
        sidecar.stop()  # exports what waits

        service, scope, span = collector.received.get(timeout=TIMEOUT)
        assert (service, scope, span.name) == ("app", "dapr-diagnostics", GET)
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
        assert f"00-{TRACE}-{span.span_id.hex()}-01" == answer.header("Traceparent")
        assert attributes(span) == {
            "dapr.api": f"GET {GET}",
            "dapr.protocol": "http",
            "dapr.status_code": "204",
            "http.request.method": "GET",
            "url.full": GET,
            "server.address": host,  # the client's: so daprd has it
            "server.port": str(port),
            "db.system": "state",
            "db.connection_string": "state",
            "db.name": "mem",
            "db.statement": f"GET {GET}",
            "dapr-note": "n",
        }


def test_a_client_of_a_socket_file_has_no_address(tmp_path: Path) -> None:
    """Its span says `@`, as Go calls such a client, and no port."""
    flags = ["--unix-domain-socket", str(tmp_path)]
    with Collector() as collector, ours(tmp_path, otel(collector.port), flags=flags) as sidecar:
        ask(str(tmp_path / "dapr-app-http.socket"), "GET", GET)
        sidecar.stop()

        found = attributes(collector.received.get(timeout=TIMEOUT)[2])
        assert (found.get("server.address"), found.get("server.port")) == ("@", None)


def answer_headers(port: int, path: str, message: bytes, **metadata: str) -> dict[str, str]:
    """Make one gRPC call with h2 alone: grpc's own clients hide the tracing metadata from their users."""
    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "app", "te": "trailers"}
    fields |= {"content-type": "application/grpc", **metadata}
    connection.send_headers(1, list(fields.items()))
    connection.send_data(1, b"\0" + len(message).to_bytes(4) + message, end_stream=True)
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as wire:
        wire.sendall(connection.data_to_send())
        while data := wire.recv(65536):
            for event in connection.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    return {name.decode(): value.decode() for name, value in event.headers}
    raise AssertionError("no answer")


def test_grpc_call_is_a_span_that_the_answer_names(tmp_path: Path, grpc_server: str) -> None:
    """OTLP exports a span for the call, also of a client that left at once; the answer's `grpc-trace-bin` names it."""
    request = state_pb2.GetStateRequest(store_name="mem", key="k").SerializeToString()
    with Collector() as collector, ours(tmp_path, otel(collector.port), grpc_server=grpc_server) as sidecar:
        headers = answer_headers(sidecar.grpc_port, GET_STATE, request)
        sidecar.stop()

        _, _, span = collector.received.get(timeout=TIMEOUT)
        assert span.name == GET_STATE
        *named, flags = base64.b64decode(headers["grpc-trace-bin"] + "==")
        assert bytes(named) == b"\0\0" + span.trace_id + b"\1" + span.span_id + b"\2"
        assert flags & 1  # sampled
        assert attributes(span)["db.name"] == "mem"


@pytest.mark.parametrize("method", ["SubscribeActorEventsAlpha1", "SubscribeConfiguration", "NeverHeardOf"])
def test_streams_and_unknown_methods_are_spans(tmp_path: Path, grpc_server: str, method: str) -> None:
    """They are named like calls, say how they ended, and their answer names them as well."""
    path = f"/dapr.proto.runtime.v1.Dapr/{method}"
    with Collector() as collector, ours(tmp_path, otel(collector.port), grpc_server=grpc_server) as sidecar:
        headers = answer_headers(sidecar.grpc_port, path, b"")
        sidecar.stop()

        _, _, span = collector.received.get(timeout=TIMEOUT)
        assert (span.name, attributes(span)) == (path, {"dapr.api": path, "dapr.protocol": "grpc"})
        assert span.span_id in base64.b64decode(headers["grpc-trace-bin"] + "==")


def test_grpc_call_takes_binary_context(tmp_path: Path) -> None:
    """`grpc-trace-bin` names the parent; with grpcio it does not, for that server keeps this metadata to itself."""
    parent = b"\0\0" + bytes.fromhex(TRACE) + b"\1" + bytes.fromhex(PARENT) + b"\2\1"
    with Collector() as collector, ours(tmp_path, otel(collector.port)) as sidecar:
        with grpc.insecure_channel(sidecar.address) as channel:
            request = state_pb2.GetStateRequest(store_name="mem", key="k")
            dapr_pb2_grpc.DaprStub(channel).GetState(request, metadata=[("grpc-trace-bin", parent)])
        sidecar.stop()

        _, _, span = collector.received.get(timeout=TIMEOUT)
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)


def test_grpc_call_takes_w3c_context(tmp_path: Path, grpc_server: str) -> None:
    """Clients that send `traceparent` in the metadata are the span's parent as well."""
    with Collector() as collector, ours(tmp_path, otel(collector.port), grpc_server=grpc_server) as sidecar:
        with grpc.insecure_channel(sidecar.address) as channel:
            request = state_pb2.GetStateRequest(store_name="mem", key="k")
            dapr_pb2_grpc.DaprStub(channel).GetState(request, metadata=[("traceparent", SAMPLED)])
        sidecar.stop()

        _, _, span = collector.received.get(timeout=TIMEOUT)
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)


def test_errors_are_spans_in_error_and_secrets_are_in_none(tmp_path: Path) -> None:
    """A refused request is a span with the status's words; the API token is no attribute of any."""
    with Collector() as collector, ours(tmp_path, otel(collector.port), token=TOKEN) as sidecar:
        ask(sidecar.http_port, "GET", "/v1.0/state/nope/k", **{"dapr-api-token": TOKEN})
        sidecar.stop()

        _, _, span = collector.received.get(timeout=TIMEOUT)
        assert span.status.message == "Code(400): Bad Request"
        assert TOKEN not in str(span)


def test_what_clients_say_is_cut_in_spans(tmp_path: Path) -> None:
    """Long paths and headers, and many of them, are no spans of megabytes."""
    headers = {f"dapr-{number}": "h" * 20 for number in range(90)}
    with Collector() as collector, ours(tmp_path, otel(collector.port)) as sidecar:
        ask(sidecar.http_port, "GET", f"{SAVE}/{'k' * 3000}", **headers)
        with grpc.insecure_channel(sidecar.address) as channel:
            request = state_pb2.GetStateRequest(store_name="s" * 1_000_000, key="k")
            with suppress(grpc.RpcError):
                dapr_pb2_grpc.DaprStub(channel).GetState(request)
        sidecar.stop()
        spans = [collector.received.get(timeout=TIMEOUT)[2] for _ in range(2)]

    for span in spans:
        assert len(span.attributes) <= MAX_ATTRIBUTES
        assert max(map(len, (span.name, span.status.message, *attributes(span).values()))) == MAX_ATTRIBUTE


def test_a_collector_that_hangs_holds_neither_calls_nor_the_end(tmp_path: Path) -> None:
    """It takes connections and never answers: spans beyond what waits are lost, and the process ends."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=100) as hanging,
        ours(tmp_path, otel(hanging.getsockname()[1])) as sidecar,
    ):
        with Socket(sidecar.http_port) as connection:
            for _ in range(3000):  # more than wait for an exporter
                assert connection.send(request("GET", GET)).answer().code == 204

        assert sidecar.stop() == 0


def test_otlp_over_http(tmp_path: Path, posted: Posted) -> None:
    """With protocol http the spans are posted to the collector's own path."""
    with ours(tmp_path, otel(posted.port, "http")) as sidecar:
        ask(sidecar.http_port, "GET", GET)
        sidecar.stop()

    path, body = posted.received.get(timeout=TIMEOUT)
    spans: queue.Queue[Any] = queue.Queue()
    put_spans(spans, trace_service_pb2.ExportTraceServiceRequest.FromString(body))
    assert (path, spans.get_nowait()[2].name) == ("/v1/traces", GET)


def test_zipkin(tmp_path: Path, posted: Posted) -> None:
    """A Zipkin collector gets JSON with the app id as the service's name."""
    url = f"http://127.0.0.1:{posted.port}/api/v2/spans"
    config = f"spec: {{tracing: {{samplingRate: '1', zipkin: {{endpointAddress: '{url}'}}}}}}"
    with ours(tmp_path, config) as sidecar:
        ask(sidecar.http_port, "GET", GET)
        sidecar.stop()

    path, body = posted.received.get(timeout=TIMEOUT)
    (span,) = json.loads(body)
    assert (path, span["name"].lower(), span["localEndpoint"]["serviceName"]) == ("/api/v2/spans", GET, "app")


def test_stdout_logs_each_span(tmp_path: Path) -> None:
    """With `stdout` a log line tells of each span, with the trace's id."""
    with ours(tmp_path, "spec: {tracing: {samplingRate: '1', stdout: true}}") as sidecar:
        ask(sidecar.http_port, "GET", GET, traceparent=SAMPLED)
        sidecar.stop()

        assert f"[{GET}] Trace: {TRACE} Span: {PARENT}/" in sidecar.log()


def test_callers_decision_not_to_sample_is_followed(tmp_path: Path) -> None:
    """A request whose trace is not sampled exports nothing, whatever the rate here; one that is sampled does."""
    with Collector() as collector, ours(tmp_path, otel(collector.port)) as sidecar:
        ask(sidecar.http_port, "GET", GET, traceparent=SAMPLED.removesuffix("1") + "0")
        ask(sidecar.http_port, "GET", f"{GET}2", traceparent=SAMPLED)
        sidecar.stop()

        assert collector.received.get(timeout=TIMEOUT)[2].name == f"{GET}2"
        assert collector.received.empty()


def test_rate_of_zero_takes_the_layer_away(tmp_path: Path) -> None:
    """With samplingRate 0 no answer has a Traceparent, and bad baggage is nobody's business."""
    with ours(tmp_path, "spec: {tracing: {samplingRate: '0', stdout: true}}") as sidecar:
        answer = ask(sidecar.http_port, "GET", GET, traceparent=SAMPLED, baggage=";;")

        assert (answer.code, answer.header("Traceparent")) == (204, None)


def test_environment_names_the_collector(tmp_path: Path) -> None:
    """OTEL_EXPORTER_OTLP_* set tracing up where no Configuration does, and OTEL_SERVICE_NAME names the service."""
    with Collector() as collector:
        sidecar = ours(tmp_path)
        sidecar._environment |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
            "OTEL_EXPORTER_OTLP_INSECURE": "true",
            "OTEL_SERVICE_NAME": "renamed",
        }
        with sidecar:
            ask(sidecar.http_port, "GET", GET)
            sidecar.stop()

        assert collector.received.get(timeout=TIMEOUT)[0] == "renamed"


def test_collector_that_is_not_there_stops_nothing(tmp_path: Path) -> None:
    """With nobody at the exporter's address calls are answered, and the sidecar stops cleanly."""
    with ours(tmp_path, otel(1)) as sidecar:
        saved = ask(sidecar.http_port, "POST", SAVE, body=b'[{"key":"k","value":1}]')

        assert (saved.code, sidecar.stop(timeout=30)) == (204, 0)
