"""Queries over HTTP and gRPC: the same results, tokens and errors on every store, in daprd's form."""

from __future__ import annotations

import base64
import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapr_state.testing.stores.queries import PROFILE, documents, filters, is_json, plainly, sorts
from tests.support.client import Reply, item
from tests.support.components import component
from tests.support.configured import page
from tests.support.http import ask
from tests.support.sidecar import Daprd, Sidecar
from tests.support.stores import STORES, one_of_each

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.redis import RedisServer

N = "failed to parse JSON query body: "
GO = "json: cannot unmarshal"
FIELD = "Go struct field"
DOCUMENTS = [
    {"city": "Bern", "total": 120, "open": True, "tags": ["<&>"]},
    {"city": "Bern", "total": 9, "open": False},
    {"city": "Basel", "total": 9007199254740993},
    {"city": "Chur", "total": None},
]


class Asked(NamedTuple):
    """A sidecar, and one of its stores."""

    sidecar: Sidecar
    store: str

    def save(self, rows: dict[str, Any]) -> None:
        body = json.dumps([{"key": key, "value": value} for key, value in rows.items()])
        assert ask(self.sidecar.http_port, "POST", f"/v1.0/state/{self.store}", body).code == 204

    def http(self, text: str, **headers: str) -> Any:
        return ask(self.sidecar.http_port, "POST", f"/v1.0-alpha1/state/{self.store}/query", text, headers=headers)

    def grpc(self, text: str) -> Reply:
        with self.sidecar.client() as client:
            return client.query(self.store, text)

    def found(self, text: str) -> tuple[list[tuple[str, Any, str]], str]:
        """Results and token, the same over both transports."""
        answer, reply = self.http(text), self.grpc(text)
        assert reply.ok, reply
        if answer.code == 204:
            assert (answer.body, reply.response) == (b"", {})
            return [], ""
        assert answer.code == 200, answer
        told = answer.json
        rows = [(each["key"], each["data"], each["etag"]) for each in told["results"]]
        theirs = [(each["key"], json.loads(each["data"]), each["etag"]) for each in reply.response["results"]]
        assert (rows, told.get("token", "")) == (theirs, reply.response.get("token", ""))
        assert set(told) <= {"results", "token"}
        return rows, told.get("token", "")

    def refused(self, text: str) -> tuple[int, str, str]:
        """Status over HTTP, code over gRPC, message: the same over both, with daprd's details."""
        answer, reply = self.http(text), self.grpc(text)
        told = answer.json
        assert told["errorCode"] == "ERR_STATE_QUERY"
        assert told["message"] == reply.message
        assert [each.get("reason") for each in told["details"]] == [None, "DAPR_STATE_QUERY_FAILED"]
        assert told["message"].startswith(f"state store {self.store} query failed: ")
        return answer.code, reply.code, told["message"].partition(" query failed: ")[2]


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[Sidecar]:
    folder = tmp_path_factory.mktemp("queries")
    (folder / "secrets.json").write_text(json.dumps({"key": "ab" * 16}))
    sealed = component("sealed", "state.in-memory")
    sealed["auth"] = {"secretStore": "secrets"}
    sealed["spec"]["metadata"] = [{"name": "primaryEncryptionKey", "secretKeyRef": {"name": "key", "key": "key"}}]
    secrets = component("secrets", "secretstores.local.file", secretsFile=str(folder / "secrets.json"))
    components = [*one_of_each(folder, redis_server, 9), secrets, sealed]
    with Sidecar(folder, components, app_id="shop") as server:
        yield server


@pytest.fixture(params=STORES)
def asked(sidecar: Sidecar, request: pytest.FixtureRequest) -> Asked:
    return Asked(sidecar, request.param)


def of(name: str, text: str) -> str:
    """The query, of one test's rows alone."""
    query = json.loads(text)
    own = {"EQ": {"test": name}}
    query["filter"] = {"AND": [own, query["filter"]]} if query.get("filter") else own
    return json.dumps(query)


def put(asked: Asked, name: str) -> None:
    asked.save({f"{name}{number}": {"test": name, **each} for number, each in enumerate(DOCUMENTS, 1)})


