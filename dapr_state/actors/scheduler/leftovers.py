"""Reminders of before the scheduler: those that the store still has go on from there, until they are moved.

Rules that a change must keep:
1. What is made goes to the scheduler; then the store has none of that name any more. What is deleted is so in the store
   first: one that is on its way into the scheduler meanwhile is taken back there, or deleted there after it.
2. While the store has none, it is not asked: the scheduler alone is as fast as it was.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Final

from dapr_state.actors.reminders import ExistsError, ReminderBackend, in_order
from dapr_state.actors.state import NoStoreError
from dapr_state.stores.base import Unsupported

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping, Sequence

    from dapr_state.actors.embedded_reminders import EmbeddedReminders
    from dapr_state.actors.reminders import ReminderRequest, ReminderState, ReminderView
    from dapr_state.app.model import ActorId

log = logging.getLogger("dapr.runtime.actor.reminders")

HOW: Final = "`dapr-state reminders migrate` with the flags of this sidecar moves them into the scheduler"


class WithLeftovers(ReminderBackend):
    """`new` keeps what is made, `old` has what was."""

    def __init__(self, new: ReminderBackend, old: EmbeddedReminders) -> None:
        self._new = new
        self._old = old
        self._telling: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<WithLeftovers {self._new!r}, {self._old!r}>"

    def counts(self) -> Mapping[str, int]:
        return self._old.counts()

    async def create(self, request: ReminderRequest) -> None:
        actor, name = request.actor, request.name
        if not request.overwrite and await self._old_one(actor, name):
            raise ExistsError
        await self._new.create(request)
        if await self._old_one(actor, name):
            await self._old.delete(actor, name)

    async def get(self, actor: ActorId, name: str) -> ReminderView | None:
        return await self._new.get(actor, name) or await self._old_one(actor, name)

    async def delete(self, actor: ActorId, name: str) -> None:
        if await self._old_one(actor, name):
            await self._old.delete(actor, name)
        await self._new.delete(actor, name)

    async def list(self, actor_type: str, actor_id: str | None = None) -> list[ReminderView]:
        new = await self._new.list(actor_type, actor_id)
        if not self._may_have_old:
            return new
        try:
            old = await self._old.list(actor_type, actor_id)
        except (NoStoreError, Unsupported):
            return new
        return await in_order(chain(old, new))

    async def delete_all(self, actor_type: str, actor_id: str | None = None) -> None:
        if self._may_have_old:
            with suppress(NoStoreError, Unsupported):  # then there are none
                await self._old.delete_all(actor_type, actor_id)
        await self._new.delete_all(actor_type, actor_id)

    # What administration asks

    async def states(self, actor_type: str, actor_id: str | None = None) -> AsyncIterator[Sequence[ReminderState]]:
        async for page in self._new.states(actor_type, actor_id):
            yield page
        if self._may_have_old:
            with suppress(NoStoreError, Unsupported):
                async for page in self._old.states(actor_type, actor_id):
                    yield page

    def parked(self, actor_type: str) -> int:
        return self._old.parked(actor_type)

    # What the store may have

    @property
    def _may_have_old(self) -> bool:
        return bool(self._old.counts()) or not self._old.is_read.is_set()

    async def _old_one(self, actor: ActorId, name: str) -> ReminderView | None:
        if not self._may_have_old:
            return None
        try:
            return await self._old.get(actor, name)
        except (NoStoreError, Unsupported):
            return None

    # Life

    def begin(self) -> None:
        self._new.begin()
        self._old.begin()
        self._telling = asyncio.ensure_future(self._tell())

    async def _tell(self) -> None:
        await self._old.is_read.wait()
        if counts := self._old.counts():
            types = ", ".join(f"{number} of {actor_type}" for actor_type, number in sorted(counts.items()))
            log.warning("Reminders are still in the actor state store, and fire from there: %s. %s", types, HOW)

    def hosted(self, types: Collection[str]) -> None:
        self._new.hosted(types)
        self._old.hosted(types)

    def stop(self) -> None:
        self._new.stop()
        self._old.stop()

    async def close(self) -> None:
        if self._telling:
            self._telling.cancel()
        await self._new.close()
        await self._old.close()
