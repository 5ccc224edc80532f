"""Actors as the administration API shows and ends them: the same over gRPC and HTTP."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from dapr_state_proto.admin.v1 import admin_pb2

from dapr_state import slices
from dapr_state.actors.timers import Timers
from dapr_state.admin.actors import ActorsAdmin
from dapr_state.admin.tokens import Seals
from dapr_state.app.model import ActorId, AppAnswer, Trigger
from tests.support.admin import TRANSPORTS, Admin, Refused
from tests.support.components import component
from tests.support.http import Answer, ask
from tests.support.rawapp import RawApp
from tests.support.sidecar import Sidecar
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.redis import RedisServer

CONFIG = {
    "entities": ["Cart", "Re"],
    "actorIdleTimeout": "1h",
    "entitiesConfig": [{"entities": ["Re"], "reentrancy": {"enabled": True}}],
}
SHORT = timedelta(milliseconds=300)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawApp]:
    with RawApp(tmp_path_factory.mktemp("app"), CONFIG) as app:
        yield app


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def sidecar(
    request: pytest.FixtureRequest, app: RawApp, tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer
) -> Iterator[Sidecar]:
    """With and without an order in the store of its actors."""
    folder = tmp_path_factory.mktemp("sidecar")
    store = {
        "sqlite": component("actors", "state.sqlite", connectionString=str(folder / "db"), actorStateStore="true"),
        "redis": component(
            "actors", "state.redis", redisHost=redis_server.address, redisDB="8", actorStateStore="true"
        ),
    }[request.param]
    with redis_server.client(db=8) as client:
        client.flushdb()
    flags = ["--app-port", str(app.port), "--console", "write"]
    with Sidecar(folder, [store], flags=flags) as sidecar:
        yield sidecar


@pytest.fixture(params=TRANSPORTS)
def admin(request: pytest.FixtureRequest, sidecar: Sidecar, app: RawApp) -> Admin:
    """Nothing is left of other tests: no actor, no state, no rule of the application."""
    app.release()
    app.obey()
    admin = Admin(sidecar, "grpc")
    for kind in ("Cart", "Re"):
        for actor in admin.call("ListActors", type=kind, page_size=1000).actors:
            admin.call("DeleteActor", actor={"type": kind, "id": actor.actor.id})
    app.forget()
    return Admin(sidecar, request.param)


def put(sidecar: Sidecar, actor: str, path: str, body: str = "", **headers: str) -> Answer:
    return ask(sidecar.http_port, "PUT", f"/v1.0/actors/{actor}/{path}", body, **headers)


def save(sidecar: Sidecar, actor: str, *keys: str) -> None:
    steps = [{"operation": "upsert", "request": {"key": key, "value": 1}} for key in keys]
    put(sidecar, actor, "method/m")  # only an active actor may
    assert put(sidecar, actor, "state", json.dumps(steps)).code == 204


def remind(sidecar: Sidecar, actor: str, name: str, **more: Any) -> None:
    body = {"dueTime": "1h", "period": "1h", "data": "d", **more}
    assert put(sidecar, actor, f"reminders/{name}", json.dumps(body)).code == 204


def ids(answer: Any) -> list[str]:
    return [actor.actor.id for actor in answer.actors]


def cart(actor_id: str) -> dict[str, str]:
    return {"type": "Cart", "id": actor_id}


def test_types_are_told_with_their_numbers(admin: Admin, app: RawApp) -> None:
    """Hosted, active, busy, waiting; reminders and timers."""
    sidecar = admin.sidecar
    put(sidecar, "Cart/1", "method/m")
    remind(sidecar, "Cart/1", "daily")
    assert put(sidecar, "Cart/1", "timers/t", '{"dueTime": "1h"}').code == 204
    app.obey({"match": "/method/slow", "hold": True})
    with ThreadPoolExecutor(2) as callers:
        calls = [callers.submit(put, sidecar, "Cart/2", "method/slow") for _ in range(2)]
        app.holding()
        until(lambda: [kind.waiting_calls for kind in admin.call("ListTypes").types] == [1, 0])
        cart, re = admin.call("ListTypes").types
        app.obey()
        app.release()
        assert all(call.result().code == 200 for call in calls)

    assert (cart.name, cart.hosted, cart.active, cart.busy) == ("Cart", True, 2, 1)
    assert (cart.reminders, cart.timers, cart.reentrant, cart.state_store) == (1, 1, False, "actors")
    assert cart.idle_timeout.seconds == 3600
    assert (re.name, re.reentrant, re.active) == ("Re", True, 0)


def test_actors_are_listed_in_pages_by_what_is_known_of_them(admin: Admin) -> None:
    """Active, with state, with reminders, or any of these; each of them once."""
    sidecar = admin.sidecar
    put(sidecar, "Cart/active", "method/m")
    for name in ("s1", "s1!", "s2", "s3"):
        save(sidecar, f"Cart/{name}", "a", "b")
        admin.call("Deactivate", actor=cart(name))
    remind(sidecar, "Cart/reminded", "daily")
    listed = {which: ids(admin.call("ListActors", type="Cart", which=which)) for which in ("ACTIVE", "WITH_STATE")}
    reminded = ids(admin.call("ListActors", type="Cart", which="WITH_REMINDERS"))
    paged: list[str] = []
    token = ""
    while True:
        page = admin.call("ListActors", type="Cart", page_size=1, page_token=token)
        paged += ids(page)
        token = page.next_page_token
        if not token:
            break

    assert listed == {"ACTIVE": ["active"], "WITH_STATE": ["s1!", "s1", "s2", "s3"]}
    assert reminded == ["reminded"]
    assert paged == ["active", "reminded", "s1!", "s1", "s2", "s3"]
    assert ids(admin.call("ListActors", type="Cart", id_prefix="s1")) == ["s1!", "s1"]
    assert not ids(admin.call("ListActors", type="None"))


def test_an_actor_is_looked_at_without_being_disturbed(admin: Admin, app: RawApp) -> None:
    """The turn that runs and those that wait, its keys, reminders and timers; one that is not active stays so."""
    sidecar = admin.sidecar
    save(sidecar, "Re/1", "items")
    remind(sidecar, "Re/1", "daily")
    assert put(sidecar, "Re/1", "timers/t", '{"dueTime": "1h", "callback": "c"}').code == 204
    app.obey({"match": "/method/slow", "hold": True})
    with ThreadPoolExecutor(2) as callers:
        first = callers.submit(put, sidecar, "Re/1", "method/slow", Dapr_Reentrancy_Id="r1")
        app.holding()
        second = callers.submit(put, sidecar, "Re/1", "method/other")
        until(lambda: admin.call("GetActor", actor={"type": "Re", "id": "1"}).waiting_calls == 1)
        actor = admin.call("GetActor", actor={"type": "Re", "id": "1"})
        app.obey()
        app.release()
        assert (first.result().code, second.result().code) == (200, 200)
    idle = admin.call("GetActor", actor={"type": "Re", "id": "1"})
    none = admin.call("GetActor", actor={"type": "Re", "id": "none"})

    assert (actor.active, actor.busy, actor.HasField("idle_deadline")) == (True, True, False)
    running, waiting = actor.turns
    assert (running.kind, running.method, running.reentrancy_id, running.waiting) == ("call", "slow", "r1", False)
    assert (waiting.method, waiting.waiting) == ("other", True)
    assert [key.key for key in actor.state] == ["items"]
    assert [(each.name, each.data_size) for each in actor.reminders] == [("daily", 3)]
    assert [(each.name, each.callback) for each in actor.timers] == [("t", "c")]
    assert (idle.busy, len(idle.turns)) == (False, 0)
    assert 3590 <= idle.idle_deadline.seconds - idle.active_since.seconds <= 3610
    assert not none.active
    assert not admin.call("GetActor", actor={"type": "Re", "id": "none"}).active


def test_an_actor_is_deactivated_in_its_turn(admin: Admin, app: RawApp) -> None:
    """The application is told once; one that is busy is waited for, and counted if it takes too long."""
    sidecar = admin.sidecar
    for name in ("1", "2", "busy"):
        put(sidecar, f"Cart/{name}", "method/m")
    app.obey({"match": "/method/slow", "hold": True})
    with ThreadPoolExecutor(1) as callers:
        slow = callers.submit(put, sidecar, "Cart/busy", "method/slow")
        app.holding()
        one = admin.call("Deactivate", actor=cart("1"))
        again = admin.call("Deactivate", actor=cart("1"))
        of_type = admin.call("Deactivate", type="Cart", wait=SHORT)
        app.obey()
        app.release()
        assert slow.result().code == 200
    told = [seen.target for seen in app.seen("/actors/") if seen.method == "DELETE"]

    assert (one.deactivated, one.busy) == (1, 0)
    assert (again.deactivated, again.busy) == (0, 0)
    assert (of_type.deactivated, of_type.busy) == (1, 1)
    assert told == ["/actors/Cart/1", "/actors/Cart/2"]
    assert admin.call("Deactivate", all=True).deactivated == 1
    with pytest.raises(Refused):
        admin.call("Deactivate")


def test_an_actor_is_deleted_with_all_that_it_has(admin: Admin, app: RawApp) -> None:
    """State, reminders, timers and activation; others stay. The dry run only tells."""
    sidecar = admin.sidecar
    for name in ("1", "11"):
        save(sidecar, f"Cart/{name}", "a", "b")
        remind(sidecar, f"Cart/{name}", "daily")
        assert put(sidecar, f"Cart/{name}", "timers/t", '{"dueTime": "1h"}').code == 204
    look = admin.call("DeleteActor", actor=cart("1"), dry_run=True)
    before = admin.call("GetActor", actor=cart("1"))
    done = admin.call("DeleteActor", actor=cart("1"))
    gone, other = admin.call("GetActor", actor=cart("1")), admin.call("GetActor", actor=cart("11"))

    for told in (look, done):
        assert (told.state_keys, told.reminders, told.timers, told.was_active) == (2, 1, 1, True)
    assert (before.active, len(before.state)) == (True, 2)
    assert (gone.active, len(gone.state), len(gone.reminders), len(gone.timers)) == (False, 0, 0, 0)
    assert (other.active, len(other.state), len(other.reminders), len(other.timers)) == (True, 2, 1, 1)
    assert [seen.target for seen in app.seen("/actors/") if seen.method == "DELETE"] == ["/actors/Cart/1"]


def test_an_actor_that_is_busy_is_not_deleted(admin: Admin, app: RawApp) -> None:
    """Nothing of it is: its turn has not come."""
    save(admin.sidecar, "Cart/1", "a")
    app.obey({"match": "/method/slow", "hold": True})
    with ThreadPoolExecutor(1) as callers:
        slow = callers.submit(put, admin.sidecar, "Cart/1", "method/slow")
        app.holding()
        with pytest.raises(Refused) as refused:
            admin.call("DeleteActor", actor=cart("1"), wait=SHORT)
        app.obey()
        app.release()
        assert slow.result().code == 200

    assert refused.value.code == "ERR_ADMIN_BUSY"
    assert len(admin.call("GetActor", actor=cart("1")).state) == 1


def test_an_actor_is_deleted_under_load(admin: Admin) -> None:
    """Calls that wait are served after it, by a new actor: no state of the old one is left beside that of the new."""
    sidecar, ends = admin.sidecar, threading.Event()

    def call() -> set[int]:
        found = set()
        while not ends.is_set():
            found.add(put(sidecar, "Cart/1", "method/m").code)
        return found

    with ThreadPoolExecutor(4) as callers:
        loads = [callers.submit(call) for _ in range(4)]
        for number in range(5):
            save(sidecar, "Cart/1", f"k{number}")
            assert admin.call("DeleteActor", actor=cart("1")).state_keys == 1
        ends.set()
        assert {code for load in loads for code in load.result()} == {200}
    assert not admin.call("GetActor", actor=cart("1")).state


def test_reminders_are_listed_by_when_and_how_they_do(admin: Admin, app: RawApp) -> None:
    """Due before a moment, failing, of one actor; in pages, with the number of all."""
    sidecar = admin.sidecar
    app.obey({"match": "/remind/", "status": 500, "body": "no"})
    remind(sidecar, "Cart/1", "fails", dueTime="0s", policy={"constant": {"interval": "100s", "maxRetries": 5}})
    remind(sidecar, "Cart/1", "far", dueTime="3h")
    remind(sidecar, "Cart/2", "near", dueTime="1h")
    until(lambda: len(admin.call("ListReminders", failing=True).reminders) == 1)
    (failing,) = admin.call("ListReminders", failing=True).reminders
    listed = admin.call("ListReminders", type="Cart", page_size=2)
    rest = admin.call("ListReminders", type="Cart", page_size=2, page_token=listed.next_page_token)
    far = next(each for each in (*listed.reminders, *rest.reminders) if each.name == "far")
    soon = admin.call("ListReminders", due_before=far.next_at.ToDatetime() - timedelta(hours=1))

    assert (failing.name, failing.failures, failing.fired) == ("fails", 1, 0)
    assert "no" in failing.last_error
    assert [each.name for each in (*listed.reminders, *rest.reminders)] == ["fails", "far", "near"]
    assert (listed.total, rest.next_page_token) == (3, "")
    assert [each.name for each in soon.reminders] == ["fails", "near"]
    assert [each.name for each in admin.call("ListReminders", type="Cart", id="2").reminders] == ["near"]
    assert far.period == "@every 1h0m0s"


def test_a_reminder_is_fired_now(admin: Admin, app: RawApp) -> None:
    """In its turn, with its data; its schedule stays unless it is to count."""
    sidecar = admin.sidecar
    remind(sidecar, "Cart/1", "daily", repetitions=2)
    (before,) = admin.call("ListReminders", type="Cart").reminders
    fired = admin.call("TriggerReminder", actor=cart("1"), name="daily", wait=True)
    (seen,) = app.seen("/remind/daily")
    counted = admin.call("TriggerReminder", actor=cart("1"), name="daily", wait=True, advance_schedule=True)
    app.obey({"match": "/remind/", "status": 500, "body": "broken"})
    failed = admin.call("TriggerReminder", actor=cart("1"), name="daily", wait=True)
    admin.call("TriggerReminder", actor=cart("1"), name="daily")
    until(lambda: len(app.seen("/remind/daily")) == 4)

    assert (fired.delivered, fired.error, fired.next_at) == (True, "", before.next_at)
    assert json.loads(seen.body)["data"] == "d"
    assert counted.next_at.seconds - before.next_at.seconds == 3600
    assert not failed.delivered
    assert "broken" in failed.error
    with pytest.raises(Refused) as refused:
        admin.call("TriggerReminder", actor=cart("1"), name="none", wait=True)
    assert refused.value.code == "ERR_ADMIN_NOT_FOUND"


def test_a_triggered_reminder_waits_for_the_turn(admin: Admin, app: RawApp) -> None:
    """It never runs beside a call of its actor."""
    remind(admin.sidecar, "Cart/1", "daily")
    app.obey({"match": "/method/slow", "hold": True})
    with ThreadPoolExecutor(2) as callers:
        slow = callers.submit(put, admin.sidecar, "Cart/1", "method/slow")
        app.holding()
        fired = callers.submit(partial(admin.call, "TriggerReminder", actor=cart("1"), name="daily", wait=True))
        until(lambda: admin.call("GetActor", actor=cart("1")).waiting_calls == 1)
        kinds = [turn.kind for turn in admin.call("GetActor", actor=cart("1")).turns]
        app.obey()
        app.release()
        assert slow.result().code == 200
        assert fired.result().delivered
    call, tick = app.seen("/actors/Cart/1/method/")

    assert kinds == ["call", "reminder"]
    assert call.ended is not None
    assert call.ended < tick.began


def test_paused_reminders_wait_and_fire_once(admin: Admin, app: RawApp) -> None:
    """Those of a type, also over a restart; of what was missed each comes once."""
    sidecar = admin.sidecar
    admin.call("PauseReminders", type="Cart", paused=True)
    remind(sidecar, "Cart/1", "often", dueTime="0s", period="100ms")
    until(lambda: [each.parked for each in admin.call("ListReminders", type="Cart").reminders] == [True])
    sidecar.stop()
    sidecar.start()
    until(lambda: [each.parked for each in admin.call("ListReminders", type="Cart").reminders] == [True])
    types = {kind.name: (kind.paused, kind.parked_reminders) for kind in admin.call("ListTypes").types}
    seen = app.seen("/remind/")
    app.obey({"match": "/remind/", "hold": True})
    resumed = admin.call("PauseReminders", type="Cart", paused=False)
    app.holding()
    (late,) = admin.call("ListReminders", type="Cart").reminders
    app.obey()
    app.release()

    assert types["Cart"] == (True, 1)
    assert seen == []
    assert resumed.affected == 1
    assert late.firing
    started = admin.call("GetOverview").now
    assert started.seconds - late.next_at.seconds <= 5  # and not all the way back


def test_timers_are_listed(admin: Admin) -> None:
    """With their callbacks and when they fire; in pages."""
    for name in ("1", "2"):
        put(admin.sidecar, f"Cart/{name}", "method/m")
        body = json.dumps({"dueTime": "1h", "period": "2h", "callback": f"c{name}"})
        assert put(admin.sidecar, f"Cart/{name}", "timers/t", body).code == 204
    first = admin.call("ListTimers", page_size=1)
    second = admin.call("ListTimers", page_size=1, page_token=first.next_page_token)
    now = admin.call("GetOverview").now

    assert [each.callback for each in (*first.timers, *second.timers)] == ["c1", "c2"]
    assert second.next_page_token == ""
    assert 3590 <= first.timers[0].next_at.seconds - now.seconds <= 3610
    assert [each.actor.id for each in admin.call("ListTimers", type="Cart", id="2").timers] == ["2"]


def test_the_application_is_asked_anew(admin: Admin, app: RawApp) -> None:
    """What the old process had active is forgotten."""
    put(admin.sidecar, "Cart/1", "method/m")
    types = admin.call("ReloadApp").actor_types

    assert sorted(types) == ["Cart", "Re"]
    assert not admin.call("GetActor", actor=cart("1")).active
    assert app.seen("/dapr/config")
    assert put(admin.sidecar, "Cart/1", "method/m").code == 200


def test_a_drain_ends_actors_and_leaves_state(admin: Admin, app: RawApp) -> None:
    """No call and no tick begins any more; keys are served."""
    sidecar = admin.sidecar
    for name in ("1", "2"):
        put(sidecar, f"Cart/{name}", "method/m")
    drained = admin.call("Drain")
    refused = put(sidecar, "Cart/1", "method/m")
    told = {seen.target for seen in app.seen("/actors/") if seen.method == "DELETE"}
    still = ask(sidecar.http_port, "GET", "/v1.0/state/actors/none")
    sidecar.stop()
    sidecar.start()

    assert (drained.deactivated, drained.still_busy) == (2, 0)
    assert refused.json["errorCode"] == "ERR_ACTOR_RUNTIME_CLOSED"
    assert told == {"/actors/Cart/1", "/actors/Cart/2"}
    assert still.code == 204


def test_lists_of_timers_and_reminders_are_whole_whatever_their_pages(admin: Admin) -> None:
    """Each once and in order, in pages of one."""
    sidecar = admin.sidecar
    put(sidecar, "Cart/1", "method/m")
    names = ["a", "a%20b", "a%20c", "b", "c", "d", "e"]
    for name in names:
        remind(sidecar, "Cart/1", name)
        assert put(sidecar, "Cart/1", f"timers/{name}", '{"dueTime": "1h"}').code == 204
    listed: dict[str, list[str]] = {"reminders": [], "timers": []}
    for kind, found in listed.items():
        token = ""
        for _ in names:
            page = admin.call(f"List{kind.title()}", type="Cart", page_size=1, page_token=token)
            found += [each.name for each in getattr(page, kind)]
            token = page.next_page_token
        assert not token

    assert listed == dict.fromkeys(listed, sorted(unquote(name) for name in names))


class Anybody:
    """Who hosts every type."""

    def is_hosted(self, _: str) -> bool:
        return True

    async def deliver_timer(self, _: Trigger) -> AppAnswer:
        raise NotImplementedError


async def test_many_timers_are_looked_through_in_slices() -> None:
    """Others are served while a page of them is sought, and while those of one actor are."""
    timers = Timers(Anybody())
    for number in range(20_000):
        timers.create(Trigger(ActorId("Cart", f"{number}"), "t", due_time="1h"))
    of: Any = SimpleNamespace(timers=timers)
    before = slices.taken()
    answer = await ActorsAdmin(of, Seals("")).list_timers(admin_pb2.ListTimersRequest(page_size=3))
    await timers.close()

    assert [timer.actor.id for timer in answer.timers] == ["0", "1", "10"]
    assert slices.taken() > before
