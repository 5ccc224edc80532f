"""Go's quoted strings: how error texts show a value, and how a quoted property loses its quotes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_ESCAPES: Final = {
    "\a": r"\a",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
    '"': r"\"",
    "\\": r"\\",
}
_UNESCAPES: Final = {escaped[1]: plain.encode() for plain, escaped in _ESCAPES.items()} | {"'": b"'"}
_PART: Final = re.compile(
    r"(?P<plain>[^\\\n]+)|\\(?:(?P<char>[abfnrtv\\'\"])|x(?P<byte>[0-9a-fA-F]{2})|(?P<octal>[0-3][0-7]{2})"
    r"|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8}))"
)
_DECODERS: Final[dict[str, Callable[[str], bytes]]] = {
    "plain": str.encode,
    "char": _UNESCAPES.__getitem__,
    "byte": bytes.fromhex,
    "octal": lambda digits: bytes([int(digits, 8)]),
    "short": lambda digits: chr(int(digits, 16)).encode(),
    "long": lambda digits: chr(int(digits, 16)).encode(),
}
MAX_QUOTED: Final = 1024  # characters: an error names what is wrong, and gives no megabytes back
_MARKS: Final = "\"'`"


def quote(text: str) -> str:
    """Go's `strconv.Quote`, which is `%q`."""
    return f'"{"".join(map(_escape, text[:MAX_QUOTED]))}{_rest(text)}"'


def quote_bytes(text: str) -> str:
    """Quote as Go's package time does: byte by byte, without names for control characters."""
    escaped = (
        f"\\{chr(byte)}"
        if byte in b'"\\'
        else chr(byte)
        if chr(byte).isascii() and byte >= ord(" ")
        else f"\\x{byte:02x}"
        for byte in text[:MAX_QUOTED].encode(errors="surrogatepass")
    )
    return f'"{"".join(escaped)}{_rest(text)}"'


def _rest(text: str) -> str:
    return "…" if len(text) > MAX_QUOTED else ""


def unquote(text: str) -> str:
    """Take the quotes off a Go string or rune literal; a text that is none stays as it is."""
    mark, inner = text[:1], text[1:-1]
    if text == mark or mark not in _MARKS or text[-1:] != mark:
        return text
    if mark == "`":
        return text if mark in inner else inner.replace("\r", "")
    try:
        plain = _unescape(inner, mark).decode()
    except ValueError:
        return text
    return text if mark == "'" and len(plain) != 1 else plain


def _escape(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    if char.isascii():
        return f"\\x{ord(char):02x}"
    return f"\\u{ord(char):04x}" if char <= "\uffff" else f"\\U{ord(char):08x}"


def _unescape(inner: str, mark: str) -> bytes:
    foreign_mark = "\\'" if mark == '"' else '\\"'
    plain, at = bytearray(), 0
    while at < len(inner):
        part = _PART.match(inner, at)
        if part is None or part.lastgroup is None or part[0] == foreign_mark or mark in (part["plain"] or ""):
            raise ValueError("not a literal")
        plain += _DECODERS[part.lastgroup](part[part.lastgroup])
        at = part.end()
    return bytes(plain)
