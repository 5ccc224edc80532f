"""The steps of scenarios with one actor: requests to its sidecar, and what its application saw."""

from __future__ import annotations

import json
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import pairwise
from threading import Thread
from typing import TYPE_CHECKING, Any

from google.protobuf import message_factory

from tests.conformance.over_grpc.steps import show
from tests.support.client import SERVICE
from tests.support.http import ask
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.support.client import Client
    from tests.support.http import Answer
    from tests.support.rawapp import RawApp, Seen

TYPE = "cart"
CONFIG = {
    "entities": [TYPE, "brief", "deep"],
    "entitiesConfig": [
        {"entities": ["brief"], "actorIdleTimeout": "100ms"},
        {"entities": ["deep"], "reentrancy": {"enabled": True, "maxStackDepth": 2}},
    ],
}
JSON = {"Content_Type": "application/json"}

# what the two sides' HTTP clients and tracing add of their own accord
OWN_HEADERS = {"host", "user-agent", "accept-encoding", "traceparent", "content-length"}
OWN_ANSWERS = {"Traceparent", "Content-Length"}


@dataclass(frozen=True)
class Scene:
    """Where a scenario plays: a sidecar and the application beside it, and an actor id that no other scenario uses."""

    port: int
    client: Client
    app: RawApp
    actor: str
    started: list[Future[str]] = field(default_factory=list)

    def fill(self, text: str) -> str:
        return text.replace("ID", self.actor)

    def shown(self, line: str) -> str:
        return line.replace(self.actor, "ID").replace(str(self.app.port), "PORT")


def http(method: str, path: str, body: str | bytes | None = None, **headers: str) -> Callable[[Scene], str]:
    """A request to a path of the actor ("method/m"), or to any ("/v1.0/..."); ID is the actor's own."""

    def step(scene: Scene) -> str:
        target = scene.fill(path if path.startswith("/") else f"/v1.0/actors/{TYPE}/ID/{path}")
        return show_answer(ask(scene.port, method, target, body, **headers))

    return step


def invoke(method: str = "m", body: str = "{}", **headers: str) -> Callable[[Scene], str]:
    return http("POST", f"method/{method}", body, **headers)


def show_answer(answer: Answer) -> str:
    """Status, headers and body in one line."""
    lines = sorted(line for line in answer.lines if line.partition(":")[0] not in OWN_ANSWERS)
    return " ".join((str(answer.code), *lines, answer.body.decode(errors="backslashreplace"))).rstrip()


def grpc(call: str, /, **fields: Any) -> Callable[[Scene], str]:
    """A call for the actor, or for the `actor_type` and `actor_id` that are given."""

    def step(scene: Scene) -> str:
        request_type = message_factory.GetMessageClass(SERVICE.methods_by_name[call].input_type)
        actor = {"actor_type": TYPE, "actor_id": "ID", **fields}
        actor["actor_id"] = scene.fill(actor["actor_id"])
        return show(scene.client.call(call, request_type(**actor)))

    return step


def start(request: Callable[[Scene], str]) -> Callable[[Scene], str]:
    """Make the request, and go on without its answer."""

    def step(scene: Scene) -> str:
        answer: Future[str] = Future()
        scene.started.append(answer)
        Thread(target=lambda: answer.set_result(request(scene))).start()
        return ""

    return step


def holding(number: int) -> Callable[[Scene], str]:
    """Wait until the application holds so many requests."""
    return lambda scene: scene.app.holding(number) or ""


def release() -> Callable[[Scene], str]:
    return lambda scene: scene.app.release() or ""


def answers() -> Callable[[Scene], str]:
    """The answers to all that was started."""
    return lambda scene: " | ".join(each.result(20) for each in scene.started)


def overlaps() -> Callable[[Scene], str]:
    """How many requests the application was sent while it was at another of this actor."""

    def step(scene: Scene) -> str:
        turns = sorted((each.began, each.ended or each.began) for each in asked(scene, ""))
        return str(sum(began < ended for (_, ended), (began, _) in pairwise(turns)))

    return step


def rules(*given: Mapping[str, Any]) -> Callable[[Scene], str]:
    """From here on the application follows these rules for this actor's requests."""

    def step(scene: Scene) -> str:
        scene.app.obey(*({**rule, "match": scene.fill(rule["match"])} for rule in given))
        return ""

    return step


def asked(scene: Scene, part: str) -> list[Seen]:
    return [each for each in scene.app.seen(f"/{scene.actor}") if part in f"{each.method} {each.target}"]


def seen(part: str = "", times: int = 1) -> Callable[[Scene], str]:
    """The first so many requests to the application for this actor, once they are there."""

    def step(scene: Scene) -> str:
        until(lambda: len(asked(scene, part)) >= times, what=f"the application is asked for {part} {times} times")
        return " | ".join(show_seen(each) for each in asked(scene, part)[:times])

    return step


def count(part: str) -> Callable[[Scene], str]:
    """How often the application was asked."""
    return lambda scene: str(len(asked(scene, part)))


def finally_(status: str, request: Callable[[Scene], str]) -> Callable[[Scene], str]:
    """The answer to the request, which is repeated until it begins so."""
    return lambda scene: until(
        lambda: answer if (answer := request(scene)).startswith(status) else "", what=f"the answer is {status}"
    )


def show_seen(request: Seen) -> str:
    headers = sorted(f"{name}: {value}" for name, value in request.headers if name.lower() not in OWN_HEADERS)
    return " ".join((request.method, request.target, *headers, request.body)).rstrip()


def sorted_json(step: Callable[[Scene], str]) -> Callable[[Scene], str]:
    """The same step, with the members of its JSON body in order."""

    def sort(scene: Scene) -> str:
        head, brace, rest = step(scene).partition("{")
        return head + json.dumps(json.loads(brace + rest), sort_keys=True) if brace else head

    return sort
