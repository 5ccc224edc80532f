"""Whether bytes are JSON, and what is wrong with them, in the words of Go's encoding/json; where its parts begin.

Long texts are read in slices (slices.py). What is flat, or nearly, is passed over many values at once by one regular
expression; only the rest, and what is wrong, is looked at token by token.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec

from dapr_state.slices import Work

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

END_OF_INPUT: Final = "unexpected end of JSON input"
MAX_DEPTH: Final = 10_000  # Go's limit
QUICK: Final = 4 * 1024 * 1024 + 64  # octets: msgspec passes over as much, whatever it is, in 15 ms
LONG: Final = 64 * 1024  # octets: what takes longer than it takes to wait for a turn
PIECE: Final = 16 * 1024  # octets: a regular expression passes over as much in 1 ms, msgspec decodes it in 5

HALF_A_PAIR: Final = re.compile(rb"\\u[dD][89a-fA-F]")  # or a whole one
_PAIR: Final = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u")
_OF_LETTER: Final = re.compile(rb"[\x80-\xbf]")  # what is not its first octet
_PAIRED: Final = 6  # octets of an escape that may be half of a pair

_decode_text: Final = msgspec.json.Decoder(str).decode
_raw: Final = msgspec.json.Decoder(msgspec.Raw)


def verdict(text: bytes) -> bool | None:
    """Whether a text in UTF-8 is one JSON value with nothing behind it; None where that takes a while to say."""
    if len(text) > QUICK:
        return None
    try:
        _raw.decode(text)
    except msgspec.DecodeError:  # msgspec, unlike Go, wants escaped surrogates in pairs
        return None if HALF_A_PAIR.search(text) else False
    except RecursionError:
        return None
    return True


async def problem(data: bytes) -> str | None:
    """None for one JSON value with nothing behind it, else what is wrong, as Go would say it."""
    work = Work()
    if len(data) > LONG:
        await work.pause()
    if len(data) <= QUICK:
        try:
            _raw.decode(data)
        except (msgspec.DecodeError, RecursionError):
            pass  # the scanner decides: Go lets bytes pass that are not UTF-8
        else:
            return None
    scanner = _Scanner(data, _BLANK)
    try:
        while not scanner.is_over():
            scanner.step()
            if work.is_over():
                await work.pause()
    except _InvalidError as error:
        return str(error)
    return None


async def first_value(data: bytes, work: Work) -> tuple[int, str | None]:
    """Where the first JSON value of `data` ends, whatever follows, or what is wrong with it, as Go would say it."""
    scanner = _Scanner(data)
    try:
        while scanner.expect is not _Expect.END and not scanner.is_over():
            scanner.step()
            if work.is_over():
                await work.pause()
    except _InvalidError as error:
        return scanner.at, str(error)
    return scanner.at, None


async def pieces(data: bytes, work: Work) -> AsyncIterator[bytes]:
    """A valid array or object as several that hold its parts in order: each is short, or has one part only."""
    if len(data) <= PIECE:
        yield data
        return
    begin, end = _ends(data)
    opening, closing = data[begin - 1 : begin], data[end : end + 1]
    at = begin
    while at < end:
        past = _past(_parts(), data, at)
        at = past if past > at else await _end_of_part(data, at, work) + 1  # behind a comma, or behind the end
        yield b"%b%b%b" % (opening, data[begin : at - 1], closing)
        begin = at
        if work.is_over():
            await work.pause()


def _ends(data: bytes) -> tuple[int, int]:
    """Where the first part begins, and where the closing bracket stands."""
    begin = data.index(b"[") if data.lstrip()[:1] == b"[" else data.index(b"{")
    return begin + 1, len(data.rstrip()) - 1


async def _end_of_part(data: bytes, at: int, work: Work) -> int:
    """Where the part of a valid array or object that begins here ends, however long it is."""
    depth = 0
    while True:
        if work.is_over():
            await work.pause()
        at = _past(_in_parts() if depth else _in_part(), data, at)
        char = data[at : at + 1]
        if char == b'"':
            at = await _end_of_string(data, at + 1, work)
        elif char in b"[{":
            depth += 1
        elif char in b"]}":
            depth -= 1
            if depth < 0:
                return at
        elif char == b"," and not depth:
            return at
        else:  # in the midst of what is long
            continue
        at += 1


async def _end_of_string(data: bytes, at: int, work: Work) -> int:
    while (past := _past(_STRING, data, at)) > at:
        at = past
        if work.is_over():
            await work.pause()
    return at


async def text(literal: bytes, work: Work) -> str:
    """What a valid string means, escapes and all. Raises ValueError if it is no string, or has half a pair in it."""
    if literal[:1] != b'"':
        raise ValueError("a text is expected")
    found: list[str] = []
    at, end = 1, len(literal) - 1
    while at < end:
        past = _past(_STRING, literal, at)
        while _PAIR.match(literal, max(at, past - _PAIRED)):
            past += _PAIRED
        while _OF_LETTER.match(literal, past):
            past += 1
        past = min(max(past, at + 1), end)
        try:
            found.append(_decode_text(b'"%b"' % literal[at:past]))
        except msgspec.DecodeError as error:
            raise ValueError(str(error)) from error
        at = past
        if work.is_over():
            await work.pause()
    return "".join(found)


def _past(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    found = pattern.match(data, at, at + PIECE)
    return found.end() if found else at


class _Expect(StrEnum):
    """What may come next; the text is Go's for anything else (the blank at an end only keeps two members apart)."""

    VALUE = "looking for beginning of value"
    ELEMENT_OR_END = "looking for beginning of value "
    KEY = "looking for beginning of object key string"
    KEY_OR_END = "looking for beginning of object key string "
    COLON = "after object key"
    COMMA_IN_OBJECT = "after object key:value pair"
    COMMA_IN_ARRAY = "after array element"
    REST_OF_KEY = "in string literal"
    REST_OF_STRING = "in string literal "
    END = "after top-level value"


