"""The Actors calls over both transports: answers, errors, headers, and what becomes of callers who go."""

from __future__ import annotations

import json
import queue
import re
import signal
import socket
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from dapr_state_proto.runtime.v1 import actors_pb2, dapr_pb2_grpc

from tests.support.client import Client, Reply
from tests.support.components import component
from tests.support.configured import write_configurations
from tests.support.http import Answer, Socket, ask, request
from tests.support.rawapp import RawApp
from tests.support.sidecar import Sidecar
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = {
    "entities": ["cart", "re"],
    "entitiesConfig": [{"entities": ["re"], "reentrancy": {"enabled": True, "maxStackDepth": 2}}],
}
BASE = "/v1.0/actors"


def store(folder: Path) -> dict[str, Any]:
    return component("actors", "state.sqlite", connectionString=str(folder / "actors.db"), actorStateStore="true")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawApp]:
    with RawApp(tmp_path_factory.mktemp("app"), CONFIG) as app:
        yield app


@pytest.fixture(scope="module")
def sidecar(app: RawApp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    folder = tmp_path_factory.mktemp("sidecar")
    with Sidecar(folder, [store(folder)], flags=["--app-port", str(app.port)]) as sidecar:
        yield sidecar


@pytest.fixture(autouse=True)
def _fresh(app: RawApp) -> None:
    """The application has no rules and no memory of other tests."""
    app.release()
    app.obey()
    app.forget()


@pytest.fixture
def client(sidecar: Sidecar) -> Iterator[Client]:
    with sidecar.client() as client:
        yield client


def put(sidecar: Sidecar, path: str, body: str = "", **headers: str) -> Answer:
    return ask(sidecar.http_port, "PUT", BASE + path, body, **headers)


def said(answer: Answer) -> tuple[int, str, str]:
    return answer.code, answer.json["errorCode"], answer.json["message"]


def invoke(client: Client, method: str, kind: str = "cart", name: str = "1", **metadata: str) -> Reply:
    message = actors_pb2.InvokeActorRequest(actor_type=kind, actor_id=name, method=method, metadata=metadata)
    return client.call("InvokeActor", message)


def transact(client: Client, name: str, *operations: dict[str, Any], kind: str = "cart") -> Reply:
    message = actors_pb2.ExecuteActorStateTransactionRequest(actor_type=kind, actor_id=name, operations=operations)
    return client.call("ExecuteActorStateTransaction", message)


def state(client: Client, name: str, key: str, kind: str = "cart") -> Reply:
    message = actors_pb2.GetActorStateRequest(actor_type=kind, actor_id=name, key=key)
    return client.call("GetActorState", message)


# Methods


def test_a_method_is_called_and_its_answer_comes_back(sidecar: Sidecar, app: RawApp) -> None:
    """Verb, body, query, headers and answer go through as by daprd."""
    app.obey({"match": "/method/m", "headers": [["Content-Type", "text/plain"], ["X-Own", "1"]], "body": "hello"})
    answer = ask(sidecar.http_port, "GET", f"{BASE}/cart/1/method/m?q=1", "body", X_Mine="2", Connection="x-hop")
    (seen,) = app.seen("/method/")

    assert (answer.code, answer.body) == (200, b"hello")
    assert (answer.header("Content-Type"), answer.header("X-Own")) == ("text/plain", "1")
    assert (seen.method, seen.target, seen.body) == ("PUT", "/actors/cart/1/method/m?q=1", "body")
    assert (seen.header("X-Mine"), seen.header("Dapr-Api-Call")) == ("2", "true")


def test_a_method_is_called_over_grpc(client: Client, app: RawApp) -> None:
    """Metadata become headers, but for the content type; the answer's body comes back."""
    app.obey({"match": "/method/m", "body": "hello"})
    reply = invoke(client, "m", **{"X-Mine": "2", "content-type": "text/plain"})
    (seen,) = app.seen("/method/")

    assert reply == Reply("OK", response={"data": b"hello"})
    assert (seen.header("X-Mine"), seen.header("Content-Type")) == ("2", None)


TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
W3C = ("traceparent", f"00-{TRACE}-{SPAN}-01")
BINARY = ("grpc-trace-bin", b"\0\0" + bytes.fromhex(TRACE) + b"\1" + bytes.fromhex(SPAN) + b"\2\1")


def trace_over_grpc(sidecar: Sidecar, app: RawApp, *metadata: tuple[str, str | bytes]) -> str | None:
    """Invoke an actor with this metadata of the call; what the application is told of the trace."""
    app.forget()
    named = {"traceparent": f"00-{'1' * 32}-{'2' * 16}-00"} if metadata else {}
    message = actors_pb2.InvokeActorRequest(actor_type="cart", actor_id="1", method="m", metadata=named)
    with grpc.insecure_channel(sidecar.address) as channel:
        dapr_pb2_grpc.DaprStub(channel).InvokeActor(message, metadata=metadata)
    (seen,) = app.seen("/method/")
    return seen.header("Traceparent")


@pytest.mark.parametrize("context", [W3C, BINARY], ids=["traceparent", "grpc-trace-bin"])
def test_the_trace_of_a_grpc_call_reaches_the_application(
    sidecar: Sidecar, app: RawApp, context: tuple[str, str | bytes]
) -> None:
    """As daprd: the call's own context, in whichever form, before what the message's metadata say."""
    assert trace_over_grpc(sidecar, app, context) == W3C[1]


def test_with_a_sampling_rate_calls_have_ids_of_their_own(app: RawApp, tmp_path: Path) -> None:
    """Also without an exporter: answer and application are told a new span, in the caller's trace or a new one."""
    flags = ["--app-port", str(app.port), *write_configurations(tmp_path, ["spec: {tracing: {samplingRate: '1'}}"])]
    with Sidecar(tmp_path, [store(tmp_path)], flags=flags) as sidecar:
        answer = put(sidecar, "/cart/1/method/m", traceparent=W3C[1], tracestate="a=b")
        (seen,) = app.seen("/method/")
        begun = {put(sidecar, "/cart/1/method/m").header("Traceparent") for _ in range(3)}
        over_grpc = [trace_over_grpc(sidecar, app, W3C), trace_over_grpc(sidecar, app, BINARY)]
        new = trace_over_grpc(sidecar, app)

    assert seen.header("Traceparent") == answer.header("Traceparent") != W3C[1]
    assert (seen.header("Tracestate"), answer.header("Tracestate")) == ("a=b", "a=b")
    for each in (answer.header("Traceparent"), *over_grpc):
        assert re.fullmatch(f"00-{TRACE}-(?!{SPAN})[0-9a-f]{{16}}-01", each or "")
    assert len({each and each[3:35] for each in (*begun, new)}) == 4
    assert all(re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", each or "") for each in (*begun, new))


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("a%2Fb", "a/b"),
        ("..%2F..%2Fx", "x"),
        ("a%2F", "a"),
        ("a%2F%2Fb", "a/b"),
        ("v1.2", "v1.2"),
        ("%C3%A9+b", "%C3%A9%20b"),
    ],
)
def test_methods_are_cleaned(sidecar: Sidecar, app: RawApp, method: str, target: str) -> None:
    """A method's path cannot lead out of the actor's."""
    put(sidecar, f"/cart/1/method/{method}")
    (seen,) = app.seen("/method/")

    assert seen.target == f"/actors/cart/1/method/{target}"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/cart/a%2F1/method/m", 'invalid actorId: name contains forbidden character: "a/1"'),
        ("/c%23t/1/method/m", 'invalid actorType: name contains forbidden character: "c#t"'),
        ("/cart/a%011/method/m", 'invalid actorId: name contains control character at position 1: "a\\x011"'),
        ("/cart/a%2F%01/method/m", 'invalid actorId: name contains forbidden character: "a/\\x01"'),
        ("/cart/%2E%2E/method/m", 'invalid actorId: name is a path traversal sequence: ".."'),
        ("/cart/1/method/b%3F", 'method contains forbidden character: "b?"'),
        ("/cart/1/method/b%01", 'method contains control character at position 1: "b\\x01"'),
    ],
)
def test_bad_names(sidecar: Sidecar, app: RawApp, path: str, message: str) -> None:
    """They are refused with daprd's words, and never reach the application."""
    assert said(put(sidecar, path)) == (400, "ERR_BAD_REQUEST", f"invalid request: {message}")
    assert app.seen("/method/") == []


