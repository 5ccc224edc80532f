"""Large values that are asked for together are not in memory together."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from dapr_state.stores.base import StoreError
from dapr_state.stores.model import StoredValue, Upsert
from dapr_state.stores.sqlite import executor as module
from dapr_state.testing.stores.asking import put

if TYPE_CHECKING:
    from tests.stores.sqlite.conftest import File

VALUE = bytes(100_000)


@pytest.mark.parametrize("is_json", [True, False])
async def test_large_values_are_given_out_some_at_a_time(
    file: File, monkeypatch: pytest.MonkeyPatch, *, is_json: bool
) -> None:
    """The next are read when those who asked for the first have them; each gets his own."""
    monkeypatch.setattr(module, "READ_AT_ONCE", 300_000)
    held = peak = 0

    async with file.opened() as store:
        for at in range(20):
            await put(store, Upsert(f"k{at}", VALUE + str(at).encode(), is_json=is_json))
        executor = store._executors[1]
        read = executor.read

        def noted(*arguments: Any) -> Any:
            nonlocal held, peak
            found = read(*arguments)
            held += len(found)
            peak = max(peak, held)
            return found

        executor.read = noted  # type: ignore[method-assign]

        async def get(at: int) -> Any:
            nonlocal held
            (row,) = await store.get([f"k{at}"])
            held -= 1
            return row

        rows = await asyncio.gather(*(get(at) for at in range(20)))

    assert [isinstance(row, StoredValue) and row.value for row in rows] == [
        VALUE + str(at).encode() for at in range(20)
    ]
    assert 1 < peak <= 6


async def test_one_request_is_answered_whole_however_much_it_asks_for(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone and behind others; keys that are missing or no text have their places."""
    monkeypatch.setattr(module, "READ_AT_ONCE", 300_000)
    keys = ["k0", "missing", "\udcff", *(f"k{at}" for at in range(1, 12)), "also missing"]

    async with file.opened() as store:
        for at in range(12):
            await put(store, Upsert(f"k{at}", VALUE + str(at).encode(), is_json=True))
        answers = await asyncio.gather(*(store.get(keys) for _ in range(3)), store.get(["k3", "k4", "k5", "missing"]))

    expected = [VALUE + str(at).encode() for at in range(12)]
    for found in answers[:3]:
        assert found[1] is found[-1] is None
        assert isinstance(found[2], StoreError)
        assert [row.value for row in found if isinstance(row, StoredValue)] == expected
    assert [isinstance(row, StoredValue) and row.value for row in answers[3]] == [*expected[3:6], False]