_AFTER_VALUE = {b"{": _Expect.COMMA_IN_OBJECT, b"[": _Expect.COMMA_IN_ARRAY}
_AFTER_COMMA = {_Expect.COMMA_IN_OBJECT: _Expect.KEY, _Expect.COMMA_IN_ARRAY: _Expect.VALUE}
_BEHIND_COMMA = frozenset(_AFTER_COMMA.values())
_CLOSERS = {b"]": (_Expect.ELEMENT_OR_END, _Expect.COMMA_IN_ARRAY), b"}": (_Expect.KEY_OR_END, _Expect.COMMA_IN_OBJECT)}

# Every repetition is possessive (`++`): what was passed over is never gone back to, so time and memory stay in bounds.
_BLANKS = rb"[ \t\r\n]*+"
_CONTENT = rb'(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+'  # of a string
_WORDS = rb"true|false|null"
_DIGITS = rb"-?+(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?+[0-9]++)?+"
_SIMPLE = b'(?:"%b"|%b|%b)' % (_CONTENT, _DIGITS, _WORDS)
NESTING: Final = 2  # levels below the one at hand that a run passes over; each doubles its expression


def _members(value: bytes) -> bytes:
    return b'"%b"%b:%b%b' % (_CONTENT, _BLANKS, _BLANKS, value)


def _listed(part: bytes, closing: bytes) -> bytes:
    """Any number of parts with commas between them, up to the closing bracket."""
    return b"%b(?:%b%b(?:,%b(?!%b)|(?=%b)))*+%b" % (_BLANKS, part, _BLANKS, _BLANKS, closing, closing, closing)


def _nested(levels: int) -> bytes:
    if not levels:
        return _SIMPLE
    value = _nested(levels - 1)
    return rb"(?:%b|\[%b|\{%b)" % (_SIMPLE, _listed(value, rb"\]"), _listed(_members(value), rb"\}"))


