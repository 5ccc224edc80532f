"""The flags of `serve`: their table, and daprd's rules for reading a command line."""

from __future__ import annotations

import csv
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct, field

from dapr_state.golang import strconv
from dapr_state.golang.duration import format_duration, parse_duration
from dapr_state.golang.quoting import quote

if TYPE_CHECKING:
    from collections.abc import Sequence


class Kind(Enum):
    """What a flag's text is read as; the name is the one that the usage shows."""

    TEXT = "string"
    INT = "int"
    UINT = "uint"
    BOOL = ""
    DURATION = "duration"
    LIST = "strings"


class Flag(Struct, frozen=True):
    """One flag; a deprecated one still works, says so, and is absent from the usage.

    `idle` says why one has no effect here though it has in daprd: it is told at the start.
    """

    name: str
    kind: Kind
    default: Any
    about: str = ""
    deprecated: str = ""
    idle: str = ""


class UsageError(ValueError):
    """The command line is not understood, or asks for help."""

    @property
    def wants_help(self) -> bool:
        return str(self) == _HELP


class Parsed(Struct):
    """The values of all flags, and which of them were given."""

    values: dict[str, Any]
    given: set[str] = field(default_factory=set)
    deprecations: list[str] = field(default_factory=list)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def differing(self) -> dict[str, Any]:
        """Those that were given, and not as they are anyway."""
        return {
            flag.name: self[flag.name] for flag in FLAGS if flag.name in self.given and self[flag.name] != flag.default
        }

    def idle(self) -> tuple[str, ...]:
        """The flags that were given and have no effect, each with the reason."""
        return tuple(f"--{flag.name} ({flag.idle})" for flag in FLAGS if flag.idle and flag.name in self.given)


_HELP: Final = "pflag: help requested"
_NO_EFFECT: Final = "flag no longer has any effect"
_NO_OPERATOR: Final = "only Kubernetes has an operator"
_NO_TOKENS: Final = "nothing here shows such tokens"
_NO_PROFILES: Final = "there are no profiles"

