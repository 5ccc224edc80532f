"""Keys and values as the JSON of an answer shows them."""

from __future__ import annotations

import msgspec

from dapr_state.golang import json, marshal
from dapr_state.golang.unmarshal import BLANKS
from dapr_state.slices import Work

NOT_JSON = "the value is neither JSON nor text"

_encode = msgspec.json.Encoder().encode


def shown_key(key: str) -> str | msgspec.Raw:
    return key if key.isascii() else msgspec.Raw(marshal.encode(key))


async def shown_value(value: bytes) -> bytes | str | None:
    """JSON as it is, a text that is none as str; what is neither cannot be shown (daprd: the whole answer is empty)."""
    if not value:
        return None
    text = value.decode()
    is_json = json.verdict(value)
    if is_json is None:
        is_json = await json.problem(value) is None
    if is_json:
        return value.strip(BLANKS)
    return text if len(text) <= json.LONG else await _long_text(text)


async def _long_text(text: str) -> bytes:
    work, whole = Work(), bytearray(b'"')
    for begin in range(0, len(text), json.LONG):
        whole += _encode(text[begin : begin + json.LONG])[1:-1]
        await work.pause()
    whole += b'"'
    await work.pause()
    return bytes(whole)
