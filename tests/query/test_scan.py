"""Pages of a query over a store that lists in no order, and may tell a row twice, as SCAN of Redis does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from dapr_state.query import scan
from dapr_state.query.budget import QueryBudgets
from dapr_state.query.text import parse
from dapr_state.stores.model import StoredValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapr_state.query.tree import Condition


class Row(NamedTuple):
    key: str
    row: StoredValue


class Told(NamedTuple):
    """All rows, as they were when the store came by."""

    entries: Sequence[Row]
    after: str = ""

    async def list(self, _: str, *, after: str = "", limit: int) -> Told:  # noqa: ARG002
        return self

    async def get(self, _: Sequence[str]) -> Sequence[StoredValue | None]:
        return []

    async def candidates(self, _: str, condition: Condition) -> Sequence[str] | None:  # noqa: ARG002
        return None

    def list_behind(self, _: str) -> str | None:
        return None


def told(*rows: tuple[str, int]) -> Told:
    return Told([Row(key, StoredValue(json.dumps({"n": number}).encode(), "1")) for key, number in rows])


async def test_a_row_that_is_told_twice_and_changed_meanwhile_costs_no_other_its_page() -> None:
    """What did not change is on the first page, or behind its end."""
    query = await parse(b'{"sort":[{"key":"n"}],"page":{"limit":2}}')
    with QueryBudgets().enter("store") as budget:
        first = await scan.run(told(("a", 1), ("b", 2), ("c", 3), ("a", 9)), "", query, None, budget)
    with QueryBudgets().enter("store") as budget:
        second = await scan.run(told(("a", 9), ("b", 2), ("c", 3)), "", query, first.end, budget)

    pages = [[match.key for match in page.found] for page in (first, second)]
    assert pages == [["a", "b"], ["c", "a"]]
