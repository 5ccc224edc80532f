"""What a sidecar tells whoever started it: systemd (sd_notify), and our own `run`."""

from __future__ import annotations

import ctypes
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import MutableMapping

NOTIFY_SOCKET: Final = "NOTIFY_SOCKET"
RUN: Final = "DAPR_STATE_RUN"  # the process id of `run`, where there is one
DISCOVERED: Final = "application discovered"

_PR_SET_NAME: Final = 15  # of Linux's prctl
_NAME: Final = b"daprd"  # what the dapr command looks for


class Supervisor:
    """Who wants to know: nobody, where the environment names no socket. The variable is forgotten, as systemd asks."""

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        address = environ.pop(NOTIFY_SOCKET, "")
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def tell(self, **fields: object) -> None:
        """READY, STATUS and the like. Never waits, and nothing depends on it."""
        if not self._address:
            return
        message = "\n".join(f"{name}={' '.join(str(value).split())}" for name, value in fields.items())
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(message.encode(errors="replace"), self._address)


def take_name() -> None:
    """Be called daprd, so that Dapr's own tools find this process. Where that cannot be, only ours find it."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_NAME, _NAME, 0, 0, 0)
