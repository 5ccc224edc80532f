"""Keys of every kind: what is in a key is text, in the list, in the address and in the value's place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

from playwright.sync_api import expect

from tests.support.http import ask

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.console.opened import Opened
    from tests.support.sidecar import Sidecar

HOSTILE = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
KEYS = (
    "plain",
    "a/b/c",
    "/",
    "..",
    ".",
    "100%",
    "%2F",
    "%",
    "\"double\" and 'single'",
    "two\nlines",
    "tab\there",
    " blanks  around ",
    "#hash?and=query&more",
    "k" * 1024,
    "\u202etfel ot thgir\u202c \u05d0\u05d1\u05d2",
    "\u0000nul\u007f",
    "\u200bno width",
    "emoji \U0001f600 and \u6f22\u5b57",
    "e\u0301 and \u00e9",
    "{{template}} ${value} `tick`",
    HOSTILE,
)
STORE = "mem"


def save(sidecar: Sidecar, values: dict[str, object]) -> None:
    body = json.dumps([{"key": key, "value": value} for key, value in values.items()])
    assert ask(sidecar.http_port, "POST", f"/v1.0/state/{STORE}", body).code == 204


def test_every_key_is_found_opened_and_addressed(open_page: Callable[..., Opened], sidecar: Sidecar) -> None:
    """From the list by keyboard, and by its own address: each shows its own value."""
    save(sidecar, {f"ugly {key}": f"value {number}" for number, key in enumerate(KEYS)})
    opened = open_page(sidecar.http_port, f"#/state/{STORE}?prefix=ugly%20")
    expect(opened.page.locator("a[data-row]")).to_have_count(len(KEYS))
    seen = set()
    for _ in KEYS:
        opened.press("j", "Enter")
        shown = opened.page.locator(".value pre.text")
        shown.wait_for()
        seen.add(shown.inner_text())
        opened.press("Escape")
        expect(opened.page.locator("a[data-row]:focus")).to_have_count(1)  # it stands where it was

    assert seen == {f'"value {number}"' for number in range(len(KEYS))}
    for number, key in enumerate(KEYS):
        opened.page.goto(f"{opened.root}#/state/{STORE}/key/{quote(f'ugly {key}', safe='')}")
        expect(opened.page.locator(".value pre.text")).to_have_text(f'"value {number}"')


def test_markup_is_text(open_page: Callable[..., Opened], sidecar: Sidecar) -> None:
    """As a key, as a member's name, as a value and in a search: nothing of it runs, and all of it is to be read."""
    save(sidecar, {HOSTILE: {HOSTILE: HOSTILE}})
    opened = open_page(sidecar.http_port, f"#/state/{STORE}?prefix={quote('<script>')}")

    opened.page.locator("a[data-row]").wait_for()
    opened.press("j", "Enter")
    opened.page.locator(".tree").wait_for()
    assert HOSTILE in opened.page.locator(".entry-key").inner_text()
    assert opened.page.locator(".tree").inner_text().count("<script>") == 2
    opened.press("c")
    assert "script" in opened.page.locator("dialog pre").inner_text()
    opened.press("Escape", "Escape")
    opened.page.get_by_label("Keys that begin with").fill(f"{HOSTILE}<b>none</b>")
    opened.seen("No key begins like this")
    assert opened.page.evaluate("window.hacked") is None
    assert opened.page.locator("#app script, #app img[src=x]").count() == 0


def test_octets_that_are_no_text(open_page: Callable[..., Opened], sidecar: Sidecar) -> None:
    """They are shown as octets, cannot be edited as text, and are what is downloaded."""
    octets = bytes(range(256))
    with sidecar.client() as client:
        from tests.support.client import item  # noqa: PLC0415

        client.save(STORE, item("octets", octets))
    opened = open_page(sidecar.http_port, f"#/state/{STORE}/key/octets")

    opened.seen("binary")
    assert "10 11 12 13" in opened.page.locator(".hex").inner_text()
    with opened.page.expect_download() as download:
        opened.page.get_by_role("button", name="Download").click()
    assert download.value.path().read_bytes() == octets
    opened.press("e")
    opened.seen("These octets are no text")


def test_a_large_value_is_cut_and_says_so(open_page: Callable[..., Opened], sidecar: Sidecar) -> None:
    """Of 1 MB the first 64 KiB are shown and nothing can be edited, until all of it is asked for."""
    text = "x" * 1_000_000
    save(sidecar, {"large": text})
    opened = open_page(sidecar.http_port, f"#/state/{STORE}/key/large")

    opened.seen("The first 64.0 KiB of 977 KiB")
    expect(opened.page.get_by_role("button", name="Edit")).to_be_disabled()
    opened.page.get_by_role("button", name="Show all").click()
    expect(opened.page.get_by_role("button", name="Edit")).to_be_enabled()
    assert len(opened.page.locator(".value pre.text").inner_text()) == len(text) + 2


def test_a_value_of_megabytes_is_whole(open_page: Callable[..., Opened], sidecar: Sidecar) -> None:
    """It comes in parts, as the API gives them: what is shown of all of it, and what is downloaded, is all of it."""
    text = "".join(map(str, range(400_000)))  # 2.3 MB
    save(sidecar, {"long": text})
    opened = open_page(sidecar.http_port, f"#/state/{STORE}/key/long")

    opened.page.get_by_role("button", name="Show all").click()
    expect(opened.page.get_by_role("button", name="Edit")).to_be_enabled()
    assert opened.page.locator(".value pre.text").evaluate("element => element.textContent") == f'"{text}"'
    with opened.page.expect_download() as download:
        opened.page.get_by_role("button", name="Download").click()
    assert download.value.path().read_text() == f'"{text}"'
