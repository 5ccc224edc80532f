"""What is sent to daprd and to us: the rows of the State API's behaviour over gRPC, group by group."""

from __future__ import annotations

from typing import Any

from tests.conformance.differences import Suite
from tests.conformance.over_grpc.steps import (
    CURRENT,
    bulk_delete,
    bulk_get,
    delete,
    elsewhere,
    get,
    query,
    raw,
    save,
    transact,
)
from tests.conformance.scenario import Scenario, scenario
from tests.support.client import FIRST_WRITE, LAST_WRITE, options
from tests.support.stores import EVERY

FIRST: dict[str, Any] = {"options": FIRST_WRITE}
LAST: dict[str, Any] = {"options": LAST_WRITE}
ODD: dict[str, Any] = {"options": options(7, 7)}  # numbers that no enum has


def ttl(seconds: str) -> dict[str, Any]:
    return {"metadata": {"ttlInSeconds": seconds}}


def content(kind: str) -> dict[str, Any]:
    return {"metadata": {"contentType": kind}}


def etag(value: str, **more: Any) -> dict[str, Any]:
    return {"etag": value, **more}


JSON = content("application/json")

GET = [
    scenario("a missing key", get("k")),
    scenario("a value and its etag", save(("k", b"v")), get("k")),
    scenario("bytes that are no text", save(("k", b"\x00\xff\xfe\x80")), get("k"), bulk_get("k")),
    scenario("every consistency", save(("k", b"v")), *(get("k", consistency=number) for number in (0, 1, 2, 7))),
    scenario("metadata that nobody knows", save(("k", b"v")), get("k", metadata={"partitionKey": "p", "x": "y"})),
    scenario("an empty key is read", get("")),
    scenario("a key with ||", get("a||b"), get("||"), get("a|b"), get("a|||b")),
]

SAVE = [
    scenario("nothing to save", save()),
    scenario("an empty key is not saved", save(("", b"v"))),
    scenario("an illegal key is not saved", save(("a||b", b"v"))),
    scenario("an illegal key after a good one", save(("a", b"1"), ("b||c", b"2")), get("a")),
    scenario("an empty key after a good one", save(("a", b"1"), ("", b"2")), get("a")),
    scenario("an empty key before an illegal one", save(("", b"1"), ("b||c", b"2"))),
    scenario("several at once", save(("a", b"1"), ("b", b"2"), ("c", b"3")), bulk_get("a", "b", "c")),
    scenario("again and again", save(("k", b"1")), save(("k", b"2")), get("k"), save(("k", b"3")), get("k")),
    scenario("an empty value", save(("k", b"")), get("k"), bulk_get("k")),
    scenario("an empty value over another", save(("k", b"v")), save(("k", b"")), get("k")),
    scenario("metadata that nobody knows, saved", save(("k", b"v", {"metadata": {"partitionKey": "p"}})), get("k")),
    *(
        scenario(f"the key {name}", save((key, b"v")), get(key), bulk_get(key), delete(key), get(key))
        for name, key in {
            "with spaces": " a b ",
            "in another script": "ключ-日本-é",
            "with a bar": "a|b|c",
            "with quotes and signs": "a\"b'c`%_*?[x]\\{}:/;--",
            "with line ends": "a\nb\tc",
            "of 4 KiB": "x" * 4096,
        }.items()
    ),
]

