"""What a query means: each row of the tables in docs/query.md, on every store."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dapr_state.stores.model import Feature
from dapr_state.testing.stores.asking import put
from dapr_state.testing.stores.declaring import having
from dapr_state.testing.stores.queries import ask, plainly, stored

if TYPE_CHECKING:
    from dapr_state.testing.stores.declaring import Kind

DOCUMENT = Path(__file__).parents[2] / "docs" / "query.md"
CONDITIONS = re.findall(r"^\| `(.+)` \| `(.+)` \| (yes|no) \|$", DOCUMENT.read_text(), re.MULTILINE)
ORDER = re.findall(r"^\| `(\{.+\})` \|$", DOCUMENT.read_text(), re.MULTILINE)
ENOUGH = (70, 15)


def test_the_tables_are_there() -> None:
    """A change of their form would leave nothing to test."""
    assert (len(CONDITIONS) > ENOUGH[0], len(ORDER) > ENOUGH[1]) == (True, True)


@having(Feature.QUERY)
@pytest.mark.parametrize("as_text", [True, False], ids=["text", "octets"])
async def test_every_row_of_the_table_holds(kind: Kind, *, as_text: bool) -> None:
    """Its value is found by its filter, or is not; saved as JSON, or as the octets that gRPC gives."""
    rows = {f"{number:03}": row[0] for number, row in enumerate(CONDITIONS)}
    async with kind.opened() as store:
        await put(store, *stored(rows, as_text=as_text))
        seen = []
        for key, row in zip(rows, CONDITIONS, strict=True):
            found, _ = await ask(store, f'{{"filter":{row[1]}}}')
            seen.append((*row[:2], "yes" if key in found else "no"))

    assert seen == CONDITIONS


@having(Feature.QUERY)
@pytest.mark.parametrize("order", ["ASC", "DESC"])
async def test_the_order_is_that_of_the_table(kind: Kind, order: str) -> None:
    """Ascending as it stands, descending the other way round."""
    rows = {f"{number * 7 % len(ORDER):03}": ORDER[number * 7 % len(ORDER)] for number in range(len(ORDER))}
    async with kind.opened() as store:
        await put(store, *stored(rows, as_text=True))
        found, _ = await ask(store, json.dumps({"sort": [{"key": "a", "order": order}]}))

    assert found == sorted(rows, reverse=order == "DESC")


@pytest.mark.parametrize(("value", "condition", "found"), CONDITIONS)
def test_the_plain_evaluation_means_the_same(value: str, condition: str, found: str) -> None:
    """It is what random queries are compared with."""
    if "\\ud800" in value:  # Python takes half a pair
        return
    assert plainly(condition, [], {"k": value}) == (["k"] if found == "yes" else [])
