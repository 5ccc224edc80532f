"""Flags and environment, checked and converted."""

from __future__ import annotations

from typing import Any

import pytest

from dapr_state.runtime import flags
from dapr_state.runtime.options import Options, OptionsError

LOCAL = {"DAPR_HOST_IP": "127.0.0.1"}


def _options(*argv: str, **environ: str) -> Options:
    return Options.of(flags.parse(argv), LOCAL | environ)


@pytest.mark.parametrize(
    ("argv", "field", "value"),
    [
        ([], "app_id", "dapr-state"),
        (["--app-id", "x y"], "app_id", "x y"),
        ([], "listen_addresses", ("127.0.0.1",)),
        (["--dapr-listen-addresses", "0.0.0.0, [::1],"], "listen_addresses", ("0.0.0.0", "[::1]")),
        ([], "metrics_listen_address", "127.0.0.1"),
        (["--metrics-listen-address", "0.0.0.0"], "metrics_listen_address", "0.0.0.0"),
        ([], "max_request_memory", 32 << 20),
        (["--max-request-memory", "1Gi"], "max_request_memory", 1 << 30),
        (["--max-request-memory", "0"], "max_request_memory", 0),
        ([], "max_concurrent_queries", 16),
        (["--max-concurrent-queries", "2"], "max_concurrent_queries", 2),
        (["--max-concurrent-queries", "0"], "max_concurrent_queries", 1),
        ([], "console", "read"),
        (["--console", "WRITE"], "console", "write"),
        (["--dapr-listen-addresses", "127.0.0.2,[::1],localhost"], "console", "read"),
        (["--dapr-listen-addresses", "127.0.0.1,0.0.0.0"], "console", "off"),
        (["--console-port", "3600"], "console_port", 3600),
        ([], "http_port", 3500),
        (["--dapr-grpc-port", "+50002"], "grpc_port", 50002),
        (["--dapr-internal-grpc-port", "50003"], "internal_grpc_port", 50003),
        (["--dapr-internal-grpc-port", "0"], "internal_grpc_port", None),
        ([], "public_port", None),
        (["--dapr-public-port", "3501"], "public_port", 3501),
        ([], "app_port", 0),
        (["--app-protocol", "GRPC"], "app_protocol", "grpc"),
        (["--app-protocol", ""], "app_protocol", "http"),
        (["--app-ssl"], "app_protocol", "https"),
        (["--app-ssl", "--app-protocol", "h2c"], "app_protocol", "h2c"),
        (["--app-max-concurrency", "-1"], "app_max_concurrency", 0),
        (["--app-max-concurrency", "7"], "app_max_concurrency", 7),
        ([], "max_body_size", 4 << 20),
        (["--max-body-size", "8Mi"], "max_body_size", 8 << 20),
        (["--max-body-size", "-1"], "max_body_size", 4 << 20),
        (["--dapr-http-max-request-size", "-1"], "max_body_size", 4 << 20),
        (["--read-buffer-size", "-1"], "read_buffer_size", 4 << 10),
        (["--dapr-http-max-request-size", "8"], "max_body_size", 8 << 20),
        (["--dapr-http-max-request-size", "8", "--max-body-size", "1Ki"], "max_body_size", 1024),
        (["--dapr-http-read-buffer-size", "8"], "read_buffer_size", 8192),
        (["--components-path", "a"], "resources_paths", ("a",)),
        (["--components-path", "a", "--resources-path", "b,c"], "resources_paths", ("b", "c")),
        (["--config", "a", "--config", "b"], "config_paths", ("a", "b")),
        (["--placement-host-address", " "], "placement_addresses", ()),
        (["--placement-host-address", "h:1,h:2"], "placement_addresses", ("h:1", "h:2")),
        (["--actors-service", "placement:h:1"], "placement_addresses", ("h:1",)),
        (["--actors-service", "placement:h:1", "--placement-host-address", "g:1"], "placement_addresses", ("g:1",)),
        (["--actors-service", "other:h:1"], "placement_addresses", ()),
        ([], "api_logging", None),
        (["--enable-api-logging"], "api_logging", True),
        (["--enable-api-logging=false"], "api_logging", False),
        (["--app-health-probe-interval", "0"], "app_health_probe_interval", 5.0),
        (["--app-health-probe-timeout", "250"], "app_health_probe_timeout", 0.25),
        (["--app-health-threshold", "0"], "app_health_threshold", 3),
        (["--app-health-threshold", "2147483648"], "app_health_threshold", 3),
        (
            ["--disable-init-endpoints", "CONFIG,subscribe"],
            "disable_init_endpoints",
            frozenset({"config", "subscribe"}),
        ),
        (["--dapr-graceful-shutdown-seconds", "-1"], "graceful_shutdown_seconds", 5),
        (["--dapr-graceful-shutdown-seconds", "0"], "graceful_shutdown_seconds", 0),
        ([], "block_shutdown_duration", None),
        (["--dapr-block-shutdown-duration", "0"], "block_shutdown_duration", 0.0),
        (["--dapr-block-shutdown-duration", "1m"], "block_shutdown_duration", 60.0),
        (["--enable-metrics=false", "--metrics-port", "x"], "metrics_port", 0),
        (["--actors-disseminate-timeout", "1500ms"], "disseminate_timeout", 1.5),
    ],
)
def test_flags(argv: list[str], field: str, value: Any) -> None:
    """Each flag arrives in its field, converted; what is not given has its default."""
    assert getattr(_options(*argv), field) == value


