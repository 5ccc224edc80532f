"""The actors that are active here, by type and id, and when each of them has rested long enough.

All actors of a type have the same time to rest, so the one that began first ends first: the order in which they
came to rest is kept, and one alarm, set for the first of all, is enough for any number of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dapr_state.actors.activation import Activation

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from dapr_state.actors.config import TypeConfig
    from dapr_state.app.channel import AppChannel
    from dapr_state.app.model import ActorId
    from dapr_state.clock import Alarm, Clock


class Hosted:
    """One type: how it is hosted, by whom, and its active actors. It stays while one of them is busy."""

    __slots__ = ("active", "channel", "config", "is_hosted", "resting")

    def __init__(self, config: TypeConfig, channel: AppChannel) -> None:
        self.config = config
        self.channel = channel
        self.is_hosted = True
        self.active: dict[str, Activation] = {}
        self.resting: dict[str, Activation] = {}  # of these the ones without a turn, the longest first

    def __repr__(self) -> str:
        return f"<Hosted {len(self.active)} active, {len(self.resting)} resting>"


class Directory:
    """`take` an actor's activation before a turn, `give` it back after it."""

    def __init__(self, clock: Clock, expired: Callable[[Activation], None]) -> None:
        """`expired` is given each activation that has rested long enough, and decides; it rests no longer then."""
        self._clock = clock
        self._expired = expired
        self._types: dict[str, Hosted] = {}
        self._alarm: Alarm | None = None
        self._alarm_at = 0.0

    def __repr__(self) -> str:
        return f"<Directory {', '.join(f'{name} {count}' for name, count in self.counts().items()) or 'empty'}>"

    # Types

    def host(self, types: Mapping[str, TypeConfig], channel: AppChannel) -> None:
        """Host these types, besides the others; actors that are active stay so."""
        for name, config in types.items():
            hosted = self._types.get(name)
            if hosted is None:
                self._types[name] = Hosted(config, channel)
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
            for activation in tuple(hosted.active.values()):
                activation.turns.close()
                if not activation.turns.is_busy:
                    self._forget(hosted, activation)
            self._drop_if_empty(name, hosted)

    def find(self, name: str) -> Hosted | None:
        """A type that is hosted."""
        hosted = self._types.get(name)
        return hosted if hosted is not None and hosted.is_hosted else None

    def counts(self) -> dict[str, int]:
        """How many actors of each hosted type are active."""
        return {name: len(hosted.active) for name, hosted in self._types.items() if hosted.is_hosted}

    # Actors

    def __iter__(self) -> Iterator[Activation]:
        for hosted in self._types.values():
            yield from hosted.active.values()

    def is_active(self, actor: ActorId) -> bool:
        hosted = self._types.get(actor.type)
        return hosted is not None and actor.id in hosted.active

    def take(self, hosted: Hosted, actor: ActorId) -> Activation:
        """The actor's activation, a new one if it was not active; it does not rest until it is given back."""
        activation = hosted.active.get(actor.id)
        if activation is None:
            activation = hosted.active[actor.id] = Activation(actor)
        else:
            hosted.resting.pop(actor.id, None)
        return activation

    def give(self, hosted: Hosted, activation: Activation) -> None:
        """After a turn: from now on it rests, unless others wait for theirs."""
        if activation.turns.is_busy:
            return
        if not hosted.is_hosted:
            self._forget(hosted, activation)
            self._drop_if_empty(activation.actor.type, hosted)
            return
        activation.idle_since = self._clock.monotonic()
        hosted.resting[activation.actor.id] = activation
        if self._alarm is None or activation.idle_since + hosted.config.idle_timeout < self._alarm_at:
            self._set_alarm()

    def end(self, activation: Activation) -> None:
        """It is no longer active."""
        hosted = self._types.get(activation.actor.type)
        if hosted is not None:
            self._forget(hosted, activation)
            self._drop_if_empty(activation.actor.type, hosted)

    def close(self) -> None:
        """No actor ends by itself any more."""
        if self._alarm:
            self._alarm.cancel()
            self._alarm = None

    @staticmethod
    def _forget(hosted: Hosted, activation: Activation) -> None:
        hosted.active.pop(activation.actor.id, None)
        hosted.resting.pop(activation.actor.id, None)

    def _drop_if_empty(self, name: str, hosted: Hosted) -> None:
        if not hosted.is_hosted and not hosted.active:
            self._types.pop(name, None)

    # Rest

    def _set_alarm(self) -> None:
        self.close()
        deadlines = [
            next(iter(hosted.resting.values())).idle_since + hosted.config.idle_timeout
            for hosted in self._types.values()
            if hosted.resting
        ]
        if deadlines:
            self._alarm_at = min(deadlines)
            self._alarm = self._clock.call_at(self._alarm_at, self._look)

    def _look(self) -> None:
        """The alarm: some have rested long enough, unless they had a turn in the meantime."""
        self._alarm = None
        now = self._clock.monotonic()
        due: list[Activation] = []
        for hosted in self._types.values():
            while hosted.resting:
                activation = next(iter(hosted.resting.values()))
                if activation.idle_since + hosted.config.idle_timeout > now:
                    break
                del hosted.resting[activation.actor.id]
                due.append(activation)
        self._set_alarm()
        for activation in due:
            self._expired(activation)