ETAGS = [
    scenario("an empty etag is none", save(("k", b"1")), save(("k", b"2", etag(""))), get("k")),
    scenario("the right etag", save(("k", b"1")), save(("k", b"2", etag(CURRENT))), get("k")),
    scenario("a wrong etag", save(("k", b"1")), save(("k", b"2", etag("999"))), get("k")),
    scenario("a wrong etag that is no number", save(("k", b"1")), save(("k", b"2", etag("abc"))), get("k")),
    scenario("an etag for a missing key", save(("k", b"1", etag("1"))), get("k")),
    scenario("last-write", save(("k", b"1", LAST)), save(("k", b"2", LAST)), get("k")),
    scenario("last-write and the right etag", save(("k", b"1")), save(("k", b"2", etag(CURRENT, **LAST))), get("k")),
    scenario("last-write and a wrong etag", save(("k", b"1")), save(("k", b"2", etag("999", **LAST))), get("k")),
    scenario("first-write of a new key", save(("k", b"1", FIRST)), get("k")),
    scenario("first-write of an old key", save(("k", b"1")), save(("k", b"2", FIRST)), get("k")),
    scenario("first-write twice", save(("k", b"1", FIRST)), save(("k", b"2", FIRST)), get("k")),
    scenario("first-write and the right etag", save(("k", b"1")), save(("k", b"2", etag(CURRENT, **FIRST))), get("k")),
    scenario("first-write and a wrong etag", save(("k", b"1")), save(("k", b"2", etag("999", **FIRST))), get("k")),
    scenario("an ordinary save after first-write", save(("k", b"1", FIRST)), save(("k", b"2")), get("k")),
    scenario("first-write after a delete", save(("k", b"1", FIRST)), delete("k"), save(("k", b"2", FIRST)), get("k")),
    scenario("options that no enum has", save(("k", b"1", ODD)), get("k"), delete("k", **ODD), get("k")),
    scenario("strong consistency", save(("k", b"1", {"options": options(0, 2)})), get("k")),
]

MANY = [
    scenario(
        "one wrong etag among others",
        save(("a", b"1"), ("b", b"1")),
        save(("a", b"2", etag("999")), ("b", b"2"), ("c", b"2")),
        bulk_get("a", "b", "c"),
    ),
    scenario("only wrong etags", save(("a", b"1", etag("8")), ("b", b"1", etag("9"))), bulk_get("a", "b")),
    scenario("a wrong etag and a bad ttl", save(("a", b"1")), save(("a", b"2", etag("9")), ("b", b"2", ttl("x")))),
    scenario("a bad ttl among others", save(("a", b"1"), ("b", b"1", ttl("x"))), bulk_get("a", "b")),
    scenario(
        "deleting with one wrong etag",
        save(("a", b"1"), ("b", b"1")),
        bulk_delete(("a", b"", etag("999")), ("b",)),
        bulk_get("a", "b"),
    ),
]

DELETE = [
    scenario("deleting what is not there", delete("k")),
    scenario("deleting what is there", save(("k", b"v")), delete("k"), get("k"), delete("k")),
    scenario("deleting with the right etag", save(("k", b"v")), delete("k", etag=CURRENT), get("k")),
    scenario("deleting with a wrong etag", save(("k", b"v")), delete("k", etag="999"), get("k")),
    scenario("deleting with an etag that is no number", save(("k", b"v")), delete("k", etag="abc"), get("k")),
    scenario("deleting with an empty etag", save(("k", b"v")), delete("k", etag=""), get("k")),
    scenario("deleting a missing key with an etag", delete("k", etag="1")),
    scenario("deleting with last-write and a wrong etag", save(("k", b"v")), delete("k", etag="9", **LAST), get("k")),
    scenario("deleting with first-write, no etag", save(("k", b"v")), delete("k", **FIRST), get("k")),
    scenario("deleting an empty or illegal key", delete(""), delete("a||b")),
    scenario("deleting nothing at once", bulk_delete()),
    scenario(
        "deleting several", save(("a", b"1"), ("b", b"2")), bulk_delete(("a",), ("b",), ("c",)), bulk_get("a", "b")
    ),
    scenario("deleting several, one by name", save(("a", b"1")), bulk_delete(("a", b"", etag("9"))), get("a")),
    scenario("deleting empty and illegal keys at once", bulk_delete(("",)), bulk_delete(("a",), ("b||c",))),
]

