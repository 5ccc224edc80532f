"""What is sent to daprd and to us over HTTP: the rows of the State API's sheet, in groups that belong together."""

from __future__ import annotations

from typing import Any

from tests.conformance.differences import Suite
from tests.conformance.over_http.steps import (
    Step,
    bulk,
    delete,
    get,
    operations,
    query,
    save,
    transaction,
    upsert,
    value,
)
from tests.conformance.scenario import scenario
from tests.support.stores import EVERY

# as keys: what Go's float64 cannot hold, and what it prints in a way of its own
NUMBERS = ("1e400", "-1e999", "9" * 400, "-0", "9223372036854775808", "1234567", "123456.789", "1e-5", "0.0001", "1.0")


def each_refused(make: Any, *bodies: str) -> tuple[Step, ...]:
    return tuple(make(body) for body in bodies)


ROUTES = [
    scenario("a value comes back", value('"v"'), get(), delete(), get()),
    scenario("put is post", save('[{"key":"$k","value":1}]', method="PUT"), get()),
    scenario(
        "verbs without a route",
        Step("PATCH", "/v1.0/state/$s/$k"),
        Step("GET", "/v1.0/state/$s"),
        Step("PUT", "/v1.0/state/$s/$k", "1"),
    ),
    scenario("words are keys to get", Step("GET", "/v1.0/state/$s/bulk"), Step("DELETE", "/v1.0/state/$s/transaction")),
    scenario(
        "another version", Step("POST", "/v1.0/state/$s/query", "{}"), Step("POST", "/v1.0-alpha1/state/$s", "[]")
    ),
    scenario(
        "a slash at the end",
        value("1"),
        get("$k/"),
        Step("POST", "/v1.0/state/$s/", "[]"),
        Step("GET", "/v1.0/state/$s/"),
    ),
    scenario(
        "a path to be cleaned",
        value("1"),
        Step("GET", "//v1.0//state///$s//$k"),
        Step("GET", "/v1.0/x/../state/./$s/$k"),
    ),
    scenario("dots", get("."), get(".."), get("%2E"), get("%2e%2e"), get("...")),
    scenario(
        "an encoded word",
        Step("GET", "/v1.0/%73tate/S/$k"),
        Step("GET", "/v1%2E0/state/$s/$k"),
        Step("POST", "/v1.0/state/$s/bul%6b", "{}"),
    ),
    scenario("a store with a capital", Step("GET", "/v1.0/state/$sX/$k"), Step("POST", "/v1.0/state/nope", "[]")),
    scenario("deeper than a key", get("a/b"), get("a/b/c"), Step("POST", "/v1.0/state/$s/bulk/x", "{}")),
]

KEYS = [
    scenario(
        "keys with odd characters",
        save('[{"key":"$k a+b/c%é\\u0000?#","value":1}]'),
        get("$k%20a%2Bb%2Fc%25%C3%A9%00%3F%23"),
        get("$k+a%2Bb%2fc%25%c3%a9%00%3F%23"),
        delete("$k+a%2Bb%2fc%25%c3%a9%00%3F%23"),
    ),
    scenario("a key decoded once", save('[{"key":"$ka%2Fb","value":1}]'), get("$ka%252Fb"), get("$ka%2Fb")),
    scenario(
        "a key with bars",
        get("$k%7C%7Cb"),
        get("$k||b"),
        delete("$k||b"),
        value("1"),
        get("$k%7Cb"),
        bulk('{"keys":["a||b"]}'),
    ),
    scenario(
        "an illegal key saved",
        save('[{"key":"a||b","value":1}]'),
        save('[{"key":"$k","value":1},{"key":"a||b"}]'),
        get(),
    ),
    scenario("a key in plain UTF-8", save('[{"key":"$ké日","value":1}]'), get("$ké日"), delete("$ké日")),
    scenario("a long key", save('[{"key":"$k' + "x" * 2000 + '","value":1}]'), get("$k" + "x" * 2000)),
]

VALUES = [
    scenario(
        "values as daprd writes them too",
        *(
            step
            for text in ('""', '"a"', "0", "-1", "true", "false", "null", "{}", "[]", '{"a":[1,2]}', "12345", '"é日本"')
            for step in (value(text), get())
        ),
    ),
    scenario("no value", save('[{"key":"$k"}]'), get(), bulk('{"keys":["$k"]}')),
    scenario("names in other letters", save('[{"KEY":"$k","Value":1,"oPTIONS":{"Concurrency":"first-write"}}]'), get()),
    scenario("unknown names", save('[{"key":"$k","value":1,"x":{"y":[1]}}]'), get()),
    scenario("twice the same name", save('[{"key":"a","key":"$k","value":1,"value":2}]'), get()),
    scenario("something after the end", save('[{"key":"$k","value":1}] x'), get()),
    scenario("bytes that are no text", save(b'[{"key":"$k","value":"a\xffb"}]'), get()),
    scenario("white space", value(" 1 "), get()),
    scenario("nulls everywhere", value("1", etag="null", metadata="null", options="null", contentType="null"), get()),
    scenario(
        "a content type", value('"x"', contentType='"text/plain"', metadata='{"contentType":"text/plain"}'), get()
    ),
    scenario("nothing to save", save("[]"), save("null")),
    scenario("any content type", Step("POST", "/v1.0/state/$s", "[]", {"Content_Type": "text/plain"})),
    scenario("metadata of the query", value("1"), get(query="?metadata.x=y&consistency=bogus&metadata.=z&a;b&%zz")),
]

