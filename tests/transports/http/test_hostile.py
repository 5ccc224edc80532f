"""Requests that nobody means well with: every one is answered, with no error that is not the store's own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.client import item
from tests.support.http import Answer, Socket, ask, request

if TYPE_CHECKING:
    from tests.support.sidecar import Daprd, Sidecar

SOME = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

STORES = st.sampled_from(["mem", "redis", "lite"])
ROUTES = st.sampled_from(["", "/bulk", "/transaction"])

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**20, max_value=10**400),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.sampled_from(
        ["upsert", "delete", "first-write", "strong", "60", "-1", "999", "a||b", "\ud800", "application/json"]
    ),
)
NAMES = st.one_of(
    st.sampled_from(
        [
            *("key", "KEY", "value", "etag", "metadata", "options", "concurrency", "consistency"),
            *("ttlInSeconds", "contentType", "keys", "parallelism", "operations", "operation", "request", "Request"),
        ]
    ),
    st.text(max_size=5),
)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=5)),
    max_leaves=25,
)
ITEM = st.fixed_dictionaries(
    {"key": st.one_of(st.text(min_size=1, max_size=5), LEAVES)},
    optional=dict.fromkeys(("value", "etag", "metadata", "options"), DOCUMENTS),
)
SHAPES = st.one_of(
    DOCUMENTS,
    st.lists(ITEM, max_size=3),
    st.fixed_dictionaries(
        {"keys": st.lists(LEAVES, max_size=4)}, optional={"parallelism": LEAVES, "metadata": DOCUMENTS}
    ),
    st.fixed_dictionaries(
        {
            "operations": st.lists(
                st.fixed_dictionaries({"operation": LEAVES, "request": st.one_of(ITEM, DOCUMENTS)}), max_size=3
            )
        }
    ),
)

# the codes under which a store's own refusal comes
OF_STORES = {"ERR_STATE_SAVE", "ERR_STATE_GET", "ERR_STATE_BULK_GET", "ERR_STATE_DELETE", "ERR_STATE_TRANSACTION"}


def check(answer: Answer) -> None:
    """A body that is JSON, no defect, no traceback."""
    if answer.code == 204:
        return
    if answer.code != 200:
        body = answer.json
        assert set(body) <= {"errorCode", "message", "details"}
        assert answer.code in {400, 404, 409} or body["errorCode"] in OF_STORES
    elif answer.body.endswith(b"]\n"):
        json.loads(answer.body)
    assert b"Traceback" not in answer.body


@SOME
@given(STORES, ROUTES, SHAPES)
def test_any_json_is_answered(sidecar: Sidecar, store: str, route: str, document: Any) -> None:
    """Whatever JSON comes where: it is done, or refused in the agreed form."""
    check(ask(sidecar.http_port, "POST", f"/v1.0/state/{store}{route}", json.dumps(document)))


@SOME
@given(STORES, ROUTES, SHAPES, st.data())
def test_broken_json_is_answered(sidecar: Sidecar, store: str, route: str, document: Any, data: st.DataObject) -> None:
    """A document that is cut, with bytes changed, or with something behind it."""
    body = bytearray(json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    for _ in range(data.draw(st.integers(0, 3))):
        if body:
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(body[: data.draw(st.integers(0, len(body)))]) + data.draw(st.binary(max_size=3))

    check(ask(sidecar.http_port, "POST", f"/v1.0/state/{store}{route}", cut))


@SOME
@given(
    STORES, st.sampled_from(["GET", "DELETE", "PUT", "POST", "PATCH"]), st.binary(max_size=30), st.binary(max_size=20)
)
def test_any_path_is_answered(sidecar: Sidecar, store: str, method: str, key: bytes, query: bytes) -> None:
    """Keys and queries of any bytes that an address may have."""
    sent = bytes(byte for byte in key if byte > 0x20 and byte != 0x7F)
    asked = bytes(byte for byte in query if byte > 0x20 and byte != 0x7F)
    with Socket(sidecar.http_port) as connection:
        connection.send(request(method, b"/v1.0/state/%b/%b?%b" % (store.encode(), sent, asked), b"null"))
        answer = connection.answer()

    if answer.status != "HTTP/1.1 400 Bad Request" or answer.body != b"400 Bad Request":
        check(answer)


@pytest.mark.parametrize("route", ["", "/bulk", "/transaction"])
@pytest.mark.parametrize("depth", [100, 900, 2_000, 20_000, 1_000_000])
def test_deep_nesting_is_an_answer(depth: int, route: str, sidecar: Sidecar) -> None:
    """However deep a document goes, it is stored or refused."""
    value = b"[" * depth + b"]" * depth
    answer = ask(sidecar.http_port, "POST", f"/v1.0/state/mem{route}", b'[{"key":"deep","value":%b}]' % value)

    assert answer.code == (204 if depth <= 900 and not route else 400)


@pytest.mark.oracle
def test_daprd_takes_what_is_nested_deeper(sidecar: Sidecar, daprd: Daprd) -> None:
    """A body that is too deep here is refused in the words that daprd has for 10,000 levels."""
    bodies = {depth: b'[{"key":"deep","value":%b}]' % (b"[" * depth + b"]" * depth) for depth in (2_000, 10_000)}
    ours = ask(sidecar.http_port, "POST", "/v1.0/state/mem", bodies[2_000])
    theirs = {depth: ask(daprd.http_port, "POST", "/v1.0/state/mem", body) for depth, body in bodies.items()}

    assert theirs[2_000].code == 204
    assert ours == theirs[10_000]


@pytest.mark.parametrize("member", ["key", "etag"])
def test_more_digits_than_python_reads_are_an_answer(member: str, sidecar: Sidecar) -> None:
    """A number in the place of a text is refused in the words of Go's decoder, however long it is."""
    given = b'{"operations":[{"operation":"upsert","request":{"key":"k","%b":%b}}]}' % (member.encode(), b"9" * 5000)
    answer = ask(sidecar.http_port, "POST", "/v1.0/state/mem/transaction", given)

    assert answer.code == 400
    assert "json: cannot unmarshal number 999" in answer.json["message"]


