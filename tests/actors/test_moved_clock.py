"""What users see of time can be moved on while everything runs: it comes then, and what is waited for does not."""

from __future__ import annotations

from dapr_state.actors.config import TypeConfig
from dapr_state.actors.directory import Directory
from dapr_state.actors.embedded_reminders import EmbeddedReminders
from dapr_state.actors.reminder_store import StoredReminders
from dapr_state.actors.reminder_table import PATIENCE
from dapr_state.actors.reminders import Policy, ReminderRequest
from dapr_state.actors.timers import Timers
from dapr_state.app.model import ActorId, AppError, Trigger, UnreachableError
from dapr_state.clock import ManualClock, VisibleClock
from dapr_state.stores.memory import MemoryStore
from dapr_state.stores.model import Upsert
from tests.actors.apps import App
from tests.actors.triggering import CART, TriggerTarget, settle
from tests.support.waiting import eventually

DAY = 86_400.0


class House:
    """Reminders on a clock that users see, and on one for what is waited for, which moves only when it is turned."""

    def __init__(self) -> None:
        self.clock, self.waiting = VisibleClock(), ManualClock()
        self.store = MemoryStore(self.clock)
        self.host = TriggerTarget(self.clock)
        table = StoredReminders("app", lambda: self.store, self.waiting)
        self.reminders = EmbeddedReminders(self.host, table, "one", self.clock, self.waiting)
        self.reminders.begin()

    async def move_until(self, seconds: float, triggers: int) -> None:
        """Move on, and wait for as many triggers altogether."""
        self.clock.move(seconds)
        await eventually(lambda: len(self.host.seen) >= triggers)
        await settle(self.waiting)
        self.waiting.advance(PATIENCE)  # what became of the trigger is written
        await settle(self.waiting)


async def test_daily_reminders_of_a_week() -> None:
    """Each is delivered when its day has come, without a wait."""
    house = House()
    await house.reminders.create(ReminderRequest(CART, "n", "", "24h", ""))
    for number in range(7):
        await house.move_until(DAY, number + 1)

    assert [round(when / DAY) for when in house.host.times()] == [1, 2, 3, 4, 5, 6, 7]
    await house.reminders.close()


async def test_a_failed_tick_is_tried_again_in_the_time_that_users_see() -> None:
    """Its policy says after what time; what is waited for stands still meanwhile."""
    house = House()
    house.host.fails = [AppError("no")] * 2
    await house.reminders.create(ReminderRequest(CART, "n", "1h", "", "", policy=Policy(interval=600.0, max_retries=5)))
    for number, seconds in enumerate((3600, 601, 601)):
        await house.move_until(seconds, number + 1)

    assert [round(when / 600) for when in house.host.times()] == [6, 7, 8]
    await house.reminders.close()


async def test_an_application_that_is_away_is_waited_for() -> None:
    """However far the clock is moved it is not asked sooner; once it may be, the trigger comes."""
    house = House()
    house.host.fails = [UnreachableError("connection refused")]
    await house.reminders.create(ReminderRequest(CART, "n", "1h", "", ""))
    await house.move_until(3600, 1)
    house.clock.move(DAY)
    await settle(house.waiting)
    before = len(house.host.seen)
    house.waiting.advance(1.001)
    await house.move_until(0, 2)

    assert before == 1
    await house.reminders.close()


async def test_timers_values_and_idle_actors() -> None:
    """A timer fires, a value expires and an actor ends as soon as the clock is moved beyond their time."""
    clock = VisibleClock()
    host, store, ended = TriggerTarget(clock), MemoryStore(clock), []
    timers = Timers(host, clock)
    directory = Directory(clock, lambda activation: ended.append(activation.actor.id))
    directory.host({"cart": TypeConfig(idle_timeout=3600)}, App())
    (hosted,) = [directory.find("cart")]
    assert hosted
    activation = directory.take(hosted, ActorId("cart", "idle"))
    activation.turns.leave(activation.turns.enter())
    directory.give(hosted, activation)
    timers.create(Trigger(CART, "n", None, "50m", "", "callback"))
    await store.write([Upsert("k", b"v", ttl=3600)])
    clock.move(3599 - 5 * 60)
    await eventually(lambda: host.seen)
    early = list(ended), (await store.get(["k"]))[0] is not None
    clock.move(301 + 5)
    await eventually(lambda: ended)

    assert early == ([], True)
    assert (ended, await store.get(["k"])) == (["idle"], [None])
