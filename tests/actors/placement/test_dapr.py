"""Where actors live as the rounds of placement say, and who waits meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from dapr_state_proto.placement.v1.placement_pb2 import Host, PlacementTable, PlacementTables

from dapr_state.actors.config import Registration, TypeConfig
from dapr_state.actors.gate import LONGEST, AwayError
from dapr_state.actors.overdue import Patience
from dapr_state.actors.placement.base import HERE, Claim, LostError, NoHostError
from dapr_state.actors.placement.dapr import FOLDED, FROZEN, NO_HOST_WAIT, ROUND, DaprPlacement
from dapr_state.actors.placement.ring import Ring
from dapr_state.actors.router import UNTOLD, ActorRouter
from dapr_state.actors.runtime import ActorRuntime
from dapr_state.app.model import ActorCall, ActorId
from dapr_state.clock import ManualClock
from dapr_state.resiliency.guard import Counts
from tests.actors.apps import App, steps

if TYPE_CHECKING:
    from collections.abc import Callable

ME, OTHER, THIRD = "127.0.0.1:43001", "127.0.0.1:43002", "127.0.0.1:43003"
RING = Ring((ME, OTHER), 100)
MINE = next(str(number) for number in range(100) if RING.owner(str(number)) == ME)
THEIRS = next(str(number) for number in range(100) if RING.owner(str(number)) == OTHER)


def tables(factor: int = 100, **hosts: tuple[str, ...]) -> PlacementTables:
    entries = {
        actor_type: PlacementTable(load_map={name: Host(name=name, id="app") for name in names})
        for actor_type, names in hosts.items()
    }
    return PlacementTables(entries=entries, replication_factor=factor)


class Scene:
    """A placement whose actors end when they are told to."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.placement = DaprPlacement(ME, self, self.clock)  # type: ignore[arg-type]  # a clock that is turned
        self.halted: list[tuple[list[str], bool]] = []
        self.actors = [ActorId(actor_type, name) for actor_type in ("ta", "tb") for name in (MINE, THEIRS)]
        self.holds: asyncio.Event | None = None
        self.told: list[str] = []
        self.placement.on_frozen.append(lambda: self.told.append("frozen"))
        self.hosts: list[list[str]] = []
        self.placement.on_table.append(lambda hosts: self.hosts.append([*hosts]))

    async def halt(self, is_lost: Callable[[ActorId], bool], *, drains: bool) -> None:
        self.halted.append(([f"{each.type}/{each.id}" for each in self.actors if is_lost(each)], drains))
        if self.holds:
            await self.holds.wait()

    async def round(self, table: PlacementTables) -> None:
        await self.placement.update(table)
        self.placement.unlock()

    def lookup(self, name: str, actor_type: str = "ta") -> asyncio.Task[Claim]:
        return asyncio.create_task(self.placement.lookup(ActorId(actor_type, name)))


async def test_an_actor_lives_where_the_table_says() -> None:
    """Here, or under the address of another sidecar; both are known without waiting."""
    scene = Scene()
    await scene.round(tables(ta=(ME, OTHER)))

    assert scene.placement.lookup_now(ActorId("ta", MINE)) is HERE
    assert scene.placement.lookup_now(ActorId("ta", THEIRS)) == Claim(OTHER, "app")


@pytest.mark.parametrize("name", ["localhost:43001", "[::1]:43001", "127.0.0.1:43001"])
async def test_names_of_the_loopback_are_one(name: str) -> None:
    """As in daprd: with the same port it is this sidecar, whatever it calls itself."""
    scene = Scene()
    await scene.round(tables(ta=(name,)))

    assert scene.placement.lookup_now(ActorId("ta", MINE)) is HERE


@pytest.mark.parametrize(
    ("drains", "holds"), [(True, True), (False, False)], ids=["the service is gone", "others may have its actors"]
)
async def test_what_is_active_may_be_written_for(drains: bool, holds: bool) -> None:
    """While it ends in its own time; not once it may be elsewhere, until the next round is over."""
    scene = Scene()
    await scene.round(tables(ta=(ME,)))
    before = scene.placement.holds()
    scene.placement.lose(drains=drains)
    meanwhile = scene.placement.holds()
    await scene.round(tables(ta=(ME,)))

    assert (before, meanwhile, scene.placement.holds()) == (True, holds, True)


async def test_one_that_was_frozen_writes_nothing_before_it_knows() -> None:
    """The question itself tells it: it need not be looked up first."""
    scene = Scene()
    await scene.round(tables(ta=(ME,)))
    scene.clock.advance(FROZEN + 0.1)

    assert not scene.placement.holds()
    assert scene.told == ["frozen"]


