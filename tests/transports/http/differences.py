"""Where our answers over HTTP differ from daprd's on purpose: a row for each answer, with the rule that asks for it.

The numbers are those of the README's table of differences; 0 is for what that table is too short for, and says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

ALL = ("mem", "redis", "lite")
VOID = f"Traceparent: 00-{'0' * 32}-{'0' * 16}-00"
MISMATCH = "possible etag mismatch. error from state store"

CALLS = {
    "ERR_STATE_SAVE": "failed saving state in state store $s: ",
    "ERR_STATE_DELETE": "failed deleting state with key $k: ",
    "ERR_STATE_TRANSACTION": "error while executing state transaction: ",
}
SAVE, DELETE, TRANSACTION = CALLS


@dataclass(frozen=True)
class Difference:
    """`step` counts from 0 within the case."""

    rule: int
    case: str
    step: int
    stores: tuple[str, ...]
    ours: str


def refused(status: int, code: str, cause: str) -> str:
    message = (CALLS[code] + cause).replace('"', '\\"')
    body = f'{{"errorCode":"{code}","message":"{message}"}}'
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\nContent-Type: application/json\n{VOID}"
    return f"{head}\n\n{body}"


def stale(code: str, given: str) -> str:
    return refused(409, code, f"{MISMATCH}: state etag not match for key=app||$k: current=ETAG, expect={given}")


def missing(code: str, key: str = "$k", before: str = "") -> str:
    return refused(409, code, f"{before}{MISMATCH}: state not exist or expired for key=app||{key}")


def found(body: str, *lines: str, etag: str = "ETAG") -> str:
    etags = (f"Etag: {etag}",) if etag else ()
    return "\n".join(("HTTP/1.1 200 OK", "Content-Type: application/json", *etags, *lines, VOID, "", body))


NOTHING = f"HTTP/1.1 204 No Content\n{VOID}\n\n"
UNTIL = "Metadata.ttlexpiretime: TIME"

# daprd's Redis asks for its JSON module; ours cannot query yet
NO_QUERIES = (
    f"HTTP/1.1 500 Internal Server Error\nContent-Type: application/json\n{VOID}\n\n"
    '{"errorCode":"ERR_STATE_STORE_NOT_SUPPORTED","message":"state store does not support querying","details":['
    '{"@type":"type.googleapis.com/google.rpc.ResourceInfo","description":"","owner":"","resource_name":"$s",'
    '"resource_type":"state"},{"@type":"type.googleapis.com/google.rpc.ErrorInfo","domain":"dapr.io","metadata":null,'
    '"reason":"DAPR_STATE_QUERYING_NOT_SUPPORTED"}]}'
)

DIFFERENCES = [
    # a conflict names its key, and is 409 in transactions too
    Difference(2, "a wrong etag", 1, ("redis", "lite"), stale(SAVE, "999")),
    Difference(2, "a wrong etag", 3, ("redis", "lite"), stale(DELETE, "999")),
    Difference(2, "a wrong etag", 4, ("redis", "lite"), stale(DELETE, '"999"')),
    Difference(2, "two etags", 1, ("redis", "lite"), stale(DELETE, "998")),
    Difference(2, "an etag that is no number", 1, ("lite",), stale(SAVE, "x")),
    Difference(2, "a transaction with a wrong etag", 1, ALL, stale(TRANSACTION, "999")),
    Difference(2, "a transaction that fails half way", 1, ALL, stale(TRANSACTION, "999")),
    # all or nothing
    Difference(1, "a transaction that fails half way", 2, ("redis",), NOTHING),
    # an etag is enforced on a missing key too
    Difference(3, "an etag and no row", 0, ("redis", "lite"), missing(DELETE)),
    Difference(3, "an etag and no row", 1, ("redis", "lite"), missing(SAVE)),
    Difference(3, "an etag and no row", 2, ("redis",), NOTHING),
    Difference(3, "conflicts among several", 0, ("redis", "lite"), missing(SAVE, "$k2", f"{MISMATCH}: ")),
    # first write on an existing key
    Difference(
        4,
        "first write",
        1,
        ALL,
        refused(409, SAVE, f"{MISMATCH}: item already exists and no etag was passed for key=app||$k"),
    ),
    # every store says when a value expires
    Difference(5, "a ttl", 1, ("redis",), found("1", UNTIL)),
    Difference(
        5,
        "a ttl",
        2,
        ("redis",),
        found('[{"key":"$k","data":1,"etag":"ETAG","metadata":{"ttlExpireTime":"TIME"}}]\n', etag=""),
    ),
    Difference(5, "a ttl in the query", 1, ("redis",), found("1", UNTIL)),
    Difference(5, "a transaction's query", 1, ("redis",), found("1", UNTIL)),
    # bulk get in request order
    Difference(
        7,
        "in bulk",
        1,
        ("lite",),
        found(
            '[{"key":"$k3","data":{"a":[1]},"etag":"ETAG"},{"key":"$k1","data":1,"etag":"ETAG"},'
            '{"key":"$k2","data":"b","etag":"ETAG"}]\n',
            etag="",
        ),
    ),
    # a transaction's metadata is for all its operations
    Difference(9, "a transaction's metadata", 1, ALL, found("1", UNTIL)),
    # the same rules on every store: daprd's Redis does not look at the options of a transaction
    Difference(
        0,
        "a transaction with a bad option",
        0,
        ("redis",),
        refused(500, TRANSACTION, "unrecognized concurrency model 'bogus'"),
    ),
    Difference(0, "a transaction with a bad option", 1, ("redis",), NOTHING),
    *(Difference(0, "queries", step, ("redis",), NO_QUERIES) for step in range(4)),
]
