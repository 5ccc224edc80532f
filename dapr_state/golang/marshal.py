"""JSON as Go's encoding/json writes it."""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import Any, Final

# Go shows these escaped, so that the text may stand inside HTML
_ESCAPED: Final = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_PLAIN_FLOATS: Final = (1e-6, 1e21)  # others are shown with an exponent


def encode(value: object) -> bytes:
    """Members in the order given. Bytes of a text that are not UTF-8 come out as U+FFFD."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPED)
    return _SURROGATE.sub("\ufffd", text).encode()


def json_text(value: Any) -> str:
    """Of a map: keys sorted, numbers as Go prints them. Raises ValueError for what JSON has no word for."""
    match value:
        case float():
            return _float_text(value)
        case dict():
            return "{" + ",".join(f"{json_text(key)}:{json_text(value[key])}" for key in sorted(value)) + "}"
        case list():
            return "[" + ",".join(map(json_text, value)) + "]"
        case str() | bool() | int() | None:
            return json.dumps(value, ensure_ascii=False).translate(_ESCAPED)
    raise ValueError(f"a value of type {type(value).__name__} cannot be used here")


def _float_text(number: float) -> str:
    if not math.isfinite(number):
        raise ValueError(f"{number} is no number that JSON knows")
    smallest, largest = _PLAIN_FLOATS
    if number == 0 or smallest <= abs(number) < largest:
        return f"{Decimal(repr(number)):f}".removesuffix(".0")
    mantissa, _, exponent = repr(number).partition("e")
    return f"{mantissa}e{exponent[0]}{exponent[1:].lstrip('0')}"
