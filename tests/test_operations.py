"""The table of operations beside what is declared and what is served: nothing is forgotten in it, or outside of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from dapr_state_proto.runtime.v1 import dapr_pb2, dapr_pb2_grpc

from dapr_state import operations
from dapr_state.operations import OPERATIONS, STORE, UNKNOWN, Operation
from dapr_state.transports.grpc.dapr import DaprServicer
from dapr_state.transports.grpc.unconfigured import UnconfiguredBlocks
from dapr_state.transports.http import unconfigured
from dapr_state.transports.http.actors import ActorRoutes
from dapr_state.transports.http.metadata import health_routes, metadata_routes, shutdown_routes
from dapr_state.transports.http.reminders import ReminderRoutes
from dapr_state.transports.http.router import Router
from dapr_state.transports.http.state import StateRoutes

SERVICE = dapr_pb2.DESCRIPTOR.services_by_name["Dapr"]
DECLARED = {method.name for method in SERVICE.methods}
ROWS = {rpc: operation for operation in OPERATIONS for rpc in operation.rpcs.split()}
nothing: Any = None
ROOMS = [
    StateRoutes(nothing).table(),
    ActorRoutes(nothing).table(),
    ReminderRoutes(nothing).table(),
    health_routes(nothing),
    shutdown_routes(nothing),
    metadata_routes(nothing),
]
ANSWERS = {key: answer for room in (*ROOMS, unconfigured.routes("app", "")) for key, answer in room.items()}
WITH_PATH = [each for each in OPERATIONS if each.path]


def test_every_rpc_has_one_row_and_one_group() -> None:
    """Those of the service, and those of building blocks that are not there; no row is for anything else."""
    rows = Counter(rpc for operation in OPERATIONS for rpc in operation.rpcs.split())
    groups = Counter(rpc for rpcs in operations.grpc_groups().values() for rpc in rpcs)
    absent = {method.rpartition("/")[2] for method in UnconfiguredBlocks("app", "")._answers}

    assert not DECLARED & absent
    assert set(rows) == DECLARED | absent
    assert set(rows.values()) == {1}
    assert groups == rows


@pytest.mark.parametrize("rpc", sorted(DECLARED))
def test_every_declared_rpc_is_served(rpc: str) -> None:
    """By a method of the servicer's own, as a stream if it is declared as one, and with a store if a span names it."""
    method = SERVICE.methods_by_name[rpc]

    assert getattr(DaprServicer, rpc) is not getattr(dapr_pb2_grpc.DaprServicer, rpc)
    assert ROWS[rpc].is_stream == (method.client_streaming or method.server_streaming)
    assert ROWS[rpc].span != STORE or "store_name" in method.input_type.fields_by_name


def test_every_path_has_one_answer() -> None:
    """No room answers what the table does not have or another room has; no row with a path is without an answer."""
    answered = Counter(key for room in ROOMS for key in room)
    absent = unconfigured.routes("app", "").keys() & {each.key for each in WITH_PATH}

    assert Counter(each.key for each in WITH_PATH) == answered + Counter(absent)


@pytest.mark.parametrize("operation", WITH_PATH, ids=lambda each: each.path)
def test_a_path_is_routed_to_its_row(operation: Operation) -> None:
    """In every version, by every verb that the row names; nothing falls to the name for what is no route."""
    router = Router(ANSWERS)
    found = [
        (router.route(verb, parts), router.name(verb, parts))
        for path in operation.paths()
        for verb in operation.verbs.split()
        for parts in [[b"x" if part[:1] in {b"{", b"*"} else part for part in path.encode().split(b"/")[1:]]]
    ]

    assert found
    for route, name in found:
        assert route
        assert (route.operation, name) == (operation, operation.shown.format(app="x", type="x", id="x"))


@pytest.mark.parametrize(
    ("verb", "path", "name"),
    [
        ("GET", "v1.0/state/mem/k", "GetState"),
        ("POST", "v1.0/actors/T/a%20b/method/m", "InvokeActor/T.a b"),
        ("POST", "v1.0/publish/bulk/nm", "PublishEvent"),
        *(
            (verb, path, UNKNOWN)
            for verb, path in (
                ("GET", "nope"),
                ("PATCH", "v1.0/actors/T/1/method/m"),
                ("GET", "v1.0/actors/T/1/method/a/b"),
                ("GET", "v1.0-alpha1/state/mem/k"),
                ("GET", "v1.0-alpha2/workflows/c/id"),
                ("POST", "v1.0-alpha1/publish/nm/t"),
                ("GET", "v1.0-alpha1/metadata"),
                ("POST", "v1.0/conversation/x/converse"),
            )
        ),
    ],
)
def test_what_is_no_route_has_the_name_of_an_invocation(verb: str, path: str, name: str) -> None:
    """Wrong verbs and versions included, as in daprd; names show what a segment means, not how it was written."""
    assert Router(ANSWERS).name(verb, path.encode().split(b"/")) == name
