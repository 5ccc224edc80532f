"""What is put around requests: nothing where nothing is on, and the parts in the order that daprd has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest

from dapr_state.observability.apilog import ApiLog
from dapr_state.observability.metrics import Metrics
from dapr_state.resources.configuration import ApiRule
from dapr_state.security.access import GrpcAccess
from dapr_state.security.tokens import ApiToken
from dapr_state.serving.grpc.methods import Method
from dapr_state.serving.http.request import Request
from dapr_state.serving.http.response import Response
from dapr_state.transports.grpc import interceptors
from dapr_state.transports.http import call_metrics, labels, middleware
from dapr_state.transports.http.labels import MAX_KNOWN, MAX_LABEL, MAX_PATHS, MAX_TARGET, Labels, shorten
from dapr_state.transports.http.router import Router
from dapr_state.transports.middleware import Middleware
from dapr_state.wire.http1.request import Fields

if TYPE_CHECKING:
    from collections.abc import Callable

GET = "/dapr.proto.runtime.v1.Dapr/GetState"


async def behave(request: bytes, _: object) -> bytes:
    return request


def handler() -> grpc.RpcMethodHandler[Any, Any]:
    return grpc.unary_unary_rpc_method_handler(behave, bytes, bytes)


def behavior(method: str, plain: grpc.RpcMethodHandler[Any, Any], layers: Middleware) -> Any:
    """What the native server calls."""
    return Method(method, interceptors.wrap(method, plain, layers)).behavior


def test_no_coroutine_is_put_around_a_grpc_call_but_for_its_span() -> None:
    """With nothing on the call pays nothing; metrics, log and error counts are told of it where it ends."""
    metrics = Metrics("app")
    everything = Middleware(metrics=metrics, count_errors=metrics.error, api_log=ApiLog())

    assert Method(GET, interceptors.wrap(GET, handler(), Middleware())).after is None
    assert behavior(GET, handler(), Middleware()) is behave
    assert behavior(GET, handler(), everything) is behave


def test_with_nothing_on_http_requests_go_straight_to_the_router() -> None:
    """No layer around the router, no check before it, no counting of its answers."""
    router = Router({})

    assert middleware.route(router, Middleware(), "app") is router
    assert middleware.checks(Middleware()) == []
    assert call_metrics.after(Middleware()) == []
    assert middleware.after(Middleware(), router) == []


def test_a_stores_requests_are_told_from_those_of_a_store_with_a_shorter_name() -> None:
    """Whatever order they come in, and with or without something behind the name."""
    metrics = Metrics("app")
    fields = Fields({}, 0, frozenset(), chunked=False)
    (count,) = call_metrics.after(Middleware(metrics=metrics))
    targets = (b"/v1.0/state/me/bulk", b"/v1.0/state/mem", b"/v1.0/state/mem?a=b/c", b"/v1.0/state/me/x/y")
    for target in targets * 2:
        count(Request("POST", target, fields, keep_alive=True, expect=""), Response(204))

    text = "".join(metrics.lines())

    assert 'dapr_http_server_request_count{app_id="app",method="POST",path="/v1.0/state/me",status="204"} 4' in text
    assert 'dapr_http_server_request_count{app_id="app",method="POST",path="/v1.0/state/mem",status="204"} 4' in text


def test_services_that_are_not_daprs_are_not_measured() -> None:
    """Health probes and reflection are not in daprd's metrics."""
    plain = handler()

    assert interceptors.wrap("/grpc.health.v1.Health/Check", plain, Middleware(metrics=Metrics("app"))) is plain


class Details(grpc.HandlerCallDetails):
    def __init__(self, method: str, *metadata: tuple[str, str]) -> None:
        self.method = method
        self.invocation_metadata = metadata


