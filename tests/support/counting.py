"""A number that two programs count up at the same time, each guarded by the etag that it read: no step may be lost."""

from __future__ import annotations

import asyncio

from dapr_state.stores.base import EtagMismatch, StateStore
from dapr_state.stores.model import Upsert
from dapr_state.testing.stores.asking import put, row_of, value_of, write_one
from tests.support.client import Client, item


async def counted_by_both(store: StateStore, client: Client, turns: int) -> bytes | None:
    """What the number is after so many steps of the store, and as many of a sidecar whose store is called `s`."""
    await put(store, Upsert("n", b"0"))
    theirs = asyncio.create_task(asyncio.to_thread(_count, client, turns))
    done = 0
    while done < turns:
        row = await row_of(store, "n")
        outcome = await write_one(store, Upsert("n", str(int(row.value) + 1).encode(), etag=row.etag))
        assert outcome is None or isinstance(outcome, EtagMismatch)
        done += outcome is None
    await theirs
    return await value_of(store, "n")


def _count(client: Client, turns: int) -> None:
    done = 0
    while done < turns:
        read = client.get("s", "n").response
        reply = client.save("s", item("n", str(int(read["data"]) + 1).encode(), etag=read["etag"]))
        assert reply.code in {"OK", "ABORTED"}, reply
        done += reply.ok
