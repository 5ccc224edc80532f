"""What a test sees of a sidecar, and arranges in it, through the object that it is given."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.testmode.asking import ask, invoke, remind, save, time

if TYPE_CHECKING:
    from dapr_state.pytest.sidecar import Dapr
    from tests.support.rawapp import RawApp


def test_state_is_a_mapping(dapr: Dapr) -> None:
    """Octets stay octets, numbers are exact, an entry tells etag and end, a prefix narrows; what is absent raises."""
    state = dapr.state()
    state["octets"] = b"\xff\x00"
    state.put("cart-1", {"id": 9007199254740993}, ttl="1h")
    save(dapr, "statestore", "cart-2", 1)
    entry = state.entry("cart-1")

    assert state["octets"] == b"\xff\x00"
    assert state.json("cart-1") == {"id": 9007199254740993}
    assert (entry.content_type, state.entry("octets").content_type) == ("application/json", "application/octet-stream")
    assert entry.etag
    assert entry.expires_at
    assert timedelta(minutes=59) < entry.expires_at - dapr.clock.now() <= timedelta(hours=1)
    assert (state.keys("cart-"), len(state), "other" in state) == (["cart-1", "cart-2"], 3, False)
    del state["octets"]
    assert dict(state) == {"cart-1": b'{"id": 9007199254740993}', "cart-2": b"1"}
    state.clear()
    assert not state
    with pytest.raises(KeyError, match="octets"):
        state["octets"]


def test_looking_is_no_call_and_meets_no_fault(dapr: Dapr) -> None:
    """A test looks and arranges past its own faults, and its calls are not those of the code under test."""
    dapr.fail("any", times=0, unused="ignore")
    dapr.state()["k"] = b"1"

    assert dapr.state()["k"] == b"1"
    assert list(dapr.calls) == []


def test_an_actor_is_seen_and_ended(dapr: Dapr, app: RawApp) -> None:
    """Its state, reminders, timers and whether it is active; it is deactivated, deleted, and told of a tick by hand."""
    cart = dapr.actor("Cart", "7")
    before = cart.active, list(dapr.actors("Cart"))
    invoke(dapr, "7")
    changes = [{"operation": "upsert", "request": {"key": "items", "value": 2}}]
    status, answer = ask(dapr, "POST", "actors/Cart/7/state", changes)
    assert status == 204, answer
    remind(dapr, "7", "daily", dueTime="24h", period="24h")
    time(dapr, "7", "tick", dueTime="1h", callback="look")
    cart.fire_reminder("daily")

    assert before == (False, [])
    assert (cart.active, cart.busy, dapr.actors("Cart").active) == (True, False, ["7"])
    assert dict(cart.state) == {"items": b"2"}
    assert [each.name for each in cart.reminders] == ["daily"]
    assert [(each.name, each.callback) for each in cart.timers] == [("tick", "look")]
    assert len(app.seen("remind/daily")) == 1
    cart.deactivate()
    assert (cart.active, app.seen("Cart/7")[-1].method, list(dapr.actors("Cart"))) == (False, "DELETE", ["7"])
    cart.delete()
    assert (dict(cart.state), cart.reminders, list(dapr.actors("Cart"))) == ({}, [], [])


def test_what_is_missing_is_named(dapr: Dapr) -> None:
    """A type that is not hosted, with those that are; a fault for what there is not; a duration that is none."""
    with pytest.raises(LookupError, match=r"no actor type 'Basket' is hosted \(hosted: Cart\).*dapr_app"):
        dapr.actor("Basket", "1").invoke("Add")
    with pytest.raises(Exception, match=r"there is no store 'other' \(stores: statestore\)"):
        dapr.fail("write", store="other")
    with pytest.raises(ValueError, match="there is no fault on 'disk': get, write"):
        dapr.fail("disk")
    with pytest.raises(ValueError, match="'a week' is no duration: write 7d"):
        dapr.clock.advance("a week")
