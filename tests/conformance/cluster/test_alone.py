"""Each turn alone, on all sidecars together, while some join and leave under load.

All of them host on one application, which numbers what begins and ends: it sees two turns of one actor at a time.
"""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from dapr_state.actors.placement.ring import Ring
from tests.support import oracle
from tests.support.cluster import TYPE, Member, wait_connected
from tests.support.rawapp import RawApp
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.control_plane import OwnPlacement, Placement
    from tests.support.http import Answer
    from tests.support.rawapp import Seen

IDS = [str(number) for number in range(6)]
CALLERS = 12
ROUNDS = 3
TURN = 0.15  # seconds: whenever an actor moves, some are in the middle of one


class Load:
    """Callers of random actors, each through one sidecar."""

    def __init__(self, *members: Member) -> None:
        self._members = members
        self._stop = threading.Event()
        self.answers: list[Answer] = []
        self.errors: list[Exception] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        callers = [threading.Thread(target=self._call, args=(number,)) for number in range(CALLERS)]
        for caller in callers:
            caller.start()
        try:
            yield
        finally:
            self._stop.set()
            for caller in callers:
                caller.join()

    def _call(self, seed: int) -> None:
        chosen = random.Random(seed)
        member = self._members[seed % len(self._members)]
        while not self._stop.is_set():
            try:
                self.answers.append(member.call(chosen.choice(IDS)))
            except OSError as error:
                self.errors.append(error)


def overlaps(seen: list[Seen]) -> list[tuple[Seen, Seen]]:
    """Two requests for one actor of which one began before the other had ended; its deactivation is one, too.

    A daprd that stops breaks off what it has under way, and leaves before its actors have ended: it is not looked at.
    """
    by_actor = defaultdict(list)
    for each in seen:
        by_actor[each.target.split("/")[3]].append(each)
    return [
        (one, other)
        for each in by_actor.values()
        for one, other in pairwise(sorted(each, key=lambda one: one.began))
        if (one.ended is None or one.ended > other.began) and not (_is_daprds(one) or _is_daprds(other))
    ]


def moving(guest: Member, *steady: Member) -> list[str]:
    """The actors that come to live on it."""
    ring = Ring([member.name for member in (guest, *steady)], 100)
    return [each for each in IDS if ring.owner(each) == guest.name]


def _is_daprds(request: Seen) -> bool:
    return (request.header("User-Agent") or "").startswith("Go-")


@pytest.mark.parametrize("kind", ["ours", pytest.param("daprd", marks=pytest.mark.oracle)])
def test_turns_stay_alone_while_sidecars_come_and_go(
    tmp_path: Path, placement: OwnPlacement | Placement, kind: str
) -> None:
    """Every call is answered by its actor, none overlaps another, wherever either ran."""
    with RawApp(tmp_path, {"entities": [TYPE]}) as app:
        app.obey({"match": "/method/", "delay": TURN})
        steady = [Member(tmp_path, placement.address, app=app) for _ in range(2)]
        with steady[0], steady[1]:
            wait_connected(*steady)
            load = Load(*steady)
            with load.running():
                for _ in range(ROUNDS):
                    binary = oracle.program("daprd") if kind == "daprd" else None
                    guest = Member(tmp_path, placement.address, app=app, daprd=binary)
                    while not moving(guest, *steady):
                        guest = Member(tmp_path, placement.address, app=app, daprd=binary)
                    with guest:
                        wait_connected(guest)
                        answered = len(load.answers)
                        until(lambda: len(load.answers) > answered + CALLERS, what="calls go on")  # noqa: B023
            seen = app.seen(f"/actors/{TYPE}/")

    assert overlaps(seen) == []
    assert load.errors == []
    refused = {answer.body for answer in load.answers if answer.code != 200}
    assert refused == set() if kind == "ours" else all(b"context canceled" in each for each in refused)
    assert len({each.target.split("/")[3] for each in seen if each.method == "DELETE"}) > 0
