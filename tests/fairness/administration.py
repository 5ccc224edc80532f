"""The worst requests of the administration API: each row makes its store ready, and gives what is to be measured."""

from __future__ import annotations

import json
import sqlite3
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from tests.fairness.bodies import SIZE, filled, item, listed, numbered, save
from tests.support import flood
from tests.support.admin import GUARD, Admin, Refused
from tests.support.http import Socket, request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.fairness.place import Place

    Act = Callable[[], object]
    Row = Callable[[Place], Act]

MANY = 30_000  # keys
LARGE = 48 << 20  # octets of a value that came in by another door than ours


def ask(place: Place, verb: str, path: str, body: bytes | None = None, **query: object) -> None:
    target = f"/dapr-state/v1/{path}" + (f"?{urlencode(query)}" if query else "")
    headers = {name.replace("-", "_"): value for name, value in GUARD.items()} if verb != "GET" else {}
    flood.exchange(place.sidecar.http_port, request(verb, target, body, Connection="close", **headers))


def get(place: Place, path: str, **query: object) -> Act:
    return lambda: ask(place, "GET", f"state/{place.store}/{path}", **query)


def post(place: Place, path: str, body: bytes) -> Act:
    return lambda: ask(place, "POST", f"state/{place.store}{path}", body)


def call(place: Place, name: str, /, **fields: object) -> Act:
    def act() -> None:
        with suppress(Refused):
            Admin(place.sidecar, "grpc").call(name, **fields)

    return act


def first(place: Place, name: str, /, **fields: object) -> Act:
    """Of a stream."""

    def act() -> None:
        with suppress(Refused), Admin(place.sidecar, "grpc").stream(name, **fields) as messages:
            next(messages)

    return act


# What is sent


def _entry(member: bytes) -> Row:
    return lambda place: post(place, "/entry", b'{"key":"k",' + member + b"}")


ENTRIES: Mapping[str, Callable[[], bytes]] = {
    "JSON of escapes": lambda: b'"json":"\\"' + filled(rb"\u00e9", SIZE - 50) + b'\\""',
    "JSON of escaped quotes": lambda: b'"json":"\\"' + filled(rb"\\\"", SIZE - 50) + b'\\""',
    "JSON of nulls": lambda: b'"json":"[' + listed(b"null", SIZE - 50) + b']"',
    "JSON of lists of 100 levels": lambda: b'"json":"[' + listed(b"[" * 100 + b"]" * 100, SIZE - 50) + b']"',
    "no JSON": lambda: b'"json":"[' + listed(b"1", SIZE - 50) + b',]"',
    "half pairs": lambda: b'"json":"\\"' + filled(rb"\ud83d", SIZE - 50) + b'\\""',
    "octets": lambda: b'"value":"' + filled(b"AAAA", SIZE - 50) + b'"',
    "octets of escapes": lambda: b'"value":"' + filled(rb"\u0041", SIZE - 50) + b'"',
    "no octets": lambda: b'"value":"' + filled(b"!", SIZE - 50) + b'"',
    "unknown members": lambda: numbered(b'"%d":1', SIZE - 50),
    "one member again and again": lambda: listed(b'"json":"1"', SIZE - 50),
    "a long member": lambda: b'"' + filled(b"a", SIZE - 50) + b'":1',
    "a long etag": lambda: b'"json":"1","etag":"' + filled(b"9", SIZE - 50) + b'"',
    "a long time": lambda: b'"json":"1","expireIn":"' + filled(b"1h", SIZE - 50) + b'"',
    "a long time of digits": lambda: b'"json":"1","expireIn":"' + filled(b"9", SIZE - 50) + b's"',
    "a long space": lambda: b'"json":"1","space":"' + filled(b"A", SIZE - 50) + b'"',
    "lists": lambda: b'"json":' + b"[" * (SIZE - 50),
}

SMALL: Mapping[str, bytes] = {
    "levels": b'{"key":' + b"[" * 16_000,
    "objects": b'{"ttl":' * 2_000,
    "members": b"{" + numbered(b'"%d":1', 16_000) + b"}",
    "one member": b"{" + listed(b'"key":"a"', 16_000) + b"}",
    "a number": b'{"expectCount":' + b"9" * 16_000 + b"}",
    "a time": b'{"key":"k","expireIn":"' + b"9" * 16_000 + b's"}',
    "a long prefix": b'{"dryRun":true,"prefix":"' + b"|" * 16_000 + b'"}',
    "octets too many": b'{"prefix":"' + b"p" * 4_000_000 + b'"}',
}

