"""An application that does as it is told, and a channel to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.rawapp import RawApp

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def _app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawApp]:
    with RawApp(tmp_path_factory.mktemp("app"), {"entities": ["cart"]}) as app:
        yield app


@pytest.fixture
def app(_app: RawApp) -> RawApp:
    """It has no rules and no memory of other tests."""
    _app.release()
    _app.obey()
    _app.forget()
    return _app
