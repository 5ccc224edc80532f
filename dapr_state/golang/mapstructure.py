"""JSON into typed fields as Go's mapstructure takes it from a map: all that is wrong is told in one error."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from dapr_state.golang import unmarshal
from dapr_state.golang.json import PIECE
from dapr_state.golang.strconv import format_float
from dapr_state.golang.unmarshal import MalformedError, Place, kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dapr_state.slices import Work

MAX_PROBLEMS = 100  # that one error lists

_KINDS = {"string": "string", "array": "slice", "number": "float64", "bool": "bool", "object": "map"}
_TYPES = _KINDS | {"array": "[]interface {}", "object": "map[string]interface {}"}


class DecodingError(MalformedError):
    """A value is of another type than its field."""


async def fields(raw: bytes, names: Iterable[str], work: Work) -> dict[str, bytes]:
    """The members that a struct has fields for, under the names in `names`; null has none."""
    if kind(raw) not in {"object", "null"}:
        raise DecodingError(_no_map("", raw))
    return await unmarshal.fields(raw, Place(), "", names, work)


class Decoding:
    """What is wrong with the members of one struct is gathered, until `check` tells it.

    `at` is where Go's decoder of JSON has put the map: a number that is none of its own is refused there, at once.
    """

    def __init__(self, at: Place) -> None:
        self._at = at
        self._problems: list[str] = []

    def text(self, raw: bytes, name: str) -> str:
        if kind(raw) in {"string", "null"}:
            return unmarshal.text(raw)
        self._problems.append(_unconvertible(raw, name, self._at))
        return ""

    async def text_map(self, raw: bytes, name: str, member: Callable[[str], str], work: Work) -> dict[str, str]:
        """`member` names a member as errors do; one without a name is not looked at."""
        if kind(raw) not in {"object", "null"}:
            self._problems.append(_no_map(name, raw))
            return {}

        def read(raw: bytes, key: str) -> str:
            return self.text(raw, member(key)) if member(key) else ""

        return await unmarshal.text_map(raw, Place(), work, read)

    def check(self) -> None:
        if self._problems:
            shown = "\n".join(f"* {problem}" for problem in sorted(self._problems)[:MAX_PROBLEMS])
            raise DecodingError(f"{len(self._problems)} error(s) decoding:\n\n{shown}")


def _no_map(name: str, raw: bytes) -> str:
    return f"'{name}' expected a map, got '{_KINDS[kind(raw)]}'"


def _unconvertible(raw: bytes, name: str, at: Place) -> str:
    value = _printed(_decoded(raw, at)) if len(raw) <= PIECE else "..."  # an error names it, and is no dump
    return f"'{name}' expected type 'string', got unconvertible type '{_TYPES[kind(raw)]}', value: '{value}'"


def _decoded(raw: bytes, at: Place) -> Any:
    """With each number as Go's float64."""

    def number(text: str) -> float:
        value = float(text)
        if math.isinf(value):
            at.refuse(f"number {text}", "float64")
        return value

    return json.loads(raw, parse_int=number, parse_float=number)


def _printed(value: Any) -> str:
    """A decoded value as Go's %v shows it."""
    match value:
        case None:
            return "<nil>"
        case bool():
            return str(value).lower()
        case float():
            return format_float(value)
        case list():
            return f"[{' '.join(map(_printed, value))}]"
        case dict():
            return f"map[{' '.join(f'{key}:{_printed(member)}' for key, member in sorted(value.items()))}]"
    return str(value)
