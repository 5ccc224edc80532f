"""The stream to the placement service: how the leader is found, and what is answered to which order."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

import grpc
import pytest
from dapr_state_proto.placement.v1 import placement_pb2_grpc
from dapr_state_proto.placement.v1.placement_pb2 import (
    Host,
    HostOperation,
    PlacementOrder,
    PlacementTable,
    PlacementTables,
)

from dapr_state.actors.placement.client import (
    BEAT,
    NO_LEADER_AT_MOST,
    WAITING_AT_MOST,
    Identity,
    PlacementClient,
    _Stream,
)
from dapr_state.actors.placement.table import TableError
from dapr_state.clock import WAITING, WaitingClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection

ME = Identity("127.0.0.1:4000", "app", "default")
REPORT, LOCK, UPDATE, UNLOCK = (getattr(HostOperation, name) for name in ("REPORT", "LOCK", "UPDATE", "UNLOCK"))
DEADLINE = 10.0  # seconds: what takes longer hangs


class Script(placement_pb2_grpc.PlacementServicer):
    """A service on a port of its own that says what the test wants; each stream is handed over as it comes."""

    def __init__(self) -> None:
        self.streams: asyncio.Queue[Stream] = asyncio.Queue()
        self.refusal: tuple[grpc.StatusCode, str] | None = None
        self.refused = 0

    async def __aenter__(self) -> Self:
        self._server = grpc.aio.server()
        placement_pb2_grpc.add_PlacementServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(0)

    async def ReportDaprStatus(self, messages: AsyncIterator[Host], context: Any) -> None:  # noqa: N802 - gRPC's name
        if self.refusal:
            self.refused += 1
            await context.abort(*self.refusal)
        stream = Stream(messages, context)
        self.streams.put_nowait(stream)
        await stream.ended.wait()
        if stream.status:
            await context.abort(*stream.status)

    async def stream(self) -> Stream:
        """The next one, with its first report."""
        async with asyncio.timeout(DEADLINE):
            stream = await self.streams.get()
            stream.report = await stream.answer()
        return stream


class Stream:
    def __init__(self, messages: AsyncIterator[Host], context: Any) -> None:
        self._messages = messages
        self._context = context
        self.ended = asyncio.Event()
        self.status: tuple[grpc.StatusCode, str] | None = None
        self.report = Host()

    async def answer(self) -> Host:
        async with asyncio.timeout(DEADLINE):
            return await anext(self._messages)

    async def order(self, operation: str, version: int, *types: str) -> None:
        tables = None
        if operation == "update":
            entries = {
                actor_type: PlacementTable(load_map={ME.name: Host(name=ME.name, id="app")}) for actor_type in types
            }
            tables = PlacementTables(entries=entries, replication_factor=100)
        await self._context.write(PlacementOrder(operation=operation, version=version, tables=tables))

    async def answers(self, *orders: tuple[str, int]) -> list[tuple[int, int]]:
        """What these orders are answered with, up to the end of a round of their own. Its lock is answered at once."""
        for operation, version in orders:
            await self.order(operation, version)
        for operation in ("lock", "update", "unlock"):
            await self.order(operation, END)
        found = []
        while not found or found[-1] != (UNLOCK, END):
            answer = await self.answer()
            found.append((answer.operation, answer.version))
        return [each for each in found if each[1] != END]

    def end(self, code: grpc.StatusCode, details: str = "") -> None:
        self.status = code, details
        self.ended.set()


END = 1000  # the version of a round that nothing else has


class Heard:
    """Who is told what the service says."""

    def __init__(self) -> None:
        self.types: list[str] = ["ta"]
        self.log: list[str] = []
        self.holds: asyncio.Event | None = None
        self.refuses = 0  # tables

    async def update(self, tables: PlacementTables) -> None:
        self.log.append(f"update {sorted(tables.entries)}")
        if self.refuses:
            self.refuses -= 1
            raise TableError("a table beyond any cluster")
        if self.holds:
            await self.holds.wait()

    def beat(self) -> None:
        pass

    def unlock(self) -> None:
        self.log.append("unlock")

    def lose(self, *, drains: bool) -> None:
        self.log.append(f"lose {'after a drain' if drains else 'at once'}")


class Unhurried(WaitingClock):
    """Nobody waits for a pause, but each is noted; after some of them, something happens."""

    def __init__(self, then: Callable[[], object]) -> None:
        self.pauses: list[float] = []
        self._then = then

    async def sleep(self, seconds: float) -> None:  # type: ignore[override]  # that one is asyncio's
        if seconds not in {0, BEAT}:
            self.pauses.append(seconds)
        if len(self.pauses) == 15:
            self._then()
        await asyncio.sleep(0)


@asynccontextmanager
async def client(
    heard: Heard, *addresses: str, limit: float = 30.0, waiting: WaitingClock = WAITING
) -> AsyncIterator[PlacementClient]:
    def types() -> Collection[str]:
        return heard.types

    made = PlacementClient(addresses, ME, heard, types, limit, waiting=waiting)
    made.begin()
    try:
        yield made
    finally:
        await made.close()


async def test_a_report_says_who_this_is() -> None:
    """All that the service asks for in the first message, and no version."""
    async with Script() as service, client(Heard(), service.address):
        report = (await service.stream()).report

    assert report == Host(name=ME.name, id="app", namespace="default", entities=["ta"], api_level=20, operation=REPORT)


async def test_a_round_is_answered_step_by_step() -> None:
    """With the namespace and id, and nothing that the service does not want; the table is known before the answer."""
    heard = Heard()
    async with Script() as service, client(heard, service.address):
        stream = await service.stream()
        answers = []
        for operation in ("lock", "update", "unlock"):
            await stream.order(operation, 7, "ta")
            answers.append(await stream.answer())

    assert answers == [
        Host(id="app", namespace="default", operation=operation, version=7) for operation in (LOCK, UPDATE, UNLOCK)
    ]
    assert heard.log[:2] == ["update ['ta']", "unlock"]


@pytest.mark.parametrize(
    ("version", "lost"), [(1, ["lose after a drain"]), (9, ["lose after a drain", "lose at once"])]
)
async def test_what_still_ends_has_no_more_time_once_others_were_told_a_table(version: int, lost: list[str]) -> None:
    """A service that lives gives the actors of a cut stream away at once; before the first round nobody knew more."""
    heard = Heard()
    async with Script() as service, client(heard, service.address):
        first = await service.stream()
        found = [await first.answers(("lock", 7))]
        first.end(grpc.StatusCode.UNAVAILABLE, "error reading from server: EOF")
        second = await service.stream()
        await second.order("lock", version)
        found.append([(answer.operation, answer.version) for answer in [await second.answer()]])

    assert found == [[(LOCK, 7)], [(LOCK, version)]]
    assert heard.log[2 : 2 + len(lost)] == lost
    assert heard.log.count("lose at once") == len(lost) - 1


@pytest.mark.parametrize(
    ("orders", "answers"),
    [
        ([("unlock", 1)], []),
        ([("update", 3)], [(UPDATE, 0)]),
        ([("lock", 1), ("unlock", 1)], [(LOCK, 1)]),
        ([("lock", 1), ("update", 1), ("update", 1)], [(LOCK, 1), (UPDATE, 1), (UPDATE, 1)]),
        ([("lock", 9), ("update", 10), ("unlock", 11)], [(LOCK, 9), (UPDATE, 9), (UNLOCK, 11)]),
        ([("lock", 9), ("lock", 1), ("update", 1)], [(LOCK, 9), (LOCK, 1), (UPDATE, 1)]),
        ([("lock", 0), ("update", 0), ("unlock", 0)], [(LOCK, 0), (UPDATE, 0), (UNLOCK, 0)]),
        (
            [("lock", 2), ("update", 2), ("lock", 3), ("update", 3), ("unlock", 3)],
            [(LOCK, 2), (UPDATE, 2), (LOCK, 3), (UPDATE, 3), (UNLOCK, 3)],
        ),
    ],
)
async def test_odd_orders_are_answered_as_daprd_does(
    orders: list[tuple[str, int]], answers: list[tuple[int, int]]
) -> None:
    """An unlock counts only after an update, and versions may rise within a round, or begin again.

    A lock is answered at once, whatever is still to be done.
    """
    async with Script() as service, client(Heard(), service.address):
        found = await (await service.stream()).answers(*orders)

    for operation in (LOCK, UPDATE, UNLOCK):
        assert [each for each in found if each[0] == operation] == [each for each in answers if each[0] == operation]


@pytest.mark.parametrize("orders", [[("lock", 5), ("update", 4)], [("lock", 5), ("jump", 5)]])
async def test_orders_against_the_rules_end_the_stream(orders: list[tuple[str, int]]) -> None:
    """A table that is older than the lock, or an unknown word: all is lost, and a new stream begins."""
    heard = Heard()
    async with Script() as service, client(heard, service.address):
        stream = await service.stream()
        for operation, version in orders:
            await stream.order(operation, version)
        again = await service.stream()

    assert heard.log[0] == "lose after a drain"
    assert again.report.operation == REPORT


@pytest.mark.parametrize("orders", [["lock"], ["lock", "update"]])
async def test_a_round_that_stands_still_is_given_up(orders: list[str]) -> None:
    """After the time that is allowed for it, whether the table or the unlock is missing."""
    async with Script() as service, client(Heard(), service.address, limit=0.2):
        stream = await service.stream()
        for operation in orders:
            await stream.order(operation, 1)
        again = await service.stream()

    assert again.report.operation == REPORT


async def test_one_who_never_says_anything_is_left() -> None:
    """Though his connection is fine: the next address may be the leader."""
    async with Script() as mute, Script() as leader, client(Heard(), mute.address, leader.address, limit=0.2):
        await mute.stream()
        report = (await leader.stream()).report

    assert report.operation == REPORT


async def test_a_table_beyond_any_cluster_is_refused() -> None:
    """Its stream is given up; what follows on a new one counts."""
    heard = Heard()
    heard.refuses = 1
    async with Script() as service, client(heard, service.address):
        await (await service.stream()).order("update", 1, "ta")
        await (await service.stream()).answers(("update", 1))

    assert heard.log[:5] == ["update ['ta']", "lose after a drain", "update []", "update []", "unlock"]


async def test_of_tables_that_wait_the_last_one_counts() -> None:
    """Rounds that the service has given up meanwhile are answered, each in its turn, and nothing else."""
    heard = Heard()
    heard.holds = asyncio.Event()
    async with Script() as service, client(heard, service.address):
        stream = await service.stream()
        for version in range(1, 6):
            await stream.order("lock", version)
            await stream.order("update", version, f"t{version}")
        locked = [(await stream.answer()).version for _ in range(5)]
        heard.holds.set()
        updated = [(await stream.answer()).version for _ in range(5)]

    assert locked == updated == [1, 2, 3, 4, 5]
    assert heard.log[:2] == ["update ['t1']", "update ['t5']"]


async def test_tables_that_wait_are_few() -> None:
    """While one of them takes its time the service is not read on."""
    heard = Heard()
    heard.holds = asyncio.Event()
    async with Script() as service, client(heard, service.address):
        stream = await service.stream()

        async def rounds() -> None:
            for version in range(1, 100):
                for operation in ("lock", "update", "unlock"):
                    await stream.order(operation, version, "t" * 200_000)

        sending = asyncio.ensure_future(rounds())
        await asyncio.wait([sending], timeout=1)
        is_sent = sending.done()
        heard.holds.set()
        async with asyncio.timeout(DEADLINE):
            await sending

    assert not is_sent


class Flood:
    """A service that orders one lock after the other, and takes no answer."""

    def __init__(self, orders: int) -> None:
        self.left = orders
        self.ended = asyncio.Event()

    async def read(self) -> Any:
        if not self.left:
            await self.ended.wait()
        self.left -= 1
        return PlacementOrder(operation="lock", version=1)

    async def write(self, _: Host) -> None:
        await self.ended.wait()


async def test_a_flood_of_locks_whose_answers_nobody_takes() -> None:
    """Is not read on, and holds nobody up meanwhile."""
    flood = Flood(100_000)
    stream = _Stream(flood, "there", ME, Heard(), limit=30, waiting=WAITING)
    running = asyncio.ensure_future(stream.run(lambda: ["ta"], lambda _: None))
    await asyncio.sleep(0)
    turns = 0
    while turns < WAITING_AT_MOST and flood.left > 0:
        await asyncio.sleep(0)
        turns += 1
    running.cancel()
    await asyncio.wait([running])

    assert 100_000 - flood.left <= WAITING_AT_MOST


async def test_a_lock_is_answered_while_actors_still_end() -> None:
    """The application's time is not the service's; the answers to the updates come in their order after that."""
    heard = Heard()
    heard.holds = asyncio.Event()
    async with Script() as service, client(heard, service.address):
        stream = await service.stream()
        for operation, version in (("lock", 1), ("update", 1), ("lock", 2), ("update", 2)):
            await stream.order(operation, version)
        locked = [(await stream.answer()).operation for _ in range(2)]
        heard.holds.set()
        updated = [((answer := await stream.answer()).operation, answer.version) for _ in range(2)]

    assert locked == [LOCK, LOCK]
    assert updated == [(UPDATE, 1), (UPDATE, 2)]


@pytest.mark.parametrize(
    ("code", "lost"),
    [(grpc.StatusCode.DEADLINE_EXCEEDED, "at once"), (grpc.StatusCode.UNAVAILABLE, "after a drain")],
)
async def test_a_stream_that_ends_is_followed_by_another(code: grpc.StatusCode, lost: str) -> None:
    """One that was thrown out has no time for its actors: the others may have them already."""
    heard = Heard()
    async with Script() as service, client(heard, service.address):
        stream = await service.stream()
        await stream.answers()
        stream.end(code, "so")
        again = await service.stream()

    assert heard.log[:3] == ["update []", "unlock", f"lose {lost}"]
    assert again.report.entities == ["ta"]


async def test_a_stream_is_begun_anew_when_it_does_not_count_any_more() -> None:
    """Though the service has not ended it."""
    heard = Heard()
    async with Script() as service, client(heard, service.address) as made:
        await (await service.stream()).answers()
        made.join_anew()
        again = await service.stream()

    assert again.report.operation == REPORT


async def test_what_has_come_before_a_stream_counts_no_more_is_not_told() -> None:
    """The end of a round that waits behind an update would let calls in that are others' now."""
    heard = Heard()
    heard.holds = asyncio.Event()
    async with Script() as service, client(heard, service.address) as made:
        stream = await service.stream()
        for operation, version in (("lock", 1), ("update", 1), ("unlock", 1), ("lock", 2)):
            await stream.order(operation, version)
        locked = [(await stream.answer()).version for _ in range(2)]  # all have come
        made.join_anew()
        heard.holds.set()
        await service.stream()

    assert locked == [1, 2]
    assert heard.log == ["update []", "lose after a drain"]