@pytest.mark.parametrize(
    ("environ", "field", "value"),
    [
        ({"DAPR_API_TOKEN": "t"}, "api_token", "t"),
        ({"APP_API_TOKEN": "t"}, "app_api_token", "t"),
        ({"DAPR_HTTP_DISABLE_H2C": " True"}, "http2", False),
        ({"DAPR_HTTP_DISABLE_H2C": "no"}, "http2", True),
        ({"NAMESPACE": "prod"}, "namespace", "prod"),
        ({"DAPR_SCHEDULER_HOST_ADDRESS_DNS_A": "a:1,b:1"}, "scheduler_addresses", ("a:1", "b:1")),
        ({"DAPR_HTTP_PORT": "1", "DAPR_GRPC_PORT": "2"}, "http_port", 3500),
    ],
)
def test_environment(environ: dict[str, str], field: str, value: Any) -> None:
    """A few variables are read; ports are not among them."""
    assert getattr(_options(**environ), field) == value


@pytest.mark.parametrize(
    ("given", "addresses"),
    [
        (["a:1,b:2", "c:3"], ("a:1", "b:2", "c:3")),
        ([" a:1 , 'b:2'"], ("a:1", "b:2")),
        (["' '"], ()),
        ([""], ("e:1",)),
    ],
)
def test_addresses_of_schedulers(given: list[str], addresses: tuple[str, ...]) -> None:
    """Several lists, quotes and blanks around each; a blank in quotes is none, and nothing at all the variable's."""
    argv = [word for each in given for word in ("--scheduler-host-address", each)]

    assert _options(*argv, DAPR_SCHEDULER_HOST_ADDRESS_DNS_A="e:1").scheduler_addresses == addresses


@pytest.mark.parametrize(("scheduler", "idle"), [("a:1", 0), ("", 1)])
def test_streams_to_no_scheduler_have_no_effect(scheduler: str, idle: int) -> None:
    """That is told at the start; one that the environment names counts."""
    options = _options("--scheduler-job-streams", "2", DAPR_SCHEDULER_HOST_ADDRESS_DNS_A=scheduler)

    assert len(options.idle_flags) == idle


def test_a_flag_wins_over_the_environment() -> None:
    """The variable is a fallback."""
    options = _options("--scheduler-host-address", "f:1", DAPR_SCHEDULER_HOST_ADDRESS_DNS_A="e:1")

    assert options.scheduler_addresses == ("f:1",)


def test_components_may_refer_to_the_sidecar() -> None:
    """What the sidecar is called, and where, replaces inherited variables of the same name."""
    options = _options("--app-id", "a", "--app-port", "8080", APP_ID="inherited", OTHER="o")

    seen = {name: options.environment[name] for name in ("APP_ID", "APP_PORT", "HOST_ADDRESS", "OTHER")}

    assert seen == {"APP_ID": "a", "APP_PORT": "8080", "HOST_ADDRESS": "127.0.0.1", "OTHER": "o"}


RUNTIME = "Fatal error from runtime: "
PARSE = "Failed to parse flags: "
SYNTAX = "invalid syntax"
SHAPE = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


