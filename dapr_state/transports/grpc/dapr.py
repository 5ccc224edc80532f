"""The Dapr service: the calls of every building block under one name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dapr_state.api.actors import Actors
from dapr_state.api.reminders import Reminders
from dapr_state.transports.grpc.actors import ActorsServicer
from dapr_state.transports.grpc.metadata import MetadataServicer
from dapr_state.transports.grpc.reminders import RemindersServicer
from dapr_state.transports.grpc.state import StateServicer

if TYPE_CHECKING:
    from dapr_state.api.lifecycle import Lifecycle
    from dapr_state.api.metadata import Metadata
    from dapr_state.api.state import State
    from dapr_state.serving.answer_memory import AnswerMemory
    from dapr_state.transports.grpc.actors import Subscribe


class DaprServicer(StateServicer, ActorsServicer, RemindersServicer, MetadataServicer):
    """One base class for each building block; calls without one are answered as not implemented."""

    def __init__(
        self,
        state: State,
        metadata: Metadata,
        lifecycle: Lifecycle,
        actors: Actors | None = None,
        *,
        reminders: Reminders | None = None,
        subscribe: Subscribe | None = None,
        traces: bool = True,
        answers: AnswerMemory | None = None,
    ) -> None:
        """Without `actors` they are not configured; see ActorsServicer for `subscribe` and `traces`."""
        StateServicer.__init__(self, state, answers)
        ActorsServicer.__init__(self, actors or Actors(), subscribe, traces=traces)
        RemindersServicer.__init__(self, reminders or Reminders(Actors()))
        MetadataServicer.__init__(self, metadata, lifecycle)
