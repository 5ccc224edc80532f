"""Long bodies of the State calls: the same answers as for short ones, in slices."""

from __future__ import annotations

import asyncio
import json as python_json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapr_state.api.state import BoundStore, Found, State
from dapr_state.errors import DaprError
from dapr_state.golang import json, unmarshal
from dapr_state.golang.unmarshal import MalformedError
from dapr_state.serving.http.request import Request
from dapr_state.stores.memory import MemoryStore
from dapr_state.stores.model import StoredValue
from dapr_state.transports.http import bodies
from dapr_state.transports.http.state import StateRoutes, _bulk_answer
from dapr_state.wire.http1.body import TOO_LARGE
from dapr_state.wire.http1.request import request_of
from tests.support.held import ALLOWED, longest_turn

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 4 * 1024 * 1024
TRIES = 3  # the best counts: what the machine does besides makes memory slow

scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "a", "\\", "ä", "},{", '"', "\ud800"])
names = st.sampled_from(["key", "KEY", "value", "etag", "metadata", "options", "contentType", "other", "keys"])
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4), max_leaves=12
)
texts = st.none() | st.sampled_from(["", "k", "upsert", "ä"])
items = st.fixed_dictionaries(
    {"key": texts},
    optional={
        "value": anything,
        "etag": texts,
        "metadata": st.dictionaries(st.sampled_from(["ttlInSeconds", "x"]), texts) | anything,
        "options": st.fixed_dictionaries({}, optional={"concurrency": texts, "consistency": texts}) | anything,
        "Key": texts,
    },
)
saves = st.lists(items | anything, max_size=6)
bulk_gets = st.fixed_dictionaries({"keys": st.lists(texts) | anything}, optional={"parallelism": scalars})
operations = st.fixed_dictionaries({"operation": texts}, optional={"request": items | anything})
transactions = st.fixed_dictionaries({"operations": st.lists(operations | anything, max_size=5)})
endings = st.sampled_from(["", " x", "]", "\n"])
cuts = st.integers(0, 3)

AT = bodies.STEP_REQUEST


def request(body: bytes, error: str = "") -> Request:
    made = request_of(Request, b"POST", b"/v1.0/state/s", b"")
    made.body, made.body_error = body, error
    return made


def told(shape: Any, body: bytes, error: str = "") -> Any:
    async def read() -> Any:
        try:
            found = await shape.read(request(body, error))
            if not isinstance(found, bodies.TransactionBody):
                return found
            requests = [
                (
                    kind,
                    await bodies.operation_request(it, bodies.STEP_REQUEST, json.Work())
                    if isinstance(it, bytes)
                    else it,
                )
                for kind, it in found.operations
            ]
        except MalformedError as malformed:
            return str(malformed)
        return requests, found.metadata

    return asyncio.run(read())


@pytest.mark.parametrize(
    ("shape", "given_bodies"),
    [(bodies.SAVE, saves), (bodies.BULK_GET, bulk_gets), (bodies.TRANSACTION, transactions)],
    ids=["save", "bulk get", "transaction"],
)
@pytest.mark.parametrize("piece", [8, 24])
def test_a_body_means_the_same_whichever_way_it_is_read(shape: Any, given_bodies: Any, piece: int) -> None:
    """Strictly at once, by Go's rules, or in pieces: items, keys, operations and errors are the same."""

    @given(given_bodies, endings, cuts)
    def check(body: Any, ending: str, cut: int) -> None:
        text = (python_json.dumps(body, ensure_ascii=True) + ending).encode()
        text = text[: len(text) - cut]
        at_once = told(shape, text)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bodies, "LONG", -1)
            patch.setattr(bodies, "MANY", -1)
            patch.setattr(json, "PIECE", piece)
            in_pieces = told(shape, text)

        assert in_pieces == at_once

    check()


@pytest.mark.parametrize("octets", [b"\xff\xc3\xa4\xe2\x82", b"\x80" * 9, "aä€😀".encode(), b"\xf0\x9f\x98" * 5])
def test_octets_that_are_no_characters_are_replaced_one_by_one(octets: bytes) -> None:
    """Where a body is cut makes no difference to what becomes of octets that are not UTF-8."""
    body = b'"' + octets * 7 + b'"'
    whole = octets.decode("utf-8", "surrogateescape")
    expected = "".join("\ufffd" if "\udc80" <= char <= "\udcff" else char for char in whole) * 7

    for piece in (8, 9, 10, 11, 64):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(json, "PIECE", piece)
            found = asyncio.run(unmarshal.first_value(body, json.Work()))

        assert msgspec.json.decode(found) == expected


def numbered(form: bytes, size: int = LIMIT - 100) -> bytes:
    count = size // (len(form % 100_000) + 1)
    return b",".join(form % (100_000 + number) for number in range(count))


