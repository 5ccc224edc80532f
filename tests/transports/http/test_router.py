"""Which store and key a path names, without a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dapr_state.errors import DaprError
from dapr_state.serving.http.request import Request
from dapr_state.transports.http.labels import MAX_TARGET
from dapr_state.transports.http.router import MAX_STORES, Router
from dapr_state.wire.http1.request import RequestReader

if TYPE_CHECKING:
    from collections.abc import Callable

    Found = tuple[str, str]


class Asked:
    """State routes that say what they were asked."""

    def get(self, store: str, key: str) -> Found:
        return store, key


@pytest.fixture
def ask() -> Callable[[bytes], Found]:
    routes: Any = Asked()
    router: Any = Router({"GetState": lambda call: (call.params["store"], call.params["key"])}, state=routes)
    reader = RequestReader(Request, 1000, 0, {})

    def ask(path: bytes) -> Found:
        reader.feed(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        found: Found = router(reader.next_request())
        return found

    return ask


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (b"/v1.0/state/mem/k", ("mem", "k")),
        (b"/v1.0/state/mem/k?metadata.a=b", ("mem", "k")),
        (b"/v1.0/state/mem/a%2Fb", ("mem", "a/b")),
        (b"/v1.0/state/mem/a+b", ("mem", "a b")),
        (b"/v1.0/state/mem/.k", ("mem", ".k")),
        (b"/v1.0/state/mem/k/", ("mem", "k")),
        (b"/v1.0/state/mem/x/../k", ("mem", "k")),
        (b"/v1.0/state/mem/\xc3\xa9", ("mem", "é")),
        (b"/v1.0/state//mem/k", ("mem", "k")),
        (b"/v1.0/state/../state/mem/k", ("mem", "k")),
        (b"http://host/v1.0/state/mem/k", ("mem", "k")),
    ],
)
def test_a_path_means_the_same_however_it_is_written(path: bytes, found: Found, ask: Callable[[bytes], Found]) -> None:
    """Also when the store is known from a request before it."""
    assert [ask(path), ask(b"/v1.0/state/mem/other"), ask(path)] == [found, ("mem", "other"), found]


@pytest.mark.parametrize(
    "path", [b"/v1.0/state/mem", b"/v1.0/state/mem/", b"/v1.0/state/mem/.", b"/v1.0/state/mem/k/.."]
)
def test_a_path_without_a_key_is_no_get(path: bytes, ask: Callable[[bytes], Found]) -> None:
    """Whether or not the store is known already."""
    ask(b"/v1.0/state/mem/k")

    with pytest.raises(DaprError):
        ask(path)


def test_made_up_stores_do_not_pile_up() -> None:
    """The router remembers where stores are, but not every name that a caller can think of."""
    routes: Any = Asked()
    router: Any = Router({"GetState": lambda call: (call.params["store"], call.params["key"])}, state=routes)
    reader = RequestReader(Request, 1000, 0, {})
    for number in range(2 * MAX_STORES):
        reader.feed(b"GET /v1.0/state/s%d/k HTTP/1.1\r\nHost: localhost\r\n\r\n" % number)
        router(reader.next_request())

    assert 0 < len(router._stores) <= MAX_STORES


def test_where_a_store_is_written_to_is_known_from_the_request_before() -> None:
    """Each verb and path has its own answer, first and again; names that a caller made up do not pile up."""
    answers: Any = {
        "SaveState": lambda call: ("save", call.params["store"]),
        "GetBulkState": lambda call: ("bulk", call.params["store"]),
    }
    router: Any = Router(answers)
    reader = RequestReader(Request, 10_000, 0, {})

    def post(path: str) -> Any:
        reader.feed(f"POST {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return router(reader.next_request())

    for number in range(2 * MAX_STORES):
        for _ in range(2):
            assert post(f"/v1.0/state/s{number}") == ("save", f"s{number}")
            assert post(f"/v1.0/state/s{number}/bulk") == ("bulk", f"s{number}")
            assert post(f"/v1.0/state/s{number}?metadata.a=b") == ("save", f"s{number}")
    assert post(f"/v1.0/state/{'s' * MAX_TARGET}") == ("save", "s" * MAX_TARGET)

    assert 0 < len(router._of_store) <= MAX_STORES
    assert max(len(path) for _, path in router._of_store) <= MAX_TARGET
