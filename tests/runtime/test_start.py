"""How a sidecar starts: the words that it says on the way, and those when it cannot."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.components import component, write_components
from tests.support.http import ask
from tests.support.processes import Process, free_port
from tests.support.sidecar import Daprd, Sidecar
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

MEMORY = component("mem", "state.in-memory")
INITIALIZED = "dapr initialized. Status: Running."
FEATURES = "Enabled features: "
RACING = "metrics server started"  # daprd starts it beside the rest: its place in the log is any


# Each takes 1 to 40 ms of a start, and most sidecars never need it.
LATER = {
    *("argparse", "asyncpg", "cryptography", "email", "h2", "hiredis", "http.client", "importlib.metadata"),
    *("google.protobuf", "grpc", "gzip", "dapr_state.admin", "dapr_state.transports.grpc"),
    *("importlib.resources", "multiprocessing", "opentelemetry", "shutil", "tempfile", "urllib.request", "yaml"),
    *(
        "grpc_reflection.v1alpha",
        "encodings.idna",
        "dapr_state.resources.configuration_files",
        "dapr_state.runtime.check",
    ),
    *("dapr_state.actors.scheduler.reminders", "dapr_state.runtime.cluster", "dapr_state.runtime.run"),
    *("dapr_state.stores.postgresql", "dapr_state.stores.redis"),
}
MOST = 480  # modules, with those of Python: 0.2 ms each and more
ANSWERS = "HTTP server is running on port "


def imported(folder: Path, *flags: str) -> set[str]:
    """What a sidecar has imported when it answers over HTTP."""
    (folder / "home").mkdir()
    ports = ["--dapr-http-port", "0", "--dapr-grpc-port", "0", "--enable-metrics=false"]
    words = [sys.executable, "-X", "importtime", "-m", "dapr_state", "serve", "--app-id", "app", *ports, *flags]
    process = Process(words, folder / "log", {"HOME": str(folder / "home"), "DAPR_HOST_IP": "127.0.0.1"}).launch()
    until(lambda: INITIALIZED in process.log())
    process.stop()
    until_then = process.log().partition(ANSWERS)[0]
    return set(re.findall(r"^import time: .*\| +(\S+)$", until_then, re.MULTILINE))


def test_a_start_imports_what_it_needs(tmp_path: Path) -> None:
    """What a flag, a file or a caller would ask for is not there yet, and the rest is not much."""
    modules = imported(tmp_path)

    assert LATER & modules == set()
    assert len(modules) < MOST, sorted(modules)


def test_files_cost_what_reads_them(tmp_path: Path) -> None:
    """YAML and the store that is named, and no other."""
    write_components(tmp_path / "resources", [MEMORY])
    modules = imported(tmp_path, "--resources-path", str(tmp_path / "resources"))

    assert LATER & modules == {"yaml"}
    assert "dapr_state.stores.sqlite" not in modules


def starting(folder: Path, *flags: str, environment: dict[str, str] | None = None) -> tuple[Process, int, int]:
    """A sidecar at the moment when HTTP answers; its ports for HTTP and gRPC."""
    ports = free_port(), free_port()
    flags = "--app-id", "app", "--dapr-http-port", str(ports[0]), "--dapr-grpc-port", str(ports[1]), *flags
    words = [sys.executable, "-m", "dapr_state", "serve", *flags, "--enable-metrics=false"]
    known = {"XDG_DATA_HOME": str(folder), "DAPR_HOST_IP": "127.0.0.1"} | (environment or {})
    process = Process(words, folder / "log", known).launch()
    until(lambda: ANSWERS in process.log())
    return process, *ports


@pytest.mark.parametrize("server", ["native", "grpcio"])
def test_the_first_calls_are_answered_whatever_they_ask(tmp_path: Path, server: str) -> None:
    """What is imported after the first answer is waited for by who asks for it, and nobody is turned away."""
    process, http_port, grpc_port = starting(tmp_path, "--grpc-server", server)
    with grpc.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
        health = health_pb2_grpc.HealthStub(channel).Check.future(health_pb2.HealthCheckRequest())
        overview = ask(http_port, "GET", "/dapr-state/v1/overview")
        unknown = ask(http_port, "GET", "/dapr-state/v1/nothing")
        status = health.result(timeout=20).status
    code = process.stop()

    assert (overview.status, unknown.status, code) == ("HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found", 0)
    assert b'"appId":"app"' in overview.body
    assert status == health_pb2.HealthCheckResponse.SERVING


def test_a_stop_in_the_middle_of_a_start_is_clean(tmp_path: Path) -> None:
    """What was to be served a moment later is waited for, and closed."""
    process, *_ = starting(tmp_path)

    assert process.stop() == 0
    assert "Traceback" not in process.log()


def test_a_package_that_does_not_fit_ends_the_start(tmp_path: Path) -> None:
    """A sidecar whose gRPC cannot be imported does not serve the rest, and says why."""
    broken = tmp_path / "path" / "grpc_health"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise RuntimeError('the package does not fit')")
    process, *_ = starting(tmp_path, environment={"PYTHONPATH": str(broken.parent)})

    assert process.wait() == 1
    assert "Fatal error from runtime: the package does not fit" in process.log()


COLLECTED = "garbage is looked for"
COUNTING = f"""
import gc, os, sys
gc.callbacks.append(lambda *_: gc.get_count()[0] > 5_000 and os.write(2, b"{COLLECTED}"))
from dapr_state.cli import main
sys.exit(main())
"""


def test_a_start_looks_for_no_garbage(tmp_path: Path) -> None:
    """It makes none, and to look through all that it has made takes a tenth of the time."""
    (tmp_path / "home").mkdir()
    ports = ["--dapr-http-port", "0", "--dapr-grpc-port", "0", "--enable-metrics=false"]
    words = [sys.executable, "-c", COUNTING, "serve", "--app-id", "app", *ports]
    process = Process(words, tmp_path / "log", {"HOME": str(tmp_path / "home"), "DAPR_HOST_IP": "127.0.0.1"}).launch()
    until(lambda: INITIALIZED in process.log())
    process.stop()

    assert COLLECTED not in process.log().partition(INITIALIZED)[0]


def said(log: str) -> list[str]:
    """The messages until it runs, without what differs from run to run."""
    until_running = log[: log.index(INITIALIZED) + len(INITIALIZED)] + '"'
    found = re.findall(r'msg="((?:[^"\\]|\\.)*)"', until_running)
    return [_steady(message) for message in found if not message.startswith(RACING)]


def _steady(message: str) -> str:
    if message.startswith(FEATURES):  # daprd names them in any order
        return FEATURES + " ".join(sorted(message.removeprefix(FEATURES).split()))
    return re.sub(r"\d{2,}", "N", message)


@pytest.mark.oracle
def test_a_start_is_told_as_daprd_tells_it(tmp_path: Path, daprd_binary: Path) -> None:
    """Of what we say most is what daprd says, word for word and in the same order."""
    with Sidecar(tmp_path, [MEMORY]) as ours, Daprd(daprd_binary, tmp_path, [MEMORY]) as theirs:
        first, second = said(ours.log()), said(theirs.log())
    shared = [message for message in first if message in second]

    assert shared == [message for message in second if message in shared]
    assert [message for message in first if message not in shared] == [first[0]]  # the version in the banner


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (
            component("x", "state.nope"),
            "process component x error: [INIT_COMPONENT_FAILURE]: initialization error occurred for x (state.nope/v1)",
        ),
        (component("x", "foo.bar"), "process component x error: incorrect type foo.bar"),
    ],
)
def test_a_component_that_cannot_start_ends_the_start(tmp_path: Path, document: dict[str, object], reason: str) -> None:
    """Status 1, and the last line has daprd's reason."""
    sidecar = Sidecar(tmp_path, [document]).launch()

    assert sidecar.wait() == 1
    assert f"Fatal error from runtime: {reason}" in sidecar.log().splitlines()[-1]


