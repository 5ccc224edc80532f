"""Rounds of what may happen to a cluster, under load, and what was found."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, defaultdict
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from tests.conformance.cluster.soak import checks
from tests.conformance.cluster.soak.checks import Call, Record, Registered
from tests.conformance.cluster.soak.hosts import REMINDED, Cluster
from tests.conformance.cluster.soak.scenarios import ACTIONS
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conformance.cluster.soak.hosts import Host
    from tests.conformance.cluster.soak.scenarios import Scenario
    from tests.support.http import Answer

ACTORS: Final = [str(number) for number in range(8)]
CALLERS: Final = 4
PAUSE: Final = 0.02  # seconds between two calls of a caller
PAUSES: Final = 0.25  # seconds between two reminders
NO_CONTENT: Final = 204
DUE: Final = 1.0  # seconds until each of them is due
UNDISTURBED: Final = 1.0  # seconds that a reminder may be late where nothing happens
ANSWERED: Final = 19.0  # seconds for an answer; tests.support.http gives up after 20
FROZEN: Final = (2.0, 9.0)  # seconds: below what anybody notices, to beyond what all notice
CALM: Final = 1.0  # seconds of load between two rounds


class Load:
    """Callers and reminders of random actors through random hosts, all of it recorded."""

    def __init__(self, cluster: Cluster, record: Record) -> None:
        self._cluster = cluster
        self._record = record
        self._stop = threading.Event()
        self._names = count()

    @contextmanager
    def running(self) -> Iterator[None]:
        work: list[Callable[[random.Random], None]] = [*[self._call] * CALLERS, self._remind]
        threads = [threading.Thread(target=self._repeat, args=(each, seed)) for seed, each in enumerate(work)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def _repeat(self, work: Callable[[random.Random], None], seed: int) -> None:
        chosen = random.Random(seed)
        while not self._stop.is_set():
            work(chosen)

    def _call(self, chosen: random.Random) -> None:
        host, actor = chosen.choice(self._cluster.live), chosen.choice(ACTORS)
        self._ask(host, actor, lambda: host.call(actor), ANSWERED)
        self._stop.wait(PAUSE)

    def _remind(self, chosen: random.Random) -> None:
        host, actor, name = chosen.choice(self._cluster.live), chosen.choice(ACTORS), f"r{next(self._names)}"
        if self._ask(host, actor, lambda: host.remind(actor, name, f"{DUE:g}s"), REMINDED) == NO_CONTENT:
            self._record.reminders.append(Registered(name, actor, time.monotonic() + DUE))
        self._stop.wait(PAUSES)

    def _ask(self, host: Host, actor: str, call: Callable[[], Answer], longest: float) -> int:
        began = time.monotonic()
        try:
            answer = call()
            status, text = answer.code, answer.body.decode()
        except OSError as error:
            status, text = 0, repr(error)
        self._record.calls.append(Call(host.name, actor, began, time.monotonic(), status, text, longest))
        return status


@dataclass
class Round:
    """One of them: what happened when, and how long it took until all actors answered again."""

    action: str
    host: str
    began: float
    recovered: float = 0.0
    ended: float = 0.0

    def __str__(self) -> str:
        return f"{self.action} {self.host}: all answer after {self.recovered - self.began:.1f} s"


@dataclass
class Outcome:
    """What was found, and the figures."""

    rounds: list[Round] = field(default_factory=list)
    record: Record = field(default_factory=Record)
    faults: list[str] = field(default_factory=list)
    of_daprd: int = 0  # turns of daprd's that had not ended when the actor went on: it cuts them off (placement.md 5.1)

    def lines(self) -> Iterator[str]:
        """The figures."""
        statuses = Counter(call.status for call in self.record.calls)
        texts = Counter(call.answer[:150] for call in self.record.calls if call.status not in {0, 200, NO_CONTENT})
        waits = sorted(call.ended - call.began for call in self.record.calls if call.status)
        turns, calls = len(self.record.turns), len(self.record.calls)
        yield f"{len(self.rounds)} rounds, {turns} turns, {calls} calls: {dict(statuses)}"
        yield f"calls waited {waits[len(waits) // 2]:.3f} s, at most {waits[-1]:.1f} s"
        yield from (f"  {number} x {text}" for text, number in texts.most_common(5))
        late = dict(checks.lateness(self.record))
        by_action = defaultdict(list)
        for each in self.rounds:
            by_action[each.action].append(each)
        for action, rounds in by_action.items():
            recovered = sorted(each.recovered - each.began for each in rounds)
            seconds = [late[each] for each in late if any(one.began - DUE < each.due < one.ended for one in rounds)]
            yield (
                f"{action}: {len(rounds)} rounds; all answer after {recovered[len(recovered) // 2]:.1f} s,"
                f" at most {recovered[-1]:.1f}; reminders late by {max(seconds, default=0):.1f} s at most"
            )
        yield f"{len(late)} reminders, {sum(seconds == checks.FOR_EVER for seconds in late.values())} of them lost"
        if self.of_daprd:
            yield f"{self.of_daprd} turns at daprd had not ended when their actor went on"
        yield from self.faults


def run(
    folder: Path, scenario: Scenario, rounds: int, seed: int, tell: Callable[[str], object] = lambda _: None
) -> Outcome:
    chosen = random.Random(seed)
    outcome = Outcome()
    order = [scenario.actions[number % len(scenario.actions)] for number in range(rounds)]
    chosen.shuffle(order)
    with Cluster(folder, scenario) as cluster:
        cluster.join(*scenario.hosts)
        load = Load(cluster, outcome.record)
        with load.running():
            time.sleep(CALM)
            for action in order:
                outcome.rounds.append(_round(cluster, scenario, action, outcome.record, chosen))
                tell(str(outcome.rounds[-1]))
        _settle(cluster, outcome)
    _judge(outcome)
    return outcome


def _round(cluster: Cluster, scenario: Scenario, action: str, record: Record, chosen: random.Random) -> Round:
    ours = [host for host in cluster.live if host.kind == "ours"]
    host = chosen.choice(ours)
    is_of_host = action.endswith((" host", " sidecar"))
    found = Round(action, host.name if is_of_host else "", time.monotonic())
    match action.rpartition(" a ")[0], action.rpartition(" a ")[2]:
        case ("kill -9", "host"):
            cluster.leave(host)
            record.outages.append(host.kill())
        case ("SIGTERM", "host"):
            cluster.leave(host)
            record.outages.append(host.stop())
        case ("SIGSTOP", what):
            cluster.leave(host)
            record.outages.append(host.freeze(chosen.uniform(*FROZEN), with_app=what == "host"))
            cluster.live = (*cluster.live, host)
        case ("kill -9", service):
            _again(chosen.choice(cluster.services(service)), lambda each: each.kill())
        case ("SIGTERM", service):
            _again(chosen.choice(cluster.services(service)), lambda each: each.stop(timeout=60))
        case _:
            cluster.join("ours")
    _recover(cluster, ACTIONS[action])
    found.recovered = time.monotonic()
    if len(cluster.live) < len(scenario.hosts):
        cluster.join("ours")
    elif len(cluster.live) > len(scenario.hosts):
        leaving = chosen.choice([each for each in cluster.live if each.kind == "ours"])
        cluster.leave(leaving)
        record.outages.append(leaving.stop())
    time.sleep(CALM)
    found.ended = time.monotonic()
    return found


def _again(service: Any, end: Callable[[Any], object]) -> None:
    end(service)
    service.start()


def _recover(cluster: Cluster, seconds: float) -> None:
    """Each actor answers, whichever host is asked, and a reminder is taken."""
    for host in cluster.live:
        for actor in ACTORS:
            until(lambda: _is_answered(host, actor), seconds + ANSWERED, what=f"{actor} answers through {host}")  # noqa: B023
        until(lambda: _is_taken(host), seconds + REMINDED, what=f"{host} takes a reminder")  # noqa: B023


def _is_answered(host: Host, actor: str) -> bool:
    try:
        return host.call(actor, "ask").code == 200
    except OSError:
        return False


def _is_taken(host: Host) -> bool:
    try:
        return host.remind(ACTORS[0], "recovered", "1h").code == NO_CONTENT
    except OSError:
        return False


def _settle(cluster: Cluster, outcome: Outcome) -> None:
    """What is due comes; then what the applications have written down, and what the store has."""
    record = outcome.record

    def is_over() -> bool:
        record.turns = [turn for host in cluster.all for turn in host.turns()]
        return all(seconds < checks.FOR_EVER for _, seconds in checks.lateness(record))

    with suppress(TimeoutError):
        until(is_over, max(ACTIONS[each.action] for each in outcome.rounds))
    record.counts = {actor: cluster.live[0].count(actor) for actor in ACTORS}


def _judge(outcome: Outcome) -> None:
    record = outcome.record
    overlaps = checks.overlaps(record)
    ours = [str(each) for each in overlaps if not each.early.host.endswith("daprd")]
    outcome.of_daprd = len(overlaps) - len(ours)
    outcome.faults = [*ours, *checks.lost_writes(record), *checks.unanswered(record)]
    for reminder, seconds in checks.lateness(record):
        fired = reminder.due + seconds
        # not later than so many seconds after whatever has happened
        by = max((each.began + ACTIONS[each.action] for each in outcome.rounds if each.began < fired), default=0.0)
        if fired > max(by, reminder.due + UNDISTURBED):
            outcome.faults.append(f"reminder {reminder.name} of actor {reminder.actor} fired {seconds:.1f} s late")
