"""How a sidecar ends: what becomes of the calls under way, in what order it closes, and with which exit code."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import threading
from typing import TYPE_CHECKING, Any, Self

import pytest

from dapr_state.runtime import echo
from dapr_state.runtime.echo import Echo
from dapr_state.runtime.options import Options
from dapr_state.runtime.servers import Servers
from dapr_state.transports.middleware import Middleware
from tests.support.client import Client, item
from tests.support.components import component
from tests.support.http import Socket, ask, request
from tests.support.processes import free_port
from tests.support.rawapp import RawApp
from tests.support.redis import RedisServer
from tests.support.sidecar import GRPC_SERVERS, Sidecar
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEMORY = component("mem", "state.in-memory")
SAVE = '[{"key":"%s","value":1}]'
# grpcio cancels the calls that it has received and not yet begun
REFUSALS = {
    "native": {"UNAVAILABLE", "connection closed"},
    "grpcio": {"UNAVAILABLE", "connection closed", "CANCELLED"},
}


def messages(sidecar: Sidecar) -> list[str]:
    return [found.replace('\\"', '"') for found in re.findall(r'msg="((?:[^"\\]|\\.)*)"', sidecar.log())]


def health(sidecar: Sidecar, path: str = "healthz") -> tuple[int, str]:
    answer = ask(sidecar.http_port, "GET", f"/v1.0/{path}")
    return answer.code, answer.json["message"] if answer.body else ""


def lite(folder: Path) -> dict[str, object]:
    return component("lite", "state.sqlite", connectionString=str(folder / "state.db"))


class Early:
    """A server whose calls do not end: it gives them up when the event loop rings, which is a little early."""

    async def stop(self, grace: float) -> None:
        rings = asyncio.Event()
        asyncio.get_running_loop().call_later(grace - 0.001, rings.set)
        await rings.wait()


async def test_a_grace_that_ends_a_little_early_has_ended() -> None:
    """Calls that were given up are never taken for answered ones."""
    servers = Servers(Options(), Middleware())
    servers._running.append(Early())  # type: ignore[arg-type]

    assert not await servers.stop(0.01)


def test_the_lines_of_a_life_come_in_the_order_of_daprd(tmp_path: Path) -> None:
    """From the banner to the last word, what scripts look for in the log is there, in daprd's words and order."""
    with Sidecar(tmp_path, [MEMORY]) as sidecar:
        code = sidecar.stop()

    said = messages(sidecar)
    expected = [
        "Starting Dapr Runtime -- version 1.18.1",
        "Log level set to: info",
        "loading default configuration",
        "Enabled features: HotReload WorkflowsRemoteActivityReminder",
        "standalone mode configured",
        "app id: app",
        "metrics server started on 127.0.0.1:",
        "Loading components…",
        "Component loaded: mem (state.in-memory/v1)",
        "All outstanding components processed",
        f"gRPC server listening on TCP address: 127.0.0.1:{sidecar.grpc_port}",
        f"API gRPC server is running on port {sidecar.grpc_port}",
        f"HTTP server listening on TCP address: 127.0.0.1:{sidecar.http_port}",
        f"HTTP server is running on port {sidecar.http_port}",
        "dapr initialized. Status: Running. Init Elapsed ",
        "Received signal 'terminated'; beginning shutdown",
        "Dapr is shutting down",
        f"Closing HTTP server 127.0.0.1:{sidecar.http_port}…",
        "Shutting down component mem (state.in-memory/v1)",
        "Dapr runtime stopped",
        "Daprd shutdown gracefully",
    ]
    places = [next((at for at, line in enumerate(said) if line.startswith(text)), text) for text in expected]
    assert code == 0
    assert places == sorted(places, key=lambda place: (isinstance(place, str), place))
    assert said[-1] == expected[-1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    """SIGTERM and SIGINT alike end with status 0."""
    with Sidecar(tmp_path, [MEMORY]) as sidecar:
        sidecar.signal(number)

        assert sidecar.wait() == 0


class Writers:
    """Threads that write one key after another until they are refused; `kept` are the acknowledged keys."""

    def __init__(self, sidecar: Sidecar) -> None:
        self._sidecar = sidecar
        self.kept: list[str] = []
        self.refusals: list[str] = []
        kinds = (self._over_http, self._over_grpc)
        self._threads = [threading.Thread(target=kind, args=(number,)) for number in range(3) for kind in kinds]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in self._threads), "a call hangs"

    def _over_http(self, worker: int) -> None:
        count = 0
        with Socket(self._sidecar.http_port) as connection:
            while True:
                key = f"http-{worker}-{count}"
                try:
                    code = connection.send(request("POST", "/v1.0/state/lite", SAVE % key)).answer().code
                except ConnectionError:
                    self.refusals.append("connection closed")
                    return
                if code != 204:
                    self.refusals.append(str(code))
                    return
                self.kept.append(key)
                count += 1

    def _over_grpc(self, worker: int) -> None:
        count = 0
        with Client(self._sidecar.grpc_port) as client:
            while (reply := client.save("lite", item(key := f"grpc-{worker}-{count}", b"1"))).ok:
                self.kept.append(key)
                count += 1
        self.refusals.append(reply.code)


