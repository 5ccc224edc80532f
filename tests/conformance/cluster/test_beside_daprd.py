"""Sidecars of ours and real daprds in one cluster: they agree where each actor lives, and call each other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from dapr_state_proto.internals.v1.service_invocation_pb2 import Actor, InternalInvokeRequest

from dapr_state.actors.placement.ring import Ring
from tests.conformance.cluster.test_internal_port import ERROR, invocation, reminder
from tests.conformance.cluster.test_internal_port import ask as ask_peer
from tests.support import oracle
from tests.support.cluster import TYPE, Member, wait_connected
from tests.support.control_plane import Placement
from tests.support.http import ask
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    Pair = tuple[Member, Member]

pytestmark = pytest.mark.oracle

IDS = [str(number) for number in range(60)]
REENTRANT = {"reentrancy": {"enabled": True, "maxStackDepth": 4}}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """One of ours, and a daprd."""
    folder = tmp_path_factory.mktemp("pair")
    with Placement(oracle.program("placement"), folder) as placement:
        ours = Member(folder, placement.address, config=REENTRANT)
        theirs = Member(folder, placement.address, config=REENTRANT, daprd=oracle.program("daprd"))
        with ours, theirs:
            wait_connected(ours, theirs)
            yield ours, theirs


@pytest.fixture(params=["to daprd", "from daprd"])
def way(request: pytest.FixtureRequest, pair: Pair) -> tuple[Member, Member, list[str]]:
    """Who calls, who is called, and the actors that live there."""
    ours, theirs = pair
    caller, called = (ours, theirs) if request.param == "to daprd" else (theirs, ours)
    for each in pair:
        each.app.obey()
        each.app.forget()
    ring = Ring((ours.name, theirs.name), 100)
    return caller, called, [each for each in IDS if ring.owner(each) == called.name]


def test_they_agree_where_actors_live(pair: Pair) -> None:
    """Each call reaches the one that our ring says, whichever is asked."""
    ring = Ring([member.name for member in pair], 100)
    for member in pair:
        member.app.forget()
    answers = {asked.call(each, body=b'"x"').code for asked in pair for each in IDS}

    assert answers == {200}
    for member in pair:
        assert {*member.ran()} == {each for each in IDS if ring.owner(each) == member.name}


def test_a_call_arrives_as_it_was_made(way: tuple[Member, Member, list[str]]) -> None:
    """With its body, query, headers and content type, an id for reentrancy, and the mark of a remote call."""
    caller, called, there = way
    called.app.obey({"match": "/method/", "body": "pong", "headers": [["Content-Type", "text/x"], ["X-Back", "b"]]})
    answer = caller.call(there[0], "do%2Fit?q=1", b"ping", **{"Content-Type": "text/y", "X-Mine": "y"})
    (seen,) = called.app.seen("/method/")

    assert (answer.code, answer.body) == (200, b"pong")
    assert (answer.header("Content-Type"), answer.header("X-Back")) == ("text/x", "b")
    assert (seen.target, seen.body) == (f"/actors/{TYPE}/{there[0]}/method/do/it?q=1", "ping")
    assert [seen.header(name) for name in ("Content-Type", "X-Mine", "X-Dapr-Remote")] == ["text/y", "y", "true"]
    assert seen.header("Dapr-Reentrancy-Id")


@pytest.mark.parametrize(
    ("rule", "detail"),
    [
        ({"status": 500, "body": "ill"}, "error from actor service: (500) ill"),
        ({"status": 201, "body": "made"}, "error from actor service: (201) made"),
        ({"status": 404}, f"actor method not found: actors/{TYPE}/ID/method/m"),
    ],
)
def test_a_failure_is_told_alike(way: tuple[Member, Member, list[str]], rule: dict[str, object], detail: str) -> None:
    """What the other sidecar says of its application goes into the same sentence, after one call."""
    caller, called, there = way
    called.app.obey({"match": "/method/", **rule})
    answer = caller.call(there[0])

    error = "error invoke actor method: "
    told = f"{error}rpc error: code = Internal desc = {error}{detail.replace('ID', there[0])}"
    assert answer.code == 500
    assert answer.json == {"errorCode": "ERR_ACTOR_INVOKE_METHOD", "message": told}
    assert len(called.app.seen("/method/")) == 1


def test_an_error_of_the_application_keeps_its_header(way: tuple[Member, Member, list[str]]) -> None:
    """The status stays 200, and the body is the application's."""
    caller, called, there = way
    called.app.obey({"match": "/method/", "headers": [["X-DaprErrorResponseHeader", "true"]], "body": "no"})
    answer = caller.call(there[0])

    assert (answer.code, answer.body, answer.header("X-Daprerrorresponseheader")) == (200, b"no", "true")


def of_actor(name: str) -> InternalInvokeRequest:
    return invocation(actor=Actor(actor_type=TYPE, actor_id=name))


