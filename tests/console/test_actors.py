"""Actors, their turns, state and reminders, and what can be done to them from the page."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
from dapr_state_proto.runtime.v1 import actors_pb2
from playwright.sync_api import expect

from tests.support.admin import Admin
from tests.support.components import component
from tests.support.http import ask
from tests.support.rawapp import RawApp
from tests.support.sidecar import Sidecar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.console.opened import Opened


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawApp]:
    with RawApp(tmp_path_factory.mktemp("app"), {"entities": ["Cart"], "actorIdleTimeout": "1h"}) as app:
        yield app


@pytest.fixture(scope="module")
def host(app: RawApp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    store = component("db", "state.in-memory", actorStateStore="true")
    flags = ["--console", "write", "--app-port", str(app.port)]
    with Sidecar(tmp_path_factory.mktemp("host"), [store], flags=flags) as sidecar:
        yield sidecar


def actor(host: Sidecar, id_: str) -> None:
    """It is active, has state and a reminder that is due tomorrow."""
    root = f"/v1.0/actors/Cart/{id_}"
    assert ask(host.http_port, "POST", f"{root}/method/Touch", "{}").code == 200
    lines = {"operation": "upsert", "request": {"key": "lines", "value": [1]}}
    assert ask(host.http_port, "POST", f"{root}/state", json.dumps([lines])).code == 204
    reminder = '{"dueTime":"24h","period":"24h"}'
    assert ask(host.http_port, "POST", f"{root}/reminders/daily", reminder).code == 204


def test_from_the_types_to_one_actor_and_its_state(open_page: Callable[..., Opened], host: Sidecar) -> None:
    """By keyboard: types, ids, one actor, and the key that it keeps; each by its address too."""
    actor(host, "found")
    opened = open_page(host.http_port, "#/actors")
    opened.page.get_by_role("link", name="Cart", exact=True).wait_for()
    opened.press("j", "Enter")
    opened.press("/")
    opened.page.get_by_label("Ids that begin with").fill("fou")
    expect(opened.page.locator("a.row")).to_have_count(1)
    opened.press("Escape", "j", "Enter")
    expect(opened.page.locator("main h1")).to_have_text("found")
    expect(opened.page.get_by_role("region", name="Reminders")).to_contain_text("every 24h")
    assert opened.violations() == []
    opened.page.get_by_role("link", name="lines").click()
    expect(opened.page.locator(".tree")).to_contain_text("1")
    assert opened.page.url.endswith("#/state/db/key/Cart%7C%7Cfound%7C%7Clines?space=actors")


UGLY = ("%2e", "%2E%2e", "\U0001f600", '"><script>', "x" * 1000)
NEVER_CALLED = (".", "..", "a//b", "/", "a?b#c&d", "two\nlines")  # Dapr refuses these; other programs' rows have them


@pytest.mark.parametrize("id_", UGLY, ids=ascii)
def test_an_actor_with_an_ugly_name(id_: str, open_page: Callable[..., Opened], host: Sidecar) -> None:
    """It is found in the list, shown, its reminder fires, and it is deactivated, as any other."""
    with host.client() as client:
        named = {"actor_type": "Cart", "actor_id": id_}
        assert client.call("InvokeActor", actors_pb2.InvokeActorRequest(**named, method="Touch")).ok
        reminder = actors_pb2.RegisterActorReminderRequest(**named, name="daily", due_time="24h", period="24h")
        assert client.call("RegisterActorReminder", reminder).ok
    opened = open_page(host.http_port, f"#/actors/Cart?{urlencode({'id': id_})}")
    opened.page.locator("a.row").first.click()
    reminders = opened.page.get_by_role("region", name="Reminders")
    expect(reminders).to_contain_text("every 24h")
    reminders.get_by_role("button", name="Fire now").click()
    opened.seen("daily fired")
    opened.page.get_by_role("button", name="Deactivate").click()
    opened.seen("1 actor deactivated")


@pytest.mark.parametrize("id_", NEVER_CALLED, ids=ascii)
def test_an_actor_whose_name_is_a_path(id_: str, open_page: Callable[..., Opened], host: Sidecar) -> None:
    """A browser would change a path that has it in it: it is shown and deleted all the same."""
    admin = Admin(host, "grpc")
    admin.call("SaveEntry", store_name="db", key=f"Cart||{id_}||lines", space="ACTORS", json="[1]")
    opened = open_page(host.http_port, f"#/actors/Cart?{urlencode({'id': id_})}")
    opened.page.locator("a.row").first.click()
    opened.page.get_by_role("link", name="lines").wait_for()
    opened.page.get_by_role("button", name="Delete", exact=True).click()
    expect(opened.page.locator("dialog")).to_contain_text("1 key")
    opened.page.locator("dialog").get_by_role("button", name="Delete").click()
    opened.seen("Deleted Cart/")

    assert id_ not in {each.actor.id for each in admin.call("ListActors", type="Cart", id_prefix=id_).actors}


def test_what_no_browser_can_ask_is_said(open_page: Callable[..., Opened], host: Sidecar) -> None:
    """A call of an actor named `..` would go to another path: it is not sent."""
    opened = open_page(host.http_port, "#/actors/Cart/..")
    opened.page.get_by_role("region", name="Turns").wait_for()
    opened.press("c")
    opened.page.get_by_role("textbox", name="Method").fill("Add")
    opened.page.get_by_role("button", name="Call", exact=True).click()
    opened.seen("curl --path-as-is")
    assert opened.writes == []


def test_the_turn_that_runs_and_those_that_wait(open_page: Callable[..., Opened], host: Sidecar, app: RawApp) -> None:
    """They are shown while they do, and gone when they are."""
    app.obey({"match": "/actors/Cart/busy/method/Slow", "hold": True})
    callers = [
        threading.Thread(target=ask, args=(host.http_port, "POST", f"/v1.0/actors/Cart/busy/method/{name}", "{}"))
        for name in ("Slow", "Next")
    ]
    callers[0].start()
    app.holding()
    callers[1].start()
    opened = open_page(host.http_port, "#/actors/Cart/busy")
    turns = opened.page.get_by_role("region", name="Turns")
    expect(turns).to_contain_text("Slow")
    expect(turns).to_contain_text("runs")
    expect(turns).to_contain_text("Next")
    expect(turns).to_contain_text("waits")
    app.obey()
    app.release()
    for caller in callers:
        caller.join()
    expect(turns).to_contain_text("No turn runs")


def test_an_actor_is_deactivated_called_and_deleted(
    open_page: Callable[..., Opened], host: Sidecar, app: RawApp
) -> None:
    """Each asks the application; a deletion says first what goes."""
    actor(host, "gone")
    app.forget()
    opened = open_page(host.http_port, "#/actors/Cart/gone")
    opened.page.get_by_role("button", name="Deactivate").click()
    opened.seen("1 actor deactivated")
    assert [each.method for each in app.seen("/actors/Cart/gone")] == ["DELETE"]

    opened.press("c")
    opened.page.get_by_role("textbox", name="Method").fill("Add")
    opened.page.get_by_label("Body").fill('{"n":9007199254740993}')
    opened.page.get_by_role("button", name="Call", exact=True).click()
    opened.seen("9007199254740993")
    assert app.seen("method/Add")[0].body == '{"n":9007199254740993}'
    opened.press("Escape")

    opened.page.get_by_role("button", name="Delete", exact=True).click()
    expect(opened.page.locator("dialog")).to_contain_text("1 key")
    opened.page.locator("dialog").get_by_role("button", name="Delete").click()
    opened.seen("Deleted Cart/gone")
    assert ask(host.http_port, "GET", "/v1.0/actors/Cart/gone/state/lines").body == b""


def test_a_reminder_fires_now_waits_and_goes(open_page: Callable[..., Opened], host: Sidecar, app: RawApp) -> None:
    """One tick by hand leaves the schedule; a type is paused and resumed; one is deleted."""
    actor(host, "due")
    app.forget()
    opened = open_page(host.http_port, "#/reminders?type=Cart")
    row = opened.page.get_by_role("row", name="Cart/due")
    row.get_by_role("button", name="Fire now").click()
    opened.seen("daily fired")
    assert len(app.seen("/actors/Cart/due/method/remind/daily")) == 1
    expect(row).to_contain_text("in 23 h")

    opened.page.get_by_role("button", name="Pause Cart").click()
    expect(row).to_contain_text("paused")
    assert opened.violations() == []
    opened.page.get_by_role("button", name="Resume Cart").click()
    expect(row).not_to_contain_text("paused")

    row.get_by_role("button", name="Delete daily").click()
    opened.page.locator("dialog").get_by_role("button", name="Delete").click()
    expect(row).to_have_count(0)