async def test_nobody_is_let_in_before_the_first_round_ends() -> None:
    """Who asks waits, and is refused in the end."""
    scene = Scene()
    first = scene.lookup(MINE)
    await scene.placement.update(tables(ta=(ME,)))
    await steps()
    seen = first.done()
    scene.placement.unlock()
    found = await first
    scene.placement.lose(drains=True)
    late = scene.lookup(MINE)
    await steps()
    scene.clock.advance(LONGEST)

    assert not seen
    assert found is HERE
    with pytest.raises(AwayError, match="the placement service has not been up for 60 seconds"):
        await late


async def test_a_round_closes_the_types_that_change_and_no_others() -> None:
    """What moves has ended before the round is answered; the rest goes on meanwhile."""
    scene = Scene()
    await scene.round(tables(ta=(ME,), tb=(ME,)))
    scene.holds = asyncio.Event()
    update = asyncio.create_task(scene.placement.update(tables(ta=(ME, OTHER), tb=(ME,))))
    await steps()
    moving = scene.lookup(THEIRS)
    await steps()
    seen = [update.done(), moving.done(), scene.placement.lookup_now(ActorId("tb", THEIRS)) is HERE]
    scene.holds.set()
    await update
    await steps()
    seen.append(moving.done())
    scene.placement.unlock()

    assert seen == [False, False, True, False]
    assert await moving == Claim(OTHER, "app")
    assert scene.halted[1:] == [([f"ta/{THEIRS}"], True)]


async def test_the_same_table_changes_nothing() -> None:
    """Nobody waits for the round of others."""
    scene = Scene()
    await scene.round(tables(ta=(ME, OTHER)))
    await scene.placement.update(tables(ta=(OTHER, ME)))

    assert scene.placement.lookup_now(ActorId("ta", MINE)) is HERE
    assert scene.halted[1:] == [([], True)]


async def test_who_stays_is_called_during_the_round() -> None:
    """A turn that has to end elsewhere may need it; who moves, or has moved and come back meanwhile, is waited for."""
    scene = Scene()
    ids = [ActorId("ta", str(number)) for number in range(100)]
    before, after = (Ring(hosts, 100) for hosts in ((ME, OTHER), (ME, OTHER, THIRD)))
    staying, moving = (
        [each for each in ids if (before.owner(each.id) == after.owner(each.id)) is stays] for stays in (True, False)
    )
    await scene.round(tables(ta=(ME, OTHER)))
    await scene.placement.update(tables(ta=(ME, OTHER, THIRD)))
    found = {each: scene.placement.lookup_now(each) for each in ids}
    await scene.placement.update(tables(ta=(THIRD,)))
    await scene.placement.update(tables(ta=(ME, OTHER, THIRD)))

    assert {each for each in ids if found[each]} == {*staying}
    assert {found[each] for each in staying} == {HERE, Claim(OTHER, "app")}
    assert all(scene.placement.lookup_now(each) is None for each in (*staying, *moving))


async def test_rounds_that_never_end_are_not_remembered() -> None:
    """Of too many nobody can say who stayed."""
    scene = Scene()
    await scene.round(tables(ta=(ME, OTHER)))
    found = []
    for number in range(FOLDED + 1):
        await scene.placement.update(tables(100 + number % 2 + 1, ta=(ME,)))
        found.append(scene.placement.lookup_now(ActorId("ta", MINE)))

    assert found == [HERE] * FOLDED + [None]


@pytest.mark.parametrize(("factor", "app_id"), [(10, "app"), (100, "other")])
async def test_another_ring_of_the_same_hosts(factor: int, app_id: str) -> None:
    """By another number of points, or another app id behind the name: who moves is waited for."""
    scene = Scene()
    name = next(
        name
        for name in map(str, range(100))
        if RING.owner(name) == OTHER and (factor == 100 or Ring((ME, OTHER), factor).owner(name) == ME)
    )
    await scene.round(tables(ta=(ME, OTHER)))
    table = tables(factor, ta=(ME, OTHER))
    table.entries["ta"].load_map[OTHER].id = app_id
    await scene.placement.update(table)

    assert scene.placement.lookup_now(ActorId("ta", name)) is None


async def test_a_type_that_nobody_hosts_is_waited_for() -> None:
    """For 5 s, as daprd does; one that appears meanwhile is found."""
    scene = Scene()
    await scene.round(tables(ta=(ME,)))
    with pytest.raises(NoHostError, match=r"^did not find address for actor '/'$"):
        scene.placement.lookup_now(ActorId("ta", ""))
    late = scene.lookup(MINE, "tb")
    await steps()
    await scene.round(tables(ta=(ME,), tb=(OTHER,)))

    assert await late == Claim(OTHER, "app")
    assert NO_HOST_WAIT == 5


