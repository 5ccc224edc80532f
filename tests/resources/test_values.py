"""Numbers, truth and durations by Go's rules; the expected texts were taken from daprd's own output."""

from __future__ import annotations

import pytest

from dapr_state.resources import values


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("300ms", 0.3),
        ("1.5s", 1.5),
        ("1h30m", 5400.0),
        ("-5s", -5.0),
        ("+2m", 120.0),
        (".5s", 0.5),
        ("1us", 1e-6),
        ("1\u00b5s", 1e-6),
        ("1\u03bcs", 1e-6),
        ("7ns", 7e-9),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """A duration is a sign and one or more numbers with a unit."""
    assert values.parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", 'time: invalid duration ""'),
        ("abc", 'time: invalid duration "abc"'),
        ("-", 'time: invalid duration "-"'),
        (".s", 'time: invalid duration ".s"'),
        ("5", 'time: missing unit in duration "5"'),
        ("1.5", 'time: missing unit in duration "1.5"'),
        ("1s2", 'time: missing unit in duration "1s2"'),
        ("1d", 'time: unknown unit "d" in duration "1d"'),
        ("5 s", 'time: unknown unit " s" in duration "5 s"'),
        ("3000000h", 'time: invalid duration "3000000h"'),
        ("9" * 20, 'time: invalid duration "99999999999999999999"'),
        ("\u00e9", 'time: invalid duration "\\xc3\\xa9"'),
    ],
)
def test_wrong_durations(text: str, error: str) -> None:
    """What is no duration is told in Go's words."""
    with pytest.raises(ValueError) as raised:  # noqa: PT011  the whole text is compared
        values.parse_duration(text)

    assert str(raised.value) == error


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (30, "30s"), (90, "1m30s"), (3661.5, "1h1m1.5s"), (0.25, "250ms"), (1.5e-6, "1.5\u00b5s"), (-5, "-5s")],
)
def test_durations_are_shown_as_go_does(seconds: float, text: str) -> None:
    """The largest unit comes first, and needless zeros are left out."""
    assert values.format_duration(seconds) == text


@pytest.mark.parametrize(("text", "number"), [("12", 12), ("+5", 5), ("-1", -1), ("007", 7)])
def test_integers(text: str, number: int) -> None:
    """Digits with or without a sign."""
    assert values.atoi(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [("0x1F", 31), ("-0x10", -16), ("0b101", 5), ("0o17", 15), ("017", 15), ("1_000", 1000), ("0_1", 1), ("0", 0)],
)
def test_integers_with_any_base(text: str, number: int) -> None:
    """With base 0 a prefix gives the base, and underscores may stand between digits."""
    assert values.parse_int(text, base=0) == number


@pytest.mark.parametrize("text", ["", " 5", "1.5", "abc", "0x1F", "1_000", "+", "--1", "\u0663"])
def test_wrong_integers(text: str) -> None:
    """Blanks, fractions, other bases and other scripts' digits are refused, and the text is shown quoted."""
    with pytest.raises(ValueError, match=r"^strconv.Atoi: parsing ") as raised:
        values.atoi(text)

    assert str(raised.value) == f'strconv.Atoi: parsing "{text}": invalid syntax'


@pytest.mark.parametrize("text", ["9223372036854775808", "-9223372036854775809", "9" * 5000])
def test_integers_out_of_range(text: str) -> None:
    """Integers have 64 bits."""
    with pytest.raises(ValueError, match=r"^strconv.ParseInt: parsing .*: value out of range$"):
        values.parse_int(text)


@pytest.mark.parametrize("text", ["-1", "+1", "", "x", "1.5"])
def test_wrong_unsigned_integers(text: str) -> None:
    """An unsigned integer has no sign at all."""
    with pytest.raises(ValueError, match=r"^strconv.ParseUint: parsing .*: invalid syntax$"):
        values.parse_uint(text)


def test_unsigned_integers_out_of_range() -> None:
    """A port has 16 bits."""
    with pytest.raises(ValueError, match=r'^strconv.ParseUint: parsing "65536": value out of range$'):
        values.parse_uint("65536", bits=16)


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True"])
def test_strict_truth(text: str) -> None:
    """Go's six words for true, and no others."""
    assert values.parse_bool(text) is True


@pytest.mark.parametrize("text", ["yes", "on", "", " true", "tRUE"])
def test_wrong_strict_truth(text: str) -> None:
    """YAML's words for true are not Go's."""
    with pytest.raises(ValueError, match=r"^strconv.ParseBool: parsing .*: invalid syntax$"):
        values.parse_bool(text)


@pytest.mark.parametrize(
    ("text", "truth"),
    [("y", True), (" YES ", True), ("On", True), ("1", True), ("T", True), ("", False), ("2", False), ("ja", False)],
)
def test_lenient_truth(text: str, truth: bool) -> None:
    """A few words mean yes, everything else no."""
    assert values.is_truthy(text) is truth
