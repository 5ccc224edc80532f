"""What one sidecar is told to do: flags and environment, checked and converted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import Struct, field

from dapr_state.golang import strconv
from dapr_state.golang.duration import format_duration
from dapr_state.golang.quantity import parse_bytes
from dapr_state.resources.properties import is_truthy
from dapr_state.runtime.host_address import host_address
from dapr_state.security.origins import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dapr_state.runtime.flags import Parsed

_PROTOCOLS: Final = frozenset({"http", "https", "h2c", "grpc", "grpcs"})
_WITH_TLS: Final = {"http": "https", "grpc": "grpcs"}
_INIT_ENDPOINTS: Final = frozenset({"config", "subscribe"})
_GRPC_SERVERS: Final = ("native", "grpcio")
_CONSOLE: Final = frozenset({"off", "read", "write"})
_DEFAULT_GRACE: Final = 5
_DEFAULT_PROBE_INTERVAL: Final = 5
_DEFAULT_PROBE_TIMEOUT: Final = 500
_DEFAULT_THRESHOLD: Final = 3
_THRESHOLD_END: Final = 1 << 31


class OptionsError(ValueError):
    """The sidecar cannot start with these options; the text is daprd's last log line."""


class Options(Struct, frozen=True, kw_only=True):
    """Durations are seconds, sizes are bytes, an empty tuple or text is "not given"."""

    app_id: str = "dapr-state"
    namespace: str = ""
    mode: str = "standalone"
    resources_paths: tuple[str, ...] = ()
    config_paths: tuple[str, ...] = ()

    http_port: int = 3500
    grpc_port: int = 50001
    grpc_server: str = "native"
    # daprd listens on every interface; a database without a password should not
    listen_addresses: tuple[str, ...] = ("127.0.0.1",)
    internal_grpc_port: int | None = None
    internal_grpc_listen_address: str = ""
    public_port: int | None = None
    public_listen_address: str = ""
    unix_domain_socket: str = ""
    allowed_hosts: str = ""
    allowed_origins: str = ""
    max_body_size: int = 4 << 20
    read_buffer_size: int = 4 << 10
    max_request_memory: int = 32 << 20  # 0 and below: no limit
    max_concurrent_queries: int = 16  # of one store: each may go through all of it; daprd has no bound
    http2: bool = True  # on the HTTP port
    console: str = "read"  # or "off", or "write"
    console_port: int | None = None  # None: on the HTTP port
    console_scope: str = "application"  # or "store": what other applications keep there is shown as well
    api_token: str = ""

    app_port: int = 0  # 0: the application is not called
    app_protocol: str = "http"
    app_channel_address: str = "127.0.0.1"
    app_max_concurrency: int = 0  # 0: no limit
    app_api_token: str = ""
    app_health_check: bool = False
    app_health_check_path: str = "/healthz"
    app_health_probe_interval: float = 5.0
    app_health_probe_timeout: float = 0.5
    app_health_threshold: int = 3
    disable_init_endpoints: frozenset[str] = frozenset()

    placement_addresses: tuple[str, ...] = ()
    scheduler_addresses: tuple[str, ...] = ()
    scheduler_job_streams: int = 3
    disseminate_timeout: float = 30.0
    mtls: bool = False  # between sidecars, and to the control plane
    trust_anchors: str = ""  # PEM
    trust_anchors_file: str = ""  # of them, instead: it is watched
    sentry_address: str = ""
    sentry_token_file: str = ""
    control_plane_trust_domain: str = "localhost"
    control_plane_namespace: str = "default"

    test_mode: bool = False

    api_logging: bool | None = None  # None: the Configuration decides
    metrics: bool = True
    metrics_port: int = 9090
    metrics_listen_address: str = "127.0.0.1"  # daprd: every interface
    profiling: bool = False
    profile_port: int = 7777

    graceful_shutdown_seconds: int = 5  # 0: wait for ever
    block_shutdown_duration: float | None = None

    idle_flags: tuple[str, ...] = ()  # given, and without effect
    given: Mapping[str, object] = field(default_factory=dict)  # flags that say another thing than their default

    # what components may refer to
    environment: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Options(app_id={self.app_id!r})"  # tokens and variables are secrets

    @classmethod
    def of(cls, flags: Parsed, environ: Mapping[str, str]) -> Options:
        """Check in daprd's order, so that of several mistakes the same one is named."""
        max_body_size = _size(flags, "max-body-size", "dapr-http-max-request-size", 20)
        read_buffer_size = _size(flags, "read-buffer-size", "dapr-http-read-buffer-size", 10)
        max_request_memory = _quantity(flags, "max-request-memory")
        if flags["actors-disseminate-timeout"] <= 0:
            shown = format_duration(flags["actors-disseminate-timeout"])
            raise OptionsError(
                "Failed to parse flags: "
                f"invalid value for 'actors-disseminate-timeout' option: must be positive, got {shown}"
            )

        control_plane = _control_plane(flags, environ)
        _check_app_id(flags["app-id"])
        http_port = _port(flags, "dapr-http-port", "dapr-http-port flag")
        grpc_port = _port(flags, "dapr-grpc-port", "dapr-grpc-port flag")
        profile_port = _port(flags, "profile-port", "profile-port flag")
        # "0" is a port of the sidecar's own choice
        internal_grpc_port = _optional_port(flags, "dapr-internal-grpc-port") or None
        public_port = _optional_port(flags, "dapr-public-port")
        app_port = _optional_port(flags, "app-port") or 0
        for name, port in (("dapr-http-port", http_port), ("dapr-grpc-port", grpc_port)):
            if port and port == app_port:  # 0 is one of the system's choice; daprd refuses that for want of an app-port
                raise _fatal(f"the '{name}' argument value {port} conflicts with 'app-port'")
        app_protocol = _app_protocol(flags)
        disable_init_endpoints = _init_endpoints(flags)
        interval, timeout, threshold = _probe(flags)
        _check_mode(flags["mode"])
        if flags["scheduler-job-streams"] == 0:
            raise _fatal("must define at least 1 scheduler stream, got 0")
        metrics_port = _metrics_port(flags)

        listen_addresses = _split(flags["dapr-listen-addresses"]) or ("127.0.0.1",)
        console = _console(flags, listen_addresses, has_token=bool(environ.get("DAPR_API_TOKEN")))
        if flags["test-mode"]:
            console = _of_test(flags, listen_addresses, console)

        grace = flags["dapr-graceful-shutdown-seconds"]
        scheduler_addresses = _scheduler(flags, environ)
        return cls(
            app_id=flags["app-id"],
            namespace=environ.get("NAMESPACE", ""),
            mode=flags["mode"],
            resources_paths=_resources_paths(flags),
            config_paths=flags["config"],
            http_port=http_port,
            grpc_port=grpc_port,
            grpc_server=_grpc_server(flags["grpc-server"]),
            listen_addresses=listen_addresses,
            internal_grpc_port=internal_grpc_port,
            internal_grpc_listen_address=flags["dapr-internal-grpc-listen-address"],
            public_port=public_port,
            public_listen_address=flags["dapr-public-listen-address"],
            unix_domain_socket=flags["unix-domain-socket"],
            allowed_hosts=flags["allowed-hosts"],
            allowed_origins=flags["allowed-origins"],
            max_body_size=max_body_size,
            read_buffer_size=read_buffer_size,
            max_request_memory=max_request_memory,
            max_concurrent_queries=max(1, flags["max-concurrent-queries"]),
            api_token=environ.get("DAPR_API_TOKEN", ""),
            http2=not is_truthy(environ.get("DAPR_HTTP_DISABLE_H2C", "")),
            console=console,
            console_port=_optional_port(flags, "console-port"),
            console_scope=_one_of(flags, "console-scope", "application", "store"),
            app_port=app_port,
            app_protocol=app_protocol,
            app_channel_address=flags["app-channel-address"],
            app_max_concurrency=max(0, flags["app-max-concurrency"]),
            app_api_token=environ.get("APP_API_TOKEN", ""),
            app_health_check=flags["enable-app-health-check"],
            app_health_check_path=flags["app-health-check-path"],
            app_health_probe_interval=interval,
            app_health_probe_timeout=timeout,
            app_health_threshold=threshold,
            disable_init_endpoints=disable_init_endpoints,
            placement_addresses=_placement(flags),
            scheduler_addresses=scheduler_addresses,
            scheduler_job_streams=flags["scheduler-job-streams"],
            idle_flags=flags.idle() + _idle_streams(flags, scheduler_addresses),
            given=flags.differing(),
            disseminate_timeout=flags["actors-disseminate-timeout"],
            mtls=flags["enable-mtls"],
            trust_anchors=environ.get("DAPR_TRUST_ANCHORS", ""),
            trust_anchors_file=environ.get("DAPR_TRUST_ANCHORS_FILE", ""),
            sentry_address=flags["sentry-address"],
            sentry_token_file=environ.get("DAPR_SENTRY_TOKEN_FILE", ""),
            control_plane_trust_domain=control_plane.trust_domain,
            control_plane_namespace=control_plane.namespace,
            test_mode=flags["test-mode"],
            api_logging=flags["enable-api-logging"] if "enable-api-logging" in flags.given else None,
            metrics=flags["enable-metrics"],
            metrics_port=metrics_port,
            metrics_listen_address=flags["metrics-listen-address"],
            profiling=flags["enable-profiling"],
            profile_port=profile_port,
            graceful_shutdown_seconds=grace if grace >= 0 else _DEFAULT_GRACE,
            block_shutdown_duration=(
                flags["dapr-block-shutdown-duration"] if "dapr-block-shutdown-duration" in flags.given else None
            ),
            environment=dict(environ) | _own_variables(flags["app-id"], app_port, environ),
        )


