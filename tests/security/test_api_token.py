"""`DAPR_API_TOKEN` on every route of both transports, beside daprd."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.security import calls
from tests.support.configured import TOKEN, metrics_port, ours, the_real
from tests.support.http import ask
from tests.support.recorded import data

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.recorded import Recorded
    from tests.support.sidecar import Daprd, Sidecar

UNAUTHORIZED = (
    "HTTP/1.1 401 Unauthorized",
    ["Content-Length: 18", "Content-Type: text/plain; charset=utf-8", "X-Content-Type-Options: nosniff"],
    b"invalid api token\n",
)
OPEN = {"/v1.0/healthz", "/v1.0/healthz/?appid=app", "/v1.0/healthz/outbound"}
WRONG = {"none": {}, "another": {"dapr_api_token": "x"}, "empty": {"dapr_api_token": ""}}
RIGHT = {"dapr_api_token": TOKEN}


def refusal(problem: str) -> tuple[object, ...]:
    details = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "Unauthorized",
        "domain": "dapr.io",
        "metadata": {"http.code": "401", "http.error_message": problem},
    }
    return "UNAUTHENTICATED", "Unauthorized", [details]


MISSING = refusal("missing api token in request metadata")
MISMATCH = refusal("authentication error: api token mismatch")


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    with ours(tmp_path_factory.mktemp("ours"), token=TOKEN) as server:
        yield server


@pytest.fixture(scope="module")
def over_grpc(tmp_path_factory: pytest.TempPathFactory, grpc_server: str) -> Iterator[Sidecar]:
    with ours(tmp_path_factory.mktemp("ours"), token=TOKEN, grpc_server=grpc_server) as server:
        yield server


@pytest.fixture(scope="module")
def daprd(tmp_path_factory: pytest.TempPathFactory, daprd_binary: Path) -> Iterator[Daprd]:
    with the_real(daprd_binary, tmp_path_factory.mktemp("daprd"), token=TOKEN) as server:
        yield server


@pytest.mark.parametrize("given", WRONG)
@pytest.mark.parametrize("call", [*calls.HTTP, calls.SHUTDOWN], ids=lambda call: f"{call[0]} {call[1]}")
def test_http_is_closed_without_the_token(call: tuple[str, str, str | None], given: str, sidecar: Sidecar) -> None:
    """Every route, known or not, answers 401, but for the two that probes ask."""
    status, lines, body = calls.http(sidecar, call, WRONG[given])

    if call[0] == "GET" and call[1] in OPEN:
        assert status == "HTTP/1.1 204 No Content"
    else:
        expected = (UNAUTHORIZED[0], UNAUTHORIZED[1], b"" if call[0] == "HEAD" else UNAUTHORIZED[2])
        assert (status, [line for line in lines if not line.startswith(calls.TRACEPARENT)], body) == expected


@pytest.mark.parametrize("method", calls.GRPC)
def test_grpc_is_closed_without_the_token(method: str, over_grpc: Sidecar) -> None:
    """Every method of every service, unknown ones and reflection included, says what is wrong with the token."""
    assert calls.grpc_call(over_grpc, method) == MISSING
    assert calls.grpc_call(over_grpc, method, ("dapr-api-token", "x")) == MISMATCH
    assert calls.grpc_call(over_grpc, method, ("dapr-api-token", "x"), ("dapr-api-token", TOKEN)) == MISMATCH


def test_grpc_health_is_open_as_http_health_is(over_grpc: Sidecar) -> None:
    """Kubernetes and load balancers have no token when they probe; daprd has no such service."""
    assert calls.grpc_call(over_grpc, calls.HEALTH) == ("OK",)


def test_the_metrics_port_is_open(sidecar: Sidecar) -> None:
    """Scrapers have no token, as with daprd."""
    assert ask(metrics_port(sidecar), "GET", "/metrics").code == 200


def test_the_first_of_several_tokens_counts(over_grpc: Sidecar) -> None:
    """On gRPC metadata a key may come twice."""
    right_first = ("dapr-api-token", TOKEN), ("dapr-api-token", "x")

    assert calls.grpc_call(over_grpc, calls.DAPR + "GetMetadata", *right_first) == ("OK",)


@pytest.mark.parametrize("given", [*WRONG, "right"])
@pytest.mark.parametrize("call", calls.HTTP, ids=lambda call: f"{call[0]} {call[1]}")
def test_http_answers_as_daprd(
    call: tuple[str, str, str | None],
    given: str,
    sidecar: Sidecar,
    recorded: Recorded,
) -> None:
    """With the token and without, status line, headers and body are daprd's."""
    headers = RIGHT if given == "right" else WRONG[given]

    theirs = recorded(
        f"{call[0]} {call[1]} with token: {given}",
        lambda daprd: calls.guarded(daprd, call, headers),
    )

    assert data(calls.guarded(sidecar, call, headers)) == theirs


@pytest.mark.parametrize(
    ("method", "given"),
    [
        (method, given)
        for method in calls.GRPC
        for given in ("", "x", TOKEN)
        if not (given == TOKEN and method.startswith(calls.REFLECTION))
    ],
)
def test_grpc_answers_as_daprd(method: str, given: str, over_grpc: Sidecar, recorded: Recorded) -> None:
    """With the token and without, code, message and details are daprd's."""
    metadata = [("dapr-api-token", given)] if given else []

    theirs = recorded(
        f"{method} with token: {given}",
        lambda daprd: calls.grpc_call(daprd, method, *metadata),
    )

    assert data(calls.grpc_call(over_grpc, method, *metadata)) == theirs


@pytest.mark.parametrize("level", ["debug", "info"])
def test_tokens_are_never_logged(level: str, tmp_path: Path, grpc_server: str) -> None:
    """Neither the one that is wanted nor those that are tried, at any level, with the API log on."""
    flags = ["--log-level", level, "--enable-api-logging"]
    with ours(tmp_path, token=TOKEN, flags=flags, grpc_server=grpc_server) as server:
        calls.http(server, calls.HTTP[0], {"dapr_api_token": "tried-token"})
        calls.http(server, calls.HTTP[0], RIGHT)
        calls.grpc_call(server, calls.DAPR + "GetState", ("dapr-api-token", "tried-token"))
        calls.grpc_call(server, calls.DAPR + "GetState", ("dapr-api-token", TOKEN))
        shown = calls.http(server, ("GET", "/v1.0/metadata", None), RIGHT)
        server.stop()
        log = server.log()

    assert "HTTP API Called" in log
    assert "tried-token" not in log
    assert TOKEN not in log + str(shown)
