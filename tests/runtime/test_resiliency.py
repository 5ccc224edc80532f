"""Resiliency files of a running sidecar: applied at start, changed while it serves, and never its end."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from dapr_state.actors.config import Registration, TypeConfig
from dapr_state.actors.placement.base import Embedded, NoHostError
from dapr_state.actors.resilient import RefusedError, ResilientCalls
from dapr_state.actors.router import ActorRouter
from dapr_state.actors.runtime import ActorRuntime
from dapr_state.app.model import ActorCall, ActorId, AppError
from dapr_state.observability.metrics import Metrics
from dapr_state.resources.component import Source
from dapr_state.resources.resiliency import read
from dapr_state.runtime.resiliency import TYPES_AT_MOST, Resiliency
from tests.actors.apps import App
from tests.support.client import item
from tests.support.components import component
from tests.support.configured import page
from tests.support.http import ask
from tests.support.rawapp import RawApp
from tests.support.redis import RedisServer
from tests.support.sidecar import READY, Sidecar
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPEN = "circuit breaker is open"


def policies(name: str = "mine", **spec: Any) -> dict[str, Any]:
    return {"kind": "Resiliency", "metadata": {"name": name}, "spec": spec}


def breaker(trip: str = "consecutiveFailures >= 2", store: str = "st", **more: Any) -> dict[str, Any]:
    return {
        "policies": {"circuitBreakers": {"cb": {"trip": trip, "timeout": "600s", **more}}},
        "targets": {"components": {store: {"outbound": {"circuitBreaker": "cb"}}}},
    }


def write(sidecar: Sidecar, document: dict[str, Any] | str, name: str = "policies.yaml") -> None:
    text = document if isinstance(document, str) else yaml.safe_dump(document)
    (sidecar.resources / name).write_text(text)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
def sidecar(tmp_path: Path, redis: RedisServer) -> Iterator[Sidecar]:
    quick = {"redisMaxRetries": "-1", "dialTimeout": "100ms"}
    with Sidecar(tmp_path, [component("st", "state.redis", redisHost=redis.address, **quick)]) as server:
        yield server


def get(sidecar: Sidecar) -> str:
    """What a get comes to, in a word."""
    answer = ask(sidecar.http_port, "GET", "/v1.0/state/st/k")
    if answer.code in {200, 204}:
        return "fine"
    return "refused" if OPEN in answer.json["message"] else "down"


def loaded(sidecar: Sidecar, times: int) -> None:
    until(lambda: sidecar.log().count("Loading Resiliency configuration") == times, what=sidecar.log()[-1500:])


def test_policies_come_change_and_go_while_it_serves(sidecar: Sidecar, redis: RedisServer) -> None:
    """Without a restart; a breaker whose rule is the same keeps its state, and without the file all is as before."""
    redis.kill()
    assert [get(sidecar) for _ in range(4)] == ["down"] * 4
    write(sidecar, policies(**breaker()))
    loaded(sidecar, 1)
    assert [get(sidecar) for _ in range(4)] == ["down", "down", "refused", "refused"]
    more = breaker()
    more["policies"]["retries"] = {"r": {"maxRetries": 1, "duration": 1}}
    more["targets"]["components"]["st"]["outbound"]["retry"] = "r"
    write(sidecar, policies(**more))
    loaded(sidecar, 2)
    assert get(sidecar) == "refused"
    write(sidecar, policies(**breaker(timeout="1ms")))
    loaded(sidecar, 3)
    assert get(sidecar) == "down"
    (sidecar.resources / "policies.yaml").unlink()
    until(lambda: "resiliencies" not in ask(sidecar.http_port, "GET", "/v1.0/metadata").json)

    assert [get(sidecar) for _ in range(4)] == ["down"] * 4
    assert sidecar.log().count(READY) == 1


@pytest.mark.parametrize(
    "text",
    [
        "kind: Resiliency\nspec: [",
        "kind: Resiliency\nmetadata: {name: mine}\nspec: {policies: {circuitBreakers: {cb: {trip: max(requests)}}}}",
        "kind: Resiliency\nmetadata: {name: mine}\nscopes: 7\n",
        "kind: Resiliency\nmetadata: {name: mine}\nspec: {policies: 7}\n",
    ],
    ids=("syntax", "unknown function", "scopes", "shape"),
)
def test_a_file_that_is_wrong_leaves_the_policies_as_they_were(sidecar: Sidecar, redis: RedisServer, text: str) -> None:
    """The breaker goes on, the log says what is wrong, and the mended file counts. With some of these daprd hangs."""
    write(sidecar, policies(**breaker()))
    loaded(sidecar, 1)
    write(sidecar, text)
    until(lambda: "policies.yaml is not reloaded" in sidecar.log())
    redis.kill()
    assert [get(sidecar) for _ in range(3)] == ["down", "down", "refused"]
    write(sidecar, policies(**breaker(timeout="1ms")))
    loaded(sidecar, 2)

    assert get(sidecar) == "down"


def test_a_start_with_a_file_that_is_wrong_serves(tmp_path: Path) -> None:
    """What can be understood counts; each fault, and each name that is not defined, has a line."""
    document = policies(**breaker(store="mem"))
    document["spec"]["policies"]["timeouts"] = {"odd": "5x"}
    document["spec"]["targets"]["components"]["mem"]["outbound"]["retry"] = "nope"
    with Sidecar(tmp_path, [component("mem", "state.in-memory"), document]) as server, server.client() as client:
        assert client.save("mem", item("k", b"v")).ok
        log = server.log()

    assert 'Could not read resiliency policy mine: spec.policies.timeouts.odd: invalid duration \\"odd\\", 5x' in log
    assert 'Resiliency mine: spec.targets.components.mem.outbound.retry \\"nope\\" is not defined' in log


def test_no_call_notices_that_policies_change(sidecar: Sidecar) -> None:
    """While files come, change and go, every call of eight callers succeeds, and every acknowledged write is there."""
    over = threading.Event()
    failed: list[str] = []
    written: list[str] = []

    def call(worker: int) -> None:
        with sidecar.client() as client:
            number = 0
            while not over.is_set():
                number += 1
                key = f"{worker}-{number}"
                reply = client.save("st", item(key, b"v"))
                (written if reply.ok else failed).append(key if reply.ok else reply.message)

    workers = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for worker in workers:
        worker.start()
    for number in range(1, 7):
        spec = breaker(interval=f"{number}s")
        spec["policies"]["timeouts"] = {"t": f"{10 + number}s"}
        if number % 2:
            spec["targets"]["components"]["st"]["outbound"]["timeout"] = "t"
        write(sidecar, policies(**spec))
        loaded(sidecar, number)
    over.set()
    for worker in workers:
        worker.join()
    with sidecar.client() as client:
        found = client.bulk_get("st", *written).response["items"]

    assert failed == []
    assert len(written) > 100
    assert [row["key"] for row in found if row.get("data") != b"v"] == []
    assert page(sidecar).body.decode().count('dapr_resiliency_loaded{app_id="app",name="mine",namespace=""} 6') == 1


async def test_types_that_callers_make_up_are_forgotten() -> None:
    """A default policy holds for all of them; who makes up types closes no breaker of one that there is."""
    document = policies(
        policies={"circuitBreakers": {"DefaultActorCircuitBreakerPolicy": {"trip": "true"}}},
        targets={
            "actors": {"listed": {"circuitBreaker": "DefaultActorCircuitBreakerPolicy", "circuitBreakerScope": "type"}}
        },
    )
    resiliency = Resiliency("app", Metrics("app"))
    resiliency.load([read(document, Source("r.yaml"))])
    app = App()
    runtime = ActorRuntime(has_app=True)
    runtime.host(Registration({"cart": TypeConfig()}), app)
    calls = ResilientCalls(ActorRouter(runtime, Embedded(runtime.is_hosted)), resiliency.of_actor)

    async def call(actor_type: str) -> type[Exception]:
        with pytest.raises((AppError, NoHostError)) as caught:
            await calls.invoke(ActorCall(ActorId(actor_type, "1"), "fail"))
        return caught.type

    for actor_type in ("cart", "listed"):
        await call(actor_type)
    for number in range(2 * TYPES_AT_MOST):
        await call(f"made up {number}")

    assert [await call(actor_type) for actor_type in ("cart", "listed")] == [RefusedError] * 2
    assert len(resiliency._actors) + len(resiliency._guests) == TYPES_AT_MOST + 2


@pytest.fixture
def app(tmp_path: Path) -> Iterator[RawApp]:
    with RawApp(tmp_path, {"entities": ["T"]}) as server:
        yield server


ACTORS = policies(
    policies={
        "timeouts": {"short": "300ms"},
        "retries": {"twice": {"duration": "50ms", "maxRetries": 2}},
        "circuitBreakers": {"cb": {"trip": "consecutiveFailures >= 4", "timeout": "600s"}},
    },
    targets={
        "actors": {
            "T": {"timeout": "short", "retry": "twice", "circuitBreaker": "cb", "circuitBreakerScope": "id"},
        }
    },
)


def test_actors_under_policies(tmp_path: Path, app: RawApp) -> None:
    """Failures are repeated, a breaker is of one actor, a timeout is told as by daprd, and the log names who hangs."""
    flags = ["--app-port", str(app.port)]
    store = component("mem", "state.in-memory", actorStateStore="true")
    with Sidecar(tmp_path, [store, ACTORS], flags=flags) as server:

        def call(actor: str, method: str = "m") -> tuple[int, str]:
            answer = ask(server.http_port, "PUT", f"/v1.0/actors/T/{actor}/method/{method}", "{}")
            return answer.code, answer.body.decode() if answer.code == 200 else answer.json["message"]

        until(lambda: call("ready")[0] == 200)
        app.obey({"match": "/T/a/", "times": 2, "status": 500, "body": "boom"})
        recovered = call("a")
        app.obey({"match": "/T/b/", "times": 4, "status": 500, "body": "boom"})
        failing, shut, other = call("b"), call("b"), call("a")
        app.obey({"match": "/T/c/", "times": 1, "hold": True})
        late = call("c", "hang")
        app.release()
        after = until(lambda: (answer := call("c"))[0] == 200 and answer)
        app.obey({"match": "/T/d/", "times": 1, "status": 404})
        missing = call("d")
        log, metrics = server.log(), page(server).body.decode()

    assert (recovered[0], other[0], after[0]) == (200, 200, 200)
    assert failing == (500, "error invoke actor method: error from actor service: (500) boom")
    assert shut == (500, f"error invoke actor method: {OPEN}")
    assert late == (500, "error invoke actor method: context deadline exceeded")
    assert missing == (500, "error invoke actor method: actor method not found: actors/T/d/method/m")
    assert "Actor 'T||c' has not answered hang within 300ms: its turn stays taken" in log
    assert 'Circuit breaker \\"cb-T-b\\" changed state from closed to open' in log
    assert [seen.target.rpartition("/")[2] for seen in app.seen("/actors/T/c/")][:2] == ["hang", "m"]
    assert 'policy="timeout",status="",target="actor_T"} ' in metrics
    assert 'status="open",target="actor_T"} 1' in metrics


def test_a_stop_ends_the_pauses_between_attempts(tmp_path: Path, app: RawApp, redis: RedisServer) -> None:
    """Who waits for another attempt is told at once how the last one has ended; the stop waits for nobody."""
    document = policies(
        policies={"retries": {"slowly": {"duration": "600s"}}},
        targets={"actors": {"T": {"retry": "slowly"}}, "components": {"st": {"outbound": {"retry": "slowly"}}}},
    )
    stores = [
        component("st", "state.redis", redisHost=redis.address, redisMaxRetries="-1"),
        component("mem", "state.in-memory", actorStateStore="true"),
    ]
    app.obey({"match": "/T/a/", "status": 500, "body": "boom"})
    flags = ["--app-port", str(app.port), "--log-level", "debug"]
    with Sidecar(tmp_path, [*stores, document], flags=flags) as server:
        wanted = [
            ("PUT", "/v1.0/actors/T/a/method/m", "{}"),
            ("GET", "/v1.0/state/st/k", None),
            ("POST", "/v1.0/state/st", '[{"key":"k","value":1}]'),
        ]
        redis.kill()
        with ThreadPoolExecutor(len(wanted)) as callers:
            told = [callers.submit(ask, server.http_port, *each) for each in wanted]
            until(lambda: server.log().count("Retrying in 10m0s") == len(wanted), what=server.log())
            server.stop()
            answers = [each.result() for each in told]
            log = server.log()

    assert [answer.json["errorCode"] for answer in answers] == [
        "ERR_ACTOR_INVOKE_METHOD",
        "ERR_STATE_GET",
        "ERR_STATE_SAVE",
    ]
    assert "forcing shutdown" not in log
