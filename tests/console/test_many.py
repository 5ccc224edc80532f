"""A hundred thousand keys: a page of them at a time, and what is typed leads to the rest."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from playwright.sync_api import expect

from tests.support.components import component
from tests.support.http import ask
from tests.support.sidecar import Sidecar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.console.opened import Opened

KEYS = 100_000
SHARE = 50_000


def test_a_hundred_thousand_keys(open_page: Callable[..., Opened], tmp_path: Path) -> None:
    """Pages follow each other without a key twice or missing, back is back, a prefix jumps, and a tree counts."""
    with Sidecar(tmp_path, [component("db", "state.in-memory")]) as sidecar:
        for start in range(0, KEYS, SHARE):
            items = [
                {"key": f"order/{number // 1000:03}/{number:06}", "value": number}
                for number in range(start, start + SHARE)
            ]
            assert ask(sidecar.http_port, "POST", "/v1.0/state/db", json.dumps(items)).code == 204
        opened = open_page(sidecar.http_port, "#/state/db")
        rows = opened.page.locator("a[data-row]")
        first = rows.first
        for page in range(3):
            expect(first).to_have_attribute("data-key", f"order/000/{page * 200:06}")
            expect(rows).to_have_count(200)
            opened.page.get_by_role("button", name="Next").click()
        opened.page.go_back()
        expect(first).to_have_attribute("data-key", "order/000/000400")

        opened.press("/")
        opened.page.get_by_label("Keys that begin with").fill("order/099/0999")
        expect(rows).to_have_count(100)
        opened.page.get_by_label("List or tree").select_option("/")
        opened.page.get_by_label("Keys that begin with").fill("order/")
        expect(rows).to_have_count(100)
        expect(first).to_contain_text("order/000/")
        expect(first).to_contain_text("1\u202f000 keys")
        assert opened.page.evaluate("document.querySelectorAll('*').length") < 3000
        opened.close()  # before its sidecar, which it would miss


def test_all_are_counted_if_somebody_wants_to_know(open_page: Callable[..., Opened], sidecar: Sidecar) -> None:
    """The first count is short, and says what it has; one that is asked for goes on."""
    ask(sidecar.http_port, "POST", "/v1.0/state/mem", '[{"key":"counted-1","value":1},{"key":"counted-2","value":1}]')
    opened = open_page(sidecar.http_port)
    short = '{"count":1,"complete":false,"estimated":false}'
    opened.page.route(re.compile("/count[?](?!.*budget=10s)"), lambda route: route.fulfill(status=200, body=short))
    opened.page.goto(f"{opened.root}#/state/mem?prefix=counted-")
    expect(opened.page.locator(".tally")).to_have_text("at least 1 key")
    opened.page.get_by_role("button", name="Count all").click()

    expect(opened.page.locator(".tally")).to_have_text("2 keys")
    expect(opened.page.get_by_role("button", name="Count all")).to_have_count(0)
