"""Attacks on the memory of a sidecar, each for as long as it is told and on loopback only: `ATTACKS` lists them.

One that a test runs for seconds, `scripts/attack` runs for a minute. Each is given a `Scene` and goes on until the
scene is over; what it opened is closed when it returns.
"""

from __future__ import annotations

import json
import sqlite3
import struct
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.fairness import bodies, floods
from tests.fairness.floods import Opener
from tests.support import flood
from tests.support.assault import STEP, Peer, Talker, Uploader, assail
from tests.support.http import ask, request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.support.rawapp import RawApp
    from tests.support.redis import RedisServer
    from tests.support.sidecar import Sidecar

MEGABYTE = 1_000_000
LIMIT = 4 * 1024 * 1024


@dataclass
class Scene:
    """Where an attack takes place, and until when."""

    sidecar: Sidecar
    redis: RedisServer
    database: Path  # the file of the SQLite store
    app: RawApp | None
    seconds: float

    def begin(self) -> None:
        self._ends = time.monotonic() + self.seconds

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._ends


# Uploads


def _uploads(
    port: int, connections: int, streams: int, body: bytes, *, store: str = "mem", ends: bool, is_grpc: bool
) -> list[Callable[[], Peer]]:
    path = "/dapr.proto.runtime.v1.Dapr/SaveState" if is_grpc else f"/v1.0/state/{store}"
    fields = [(":method", "POST"), (":scheme", "http"), (":authority", "localhost"), (":path", path)]
    if is_grpc:
        fields += [("te", "trailers"), ("content-type", "application/grpc")]
        body = b"\0" + struct.pack(">I", len(body)) + body
    head = flood.block(*fields)
    sent = body if ends else body[:-1]
    return [lambda: Uploader(port, head, streams, sent, ends=ends)] * connections


def _message(store: str, size: int) -> bytes:
    return bodies.save(bodies.item("k", bytes(size)), store=store).SerializeToString()


def uploads_http2(scene: Scene) -> None:
    assail(scene, _uploads(scene.sidecar.http_port, 3, 100, bytes(LIMIT), ends=False, is_grpc=False))


def uploads_grpc(scene: Scene) -> None:
    assail(scene, _uploads(scene.sidecar.grpc_port, 3, 100, _message("mem", LIMIT - 100), ends=False, is_grpc=True))


def uploads_http1(scene: Scene) -> None:
    octets = request("POST", "/v1.0/state/mem", bytes(LIMIT))[:-1]
    assail(scene, [lambda: Talker(scene.sidecar.http_port, octets, times=1)] * 300)


# Saves while the store stands still


def _save_http1(scene: Scene, store: str) -> Callable[[], Peer]:
    octets = request("POST", f"/v1.0/state/{store}", bodies.value(b'"' + b"x" * MEGABYTE + b'"'))
    return lambda: Talker(scene.sidecar.http_port, octets, times=3)


def _saves(scene: Scene, store: str) -> None:
    """900: two thirds over gRPC and a third over HTTP/1."""
    grpc = _uploads(scene.sidecar.grpc_port, 2, 300, _message(store, MEGABYTE), store=store, ends=True, is_grpc=True)
    assail(scene, [*grpc, *[_save_http1(scene, store)] * 100])


def saves_redis(scene: Scene) -> None:
    scene.redis.pause()
    try:
        _saves(scene, "redis")
    finally:
        scene.redis.resume()


