"""Watching the writes of a sidecar: nothing lost and nothing twice, whoever comes and goes."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from dapr_state.admin import feed
from dapr_state.admin.feed import Feed, Place
from dapr_state.api.state import BoundStore
from dapr_state.clock import ManualClock
from dapr_state.stores.build import unwatched, watched
from dapr_state.stores.memory import MemoryStore
from dapr_state.stores.model import Delete, Upsert
from dapr_state.stores.watched import WatchedStore
from tests.support.admin import TRANSPORTS, Admin, Refused, http
from tests.support.client import item
from tests.support.components import component
from tests.support.sidecar import Sidecar

if TYPE_CHECKING:
    from collections.abc import Iterator

Told = tuple[str, str, bytes]


def told(messages: Iterator[Any], number: int) -> list[Told]:
    """So many changes: kind, key and value."""
    return [
        (type(each).Kind.Name(each.kind), each.entry.key, each.entry.value)
        for each in islice((change for message in messages for change in message.changes), number)
    ]


def test_changes_come_in_their_order(admin: Admin, ordered: str) -> None:
    """Saved, deleted and expired; of the prefix, and nothing of actors or of other stores."""
    with (
        admin.sidecar.client() as client,
        admin.stream("Watch", store_name=ordered, prefix="a", with_values=True) as messages,
    ):
        begun = next(messages)
        client.save(ordered, item("a1", b"1"), item("b", b"no"), item("a2", b"2", metadata={"ttlInSeconds": "1"}))
        client.save("sqlite", item("a1", b"no"))
        client.delete(ordered, "a1")
        changes = told(messages, 4)

    assert (begun.lost, len(begun.changes)) == (False, 0)
    assert changes == [("SAVED", "a1", b"1"), ("SAVED", "a2", b"2"), ("DELETED", "a1", b""), ("EXPIRED", "a2", b"")]


def test_a_snapshot_comes_before_the_changes(admin: Admin, ordered: str) -> None:
    """What is there, its end, and then what changes; what was written meanwhile is in either."""
    with admin.sidecar.client() as client:
        client.save(ordered, *(item(f"k{number:03}", b"v") for number in range(250)))
        with admin.stream("Watch", store_name=ordered, prefix="k", with_snapshot=True) as messages:
            next(messages)
            seen = []
            for message in messages:
                seen += [change.entry.key for change in message.changes]
                if message.snapshot_end:
                    break
            client.save(ordered, item("k999", b"v"))
            (change,) = told(messages, 1)

    assert seen == [f"k{number:03}" for number in range(250)]
    assert change == ("SAVED", "k999", b"")


def test_what_was_written_together_says_so(admin: Admin, ordered: str) -> None:
    """A transaction has a name; writes that are none have no name."""
    with admin.sidecar.client() as client, admin.stream("Watch", store_name=ordered, prefix="") as messages:
        next(messages)
        client.transact(ordered, ("upsert", item("x", b"1")), ("upsert", item("y", b"1")), ("delete", item("x")))
        client.save(ordered, item("z", b"1"))
        changes = list(islice((change for message in messages for change in message.changes), 3))

    assert [change.entry.key for change in changes] == ["x", "y", "z"]
    assert changes[0].transaction == changes[1].transaction != ""
    assert changes[2].transaction == ""
    assert {change.origin for change in changes} == {"state"}


def test_what_is_refused_is_not_told(admin: Admin, ordered: str) -> None:
    """An etag that does not match leaves no change."""
    with admin.sidecar.client() as client, admin.stream("Watch", store_name=ordered, prefix="") as messages:
        next(messages)
        client.save(ordered, item("a", b"1"))
        client.save(ordered, item("a", b"2", etag="00000000-0000-4000-8000-000000000000"))
        client.transact(ordered, ("upsert", item("b", b"1")), ("delete", item("a", etag="no")))
        client.save(ordered, item("c", b"1"))
        keys = [key for _, key, _ in told(messages, 2)]

    assert keys == ["a", "c"]


def test_a_watcher_that_is_cut_goes_on_where_it_was(admin: Admin, ordered: str) -> None:
    """Killed again and again while others write: nothing is lost, nothing comes twice, each key in its order."""
    dice, total = random.Random(17), 300

    def write(client: Any, name: str) -> None:
        for number in range(total):
            client.save(ordered, item(name, str(number).encode()))

    seen: dict[str, list[int]] = {"a": [], "b": []}
    revision = ""
    with admin.sidecar.client() as client, ThreadPoolExecutor(2) as writers:
        with admin.stream("Watch", store_name=ordered, prefix="") as messages:
            revision = next(messages).revision
        for name in seen:
            writers.submit(write, client, name)
        while sum(map(len, seen.values())) < 2 * total:
            given = {"seen": revision} if admin.transport == "http" and dice.random() < 0.5 else {}
            wish = {} if given else {"from_revision": revision}
            with admin.stream("Watch", store_name=ordered, prefix="", with_values=True, **given, **wish) as messages:
                for message in islice(messages, dice.randrange(1, 4)):
                    assert not message.lost
                    for change in message.changes:
                        seen[change.entry.key].append(int(change.entry.value))
                        revision = change.revision
                    if sum(map(len, seen.values())) >= 2 * total:
                        break

    assert seen == {"a": list(range(total)), "b": list(range(total))}


def test_a_place_that_is_not_known_any_more_is_said(admin: Admin, ordered: str) -> None:
    """Of another life of the sidecar, or nonsense: then comes what there is."""
    Admin(admin.sidecar, "grpc").call("SaveEntry", store_name=ordered, key="k", value=b"v")
    for revision in ("00000000.7", "nonsense", "00000000." + "9" * 5000):
        with admin.stream(
            "Watch", store_name=ordered, prefix="", from_revision=revision, with_snapshot=True
        ) as messages:
            first = next(messages)
            assert first.lost
            assert [key for _, key, _ in told(messages, 1)] == ["k"]


def test_changes_by_administration_are_seen(admin: Admin, ordered: str) -> None:
    """Touches and removals by prefix, too."""
    save = Admin(admin.sidecar, "grpc").call
    with admin.stream("Watch", store_name=ordered, prefix="") as messages:
        next(messages)
        save("SaveEntry", store_name=ordered, key="k", value=b"v")
        save("Touch", store_name=ordered, key="k", persist=True)
        save("DeleteByPrefix", store_name=ordered, prefix="k", everything=True)
        changes = told(messages, 3)

    assert [(kind, key) for kind, key, _ in changes] == [("SAVED", "k"), ("SAVED", "k"), ("DELETED", "k")]


def test_the_state_of_actors_is_watched_in_its_space(admin: Admin) -> None:
    """And is not seen in the application's."""
    save = Admin(admin.sidecar, "grpc").call
    with admin.stream("Watch", store_name="sqlite", prefix="Cart||", space="ACTORS") as messages:
        next(messages)
        save("SaveEntry", store_name="sqlite", key="plain", json="1")
        save("SaveEntry", store_name="sqlite", space="ACTORS", key="Cart||1||items", json="1")
        (change,) = islice((change for message in messages for change in message.changes), 1)

    assert (change.entry.key, change.origin) == ("Cart||1||items", "actor")


