"""What one application and its sidecar need: decided before anything starts."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dapr_state.runtime.run import ports
from dapr_state.runtime.run.flags import FLAGS, UsageError, valid_id
from dapr_state.runtime.run.restart import Restarts
from dapr_state.runtime.supervised import NO_PORT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

from dapr_state.runtime.run.flags import Parsed

HTTP_PORT: Final = 3500
GRPC_PORT: Final = 50001
APP_GRACE: Final = 10.0  # seconds
_CHOSEN: Final = frozenset({"--dapr-http-port", "--dapr-grpc-port"})  # which may be the system's choice
_SWITCHES: Final = frozenset({"--enable-metrics", *(f"--{flag.name}" for flag in FLAGS if flag.is_switch)})
CANNOT_RUN: Final = 126  # as `env` and shells
NOT_FOUND: Final = 127


class CommandError(Exception):
    """The application's command cannot be run; `code` is what shells end with then."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Plan:
    """`sidecar` are the words behind `serve`; `resources` is where components come from, for people."""

    app_id: str
    sidecar: tuple[str, ...]
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)  # of the application, without the ports
    resources: str = ""
    app_port: str = ""
    has_ports: bool = True  # no sockets instead
    grace: float = APP_GRACE
    folder: Path = Path()  # in which both work
    reloads: tuple[Path, ...] = ()  # folders: a change in them starts the application again
    restart: str = "never"
    opens: bool = False  # the console in a browser
    prints_env: str = ""  # or the form in which the variables are printed
    # of an application of a run file
    defaults: Mapping[str, str] = field(default_factory=dict)  # variables that the shell's own win over
    overriding: Mapping[str, str] = field(default_factory=dict)  # variables that come last
    depends_on: Mapping[str, str] = field(default_factory=dict)  # ids, and what is waited for
    run_file: str = ""
    run_name: str = ""
    app_log: str = "console"
    sidecar_log: str = "console"
    logs: Path | None = None  # the folder

    @property
    def app_file(self) -> Path | None:
        """Where its output is kept."""
        return self._file("app") if self.app_log != "console" else None

    @property
    def sidecar_file(self) -> Path | None:
        return self._file("daprd") if self.sidecar_log != "console" else None

    def _file(self, kind: str) -> Path | None:
        return self.logs / f"{self.app_id}_{kind}.log" if self.logs else None


def of(
    parsed: Parsed, command: Sequence[str], environ: Mapping[str, str], folder: Path, *, is_alone: bool = True
) -> Plan:
    """`is_alone`: the ports that every SDK knows are for it. Raises UsageError or CommandError."""
    app_id = parsed.get("app-id") or valid_id(folder.resolve().name)
    words = [] if "app-id" in parsed else [f"--app-id={app_id}"]
    words += parsed.passed()
    sockets = parsed.get("unix-domain-socket")
    for name, usual in (("dapr-http-port", HTTP_PORT), ("dapr-grpc-port", GRPC_PORT)):
        if parsed.get(name, "-1") == "-1":
            is_ours = is_alone and ports.take(usual, environ.get("XDG_RUNTIME_DIR", ""))
            words.append(f"--{name}={usual if is_ours else 0}")
    if parsed.get("metrics-port", "-1") == "-1":
        words.append("--enable-metrics=false")
    if "log-level" not in parsed:
        words.append("--log-level=warn")
    home = Path(parsed.get("runtime-path") or environ.get("HOME") or "/") / ".dapr"
    if "config" not in parsed and (home / "config.yaml").is_file():
        words.append(f"--config={home / 'config.yaml'}")
    resources = ", ".join(text for flag, text in parsed.given if flag.name in {"resources-path", "components-path"})
    if not resources:
        found = next((path for path in (folder / ".dapr" / "resources", home / "components") if path.is_dir()), None)
        resources = str(found) if found else "the built-in SQLite store"
        words += [f"--resources-path={found}"] if found else []
    check(command, environ, folder)
    port = parsed.get("app-port", "-1")
    return Plan(
        app_id,
        tuple(words),
        () if "print-env" in parsed else tuple(command),
        _environment(parsed, app_id),
        resources,
        app_port="" if port in {"-1", "0"} else port,
        has_ports=not sockets,
        grace=_seconds(parsed.get("app-grace")),
        folder=folder,
        reloads=_reloads(parsed, folder),
        restart=_restart(parsed.get("restart", "never")),
        opens=parsed.get("open") == "true",
        run_name=parsed.get("name"),
        prints_env=_form(parsed.get("print-env", "false")),
    )


def _form(given: str) -> str:
    forms = {"false": "", "true": "export", "dotenv": "dotenv"}
    if given not in forms:
        raise UsageError(f"--print-env: {given!r} is not dotenv")
    return forms[given]


def _restart(policy: str) -> str:
    try:
        Restarts(policy)
    except ValueError as error:
        raise UsageError(f"--restart: {error}") from None
    return policy


def _reloads(parsed: Parsed, folder: Path) -> tuple[Path, ...]:
    if parsed.get("reload", "false") != "true":
        return ()
    given = [folder / text for flag, text in parsed.given if flag.name == "reload-dir"] or [folder]
    if missing := [path for path in given if not path.is_dir()]:
        raise UsageError(f"--reload-dir: {missing[0]} is no folder")
    return tuple(given)


def check(command: Sequence[str], environ: Mapping[str, str], folder: Path) -> None:
    """Raise CommandError where the program is not there, or is none."""
    if not command:
        return
    program = str(folder / command[0]) if "/" in command[0] else command[0]
    if shutil.which(program, path=environ.get("PATH")):
        return
    if "/" in command[0] and Path(program).exists():
        raise CommandError(f"{command[0]}: not executable", CANNOT_RUN)
    raise CommandError(f"{command[0]}: not found", NOT_FOUND)


def serve(plan: Plan) -> list[str]:
    """Its command. Each value is a word of its own, as Dapr's tools read it; but those of switches."""
    words = [sys.executable, "-m", "dapr_state", "serve"]
    for word in plan.sidecar:
        name, _, value = word.partition("=")
        if name in _SWITCHES or value.startswith("-"):
            words.append(word)
        else:
            words += [name, NO_PORT if name in _CHOSEN and value == "0" else value]
    return words


def _environment(parsed: Parsed, app_id: str) -> dict[str, str]:
    variables = {
        "APP_ID": app_id,
        "APP_CHANNEL_ADDRESS": parsed.get("app-channel-address", "127.0.0.1"),
        "APP_PROTOCOL": parsed.get("app-protocol", "http"),
    }
    port = parsed.get("app-port", "-1")
    if port not in {"-1", "0"}:
        variables["APP_PORT"] = port
    if "metrics-port" in parsed:
        variables["DAPR_METRICS_PORT"] = parsed.get("metrics-port")
    if folder := parsed.get("unix-domain-socket"):
        variables["DAPR_GRPC_ENDPOINT"] = f"unix:{Path(folder).resolve()}/dapr-{app_id}-grpc.socket"
    return variables


def _seconds(text: str) -> float:
    try:
        return float(text.removesuffix("s")) if text else APP_GRACE
    except ValueError:
        raise UsageError(f"--app-grace: {text!r} is no number of seconds") from None
