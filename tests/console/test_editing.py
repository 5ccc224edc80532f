"""No edit overwrites what somebody else has written, and what was done can be taken back."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.support.http import ask
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.console.opened import Opened
    from tests.support.sidecar import Sidecar

CONFLICT = r"409 \(Conflict\)"  # which the browser tells as an error


def save(sidecar: Sidecar, key: str, value: object, **metadata: str) -> None:
    body = json.dumps([{"key": key, "value": value, "metadata": metadata}])
    assert ask(sidecar.http_port, "POST", "/v1.0/state/db", body).code == 204


def stored(sidecar: Sidecar, key: str) -> str:
    return ask(sidecar.http_port, "GET", f"/v1.0/state/db/{key}").body.decode()


def edit(opened: Opened, text: str) -> None:
    opened.press("e")
    opened.page.locator("dialog textarea").fill(text)


def test_two_browsers_edit_one_key(open_page: Callable[..., Opened], sidecar: Sidecar) -> None:
    """The second to save sees theirs, mine and base; nothing of his is written until he has looked."""
    save(sidecar, "shared", {"n": 1})
    first, second = (open_page(sidecar.http_port, "#/state/db/key/shared") for _ in range(2))
    second.expected.append(CONFLICT)
    first.page.locator(".tree").wait_for()
    second.page.locator(".tree").wait_for()
    edit(second, '{"n":3}')
    edit(first, '{"n":2}')
    first.press("Control+Enter")
    first.seen("Saved shared")

    second.press("Control+Enter")
    second.seen("Nothing of yours was written")
    columns = second.page.locator(".three pre").all_inner_texts()
    assert ["".join(text.split()) for text in columns] == ['{"n":2}', '{"n":3}', '{"n":1}']
    assert second.page.locator(".three .is-new").all_inner_texts() == ['  "n": 2\n', '  "n": 3\n']
    assert second.violations() == []
    assert stored(sidecar, "shared") == '{"n":2}'

    second.page.get_by_role("button", name="Edit mine against theirs").click()
    second.seen("Changes")
    second.press("Control+Enter")
    second.seen("Saved shared")
    assert stored(sidecar, "shared") == '{"n":3}'


def test_theirs_can_be_taken(open_page: Callable[..., Opened], sidecar: Sidecar) -> None:
    """It is the first button, and afterwards there is nothing to save."""
    save(sidecar, "theirs", "old")
    opened = open_page(sidecar.http_port, "#/state/db/key/theirs")
    opened.expected.append(CONFLICT)
    opened.page.locator(".value").wait_for()
    edit(opened, '"mine"')
    save(sidecar, "theirs", "new")
    opened.press("Control+Enter")

    opened.page.get_by_role("button", name="Take theirs").click()
    expect(opened.page.locator("dialog textarea")).to_have_value('"new"')
    expect(opened.page.get_by_role("button", name="Save")).to_be_disabled()
    assert stored(sidecar, "theirs") == '"new"'


def test_a_save_and_a_delete_are_taken_back(open_page: Callable[..., Opened], sidecar: Sidecar) -> None:
    """The old octets come back, with what was left of their time; a delete asks first."""
    save(sidecar, "undone", {"kept": 1.10}, ttlInSeconds="1000")
    opened = open_page(sidecar.http_port, "#/state/db/key/undone")
    opened.page.locator(".value").wait_for()
    edit(opened, "[2]")
    opened.press("Control+Enter")
    opened.seen("Saved undone")
    assert stored(sidecar, "undone") == "[2]"

    expect(opened.page.locator(".tree")).to_contain_text("2")
    edit(opened, "[3]")
    opened.press("Control+Enter")
    until(lambda: stored(sidecar, "undone") == "[3]")

    opened.page.get_by_role("button", name="Undo").click()
    until(lambda: stored(sidecar, "undone") == "[2]")
    opened.page.get_by_role("button", name="Undo").click()
    until(lambda: stored(sidecar, "undone") == '{"kept": 1.1}')
    opened.page.reload()
    expect(opened.page.locator(".facts time.ttl")).to_contain_text("16 min")

    opened.page.get_by_role("button", name="Delete", exact=True).click()
    opened.page.locator("dialog").get_by_role("button", name="Delete", exact=True).click()
    opened.seen("Deleted undone")
    assert stored(sidecar, "undone") == ""
    opened.press("u")
    until(lambda: stored(sidecar, "undone") == '{"kept": 1.1}')


def test_a_key_is_made_and_does_not_replace_another(open_page: Callable[..., Opened], sidecar: Sidecar) -> None:
    """By keyboard alone; text that is no JSON is kept as it is."""
    save(sidecar, "there", "before")
    opened = open_page(sidecar.http_port, "#/state/db")
    opened.expected.append(CONFLICT)
    opened.page.locator("a[data-row]").first.wait_for()
    opened.press("n")
    opened.page.get_by_label("Key", exact=True).wait_for()
    opened.type("made")
    opened.press("Tab")
    opened.type("no JSON")
    opened.seen("Saved as text")
    opened.press("Control+Enter")
    opened.seen("Created made")
    expect(opened.page).to_have_url(re.compile("made$"))
    assert stored(sidecar, "made") == "no JSON"

    opened.press("n")
    opened.page.get_by_label("Key", exact=True).wait_for()
    opened.type("there")
    opened.press("Tab")
    opened.type("1")
    opened.press("Control+Enter")
    opened.page.get_by_role("alert").wait_for()
    assert stored(sidecar, "there") == '"before"'


def test_the_expiry_is_changed_and_the_value_stays(open_page: Callable[..., Opened], sidecar: Sidecar) -> None:
    """Set, seen counting, and taken away again, with the same etag."""
    save(sidecar, "touched", 7)
    etag = ask(sidecar.http_port, "GET", "/v1.0/state/db/touched").header("Etag")
    opened = open_page(sidecar.http_port, "#/state/db/key/touched")
    opened.page.get_by_role("button", name="Expiry").click()
    opened.page.get_by_role("button", name="Set").click()
    expect(opened.page.locator(".facts time.ttl")).to_contain_text("min")
    opened.page.get_by_role("button", name="Expiry").click()
    opened.page.get_by_role("button", name="Never").click()
    expect(opened.page.locator(".facts")).to_contain_text("never")

    assert stored(sidecar, "touched") == "7"
    assert ask(sidecar.http_port, "GET", "/v1.0/state/db/touched").header("Etag") == etag


def test_deleting_by_prefix_wants_the_number(open_page: Callable[..., Opened], sidecar: Sidecar) -> None:
    """It is counted first, twenty are shown, and what is typed must be the number; the rest stays."""
    body = json.dumps([{"key": f"bulk/{number}", "value": number} for number in range(120)])
    assert ask(sidecar.http_port, "POST", "/v1.0/state/db", body).code == 204
    save(sidecar, "bulky", "stays")
    opened = open_page(sidecar.http_port, "#/state/db?prefix=bulk%2F")
    opened.seen("120 keys")
    opened.page.get_by_role("button", name="Delete by prefix").click()
    opened.page.get_by_role("button", name="Count").click()
    opened.page.locator(".sample li").first.wait_for()
    assert opened.page.locator(".sample li").count() == 20
    button = opened.page.get_by_role("button", name="Delete 120")
    expect(button).to_be_disabled()
    opened.type("12")
    expect(button).to_be_disabled()
    opened.type("0")
    opened.press("Enter")

    opened.seen("Deleted 120 keys")
    opened.seen("0 keys")
    assert stored(sidecar, "bulky") == '"stays"'