FLAGS: Final = (
    Flag("actors-disseminate-timeout", Kind.DURATION, 30.0, "How long one round of the actor placement may take"),
    Flag("actors-service", Kind.TEXT, "", deprecated=_NO_EFFECT),
    Flag("allowed-hosts", Kind.TEXT, "", "Host names beside localhost that HTTP requests may be for, CSV or *"),
    Flag("allowed-origins", Kind.TEXT, "", "Origins that browsers may call from, CSV or *; empty turns CORS off"),
    Flag("app-channel-address", Kind.TEXT, "127.0.0.1", "Host of the application"),
    Flag("app-health-check-path", Kind.TEXT, "/healthz", "Path of the application's health check; HTTP only"),
    Flag("app-health-probe-interval", Kind.INT, 5, "Seconds between two health checks of the application"),
    Flag("app-health-probe-timeout", Kind.INT, 500, "Milliseconds that a health check of the application may take"),
    Flag("app-health-threshold", Kind.INT, 3, "Failed checks in a row that make the application unhealthy"),
    Flag("app-id", Kind.TEXT, "dapr-state", "Name of the application; it prefixes the keys of its state"),
    Flag("app-max-concurrency", Kind.INT, -1, "Calls to the application at a time; -1 for no limit"),
    Flag("app-port", Kind.TEXT, "", "Port of the application; empty when it is not called"),
    Flag("app-protocol", Kind.TEXT, "http", "How the application is called: grpc, grpcs, http, https, h2c"),
    Flag("app-ssl", Kind.BOOL, default=False, deprecated="use '--app-protocol https|grpcs'"),
    Flag("build-info", Kind.BOOL, default=False, about="Print how this was built, and exit"),
    Flag("components-path", Kind.TEXT, "", deprecated="use --resources-path"),
    Flag("config", Kind.LIST, (), "Configuration file; may be given several times"),
    Flag(
        "console",
        Kind.TEXT,
        "",
        "Page and API that show what is kept: off, read or write; empty for read if only this machine can reach it",
    ),
    Flag("console-port", Kind.TEXT, "", "Serve the console and its API here, and not on the port of the HTTP API"),
    Flag("console-scope", Kind.TEXT, "application", "Whose keys they show: application, or store for all there are"),
    Flag("control-plane-address", Kind.TEXT, "", "Address of a Dapr control plane", idle=_NO_OPERATOR),
    Flag("control-plane-namespace", Kind.TEXT, "default", "Namespace of the Dapr control plane, in its certificates"),
    Flag(
        "control-plane-trust-domain", Kind.TEXT, "localhost", "Trust domain of the control plane, in its certificates"
    ),
    Flag("dapr-block-shutdown-duration", Kind.DURATION, 0.0, "Serve on for so long after a signal to stop"),
    Flag("dapr-graceful-shutdown-seconds", Kind.INT, 5, "Seconds for what is in flight at the end"),
    Flag("dapr-grpc-port", Kind.TEXT, "50001", "Port of the gRPC API"),
    Flag("dapr-http-max-request-size", Kind.INT, -1, deprecated="use '--max-body-size 4Mi'"),
    Flag("dapr-http-port", Kind.TEXT, "3500", "Port of the HTTP API"),
    Flag("dapr-http-read-buffer-size", Kind.INT, -1, deprecated="use '--read-buffer-size 4Ki'"),
    Flag("dapr-internal-grpc-listen-address", Kind.TEXT, "", "Listen address between sidecars"),
    Flag("dapr-internal-grpc-port", Kind.TEXT, "", "Port between sidecars"),
    Flag("dapr-listen-addresses", Kind.TEXT, "", "Addresses to listen on, CSV; empty for 127.0.0.1 only"),
    Flag("dapr-public-listen-address", Kind.TEXT, "", "Listen address of the public port"),
    Flag("dapr-public-port", Kind.TEXT, "", "Extra port for health and metadata only"),
    Flag("disable-builtin-k8s-secret-store", Kind.BOOL, default=False, about="No effect outside Kubernetes"),
    Flag("disable-init-endpoints", Kind.LIST, (), "Do not ask the application at the start: config, subscribe"),
    Flag("enable-api-logging", Kind.BOOL, default=False, about="Log every call"),
    Flag("enable-app-health-check", Kind.BOOL, default=False, about="Check the application's health"),
    Flag("enable-metrics", Kind.BOOL, default=True, about="Serve Prometheus metrics"),
    Flag(
        "enable-mtls",
        Kind.BOOL,
        default=False,
        about="Secure traffic with sidecars and control plane; sentry's root in DAPR_TRUST_ANCHORS",
    ),
    Flag("enable-profiling", Kind.BOOL, default=False, about="Serve profiles", idle=_NO_PROFILES),
    Flag("grpc-server", Kind.TEXT, "native", "What serves the gRPC API: native, or grpcio (slower; grpc's own)"),
    Flag("log-as-json", Kind.BOOL, default=False, about="Log lines as JSON"),
    Flag("log-file", Kind.TEXT, "", "Append log lines to this file instead of printing them"),
    Flag("log-level", Kind.TEXT, "info", "debug, info, warn, error or fatal"),
    Flag(
        "max-body-size",
        Kind.TEXT,
        "4Mi",
        "Largest request, as a Kubernetes quantity; one of 50Mi holds all others up for 90 to 300 ms",
    ),
    Flag("max-concurrent-queries", Kind.INT, 16, "queries of one store at one time; more are refused"),
    Flag("max-request-memory", Kind.TEXT, "32Mi", "Of all large requests at one time; others wait. 0: no limit"),
    Flag("metrics-listen-address", Kind.TEXT, "127.0.0.1", "Listen address of the metrics; 0.0.0.0: every interface"),
    Flag("metrics-port", Kind.TEXT, "9090", "Port of the metrics"),
    Flag("mode", Kind.TEXT, "standalone", "Only standalone is available"),
    Flag("placement-host-address", Kind.TEXT, "", "Addresses of Dapr's placement service, CSV"),
    Flag("profile-port", Kind.TEXT, "7777", "Port of the profiles", idle=_NO_PROFILES),
    Flag("read-buffer-size", Kind.TEXT, "4Ki", "Largest request head, as a Kubernetes quantity"),
    Flag("reminders-service", Kind.TEXT, "", deprecated=_NO_EFFECT),
    Flag("resources-path", Kind.LIST, (), "Folder with component files; without one, a durable SQLite 'statestore'"),
    Flag("scheduler-host-address", Kind.LIST, (), "Addresses of Dapr's scheduler service, which keeps reminders"),
    Flag("scheduler-job-streams", Kind.UINT, 3, "Streams to each scheduler"),
    Flag("sentry-address", Kind.TEXT, "", "Address of Dapr's certificate service"),
    Flag("sentry-request-jwt-audiences", Kind.LIST, (), "Audiences of tokens that sentry signs", idle=_NO_TOKENS),
    Flag("test-mode", Kind.BOOL, default=False, about="Let tests move the clock, empty the stores and put faults in"),
    Flag("unix-domain-socket", Kind.TEXT, "", "Folder for Unix sockets, which replace the ports"),
    Flag("version", Kind.BOOL, default=False, about="Print the version of the Dapr API, and exit"),
    Flag("wait", Kind.BOOL, default=False, about="Wait until a running sidecar is ready for its application"),
)
_BY_NAME: Final = {flag.name: flag for flag in FLAGS}


