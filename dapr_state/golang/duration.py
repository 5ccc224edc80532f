"""Go's `time.Duration`: how it is read and shown."""

import re
from typing import Final

from dapr_state.golang.quoting import quote_bytes

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
_MAX_DIGITS: Final = 4000  # as strconv


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
