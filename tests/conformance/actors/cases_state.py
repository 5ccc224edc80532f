"""The state of actors: reads and transactions."""

from __future__ import annotations

import json
from typing import Any

from tests.conformance.actors.steps import JSON, grpc, http, invoke
from tests.conformance.scenario import scenario


def transact(*operations: Any) -> Any:
    return http("POST", "state", json.dumps(list(operations)), **JSON)


def upsert(key: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"operation": "upsert", "request": {"key": key, "value": value, **more}}


def delete(key: str, **more: Any) -> dict[str, Any]:
    return {"operation": "delete", "request": {"key": key, **more}}


def read(key: str) -> Any:
    return http("GET", f"state/{key}")


STATE = [
    scenario("no state", invoke(), read("k"), read("a%7C%7Cb"), read("a+b")),
    scenario("state without a call", transact(upsert("k", 1)), read("k"), transact(), transact(delete("k"))),
    scenario(
        "values",
        invoke(),
        *(
            step
            for value in ("text", 1, 1.5, True, None, "", {}, [])
            for step in (transact(upsert("k", value)), read("k"))
        ),
    ),
    scenario("no value", invoke(), http("POST", "state", '[{"operation":"upsert","request":{"key":"k"}}]'), read("k")),
    scenario(
        "numbers",
        invoke(),
        http("POST", "state", '[{"operation":"upsert","request":{"key":"k","value":12345678901234567890}}]'),
        read("k"),
    ),
    scenario(
        "the order of members",
        invoke(),
        http("POST", "state", '[{"operation":"upsert","request":{"key":"k","value":{"b":1, "a":[2, "<é>"]}}}]'),
        read("k"),
    ),
    scenario(
        "several operations",
        invoke(),
        transact(upsert("a", 1), upsert("b", 2), delete("a"), upsert("c", 3)),
        *map(read, "abc"),
    ),
    scenario(
        "one key again and again",
        invoke(),
        transact(upsert("a", 1), upsert("a", 2), delete("a"), upsert("a", 3)),
        read("a"),
    ),
    scenario(
        "deleting nothing", invoke(), transact(delete("k")), transact(upsert("k", 1)), transact(delete("k")), read("k")
    ),
    scenario("no operations", invoke(), *(http("POST", "state", body) for body in ("[]", "null", " [] ", "[] x"))),
    scenario("PUT writes too", invoke(), http("PUT", "state", json.dumps([upsert("k", 1)])), read("k")),
    scenario(
        "bodies that are refused",
        invoke(),
        *(http("POST", "state", body) for body in ("", "{}", "1", '"a"', "[1]", "[", '[{"operation":1}]', "x")),
    ),
    scenario(
        "operations that are refused",
        invoke(),
        transact(upsert("", 1)),
        transact({"operation": "upsert", "request": {"value": 1}}),
        transact({"operation": "foo", "request": {"key": "k"}}),
        transact({"operation": "upsert"}),
        transact({"request": {"key": "k", "value": 1}}),
        transact({}),
        transact(delete("")),
        transact({"operation": "UPSERT", "request": {"key": "k"}}),
    ),
    scenario("one bad operation keeps the others out", invoke(), transact(upsert("a", 1), upsert("", 2)), read("a")),
    scenario(
        "names of members in any case",
        invoke(),
        http("POST", "state", '[{"Operation":"upsert","REQUEST":{"Key":"k","VALUE":1,"x":2}}]'),
        read("k"),
    ),
    scenario("a ttl", invoke(), transact(upsert("k", 1, metadata={"ttlInSeconds": "100"})), read("k")),
    scenario("a ttl as a number", invoke(), transact(upsert("k", 1, metadata={"ttlInSeconds": 100})), read("k")),
    scenario(
        "keys with odd characters",
        invoke(),
        transact(upsert("a||b", 1), upsert("a b", 2), upsert("é/", 3)),
        read("a%7C%7Cb"),
        read("a+b"),
        read("a%20b"),
        read("%C3%A9%2F"),
    ),
    scenario(
        "state over gRPC",
        invoke(),
        grpc(
            "ExecuteActorStateTransaction",
            operations=[{"operationType": "upsert", "key": "k", "value": {"value": b"\x00\xff"}}],
        ),
        grpc("GetActorState", key="k"),
        grpc("ExecuteActorStateTransaction", operations=[{"operationType": "delete", "key": "k"}]),
        grpc("GetActorState", key="k"),
        grpc("ExecuteActorStateTransaction", operations=[{"operationType": "foo", "key": "k"}]),
        grpc("ExecuteActorStateTransaction"),
    ),
    scenario(
        "state over gRPC without a call",
        grpc("GetActorState", key="k"),
        grpc("ExecuteActorStateTransaction", operations=[{"operationType": "delete", "key": "k"}]),
    ),
]
