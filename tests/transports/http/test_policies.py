"""Failure policies of reminders, as bodies give them."""

from __future__ import annotations

import pytest

from dapr_state.api.reminders import Policy
from dapr_state.transports.http import reminder_bodies


@pytest.mark.parametrize("interval", [b"1e300", b"9" * 400, b'"x"'], ids=["far too long", "no float", "no duration"])
def test_an_interval_that_cannot_be_waited_for_is_passed_over(interval: bytes) -> None:
    """As every policy that is none: a trigger would fail by it, and the reminder never come again."""
    given = reminder_bodies._policy(b'{"constant":{"interval":' + interval + b"}}")

    assert given == Policy()
