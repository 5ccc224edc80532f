"""A page of the console that a test looks at, and what it did meanwhile."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from axe_playwright_python.sync_playwright import Axe

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Locator, Request

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
SIZE = {"width": 1440, "height": 900}


class Opened:
    """`expected` are patterns of the browser's own errors that a test brings about, as a server that is away."""

    def __init__(self, browser: Browser, port: int, hash_: str = "", **context: Any) -> None:
        self.port = port
        self.origin = f"http://127.0.0.1:{port}/"
        self.root = f"{self.origin}dapr-state/"
        self.context = browser.new_context(viewport=context.pop("viewport", SIZE), **context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.errors: list[str] = []
        self.expected: list[str] = []
        self.requests: list[tuple[str, str]] = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._note)
        self.page.goto(self.root + hash_)

    def close(self) -> None:
        if self.context.pages:
            self.context.close()

    def check(self) -> None:
        """Nothing was said in the console, violations of the policy included, and nobody else was asked."""
        unexpected = [text for text in self.errors if not any(re.search(each, text) for each in self.expected)]
        assert not unexpected, unexpected
        assert [url for _, url in self.requests if not url.startswith((self.origin, "data:", "blob:"))] == []

    @property
    def writes(self) -> list[str]:
        return [f"{method} {url}" for method, url in self.requests if method not in {"GET", "HEAD"}]

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def type(self, text: str) -> None:
        self.page.keyboard.type(text)

    def seen(self, text: str | re.Pattern[str]) -> Locator:
        """Wait until a text is there."""
        found = self.page.get_by_text(text).first
        found.wait_for()
        return found

    def row(self, key: str) -> Locator:
        return self.page.locator("a[data-row]", has_text=re.compile(f"^{re.escape(key)}"))

    def violations(self, *rules: str) -> list[str]:
        """What axe finds, of all its rules or of these."""
        only = {"type": "rule", "values": list(rules)} if rules else {"type": "tag", "values": RULES}
        found = Axe().run(self.page, options={"resultTypes": ["violations"], "runOnly": only}).response["violations"]
        return [f"{each['id']}: {node['html'][:200]}" for each in found for node in each["nodes"]]

    def _hear(self, said: ConsoleMessage) -> None:
        if said.type in {"error", "warning"}:
            self.errors.append(said.text)

    def _note(self, request: Request) -> None:
        self.requests.append((request.method, request.url))