@pytest.mark.parametrize(
    ("kind", "name", "method", "message"),
    [
        ("cart", "a/1", "m", 'invalid actorId: name contains forbidden character: "a/1"'),
        ("c#t", "1", "m", 'invalid actorType: name contains forbidden character: "c#t"'),
        ("cart", "1", "b#", 'invalid actor method: method contains forbidden character: "b#"'),
    ],
)
def test_bad_names_over_grpc(client: Client, kind: str, name: str, method: str, message: str) -> None:
    """They are refused with daprd's words, without details."""
    assert invoke(client, method, kind, name) == Reply("INVALID_ARGUMENT", message)


LONG = "is longer than 16384 characters"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("x" * 20_000, "1", "m"), f"invalid actorType: name {LONG}"),
        (("cart", "1" * 20_000, "m"), f"invalid actorId: name {LONG}"),
        (("cart", "1", "../" * 1_000_000), f"invalid actor method: method {LONG}"),
    ],
)
def test_names_without_measure(client: Client, app: RawApp, names: tuple[str, str, str], message: str) -> None:
    """They are refused in few words; no server would take such a path."""
    kind, actor_id, method = names
    assert invoke(client, method, kind, actor_id) == Reply("INVALID_ARGUMENT", message)
    assert app.seen("/method/") == []


