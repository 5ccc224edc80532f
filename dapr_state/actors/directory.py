"""The actors that are active here, by type and id, and when each of them has rested long enough.

All actors of a type have the same time to rest, so the one that began first ends first: the order in which they
came to rest is kept, and one alarm, set for the first of all, is enough for any number of them. Those that are at rest
are kept apart from those that are busy, which are few: what concerns all actors at once never walks through them all.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Final

from dapr_state.actors.activation import Activation

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from dapr_state.actors.config import TypeConfig
    from dapr_state.app.channel import AppChannel
    from dapr_state.app.model import ActorId
    from dapr_state.clock import Alarm, VisibleClock


AT_ONCE: Final = 100  # that expire before others have their turn on the event loop; freeing one takes a tenth
ROUNDING: Final = 1e-6  # seconds: a clock that is set to the very deadline may be some nanoseconds short of it
ENDING: Final = 1024  # that end at a time: as many as there are connections to an application


class ActorType:
    """One type: how it is hosted, by whom, and its active actors. It stays while one of them is busy."""

    __slots__ = ("busy", "channel", "config", "is_hosted", "resting")

    def __init__(self, config: TypeConfig, channel: AppChannel) -> None:
        self.config = config
        self.channel = channel
        self.is_hosted = True
        self.busy: dict[str, Activation] = {}
        # the longest first; of a plain dict the first one is hard to find once many before it have gone
        self.resting: OrderedDict[str, Activation] = OrderedDict()

    def __repr__(self) -> str:
        return f"<ActorType {self.count} active, {len(self.resting)} resting>"

    @property
    def count(self) -> int:
        return len(self.busy) + len(self.resting)


class Directory:
    """`take` an actor's activation before a turn, `give` it back after it."""

    def __init__(self, clock: VisibleClock, expired: Callable[[Activation], None]) -> None:
        """`expired` is given each activation that has rested long enough, and decides; it rests no longer then."""
        self._clock = clock
        self._expired = expired
        self._types: dict[str, ActorType] = {}
        self._alarm: Alarm | None = None
        self._alarm_at = 0.0
        self._ending = 0  # how many are expired, and have not ended yet
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<Directory {', '.join(f'{name} {count}' for name, count in self.counts().items()) or 'empty'}>"

    # Types

    def host(self, types: Mapping[str, TypeConfig], channel: AppChannel) -> None:
        """Host these types, besides the others; actors that are active stay so."""
        for name, config in types.items():
            hosted = self._types.get(name)
            if hosted is None:
                self._types[name] = ActorType(config, channel)
            else:
                hosted.config, hosted.channel, hosted.is_hosted = config, channel, True
        self._set_alarm()

    def unhost(self, types: Collection[str]) -> None:
        """End the actors of these types: those that wait for a turn are sent away, turns that run come to their end."""
        for name in types:
            hosted = self._types.get(name)
            if hosted is None:
                continue
            hosted.is_hosted = False
            self._free(hosted.resting)
            hosted.resting = OrderedDict()
            for activation in hosted.busy.values():
                activation.turns.close()
            self._drop_if_empty(name, hosted)

    def find(self, name: str) -> ActorType | None:
        """A type that is hosted."""
        hosted = self._types.get(name)
        return hosted if hosted is not None and hosted.is_hosted else None

    def keeping(self, activation: Activation) -> ActorType | None:
        """The type of an activation that is busy, also if it is not hosted any more."""
        hosted = self._types.get(activation.actor.type)
        return hosted if hosted is not None and hosted.busy.get(activation.actor.id) is activation else None

    def counts(self) -> dict[str, int]:
        """How many actors of each hosted type are active."""
        return {name: hosted.count for name, hosted in self._types.items() if hosted.is_hosted}

    def all(self) -> dict[str, ActorType]:
        """Those that are hosted, and those that were and have an actor that is busy still."""
        return dict(self._types)

    # Actors

    def find_actor(self, actor: ActorId) -> Activation | None:
        """Its activation, if it is active: it goes on resting."""
        hosted = self._types.get(actor.type)
        return (hosted.busy.get(actor.id) or hosted.resting.get(actor.id)) if hosted else None

    def busy(self) -> Iterator[Activation]:
        """Those that have a turn."""
        for hosted in self._types.values():
            yield from hosted.busy.values()

    def is_active(self, actor: ActorId) -> bool:
        """Here, and not lost."""
        hosted = self._types.get(actor.type)
        if hosted is None:
            return False
        busy = hosted.busy.get(actor.id)
        return actor.id in hosted.resting if busy is None else not busy.is_lost

    def take(self, hosted: ActorType, actor: ActorId) -> Activation:
        """The actor's activation, a new one if it was not active; it does not rest until it is given back."""
        activation = hosted.busy.get(actor.id)
        if activation is None:
            activation = hosted.resting.pop(actor.id, None) or Activation(actor)
            hosted.busy[actor.id] = activation
        return activation

    def take_resting(self, number: int) -> list[Activation]:
        """So many of those at rest: they are busy now."""
        taken: list[Activation] = []
        for hosted in self._types.values():
            while hosted.resting and len(taken) < number:
                taken.append(self.take(hosted, next(iter(hosted.resting.values())).actor))
        return taken

    def resting(self) -> list[Activation]:
        """Those at rest now; each may be busy, or gone, by the time that it is looked at."""
        return [activation for hosted in self._types.values() for activation in hosted.resting.values()]

    def wake(self, activation: Activation) -> bool:
        """Whether it is at rest still: it is busy now."""
        hosted = self._types.get(activation.actor.type)
        if hosted is None or hosted.resting.get(activation.actor.id) is not activation:
            return False
        self.take(hosted, activation.actor)
        return True

    def give(self, hosted: ActorType, activation: Activation) -> None:
        """After a turn: from now on it rests, unless others wait for theirs."""
        if activation.turns.is_busy:
            return
        hosted.busy.pop(activation.actor.id, None)
        if not hosted.is_hosted:
            self._drop_if_empty(activation.actor.type, hosted)
            return
        activation.idle_since = self._clock.monotonic()
        hosted.resting[activation.actor.id] = activation
        if self._alarm is None or activation.idle_since + hosted.config.idle_timeout < self._alarm_at:
            self._set_alarm()

    def give_back(self, activation: Activation) -> None:
        """The same, whatever has become of its type meanwhile."""
        hosted = self._types.get(activation.actor.type)
        if hosted is not None:
            self.give(hosted, activation)

    def end(self, activation: Activation) -> None:
        """It is no longer active, unless it has had to go on."""
        self._ending = max(0, self._ending - 1)
        if self._alarm is None:
            self._set_alarm()
        if activation.turns.is_busy:
            return
        hosted = self._types.get(activation.actor.type)
        if hosted is not None:
            hosted.busy.pop(activation.actor.id, None)
            self._drop_if_empty(activation.actor.type, hosted)

    @property
    def next_due(self) -> float | None:
        """When the next one has rested long enough, in monotonic seconds."""
        return min(self._deadlines(), default=None)

    def ring(self) -> None:
        """End those that have rested long enough by now."""
        self._check_idle()

    def close(self) -> None:
        """No actor ends by itself any more."""
        self._is_closed = True
        self._cancel_alarm()

    def _cancel_alarm(self) -> None:
        if self._alarm:
            self._alarm.cancel()
            self._alarm = None

    def _drop_if_empty(self, name: str, hosted: ActorType) -> None:
        if not hosted.is_hosted and not hosted.busy:
            self._types.pop(name, None)

    def _free(self, resting: OrderedDict[str, Activation]) -> None:
        """Half a million actors that go together take a second: some at a time."""
        for _ in range(min(10 * AT_ONCE, len(resting))):
            resting.popitem()
        if resting:
            self._clock.call_at(self._clock.monotonic(), partial(self._free, resting))

    # Rest

    def _set_alarm(self) -> None:
        self._cancel_alarm()
        if self._is_closed or self._ending >= ENDING:
            return
        deadline = min(self._deadlines(), default=None)
        if deadline is not None:
            self._alarm_at = deadline
            self._alarm = self._clock.call_at(deadline, self._check_idle)

    def _deadlines(self) -> Iterator[float]:
        """Of each type, that of the actor that has rested longest."""
        for hosted in self._types.values():
            if hosted.resting:
                yield next(iter(hosted.resting.values())).idle_since + hosted.config.idle_timeout

    def _check_idle(self) -> None:
        """The alarm: some have rested long enough, unless they had a turn in the meantime."""
        self._cancel_alarm()
        now = self._clock.monotonic() + ROUNDING
        due: list[Activation] = []
        for hosted in self._types.values():
            while hosted.resting and len(due) < min(AT_ONCE, ENDING - self._ending):
                activation = next(iter(hosted.resting.values()))
                if activation.idle_since + hosted.config.idle_timeout > now:
                    break
                due.append(self.take(hosted, activation.actor))
        self._ending += len(due)
        self._set_alarm()
        for activation in due:
            self._expired(activation)
