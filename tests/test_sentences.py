"""Every module says what belongs in it, and every test what must hold."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "dapr_state").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
KIT = sorted((ROOT / "dapr_state" / "testing").rglob("*.py"))


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [*MODULES, *TESTS], ids=_name)
def test_a_module_opens_with_its_sentence(path: Path) -> None:
    """The first line of its docstring is a sentence."""
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""

    assert docstring.partition("\n")[0].endswith(".")


@pytest.mark.parametrize("path", [*(path for path in TESTS if path.name.startswith("test_")), *KIT], ids=_name)
def test_a_test_says_what_must_hold(path: Path) -> None:
    """Each test function has a docstring that is a sentence."""
    functions = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, _FUNCTIONS))
    silent = [
        each.name
        for each in functions
        if each.name.startswith("test_") and not (ast.get_docstring(each) or "").endswith(".")
    ]

    assert silent == []


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