NO_HOST = "failed to lookup actor: api error: code = FailedPrecondition desc = did not find address for actor '{}'"
FAILURES = [
    ({"status": 500, "body": "oops"}, "error from actor service: (500) oops"),
    ({"status": 204}, "error from actor service: (204) "),
    ({"status": 404, "body": "?"}, "actor method not found: actors/cart/1/method/m"),
    ({"headers": [["X-DaprReminderCancel", "true"]]}, "reminder has been canceled"),
]


@pytest.mark.parametrize(("rule", "detail"), FAILURES)
def test_only_200_is_a_success(
    sidecar: Sidecar, client: Client, app: RawApp, rule: dict[str, Any], detail: str
) -> None:
    """What the application answers otherwise is told by both transports."""
    app.obey({"match": "/method/m", **rule})
    message = f"error invoke actor method: {detail}"

    assert said(put(sidecar, "/cart/1/method/m")) == (500, "ERR_ACTOR_INVOKE_METHOD", message)
    assert invoke(client, "m") == Reply("INTERNAL", message)


def test_an_error_of_the_actor_is_an_answer(sidecar: Sidecar, client: Client, app: RawApp) -> None:
    """The application's error header leaves status and body as they are."""
    app.obey({"match": "/method/m", "headers": [["X-DaprErrorResponseHeader", "true"]], "body": "bad"})
    answer = put(sidecar, "/cart/1/method/m")

    assert (answer.code, answer.body, answer.header("X-Daprerrorresponseheader")) == (200, b"bad", "true")
    assert invoke(client, "m") == Reply("OK", response={"data": b"bad"})


def test_a_type_that_nobody_hosts(sidecar: Sidecar, client: Client) -> None:
    """The answer comes at once; over gRPC an actor without a name is none."""
    message = NO_HOST.format("unheard/1")

    assert said(put(sidecar, "/unheard/1/method/m")) == (
        500,
        "ERR_ACTOR_INVOKE_METHOD",
        f"error invoke actor method: {message}",
    )
    assert invoke(client, "m", "unheard") == Reply("FAILED_PRECONDITION", message)
    assert invoke(client, "m", "cart", "") == Reply("FAILED_PRECONDITION", NO_HOST.format("/"))


def test_a_body_beyond_the_limit(sidecar: Sidecar) -> None:
    """It is refused, after the names."""
    assert said(put(sidecar, "/cart/1/method/m", "x" * (5 << 20))) == (
        400,
        "ERR_BAD_REQUEST",
        "invalid request: failed to read body: stream too large",
    )


@pytest.mark.parametrize(
    ("verb", "path"),
    [("PATCH", "/cart/1/method/m"), ("PUT", "/cart/1/method/a/b"), ("DELETE", "/cart/1/state/k"), ("PUT", "/cart/1")],
)
def test_what_is_no_route(sidecar: Sidecar, verb: str, path: str) -> None:
    """Other verbs and paths are taken for service invocation, as by daprd."""
    answer = ask(sidecar.http_port, verb, BASE + path, "")

    assert (answer.code, answer.json["errorCode"]) == (404, "ERR_DIRECT_INVOKE")