async def test_without_the_service_nothing_lives_here() -> None:
    """Everything ends, and a table that is the same as before is no reason to keep anybody out."""
    scene = Scene()
    await scene.round(tables(ta=(ME,)))
    await scene.placement.update(tables(ta=(ME, OTHER)))
    scene.placement.lose(drains=True)
    await steps()
    seen = scene.placement.lookup_now(ActorId("ta", MINE))
    await scene.round(tables(ta=(ME, OTHER)))

    assert seen is None
    assert scene.halted[2] == ([f"{each.type}/{each.id}" for each in scene.actors], True)
    assert scene.placement.lookup_now(ActorId("ta", MINE)) is HERE


async def test_a_round_begins_at_once_and_waits_for_what_one_before_it_has_begun_to_end() -> None:
    """A turn that drains for longer than a round may take keeps no other actor from being ended in its own round."""
    scene = Scene()
    scene.holds = asyncio.Event()
    scene.placement.lose(drains=True)
    update = asyncio.create_task(scene.placement.update(tables(ta=(OTHER,))))
    await steps()
    seen = [len(scene.halted), update.done()]
    scene.holds.set()
    await update

    assert seen == [2, False]
    assert len(scene.halted) == 2


async def test_a_round_goes_on_without_turns_that_take_too_long() -> None:
    """They are stopped first: their actors live elsewhere from then on, and no two turns of one run at a time."""
    scene = Scene()
    await scene.round(tables(ta=(ME,)))
    scene.holds = asyncio.Event()
    update = asyncio.create_task(scene.placement.update(tables(ta=(OTHER,))))
    await steps()
    scene.clock.advance(ROUND)
    await update
    await steps()

    lost = [f"ta/{MINE}", f"ta/{THEIRS}"]
    assert [([each for each in halted if each in lost], drains) for halted, drains in scene.halted[1:]] == [
        (lost, True),
        (lost, False),
    ]


@pytest.mark.parametrize("beats", [True, False])
async def test_a_sidecar_that_was_frozen_has_lost_its_actors(beats: bool) -> None:
    """It knows before it looks anything up, and no time is left to what runs; one that runs on keeps them."""
    scene = Scene()
    await scene.round(tables(ta=(ME,)))
    for _ in range(4):
        scene.clock.advance(FROZEN / 3)
        if beats:
            scene.placement.beat()
    found = scene.placement.lookup_now(ActorId("ta", MINE))
    await steps()

    assert (found is HERE) is beats
    assert scene.told == ([] if beats else ["frozen"])
    assert [drains for _, drains in scene.halted[1:]] == ([] if beats else [False])


@pytest.mark.parametrize("is_patient", [False, True])
async def test_who_waited_for_a_turn_while_the_sidecar_was_frozen_has_none(is_patient: bool) -> None:
    """The answer of the turn before is read first of all: the next does not begin where others may have the actor."""
    app, clock = App(), ManualClock()
    runtime = ActorRuntime(has_app=True, waiting=clock)  # type: ignore[arg-type]  # a clock that is turned
    runtime.host(Registration({"ta": TypeConfig()}), app)
    placement = DaprPlacement(ME, runtime, clock)  # type: ignore[arg-type]
    router = ActorRouter(runtime, placement)
    if is_patient:
        runtime.be_patient(lambda _: Patience(60.0, 0.0, Counts()))
    await placement.update(tables(ta=(ME,)))
    placement.unlock()
    calls = [
        asyncio.create_task(router.invoke(ActorCall(ActorId("ta", MINE), method, b"", ())))
        for method in ("wait", "next")
    ]
    await steps()
    clock.advance(FROZEN + 0.1)
    app.release()
    await steps()
    meanwhile = [*app.log]
    await placement.update(tables(ta=(ME,)))
    placement.unlock()
    answers = await asyncio.gather(*calls)

    assert [line for line in meanwhile if "end" not in line] == [f"+{MINE} wait", f"-{MINE} wait"]
    assert [answer.body for answer in answers] == [b"wait", b"next"]


async def test_the_end_of_a_round_that_was_frozen_counts_no_more() -> None:
    """It was said before others took over, and is read after: nothing lives here until another one has ended."""
    scene = Scene()
    await scene.round(tables(ta=(ME,)))
    await scene.placement.update(tables(ta=(ME, OTHER)))
    scene.clock.advance(FROZEN + 0.1)
    scene.placement.unlock()
    is_ready, holds = scene.placement.is_ready, scene.placement.holds()
    await scene.round(tables(ta=(ME,)))

    assert (is_ready, holds, scene.told[0]) == (False, False, "frozen")
    assert scene.placement.lookup_now(ActorId("ta", MINE)) is HERE


