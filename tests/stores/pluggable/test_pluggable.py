"""Pluggable components: how they are found, what their refusals mean, and what becomes of those that die."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
from typing import TYPE_CHECKING, Any

import pytest

from dapr_state.clock import WAITING
from dapr_state.resources.component import Component
from dapr_state.resources.properties import Properties
from dapr_state.stores import registry
from dapr_state.stores.base import EtagInvalid, EtagMismatch, OwnStatus, StateStore, StoreError, Unfit, Unsupported
from dapr_state.stores.build import build
from dapr_state.stores.encrypted import EncryptedStore
from dapr_state.stores.encryption import Key
from dapr_state.stores.memory import MemoryStore
from dapr_state.stores.model import Delete, Feature, HintedKey, Hints, Upsert
from dapr_state.stores.pluggable import store as pluggable_store
from dapr_state.stores.pluggable.store import PluggableStore
from dapr_state.stores.registry import UnknownStoreError
from dapr_state.testing.stores.asking import put, value_of, values_of, write_one
from tests.support.pluggable import PluggableComponent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PluggableComponent]:
    with PluggableComponent(tmp_path, "Plugged.v9") as process:
        for name, value in process.environment.items():
            monkeypatch.setenv(name, value)
        yield process


async def opened(name: str = "a", kind: str = "state.plugged.V9", **properties: str) -> StateStore:
    store = build(Component(name, kind, properties=Properties(properties)))
    await store.open()
    return store


def fail(code: str, *details: tuple[str, dict[str, Any]], text: str = "as asked") -> str:
    """A key that the component refuses like this."""
    return "fail " + json.dumps({"code": code, "details": details, "text": text})


def bad_request(*fields: str) -> tuple[str, dict[str, Any]]:
    return "BadRequest", {"field_violations": [{"field": field, "description": "why"} for field in fields]}


def info(**metadata: str) -> tuple[str, dict[str, Any]]:
    return "ErrorInfo", {"metadata": metadata}


OWN = info(kit_error="true", http_code="418", tag="TEAPOT")


async def test_a_component_is_found_by_its_sockets_name(process: PluggableComponent) -> None:
    """In any case, without the last extension; each component is an instance of its own."""
    one, two = await opened("one"), await opened("two")
    await put(one, Upsert("k", b"1"))
    read = [await value_of(store, "k") for store in (one, two)]
    await one.close()
    await two.close()

    assert read == [b"1", None]
    assert repr(one) == f"<PluggableStore {process.socket} closed>"


@pytest.mark.parametrize("kind", ["state.nosuch", "state.plugged", "state.plugged.v9/v2"])
def test_a_type_without_a_socket_is_unknown(process: PluggableComponent, kind: str) -> None:
    """So is another version than the first."""
    assert process.socket.is_socket()
    kind, _, version = kind.partition("/")
    with pytest.raises(UnknownStoreError):
        registry.create(Component("a", kind, version))


def test_a_socket_takes_the_place_of_a_store_that_has_one_version(
    process: PluggableComponent, caplog: pytest.LogCaptureFixture
) -> None:
    """As in daprd; what has several stays. A file whose process is gone takes nobody's place, and is told."""
    for name in ("in-memory", "postgresql"):
        (process.folder / f"{name}.sock").hardlink_to(process.socket)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(process.folder / "sqlite.sock"))
    (process.folder / "redis.sock").write_text("no socket")
    fields = Properties({"connectionString": "host=h"})
    with caplog.at_level(logging.WARNING):
        kinds = [
            type(registry.create(Component("a", kind, properties=fields)))
            for kind in ("state.in-memory", "state.sqlite", "state.redis", "state.postgresql")
        ]

    assert [kind.__name__ for kind in kinds] == ["PluggableStore", "SqliteStore", "RedisStore", "PostgresV1"]
    assert f"Nobody listens at the socket {process.folder}/sqlite.sock: connection refused" in caplog.text


