"""dapr.yaml: what it says arrives in each sidecar's flags and each application's variables, and several run as one."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from dapr_state.runtime.run.runfile import RunFileError, read
from tests.runtime.run.runs import APP, Started, processes, run
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc: run it on Linux")


def _write(folder: Path, text: str) -> Path:
    path = folder / "dapr.yaml"
    path.write_text(text)
    return path


def _plan(folder: Path, app: str = "", common: str = "") -> tuple[list[str], dict[str, str], tuple[str, ...]]:
    """The sidecar's flags, the application's variables, and the remarks, of a file with one application."""
    (folder / "web").mkdir(exist_ok=True)
    lines = ["version: 1", "common: {" + common + "}", "apps:", "- {appDirPath: web, " + app + "}"]
    file = read(str(_write(folder, "\n".join(lines))), {"HOME": str(folder)})
    (plan,) = file.plans
    return [*plan.sidecar], {**plan.environment, **plan.overriding}, file.remarks


@pytest.mark.parametrize(
    ("key", "flag"),
    [
        ("appID: x", "--app-id=x"),
        ("appPort: 80", "--app-port=80"),
        ("appChannelAddress: h", "--app-channel-address=h"),
        ("daprHTTPPort: 5", "--dapr-http-port=5"),
        ("daprGRPCPort: 6", "--dapr-grpc-port=6"),
        ("daprInternalGRPCPort: 7", "--dapr-internal-grpc-port=7"),
        ("metricsPort: 8", "--metrics-port=8"),
        ("appProtocol: grpc", "--app-protocol=grpc"),
        ("apiListenAddresses: '::1'", "--dapr-listen-addresses=::1"),
        ("logLevel: debug", "--log-level=debug"),
        ("appMaxConcurrency: 2", "--app-max-concurrency=2"),
        ("placementHostAddress: p", "--placement-host-address=p"),
        ("schedulerHostAddress: s", "--scheduler-host-address=s"),
        ("appSSL: true", "--app-ssl=true"),
        ("enableAppHealthCheck: true", "--enable-app-health-check=true"),
        ("enableApiLogging: true", "--enable-api-logging=true"),
        ("maxBodySize: 8Mi", "--max-body-size=8Mi"),
        ("readBufferSize: 8Ki", "--read-buffer-size=8Ki"),
        ("appHealthCheckPath: /h", "--app-health-check-path=/h"),
        ("appHealthProbeInterval: 3", "--app-health-probe-interval=3"),
        ("appHealthProbeTimeout: 4", "--app-health-probe-timeout=4"),
        ("appHealthThreshold: 5", "--app-health-threshold=5"),
    ],
)
def test_a_key_is_the_sidecars_flag(tmp_path: Path, key: str, flag: str) -> None:
    """Each, as it is written."""
    assert flag in _plan(tmp_path, key)[0]


def test_what_stands_in_no_file(tmp_path: Path) -> None:
    """The id is the folder's name; ports are found; metrics are off."""
    flags, variables, remarks = _plan(tmp_path)

    assert set(flags) >= {"--app-id=web", "--dapr-http-port=0", "--dapr-grpc-port=0", "--enable-metrics=false"}
    assert variables == {"APP_ID": "web", "APP_CHANNEL_ADDRESS": "127.0.0.1", "APP_PROTOCOL": "http"}
    assert remarks == ()


def test_what_all_have_in_common(tmp_path: Path) -> None:
    """A key that the application has wins, whatever its value; variables are merged one by one."""
    common = "enableApiLogging: true, logLevel: info, env: {A: 1, B: true}"
    flags, variables, _ = _plan(tmp_path, "enableApiLogging: false, env: {B: '2', APP_ID: mine}", common)

    assert set(flags) >= {"--enable-api-logging=false", "--log-level=info"}
    assert (variables["A"], variables["B"], variables["APP_ID"]) == ("1", "2", "mine")