# Turns


def test_too_deep(sidecar: Sidecar, client: Client, app: RawApp) -> None:
    """Beyond the depth both transports refuse; when the others have ended the actor goes on."""
    app.obey({"match": "/method/deep", "hold": True})
    with ThreadPoolExecutor() as pool:
        calls = [pool.submit(put, sidecar, "/re/1/method/deep", Dapr_Reentrancy_Id="x") for _ in range(2)]
        app.holding(2)
        refused = put(sidecar, "/re/1/method/deep", Dapr_Reentrancy_Id="x")
        refused_too = invoke(client, "deep", "re", **{"Dapr-Reentrancy-Id": "x"})
        app.release()
        outcomes = [call.result().code for call in calls]

    assert said(refused) == (500, "ERR_ACTOR_STACK_DEPTH", "maximum stack depth exceeded")
    assert refused_too == Reply("RESOURCE_EXHAUSTED", "maximum stack depth exceeded")
    assert outcomes == [200, 200]
    assert put(sidecar, "/re/1/method/m").code == 200


def test_an_http_caller_who_goes_leaves_the_queue(sidecar: Sidecar, app: RawApp) -> None:
    """Its method is never called; the one behind it is, after the turn that runs."""
    app.obey({"match": "/method/slow", "hold": True})
    with Socket(sidecar.http_port) as first, Socket(sidecar.http_port) as last:
        first.send(request("PUT", f"{BASE}/cart/q/method/slow"))
        app.holding()
        with Socket(sidecar.http_port) as gone:
            gone.send(request("PUT", f"{BASE}/cart/q/method/gone"))
            gone.end()
            assert gone.answer().code == 500
        last.send(request("PUT", f"{BASE}/cart/q/method/last"))
        app.release()
        codes = [first.answer().code, last.answer().code]

    assert codes == [200, 200]
    assert [seen.target.rpartition("/")[2] for seen in app.seen("/method/")] == ["slow", "last"]


def test_a_grpc_caller_who_goes_leaves_the_queue(sidecar: Sidecar, client: Client, app: RawApp) -> None:
    """As over HTTP; and one whose turn has begun does not cut it short."""
    app.obey({"match": "/method/slow", "hold": True})
    stub: Any = dapr_pb2_grpc.DaprStub(client.channel)  # type: ignore[arg-type]  # the stubs know grpc.aio only
    message = actors_pb2.InvokeActorRequest(actor_type="cart", actor_id="g", method="slow")
    running = stub.InvokeActor.future(message)
    app.holding()
    waiting = stub.InvokeActor.future(actors_pb2.InvokeActorRequest(actor_type="cart", actor_id="g", method="gone"))
    with pytest.raises(grpc.RpcError) as late:
        stub.InvokeActor(actors_pb2.InvokeActorRequest(actor_type="cart", actor_id="g", method="late"), timeout=0.2)
    waiting.cancel()
    running.cancel()
    with ThreadPoolExecutor() as pool:
        last = pool.submit(put, sidecar, "/cart/g/method/last")
        began_early = app.seen("/method/last")
        app.release()
        code = last.result().code

    assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert (began_early, code) == ([], 200)
    slow, after = app.seen("/method/")
    assert after.target.endswith("/last")
    assert slow.ended is not None
    assert slow.ended < after.began


# State


def test_state_is_kept_as_it_was_given(sidecar: Sidecar, client: Client) -> None:
    """What one transport writes the other reads, byte for byte; a missing value, and what was deleted, is none."""
    put(sidecar, "/cart/s/method/m")
    value = '{"b": 1, "a": 12345678901234567890}'
    steps = [
        {"operation": "upsert", "request": {"key": "gone", "value": 1}},
        {"operation": "upsert", "request": {"key": "empty"}},
        {"operation": "delete", "request": {"key": "gone"}},
    ]
    body = json.dumps(steps)[:-1] + f', {{"operation": "upsert", "request": {{"key": "k", "value": {value}}}}}]'
    saved = put(sidecar, "/cart/s/state", body)
    written = transact(client, "s", {"operationType": "upsert", "key": "g", "value": {"value": b"\xff"}})
    answers = [ask(sidecar.http_port, "GET", f"{BASE}/cart/s/state/{key}") for key in ("k", "gone", "empty", "g")]

    assert (saved.code, written) == (204, Reply("OK"))
    assert [(each.code, each.body) for each in answers] == [
        (200, value.encode()),
        (204, b""),
        (200, b"null"),
        (200, b"\xff"),
    ]
    assert state(client, "s", "k") == Reply("OK", response={"data": value.encode()})
    assert state(client, "s", "gone") == Reply("OK")


