"""What must hold, said of what was recorded: pure functions, each of which names what it has found."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

FOR_EVER = float("inf")
END = "end of the actor"


@dataclass(frozen=True)
class Turn:
    """One turn of an actor at the application of a host; `ended` is infinite if it has not."""

    host: str
    actor: str
    what: str
    began: float
    ended: float


@dataclass
class Outage:
    """A time in which a host need not answer: frozen, on its way out, or dead (then it never ends)."""

    host: str
    began: float
    ended: float = FOR_EVER
    is_sudden: bool = True  # it cannot end its turns first


@dataclass(frozen=True)
class Call:
    """A call that was made through a host, or a registration; `status` 0: it was not answered."""

    host: str
    actor: str
    began: float
    ended: float
    status: int
    answer: str
    longest: float = 20.0  # seconds that it may take


@dataclass(frozen=True)
class Registered:
    """A reminder that a host has acknowledged, once due at this moment."""

    name: str
    actor: str
    due: float


@dataclass
class Record:
    """All of a run."""

    turns: list[Turn] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    reminders: list[Registered] = field(default_factory=list)
    counts: Mapping[str, int] = field(default_factory=dict)  # as they are in the store at the end


@dataclass(frozen=True)
class Overlap:
    """Two turns of one actor at a time."""

    early: Turn
    late: Turn

    def __str__(self) -> str:
        return f"actor {self.late.actor}: {_told(self.late)} began before {_told(self.early)} had ended"


def overlaps(record: Record) -> list[Overlap]:
    """Never two turns of one actor at a time.

    A turn that a sidecar has sent on its way before it froze or died is over by then, as far as it can see to it: what
    the application still does counts in `lost_writes`. That an actor has ended the application is told after that.
    """
    sudden = defaultdict(list)
    for outage in record.outages:
        if outage.is_sudden:
            sudden[outage.host].append(outage)
    by_actor = defaultdict(list)
    last: dict[tuple[str, str], float] = {}  # of the actor's turns on a host: when it began
    for turn in sorted(record.turns, key=lambda one: one.began):
        before = last.get((turn.host, turn.actor), 0.0)
        if turn.what == END and any(before < each.ended <= turn.began for each in sudden[turn.host]):
            continue
        last[turn.host, turn.actor] = turn.began
        cuts = [max(each.began, turn.began) for each in sudden[turn.host] if turn.began < each.ended]
        by_actor[turn.actor].append((turn.began, min([turn.ended, *cuts]), turn))
    found = []
    for turns in by_actor.values():
        latest: tuple[float, float, Turn] | None = None  # the one that has ended last, of those before
        for each in sorted(turns, key=lambda one: (one[0], one[1])):
            if latest and each[0] < latest[1]:
                found.append(Overlap(latest[2], each[2]))
            if latest is None or each[1] > latest[1]:
                latest = each
    return found


def lost_writes(record: Record) -> list[str]:
    """Each call that was answered has a count of its own, and none of them is above what the store has at the end."""
    found = []
    answers = defaultdict(list)
    for call in record.calls:
        if call.status == 200:
            answers[call.actor].append(int(call.answer))
    for actor, counts in sorted(answers.items()):
        twice = [count for count, number in Counter(counts).items() if number > 1]
        if twice:
            found.append(f"actor {actor}: counted {twice} twice")
        if record.counts.get(actor, 0) < max(counts):
            found.append(f"actor {actor}: counted to {max(counts)}, and the store has {record.counts.get(actor, 0)}")
    return found


def unanswered(record: Record) -> list[str]:
    """Each call through a host that was there all the time has an answer, in time."""
    found = []
    for call in record.calls:
        gone = [
            each
            for each in record.outages
            if each.host == call.host and each.began < call.ended and call.began < each.ended
        ]
        if gone:
            continue
        if not call.status:
            found.append(f"a call through {call.host} had no answer: {call.answer}")
        elif call.ended - call.began > call.longest:
            found.append(f"a call through {call.host} waited {call.ended - call.began:.1f} s")
    return found


def lateness(record: Record) -> Iterator[tuple[Registered, float]]:
    """Each reminder, with the seconds between its due time and its first turn; infinite if it has not fired."""
    first: dict[str, float] = {}
    for turn in record.turns:
        name = turn.what.removeprefix("remind/")
        first[name] = min(first.get(name, FOR_EVER), turn.began)
    for each in record.reminders:
        yield each, first.get(each.name, FOR_EVER) - each.due


def turns_of(host: str, lines: Iterable[Sequence[object]]) -> Iterator[Turn]:
    """From an application's record: moment, number, actor, what it was (empty at the end)."""
    open_: dict[object, tuple[float, str, str]] = {}
    for moment, number, actor, what in lines:
        if what:
            open_[number] = (float(str(moment)), str(actor), str(what))
        else:
            began, _, kind = open_.pop(number)
            yield Turn(host, str(actor), kind, began, float(str(moment)))
    for began, actor, kind in open_.values():
        yield Turn(host, actor, kind, began, FOR_EVER)


def _told(turn: Turn) -> str:
    return f"{turn.what} on {turn.host} ({turn.began:.3f}-{turn.ended:.3f})"
