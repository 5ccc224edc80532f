"""No request of the administration API holds the loop longer than any other may, whatever a store holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fairness.administration import LOOKED_AT, SENT, WATCHED
from tests.fairness.place import Place
from tests.fairness.test_worst_requests import STORES, cases, check
from tests.support.stores import one_of_each
from tests.support.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.redis import RedisServer

REDIS_DB = 7


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    with Watched(folder, one_of_each(folder, redis_server, REDIS_DB), flags=["--console", "write"]) as running:
        yield running


@pytest.fixture
def place(sidecar: Watched) -> Iterator[Place]:
    with sidecar.client() as client:
        yield Place(sidecar, client)


@pytest.mark.parametrize("name", cases("administration", SENT))
def test_what_is_sent(name: str, place: Place) -> None:
    """The longest and strangest requests leave everybody else their turn."""
    check(place, SENT[name](place), f"administration, {name}")


# most of what is done is done above the stores
ON_REDIS = ("list", "stream", "count", "delete by prefix", "list of long keys")
ROWS = [f"{name} on {store}" for name in LOOKED_AT for store in STORES if store != "redis" or name in ON_REDIS]


@pytest.mark.parametrize("name", cases("administration", ROWS))
def test_what_is_there(name: str, place: Place) -> None:
    """Many keys, long keys and large values are shown, counted and removed in the turns of everybody else."""
    row, _, store = name.rpartition(" on ")
    there = Place(place.sidecar, place.client, store)

    check(there, LOOKED_AT[row](there), f"administration, {name}")


@pytest.mark.parametrize("name", cases("watching", WATCHED))
def test_who_watches(name: str, place: Place) -> None:
    """Whoever watches, and reads nothing of it, leaves writers and everybody else their turn."""
    check(place, WATCHED[name](place), f"watching, {name}")
