"""Go's package strconv: texts to numbers and truth, and numbers to texts. Users of daprd know its error texts."""

import re
from decimal import Decimal
from typing import Final

from dapr_state.golang.quoting import quote

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
_LEAST_EXPONENT, _MOST_EXPONENT = -4, 6  # between them %v prints no exponent
_MAX_DIGITS: Final = 4000  # Python refuses 4300; long before that every number is out of range


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


def format_float(number: float) -> str:
    """A finite number as `%v` prints a float64: the fewest digits that mean it, from a million on with an exponent."""
    exact = Decimal(repr(number)).normalize()
    if not number or _LEAST_EXPONENT <= exact.adjusted() < _MOST_EXPONENT:
        return f"{exact:f}"
    sign, (first, *others), _ = exact.as_tuple()
    point = "." if others else ""
    return f"{'-' * sign}{first}{point}{''.join(map(str, others))}e{exact.adjusted():+03}"


def _literal(text: str) -> int | None:
    match = _LITERAL.fullmatch(text)
    if match is None:
        return None
    kind = next(kind for kind in _BASES if match[kind] is not None)
    number = int(match[kind].removeprefix("_")[:_MAX_DIGITS], _BASES[kind])
    return -number if match["sign"] == "-" else number


def _decimal(text: str) -> int | None:
    return int(text[:_MAX_DIGITS]) if _DECIMAL.fullmatch(text) else None


def _syntax_error(function: str, text: str) -> ValueError:
    return ValueError(f"strconv.{function}: parsing {quote(text)}: invalid syntax")


def _range_error(function: str, text: str) -> ValueError:
    return ValueError(f"strconv.{function}: parsing {quote(text)}: value out of range")
