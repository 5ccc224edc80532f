"""The watchdog itself: what holds the loop is seen and named, and what does not is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fairness import blocking_program
from tests.support.components import component
from tests.support.http import ask
from tests.support.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def blocking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("blocking")
    with Watched(folder, [component("mem", "state.in-memory")], program=blocking_program.__name__) as sidecar:
        yield sidecar


@pytest.mark.parametrize("kind", ["sleep", "burn"])
def test_a_call_that_holds_the_loop_is_seen_and_named(kind: str, blocking: Watched) -> None:
    """A store that blocks, and one that computes: both count, and the stack shows where."""
    with blocking.watch() as watch:
        ask(blocking.http_port, "GET", f"/v1.0/state/mem/{kind}")

    # beside other programs who blocks counts but for what other threads have waited meanwhile
    assert watch.worst >= blocking_program.HELD / 5
    assert "blocking_get" in str(watch)


def test_calls_one_after_the_other_do_not_add_up(blocking: Watched) -> None:
    """What many small requests need together is no hold: the loop turns between them."""
    with blocking.watch() as watch:
        for number in range(200):
            ask(blocking.http_port, "GET", f"/v1.0/state/mem/{number}")

    assert watch.worst < blocking_program.HELD / 10