@pytest.mark.parametrize("comes_back", [True, False])
async def test_what_another_sidecar_asks_waits_no_longer_for_a_lost_service(comes_back: bool) -> None:
    """The actor may be somebody else's by now, who is found by looking again; own callers wait."""
    clock = ManualClock()
    runtime = ActorRuntime(has_app=False, is_alone=False, waiting=clock)  # type: ignore[arg-type]
    runtime.host(Registration({"ta": TypeConfig()}), App())  # type: ignore[arg-type]
    placement = DaprPlacement(ME, runtime, clock)  # type: ignore[arg-type]
    router = ActorRouter(runtime, placement, waiting=clock)  # type: ignore[arg-type]
    call = ActorCall(ActorId("ta", MINE), "m", b"", ())
    taken, own = (asyncio.create_task(work) for work in (router.take_call(call), router.invoke(call)))
    await steps()
    clock.advance(UNTOLD - 0.1)
    await steps()
    before = taken.done()
    if comes_back:
        await placement.update(tables(ta=(ME,)))
        placement.unlock()
    clock.advance(0.2)
    await asyncio.wait([taken], timeout=10)
    await steps()
    is_own_done = own.done()
    own.cancel()

    assert (before, is_own_done) == (False, comes_back)
    assert isinstance(taken.exception(), LostError) is not comes_back


@pytest.mark.parametrize("has_been", [False, True], ids=["first", "since it was lost"])
async def test_the_end_of_a_first_round_that_was_frozen_counts_no_more(has_been: bool) -> None:
    """Nobody is let in for the moment until the stream is seen to have ended: others have its actors since."""
    scene = Scene()
    if has_been:
        await scene.round(tables(ta=(ME,)))
        scene.placement.lose(drains=True)
    await scene.placement.update(tables(ta=(ME, OTHER)))
    scene.clock.advance(FROZEN + 0.1)
    scene.placement.unlock()
    is_ready, told = scene.placement.is_ready, scene.told[-1:]
    await scene.round(tables(ta=(ME,)))

    assert (is_ready, told) == (False, ["frozen"])
    assert scene.placement.lookup_now(ActorId("ta", MINE)) is HERE


@pytest.mark.parametrize("beats", [True, False])
async def test_what_ends_since_the_service_was_lost_writes_nothing_once_it_was_frozen(beats: bool) -> None:
    """Others have joined without it meanwhile: no more time is left to what runs."""
    scene = Scene()
    await scene.round(tables(ta=(ME,)))
    scene.placement.lose(drains=True)
    for _ in range(4):
        scene.clock.advance(FROZEN / 3)
        if beats:
            scene.placement.beat()
    holds = scene.placement.holds()
    await steps()

    assert holds is beats
    assert [drains for _, drains in scene.halted[1:]] == ([True] if beats else [True, False])


async def test_each_table_is_told_with_all_of_its_hosts() -> None:
    """Of all types, also the first one since the service was lost: who is known from before may have left meanwhile."""
    scene = Scene()
    await scene.round(tables(ta=(ME, OTHER), tb=(THIRD,)))
    scene.placement.lose(drains=True)
    await scene.round(tables(ta=(ME,)))

    assert [sorted(hosts) for hosts in scene.hosts] == [[ME, OTHER, THIRD], [ME]]


async def test_where_an_actor_has_lived_is_known_while_it_moves() -> None:
    """At others, since somebody was last let to it, through rounds that follow each other and a lost service."""
    scene = Scene()
    asked = ActorId("ta", THEIRS)
    await scene.round(tables(ta=(OTHER,)))
    found = [scene.placement.before(asked)]
    await scene.placement.update(tables(ta=(ME, THIRD)))
    await scene.placement.update(tables(ta=(THIRD,)))
    found.append(scene.placement.before(asked))
    scene.placement.lose(drains=True)
    await scene.placement.update(tables(ta=(ME,)))
    scene.placement.lose(drains=True)
    found.append(scene.placement.before(asked))
    await scene.round(tables(ta=(ME,)))
    found.append(scene.placement.before(asked))
    await scene.placement.update(tables(ta=(OTHER,)))
    found.append(scene.placement.before(asked))

    assert found == [None, Claim(OTHER, "app"), Claim(OTHER, "app"), None, None]