def _run(part: bytes) -> re.Pattern[bytes]:
    """As many parts as there are, each with the comma behind it."""
    return re.compile(b"(?:%b%b%b,)*+" % (_BLANKS, part, _BLANKS))


_SPACE = re.compile(_BLANKS)
_STRING = re.compile(_CONTENT)
_HEX = re.compile(rb"[0-9a-fA-F]{0,4}")
_BEHIND_RUN = {  # where parts may begin: what has to come behind the last comma of a run of them
    _Expect.ELEMENT_OR_END: _Expect.VALUE,
    _Expect.VALUE: _Expect.VALUE,
    _Expect.KEY_OR_END: _Expect.KEY,
    _Expect.KEY: _Expect.KEY,
}


# The large expressions take 1 ms each to compile: at first use, as most sidecars never read such a text.


@cache
def _elements() -> re.Pattern[bytes]:
    return _run(_nested(NESTING))


@cache
def _members_of_objects() -> re.Pattern[bytes]:
    return _run(_members(_nested(NESTING)))


def _balanced(levels: int) -> bytes:
    """Of a valid text: whatever opens no bracket, and brackets with what stands between them."""
    deeper = rb"|[\[{]%b[\]}]" % _balanced(levels - 1) if levels else b""
    return rb'(?:[^"\[\]{}]++|"%b"%b)*+' % (_CONTENT, deeper)


_LEVELS = 5  # more would gain nothing measurable
_PART = rb'(?:[^",\[\]{}]++|"%b"|[\[{]%b[\]}])' % (_CONTENT, _balanced(_LEVELS))


@cache
def _in_parts() -> re.Pattern[bytes]:
    return re.compile(_balanced(_LEVELS))


@cache
def _in_part() -> re.Pattern[bytes]:
    return re.compile(_PART + b"*+")


@cache
def _parts() -> re.Pattern[bytes]:
    return re.compile(b"(?:%b++,)*+" % _PART)


_LITERALS = {b"t": b"true", b"f": b"false", b"n": b"null"}
_NUMBER_PARTS = (  # each part, and what Go says when its digits are missing
    (re.compile(rb"-?"), re.compile(rb"0|[1-9][0-9]*"), "in numeric literal"),
    (re.compile(rb"\."), re.compile(rb"[0-9]+"), "after decimal point in numeric literal"),
    (re.compile(rb"[eE][+-]?"), re.compile(rb"[0-9]+"), "in exponent of numeric literal"),
)


class _InvalidError(Exception):
    """The text is not JSON; carries Go's sentence."""


