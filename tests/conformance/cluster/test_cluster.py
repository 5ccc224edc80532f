"""Actors over several sidecars: each lives on one of them, whoever is asked, and comes back when that one is gone."""

from __future__ import annotations

import json
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from dapr_state.actors.placement.ring import Ring
from tests.support import oracle
from tests.support.cluster import TYPE, Member, wait_connected
from tests.support.control_plane import Placement, Placements
from tests.support.http import Socket, ask, request
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.control_plane import OwnPlacement

    Service = OwnPlacement | Placement

IDS = [str(number) for number in range(40)]


def owned(ring: Ring, member: Member) -> list[str]:
    return [each for each in IDS if ring.owner(each) == member.name]


def test_an_actor_lives_on_one_sidecar(tmp_path: Path, placement: Service) -> None:
    """Whichever is called, the call reaches the one that the ring says, with its body, query and headers."""
    with Member(tmp_path, placement.address) as one, Member(tmp_path, placement.address) as two:
        wait_connected(one, two)
        ring = Ring((one.name, two.name), 100)
        answers = [asked.call(each, "do%2Fit?q=1", b"body", **{"X-Mine": "y"}) for asked in (one, two) for each in IDS]
        requests = [each for member in (one, two) for each in member.app.seen("/method/")]

        assert {(answer.code, answer.body) for answer in answers} == {(200, b"body")}
        assert [{*member.ran()} for member in (one, two)] == [{*owned(ring, member)} for member in (one, two)]
        assert {(each.target.partition("/method/")[2], each.header("X-Mine")) for each in requests} == {
            ("do/it?q=1", "y")
        }
        assert [each.header("X-Dapr-Remote") for each in requests].count("true") == len(IDS)


def test_what_a_remote_application_answers_comes_through(tmp_path: Path, placement: Service) -> None:
    """Errors with the texts that daprd has for calls to another sidecar, and headers."""
    with Member(tmp_path, placement.address) as one, Member(tmp_path, placement.address) as two:
        wait_connected(one, two)
        there = owned(Ring((one.name, two.name), 100), two)[0]
        two.app.obey(
            {"match": "/method/ill", "status": 500, "body": "ill"},
            {"match": "/method/gone", "status": 404},
            {"match": "/method/app", "headers": [["X-DaprErrorResponseHeader", "true"], ["X-More", "a"]], "body": "no"},
        )
        ill, gone, own = (one.call(there, method) for method in ("ill", "gone", "app"))

        error = "error invoke actor method: "
        remote = f"{error}rpc error: code = Internal desc = {error}"
        assert [(each.code, each.json["message"]) for each in (ill, gone)] == [
            (500, f"{remote}error from actor service: (500) ill"),
            (500, f"{remote}actor method not found: actors/{TYPE}/{there}/method/gone"),
        ]
        assert (own.code, own.body, own.header("X-More")) == (200, b"no", "a")
        assert own.header("X-Daprerrorresponseheader") == "true"


def test_actors_move_to_one_who_joins_and_back(tmp_path: Path, placement: Service) -> None:
    """The application is told of each that goes, a turn that runs ends first, and no call is lost or run twice."""
    one, two = Member(tmp_path, placement.address), Member(tmp_path, placement.address)
    with one, ThreadPoolExecutor(4) as pool:
        wait_connected(one)
        moving, staying = (owned(Ring((one.name, two.name), 100), member) for member in (two, one))
        for each in (*moving, *staying):
            one.call(each)
        one.app.obey({"match": f"/{moving[0]}/method/held", "hold": True})
        held = pool.submit(one.call, moving[0], "held", b"1")
        one.app.holding()
        waiting = pool.submit(one.call, moving[0], "waiting", b"2")
        with two:
            until(
                lambda: len(one.app.seen(f"/actors/{TYPE}/")) > 0 and deleted(one) == {*moving[1:]},
                what="the others end",
            )
            one.app.release()
            wait_connected(two)
            answers = [held.result(), waiting.result()]
            seen = [each.target.rpartition("/")[2] for each in two.app.seen("/method/")]
            for each in moving:
                one.call(each)
            two_ran = {*two.ran()}
            two.sidecar.close()
            two_deleted = deleted(two)
        until(lambda: one.call(moving[0], "back").code == 200, what="it is back")
        page = ask(one.metrics_port, "GET", "/metrics").body.decode()

        assert [(each.code, each.body) for each in answers] == [(200, b"1"), (200, b"2")]
        assert seen == ["waiting"]
        assert deleted(one) == {*moving}
        assert f'dapr_runtime_actor_rebalanced_total{{actor_type="{TYPE}",app_id="app"}} {len(moving)}\n' in page
        assert two_ran == {*moving}
        assert two_deleted == {*moving}
        assert one.ran()[-1] == moving[0]


