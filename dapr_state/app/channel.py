"""How an application is asked: one interface over HTTP and over the application's own stream."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dapr_state.app.model import ActorCall, ActorId, AppAnswer, Trigger


class AppChannel(ABC):
    """Every method sends one request, waits for its answer without a limit of time, and raises AppError.

    An answer is a success (HTTP 200) or an AppError whose text is daprd's detail. Many requests may be under way at
    once; a cancelled one leaves nothing behind. `--app-max-concurrency` is kept here: a request may wait for its place.
    """

    @abstractmethod
    async def invoke(self, call: ActorCall) -> AppAnswer:
        """Call a method."""

    @abstractmethod
    async def remind(self, trigger: Trigger) -> AppAnswer:
        """Fire a reminder; the answer may ask for its end (`cancels_reminder`)."""

    @abstractmethod
    async def timer(self, trigger: Trigger) -> AppAnswer:
        """Fire a timer."""

    @abstractmethod
    async def deactivate(self, actor: ActorId) -> None:
        """Tell that the actor is no longer active here."""
