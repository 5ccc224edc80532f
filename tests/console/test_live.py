"""What happens while somebody looks: nothing jumps, nothing of others is missed, and what he did himself is no news."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.support.http import ask

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.console.opened import Opened
    from tests.support.sidecar import Sidecar


def save(sidecar: Sidecar, key: str, value: object) -> None:
    assert ask(sidecar.http_port, "POST", "/v1.0/state/db", json.dumps([{"key": key, "value": value}])).code == 204


def listening(opened: Opened, path: str) -> None:
    """Wait until the page's stream is open: what happened before is not told."""
    url = opened.page.url
    opened.page.goto("about:blank")  # the stream that was being opened is not the one to wait for
    with opened.page.expect_response(lambda answer: path in answer.url):
        opened.page.goto(url)


def test_new_keys_wait_until_they_are_wanted(open_page: Callable[..., Opened], sidecar: Sidecar) -> None:
    """The list stays as it is, says how many have changed, and shows them when it is told to."""
    save(sidecar, "live/1", 1)
    opened = open_page(sidecar.http_port, "#/state/db?prefix=live%2F")
    listening(opened, "/watch")
    rows = opened.page.locator("a[data-row]")
    expect(rows).to_have_count(1)
    save(sidecar, "live/0", 0)
    save(sidecar, "live/2", 2)
    save(sidecar, "other", 2)
    news = opened.page.get_by_role("button", name="2 changes: show")
    news.wait_for()
    assert rows.count() == 1
    news.click()
    expect(rows).to_have_count(3)
    expect(news).to_have_count(0)


def test_an_open_value_that_changed_says_so(open_page: Callable[..., Opened], sidecar: Sidecar) -> None:
    """It stays until somebody wants the new one; what the page saves itself is not told as somebody else's."""
    save(sidecar, "watched", "before")
    opened = open_page(sidecar.http_port, "#/state/db/key/watched")
    listening(opened, "/watch")
    value = opened.page.locator(".value pre.text")
    expect(value).to_have_text('"before"')
    opened.press("e")
    opened.page.locator("dialog textarea").fill('"mine"')
    opened.press("Control+Enter")
    expect(value).to_have_text('"mine"')
    save(sidecar, "watched", "theirs")

    opened.seen("Changed elsewhere")
    expect(value).to_have_text('"mine"')
    opened.page.get_by_role("button", name="Show", exact=True).click()
    expect(value).to_have_text('"theirs"')
    expect(opened.page.get_by_text("Changed elsewhere")).to_have_count(0)


def test_calls_are_seen_as_they_end(open_page: Callable[..., Opened], sidecar: Sidecar) -> None:
    """With key, code and sizes, never with a value; a row leads to its key; what is paused does not move."""
    save(sidecar, "traffic", "a value that nobody sees")
    opened = open_page(sidecar.http_port, "#/traffic?text=db%2Ftraffic")
    listening(opened, "/v1/traffic")
    rows = opened.page.locator("tbody tr")
    ask(sidecar.http_port, "GET", "/v1.0/state/db/traffic")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("GetState")
    assert opened.violations() == []
    assert "nobody sees" not in opened.page.content()
    opened.press("p")
    ask(sidecar.http_port, "GET", "/v1.0/state/db/traffic")
    waiting = opened.page.get_by_role("button", name="1 call waiting: show")
    waiting.wait_for()
    assert rows.count() == 1
    waiting.click()
    expect(rows).to_have_count(2)
    opened.press("j", "Enter")
    expect(opened.page.locator(".value pre.text")).to_have_text('"a value that nobody sees"')


def test_a_failure_is_told_by_word(open_page: Callable[..., Opened], sidecar: Sidecar) -> None:
    """Only failures are shown where only they are wanted, with the code that the caller was given."""
    opened = open_page(sidecar.http_port, "#/traffic?failures=1")
    listening(opened, "/v1/traffic")
    ask(sidecar.http_port, "GET", "/v1.0/state/db/fine")
    ask(sidecar.http_port, "GET", "/v1.0/state/nowhere/key")
    rows = opened.page.locator("tbody tr")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("400")
