"""Whether bytes are JSON, and what is wrong with them, in the words of daprd's parser (Go's encoding/json)."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, NoReturn

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

END_OF_INPUT = "unexpected end of JSON input"
MAX_DEPTH = 10_000  # Go's limit

_raw = msgspec.json.Decoder(msgspec.Raw)


def is_declared(metadata: Mapping[str, str]) -> bool:
    """Whether the caller says that the value is JSON; daprd takes this one spelling only."""
    return metadata.get("contentType") == "application/json"


def problem(data: bytes) -> str | None:
    """None for one JSON value with nothing behind it, else what is wrong, as Go would say it."""
    try:
        _raw.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return _Scanner(data).problem()  # it decides: Go lets bytes pass that are not UTF-8
    return None


def first_value(data: bytes) -> tuple[int, str | None]:
    """Where the first JSON value of `data` ends, whatever follows, or what is wrong with it, as Go would say it."""
    return _Scanner(data).first_value()


class _Expect(StrEnum):
    """What may come next; the text is Go's for anything else (the blank at an end only keeps two members apart)."""

    VALUE = "looking for beginning of value"
    ELEMENT_OR_END = "looking for beginning of value "
    KEY = "looking for beginning of object key string"
    KEY_OR_END = "looking for beginning of object key string "
    COLON = "after object key"
    COMMA_IN_OBJECT = "after object key:value pair"
    COMMA_IN_ARRAY = "after array element"
    END = "after top-level value"


_AFTER_VALUE = {b"{": _Expect.COMMA_IN_OBJECT, b"[": _Expect.COMMA_IN_ARRAY}
_AFTER_COMMA = {_Expect.COMMA_IN_OBJECT: _Expect.KEY, _Expect.COMMA_IN_ARRAY: _Expect.VALUE}
_CLOSERS = {b"]": (_Expect.ELEMENT_OR_END, _Expect.COMMA_IN_ARRAY), b"}": (_Expect.KEY_OR_END, _Expect.COMMA_IN_OBJECT)}

_SPACE = re.compile(rb"[ \t\r\n]*")
_STRING = re.compile(rb'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*')
_HEX = re.compile(rb"[0-9a-fA-F]{0,4}")
_LITERALS = {b"t": b"true", b"f": b"false", b"n": b"null"}
_NUMBER_PARTS = (  # each part, and what Go says when its digits are missing
    (re.compile(rb"-?"), re.compile(rb"0|[1-9][0-9]*"), "in numeric literal"),
    (re.compile(rb"\."), re.compile(rb"[0-9]+"), "after decimal point in numeric literal"),
    (re.compile(rb"[eE][+-]?"), re.compile(rb"[0-9]+"), "in exponent of numeric literal"),
)


class _InvalidError(Exception):
    """The text is not JSON; carries Go's sentence."""


class _Scanner:
    """A pushdown automaton over the bytes; used only once something is known to be wrong."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._open: list[bytes] = []  # "{" and "[" that are not closed yet
        self._expect = _Expect.VALUE

    def problem(self) -> str | None:
        try:
            while not self._is_over():
                self._step()
        except _InvalidError as error:
            return str(error)
        return None

    def first_value(self) -> tuple[int, str | None]:
        try:
            while self._expect is not _Expect.END and not self._is_over():
                self._step()
        except _InvalidError as error:
            return self._at, str(error)
        return self._at, None

    def _is_over(self) -> bool:
        self._at = self._match(_SPACE)
        if self._at < len(self._data):
            return False
        if self._expect is not _Expect.END:
            raise _InvalidError(END_OF_INPUT)
        return True

    def _step(self) -> None:
        expect, char = self._expect, self._data[self._at : self._at + 1]
        if char in _CLOSERS and expect in _CLOSERS[char]:
            self._open.pop()
            self._value_ended()
        elif expect in {_Expect.VALUE, _Expect.ELEMENT_OR_END}:
            self._value(char)
            return
        elif expect in {_Expect.KEY, _Expect.KEY_OR_END} and char == b'"':
            self._string()
            self._expect = _Expect.COLON
        elif expect is _Expect.COLON and char == b":":
            self._expect = _Expect.VALUE
        elif expect in _AFTER_COMMA and char == b",":
            self._expect = _AFTER_COMMA[expect]
        else:
            self._fail(expect.strip())
        self._at += 1

    def _value(self, char: bytes) -> None:
        if char in b"{[":
            self._open.append(char)
            if len(self._open) > MAX_DEPTH:
                raise _InvalidError("exceeded max depth")
            self._expect = _Expect.KEY_OR_END if char == b"{" else _Expect.ELEMENT_OR_END
            self._at += 1
            return
        if char == b'"':
            self._string()
            self._at += 1
        elif char in _LITERALS:
            self._literal(_LITERALS[char])
        elif char in b"-0123456789":
            self._number()
        else:
            self._fail(_Expect.VALUE)
        self._value_ended()

    def _value_ended(self) -> None:
        self._expect = _AFTER_VALUE[self._open[-1]] if self._open else _Expect.END

    def _string(self) -> None:
        """Leaves off at the closing quote."""
        self._at = self._match(_STRING)
        char = self._data[self._at : self._at + 1]
        if char == b'"':
            return
        if char != b"\\":
            self._fail("in string literal")
        self._at += 1
        if self._data[self._at : self._at + 1] != b"u":
            self._fail("in string escape code")
        self._at += 1
        self._at = self._match(_HEX)
        self._fail("in \\u hexadecimal character escape")

    def _literal(self, word: bytes) -> None:
        for index in range(1, len(word)):
            self._at += 1
            if self._data[self._at : self._at + 1] != word[index : index + 1]:
                self._fail(f"in literal {word.decode()} (expecting {chr(word[index])!r})")
        self._at += 1

    def _number(self) -> None:
        for lead, digits, refusal in _NUMBER_PARTS:
            if not (led := lead.match(self._data, self._at)):
                continue
            self._at = led.end()
            if not (found := digits.match(self._data, self._at)):
                self._fail(refusal)
            self._at = found.end()

    def _match(self, pattern: re.Pattern[bytes]) -> int:
        found = pattern.match(self._data, self._at)
        return found.end() if found else self._at

    def _fail(self, where: str) -> NoReturn:
        if self._at >= len(self._data):
            raise _InvalidError(END_OF_INPUT)
        raise _InvalidError(f"invalid character {_quoted(self._data[self._at])} {where}")


_QUOTED = {0x27: r"'\''", 0x22: "'\"'", 0x07: r"'\a'", 0x08: r"'\b'", 0x0C: r"'\f'", 0x0A: r"'\n'", 0x0D: r"'\r'"}
_QUOTED |= {0x09: r"'\t'", 0x0B: r"'\v'", 0x5C: r"'\\'"}


def _quoted(byte: int) -> str:
    """One byte as Go's quoteChar shows it: it takes the byte for a code point."""
    if byte in _QUOTED:
        return _QUOTED[byte]
    char = chr(byte)
    return f"'{char}'" if char.isprintable() else f"'\\x{byte:02x}'"