def test_a_stop_under_load_keeps_what_was_acknowledged(tmp_path: Path, grpc_server: str) -> None:
    """Over both transports every call is answered or refused, and no acknowledged write is lost."""
    with Sidecar(tmp_path, [lite(tmp_path)], grpc_server=grpc_server) as sidecar:
        with Writers(sidecar) as writers:
            until(lambda: len(writers.kept) > 500)
            code = sidecar.stop()
        sidecar.start()
        with sidecar.client() as client:
            missing = [
                key
                for start in range(0, len(writers.kept), 500)
                for key, row in zip(
                    writers.kept[start : start + 500],
                    client.bulk_get("lite", *writers.kept[start : start + 500]).response["items"],
                    strict=True,
                )
                if row.get("data") != b"1"
            ]

    assert (code, missing) == (0, [])
    assert set(writers.refusals) <= REFUSALS[grpc_server]


class Slow:
    """Two stores on a server that holds writes back, so that calls stay under way until it is let go."""

    def __init__(self, server: RedisServer) -> None:
        self.components = [component(name, "state.redis", redisHost=server.address) for name in ("one", "two")]
        self._control = server.client()
        self.outcomes: dict[str, str] = {}
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._control.close()

    def begin(self, sidecar: Sidecar) -> None:
        """Save over each transport, and return when both saves have come as far as the server."""
        self._control.client_pause(600_000, all=False)
        self._threads = [threading.Thread(target=call, args=(sidecar,)) for call in (self._over_http, self._over_grpc)]
        for thread in self._threads:
            thread.start()
        until(lambda: self._info()["blocked_clients"] == len(self._threads))

    def let_go(self) -> None:
        self._control.client_unpause()

    def settle(self) -> dict[str, str]:
        for thread in self._threads:
            thread.join(30)
        return self.outcomes

    def _info(self) -> dict[str, Any]:
        found: dict[str, Any] = self._control.info("clients")
        return found

    def _over_http(self, sidecar: Sidecar) -> None:
        try:
            self.outcomes["http"] = str(ask(sidecar.http_port, "POST", "/v1.0/state/one", SAVE % "k").code)
        except ConnectionError:
            self.outcomes["http"] = "closed"

    def _over_grpc(self, sidecar: Sidecar) -> None:
        with sidecar.client() as client:
            self.outcomes["grpc"] = client.save("two", item("k", b"1")).code


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Slow]:
    with RedisServer(tmp_path) as server, Slow(server) as made:
        yield made


def test_calls_under_way_are_answered_before_the_stores_close(tmp_path: Path, grpc_server: str, slow: Slow) -> None:
    """What was begun before the signal ends as if there had been none, on both transports."""
    flags = ["--dapr-graceful-shutdown-seconds", "0"]
    with Sidecar(tmp_path, slow.components, flags=flags, grpc_server=grpc_server) as sidecar:
        slow.begin(sidecar)
        sidecar.signal(signal.SIGTERM)
        until(lambda: "Dapr is shutting down" in sidecar.log())
        slow.let_go()
        code, outcomes = sidecar.wait(), slow.settle()

    assert outcomes == {"http": "204", "grpc": "OK"}
    assert code == 0


def test_calls_that_take_too_long_end_with_the_grace(tmp_path: Path, grpc_server: str, slow: Slow) -> None:
    """After --dapr-graceful-shutdown-seconds the process ends with status 1, and its callers know."""
    flags = ["--dapr-graceful-shutdown-seconds", "1"]
    with Sidecar(tmp_path, slow.components, flags=flags, grpc_server=grpc_server) as sidecar:
        slow.begin(sidecar)
        code, outcomes = sidecar.stop(), slow.settle()

    assert code == 1
    assert "Graceful shutdown timeout exceeded, forcing shutdown" in messages(sidecar)
    assert outcomes["http"] in {"500", "closed"}
    assert outcomes["grpc"] in {"UNAVAILABLE", "CANCELLED"}


