"""Faults that a test has put in: what each is for, how often it comes, and what it does to whom it meets."""

from __future__ import annotations

import asyncio
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Final

from dapr_state_proto.admin.v1 import admin_pb2

from dapr_state.clock import WAITING

if TYPE_CHECKING:
    from collections.abc import Iterable

AT_MOST: Final = 1000  # at one time: each is asked about each call

GET, WRITE, TRANSACT = admin_pb2.Fault.GET, admin_pb2.Fault.WRITE, admin_pb2.Fault.TRANSACT
ANY_STORE, APP_CALL = admin_pb2.Fault.ANY_STORE, admin_pb2.Fault.APP_CALL
REMINDER, TIMER, API = admin_pb2.Fault.REMINDER, admin_pb2.Fault.TIMER, admin_pb2.Fault.API

_OF_STORES: Final = frozenset({GET, WRITE, TRANSACT})
TAKEN_AWAY: Final = "the fault was taken away"


class Fault:
    """One of them; `message` is as the test has given it."""

    def __init__(self, number: int, message: admin_pb2.Fault) -> None:
        self.id = str(number)
        self.message = message
        self.effect = message.WhichOneof("effect") or "error"
        self.hits = 0
        self._left = message.times or None  # None: without end
        self._skip = message.skip
        self._random = Random(message.seed)  # noqa: S311 - a test repeats what it has seen
        self._released = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Fault {self.id} {self.effect}, {self.hits} hits>"

    @property
    def text(self) -> str:
        """The reason that its caller is told."""
        return self.message.error or "a fault that the test has put in"

    def comes(self) -> bool:
        """Whether what it is for meets it this time."""
        if self._left == 0:
            return False
        if self._skip:
            self._skip -= 1
            return False
        if self.message.probability and self._random.random() >= self.message.probability:
            return False
        self.hits += 1
        if self._left is not None:
            self._left -= 1
        return True

    async def wait(self) -> bool:
        """What takes time of it; False if it was all that is to be done, and what was asked goes on."""
        if self.effect == "delay":
            await WAITING.sleep(self.message.delay.ToNanoseconds() / 1e9)
            return False
        if self.effect == "hang":
            await self._released.wait()
        return True

    def release(self) -> None:
        """Those that hang in it go on, and fail."""
        self._released.set()


class Faults:
    """Those that are there, in the order in which they were put in: the first that comes is met."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}
        self._numbers = count(1)

    def __repr__(self) -> str:
        return f"<Faults {', '.join(map(repr, self._faults.values())) or 'none'}>"

    def __bool__(self) -> bool:
        return bool(self._faults)

    def all(self) -> tuple[Fault, ...]:
        return tuple(self._faults.values())

    @property
    def is_full(self) -> bool:
        return len(self._faults) >= AT_MOST

    def add(self, message: admin_pb2.Fault) -> Fault:
        fault = Fault(next(self._numbers), message)
        self._faults[fault.id] = fault
        return fault

    def remove(self, name: str) -> Fault | None:
        fault = self._faults.pop(name, None)
        if fault:
            fault.release()
        return fault

    def clear(self) -> None:
        for name in tuple(self._faults):
            self.remove(name)

    def of_store(self, on: int, store: str, keys: Iterable[str]) -> Fault | None:
        """The one that a call of a store for these keys meets; a call for none, as a query, is for any."""
        if not self._faults:
            return None
        keys = tuple(keys) or ("",)
        return next(
            (
                fault
                for fault in self._faults.values()
                if _is_of_store(fault.message, on, store)
                and any(key.startswith(fault.message.key_prefix) for key in keys)
                and fault.comes()
            ),
            None,
        )

    def of_actor(self, on: int, actor_type: str, actor_id: str, method: str) -> Fault | None:
        """The one that a call of the application meets: a method, or a tick by the name of its reminder or timer."""
        for fault in self._faults.values():
            asked = fault.message
            if asked.on != on or not _fits(asked, actor_type, actor_id, method):
                continue
            if fault.comes():
                return fault
        return None

    def of_api(self, operation: str) -> Fault | None:
        """The one that a call of the sidecar's API meets."""
        for fault in self._faults.values():
            if fault.message.on == API and fault.message.method in {"", operation} and fault.comes():
                return fault
        return None


def _is_of_store(asked: admin_pb2.Fault, on: int, store: str) -> bool:
    is_for = asked.on == on or (asked.on == ANY_STORE and on in _OF_STORES)
    return is_for and asked.store in {"", store}


def _fits(asked: admin_pb2.Fault, actor_type: str, actor_id: str, method: str) -> bool:
    given = ((asked.actor_type, actor_type), (asked.actor_id, actor_id), (asked.method, method))
    return all(wanted in {"", found} for wanted, found in given)
