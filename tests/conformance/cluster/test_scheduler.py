"""Reminders in the real scheduler: ours alone, and with daprd in one cluster."""

from __future__ import annotations

import json
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import TYPE_CHECKING, Self

import pytest

from dapr_state.actors.placement.ring import Ring
from tests.support import oracle
from tests.support.cluster import TYPE, Member, wait_connected
from tests.support.components import component
from tests.support.control_plane import Placement, Scheduler
from tests.support.http import ask
from tests.support.processes import Process
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.http import Answer

pytestmark = pytest.mark.oracle


class Cluster:
    """A placement service, a scheduler, and sidecars: "ours" and "daprd"."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count()
        self._placement = Placement(oracle.program("placement"), folder)
        self.scheduler = Scheduler(oracle.program("scheduler"), folder)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._placement)
            stack.enter_context(self.scheduler)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def member(self, kind: str, namespace: str) -> Member:
        binary = oracle.program("daprd") if kind == "daprd" else None
        flags = ("--scheduler-host-address", self.scheduler.address)
        environment = {"NAMESPACE": namespace}
        return Member(self._folder, self._placement.address, daprd=binary, flags=flags, environment=environment)

    @contextmanager
    def of(self, *kinds: str) -> Iterator[list[Member]]:
        """In a namespace of their own: others have nothing to do with them."""
        namespace = f"ns{next(self._numbers)}"
        with ExitStack() as stack:
            members = [stack.enter_context(self.member(kind, namespace)) for kind in kinds]
            wait_connected(*members)
            yield members


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture(scope="module")
def pair(cluster: Cluster) -> Iterator[tuple[Member, Member]]:
    """One of ours, and a daprd."""
    with cluster.of("ours", "daprd") as (ours, theirs):
        yield ours, theirs


@pytest.fixture(params=["ours first", "daprd first"])
def both(request: pytest.FixtureRequest, pair: tuple[Member, Member]) -> tuple[Member, Member]:
    for member in pair:
        member.app.obey()
        member.app.forget()
    return pair if request.param == "ours first" else (pair[1], pair[0])


def reminder(member: Member, actor: str, name: str, method: str = "GET", body: object = None) -> Answer:
    path = f"/v1.0/actors/{TYPE}/{actor}/reminders/{name}"
    return ask(member.sidecar.http_port, method, path, b"" if body is None else json.dumps(body))


def fired(name: str, *members: Member) -> list[str]:
    return [each.body for member in members for each in member.app.seen(f"/remind/{name}")]


def test_a_reminder_of_one_is_the_others_too(both: tuple[Member, Member]) -> None:
    """What one registers the other shows, overwrites and deletes, wherever its actor lives."""
    one, other = both
    later = {"dueTime": "1h", "period": "R5/PT2H", "ttl": "2040-01-02T03:04:05Z", "data": {"a": 1}}
    made = reminder(one, "1", "r", "POST", later)
    shown = [reminder(each, "1", "r").json for each in both]
    overwritten = reminder(other, "1", "r", "POST", {"dueTime": "3h", "data": [1, 2]})
    anew = [reminder(each, "1", "r").json for each in both]
    deleted = reminder(other, "1", "r", "DELETE")
    gone = [reminder(each, "1", "r") for each in both]

    assert [made.code, overwritten.code, deleted.code] == [204, 204, 204]
    assert shown[0] == shown[1]
    assert shown[0]["period"] == "@every 2h0m0s"
    assert anew[0] == anew[1]
    assert (anew[0]["dueTime"], anew[0]["data"]) == ("3h", [1, 2])
    assert [(each.code, each.body) for each in gone] == [(404, gone[1].body)] * 2


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("r", {"dueTime": "x"}),
        ("r", {"dueTime": "R5/PT1S"}),
        ("r", {"period": "P1D"}),
        ("r", {"period": "PT0.5S"}),
        ("r", {}),
        ("r", {"dueTime": "1s", "ttl": "1s"}),
        ("r", {"dueTime": "5s", "period": "1s", "ttl": "2020-01-01T00:00:00Z"}),
        ("r", {"period": "1s", "ttl": "x"}),
        ("a@b", {"dueTime": "1s"}),
        (".a", {"dueTime": "1s"}),
        ("-", {"dueTime": "1s"}),
    ],
)
def test_what_is_refused_is_refused_alike(pair: tuple[Member, Member], name: str, body: object) -> None:
    """With daprd's status, code and text."""
    ours, theirs = (reminder(each, "1", name, "POST", body) for each in pair)

    assert (ours.code, ours.json) == (theirs.code, theirs.json)
    assert ours.code == 500


