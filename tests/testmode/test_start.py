"""What a sidecar says and does that was started with --test-mode, and what one does not that was not."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import grpc
import pytest
from dapr_state_proto.admin.v1 import admin_pb2, admin_pb2_grpc

from tests.support.components import component
from tests.support.rawapp import RawApp
from tests.support.sidecar import Sidecar
from tests.support.waiting import until
from tests.testmode.asking import ask
from tests.testmode.conftest import COMMAND, sidecar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dapr_state.pytest.sidecar import Dapr

CONFIG = {"entities": ["Cart"]}


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dapr]:
    store = component("statestore", "state.in-memory", actorStateStore="true")
    dapr = sidecar(tmp_path_factory.mktemp("started"), store)
    yield dapr
    dapr.close()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--dapr-listen-addresses", "0.0.0.0"), "it does not listen on 0.0.0.0"),
        (("--dapr-listen-addresses", "127.0.0.1,192.0.2.1"), "it does not listen on 192.0.2.1"),
        (("--console", "off"), "leave out --console off"),
        (("--scheduler-host-address", "127.0.0.1:50006"), "leave out --scheduler-host-address"),
    ],
)
def test_it_is_refused_where_it_would_be_open(flags: tuple[str, ...], sentence: str) -> None:
    """Beyond loopback anybody could empty the stores; and what cannot be moved or served is said at once."""
    done = subprocess.run([*COMMAND, "--test-mode", *flags], check=False, capture_output=True, text=True, timeout=30)

    assert done.returncode == 1
    assert sentence in done.stdout + done.stderr


def test_it_is_told(started: Dapr) -> None:
    """In one warning at the start, in the metadata, and in the overview."""
    assert started._process
    log = started._process.log()

    assert log.count("TEST MODE: whoever can call this sidecar") == 1
    assert started.metadata()["extended"]["testMode"] == "true"
    assert started._client.ask("GET", "overview")["testMode"] is True


def test_without_it_nothing_of_it_is_there(tmp_path: Path) -> None:
    """No route, no service, no word of it; though the administration API may write."""
    with Sidecar(tmp_path, [component("mem", "state.in-memory")], flags=["--console", "write"]) as plain:
        with grpc.insecure_channel(plain.address) as channel, pytest.raises(grpc.RpcError) as caught:
            admin_pb2_grpc.TestStub(channel).Reset(admin_pb2.ResetRequest())  # type: ignore[arg-type,no-untyped-call]
        done = subprocess.run(
            [sys.executable, "-c", NOT_LOADED], check=False, capture_output=True, text=True, timeout=30
        )

        assert caught.value.code() in {grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNKNOWN}
        assert "TEST MODE" not in plain.log()
    assert (done.returncode, done.stdout) == (0, "")


NOT_LOADED = """
import sys
import dapr_state.runtime.sidecar, dapr_state.runtime.servers
print(*(name for name in sys.modules if name.startswith("dapr_state.testmode")), end="")
"""


def test_it_is_served_over_grpc(started: Dapr) -> None:
    """The same calls as over HTTP."""
    with grpc.insecure_channel(started.grpc_address) as channel:
        test = admin_pb2_grpc.TestStub(channel)  # type: ignore[arg-type,no-untyped-call]
        request = admin_pb2.AdvanceRequest()
        request.by.FromSeconds(86_400)
        before = test.Clock(admin_pb2.ClockRequest()).now.ToNanoseconds()
        moved = test.Advance(request).now.ToNanoseconds() - before  # type: ignore[attr-defined]
        test.Reset(admin_pb2.ResetRequest())
        calls = test.Calls(admin_pb2.CallsRequest()).calls  # type: ignore[attr-defined]

    assert 0 <= moved - 86_400 * 10**9 < 60 * 10**9
    assert list(calls) == []


def test_an_application_may_come_and_go_and_change(started: Dapr, tmp_path: Path) -> None:
    """State is served meanwhile; what it hosts is known when it is asked anew, and its actors are not those before."""
    nobody = started.reload_app(), ask(started, "GET", "state/statestore/k")[0]
    with RawApp(tmp_path, CONFIG, port=started.app_port):
        first = started.reload_app()
        ask(started, "POST", "actors/Cart/1/method/Add", {})
        active = started.metadata()["actorRuntime"]["activeActors"]
    with RawApp(tmp_path, {"entities": ["Basket"]}, port=started.app_port):
        second = started.reload_app()
        status, answer = ask(started, "POST", "actors/Cart/1/method/Add", {})

    assert nobody == ([], 204)
    assert (first, active, second) == (["Cart"], [{"type": "Cart", "count": 1}], ["Basket"])
    assert status == 500
    assert "did not find address for actor" in answer["message"]
    assert started.reload_app() == []


def test_an_application_that_comes_is_found(tmp_path: Path) -> None:
    """By itself, where nobody says that it has come."""
    dapr = sidecar(tmp_path, component("statestore", "state.in-memory", actorStateStore="true"))
    try:
        with RawApp(tmp_path, CONFIG, port=dapr.app_port):
            until(lambda: dapr.metadata()["actorRuntime"].get("activeActors"), what="its types are known")
    finally:
        dapr.close()


def test_it_ends_with_its_input(tmp_path: Path) -> None:
    """Who has started it and is gone has let go of it; it stops as at a signal."""
    dapr = sidecar(tmp_path, component("statestore", "state.in-memory"))
    running = dapr._process._running  # type: ignore[union-attr]  # it has been started here
    assert running
    assert running.stdin
    running.stdin.close()

    assert running.wait(20) == 0
    dapr._client.close()
