"""Which actors are active, and when they have rested long enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dapr_state.actors.config import TypeConfig
from dapr_state.actors.directory import ENDING, ActorType, Directory
from dapr_state.app.model import ActorId
from dapr_state.clock import ManualClock
from tests.actors.apps import App

if TYPE_CHECKING:
    from dapr_state.actors.activation import Activation


class Watched:
    """A directory with two types, and what it says has rested long enough."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.expired: list[tuple[str, float]] = []
        self.directory = Directory(self.clock, self._note)
        self.directory.host({"cart": TypeConfig(idle_timeout=10), "user": TypeConfig(idle_timeout=3)}, App())

    def _note(self, activation: Activation) -> None:
        self.expired.append((activation.actor.id, self.clock.monotonic()))

    def hosted(self, actor_type: str) -> ActorType:
        found = self.directory.find(actor_type)
        assert found
        return found

    def turn(self, actor_type: str, name: str, seconds: float = 0) -> None:
        activation = self.directory.take(self.hosted(actor_type), ActorId(actor_type, name))
        turn = activation.turns.enter()
        self.clock.advance(seconds)
        activation.turns.leave(turn)
        self.directory.give(self.hosted(actor_type), activation)


def test_each_type_has_its_own_time() -> None:
    """Every actor is told once, at its own deadline, whatever the order of types."""
    watched = Watched()
    watched.turn("cart", "c1")
    watched.clock.advance(1)
    watched.turn("user", "u1")
    watched.turn("cart", "c2")
    watched.turn("user", "u2")
    watched.clock.advance(60)

    assert watched.expired == [("u1", 4), ("u2", 4), ("c1", 10), ("c2", 11)]


def test_rest_begins_with_the_end_of_a_turn() -> None:
    """The time counts from the end of the last turn, and a turn longer than it is no rest."""
    watched = Watched()
    watched.turn("user", "u1", 30)
    watched.clock.advance(2)
    watched.turn("user", "u1")
    watched.clock.advance(2)
    seen = list(watched.expired)
    watched.clock.advance(1)

    assert seen == []
    assert watched.expired == [("u1", 35)]


def test_one_alarm_is_enough() -> None:
    """Ten thousand resting actors wait with one alarm."""
    watched = Watched()
    for number in range(10_000):
        watched.turn("cart", f"c{number}")

    assert watched.clock.waiting == 1


def test_a_type_that_is_not_hosted_any_more_loses_its_actors() -> None:
    """Those at rest go at once, a busy one with its turn; nothing is told of them."""
    watched = Watched()
    watched.turn("user", "idle")
    hosted, actor = watched.hosted("user"), ActorId("user", "busy")
    activation = watched.directory.take(hosted, actor)
    turn = activation.turns.enter()
    watched.directory.unhost(["user", "unheard of"])
    seen = [watched.directory.is_active(ActorId("user", "idle")), watched.directory.is_active(actor)]
    activation.turns.leave(turn)
    watched.directory.give(hosted, activation)
    watched.clock.advance(60)

    assert seen == [False, True]
    assert not watched.directory.is_active(actor)
    assert watched.directory.counts() == {"cart": 0}
    assert watched.expired == []


def test_a_busy_actor_outlives_a_type_that_comes_back() -> None:
    """Between the end of one hosting and the next its turn goes on, and is still its only one."""
    watched = Watched()
    hosted, actor = watched.hosted("user"), ActorId("user", "1")
    activation = watched.directory.take(hosted, actor)
    activation.turns.enter()
    watched.directory.unhost(["user"])
    watched.directory.host({"user": TypeConfig(idle_timeout=5)}, App())

    assert watched.directory.take(watched.hosted("user"), actor) is activation
    assert repr(activation) == "<Activation user/1 busy, 0 waiting>"


def test_many_that_expire_together_end_some_at_a_time() -> None:
    """So many at once, so many under way, and the next when one of them has ended."""
    watched = Watched()
    given: list[Activation] = []
    watched.directory._expired = given.append
    for number in range(3000):
        watched.turn("user", str(number))
    watched.clock.advance(60)
    begun = len(given)
    for activation in given[:10]:
        watched.directory.end(activation)
    watched.clock.advance(0)

    assert (begun, len(given)) == (ENDING, ENDING + 10)
    assert watched.directory.counts()["user"] == 2990


def test_the_end_is_the_end() -> None:
    """What comes to rest after the close sets no alarm."""
    watched = Watched()
    hosted, actor = watched.hosted("user"), ActorId("user", "1")
    activation = watched.directory.take(hosted, actor)
    turn = activation.turns.enter()
    watched.directory.close()
    activation.turns.leave(turn)
    watched.directory.give(hosted, activation)

    assert watched.clock.waiting == 0
