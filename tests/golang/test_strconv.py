"""Numbers and truth by Go's rules; the expected texts were taken from daprd's own output."""

from __future__ import annotations

import pytest

from dapr_state.golang import strconv


@pytest.mark.parametrize(("text", "number"), [("12", 12), ("+5", 5), ("-1", -1), ("007", 7)])
def test_integers(text: str, number: int) -> None:
    """Digits with or without a sign."""
    assert strconv.atoi(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [("0x1F", 31), ("-0x10", -16), ("0b101", 5), ("0o17", 15), ("017", 15), ("1_000", 1000), ("0_1", 1), ("0", 0)],
)
def test_integers_with_any_base(text: str, number: int) -> None:
    """With base 0 a prefix gives the base, and underscores may stand between digits."""
    assert strconv.parse_int(text, base=0) == number


@pytest.mark.parametrize("text", ["", " 5", "1.5", "abc", "0x1F", "1_000", "+", "--1", "\u0663"])
def test_wrong_integers(text: str) -> None:
    """Blanks, fractions, other bases and other scripts' digits are refused, and the text is shown quoted."""
    with pytest.raises(ValueError, match=r"^strconv.Atoi: parsing ") as raised:
        strconv.atoi(text)

    assert str(raised.value) == f'strconv.Atoi: parsing "{text}": invalid syntax'


@pytest.mark.parametrize("text", ["9223372036854775808", "-9223372036854775809", "9" * 5000])
def test_integers_out_of_range(text: str) -> None:
    """Integers have 64 bits, with a base of their own or without."""
    for base in (10, 0):
        with pytest.raises(ValueError, match=r"^strconv.ParseInt: parsing .*: value out of range$"):
            strconv.parse_int(text, base=base)


@pytest.mark.parametrize("text", ["-1", "+1", "", "x", "1.5"])
def test_wrong_unsigned_integers(text: str) -> None:
    """An unsigned integer has no sign at all."""
    with pytest.raises(ValueError, match=r"^strconv.ParseUint: parsing .*: invalid syntax$"):
        strconv.parse_uint(text)


def test_unsigned_integers_out_of_range() -> None:
    """A port has 16 bits."""
    with pytest.raises(ValueError, match=r'^strconv.ParseUint: parsing "65536": value out of range$'):
        strconv.parse_uint("65536", bits=16)


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True"])
def test_strict_truth(text: str) -> None:
    """Go's six words for true, and no others."""
    assert strconv.parse_bool(text) is True


@pytest.mark.parametrize("text", ["yes", "on", "", " true", "tRUE"])
def test_wrong_strict_truth(text: str) -> None:
    """YAML's words for true are not Go's."""
    with pytest.raises(ValueError, match=r"^strconv.ParseBool: parsing .*: invalid syntax$"):
        strconv.parse_bool(text)
