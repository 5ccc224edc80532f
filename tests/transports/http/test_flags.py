"""What the flags of the HTTP port do, beside daprd: origins, the public port, socket files."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.support.components import component
from tests.support.http import Answer, Socket, ask
from tests.support.processes import free_port
from tests.support.sidecar import Daprd, Sidecar
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEMORY = [component("mem", "state.in-memory")]
LIST = "https://a.com,https://*.b.com"


@dataclass(frozen=True)
class Pair:
    ours: Sidecar
    theirs: Daprd
    allowed: str

    def ask(self, method: str, path: str, **headers: str) -> tuple[Answer, Answer]:
        return ask(self.ours.http_port, method, path, **headers), ask(self.theirs.http_port, method, path, **headers)


@pytest.fixture(scope="module", params=["*", LIST])
def browsers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, daprd_binary: Path
) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("cors")
    flags = ("--allowed-origins", request.param)
    with (
        Sidecar(folder, MEMORY, flags=flags) as ours,
        Daprd(daprd_binary, folder, MEMORY, flags=flags) as theirs,
    ):
        yield Pair(ours, theirs, request.param)


ORIGINS = ("https://a.com", "https://x.b.com", "https://b.com", "https://evil.com", "HTTPS://A.COM", "null")
UNLISTED = frozenset({"https://b.com", "https://evil.com", "null"})


@pytest.mark.oracle
@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("path", ["/v1.0/state/mem/k", "/nowhere", "/v1.0/healthz"])
def test_an_origin_is_answered_as_daprd_does(path: str, origin: str, browsers: Pair) -> None:
    """On any path, with the same headers; but where daprd leaves it to the browser, an unlisted one is refused."""
    ours, theirs = browsers.ask("GET", path, Origin=origin)

    if browsers.allowed == LIST and origin in UNLISTED:
        assert ours.code == 403
        assert ours.header("Vary") == theirs.header("Vary")
        assert ours.header("Access-Control-Allow-Origin") is theirs.header("Access-Control-Allow-Origin") is None
    else:
        assert ours == theirs


@pytest.mark.oracle
@pytest.mark.parametrize("origin", ORIGINS[:4])
@pytest.mark.parametrize("method", ["POST", "delete", "FOO", "OPTIONS"])
def test_a_preflight_is_answered_as_daprd_does(method: str, origin: str, browsers: Pair) -> None:
    """Whatever the path, and before any token."""
    wanted = {"Access_Control_Request_Method": method, "Access_Control_Request_Headers": "x-one, Content-type"}
    ours, theirs = browsers.ask("OPTIONS", "/any/path", Origin=origin, **wanted)

    assert ours == theirs


@pytest.mark.oracle
def test_what_only_looks_like_a_preflight(browsers: Pair) -> None:
    """Without an origin, or without the method that is asked for."""
    halves: list[dict[str, str]] = [
        {},
        {"Origin": "https://a.com"},
        {"Access_Control_Request_Method": "PUT"},
        {"Origin": "https://a.com", "Access_Control_Request_Method": ""},
        {"Origin": "https://a.com", "Access_Control_Request_Method": "PUT"},
    ]
    pairs = [browsers.ask("OPTIONS", "/v1.0/state/mem/k", **half) for half in halves]

    assert [ours for ours, _ in pairs] == [theirs for _, theirs in pairs]


@pytest.mark.oracle
def test_the_public_port_shows_health_and_metadata_only(tmp_path: Path, daprd_binary: Path) -> None:
    """No state there, no shutdown, and the words of Go for what is missing."""
    paths = ("/v1.0/healthz", "/v1.0/healthz/outbound", "/v1.0/state/mem/k", "/v1.0/shutdown", "/", "/v1.0/metadata/x")
    answers = []
    ports = free_port(), free_port()
    ours, theirs = (("--dapr-public-port", str(port), "--dapr-public-listen-address", "127.0.0.1") for port in ports)
    servers = Sidecar(tmp_path, MEMORY, flags=ours), Daprd(daprd_binary, tmp_path, MEMORY, flags=theirs)
    for server, port in zip(servers, ports, strict=True):
        with server:
            until(partial(_accepts, port), what="the public port answers")
            answers.append([ask(port, "GET", path) for path in paths] + [ask(port, "PUT", "/v1.0/metadata/x", "y")])
            noted = ask(port, "GET", "/v1.0/metadata").json["extended"]["x"]

    assert answers[0] == answers[1]
    assert noted == "y"


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
