"""A sidecar that stops and comes back under an open page, and one that wants a token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.support.components import component
from tests.support.http import ask
from tests.support.sidecar import Sidecar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.console.opened import Opened

REFUSED = "ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_INCOMPLETE_CHUNKED_ENCODING"
UNAUTHORIZED = r"401 \(Unauthorized\)"


def test_a_sidecar_that_goes_and_comes_back(open_page: Callable[..., Opened], tmp_path: Path) -> None:
    """One bar says so, with the time since; what was there stays; then it goes on by itself with what is new."""
    store = component("db", "state.sqlite", connectionString=str(tmp_path / "db.sqlite"))
    sidecar = Sidecar(tmp_path, [store], flags=["--console", "write"])
    with sidecar:
        assert ask(sidecar.http_port, "POST", "/v1.0/state/db", '[{"key":"stays","value":1}]').code == 204
        opened = open_page(sidecar.http_port, "#/state/db/key/stays")
        opened.expected.append(REFUSED)
        opened.page.locator(".value").wait_for()
        sidecar.stop()
        opened.seen("The sidecar does not answer")
        expect(opened.page.locator("a[data-row]")).to_have_count(1)
        expect(opened.page.locator(".value pre.text")).to_have_text("1")
        sidecar.start()
        assert ask(sidecar.http_port, "POST", "/v1.0/state/db", '[{"key":"stays","value":2}]').code == 204
        assert ask(sidecar.http_port, "POST", "/v1.0/state/db", '[{"key":"more","value":3}]').code == 204

        expect(opened.page.get_by_text("The sidecar does not answer")).to_have_count(0)
        opened.press("r")
        expect(opened.page.locator("a[data-row]")).to_have_count(2)
        expect(opened.page.locator(".value pre.text")).to_have_text("2")


def test_a_token_is_asked_for_and_stays_in_the_page(open_page: Callable[..., Opened], tmp_path: Path) -> None:
    """A wrong one is told, a right one sent as a header; it is in no address and no cookie, and gone with the page."""
    environment = {"DAPR_API_TOKEN": "right"}
    with Sidecar(tmp_path, [component("db", "state.in-memory")], environment=environment) as sidecar:
        opened = open_page(sidecar.http_port)
        opened.expected.append(UNAUTHORIZED)
        field = opened.page.get_by_role("textbox", name="Token")
        field.wait_for()
        opened.type("wrong")
        opened.press("Enter")
        opened.seen("does not take that token")
        field.fill("right")
        opened.press("Enter")
        expect(opened.page.locator("main h1")).to_have_text("app")
        assert not any("right" in url for _, url in opened.requests)
        assert opened.context.cookies() == []
        opened.page.reload()
        field.wait_for()
        opened.page.get_by_label("Remember it in this tab").check()
        field.fill("right")
        opened.press("Enter")
        expect(opened.page.locator("main h1")).to_have_text("app")
        opened.page.reload()
        expect(opened.page.locator("main h1")).to_have_text("app")
        opened.close()  # before its sidecar, which it would miss
