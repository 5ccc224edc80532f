"""What one tick of the event loop asks of Redis, sent together.

Reads go as one run of commands, and independent writes as one call of the script: ten writes in one call cost Redis two
thirds of what they cost one by one. Nobody can tell that others came along: each caller gets the outcome of what he
asked for, and a key that one may not use does not keep the others from theirs.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from dapr_state.stores.base import StoreError
from dapr_state.stores.callers import Callers
from dapr_state.stores.redis import reading, writing
from dapr_state.stores.redis.connection import MAX_WAITING, ReplyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapr_state.stores.model import Operation, Row
    from dapr_state.stores.redis.connection import Connection

    Found = Row | StoreError | None

# Redis does nothing else meanwhile: 64 plain writes take it 0.15 ms, and more in one call gain nothing.
_OPERATIONS_AT_MOST: Final = 64
_OCTETS_AT_MOST: Final = 1024 * 1024  # of one call for several callers: large values gain nothing by company
_KEYS_AT_MOST: Final = 256  # of one run of reads

W = TypeVar("W")  # what is wanted: a key, or an operation
R = TypeVar("R")  # what comes of it


class Grouping:
    """`tells_expiry`: whether the server knows PEXPIRETIME."""

    def __init__(self, connection: Connection, *, tells_expiry: bool = True) -> None:
        self.connection = connection
        self.tells_expiry = tells_expiry
        self.waiting = 0  # callers
        self._loop = asyncio.get_running_loop()
        self._reads: _Reads | None = None  # this tick's
        self._writes: _Writes | None = None
        self._scheduled = False

    def read(self, keys: Sequence[str]) -> asyncio.Future[list[Found]]:
        """Ask for rows at the end of the tick. Raises StoreError, with nothing sent, when too many wait."""
        self._refuse_too_many()  # before there is a batch: none is ever empty
        group = self._reads
        if group is None:
            group = self._reads = _Reads(self)
        answer = self._join(group, keys)
        if len(group.wanted) >= _KEYS_AT_MOST:
            self._close_reads()
        return answer

    def write(self, operations: Sequence[Operation]) -> asyncio.Future[list[StoreError | None]]:
        """Send independent operations at the end of the tick; an error for each that was not done. Raises as `read`."""
        self._refuse_too_many()
        group = self._writes
        if group is None:
            group = self._writes = _Writes(self)
        answer = self._join(group, operations)
        if len(group.wanted) >= _OPERATIONS_AT_MOST:
            self.close_writes()
        return answer

    def flush(self) -> None:
        """Send what waits for the end of the tick."""
        self._scheduled = False
        self.close_writes()
        self._close_reads()
        self.connection.flush()

    def close_writes(self) -> None:
        """Let no other write join: what is sent from now on comes behind."""
        group, self._writes = self._writes, None
        if group:
            group.send()

    def _close_reads(self) -> None:
        group, self._reads = self._reads, None
        if group:
            group.send()

    def _refuse_too_many(self) -> None:
        if self.waiting >= MAX_WAITING:
            raise StoreError(f"too many requests wait for redis: {self.waiting}")

    def _join(self, group: _Group[W, R], wanted: Sequence[W]) -> asyncio.Future[list[R]]:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.flush)
        self.waiting += 1
        group.wanted += wanted
        return group.callers.join(self._loop, len(wanted))


class _Group(ABC, Generic[W, R]):
    """What a connection takes for a future: callers whose answers come together."""

    def __init__(self, grouping: Grouping) -> None:
        self._grouping = grouping
        self.wanted: list[W] = []
        self.callers: Callers[R] = Callers()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self.callers)} callers, {len(self.wanted)} wanted>"

    @abstractmethod
    def send(self) -> None:
        """Ask, and settle what the callers wait for when the replies are there, or will not come."""

    @abstractmethod
    def set_result(self, replies: list[Any]) -> None: ...

    def done(self) -> bool:
        return False  # if nobody waits any more, a script may still have to be sent again

    def set_exception(self, error: StoreError) -> None:
        self._grouping.waiting -= len(self.callers)
        self.callers.fail(error)

    def _settle(self, outcomes: list[R]) -> None:
        self._grouping.waiting -= len(self.callers)
        self.callers.settle(outcomes)

    def _send(self, commands: bytes, replies: int) -> None:
        try:
            self._grouping.connection.send(commands, replies, self)
        except StoreError as error:
            self.set_exception(error)


class _Reads(_Group[str, "Found"]):
    def __init__(self, grouping: Grouping) -> None:
        super().__init__(grouping)
        self._found: list[Found] | None = None
        self._unclear: list[int] = []  # places in it that plain commands do not explain, and a script has to look at

    def send(self) -> None:
        if self._grouping.tells_expiry:
            self._send(reading.pack(self.wanted), 2 * len(self.wanted))
        else:
            self._send(reading.pack_for_old_server(self.wanted), 2 * len(self.wanted) + 1)

    def set_result(self, replies: list[Any]) -> None:
        if self._found is not None:
            for place, reply in zip(self._unclear, replies, strict=True):
                self._found[place] = reading.looked_at(reply)
            self._settle(self._found)
            return
        found, unclear = reading.rows(replies if self._grouping.tells_expiry else reading.with_expiry(replies))
        if not unclear:
            self._settle(found)
            return
        self._found, self._unclear = found, unclear
        self._send(reading.pack_look(self.wanted[place] for place in unclear), len(unclear))


class _Writes(_Group["Operation", "StoreError | None"]):
    def send(self, *, whole: bool = False) -> None:
        call = writing.call(writing.EACH, self.wanted, whole=whole)
        if len(call) > _OCTETS_AT_MOST and len(self.callers) > 1:
            self._send_apart()
        else:
            self._send(call, 1)

    def set_result(self, replies: list[Any]) -> None:
        (reply,) = replies
        if not isinstance(reply, ReplyError):
            self._settle(writing.outcomes(self.wanted, reply))
        elif str(reply).startswith("NOSCRIPT"):  # not run, then: it is sent again, and brought along
            self.send(whole=True)
        elif str(reply).startswith("NOPERM") and len(self.callers) > 1:  # not run either, for one of the keys
            self._send_apart()
        else:
            self.set_exception(reply)

    def _send_apart(self) -> None:
        """Each caller's on its own."""
        at = 0
        for caller, size in self.callers.apart():
            alone = _Writes(self._grouping)
            alone.callers, alone.wanted = caller, self.wanted[at : at + size]
            alone.send()
            at += size