def blocked(folder: Path, duration: str = "60s", grpc_server: str = GRPC_SERVERS[0]) -> Sidecar:
    flags = ["--dapr-block-shutdown-duration", duration]
    return Sidecar(folder, [MEMORY], flags=flags, grpc_server=grpc_server)


def test_a_blocked_stop_serves_on_and_is_not_healthy(tmp_path: Path, grpc_server: str) -> None:
    """During --dapr-block-shutdown-duration calls are answered, and healthz tells balancers to look elsewhere."""
    with blocked(tmp_path, "2s", grpc_server) as sidecar, sidecar.client() as client:
        sidecar.signal(signal.SIGTERM)
        until(lambda: health(sidecar) == (500, "dapr is not ready: [security-provider]"))
        outbound, saved = health(sidecar, "healthz/outbound"), client.save("mem", item("k", b"v"))
        code = sidecar.wait()

    assert (outbound, saved.ok, code) == ((204, ""), True, 0)
    assert "Blocking graceful shutdown for 2s or until app reports unhealthy..." in messages(sidecar)
    assert "Block shutdown period expired, entering shutdown..." in messages(sidecar)


def watched(folder: Path, app: RawApp) -> Sidecar:
    """With this application, whose first failed probe counts, and a stop that is put off for long."""
    flags = ["--app-port", str(app.port), "--dapr-block-shutdown-duration", "60s", "--enable-app-health-check"]
    flags += ["--app-health-probe-interval", "1", "--app-health-threshold", "1"]
    return Sidecar(folder, [MEMORY], flags=flags)


UNWELL = {"match": "healthz", "status": 503}


def test_a_blocked_stop_goes_on_when_the_application_is_unwell(tmp_path: Path) -> None:
    """An application that reports itself unwell during the block has seen to its callers: nothing is waited for."""
    with RawApp(tmp_path) as app, watched(tmp_path, app) as sidecar:
        until(lambda: "App entered healthy status" in sidecar.log())
        sidecar.signal(signal.SIGTERM)
        until(lambda: "Blocking graceful shutdown for 1m0s" in sidecar.log())
        app.obey(UNWELL)
        code = sidecar.wait()

    assert code == 0
    assert "App reported unhealthy, entering shutdown..." in messages(sidecar)


def test_a_stop_is_not_blocked_for_an_application_that_is_unwell(tmp_path: Path) -> None:
    """One that is unwell already when the signal comes, or was never well, has no callers to send elsewhere."""
    with RawApp(tmp_path) as app:
        app.obey(UNWELL)
        with watched(tmp_path, app) as sidecar:
            sidecar.signal(signal.SIGTERM)
            code = sidecar.wait()

    assert code == 0
    assert "App reported unhealthy, entering shutdown..." in messages(sidecar)


def test_a_stop_is_not_blocked_for_an_application_that_never_came(tmp_path: Path) -> None:
    """While its port is waited for, nobody can have called it."""
    flags = ["--app-port", str(free_port()), "--dapr-block-shutdown-duration", "60s"]
    sidecar = Sidecar(tmp_path, [MEMORY], flags=flags).launch()
    until(lambda: "waiting on port" in sidecar.log())
    code = sidecar.stop()

    assert code == 0
    assert "App reported unhealthy, entering shutdown..." in messages(sidecar)


def test_the_shutdown_call_is_not_put_off(tmp_path: Path) -> None:
    """POST /v1.0/shutdown skips the block, and ends one that has begun."""
    with blocked(tmp_path) as at_once, blocked(tmp_path) as begun:
        begun.signal(signal.SIGTERM)
        until(lambda: "Blocking graceful shutdown for 1m0s" in begun.log())
        for sidecar in (at_once, begun):
            ask(sidecar.http_port, "POST", "/v1.0/shutdown")
        codes = at_once.wait(), begun.wait()

    assert codes == (0, 0)
    assert "Blocking" not in at_once.log()


def test_the_shutdown_call_over_grpc_is_answered_first(tmp_path: Path, grpc_server: str) -> None:
    """`Shutdown` answers its caller, and then the sidecar ends with status 0."""
    with Sidecar(tmp_path, [MEMORY], grpc_server=grpc_server) as sidecar, sidecar.client() as client:
        reply = client.call("Shutdown", b"")
        code = sidecar.wait()

    assert (reply.code, code) == ("OK", 0)


def test_the_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    """Whoever asks twice does not wait: status 1, and the log says why."""
    with blocked(tmp_path) as sidecar:
        sidecar.signal(signal.SIGTERM)
        until(lambda: "Blocking" in sidecar.log())
        sidecar.signal(signal.SIGINT)
        code = sidecar.wait()

    assert code == 1
    assert messages(sidecar)[-1] == "Received signal 'interrupt' during shutdown; exiting immediately"