SENT: Mapping[str, Row] = {
    **{f"save: {name}": lambda place, make=make: _entry(make())(place) for name, make in ENTRIES.items()},  # type: ignore[misc]
    **{f"touch: {name}": lambda place, body=body: post(place, ":touch", body) for name, body in SMALL.items()},  # type: ignore[misc]
    **{
        f"delete by prefix: {name}": lambda place, body=body: post(place, ":deleteByPrefix", body)  # type: ignore[misc]
        for name, body in SMALL.items()
    },
    "a query of parameters": lambda place: get(place, "keys", **{f"p{number}": "" for number in range(5_000)}),
    "a query of a long text": lambda place: get(place, "keys", prefix="\u00e9" * 10_000),
    "a query of a long page token": lambda place: get(place, "keys", pageToken="A" * 60_000),
    "a query of a long time": lambda place: get(place, "count", budget="1h" * 30_000),
    "gRPC: save JSON of nulls": lambda place: call(
        place, "SaveEntry", store_name=place.store, key="k", json=(b"[" + listed(b"null") + b"]").decode()
    ),
    "gRPC: save escapes": lambda place: call(
        place, "SaveEntry", store_name=place.store, key="k", json=(b'"' + filled(rb"\u0000") + b'"').decode()
    ),
    "gRPC: save octets": lambda place: call(place, "SaveEntry", store_name=place.store, key="k", value=bytes(SIZE)),
    "gRPC: a long key": lambda place: call(place, "SaveEntry", store_name=place.store, key="k" * SIZE, json="1"),
    "gRPC: a long key to look at": lambda place: call(place, "GetEntry", store_name=place.store, key="k" * SIZE),
    "gRPC: a long key of separators": lambda place: call(place, "GetEntry", store_name=place.store, key="|" * SIZE),
    "gRPC: a long store": lambda place: call(place, "GetEntry", store_name="s" * SIZE, key="k"),
    "gRPC: a long prefix": lambda place: call(place, "ListKeys", store_name=place.store, prefix="|" * SIZE),
    "gRPC: a long prefix of letters": lambda place: call(
        place, "ListKeys", store_name=place.store, prefix="\u00e9" * (SIZE // 2)
    ),
    "gRPC: a long token": lambda place: call(place, "ListKeys", store_name=place.store, page_token="A" * SIZE),
    "gRPC: a long token of a removal": lambda place: call(
        place, "DeleteByPrefix", store_name=place.store, prefix="p", confirm_token="A" * SIZE
    ),
    "gRPC: a long revision": lambda place: first(
        place, "Watch", store_name="none", key="k", from_revision="0." + "9" * (SIZE - 2)
    ),
}


# What is there


def _numbers(place: Place) -> None:
    """A hundred thousand keys."""
    place.state("", b"[" + numbered(b'{"key":"n:%d"}', MANY * 19) + b"]")


def _large_keys(place: Place) -> None:
    for number in range(30):
        place.grpc("SaveState", save(item(f"large-{number:02}" + "k" * 1_000_000, b"1"), store=place.store))


def _values(place: Place, count: int, octets: bytes) -> None:
    group = max(1, 3_000_000 // len(octets))
    for first in range(0, count, group):
        some = (item(f"v-{number:04}", octets) for number in range(first, min(count, first + group)))
        place.grpc("SaveState", save(*some, store=place.store))


def _large_value(place: Place, octets: bytes) -> None:
    """One of another program, in the file or the server."""
    key = f"{place.sidecar.app_id}||huge"
    if place.store == "lite":
        with closing(sqlite3.connect(place.sidecar.folder / "state.db", timeout=30)) as database, database:
            database.execute(
                "REPLACE INTO state (key, value, is_binary, etag) VALUES (?, ?, 0, 'e')", (key, octets.decode())
            )


def _on(arrange: Callable[[Place], None], act: Row) -> Row:
    def row(place: Place) -> Act:
        arrange(place)
        return act(place)

    return row


def _delete(place: Place, prefix: str) -> Act:
    def act() -> None:
        _numbers(place)
        post(place, ":deleteByPrefix", json.dumps({"prefix": prefix, "everything": True}).encode())()

    return act


LOOKED_AT: Mapping[str, Row] = {
    "list": _on(_numbers, lambda place: get(place, "keys", pageSize=1000, withSizes="true")),
    "list with values": _on(_numbers, lambda place: get(place, "keys", pageSize=1000, withValues="true")),
    "list backwards": _on(_numbers, lambda place: get(place, "keys", pageSize=1000, reverse="true")),
    "list of one group": _on(_numbers, lambda place: get(place, "keys", delimiter=":")),
    "list of groups": _on(_numbers, lambda place: get(place, "keys", delimiter="0", pageSize=1000)),
    "list of what is not there": _on(_numbers, lambda place: get(place, "keys", prefix="zzz")),
    "list of actors among others": _on(_numbers, lambda place: get(place, "keys", space="ACTORS")),
    "stream": _on(_numbers, lambda place: get(place, "keys.ndjson", withSizes="true")),
    "count": _on(_numbers, lambda place: get(place, "count", budget="10s")),
    "count with octets": _on(_numbers, lambda place: get(place, "count", budget="10s", withBytes="true")),
    "dry run": _on(_numbers, lambda place: post(place, ":deleteByPrefix", b'{"prefix":"n","dryRun":true}')),
    "delete by prefix": lambda place: _delete(place, "n"),
    "list of long keys": _on(_large_keys, lambda place: get(place, "keys", prefix="large")),
    "stream of long keys": _on(_large_keys, lambda place: get(place, "keys.ndjson", prefix="large")),
    "dry run of long keys": _on(
        _large_keys, lambda place: post(place, ":deleteByPrefix", b'{"prefix":"large","dryRun":true}')
    ),
    "list of long groups": _on(_large_keys, lambda place: get(place, "keys", prefix="lar", delimiter="kk")),
    "gRPC: list of long keys": _on(
        _large_keys, lambda place: call(place, "ListKeys", store_name=place.store, prefix="large")
    ),
    "large values": _on(
        lambda place: _values(place, 40, b'"' + b"x" * 1_000_000 + b'"'),
        lambda place: get(place, "keys", prefix="v-", withValues="true", maxValueBytes=4_000_000),
    ),
    "stream of large values": _on(
        lambda place: _values(place, 40, b'"' + b"x" * 1_000_000 + b'"'),
        lambda place: get(place, "keys.ndjson", prefix="v-", withValues="true", maxValueBytes=4_000_000),
    ),
    "values of 4 kB": _on(
        lambda place: _values(place, 1000, b'"' + b"x" * 4000 + b'"'),
        lambda place: get(place, "keys", prefix="v-", withValues="true", pageSize=1000),
    ),
    "part of a value": _on(
        lambda place: _values(place, 1, b'"' + b"x" * 3_000_000 + b'"'),
        lambda place: get(place, "entry", key="v-0000", maxBytes=1 << 20),
    ),
    "part of a value of letters": _on(
        lambda place: _values(place, 1, b'"' + "\u00e9".encode() * 1_500_000 + b'"'),
        lambda place: get(place, "entry", key="v-0000", maxBytes=1 << 20),
    ),
    "part of a value of another program": _on(
        lambda place: _large_value(place, b'"' + b"x" * LARGE + b'"'), lambda place: get(place, "entry", key="huge")
    ),
    "part of letters of another program": _on(
        lambda place: _large_value(place, b'"' + "\u00e9".encode() * (LARGE // 2) + b'"'),
        lambda place: get(place, "entry", key="huge"),
    ),
    "list with a value of another program": _on(
        lambda place: _large_value(place, b'"' + b"x" * LARGE + b'"'),
        lambda place: get(place, "keys", prefix="huge", withValues="true", withSizes="true", maxValueBytes=1 << 30),
    ),
}


# Who watches


def _watched(act: Row, watchers: int = 60, **query: object) -> Row:
    """Beside so many who watch, and read nothing."""

    def row(place: Place) -> Act:
        target = f"/dapr-state/v1/state/{place.store}/watch?{urlencode(query)}"
        doing = act(place)

        def with_watchers() -> None:
            with ExitStack() as stack:
                for _ in range(watchers):
                    stack.enter_context(Socket(place.sidecar.http_port)).send(request("GET", target))
                doing()

        return with_watchers

    return row


def _save_values(count: int, size: int) -> Row:
    return lambda place: lambda: _values(place, count, b'"' + b"x" * size + b'"')


WATCHED: Mapping[str, Row] = {
    "many small": _watched(lambda place: lambda: _numbers(place), prefix="", withValues="true"),
    "large": _watched(_save_values(20, 1_000_000), prefix="", withValues="true", maxValueBytes=4_000_000),
    "large, without values": _watched(_save_values(20, 1_000_000), prefix=""),
    "of 4 kB": _watched(_save_values(2000, 4_000), prefix="", withValues="true"),
    "of long keys": _watched(lambda place: lambda: _large_keys(place), prefix="large"),
    "snapshots": _on(_numbers, _watched(_save_values(1, 10), watchers=20, prefix="", withSnapshot="true")),
    "snapshots of large values": _on(
        lambda place: _values(place, 40, b'"' + b"x" * 1_000_000 + b'"'),
        _watched(
            _save_values(1, 10), watchers=20, prefix="v", withSnapshot="true", withValues="true", maxValueBytes=4 << 20
        ),
    ),
    "a thousand watchers": _watched(lambda place: lambda: _numbers(place), watchers=1_000, prefix=""),
}