BULK_GET = [
    scenario("no keys", bulk_get()),
    scenario("found and missing", save(("b", b"2"), ("a", b"1")), bulk_get("c", "b", "a", "d")),
    scenario("the same key twice", save(("a", b"1")), bulk_get("a", "x", "a", "x")),
    scenario("an illegal key among them", save(("a", b"1")), bulk_get("a", "b||c")),
    scenario("an empty key among them", save(("a", b"1")), bulk_get("a", "")),
    scenario("a key that starts or ends with a bar", save(("|a", b"1"), ("b|", b"2")), bulk_get("|a", "b|")),
    *(scenario(f"parallelism {n}", save(("a", b"1")), bulk_get("a", "b", parallelism=n)) for n in (-1, 0, 1, 100)),
]

TTL = [
    scenario("a ttl is told", save(("k", b"v", ttl("100"))), get("k"), bulk_get("k")),
    scenario("a save without ttl", save(("k", b"v", ttl("100"))), save(("k", b"w")), get("k")),
    scenario("a save with an empty ttl", save(("k", b"v", ttl("100"))), save(("k", b"w", ttl(""))), get("k")),
    scenario("a ttl with another name", save(("k", b"v", {"metadata": {"TTLINSECONDS": "100"}})), get("k")),
    *(
        scenario(f"the ttl {text!r}", save(("k", b"v", ttl(text))), get("k"))
        for text in ("0", "-1", "-2", "+5", "2147483647", "2147483648", "99999999999999999999", "1.5", " 5", "abc")
    ),
]

CONTENT = [
    scenario("JSON as JSON", save(("k", b'{"a":1}', JSON)), get("k")),
    scenario("JSON with spaces of its own", save(("k", b'[ 1.0, {"a" : null} ]', JSON)), get("k")),
    scenario("JSON with big numbers", save(("k", b'{"n":12345678901234567890}', JSON)), get("k")),
    scenario("JSON with fractions", save(("k", b"3.14159265358979", JSON)), get("k")),
    scenario("JSON with markup", save(("k", '"<b>&é\\u2028"'.encode(), JSON)), get("k")),
    scenario("no JSON although it says so", save(("k", b"{bad", JSON)), get("k")),
    scenario("nothing although it says JSON", save(("k", b"", JSON))),
    scenario("no JSON after a good item", save(("a", b"1"), ("k", b"{", JSON)), get("a")),
    *(
        scenario(f"no JSON and {kind}", save(("k", b"{bad", content(kind))), get("k"))
        for kind in ("application/json; charset=utf-8", "text/plain", "application/octet-stream", "APPLICATION/JSON")
    ),
    scenario(
        "a content type with another name", save(("k", b"{bad", {"metadata": {"ContentType": "application/json"}}))
    ),
]

