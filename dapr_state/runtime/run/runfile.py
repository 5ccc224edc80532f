"""dapr.yaml: several applications of one run. What the dapr command runs is run; what has no effect is said."""

from __future__ import annotations

import difflib
import math
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dapr_state.runtime.run import logs, stages, variables
from dapr_state.runtime.run import plan as planning
from dapr_state.runtime.run.flags import FLAGS, Parsed, valid_id
from dapr_state.runtime.run.stages import READY, STAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from dapr_state.runtime.run.plan import Plan

NAME: Final = "dapr.yaml"
DESTINATIONS: Final = frozenset({"file", "console", "fileAndConsole"})
_PORTS: Final = 65_535  # the largest there is
_SUFFIXES: Final = frozenset({".yaml", ".yml"})
_FLAGS: Final = {flag.name: flag for flag in FLAGS}


class RunFileError(ValueError):
    """The file cannot be used; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Key:
    """`flag`: the sidecar's, if it is handed on; `is_common`: it may stand under `common` too."""

    read: Callable[[Any], Any]
    flag: str = ""
    is_common: bool = True
    is_ignored: bool = False
    is_port: bool = False


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    raise ValueError("is no text")


def _whole(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ValueError("is no whole number")


def _truth(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    raise ValueError("is neither true nor false")


def _texts(value: Any) -> list[str]:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return value
    raise ValueError("is no list of texts")


def _command(value: Any) -> list[str]:
    if isinstance(value, str):
        return shlex.split(value)  # the dapr command takes a list only
    if isinstance(value, list):
        return [_scalar(each) for each in value]
    raise ValueError("is no list of texts")


def _variables(value: Any) -> dict[str, str]:
    if isinstance(value, dict):
        return {name: _scalar(each) for name, each in value.items()}
    raise ValueError("is no mapping")


def _scalar(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value).lower()
    if isinstance(value, float) and value.is_integer() and math.isfinite(value):
        return str(int(value))
    if isinstance(value, (str, int, float)):
        return str(value)
    raise ValueError("is neither text nor number")


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else _texts(value)


def _reload(value: Any) -> list[str]:
    """The folders; none is all of the application's."""
    return _list(value) if isinstance(value, (str, list)) else {"true": ["."], "false": []}[_truth(value)]


def _seconds(value: Any) -> str:
    return _scalar(value).removesuffix("s")


def _dependencies(value: Any) -> dict[str, str]:
    found = _variables(value) if isinstance(value, dict) else dict.fromkeys(_list(value), READY)
    if unknown := [stage for stage in found.values() if stage not in STAGES]:
        raise ValueError(f"{unknown[0]!r} is not one of {', '.join(STAGES)}")
    return found


def _destination(value: Any) -> str:
    if value in DESTINATIONS:
        return str(value)
    raise ValueError(f"invalid log destination type: {value}")


def _anything(value: Any) -> Any:
    return value


_KEYS: Final[Mapping[str, Key]] = {
    "appID": Key(_text, "app-id", is_common=False),
    "appDirPath": Key(_text, is_common=False),
    "appPort": Key(_whole, "app-port", is_common=False, is_port=True),
    "appChannelAddress": Key(_text, "app-channel-address", is_common=False),
    "daprHTTPPort": Key(_whole, "dapr-http-port", is_common=False, is_port=True),
    "daprGRPCPort": Key(_whole, "dapr-grpc-port", is_common=False, is_port=True),
    "daprInternalGRPCPort": Key(_whole, "dapr-internal-grpc-port", is_common=False, is_port=True),
    "metricsPort": Key(_whole, "metrics-port", is_common=False, is_port=True),
    "profilePort": Key(_whole, is_common=False, is_ignored=True),
    "unixDomainSocket": Key(_text, "unix-domain-socket", is_common=False),
    "command": Key(_command, is_common=False),
    "containerImage": Key(_anything, is_common=False, is_ignored=True),
    "containerImagePullPolicy": Key(_anything, is_common=False, is_ignored=True),
    "createService": Key(_anything, is_common=False, is_ignored=True),
    "configFilePath": Key(_text, "config"),
    "resourcesPaths": Key(_texts),
    "resourcesPath": Key(_text),
    "appProtocol": Key(_text, "app-protocol"),
    "apiListenAddresses": Key(_text, "dapr-listen-addresses"),
    "logLevel": Key(_text, "log-level"),
    "appMaxConcurrency": Key(_whole, "app-max-concurrency"),
    "placementHostAddress": Key(_text, "placement-host-address"),
    "schedulerHostAddress": Key(_text, "scheduler-host-address"),
    "appSSL": Key(_truth, "app-ssl"),
    "enableProfiling": Key(_truth, is_ignored=True),
    "enableAppHealthCheck": Key(_truth, "enable-app-health-check"),
    "enableApiLogging": Key(_truth, "enable-api-logging"),
    "maxBodySize": Key(_scalar, "max-body-size"),
    "readBufferSize": Key(_scalar, "read-buffer-size"),
    "appHealthCheckPath": Key(_text, "app-health-check-path"),
    "appHealthProbeInterval": Key(_whole, "app-health-probe-interval"),
    "appHealthProbeTimeout": Key(_whole, "app-health-probe-timeout"),
    "appHealthThreshold": Key(_whole, "app-health-threshold"),
    "runtimePath": Key(_text, "runtime-path"),
    "env": Key(_variables),
    "daprdLogDestination": Key(_destination),
    "appLogDestination": Key(_destination),
    # not of the dapr command, which passes over what it does not know
    "dependsOn": Key(_dependencies, is_common=False),
    "envFile": Key(_list),
    "logsDir": Key(_text),
    "reload": Key(_reload),
    "restart": Key(_text, "restart"),
    "appGrace": Key(_seconds, "app-grace"),
}
_TOP: Final = ("version", "name", "common", "apps", "interpolate")


@dataclass(frozen=True, slots=True)
class RunFile:
    """`remarks` are what has no effect, in sentences."""

    plans: tuple[Plan, ...]
    remarks: tuple[str, ...]


def find(path: str) -> Path:
    """The file that is meant: itself, or dapr.yaml in a folder. Raises RunFileError."""
    found = Path(path).expanduser()
    if found.is_dir():
        found = found / NAME
    elif found.suffix not in _SUFFIXES:
        raise RunFileError(f'file "{path}" is not a YAML file')
    if not found.is_file():
        raise RunFileError(f"{found}: no such file")
    return found.resolve()


def read(path: str, environ: Mapping[str, str], name: str = "") -> RunFile:
    """All applications of a file, a folder or `-`; `name` is the run's, else the file says it. Raises RunFileError."""
    file = None if path == "-" else find(path)
    try:
        text = file.read_text() if file else sys.stdin.read()
    except (OSError, UnicodeDecodeError) as error:
        raise RunFileError(f"{file or '-'}: {error}") from None
    try:
        return _Reader(file or Path.cwd() / "-", environ).read(text, name)
    except ValueError as error:
        raise RunFileError(f"{path}: {error}") from None


def only(ids: Sequence[str], plans: Sequence[Plan]) -> Sequence[Plan]:
    """Those with these ids, which wait for nobody else; all where none is given. Raises RunFileError."""
    if unknown := set(ids) - {plan.app_id for plan in plans}:
        raise RunFileError(f"--only: there is no application {min(unknown)}")
    if not ids:
        return plans
    return [
        replace(plan, depends_on={each: stage for each, stage in plan.depends_on.items() if each in ids})
        for plan in plans
        if plan.app_id in ids
    ]


class _Reader:
    def __init__(self, file: Path, environ: Mapping[str, str]) -> None:
        self._file = file
        self._environ = environ
        self._remarks: list[str] = []

    def read(self, text: str, name: str) -> RunFile:
        from dapr_state.golang import yaml  # noqa: PLC0415  20 ms that other runs do not need

        document = yaml.parse(text)
        if not isinstance(document, dict):
            raise RunFileError("is no mapping")
        if not isinstance(document.get("version"), int) or not document["version"]:
            raise RunFileError("required field 'version' not found in the provided run template file")
        self._remark_unknown(document, _TOP, "")
        if document.get("interpolate") is True:
            document = variables.filled(document, self._environ)
        common = self._section(document.get("common") or {}, "common", lambda key: key.is_common)
        apps = document.get("apps")
        if not isinstance(apps, list) or not apps:
            raise RunFileError("No apps to run")
        name = name or str(document.get("name") or self._file.parent.name)
        plans = [self._app(each, f"apps[{number}]", common, name) for number, each in enumerate(apps)]
        ids = [plan.app_id for plan in plans]
        _check_dependencies(plans)
        self._remarks += [f"{each} is the id of two applications" for each in sorted(set(ids)) if ids.count(each) > 1]
        return RunFile(tuple(plans), tuple(self._remarks))

    def _section(self, given: Any, where: str, allowed: Callable[[Key], bool]) -> dict[str, Any]:
        """Its keys, converted; paths as they are."""
        if not isinstance(given, dict):
            raise RunFileError(f"{where} is no mapping")
        known = {name: key for name, key in _KEYS.items() if allowed(key)}
        self._remark_unknown(given, known, f"{where}.")
        section = {}
        for name, value in given.items():
            if name not in known:
                continue
            if known[name].is_ignored:
                self._remarks.append(f"{where}.{name} has no effect here")
                continue
            try:
                section[name] = known[name].read(value)
            except ValueError as error:
                raise RunFileError(f"{where}.{name}: {error}") from None
            if known[name].is_port and not -1 <= int(section[name]) <= _PORTS:
                raise RunFileError(f"{where}.{name}: {section[name]} is no port")
        return section

    def _app(self, given: Any, where: str, common: Mapping[str, Any], name: str) -> Plan:
        own = self._section(given, where, lambda _: True)
        if not own.get("appDirPath"):
            raise RunFileError(f"{where}: required field 'appDirPath' not found in the provided app config file")
        base = self._file.parent
        folder = self._path(own["appDirPath"], base)
        merged = {**common, **own}
        app_id = own.get("appID") or folder.name or valid_id("")
        parsed = Parsed([(_FLAGS["app-id"], app_id)])
        for key, value in merged.items():
            flag = _KEYS[key].flag
            if not flag or key in {"appID", "configFilePath"} or value == "":
                continue
            if key in {"unixDomainSocket", "runtimePath"}:
                value = str(self._path(value, folder if key in own else base))  # noqa: PLW2901
            parsed.given.append((_FLAGS[flag], value))
        for path in self._places(own, common, folder, ".dapr/resources", _resources):
            parsed.given.append((_FLAGS["resources-path"], str(path)))
        for path in self._places(own, common, folder, ".dapr/config.yaml", _configuration):
            parsed.given.append((_FLAGS["config"], str(path)))
        for path in merged.get("reload", ()):
            parsed.given += [(_FLAGS["reload"], "true"), (_FLAGS["reload-dir"], str(self._path(path, folder)))]
        own_variables = {**common.get("env", {}), **own.get("env", {})}
        defaults = self._of_files(own, common, folder)
        environ = {**defaults, **self._environ, **own_variables}
        try:
            planned = planning.of(parsed, own.get("command", ()), environ, folder, is_alone=False)
        except planning.CommandError as error:
            raise RunFileError(f"{where}.command: {error}") from None
        return replace(
            planned,
            defaults=defaults,
            overriding=own_variables,
            depends_on=own.get("dependsOn", {}),
            run_file=str(self._file),
            run_name=name,
            app_log=merged.get("appLogDestination", "fileAndConsole"),
            sidecar_log=merged.get("daprdLogDestination", "file"),
            logs=self._logs(own, common, folder, name),
        )

    def _of_files(self, own: Mapping[str, Any], common: Mapping[str, Any], folder: Path) -> dict[str, str]:
        """The variables of its .env files, the last of which wins."""
        paths = [self._path(each, self._file.parent) for each in common.get("envFile", ())]
        paths += [self._path(each, folder) for each in own.get("envFile", ())]
        found: dict[str, str] = {}
        for path in paths:
            try:
                found |= variables.of_text(path.read_text())
            except (OSError, ValueError) as error:
                raise RunFileError(f"{path}: {error}") from None
        return found

    def _logs(self, own: Mapping[str, Any], common: Mapping[str, Any], folder: Path, name: str) -> Path:
        for section, base in ((own, folder), (common, folder)):
            if text := section.get("logsDir"):
                return base / Path(text).expanduser()
        return logs.folder(self._environ) / name

    def _places(
        self,
        own: Mapping[str, Any],
        common: Mapping[str, Any],
        folder: Path,
        usual: str,
        named: Callable[[Mapping[str, Any]], list[str]],
    ) -> Iterator[Path]:
        """Its own, else the usual one in its folder, else those of all."""
        if paths := named(own):
            yield from (self._path(each, folder) for each in paths)
        elif (folder / usual).exists():
            yield folder / usual
        else:
            yield from (self._path(each, self._file.parent) for each in named(common))

    def _path(self, text: str, base: Path) -> Path:
        found = (base / Path(text).expanduser()).resolve()
        if not found.exists():
            raise RunFileError(f"error in getting the file info for {found}: stat {found}: no such file or directory")
        return found

    def _remark_unknown(self, given: Mapping[str, Any], known: Any, where: str) -> None:
        for name in given:
            if name not in known:
                near = difflib.get_close_matches(name, list(known), 1)
                hint = f": did you mean {near[0]}?" if near else ""
                self._remarks.append(f"{where}{name} is unknown and has no effect{hint}")


def _check_dependencies(plans: Sequence[Plan]) -> None:
    depends = {plan.app_id: plan.depends_on for plan in plans}
    for number, plan in enumerate(plans):
        for each in plan.depends_on:
            if each not in depends:
                raise RunFileError(f"apps[{number}].dependsOn: there is no application {each}")
    if way := stages.cycle(depends):
        raise RunFileError(f"dependsOn: {' → '.join(way)}: none of them can be the first")


def _resources(section: Mapping[str, Any]) -> list[str]:
    return [*section.get("resourcesPaths", ()), *filter(None, [section.get("resourcesPath", "")])]


def _configuration(section: Mapping[str, Any]) -> list[str]:
    return [path] if (path := section.get("configFilePath")) else []
