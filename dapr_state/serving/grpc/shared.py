"""What the connections of one gRPC server have in common."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dapr_state.serving.grpc.methods import Methods
from dapr_state.serving.turns import Turns

if TYPE_CHECKING:
    from dapr_state.serving.grpc.methods import ParsedHeaders
    from dapr_state.serving.grpc.settings import Settings
    from dapr_state.serving.http2 import Http2Protocol
    from dapr_state.serving.request_memory import RequestMemory
    from dapr_state.serving.tls import Tls


class Shared:
    def __init__(self, settings: Settings, memory: RequestMemory, tls: Tls | None = None) -> None:
        self.settings = settings
        self.tls = tls
        self.memory = memory
        self.methods = Methods()
        self.turns = Turns()
        self.connections: set[Http2Protocol[ParsedHeaders]] = set()
        self.all_gone = asyncio.Event()
        # Of compressed messages in streams one is made plain at a time. A stream may hold memory for its next message
        # already: two of them that asked for more would wait for each other.
        self.inflating = asyncio.Lock()
        self.is_stopping = False

    def __repr__(self) -> str:
        return f"<Shared by {len(self.connections)} connections>"

    def forget(self, connection: Http2Protocol[ParsedHeaders]) -> None:
        self.connections.discard(connection)
        if not self.connections:
            self.all_gone.set()
