"""The variables of a run file: .env files, and ${NAME} in texts."""

from __future__ import annotations

import pytest

from dapr_state.runtime.run import editor, variables


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=1", "1"),
        ("export A = two words ", "two words"),
        ("A='x # y'  # said", "x # y"),
        ('A="x \\"y\\""', 'x "y"'),
        ("A=x#y", "x#y"),
        ("A=x # said", "x"),
        ("A=", ""),
        ('A=""', ""),
        ("A=it's", "it's"),
        ("A=a=b", "a=b"),
    ],
)
def test_a_line_of_a_file(line: str, value: str) -> None:
    """Quotes, comments and blanks are as other tools have them."""
    assert variables.of_text(f"# said\n\n{line}\n") == {"A": value}


@pytest.mark.parametrize("line", ["A", "=x", "1A=x", 'A="x', "A='x' y"])
def test_a_line_that_says_nothing(line: str) -> None:
    """It is named by its number, and its value is not shown."""
    with pytest.raises(ValueError, match=r"^line 2 is no NAME=value$"):
        variables.of_text(f"B=1\n{line}")


def test_names_in_texts() -> None:
    """Wherever they stand; what is set to nothing has its default, as in shells."""
    document = {"env": {"A": "${X}/${Y:-y}/${Z:-}"}, "command": ["$X", "${X}${X}"], "appPort": 1}

    assert variables.filled(document, {"X": "x", "Y": ""}) == {
        "env": {"A": "x/y/"},
        "command": ["$X", "xx"],
        "appPort": 1,
    }
    with pytest.raises(ValueError, match="X is not set"):
        variables.filled(document, {})


def test_what_is_printed_is_read_again() -> None:
    """Whatever stands in a value."""
    said = {"A": "two words", "B": "x#y", "C": ""}

    assert variables.of_text("\n".join(editor.lines(said, "dotenv"))) == said
    assert next(editor.lines(said, "export")) == "export A='two words'"