def test_a_turn_that_has_to_end_calls_others(tmp_path: Path, placement: Service) -> None:
    """And itself, by its id: without that it would wait for the end of the round, which waits for it."""
    patient = {"drainOngoingCallTimeout": "5s", "reentrancy": {"enabled": True, "maxStackDepth": 4}}
    one, two = (Member(tmp_path, placement.address, config=patient) for _ in range(2))
    around = {"Dapr-Reentrancy-Id": "around"}
    with one:
        wait_connected(one)
        moving, staying = (owned(Ring((one.name, two.name), 100), member) for member in (two, one))
        for each in moving:
            one.call(each)
        one.app.obey({"match": "/method/held", "hold": True})
        with one.calling(moving[0], "held", b"1", **around) as held:
            one.app.holding()
            with two:
                until(lambda: deleted(one) == {*moving[1:]}, what="the others end")
                inner = [one.call(each, "inner", b"2", **around) for each in (moving[0], staying[0])]
                is_held = not held.done()
                one.app.release()
                outer = held.result()
                wait_connected(two)
                elsewhere = two.ran()

    assert [(each.code, each.body) for each in (*inner, outer)] == [(200, b"2"), (200, b"2"), (200, b"1")]
    assert is_held
    assert elsewhere == []


def test_a_turn_that_has_to_end_is_called_from_elsewhere(tmp_path: Path, placement: Service) -> None:
    """By the actor that it has called on another sidecar: its call belongs to the turn; no other begins beside it."""
    patient = {"drainOngoingCallTimeout": "5s", "reentrancy": {"enabled": True, "maxStackDepth": 4}}
    one, two, three = (Member(tmp_path, placement.address, config=patient) for _ in range(3))
    around = {"Dapr-Reentrancy-Id": "around"}
    with one, two:
        wait_connected(one, two)
        before, after = Ring((one.name, two.name), 100), Ring((one.name, two.name, three.name), 100)
        moving = [each for each in IDS if (before.owner(each), after.owner(each)) == (one.name, three.name)]
        for each in moving:
            one.call(each)
        one.app.obey({"match": "/method/held", "hold": True})
        with one.calling(moving[0], "held", b"1", **around) as held:
            one.app.holding()
            with three:
                until(lambda: deleted(one) == {*moving[1:]}, what="the others end")
                inner = two.call(moving[0], "inner", b"2", **around)
                with two.calling(moving[0], "later", b"3", **{"Dapr-Reentrancy-Id": "another"}) as later:
                    is_held = not held.done()
                    one.app.release()
                    answers = [inner, held.result(), later.result()]
                wait_connected(three)
                ran = [
                    [each.target.rpartition("/")[2] for each in member.app.seen("/method/")] for member in (one, three)
                ]

    assert [(each.code, each.body) for each in answers] == [(200, b"2"), (200, b"1"), (200, b"3")]
    assert is_held
    assert (ran[0][-2:], ran[1]) == (["held", "inner"], ["later"])


def deleted(member: Member) -> set[str]:
    """The actors of whose end its application was told."""
    return {each.target.split("/")[3] for each in member.app.seen() if each.method == "DELETE"}


def test_what_lived_on_one_that_is_killed_comes_back(tmp_path: Path, placement: Service) -> None:
    """At once, and calls that were under way there are made again; the application of the dead one is not asked."""
    with Member(tmp_path, placement.address) as one, Member(tmp_path, placement.address) as two:
        wait_connected(one, two)
        there = owned(Ring((one.name, two.name), 100), two)
        two.app.obey({"match": "/method/held", "hold": True})
        with one.calling(there[0], "held", b"1") as held:
            two.app.holding()
            two.sidecar.kill()
            answers = [one.call(each, body=b"2") for each in there]

        assert {(answer.code, answer.body) for answer in answers} == {(200, b"2")}
        assert (held.result().code, held.result().body) == (200, b"1")
        assert {*one.ran()} == {*there}


