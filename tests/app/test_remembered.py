"""What is worked out once for what repeats itself."""

from __future__ import annotations

import pytest

from dapr_state.app.remembered import ENTRIES, LONGEST, Remembered, octets_of


def test_it_is_worked_out_once_and_bounded() -> None:
    """Of many keys some are worked out anew; of long ones each, every time."""
    made: list[str] = []

    def make(key: str) -> str:
        made.append(key)
        return key.upper()

    remembered = Remembered(make, len)
    answers = [remembered.of(key) for key in ("a", "a", "b" * (LONGEST + 1), "b" * (LONGEST + 1))]
    before = len(made)
    for number in range(10 * ENTRIES):
        remembered.of(str(number))

    assert [each[0] for each in answers] == ["A", "A", "B", "B"]
    assert before == 3
    assert len(remembered._known) <= ENTRIES


def test_what_it_raises_is_raised_each_time() -> None:
    """An error keeps what it was raised for."""
    remembered = Remembered(int, len)

    for _ in range(2):
        with pytest.raises(ValueError, match="x"):
            remembered.of("x")
    assert remembered._known == {}


def test_headers_are_as_long_as_their_names_and_values() -> None:
    """All of them together."""
    assert octets_of((("ab", "c"), ("d", ""))) == 4
