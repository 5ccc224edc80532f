"""What the connections of one HTTP server have in common."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dapr_state.serving.http.response import DateLine
from dapr_state.serving.turns import Turns

if TYPE_CHECKING:
    from typing import Protocol

    from dapr_state.serving.http.service import Service
    from dapr_state.serving.http.settings import Settings
    from dapr_state.serving.request_memory import RequestMemory
    from dapr_state.wire.http1.request import Fields

    class Connection(Protocol):
        """A connection, of whatever version of HTTP."""

        def finish(self) -> None:
            """Answer what is under way or has begun to arrive, then close."""

        def abort(self) -> None:
            """Give up what is under way, and tell the client."""


class Shared:
    def __init__(self, service: Service, settings: Settings, memory: RequestMemory) -> None:
        self.handler = service.handler
        self.failure = service.failure
        self.after = service.after
        self.names_peers = service.names_peers
        self.settings = settings
        self.timeouts = settings.timeouts
        self.memory = memory
        self.turns = Turns()
        self.known: dict[bytes, Fields] = {}
        self.date = DateLine()
        self.connections: set[Connection] = set()
        self.all_gone = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Shared by {len(self.connections)} connections>"

    def forget(self, connection: Connection) -> None:
        self.connections.discard(connection)
        if not self.connections:
            self.all_gone.set()