@pytest.mark.parametrize("store", ["mem", "redis", "lite"])
def test_numbers_keep_all_their_digits(store: str, sidecar: Sidecar) -> None:
    """A value is the client's own text: big integers, long fractions, order of members, and spaces."""
    value = b'{"b": 12345678901234567890123,"a":[0.1000, 1e400,-0],"\xc3\xa9":"\\u0000"}'
    ask(sidecar.http_port, "POST", f"/v1.0/state/{store}", b'[{"key":"digits","value":%b}]' % value)

    assert ask(sidecar.http_port, "GET", f"/v1.0/state/{store}/digits").body == value


@pytest.mark.parametrize("store", ["mem", "redis", "lite"])
def test_values_that_are_no_json_are_shown_in_bulk(store: str, sidecar: Sidecar) -> None:
    """Text becomes a JSON string; other bytes cost only their own item; an empty value has no data, but an etag."""
    with sidecar.client() as client:
        client.save(
            store, item("text", b"a <b>"), item("bytes", b"\xff\x00"), item("empty", b""), item("json", b" [1] ")
        )
    wanted = '{"keys":["text","bytes","empty","json","none"]}'
    text, binary, empty, document, none = ask(sidecar.http_port, "POST", f"/v1.0/state/{store}/bulk", wanted).json

    assert (text["data"], document["data"]) == ("a <b>", [1])
    assert set(binary) == {"key", "error"}
    assert set(empty) == {"key", "etag"}
    assert none == {"key": "none"}


def test_a_malformed_body_of_megabytes_does_not_stop_the_others(sidecar: Sidecar) -> None:
    """While the slow way looks for what is wrong in one body, other requests are answered."""
    body = b'[{"key":"a","value":[' + b"1," * 300_000 + b"}"
    with Socket(sidecar.http_port) as slow:
        slow.send(request("POST", "/v1.0/state/mem", body))
        quick = [ask(sidecar.http_port, "GET", "/v1.0/healthz").code for _ in range(20)]
        answer = slow.answer()

    assert set(quick) == {204}
    assert (answer.code, answer.json["errorCode"]) == (400, "ERR_MALFORMED_REQUEST")
