"""Which faults there can be: one that can never be met, or does nothing, is refused when it is put in."""

from __future__ import annotations

import math
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, NamedTuple

from dapr_state_proto.admin.v1 import admin_pb2

from dapr_state.operations import OPERATIONS
from dapr_state.testmode.faults import ANY_STORE, API, APP_CALL, GET, REMINDER, TIMER, TRANSACT, WRITE

if TYPE_CHECKING:
    from collections.abc import Collection

LONGEST: Final = 3600.0  # seconds of a delay: more is a unit that was mistaken

_COMMON: Final = ("error", "delay", "hang", "drop_connection", "after_commit")


class _Kind(NamedTuple):
    """What tells the calls of a kind apart, and what a fault may do to them."""

    names: tuple[str, ...]
    effects: tuple[str, ...] = _COMMON


_WRITES: Final = _Kind(("store", "key_prefix"), (*_COMMON, "etag_conflict"))
_ACTORS: Final = _Kind(("actor_type", "actor_id", "method"))
_KINDS: Final = {
    GET: _Kind(("store", "key_prefix")),
    WRITE: _WRITES,
    TRANSACT: _WRITES,
    ANY_STORE: _WRITES,
    APP_CALL: _ACTORS,
    REMINDER: _ACTORS,
    TIMER: _ACTORS,
    API: _Kind(("method",), (*_COMMON, "goaway")),
}
_NAMES: Final = tuple(dict.fromkeys(name for kind in _KINDS.values() for name in kind.names))
_SWITCHES: Final = frozenset({"hang", "drop_connection", "after_commit", "etag_conflict", "goaway"})
_CALLS: Final = frozenset(name for each in OPERATIONS for name in (each.key, *each.rpcs.split()) if name)


def problem(fault: admin_pb2.Fault, stores: Collection[str]) -> str:
    """What is wrong with a fault, and what is allowed; "" if nothing is."""
    kind = _KINDS.get(fault.on)
    if kind is None:
        return f"`on` says what it is for: {', '.join(map(_on, _KINDS))}"
    return _of_names(fault, kind, stores) or _of_effect(fault, kind) or _of_chance(fault)


def _of_names(fault: admin_pb2.Fault, kind: _Kind, stores: Collection[str]) -> str:
    for name in _NAMES:
        if getattr(fault, name) and name not in kind.names:
            return f"`{_json(name)}` tells nothing apart on {_on(fault.on)}: {', '.join(map(_json, kind.names))} do"
    if fault.store and fault.store not in stores:
        return f"there is no store {fault.store!r} (stores: {', '.join(stores) or 'none'})"
    if fault.actor_id and not fault.actor_type:
        return "`actorId` wants an `actorType` beside it"
    if fault.on == API and fault.method and fault.method not in _CALLS:
        near = get_close_matches(fault.method, _CALLS, 1)
        return f"there is no operation {fault.method!r}: they are called as over gRPC, as {(near or ['SaveState'])[0]}"
    return ""


def _of_effect(fault: admin_pb2.Fault, kind: _Kind) -> str:
    effect = fault.WhichOneof("effect") or "error"
    if effect not in kind.effects:
        allowed = ", ".join(map(_json, kind.effects))
        return f"`{_json(effect)}` is no effect on {_on(fault.on)}: {allowed} are"
    if effect in _SWITCHES and not getattr(fault, effect):
        return f"`{_json(effect)}` is true, or is left out"
    seconds = fault.delay.ToNanoseconds() / 1e9
    if effect == "delay" and not 0 <= seconds <= LONGEST:
        return f"`delay` is {seconds:g} s: it is from 0 to {LONGEST:g} s, in real time"
    return ""


def _of_chance(fault: admin_pb2.Fault) -> str:
    chance = fault.probability
    if math.isnan(chance) or not 0 <= chance <= 1:
        return f"`probability` is {chance:g}: it is above 0, and 1 at most"
    return ""


def _on(number: int) -> str:
    return admin_pb2.Fault.On.Name(number)


def _json(name: str) -> str:
    """As JSON has the field's name."""
    first, *rest = name.split("_")
    return first + "".join(map(str.title, rest))