@pytest.mark.parametrize(
    ("argv", "error"),
    [
        (["--app-id", ""], RUNTIME + "parameter app-id cannot be empty"),
        (["--app-id", "a.b"], RUNTIME + "parameter app-id cannot contain dots"),
        (
            ["--dapr-http-port", "abc", "--dapr-grpc-port", "x"],
            f'{RUNTIME}error parsing dapr-http-port flag: strconv.Atoi: parsing "abc": {SYNTAX}',
        ),
        (
            ["--dapr-grpc-port", "", "--profile-port", "x"],
            f'{RUNTIME}error parsing dapr-grpc-port flag: strconv.Atoi: parsing "": {SYNTAX}',
        ),
        (
            ["--profile-port", "x", "--dapr-internal-grpc-port", "y"],
            f'{RUNTIME}error parsing profile-port flag: strconv.Atoi: parsing "x": {SYNTAX}',
        ),
        (
            ["--dapr-internal-grpc-port", "x", "--dapr-public-port", "y"],
            f'{RUNTIME}error parsing dapr-internal-grpc-port: strconv.Atoi: parsing "x": {SYNTAX}',
        ),
        (
            ["--dapr-public-port", "x", "--app-port", "y"],
            f'{RUNTIME}error parsing dapr-public-port: strconv.Atoi: parsing "x": {SYNTAX}',
        ),
        (
            ["--app-port", "x", "--app-protocol", "foo"],
            f'{RUNTIME}error parsing app-port: strconv.Atoi: parsing "x": {SYNTAX}',
        ),
        (["--metrics-port", "x"], f'{RUNTIME}failed to parse metrics port: strconv.Atoi: parsing "x": {SYNTAX}'),
        (
            ["--app-port", "3500"],
            f"{RUNTIME}the 'dapr-http-port' argument value 3500 conflicts with 'app-port'",
        ),
        (["--app-protocol", "foo", "--mode", "bar"], f"{RUNTIME}invalid value for 'app-protocol': foo"),
        (
            ["--disable-init-endpoints", "config,foo", "--app-health-probe-timeout", "5001"],
            f"{RUNTIME}invalid value for 'disable-init-endpoints': foo",
        ),
        (
            ["--app-health-probe-timeout", "5001"],
            f"{RUNTIME}value for 'health-probe-timeout' must be smaller than 'health-probe-interval'",
        ),
        (["--mode", "bar", "--scheduler-job-streams", "0"], f"{RUNTIME}invalid mode: bar"),
        (
            ["--scheduler-job-streams", "0", "--metrics-port", "x"],
            f"{RUNTIME}must define at least 1 scheduler stream, got 0",
        ),
        (["--control-plane-trust-domain", ""], f"{RUNTIME}control plane trust domain is required"),
        (["--enable-mtls"], f"{RUNTIME}trust anchors are required"),
        (
            ["--max-body-size", "x", "--app-id", ""],
            f"{PARSE}invalid value for 'max-body-size' option: {SHAPE}",
        ),
        (
            ["--read-buffer-size", "1.5"],
            f"{PARSE}invalid value for 'read-buffer-size' option: cannot get bytes from resource quantity value '1.5'",
        ),
        (
            ["--actors-disseminate-timeout", "0s"],
            f"{PARSE}invalid value for 'actors-disseminate-timeout' option: must be positive, got 0s",
        ),
    ],
)
def test_wrong_options(argv: list[str], error: str) -> None:
    """Daprd's text, and of several mistakes the one that daprd names."""
    with pytest.raises(OptionsError) as raised:
        _options(*argv)

    assert str(raised.value) == error


def test_what_is_not_available_is_refused() -> None:
    """What daprd can and this cannot is said with the way out, not ignored."""
    with pytest.raises(OptionsError, match=r"is not available in dapr-state: use --mode standalone$"):
        _options("--mode", "kubernetes")


def test_mtls_needs_somebody_who_signs() -> None:
    """Without sentry's address no certificate can ever come: that is told at once, and not waited for."""
    with pytest.raises(OptionsError, match="failed to retrieve the initial identity: --sentry-address is missing"):
        _options("--enable-mtls", DAPR_TRUST_ANCHORS="pem")


@pytest.mark.parametrize(
    ("argv", "environ", "found"),
    [
        ((), {}, ("localhost", "default")),
        ((), {"DAPR_CONTROLPLANE_TRUST_DOMAIN": "a", "DAPR_CONTROLPLANE_NAMESPACE": "b"}, ("a", "b")),
        (
            ("--control-plane-trust-domain=c", "--control-plane-namespace=d"),
            {"DAPR_CONTROLPLANE_TRUST_DOMAIN": "a", "DAPR_CONTROLPLANE_NAMESPACE": "b"},
            ("c", "d"),
        ),
    ],
)
def test_what_the_control_plane_is_called(
    argv: tuple[str, ...], environ: dict[str, str], found: tuple[str, str]
) -> None:
    """A flag is stronger than its variable."""
    options = _options(*argv, **environ)

    assert (options.control_plane_trust_domain, options.control_plane_namespace) == found


def test_the_repr_hides_tokens() -> None:
    """A log line with the options shows no token and nothing of the environment."""
    options = _options(DAPR_API_TOKEN="t0ken", APP_API_TOKEN="t0ken", PASSWORD="t0ken")

    assert "t0ken" not in repr(options)
