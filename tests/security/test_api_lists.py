"""API allow and deny lists on every route of both transports, beside daprd."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.security import calls
from tests.support.configured import ours, the_real
from tests.support.recorded import data

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.recorded import Recorded
    from tests.support.sidecar import Daprd, Sidecar


def _lists(**lists: tuple[str, ...]) -> str:
    """Each rule is written name.version.protocol."""
    lines = ["spec:", "  api:"]
    for kind, rules in lists.items():
        lines.append(f"    {kind}:")
        for rule in rules:
            name, version, protocol = rule.split("|")
            lines.append(f'    - {{name: "{name}", version: "{version}", protocol: {protocol}}}')
    return "\n".join(lines)


LISTS = {
    "HTTP: only state": _lists(allowed=("state|v1.0|http",)),
    "HTTP: only state and invoke, but no query; gRPC: no state": _lists(
        allowed=("state|v1|HTTP", "invoke|v1|http"), denied=("state|v1alpha1|http", "state|v1|grpc")
    ),
    "HTTP: no alpha, no metadata, health cannot be denied": _lists(
        denied=("|v1.0-alpha1|http", "metadata|v1|http", "healthz|v1.0|http")
    ),
    "HTTP: no invoke": _lists(denied=("invoke|v1|http",)),
    "HTTP: by the beginning of a name": _lists(allowed=("s|v1.0|http",)),
    "gRPC: only state": _lists(allowed=("state|v1|grpc",)),
    "gRPC: a version that does not exist": _lists(allowed=("state|v1.0|grpc",)),
    "gRPC: in capitals, and metadata both ways": _lists(
        allowed=("state|v1|GRPC", "metadata|v1|grpc"), denied=("metadata|v1|grpc", "state|v1|http")
    ),
}
HIDDEN = {
    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
    "reason": "Not Implemented",
    "domain": "dapr.io",
    "metadata": {"http.code": "501", "http.error_message": "requested endpoint is not available"},
}


@pytest.fixture(scope="module", params=LISTS)
def text(request: pytest.FixtureRequest) -> str:
    return LISTS[request.param]


@pytest.fixture(scope="module")
def daprd(text: str, tmp_path_factory: pytest.TempPathFactory, daprd_binary: Path) -> Iterator[Daprd]:
    with the_real(daprd_binary, tmp_path_factory.mktemp("daprd"), text) as server:
        yield server


def test_every_http_route_answers_as_daprds(text: str, tmp_path: Path, recorded: Recorded) -> None:
    """What a list hides is hidden in the same words, and what it leaves is left."""

    def answers(server: Sidecar) -> dict[str, object]:
        return {f"{call[0]} {call[1]}": calls.guarded(server, call, {}) for call in calls.HTTP}

    theirs = recorded(f"{_name(text)}, routes", answers)
    with ours(tmp_path, text) as sidecar:
        assert data(answers(sidecar)) == theirs


def test_every_grpc_method_answers_as_daprds(text: str, tmp_path: Path, grpc_server: str, recorded: Recorded) -> None:
    """The same for gRPC, methods that do not exist included."""

    def answers(server: Sidecar) -> dict[str, object]:
        methods = (method for method in calls.GRPC if not method.startswith(calls.REFLECTION))
        return {method: calls.grpc_call(server, method) for method in methods}

    theirs = recorded(f"{_name(text)}, methods", answers)
    with ours(tmp_path, text, grpc_server=grpc_server) as sidecar:
        assert data(answers(sidecar)) == theirs


def _name(text: str) -> str:
    return next(name for name, each in LISTS.items() if each == text)


def test_what_is_hidden_does_not_ask_for_the_token(tmp_path: Path, grpc_server: str) -> None:
    """As in daprd, the lists come first on gRPC; on HTTP the token does."""
    text = _lists(denied=("state|v1|grpc", "state|v1|http"))
    with ours(tmp_path, text, token="t0ken", grpc_server=grpc_server) as sidecar:
        over_grpc = calls.grpc_call(sidecar, calls.DAPR + "GetState")
        over_http = calls.http(sidecar, calls.HTTP[0], {})

    assert over_grpc == ("UNIMPLEMENTED", "Not Implemented", [HIDDEN])
    assert over_http[0] == "HTTP/1.1 401 Unauthorized"


def test_a_rule_that_opens_everything_is_pointed_out(tmp_path: Path) -> None:
    """daprd says nothing, and its user believes to be protected."""
    with ours(tmp_path, LISTS["gRPC: a version that does not exist"]) as sidecar:
        log = sidecar.log()

    assert "API rule name=state version=v1.0 protocol=grpc has no effect" in log
    assert "EVERY gRPC method stays open" in log
