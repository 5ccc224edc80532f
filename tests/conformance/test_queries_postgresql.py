"""Queries on PostgreSQL beside daprd, over the same table: where daprd is right, both find the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.components import component
from tests.support.http import ask
from tests.support.sidecar import Daprd, Sidecar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.postgresql import PostgresServer

pytestmark = pytest.mark.oracle

DATABASE = "queries_beside_daprd"
ROWS = {
    "1": {"city": "Bern", "total": 5, "open": True, "of": {"name": "Anna"}},
    "2": {"city": "Bern", "total": 7, "open": False, "of": {"name": "Beat"}},
    "3": {"city": "Chur", "total": 9, "of": {"name": "Anna"}},
    "4": {"city": "Chur", "total": 3, "open": True},
    "5": {"total": 1},
    "6": "a text",
}

# daprd compares as text: what it finds is right for texts, booleans, and numbers of one digit
ALIKE = [
    "{}",
    '{"filter":{"EQ":{"city":"Bern"}}}',
    '{"filter":{"EQ":{"of.name":"Anna"}}}',
    '{"filter":{"EQ":{"open":true}}}',
    '{"filter":{"EQ":{"total":7}}}',
    '{"filter":{"NEQ":{"city":"Bern"}}}',
    '{"filter":{"NEQ":{"open":true}}}',
    '{"filter":{"IN":{"city":["Chur","Basel"]}}}',
    '{"filter":{"IN":{"total":[1,9]}}}',
    '{"filter":{"GT":{"total":5}}}',
    '{"filter":{"LTE":{"total":5}}}',
    '{"filter":{"AND":[{"EQ":{"city":"Bern"}},{"GT":{"total":5}}]}}',
    '{"filter":{"OR":[{"EQ":{"city":"Bern"}},{"AND":[{"LT":{"total":5}},{"EQ":{"open":true}}]}]}}',
    '{"filter":{"EQ":{"nowhere":1}}}',
    '{"filter":{"NEQ":{"nowhere":1}}}',
]
ORDERED = [
    '{"filter":{"NEQ":{"city":""}},"sort":[{"key":"total"}]}',
    '{"filter":{"NEQ":{"city":""}},"sort":[{"key":"city","order":"DESC"},{"key":"total"}]}',
    '{"filter":{"GT":{"total":0}},"sort":[{"key":"city"},{"key":"total","order":"DESC"}]}',
    '{"filter":{"GT":{"total":0}},"sort":[{"key":"total","order":"DESC"}],"page":{"limit":2}}',
]
REFUSED = [
    "",
    "[]",
    '{"filter":[]}',
    '{"sort":{}}',
    '{"page":{"limit":1.5}}',
    '{"filter":{"IN":{"city":[]}}}',
]
WITH_PATH = ['{"filter":{"FOO":1}}', '{"filter":{"EQ":[]}}', '{"filter":{"OR":[1,2]}}', '{"filter":{"AND":[]}}']


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer, daprd_binary: Path
) -> Iterator[list[Sidecar]]:
    """daprd and ours, with rows that daprd has written."""
    folder = tmp_path_factory.mktemp("postgresql-queries")
    postgres_server.wipe(DATABASE)
    components = [component("pg", "state.postgresql", connectionString=postgres_server.url(DATABASE))]
    with Daprd(daprd_binary, folder, components) as daprd, Sidecar(folder, components) as ours:
        body = json.dumps([{"key": key, "value": value} for key, value in ROWS.items()])
        assert ask(daprd.http_port, "POST", "/v1.0/state/pg", body).code == 204
        yield [daprd, ours]


def told(sidecar: Sidecar, text: str) -> tuple[int, Any]:
    answer = ask(sidecar.http_port, "POST", "/v1.0-alpha1/state/pg/query", text)
    return answer.code, answer.json if answer.body else None


def found(sidecar: Sidecar, text: str) -> tuple[int, list[Any]]:
    code, answer = told(sidecar, text)
    return code, answer["results"] if answer else []


@pytest.mark.parametrize("text", ALIKE)
def test_the_same_rows_are_found(text: str, both: list[Sidecar]) -> None:
    """Keys, values and etags; in whatever order, as none was asked for."""
    (code, theirs), (ours_code, ours) = (found(each, text) for each in both)

    assert ours_code == code
    assert sorted(ours, key=json.dumps) == sorted(theirs, key=json.dumps)


@pytest.mark.parametrize("text", ORDERED)
def test_the_order_is_the_same(text: str, both: list[Sidecar]) -> None:
    """Several keys, either way; where there is nothing to sort by comes last, or first the other way round."""
    theirs, ours = (found(each, text) for each in both)

    assert ours == theirs


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_wrong_is_told_alike(text: str, both: list[Sidecar]) -> None:
    """Status, code, message and details."""
    theirs, ours = (told(each, text) for each in both)

    assert ours == theirs


@pytest.mark.parametrize("text", WITH_PATH)
def test_what_is_wrong_with_a_filter_is_told_with_its_path(text: str, both: list[Sidecar]) -> None:
    """Behind daprd's own words."""
    (code, theirs), (ours_code, ours) = (told(each, text) for each in both)
    words = theirs.pop("message")
    message = ours.pop("message")

    assert (ours_code, ours) == (code, theirs)
    assert message.startswith(f"{words} at filter")


def test_numbers_are_compared_as_numbers(both: list[Sidecar]) -> None:
    """daprd compares texts: 10 is less than 9 there."""
    body = json.dumps([{"key": f"n{number}", "value": {"number": number}} for number in (9, 10, 100)])
    assert ask(both[0].http_port, "POST", "/v1.0/state/pg", body).code == 204
    theirs, ours = (
        [each["key"] for each in found(sidecar, '{"filter":{"GT":{"number":9}},"sort":[{"key":"number"}]}')[1]]
        for sidecar in both
    )

    assert (ours, theirs) == (["n10", "n100"], [])
