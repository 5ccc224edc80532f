"""Page tokens that somebody made himself: their digest is right, what is in them need not be."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from dapr_state.query import tokens
from dapr_state.query.scan import Position
from dapr_state.query.text import parse
from dapr_state.query.tree import ForeignTokenError

WHOSE = ("store", "app||")


async def _read(*ranks: tuple[int, Any]) -> Position | None:
    query = await parse(b'{"sort":[{"key":"a"}],"page":{"limit":1}}')
    return tokens.read(replace(query, token=tokens.write(Position(ranks, "app||k"), query, WHOSE)), WHOSE)


@pytest.mark.parametrize(
    "rank", [(0, True), (1, Decimal("-1.50")), (1, Decimal("1e999999999")), (2, "x"), (3, False), (4, False)]
)
async def test_a_place_is_read_as_it_was_written(rank: tuple[int, Any]) -> None:
    """Of every kind that a value sorts as."""
    assert await _read(rank) == Position((rank,), "app||k")


@pytest.mark.parametrize(
    "ranks",
    [
        [],
        [(1, "1"), (1, "2")],
        [(1, "NaN")],
        [(1, "sNaN")],
        [(1, "Infinity")],
        [(1, "abc")],
        [(1, "1e99999999999999999999")],
        [(1, True)],
        [(2, True)],
        [(0, "x")],
        [(5, "x")],
        [(-1, "x")],
    ],
)
async def test_a_place_that_there_cannot_be_is_refused(ranks: list[tuple[int, Any]]) -> None:
    """As the token of another query is: it compares with no row."""
    with pytest.raises(ForeignTokenError):
        await _read(*ranks)
