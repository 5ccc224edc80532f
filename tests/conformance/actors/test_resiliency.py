"""Actors under policies beside daprd: how often the application is called, and what callers and metrics are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from dapr_state_proto.runtime.v1 import actors_pb2

from tests.conformance.actors.side import ControlPlane, hosted, sidecar
from tests.support.configured import page
from tests.support.http import ask
from tests.support.rawapp import RawApp
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.recorded import Recorded
    from tests.support.sidecar import Sidecar

TYPES: Final = ("retried", "late", "both", "shared", "own")
BREAKER: Final = {"circuitBreaker": "two"}
POLICIES: Final = {
    "apiVersion": "dapr.io/v1alpha1",
    "kind": "Resiliency",
    "metadata": {"name": "myres"},
    "spec": {
        "policies": {
            "timeouts": {"short": "200ms"},
            "retries": {"twice": {"duration": "10ms", "maxRetries": 2}},
            "circuitBreakers": {"two": {"trip": "consecutiveFailures >= 2", "timeout": "600s"}},
        },
        "targets": {
            "actors": {
                "retried": {"retry": "twice"},
                "late": {"timeout": "short"},
                "both": {"retry": "twice", "circuitBreakerScope": "type", **BREAKER},
                "shared": {"circuitBreakerScope": "type", **BREAKER},
                "own": {"circuitBreakerScope": "id", **BREAKER},
                "nowhere": {"retry": "twice"},
            }
        },
    },
}

_HEADER: Final = {"headers": [["X-DaprErrorResponseHeader", "yes"]], "body": "told in a header"}
# what the application does, and the calls that are made one behind the other: type and id
CASES: Final[dict[str, tuple[dict[str, Any] | None, list[tuple[str, str]]]]] = {
    "it always fails": ({"status": 500, "body": "boom"}, [("retried", "a")]),
    "it fails twice": ({"status": 500, "times": 2}, [("retried", "a")]),
    "it answers with another status": ({"status": 201, "body": "made"}, [("retried", "a")]),
    "it has no such method": ({"status": 404, "body": "what"}, [("retried", "a")]),
    "it says in a header that it has failed": (_HEADER, [("retried", "a")]),
    "it drops the connection": ({"drop": True}, [("retried", "a")]),
    "it hangs": ({"hold": True}, [("late", "a")]),
    "a breaker opens in the midst of a call": ({"status": 500, "body": "boom"}, [("both", "a"), ("both", "b")]),
    "a breaker of a type": ({"match": "/shared/a-", "status": 500}, [("shared", "a")] * 3 + [("shared", "b")]),
    "breakers of actors": ({"match": "/own/a-", "status": 500}, [("own", "a")] * 3 + [("own", "b")]),
    "nobody hosts the type": (None, [("nowhere", "a")]),
}


class Side:
    def __init__(self, server: Sidecar, app: RawApp) -> None:
        self.server = server
        self.app = app

    def play(self, name: str) -> dict[str, Any]:
        """What each call comes to, over HTTP and gRPC, and what the application was asked."""
        rule, calls = CASES[name]
        told: dict[str, Any] = {}
        for transport in ("HTTP", "gRPC"):
            self.app.forget()
            self.app.obey(*([{"match": "/method/m", **rule}] if rule else []))
            told[transport] = [self._call(transport, kind, f"{actor}-{transport}") for kind, actor in calls]
            self.app.release()
            told[f"{transport} asked"] = [seen.target for seen in self.app.seen("/method/m")]
        return told

    def _call(self, transport: str, kind: str, actor: str) -> list[object]:
        if transport == "gRPC":
            with self.server.client() as client:
                wanted = actors_pb2.InvokeActorRequest(actor_type=kind, actor_id=actor, method="m", data=b"{}")
                reply = client.call("InvokeActor", wanted)
            return [reply.code, self._plain(reply.message), reply.details]
        answer = ask(self.server.http_port, "PUT", f"/v1.0/actors/{kind}/{actor}/method/m", "{}")
        return [answer.code, self._plain(answer.body.decode())]

    def _plain(self, text: str) -> str:
        return text.replace(str(self.app.port), "PORT")

    def metrics(self) -> list[str]:
        """What is counted, but for how states are shown: daprd tells them late."""
        lines = page(self.server).body.decode().splitlines()
        return sorted(
            line for line in lines if line.startswith(("dapr_resiliency_count", "dapr_resiliency_activations"))
        )


def _sides(folder: Path, plane: ControlPlane | None) -> Iterator[Side]:
    with (
        RawApp(folder, {"entities": TYPES}) as app,
        sidecar(folder, plane, app.port, more=[POLICIES]) as server,
    ):
        until(lambda: set(TYPES) <= hosted(server), what="the application's types are hosted")
        yield Side(server, app)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    yield from _sides(tmp_path_factory.mktemp("ours"), None)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory, control_plane: ControlPlane) -> Iterator[Side]:
    yield from _sides(tmp_path_factory.mktemp("theirs"), control_plane)


def test_what_is_told_is_what_daprd_tells(ours: Side, recorded: Recorded) -> None:
    """Attempts, statuses and texts of retries, timeouts and breakers, and what is counted of them."""

    def of(side: Side) -> dict[str, Any]:
        return {name: side.play(name) for name in CASES} | {"metrics": side.metrics()}

    assert of(ours) == recorded("an application that fails", of, of="theirs")
