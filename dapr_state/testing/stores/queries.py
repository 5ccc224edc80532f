"""Queries: what they find is what a plain evaluation finds, page by page, whatever the store does to be quicker."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from dapr_state.query import tokens
from dapr_state.query.budget import QueryBudgets
from dapr_state.query.text import parse
from dapr_state.stores.base import StoreError
from dapr_state.stores.model import Delete, Feature, Upsert
from dapr_state.testing.stores.asking import put
from dapr_state.testing.stores.declaring import Kind, having

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dapr_state.stores.base import StateStore

PREFIX = "app||"
MISSING: Final = object()

# derandomized: the same in every run
PROFILE = settings(derandomize=True, max_examples=40, deadline=None, database=None)

_numbers = st.sampled_from([
    *("0", "-0", "1", "1.0", "10e-1", "-1", "2", "9", "10", "9007199254740992", "9007199254740993"),
    *("1e3", "1000", "0.1"),
    *("0.10000000000000000001", "18446744073709551616", "-9223372036854775809", "1e400", "-1e400", "1e-400"),
])  # fmt: skip
_texts = st.sampled_from(
    ["", "a", "b", "ab", "B", "1", "10", "9", "\u00e9", "e\u0301", "\uffff", "\U0001f600", "a\0", "a\0b"]
)
_scalars = st.one_of(
    _numbers, _texts.map(json.dumps), _texts.map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from(["true", "false", "null"]),
)  # fmt: skip
_names = st.sampled_from(["a", "b", "c"])


def _object(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Of members whose names may come twice, and may be escaped."""
    names = st.one_of(_names.map(json.dumps), st.just('"\\u0061"'))
    member = st.tuples(names, values).map(lambda pair: f"{pair[0]}:{pair[1]}")
    return st.lists(member, max_size=4).map(lambda members: f"{{{' , '.join(members)}}}")


_values = st.recursive(
    _scalars,
    lambda values: st.one_of(_object(values), st.lists(values, max_size=2).map(lambda it: f"[{','.join(it)}]")),
)
documents = st.one_of(
    _object(_values), _object(_scalars), _values, st.sampled_from(["no JSON", "", '{"a":1', '{"a":1} x'])
)
paths = st.one_of(_names, st.lists(_names, min_size=2, max_size=3).map(".".join))