def _own_variables(app_id: str, app_port: int, environ: Mapping[str, str]) -> dict[str, str]:
    # daprd sets DAPR_… variables too, which no component may read
    return {"APP_ID": app_id, "APP_PORT": str(app_port), "HOST_ADDRESS": host_address(environ)}


def _fatal(text: str) -> OptionsError:
    return OptionsError(f"Fatal error from runtime: {text}")


_SIZE_UNSET: Final = -1  # daprd's word for the default, which is 4 of the deprecated flag's units


def _size(flags: Parsed, name: str, deprecated: str, shift: int) -> int:
    if deprecated in flags.given and name not in flags.given:
        size, scale = int(flags[deprecated]), shift
    else:
        size, scale = _quantity(flags, name), 0
    if size == _SIZE_UNSET:
        return 4 << shift
    return size << scale


def _quantity(flags: Parsed, name: str) -> int:
    try:
        return parse_bytes(flags[name])
    except ValueError as error:
        raise OptionsError(f"Failed to parse flags: invalid value for '{name}' option: {error}") from None


class _ControlPlane(NamedTuple):
    trust_domain: str
    namespace: str


def _control_plane(flags: Parsed, environ: Mapping[str, str]) -> _ControlPlane:
    found = _ControlPlane(
        _given(flags, "control-plane-trust-domain", environ, "DAPR_CONTROLPLANE_TRUST_DOMAIN"),
        _given(flags, "control-plane-namespace", environ, "DAPR_CONTROLPLANE_NAMESPACE"),
    )
    if not found.trust_domain:
        raise _fatal("control plane trust domain is required")
    if flags["enable-mtls"] and not (environ.get("DAPR_TRUST_ANCHORS") or environ.get("DAPR_TRUST_ANCHORS_FILE")):
        raise _fatal("trust anchors are required")
    if flags["enable-mtls"] and not flags["sentry-address"]:
        raise _fatal("failed to retrieve the initial identity: --sentry-address is missing")
    return found


