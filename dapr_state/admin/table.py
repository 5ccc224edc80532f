"""Every call of the administration API, one row each: its messages, its HTTP route, and whether it changes anything.

Both transports serve what is here: from a row come the gRPC method, the HTTP route and the name in the logs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dapr_state_proto.admin.v1 import admin_pb2

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    Unary = Callable[[Any], Awaitable[Any]]
    Streaming = Callable[[Any], AsyncGenerator[Any, None]]
    Answers = Mapping[str, Unary | Streaming]  # by the names of the calls; those that are not there are not served

PACKAGE: Final = admin_pb2.DESCRIPTOR.package
GROUP: Final = "admin"  # in the API lists, with version v1
BASE: Final = "/dapr-state/v1/"


class Rpc(NamedTuple):
    """`routes` are verb and path behind `BASE`; what stands in braces is a field of the request."""

    service: str
    name: str
    routes: tuple[tuple[str, str], ...]
    changes: bool = False

    @property
    def method(self) -> Any:
        return admin_pb2.DESCRIPTOR.services_by_name[self.service].methods_by_name[self.name]

    @property
    def full_name(self) -> str:
        """As gRPC has it in a path."""
        return f"{PACKAGE}.{self.service}/{self.name}"

    @property
    def request(self) -> Any:
        return getattr(admin_pb2, self.method.input_type.name)

    @property
    def response(self) -> Any:
        return getattr(admin_pb2, self.method.output_type.name)

    @property
    def is_stream(self) -> bool:
        return bool(self.method.server_streaming)


def _row(service: str, name: str, *routes: str, changes: bool = False) -> Rpc:
    pairs = tuple((verb, path) for verb, _, path in (route.partition(" ") for route in routes))
    return Rpc(service, name, pairs, changes)


_STORE: Final = "state/{store_name}"
_ACTOR: Final = "actors/{actor.type}/{actor.id}"

# The first whose path fits a request answers it. What a path names, a query or a body may name as well: no browser
# sends a path with an actor in it that is called `..`.
RPCS: Final = (
    _row("State", "ListKeys", f"GET {_STORE}/keys"),
    _row("State", "StreamKeys", f"GET {_STORE}/keys.ndjson"),
    _row("State", "CountKeys", f"GET {_STORE}/count"),
    _row("State", "GetEntry", f"GET {_STORE}/entry"),
    _row("State", "SaveEntry", f"POST {_STORE}/entry", changes=True),
    _row("State", "DeleteEntry", f"DELETE {_STORE}/entry", changes=True),
    _row("State", "DeleteByPrefix", f"POST {_STORE}:deleteByPrefix", changes=True),
    _row("State", "Touch", f"POST {_STORE}:touch", changes=True),
    _row("State", "Watch", f"GET {_STORE}/watch"),
    _row("Actors", "Drain", "POST actors:drain", changes=True),
    _row(
        "Actors",
        "Deactivate",
        f"POST {_ACTOR}:deactivate",
        "POST actors/{type}:deactivate",
        "POST actors:deactivate",
        changes=True,
    ),
    _row("Actors", "ListTypes", "GET actors"),
    _row("Actors", "ListActors", "GET actors/{type}", "GET actors:list"),
    _row("Actors", "GetActor", f"GET {_ACTOR}", "GET actor"),
    _row("Actors", "DeleteActor", f"DELETE {_ACTOR}", "DELETE actor", changes=True),
    _row("Actors", "ListReminders", "GET reminders"),
    _row("Actors", "ListTimers", "GET timers"),
    _row(
        "Actors",
        "TriggerReminder",
        f"POST {_ACTOR}/reminders/{{name}}:trigger",
        "POST reminders:trigger",
        changes=True,
    ),
    _row("Actors", "PauseReminders", "POST reminders:pause", changes=True),
    _row("Runtime", "GetOverview", "GET overview"),
    _row("Runtime", "GetConfiguration", "GET configuration"),
    _row("Runtime", "Traffic", "GET traffic"),
    _row("Runtime", "ReloadApp", "POST app:reload", changes=True),
    _row("Test", "Advance", "POST test/advance", changes=True),
    _row("Test", "SetTime", "POST test/setTime", changes=True),
    _row("Test", "WaitIdle", "POST test/waitIdle", changes=True),
    _row("Test", "Reset", "POST test/reset", changes=True),
    _row("Test", "TakeSnapshot", "POST test/snapshots", changes=True),
    _row("Test", "RestoreSnapshot", "POST test/snapshots/{id}:restore", changes=True),
    _row("Test", "AddFault", "POST test/faults", changes=True),
    _row("Test", "RemoveFault", "DELETE test/faults/{id}", changes=True),
    _row("Test", "ListFaults", "GET test/faults"),
    _row("Test", "Calls", "GET test/calls"),
    _row("Test", "Clock", "POST test/clock", changes=True),
    _row("Test", "TriggerTimer", "POST test/timers:trigger", changes=True),
)


def served(answers: Answers) -> list[tuple[Rpc, Unary | Streaming]]:
    """The rows that somebody answers."""
    return [(rpc, answers[rpc.name]) for rpc in RPCS if rpc.name in answers]
