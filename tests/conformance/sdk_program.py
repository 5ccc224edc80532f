"""What an application does with the official SDK; run by the SDK's own interpreter, it prints what it saw as JSON.

Arguments: the name of a store. The ports come from the environment, as Dapr sets them for applications.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from dapr.clients import DaprClient
from dapr.clients.exceptions import DaprGrpcError
from dapr.clients.grpc._request import TransactionalStateOperation, TransactionOperationType
from dapr.clients.grpc._state import Concurrency, Consistency, StateItem, StateOptions


def refusal(call: Any, *arguments: Any, **more: Any) -> str:
    """The status of a call that is meant to fail."""
    try:
        call(*arguments, **more)
    except DaprGrpcError as error:
        return f"{error.code().name} {error.error_code()}"
    return "no refusal"


def ordinary(client: DaprClient, store: str) -> dict[str, Any]:
    client.save_state(store, "k", "one")
    first = client.get_state(store, "k")
    client.save_state(store, "k", b"two", etag=first.etag)
    second = client.get_state(store, "k")
    client.delete_state(store, "k", etag=second.etag)
    return {
        "saved": first.text(),
        "replaced": second.text(),
        "etag changed": first.etag != second.etag and bool(second.etag),
        "deleted": client.get_state(store, "k").data.decode(),
    }


def many(client: DaprClient, store: str) -> dict[str, Any]:
    client.save_bulk_state(store, [StateItem("a", "1"), StateItem("b", "2", metadata={"ttlInSeconds": "100"})])
    found = client.get_bulk_state(store, ["b", "x", "a"])
    return {"bulk": [[item.key, item.text(), bool(item.etag)] for item in found.items]}


def transactions(client: DaprClient, store: str) -> dict[str, Any]:
    client.save_state(store, "old", "0")
    etag = client.get_state(store, "old").etag
    operations = [
        TransactionalStateOperation("new", "1"),
        TransactionalStateOperation("old", "2", etag=etag),
        TransactionalStateOperation("a", operation_type=TransactionOperationType.delete),
    ]
    client.execute_state_transaction(store, operations)
    # the etag of "old" is stale by now, so that nothing of this may happen
    failing = [TransactionalStateOperation("new", "3"), TransactionalStateOperation("old", "3", etag=etag)]
    refused = refusal(client.execute_state_transaction, store, failing)
    keys = ["new", "old", "a"]
    return {"transaction": [client.get_state(store, key).text() for key in keys], "transaction refused": refused}


def conditions(client: DaprClient, store: str) -> dict[str, Any]:
    first_write = StateOptions(consistency=Consistency.strong, concurrency=Concurrency.first_write)
    last_write = StateOptions(consistency=Consistency.eventual, concurrency=Concurrency.last_write)
    client.save_state(store, "c", "1", options=first_write)
    client.save_state(store, "w", "1", options=last_write)
    return {
        "stale etag": refusal(client.save_state, store, "w", "2", etag="999"),
        "stale delete": refusal(client.delete_state, store, "w", etag="999"),
        "first write": refusal(client.save_state, store, "c", "2", options=first_write),
        "unknown store": refusal(client.get_state, "nope", "k"),
        "illegal key": refusal(client.get_state, store, "a||b"),
        "kept": [client.get_state(store, key).text() for key in ("c", "w")],
    }


def expiry(client: DaprClient, store: str) -> dict[str, Any]:
    client.save_state(store, "t", "v", state_metadata={"ttlInSeconds": "100"})
    client.save_state(store, "short", "v", state_metadata={"ttlInSeconds": "1"})
    return {
        "ttl": client.get_state(store, "t").text(),
        "bad ttl": refusal(client.save_state, store, "t", "v", state_metadata={"ttlInSeconds": "x"}),
    }


def main() -> None:
    store = sys.argv[1]
    seen: dict[str, Any] = {}
    with DaprClient() as client:
        for part in (ordinary, many, transactions, conditions, expiry):
            seen |= part(client, store)
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main()
