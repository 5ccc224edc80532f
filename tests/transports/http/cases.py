"""What is sent to daprd and to us over HTTP: the rows of the State API's sheet, in groups that belong together.

`$s` in a path is the store, `$k` in a path or a body the beginning of a key that no other case uses.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# as keys: what Go's float64 cannot hold, and what it prints in a way of its own
NUMBERS = ("1e400", "-1e999", "9" * 400, "-0", "9223372036854775808", "1234567", "123456.789", "1e-5", "0.0001", "1.0")


@dataclass(frozen=True)
class Step:
    method: str
    path: str
    body: str | bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    name: str
    steps: tuple[Step, ...]


def save(body: str | bytes, query: str = "", method: str = "POST") -> Step:
    return Step(method, f"/v1.0/state/$s{query}", body)


def value(text: str, **more: str) -> Step:
    """Save one value under $k, with other fields as JSON text."""
    fields = "".join(f',"{name}":{shown}' for name, shown in more.items())
    return save(f'[{{"key":"$k","value":{text}{fields}}}]')


def get(key: str = "$k", query: str = "", **headers: str) -> Step:
    return Step("GET", f"/v1.0/state/$s/{key}{query}", None, headers)


def delete(key: str = "$k", query: str = "", **headers: str) -> Step:
    return Step("DELETE", f"/v1.0/state/$s/{key}{query}", None, headers)


def bulk(body: str, query: str = "") -> Step:
    return Step("POST", f"/v1.0/state/$s/bulk{query}", body)


def transaction(body: str, query: str = "") -> Step:
    return Step("POST", f"/v1.0/state/$s/transaction{query}", body)


def operations(*each: str) -> Step:
    return transaction('{"operations":[' + ",".join(each) + "]}")


def upsert(request: str) -> str:
    return f'{{"operation":"upsert","request":{request}}}'


def query(body: str) -> Step:
    return Step("POST", "/v1.0-alpha1/state/$s/query", body)


def case(name: str, *steps: Step) -> Case:
    return Case(name, steps)


def each_refused(make: Any, *bodies: str) -> tuple[Step, ...]:
    return tuple(make(body) for body in bodies)


ROUTES = [
    case("a value comes back", value('"v"'), get(), delete(), get()),
    case("put is post", save('[{"key":"$k","value":1}]', method="PUT"), get()),
    case(
        "verbs without a route",
        Step("PATCH", "/v1.0/state/$s/$k"),
        Step("GET", "/v1.0/state/$s"),
        Step("PUT", "/v1.0/state/$s/$k", "1"),
    ),
    case("words are keys to get", Step("GET", "/v1.0/state/$s/bulk"), Step("DELETE", "/v1.0/state/$s/transaction")),
    case("another version", Step("POST", "/v1.0/state/$s/query", "{}"), Step("POST", "/v1.0-alpha1/state/$s", "[]")),
    case(
        "a slash at the end",
        value("1"),
        get("$k/"),
        Step("POST", "/v1.0/state/$s/", "[]"),
        Step("GET", "/v1.0/state/$s/"),
    ),
    case(
        "a path to be cleaned",
        value("1"),
        Step("GET", "//v1.0//state///$s//$k"),
        Step("GET", "/v1.0/x/../state/./$s/$k"),
    ),
    case("dots", get("."), get(".."), get("%2E"), get("%2e%2e"), get("...")),
    case(
        "an encoded word",
        Step("GET", "/v1.0/%73tate/S/$k"),
        Step("GET", "/v1%2E0/state/$s/$k"),
        Step("POST", "/v1.0/state/$s/bul%6b", "{}"),
    ),
    case("a store with a capital", Step("GET", "/v1.0/state/$sX/$k"), Step("POST", "/v1.0/state/nope", "[]")),
    case("deeper than a key", get("a/b"), get("a/b/c"), Step("POST", "/v1.0/state/$s/bulk/x", "{}")),
]

KEYS = [
    case(
        "keys with odd characters",
        save('[{"key":"$k a+b/c%é\\u0000?#","value":1}]'),
        get("$k%20a%2Bb%2Fc%25%C3%A9%00%3F%23"),
        get("$k+a%2Bb%2fc%25%c3%a9%00%3F%23"),
        delete("$k+a%2Bb%2fc%25%c3%a9%00%3F%23"),
    ),
    case("a key decoded once", save('[{"key":"$ka%2Fb","value":1}]'), get("$ka%252Fb"), get("$ka%2Fb")),
    case(
        "a key with bars",
        get("$k%7C%7Cb"),
        get("$k||b"),
        delete("$k||b"),
        value("1"),
        get("$k%7Cb"),
        bulk('{"keys":["a||b"]}'),
    ),
    case(
        "an illegal key saved",
        save('[{"key":"a||b","value":1}]'),
        save('[{"key":"$k","value":1},{"key":"a||b"}]'),
        get(),
    ),
    case("a key in plain UTF-8", save('[{"key":"$ké日","value":1}]'), get("$ké日"), delete("$ké日")),
    case("a long key", save('[{"key":"$k' + "x" * 2000 + '","value":1}]'), get("$k" + "x" * 2000)),
]

VALUES = [
    case(
        "values as daprd writes them too",
        *(
            step
            for text in ('""', '"a"', "0", "-1", "true", "false", "null", "{}", "[]", '{"a":[1,2]}', "12345", '"é日本"')
            for step in (value(text), get())
        ),
    ),
    case("no value", save('[{"key":"$k"}]'), get(), bulk('{"keys":["$k"]}')),
    case("names in other letters", save('[{"KEY":"$k","Value":1,"oPTIONS":{"Concurrency":"first-write"}}]'), get()),
    case("unknown names", save('[{"key":"$k","value":1,"x":{"y":[1]}}]'), get()),
    case("twice the same name", save('[{"key":"a","key":"$k","value":1,"value":2}]'), get()),
    case("something after the end", save('[{"key":"$k","value":1}] x'), get()),
    case("bytes that are no text", save(b'[{"key":"$k","value":"a\xffb"}]'), get()),
    case("white space", value(" 1 "), get()),
    case("nulls everywhere", value("1", etag="null", metadata="null", options="null", contentType="null"), get()),
    case("a content type", value('"x"', contentType='"text/plain"', metadata='{"contentType":"text/plain"}'), get()),
    case("nothing to save", save("[]"), save("null")),
    case("any content type", Step("POST", "/v1.0/state/$s", "[]", {"Content_Type": "text/plain"})),
    case("metadata of the query", value("1"), get(query="?metadata.x=y&consistency=bogus&metadata.=z&a;b&%zz")),
]

BROKEN = [
    case(
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
    case(
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
    case(
        "bodies that are no transaction",
        *each_refused(
            transaction,
            *("", "x", "[]", "{}", "null", '{"operations":{}}', '{"operations":[1]}', '{"operations":[null]}'),
            *('{"operations":[{"operation":1}]}', '{"metadata":1}', '{"metadata":{"a":1}}', '{"operations":[]} x'),
            *('{"operations":[{"operation":"Upsert","request":{"key":"a"}}]}', '{"operations":[{"operation":"x"}]}'),
        ),
    ),
    case(
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
    case("a bad operation after a good one", operations(upsert('{"key":"$k","value":1}'), upsert('"x"')), get()),
    case(
        "an illegal key in a transaction",
        operations(upsert('{"key":"a||b"}')),
        operations(upsert('{"key":"$k"}'), upsert('{"key":"a||b"}')),
        get(),
    ),
]

OPTIONS = [
    case(
        "unknown options", value("1", options='{"concurrency":"bogus"}'), value("1", options='{"consistency":"bogus"}')
    ),
    case("unknown options of a delete", delete(query="?concurrency=bogus"), delete(query="?consistency=bogus")),
    case(
        "known options",
        value("1", options='{"concurrency":"last-write","consistency":"strong"}'),
        delete(query="?consistency=strong&concurrency=last-write"),
    ),
    case(
        "a wrong etag",
        value("1"),
        value("2", etag='"999"'),
        get(),
        delete(If_Match="999"),
        delete(If_Match='"999"'),
        get(),
    ),
    case("an empty etag", value("1"), value("2", etag='""'), delete(If_Match=""), get()),
    case("two etags", value("1"), Step("DELETE", "/v1.0/state/$s/$k", None, {"If_Match": "998", "if_match": "999"})),
    case("an etag and no row", delete(If_Match="999"), value("1", etag='"999"'), get()),
    case("an etag that is no number", value("1"), value("2", etag='"x"'), get()),
    case(
        "first write",
        value("1", options='{"concurrency":"first-write"}'),
        value("2", options='{"concurrency":"first-write"}'),
        get(),
    ),
    case("a ttl", value("1", metadata='{"ttlInSeconds":"60"}'), get(), bulk('{"keys":["$k"]}')),
    case(
        "a ttl in the query",
        save('[{"key":"$k","value":1,"metadata":{"ttlInSeconds":"x"}}]', "?metadata.ttlInSeconds=60"),
        get(),
    ),
    case(
        "a ttl that is none",
        value("1", metadata='{"ttlInSeconds":"x"}'),
        save('[{"key":"$k","value":1}]', "?metadata.ttlInSeconds=x"),
        get(),
    ),
    case("no ttl", *(value("1", metadata=f'{{"ttlInSeconds":"{text}"}}') for text in ("0", "-1", "")), get()),
    case("a ttl taken back", value("1", metadata='{"ttlInSeconds":"60"}'), value("2"), get()),
]

SEVERAL = [
    case(
        "in bulk",
        save('[{"key":"$k1","value":1},{"key":"$k2","value":"b"},{"key":"$k3","value":{"a":[1]}}]'),
        bulk('{"keys":["$k3","$k1","$k2"]}'),
        bulk('{"keys":["$k1","none"],"parallelism":2,"metadata":{"a":"b"}}'),
    ),
    case("an empty key in bulk", bulk('{"keys":[""]}')),
    case("conflicts among several", save('[{"key":"$k1","value":1},{"key":"$k2","value":2,"etag":"999"}]')),
    case("one key twice", save('[{"key":"$k","value":1},{"key":"$k","value":1}]'), get()),
    case(
        "a transaction",
        operations(upsert('{"key":"$k1","value":1}'), upsert('{"key":"$k2","value":"b"}')),
        operations('{"operation":"delete","request":{"key":"$k1"}}', upsert('{"KEY":"$k3","VALUE":[1]}')),
        get("$k1"),
        get("$k2"),
        get("$k3"),
    ),
    case(
        "a transaction with a wrong etag", value("1"), operations(upsert('{"key":"$k","value":2,"etag":"999"}')), get()
    ),
    case(
        "a transaction that fails half way",
        value("1"),
        operations(upsert('{"key":"$k2","value":1}'), '{"operation":"delete","request":{"key":"$k","etag":"999"}}'),
        get("$k2"),
    ),
    case(
        "a transaction's metadata",
        transaction('{"operations":[' + upsert('{"key":"$k","value":1}') + '],"metadata":{"ttlInSeconds":"60"}}'),
        get(),
    ),
    case(
        "a transaction's query",
        transaction('{"operations":[' + upsert('{"key":"$k","value":1}') + "]}", "?metadata.ttlInSeconds=60"),
        get(),
    ),
    case(
        "a transaction with a bad option",
        operations(upsert('{"key":"$k","value":1,"options":{"concurrency":"bogus"}}')),
        get(),
    ),
    case(
        "an operation without a request", operations('{"operation":"delete"}', '{"operation":"delete","request":null}')
    ),
    case(
        "queries",
        query("{}"),
        query(""),
        query("x"),
        Step("PUT", "/v1.0-alpha1/state/$s/query", "{}"),
        Step("POST", "/v1.0-alpha1/state/nope/query", "{}"),
    ),
]

STATE = [*ROUTES, *KEYS, *VALUES, *BROKEN, *OPTIONS, *SEVERAL]

# What has nothing to do with a store


def others(*requests: tuple[str, str] | tuple[str, str, str]) -> tuple[Step, ...]:
    return tuple(Step(*request) for request in requests)


APP = "/v1.0/actors/T/1"
WORKFLOW = "/v1.0/workflows/dapr"

OTHERS = [
    case("health", *others(("GET", "/v1.0/healthz"), ("GET", "/v1.0/healthz/"), ("GET", "/v1.0/healthz/outbound"))),
    case(
        "health of an app",
        *others(
            ("GET", "/v1.0/healthz?appid=app"),
            ("GET", "/v1.0/healthz?appid=x"),
            ("GET", "/v1.0/healthz/outbound?appid=x"),
        ),
    ),
    case(
        "health by other verbs",
        *others(("POST", "/v1.0/healthz", ""), ("HEAD", "/v1.0/healthz"), ("PUT", "/v1.0/healthz", "")),
    ),
    case(
        "nothing there",
        *others(("GET", "/"), ("GET", "/v1.0"), ("GET", "/v1.0/"), ("GET", "/x"), ("POST", "/v1.0/nope/x", "{}")),
    ),
    case(
        "noted metadata",
        *others(
            ("PUT", "/v1.0/metadata", "x"),
            ("PUT", "/v1.0/metadata/", "x"),
            ("GET", "/v1.0/metadata/x"),
            ("POST", "/v1.0/metadata/x", "y"),
        ),
    ),
    case("no shutdown by get", *others(("GET", "/v1.0/shutdown"), ("PUT", "/v1.0/shutdown", ""))),
    case(
        "publish",
        *others(
            ("POST", "/v1.0/publish/ps/t", "{}"), ("PUT", "/v1.0/publish/ps/t/u", ""), ("POST", "/v1.0/publish/ps", "")
        ),
    ),
    case(
        "bulk publish",
        *others(("POST", "/v1.0/publish/bulk/ps/t", "[]"), ("POST", "/v1.0-alpha1/publish/bulk/ps/t", "[]")),
    ),
    case(
        "secrets",
        *others(
            ("GET", "/v1.0/secrets/s/k"),
            ("GET", "/v1.0/secrets/s/bulk"),
            ("GET", "/v1.0/secrets/s"),
            ("POST", "/v1.0/secrets/s/k", ""),
        ),
    ),
    case(
        "bindings",
        *others(
            ("POST", "/v1.0/bindings/b", '{"operation":"x"}'),
            ("PUT", "/v1.0/bindings/b", ""),
            ("POST", "/v1.0/bindings/b", "{}"),
            ("POST", "/v1.0/bindings/b", '{"operation":1}'),
        ),
    ),
    case(
        "configuration",
        *others(
            ("GET", "/v1.0/configuration/c"),
            ("GET", "/v1.0-alpha1/configuration/c"),
            ("GET", "/v1.0/configuration/c/subscribe"),
            ("GET", "/v1.0/configuration/c/i/unsubscribe"),
        ),
    ),
    case(
        "locks",
        *others(
            ("POST", "/v1.0-alpha1/lock/l", '{"expiryInSeconds":5}'),
            ("POST", "/v1.0-alpha1/lock/l", "{}"),
            ("POST", "/v1.0-alpha1/unlock/l", "{}"),
        ),
    ),
    case(
        "cryptography",
        *others(
            ("PUT", "/v1.0-alpha1/crypto/c/encrypt", "x"),
            ("PUT", "/v1.0-alpha1/crypto/c/decrypt", "x"),
            ("POST", "/v1.0-alpha1/subtlecrypto/c/getkey", "{}"),
            ("POST", "/v1.0-alpha1/subtlecrypto/c/x", "{}"),
        ),
    ),
    case(
        "jobs",
        *others(
            ("GET", "/v1.0/jobs/j"),
            ("DELETE", "/v1.0-alpha1/jobs/j"),
            ("POST", "/v1.0/jobs/j", '{"dueTime":"1s"}'),
            ("POST", "/v1.0-alpha1/jobs/j", "{}"),
        ),
    ),
    case(
        "workflows",
        *others(
            ("POST", f"{WORKFLOW}/w/start", "{}"),
            ("GET", f"{WORKFLOW}/i"),
            ("POST", f"{WORKFLOW}/i/terminate", ""),
            ("POST", f"{WORKFLOW}/i/raiseEvent/e", ""),
            ("POST", f"{WORKFLOW}/i/x", ""),
        ),
    ),
    case(
        "conversations",
        *others(
            ("POST", "/v1.0-alpha1/conversation/e/converse", "{}"),
            ("POST", "/v1.0-alpha2/conversation/e/converse", "{}"),
        ),
    ),
    case(
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