class _Scanner:
    """A pushdown automaton over the bytes. A step is one token, one piece of a string, or one run of parts."""

    __slots__ = ("_behind", "_data", "_open", "at", "expect")

    def __init__(self, data: bytes, behind: int | None = None) -> None:
        """`behind`: the character that Go takes to stand behind the text, if it has one to find fault with."""
        self._data = data
        self._behind = behind
        self._open: list[bytes] = []  # "{" and "[" that are not closed yet
        self.at = 0
        self.expect = _Expect.VALUE

    @property
    def depth(self) -> int:
        return len(self._open)

    def is_over(self) -> bool:
        """Pass over blanks, and say whether nothing follows. What still has to come is missed."""
        if self.expect not in _IN_STRING:
            self.at = self._match(_SPACE)
        if self.at < len(self._data):
            return False
        if self.expect is not _Expect.END:
            raise _InvalidError(END_OF_INPUT)
        return True

    def step(self) -> None:
        expect, char = self.expect, self._data[self.at : self.at + 1]
        if expect in _IN_STRING:
            self._string()
            return
        if self._open and expect in _BEHIND_RUN and self._passes_over(_BEHIND_RUN[expect]):
            return
        if char in _CLOSERS and expect in _CLOSERS[char]:
            self._open.pop()
            self._value_ended()
        elif expect in {_Expect.VALUE, _Expect.ELEMENT_OR_END}:
            self._value(char)
            return
        elif expect in {_Expect.KEY, _Expect.KEY_OR_END} and char == b'"':
            self.expect = _Expect.REST_OF_KEY
        elif expect is _Expect.COLON and char == b":":
            self.expect = _Expect.VALUE
        elif expect in _AFTER_COMMA and char == b",":
            self.expect = _AFTER_COMMA[expect]
        else:
            self._fail(expect)
        self.at += 1

    def _passes_over(self, behind: _Expect) -> bool:
        in_object = behind is _Expect.KEY
        if in_object is not (self._open[-1] == b"{") or len(self._open) > MAX_DEPTH - NESTING:
            return False  # a member's value, or too deep to pass over unseen
        run = _members_of_objects() if in_object else _elements()
        found = run.match(self._data, self.at, self.at + PIECE)
        if found is None or found.end() == self.at:
            return False
        self.at, self.expect = found.end(), behind
        return True

    def _value(self, char: bytes) -> None:
        if char in b"{[":
            self._open.append(char)
            if len(self._open) > MAX_DEPTH:
                self._fail("exceeded max depth")
            self.expect = _Expect.KEY_OR_END if char == b"{" else _Expect.ELEMENT_OR_END
            self.at += 1
            return
        if char == b'"':
            self.at += 1
            self.expect = _Expect.REST_OF_STRING
            return
        if char in _LITERALS:
            self._literal(_LITERALS[char])
        elif char in b"-0123456789":
            self._number()
        else:
            self._fail(_Expect.VALUE)
        self._value_ended()

    def _value_ended(self) -> None:
        self.expect = _AFTER_VALUE[self._open[-1]] if self._open else _Expect.END

    def _string(self) -> None:
        found = _STRING.match(self._data, self.at, self.at + PIECE)
        if found is not None and found.end() > self.at:
            self.at = found.end()
            return
        char = self._data[self.at : self.at + 1]
        if char == b'"':
            self.at += 1
            if self.expect is _Expect.REST_OF_KEY:
                self.expect = _Expect.COLON
            else:
                self._value_ended()
            return
        if char != b"\\":
            self._fail(self.expect)
        self.at += 1
        if self._data[self.at : self.at + 1] != b"u":
            self._fail("in string escape code")
        self.at += 1
        self.at = self._match(_HEX)
        self._fail("in \\u hexadecimal character escape")

    def _literal(self, word: bytes) -> None:
        for index in range(1, len(word)):
            self.at += 1
            if self._data[self.at : self.at + 1] != word[index : index + 1]:
                self._fail(f"in literal {word.decode()} (expecting {chr(word[index])!r})")
        self.at += 1

    def _number(self) -> None:
        for lead, digits, refusal in _NUMBER_PARTS:
            if not (led := lead.match(self._data, self.at)):
                continue
            self.at = led.end()
            if not (found := digits.match(self._data, self.at)):
                self._fail(refusal)
            self.at = found.end()

    def _match(self, pattern: re.Pattern[bytes]) -> int:
        found = pattern.match(self._data, self.at)
        return found.end() if found else self.at

    def _fail(self, where: str) -> NoReturn:
        char = self._data[self.at] if self.at < len(self._data) else self._behind
        if char is None:
            raise _InvalidError(END_OF_INPUT)
        raise _InvalidError(f"invalid character {_quoted(char)} {where.strip()}")


_BLANK = 0x20
_IN_STRING = frozenset({_Expect.REST_OF_KEY, _Expect.REST_OF_STRING})

_QUOTED = {0x27: r"'\''", 0x22: "'\"'", 0x07: r"'\a'", 0x08: r"'\b'", 0x0C: r"'\f'", 0x0A: r"'\n'", 0x0D: r"'\r'"}
_QUOTED |= {0x09: r"'\t'", 0x0B: r"'\v'", 0x5C: r"'\\'"}


def _quoted(byte: int) -> str:
    """One byte as Go's quoteChar shows it: it takes the byte for a code point."""
    if byte in _QUOTED:
        return _QUOTED[byte]
    char = chr(byte)
    return f"'{char}'" if char.isprintable() else f"'\\x{byte:02x}'"
