"""Takes the README's pictures of the console: a real browser at a real sidecar that is in use."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import sync_playwright

from tests.support.components import component
from tests.support.http import ask
from tests.support.rawapp import RawApp
from tests.support.sidecar import Sidecar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

PICTURES = ROOT / "docs/console"
ORDER = (
    '{"id":9007199254740993,"placed":"2026-11-21T18:04:11Z","customer":{"name":"Ada Lovelace","vip":true,'
    '"address":{"street":"12 St James Square","city":"London"}},"lines":[{"sku":"TEA-0113","count":2,"price":19.90},'
    '{"sku":"CUP-0007","count":1,"price":4.50}],"total":44.30,"coupon":null}'
)
CONFLICT = '[{"key":"greeting","value":1,"etag":"9","options":{"concurrency":"first-write"}}]'
KEY = "order/2026-11/018452"
OF_KEY = "#/state/statestore/key/order%2F2026-11%2F018452?prefix=order%2F2026-11%2F"
ORDERS = 20_000
STEP = 0.05  # seconds between the calls of a user
MINUTE = 62_000  # milliseconds: until the line of the overview is as long as it is at least
WIDE = {"width": 1440, "height": 860}


class Shop:
    """An application with carts, and its users."""

    def __init__(self, sidecar: Sidecar, app: RawApp) -> None:
        self._port = sidecar.http_port
        self._app = app
        self._is_over = threading.Event()
        self._chance = random.Random(7)

    def fill(self) -> None:
        self._post("state/statestore", f'[{{"key":"{KEY}","value":{ORDER}}},{{"key":"greeting","value":"hello"}}]')
        orders = [{"key": self._order(number), "value": {"id": number}} for number in range(ORDERS)]
        self._post("state/statestore", json.dumps(orders))
        for number in range(12):
            session = {"key": f"session/{number:04x}", "value": number, "metadata": {"ttlInSeconds": "5400"}}
            self._post("state/sessions", json.dumps([session]))
        for number in range(1, 13):
            cart = f"actors/Cart/{number}"
            lines = {"key": "lines", "value": [{"sku": "TEA-0113", "count": number}]}
            total = {"key": "total", "value": 19.9 * number}
            self._post(f"{cart}/method/Open", "{}")
            self._post(
                f"{cart}/state", json.dumps([{"operation": "upsert", "request": each} for each in (lines, total)])
            )
            self._post(f"{cart}/reminders/abandoned", json.dumps({"dueTime": f"{number * 37}m"}))
            self._post(f"{cart}/reminders/daily", json.dumps({"dueTime": f"{number}h", "period": "24h"}))
        self._post("actors/Cart/7/timers/save", '{"dueTime":"1h","period":"5s","callback":"onSave"}')
        self._app.obey({"match": "/actors/Cart/7/method/Checkout", "hold": True})
        for method in ("Checkout", "AddLine"):
            threading.Thread(target=self._wait_for, args=(method,), daemon=True).start()
        self._app.holding()

    @contextmanager
    def used(self) -> Iterator[None]:
        user = threading.Thread(target=self._use)
        user.start()
        yield
        self._is_over.set()
        self._app.release()
        user.join()

    def _use(self) -> None:
        port = self._port
        calls = {
            lambda n: ask(port, "GET", f"/v1.0/state/statestore/{self._order(n).replace('/', '%2F')}"): 60,
            lambda n: self._post("state/sessions", f'[{{"key":"cart-{n % 50}","value":1}}]'): 20,
            lambda n: self._post(f"actors/Cart/{8 + n % 4}/method/AddLine", "{}"): 18,
            lambda _: self._post("state/statestore", CONFLICT): 2,
        }
        while not self._is_over.wait(STEP * self._chance.random() * 2):
            (call,) = self._chance.choices([*calls], [*calls.values()])
            call(self._chance.randrange(ORDERS))

    def _wait_for(self, method: str) -> None:
        with suppress(TimeoutError):  # it is held for as long as pictures are taken
            self._post(f"actors/Cart/7/method/{method}", "{}")

    def _post(self, path: str, body: str) -> None:
        ask(self._port, "POST", f"/v1.0/{path}", body)

    @staticmethod
    def _order(number: int) -> str:
        return f"order/2026-{1 + number % 12:02}/{number:06}"


def take(browser: Browser, port: int) -> None:
    def opened(hash_: str, theme: str) -> Page:
        context = browser.new_context(viewport=WIDE, color_scheme=theme)
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{port}/dapr-state/{hash_}")
        page.locator("main h1").first.wait_for()
        return page

    def keep(page: Page, name: str) -> None:
        page.locator(".lines").first.wait_for(state="detached")
        page.screenshot(path=PICTURES / f"{name}.png")
        page.context.close()

    traffic = opened("#/traffic", "light")
    overview = opened("#/", "light")
    state = opened(OF_KEY, "dark")
    state.locator(".tree").wait_for()
    keep(state, "state")
    edit = opened(OF_KEY, "light")
    edit.locator(".tree").wait_for()
    edit.keyboard.press("e")
    edit.locator("dialog textarea").fill(ORDER.replace("44.30", "39.87").replace("null", '"TEN"'))
    theirs = ORDER.replace('"count":1', '"count":3').replace("44.30", "53.30")
    ask(port, "POST", "/v1.0/state/statestore", f'[{{"key":"{KEY}","value":{theirs}}}]')
    edit.keyboard.press("Control+Enter")
    edit.locator(".three").wait_for()
    keep(edit, "conflict")
    actor = opened("#/actors/Cart/7", "dark")
    actor.get_by_role("region", name="Timers").wait_for()
    keep(actor, "actor")
    overview.wait_for_timeout(MINUTE)
    keep(overview, "overview")
    keep(traffic, "traffic")


def main() -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        stores = [
            component("statestore", "state.sqlite", connectionString=str(folder / "db"), actorStateStore="true"),
            component("sessions", "state.in-memory"),
        ]
        config = {"entities": ["Cart"], "actorIdleTimeout": "1h"}
        as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium-headless-shell"), args=as_root)
        with RawApp(folder, config) as app:
            flags = ["--app-port", str(app.port), "--console", "write"]
            with Sidecar(folder, stores, flags=flags, app_id="shop") as sidecar:
                shop = Shop(sidecar, app)
                shop.fill()
                with shop.used():
                    take(browser, sidecar.http_port)
        browser.close()


if __name__ == "__main__":
    main()
