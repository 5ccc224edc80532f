"""The table of operations beside what is served: lists and logs know nothing of an RPC or a route that it lacks."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from dapr_state_proto.runtime.v1 import dapr_pb2

from dapr_state import operations
from dapr_state.operations import OPERATIONS, UNKNOWN, Operation
from dapr_state.serving.http.request import Request
from dapr_state.transports.grpc.unconfigured import UnconfiguredBlocks
from dapr_state.transports.http import runtime, unconfigured
from dapr_state.transports.http.actors import ActorRoutes
from dapr_state.transports.http.reminders import ScheduleRoutes
from dapr_state.transports.http.router import Router
from dapr_state.wire.http1.request import Fields

if TYPE_CHECKING:
    from dapr_state.transports.http.route import Route

VERSIONS = ("v1.0", "v1.0-alpha1", "v1.0-alpha2", "v1.0-beta1")
SERVED = {method.name for method in dapr_pb2.DESCRIPTOR.services_by_name["Dapr"].methods}
nothing: Any = None
ROUTES: list[Route] = [
    *ActorRoutes(nothing).table(),
    *ScheduleRoutes(nothing).table(),
    *runtime.health_routes(nothing),
    *runtime.shutdown_routes(nothing),
    *runtime.metadata_routes(nothing),
    *unconfigured.routes("app", ""),
]


def sample(pattern: str) -> str:
    """A path that the pattern fits."""
    return re.sub(r"\{\w+\}|\*|\?", "x", pattern)


def test_every_rpc_has_one_row_and_one_group() -> None:
    """Those of the service, and those of building blocks that are not there; no row is for anything else."""
    rows = Counter(rpc for operation in OPERATIONS for rpc in operation.rpcs.split())
    groups = Counter(rpc for rpcs in operations.grpc_groups().values() for rpc in rpcs)
    absent = {method.rpartition("/")[2] for method in UnconfiguredBlocks("app", "")._answers}

    assert set(rows) == SERVED | absent
    assert set(rows.values()) == {1}
    assert groups == rows


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.verbs} {route.pattern}")
def test_every_route_has_its_operations_name(route: Route) -> None:
    """For each of its verbs, in the log that shows no paths; nothing falls to the name for what is no route."""
    assert UNKNOWN not in {operations.name(verb, sample(route.pattern)) for verb in route.verbs.split()}


@pytest.mark.parametrize("operation", [each for each in OPERATIONS if each.path], ids=lambda each: each.path)
def test_every_operations_route_is_served(operation: Operation) -> None:
    """In one version at least, by each verb that the table names."""
    state: Any = object()  # only asked whether it is there
    router = Router(state, ROUTES)
    fields = Fields({}, 0, frozenset(), chunked=False)
    verbs: set[str] = set()
    for version in VERSIONS:
        target = f"/{version}{sample(operation.path)}".encode()
        verbs |= set(router.verbs(Request("GET", target, fields, keep_alive=True, expect="")))

    assert verbs
    assert set(operation.verbs.split()) <= verbs


def test_an_operation_has_a_name_whatever_the_path() -> None:
    """What is no route is taken for the call of an application."""
    assert operations.name("GET", "/v1.0/state/mem/k") == "GetState"
    assert operations.name("GET", "/nope") == "InvokeService"
    assert operations.name("POST", "/v1.0/actors/T/1/method/m") == "InvokeActor/T.1"
