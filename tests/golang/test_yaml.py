"""YAML as daprd's library reads it."""

from __future__ import annotations

from typing import Any

import pytest

from dapr_state.golang import yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x", "x"),
        ('"12"', "12"),
        ("12", 12),
        ("y", True),
        ("Off", False),
        ("tRUE", "tRUE"),
        ("~", None),
        ("", None),
        ("1.50", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("0x1F", 31),
        ("010", 8),
        ("08", 8.0),
        ("0b101", 5),
        ("1_000", 1000),
        ("18446744073709551615", 18446744073709551615),
        ("99999999999999999999", 1e20),
        ("1:30", "1:30"),
        ("2024-01-02", "2024-01-02"),
        ("1.2.3", "1.2.3"),
        ("-", [None]),
        ("!!str 12", "12"),
        ('!!int "0x10"', 16),
        ("{a: 1, a: 2}", {"a": 2}),
        ("{1: a, true: b, 1.5: c}", {"1": "a", "true": "b", "1.5": "c"}),
        ("[&a {b: c}, *a]", [{"b": "c"}, {"b": "c"}]),
        ("{<<: {a: 1, b: 2}, b: 3}", {"a": 1, "b": 3}),
    ],
)
def test_scalars(text: str, value: Any) -> None:
    """Words, numbers and tags are those of YAML 1.1 in the Go library's dialect; dates stay texts."""
    parsed = yaml.parse(text)

    assert (parsed, type(parsed)) == (value, type(value))


def test_documents_are_split() -> None:
    """A line that begins with three dashes ends a document, whatever follows on it."""
    parts = list(yaml.split("a: 1\n---\nb: 2\nc: 3\n--- # comment\nd: 4"))

    assert parts == [(1, "a: 1"), (3, "b: 2\nc: 3"), (6, "d: 4")]


def test_the_first_line_may_be_dashes() -> None:
    """Dashes before the first document start it."""
    [(line, text)] = yaml.split("---\na: 1\n")

    assert (line, yaml.parse(text)) == (1, {"a": 1})


def test_an_error_names_the_line_of_the_file() -> None:
    """Lines are counted from the start of the file, not of the document, and a tab is explained."""
    _, (line, text) = yaml.split("a: 1\n---\nb:\n\tc: 1\n")

    with pytest.raises(yaml.DocumentError) as raised:
        yaml.parse(text, line)

    assert str(raised.value) == "line 4: found character '\\t' that cannot start any token; indent with spaces"


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "*nowhere",
        "{[1]: 2}",
        "!!python/object:os.system x",
        "a: b: c",
        "{~: 1}",
        "!!map x",
        "!!int [1]",
        "\x00",
    ],
)
def test_what_is_no_yaml(text: str) -> None:
    """Broken YAML, and YAML that would run code, is refused."""
    with pytest.raises(yaml.DocumentError):
        yaml.parse(text)


def test_a_document_with_too_many_values_is_read_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands behind them is not even looked at: each takes memory before it is known to be one too many."""
    monkeypatch.setattr(yaml, "NODES_AT_MOST", 100)
    with pytest.raises(yaml.DocumentError, match="the document has more than"):
        yaml.parse("[" + "1," * 100 + "1] ]: no YAML")