def test_one_that_must_be_new_is_refused_alike(pair: tuple[Member, Member]) -> None:
    """There is one of that name already."""
    reminder(pair[0], "1", "old", "POST", {"dueTime": "1h"})
    ours, theirs = (reminder(each, "1", "old", "POST", {"dueTime": "1h", "overwrite": False}) for each in pair)

    assert (ours.code, ours.json) == (theirs.code, theirs.json)
    assert ours.code == 409


def test_each_fires_where_its_actor_lives(both: tuple[Member, Member]) -> None:
    """Whichever sidecar made it, and whichever the scheduler has told; with the data as it was given."""
    one, _ = both
    ids = [str(number) for number in range(20)]
    for id_ in ids:
        one.remind(id_, "due", {"dueTime": "0s", "data": {"id": id_}})
    until(lambda: len(fired("due", *both)) >= len(ids), what="all have fired")
    ring = Ring([member.name for member in both], 100)

    for member in both:
        seen = member.app.seen("/remind/due")
        assert {each.target.split("/")[3] for each in seen} == {id_ for id_ in ids if ring.owner(id_) == member.name}
        for each in seen:
            assert json.loads(each.body) == {"data": {"id": each.target.split("/")[3]}, "dueTime": "", "period": ""}


def test_a_tick_that_fails_is_tried_again_as_its_policy_says(cluster: Cluster) -> None:
    """By the scheduler, so often; then the next tick has its own attempts."""
    with cluster.of("ours") as (one,):
        one.app.obey({"match": "/remind/ill", "status": 500, "times": 4})
        policy = {"constant": {"interval": "50ms", "maxRetries": 2}}
        one.remind("7", "ill", {"dueTime": "0s", "period": "R2/PT1S", "failurePolicy": policy})
        until(lambda: reminder(one, "7", "ill").code == 404, what="it is over")

        assert len(fired("ill", one)) == 3 + 2


def test_an_application_that_is_away_loses_no_reminder(cluster: Cluster) -> None:
    """What fell due meanwhile fires when it is back; it has cost no attempt."""
    with cluster.of("ours") as (one,):
        one.call("1")
        one.app.kill()
        one.remind("1", "waits", {"dueTime": "0s"})
        until(lambda: "wait for the application" in one.sidecar.log(), what="it has been tried")
        one.app.start()
        until(lambda: len(fired("waits", one)) == 1, what="it fires")
        until(lambda: reminder(one, "1", "waits").code == 404, what="it is over")


def test_a_sidecar_that_stops_leaves_its_reminders_to_others(cluster: Cluster) -> None:
    """One that it has under way is answered first; the ticks that follow come to another, none is lost."""
    with cluster.of("ours", "ours") as (one, two):
        ring = Ring([one.name, two.name], 100)
        there = next(id_ for id_ in map(str, range(100)) if ring.owner(id_) == two.name)
        two.app.obey({"match": "/remind/often", "delay": 0.5, "times": 1})
        one.remind(there, "often", {"dueTime": "0s", "period": "R3/PT1S"})
        until(lambda: fired("often", two), what="the first tick is under way")
        two.sidecar.stop()
        until(lambda: len(fired("often", one, two)) == 3, what="all ticks")

        assert len(fired("often", two)) == 1
        assert two.sidecar.exit_code == 0


