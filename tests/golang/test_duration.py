"""Durations by Go's rules; the expected texts were taken from daprd's own output."""

from __future__ import annotations

import pytest

from dapr_state.golang.duration import format_duration, parse_duration


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
    assert parse_duration(text) == seconds


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
        parse_duration(text)

    assert str(raised.value) == error


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (30, "30s"), (90, "1m30s"), (3661.5, "1h1m1.5s"), (0.25, "250ms"), (1.5e-6, "1.5\u00b5s"), (-5, "-5s")],
)
def test_durations_are_shown_as_go_does(seconds: float, text: str) -> None:
    """The largest unit comes first, and needless zeros are left out."""
    assert format_duration(seconds) == text
