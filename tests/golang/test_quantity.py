"""Kubernetes quantities as numbers of bytes."""

from __future__ import annotations

import pytest

from dapr_state.golang.quantity import parse_bytes


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("4Mi", 4 << 20),
        ("+4Ki", 4096),
        ("1.5k", 1500),
        (".5k", 500),
        ("1.", 1),
        ("1e3", 1000),
        ("1E", 10**18),
        ("1.5Mi", 3 << 19),  # daprd refuses it
        ("-1", -1),
    ],
)
def test_quantities(text: str, number: int) -> None:
    """Decimal and binary suffixes and exponents are understood."""
    assert parse_bytes(text) == number


SHAPE = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", SHAPE),
        ("x", SHAPE),
        ("4MB", SHAPE),
        ("1..2", SHAPE),
        ("4 Mi", SHAPE),
        ("1e", "unable to parse quantity's suffix"),
        ("4iM", "unable to parse quantity's suffix"),
        ("1.5", "cannot get bytes from resource quantity value '1.5'"),
        ("100m", "cannot get bytes from resource quantity value '100m'"),
        ("8Ei", "cannot get bytes from resource quantity value '8Ei'"),
        ("1e999", "cannot get bytes from resource quantity value '1e999'"),
    ],
)
def test_wrong_quantities(text: str, error: str) -> None:
    """What is no whole number of bytes is refused in daprd's words."""
    with pytest.raises(ValueError) as raised:  # noqa: PT011  the whole text is compared
        parse_bytes(text)

    assert str(raised.value) == error
