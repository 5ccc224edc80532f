"""What pytest loads in every run: fixtures, settings and checks. Nothing else is loaded until a test asks for it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from dapr_state.pytest.application import Applications
    from dapr_state.pytest.clock import Clock
    from dapr_state.pytest.sidecar import Dapr
    from dapr_state.pytest.starting import Sidecars

USED: Final = pytest.StashKey["list[Dapr]"]()  # the sidecars that a test has been given
PORTS: Final = pytest.StashKey[Any]()  # those that are kept for the sidecar
ENVIRONMENT: Final = pytest.StashKey["dict[str, str | None]"]()  # as it was
MARK: Final = "dapr(keep_state=False): keep_state leaves the state and the clock to the next test"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("dapr", "Dapr's State and Actors (dapr-state)")
    group.addoption(
        "--dapr-command", metavar="COMMAND", help="how the sidecar is started, as in 'uvx dapr-state serve'"
    )
    group.addoption("--dapr-http-port", type=int, metavar="PORT", help="of a sidecar that runs, for dapr_noproc")
    group.addoption("--dapr-grpc-port", type=int, metavar="PORT", help="the same")
    parser.addini("dapr_command", "how the sidecar is started", "args", [])
    parser.addini("dapr_env", "tell the SDKs in this process where the sidecar is", "bool", default=True)
    parser.addini("dapr_strict", "check at each test's end what the sidecar has seen", "bool", default=True)
    parser.addini("dapr_reset", "when the sidecar is emptied: function or module", default="function")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARK)
    if not config.getini("dapr_env") or _has_workers(config):
        return
    from dapr_state.pytest.ports import Ports, app_id_of  # noqa: PLC0415

    config.stash[PORTS] = ports = Ports(3)
    names = ("DAPR_HTTP_PORT", "DAPR_GRPC_PORT", "APP_PORT")
    wanted: dict[str, str] = {name: str(port) for name, port in zip(names, ports.numbers, strict=True)}
    wanted["APP_ID"] = app_id_of(config)
    # SDKs read them when they are imported: before the first test is known
    config.stash[ENVIRONMENT] = {name: os.environ.get(name) for name in (*wanted, "DAPR_API_TOKEN")}
    os.environ.pop("DAPR_API_TOKEN", None)
    os.environ.update(wanted)


def pytest_unconfigure(config: pytest.Config) -> None:
    for name, value in config.stash.get(ENVIRONMENT, {}).items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    if PORTS in config.stash:
        config.stash[PORTS].release()


def _has_workers(config: pytest.Config) -> bool:
    """Whether this process only hands tests out to others (xdist)."""
    return not hasattr(config, "workerinput") and bool(config.getoption("dist", "no") != "no")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """A test that has passed so far fails if the sidecar has seen what it should not."""
    yield
    funcargs = getattr(item, "funcargs", {})
    if "dapr_sidecar" in funcargs and "dapr" not in funcargs:
        funcargs["dapr_sidecar"].is_clean = False
    found = [sentence for dapr in item.stash.get(USED, []) for sentence in dapr.check()]
    if found:
        pytest.fail("\n".join(found), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:  # in a fixture, too: an application that is not registered
        for dapr in item.stash.get(USED, []):
            report.sections.append(("dapr sidecar", dapr.log))
    return report


def of_test(request: pytest.FixtureRequest, dapr: Dapr) -> Iterator[Dapr]:
    """The sidecar for one test: empty before it, checked and emptied after it."""
    mark = request.node.get_closest_marker("dapr")
    keeps = bool(mark and mark.kwargs.get("keep_state")) or request.config.getini("dapr_reset") == "module"
    dapr.is_strict = bool(request.config.getini("dapr_strict"))
    _begin(request, dapr, keeps=keeps)
    request.node.stash.setdefault(USED, []).append(dapr)
    try:
        yield dapr
    finally:
        request.node.stash[USED].remove(dapr)
        dapr.end(keep_state=keeps)


def _begin(request: pytest.FixtureRequest, dapr: Dapr, *, keeps: bool) -> None:
    """A test that keeps what others of its module have left finds it empty if it is the first of them."""
    module, _, _ = request.node.nodeid.partition("::")
    dapr.begin(keep_state=keeps and dapr.module == module)
    dapr.module = module


@pytest.fixture(scope="session")
def dapr_components() -> Sequence[Any]:
    """The component files of the session's sidecar: paths, texts, or `Component(...)`."""
    from dapr_state.pytest.components import DEFAULT  # noqa: PLC0415

    return (DEFAULT,)


@pytest.fixture(scope="session")
def dapr_config() -> Sequence[Any]:
    """Its Configuration files: paths, or texts."""
    return ()


@pytest.fixture(scope="session")
def dapr_sidecar_factory(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecars]:
    """More sidecars, or other ones: `start(components=…, flags=…, env=…, app_id=…)`."""
    from dapr_state.pytest.starting import Sidecars  # noqa: PLC0415

    sidecars = Sidecars(pytestconfig, tmp_path_factory.mktemp("dapr"))
    yield sidecars
    sidecars.close()


@pytest.fixture(scope="session")
def dapr_sidecar(
    pytestconfig: pytest.Config,
    dapr_sidecar_factory: Sidecars,
    dapr_components: Sequence[Any],
    dapr_config: Sequence[Any],
) -> Dapr:
    """The sidecar of this process, which nobody empties; it is started when it is first asked for."""
    return dapr_sidecar_factory.start(dapr_components, config=dapr_config, ports=pytestconfig.stash.get(PORTS, None))


@pytest.fixture
def dapr(request: pytest.FixtureRequest, dapr_sidecar: Dapr) -> Iterator[Dapr]:
    """The sidecar, empty, at the real time and without faults."""
    yield from of_test(request, dapr_sidecar)


@pytest.fixture
def dapr_clock(dapr: Dapr) -> Clock:
    """Its clock alone."""
    return dapr.clock


@pytest.fixture(scope="session")
def dapr_noproc(pytestconfig: pytest.Config) -> Iterator[Dapr]:
    """A sidecar that runs already, with --test-mode, at --dapr-http-port and --dapr-grpc-port."""
    from dapr_state.pytest.starting import running  # noqa: PLC0415

    found = running(pytestconfig)
    yield found
    found.close()


@pytest.fixture
def dapr_app(dapr: Dapr) -> Iterator[Applications]:
    """Serves the application under test to the sidecar, for one test."""
    yield from _served(dapr)


@pytest.fixture(scope="module")
def dapr_app_module(dapr_sidecar: Dapr) -> Iterator[Applications]:
    """The same for a module: the application goes on, and its actors end with each test."""
    yield from _served(dapr_sidecar)


@pytest.fixture(scope="session")
def dapr_app_session(dapr_sidecar: Dapr) -> Iterator[Applications]:
    yield from _served(dapr_sidecar)


def _served(dapr: Dapr) -> Iterator[Applications]:
    from dapr_state.pytest.application import Applications  # noqa: PLC0415

    applications = Applications(dapr)
    try:
        yield applications
    finally:
        applications.stop()