def parse(argv: Sequence[str]) -> Parsed:
    """Read a command line as daprd does; words that belong to no flag are ignored."""
    parsed = Parsed({flag.name: flag.default for flag in FLAGS})
    words = iter([_with_two_dashes(word) for word in argv])
    for word in words:
        if word == "--":
            break
        if word == "-h":
            raise UsageError(_HELP)
        if word.startswith("--"):
            name, equals, text = word[2:].partition("=")
            flag = _find(word, name)
            if not equals:
                text = "true" if flag.kind is Kind.BOOL else _argument(flag, next(words, None))
            _store(parsed, flag, text)
        elif word.startswith("-") and word != "-":
            raise UsageError(f"unknown shorthand flag: '{word[1]}' in {word}")
    return parsed


def usage() -> str:
    """Render the table of flags, as daprd's library prints it."""
    rows = [(f"      --{flag.name} {flag.kind.value}".rstrip(), flag) for flag in FLAGS if not flag.deprecated]
    width = max(len(left) for left, _ in rows) + 3
    return "\n".join(f"{left:<{width}}{flag.about}{_default(flag)}" for left, flag in rows)


def _with_two_dashes(word: str) -> str:
    # "-app-id" and "-log-level=debug" are long flags; there are no short ones but -h
    return "-" + word if len(word) > 2 and word[0] == "-" != word[1] else word  # noqa: PLR2004 - "-1" is a number


def _find(word: str, name: str) -> Flag:
    if not name or name.startswith("-"):
        raise UsageError(f"bad flag syntax: {word}")
    if name in _BY_NAME:
        return _BY_NAME[name]
    raise UsageError(_HELP if name == "help" else f"unknown flag: --{name}")


def _argument(flag: Flag, word: str | None) -> str:
    if word is None:
        raise UsageError(f"flag needs an argument: --{flag.name}")
    return word


def _store(parsed: Parsed, flag: Flag, text: str) -> None:
    try:
        value = _convert(flag.kind, text)
    except ValueError as error:
        raise UsageError(f'invalid argument {quote(text)} for "--{flag.name}" flag: {error}') from None
    if flag.kind is Kind.LIST and flag.name in parsed.given:
        value = parsed[flag.name] + value
    parsed.values[flag.name] = value
    parsed.given.add(flag.name)
    if flag.deprecated:
        parsed.deprecations.append(f"Flag --{flag.name} has been deprecated, {flag.deprecated}")


def _convert(kind: Kind, text: str) -> Any:
    match kind:
        case Kind.INT:
            return strconv.parse_int(text, base=0)
        case Kind.UINT:
            return strconv.parse_uint(text, base=0)
        case Kind.BOOL:
            return strconv.parse_bool(text)
        case Kind.DURATION:
            return parse_duration(text)
        case Kind.LIST:
            return _split_csv(text)
        case Kind.TEXT:
            return text


def _split_csv(text: str) -> tuple[str, ...]:
    try:
        return tuple(next(csv.reader([text], strict=True), ()))
    except csv.Error:
        column = len(text) + 1
        raise ValueError(f'parse error on line 1, column {column}: extraneous or missing " in quoted-field') from None


def _default(flag: Flag) -> str:
    match flag.kind:
        case Kind.DURATION if flag.default:
            return f" (default {format_duration(flag.default)})"
        case Kind.TEXT if flag.default:
            return f" (default {quote(flag.default)})"
        case Kind.BOOL if flag.default:
            return " (default true)"
        case Kind.INT | Kind.UINT:
            return f" (default {flag.default})"
        case _:
            return ""
