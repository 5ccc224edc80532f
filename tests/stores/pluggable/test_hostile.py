"""Pluggable components that answer what they should not, too much, or not to the end."""

from __future__ import annotations

import socket
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from dapr_state import slices
from dapr_state.clock import WAITING
from dapr_state.resources.component import Component
from dapr_state.stores import registry
from dapr_state.stores.base import StateStore, StoreError
from dapr_state.stores.model import StoredValue, Upsert
from dapr_state.stores.pluggable import answers
from tests.support.pluggable import HOSTILE, PluggableComponent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from contextlib import AbstractAsyncContextManager


@pytest.fixture(scope="module")
def component(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PluggableComponent]:
    with PluggableComponent(tmp_path_factory.mktemp("hostile"), "hostile", HOSTILE) as process:
        yield process


@pytest.fixture
def process(component: PluggableComponent, monkeypatch: pytest.MonkeyPatch) -> PluggableComponent:
    """Where it is found; one that has died of a test is started anew."""
    for name, value in component.environment.items():
        monkeypatch.setenv(name, value)
    if component.exit_code is not None:
        component.start()
    return component


@asynccontextmanager
async def opened() -> AsyncIterator[StateStore]:
    store = registry.create(Component("a", "state.hostile"))
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
def store(process: PluggableComponent) -> AbstractAsyncContextManager[StateStore]:
    assert process.is_ready()
    return opened()


async def test_a_component_that_keeps_the_stream_of_reflection_open_is_open_at_once(store: StateStore) -> None:
    """Its first answer says what it offers; the stream itself would have lasted 20 seconds, and been an error."""
    async with WAITING.timeout(10):
        assert await store.get(["k"]) == [None]


@pytest.mark.parametrize("key", ["garbage", "cut", "an etag that is no text"])
async def test_an_answer_that_is_none_is_an_error_of_its_caller(store: StateStore, key: str) -> None:
    """It says whose fault it is; the component is asked on."""
    with pytest.raises(StoreError, match=r"answer is no dapr\.proto\.components\.v1\.GetResponse"):
        await store.get([key])
    assert await store.get(["k"]) == [None]


@pytest.mark.parametrize("key", ["garbage", "one"])
async def test_a_refusal_whose_details_are_none_is_told_without_them(store: StateStore, key: str) -> None:
    """To its caller, as one of the store; what is beside it in the request has an outcome too."""
    outcomes = await store.write([Upsert(key, b"v", etag="1"), Upsert("beside", b"v", etag="1")])

    assert [str(outcome) for outcome in outcomes] == ["rpc error: code = Internal desc = no"] * 2


async def test_a_time_that_is_none_is_no_expiry(store: StateStore) -> None:
    """A row without it is better than none; a field of another form is one that nobody knows."""
    assert await store.get(["year 1"]) == [StoredValue(b"v", "")]
    assert await store.get(["a number for its etag"]) == [None]


@pytest.mark.parametrize("key", ["garbage", "cut"])
async def test_rows_that_are_none_are_an_error_of_their_caller(store: StateStore, key: str) -> None:
    """Of many keys as of one."""
    with pytest.raises(StoreError, match=r"answer is no dapr\.proto\.components\.v1\.BulkGetResponse"):
        await store.get([key, "k"])


async def test_rows_that_nobody_asked_for_are_read_in_slices_and_dropped(store: StateStore) -> None:
    """Two hundred thousand of them hold nobody up; the one that was asked for is found."""
    before = slices.taken()
    found = await store.get(["rows that nobody asked for", "k"])

    assert found == [StoredValue(b"v", ""), None]
    assert slices.taken() > before


async def test_rows_that_are_too_large_for_one_answer_come_in_several(store: StateStore) -> None:
    """Each is there, in its place; one that is too large by itself is refused as daprd refuses it."""
    keys = [f"k{number}" for number in range(5)]
    found = await store.get(keys)
    with pytest.raises(StoreError, match="code = ResourceExhausted"):
        await store.get(["large"])

    assert [isinstance(row, StoredValue) and row.value.rstrip(b"\0").decode() for row in found] == keys
    assert len(keys) * 6 << 20 > answers.LARGEST


async def test_a_component_that_dies_of_a_write_answers_its_caller_who_does_not_ask_again(
    store: StateStore, process: PluggableComponent
) -> None:
    """A bulk and a transaction: nobody knows what became of them, and the next process is not told to do them."""
    two = [Upsert("a", b"v"), Upsert("b", b"v")]
    async with WAITING.timeout(30):
        outcomes = await store.write(two)
        process.wait()
        process.start()
        with pytest.raises(StoreError) as failed:
            await store.transact(two)
        process.wait()

    assert [isinstance(each, StoreError) and not each.is_undone for each in outcomes] == [True, True]
    assert not failed.value.is_undone


async def test_many_sockets_of_others_are_nothing_to_a_component(
    process: PluggableComponent,
) -> None:
    """Nobody listens at half of them, and nobody accepts at the others; it is found by its own name."""
    with ExitStack() as stack:
        for number in range(200):
            other = stack.enter_context(socket.socket(socket.AF_UNIX))
            other.bind(str(process.folder / f"other{number}.sock"))
            if number % 2:
                other.listen(0)
        async with WAITING.timeout(10), opened() as another:
            assert await another.get(["k"]) == [None]
