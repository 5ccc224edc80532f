"""What one tick of the event loop asks of Redis, sent together.

Reads go as one run of commands, and independent writes as one call of the script: ten writes in one call cost Redis two
thirds of what they cost one by one. Nobody can tell that others came along: each caller gets the outcome of what he
asked for, and a key that one may not use does not keep the others from theirs.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from dapr_state.stores.base import StoreError
from dapr_state.stores.batching import CALLERS_AT_MOST, Batch, Batcher, Budget, attempt, weight, weight_of_keys
from dapr_state.stores.model import Operation, StoredValue
from dapr_state.stores.redis import reading, writing
from dapr_state.stores.redis.connecting import Server
from dapr_state.stores.redis.connection import ReplyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from dapr_state.stores.base import Found, Outcomes
    from dapr_state.stores.redis.connection import Connection

# Redis does nothing else meanwhile: 64 plain writes take it 0.15 ms, and more in one call gain nothing.
_OPERATIONS_AT_MOST: Final = 64
_KEYS_AT_MOST: Final = 256  # of one run of reads
OCTETS_AT_MOST: Final = 1024 * 1024  # of one call for several callers: large values gain nothing by company
# Redis keeps whole what it is asked for until it is taken: 900 values of 4 MB at once were 3.6 GB of its memory. How
# large they are nobody knows before they come, so few keys are read at one time until enough small ones have come.
_OWED_AT_MOST: Final = 16 * 1024 * 1024  # octets that Redis is asked for at one time, where rows are as they were
_READING_AT_FIRST: Final = 32  # keys: 128 MB of the largest that a request may save
_READING_AT_MOST: Final = 4096  # keys: 50,000 a second of a server 80 ms away
MAX_OCTETS: Final = 64 * 1024 * 1024  # of all that waits: twice what large requests may hold together
SLICE: Final = 1024  # operations that are packed in 2 ms

Reads = Batch[str, StoredValue | StoreError | None]
Writes = Batch[Operation, StoreError | None]


def budget() -> Budget:
    return Budget("redis", callers=CALLERS_AT_MOST, octets=MAX_OCTETS)


class Grouping:
    """`waiting`: for the store, on its other connections too."""

    def __init__(self, connection: Connection, server: Server | None = None, *, waiting: Budget | None = None) -> None:
        self.connection = connection
        self.server = server or Server()
        self.waiting = waiting or budget()
        self.keys_at_once = _READING_AT_FIRST  # of one request: fewer where values are large, as others wait for them
        self._reading_at_most = _READING_AT_FIRST  # keys, of all requests; one request alone may have more
        self._reading = 0  # keys that were sent and are not here
        self._held: deque[Reads] = deque()  # there are some only while others are read: the end of these sends them
        self._received = 0  # octets, when the last rows came
        self._loop = asyncio.get_running_loop()
        common: dict[str, Any] = {
            "budget": self.waiting,
            "at_end": connection.before_flush,
            "octets_at_most": OCTETS_AT_MOST,
        }
        reads: Batcher[str, StoredValue | StoreError | None] = Batcher(
            self._send, weigh=weight_of_keys, at_most=_KEYS_AT_MOST, **common
        )
        each = _CallForEachKey if self.server.cluster else _Call
        self._writes: Batcher[Operation, StoreError | None] = Batcher(
            lambda batch: each(self.connection, writing.EACH, batch).send(),
            weigh=weight,
            at_most=_OPERATIONS_AT_MOST,
            **common,
        )
        self._transactions: Batcher[Operation, StoreError | None] = Batcher(
            lambda batch: _Call(self.connection, writing.ALL, batch).send(), weigh=weight, at_most=1, **common
        )
        # Rows, and an error for each independent operation that was not done. They are sent at the end of the tick;
        # StoreError, with nothing sent, when too many wait.
        self.read: Callable[[Sequence[str]], asyncio.Future[Found]] = reads.ask
        self.write: Callable[[Sequence[Operation]], asyncio.Future[Outcomes]] = self._writes.ask

    def transact(self, operations: Sequence[Operation]) -> Awaitable[Outcomes]:
        """Send a transaction, behind what was written before; an error in the place of the operation that failed."""
        if len(operations) > SLICE:
            return self._transact_many(operations)
        self._writes.close()  # writes are done in the order in which they came
        return self._transactions.ask_alone(operations)

    async def _transact_many(self, operations: Sequence[Operation]) -> Outcomes:
        """They are packed in slices: others have their turns meanwhile."""
        parts: list[writing.Words] = []
        octets = 0
        for start in range(0, len(operations), SLICE):
            some = operations[start : start + SLICE]
            parts.append(writing.some_words(some))
            octets += weight(some)
            await asyncio.sleep(0)
        call = writing.whole_call(writing.ALL, parts)
        await asyncio.sleep(0)
        self.waiting.take(octets)
        batch: Writes = Batch(self.waiting)
        answer: asyncio.Future[Outcomes] = self._loop.create_future()
        batch.join(answer, operations, octets)
        self._writes.close()
        try:
            self.connection.send(call, 1, _Call(self.connection, writing.ALL, batch))
        except StoreError as error:
            batch.fail(error)
        return await answer

    def flush(self) -> None:
        """Send what waits for the end of the tick."""
        self.connection.flush()

    def _send(self, batch: Reads) -> None:
        """Send reads, or hold them until those that are under way have come."""
        keys = len(batch.wanted)
        if self._reading + keys > self._reading_at_most:
            self._held.append(batch)
            if len(self._held) == 1:
                self._send_held()
        elif self._held:
            self._held.append(batch)
        else:
            _Read(self, batch).send()
            self._reading += keys

    def _send_held(self) -> None:
        """Send as many as there is room for, at least one caller's: he may want more than that alone."""
        while self._held and (self._reading < self._reading_at_most or self.connection.lost):
            if self.connection.lost:
                self._held.popleft().fail(self.connection.lost)
                continue
            some = self._held[0].part(self._reading_at_most - self._reading, at_least=0 if self._reading else 1)
            if not some:
                return  # one caller wants more than there is room for: when nothing is under way it is his turn
            if not self._held[0]:
                self._held.popleft()
            attempt(self._send_now, some)

    def _send_now(self, batch: Reads) -> None:
        _Read(self, batch).send()
        self._reading += len(batch.wanted)

    def came(self, keys: int) -> None:
        """Rows of so many keys are here: fewer are asked for at once if they are large, and more if they are not."""
        octets, self._received = self.connection.received - self._received, self.connection.received
        target = _READING_AT_MOST
        if octets > OCTETS_AT_MOST:
            self.keys_at_once = max(1, min(self.keys_at_once, keys * OCTETS_AT_MOST // octets))
            target = max(1, keys * _OWED_AT_MOST // octets)
        elif keys >= self.keys_at_once < _KEYS_AT_MOST:
            self.keys_at_once = min(_KEYS_AT_MOST, 2 * self.keys_at_once)
        if target < self._reading_at_most:
            self._reading_at_most = target
        elif 2 * self._reading >= self._reading_at_most:
            self._reading_at_most = min(target, 2 * self._reading_at_most)
        elif 8 * self._reading < self._reading_at_most > _READING_AT_FIRST:
            self._reading_at_most //= 2  # what few small reads have told says little of the many that may come

    def ended(self, keys: int) -> None:
        """So many keys are no longer under way."""
        self._reading -= keys
        if self._held:
            self._send_held()


class _Sent(ABC):
    """What a connection takes for a future: a batch whose replies are on their way."""

    __slots__ = ("_batch", "_connection")

    def __init__(self, connection: Connection, batch: Batch[Any, Any]) -> None:
        self._connection = connection
        self._batch = batch

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._batch!r}>"

    def done(self) -> bool:
        return False  # if nobody waits any more, a script may still have to be sent again

    @abstractmethod
    def set_result(self, replies: list[Any]) -> None: ...

    def set_exception(self, error: StoreError) -> None:
        self._batch.fail(error)

    def _again(self, commands: bytes, replies: int) -> None:
        """Ask once more, from within an answer."""
        try:
            self._connection.send(commands, replies, self)
        except StoreError as error:
            self.set_exception(error)


class _Read(_Sent):
    __slots__ = ("_found", "_grouping", "_tells_expiry", "_unclear")

    def __init__(self, grouping: Grouping, batch: Reads) -> None:
        super().__init__(grouping.connection, batch)
        self._grouping = grouping
        self._tells_expiry = grouping.server.tells_expiry
        self._found: Found | None = None
        self._unclear: list[int] = []  # places in it that plain commands do not explain, and a script has to read

    def send(self) -> None:
        keys = self._batch.wanted
        if self._tells_expiry:
            self._connection.send(reading.pack(keys), 2 * len(keys), self)
        else:
            self._connection.send(reading.pack_for_old_server(keys), 2 * len(keys) + 1, self)

    def set_exception(self, error: StoreError) -> None:
        super().set_exception(error)
        self._grouping.ended(len(self._batch.wanted))

    def set_result(self, replies: list[Any]) -> None:
        if self._found is not None:
            for place, reply in zip(self._unclear, replies, strict=True):
                self._found[place] = reading.any_row(reply)
            self._settle(self._found)
            return
        self._grouping.came(len(self._batch.wanted))
        found, unclear = reading.rows(replies if self._tells_expiry else reading.with_expiry(replies))
        if not unclear:
            self._settle(found)
            return
        self._found, self._unclear = found, unclear
        self._again(reading.pack_read_any(self._batch.wanted[place] for place in unclear), len(unclear))

    def _settle(self, found: Found) -> None:
        self._batch.settle(found)  # if it raises the connection ends, and `set_exception` is told
        self._grouping.ended(len(self._batch.wanted))


class _Call(_Sent):
    """A call of the script: the only place that knows that a server may have forgotten it."""

    __slots__ = ("_mode",)

    def __init__(self, connection: Connection, mode: bytes, batch: Writes) -> None:
        super().__init__(connection, batch)
        self._mode = mode

    def send(self) -> None:
        self._connection.send(writing.call(self._mode, self._batch.wanted), 1, self)

    def set_result(self, replies: list[Any]) -> None:
        (reply,) = replies
        if not isinstance(reply, ReplyError):
            self._batch.settle(writing.outcomes(self._batch.wanted, reply))
        elif str(reply).startswith("NOSCRIPT"):  # not run, then: it is sent again, and brought along
            self._batch.forget_done()
            if self._batch.callers:
                self._again(writing.call(self._mode, self._batch.wanted, whole=True), 1)
        elif str(reply).startswith("NOPERM") and len(self._batch) > 1:  # not run either, for one of the keys
            for alone in self._batch.apart():
                call = _Call(self._connection, self._mode, alone)
                call._again(writing.call(self._mode, alone.wanted), 1)
        else:
            self._batch.fail(reply)


class _CallForEachKey(_Call):
    """Calls of the script, one for each key: in a cluster the keys of one call must be of one slot."""

    __slots__ = ("_asked", "_outcomes")

    def send(self) -> None:
        places: dict[str, list[int]] = {}
        for place, operation in enumerate(self._batch.wanted):
            places.setdefault(operation.key, []).append(place)
        self._asked = list(places.values())
        self._outcomes: Outcomes = [None] * len(self._batch.wanted)
        self._connection.send(self._calls(), len(self._asked), self)

    def set_result(self, replies: list[Any]) -> None:
        forgotten = []
        is_wanted = self._batch.still_wanted()  # what nobody waits for must not come behind what was asked since
        for places, reply in zip(self._asked, replies, strict=True):
            if isinstance(reply, ReplyError) and str(reply).startswith("NOSCRIPT"):
                if wanted := [place for place in places if is_wanted[place]]:
                    forgotten.append(wanted)
                continue
            for place, outcome in zip(places, self._told(places, reply), strict=True):
                self._outcomes[place] = outcome
        if not forgotten:
            self._batch.settle(self._outcomes)
            return
        self._asked = forgotten
        self._again(self._calls(whole=True), len(forgotten))

    def _calls(self, *, whole: bool = False) -> bytes:
        """The first brings the script along for all."""
        wanted = self._batch.wanted
        return b"".join([
            writing.call(self._mode, [wanted[place] for place in places], whole=whole and places is self._asked[0])
            for places in self._asked
        ])  # fmt: skip

    def _told(self, places: list[int], reply: Any) -> Outcomes:
        if isinstance(reply, ReplyError):
            return [ReplyError(str(reply)) for _ in places]  # not run
        return writing.outcomes([self._batch.wanted[place] for place in places], reply)
