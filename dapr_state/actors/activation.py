"""One actor that is active here: its turns, and since when it rests.

An actor is active from its first turn on; the application is not told of that, only of the end. Its deadline counts
from the end of its last turn, and it never ends during one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dapr_state.actors.turns import TurnQueue
from dapr_state.clock import WAITING

if TYPE_CHECKING:
    from dapr_state.app.model import ActorId


class Activation:
    __slots__ = ("actor", "idle_since", "is_ending", "is_lost", "since", "turns")

    def __init__(self, actor: ActorId) -> None:
        self.actor = actor
        self.turns = TurnQueue()
        self.since = WAITING.monotonic()
        self.is_ending = False  # the application is told of the end
        self.is_lost = False  # it goes on elsewhere, whatever the application still does for it here
        self.idle_since = 0.0  # monotonic; means something only while no turn runs

    def lose(self, error: Exception) -> None:
        """Have the turn that runs end as soon as it can; its callers get the error."""
        self.is_lost = True
        self.turns.stop(error)

    def __repr__(self) -> str:
        state = "busy" if self.turns.is_busy else "idle"
        return f"<Activation {self.actor.type}/{self.actor.id} {state}, {self.turns.waiting} waiting>"
