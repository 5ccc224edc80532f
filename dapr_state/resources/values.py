"""Texts to numbers, truth and durations by the rules of Go, whose error texts users of daprd know."""

import re
from typing import Final

from dapr_state.resources.quoting import quote, quote_bytes

_TRUTHY: Final = frozenset({"y", "yes", "t", "true", "on", "1"})
_BOOLS: Final = dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True) | dict.fromkeys(
    ("0", "f", "F", "FALSE", "false", "False"), False
)

_DECIMAL: Final = re.compile(r"[+-]?[0-9]+")
# Go's literal with base 0: an underscore stands between digits or behind the base prefix only
_LITERAL: Final = re.compile(
    r"(?P<sign>[+-]?)(?:"
    r"0[xX](?P<hex>(?:_?[0-9a-fA-F])+)|0[bB](?P<binary>(?:_?[01])+)|0[oO]?(?P<octal>(?:_?[0-7])+)"
    r"|(?P<decimal>0|[1-9](?:_?[0-9])*))"
)
_BASES: Final = {"hex": 16, "binary": 2, "octal": 8, "decimal": 10}

_NANOSECONDS: Final = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,  # micro sign
    "\u03bcs": 1_000,  # Greek mu
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_DURATION_PART: Final = re.compile(r"(?P<whole>[0-9]*)(?P<fraction>\.[0-9]*)?(?P<unit>[^0-9.]*)")
_DURATION_MAX: Final = 1 << 63
LONGEST_DURATION: Final = 1024  # characters: forty times the longest one that says nothing twice
_MAX_DIGITS: Final = 4000  # Python refuses 4300; long before that every number is out of range


def is_truthy(text: str) -> bool:
    """Dapr's reading of a yes: everything else is a no, never an error."""
    return text.strip().lower() in _TRUTHY


def parse_bool(text: str) -> bool:
    """Go's `strconv.ParseBool`."""
    if text not in _BOOLS:
        raise _syntax_error("ParseBool", text)
    return _BOOLS[text]


def parse_int(text: str, *, base: int = 10, bits: int = 64, function: str = "ParseInt") -> int:
    """Go's `strconv.ParseInt`; with base 0 the text may carry 0x, 0o, 0b, a leading 0 and underscores."""
    number = _literal(text) if base == 0 else _decimal(text)
    if number is None:
        raise _syntax_error(function, text)
    if not -(1 << (bits - 1)) <= number < 1 << (bits - 1):
        raise _range_error(function, text)
    return number


def parse_uint(text: str, *, base: int = 10, bits: int = 64) -> int:
    """Go's `strconv.ParseUint`: no sign at all."""
    number = _literal(text) if base == 0 else _decimal(text)
    if number is None or text[0] in "+-":
        raise _syntax_error("ParseUint", text)
    if number >= 1 << bits:
        raise _range_error("ParseUint", text)
    return number


def atoi(text: str) -> int:
    """Go's `strconv.Atoi`."""
    return parse_int(text, function="Atoi")


def parse_duration(text: str) -> float:
    """Go's `time.ParseDuration`, in seconds."""
    return parse_nanoseconds(text) / 1e9


def parse_nanoseconds(text: str) -> int:
    """Go's `time.ParseDuration`, exactly. A text without measure is as good as an unreadable one."""
    at = 1 if text[:1] in {"+", "-"} else 0
    if text[at:] == "0":
        return 0
    if len(text) == at or len(text) > LONGEST_DURATION:
        raise _invalid_duration(text[:LONGEST_DURATION])

    total = 0
    while at < len(text):
        part = _DURATION_PART.match(text, at)
        if part is None or not re.search(r"[0-9]", part[0]) or text[at] not in "0123456789.":
            raise _invalid_duration(text)
        total += _nanoseconds(part, text)
        at = part.end()

    if total > _DURATION_MAX or (total == _DURATION_MAX and text[0] != "-"):
        raise _invalid_duration(text)
    return -total if text[0] == "-" else total


def format_duration(seconds: float) -> str:
    """Go's print of a duration: `1m30s`, `0s`, `250ms`."""
    return format_nanoseconds(round(seconds * 1e9))


def format_nanoseconds(nanoseconds: int) -> str:
    """The same of whole nanoseconds."""
    sign, nanoseconds = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if nanoseconds == 0:
        return "0s"
    for unit in ("ns", "\u00b5s", "ms"):
        if nanoseconds < _NANOSECONDS[unit] * 1000:
            return f"{sign}{_shortest(nanoseconds, _NANOSECONDS[unit])}{unit}"
    minutes, nanoseconds = divmod(nanoseconds, _NANOSECONDS["m"])
    hours, minutes = divmod(minutes, 60)
    text = f"{_shortest(nanoseconds, _NANOSECONDS['s'])}s"
    if hours:
        return f"{sign}{hours}h{minutes}m{text}"
    return f"{sign}{minutes}m{text}" if minutes else f"{sign}{text}"


def _literal(text: str) -> int | None:
    match = _LITERAL.fullmatch(text)
    if match is None:
        return None
    kind = next(kind for kind in _BASES if match[kind] is not None)
    number = int(match[kind].removeprefix("_"), _BASES[kind])
    return -number if match["sign"] == "-" else number


def _decimal(text: str) -> int | None:
    return int(text[:_MAX_DIGITS]) if _DECIMAL.fullmatch(text) else None


def _nanoseconds(part: re.Match[str], duration: str) -> int:
    unit, whole = part["unit"], int(part["whole"][:_MAX_DIGITS] or "0")
    if whole > _DURATION_MAX:
        raise _invalid_duration(duration)
    if not unit:
        raise ValueError(f"time: missing unit in duration {quote_bytes(duration)}")
    if unit not in _NANOSECONDS:
        raise ValueError(f"time: unknown unit {quote_bytes(unit)} in duration {quote_bytes(duration)}")
    scale = _NANOSECONDS[unit]
    digits = (part["fraction"] or ".")[1:_MAX_DIGITS]
    one: int = 10 ** len(digits)
    return whole * scale + int(digits or "0") * scale // one


def _shortest(nanoseconds: int, scale: int) -> str:
    whole, rest = divmod(nanoseconds, scale)
    if not rest:
        return str(whole)
    return f"{whole}." + f"{rest:0{len(str(scale)) - 1}d}".rstrip("0")


def _invalid_duration(text: str) -> ValueError:
    return ValueError(f"time: invalid duration {quote_bytes(text)}")


def _syntax_error(function: str, text: str) -> ValueError:
    return ValueError(f"strconv.{function}: parsing {quote(text)}: invalid syntax")


def _range_error(function: str, text: str) -> ValueError:
    return ValueError(f"strconv.{function}: parsing {quote(text)}: value out of range")
