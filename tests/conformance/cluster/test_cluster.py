"""Actors over several sidecars: each lives on one of them, whoever is asked, and comes back when that one is gone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from dapr_state.actors.placement.ring import Ring
from tests.support.cluster import TYPE, Member, wait_connected
from tests.support.http import ask
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.control_plane import OwnPlacement, Placement

    Service = OwnPlacement | Placement

NO_HOST = "failed to lookup actor: api error: code = FailedPrecondition desc = did not find address for actor"
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
    """Errors with the texts that daprd has for calls to another sidecar, headers, and nobody's type after 5 s."""
    with Member(tmp_path, placement.address) as one, Member(tmp_path, placement.address) as two:
        wait_connected(one, two)
        there = owned(Ring((one.name, two.name), 100), two)[0]
        two.app.obey(
            {"match": "/method/ill", "status": 500, "body": "ill"},
            {"match": "/method/gone", "status": 404},
            {"match": "/method/app", "headers": [["X-DaprErrorResponseHeader", "true"], ["X-More", "a"]], "body": "no"},
        )
        ill, gone, own = (one.call(there, method) for method in ("ill", "gone", "app"))
        nobody = ask(one.sidecar.http_port, "PUT", "/v1.0/actors/unheard/1/method/m")

        error = "error invoke actor method: "
        remote = f"{error}rpc error: code = Internal desc = {error}"
        assert [(each.code, each.json["message"]) for each in (ill, gone, nobody)] == [
            (500, f"{remote}error from actor service: (500) ill"),
            (500, f"{remote}actor method not found: actors/{TYPE}/{there}/method/gone"),
            (500, f"{error}{NO_HOST} 'unheard/1'"),
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

        assert [(each.code, each.body) for each in answers] == [(200, b"1"), (200, b"2")]
        assert seen == ["waiting"]
        assert deleted(one) == {*moving}
        assert two_ran == {*moving}
        assert two_deleted == {*moving}
        assert one.ran()[-1] == moving[0]


def deleted(member: Member) -> set[str]:
    """The actors of whose end its application was told."""
    return {each.target.split("/")[3] for each in member.app.seen() if each.method == "DELETE"}
