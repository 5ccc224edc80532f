"""The ports that every SDK knows: for whoever of this user runs first, and for as long as he runs."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from pathlib import Path
from typing import IO, Final

_held: Final[list[IO[bytes]]] = []  # until the process ends


def take(port: int, folder: str = "") -> bool:
    """Whether it is free, and no other `run` is about to use it."""
    try:
        lock = (Path(folder or tempfile.gettempdir()) / f"dapr-state-{os.getuid()}-{port}.lock").open("ab")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
            return False
    _held.append(lock)
    return True