def test_a_value_may_expire(sidecar: Sidecar, client: Client) -> None:
    """Without a feature flag; when it does is told by both transports."""
    put(sidecar, "/cart/t/method/m")
    step = {"operation": "upsert", "request": {"key": "k", "value": 1, "metadata": {"ttlInSeconds": "60"}}}
    put(sidecar, "/cart/t/state", json.dumps([step]))
    told = ask(sidecar.http_port, "GET", f"{BASE}/cart/t/state/k").header("Metadata.ttlexpiretime")

    assert told
    assert state(client, "t", "k").response["metadata"] == {"ttlExpireTime": told}


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([None], "request data is empty"),
        ([{"request": {"key": "k"}}], "operation is empty"),
        ([{"operation": "foo", "request": {"key": "k"}}], "operation type foo not supported"),
        ([{"operation": "upsert", "request": 5}], "'' expected a map, got 'float64'"),
        ([{"operation": "upsert", "request": {"key": ""}}, {"operation": "foo"}], "missing key"),
        (
            [{"operation": "upsert", "request": {"key": "k", "metadata": {"ttlInSeconds": 30}}}],
            (
                "1 error(s) decoding:\n\n"
                "* 'Metadata[ttlInSeconds]' expected type 'string', got unconvertible type 'float64', value: '30'"
            ),
        ),
    ],
)
def test_operations_that_are_wrong(sidecar: Sidecar, steps: list[Any], message: str) -> None:
    """The first that is wrong is told, and nothing is written."""
    put(sidecar, "/cart/w/method/m")
    good = {"operation": "upsert", "request": {"key": "before", "value": 1}}
    answer = put(sidecar, "/cart/w/state", json.dumps([good, *steps]))
    code = "ERR_ACTOR_STATE_TRANSACTION_SAVE"

    assert said(answer) == (500, code, f"error saving actor transaction state: {message}")
    assert ask(sidecar.http_port, "GET", f"{BASE}/cart/w/state/before").code == 204


def test_operations_that_are_wrong_over_grpc(client: Client) -> None:
    """An unknown operation is unimplemented; one without a key fails the transaction."""
    invoke(client, "m", name="w")
    unknown = transact(client, "w", {"operationType": "foo", "key": "k"})

    assert (unknown.code, unknown.message) == ("UNIMPLEMENTED", "operation type foo not supported")
    assert unknown.details[0]["reason"] == "ERR_NOT_SUPPORTED_STATE_OPERATION"
    assert transact(client, "w", {"operationType": "delete"}) == Reply(
        "INTERNAL", "error saving actor transaction state: missing key"
    )


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("", "EOF"),
        ("{}", "json: cannot unmarshal object into Go value of type []api.TransactionalOperation"),
        ("[5]", "json: cannot unmarshal number into Go value of type api.TransactionalOperation"),
        (
            '[{"operation": 5}]',
            (
                "json: cannot unmarshal number into Go struct field TransactionalOperation.operation "
                "of type api.OperationType"
            ),
        ),
    ],
)
def test_bodies_that_are_wrong(sidecar: Sidecar, body: str, cause: str) -> None:
    """They are refused before anything is known of the actor."""
    assert said(put(sidecar, "/cart/never/state", body)) == (
        400,
        "ERR_MALFORMED_REQUEST",
        f"failed deserializing HTTP body: {cause}",
    )