def test_results_have_data_and_etag(asked: Asked) -> None:
    """Those of a get; over HTTP the data is JSON."""
    put(asked, "shape")
    rows, token = asked.found(of("shape", '{"filter":{"EQ":{"city":"Bern"}}}'))
    with asked.sidecar.client() as client:
        etags = [client.get(asked.store, f"shape{number}").response["etag"] for number in (1, 2)]

    assert rows == [(f"shape{n}", {"test": "shape", **DOCUMENTS[n - 1]}, etags[n - 1]) for n in (1, 2)]
    assert token == ""


def test_an_answer_is_octet_for_octet_in_daprd_s_form(asked: Asked) -> None:
    """Key, data and etag; a token; one line."""
    asked.save({"form1": {"test": "form", "n": [1, "<&>"]}})
    (row,), token = asked.found('{"filter":{"EQ":{"test":"form"}},"page":{"limit":1}}')
    answer = asked.http('{"filter":{"EQ":{"test":"form"}},"page":{"limit":1}}')

    data = json.dumps({"test": "form", "n": [1, "<&>"]}, separators=(", ", ": "))
    assert answer.body.decode() == (
        f'{{"results":[{{"key":"form1","data":{data},"etag":"{row[2]}"}}],"token":"{token}"}}\n'
    )


def test_nothing_found_is_204(asked: Asked) -> None:
    """And over gRPC an empty message."""
    assert asked.found('{"filter":{"EQ":{"city":"nowhere"}},"page":{"limit":3}}') == ([], "")


def test_pages_follow_each_other_to_the_end(asked: Asked) -> None:
    """A token stands on every page that is not empty; the same query with it gives the next."""
    put(asked, "pages")
    keys: list[str] = []
    text = of("pages", '{"sort":[{"key":"total","order":"DESC"}],"page":{"limit":1}}')
    while True:
        rows, token = asked.found(text)
        if not rows:
            break
        keys += [row[0] for row in rows]
        text = of("pages", json.dumps({
            "sort": [{"key": "total", "order": "DESC"}], "page": {"limit": 1, "token": token},
        }))  # fmt: skip

    assert keys == ["pages4", "pages3", "pages1", "pages2"]


@PROFILE
@given(
    texts=st.lists(documents.filter(is_json), max_size=6),
    as_text=st.booleans(),
    filter_text=filters,
    sort=sorts,
)
def compare(asked: Asked, texts: list[str], filter_text: str, sort: list[dict[str, str]], *, as_text: bool) -> None:
    """Other tests have rows there too: those do not count."""
    rows = {f"random{number}": text for number, text in enumerate(texts)}
    metadata = {"contentType": "application/json"} if as_text and asked.store != "redis" else {}
    with asked.sidecar.client() as client:
        assert client.save(asked.store, *(item(key, text.encode(), metadata=metadata) for key, text in rows.items())).ok
        found, _ = asked.found(f'{{"filter":{filter_text},"sort":{json.dumps(sort)}}}')
        assert client.bulk_delete(asked.store, *(item(key) for key in rows)).ok

    assert [row[0] for row in found if row[0] in rows] == plainly(filter_text, sort, rows)


def test_both_transports_find_what_a_plain_evaluation_finds(asked: Asked) -> None:
    """Random documents, filters and sort keys, on every store."""
    compare(asked)


