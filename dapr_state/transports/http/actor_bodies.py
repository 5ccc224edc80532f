"""The JSON bodies of the Actors calls: first by the strict and fast way, the unusual ones by Go's rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from dapr_state.api.actors import MISSING_KEY, Put, Remove
from dapr_state.golang import unmarshal
from dapr_state.golang.mapstructure import DecodingError
from dapr_state.golang.unmarshal import Place
from dapr_state.slices import STEPS, Work
from dapr_state.transports.http.bodies import Shape, operation_request

if TYPE_CHECKING:
    from collections.abc import Sequence

_NULL = msgspec.Raw(unmarshal.NULL)
_STEP = "TransactionalOperation"
_KINDS = frozenset({"upsert", "delete"})


class StepError(Exception):
    """One operation of a transaction is wrong; the text is daprd's."""


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    """A field under another name may be one of ours in other letters: that is for the slow way to say."""

    key: str | None = None
    value: msgspec.Raw = _NULL
    etag: str | None = None
    metadata: dict[str, str] | None = None


class _Operation(msgspec.Struct, forbid_unknown_fields=True):
    operation: str | None = None
    request: _Request | None = None


# kind and request; the request is bytes where only the slow way can read it
Step = tuple[str, Put | bytes]


async def changes(steps: Sequence[Step]) -> list[Put | Remove]:
    """What the operations ask for. Raises StepError, or MalformedError where the body is no better."""
    work = Work()
    made: list[Put | Remove] = []
    for kind, given in steps:
        if kind in _KINDS and isinstance(given, Put):  # nearly all, without a coroutine for each
            put = given
        else:
            put = await _read(kind, given, work)
            if work.is_over():
                await work.pause()
        if not put.key:
            raise StepError(MISSING_KEY)
        made.append(put if kind == "upsert" else Remove(put.key, put.etag))
        if not len(made) % STEPS and work.is_over():
            await work.pause()
    return made


async def _read(kind: str, given: Put | bytes, work: Work) -> Put:
    if given == unmarshal.NULL:
        raise StepError("request data is empty")
    if not kind:
        raise StepError("operation is empty")
    if kind not in _KINDS:
        raise StepError(f"operation type {kind} not supported")
    if isinstance(given, Put):
        return given
    try:
        item = await operation_request(given, Place().field(_STEP, "request"), work)
    except DecodingError as error:
        raise StepError(str(error)) from error
    return Put(item.key, item.value, item.etag, item.metadata, is_json=True)


def _steps(given: Sequence[_Operation | None] | None) -> list[Step]:
    return [_step(each) for each in given or ()]


def _step(given: _Operation | None) -> Step:
    if given is None or given.request is None:
        return (given and given.operation) or "", unmarshal.NULL
    request = given.request
    put = Put(request.key or "", bytes(request.value), request.etag or "", request.metadata or {}, is_json=True)
    return given.operation or "", put


async def _steps_slowly(raw: bytes, work: Work) -> list[Step]:
    steps: list[Step] = []
    async for piece in unmarshal.arrays(raw, Place(), f"[]api.{_STEP}", work):
        for each in unmarshal.elements(piece):
            steps.append(await _step_slowly(each, work))
            if work.is_over():
                await work.pause()
    return steps


async def _step_slowly(raw: bytes, work: Work) -> Step:
    found = await unmarshal.fields(raw, Place(), f"api.{_STEP}", ("operation", "request"), work)
    kind = found.get("operation", unmarshal.NULL)
    if kind != unmarshal.NULL and unmarshal.kind(kind) != "string":
        Place().field(_STEP, "operation").refuse(unmarshal.kind(kind), "api.OperationType")
    return unmarshal.text(kind), found.get("request", unmarshal.NULL)


TRANSACTION: Shape[list[Step]] = Shape(list[_Operation | None] | None, _steps, _steps_slowly)