def test_a_stream_has_all_keys(admin: Admin, store: str) -> None:
    """More than any page, with values if they are asked for; a refusal comes before it begins."""
    with admin.sidecar.client() as client:
        client.save(store, *(item(f"k{number:04}", b"v") for number in range(2500)))
    with admin.stream("StreamKeys", store_name=store, with_values=True) as entries:
        found = {entry.key: entry.value for entry in entries}
    with pytest.raises(Refused) as refused, admin.stream("StreamKeys", store_name="none") as entries:
        next(entries)

    assert found == {f"k{number:04}": b"v" for number in range(2500)}
    assert refused.value.code in {"ERR_STATE_STORE_NOT_FOUND", "DAPR_STATE_NOT_FOUND"}


def test_traffic_tells_calls_and_never_values(admin: Admin, ordered: str) -> None:
    """Of both transports: what they were about, how they ended, how long they took."""
    with admin.sidecar.client() as client, admin.stream("Traffic", apis=["state"], sample_per_second=1000) as events:
        with ThreadPoolExecutor(1) as looking:
            looked = looking.submit(lambda: list(islice(events, 3)))
            while not looked.done():
                client.get(ordered, "secret-key")
        found = looked.result()

    assert {(each.transport, each.operation, each.target, each.code) for each in found} == {
        ("grpc", "GetState", f"{ordered}/secret-key", "OK")
    }
    assert all(each.HasField("took") and each.HasField("at") and each.caller for each in found)