GRAMMAR = [
    ("", f"{N}unexpected end of JSON input"),
    ("no", f"{N}invalid character 'o' in literal null (expecting 'u')"),
    ("{} x", f"{N}invalid character 'x' after top-level value"),
    ("[]", f"{N}{GO} array into Go value of type query.QueryFields"),
    (
        '{"filter":[]}',
        f"{N}{GO} array into {FIELD} QueryFields.filter of type map[string]interface {{}}",
    ),
    ('{"filter":{"FOO":1}}', f'{N}unsupported filter "FOO" at filter'),
    ('{"filter":{"eq":{"a":1}}}', f'{N}unsupported filter "eq" at filter'),
    ('{"filter":{"EQ":{"a":1},"IN":1}}', f"{N}filter unit must have a single element at filter"),
    ('{"filter":{"EQ":[]}}', f"{N}EQ filter must be a map at filter.EQ"),
    ('{"filter":{"LT":{}}}', f"{N}LT filter must contain a single key/value pair at filter.LT"),
    ('{"filter":{"IN":{"a":1}}}', f"{N}IN filter value must be an array at filter.IN.a"),
    ('{"filter":{"IN":{"a":[]}}}', 'empty IN operator for key "a"'),
    ('{"filter":{"AND":{}}}', f"{N}AND filter must be an array at filter.AND"),
    ('{"filter":{"OR":[{"EQ":{"a":1}}]}}', f"{N}OR filter must contain at least two entries at filter.OR"),
    ('{"filter":{"OR":[{"EQ":{"a":1}},7]}}', f"{N}filter unit must be a map at filter.OR[1]"),
    (
        '{"filter":{"OR":[{"EQ":{"a":1}},{"AND":[{"EQ":{"b":1}},{"NO":1}]}]}}',
        f'{N}unsupported filter "NO" at filter.OR[1].AND[1]',
    ),
    (
        '{"filter":{"EQ":{"a":[1]}}}',
        f"{N}EQ filter value must be a string, a number, a boolean or null at filter.EQ.a",
    ),
    (
        '{"filter":{"IN":{"a":[1,{}]}}}',
        f"{N}IN filter value must be a string, a number, a boolean or null at filter.IN.a[1]",
    ),
    ('{"filter":{"GT":{"a":true}}}', f"{N}GT filter value must be a number or a string at filter.GT.a"),
    ('{"sort":{}}', f"{N}{GO} object into {FIELD} QueryFields.sort of type []query.Sorting"),
    ('{"sort":[{"key":"a"},{"key":"b","order":"UP"}]}', f'{N}unsupported sort order "UP" at sort[1].order'),
    ('{"page":[]}', f"{N}{GO} array into {FIELD} QueryFields.page of type query.Pagination"),
    ('{"page":{"limit":1.5}}', f"{N}{GO} number 1.5 into {FIELD} Pagination.page.limit of type int"),
    ('{"page":{"token":2}}', f"{N}{GO} number into {FIELD} Pagination.page.token of type string"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), GRAMMAR)
def test_what_is_wrong_is_said_with_its_path(sidecar: Sidecar, text: str, message: str) -> None:
    """In daprd's words, 500 and INTERNAL."""
    assert Asked(sidecar, "mem").refused(text) == (500, "INTERNAL", message)


def test_a_token_is_for_its_query_its_store_and_its_application(sidecar: Sidecar, tmp_path: Path) -> None:
    """Another one is 400 and says so: changed, of other filters or sort keys, of another store or application."""
    query = {"filter": {"NEQ": {"test": 0}}, "sort": [{"key": "total"}], "page": {"limit": 1}}
    mem = Asked(sidecar, "mem")
    put(mem, "token")
    put(Asked(sidecar, "lite"), "token")
    _, token = mem.found(json.dumps(query))
    changed = base64.b64encode(base64.b64decode(token)[:-1] + b"?").decode()
    with_token = {**query, "page": {"limit": 5, "token": token}}
    strangers = [
        (mem, {**query, "page": {"limit": 1, "token": each}}) for each in ("2", "abc", changed, token + "A", "%")
    ]
    strangers += [
        (mem, {**with_token, "filter": {"NEQ": {"test": 1}}}),
        (mem, {**with_token, "sort": [{"key": "total", "order": "DESC"}]}),
        (mem, {**with_token, "sort": []}),
        (Asked(sidecar, "lite"), with_token),
    ]
    refused = [asked.refused(json.dumps(text)) for asked, text in strangers]
    with Sidecar(tmp_path, [component("mem", "state.in-memory")], app_id="other") as other:
        refused.append(Asked(other, "mem").refused(json.dumps(with_token)))

    text = "the page token was not given for this query of this store by this application"
    assert refused == [(400, "INVALID_ARGUMENT", text)] * len(refused)
    assert len(mem.found(json.dumps(with_token))[0]) == 5


