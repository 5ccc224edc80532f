"""No query holds the loop longer than BOUND, whatever it asks for, and whatever is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from dapr_state_proto.runtime.v1 import state_pb2

from tests.fairness.bodies import item, save
from tests.fairness.place import Place
from tests.fairness.queries import DOCUMENTS, IN_FILES, READ, RUN, SMALL, small
from tests.fairness.test_worst_requests import STORES, check
from tests.support import flood
from tests.support.http import request
from tests.support.stores import one_of_each
from tests.support.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.redis import RedisServer


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("queried")
    with Watched(folder, one_of_each(folder, redis_server, 11)) as running:
        with running.client() as client:
            for store in STORES:
                for key in DOCUMENTS if store == "mem" else IN_FILES:
                    assert client.call("SaveState", save(item(key, DOCUMENTS[key]()), store=store)).ok, key
                few = [item(f"small {number}", small(number)) for number in range(SMALL)]
                assert client.call("SaveState", save(*few, store=store)).ok
        yield running


@pytest.fixture
def place(sidecar: Watched) -> Iterator[Place]:
    with sidecar.client() as client:
        yield Place(sidecar, client)


@pytest.mark.parametrize("name", READ)
def test_a_query_that_is_read(name: str, place: Place) -> None:
    """However long, deep or wrong it is, over HTTP."""
    octets = request("POST", "/v1.0-alpha1/state/mem/query", READ[name](), Connection="close")
    check(place, lambda: flood.exchange(place.sidecar.http_port, octets), f"query, {name}")


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("name", RUN)
def test_a_query_that_is_run(name: str, store: str, place: Place) -> None:
    """It goes through documents of 4 MB, each worst in its own way, and through many small ones."""
    message = state_pb2.QueryStateRequest(store_name=store, query=RUN[name].decode())
    check(place, lambda: place.grpc("QueryStateAlpha1", message), f"query of {store}, {name}")


@pytest.mark.parametrize("store", STORES)
def test_a_query_that_finds_all(store: str, place: Place) -> None:
    """Its answer is large, or refused: both leave everybody else their turn."""
    octets = request("POST", f"/v1.0-alpha1/state/{store}/query", b"{}", Connection="close")
    check(place, lambda: flood.exchange(place.sidecar.http_port, octets), f"query of {store}, all")
