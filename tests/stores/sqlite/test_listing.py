"""Lists of a file that others write to as well, and how SQLite finds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dapr_state.stores import paging
from dapr_state.stores.base import Count, StoreError
from dapr_state.stores.model import Upsert
from dapr_state.stores.sqlite import statements
from dapr_state.testing.stores.administration import total
from dapr_state.testing.stores.asking import put

if TYPE_CHECKING:
    from tests.stores.sqlite.conftest import File

FOREIGN = "INSERT INTO state (key, value, is_binary, etag) VALUES (CAST(? AS TEXT), 'v', 0, 'e')"


async def test_keys_that_are_no_text_are_passed_over(file: File) -> None:
    """A foreign program's: nobody could ask for them, and no page ends because of them."""
    async with file.opened() as store:
        await put(store, Upsert("a", b"v"), Upsert("z", b"v"))
        for key in (b"b\xff", b"b\xff\xff", b"b"):
            file.sql(FOREIGN, (key,))
        file.sql("INSERT INTO state (key, value, is_binary, etag) VALUES (x'6161', 'v', 0, 'e')")
        seen, after = [], ""
        for _ in range(6):
            page = await store.list("", after=after, limit=1)
            seen += [entry.key for entry in page.entries]
            if not (after := page.after):
                break

    assert seen == ["a", "b", "z"]
    assert after == ""


async def test_a_page_is_a_range_of_the_index(file: File) -> None:
    """No scan of the table and no sort, in the first page and in those that follow."""
    async with file.opened() as store:
        await put(store, *(Upsert(f"k{number}", b"v") for number in range(5)))
        statements: list[str] = []
        assert store._reading is not None
        store._executors[1].connection.set_trace_callback(statements.append)
        page = await store.list("k", limit=2)
        await store.list("k", after=page.after, limit=2)
        plans = [row[-1] for sql in statements for row in file.sql(f"EXPLAIN QUERY PLAN {sql}")]

    assert plans == ["SEARCH state USING INDEX sqlite_autoindex_state_1 (key>? AND key<?)"] * 2


async def test_a_page_of_keys_reads_no_more_than_itself(file: File) -> None:
    """Forwards, backwards and counted, it is a range of the index: nothing is sorted, nothing is scanned."""
    async with file.opened() as store:
        await put(store, *(Upsert(f"k{number}", b"v") for number in range(10)))
        statements: list[str] = []
        store._executors[1].connection.set_trace_callback(statements.append)
        await store.keys("k", limit=5, sizes=True)
        await store.keys("k", limit=5, reverse=True)
        await store.count("k", hidden="||")
        store._executors[1].connection.set_trace_callback(None)
        asked = [sql for sql in statements if " FROM state" in sql]
        plans = [[step for *_, step in file.sql(f"EXPLAIN QUERY PLAN {sql}")] for sql in asked]

    assert len(plans) == 4  # of a count, first whether they are many
    for plan in plans:
        assert any(step.startswith("SEARCH state USING") and "INDEX" in step and "key>" in step for step in plan)
        assert not any("TEMP B-TREE" in step or step.startswith("SCAN state") for step in plan)


async def test_many_are_counted_in_the_order_of_the_file(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its steps, however the keys stand in it: those of the prefix alone, alive, not hidden, with their octets."""
    monkeypatch.setattr(statements, "_COUNTED_AT_ONCE", 40)  # more than these are many
    monkeypatch.setattr(statements, "_ROWS_IN_FILE", 30)
    keys = [f"app||{number * 37 % 101:03}" for number in range(101)]
    async with file.opened() as store:
        await put(store, *(Upsert(key, b"12345") for key in keys))
        await put(store, *(Upsert(f"app||T||1||{number}", b"v") for number in range(50)))
        await put(store, *(Upsert(f"ap{number}", b"v") for number in range(50)), Upsert("app||1", b"v", ttl=1000))
        file.sql("UPDATE state SET expiration_time = DATETIME(CURRENT_TIMESTAMP, '-1 seconds') WHERE key = 'app||1'")
        asked: list[str] = []
        store._executors[1].connection.set_trace_callback(asked.append)

        assert await total(store, "app||", hidden="||", sizes=True) == (101, 505)
        assert await total(store, "app||T") == (50, 0)
        assert sum("NOT INDEXED" in sql for sql in asked) == 7 + 7
        assert await total(store, "app||0") == (100, 0)
        assert await total(store, "app||00") == (10, 0)
        assert sum("NOT INDEXED" in sql for sql in asked) == 7 + 7 + 7


async def test_a_count_goes_on_in_its_own_list_alone(file: File) -> None:
    """The place in a file says nothing of another prefix."""
    async with file.opened() as store:
        with pytest.raises(StoreError, match="not given by this list"):
            await store.count("b", after=paging.row_token(5, "a"))
        assert await store.count("a", after=paging.row_token(5, "a")) == Count(0)
