"""What an application asks with the official SDK; it prints what it saw. Arguments: gRPC port, HTTP port, store."""

from __future__ import annotations

import json
import sys
from typing import Any

from dapr.clients import DaprClient
from dapr.clients.exceptions import DaprGrpcError


def query(token: str) -> str:
    return json.dumps({
        "filter": {"EQ": {"city": "Bern"}},
        "sort": [{"key": "total", "order": "DESC"}],
        "page": {"limit": 1, "token": token},
    })  # fmt: skip


def main(port: str, store: str) -> None:
    seen: dict[str, Any] = {"keys": [], "data": [], "refused": ""}
    with DaprClient(f"127.0.0.1:{port}") as client:
        token = ""
        while (page := client.query_state(store, query(token))).results:
            seen["keys"] += [each.key for each in page.results]
            seen["data"] += [each.json() for each in page.results]
            token = page.token
        try:
            client.query_state(store, '{"filter":{"FOO":1}}')
        except DaprGrpcError as error:
            seen["refused"] = error.details()
    sys.stdout.write(json.dumps(seen) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[3])