def test_an_etag_that_does_not_match_is_a_conflict(sidecar: Sidecar) -> None:
    """It names the key, and the status says what it is."""
    put(sidecar, "/cart/e/method/m")
    put(sidecar, "/cart/e/state", '[{"operation": "upsert", "request": {"key": "k", "value": 1}}]')
    answer = put(sidecar, "/cart/e/state", '[{"operation": "delete", "request": {"key": "k", "etag": "x"}}]')

    assert (answer.code, answer.json["errorCode"]) == (409, "ERR_ACTOR_STATE_TRANSACTION_SAVE")
    assert "key=app||cart||e||k" in answer.json["message"]


def test_only_an_active_actor_is_written(sidecar: Sidecar, client: Client) -> None:
    """Writing needs a call before; reading does not, nor a type that is hosted."""
    assert said(put(sidecar, "/cart/idle/state", "[]")) == (
        400,
        "ERR_ACTOR_INSTANCE_MISSING",
        "actor instance is missing",
    )
    assert transact(client, "idle") == Reply("INTERNAL", "actor instance is missing")
    assert ask(sidecar.http_port, "GET", f"{BASE}/unheard/1/state/k").code == 204


def test_types_of_workflows_are_reserved(sidecar: Sidecar, client: Client) -> None:
    """Their state is out of reach."""
    message = (
        'actor type "dapr.internal.x" is reserved for the Dapr workflow runtime; '
        "direct actor API access is not permitted"
    )

    assert said(put(sidecar, "/dapr.internal.x/1/state", "{")) == (403, "ERR_ACTOR_TYPE_RESERVED", message)
    assert state(client, "1", "k", "dapr.internal.x") == Reply("PERMISSION_DENIED", message)


# The sidecar as a whole


def test_metadata_lists_what_is_hosted_and_active(sidecar: Sidecar, client: Client) -> None:
    """Types without actors are there too; a count of none is left out."""
    put(sidecar, "/re/only/method/m")
    shown = ask(sidecar.http_port, "GET", "/v1.0/metadata").json["actorRuntime"]
    over_grpc = client.metadata().response["actor_runtime"]

    assert {name: shown[name] for name in ("runtimeStatus", "hostReady", "placement")} == {
        "runtimeStatus": "RUNNING",
        "hostReady": True,
        "placement": "placement: connected",
    }
    assert {each["type"] for each in shown["activeActors"]} == {"cart", "re"}
    assert (over_grpc["runtime_status"], over_grpc["host_ready"]) == (2, True)


def test_without_application_and_store_there_are_no_actors(tmp_path: Path) -> None:
    """Every call says what daprd says without placement, over both transports."""
    with Sidecar(tmp_path, [component("mem", "state.in-memory")]) as sidecar, sidecar.client() as client:
        answers = [said(put(sidecar, path, "[]")) for path in ("/cart/1/method/m", "/cart/1/state")]
        reply = invoke(client, "m")
        status = ask(sidecar.http_port, "GET", "/v1.0/metadata").json["actorRuntime"]["runtimeStatus"]

    sentence = "placement service is not configured"
    assert answers == [(400, "ERR_ACTOR_NO_PLACEMENT", sentence)] * 2
    assert reply == Reply("UNAVAILABLE", sentence)
    assert status == "DISABLED"


def test_without_a_store_for_actors_their_methods_can_be_called(tmp_path: Path, app: RawApp) -> None:
    """State calls say what is missing, and nothing breaks."""
    flags = ["--app-port", str(app.port)]
    with Sidecar(tmp_path, [component("mem", "state.in-memory")], flags=flags) as sidecar, sidecar.client() as client:
        called = put(sidecar, "/cart/1/method/m").code
        written = put(sidecar, "/cart/1/state", '[{"operation": "delete", "request": {"key": "k"}}]')
        read = state(client, "1", "k")

    assert called == 200
    assert said(written)[:2] == (500, "ERR_ACTOR_RUNTIME_NOT_FOUND")
    assert read.code == "INTERNAL"


def test_a_second_store_for_actors_is_a_mistake(tmp_path: Path) -> None:
    """The sidecar does not start, and names both."""
    both = [component(name, "state.in-memory", actorStateStore="true") for name in ("a", "b")]
    sidecar = Sidecar(tmp_path, both).launch()
    sidecar.wait()

    assert "detected duplicate actor state store: a and b" in sidecar.log()


