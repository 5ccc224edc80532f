"""The worst queries, and the worst documents for them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.fairness.bodies import SIZE, filled, listed, numbered, tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LARGEST = 256 * 1024 - 200  # of the queries that are read
# a token that is none: such a query is read, and refused before it is run
NO_TOKEN = b',"page":{"token":"none"}}'


def unrun(body: bytes) -> bytes:
    return body[:-1] + NO_TOKEN


def filtered(condition: bytes) -> bytes:
    return b'{"filter":' + condition + b"}"


def nested(depth: int) -> bytes:
    leaf = b'{"EQ":{"a":1}}'
    for _ in range(depth):
        leaf = b'{"AND":[{"EQ":{"a":1}},' + leaf + b"]}"
    return leaf


# Read, and no more
READ: Mapping[str, Callable[[], bytes]] = {
    "4 MB": lambda: filtered(b'{"IN":{"a":[' + listed(b"1") + b"]}}"),
    "4 MB that are no JSON": lambda: filled(b"{"),
    "most numbers": lambda: unrun(filtered(b'{"IN":{"a":[' + listed(b"1", LARGEST) + b"]}}")),
    "ten thousand texts": lambda: unrun(filtered(b'{"IN":{"a":[' + numbered(b'"%d"', 90_000) + b"]}}")),
    "ten thousand large exponents": lambda: unrun(
        filtered(b'{"IN":{"a":[' + numbered(b"1e%d99999999", 190_000) + b"]}}")
    ),
    "long numbers": lambda: unrun(filtered(b'{"IN":{"a":[' + listed(b"9" * 1024, LARGEST) + b"]}}")),
    "a long number": lambda: unrun(filtered(b'{"EQ":{"a":' + filled(b"9", LARGEST) + b"}}")),
    "most conditions": lambda: unrun(filtered(b'{"OR":[' + listed(b'{"EQ":{"a":1}}', 14_900) + b"]}")),
    "too many conditions": lambda: unrun(filtered(b'{"OR":[' + listed(b'{"EQ":{"a":1}}', LARGEST) + b"]}")),
    "conditions that are none": lambda: unrun(filtered(b'{"OR":[' + listed(b"{}", LARGEST) + b"]}")),
    "deep": lambda: unrun(filtered(nested(31))),
    "too deep": lambda: unrun(filtered(nested(4_000))),
    "deepest": lambda: filled(b'{"filter":', LARGEST),
    "lists of 9,000 levels": lambda: b'{"filter":{"EQ":{"a":' + tree(9_000)[:LARGEST],
    "a long path": lambda: unrun(filtered(b'{"EQ":{"' + filled(b"a.", LARGEST) + b'":1}}')),
    "a long text": lambda: unrun(filtered(b'{"EQ":{"a":"' + filled(rb"\u00e9", LARGEST) + b'"}}')),
    "most sort keys": lambda: unrun(b'{"sort":[' + listed(b"{}", LARGEST) + b"]}"),
    "members that nobody knows": lambda: unrun(b"{" + numbered(b'"%d":1', LARGEST) + b"}"),
    "a long token": lambda: b'{"page":{"token":"' + filled(b"A", LARGEST) + b'"}}',
}

# Looked into
DOCUMENTS: Mapping[str, Callable[[], bytes]] = {
    "flat": lambda: b"{" + numbered(b'"%d":1') + b',"a":1}',
    "one member again and again": lambda: b"{" + listed(b'"a":1') + b"}",
    "nulls": lambda: b'{"b":[' + listed(b"null") + b'],"a":1}',
    "nulls within nulls": lambda: b'{"a":{"a":{"a":{"a":[' + listed(b"null") + b"]}}}}",
    "a long text": lambda: b'{"a":"' + filled(b"x") + b'"}',
    "a long text of escapes": lambda: b'{"a":"' + filled(rb"\ud83d\ude00") + b'"}',
    "a long text beyond ASCII": lambda: b'{"a":"' + filled("é".encode()) + b'"}',
    "a long number": lambda: b'{"a":' + filled(b"9") + b"}",
    "half of a pair at the end": lambda: b'{"a":1,"b":"' + filled(b"x") + b'\\ud800"}',
    "no end": lambda: b'{"a":[' + listed(b"1"),
    "not UTF-8": lambda: b'{"a":"' + filled(b"x") + b'\xff"}',
    "lists of 100 levels": lambda: b'{"b":' + tree(100)[: SIZE - 100] + b"}",
    "deepest": lambda: filled(b'{"a":', SIZE * 4 // 5) + b"1" + b"}" * (SIZE // 5),
}
IN_FILES = ("flat", "a long text of escapes", "deepest")  # of stores that have to read them first
SMALL = 3000  # more documents


def small(number: int) -> bytes:
    return json.dumps({"a": {"b": number, "c": f"text {number % 7}"}, "n": number % 97, "e": f"1e{number}"}).encode()


RUN: Mapping[str, bytes] = {
    "a comparison": b'{"filter":{"EQ":{"a":1}}}',
    "a text": b'{"filter":{"GT":{"a":"' + b"x" * 16_000 + b'"}}}',
    "most conditions": filtered(b'{"OR":[' + numbered(b'{"EQ":{"a.b":%d}}', 22_000) + b"]}"),
    "paths of many steps": filtered(b'{"OR":[' + listed(b'{"EQ":{"' + b"a." * 30 + b'a":7}}', 60_000) + b"]}"),
    "many paths": filtered(b'{"OR":[' + numbered(b'{"EQ":{"%d":7}}', 20_000) + b"]}"),
    "sorted": b'{"filter":{"LT":{"n":50}},"sort":[{"key":"a.c","order":"DESC"},{"key":"n"}]}',
    "sorted, a page": b'{"sort":[{"key":"a","order":"DESC"},{"key":"n"}],"page":{"limit":3}}',
}
