"""Whatever is bounded is told in one table, docs/limits.md."""

from __future__ import annotations

import ast

import pytest

from tests.support import limits


def test_the_table_of_limits_is_the_source_s() -> None:
    """No limit is missing, none has another number there, none that is gone stands there; scripts/limits writes it."""
    told = limits.TABLE.read_text().splitlines()
    there = limits.table().splitlines()

    assert [line for line in there if line not in told] == []
    assert [line for line in told if line not in there] == []


def test_a_limit_says_why_it_is_so() -> None:
    """A comment with a reason, a number or a source stands beside each, or above it."""
    assert [limit.where for limit in limits.limits() if not limit.why] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("SIZE = 5", ["SIZE"]),
        ("SIZE: Final = 4 << 20", ["SIZE"]),
        ("SIZE = -1", ["SIZE"]),
        ('IDLE = float("inf")', ["IDLE"]),
        ("class Limits:\n    size: int = 5\n    name: str = ''", ["Limits.size"]),
        ("class Code(IntEnum):\n    OK = 0", []),
        ("NAME = 'x'", []),
        ("IS_ON = True", []),
    ],
)
def test_every_form_of_number_is_seen(source: str, found: list[str]) -> None:
    """Constants of modules and defaults of fields, but not what an enum counts."""
    nodes = ast.parse(source).body
    seen = [prefix + limits._target(each) for node in nodes for prefix, each in limits._numbers(node)]

    assert seen == found
