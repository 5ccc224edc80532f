"""Policies beside daprd: what callers, metrics and metadata are told while a store does not answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.client import item
from tests.support.components import component
from tests.support.configured import page
from tests.support.http import ask
from tests.support.redis import RedisServer
from tests.support.sidecar import Daprd, Sidecar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.recorded import Recorded

POLICIES = {
    "apiVersion": "dapr.io/v1alpha1",
    "kind": "Resiliency",
    "metadata": {"name": "myres"},
    "spec": {
        "policies": {
            "timeouts": {"fast": "60ms"},
            "retries": {"twice": {"duration": "10ms", "maxRetries": 2}},
            "circuitBreakers": {"cb": {"trip": "consecutiveFailures >= 1", "timeout": "60s"}},
        },
        "targets": {
            "components": {
                "slow": {"outbound": {"timeout": "fast"}},
                "shut": {"outbound": {"timeout": "fast", "circuitBreaker": "cb"}},
                "again": {"outbound": {"timeout": "fast", "retry": "twice"}},
            }
        },
    },
}
STORES = ("slow", "shut", "again")


@pytest.fixture(scope="module")
def paused_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server
        server.resume()


def documents(redis: RedisServer) -> list[dict[str, Any]]:
    return [*(component(name, "state.redis", redisHost=redis.address) for name in STORES), POLICIES]


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory, paused_redis: RedisServer) -> Iterator[Sidecar]:
    paused_redis.resume()
    with Sidecar(tmp_path_factory.mktemp("ours"), documents(paused_redis)) as server:
        yield server


@pytest.fixture(scope="module")
def daprd(tmp_path_factory: pytest.TempPathFactory, paused_redis: RedisServer, daprd_binary: Path) -> Iterator[Daprd]:
    paused_redis.resume()
    with Daprd(daprd_binary, tmp_path_factory.mktemp("daprd"), documents(paused_redis)) as server:
        yield server


def answers(server: Sidecar, store: str) -> dict[str, Any]:
    """What each call of both transports comes to."""
    steps = json.dumps({"operations": [{"operation": "upsert", "request": {"key": "k", "value": 1}}]})
    base = f"/v1.0/state/{store}"
    over_http = {
        "get": ("GET", f"{base}/k", None),
        "save": ("POST", base, '[{"key":"k","value":1}]'),
        "delete": ("DELETE", f"{base}/k", None),
        "bulk get": ("POST", f"{base}/bulk", '{"keys":["k"]}'),
        "transaction": ("POST", f"{base}/transaction", steps),
        "save of nothing": ("POST", base, "[]"),
    }
    told: dict[str, Any] = {}
    for name, (method, target, body) in over_http.items():
        answer = ask(server.http_port, method, target, body)
        told[f"HTTP {name}"] = [answer.code, answer.body.decode()]
    with server.client() as client:
        replies = {
            "get": client.get(store, "k"),
            "save": client.save(store, item("k", b"v")),
            "delete": client.delete(store, "k"),
            "bulk get": client.bulk_get(store, "k"),
            "bulk delete": client.bulk_delete(store, item("k")),
            "transaction": client.transact(store, ("upsert", item("k", b"v"))),
        }
    told |= {f"gRPC {name}": [reply.code, reply.message, reply.details] for name, reply in replies.items()}
    return told


def told_of(server: Sidecar) -> dict[str, Any]:
    """All that is told while Redis does not answer, and of it afterwards."""
    told: dict[str, Any] = {store: answers(server, store) for store in STORES}
    lines = page(server).body.decode().splitlines()
    told["metrics"] = sorted(line for line in lines if line.startswith("dapr_resiliency") and not line.endswith(" 0"))
    metadata = ask(server.http_port, "GET", "/v1.0/metadata").json
    told["metadata"] = [list(metadata)[-1], metadata["resiliencies"]]
    return told


def test_what_is_told_is_what_daprd_tells(sidecar: Sidecar, paused_redis: RedisServer, recorded: Recorded) -> None:
    """Statuses, codes and texts of timeouts and open breakers, the series of the metrics, and the metadata."""

    def of(server: Sidecar) -> dict[str, Any]:
        paused_redis.pause()
        try:
            return told_of(server)
        finally:
            paused_redis.resume()

    theirs = recorded("while Redis does not answer", of)
    ours = of(sidecar)

    assert ours["metadata"] == theirs["metadata"]
    for store in STORES:
        assert ours[store] == theirs[store]
    assert ours["metrics"] == theirs["metrics"]
