"""Reminders as the API knows them: what is asked of them, what is shown, and the interface of whoever keeps them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final

from msgspec import Raw, Struct

from dapr_state.slices import Work
from dapr_state.stores.sortedkeys import SortedKeys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence

    from dapr_state.app.model import ActorId


class Policy(Struct, frozen=True):
    """How often a failed trigger is tried again (None: until it succeeds), and after how many seconds."""

    max_retries: int | None = 3
    interval: float = 1.0


DROP: Final = Policy(max_retries=0)


class ReminderRequest(Struct, frozen=True):
    """A registration as the caller gave it. `data` is JSON text."""

    actor: ActorId
    name: str
    due_time: str = ""
    period: str = ""
    ttl: str = ""
    data: bytes | None = None
    overwrite: bool = True
    policy: Policy = Policy()


class ReminderView(Struct, frozen=True):
    """A reminder as it is shown; what it does not have is empty. `data` is JSON text."""

    type: str
    id: str
    name: str
    due_time: str = ""
    period: str = ""
    ttl: str = ""
    data: Raw = Raw(b"")


class ReminderState(Struct, frozen=True):
    """A reminder as administration shows it; times are in nanoseconds, None where they are not known."""

    type: str
    id: str
    name: str
    next_at: int | None = None
    period: str = ""
    ends_at: int | None = None
    fired: int = 0  # times, since this sidecar began
    failures: int = 0  # in a row, of the trigger that is tried
    last_error: str = ""
    last_at: float | None = None  # unix seconds
    is_parked: bool = False  # due, and waits for its type to be hosted, or to be resumed
    is_firing: bool = False
    data_size: int = 0

    @property
    def key(self) -> tuple[str, str, str]:
        return self.type, self.id, self.name


class CannotError(Exception):
    """Who keeps the reminders has no way to do this."""


class ExistsError(Exception):
    """There is a reminder of this name, and it is not to be overwritten."""


class RefusedError(Exception):
    """Another service that keeps the reminders has refused, or was not reached; the text is daprd's."""


class ReminderBackend(ABC):
    """Who keeps reminders, and has them fire: by itself, or when another service says so.

    The first five are what the API asks; each raises StoreError, NoStoreError, RefusedError or AwayError. The others
    are its life.
    """

    @abstractmethod
    async def create(self, request: ReminderRequest) -> None:
        """Return when it is kept for good. Raises ScheduleError or ExistsError."""

    @abstractmethod
    async def get(self, actor: ActorId, name: str) -> ReminderView | None:
        """The reminder; None if there is none, or no more."""

    @abstractmethod
    async def delete(self, actor: ActorId, name: str) -> None:
        """That there is none is a success. A trigger that is under way is let finish."""

    @abstractmethod
    async def list(self, actor_type: str, actor_id: str | None = None) -> list[ReminderView]:
        """All of a type, or of one actor, by id and name."""

    @abstractmethod
    async def delete_all(self, actor_type: str, actor_id: str | None = None) -> None:
        """All of exactly this type, or of one actor."""

    # What administration asks

    async def states(self, actor_type: str, actor_id: str | None = None) -> AsyncIterator[Sequence[ReminderState]]:
        """All of a type ("": of any that is known here) or of one actor, some at a time; one may come twice."""
        for each in [actor_type] if actor_type else tuple(self.counts()):
            yield [
                ReminderState(view.type, view.id, view.name, period=view.period, data_size=len(bytes(view.data)))
                for view in await self.list(each, actor_id)
            ]

    def paused(self) -> Collection[str]:
        """The types whose reminders are paused."""
        return ()

    def parked(self, actor_type: str) -> int:  # noqa: ARG002
        """How many of a type are due, and wait for it to be hosted, or to be resumed."""
        return 0

    async def pause(self, actor_type: str, *, is_paused: bool) -> int:  # noqa: ARG002
        """Let those of a type wait when they are due, or fire again, once each for what was missed: how many wait."""
        raise CannotError("where a scheduler keeps the reminders they cannot be paused here")

    async def advance(self, actor: ActorId, name: str, *, is_over: bool) -> int | None:  # noqa: ARG002
        """Count a trigger that was fired out of turn as the one that comes next: when it fires then, in nanoseconds."""
        raise CannotError("where a scheduler keeps the reminders it fires them when they are due")

    @abstractmethod
    def begin(self) -> None:
        """Fire from now on what is kept, what fell due while nobody was there included."""

    @abstractmethod
    def hosted(self, types: Collection[str]) -> None:
        """These types are hosted now, besides those that are already: what waited for them is due."""

    @abstractmethod
    def counts(self) -> Mapping[str, int]:
        """The number of reminders of each type, as far as this sidecar knows."""

    # Where the clock that users see is moved, what falls due by it is rung for by whoever moves it

    @property
    def next_due(self) -> int | None:
        """When the next trigger falls due by that clock, in nanoseconds since 1970; None: another service knows."""
        return None

    @property
    def is_idle(self) -> bool:
        """Whether nothing is fired or written."""
        return True

    def ring(self) -> None:  # noqa: B027 - another service does
        """Fire those that are due now, by type, id and name."""

    def hurry(self) -> None:  # noqa: B027 - as above
        """Write now what would wait for others to be written with."""

    async def clear(self) -> int:
        """Forget all that this sidecar knows of, in the table too; how many there were."""
        return 0

    async def kept(self) -> Sequence[Any]:
        """All that there are, for `put_back`; none where they are not this sidecar's to keep."""
        return ()

    async def put_back(self, kept: Sequence[Any]) -> None:  # noqa: B027 - as above
        """Where there are none, have these."""

    @abstractmethod
    def stop(self) -> None:
        """Begin no trigger any more."""

    @abstractmethod
    async def close(self) -> None:
        """Stop; a trigger that is still under way is given up, and comes again after the next start."""


async def in_order(views: Iterable[ReminderView]) -> list[ReminderView]:
    """By id and name; of several with the same the last counts."""
    found: dict[tuple[str, ...], ReminderView] = {}
    keys: SortedKeys[tuple[str, ...]] = SortedKeys()
    work = Work()
    for view in views:
        found[view.id, view.name] = view
        keys.add((view.id, view.name))
        if work.is_over():
            await work.pause()
    return await work.each(found.__getitem__, keys)
