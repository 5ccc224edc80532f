"""Indexes on paths of the values: declared by the component, used by queries, and kept by every program that writes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from dapr_state.resources.properties import PropertiesError
from dapr_state.stores.model import Upsert
from dapr_state.testing.stores.asking import put
from dapr_state.testing.stores.queries import ask
from tests.stores.sqlite.conftest import store
from tests.support.client import item
from tests.support.components import component
from tests.support.http import ask as http
from tests.support.sidecar import Daprd

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stores.sqlite.conftest import File

ROWS = 3000
INDEXES = '[{"name":"people","indexes":[{"key":"city","type":"TEXT"},{"key":"born.year","type":"NUMERIC"}]}]'


def people() -> list[Upsert]:
    """A few in each city and of each year; every seventh is kept as octets."""
    return [
        Upsert(
            f"app||{number:05}",
            json.dumps({"city": f"city {number % 500}", "born": {"year": number % 400}}).encode(),
            is_json=bool(number % 7),
        )
        for number in range(ROWS)
    ]


@pytest.mark.parametrize(
    "condition",
    [
        '{"EQ":{"city":"city 7"}}',
        '{"IN":{"city":["city 7","city 8",3]}}',
        '{"EQ":{"born.year":7}}',
        '{"LT":{"born.year":3}}',
        '{"GTE":{"city":"city 99"}}',
        '{"AND":[{"NEQ":{"born":1}},{"EQ":{"city":"city 7"}}]}',
        '{"OR":[{"EQ":{"city":"city 7"}},{"GT":{"born.year":398}}]}',
    ],
)
async def test_a_query_looks_at_few_rows(file: File, condition: str) -> None:
    """The index finds what may match and what it does not know: no scan, and the result is that of one."""
    async with file.opened() as plain:
        await put(plain, *people())
        expected, _ = await ask(plain, f'{{"filter":{condition}}}')
    statements: list[str] = []
    async with file.opened(queryIndexes=INDEXES) as indexed:
        indexed._executors[1].connection.set_trace_callback(statements.append)
        found, _ = await ask(indexed, f'{{"filter":{condition}}}')
        of_index = [sql for sql in statements if "INDEXED BY" in sql]
        plans = [row[-1] for sql in of_index for row in file.sql(f"EXPLAIN QUERY PLAN {sql}")]

    assert found == expected
    assert found
    assert plans
    assert {re.sub(r"COVERING |query_\w+ \(.*\)", "", plan) for plan in plans} == {"SEARCH state USING INDEX state_"}
    assert not [sql for sql in statements if "ORDER BY key LIMIT" in sql]  # of a list


async def test_what_an_index_finds_too_many_of_is_gone_through(file: File) -> None:
    """A page of it is the first rows that there are."""
    async with file.opened(queryIndexes=INDEXES) as indexed:
        await put(indexed, *people())
        found, _ = await ask(indexed, '{"filter":{"GTE":{"born.year":0}},"page":{"limit":3}}')

    assert found == ["00000", "00001", "00002"]


async def test_an_index_outlives_its_declaration(file: File) -> None:
    """Made once, kept by whoever writes; the same declaration finds it again."""
    names = "SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE 'state_query_%' ORDER BY 1"
    async with file.opened(queryIndexes=INDEXES):
        made = file.sql(names)
    async with file.opened() as plain:
        await put(plain, Upsert("app||a", b'{"city":"x"}', is_json=True))
    async with file.opened(queryIndexes=INDEXES) as indexed:
        found, _ = await ask(indexed, '{"filter":{"EQ":{"city":"x"}}}')
        kept = file.sql(names)

    assert (len(made), kept, found) == (2, made, ["a"])


async def test_daprd_writes_a_table_that_has_indexes(file: File, tmp_path: Path, daprd_binary: Path) -> None:
    """Over HTTP and gRPC, objects and texts: what it writes is found by the index."""
    async with file.opened(queryIndexes=INDEXES):
        pass
    components = [component("lite", "state.sqlite", connectionString=str(file.path))]
    with Daprd(daprd_binary, tmp_path, components, app_id="app") as daprd, daprd.client() as client:
        body = '[{"key":"a","value":{"city":"Bern"}},{"key":"b","value":"text"},{"key":"c","value":{"city":"Chur"}}]'
        saved = http(daprd.http_port, "POST", "/v1.0/state/lite", body).code
        assert client.save("lite", item("d", b'{"city":"Bern"}')).ok
    async with file.opened(queryIndexes=INDEXES) as indexed:
        found, _ = await ask(indexed, '{"filter":{"EQ":{"city":"Bern"}}}')

    assert (saved, found) == (204, ["a", "d"])


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        ("{}", "Expected `array`, got `object`"),
        ('[{"indexes":[]}]', "empty query schema name"),
        ('[{"name":"a"},{"name":"a"}]', "duplicate schema name a"),
        ('[{"name":"a","indexes":[{"type":"TEXT"}]}]', "empty key in query schema a"),
        ('[{"name":"a","indexes":[{"key":"x"}]}]', "empty type in query schema a"),
        (
            """[{"name":"a","indexes":[{"key":"x'","type":"t"}]}]""",
            'the steps of a path are letters, digits and _: "x\'"',
        ),
    ],
)
def test_what_is_wrong_with_a_declaration_is_said(declared: str, text: str) -> None:
    """At the start, as daprd's Redis says it."""
    with pytest.raises(PropertiesError) as refused:
        store(connectionString=":memory:", queryIndexes=declared)

    assert str(refused.value) == f"error parsing query index schema: {text}"