def test_a_call_goes_on_with_its_trace(way: tuple[Member, Member, list[str]]) -> None:
    """The application there sees the trace of the one who called here, with what goes along with it."""
    caller, called, there = way
    trace = {"Traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01", "Tracestate": "x=1", "Baggage": "k=v"}
    caller.call(there[0], **trace)
    caller.call(there[0])
    traced, untraced = called.app.seen("/method/")

    assert {name: traced.header(name) for name in trace} == trace
    assert untraced.header("Traceparent") in {None, f"00-{'0' * 32}-{'0' * 16}-00"}


@pytest.mark.parametrize("method", ["CallActor", "CallActorReminder", "CallActorStream"])
def test_one_who_asks_the_wrong_sidecar_is_told(way: tuple[Member, Member, list[str]], method: str) -> None:
    """By the words that say to look again; nothing is passed on."""
    asked, owner, there = way
    request = reminder(actor_id=there[0]) if method == "CallActorReminder" else of_actor(there[0])
    told = {"CallActor": ("INTERNAL", f"{ERROR}remote actor moved")}

    assert ask_peer(asked, method, request) == told.get(method, ("UNKNOWN", "remote actor moved"))
    assert owner.app.seen("/method/") == []


def test_a_stream_for_an_ordinary_actor(way: tuple[Member, Member, list[str]]) -> None:
    """Only those of workflows are called so."""
    _, called, there = way

    assert ask_peer(called, "CallActorStream", of_actor(there[0])) == (
        "UNKNOWN",
        "not implemented",
    )


def test_calls_among_sidecars_are_counted(pair: Pair) -> None:
    """Under the same names, for the one who calls and the one who is called."""
    ring = Ring([member.name for member in pair], 100)
    for asked in pair:
        asked.call(next(each for each in IDS if ring.owner(each) != asked.name), body=b'"x"')

    def counted(member: Member) -> set[str]:
        lines = ask(member.metrics_port, "GET", "/metrics").body.decode().splitlines()
        return {line.rpartition(" ")[0] for line in lines if 'ServiceInvocation/CallActor"' in line}

    def both() -> bool:
        return all("client" in "".join(counted(each)) and "server" in "".join(counted(each)) for each in pair)

    until(both, what="daprd counts after the answer")
    ours, theirs = ({line for line in counted(each) if "Internal" not in line} for each in pair)

    assert ours == theirs


def test_an_id_of_reentrancy_goes_around(way: tuple[Member, Member, list[str]]) -> None:
    """A call with the id of the turn that runs there joins it, though it comes from another sidecar."""
    caller, called, there = way
    called.app.obey({"match": "/method/held", "hold": True})
    headers = {"Dapr-Reentrancy-Id": "around"}
    with caller.calling(there[0], "held", **headers) as held:
        called.app.holding()
        inner = caller.call(there[0], "inner", b"1", **headers)
        called.app.release()

    assert inner.code == 200
    assert held.result().code == 200


def test_a_timer_fires_where_the_actor_lives(way: tuple[Member, Member, list[str]]) -> None:
    """It lives where it was made, and its ticks go to the other sidecar."""
    caller, called, there = way
    timer = json.dumps({"dueTime": "0s", "data": {"a": 1}, "callback": "tick"})
    made = ask(caller.sidecar.http_port, "POST", f"/v1.0/actors/{TYPE}/{there[0]}/timers/t", timer)
    until(lambda: called.app.seen("/method/timer/t"), what="the timer fires")
    tick = json.loads(called.app.seen("/method/timer/t")[0].body)

    assert made.code == 204
    assert tick["data"] == {"a": 1}
    assert tick["dueTime"] == "0s"


def test_a_reminder_of_ours_fires_on_daprd(pair: Pair) -> None:
    """It is kept here, and goes to the application there in the form that daprd gives it; a failure is tried again."""
    ours, theirs = pair
    there = next(each for each in IDS if Ring((ours.name, theirs.name), 100).owner(each) == theirs.name)
    theirs.app.obey({"match": "/remind/r", "status": 500, "times": 1})
    theirs.app.forget()
    made = ours.remind(there, "r", {"dueTime": "0s", "data": [1]})
    until(lambda: len(theirs.app.seen("/remind/r")) == 2, what="it fires, and again")

    assert made.code == 204
    assert json.loads(theirs.app.seen("/remind/r")[1].body)["data"] == [1]


def test_metadata_tell_the_same(pair: Pair) -> None:
    """What is hosted, whether placement is there, and that all is ready."""
    told = [{name: value for name, value in member.runtime().items() if name != "activeActors"} for member in pair]
    health = [ask(member.sidecar.http_port, "GET", "/v1.0/healthz").code for member in pair]

    assert told[0] == told[1]
    assert health == [204, 204]