async def test_the_leader_is_found_among_several() -> None:
    """Behind an address that nobody listens on, a name that nobody knows, and one who is not the leader."""
    async with Script() as other, Script() as leader:
        other.refusal = grpc.StatusCode.FAILED_PRECONDITION, "node id=x is not a leader."
        addresses = ("127.0.0.1:1", "name.invalid:1", other.address, leader.address)
        async with client(Heard(), *addresses):
            await leader.stream()

    assert other.refused == 1


async def test_one_who_is_not_the_leader_is_not_stormed() -> None:
    """Between two turns of all addresses there is a pause, and it grows; in the end he may be it."""
    async with Script() as service:
        service.refusal = grpc.StatusCode.FAILED_PRECONDITION, "node id=x is not a leader."
        clock = Unhurried(then=lambda: setattr(service, "refusal", None))
        async with client(Heard(), service.address, waiting=clock):
            await service.stream()

    assert clock.pauses[:4] == pytest.approx([0.05, 0.1, 0.15, 0.2])
    assert max(clock.pauses) == NO_LEADER_AT_MOST


async def test_a_change_of_types_is_reported_on_the_same_stream() -> None:
    """Whatever is hosted by then; at the end nothing, and the round that follows is waited for."""
    heard = Heard()
    async with Script() as service, client(heard, service.address) as made:
        stream = await service.stream()
        await stream.answers()
        heard.types = ["ta", "tb"]
        made.report()
        changed = await stream.answer()
        leaving = asyncio.create_task(made.leave(5))
        left = await stream.answer()
        before = leaving.done()
        await stream.answers()
        await leaving

    assert [*changed.entities] == ["ta", "tb"]
    assert (left.operation, [*left.entities]) == (REPORT, [])
    assert not before


async def test_a_round_that_is_older_than_the_last_report_does_not_count() -> None:
    """Its table still names this sidecar: the others go on calling here until they have one that does not."""
    async with Script() as service, client(Heard(), service.address) as made:
        stream = await service.stream()
        await stream.order("lock", 1)
        await stream.answer()
        leaving = asyncio.create_task(made.leave(5))
        await stream.answer()  # nothing is hosted any more; but the round that is under way goes on
        for operation in ("update", "unlock"):
            await stream.order(operation, 1, "ta")
            await stream.answer()
        await asyncio.wait([leaving], timeout=0.05)
        after_the_old_one = leaving.done()
        for operation in ("lock", "update", "unlock"):
            await stream.order(operation, 2)
            await stream.answer()
        async with asyncio.timeout(1):
            await leaving

    assert not after_the_old_one
