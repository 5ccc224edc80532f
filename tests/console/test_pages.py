"""Every page: by keyboard alone, for people who cannot see it, on a narrow screen, and with nothing to show."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from tests.support.components import component
from tests.support.http import ask
from tests.support.sidecar import Sidecar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.console.opened import Opened

PAGES = {
    "Overview": "#/",
    "State": "#/state/db",
    "Actors": "#/actors",
    "Reminders": "#/reminders",
    "Traffic": "#/traffic",
    "Health": "#/health",
    "Configuration": "#/configuration",
}
TITLES = {page: page for page in PAGES} | {"Overview": "shop", "State": "db"}


@pytest.fixture(scope="module", autouse=True)
def _something_is_kept(sidecar: Sidecar) -> None:
    values = [{"key": f"kept/{number}", "value": {"n": number, "list": [1, "two", None]}} for number in range(30)]
    values.append({"key": "kept/short", "value": 1, "metadata": {"ttlInSeconds": "50"}})
    assert ask(sidecar.http_port, "POST", "/v1.0/state/db", json.dumps(values)).code == 204


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """It keeps nothing, and may not be written to through its page."""
    folder = tmp_path_factory.mktemp("console-read")
    with Sidecar(folder, [component("db", "state.in-memory")], app_id="shop") as server:
        yield server


@pytest.mark.parametrize("page", [*PAGES, "a key"])
def test_nobody_is_kept_out(page: str, open_page: Callable[..., Opened], sidecar: Sidecar) -> None:
    """axe finds nothing, in light and in dark; at 360 px nothing has to be scrolled sideways but tables."""
    opened = open_page(sidecar.http_port, PAGES.get(page, "#/state/db/key/kept%2F7"), color_scheme="light")
    opened.page.locator("main h1").first.wait_for()
    expect(opened.page.locator(".lines")).to_have_count(0)

    assert opened.violations() == []
    opened.page.emulate_media(color_scheme="dark")
    assert opened.violations("color-contrast") == []
    opened.page.set_viewport_size({"width": 360, "height": 740})
    assert opened.page.evaluate("document.scrollingElement.scrollWidth") <= 360
    assert opened.page.evaluate("document.querySelector('main').scrollWidth") <= 360


@pytest.mark.parametrize("keys", [["n"], ["Control+k"], ["?"], ["j", "Enter", "e"], ["j", "Enter", "c"]])
def test_no_dialog_keeps_anybody_out(keys: list[str], open_page: Callable[..., Opened], sidecar: Sidecar) -> None:
    """Each has its name, its labels and its contrast; Escape closes it, and the focus is where it was."""
    opened = open_page(sidecar.http_port, "#/state/db?prefix=kept")
    opened.page.locator("a[data-row]").first.wait_for()
    opened.press(*keys[:2])
    if len(keys) > 2:
        opened.page.locator(".tree").wait_for()
        opened.press(*keys[2:])
    opened.page.locator("dialog[open]").wait_for()

    assert opened.violations() == []
    opened.press("Escape")
    expect(opened.page.locator("dialog[open]")).to_have_count(0)


def test_every_page_by_keyboard_alone(open_page: Callable[..., Opened], sidecar: Sidecar) -> None:
    """The palette goes everywhere; back is back; the address says where."""
    opened = open_page(sidecar.http_port)
    heading = opened.page.locator("main h1").first
    expect(heading).to_have_text("shop")
    for page, hash_ in PAGES.items():
        opened.press("Control+k")
        opened.page.get_by_role("combobox", name="Go to").wait_for()
        opened.type(page)
        opened.press("Enter")
        expect(heading).to_have_text(TITLES[page])
        assert opened.page.url.endswith(hash_)
    opened.page.go_back()
    expect(heading).to_have_text("Health")


def test_a_key_by_keyboard_alone(open_page: Callable[..., Opened], sidecar: Sidecar) -> None:
    """Search, go through what is found, open, look at it as text, copy, go back, refresh: no pointer is needed."""
    opened = open_page(sidecar.http_port, "#/state/db")
    opened.page.locator("a[data-row]").first.wait_for()
    opened.press("/")
    opened.type("kept/2")
    opened.press("Enter")
    opened.seen("11 keys")
    opened.press("j", "j", "k", "ArrowDown", "Enter")
    opened.page.locator(".tree").wait_for()
    assert opened.page.url.endswith("key/kept%2F20?prefix=kept%2F2")
    tabs = opened.page.get_by_role("tab", name="Tree")
    tabs.focus()
    opened.press("ArrowRight")
    expect(opened.page.get_by_role("tab", name="Text")).to_be_focused()
    expect(opened.page.locator(".value pre.text")).to_have_text('{"n": 20, "list": [1, "two", null]}')
    opened.press("Escape")
    expect(opened.page.locator("a[data-row]:focus")).to_have_attribute("data-key", "kept/20")
    opened.press("Escape")
    assert opened.page.url.endswith("#/state/db")


def test_no_key_acts_while_somebody_types(open_page: Callable[..., Opened], sidecar: Sidecar) -> None:
    """Letters are letters in a field."""
    opened = open_page(sidecar.http_port, "#/state/db")
    opened.page.get_by_label("Keys that begin with").wait_for()
    opened.press("/")
    opened.type("netcru?")

    expect(opened.page.get_by_label("Keys that begin with")).to_have_value("netcru?")
    assert opened.page.locator("dialog[open]").count() == 0


def test_colours_are_the_system_s_or_chosen(open_page: Callable[..., Opened], sidecar: Sidecar) -> None:
    """What is chosen stays after a reload."""
    opened = open_page(sidecar.http_port, color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    opened.page.locator("main h1").wait_for()
    dark = opened.page.evaluate(ground)
    opened.press("t")
    light = opened.page.evaluate(ground)
    opened.page.reload()
    opened.page.locator("main h1").wait_for()

    assert dark != light == opened.page.evaluate(ground)


def test_empty_places_teach(open_page: Callable[..., Opened], empty: Sidecar) -> None:
    """The first calls have this sidecar's own ports and store; they work as they stand."""
    opened = open_page(empty.http_port, "#/state/db")
    opened.seen("Nothing is kept here yet")
    code = opened.page.locator(".snippets pre").inner_text()
    assert f"localhost:{empty.http_port}/v1.0/state/db" in code
    assert opened.violations() == []
    body = code.partition("-d '")[2].rstrip("'")
    assert ask(empty.http_port, "POST", "/v1.0/state/db", body).code == 204
    opened.press("r")
    opened.seen("1 key")
    assert ask(empty.http_port, "DELETE", "/v1.0/state/db/greeting").code == 204


def test_read_mode_sends_no_write(open_page: Callable[..., Opened], empty: Sidecar) -> None:
    """Whatever is pressed on whatever page; and what it could send is not there."""
    assert ask(empty.http_port, "POST", "/v1.0/state/db", '[{"key":"seen","value":1}]').code == 204
    opened = open_page(empty.http_port)
    for hash_ in [*PAGES.values(), "#/state/db/key/seen"]:
        opened.page.goto(opened.root + hash_)
        opened.page.locator("main h1").first.wait_for()
        opened.press("n", "e", "u", "Control+Enter", "j", "Enter", "e", "Escape")
    assert opened.page.get_by_role("button", name="New key").count() == 0
    assert opened.writes == []

    save = '{"json":"2"}'
    guards = {"Content-Type": "application/json", "x-dapr-state": "1"}
    assert ask(empty.http_port, "POST", "/dapr-state/v1/state/db/entry?key=seen", save, **guards).code == 404
    assert ask(empty.http_port, "GET", "/v1.0/state/db/seen").body == b"1"
