"""JSON into typed fields as Go's mapstructure takes it from a map: all that is wrong is told in one error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from dapr_state.golang import unmarshal
from dapr_state.golang.json import PIECE
from dapr_state.golang.unmarshal import MalformedError, Place, kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dapr_state.slices import Work

MAX_PROBLEMS = 100  # that one error lists

_KINDS = {"string": "string", "array": "slice", "number": "float64", "bool": "bool", "object": "map"}
_TYPES = _KINDS | {"array": "[]interface {}", "object": "map[string]interface {}"}


async def fields(raw: bytes, names: Iterable[str], work: Work) -> dict[str, bytes]:
    """The members that a struct has fields for, under the names in `names`; null has none."""
    if kind(raw) not in {"object", "null"}:
        raise MalformedError(_no_map("", raw))
    return await unmarshal.fields(raw, Place(), "", names, work)


class Decoding:
    """What is wrong with the members of one struct is gathered, until `check` tells it."""

    def __init__(self) -> None:
        self._problems: list[str] = []

    def text(self, raw: bytes, name: str) -> str:
        if kind(raw) in {"string", "null"}:
            return unmarshal.text(raw)
        self._problems.append(_unconvertible(raw, name))
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
            raise MalformedError(f"{len(self._problems)} error(s) decoding:\n\n{shown}")


def _no_map(name: str, raw: bytes) -> str:
    return f"'{name}' expected a map, got '{_KINDS[kind(raw)]}'"


def _unconvertible(raw: bytes, name: str) -> str:
    value = _printed(msgspec.json.decode(raw)) if len(raw) <= PIECE else "..."  # an error names it, and is no dump
    return f"'{name}' expected type 'string', got unconvertible type '{_TYPES[kind(raw)]}', value: '{value}'"


def _printed(value: Any) -> str:
    """A decoded value as Go's %v shows it."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{' '.join(map(_printed, value))}]"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{_printed(member)}' for key, member in sorted(value.items()))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