def test_a_scheduler_that_stops_and_comes_back(tmp_path: Path) -> None:
    """Callers are answered meanwhile; then all is as before, and what fell due comes; nothing is restarted."""
    with Cluster(tmp_path) as cluster, cluster.of("ours") as (one,):
        one.remind("1", "often", {"dueTime": "0s", "period": "500ms"})
        until(lambda: fired("often", one), what="it fires")
        cluster.scheduler.stop()
        answers = [
            one.remind("1", "no", {"dueTime": "1h"}),
            reminder(one, "1", "no"),
            reminder(one, "1", "no", "DELETE"),
        ]
        one.app.forget()
        cluster.scheduler.start()
        until(lambda: one.remind("1", "new", {"dueTime": "0s"}).code == 204, 20, what="calls are answered")
        until(lambda: len(fired("often", one)) > 3 and fired("new", one), 20, what="it goes on")

        assert [each.code for each in answers] == [500, 500, 500]
        assert all("code = Unavailable" in each.json["message"] for each in answers)
        assert ask(one.sidecar.http_port, "GET", "/v1.0/healthz").code == 204


def test_a_scheduler_that_is_not_there_yet(tmp_path: Path) -> None:
    """The sidecar says that it waits for it; calls wait, and are answered when it has come."""
    cluster = Cluster(tmp_path)
    with ExitStack() as stack:
        stack.enter_context(cluster._placement)
        one = stack.enter_context(cluster.member("ours", "default"))
        wait_connected(one)
        health = ask(one.sidecar.http_port, "GET", "/v1.0/healthz")
        metadata = ask(one.sidecar.http_port, "GET", "/v1.0/metadata").json
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(one.remind, "1", "r", {"dueTime": "0s"})
            stack.enter_context(cluster.scheduler)
            answer = waiting.result()
        until(lambda: fired("r", one), what="it fires")

        assert (health.code, "[scheduler-watch-hosts]" in health.json["message"]) == (500, True)
        assert "scheduler" not in metadata
        assert answer.code == 204
        assert ask(one.sidecar.http_port, "GET", "/v1.0/healthz").code == 204
        after = ask(one.sidecar.http_port, "GET", "/v1.0/metadata").json
        assert after["scheduler"] == {"connected_addresses": [cluster.scheduler.address]}


def test_reminders_of_the_store_are_moved(cluster: Cluster, tmp_path: Path) -> None:
    """By the command, which may be broken off: it goes on with the rest. They fire from the scheduler then."""
    store = component("statestore", "state.sqlite", connectionString=str(tmp_path / "a.db"), actorStateStore="true")
    scheduler = ("--scheduler-host-address", cluster.scheduler.address)
    with Member(tmp_path, "", store=store) as before:
        for number in range(40):
            before.remind(str(number), "far", {"dueTime": "1h"})
        before.remind("1", "soon", {"dueTime": "2s", "data": [1]})
        flags = ("--resources-path", str(before.sidecar.resources), "--app-id", before.sidecar.app_id, *scheduler)
    command = [sys.executable, "-m", "dapr_state", "reminders", "migrate", *flags]
    broken_off = Process(command, tmp_path / "broken-off.log")
    cluster.scheduler.pause()
    try:
        broken_off.launch()
        until(lambda: "41 of 41 to go" in broken_off.log(), what="it has begun")
        broken_off.signal(signal.SIGINT)
        ended = broken_off.wait()
    finally:
        cluster.scheduler.resume()
    whole = Process(command, tmp_path / "whole.log").launch()
    code = whole.wait()
    with Member(tmp_path, cluster._placement.address, store=store, flags=scheduler) as after:
        until(lambda: fired("soon", after), what="it fires")
        far = {reminder(after, str(number), "far").code for number in range(40)}

        assert (ended, code) == (130, 0)
        assert "interrupted: the same command goes on with the rest" in broken_off.log()
        assert "41 of 41 reminders moved" in whole.log()
        assert [json.loads(each)["data"] for each in fired("soon", after)] == [[1]]
        assert far == {200}
