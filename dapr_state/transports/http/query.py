"""The answer to a query over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from dapr_state.serving.pieces import LARGE, Pieces
from dapr_state.slices import Work
from dapr_state.stores.model import StoredValue
from dapr_state.transports.http.values import NOT_JSON, shown_key, shown_value

if TYPE_CHECKING:
    from dapr_state.api.query import Result, Results

_encode = msgspec.json.Encoder().encode


class _Item(msgspec.Struct, omit_defaults=True, gc=False):
    key: str | msgspec.Raw
    data: msgspec.Raw | str | msgspec.UnsetType | None = msgspec.UNSET
    etag: str = ""
    error: str = ""


class _End(msgspec.Struct, omit_defaults=True):
    token: str = ""
    metadata: dict[str, str] = {}


_NO_KEY: Final = len(_encode(_Item("")))


async def query_answer(results: Results) -> Pieces:
    whole, work = Pieces(), Work()
    whole.add(b'{"results":')
    for place, result in enumerate(results.found):
        whole.add(b"," if place else b"[")
        await _add(whole, result)
        if work.is_over():
            await work.pause()
    end = _encode(_End(results.token, dict(results.metadata)))[1:]
    whole.add(b"]" + (b"" if end == b"}" else b",") + end + b"\n")
    return whole


async def _add(whole: Pieces, result: Result) -> None:
    key, row = shown_key(result.key), result.row
    if not isinstance(row, StoredValue):
        whole.add(_encode(_Item(key, None, error=str(row))))
        return
    try:
        data = await shown_value(row.value)
    except UnicodeDecodeError:
        whole.add(_encode(_Item(key, None, error=NOT_JSON)))
        return
    if isinstance(data, bytes) and len(data) > LARGE:  # not copied
        whole.add(_encode(_Item(key))[:-1] + b',"data":')
        whole.add(data)
        whole.add(_encode(_Item("", etag=row.etag))[_NO_KEY - 1 :])
        return
    whole.add(_encode(_Item(key, msgspec.Raw(data) if isinstance(data, bytes) else data, row.etag)))