def test_one_that_stops_hands_over_first(tmp_path: Path, placement: Service) -> None:
    """A call that ends in time is answered by it, one that does not by the next; its actors end, and it ends well."""
    with Member(tmp_path, placement.address) as one, Member(tmp_path, placement.address) as two:
        wait_connected(one, two)
        there = owned(Ring((one.name, two.name), 100), two)
        two.app.obey({"match": "/method/quick", "delay": 0.3}, {"match": "/method/held", "hold": True})
        with one.calling(there[0], "quick", b"1") as quick, one.calling(there[1], "held", b"2") as held:
            two.app.holding()
            until(lambda: two.app.seen("/method/quick"), what="both are under way")
            two.sidecar.signal(signal.SIGTERM)
            until(lambda: one.call(there[2]).code == 200 and one.ran(), what="the others have taken over")
            answers = [held.result(), quick.result()]
            until(lambda: two.sidecar.exit_code is not None, what="it has ended")

        assert [(each.code, each.body) for each in answers] == [(200, b"2"), (200, b"1")]
        assert [each.target.rpartition("/")[2] for each in one.app.seen(f"/{there[1]}/method/")] == ["held"]
        assert deleted(two) >= {*there[:2]}
        assert two.sidecar.exit_code == 0


def test_without_placement_actors_wait_for_it(tmp_path: Path, placement: Service) -> None:
    """Their application is told of their end; calls wait, and go on when it is back; nothing is restarted."""
    with Member(tmp_path, placement.address) as one:
        wait_connected(one)
        before = [one.call(each).code for each in IDS]
        placement.close()
        until(lambda: deleted(one) == {*IDS}, what="all actors have ended")
        state = one.runtime()
        with one.calling(IDS[0], "later", b"1") as later:
            until(lambda: not one.is_connected(), what="it knows")
            placement.start()
            answer = later.result()

        assert {*before} == {200}
        assert (state["hostReady"], state["placement"]) == (False, "placement: disconnected")
        assert (answer.code, answer.body) == (200, b"1")
        assert ask(one.sidecar.http_port, "GET", "/v1.0/healthz").code == 204


def test_a_placement_that_says_nothing_is_left(tmp_path: Path, placement: Service) -> None:
    """Its silence is the end of the stream: the actors are ended before others may have them."""
    with Member(tmp_path, placement.address) as one:
        wait_connected(one)
        one.call(IDS[0])
        placement.pause()
        try:
            until(lambda: deleted(one) == {IDS[0]}, what="the actor has ended")
            state = one.runtime()
        finally:
            placement.resume()
        wait_connected(one)

        assert not state["hostReady"]
        assert one.call(IDS[0]).code == 200


@pytest.mark.oracle
def test_a_sidecar_that_is_frozen_is_replaced(tmp_path: Path) -> None:
    """Calls to it are made again elsewhere. When it runs again it begins no turn that others may have, and what one of
    before wants to write then is refused."""
    service = Placement(oracle.program("placement"), tmp_path)
    with service, Member(tmp_path, service.address) as one, Member(tmp_path, service.address) as two:
        wait_connected(one, two)
        there, other = owned(Ring((one.name, two.name), 100), two)[:2]
        one.call(there)
        two.app.obey({"match": "/method/held", "hold": True, "times": 1})
        operations = json.dumps([{"operation": "upsert", "request": {"key": "k", "value": 1}}])
        write = request("POST", f"/v1.0/actors/{TYPE}/{other}/state", operations)
        with two.calling(other, "held") as held, Socket(two.sidecar.http_port) as application:
            two.app.holding()
            before = application.send(write).answer()
            two.sidecar.pause()
            try:
                answer = one.call(there, "again", b"1")
                application.send(write)
            finally:
                two.sidecar.resume()
            refused = application.answer()
            made_again = held.result()
        until(lambda: there in deleted(two), what="its actor has ended")
        wait_connected(two)

        assert (answer.code, answer.body) == (200, b"1")
        assert [each.target.rpartition("/")[2] for each in two.app.seen(f"/{there}/method/")] == ["m"]
        assert (before.code, made_again.code) == (204, 200)
        assert (refused.code, refused.json["errorCode"]) == (400, "ERR_ACTOR_INSTANCE_MISSING")