LONG: dict[str, tuple[Any, bytes]] = {
    "many items": (bodies.SAVE, b"[" + numbered(b'{"key":"%d"}') + b"]"),
    "many items in other letters": (bodies.SAVE, b"[" + numbered(b'{"Key":"%d"}', LIMIT // 8) + b"]"),
    "nulls": (bodies.SAVE, b"[" + b"null," * (LIMIT // 40) + b"null]"),
    "empty items": (bodies.SAVE, b"[" + b"{}," * (LIMIT // 30) + b"{}]"),
    "much metadata": (bodies.SAVE, b'[{"key":"k","metadata":{' + numbered(b'"%d":""') + b"}}]"),
    "unknown members": (bodies.SAVE, b'[{"key":"k",' + numbered(b'"%d":[]') + b"}]"),
    "one long value": (bodies.SAVE, b'[{"key":"k","value":"' + b"\\n" * (LIMIT // 2 - 100) + b'"}]'),
    "a value of many parts": (bodies.SAVE, b'[{"key":"k","value":[' + numbered(b'{"a":%d}') + b"]}]"),
    "many keys": (bodies.BULK_GET, b'{"keys":[' + numbered(b'"%d"') + b"]}"),
    "many operations": (
        bodies.TRANSACTION,
        b'{"operations":[' + numbered(b'{"operation":"upsert","request":{"key":"%d"}}') + b"]}",
    ),
    "not UTF-8": (bodies.SAVE, b'[{"key":"k","value":"' + b"\xff" * (LIMIT - 100) + b'"}]'),
    "half a pair": (bodies.SAVE, b'[{"key":"k","value":"' + b"\\ud800" * (LIMIT // 6 - 100) + b'"}]'),
}


@pytest.mark.parametrize(("shape", "body"), LONG.values(), ids=LONG)
async def test_no_body_holds_the_loop(shape: Any, body: bytes) -> None:
    """The largest bodies, each worst in its own way, are read in slices."""
    tries = [await longest_turn(shape.read(request(body))) for _ in range(TRIES)]

    assert all(found for found, _ in tries)
    assert min(longest for _, longest in tries) < ALLOWED


async def test_a_body_beyond_the_limit_is_noticed_at_once() -> None:
    """What came of it is passed over in slices and in little memory; the answer is that it is too large."""
    body = b'[{"key":"k","value":"' + b"a" * LIMIT

    async def refused() -> str:
        with pytest.raises(MalformedError) as raised:
            await bodies.SAVE.read(request(body, TOO_LARGE))
        return str(raised.value)

    text, longest = await longest_turn(refused())

    assert text == TOO_LARGE
    assert longest < ALLOWED


VALUES = {
    "not quite JSON": b"[" + b"0," * (LIMIT // 2),
    "JSON": b"[" + b"0," * (LIMIT // 2) + b"0]",
    "text": b"\x01" * LIMIT,
    "not UTF-8": b"\xff" * LIMIT,
    "half pairs": b'"' + b"\\ud800" * (LIMIT // 6) + b'"',
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
async def test_no_stored_value_holds_the_loop_when_it_is_shown(value: bytes) -> None:
    """A bulk get of long values looks at each in slices."""
    tries = [await longest_turn(_bulk_answer(["a"], Found([StoredValue(value)]))) for _ in range(TRIES)]

    assert all(bytes(shown).startswith(b'[{"key":"a",') for shown, _ in tries)
    assert min(longest for _, longest in tries) < ALLOWED


def test_an_answer_in_parts_is_the_answer() -> None:
    """However many items an answer has, it is one JSON array of all, in order."""
    for count in (0, 1, 63, 64, 65, 1000):
        keys = list(map(str, range(count)))
        outcomes = [StoredValue(b"%d" % place) if place % 3 else None for place in range(count)]
        answer = msgspec.json.decode(bytes(asyncio.run(_bulk_answer(keys, Found(outcomes)))))

        assert answer == [{"key": key, "data": place} if place % 3 else {"key": key} for place, key in enumerate(keys)]


@pytest.fixture
def routes() -> Iterator[StateRoutes]:
    return StateRoutes(State("app", {"s": BoundStore("s", "app||", MemoryStore())}))


async def test_the_first_operation_that_is_wrong_is_the_one_that_is_told(routes: StateRoutes) -> None:
    """An illegal key before an unknown operation is refused for the key, the other way round for the operation."""
    illegal, unknown = {"operation": "upsert", "request": {"key": "a||b"}}, {"operation": "x", "request": {"key": "k"}}
    codes = []
    for order in ([illegal, unknown], [unknown, illegal]):
        with pytest.raises(DaprError) as raised:
            await routes.transact("s", request(msgspec.json.encode({"operations": order})), {})
        codes.append(raised.value.row.code)

    assert codes == ["ERR_MALFORMED_REQUEST", "ERR_NOT_SUPPORTED_STATE_OPERATION"]