def saves_sqlite(scene: Scene) -> None:
    with closing(sqlite3.connect(scene.database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        try:
            _saves(scene, "lite")
        finally:
            other.execute("ROLLBACK")


def reads_redis(scene: Scene) -> None:
    """More reads than may wait, of values that are small."""
    get = Opener(is_grpc=True)
    get.body = get.body.replace(b"\x08\x0a\x03mem", b"\x0a\x0a\x05redis")
    octets = flood.OPENING + b"".join(get.request(stream) for stream in floods.odd(900))
    lines = floods.GET % b"/v1.0/state/redis/k" * 5_000
    scene.redis.pause()
    try:
        many = [lambda: Talker(scene.sidecar.grpc_port, octets, times=1)] * 60
        assail(scene, [*many, *[lambda: Talker(scene.sidecar.http_port, lines)] * 10])
    finally:
        scene.redis.resume()


# Frames


def _frames(name: str) -> Callable[[Scene], None]:
    def run(scene: Scene) -> None:
        octets = flood.OPENING + floods.HTTP2[name](Opener(is_grpc=True))
        assail(scene, [lambda: Talker(scene.sidecar.grpc_port, octets, times=1)] * 3)

    return run


# Answers


def _large_values(scene: Scene) -> None:
    body = bodies.value(b'"' + b"x" * MEGABYTE + b'"').replace(b'"k"', b'"large"')
    ask(scene.sidecar.http_port, "POST", "/v1.0/state/mem", body)


def slow_readers(scene: Scene) -> None:
    """Answers of 1 MB that nobody takes, over HTTP/1.1 and HTTP/2."""
    _large_values(scene)
    lines = request("GET", "/v1.0/state/mem/large") * 100
    opener = Opener(is_grpc=False)
    opener.literal = flood.block(*opener.fields[:3], (":path", "/v1.0/state/mem/large"))
    octets = flood.OPENING + b"".join(opener.request(stream) for stream in floods.odd(100))
    port = scene.sidecar.http_port
    lazy = [lambda: Talker(port, lines, times=1, reads=False), lambda: Talker(port, octets, times=1, reads=False)]
    assail(scene, lazy * 20)


def _slow_readers(store: str) -> Callable[[Scene], None]:
    """900 gets of 4 MB, each asked of the store, that nobody takes."""

    def run(scene: Scene) -> None:
        port = scene.sidecar.http_port
        body = bodies.value(b'"' + b"x" * (LIMIT - 100) + b'"').replace(b'"k"', b'"large"')
        ask(port, "POST", f"/v1.0/state/{store}", body)
        octets = request("GET", f"/v1.0/state/{store}/large")
        assail(scene, [lambda: Talker(port, octets, times=1, reads=False)] * 900)

    return run


def slow_readers_bulk(scene: Scene) -> None:
    """Bulk gets of 60 MB that nobody takes."""
    _large_values(scene)
    octets = request("POST", "/v1.0/state/mem/bulk", json.dumps({"keys": ["large"] * 60}))
    assail(scene, [lambda: Talker(scene.sidecar.http_port, octets, times=1, reads=False)] * 20)


def _bodies(*names: str) -> Callable[[Scene], None]:
    """These bodies of the state API, one after the other, on two connections each."""

    def run(scene: Scene) -> None:
        made = [request("POST", "/v1.0/state/mem", bodies.SAVED[name]()) for name in names]
        assail(scene, [lambda octets=octets: Talker(scene.sidecar.http_port, octets) for octets in made] * 2)  # type: ignore[misc] # bound by its default

    return run


def many_items(scene: Scene) -> None:
    """300,000 items in one save, on each store."""
    made = [
        request("POST", f"/v1.0/state/{store}", b"[" + bodies.listed(b'{"key":"k"}') + b"]")
        for store in ("mem", "lite", "redis")
    ]
    assail(scene, [lambda octets=octets: Talker(scene.sidecar.http_port, octets) for octets in made])  # type: ignore[misc] # bound by its default


def away(scene: Scene) -> None:
    """A thousand reminders are due, and their application is away."""
    assert scene.app
    for number in range(1000):
        path = f"/v1.0/actors/cart/{number % 10}/reminders/r{number}"
        ask(scene.sidecar.http_port, "POST", path, json.dumps({"dueTime": "1s", "period": "1s"}))
    scene.app.kill()
    try:
        while not scene.is_over:
            time.sleep(STEP)
    finally:
        scene.app.start()


ATTACKS: Mapping[str, Callable[[Scene], None]] = {
    "uploads that never end, HTTP/2": uploads_http2,
    "uploads that never end, gRPC": uploads_grpc,
    "uploads that never end, HTTP/1.1": uploads_http1,
    "saves while Redis stands still": saves_redis,
    "saves while SQLite is locked": saves_sqlite,
    "reads while Redis stands still": reads_redis,
    "header blocks that stand for megabytes": _frames("header blocks that stand for megabytes"),
    "frames on closed streams": _frames("WINDOW_UPDATE on reset streams"),
    "rapid reset": _frames("rapid reset"),
    "answers that nobody takes": slow_readers,
    "large answers from SQLite that nobody takes": _slow_readers("lite"),
    "bulk gets that nobody takes": slow_readers_bulk,
    "large quotes in errors": _bodies("long etag", "long TTL of letters", "long concurrency"),
    "saves of 300,000 items": many_items,
    "bodies beyond the limit": _bodies("one octet too many", "wrong, and one octet too many"),
    "values that are not quite JSON": _bodies("wrong at its end", "nulls without end"),
    "reminders of an application that is away": away,
}
# Whole requests wait for a store, up to --max-request-memory: some copies of each are there
WAITING = {name for name in ATTACKS if name.startswith("saves while")}
