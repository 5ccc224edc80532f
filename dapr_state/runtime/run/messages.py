"""Where a sidecar's messages arrive: see `runtime/supervised.py`."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from pathlib import Path
from typing import Final

from dapr_state.runtime.supervised import DISCOVERED, DRAINED

LONGEST: Final = 65_536  # octets


class Messages:
    """`ready` has the ports once the sidecar answers; `discovered` is set when it has found the application's port.

    `drained` has a result when it has let go of the application's actors.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="dapr-state-")  # only we may write into it
        self.address = str(Path(self._folder.name) / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._read)
        self.ready: asyncio.Future[dict[str, str]] = self._loop.create_future()
        self.discovered = asyncio.Event()
        self.drained: asyncio.Future[None] = self._loop.create_future()
        self.failure = ""  # why it cannot start

    def __repr__(self) -> str:
        return f"<Messages {self.failure or ('ready' if self.ready.done() else 'none')}>"

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._folder.cleanup()

    def _read(self) -> None:
        try:
            text = self._socket.recv(LONGEST).decode(errors="replace")
        except BlockingIOError:
            return
        message = dict(line.partition("=")[::2] for line in text.splitlines())
        if "READY" in message and not self.ready.done():
            self.ready.set_result(message)
        if "ERRNO" in message:
            self.failure = message.get("STATUS", "")
        elif message.get("STATUS") == DISCOVERED:
            self.discovered.set()
        elif message.get("STATUS") == DRAINED and not self.drained.done():
            self.drained.set_result(None)
