"""Snapshots: a block of a test leaves stores, reminders and time as it has found them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from dapr_state.pytest.client import DaprError
from tests.testmode.asking import get, invoke, remind, save
from tests.testmode.conftest import STORES

if TYPE_CHECKING:
    from dapr_state.pytest.sidecar import Dapr
    from tests.support.rawapp import RawApp

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("store", STORES)
def test_a_store_is_what_it_was(stores: Dapr, store: str) -> None:
    """What was changed, removed or added in the block is not, and what expired in it is there, and still expires."""
    save(stores, store, "kept", {"a": [1, "é"]})
    save(stores, store, "gone", 1)
    save(stores, store, "ends", "soon", ttlInSeconds="3600")

    with stores.snapshot():
        save(stores, store, "kept", 2)
        save(stores, store, "new", 3)
        stores.clock.advance("2h")
        del stores.state(store)["gone"]
        assert [get(stores, store, key) for key in ("kept", "gone", "ends", "new")] == [2, None, None, 3]

    assert [get(stores, store, key) for key in ("kept", "gone", "ends", "new")] == [{"a": [1, "é"]}, 1, "soon", None]
    assert abs(stores.clock.moved) < SECOND
    stores.clock.advance("3590s")
    assert get(stores, store, "ends") == "soon"
    stores.clock.advance("20s")
    assert get(stores, store, "ends") is None


def test_reminders_and_actors_are_what_they_were(dapr: Dapr, app: RawApp) -> None:
    """An actor of before begins anew after the block, and its reminder fires at its time, as if nothing had been."""
    invoke(dapr, "7")
    remind(dapr, "7", "daily", dueTime="24h", period="24h")
    with dapr.snapshot():
        remind(dapr, "7", "other", dueTime="1h")
        assert dapr.clock.advance("3d").reminders == 4
        dapr.actor("Cart", "7").delete()

    assert "DELETE" in [each.method for each in app.seen("/actors/Cart/7")]
    assert [each.name for each in dapr.actor("Cart", "7").reminders] == ["daily"]
    assert dapr.clock.advance("23h").reminders == 0
    assert dapr.clock.advance("2h").reminders == 1


def test_time_that_stood_stands_where_it_did(dapr: Dapr) -> None:
    """To the microsecond; nothing of the block's own moves is left."""
    dapr.clock.freeze()
    dapr.clock.advance("1h")
    before = dapr.clock.now()
    with dapr.snapshot():
        dapr.clock.advance("7d")

    assert (dapr.clock.now(), dapr.clock.is_frozen) == (before, True)


def test_blocks_stand_in_each_other(dapr: Dapr) -> None:
    """Each leaves what it has found, also where its test has failed."""
    state = dapr.state()
    state["k"] = b"0"
    with dapr.snapshot():
        state["k"] = b"1"
        with pytest.raises(KeyError), dapr.snapshot():
            _change_and_fail(dapr)
        assert state["k"] == b"1"
    assert state["k"] == b"0"


def _change_and_fail(dapr: Dapr) -> None:
    dapr.state()["k"] = b"2"
    raise KeyError


def test_many_rows_come_back(dapr: Dapr) -> None:
    """More than one page of them, and all of what is theirs."""
    state = dapr.state()
    rows = {f"key-{number:04}": b'"%d"' % number for number in range(1200)}
    for key, value in rows.items():
        state[key] = value
    with dapr.snapshot():
        state.clear()
        assert not len(state)

    assert dict(state.items()) == rows


def test_one_that_is_gone_is_refused(dapr: Dapr) -> None:
    """A reset forgets them."""
    taken = dapr._take_snapshot()
    dapr._reset()

    with pytest.raises(DaprError, match=f"there is no snapshot {taken}"):
        dapr._restore(taken)


def test_in_one_loop(dapr: Dapr) -> None:
    """A test that serves the application itself does not wait for itself."""

    async def test() -> bytes:
        dapr.state()["k"] = b"0"
        async with dapr.asnapshot():
            dapr.state()["k"] = b"1"
        return dapr.state()["k"]

    assert asyncio.run(test()) == b"0"
