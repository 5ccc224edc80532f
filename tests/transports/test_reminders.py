"""Reminders and timers over both transports, with an application and a sidecar that are killed now and then."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from dapr_state_proto.runtime.v1 import actors_pb2

from tests.support.client import Client, Reply
from tests.support.components import component
from tests.support.http import Answer, ask
from tests.support.rawapp import RawApp
from tests.support.redis import RedisServer
from tests.support.sidecar import Sidecar
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.postgresql import PostgresServer

CONFIG = {"entities": ["cart", "cart2"]}
BASE = "/v1.0/actors/cart/1"
BYTES = "type.googleapis.com/google.protobuf.BytesValue"
FAR = "1h"
SHOWN = {
    "actor_type": "cart",
    "actor_id": "1",
    "due_time": "0s",
    "period": "@every 1h0m0s",
    "data": {"type_url": BYTES, "value": b'\n\n"aGVsbG8="'},  # a BytesValue of base64, quotes included
}


Store = Callable[[Path], dict[str, Any]]


@pytest.fixture(scope="module", params=["sqlite", "redis", "postgresql"])
def store(request: pytest.FixtureRequest, postgres_server: PostgresServer) -> Iterator[Store]:
    """An actor state store of its own for each folder."""
    with ExitStack() as servers:

        def redis(folder: Path) -> dict[str, Any]:
            server = servers.enter_context(RedisServer(folder))
            return _actors("state.redis", redisHost=server.address)

        def sqlite(folder: Path) -> dict[str, Any]:
            return _actors("state.sqlite", connectionString=str(folder / "actors.db"))

        def postgresql(folder: Path) -> dict[str, Any]:
            database = re.sub(r"\W", "_", folder.name)
            postgres_server.wipe(database)
            return _actors("state.postgresql/v2", connectionString=postgres_server.url(database))

        yield {"redis": redis, "sqlite": sqlite, "postgresql": postgresql}[request.param]


def _actors(kind: str, **fields: str) -> dict[str, Any]:
    return component("actors", kind, actorStateStore="true", **fields)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawApp]:
    with RawApp(tmp_path_factory.mktemp("app"), CONFIG) as app:
        yield app


@pytest.fixture(scope="module")
def sidecar(app: RawApp, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    folder = tmp_path_factory.mktemp("sidecar")
    with Sidecar(folder, [store(folder)], flags=["--app-port", str(app.port)]) as sidecar:
        yield sidecar


@pytest.fixture(autouse=True)
def _fresh(app: RawApp) -> None:
    app.release()
    app.obey()
    app.forget()


@pytest.fixture
def client(sidecar: Sidecar) -> Iterator[Client]:
    with sidecar.client() as client:
        yield client


def put(sidecar: Sidecar, path: str, body: Any) -> Answer:
    text = body if isinstance(body, str) else json.dumps(body)
    return ask(sidecar.http_port, "PUT", f"{BASE}/{path}", text)


def get(sidecar: Sidecar, path: str) -> Answer:
    return ask(sidecar.http_port, "GET", f"{BASE}/{path}")


def delete(sidecar: Sidecar, path: str, body: str = "") -> Answer:
    return ask(sidecar.http_port, "DELETE", f"{BASE}/{path}", body)


def of(kind: type, name: str = "n", **fields: Any) -> Any:
    return kind(actor_type="cart", actor_id="1", name=name, **fields)


def fires(app: RawApp, name: str, number: int = 1) -> list[str]:
    """Wait for so many fires, and return the bodies of all that there are."""
    until(lambda: len(app.seen(f"/{name}")) >= number, what=f"{number} fires of {name}")
    return [seen.body for seen in app.seen(f"/{name}")]


def test_a_reminder_fires_and_is_gone(sidecar: Sidecar, app: RawApp) -> None:
    """The application gets path and body as from daprd."""
    answer = put(sidecar, "reminders/once", {"dueTime": "0s", "data": {"b": 1}})
    bodies = fires(app, "once")
    (seen,) = app.seen("/once")
    until(lambda: get(sidecar, "reminders/once").code == 404, what="the reminder is gone")

    assert (answer.code, answer.body) == (204, b"")
    assert (seen.method, seen.target) == ("PUT", "/actors/cart/1/method/remind/once")
    assert [json.loads(body) for body in bodies] == [{"data": {"b": 1}, "dueTime": "", "period": ""}]


def test_a_reminder_is_shown_over_http(sidecar: Sidecar) -> None:
    """As daprd shows it: members in its order, what is not there left out, a line feed at the end."""
    put(sidecar, "reminders/n", '{"dueTime":"1h","period":"R5/PT2H","ttl":"2099-01-01T00:00:00Z","data":{"b":1.0}}')
    whole = get(sidecar, "reminders/n")
    put(sidecar, "reminders/n", {"period": "90s", "ttl": "1h", "data": None})
    null = get(sidecar, "reminders/n")
    gone = (delete(sidecar, "reminders/n").code, delete(sidecar, "reminders/n", "{}").code)

    assert whole.body == (
        b'{"actorID":"1","actorType":"cart","data":{"b":1.0},"dueTime":"1h",'
        b'"period":"@every 2h0m0s","ttl":"2099-01-01T00:00:00Z"}\n'
    )
    assert null.body == b'{"actorID":"1","actorType":"cart","data":null,"period":"@every 1m30s"}\n'
    assert gone == (204, 204)


def test_a_reminder_is_shown_over_grpc(client: Client, app: RawApp) -> None:
    """Bytes are kept as base64 in JSON, for the application and for whoever asks; a list has names and no ttl."""
    ttl = "2099-01-01T00:00:00Z"
    fields = {"due_time": "0s", "period": "1h", "ttl": ttl, "data": b"hello"}
    registered = client.call("RegisterActorReminder", of(actors_pb2.RegisterActorReminderRequest, "g", **fields))
    bodies = fires(app, "g")
    shown = client.call("GetActorReminder", of(actors_pb2.GetActorReminderRequest, "g"))
    listed = client.call("ListActorReminders", actors_pb2.ListActorRemindersRequest(actor_type="cart"))
    client.call("UnregisterActorReminder", of(actors_pb2.UnregisterActorReminderRequest, "g"))
    after = client.call("GetActorReminder", of(actors_pb2.GetActorReminderRequest, "g"))

    assert registered == Reply("OK")
    assert json.loads(bodies[0])["data"] == "aGVsbG8="
    assert shown.code == listed.code == "OK"
    assert shown.response == {**SHOWN, "ttl": ttl}
    assert listed.response == {"reminders": [{"name": "g", "reminder": SHOWN}]}
    assert (after.code, after.message) == ("NOT_FOUND", "actor reminder not found: g")


@pytest.mark.parametrize("shape", ['{"drop":{}}', '{"constant":{"interval":"10ms","maxRetries":1}}', '{"Drop":1}'])
@pytest.mark.parametrize("name", ["failurePolicy", "failure_policy"])
def test_failure_policies_over_http(sidecar: Sidecar, app: RawApp, name: str, shape: str) -> None:
    """Both spellings count, where daprd passes over them; what is no policy is passed over."""
    app.obey({"match": "/remind/p", "status": 500})
    put(sidecar, "reminders/p", f'{{"dueTime":"0s","{name}":{shape}}}')
    expected = {"d": 1, "c": 2, "D": 2}[shape[2]]
    fires(app, "remind/p", expected)
    if shape[2] == "D":
        delete(sidecar, "reminders/p")
    until(lambda: get(sidecar, "reminders/p").code == 404, what="the reminder is given up")

    assert len(app.seen("/remind/p")) == expected


def test_a_timer_fires(sidecar: Sidecar, client: Client, app: RawApp) -> None:
    """The application gets callback, due time and period as they were given, over either transport."""
    http = put(sidecar, "timers/h", {"dueTime": "0s", "callback": "cb", "data": None})
    message = of(actors_pb2.RegisterActorTimerRequest, "g", due_time="1ms", period="R2/x", callback="cb", data=b"hello")
    refused = client.call("RegisterActorTimer", message)
    message.period = "10ms"
    client.call("RegisterActorTimer", message)
    fires(app, "timer/g", 3)
    client.call("UnregisterActorTimer", of(actors_pb2.UnregisterActorTimerRequest, "g"))
    bodies = [fires(app, "timer/h")[0], fires(app, "timer/g")[0]]

    assert http.code == 204
    assert refused.message == (
        "error creating actor timer: invalid timer period: parse error: unsupported duration format: R2/x"
    )
    assert [json.loads(body) for body in bodies] == [
        {"data": None, "callback": "cb", "dueTime": "0s", "period": ""},
        {"data": "aGVsbG8=", "callback": "cb", "dueTime": "1ms", "period": "10ms"},
    ]


def test_bulk_deletion_takes_the_type_at_its_word(sidecar: Sidecar, client: Client) -> None:
    """A type whose name begins alike keeps its reminders."""
    put(sidecar, "reminders/n", {"dueTime": FAR})
    ask(sidecar.http_port, "PUT", "/v1.0/actors/cart2/1/reminders/n", json.dumps({"dueTime": FAR}))
    reply = client.call(
        "UnregisterActorRemindersByType", actors_pb2.UnregisterActorRemindersByTypeRequest(actor_type="cart")
    )
    other = ask(sidecar.http_port, "GET", "/v1.0/actors/cart2/1/reminders/n")

    assert reply.code == "OK"
    assert (get(sidecar, "reminders/n").code, other.code) == (404, 200)


def test_killed_sidecars_lose_no_reminder(tmp_path: Path, store: Store) -> None:
    """Each time reminders are registered and the sidecar is killed at once; all fire, before or after that."""
    acknowledged = []
    with (
        RawApp(tmp_path, CONFIG) as app,
        closing(Sidecar(tmp_path, [store(tmp_path)], flags=["--app-port", str(app.port)])) as sidecar,
    ):
        for life in range(5):
            sidecar.start()
            for number in range(20):
                name, due = f"r{life}-{number}", "1ms" if number % 2 else "300ms"
                if put(sidecar, f"reminders/{name}", {"dueTime": due}).code == 204:
                    acknowledged.append(name)
            sidecar.kill()
        sidecar.start()
        until(lambda: _fired(app) >= set(acknowledged), what="all reminders have fired")
        until(lambda: _kept(sidecar) == 0, what="nothing is left of them")

    assert len(acknowledged) == 100


def test_two_sidecars_of_one_app_id(tmp_path: Path, store: Store) -> None:
    """As while a new one takes the place of another: they share the reminders, a trigger is one of them's."""
    for name in ("two", "three"):
        (tmp_path / name).mkdir()
    shared = store(tmp_path)
    with RawApp(tmp_path, CONFIG) as app:
        flags = ["--app-port", str(app.port)]
        with (
            Sidecar(tmp_path, [shared], flags=flags) as one,
            Sidecar(tmp_path / "two", [shared], flags=flags) as two,
        ):
            codes = _ten_of_each(app, one, two)
            until(lambda: _kept(two) == 0, 60, what="what was due is finished")
            put(one, "reminders/left", {"dueTime": "2s"})
            one.kill()
            with Sidecar(tmp_path / "three", [shared], flags=flags) as three:
                until(lambda: _kept(three) == 0, 20, what="another one has taken over")
        fired = [seen.target.rpartition("/")[2] for seen in app.seen("/remind/")]

    assert codes == {204}
    assert sorted(fired) == sorted(["left", *(f"fires{number}" for number in range(10))])


