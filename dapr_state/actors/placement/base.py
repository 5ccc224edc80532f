"""Which sidecar an actor lives on: the claim that placement gives on it, and how that is lost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable

    from dapr_state.app.model import ActorId


class NoHostError(LookupError):
    """No sidecar hosts actors of this type; the text is daprd's."""

    def __init__(self, actor: ActorId) -> None:
        # an actor without type or id is none to daprd
        shown = f"{actor.type}/{actor.id}" if actor.type and actor.id else "/"
        super().__init__(f"did not find address for actor '{shown}'")


class LostError(Exception):
    """The actor is on its way to another sidecar: the turn was ended for that. It may be looked up again."""


class Claim(Struct, frozen=True):
    """`address` is that of the sidecar's internal port, `app_id` who it is there; both are empty for this one.

    Who has a claim goes on at once. One on an actor that lives here becomes a place in its queue of turns; when the
    actor has to move, the runtime is told to `halt` it: who waits there is sent away, and who has begun gets LostError
    if he takes too long. One on an actor elsewhere is as good as the answer of that sidecar.
    """

    address: str = ""
    app_id: str = ""

    @property
    def is_here(self) -> bool:
        return not self.address


HERE: Final = Claim()


class Placement(ABC):
    """Asked for each call: what is known costs no waiting."""

    @abstractmethod
    def lookup_now(self, actor: ActorId) -> Claim | None:
        """Where the actor lives; None while that changes, or cannot be told yet. Raises NoHostError."""

    @abstractmethod
    async def lookup(self, actor: ActorId, patience: float | None = None) -> Claim:
        """The same, once it is known. Raises NoHostError.

        LostError: this sidecar is told nothing, and has not been for `patience` seconds more.
        """

    def before(self, _: ActorId) -> Claim | None:
        """The other sidecar where the actor lived until now, while it is not known where it will: its turn may run yet.

        Nothing new begins there; it lets in what belongs to a turn that has to end.
        """
        return None

    def holds(self) -> bool:
        """Whether actors that are active here may be written for: not while others may have them already."""
        return True


class Embedded(Placement):
    """One sidecar alone: all that it hosts lives here."""

    def __init__(self, is_hosted: Callable[[str], bool]) -> None:
        self._is_hosted = is_hosted

    def lookup_now(self, actor: ActorId) -> Claim | None:
        if not actor.id or not self._is_hosted(actor.type):
            raise NoHostError(actor)
        return HERE

    async def lookup(self, actor: ActorId, _: float | None = None) -> Claim:
        return self.lookup_now(actor) or HERE
