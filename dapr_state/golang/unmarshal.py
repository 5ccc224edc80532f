"""JSON as Go's encoding/json takes it into typed fields, for bodies that are not of the usual shape.

Names are matched without regard to case, unknown ones are passed over, the last of several wins, null is the zero
value, whatever follows the first value is ignored, and what is wrong is said in Go's words (state-api.md 4.4).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import msgspec

from dapr_state.golang import json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from dapr_state.slices import Work

NULL = b"null"
MAX_DEPTH_TEXT = (
    "invalid character '[' exceeded max depth"  # here from about 900 levels on: msgspec recurses; Go's limit is 10 000
)

_raw = msgspec.json.Decoder(msgspec.Raw)
_elements = msgspec.json.Decoder(list[msgspec.Raw])
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)

_NOT_UTF8 = re.compile("[\udc80-\udcff]")
# an escaped pair of surrogates, half a pair, or any other escape
_ESCAPE = re.compile(
    rb"\\(?:(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)

BLANKS = b" \t\r\n"


class MalformedError(Exception):
    """The text is Go's."""


async def first_value(body: bytes, work: Work, cut_off: str = "") -> bytes:
    """The first JSON value of a body, with U+FFFD for what is not Unicode; `cut_off` says why the body ends early."""
    clean = await _as_unicode(body, work)
    if len(clean) > json.LONG:
        await work.pause()
    if len(clean) <= json.QUICK:
        try:
            _raw.decode(clean)
        except RecursionError:
            raise MalformedError(MAX_DEPTH_TEXT) from None
        except msgspec.DecodeError:
            pass  # the scanner says why, and where the value ends
        else:
            return await _stripped(clean, work)
    end, problem = await json.first_value(clean, work)
    if problem == json.END_OF_INPUT:
        problem = cut_off or ("unexpected EOF" if clean.strip(BLANKS) else "EOF")
    if problem:
        raise MalformedError(problem)
    return clean[:end].strip(BLANKS)


async def _stripped(text: bytes, work: Work) -> bytes:
    if len(text) > json.LONG:
        await work.pause()
    return text.strip(BLANKS)


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


async def arrays(raw: bytes, at: Place, go_type: str, work: Work) -> AsyncIterator[bytes]:
    """The array in pieces, each an array that is short or has one element."""
    if raw == NULL:
        return
    if kind(raw) != "array":
        at.refuse(kind(raw), go_type)
    async for piece in json.pieces(raw, work):
        yield piece


def elements(array: bytes) -> list[bytes]:
    try:
        return [bytes(element) for element in _elements.decode(array)]
    except RecursionError:
        raise MalformedError(MAX_DEPTH_TEXT) from None


async def members(raw: bytes, at: Place, go_type: str, work: Work) -> AsyncIterator[dict[str, msgspec.Raw]]:
    """The object in pieces."""
    if raw == NULL:
        return
    if kind(raw) != "object":
        at.refuse(kind(raw), go_type)
    async for piece in json.pieces(raw, work):
        if len(piece) > json.LONG:
            await work.pause()
        try:
            yield _members.decode(piece)
        except RecursionError:
            raise MalformedError(MAX_DEPTH_TEXT) from None
        if work.is_over():
            await work.pause()


async def fields(raw: bytes, at: Place, go_type: str, names: Iterable[str], work: Work) -> dict[str, bytes]:
    """The members that a struct has fields for, under the names in `names`."""
    folded = {name.casefold(): name for name in names}
    found: dict[str, bytes] = {}
    async for piece in members(raw, at, go_type, work):
        found |= {known: bytes(value) for name, value in piece.items() if (known := folded.get(name.casefold()))}
    return found


async def text_map(
    raw: bytes, at: Place, work: Work, read: Callable[[bytes, str], str] | None = None
) -> dict[str, str]:
    """`read` takes a member's text and name, if it is not simply a text."""
    found: dict[str, str] = {}
    async for piece in members(raw, at, "map[string]string", work):
        found |= {name: read(bytes(it), name) if read else text(bytes(it), at) for name, it in piece.items()}
    return found


async def _as_unicode(body: bytes, work: Work) -> bytes:
    if not body.isascii():
        body = await _as_utf8(body, work)
        if len(body) > json.LONG:
            await work.pause()
    if b"\\ud" in body or b"\\uD" in body:  # a surrogate: it may be half a pair
        body = await _as_whole_pairs(body, work)
    return body


async def _as_utf8(body: bytes, work: Work) -> bytes:
    """Each byte that is no part of a character becomes U+FFFD, as Go has it."""
    parts = []
    begin = 0
    while begin < len(body):
        end = _end_of_character(body, begin + json.PIECE)
        part = body[begin:end]
        parts.append(_NOT_UTF8.sub("\ufffd", part.decode("utf-8", "surrogateescape")).encode())
        begin = end
        if work.is_over():
            await work.pause()
    return b"".join(parts)


def _end_of_character(body: bytes, at: int) -> int:
    """The nearest place, from `at` backwards, that no character of UTF-8 goes across."""
    for place in range(at, at - 4, -1):
        if place >= len(body) or not 0x80 <= body[place] < 0xC0:  # noqa: PLR2004 - what goes on with one
            return min(place, len(body))
    return at  # so many in a row are no character


async def _as_whole_pairs(body: bytes, work: Work) -> bytes:
    whole = bytearray()
    begin = 0
    for found in _ESCAPE.finditer(body):
        if found[2]:
            whole += body[begin : found.start()] + b"\\ufffd"
            begin = found.end()
        if work.is_over():
            await work.pause()
    return bytes(whole + body[begin:])
