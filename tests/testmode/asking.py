"""Dapr's own API as a client of it uses it, in a sidecar that is tested."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dapr_state.pytest.sidecar import Dapr

Answer = tuple[int, Any]


def ask(dapr: Dapr, verb: str, path: str, body: object = None) -> Answer:
    octets = b"" if body is None else json.dumps(body).encode()
    status, _, answer = dapr._client.send(verb, f"/v1.0/{path}", octets, as_client=True)
    try:
        return status, json.loads(answer) if answer else None
    except ValueError:
        return status, answer


def save(dapr: Dapr, store: str, key: str, value: object = 1, **metadata: str) -> Answer:
    return ask(dapr, "POST", f"state/{store}", [{"key": key, "value": value, "metadata": metadata}])


def get(dapr: Dapr, store: str, key: str) -> object:
    """None if there is none."""
    status, value = ask(dapr, "GET", f"state/{store}/{key}")
    assert status in {200, 204}, value
    return value


def remind(dapr: Dapr, actor: str, name: str, **times: object) -> None:
    status, answer = ask(dapr, "POST", f"actors/Cart/{actor}/reminders/{name}", times)
    assert status == 204, answer


def time(dapr: Dapr, actor: str, name: str, **times: object) -> None:
    status, answer = ask(dapr, "POST", f"actors/Cart/{actor}/timers/{name}", times)
    assert status == 204, answer


def invoke(dapr: Dapr, actor: str, method: str = "Add") -> Answer:
    return ask(dapr, "POST", f"actors/Cart/{actor}/method/{method}", {})
