"""The command line of `run`: Dapr's flags for it and our own, then the application's command."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class UsageError(ValueError):
    """The command line is not understood."""


@dataclass(frozen=True, slots=True)
class Flag:
    """`passed`: the sidecar is given it as it is. `is_switch`: it stands alone, or with =true or =false."""

    name: str
    about: str
    short: str = ""
    passed: bool = True
    is_switch: bool = False


FLAGS: Final = (
    Flag("app-id", "Name of the application; else that of the current folder", "a"),
    Flag("app-port", "Port of the application", "p"),
    Flag("app-protocol", "http, https, h2c, grpc or grpcs", "P"),
    Flag("app-channel-address", "Host of the application"),
    Flag("app-max-concurrency", "Calls to the application at a time"),
    Flag("dapr-http-port", "Port of the HTTP API; else 3500, or a free one", "H"),
    Flag("dapr-grpc-port", "Port of the gRPC API; else 50001, or a free one", "G"),
    Flag("dapr-internal-grpc-port", "Port between sidecars", "I"),
    Flag("metrics-port", "Port of the metrics, which are off otherwise", "M"),
    Flag("profile-port", "No effect", passed=False),
    Flag("enable-profiling", "No effect", passed=False, is_switch=True),
    Flag("config", "Configuration file; else ~/.dapr/config.yaml", "c"),
    Flag("resources-path", "Folder with component files; may be given several times"),
    Flag("components-path", "Deprecated: use --resources-path", "d"),
    Flag("app-ssl", "Deprecated: use --app-protocol https or grpcs", is_switch=True),
    Flag("placement-host-address", "Addresses of Dapr's placement service"),
    Flag("scheduler-host-address", "Addresses of Dapr's scheduler service"),
    Flag("log-level", "Of the sidecar: debug, info, warn, error or fatal; else warn"),
    Flag("log-as-json", "Log lines of the sidecar as JSON", is_switch=True),
    Flag("max-body-size", "Largest request, as a Kubernetes quantity"),
    Flag("read-buffer-size", "Largest request head, as a Kubernetes quantity"),
    Flag("enable-api-logging", "Log every call", is_switch=True),
    Flag("dapr-listen-addresses", "Addresses to listen on"),
    Flag("enable-app-health-check", "Check the application's health", is_switch=True),
    Flag("app-health-check-path", "Path of the health check"),
    Flag("app-health-probe-interval", "Seconds between two health checks"),
    Flag("app-health-probe-timeout", "Milliseconds that a health check may take"),
    Flag("app-health-threshold", "Failed checks in a row that make it unhealthy"),
    Flag("unix-domain-socket", "Folder for Unix sockets, which replace the ports", "u"),
    Flag("runtime-path", "Folder in which .dapr is looked for; else home", passed=False),
    Flag("app-grace", "Seconds that the application may take to end; else 10", passed=False),
    Flag("reload", "Start the application again when a file of it changes", passed=False, is_switch=True),
    Flag("reload-dir", "Folder in which changes count; else the current one; several times", passed=False),
    Flag("restart", "Start it again when it has ended: never, always, on-failure, on-failure:N", passed=False),
    Flag("print-env", "Start the sidecar alone, and print its variables; =dotenv: as a .env file", "", False, True),
    Flag("open", "Show the console in the browser", passed=False, is_switch=True),
    Flag("run-file", "dapr.yaml, its folder, or - for standard input: several applications", "f", passed=False),
    Flag("only", "With a run file: only the application with this id; several times", passed=False),
    Flag("keep-going", "With a run file: one that fails does not end the others", passed=False, is_switch=True),
    Flag("name", "Of the run, for its logs; else that in the run file", passed=False),
    Flag("kubernetes", "Not supported", "k", passed=False, is_switch=True),
)
_BY_NAME: Final = {flag.name: flag for flag in FLAGS}
_BY_SHORT: Final = {flag.short: flag for flag in FLAGS if flag.short}
_ABSENT: Final = "-1"  # what Dapr's flags for ports and numbers say where nothing is given


@dataclass(slots=True)
class Parsed:
    """What was given, in its order, and the command; `mistaken` are flags of ours that the command gets."""

    given: list[tuple[Flag, str]] = field(default_factory=list)
    command: tuple[str, ...] = ()
    mistaken: tuple[str, ...] = ()

    def get(self, name: str, default: str = "") -> str:
        """The last one that was given."""
        return next((text for flag, text in reversed(self.given) if flag.name == name), default)

    def __contains__(self, name: str) -> bool:
        return any(flag.name == name for flag, _ in self.given)

    def passed(self) -> Iterator[str]:
        """The words for the sidecar."""
        for flag, text in self.given:
            if flag.passed and (text != _ABSENT or flag.name == "app-max-concurrency"):
                yield f"--{flag.name}={text}"


def parse(argv: Sequence[str]) -> Parsed:
    """Flags up to `--` or the first word that is none; what follows is the command, whatever it looks like."""
    parsed = Parsed()
    words = list(argv)
    while words:
        word = words[0]
        if word == "--":
            parsed.command = tuple(words[1:])
            return parsed
        if not word.startswith("-") or word == "-":
            parsed.command = tuple(words)
            parsed.mistaken = tuple(filter(_is_ours, words[1:]))
            return parsed
        words.pop(0)
        flag, text = _split(word)
        if text is None and flag.is_switch:
            text = "true"
        if text is None:
            if not words:
                raise UsageError(f"flag needs an argument: {word}")
            text = words.pop(0)
        if flag.name == "kubernetes":
            raise UsageError("Kubernetes is not supported")
        parsed.given.append((flag, text))
    return parsed


def _split(word: str) -> tuple[Flag, str | None]:
    name, equals, text = word.lstrip("-").partition("=")
    if word.startswith("--"):
        if name not in _BY_NAME:
            raise UsageError(f"unknown flag: --{name}")
        return _BY_NAME[name], text if equals else None
    if name[:1] not in _BY_SHORT:
        raise UsageError(f"unknown shorthand flag: '{name[:1]}' in {word}")
    flag, rest = _BY_SHORT[name[0]], word[2:].removeprefix("=")
    return flag, rest or None


def _is_ours(word: str) -> bool:
    return word.startswith("--") and word[2:].partition("=")[0] in _BY_NAME


def usage() -> str:
    lines = ["Usage: dapr-state run [flags] [--] command…", "", "Flags:"]
    for flag in FLAGS:
        short = f"-{flag.short}, " if flag.short else "    "
        lines.append(f"  {short}--{flag.name:<28}{flag.about}")
    return "\n".join(lines)


def valid_id(text: str) -> str:
    """An id of a folder's name: a-z, 0-9 and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "app"