def test_without_a_folder_there_are_no_components(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No error: most have none."""
    monkeypatch.setenv("DAPR_COMPONENTS_SOCKETS_FOLDER", str(tmp_path / "gone"))

    assert isinstance(registry.create(Component("a", "state.in-memory")), MemoryStore)


async def test_what_is_no_state_store_is_refused(process: PluggableComponent) -> None:
    """By what it says of itself, before anything is asked of it; what does not answer is given up."""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(process.folder / "silent.sock"))
        silent.listen()
        store = registry.create(Component("a", "state.silent"))
        with pytest.raises(TimeoutError):
            async with WAITING.timeout(0.2):
                await store.open()
        with pytest.raises(StoreError):
            await store.ping()


@pytest.mark.usefixtures("process")
async def test_what_init_refuses_is_the_reason() -> None:
    """In the component's words."""
    with pytest.raises(StoreError, match="rpc error: code = InvalidArgument desc = no such place"):
        await opened(refuse="no such place")


async def test_it_is_reached_without_init(process: PluggableComponent) -> None:
    """What Init writes is the component's affair; once it is gone it is not reached."""
    store = registry.create(Component("a", "state.plugged.v9", properties=Properties({"refuse": "no such place"})))
    await store.reach()
    process.kill()
    with pytest.raises(StoreError, match="Unavailable"):
        await store.reach()
    await store.close()


@pytest.mark.usefixtures("process")
async def test_features_are_those_that_it_tells() -> None:
    """Also of an encrypted one; those that nobody knows are told on, and nothing is promised for them."""
    fields = Properties({"features": "TTL,ETAG,ODD"})
    component = Component("a", "state.plugged.v9", properties=fields)
    store = EncryptedStore(registry.create(component), "a", [Key("k1", bytes(32))])
    await store.open()
    await put(store, Upsert("k", b"v"))
    read = await value_of(store, "k")
    with pytest.raises(Unsupported):
        await store.list("", limit=1)
    await store.close()

    assert store.features == (Feature.ETAG, Feature.TTL)
    assert store.told == ("TTL", "ETAG", "ODD")
    assert read == b"v"


@pytest.mark.usefixtures("process")
@pytest.mark.parametrize(("properties", "largest"), [({}, None), ({"largest": "7"}, 7), ({"largest": "0"}, None)])
async def test_the_largest_transaction(properties: dict[str, str], largest: int | None) -> None:
    """Where it has such a call; none, or 0, is no limit."""
    store = await opened(**properties)
    await store.close()

    assert store.max_transaction_size == largest


REFUSALS = {
    "plain": (fail("INTERNAL"), StoreError, "rpc error: code = Internal desc = as asked"),
    "no details": (fail("FAILED_PRECONDITION"), StoreError, "rpc error: code = FailedPrecondition desc = as asked"),
    "mismatch": (fail("FAILED_PRECONDITION", bad_request("etag")), EtagMismatch, f"{EtagMismatch.PREFIX}: why"),
    "invalid": (fail("INVALID_ARGUMENT", bad_request("etag")), EtagInvalid, f"{EtagInvalid.PREFIX}: why"),
    "another code": (fail("ABORTED", bad_request("etag")), StoreError, "rpc error: code = Aborted desc = as asked"),
    "another field": (
        fail("INVALID_ARGUMENT", bad_request("key")),
        StoreError,
        "rpc error: code = InvalidArgument desc = as asked",
    ),
    "two violations": (
        fail("INVALID_ARGUMENT", bad_request("etag", "etag")),
        StoreError,
        "rpc error: code = InvalidArgument desc = as asked",
    ),
    "two details": (
        fail("INVALID_ARGUMENT", bad_request("etag"), info()),
        StoreError,
        "rpc error: code = InvalidArgument desc = as asked",
    ),
    "rows": (
        fail("INTERNAL", info(expected="3", affected="1")),
        StoreError,
        "rpc error: code = Internal desc = as asked",
    ),
    **{
        f"http {code[:5]}": (
            fail("NOT_FOUND", info(kit_error="true", http_code=code)),
            StoreError,
            "rpc error: code = NotFound desc = as asked",
        )
        for code in ("0", "99", "100", "204", "304", "1000", "٤٠٤", "9" * 5000)
    },
    "own": (fail("NOT_FOUND", OWN), OwnStatus, "api error: code = NotFound desc = as asked"),
}


@pytest.mark.usefixtures("process")
@pytest.mark.parametrize(("key", "kind", "text"), REFUSALS.values(), ids=REFUSALS)
async def test_a_refused_write_is_what_its_details_say(key: str, kind: type[StoreError], text: str) -> None:
    """Alone and in bulk; who stands beside it with an etag of his own has his own outcome."""
    store = await opened()
    alone = [await write_one(store, Upsert(key, b"v")), await write_one(store, Delete(key))]
    bulk = await store.write([Upsert(key, b"v"), Upsert("x", b"v"), Upsert("y", b"v", first_write=True)])
    read = await values_of(store, "x", "y")
    await store.close()

    assert [(type(outcome), str(outcome)) for outcome in (*alone, *bulk[:2])] == [(kind, text)] * 4
    assert bulk[2] is None
    assert read == [None, b"v"]


@pytest.mark.usefixtures("process")
async def test_a_bulk_delete_that_has_not_found_all_rows() -> None:
    """Says how many there were."""
    store = await opened()
    key = fail("INTERNAL", info(expected="3", affected="1"))
    outcomes = await store.write([Delete(key), Delete("x")])
    await store.close()

    assert {str(outcome) for outcome in outcomes} == {"delete affected only 1 rows, expected 3"}


@pytest.mark.usefixtures("process")
async def test_a_refused_read_is_never_about_an_etag() -> None:
    """Its details are looked at for the component's own statuses only."""
    store = await opened()
    with pytest.raises(OwnStatus) as own:
        await store.get([fail("NOT_FOUND", OWN)])
    with pytest.raises(StoreError, match="rpc error: code = InvalidArgument") as plain:
        await store.get([fail("INVALID_ARGUMENT", bad_request("etag")), "k"])
    await store.close()

    assert (own.value.http, own.value.grpc, own.value.grpc_text) == (418, 5, "as asked")
    assert type(plain.value) is StoreError


@pytest.mark.usefixtures("process")
async def test_what_is_no_text_is_refused_to_its_caller_alone() -> None:
    """Octets that came in a header or an address: the protocol has no place for them."""
    store = await opened()
    bad = Hints(metadata={"x": "\udc80"})
    wrong = [Upsert("a", b"v", hints=bad), Upsert("b", b"v", etag="\udcff"), Delete("c", hints=bad)]
    outcomes = await store.write([*wrong, Upsert("d", b"v")])
    (read,) = await store.get([HintedKey("d", bad)])
    with pytest.raises(Unfit):
        await store.transact([Upsert("e", b"v"), *wrong])
    found = await values_of(store, "a", "b", "d", "e")
    await store.close()

    assert [type(outcome) for outcome in (*outcomes, read)] == [Unfit, Unfit, Unfit, type(None), Unfit]
    assert found == [None, None, b"v", None]


@pytest.mark.usefixtures("process")
async def test_one_row_that_cannot_be_read_is_an_error_in_its_place() -> None:
    """Answers may come in any order."""
    store = await opened()
    await put(store, Upsert("a", b"1"), Upsert("b", b"2"))
    found = await store.get(["b", "unreadable", "gone", "a"])
    await store.close()

    assert [str(found[1]), found[2]] == ["cannot be read", None]
    assert [getattr(found[place], "value", None) for place in (0, 3)] == [b"2", b"1"]


async def test_a_component_that_dies_and_comes_back(process: PluggableComponent) -> None:
    """While it is away each call fails, at once; the new process is told Init before it is asked anything."""
    store = await opened()
    await put(store, Upsert("k", b"v"))
    process.kill()
    calls = [store.get(["k"]), store.write([Upsert("k", b"w")]), store.transact([Delete("k")]), store.ping()]
    async with WAITING.timeout(5):
        away = await asyncio.gather(*calls, return_exceptions=True)
    process.start()
    async with WAITING.timeout(10):
        while await write_one(store, Upsert("k", b"new")):
            await WAITING.sleep(0.02)
    read = await value_of(store, "k")
    await store.close()

    assert [isinstance(each, StoreError) for each in (away[0], away[1][0], away[2], away[3])] == [True] * 4
    assert "Unavailable" in str(away[0])
    assert read == b"new"


async def test_a_component_whose_successor_starts_before_it_ends(process: PluggableComponent) -> None:
    """It is the new process that is told Init and asked, from its start on; the end of the old one is not noticed."""
    store = await opened()
    await put(store, Upsert("k", b"old"))
    with PluggableComponent(process.folder, "Plugged.v9"):
        await put(store, Upsert("new", b"v"))
        read = [await value_of(store, "k")]
        process.kill()
        read += await values_of(store, "new", "k")
        await store.close()

    assert read == [None, b"v", None]


async def test_a_component_that_falls_silent(process: PluggableComponent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call ends in time, with an error; when it goes on, so do calls."""
    monkeypatch.setattr(pluggable_store, "CALL_SECONDS", 0.3)
    store = await opened()
    process.signal(signal.SIGSTOP)
    calls = [store.get(["k"]), store.write([Upsert("k", b"w")]), store.transact([Delete("k")]), store.ping()]
    async with WAITING.timeout(5):
        ends = await asyncio.gather(*calls, return_exceptions=True)
    process.signal(signal.SIGCONT)
    async with WAITING.timeout(10):
        while await write_one(store, Upsert("k", b"new")):
            await WAITING.sleep(0.02)
    await store.close()

    assert "code = DeadlineExceeded" in str(ends[0])
    assert [isinstance(each, StoreError) for each in (ends[1][0], ends[2], ends[3])] == [True] * 3


async def test_a_silent_component_is_not_asked_for_the_rest_of_a_request(
    process: PluggableComponent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request of many calls, beside or behind each other, ends in the time of one; the rest is known as not done."""
    monkeypatch.setattr(pluggable_store, "CALL_SECONDS", 0.5)
    store = await opened()
    process.signal(signal.SIGSTOP)
    beside = [Upsert(f"k{number}", b"v", first_write=True) for number in range(pluggable_store.AT_ONCE * 20)]
    behind = [Upsert("k", b"v") for _ in range(20)]
    try:
        async with WAITING.timeout(5):
            ends = await asyncio.gather(store.write(beside), store.write(behind))
    finally:
        process.signal(signal.SIGCONT)
        await store.close()

    asked = [[not error.is_undone for error in outcomes if error] for outcomes in ends]
    assert [len(each) for each in asked] == [len(beside), len(behind)]
    assert [sum(each) for each in asked] == [pluggable_store.AT_ONCE, 1]


async def test_all_who_wait_for_init_wait_for_one(process: PluggableComponent, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a successor never answers it each call fails in the time of one; who gives up harms nobody."""
    store = await opened()
    monkeypatch.setattr(pluggable_store, "CALL_SECONDS", 0.5)
    process.kill()
    process.socket.unlink()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(process.socket))
        silent.listen()
        calls = [asyncio.create_task(store.get(["k"])) for _ in range(20)]
        await WAITING.sleep(0)
        calls.pop(0).cancel()
        async with WAITING.timeout(5):
            ends = await asyncio.gather(*calls, return_exceptions=True)
    process.start()
    async with WAITING.timeout(10):
        while await write_one(store, Upsert("k", b"new")):
            await WAITING.sleep(0.02)
    await store.close()

    assert {isinstance(end, StoreError) for end in ends} == {True}


@pytest.mark.usefixtures("process")
async def test_too_many_callers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for a component is bounded, as for every store; who waits already is served."""
    monkeypatch.setattr(pluggable_store, "CALLERS_AT_MOST", 8)
    store = await opened()
    assert isinstance(store, PluggableStore)
    ends = await asyncio.gather(*(store.get([f"k{number}"]) for number in range(10)), return_exceptions=True)
    await store.close()

    assert ends[:8] == [[None]] * 8
    assert ["too many requests wait for the component" in str(end) for end in ends[8:]] == [True, True]