TRANSACTIONS = [
    scenario("no operations", transact()),
    scenario(
        "upserts and deletes", save(("b", b"0")), transact(("upsert", "a", b"1"), ("delete", "b")), bulk_get("a", "b")
    ),
    scenario("an empty value in a transaction", transact(("upsert", "k", b"")), get("k")),
    scenario("in order", transact(("upsert", "k", b"1"), ("delete", "k"), ("upsert", "k", b"2")), get("k")),
    scenario("deleted at last", transact(("upsert", "k", b"1"), ("delete", "k")), get("k")),
    scenario("an operation that nobody knows", transact(("upsert", "a", b"1"), ("Upsert", "b", b"1")), get("a")),
    scenario("an operation without a name", transact(("", "a", b"1"))),
    scenario("an illegal key before an unknown operation", transact(("nope", "a||b", b"1"))),
    scenario("an illegal key in a transaction", transact(("upsert", "a", b"1"), ("delete", "b||c")), get("a")),
    scenario(
        "an empty key in a transaction", transact(("upsert", "", b"1")), get(""), transact(("delete", "")), get("")
    ),
    scenario(
        "right etags in a transaction", save(("a", b"0")), transact(("upsert", "a", b"1", etag(CURRENT))), get("a")
    ),
    scenario(
        "a wrong etag first",
        save(("a", b"0")),
        transact(("upsert", "a", b"1", etag("999")), ("upsert", "b", b"1")),
        bulk_get("a", "b"),
    ),
    scenario(
        "a wrong etag last",
        save(("a", b"0")),
        transact(("upsert", "b", b"1"), ("upsert", "a", b"1", etag("999"))),
        bulk_get("a", "b"),
    ),
    scenario("an etag for a missing key in a transaction", transact(("upsert", "a", b"1", etag("1"))), get("a")),
    scenario(
        "an etag that is no number in a transaction", save(("a", b"0")), transact(("upsert", "a", b"1", etag("x")))
    ),
    scenario(
        "deleting with a wrong etag in a transaction",
        save(("a", b"0")),
        transact(("upsert", "b", b"1"), ("delete", "a", b"", etag("999"))),
        bulk_get("a", "b"),
    ),
    scenario("deleting what is not there in a transaction", transact(("delete", "a"), ("upsert", "b", b"1")), get("b")),
    scenario(
        "first-write of an old key in a transaction",
        save(("a", b"0")),
        transact(("upsert", "b", b"1"), ("upsert", "a", b"1", FIRST)),
        bulk_get("a", "b"),
    ),
    scenario("first-write of a new key in a transaction", transact(("upsert", "a", b"1", FIRST)), get("a")),
    scenario("a ttl in a transaction", transact(("upsert", "a", b"1", ttl("100"))), get("a")),
    scenario(
        "a bad ttl in a transaction",
        transact(("upsert", "a", b"1"), ("upsert", "b", b"1", ttl("x"))),
        bulk_get("a", "b"),
    ),
    scenario(
        "a ttl for the whole transaction", transact(("upsert", "a", b"1"), metadata={"ttlInSeconds": "100"}), get("a")
    ),
    scenario("JSON in a transaction", transact(("upsert", "k", b'{ "a": 1 }', JSON)), get("k")),
    scenario("no JSON in a transaction", transact(("upsert", "k", b"{bad", JSON)), get("k")),
    scenario("options that no enum has in a transaction", transact(("upsert", "a", b"1", ODD)), get("a")),
]

REFUSED = [
    scenario(
        "a store that is not there",
        *(
            elsewhere("nope", call)
            for call in (
                get("k"),
                bulk_get("k"),
                bulk_get(),
                save(("k", b"v")),
                save(),
                delete("k"),
                bulk_delete(("k",)),
                transact(("upsert", "k", b"v")),
                transact(),
                query("{}"),
            )
        ),
    ),
    scenario("a store with a capital, or none", elsewhere("MEM", get("k")), elsewhere("", get("k"))),
    scenario("queries", query('{"filter":{"EQ":{"nowhere":1}}}'), query("no JSON"), query("")),
    scenario(
        "no message",
        *(raw(method, b"\xff\xff\xff") for method in ("GetState", "SaveState", "ExecuteStateTransaction")),
    ),
    scenario("a key that is no UTF-8", raw("GetState", b"\x0a\x03mem\x12\x01\xff")),
    scenario("fields that nobody knows", raw("GetState", b"\x0a\x03mem\x12\x01k\xfa\x01\x03abc")),
]

LARGE = [
    scenario("a request of exactly 4 MiB", save(("k", b"x" * (4 * 2**20 - 64)))),
    scenario("a request that is too large", save(("k", b"x" * (4 * 2**20 + 1))), get("k")),
    scenario(
        "an answer that is too large",
        save(("a", b"x" * (3 * 2**20))),
        save(("b", b"x" * (3 * 2**20))),
        bulk_get("a", "b"),
    ),
]

ALL: list[Scenario] = [
    *GET, *SAVE, *ETAGS, *MANY, *DELETE, *BULK_GET, *TTL, *CONTENT, *TRANSACTIONS, *REFUSED, *LARGE,
]  # fmt: skip

NO_STORE = [
    scenario(
        "no store at all",
        get("k"),
        bulk_get("k"),
        bulk_get(),
        save(("k", b"v")),
        save(("", b"v")),
        delete("k"),
        bulk_delete(("k",)),
        transact(("upsert", "k", b"v")),
        query("{}"),
    )
]

SUITE = Suite.of(__file__, ALL, EVERY)
