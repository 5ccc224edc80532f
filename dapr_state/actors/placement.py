"""Which sidecar an actor lives on."""

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


class Owner(Struct, frozen=True):
    """`address` is that of the sidecar's internal port; empty for this one."""

    address: str = ""

    @property
    def is_here(self) -> bool:
        return not self.address


HERE: Final = Owner()


class Placement(ABC):
    """May wait while the hosts change."""

    @abstractmethod
    async def owner(self, actor: ActorId) -> Owner:
        """Where the actor lives. Raises NoHostError."""


class Embedded(Placement):
    """One sidecar alone: all that it hosts lives here."""

    def __init__(self, is_hosted: Callable[[str], bool]) -> None:
        self._is_hosted = is_hosted

    async def owner(self, actor: ActorId) -> Owner:
        if not actor.id or not self._is_hosted(actor.type):
            raise NoHostError(actor)
        return HERE
