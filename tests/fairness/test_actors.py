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
from tests.support.stores import one_of_each
from tests.support.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.redis import RedisServer

REDIS_DB = 4


@pytest.fixture(scope="module", params=STORES)
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer
) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("watched")
    stores = one_of_each(folder, redis_server, REDIS_DB)
    (store,) = (each for each in stores if each["metadata"]["name"] == request.param)
    store["spec"]["metadata"].append({"name": "actorStateStore", "value": "true"})
    with (
        RawApp(folder, {"entities": ["cart"]}) as app,
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
    _register(place, count)
    try:
        check(place, lambda: _list(place, count), "actors, a listing")
    finally:
        place.grpc(
            "UnregisterActorRemindersByType", actors_pb2.UnregisterActorRemindersByTypeRequest(actor_type="cart")
        )


def _list(place: Place, count: int) -> None:
    reply = place.grpc("ListActorReminders", actors_pb2.ListActorRemindersRequest(actor_type="cart"))
    assert len(reply.response["reminders"]) == count


def _register(place: Place, count: int) -> None:
    """On as many connections as make a store's writes one."""
    body = json.dumps({"dueTime": "1h"})
    with ThreadPoolExecutor(50) as pool:
        share = count // 50
        some = [
            b"".join(request("POST", f"/v1.0/actors/cart/{part}/reminders/r{number}", body) for number in range(share))
            for part in range(50)
        ]
        list(pool.map(place.http1, some))
