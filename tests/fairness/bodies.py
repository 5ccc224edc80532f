"""The worst requests of the state API: as large as the limit allows, each worst in its own way.

HTTP and GRPC are asked of one store: they say what the reading costs. STORED are asked of every store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dapr_state_proto.common.v1 import common_pb2
from dapr_state_proto.runtime.v1 import state_pb2

from tests.fairness.place import LIMIT, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Request = Callable[[Place], object]

MEGABYTE = 1_000_000
OVERHEAD = 200  # octets left for what stands round the part that is large
SIZE = LIMIT - OVERHEAD
JSON = {"contentType": "application/json"}


def filled(part: bytes, size: int = SIZE) -> bytes:
    """As often as it goes into the largest body."""
    return part * (size // len(part))


def listed(part: bytes, size: int = SIZE) -> bytes:
    return filled(part + b",", size)[:-1]


def numbered(form: bytes, size: int = SIZE) -> bytes:
    """The form with another number each time, as often as it fits."""
    count = size // (len(form % 100_000) + 1)
    return b",".join(form % (100_000 + number) for number in range(count))


def value(text: bytes) -> bytes:
    return b'[{"key":"k","value":' + text + b"}]"


def of_item(field: bytes) -> bytes:
    return b'[{"key":"k","value":1,' + field + b"}]"


def tree(depth: int) -> bytes:
    """Lists of so many levels, side by side."""
    return b"[" + listed(b"[" * depth + b"]" * depth) + b"]"


SAVED: Mapping[str, Callable[[], bytes]] = {
    "largest value": lambda: value(b'"' + filled(b"x") + b'"'),
    "escapes": lambda: value(b'"' + filled(rb"\u0000") + b'"'),
    "surrogates": lambda: value(b'"' + filled(rb"\ud83d\ude00") + b'"'),
    "letters beyond ASCII": lambda: value(b'"' + filled("é".encode()) + b'"'),
    "not UTF-8": lambda: value(b'"' + filled(b"\xff") + b'"'),
    "one number": lambda: value(filled(b"9")),
    # as many octets as divide a piece: each ends between two of them
    "objects of eight octets": lambda: value(b"[" + listed(b'{"a":1}') + b"]"),
    "numbers": lambda: value(b"[" + listed(b"1e5") + b"]"),
    "nulls": lambda: value(b"[" + listed(b"null") + b"]"),
    "empty lists": lambda: value(b"[" + listed(b"[]") + b"]"),
    "empty objects": lambda: value(b"[" + listed(b"{}") + b"]"),
    "members": lambda: value(b"{" + numbered(b'"%d":1') + b"}"),
    "one member again and again": lambda: value(b"{" + listed(b'"a":1') + b"}"),
    "deepest list": lambda: value(b"[" * (SIZE // 2) + b"]" * (SIZE // 2)),
    "deepest object": lambda: value(filled(b'{"":', SIZE * 4 // 5) + b"1" + b"}" * (SIZE // 5)),
    "lists of 100 levels": lambda: value(tree(100)),
    "lists of 9,000 levels": lambda: value(tree(9_000)),
    "white space": lambda: value(filled(b" ") + b"1"),
    "an unknown member": lambda: of_item(b'"unknown":"' + filled(b"x") + b'"'),
    "unknown members": lambda: of_item(numbered(b'"%d":1')),
    "long key": lambda: b'[{"key":"' + filled(b"k") + b'"}]',
    "a key of forbidden parts": lambda: b'[{"key":"' + filled(b"|") + b'"}]',
    "long etag": lambda: of_item(b'"etag":"' + filled(b"9") + b'"'),
    "long etag of quotes": lambda: of_item(b'"etag":"' + filled(rb"\"") + b'"'),
    "long TTL": lambda: of_item(b'"metadata":{"ttlInSeconds":"' + filled(b"9") + b'"}'),
    "long TTL of letters": lambda: of_item(b'"metadata":{"ttlInSeconds":"' + filled("é".encode()) + b'"}'),
    "long content type": lambda: of_item(b'"metadata":{"contentType":"' + filled(b"a") + b'"}'),
    "long concurrency": lambda: of_item(b'"options":{"concurrency":"' + filled(b"a") + b'"}'),
    "long wrong kind": lambda: of_item(b'"options":' + value(b'"' + filled(b"a") + b'"')),
    "most metadata": lambda: of_item(b'"metadata":{' + numbered(b'"%d":""') + b"}"),
    "most items of a wrong kind": lambda: b"[" + listed(b"1") + b"]",
    "most empty items": lambda: b"[" + listed(b"{}") + b"]",
    "most items without a key": lambda: b"[" + listed(b'{"value":1}') + b"]",
    "nulls without end": lambda: b'[{"key":"k","value":[' + filled(b"null,"),
    "a string without end": lambda: b'[{"key":"k","value":"' + filled(b"x"),
    "lists without end": lambda: filled(b"["),
    "wrong at its end": lambda: value(b"[" + listed(b"1") + b",]"),
    "items, and wrong at the end": lambda: b"[" + numbered(b'{"key":"%d"}') + b",]",
    "no list": lambda: filled(b'{"key":"k"}'),
    "one octet too many": lambda: value(b'"' + b"x" * LIMIT + b'"'),
    "items, and one octet too many": lambda: b"[" + numbered(b'{"key":"%d"}', LIMIT + 20) + b"]",
    "wrong, and one octet too many": lambda: value(b"[" + listed(b"null", LIMIT + 20) + b",]"),
}

ASKED: Mapping[str, Callable[[], bytes]] = {
    "long key": lambda: b'{"keys":["' + filled(b"none") + b'"]}',
    "one key again and again": lambda: b'{"keys":[' + listed(b'"none"') + b"]}",
    "most metadata": lambda: b'{"keys":["none"],"metadata":{' + numbered(b'"%d":""') + b"}}",
    "deepest": lambda: b'{"keys":' + b"[" * (SIZE // 2) + b"]" * (SIZE // 2) + b"}",
    "numbers for keys": lambda: b'{"keys":[' + listed(b"1") + b"]}",
    "wrong at its end": lambda: b'{"keys":[' + listed(b'"none"') + b",]}",
}

TRANSACTED: Mapping[str, Callable[[], bytes]] = {
    "long operation": lambda: b'{"operations":[{"operation":"' + filled(b"o") + b'","request":{"key":"k"}}]}',
    "most operations of an unknown kind": lambda: b'{"operations":[' + listed(b'{"operation":""}') + b"]}",
    "most metadata": lambda: b'{"operations":[],"metadata":{' + numbered(b'"%d":""') + b"}}",
    "deepest": lambda: b'{"operations":' + b"[" * (SIZE // 2) + b"]" * (SIZE // 2) + b"}",
    "wrong at its end": lambda: b'{"operations":[' + listed(b"{}") + b",]}",
}


def _body(tail: str, make: Callable[[], bytes]) -> Request:
    return lambda place: place.state(tail, make())


HTTP: Mapping[str, Request] = {
    **{f"save: {name}": _body("", make) for name, make in SAVED.items()},
    **{f"bulk get: {name}": _body("/bulk", make) for name, make in ASKED.items()},
    **{f"transaction: {name}": _body("/transaction", make) for name, make in TRANSACTED.items()},
}


# gRPC


def item(
    key: str = "k", octets: bytes = b"", metadata: Mapping[str, str] | None = None, etag: str = ""
) -> common_pb2.StateItem:
    made = common_pb2.StateItem(key=key, value=octets, metadata=metadata)
    if etag:
        made.etag.value = etag
    return made


def save(*items: common_pb2.StateItem, store: str = "mem") -> state_pb2.SaveStateRequest:
    return state_pb2.SaveStateRequest(store_name=store, states=items)


def _saved(make: Callable[[], common_pb2.StateItem]) -> Request:
    return lambda place: place.grpc("SaveState", save(make(), store=place.store))


def _raw(method: str, make: Callable[[], bytes]) -> Request:
    """A message from its octets."""
    return lambda place: place.grpc(method, b"\x0a\x03mem" + make())


def many(count: int) -> dict[str, str]:
    return {str(100_000 + number): "" for number in range(count)}


def transaction(**operation: object) -> state_pb2.ExecuteStateTransactionRequest:
    made = state_pb2.TransactionalStateOperation(**operation)  # type: ignore[arg-type] # fields by name
    return state_pb2.ExecuteStateTransactionRequest(storeName="mem", operations=[made])


GRPC: Mapping[str, Request] = {
    "largest value": _saved(lambda: item(octets=bytes(SIZE))),
    "declared JSON: nulls": _saved(lambda: item(octets=b"[" + listed(b"null") + b"]", metadata=JSON)),
    "declared JSON: not quite": _saved(lambda: item(octets=b"[" + listed(b"1") + b",]", metadata=JSON)),
    "declared JSON: a text without end": _saved(lambda: item(octets=b'"' + filled(b"x"), metadata=JSON)),
    "declared JSON: escapes without end": _saved(lambda: item(octets=b'"' + filled(b"\\u0000"), metadata=JSON)),
    "declared JSON: quotes": _saved(lambda: item(octets=filled(b'"'), metadata=JSON)),
    "declared JSON: deepest": _saved(lambda: item(octets=filled(b"["), metadata=JSON)),
    "declared JSON: not UTF-8": _saved(lambda: item(octets=b'"' + filled(b"\xff") + b'"', metadata=JSON)),
    "declared JSON: lists of 9,000 levels": _saved(lambda: item(octets=tree(9_000), metadata=JSON)),
    "declared JSON: a number": _saved(lambda: item(octets=filled(b"9"), metadata=JSON)),
    "long key": _saved(lambda: item("k" * SIZE)),
    "long etag": _saved(lambda: item(etag="9" * SIZE)),
    "long etag of quotes": _saved(lambda: item(etag='"' * SIZE)),
    "long TTL": _saved(lambda: item(metadata={"ttlInSeconds": "9" * SIZE})),
    "long TTL of letters": _saved(lambda: item(metadata={"ttlInSeconds": "é" * (SIZE // 2)})),
    "long content type": _saved(lambda: item(metadata={"contentType": "a" * SIZE})),
    "most metadata": _saved(lambda: item(metadata=many(SIZE // 12))),
    "most empty items": _raw("SaveState", lambda: filled(b"\x12\x00")),
    "most empty items with values": _raw("SaveState", lambda: filled(b"\x12\x02\x12\x00")),
    "most empty metadata": _raw("SaveState", lambda: b"\x12" + _sized(filled(b"\x22\x00"))),
    "unknown fields": _raw("SaveState", lambda: filled(b"\x78\x01")),
    "deepest message": _raw("SaveState", lambda: filled(b"\x7b", SIZE // 2) + filled(b"\x7c", SIZE // 2)),
    "not a message": _raw("SaveState", lambda: filled(b"\xff")),
    "long store name": lambda place: place.grpc("SaveState", save(store="s" * SIZE)),
    "long store name, get": lambda place: place.grpc(
        "GetState", state_pb2.GetStateRequest(store_name="s" * SIZE, key="k")
    ),
    "long key, get": lambda place: place.grpc("GetState", state_pb2.GetStateRequest(store_name="mem", key="k" * SIZE)),
    "long key of quotes, get": lambda place: place.grpc(
        "GetState", state_pb2.GetStateRequest(store_name="mem", key="|" * SIZE)
    ),
    "most empty keys, bulk get": _raw("GetBulkState", lambda: filled(b"\x12\x00")),
    "one key again and again, bulk get": _raw("GetBulkState", lambda: filled(b"\x12\x01n")),
    "long key, bulk get": lambda place: place.grpc(
        "GetBulkState", state_pb2.GetBulkStateRequest(store_name="mem", keys=["k" * SIZE])
    ),
    "most empty items, bulk delete": _raw("DeleteBulkState", lambda: filled(b"\x12\x00")),
    "long etag, delete": lambda place: place.grpc(
        "DeleteState",
        state_pb2.DeleteStateRequest(store_name="mem", key="k", etag=common_pb2.Etag(value="x" * SIZE)),
    ),
    "long operation": lambda place: place.grpc(
        "ExecuteStateTransaction", transaction(operationType="o" * SIZE, request=item())
    ),
    "most empty operations": _raw("ExecuteStateTransaction", lambda: filled(b"\x12\x00")),
    "most metadata, transaction": lambda place: place.grpc(
        "ExecuteStateTransaction",
        state_pb2.ExecuteStateTransactionRequest(storeName="mem", metadata=many(SIZE // 12)),
    ),
    "long query": lambda place: place.grpc("QueryStateAlpha1", state_pb2.QueryStateRequest(query="{" * SIZE)),
}


def _sized(octets: bytes) -> bytes:
    """With their length before them, as protobuf writes it."""
    length, left = b"", len(octets)
    while left > 127:
        length += bytes((left & 127 | 128,))
        left >>= 7
    return length + bytes((left,)) + octets


# What the stores themselves have to do


def _get_not_json(place: Place) -> None:
    """Values that are nearly JSON, stored as they are: HTTP shows them as JSON if they are, and as a text if not."""
    place.grpc("SaveState", save(item("near", b"[" + listed(b"1") + b",]"), store=place.store))
    place.state("/bulk", b'{"keys":["near"]}')


def _get_nulls(place: Place) -> None:
    place.grpc("SaveState", save(item("nulls", b"[" + listed(b"null") + b"]"), store=place.store))
    place.state("/bulk", b'{"keys":["nulls"]}')


def _get_largest(place: Place) -> None:
    place.grpc("SaveState", save(item("large", bytes(SIZE)), store=place.store))
    place.grpc("GetState", state_pb2.GetStateRequest(store_name=place.store, key="large"))
    place.http("GET", f"state/{place.store}/large")


def _bulk(place: Place, count: int, size: int) -> list[str]:
    """Save so many values, and name their keys."""
    keys = [f"bulk-{size}-{number}" for number in range(count)]
    group = max(1, 3_000_000 // size)
    for first in range(0, count, group):
        place.grpc(
            "SaveState", save(*(item(key, b"7" * size) for key in keys[first : first + group]), store=place.store)
        )
    return keys


def _bulk_get(count: int, size: int) -> Request:
    def get(place: Place) -> None:
        keys = _bulk(place, count, size)
        place.grpc("GetBulkState", state_pb2.GetBulkStateRequest(store_name=place.store, keys=keys))
        place.state("/bulk", b'{"keys":["%b"]}' % '","'.join(keys).encode())

    return get


def _one_again(place: Place) -> None:
    (key,) = _bulk(place, 1, MEGABYTE)
    place.grpc("GetBulkState", state_pb2.GetBulkStateRequest(store_name=place.store, keys=[key] * 100))


STORED: Mapping[str, Request] = {
    "save: largest value": lambda place: place.grpc("SaveState", save(item(octets=bytes(SIZE)), store=place.store)),
    "save: most items over HTTP": _body("", lambda: b"[" + numbered(b'{"key":"%d"}') + b"]"),
    "save: most items": lambda place: place.grpc(
        "SaveState", save(*(item(str(number)) for number in range(SIZE // 12)), store=place.store)
    ),
    "save: one key again and again": _body("", lambda: b"[" + listed(b'{"key":"k"}') + b"]"),
    "save: most refused items": lambda place: place.grpc(
        "SaveState", save(*(item(f"r{number}", etag="7") for number in range(SIZE // 16)), store=place.store)
    ),
    "delete: most items": lambda place: place.grpc(
        "DeleteBulkState",
        state_pb2.DeleteBulkStateRequest(
            store_name=place.store, states=[item(str(number)) for number in range(SIZE // 12)]
        ),
    ),
    "transaction: most operations": _body(
        "/transaction",
        lambda: b'{"operations":[' + numbered(b'{"operation":"upsert","request":{"key":"%d"}}') + b"]}",
    ),
    "transaction: most operations, the last refused": _body(
        "/transaction",
        lambda: (
            b'{"operations":['
            + numbered(b'{"operation":"upsert","request":{"key":"t%d"}}')
            + b',{"operation":"upsert","request":{"key":"last","etag":"7"}}]}'
        ),
    ),
    "get: largest value": _get_largest,
    "bulk get: most keys over HTTP": _body("/bulk", lambda: b'{"keys":[' + numbered(b'"%d"') + b"]}"),
    "bulk get: most keys": lambda place: place.grpc(
        "GetBulkState",
        state_pb2.GetBulkStateRequest(store_name=place.store, keys=[str(number) for number in range(SIZE // 8)]),
    ),
    "bulk get: 60 of 1 MB": _bulk_get(60, MEGABYTE),
    "bulk get: 256 of 50 kB": _bulk_get(256, 50_000),
    "bulk get: one of 1 MB, a hundred times": _one_again,
    "bulk get over HTTP: nearly JSON": _get_not_json,
    "bulk get over HTTP: nulls": _get_nulls,
}