def _pairs(op: str, values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(paths, values).map(lambda pair: f'{{"{op}":{{"{pair[0]}":{pair[1]}}}}}')


_leaves = st.one_of(
    st.sampled_from(["EQ", "NEQ"]).flatmap(lambda op: _pairs(op, _scalars)),
    st.sampled_from(["GT", "GTE", "LT", "LTE"]).flatmap(
        lambda op: _pairs(op, st.one_of(_numbers, _texts.map(json.dumps)))
    ),
    _pairs("IN", st.lists(_scalars, min_size=1, max_size=3).map(lambda values: f"[{','.join(values)}]")),
)  # fmt: skip
filters = st.one_of(
    st.just("{}"),
    st.recursive(
        _leaves,
        lambda units: st.tuples(st.sampled_from(["AND", "OR"]), st.lists(units, min_size=2, max_size=3)).map(
            lambda group: f'{{"{group[0]}":[{",".join(group[1])}]}}'
        ),
        max_leaves=5,
    ),
)
sorts = st.lists(
    st.fixed_dictionaries({"key": paths}, optional={"order": st.sampled_from(["ASC", "DESC"])}), max_size=3
)


def plainly(filter_text: str, sort: Sequence[Mapping[str, str]], rows: Mapping[str, str]) -> list[str]:
    """The keys of what a query finds, in order: one sentence of docs/query.md after another, in plain Python."""
    wanted = _loaded(filter_text)
    values = {key: _loaded(text) for key, text in rows.items()}
    found = sorted(key for key, value in values.items() if not wanted or _holds(wanted, value))
    for each in reversed(sort):
        found.sort(key=lambda key: _order(_at(values[key], each["key"])), reverse=each.get("order") == "DESC")
    return found  # what is equal stayed as it was, when sorted the other way round too


def _loaded(text: str) -> Any:
    try:
        return json.loads(text, parse_float=Decimal, parse_int=Decimal)
    except ValueError:
        return MISSING


def is_json(text: str) -> bool:
    return _loaded(text) is not MISSING


def _at(value: Any, path: str) -> Any:
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            return MISSING
        value = value[name]
    return value


def _is_one(value: Any, other: Any) -> bool:
    return type(value) is type(other) and not isinstance(value, list | dict) and bool(value == other)


def _holds(wanted: Mapping[str, Any], value: Any) -> bool:
    ((op, argument),) = wanted.items()
    if op in {"AND", "OR"}:
        return (all if op == "AND" else any)(_holds(each, value) for each in argument)
    ((path, operand),) = argument.items()
    found = _at(value, path)
    if op == "IN":
        return any(_is_one(found, each) for each in operand)
    if op == "NEQ":
        return found is not MISSING and not _is_one(found, operand)
    if op == "EQ":
        return _is_one(found, operand)
    if type(found) is not type(operand):
        return False
    return bool({"GT": found > operand, "GTE": found >= operand, "LT": found < operand, "LTE": found <= operand}[op])


def _order(value: Any) -> tuple[int, Any]:
    if value is MISSING or value is None:
        return 4, 0
    if isinstance(value, list | dict):
        return 3, 0
    return [bool, Decimal, str].index(type(value)), value


async def ask(store: StateStore, text: str, token: str = "", prefix: str = PREFIX) -> tuple[list[str], str]:
    """The keys that a query finds, and the token of the next page."""
    query = await parse(text.encode())
    if token:
        query = await parse(f'{text[:-2]},"token":"{token}"}}}}'.encode())
    whose = ("store", prefix)
    with QueryBudgets().enter("store") as budget:
        matches = await store.query(prefix, query, after=tokens.read(query, whose), budget=budget)
    token = tokens.write(matches.end, query, whose) if matches.end else ""
    return [match.key.removeprefix(prefix) for match in matches.found], token


async def all_pages(store: StateStore, filter_text: str, sort: Sequence[Mapping[str, str]], limit: int) -> list[str]:
    text = f'{{"filter":{filter_text},"sort":{json.dumps(sort)},"page":{{"limit":{limit}}}}}'
    keys, token = await ask(store, text)
    found = keys
    while keys:
        assert len(keys) <= limit
        keys, token = await ask(store, text, token)
        found = found + keys
    return found


def stored(rows: Mapping[str, str], *, as_text: bool) -> list[Upsert]:
    """As what comes over HTTP if it is JSON, or as the octets of gRPC."""
    return [Upsert(PREFIX + key, text.encode(), is_json=as_text and is_json(text)) for key, text in rows.items()]


@having(Feature.QUERY)
def test_a_query_finds_what_a_plain_evaluation_finds(kind: Kind) -> None:
    """Random documents, filters and sort keys; in one answer, and in pages of two."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        store = kind.place.make()
        runner.run(store.open())
        number = count()

        @PROFILE
        @given(
            texts=st.lists(documents, max_size=8),
            as_text=st.booleans(),
            filter_text=filters,
            sort=sorts,
        )
        def check(texts: list[str], filter_text: str, sort: list[dict[str, str]], *, as_text: bool) -> None:
            rows = {f"{next(number) % 1000:03}": text for text in texts}
            expected = plainly(filter_text, sort, rows)
            try:
                runner.run(put(store, *stored(rows, as_text=as_text)))
                text = f'{{"filter":{filter_text},"sort":{json.dumps(sort)}}}'
                found, _ = runner.run(ask(store, text))
                paged = runner.run(all_pages(store, filter_text, sort, 2))
            finally:
                runner.run(put(store, *(Delete(PREFIX + key) for key in rows)))

            assert found == expected
            assert paged == expected

        try:
            check()
        finally:
            runner.run(store.close())


@having(Feature.QUERY)
async def test_pages_hold_what_does_not_change_once(kind: Kind) -> None:
    """While other rows come, go, and change their place in the order between the pages."""
    rows = {f"{number:02}": f'{{"a":{number % 5}}}' for number in range(40)}
    text = '{"sort":[{"key":"a","order":"DESC"}],"page":{"limit":7}}'
    async with kind.opened() as store:
        await put(store, *stored(rows, as_text=True))
        found, token = await ask(store, text)
        keys = found
        for step in range(10):
            changed = [f"{number:02}" for number in range(step * 4, step * 4 + 2)]
            await put(store, Delete(PREFIX + changed[0]), Upsert(PREFIX + changed[1], b'{"a":9}', is_json=True))
            await put(store, Upsert(f"{PREFIX}new{step}", b'{"a":%d}' % (step % 5), is_json=True))
            if keys:
                keys, token = await ask(store, text, token)
                found = found + keys

    untouched = {key for key in rows if int(key) % 4 > 1}
    assert not keys
    assert len(found) == len(set(found))
    assert untouched <= set(found)


@having(Feature.QUERY)
async def test_a_query_sees_its_own_rows_only(kind: Kind) -> None:
    """Not those of other applications, of actors, or of those whose name begins alike."""
    async with kind.opened() as store:
        keys = ["app||k", "app||type||id||k", "app||||k", "app2||k", "other||k", "app|k", "app", "App||k"]
        await put(store, *(Upsert(key, b'{"a":1}', is_json=True) for key in keys))
        found = [(await ask(store, text))[0] for text in ("{}", '{"filter":{"EQ":{"a":1}}}')]
        of_all = [(await ask(store, "{}", prefix=""))[0]]

    assert found == [["k"], ["k"]]
    assert of_all == [["app", "app|k"]]


@having(Feature.QUERY, Feature.TTL)
async def test_what_has_expired_is_not_found(kind: Kind) -> None:
    """Nor does it count in a page."""
    async with kind.opened() as store:
        await put(store, Upsert("app||a", b'{"a":1}', ttl=1, is_json=True), Upsert("app||b", b'{"a":1}', is_json=True))
        await kind.until_gone(store, "app||a", 1)
        found, _ = await ask(store, '{"filter":{"EQ":{"a":1}},"page":{"limit":1}}')

    assert found == ["b"]


@having(Feature.QUERY)
async def test_a_page_goes_on_in_another_process(kind: Kind) -> None:
    """The token says all: the store that gave it need not be there any more."""
    text = '{"page":{"limit":2}}'
    rows = dict.fromkeys("abcde", "1")
    async with kind.opened() as store:
        await put(store, *stored(rows, as_text=False))
        first, token = await ask(store, text)
    async with kind.opened() as store:
        await put(store, *stored(rows, as_text=False))  # some do not keep them
        second, _ = await ask(store, text, token)

    assert (first, second) == (["a", "b"], ["c", "d"])


@having(Feature.QUERY)
async def test_a_closed_store_answers_no_query(kind: Kind) -> None:
    """With its reason."""
    async with kind.opened() as store:
        pass
    with pytest.raises(StoreError, match=r"."):
        await ask(store, "{}")
