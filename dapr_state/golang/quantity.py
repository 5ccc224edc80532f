"""Kubernetes quantities (`4Mi`, `1.5k`, `1e3`) to a number of bytes."""

import re
from fractions import Fraction
from typing import Final

_SHAPE: Final = re.compile(r"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(?P<suffix>[eEinumkKMGTP]*[-+]?[0-9]*)")
_EXPONENT: Final = re.compile(r"[eE](?P<power>[+-]?[0-9]{1,3})")
_SUFFIXES: Final = (
    {"": Fraction(1)}
    | {suffix: Fraction(1, 1000**power) for power, suffix in enumerate("mun", start=1)}
    | {suffix: Fraction(1000**power) for power, suffix in enumerate("kMGTPE", start=1)}
    | {f"{suffix}i": Fraction(1024**power) for power, suffix in enumerate("KMGTPE", start=1)}
)
_BYTES_END: Final = 1 << 63


def parse_bytes(text: str) -> int:
    """Whole bytes only; the error's text is what daprd says."""
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise ValueError("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")
    number = Fraction(shape["number"]) * _scale(shape["suffix"])
    if number.denominator != 1 or not -_BYTES_END <= number < _BYTES_END:
        raise ValueError(f"cannot get bytes from resource quantity value '{text}'")
    return int(number)


def _scale(suffix: str) -> Fraction:
    exponent = _EXPONENT.fullmatch(suffix)
    if exponent is not None:
        return Fraction(10) ** int(exponent["power"])
    if suffix not in _SUFFIXES:
        raise ValueError("unable to parse quantity's suffix")
    return _SUFFIXES[suffix]
