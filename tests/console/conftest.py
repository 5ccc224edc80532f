"""One browser for all tests of this folder, and what must hold in each: no error, no violation, nobody else asked."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.console.opened import Opened
from tests.support.components import component
from tests.support.sidecar import Sidecar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser

PATIENCE = 20_000  # milliseconds: what takes longer hangs
expect.set_options(timeout=PATIENCE)
PROGRAMS = ("chromium-headless-shell", "chromium")


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's: Playwright's own would have to be downloaded. Of the package, as its loop must not outlive it."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("no Chromium is here: apt-get install chromium-headless-shell")
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=as_root)
        yield launched
        launched.close()


@pytest.fixture(scope="package")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """It may be written to through its page."""
    folder = tmp_path_factory.mktemp("console-write")
    stores = [
        component("db", "state.sqlite", connectionString=str(folder / "db.sqlite"), actorStateStore="true"),
        component("mem", "state.in-memory"),
    ]
    with Sidecar(folder, stores, flags=["--console", "write"], app_id="shop") as server:
        yield server


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Opened]]:
    """Opens the page of a sidecar, in a browser of its own as far as anybody can see."""
    pages: list[Opened] = []

    def opened(port: int, hash_: str = "", **context: object) -> Opened:
        pages.append(Opened(browser, port, hash_, **context))
        return pages[-1]

    yield opened
    for page in pages:
        page.close()
    for page in pages:
        page.check()
