"""Which keys of a store a request means, and how they are shown: the application's own, its actors', or all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from dapr_state_proto.admin.v1 import admin_pb2

from dapr_state.actors.reminder_store import SPACE as REMINDERS
from dapr_state.api.keys import SEPARATOR

if TYPE_CHECKING:
    from dapr_state.api.state import BoundStore
    from dapr_state.stores.base import StateStore

_OF_ACTORS: Final = 2  # separators in a key of theirs behind the application's


class Space(NamedTuple):
    """`before` stands before every key of the space in the store."""

    kind: int
    store: StateStore
    before: str
    tail: str = ""  # what closes a tag that keeps an actor together, where the store has such tags

    def stored(self, key: str) -> str:
        """The key in the store."""
        if self.tail and self.kind == admin_pb2.ACTORS:
            actor_type, first, rest = key.partition(SEPARATOR)
            actor_id, second, name = rest.partition(SEPARATOR)
            return f"{self.before}{actor_type}{first}{actor_id}{self.tail if second else ''}{second}{name}"
        return self.before + key

    def shown(self, stored: str) -> str | None:
        """The key as its callers write it; None: it is none of this space."""
        if not stored.startswith(self.before):
            return None
        key = stored[len(self.before) :]
        if self.kind == admin_pb2.STORE:
            return key
        if self.kind == admin_pb2.APPLICATION:
            return None if SEPARATOR in key else key
        if key.count(SEPARATOR) < _OF_ACTORS or key.startswith(REMINDERS + SEPARATOR):
            return None
        return key.replace(self.tail + SEPARATOR, SEPARATOR, 1) if self.tail else key

    def foreign(self, stored: str) -> str:
        """How keys begin that are none of this space, as this one does; "" if that is not known of others."""
        key = stored[len(self.before) :]
        if self.kind == admin_pb2.APPLICATION and SEPARATOR in key:
            return self.before + key.partition(SEPARATOR)[0] + SEPARATOR
        if self.kind == admin_pb2.ACTORS and key.startswith(REMINDERS + SEPARATOR):
            return self.before + REMINDERS + SEPARATOR
        return ""


def of(kind: int, bound: BoundStore, app_id: str) -> Space:
    if kind == admin_pb2.ACTORS:
        store = bound.store.unencrypted  # so is the state of actors kept
        head, _, tail = store.together("\0").partition("\0")
        return Space(kind, store, f"{head}{app_id}{SEPARATOR}", tail)
    if kind == admin_pb2.STORE:
        return Space(kind, bound.store, "")
    return Space(admin_pb2.APPLICATION, bound.store, bound.prefix)