def test_traffic_is_a_sample(admin: Admin, ordered: str) -> None:
    """What is left out is counted; who wants failures is told of no others."""
    with admin.sidecar.client() as client, admin.stream("Traffic", sample_per_second=1, apis=["state"]) as events:
        with ThreadPoolExecutor(1) as looking:
            looked = looking.submit(lambda: list(islice(events, 2)))
            while not looked.done():
                client.get(ordered, "k")
        assert looked.result()[1].dropped > 0
    with admin.sidecar.client() as client, admin.stream("Traffic", failures_only=True) as events:
        with ThreadPoolExecutor(1) as looking:
            looked = looking.submit(lambda: next(events))
            while not looked.done():
                client.get(ordered, "k")
                client.get("none", "k")
        assert looked.result().code == "INVALID_ARGUMENT"
        assert "none" in looked.result().error


def test_a_stop_does_not_wait_for_those_who_watch(admin: Admin) -> None:
    """Their streams end, and the sidecar with them, well before its grace."""
    with (
        admin.stream("Watch", store_name="memory", prefix="") as changes,
        admin.stream("Traffic", apis=["nothing"]) as events,
    ):
        next(changes)
        assert admin.sidecar.stop() == 0
        assert not list(changes)
        assert not list(events)
    log = admin.sidecar.log()
    admin.sidecar.start()

    assert "Graceful shutdown timeout" not in log
    assert "Traceback" not in log


def test_events_say_what_they_do_not_see(writable: Sidecar) -> None:
    """Others may write to the same store: a header says that only this sidecar's writes are told."""
    admin = Admin(writable, "http")
    with admin.stream("Watch", store_name="memory", prefix="") as messages:
        assert next(messages).revision
    from http.client import HTTPConnection  # noqa: PLC0415

    connection = HTTPConnection("127.0.0.1", writable.http_port, timeout=10)
    connection.request("GET", "/dapr-state/v1/state/memory/watch?prefix=")
    answer = connection.getresponse()
    connection.close()

    assert answer.getheader("X-Dapr-State-Watch") == "writes of this sidecar only"
    assert answer.getheader("Content-Type") == "text/event-stream"


def test_a_request_behind_a_stream_is_served(writable: Sidecar) -> None:
    """On the same connection: the stream of keys ends, and says so."""
    from tests.support.http import Socket, request  # noqa: PLC0415

    keys = request("GET", "/dapr-state/v1/state/memory/keys.ndjson")
    with Socket(writable.http_port) as client:
        client.send(keys + request("GET", "/v1.0/healthz/outbound"))
        assert client.answer().code == 200
        assert client.answer().code == 204
    old = b"GET /dapr-state/v1/state/memory/keys.ndjson HTTP/1.0\r\nHost: localhost\r\n\r\n"
    with Socket(writable.http_port) as client:
        answer = client.send(old).answer()
        assert answer.header("Transfer-Encoding") is None
        assert client.is_closed()


# The feed by itself


class Stores:
    """One store that may be watched."""

    def __init__(self) -> None:
        self.bound = BoundStore("s", "", MemoryStore(ManualClock()))
        self.is_watched = False

    def watch(self, tell: Any) -> None:
        self.is_watched = tell is not None
        store = unwatched(self.bound.store)
        self.bound = BoundStore("s", "", watched(store, lambda *what: tell("s", *what)) if tell else store)


async def test_nothing_stands_before_a_store_that_nobody_watches() -> None:
    """The first watcher puts it there; it is taken off once the last has been gone for a while."""
    stores = Stores()
    of = Feed(stores.watch)
    assert not stores.is_watched
    with of.watching():
        assert isinstance(stores.bound.store, WatchedStore)
    assert stores.is_watched  # one who comes back misses nothing
    of.close()
    assert not isinstance(stores.bound.store, WatchedStore)


