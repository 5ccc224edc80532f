"""`list` and `stop`: the sidecars that run, as people and Dapr's tools want to see them, and their end."""

from __future__ import annotations

import json
import os
import signal
import socket
from contextlib import suppress
from datetime import datetime
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

from dapr_state.clock import WAITING
from dapr_state.runtime import registry
from dapr_state.runtime.run import daprd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dapr_state.runtime.registry import Entry

PATIENCE: Final = 0.3  # seconds for a sidecar to answer: one that is stopped shall not hold the list up
STOP_TIMEOUT: Final = 25.0  # seconds: what the last calls of actors take, the application's grace, and the sidecar's
CHECK_INTERVAL: Final = 0.05  # seconds between two looks whether it has ended
COMMAND_WIDTH: Final = 20  # as the dapr command

# the names of the dapr command's JSON, and then ours
_COLUMNS: Final[tuple[tuple[str, str], ...]] = (
    ("APP ID", "appId"),
    ("HTTP PORT", "httpPort"),
    ("GRPC PORT", "grpcPort"),
    ("APP PORT", "appPort"),
    ("COMMAND", "command"),
    ("AGE", "age"),
    ("CREATED", "created"),
    ("DAPRD PID", "daprdPid"),
    ("CLI PID", "cliPid"),
    ("APP PID", "appPid"),
    ("RUN TEMPLATE PATH", "runTemplatePath"),
    ("STATUS", "status"),
)
_WIDE: Final = (
    ("APP LOG PATH", "appLogPath"),
    ("DAPRD LOG PATH", "daprdLogPath"),
    ("RUNTEMPLATENAME", "runTemplateName"),
)
_NAMES: Final = tuple(name for _, name in (*_COLUMNS, *_WIDE))
_ALWAYS: Final = 7  # of the columns are shown also where nothing is in them


class _OverSocket(HTTPConnection):
    """HTTP to a socket file."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(self._path)


def show(environ: Mapping[str, str], output: str, *, all_of_them: bool = False) -> str:
    """Our sidecars, or the daprd processes too, as table, wide, json or yaml. Raises ValueError for another form."""
    forms: dict[str, Callable[[list[dict[str, Any]]], str]] = {
        "table": _table,
        "wide": _wide,
        "json": _json,
        "yaml": _yaml,
    }
    if output not in forms:
        raise ValueError("An invalid output format was specified.")
    rows = _rows(list(registry.entries(environ)))
    if all_of_them:
        ours = {row["daprdPid"] for row in rows}
        rows += [{**dict.fromkeys(_NAMES, ""), **each} for each in daprd.found() if each["daprdPid"] not in ours]
    return forms[output](rows)


def stop(
    ids: Sequence[str],
    environ: Mapping[str, str],
    timeout: float,
    run_file: str | None = None,
    *,
    all_of_them: bool = False,
) -> list[str]:
    """Ask them to end, and wait until they have; what could not be done, in sentences."""
    file = _resolved(run_file) if run_file else None
    found = [
        entry
        for entry in registry.entries(environ)
        if all_of_them or entry.app_id in ids or (file and entry.run_file == file)
    ]
    missing = set(ids) - {entry.app_id for entry in found}
    wanted = {entry: _whom(entry, is_whole=all_of_them or bool(file)) for entry in found}
    for first in {processes[0] for processes in wanted.values()}:
        with suppress(ProcessLookupError):
            os.kill(first, signal.SIGTERM)
    until = WAITING.monotonic() + timeout
    while (left := [entry for entry in found if any(map(_runs, wanted[entry]))]) and WAITING.monotonic() < until:
        WAITING.block(CHECK_INTERVAL)
    return [
        *([f'couldn\'t find apps with run file "{run_file}"'] if file and not found else ()),
        *(f"failed to stop app id {each}: couldn't find app id {each}" for each in sorted(missing)),
        *(f"failed to stop app id {entry.app_id}: it still runs after {timeout:g} s" for entry in left),
    ]


def _whom(entry: Entry, *, is_whole: bool) -> tuple[int, ...]:
    """Whom to ask, and who else is to have ended. Of several of one run, one alone: it ends with its sidecar."""
    return (entry.run_pid, entry.pid) if entry.run_pid and (is_whole or not entry.run_file) else (entry.pid,)


def _resolved(run_file: str) -> str:
    path = Path(run_file).expanduser().resolve()
    return str(path / "dapr.yaml" if path.is_dir() else path)


def _runs(pid: int) -> bool:
    """Whether it has not ended; that its parent does not look after it does not count."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _rows(found: list[Entry]) -> list[dict[str, Any]]:
    rows = [_row(entry) for entry in found]
    asking = [Thread(target=_ask, args=pair, daemon=True) for pair in zip(found, rows, strict=True)]
    for thread in asking:
        thread.start()
    until = WAITING.monotonic() + PATIENCE
    for thread in asking:
        thread.join(max(0.0, until - WAITING.monotonic()))
    return rows