@pytest.mark.parametrize(
    ("own", "common", "usual", "found"),
    [
        ("resourcesPaths: [r, s]", "resourcesPaths: [c]", True, ["web/r", "web/s"]),
        ("", "resourcesPaths: [c]", True, ["web/.dapr/resources"]),
        ("", "resourcesPaths: [c]", False, ["c"]),
        ("resourcesPath: r", "", False, ["web/r"]),
        ("", "", False, []),
    ],
)
def test_where_components_are(tmp_path: Path, own: str, common: str, found: list[str], *, usual: bool) -> None:
    """Its own, else the usual place beside it, else those of all; each relative to what it belongs to."""
    for name in ("web/r", "web/s", "c", *(["web/.dapr/resources"] if usual else [])):
        (tmp_path / name).mkdir(parents=True)
    flags, _, _ = _plan(tmp_path, own, common)

    assert [flag for flag in flags if "resources" in flag] == [f"--resources-path={tmp_path / each}" for each in found]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("apps: []", "required field 'version' not found in the provided run template file"),
        ("version: 1", "No apps to run"),
        ("version: 1\napps: [{appID: x}]", "apps[0]: required field 'appDirPath' not found"),
        ("version: 1\napps: [{appDirPath: nowhere}]", "no such file or directory"),
        ("version: 1\napps: [{appDirPath: ., appPort: x}]", "apps[0].appPort: is no whole number"),
        ("version: 1\napps: [{appDirPath: ., appPort: 70000}]", "apps[0].appPort: 70000 is no port"),
        ("version: 1\napps: [{appDirPath: ., env: [A=1]}]", "apps[0].env: is no mapping"),
        ("version: 1\napps: [{appDirPath: ., resourcesPaths: x}]", "apps[0].resourcesPaths: is no list of texts"),
        ("version: 1\napps: [{appDirPath: ., appLogDestination: syslog}]", "invalid log destination type: syslog"),
        ("version: 1\napps: [{appDirPath: ., command: [no-such]}]", "apps[0].command: no-such: not found"),
        ("version: 1\napps: [", "line "),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, text: str, reason: str) -> None:
    """It is looked through before anything starts; the text says where."""
    with pytest.raises(RunFileError) as raised:
        read(str(_write(tmp_path, text)), {"HOME": str(tmp_path), "PATH": os.environ["PATH"]})

    assert reason in str(raised.value)


def test_what_has_no_effect_is_said(tmp_path: Path) -> None:
    """A file that the dapr command runs is run."""
    remarks = _plan(tmp_path, "appport: 1, containerImage: x", "colour: red")[2]

    assert remarks == (
        "common.colour is unknown and has no effect",
        "apps[0].appport is unknown and has no effect: did you mean appPort?",
        "apps[0].containerImage has no effect here",
    )


FILE = """
version: 1
name: shop
common: {{env: {{COMMON: yes please}}}}
apps:
- {{appDirPath: web, command: ["{python}", "{app}", {web}]}}
- {{appDirPath: billing, command: "{python} {app} {billing}", daprdLogDestination: console, logLevel: debug}}
"""


def _shop(folder: Path, web: str, billing: str) -> str:
    for name in ("web", "billing"):
        (folder / name).mkdir()
    return str(_write(folder, FILE.format(python=sys.executable, app=APP, web=web, billing=billing)))


@linux
def test_two_applications(tmp_path: Path) -> None:
    """Each line says whose it is, in a file they are as they were written; all end with 0, and so does the run."""
    path = _shop(tmp_path, '"shows", "APP_ID", "COMMON"', "calls")
    done = run(tmp_path, "-f", path, XDG_STATE_HOME=str(tmp_path))

    assert done.returncode == 0
    assert sorted(done.stdout.splitlines()) == [
        "billing │ status 204",
        "web     │ APP_ID=web",
        "web     │ COMMON=yes please",
    ]
    assert "billing/dapr │ " in done.stderr
    assert "web/dapr │ " not in done.stderr
    assert (tmp_path / "dapr-state/logs/shop/web_app.log").read_text() == "APP_ID=web\nCOMMON=yes please\n"
    assert (tmp_path / "dapr-state/logs/shop/web_daprd.log").exists()


@linux
def test_one_that_fails_ends_the_others(tmp_path: Path) -> None:
    """Its code is that of the run."""
    done = run(tmp_path, "-f", _shop(tmp_path, '"waits"', "ends 7"))

    assert done.returncode == 7
    assert "billing: the application ended with 7" in done.stderr


@linux
@pytest.mark.parametrize("how", ["signal", "stop", "kill"])
def test_the_end_of_all(tmp_path: Path, how: str) -> None:
    """By a signal, by `stop -f`, and when the run itself is killed: nothing is left."""
    path = _shop(tmp_path, '"saves"', "saves")
    with Started(tmp_path, "-f", path) as started:
        until(lambda: started.text.count("waiting") == 2)
        if how == "stop":
            stopped = started.ask("stop", "-f", path)
        else:
            started.send(signal.SIGINT if how == "signal" else signal.SIGKILL)
        code = started.code()
        until(lambda: not processes(started.pid))

    assert code == (-signal.SIGKILL if how == "kill" else 0)
    assert how != "stop" or stopped == (0, "")


@linux
def test_one_of_several_is_stopped(tmp_path: Path) -> None:
    """The other goes on."""
    path = _shop(tmp_path, '"saves"', "waits")
    with Started(tmp_path, "-f", path) as started:
        until(lambda: started.text.count("waiting") == 2 and started.text.count("up and running") == 2, 30)
        stopped = started.ask("stop", "web")
        left = started.ask("list", "-o", "yaml")[1]
        started.send(signal.SIGTERM)
        code = started.code()

    assert stopped == (0, "")
    assert [line for line in left.splitlines() if "appId" in line] == ['- appId: "billing"']
    assert code == 143
