"""What stands in the environment of every run: ports that are taken, and the app id. It is loaded in every run."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


class Ports:
    """Ports that are nobody else's: they are kept until the one who shall listen there is about to."""

    def __init__(self, count: int) -> None:
        self._sockets = [socket.socket() for _ in range(count)]
        for each in self._sockets:
            each.bind(("127.0.0.1", 0))
        self.numbers: list[int] = [each.getsockname()[1] for each in self._sockets]

    def release(self, *at: int) -> None:
        for number in at or range(len(self._sockets)):
            self._sockets[number].close()


def app_id_of(config: pytest.Config) -> str:
    """Workers of xdist have one each: in a shared store their keys do not meet."""
    worker = getattr(config, "workerinput", {}).get("workerid", "")
    return f"test-{worker}" if worker else "test"