def test_a_reminder_fires_where_its_actor_lives(tmp_path: Path, placement: Service) -> None:
    """Though another sidecar keeps it; also on one that took the actor over, and while placement is away it rests."""
    with Member(tmp_path, placement.address) as one, Member(tmp_path, placement.address) as two:
        wait_connected(one, two)
        there = owned(Ring((one.name, two.name), 100), two)[0]
        made = one.remind(there, "far", {"dueTime": "0s", "data": {"a": 1}})
        until(lambda: two.app.seen("/remind/far"), what="it fires on the other one")
        (far,) = two.app.seen("/remind/far")
        one.remind(there, "often", {"dueTime": "0s", "period": "1s"})
        until(lambda: two.app.seen("/remind/often"), what="the first tick")
        placement.close()
        until(lambda: not one.is_connected() and not two.is_connected(), what="placement is away")
        two.sidecar.kill()
        placement.start()
        until(lambda: len(one.app.seen("/remind/often")) > 1, what="the ticks that follow")

        assert made.code == 204
        assert json.loads(far.body) == {"data": {"a": 1}, "dueTime": "", "period": ""}
        assert "Error executing reminder" not in one.sidecar.log()


@pytest.mark.oracle
def test_the_next_leader_is_found(tmp_path: Path) -> None:
    """Of three, when the one that leads is killed: calls wait for the election, and all is as before."""
    with (
        Placements(oracle.program("placement"), tmp_path) as placements,
        Member(tmp_path, placements.address) as one,
        Member(tmp_path, placements.address) as two,
    ):
        wait_connected(one, two)
        placements.leader(one.sidecar.log()).kill()
        until(lambda: not one.is_connected(), what="it knows")
        answers = [one.call(each) for each in IDS]
        wait_connected(one, two)
        ring = Ring((one.name, two.name), 100)
        for member in (one, two):
            member.app.forget()
        answers += [two.call(each) for each in IDS]

        assert {answer.code for answer in answers} == {200}
        assert [{*member.ran()} for member in (one, two)] == [{*owned(ring, member)} for member in (one, two)]


HEALTH = ("--enable-app-health-check", "--app-health-probe-interval", "1", "--app-health-threshold", "1")


def test_an_application_that_is_unwell_has_its_actors_elsewhere(tmp_path: Path, placement: Service) -> None:
    """Its sidecar stays in the cluster, and passes calls on; the actors come back with it; no call fails or waits."""
    with Member(tmp_path, placement.address) as one, Member(tmp_path, placement.address, flags=HEALTH) as two:
        wait_connected(one, two)
        there = owned(Ring((one.name, two.name), 100), two)[0]
        answers = []

        def runs_at(member: Member) -> bool:
            answers.extend(asked.call(there).code for asked in (one, two))
            return bool(member.ran())

        for _ in range(2):
            two.app.obey({"match": "/healthz", "status": 500})
            until(lambda: runs_at(one), what="its actors are called elsewhere")
            two.app.obey()
            two.app.forget()
            until(lambda: runs_at(two), what="its actors are back")
            one.app.forget()

        assert {*answers} == {200}


def test_a_turn_of_an_unwell_application_ends_before_the_actor_moves(tmp_path: Path, placement: Service) -> None:
    """It has the drain time, as any that has to move: then its call is made again where the actor lives now."""
    with Member(tmp_path, placement.address) as one, Member(tmp_path, placement.address, flags=HEALTH) as two:
        wait_connected(one, two)
        there = owned(Ring((one.name, two.name), 100), two)[0]
        two.app.obey({"match": "/method/held", "hold": True})
        with one.calling(there, "held", b"1") as held:
            two.app.holding()
            two.app.obey({"match": "/healthz", "status": 500})
            answer = held.result()

        assert (answer.code, answer.body, one.ran()) == (200, b"1", [there])