def test_a_missing_folder_ends_the_start(tmp_path: Path) -> None:
    """A mistyped --resources-path is named."""
    sidecar = Sidecar(tmp_path, flags=["--resources-path", "/nonexistent"]).launch()

    assert sidecar.wait() == 1
    assert "failed to load components: open /nonexistent: no such file or directory" in sidecar.log()


def test_a_key_that_cannot_be_used_ends_the_start(tmp_path: Path) -> None:
    """A store that shall be encrypted is never served without, and the key is not in the log."""
    (tmp_path / "secrets.json").write_text('{"k": "c0ffee"}')
    secrets = component("secrets", "secretstores.local.file", secretsFile=str(tmp_path / "secrets.json"))
    encrypted = component("mem", "state.in-memory") | {"auth": {"secretStore": "secrets"}}
    encrypted["spec"]["metadata"] = [{"name": "primaryEncryptionKey", "secretKeyRef": {"name": "k"}}]
    sidecar = Sidecar(tmp_path, [secrets, encrypted]).launch()

    assert sidecar.wait() == 1
    assert "primaryEncryptionKey: the key has 3 bytes; AES keys have 16, 24 or 32" in sidecar.log()
    assert "c0ffee" not in sidecar.log()


def test_a_default_store_without_a_place_says_what_to_do(tmp_path: Path) -> None:
    """Where the data folder cannot be made, the last line names the flag that helps."""
    flags = ["--app-id", "app", "--enable-metrics=false"]
    blocked = tmp_path / "a file"
    blocked.touch()
    command = [sys.executable, "-m", "dapr_state", "serve", *flags]
    process = Process(command, tmp_path / "log", {"XDG_DATA_HOME": str(blocked), "DAPR_HOST_IP": "127.0.0.1"}).launch()

    assert process.wait() == 1
    assert "give a component with --resources-path" in process.log().splitlines()[-1]


def test_a_denied_component_is_left_out(tmp_path: Path) -> None:
    """What the Configuration denies is neither served at start nor when its file is added later."""
    configuration = tmp_path / "config.yaml"
    configuration.write_text("spec: {components: {deny: [state.in-memory]}}")
    with Sidecar(tmp_path, [MEMORY], flags=["--config", str(configuration)]) as sidecar, sidecar.client() as client:
        write_components(
            sidecar.resources,
            [
                component("later", "state.in-memory"),
                component("lite", "state.sqlite", connectionString=str(tmp_path / "a.db")),
            ],
        )
        until(lambda: client.get("lite", "k").ok)
        found = [client.get(name, "k").ok for name in ("mem", "later")]

    assert found == [False, False]