def test_a_killed_application_misses_no_reminder(tmp_path: Path, store: Store) -> None:
    """What falls due while it is away comes when it is back."""
    with RawApp(tmp_path, CONFIG) as app:
        flags = ["--app-port", str(app.port)]
        with Sidecar(tmp_path, [store(tmp_path)], flags=flags) as sidecar:
            put(sidecar, "reminders/before", {"dueTime": "1ms"})
            fires(app, "before")
            app.kill()
            put(sidecar, "reminders/away", {"dueTime": "1ms"})
            until(lambda: "wait for the application" in sidecar.log(), what="the trigger has been tried")
            app.start()
            bodies = fires(app, "away")

    assert len(bodies) == 1


def _fired(app: RawApp) -> set[str]:
    return {seen.target.rpartition("/")[2] for seen in app.seen("/remind/")}


def _ten_of_each(app: RawApp, one: Sidecar, two: Sidecar) -> set[int]:
    """Reminders of one sidecar that the other replaces or deletes before they fall due, however slow the machine is."""
    for margin in (2, 10, 50):  # seconds
        began = time.monotonic()
        for number in range(10):
            put(one, f"reminders/fires{number}", {"dueTime": f"{margin}s"})
            put(two, f"reminders/fires{number}", {"dueTime": "100ms"})
            put(one, f"reminders/gone{number}", {"dueTime": f"{margin}s"})
        codes = {delete(two, f"reminders/gone{number}").code for number in range(10)}
        if time.monotonic() - began < margin:
            break
        until(lambda: _kept(two) == 0, 60, what="what was due is finished")
        app.forget()
    return codes


def _kept(sidecar: Sidecar) -> int:
    with sidecar.client() as client:
        reply = client.call("ListActorReminders", actors_pb2.ListActorRemindersRequest(actor_type="cart"))
    assert reply.ok
    return len(reply.response.get("reminders", []))
