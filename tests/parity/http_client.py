"""The gRPC test client's calls over HTTP: the same scenarios can be played through either door.

Values are bytes in the scenarios and JSON over HTTP: they go out as JSON strings, one character a byte, and come
back as bytes. What HTTP has no way to ask is answered with NOT_OVER_HTTP.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from tests.support.client import Reply
from tests.support.http import Answer, ask

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.client import StateItem, StateOptions

NOT_OVER_HTTP = Reply("NOT_OVER_HTTP")

CONCURRENCY = {0: "", 1: "first-write", 2: "last-write"}
CONSISTENCY = {0: "", 1: "eventual", 2: "strong"}

WRAPPED = "api error: code = InvalidArgument desc = "


class HttpClient:
    def __init__(self, port: int) -> None:
        self._port = port

    def save(self, store: str, *items: StateItem) -> Reply:
        if any(_is_foreign(item) for item in items):
            return NOT_OVER_HTTP
        return self._ask("POST", f"/v1.0/state/{quote(store)}", [_shown(item) for item in items])

    def get(self, store: str, key: str, **more: Any) -> Reply:
        if not key:
            return NOT_OVER_HTTP
        answer = ask(self._port, "GET", _path(store, key) + _query(more.get("metadata", {})))
        if answer.code >= 400:
            return _refusal(answer)
        if answer.code == 204:
            return Reply("OK")
        response: dict[str, Any] = {"data": _value(answer.json), "etag": answer.header("Etag")}
        if expiry := answer.header("Metadata.ttlexpiretime"):
            response["metadata"] = {"ttlExpireTime": expiry}
        return Reply("OK", response={name: value for name, value in response.items() if value})

    def bulk_get(self, store: str, *keys: str, **more: Any) -> Reply:
        path = f"/v1.0/state/{quote(store)}/bulk"
        answer = ask(self._port, "POST", path, json.dumps({"keys": keys, "metadata": more.get("metadata")}))
        if answer.code >= 400:
            return _refusal(answer)
        items = [
            {name: _value(value) if name == "data" else value for name, value in item.items() if value}
            for item in answer.json
        ]
        return Reply("OK", response={"items": items} if items else {})

    def delete(self, store: str, key: str, *, etag: str | None = None, **more: Any) -> Reply:
        options = more.get("options")
        if not key or (options and not _is_known(options)):
            return NOT_OVER_HTTP
        query = {}
        if options:
            query = {"concurrency": CONCURRENCY[options.concurrency], "consistency": CONSISTENCY[options.consistency]}
        path = _path(store, key) + _query(dict(more.get("metadata") or {}), **query)
        headers = {} if etag is None else {"If_Match": etag}
        return _reply(ask(self._port, "DELETE", path, **headers))

    def bulk_delete(self, *_: Any) -> Reply:
        return NOT_OVER_HTTP

    def transact(self, store: str, *operations: tuple[str, StateItem], **more: Any) -> Reply:
        if any(_is_foreign(item) for _, item in operations):
            return NOT_OVER_HTTP
        listed = [{"operation": kind, "request": _shown(item)} for kind, item in operations]
        body = {"operations": listed, "metadata": more.get("metadata")}
        return self._ask("POST", f"/v1.0/state/{quote(store)}/transaction", body)

    def query(self, store: str, query: str, **_: Any) -> Reply:
        return _reply(ask(self._port, "POST", f"/v1.0-alpha1/state/{quote(store)}/query", query))

    def call(self, *_: Any) -> Reply:
        return NOT_OVER_HTTP

    def _ask(self, method: str, path: str, body: object) -> Reply:
        return _reply(ask(self._port, method, path, json.dumps(body)))


def _path(store: str, key: str) -> str:
    return f"/v1.0/state/{quote(store)}/{quote(key, safe='')}"


def _query(metadata: Mapping[str, str], **more: str) -> str:
    given = {**{f"metadata.{name}": value for name, value in metadata.items()}, **more}
    return f"?{urlencode(given)}" if given else ""


def _is_known(options: StateOptions) -> bool:
    return options.concurrency in CONCURRENCY and options.consistency in CONSISTENCY


def _is_foreign(item: StateItem) -> bool:
    """A number that is in no enum, or bytes that say themselves whether they are JSON."""
    return not _is_known(item.options) or "contentType" in item.metadata


def _shown(item: StateItem) -> dict[str, Any]:
    shown: dict[str, Any] = {"key": item.key, "value": item.value.decode("latin-1"), "metadata": dict(item.metadata)}
    if item.HasField("etag"):
        shown["etag"] = item.etag.value
    shown["options"] = {
        "concurrency": CONCURRENCY[item.options.concurrency],
        "consistency": CONSISTENCY[item.options.consistency],
    }
    return shown


def _value(shown: object) -> bytes:
    return shown.encode("latin-1") if isinstance(shown, str) else json.dumps(shown).encode()


def _reply(answer: Answer) -> Reply:
    return Reply("OK") if answer.code < 400 else _refusal(answer)


def _refusal(answer: Answer) -> Reply:
    """With the reason where gRPC has it: in the details, or alone."""
    body = answer.json
    details = [dict(detail) for detail in body.get("details", [])] or [{"reason": body["errorCode"]}]
    return Reply(str(answer.code), body["message"].removeprefix(WRAPPED), details)
