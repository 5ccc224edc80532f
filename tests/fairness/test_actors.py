"""No request for actors holds the loop longer than any other may, whichever store keeps what it asks for."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from dapr_state_proto.runtime.v1 import actors_pb2

from tests.fairness.actors import ACTORS
from tests.fairness.place import Place
from tests.fairness.test_worst_requests import STORES, cases, check
from tests.support.http import request
from tests.support.rawapp import RawApp
from tests.support.stores import on_postgresql, one_of_each
from tests.support.waiting import until
from tests.support.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.postgresql import PostgresServer
    from tests.support.redis import RedisServer

REDIS_DB = 4


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawApp]:
    with RawApp(tmp_path_factory.mktemp("app"), {"entities": ["cart"]}) as app:
        yield app


@pytest.fixture(scope="module", params=(*STORES, "pg2"))
def place(
    request: pytest.FixtureRequest,
    app: RawApp,
    tmp_path_factory: pytest.TempPathFactory,
    redis_server: RedisServer,
    postgres_server: PostgresServer,
) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("watched")
    stores = [*one_of_each(folder, redis_server, REDIS_DB), *on_postgresql(postgres_server, "fair_actors")]
    (store,) = (each for each in stores if each["metadata"]["name"] == request.param)
    store["spec"]["metadata"].append({"name": "actorStateStore", "value": "true"})
    with (
        Watched(folder, [store], flags=["--app-port", str(app.port)]) as sidecar,
        sidecar.client() as client,
    ):
        yield Place(sidecar, client, request.param)


@pytest.mark.parametrize("name", cases("actors", ACTORS))
def test_a_request_for_actors(name: str, place: Place) -> None:
    """The longest texts and the largest transactions leave everybody else their turn."""
    request = ACTORS[name]()

    check(place, lambda: request(place), f"actors, {name}")


def test_a_listing_of_many_reminders(place: Place) -> None:
    """They are sorted and told in slices."""
    count = 30_000
    _register(place, count, "1h")
    try:
        check(place, lambda: _list(place, count), "actors, a listing")
    finally:
        place.grpc(
            "UnregisterActorRemindersByType", actors_pb2.UnregisterActorRemindersByTypeRequest(actor_type="cart")
        )


def test_fifty_thousand_reminders_that_are_overdue(place: Place, app: RawApp) -> None:
    """They fell due while the application was away, and all come when it is back."""
    app.kill()
    _register(place, 50_000, "0s")

    def come() -> None:
        app.start()
        until(lambda: len(app.seen("/remind/")) >= 1_000, 30, what="reminders come")
        app.kill()

    try:
        check(place, come, "actors, overdue")
    finally:
        app.start()
        all_of_them = actors_pb2.UnregisterActorRemindersByTypeRequest(actor_type="cart")
        place.grpc("UnregisterActorRemindersByType", all_of_them)


def _list(place: Place, count: int) -> None:
    reply = place.grpc("ListActorReminders", actors_pb2.ListActorRemindersRequest(actor_type="cart"))
    assert len(reply.response["reminders"]) == count


def _register(place: Place, count: int, due_time: str) -> None:
    """On as many connections as make a store's writes one."""
    body = json.dumps({"dueTime": due_time})
    with ThreadPoolExecutor(50) as pool:
        share = count // 50
        some = [
            b"".join(request("POST", f"/v1.0/actors/cart/{part}/reminders/r{number}", body) for number in range(share))
            for part in range(50)
        ]
        list(pool.map(place.http1, some))
