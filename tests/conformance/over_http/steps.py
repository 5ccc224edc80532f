"""The steps of the HTTP API: requests, and their answers as text.

`$s` in a path is the store, `$k` in a path or a body the beginning of a key that no other scenario uses.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from tests.support.http import Answer, ask

if TYPE_CHECKING:
    from collections.abc import Callable

# some stores make random etags, others count
ETAGS = re.compile(r'(Etag: |"etag":"|current=)(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d+)')
UNTRACED = f"Traceparent: 00-{'0' * 32}-{'0' * 16}-00"


@dataclass(frozen=True)
class Scene:
    """A store as one client sees it; `ask` makes a request."""

    ask: Callable[..., Answer]
    store: str
    key: str

    @classmethod
    def at(cls, port: int, store: str, key: str) -> Scene:
        return cls(partial(ask, port), store, key)

    def shown(self, answer: Answer) -> str:
        """Status line, header lines in their order, body."""
        lines = (line for line in answer.lines if not line.startswith("Content-Length"))
        text = "\n".join((answer.status, *lines, "", answer.body.decode("utf-8", "surrogateescape")))
        shown = ETAGS.sub(r"\1ETAG", text).replace(UNTRACED, "Untraced")
        if self.key:
            shown = shown.replace(self.key, "$k").replace(self.store, "$s")
        return shown


@dataclass(frozen=True)
class Step:
    method: str
    path: str
    body: str | bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def __call__(self, scene: Scene) -> Answer:
        path = self.path.replace("$s", scene.store).replace("$k", quote(scene.key))
        body = self.body.encode() if isinstance(self.body, str) else self.body
        return scene.ask(self.method, path, body and body.replace(b"$k", scene.key.encode()), **self.headers)


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
