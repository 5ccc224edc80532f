"""Go's quoted strings, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapr_state.golang.quoting import quote, unquote


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("abc", '"abc"'),
        ('a"b\\c', r'"a\"b\\c"'),
        ("a\nb\tc\x07", r'"a\nb\tc\a"'),
        ("\x01\x7f", r'"\x01\x7f"'),
        ("\u00e9\u4e16", '"\u00e9\u4e16"'),
        ("\u200b", r'"\u200b"'),
        ("\U000e0001", r'"\U000e0001"'),
    ],
)
def test_quote(text: str, quoted: str) -> None:
    """Printable characters stay, others become escapes."""
    assert quote(text) == quoted


@pytest.mark.parametrize(
    ("literal", "text"),
    [
        ('"q"', "q"),
        ('""', ""),
        ("'x'", "x"),
        ("`a\\n`", "a\\n"),
        (r'"a\nb"', "a\nb"),
        (r'"\x41\102\u0043\U00000044"', "ABCD"),
        (r'"\xc3\xa9"', "\u00e9"),
    ],
)
def test_unquote(literal: str, text: str) -> None:
    """A Go literal loses its quotes and escapes."""
    assert unquote(literal) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        '"',
        "abc",
        "'xy'",
        "''",
        '"a',
        'a"',
        '"a"b"',
        r'"\'"',
        r"'\"'",
        r'"\q"',
        '"a\nb"',
        "`a`b`",
        r'"\xff"',
        '"\\"',
    ],
)
def test_what_is_no_literal_stays(text: str) -> None:
    """Anything else is kept as it is."""
    assert unquote(text) == text


@given(st.text())
def test_quoting_is_undone(text: str) -> None:
    """Unquoting what was quoted gives the text back."""
    assert unquote(quote(text)) == text
