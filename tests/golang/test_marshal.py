"""JSON as Go writes it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from dapr_state.golang.marshal import encode, json_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": ["x", "y"], "a": 1}, '{"a":1,"b":["x","y"]}'),
        ([1, "two", None, True], '[1,"two",null,true]'),
        (1.5, "1.5"),
        (1000.0, "1000"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (0.1 + 0.2, "0.30000000000000004"),
        ("a<b>&\u2028\u00e9", '"a\\u003cb\\u003e\\u0026\\u2028\u00e9"'),
    ],
)
def test_json_text(value: Any, text: str) -> None:
    """Collections become compact JSON with sorted keys, numbers as Go prints them."""
    assert json_text(value) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), timedelta(1)])
def test_what_json_cannot_say(value: Any) -> None:
    """A value without a JSON form is refused."""
    with pytest.raises(ValueError, match=r"is no number|cannot be used"):
        json_text(value)


def test_what_is_no_unicode_is_replaced() -> None:
    """Bytes of a key that are not UTF-8 leave as U+FFFD; markup is escaped, and members keep their order."""
    assert encode({"b": "\udcff", "a": "<"}) == '{"b":"\ufffd","a":"\\u003c"}'.encode()