def test_calls_wait_for_the_application(tmp_path: Path) -> None:
    """Until it is known what it hosts they are not refused."""
    with RawApp(tmp_path, CONFIG) as app:
        app.obey({"match": "/dapr/config", "hold": True})
        sidecar = Sidecar(tmp_path, [store(tmp_path)], flags=["--app-port", str(app.port)]).launch()
        try:
            app.holding()
            until(lambda: "HTTP server is running" in sidecar.log())
            status = ask(sidecar.http_port, "GET", "/v1.0/metadata").json["actorRuntime"]
            with Socket(sidecar.http_port) as caller:
                caller.send(request("PUT", f"{BASE}/cart/1/method/m"))
                app.release()
                code = caller.answer().code
        finally:
            sidecar.close()

    assert status == {"runtimeStatus": "INITIALIZING", "hostReady": False}
    assert code == 200


def test_callers_who_wait_for_the_application_are_bounded(tmp_path: Path) -> None:
    """Whom there is no room for is told so at once, over both transports; the others are served when it is up."""
    body = "x" * 4_000_000  # two of them fit
    app = RawApp(tmp_path, CONFIG)
    sidecar = Sidecar(tmp_path, [store(tmp_path)], flags=["--app-port", str(app.port)]).launch()
    large = actors_pb2.InvokeActorRequest(actor_type="cart", actor_id="1", method="m", data=body.encode())
    try:
        until(lambda: "waiting on port" in sidecar.log())
        with sidecar.client() as client, ThreadPoolExecutor() as pool:
            calls = [pool.submit(put, sidecar, "/cart/1/method/m", body) for _ in range(3)]
            refused = next(as_completed(calls))
            reply = client.call("InvokeActor", large)
            with app:
                codes = sorted(call.result().code for call in calls)
    finally:
        sidecar.close()

    sentence = "actors cannot be reached: too many calls wait for the application"
    assert said(refused.result()) == (503, "ERR_ACTOR_APP_AWAY", sentence)
    assert reply == Reply("UNAVAILABLE", sentence)
    assert codes == [200, 200, 503]


def test_a_stop_lets_turns_end_and_deactivates(tmp_path: Path) -> None:
    """A turn that runs is answered, and may still use its state; one that waits is refused; every actor is told."""
    with RawApp(tmp_path, CONFIG) as app:
        app.obey({"match": "/method/slow", "hold": True})
        with Sidecar(tmp_path, [store(tmp_path)], flags=["--app-port", str(app.port)]) as sidecar:
            put(sidecar, "/cart/other/method/m")
            with Socket(sidecar.http_port) as running, Socket(sidecar.http_port) as waiting:
                running.send(request("PUT", f"{BASE}/cart/1/method/slow"))
                app.holding()
                waiting.send(request("PUT", f"{BASE}/cart/1/method/waits"))
                until(lambda: waits(sidecar))
                sidecar.signal(signal.SIGTERM)
                refused = waiting.answer()
                saved = put(sidecar, "/cart/1/state", '[{"operation": "upsert", "request": {"key": "k", "value": 1}}]')
                app.release()
                answered = running.answer()
                code = sidecar.wait()
        ends = {seen.target for seen in app.seen() if seen.method == "DELETE"}

    assert said(refused) == (503, "ERR_ACTOR_RUNTIME_CLOSED", "actor runtime is closed")
    assert (saved.code, answered.code, code) == (204, 200, 0)
    assert ends == {"/actors/cart/1", "/actors/cart/other"}


def test_a_turn_that_does_not_end_ends_with_the_grace(tmp_path: Path) -> None:
    """Its caller is told, a timer that hangs holds nothing up, and the process ends with status 1."""
    with RawApp(tmp_path, CONFIG) as app:
        app.obey({"match": "/method/", "hold": True})
        flags = ["--app-port", str(app.port), "--dapr-graceful-shutdown-seconds", "1"]
        with Sidecar(tmp_path, [store(tmp_path)], flags=flags) as sidecar:
            put(sidecar, "/cart/2/timers/t", '{"dueTime": "0s"}')
            with Socket(sidecar.http_port) as running:
                running.send(request("PUT", f"{BASE}/cart/1/method/slow"))
                app.holding(2)
                sidecar.signal(signal.SIGTERM)
                answer, code = running.answer(), sidecar.wait()

    assert (answer.code, code) == (500, 1)


