"""Faults that can never be met, or are none: refused when they are put in, by name and with what is allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dapr_state.pytest.client import DaprError

if TYPE_CHECKING:
    from dapr_state.pytest.sidecar import Dapr

REFUSED = [
    ({"error": "x"}, "`on` says what it is for: GET, WRITE"),
    ({"on": 99, "error": "x"}, "`on` says what it is for"),
    ({"on": "WRITE", "store": "typo", "error": "x"}, "there is no store 'typo' (stores: statestore)"),
    ({"on": "WRITE", "actorType": "Cart", "error": "x"}, "`actorType` tells nothing apart on WRITE: store, keyPrefix"),
    ({"on": "TIMER", "keyPrefix": "k", "error": "x"}, "`keyPrefix` tells nothing apart on TIMER: actorType"),
    ({"on": "REMINDER", "actorId": "7", "error": "x"}, "`actorId` wants an `actorType`"),
    (
        {"on": "API", "method": "SafeState", "error": "x"},
        "no operation 'SafeState': they are called as over gRPC",
    ),
    ({"on": "API", "etagConflict": True}, "`etagConflict` is no effect on API: error, delay, hang"),
    ({"on": "GET", "etagConflict": True}, "`etagConflict` is no effect on GET"),
    ({"on": "APP_CALL", "goaway": True}, "`goaway` is no effect on APP_CALL"),
    ({"on": "WRITE", "hang": False}, "`hang` is true, or is left out"),
    ({"on": "WRITE", "delay": "-1s"}, "`delay` is -1 s: it is from 0 to 3600 s"),
    ({"on": "WRITE", "delay": "86400s"}, "`delay` is 86400 s"),
    ({"on": "WRITE", "error": "x", "probability": 7}, "`probability` is 7: it is above 0, and 1 at most"),
    ({"on": "WRITE", "error": "x", "probability": -0.5}, "`probability` is -0.5"),
    ({"on": "WRITE", "error": "x", "probability": "NaN"}, "`probability` is nan"),
    ({"on": "WRITE", "error": "x", "times": -1}, "times"),
    ({"on": "WRITE", "error": "x", "keys": "k"}, "keys"),
]


@pytest.mark.parametrize(("fault", "reason"), REFUSED)
def test_a_fault_that_cannot_be_is_refused(dapr: Dapr, fault: dict[str, Any], reason: str) -> None:
    """Whatever its mistake, the answer names it, and nothing was put in."""
    with pytest.raises(DaprError) as refused:
        dapr._client.ask("POST", "test/faults", fault)

    assert reason in str(refused.value)
    assert refused.value.status == 400
    assert dapr._client.ask("GET", "test/faults").get("faults", []) == []


MISTAKEN: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"keys": "cart"}, TypeError, "no argument 'keys': store, key, actor"),
    ({"key": 7}, TypeError, "key is a text"),
    ({"times": -1}, ValueError, "times is a whole number from 0 on, not -1"),
    ({"times": True}, ValueError, "times is a whole number"),
    ({"after": 1.5}, ValueError, "after is a whole number"),
    ({"seed": -1}, ValueError, "seed is a whole number"),
    ({"probability": 7}, ValueError, "probability is above 0, and 1 at most, not 7"),
    ({"probability": 0}, ValueError, "probability is above 0"),
    ({"unused": "ignored"}, ValueError, 'unused is "fail" or "ignore"'),
]


@pytest.mark.parametrize(("where", "kind", "reason"), MISTAKEN)
def test_a_mistaken_argument_is_named(dapr: Dapr, where: dict[str, Any], kind: type[Exception], reason: str) -> None:
    """The test's own line is to blame, and is told what may stand there."""
    with pytest.raises(kind) as refused:
        dapr.fail("write", **where)

    assert reason in str(refused.value)
    assert dapr._faults.end() == []


def test_a_delay_goes_forwards(dapr: Dapr) -> None:
    """A negative one is no delay."""
    with pytest.raises(ValueError, match="a delay is 0 seconds or more, not -1s"):
        dapr.delay("write", -1)


def test_a_reset_of_a_store_that_is_not_there_is_refused(dapr: Dapr) -> None:
    """A mistyped name empties nothing, and says so."""
    with pytest.raises(DaprError, match="there is no store 'typo'"):
        dapr._client.ask("POST", "test/reset", {"stores": ["typo"]})


def test_patience_is_not_negative(dapr: Dapr) -> None:
    """It is no wish to wait not at all."""
    with pytest.raises(DaprError, match="`patience` is above 0 s"):
        dapr._client.ask("POST", "test/waitIdle", {"patience": "-1s"})