async def test_the_ring_is_bounded_in_changes_and_in_octets() -> None:
    """Whoever has fallen behind it is told so; who watches costs nothing more."""
    stores = Stores()
    of = Feed(stores.watch)
    with of.watching():
        begun = of.place
        for number in range(feed.CHANGES_AT_MOST + 10):
            await stores.bound.store.write([Upsert(f"k{number}", b"v")])
        assert (len(of._ring), of.has(begun), of.has(Place(begun.epoch, 10))) == (feed.CHANGES_AT_MOST, False, True)
        for _ in range(20):
            await stores.bound.store.write([Upsert("large", bytes(1 << 20)), Delete("k1")])
        held = sum(len(change.value or b"") for change in of._ring)
        place = of.place
        last = of.since(Place(place.epoch, place.number - 3), 100, feed.OCTETS_AT_MOST)

    assert held <= feed.OCTETS_AT_MOST
    assert [change.number for change in last] == [place.number - 2, place.number - 1, place.number]
    of.close()


async def test_a_write_whose_caller_has_gone_is_told_all_the_same() -> None:
    """It may happen, and then whoever watches must know."""
    import asyncio  # noqa: PLC0415

    stores = Stores()
    of = Feed(stores.watch)
    with of.watching():
        writing = asyncio.ensure_future(stores.bound.store.write([Upsert("k", b"v")]))
        await asyncio.sleep(0)
        writing.cancel()
        await asyncio.wait([writing])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        changes = of.since(Place(of.place.epoch, 0), 10, feed.OCTETS_AT_MOST)
    of.close()

    assert [change.key for change in changes] == ["k"]


def test_a_watcher_of_a_store_that_is_not_there_is_refused(admin: Admin) -> None:
    """Before the answer begins; so is one who does not say what."""
    for wish in ({"store_name": "none", "prefix": ""}, {"store_name": "memory"}):
        with pytest.raises(Refused), admin.stream("Watch", **wish) as messages:
            next(messages)
    assert http(admin.sidecar.http_port, "GET", "/dapr-state/v1/state/none/watch?prefix=").code == 400


def test_who_does_not_read_holds_up_nobody(admin: Admin, ordered: str) -> None:
    """Writers go on, the process does not grow by what he leaves, and he learns that he has missed something."""
    total, size = 2500, 20_000

    def resident() -> int:
        return int(Admin(admin.sidecar, "grpc").call("GetOverview").resident_bytes)

    with admin.sidecar.client() as client:
        client.save(ordered, item("k", bytes(size)))
        before = resident()
        wish = {"store_name": ordered, "prefix": "", "with_values": True, "max_value_bytes": size}
        with admin.stream("Watch", **wish) as messages:
            next(messages)
            for start in range(0, total, 50):
                items = [item("k", bytes(size)) for _ in range(50)]
                assert client.save(ordered, *items).ok, start
            grown = resident() - before
            with pytest.raises(Exception, match=r"not known any more|BEHIND|reset|closed|Connection"):
                for _ in messages:
                    pass

    assert grown < 100 << 20


@pytest.fixture(scope="module")
def on_grpcio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """Its gRPC port is served by grpc's own server."""
    memory = component("memory", "state.in-memory")
    with Sidecar(tmp_path_factory.mktemp("grpcio"), [memory], flags=["--grpc-server", "grpcio"]) as sidecar:
        yield sidecar


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_watcher_who_is_cut_leaves_his_place(on_grpcio: Sidecar, transport: str) -> None:
    """More have come and gone than there is room for, in the middle of what they were told; the next one is served."""
    admin = Admin(on_grpcio, transport)
    with admin.sidecar.client() as client:
        for number in range(feed.WATCHERS_AT_MOST + 6):
            with admin.stream("Watch", store_name="memory", prefix="", with_snapshot=bool(number % 2)) as messages:
                assert next(messages).revision
                client.save("memory", item("k", b"%d" % number))
        with admin.stream("Watch", store_name="memory", prefix="", with_values=True) as messages:
            next(messages)
            client.save("memory", item("k", b"last"))
            assert told(messages, 1) == [("SAVED", "k", b"last")]