def test_another_signal_is_a_second_one_however_soon_it_comes(tmp_path: Path) -> None:
    """A script that sends SIGTERM and then SIGINT has asked twice."""
    with blocked(tmp_path) as sidecar:
        sidecar.signal(signal.SIGTERM)
        sidecar.signal(signal.SIGINT)

        assert sidecar.wait() == 1


def test_an_echo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same signal, a moment later; another one, or the same a little later, is a wish of its own."""
    now = 0.0
    monkeypatch.setattr(echo.WAITING, "monotonic", lambda: now)
    heard = Echo()
    first, same, other = (heard.is_heard(each) for each in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT))
    now = echo.ECHO

    assert (first, same, other, heard.is_heard(signal.SIGTERM)) == (False, True, False, False)


def test_a_signal_that_comes_twice_at_once_is_one(tmp_path: Path) -> None:
    """`timeout` signals the process and its group: that is one wish to stop, and it ends cleanly."""
    with Sidecar(tmp_path, [MEMORY], flags=["--dapr-block-shutdown-duration", "1s"]) as sidecar:
        sidecar.signal(signal.SIGTERM)
        sidecar.signal(signal.SIGTERM)

        assert sidecar.wait() == 0


def test_a_hangup_restarts_inside_the_process(tmp_path: Path, grpc_server: str) -> None:
    """SIGHUP reads all files again, changes that hot reload refuses included; the process stays the same."""
    with Sidecar(tmp_path, [lite(tmp_path)], grpc_server=grpc_server) as sidecar, sidecar.client() as client:
        client.save("lite", item("k", b"v"))
        sidecar.signal(signal.SIGHUP)
        until(lambda: messages(sidecar).count("standalone mode configured") == 2)
        until(lambda: sidecar.log().count("dapr initialized. Status: Running") == 2)
        found = until(lambda: client.get("lite", "k").response)
        code = sidecar.stop()

    assert found["data"] == b"v"
    assert code == 0
    assert messages(sidecar).count("Daprd shutdown gracefully") == 1
    assert "Received signal 'hangup'; restarting" in messages(sidecar)


def test_a_stop_after_a_hangup_is_a_stop(tmp_path: Path) -> None:
    """SIGTERM while a restart is put off makes it the end, with status 0."""
    with blocked(tmp_path, duration="1s") as sidecar:
        sidecar.signal(signal.SIGHUP)
        until(lambda: "Blocking" in sidecar.log())
        sidecar.signal(signal.SIGTERM)

        assert sidecar.wait() == 0


def test_the_application_is_waited_for(tmp_path: Path) -> None:
    """Until the app answers what it hosts the sidecar serves it and says that it is not ready; then it is."""
    app = RawApp(tmp_path)
    sidecar = Sidecar(tmp_path, [MEMORY], flags=["--app-port", str(app.port)]).launch()
    try:
        until(lambda: "waiting on port" in sidecar.log())
        waiting, outbound = health(sidecar), health(sidecar, "healthz/outbound")
        saved = ask(sidecar.http_port, "POST", "/v1.0/state/mem", SAVE % "k").code
        with app:
            sidecar.wait_ready()
            ready = health(sidecar)
    finally:
        sidecar.close()

    not_ready = "dapr is not ready: [internal-placement-service runtime]"
    assert (waiting, outbound, saved) == ((500, not_ready), (204, ""), 204)
    assert ready == (204, "")
    assert f"application discovered on port {app.port}" in messages(sidecar)


def test_a_stop_while_a_port_is_busy_is_obeyed(tmp_path: Path) -> None:
    """SIGTERM ends the wait for a port cleanly."""
    sidecar = Sidecar(tmp_path, [MEMORY])
    with socket.create_server(("127.0.0.1", sidecar.http_port)):
        sidecar.launch()
        until(lambda: "Failed to listen for HTTP server" in sidecar.log())
        code = sidecar.stop()

    assert code == 0
    assert messages(sidecar)[-1] == "Daprd shutdown gracefully"


def test_a_stop_while_the_application_is_absent_is_obeyed(tmp_path: Path) -> None:
    """SIGTERM ends the wait for the application cleanly."""
    sidecar = Sidecar(tmp_path, [MEMORY], flags=["--app-port", str(free_port())]).launch()
    until(lambda: "waiting on port" in sidecar.log())

    assert sidecar.stop() == 0
    assert messages(sidecar)[-1] == "Daprd shutdown gracefully"