BROKEN = [
    scenario(
        "bodies that cannot be saved",
        *each_refused(
            save,
            *(
                "",
                " ",
                "[",
                '[{"key":"a"',
                "xx",
                '[{"key":"a",}]',
                '[{"key":"a","value":01}]',
                "\ufeff[]",
                "{}",
                '"x"',
                "1",
            ),
            *("true", "[1]", '["x"]', "[[]]", "[true]", '[{"key":1}]', '[{"key":{}}]', '[{"key":"a","etag":1}]'),
            *('[{"key":"a","metadata":"x"}]', '[{"key":"a","metadata":{"a":1}}]', '[{"key":"a","metadata":[]}]'),
            *(
                '[{"key":"a","options":"x"}]',
                '[{"key":"a","options":{"concurrency":1}}]',
                '[{"key":"a","contentType":1}]',
            ),
            *(
                '[{"key":"a","options":{"consistency":[]}}]',
                '[{"key":"a","value":"\\x"}]',
                '[{"key":"a","value":"\t"}]',
            ),
            *('[{"key":""}]', '[{"key":null}]', "[null]", '[{"value":1}]', '[{"key":"a","value":tru}]', "[,]", "[}"),
            *('[{"a" 1}]', "[1 2]", '[{"key":"a","value":1.}]', '[{"key":"a","value":-}]', '[{"key":"a","value":1e}]'),
        ),
    ),
    scenario(
        "bodies that cannot be read in bulk",
        *each_refused(
            bulk,
            *(
                "",
                "x",
                "[]",
                '{"keys":1}',
                '{"keys":[1]}',
                '{"parallelism":"2"}',
                '{"parallelism":1.5}',
                '{"metadata":[]}',
            ),
            *(
                '{"metadata":{"a":1}}',
                '{"parallelism":99999999999999999999}',
                '{"keys":["a"',
                "{}",
                "null",
                '{"keys":[]}',
            ),
            *('{"keys":null,"parallelism":null,"metadata":null}', '{"KEYS":[],"Parallelism":-3,"x":1} y'),
        ),
    ),
    scenario(
        "bodies that are no transaction",
        *each_refused(
            transaction,
            *("", "x", "[]", "{}", "null", '{"operations":{}}', '{"operations":[1]}', '{"operations":[null]}'),
            *('{"operations":[{"operation":1}]}', '{"metadata":1}', '{"metadata":{"a":1}}', '{"operations":[]} x'),
            *('{"operations":[{"operation":"Upsert","request":{"key":"a"}}]}', '{"operations":[{"operation":"x"}]}'),
        ),
    ),
    scenario(
        "operations that cannot be read",
        *(
            operations(upsert(request))
            for request in (
                *(
                    '"x"',
                    "[]",
                    "1",
                    "true",
                    '{"key":1,"etag":5}',
                    '{"key":"a","metadata":{"x":1}}',
                    '{"key":"a","metadata":"x"}',
                ),
                *('{"key":"a","options":"x"}', '{"key":"a","options":{"concurrency":1,"consistency":true}}'),
                *(f'{{"key":{number}}}' for number in NUMBERS),
                *('{"key":"a","etag":1e400}', '{"key":["a",{"b":-1e999}]}', '{"key":"a","metadata":{"b":1e400}}'),
                *('{"key":{"a":[1,null,"x"]}}', '{"key":"a","contentType":1}', '{"key":["a"],"metadata":[1]}'),
            )
        ),
    ),
    scenario("a bad operation after a good one", operations(upsert('{"key":"$k","value":1}'), upsert('"x"')), get()),
    scenario(
        "an illegal key in a transaction",
        operations(upsert('{"key":"a||b"}')),
        operations(upsert('{"key":"$k"}'), upsert('{"key":"a||b"}')),
        get(),
    ),
]

