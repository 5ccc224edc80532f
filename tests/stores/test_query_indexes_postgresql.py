"""Indexes on paths of the values in PostgreSQL: a query looks at what they find, and long values can be written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from dapr_state.query.text import parse
from dapr_state.resources.component import Component
from dapr_state.resources.properties import Properties
from dapr_state.stores import registry
from dapr_state.stores.model import Upsert
from dapr_state.stores.postgresql.indexes import QueryIndexes
from dapr_state.testing.stores.asking import put
from dapr_state.testing.stores.queries import ask

if TYPE_CHECKING:
    from dapr_state.stores.base import StateStore
    from tests.support.postgresql import PostgresServer

DATABASE = "query_indexes"
ROWS = 20_000
INDEXES = '[{"name":"people","indexes":[{"key":"city","type":"TEXT"},{"key":"born.year","type":"NUMERIC"}]}]'
CONDITION = '{"OR":[{"EQ":{"city":"city 7"}},{"GT":{"born.year":3998}}]}'


def store(server: PostgresServer) -> StateStore:
    properties = Properties({"connectionString": server.url(DATABASE), "queryIndexes": INDEXES})
    return registry.create(Component("store", "state.postgresql", "v1", properties))


class Statements:
    """In the place of a connection: what it is asked."""

    def __init__(self) -> None:
        self.sql: list[str] = []

    async def fetch(self, sql: str, *arguments: str | None) -> list[Any]:
        for number, argument in enumerate(arguments, 1):
            sql = sql.replace(f"${number}", "NULL" if argument is None else f"'{argument}'")
        self.sql.append(sql)
        return []


async def test_a_query_looks_at_what_the_index_finds(postgres_server: PostgresServer) -> None:
    """The server's plan goes through the declared indexes alone."""
    postgres_server.wipe(DATABASE)
    indexed = store(postgres_server)
    await indexed.open()
    rows = [
        Upsert(
            f"app||{number:05}",
            json.dumps({"city": f"city {number % 5000}", "born": {"year": number % 4000}}).encode(),
            is_json=True,
        )
        for number in range(ROWS)
    ]
    await put(indexed, *rows)
    await put(indexed, Upsert("app||octets", b'{"city":"city 7"}'))
    found, _ = await ask(indexed, f'{{"filter":{CONDITION}}}')
    await indexed.close()
    postgres_server.sql("ANALYZE state", database=DATABASE)
    condition = (await parse(f'{{"filter":{CONDITION}}}'.encode())).condition
    assert condition
    asked = Statements()
    names = QueryIndexes("state", [("city",), ("born", "year")])
    await names.candidates("app||", names.ways(condition), asked)
    plan = "\n".join(row[0] for row in postgres_server.sql(f"EXPLAIN {asked.sql[0]}", database=DATABASE))

    years = [f"{number:05}" for number in range(3999, ROWS, 4000)]
    cities = [f"{number:05}" for number in range(7, ROWS, 5000)]
    assert found == sorted([*years, *cities, "octets"])
    assert plan.count("Bitmap Index Scan on state_query_") == 4
    assert "Seq Scan" not in plan
    assert "state_key" not in plan


async def test_what_is_too_long_for_an_index_is_written_and_found(postgres_server: PostgresServer) -> None:
    """It is looked at as what cannot be indexed."""
    postgres_server.wipe(DATABASE)
    indexed = store(postgres_server)
    await indexed.open()
    long = "x" * 10_000
    await put(
        indexed,
        Upsert("app||a", json.dumps({"city": long}).encode(), is_json=True),
        Upsert("app||b", b"{}", is_json=True),
    )
    found, _ = await ask(indexed, json.dumps({"filter": {"IN": {"city": [long, "city 7"]}}}))
    at_least, _ = await ask(indexed, '{"filter":{"IN":{"city":["city 7","city 8"]}}}')
    await indexed.close()

    assert (found, at_least) == (["a"], [])
