"""Texts that are nearly JSON, with what daprd says of each as a value saved over gRPC that is declared to be JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

END = "unexpected end of JSON input"
VALUE = "looking for beginning of value"
KEY = "looking for beginning of object key string"


def _invalid(char: str, where: str) -> str:
    return f"invalid character {char} {where}"


ODD: Mapping[bytes, str | None] = {
    b"": END,
    b" ": END,
    b"{": END,
    b"[": END,
    b"[1,2": END,
    b"[[1],[2]": END,
    b'"a': END,
    b"[1,]": _invalid("']'", VALUE),
    b"[,1]": _invalid("','", VALUE),
    b"[}": _invalid("'}'", VALUE),
    b"]": _invalid("']'", VALUE),
    b'{"a":}': _invalid("'}'", VALUE),
    b".5": _invalid("'.'", VALUE),
    b"+1": _invalid("'+'", VALUE),
    b"'a'": _invalid(r"'\''", VALUE),
    b"NaN": _invalid("'N'", VALUE),
    b"/*c*/1": _invalid("'/'", VALUE),
    b"\x00": _invalid(r"'\x00'", VALUE),
    b"\xc3\xa9": _invalid("'Ã'", VALUE),
    b"\xef\xbb\xbf1": _invalid("'ï'", VALUE),
    b"[1,2,3,x]": _invalid("'x'", VALUE),
    b'{"k":[1,2],"l":{"m":1,"n":[{}]},"o":}': _invalid("'}'", VALUE),
    b'{"a":1,}': _invalid("'}'", KEY),
    b"{a:1}": _invalid("'a'", KEY),
    b"{]": _invalid("']'", KEY),
    b"{,}": _invalid("','", KEY),
    b'{"a"}': _invalid("'}'", "after object key"),
    b'{"a" 1}': _invalid("'1'", "after object key"),
    b'{"a":1 "b":2}': _invalid("'\"'", "after object key:value pair"),
    b"[1 2]": _invalid("'2'", "after array element"),
    b"1 2": _invalid("'2'", "after top-level value"),
    b'"a"b': _invalid("'b'", "after top-level value"),
    b'{"a":1}}': _invalid("'}'", "after top-level value"),
    b"01": _invalid("'1'", "after top-level value"),
    b"nul": _invalid("' '", "in literal null (expecting 'l')"),
    b"nulL": _invalid("'L'", "in literal null (expecting 'l')"),
    b"tru e": _invalid("' '", "in literal true (expecting 'e')"),
    b'{"a":{"b":[1,{"c":tru}]}}': _invalid("'}'", "in literal true (expecting 'e')"),
    b"-": _invalid("' '", "in numeric literal"),
    b"-a": _invalid("'a'", "in numeric literal"),
    b"1.": _invalid("' '", "after decimal point in numeric literal"),
    b"1e": _invalid("' '", "in exponent of numeric literal"),
    b"1e+": _invalid("' '", "in exponent of numeric literal"),
    b'"\n"': _invalid(r"'\n'", "in string literal"),
    b'"\\x"': _invalid("'x'", "in string escape code"),
    b'"\\': _invalid("' '", "in string escape code"),
    b'"\\u12g4"': _invalid("'g'", "in \\u hexadecimal character escape"),
    b'"\\u1': _invalid("' '", "in \\u hexadecimal character escape"),
    b"[" * 10_001 + b"]" * 10_001: "invalid character '[' exceeded max depth",
    b"[" * 10_000 + b"]" * 10_000: None,
    b'"\\ud800"': None,
    b'"\xff"': None,
    b'"\x7f"': None,
}
