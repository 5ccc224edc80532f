"""The State API over HTTP and over gRPC: the same calls on the same sidecar have the same outcome, on every store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.conformance.over_grpc.cases import ALL
from tests.conformance.over_grpc.steps import Scene, show
from tests.parity.http_client import NOT_OVER_HTTP, HttpClient
from tests.support.client import Reply
from tests.support.sidecar import Sidecar
from tests.support.stores import EVERY, beginning, without_xmin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conformance.scenario import Scenario
    from tests.support.client import Client
    from tests.support.stores import Servers

# the statuses that go together: state-api.md 4
STATUS = {
    "OK": {"OK"},
    "INVALID_ARGUMENT": {"400"},
    "ABORTED": {"409"},
    "INTERNAL": {"500"},
    "FAILED_PRECONDITION": {"500"},
    "UNIMPLEMENTED": {"400", "500"},  # an unknown operation; a store without transactions
}
# where daprd's transports differ, and a client may count on it: state-api.md
APART = {
    "an illegal key before an unknown operation",  # 1.9: HTTP looks at the operation first
    "a wrong etag and a bad ttl",  # 1.4: HTTP shows the first conflict only
    "a store with a capital, or none",  # 8: a path without a store is no route
    "a request of exactly 4 MiB",  # 7.3: the limits count the bytes of different forms
    "a request that is too large",
    "an answer that is too large",
}
CASES = [scenario for scenario in ALL if scenario.name not in APART]

EMPTY_KEY = ("state key cannot be empty", "ERR_STATE_SAVE")
EMPTY_KEY_OVER_HTTP = ('"key" is a required field', "ERR_MALFORMED_REQUEST")


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory, servers_of_stores: Servers) -> Iterator[Sidecar]:
    """With one of the gRPC servers: that both answer alike is held beside daprd (conformance/over_grpc)."""
    folder = tmp_path_factory.mktemp("parity")
    with Sidecar(folder, servers_of_stores.every(folder, "parity", 5)) as server:
        yield server


def outcome(reply: Reply, scene: Scene) -> tuple[str, ...]:
    """What an answer says, whichever way it came: the sentence and the reason, or the response."""
    if reply.ok:
        return (without_xmin(show(reply).replace(scene.prefix, ""), scene.store),)
    (reason,) = (detail["reason"] for detail in reply.details if "reason" in detail)
    message = reply.message.replace(scene.prefix, "").replace(scene.store + ":", "STORE:")
    if (message, reason) == EMPTY_KEY_OVER_HTTP:
        message, reason = EMPTY_KEY
    return show(Reply("", message)), reason  # without what is random


@pytest.mark.parametrize("store", EVERY)
@pytest.mark.parametrize("scenario", CASES, ids=lambda scenario: scenario.name)
def test_both_transports_say_the_same(scenario: Scenario, store: str, sidecar: Sidecar) -> None:
    """Sentence, reason, response and kind of status agree for each call that both transports have."""
    number = CASES.index(scenario)
    over_http = Scene(cast("Client", HttpClient(sidecar.http_port)), store, beginning(store, f"h{number}:"))

    with sidecar.client() as client:
        over_grpc = Scene(client, store, beginning(store, f"g{number}:"))
        pairs: list[tuple[Any, Any]] = []
        for call in scenario.steps:
            http = call(over_http)
            if http is NOT_OVER_HTTP:  # what follows may depend on it
                break
            grpc = call(over_grpc)
            pairs.append((http, grpc))

    assert [outcome(http, over_http) for http, _ in pairs] == [outcome(grpc, over_grpc) for _, grpc in pairs]
    assert [(http.code, grpc.code) for http, grpc in pairs if http.code not in STATUS[grpc.code]] == []


def test_what_is_apart_exists() -> None:
    """Each exception names a scenario."""
    assert {scenario.name for scenario in ALL} >= APART