OPTIONS = [
    scenario(
        "unknown options", value("1", options='{"concurrency":"bogus"}'), value("1", options='{"consistency":"bogus"}')
    ),
    scenario("unknown options of a delete", delete(query="?concurrency=bogus"), delete(query="?consistency=bogus")),
    scenario(
        "known options",
        value("1", options='{"concurrency":"last-write","consistency":"strong"}'),
        delete(query="?consistency=strong&concurrency=last-write"),
    ),
    scenario(
        "a wrong etag",
        value("1"),
        value("2", etag='"999"'),
        get(),
        delete(If_Match="999"),
        delete(If_Match='"999"'),
        get(),
    ),
    scenario("an empty etag", value("1"), value("2", etag='""'), delete(If_Match=""), get()),
    scenario(
        "two etags", value("1"), Step("DELETE", "/v1.0/state/$s/$k", None, {"If_Match": "998", "if_match": "999"})
    ),
    scenario("an etag and no row", delete(If_Match="999"), value("1", etag='"999"'), get()),
    scenario("an etag that is no number", value("1"), value("2", etag='"x"'), get()),
    scenario(
        "first write",
        value("1", options='{"concurrency":"first-write"}'),
        value("2", options='{"concurrency":"first-write"}'),
        get(),
    ),
    scenario("a ttl", value("1", metadata='{"ttlInSeconds":"60"}'), get(), bulk('{"keys":["$k"]}')),
    scenario(
        "a ttl in the query",
        save('[{"key":"$k","value":1,"metadata":{"ttlInSeconds":"x"}}]', "?metadata.ttlInSeconds=60"),
        get(),
    ),
    scenario(
        "a ttl that is none",
        value("1", metadata='{"ttlInSeconds":"x"}'),
        save('[{"key":"$k","value":1}]', "?metadata.ttlInSeconds=x"),
        get(),
    ),
    scenario("no ttl", *(value("1", metadata=f'{{"ttlInSeconds":"{text}"}}') for text in ("0", "-1", "")), get()),
    scenario("a ttl taken back", value("1", metadata='{"ttlInSeconds":"60"}'), value("2"), get()),
]

SEVERAL = [
    scenario(
        "in bulk",
        save('[{"key":"$k1","value":1},{"key":"$k2","value":"b"},{"key":"$k3","value":{"a":[1]}}]'),
        bulk('{"keys":["$k3","$k1","$k2"]}'),
        bulk('{"keys":["$k1","none"],"parallelism":2,"metadata":{"a":"b"}}'),
    ),
    scenario("an empty key in bulk", bulk('{"keys":[""]}')),
    scenario("conflicts among several", save('[{"key":"$k1","value":1},{"key":"$k2","value":2,"etag":"999"}]')),
    scenario("one key twice", save('[{"key":"$k","value":1},{"key":"$k","value":1}]'), get()),
    scenario(
        "a transaction",
        operations(upsert('{"key":"$k1","value":1}'), upsert('{"key":"$k2","value":"b"}')),
        operations('{"operation":"delete","request":{"key":"$k1"}}', upsert('{"KEY":"$k3","VALUE":[1]}')),
        get("$k1"),
        get("$k2"),
        get("$k3"),
    ),
    scenario(
        "a transaction with a wrong etag", value("1"), operations(upsert('{"key":"$k","value":2,"etag":"999"}')), get()
    ),
    scenario(
        "a transaction that fails half way",
        value("1"),
        operations(upsert('{"key":"$k2","value":1}'), '{"operation":"delete","request":{"key":"$k","etag":"999"}}'),
        get("$k2"),
    ),
    scenario(
        "a transaction's metadata",
        transaction('{"operations":[' + upsert('{"key":"$k","value":1}') + '],"metadata":{"ttlInSeconds":"60"}}'),
        get(),
    ),
    scenario(
        "a transaction's query",
        transaction('{"operations":[' + upsert('{"key":"$k","value":1}') + "]}", "?metadata.ttlInSeconds=60"),
        get(),
    ),
    scenario(
        "a transaction with a bad option",
        operations(upsert('{"key":"$k","value":1,"options":{"concurrency":"bogus"}}')),
        get(),
    ),
    scenario(
        "an operation without a request", operations('{"operation":"delete"}', '{"operation":"delete","request":null}')
    ),
    scenario(
        "queries",
        query('{"filter":{"EQ":{"nowhere":1}}}'),
        query(""),
        query("x"),
        Step("PUT", "/v1.0-alpha1/state/$s/query", '{"filter":{"EQ":{"nowhere":1}}}'),
        Step("POST", "/v1.0-alpha1/state/nope/query", "{}"),
    ),
]

STATE = [*ROUTES, *KEYS, *VALUES, *BROKEN, *OPTIONS, *SEVERAL]
SUITE = Suite.of(__file__, STATE, EVERY)

# What has nothing to do with a store


def others(*requests: tuple[str, str] | tuple[str, str, str]) -> tuple[Step, ...]:
    return tuple(Step(*request) for request in requests)


APP = "/v1.0/actors/T/1"
WORKFLOW = "/v1.0/workflows/dapr"

