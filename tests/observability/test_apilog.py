"""The API log: daprd's lines in its text and JSON forms, when they are asked for and only then."""

from __future__ import annotations

import json
import re
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from tests.observability.test_metrics import HTTP
from tests.support.client import item
from tests.support.configured import ours, the_real
from tests.support.http import ask
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.recorded import Recorded
    from tests.support.sidecar import Sidecar

ON = "spec: {logging: {apiLogging: {enabled: true}}}"
OBFUSCATED = "spec: {logging: {apiLogging: {enabled: true, obfuscateURLs: true, omitHealthChecks: true}}}"
HEALTH = "/v1.0/healthz"
CALLED = re.compile(r"(?:HTTP|gRPC) API Called")
# what no two servers have in common
CHANGING = re.compile(r'(time|instance|ver|duration|app_id)=("[^"]*"|\S*) ?')


DAPR = "/dapr.proto.runtime.v1.Dapr/"
# Streams, calls of building blocks that are not there, and what nobody serves
OTHERS = (
    DAPR + "SubscribeTopicEventsAlpha1",
    DAPR + "SubscribeActorEventsAlpha1",
    DAPR + "SubscribeConfiguration",
    DAPR + "EncryptAlpha1",
    DAPR + "GetConfiguration",
    DAPR + "PublishEvent",
    DAPR + "NeverHeardOf",
    "/dapr.proto.runtime.v1.Other/Call",
    "/dapr.proto.internals.v1.ServiceInvocation/CallLocal",
    "/dapr.proto.common.v1.Other/Call",
    "/foo.Bar/Call",
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)


def call_others(sidecar: Sidecar) -> None:
    with grpc.insecure_channel(sidecar.address) as channel:
        for method in OTHERS:
            with suppress(grpc.RpcError):
                list(channel.stream_stream(method)(iter([b""]), timeout=20))


def use(sidecar: Sidecar) -> list[str]:
    """Make calls, and return their lines."""
    with sidecar.client() as client:
        client.get("mem", "k")
        client.save("mem", item("k", b"x", etag="7"))
        client.get("nope", "k")
        client.metadata()
    call_others(sidecar)
    for method, target, body in HTTP:
        ask(sidecar.http_port, method, target, body, User_Agent="a client (of a kind)")
    ask(sidecar.http_port, "GET", "/v1.0/state/mem/without%20agent")
    ask(sidecar.http_port, "GET", "/v1.0/state/mem/last")

    def lines() -> list[str]:
        found = [line for line in sidecar.log().splitlines() if CALLED.search(line)]
        return found if found and ("/last" in found[-1] or "GetState" in found[-1]) else []

    return until(lines)


@pytest.mark.parametrize("text", [ON, OBFUSCATED], ids=["plain", "obfuscated"])
def test_the_lines_are_daprds(text: str, tmp_path: Path, grpc_server: str, recorded: Recorded) -> None:
    """Every field of every call, in order, with paths or with the names of operations."""

    def lines(server: Sidecar) -> list[str]:
        with server:
            return [CHANGING.sub("", line) for line in use(server)]

    theirs = recorded(text, lambda binary: lines(the_real(binary, tmp_path, text)), of="daprd_binary")

    assert lines(ours(tmp_path, text, grpc_server=grpc_server)) == theirs


def test_json_lines_have_the_same_fields(tmp_path: Path, grpc_server: str) -> None:
    """With --log-as-json too: numbers stay numbers."""
    with ours(tmp_path, flags=["--log-as-json", "--enable-api-logging"], grpc_server=grpc_server) as sidecar:
        over_http, over_grpc = _http_and_grpc(use(sidecar))

    assert {name: over_http[name] for name in ("msg", "level", "scope", "type", "app_id")} == {
        "msg": "HTTP API Called",
        "level": "info",
        "scope": "dapr.runtime.http-info",
        "type": "log",
        "app_id": "app",
    }
    assert (over_http["code"], over_http["method"], over_http["size"]) == (204, "GET /v1.0/state/mem/last", 0)
    assert (over_grpc["code"], over_grpc["method"]) == (0, "/dapr.proto.runtime.v1.Dapr/GetState")
    assert over_grpc["scope"] == "dapr.runtime.grpc.api-info"
    assert isinstance(over_http["duration"], int)


def _http_and_grpc(lines: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    parsed = [json.loads(line) for line in lines]
    return parsed[-1], next(line for line in parsed if line["msg"] == "gRPC API Called")


@pytest.mark.parametrize("level", ["warn", "error"])
def test_who_asks_for_the_lines_gets_them_at_any_level(level: str, tmp_path: Path) -> None:
    """As in daprd, --log-level does not silence them."""
    flags = ["--enable-api-logging", "--log-level", level]
    # at these levels the line that says it is ready does not come
    with closing(ours(tmp_path, flags=flags).launch()) as sidecar:
        until(lambda: _answers(sidecar))
        found = until(lambda: CALLED.search(sidecar.log()))

    assert found


def _answers(sidecar: Sidecar) -> bool:
    try:
        return ask(sidecar.http_port, "GET", "/v1.0/state/mem/k").code == 204
    except ConnectionError:
        return False


@pytest.mark.parametrize(
    ("texts", "flags"),
    [([], []), ([ON], ["--enable-api-logging=false"])],
    ids=["not asked for", "the flag has the last word"],
)
def test_without_being_asked_for_there_are_none(texts: list[str], flags: list[str], tmp_path: Path) -> None:
    """Paths may hold keys: they are logged on demand only."""
    with ours(tmp_path, *texts, flags=flags) as sidecar:
        ask(sidecar.http_port, "GET", "/v1.0/state/mem/k")
        sidecar.stop()
        log = sidecar.log()

    assert not CALLED.search(log)


def test_values_are_never_logged(tmp_path: Path, grpc_server: str) -> None:
    """At debug level, with the API log on: neither what was saved nor what could not be saved."""
    flags = ["--enable-api-logging", "--log-level", "debug"]
    with ours(tmp_path, flags=flags, grpc_server=grpc_server) as sidecar:
        ask(sidecar.http_port, "POST", "/v1.0/state/mem", '[{"key":"k","value":"the-value"}]')
        ask(sidecar.http_port, "POST", "/v1.0/state/mem", '[{"key":"k","value":"the-value","etag":"9"}]')
        ask(sidecar.http_port, "POST", "/v1.0/state/mem", '[{"key":"k","value":"the-value"')
        ask(sidecar.http_port, "GET", "/v1.0/state/mem/k")
        with sidecar.client() as client:
            client.save("mem", item("k", b"the-value", etag="9"))
            client.transact("mem", ("upsert", item("k", b"the-value", etag="9")))
        sidecar.stop()
        log = sidecar.log()

    assert "HTTP API Called" in log
    assert "the-value" not in log
