"""The Dapr service: the calls of every building block under one name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dapr_state.transports.grpc.metadata import MetadataServicer
from dapr_state.transports.grpc.state import StateServicer

if TYPE_CHECKING:
    from dapr_state.api.lifecycle import Lifecycle
    from dapr_state.api.metadata import Metadata
    from dapr_state.api.state import State


class DaprServicer(StateServicer, MetadataServicer):
    """One base class for each building block; calls without one are answered as not implemented."""

    def __init__(self, state: State, metadata: Metadata, lifecycle: Lifecycle) -> None:
        StateServicer.__init__(self, state)
        MetadataServicer.__init__(self, metadata, lifecycle)