def _given(flags: Parsed, name: str, environ: Mapping[str, str], variable: str) -> str:
    """A flag, or the variable where the flag is not given."""
    return str(flags[name] if name in flags.given else environ.get(variable, flags[name]))


def _check_app_id(app_id: str) -> None:
    if not app_id:
        raise _fatal("parameter app-id cannot be empty")
    if "." in app_id:
        raise _fatal("parameter app-id cannot contain dots")


def _check_mode(mode: str) -> None:
    if mode == "kubernetes":
        raise _fatal("mode kubernetes is not available in dapr-state: use --mode standalone")
    if mode != "standalone":
        raise _fatal(f"invalid mode: {mode}")


def _of_test(flags: Parsed, addresses: Iterable[str], console: str) -> str:
    """What the administration API, which serves the test, may do."""
    for address in addresses:
        if not is_loopback(address):
            raise _fatal(f"--test-mode lets every caller empty the stores: it does not listen on {address}")
    if console == "off":
        raise _fatal("--test-mode is served by the administration API: leave out --console off")
    if flags["scheduler-host-address"]:
        raise _fatal("--test-mode cannot move the time of Dapr's scheduler: leave out --scheduler-host-address")
    return console if "console" in flags.given else "write"


def _port(flags: Parsed, name: str, shown: str) -> int:
    try:
        return strconv.atoi(flags[name])
    except ValueError as error:
        raise _fatal(f"error parsing {shown}: {error}") from None


