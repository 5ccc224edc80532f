"""JSON as Go's encoding/json takes it into typed fields, for bodies that are not of the usual shape.

Names are matched without regard to case, unknown ones are passed over, the last of several wins, null is the zero
value, whatever follows the first value is ignored, and what is wrong is said in Go's words (state-api.md 4.4).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import msgspec

from dapr_state.api import jsontext

if TYPE_CHECKING:
    from collections.abc import Iterable

NULL = b"null"
MAX_DEPTH_TEXT = "exceeded max depth"  # here from about 900 levels on: msgspec recurses; Go's limit is 10 000

_raw = msgspec.json.Decoder(msgspec.Raw)
_elements = msgspec.json.Decoder(list[msgspec.Raw])
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)

_NOT_UTF8 = re.compile("[\udc80-\udcff]")
# an escaped pair of surrogates, half a pair, or any other escape
_ESCAPE = re.compile(
    rb"\\(?:(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


class MalformedError(Exception):
    """The text is Go's."""


def first_value(body: bytes, cut_off: str = "") -> bytes:
    """The first JSON value of a body, with U+FFFD for what is not Unicode; `cut_off` says why the body ends early."""
    clean = _as_unicode(body)
    try:
        _raw.decode(clean)
    except RecursionError:
        raise MalformedError(MAX_DEPTH_TEXT) from None
    except msgspec.DecodeError:
        end, problem = jsontext.first_value(clean)
        if problem == jsontext.END_OF_INPUT:
            problem = cut_off or ("unexpected EOF" if clean.strip(b" \t\r\n") else "EOF")
        if problem:
            raise MalformedError(problem) from None
        return clean[:end].strip(b" \t\r\n")
    return clean.strip(b" \t\r\n")


def kind(raw: bytes) -> str:
    """What Go calls a value of this look."""
    return _KINDS.get(raw[:1], "number")


_KINDS = {b'"': "string", b"{": "object", b"[": "array", b"t": "bool", b"f": "bool", b"n": "null"}


class Place(NamedTuple):
    """Where a value is to go, as Go's errors name it: the innermost struct, and the fields that lead there."""

    struct: str = ""
    path: tuple[str, ...] = ()

    def field(self, struct: str, name: str) -> Place:
        return Place(struct, (*self.path, name))

    def refuse(self, value: str, go_type: str) -> NoReturn:
        where = f"struct field {self.struct}.{'.'.join(self.path)}" if self.path else "value"
        raise MalformedError(f"json: cannot unmarshal {value} into Go {where} of type {go_type}")


TOP = Place()


def text(raw: bytes, at: Place = TOP) -> str:
    if raw == NULL:
        return ""
    if kind(raw) != "string":
        at.refuse(kind(raw), "string")
    return _text.decode(raw)


def integer(raw: bytes, at: Place) -> int:
    if raw == NULL:
        return 0
    if kind(raw) != "number":
        at.refuse(kind(raw), "int")
    try:
        value = int(raw)
    except ValueError:
        value = 1 << 63
    if not -(1 << 63) <= value < 1 << 63:
        at.refuse(f"number {raw.decode()}", "int")
    return value


def elements(raw: bytes, at: Place, go_type: str) -> list[bytes]:
    if raw == NULL:
        return []
    if kind(raw) != "array":
        at.refuse(kind(raw), go_type)
    return [bytes(element) for element in _elements.decode(raw)]


def members(raw: bytes, at: Place, go_type: str) -> dict[str, bytes]:
    if raw == NULL:
        return {}
    if kind(raw) != "object":
        at.refuse(kind(raw), go_type)
    return {name: bytes(member) for name, member in _members.decode(raw).items()}


def fields(raw: bytes, at: Place, go_type: str, names: Iterable[str]) -> dict[str, bytes]:
    """The members that a struct has fields for, under the names in `names`."""
    folded = {name.casefold(): name for name in names}
    found = {}
    for name, member in members(raw, at, go_type).items():
        if known := folded.get(name.casefold()):
            found[known] = member
    return found


def text_map(raw: bytes, at: Place) -> dict[str, str]:
    return {name: text(member, at) for name, member in members(raw, at, "map[string]string").items()}


def _as_unicode(body: bytes) -> bytes:
    if not body.isascii():
        body = _NOT_UTF8.sub("\ufffd", body.decode("utf-8", "surrogateescape")).encode()
    if b"\\u" in body:
        body = _ESCAPE.sub(_whole_escape, body)
    return body


def _whole_escape(found: re.Match[bytes]) -> bytes:
    return b"\\ufffd" if found[2] else found[0]