def test_an_encrypted_store_is_not_queried(sidecar: Sidecar) -> None:
    """As by daprd: before the query is looked at."""
    assert Asked(sidecar, "sealed").refused("no JSON") == (500, "INTERNAL", "cannot query encrypted store")


def test_values_that_are_no_json_are_shown_as_a_bulk_get_shows_them(asked: Asked) -> None:
    """Over HTTP a text as a string, other octets as an error; over gRPC all as they are."""
    with asked.sidecar.client() as client:
        client.save(asked.store, item("odd1", b"plain"), item("odd2", b"\xff"), item("odd3", b"[1]"))
        reply = client.query(asked.store, "{}")
    told = [each for each in asked.http("{}").json["results"] if each["key"].startswith("odd")]
    seen = [each for each in reply.response["results"] if each["key"].startswith("odd")]

    assert [each.get("data") for each in told] == ["plain", None, [1]]
    assert [each.get("error") for each in told] == [None, "the value is neither JSON nor text", None]
    assert [each["data"] for each in seen] == [b"plain", b"\xff", b"[1]"]
    with asked.sidecar.client() as client:
        client.bulk_delete(asked.store, item("odd1"), item("odd2"), item("odd3"))


def test_a_row_that_cannot_be_read_is_among_the_results(tmp_path: Path) -> None:
    """It may be what is asked for: its error stands in its place, whatever the filter."""
    file = tmp_path / "odd.db"
    with Sidecar(tmp_path, [component("lite", "state.sqlite", connectionString=str(file))], app_id="shop") as sidecar:
        asked = Asked(sidecar, "lite")
        asked.save({"a": {"n": 1}, "c": {"n": 2}})
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("INSERT INTO state (key, value, is_binary, etag) VALUES ('shop||b', '?', 1, 'e')")
        told = asked.http('{"filter":{"EQ":{"n":2}}}').json["results"]
        seen = asked.grpc('{"filter":{"EQ":{"n":2}}}').response["results"]

    assert [each["key"] for each in told] == ["b", "c"]
    assert (told[0]["data"], "base64" in told[0]["error"], "etag" in told[0]) == (None, True, False)
    assert (seen[0]["key"], seen[0]["error"], "data" in seen[0]) == ("b", told[0]["error"], False)


@pytest.mark.parametrize("store", ["redis", "lite"])
def test_what_daprd_stored_is_found(store: str, tmp_path: Path, redis_server: RedisServer, daprd_binary: Path) -> None:
    """JSON over HTTP, octets over gRPC, and octets that are declared to be JSON where daprd's store takes that."""
    components = [each for each in one_of_each(tmp_path, redis_server, 10) if each["metadata"]["name"] == store]
    with Daprd(daprd_binary, tmp_path, components, app_id="shop") as daprd, daprd.client() as client:
        Asked(daprd, store).save({"a": {"n": 1}, "b": {"n": 2}})
        assert client.save(store, item("c", b'{"n":1}'), item("d", b"text")).ok
        if store == "lite":
            assert client.save(store, item("e", b'{"n":1.0}', metadata={"contentType": "application/json"})).ok
    with Sidecar(tmp_path, components, app_id="shop") as sidecar:
        rows, _ = Asked(sidecar, store).found('{"filter":{"EQ":{"n":1}}}')

    assert [row[0] for row in rows] == (["a", "c", "e"] if store == "lite" else ["a", "c"])


def test_queries_are_counted(sidecar: Sidecar) -> None:
    """Those that a store was asked, by their success, as by daprd: not those that could not be parsed."""
    mem = Asked(sidecar, "mem")
    mem.http('{"page":{"token":"x"}}')
    mem.http('{"filter":{"EQ":{"a":1}}}')
    mem.http("no")
    lines = page(sidecar).body.decode().splitlines()
    counted = [line for line in lines if line.startswith("dapr_component_state_count") and 'operation="query"' in line]

    assert {success for success in ("true", "false") for line in counted if f'success="{success}"' in line} == {
        "true",
        "false",
    }