def _row(entry: Entry) -> dict[str, Any]:
    created = datetime.fromtimestamp(entry.started_at).astimezone()
    return {
        "appId": entry.app_id,
        "httpPort": entry.http_port,
        "grpcPort": entry.grpc_port,
        "appPort": entry.app_port,
        "metricsEnabled": bool(entry.metrics_port),
        "command": entry.command,
        "age": _age(WAITING.wall() - entry.started_at),
        "created": created.strftime("%Y-%m-%d %H:%M.%S"),
        "daprdPid": entry.pid,
        "cliPid": entry.run_pid,
        "appPid": 0,
        "maxRequestBodySize": entry.max_body_size,
        "httpReadBufferSize": entry.read_buffer_size,
        "runTemplatePath": entry.run_file,
        "appLogPath": entry.app_log,
        "daprdLogPath": entry.sidecar_log,
        "runTemplateName": entry.run_name,
        "status": "not answering",
    }


def _ask(entry: Entry, row: dict[str, Any]) -> None:
    """How it is, and the process of its application, which it has been told."""
    connection = HTTPConnection("127.0.0.1", entry.http_port, timeout=PATIENCE)
    if entry.sockets:
        connection = _OverSocket(f"{entry.sockets}/dapr-{entry.app_id}-http.socket")
    with suppress(OSError, HTTPException, ValueError):
        if _get(connection, "/v1.0/healthz")[0] == HTTPStatus.NO_CONTENT:
            row["status"] = "ready"
        elif _get(connection, "/v1.0/healthz/outbound")[0] == HTTPStatus.NO_CONTENT:
            row["status"] = f"waiting for app on {entry.app_port}"
        else:
            row["status"] = "starting"
        status, body = _get(connection, "/v1.0/metadata")
        if status == HTTPStatus.OK:  # not where a token is needed
            row["appPid"] = int(json.loads(body).get("extended", {}).get("appPID", 0))
    connection.close()


def _get(connection: HTTPConnection, path: str) -> tuple[int, bytes]:
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read()


def _age(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def _json(rows: list[dict[str, Any]]) -> str:
    return json.dumps(rows, indent=2)


def _yaml(rows: list[dict[str, Any]]) -> str:
    # a text of JSON is one of YAML
    lines = [
        f"{'  ' if number else '- '}{name}: {json.dumps(value)}"
        for row in rows
        for number, (name, value) in enumerate(row.items())
    ]
    return "\n".join(lines) or "[]"


def _wide(rows: list[dict[str, Any]]) -> str:
    return _table(rows, (*_COLUMNS, *_WIDE))


def _table(rows: list[dict[str, Any]], shown: Sequence[tuple[str, str]] = _COLUMNS) -> str:
    if not rows:
        return "No Dapr instances found."
    columns = [
        (title, [_cell(name, row[name]) for row in rows])
        for number, (title, name) in enumerate(shown)
        if number < _ALWAYS or any(row[name] for row in rows)
    ]
    widths = [max(map(len, (title, *cells))) for title, cells in columns]
    lines = zip(*((title, *cells) for title, cells in columns), strict=True)
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _cell(name: str, value: object) -> str:
    text = str(value or "")
    if name == "command" and len(text) > COMMAND_WIDTH:
        return text[: COMMAND_WIDTH - 3] + "..."
    return text
