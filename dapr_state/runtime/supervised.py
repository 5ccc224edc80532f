"""What a sidecar tells whoever started it: systemd (sd_notify), and our own `run`."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

NOTIFY_SOCKET: Final = "NOTIFY_SOCKET"
RUN: Final = "DAPR_STATE_RUN"  # the process id of `run`, where there is one
RUN_AS: Final = "DAPR_STATE_RUN_AS"  # for the sidecar: the command and the file of that run, as JSON
ENDS_WITH_INPUT: Final = "DAPR_STATE_ENDS_WITH_INPUT"
LEAVES, COMES = signal.SIGUSR1, signal.SIGUSR2  # the application, which `run` starts again, or which has ended
ENDS: Final = signal.SIGURG  # the application, soon: it is called once more for each of its actors
DISCOVERED: Final = "application discovered"
DRAINED: Final = "actors drained"

NO_PORT: Final = "00000"  # one of the system's choice, with room for it in the command line

_PR_SET_NAME: Final = 15  # of Linux's prctl
_ARG_START: Final = 45  # of the fields in Linux's /proc/self/stat behind the name
_NAME: Final = b"daprd"  # what the dapr command looks for


class Supervisor:
    """Who wants to know: nobody, where the environment names no socket. The variable is forgotten, as systemd asks."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        address = environ.pop(NOTIFY_SOCKET, "")
        self._address = "\0" + address[1:] if address.startswith("@") else address

    @property
    def listens(self) -> bool:
        return bool(self._address)

    def tell(self, **fields: object) -> None:
        """READY, STATUS and the like. Never waits, and nothing depends on it."""
        if not self._address:
            return
        message = "\n".join(f"{name}={' '.join(str(value).split())}" for name, value in fields.items())
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(message.encode(errors="replace"), self._address)


class EndsWithInput:
    """While entered: where the environment says so, `stop` is called once nobody writes to the input any more.

    Whoever has started the process holds the other end, and cannot forget it, however he ends.
    """

    def __init__(self, environ: Mapping[str, str], stop: Callable[[], object]) -> None:
        self._is_on = bool(environ.get(ENDS_WITH_INPUT))
        self._stop = stop

    def __enter__(self) -> Self:
        if self._is_on:
            asyncio.get_running_loop().add_reader(0, self._read)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._is_on:
            asyncio.get_running_loop().remove_reader(0)

    def _read(self) -> None:
        if not os.read(0, 1024):
            asyncio.get_running_loop().remove_reader(0)
            self._stop()


def started_by(environ: Mapping[str, str]) -> dict[str, Any]:
    """What the registry says of the `run` that has started this process."""
    nobody = {"run_pid": 0, "run_file": "", "run_name": "", "command": "", "app_log": "", "sidecar_log": ""}
    try:
        return {**nobody, "run_pid": int(environ[RUN]), **json.loads(environ[RUN_AS])}
    except (KeyError, ValueError):
        return nobody


def take_name() -> None:
    """Be called daprd, so that Dapr's own tools find this process. Where that cannot be, only ours find it."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_NAME, _NAME, 0, 0, 0)


def show_ports(ports: Mapping[str, int]) -> None:
    """Write the ports that the system has chosen into our command line: Dapr's tools read them there."""
    if sys.platform != "linux":
        return
    with suppress(OSError, ValueError, IndexError):
        start = int(Path("/proc/self/stat").read_text().rpartition(") ")[2].split()[_ARG_START])
        words = Path("/proc/self/cmdline").read_bytes()
        for flag, port in ports.items():
            before = f"--{flag}\0".encode()
            at = words.find(f"{before.decode()}{NO_PORT}\0".encode())
            if at >= 0 and start:
                ctypes.memmove(start + at + len(before), f"{port:05}".encode(), len(NO_PORT))