OTHERS = [
    scenario("health", *others(("GET", "/v1.0/healthz"), ("GET", "/v1.0/healthz/"), ("GET", "/v1.0/healthz/outbound"))),
    scenario(
        "health of an app",
        *others(
            ("GET", "/v1.0/healthz?appid=app"),
            ("GET", "/v1.0/healthz?appid=x"),
            ("GET", "/v1.0/healthz/outbound?appid=x"),
        ),
    ),
    scenario(
        "health by other verbs",
        *others(("POST", "/v1.0/healthz", ""), ("HEAD", "/v1.0/healthz"), ("PUT", "/v1.0/healthz", "")),
    ),
    scenario(
        "nothing there",
        *others(("GET", "/"), ("GET", "/v1.0"), ("GET", "/v1.0/"), ("GET", "/x"), ("POST", "/v1.0/nope/x", "{}")),
    ),
    scenario(
        "noted metadata",
        *others(
            ("PUT", "/v1.0/metadata", "x"),
            ("PUT", "/v1.0/metadata/", "x"),
            ("GET", "/v1.0/metadata/x"),
            ("POST", "/v1.0/metadata/x", "y"),
        ),
    ),
    scenario("no shutdown by get", *others(("GET", "/v1.0/shutdown"), ("PUT", "/v1.0/shutdown", ""))),
    scenario(
        "publish",
        *others(
            ("POST", "/v1.0/publish/ps/t", "{}"), ("PUT", "/v1.0/publish/ps/t/u", ""), ("POST", "/v1.0/publish/ps", "")
        ),
    ),
    scenario(
        "bulk publish",
        *others(("POST", "/v1.0/publish/bulk/ps/t", "[]"), ("POST", "/v1.0-alpha1/publish/bulk/ps/t", "[]")),
    ),
    scenario(
        "secrets",
        *others(
            ("GET", "/v1.0/secrets/s/k"),
            ("GET", "/v1.0/secrets/s/bulk"),
            ("GET", "/v1.0/secrets/s"),
            ("POST", "/v1.0/secrets/s/k", ""),
        ),
    ),
    scenario(
        "bindings",
        *others(
            ("POST", "/v1.0/bindings/b", '{"operation":"x"}'),
            ("PUT", "/v1.0/bindings/b", ""),
            ("POST", "/v1.0/bindings/b", "{}"),
            ("POST", "/v1.0/bindings/b", '{"operation":1}'),
        ),
    ),
    scenario(
        "configuration",
        *others(
            ("GET", "/v1.0/configuration/c"),
            ("GET", "/v1.0-alpha1/configuration/c"),
            ("GET", "/v1.0/configuration/c/subscribe"),
            ("GET", "/v1.0/configuration/c/i/unsubscribe"),
        ),
    ),
    scenario(
        "locks",
        *others(
            ("POST", "/v1.0-alpha1/lock/l", '{"expiryInSeconds":5}'),
            ("POST", "/v1.0-alpha1/lock/l", "{}"),
            ("POST", "/v1.0-alpha1/unlock/l", "{}"),
        ),
    ),
    scenario(
        "cryptography",
        *others(
            ("PUT", "/v1.0-alpha1/crypto/c/encrypt", "x"),
            ("PUT", "/v1.0-alpha1/crypto/c/decrypt", "x"),
            ("POST", "/v1.0-alpha1/subtlecrypto/c/getkey", "{}"),
            ("POST", "/v1.0-alpha1/subtlecrypto/c/x", "{}"),
        ),
    ),
    scenario(
        "jobs",
        *others(
            ("GET", "/v1.0/jobs/j"),
            ("DELETE", "/v1.0-alpha1/jobs/j"),
            ("POST", "/v1.0/jobs/j", '{"dueTime":"1s"}'),
            ("POST", "/v1.0-alpha1/jobs/j", "{}"),
        ),
    ),
    scenario(
        "workflows",
        *others(
            ("POST", f"{WORKFLOW}/w/start", "{}"),
            ("GET", f"{WORKFLOW}/i"),
            ("POST", f"{WORKFLOW}/i/terminate", ""),
            ("POST", f"{WORKFLOW}/i/raiseEvent/e", ""),
            ("POST", f"{WORKFLOW}/i/x", ""),
        ),
    ),
    scenario(
        "conversations",
        *others(
            ("POST", "/v1.0-alpha1/conversation/e/converse", "{}"),
            ("POST", "/v1.0-alpha2/conversation/e/converse", "{}"),
        ),
    ),
    scenario(
        "actors without placement",
        *others(
            ("POST", f"{APP}/method/m", ""),
            ("GET", f"{APP}/state/k"),
            ("PUT", f"{APP}/reminders/r", "{}"),
            ("DELETE", f"{APP}/timers/t"),
            ("GET", APP),
        ),
    ),
]