def waits(sidecar: Sidecar) -> bool:
    """Whether a call waits for its turn, as the metrics tell."""
    port = int(sidecar.command[sidecar.command.index("--metrics-port") + 1])
    text = ask(port, "GET", "/").body.decode()
    return any(
        line.endswith(" 1") for line in text.splitlines() if line.startswith("dapr_runtime_actor_pending_actor_calls{")
    )


# Applications that host actors on a stream


class StreamApp:
    """One stream to a sidecar: what the application says, and what it hears."""

    def __init__(self, client: Client) -> None:
        self._said: queue.Queue[Any] = queue.Queue()
        stub: Any = dapr_pb2_grpc.DaprStub(client.channel)  # type: ignore[arg-type]  # the stubs know grpc.aio only
        self.heard = stub.SubscribeActorEventsAlpha1(iter(self._said.get, None))

    def say(self, **message: Any) -> None:
        self._said.put(actors_pb2.SubscribeActorEventsRequestAlpha1(**message))

    def end(self) -> None:
        self._said.put(None)


@pytest.fixture(params=["true", "false"], ids=["logged", "not logged"])
def streaming(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sidecar]:
    """A sidecar whose application speaks gRPC: its port only has to be there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        flags = ["--app-port", str(listener.getsockname()[1]), "--app-protocol", "grpc"]
        flags += [f"--enable-api-logging={request.param}"]
        with Sidecar(tmp_path, [store(tmp_path)], flags=flags) as sidecar:
            yield sidecar


def test_an_application_hosts_actors_on_a_stream(streaming: Sidecar) -> None:
    """It is told that its types are registered, is asked, answers, and is told of the end of an actor at the stop."""
    with streaming.client() as client, ThreadPoolExecutor() as pool:
        app = StreamApp(client)
        app.say(initial_request={"entities": ["cart"]})
        first = next(app.heard)
        call = pool.submit(put, streaming, "/cart/1/method/m", "body", X_Mine="2")
        asked = next(app.heard).invoke_request
        app.say(invoke_response={"id": asked.id, "data": b"hello", "metadata": {"content-type": "text/plain"}})
        answer = call.result()
        streaming.signal(signal.SIGTERM)
        end = next(app.heard).deactivate_request
        app.say(deactivate_response={"id": end.id})
        code = streaming.wait()

    assert first.WhichOneof("response_type") == "initial_response"
    assert (asked.actor_type, asked.actor_id, asked.method, asked.data) == ("cart", "1", "m", b"body")
    assert asked.metadata["X-Mine"] == "2"
    assert (answer.code, answer.body, answer.header("Content-Type")) == (200, b"hello", "text/plain")
    assert (end.actor_type, end.actor_id, code) == ("cart", "1", 0)


def test_calls_wait_while_no_stream_is_open(streaming: Sidecar) -> None:
    """After the end of a stream they wait for the next one, and the metadata say so."""
    with streaming.client() as client, ThreadPoolExecutor() as pool:
        first, second = StreamApp(client), StreamApp(client)
        first.say(initial_request={"entities": ["cart"]})
        next(first.heard)
        first.end()
        until(lambda: not client.metadata().response["actor_runtime"].get("host_ready"))
        call = pool.submit(put, streaming, "/cart/1/method/m")
        second.say(initial_request={"entities": ["cart"]})
        next(second.heard)
        asked = next(second.heard).invoke_request
        second.say(invoke_response={"id": asked.id})
        answer = call.result()
        second.end()

    assert answer.code == 200


def test_a_stream_begins_with_its_first_message(streaming: Sidecar) -> None:
    """Any other first message is refused."""
    with streaming.client() as client:
        app = StreamApp(client)
        app.say(invoke_response={"id": "1"})
        with pytest.raises(grpc.RpcError) as refused:
            next(app.heard)

    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.value.details() == "first message must be SubscribeActorEventsRequestInitialAlpha1"


def test_an_application_that_speaks_http_has_no_stream(client: Client) -> None:
    """It is told why."""
    app = StreamApp(client)
    app.say(initial_request={"entities": ["cart"]})
    with pytest.raises(grpc.RpcError) as refused:
        next(app.heard)

    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert refused.value.details() == "actor callback streaming requires a gRPC app channel"
