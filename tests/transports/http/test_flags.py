"""What the flags of the HTTP port do, beside daprd: origins, the public port, socket files."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.components import component
from tests.support.http import Socket, ask
from tests.support.processes import free_port
from tests.support.recorded import data
from tests.support.sidecar import Daprd, Sidecar
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.recorded import Recorded

MEMORY = [component("mem", "state.in-memory")]
LIST = "https://a.com,https://*.b.com"


@pytest.fixture(scope="module", params=["*", LIST])
def allowed(request: pytest.FixtureRequest) -> str:
    """The origins that may call."""
    origins: str = request.param
    return origins


@pytest.fixture(scope="module")
def sidecar(allowed: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    with Sidecar(tmp_path_factory.mktemp("cors"), MEMORY, flags=("--allowed-origins", allowed)) as server:
        yield server


@pytest.fixture(scope="module")
def daprd(allowed: str, tmp_path_factory: pytest.TempPathFactory, daprd_binary: Path) -> Iterator[Daprd]:
    folder = tmp_path_factory.mktemp("cors")
    with Daprd(daprd_binary, folder, MEMORY, flags=("--allowed-origins", allowed)) as server:
        yield server


@pytest.fixture
def both(allowed: str, sidecar: Sidecar, recorded: Recorded) -> Callable[..., tuple[Any, Any]]:
    """Asks both, and gives our answer and daprd's."""

    def asked(method: str, path: str, **headers: str) -> tuple[Any, Any]:
        theirs = recorded(
            f"{method} {path} {headers} where {allowed} is allowed",
            lambda daprd: ask(daprd.http_port, method, path, **headers),
        )
        return data(ask(sidecar.http_port, method, path, **headers)), theirs

    return asked


ORIGINS = ("https://a.com", "https://x.b.com", "https://b.com", "https://evil.com", "HTTPS://A.COM", "null")
UNLISTED = frozenset({"https://b.com", "https://evil.com", "null"})


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("path", ["/v1.0/state/mem/k", "/nowhere", "/v1.0/healthz"])
def test_an_origin_is_answered_as_daprd_does(
    path: str, origin: str, allowed: str, both: Callable[..., tuple[Any, Any]]
) -> None:
    """On any path, with the same headers; but where daprd leaves it to the browser, an unlisted one is refused."""
    ours, theirs = both("GET", path, Origin=origin)

    if allowed == LIST and origin in UNLISTED:
        told = [[line for line in each["lines"] if line.startswith(("Vary", "Access-"))] for each in (ours, theirs)]
        assert ours["status"] == "HTTP/1.1 403 Forbidden"
        assert told[0] == told[1]
        assert not any(line.startswith("Access-Control-Allow-Origin") for line in told[0])
    else:
        assert ours == theirs


@pytest.mark.parametrize("origin", ORIGINS[:4])
@pytest.mark.parametrize("method", ["POST", "delete", "FOO", "OPTIONS"])
def test_a_preflight_is_answered_as_daprd_does(method: str, origin: str, both: Callable[..., tuple[Any, Any]]) -> None:
    """Whatever the path, and before any token."""
    wanted = {"Access_Control_Request_Method": method, "Access_Control_Request_Headers": "x-one, Content-type"}
    ours, theirs = both("OPTIONS", "/any/path", Origin=origin, **wanted)

    assert ours == theirs


def test_what_only_looks_like_a_preflight(both: Callable[..., tuple[Any, Any]]) -> None:
    """Without an origin, or without the method that is asked for."""
    halves: list[dict[str, str]] = [
        {},
        {"Origin": "https://a.com"},
        {"Access_Control_Request_Method": "PUT"},
        {"Origin": "https://a.com", "Access_Control_Request_Method": ""},
        {"Origin": "https://a.com", "Access_Control_Request_Method": "PUT"},
    ]
    pairs = [both("OPTIONS", "/v1.0/state/mem/k", **half) for half in halves]

    assert [ours for ours, _ in pairs] == [theirs for _, theirs in pairs]


def test_the_public_port_shows_health_and_metadata_only(tmp_path: Path, recorded: Recorded) -> None:
    """No state there, no shutdown, and the words of Go for what is missing."""
    paths = ("/v1.0/healthz", "/v1.0/healthz/outbound", "/v1.0/state/mem/k", "/v1.0/shutdown", "/", "/v1.0/metadata/x")

    def answers(make: Callable[..., Sidecar]) -> tuple[object, ...]:
        port = free_port()
        flags = ("--dapr-public-port", str(port), "--dapr-public-listen-address", "127.0.0.1")
        with make(tmp_path, MEMORY, flags=flags):
            until(partial(_accepts, port), what="the public port answers")
            asked = [ask(port, "GET", path) for path in paths]
            noted = ask(port, "PUT", "/v1.0/metadata/x", "y")
            return *asked, noted, ask(port, "GET", "/v1.0/metadata").json["extended"]["x"]

    theirs = recorded("the public port", lambda daprd_binary: answers(partial(Daprd, daprd_binary)), of="daprd_binary")
    mine = data(answers(Sidecar))

    assert mine == theirs
    assert mine[-1] == "y"


def test_socket_files_take_the_place_of_ports(tmp_path: Path) -> None:
    """With --unix-domain-socket both transports are served from files, which are gone after the end."""
    with Sidecar(tmp_path, MEMORY, flags=("--unix-domain-socket", str(tmp_path))) as server:
        path = tmp_path / "dapr-app-http.socket"
        saved = ask(str(path), "POST", "/v1.0/state/mem", '[{"key":"k","value":1}]')
        found = ask(str(path), "GET", "/v1.0/state/mem/k")
        there = sorted(each.name for each in tmp_path.glob("*.socket"))
        with pytest.raises(ConnectionRefusedError):
            Socket(server.http_port)

    assert (saved.code, found.body) == (204, b"1")
    assert there == ["dapr-app-grpc.socket", "dapr-app-http.socket"]
    assert list(tmp_path.glob("*.socket")) == []


def test_the_shutdown_call_ends_the_sidecar(tmp_path: Path) -> None:
    """204 first, then a clean end; with force, an end at once and status 1."""
    with Sidecar(tmp_path, MEMORY) as gentle:
        asked = ask(gentle.http_port, "POST", "/v1.0/shutdown")
        clean = gentle.wait()
    with Sidecar(tmp_path, MEMORY) as forced:
        pressed = ask(forced.http_port, "POST", "/v1.0/shutdown", dapr_force_shutdown="TRUE")
        hard = forced.wait()

    assert (asked.code, clean, pressed.code, hard) == (204, 0, 204, 1)


def test_metadata_is_the_same_over_both_transports(tmp_path: Path, grpc_server: str) -> None:
    """What is noted over one is read over the other, and both name the component and what it can do."""
    with Sidecar(tmp_path, MEMORY, grpc_server=grpc_server) as server, server.client() as client:
        ask(server.http_port, "PUT", "/v1.0/metadata/a%2Fb", "noted")
        over_grpc = client.metadata().response
        over_http = ask(server.http_port, "GET", "/v1.0/metadata").json

    assert over_http["id"] == over_grpc["id"] == "app"
    assert over_http["extended"] == over_grpc["extended_metadata"]
    assert over_http["extended"] == {"a/b": "noted", "daprRuntimeVersion": "1.18.1"}
    assert over_http["components"] == over_grpc["registered_components"]
    assert over_http["components"][0]["capabilities"][-1] == "ACTOR"


def _accepts(port: int) -> bool:
    try:
        Socket(port).raw.close()
    except OSError:
        return False
    return True