def _optional_port(flags: Parsed, name: str) -> int | None:
    return _port(flags, name, name) if flags[name] else None


def _metrics_port(flags: Parsed) -> int:
    try:
        return strconv.atoi(flags["metrics-port"])
    except ValueError as error:
        if flags["enable-metrics"]:
            raise _fatal(f"failed to parse metrics port: {error}") from None
        return 0


def _app_protocol(flags: Parsed) -> str:
    protocol = flags["app-protocol"].lower() or "http"
    if protocol not in _PROTOCOLS:
        raise _fatal(f"invalid value for 'app-protocol': {flags['app-protocol']}")
    return _WITH_TLS.get(protocol, protocol) if flags["app-ssl"] else str(protocol)


def _grpc_server(kind: str) -> str:
    if kind.lower() not in _GRPC_SERVERS:
        raise _fatal(f"invalid value for 'grpc-server': {kind}: use {' or '.join(_GRPC_SERVERS)}")
    return kind.lower()


def _console(flags: Parsed, listen_addresses: Iterable[str], *, has_token: bool) -> str:
    """Where others can reach it, it is there only if somebody says so, and has a token."""
    given: str = flags["console"].lower()
    if given and given not in _CONSOLE:
        raise _fatal(f"invalid value for 'console': {flags['console']}: use off, read or write")
    is_local = all(map(is_loopback, listen_addresses))
    if given in {"read", "write"} and not is_local and not has_token:
        raise _fatal(
            f"--console {given} would show all that is kept to whoever reaches {flags['dapr-listen-addresses']}: "
            "set DAPR_API_TOKEN, or listen on 127.0.0.1"
        )
    return given or ("read" if is_local else "off")


def _one_of(flags: Parsed, name: str, *values: str) -> str:
    given: str = flags[name].lower()
    if given not in values:
        raise _fatal(f"invalid value for '{name}': {flags[name]}: use {' or '.join(values)}")
    return given


def _init_endpoints(flags: Parsed) -> frozenset[str]:
    endpoints = flags["disable-init-endpoints"]
    for endpoint in endpoints:
        if endpoint.lower() not in _INIT_ENDPOINTS:
            raise _fatal(f"invalid value for 'disable-init-endpoints': {endpoint}")
    return frozenset(endpoint.lower() for endpoint in endpoints)


def _probe(flags: Parsed) -> tuple[float, float, int]:
    interval = flags["app-health-probe-interval"]
    timeout = flags["app-health-probe-timeout"]
    threshold = flags["app-health-threshold"]
    interval = interval if interval > 0 else _DEFAULT_PROBE_INTERVAL
    timeout = timeout if timeout > 0 else _DEFAULT_PROBE_TIMEOUT
    if timeout > interval * 1000:
        raise _fatal("value for 'health-probe-timeout' must be smaller than 'health-probe-interval'")
    return float(interval), timeout / 1000, threshold if 1 <= threshold < _THRESHOLD_END else _DEFAULT_THRESHOLD


def _resources_paths(flags: Parsed) -> tuple[str, ...]:
    # the first dapr command lines, and today's plain `dapr run`, still say --components-path
    paths: tuple[str, ...] = flags["resources-path"]
    return paths or ((flags["components-path"],) if flags["components-path"] else ())


def _placement(flags: Parsed) -> tuple[str, ...]:
    # deprecated, yet daprd still listens to it
    kind, _, addresses = flags["actors-service"].partition(":")
    if "placement-host-address" in flags.given or kind != "placement":
        addresses = flags["placement-host-address"]
    return _split(addresses)


def _scheduler(flags: Parsed, environ: Mapping[str, str]) -> tuple[str, ...]:
    if not flags["scheduler-host-address"]:
        return _split(environ.get("DAPR_SCHEDULER_HOST_ADDRESS_DNS_A", ""))
    given = (address.strip().strip("\"'").strip() for address in flags["scheduler-host-address"])
    return tuple(address for address in given if address)  # with a blank in quotes, daprd's users turn it off


def _idle_streams(flags: Parsed, addresses: tuple[str, ...]) -> tuple[str, ...]:
    is_idle = "scheduler-job-streams" in flags.given and not addresses
    return ("--scheduler-job-streams (no scheduler is given)",) if is_idle else ()


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
