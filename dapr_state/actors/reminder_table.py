"""The table of reminders: a row each, found by type, actor and name, that is changed under the version that was seen.

Several sidecars may use one table. A change is acknowledged when it is written, never before; one that is to happen
only on the version that was seen does not happen on another one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from dapr_state.actors.reminder import Key, Reminder  # noqa: TC001  msgspec reads the annotations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


PATIENCE: Final = 0.01  # seconds that a change may wait for others, if nobody waits for it


class Kept(Struct, frozen=True):
    """A row: a reminder and its version."""

    reminder: Reminder
    etag: str


class Put(Struct, frozen=True):
    """Keep this reminder in the place of the one of its name, if that has this version, or if there is none."""

    reminder: Reminder
    etag: str = ""  # "": whatever there is
    only_new: bool = False
    # what follows is not kept
    again_at: int | None = None  # monotonic time that users see: until then it rests, though it may be due
    is_renewal: bool = False  # it is only to have a new version

    @property
    def key(self) -> Key:
        return self.reminder.key


class Remove(Struct, frozen=True):
    """Keep none of this name; that there is none is a success, unless a version is given."""

    key: Key
    etag: str = ""


Change = Put | Remove


class ReminderTable(ABC):
    """Every method raises StoreError or NoStoreError."""

    # told each change in the order in which they are written; None for one of which nobody knows whether it was
    on_written: Callable[[Key, Change | None], None] = staticmethod(lambda *_: None)

    @abstractmethod
    async def read(self, key: Key) -> Kept | None:
        """The row; None if there is none."""

    @abstractmethod
    def pages(self, actor_type: str = "", actor_id: str | None = None) -> AsyncIterator[list[Kept]]:
        """All rows, those of one type or of one actor, some at a time; one may come twice, and what changes may not."""

    @abstractmethod
    async def write(self, change: Change, *, is_patient: bool = False) -> bool:
        """Return once it is written; False if it may not happen. A patient call waits for others to be written with."""

    @property
    @abstractmethod
    def is_idle(self) -> bool:
        """Whether nothing waits to be written."""

    @abstractmethod
    def hurry(self) -> None:
        """Write what patient calls have asked for."""

    @abstractmethod
    async def paused(self) -> set[str]:
        """The types that are paused."""

    @abstractmethod
    async def pause(self, actor_type: str, *, is_paused: bool) -> None:
        """Return once it is kept."""

    @abstractmethod
    async def close(self) -> None:
        """Return when everything is written that was asked for so far."""