class Service(grpc.GenericRpcHandler):
    """Takes one method; counts how often it is asked."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.asked = 0
        self.handler = handler()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        self.asked += 1
        return self.handler if details.method == self.method else None


class Everything(grpc.GenericRpcHandler):
    def service(self, _: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        return handler()


def test_a_service_is_asked_once_for_each_of_its_methods() -> None:
    """Afterwards the method is known, and the token is all that is looked at."""
    service = Service(GET)
    services = interceptors.Services(Middleware(token=ApiToken("t")), Everything())
    services.add_generic_rpc_handlers([service])

    found = [services.service(Details(GET, ("dapr-api-token", "t"))) for _ in range(3)]

    assert len({id(each) for each in found}) == 1
    assert service.asked == 1


def test_unknown_methods_are_not_remembered() -> None:
    """A caller can make up any number of them."""
    services = interceptors.Services(Middleware(), Everything())
    for number in range(100):
        services.service(Details(f"/made.up/{number}"))

    assert services._known == {}


def test_a_wrong_token_is_not_shown_to_any_service() -> None:
    """It is refused before anybody is asked, and before the request is read."""
    service = Service(GET)
    services = interceptors.Services(Middleware(token=ApiToken("t")), Everything())
    services.add_generic_rpc_handlers([service])

    refusal = services.service(Details(GET, ("dapr-api-token", "x")))

    assert refusal
    assert service.asked == 0


def test_a_hidden_method_is_replaced_when_it_is_registered() -> None:
    """Nothing is looked up when it is called."""
    layers = Middleware(grpc_access=GrpcAccess([], [ApiRule("state", "v1", "grpc")]))

    assert behavior(GET, handler(), layers) is not behave
    assert behavior(GET.replace("GetState", "GetMetadata"), handler(), layers) is behave


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("/v1.0/state/mem", "/v1.0/state/mem"),
        ("/v1.0/state/mem/key", "/v1.0/state/mem"),
        ("/v1.0-alpha1/state/mem/query", "/v1.0-alpha1/state/mem"),
        ("/v1.0/secrets/s/k", "/v1.0/secrets/s"),
        ("/v1.0/actors/T/1/method/m", "/v1.0/actors/T/{id}/method"),
        ("/v1.0/actors/T/1/state", "/v1.0/actors/T/{id}/state"),
        ("/v1.0/actors/T/1/timers/t", "/v1.0/actors/T/{id}/timers"),
        ("/v1.0/workflows/c/i", "/v1.0/workflows/c/{instanceId}"),
        ("/v1.0/workflows/c/n/start", "/v1.0/workflows/c/n/start"),
        ("/v1.0/workflows/c/i/pause", "/v1.0/workflows/c/{instanceId}/pause"),
        ("/v1.0/workflows/c/i/raiseEvent/e", "/v1.0/workflows/c/{instanceId}/raiseEvent/{eventName}"),
        ("/v1.0/metadata", "/v1.0/metadata"),
        ("/nope", "/nope"),
        ("/", "/"),
    ],
)
def test_keys_and_ids_are_cut_out_of_labels(path: str, label: str) -> None:
    """As observed on daprd."""
    assert shorten(path) == label


@pytest.mark.parametrize(
    ("target", "label"),
    [
        (b"/v1.0/state/mem/k?metadata.ttlInSeconds=1", "/v1.0/state/mem"),
        (b"/v1.0/state/m%65m/k", "/v1.0/state/mem"),
        (b"//v1.0//state/mem/k", "/v1.0/state/mem"),
        (b"/v1.0/state/../healthz", "/v1.0/healthz"),
        (b"http://host/v1.0/state/mem/k", "/v1.0/state/mem"),
    ],
)
def test_targets_have_the_label_of_what_they_mean(target: bytes, label: str) -> None:
    """Whichever way a path is written."""
    assert Labels().path(target) == label


def test_actors_of_one_type_share_a_label() -> None:
    """However many of them are called, other paths still get labels of their own."""
    labels = Labels()
    seen = {labels.path(b"/v1.0/actors/cart/%d/method/m?q=%d" % (number, number)) for number in range(2 * MAX_PATHS)}

    assert seen == {"/v1.0/actors/cart/{id}/method"}
    assert labels.path(b"/v1.0/healthz") == "/v1.0/healthz"


@pytest.mark.parametrize("make", [Labels, lambda: Labels(patterns=["/items/{id}"])], ids=["", "with patterns"])
def test_made_up_paths_are_few_labels_and_short_ones(make: Callable[[], Labels]) -> None:
    """However many and however long they are; what was known before stays known."""
    labels = make()
    first = labels.path(b"/first")
    seen = {labels.path(b"/%d/%b" % (number, b"x" * (number * 8))) for number in range(2 * MAX_PATHS)}

    assert sum(map(len, seen)) < MAX_PATHS * MAX_LABEL
    assert len(seen) < MAX_PATHS
    assert (first, labels.path(b"/first")) == ("/first", "/first")
    assert sum(map(len, labels._known)) <= MAX_KNOWN * MAX_TARGET


def test_a_query_makes_no_label() -> None:
    """Targets that differ in their query alone leave room for other paths."""
    labels = Labels()
    for number in range(2 * MAX_PATHS):
        labels.path(b"/v1.0/healthz?appid=%d" % number)

    assert labels.path(b"/v1.0/metadata") == "/v1.0/metadata"


def test_a_scrape_is_bounded_whatever_callers_have_asked_for() -> None:
    """Paths of 8 KB made 300 MB of text, at each scrape."""
    metrics = Metrics("app")
    fields = Fields({}, 0, frozenset(), chunked=False)
    (count,) = call_metrics.after(Middleware(metrics=metrics))
    for number in range(3 * MAX_PATHS):
        for start in (b"/", b"/v1.0/state/", b"/v1.0/actors/"):
            target = start + b"%d" % number + b"x" * 8000
            count(Request("GET", target, fields, keep_alive=True, expect=""), Response(404))
            count(Request("GET", start + b"%d" % number, fields, keep_alive=True, expect=""), Response(404))

    assert sum(map(len, metrics.lines())) < 20_000_000


@pytest.mark.parametrize(
    ("patterns", "path", "label"),
    [
        (["/items/{id}"], b"/items/5", "/items/{id}"),
        (["/items/{id}"], b"/items/5/6", ""),
        (["/items/{id}"], b"/v1.0/invoke/other/method/items/5", "/items/{id}"),
        (["/items/"], b"/items/5/6", "/items/"),
        (["/items/"], b"/items", "/items/"),
        (["/items/{rest...}", "/items/{id}"], b"/items/5/6", "/items/{rest...}"),
        (["/items/{$}"], b"/items/", "/items/{$}"),
        (["/items/{$}"], b"/items/5", ""),
        (["/{a}/{b}", "/items/{b}", "/items/5"], b"/items/5", "/items/5"),
        (["/{a}/{b}", "/items/{b}"], b"/items/6", "/items/{b}"),
        (["items/{id}"], b"/items/5", "/items/{id}"),
    ],
)
def test_patterns_name_the_paths_that_they_match(patterns: list[str], path: bytes, label: str) -> None:
    """In the syntax of Go's ServeMux; of several, the most specific."""
    assert Labels(with_path=False, patterns=patterns).path(path) == label


@pytest.mark.parametrize("pattern", ["/a/{bad", "GET /a", "/a/{x}y", "/{a...}/b"])
def test_a_pattern_that_cannot_be_used_is_known_at_start(pattern: str) -> None:
    """daprd ends with a panic."""
    assert labels.problem(pattern)
    assert Labels(with_path=False, patterns=[pattern]).path(b"/a/b") == ""
