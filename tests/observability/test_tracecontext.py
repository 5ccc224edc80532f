"""Contexts of traces: their two forms, and how many of the new ones are sampled."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING

import pytest

from dapr_state.observability.tracecontext import Contexts, SpanContext, of_binary, of_headers, of_metadata
from tests.observability.test_tracing import GET, GET_STATE, answer_headers
from tests.support.configured import ours, the_real
from tests.support.http import ask

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.support.sidecar import Sidecar

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CONTEXT = SpanContext(TRACE, SPAN, 1)
CALLS = (
    {},
    {"traceparent": str(CONTEXT), "tracestate": "a=b"},
    {"traceparent": f"00-{TRACE}-{SPAN}-00"},
    {"traceparent": f"cc-{TRACE}-{SPAN}-01-more"},
    {"traceparent": f"00-{TRACE}-{SPAN}-01-more"},
    {"traceparent": "bad"},
)


def test_both_forms_are_read_as_they_are_written() -> None:
    """The text of HTTP and the octets of gRPC; of a call that has both, the octets count."""
    other = SpanContext("1" * 32, "2" * 16, 0)

    assert of_headers({"traceparent": str(CONTEXT)}) == CONTEXT
    assert of_binary(bytes(CONTEXT)) == CONTEXT
    assert of_metadata({"traceparent": str(other), "grpc-trace-bin": bytes(CONTEXT)}) == CONTEXT


@pytest.mark.parametrize(
    "text", ["", "bad", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"ff-{TRACE}-{SPAN}-01"]
)
def test_a_context_that_is_void_or_malformed_is_none(text: str) -> None:
    """Neither form brings one into a trace."""
    assert of_headers({"traceparent": text}) is None
    assert of_binary(text.encode()) is None
    assert of_binary(bytes(SpanContext("0" * 32, SPAN, 1))) is None
    assert of_binary(bytes(SpanContext(TRACE, "0" * 16, 1))) is None


@pytest.mark.parametrize("ratio", [0.0, 0.3, 1.0])
def test_the_rate_is_that_of_new_traces(ratio: float) -> None:
    """A caller's decision is kept, whatever the rate."""
    tracer = Contexts(ratio)
    count = 3000
    sampled = sum(tracer.start("", None, {}).context.flags for _ in range(count))

    assert sampled == pytest.approx(ratio * count, abs=0 if ratio in {0, 1} else 0.05 * count)
    assert tracer.start("", CONTEXT, {}).context.flags == 1
    assert tracer.start("", SpanContext(TRACE, SPAN, 0), {}).context.flags == 0


def shape(sidecar: Sidecar, headers: Mapping[str, str]) -> list[str | None]:
    """What the answers of both transports say of the trace; new ids are told as such."""
    over_http = ask(sidecar.http_port, "GET", GET, **headers)
    parent = over_http.header("Traceparent") or ""
    version, trace, span, flags = parent.split("-")
    message = b"\n\x03mem\x12\x01k"
    binary = answer_headers(sidecar.grpc_port, GET_STATE, message, **headers).get("grpc-trace-bin")
    known = {TRACE: "the caller's", SPAN: "the caller's", "0" * 32: "void", "0" * 16: "void"}
    return [
        version,
        known.get(trace, "new"),
        known.get(span, "new"),
        flags,
        over_http.header("Tracestate"),
        _kind(binary),
    ]


def _kind(binary: str | None) -> str | None:
    context = of_binary(b64decode(binary + "==")) if binary else None
    return context and f"{context.trace == TRACE} {context.span == SPAN} {context.flags}"


@pytest.mark.oracle
def test_ids_are_made_where_daprd_makes_them(tmp_path: Path, daprd_binary: Path, grpc_server: str) -> None:
    """With a rate and without an exporter: each answer names a new span, whatever the caller's context was."""
    (tmp_path / "theirs").mkdir()
    text = "spec: {tracing: {samplingRate: '1'}}"
    with (
        ours(tmp_path, text, grpc_server=grpc_server) as sidecar,
        the_real(daprd_binary, tmp_path / "theirs", text) as daprd,
    ):
        mine, theirs = [[shape(each, headers) for headers in CALLS] for each in (sidecar, daprd)]

    assert mine == theirs
